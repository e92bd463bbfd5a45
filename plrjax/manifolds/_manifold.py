"""The result: straight or flat pieces of a manifold."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from .._results import RESULTS
from .._saved import AbstractSaved
from .._tables import Table, plural
from ._surface import Mesh, total_area


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Manifold(AbstractSaved):
    """Pieces of the stable or unstable manifold of a cycle: segments, or flat convex polygons.

    **Fields:**

    - `corners`: of each piece in turn, `sizes`: how many, 2 of a segment (see `segments` and
        `polygons`); of an unstable curve along each branch in turn.
    - `step`: how many times the piece at the cycle was mapped (or mapped back) to get there.
    - `branch`: number of the branch of an unstable manifold, from 0: the two sides of every point
        of the cycle; of a stable one, the point of the cycle that its orbits approach first.
    - `orbit`: the cycle.
    - `kind`: "unstable" or "stable"; `multiplier`: the Floquet multiplier along it, the modulus of
        the one nearest to 1 of a surface.
    - `result`, `notes`.
    """

    file_type = "manifold"
    file_bounds = {
        "sizes": (2, "corner", 0),
        "step": (0, "piece", 2**62),
        "branch": (0, "piece", 2**62),
    }

    corners: Float[np.ndarray, "corner state"]
    sizes: Int[np.ndarray, " piece"]
    step: Int[np.ndarray, " piece"]
    branch: Int[np.ndarray, " piece"]
    orbit: Float[np.ndarray, "time state"]
    kind: str
    multiplier: float
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sizes)

    def __post_init__(self):
        if int(self.sizes.sum()) != len(self.corners):
            raise ValueError(f"sizes: expected them to add up to {len(self.corners)} corners")

    @property
    def dimension(self) -> int:
        """1 of curves, 2 of surfaces."""
        return 1 if (self.sizes == 2).all() else 2

    @property
    def segments(self) -> Float[np.ndarray, "segment 2 state"]:
        """Both ends of each piece of a curve.

        **Raises:** `ValueError` for a surface.
        """
        if self.dimension != 1:
            raise ValueError("segments: these are polygons, see .polygons")
        return self.corners.reshape(-1, 2, self.corners.shape[1])

    @property
    def polygons(self) -> list[Float[np.ndarray, "corner state"]]:
        """Corners of each piece."""
        return np.split(self.corners, np.cumsum(self.sizes)[:-1]) if len(self) else []

    @property
    def points(self) -> Float[np.ndarray, "point state"]:
        """All corners of pieces, each once."""
        return np.unique(self.corners, axis=0)

    @property
    def measure(self) -> float:
        """Total arc length, or area."""
        if self.dimension == 1:
            ends = self.segments
            return float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum())
        return total_area(Mesh(self.corners, self.sizes))

    def _table(self) -> Table:
        period, branches = len(self.orbit), len(np.unique(self.branch))
        name = "fixed point" if period == 1 else f"{period}-cycle"
        pieces = plural(len(self), "straight piece" if self.dimension == 1 else "polygon")
        title = (
            f"{self.kind} manifold of a {name} (multiplier {self.multiplier:.6g}): {pieces}, "
            f"{'arc length' if self.dimension == 1 else 'area'} {self.measure:.6g}"
        )
        rows = [f"{branches} branches, up to {int(self.step.max(initial=0))} steps from the cycle"]
        return Table([title, *rows], below=[*self.result.lines(), *self.notes])
