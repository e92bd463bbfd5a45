"""The result: straight pieces of a one-dimensional manifold."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from .._results import RESULTS
from .._saved import AbstractSaved
from .._tables import Table, plural


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Manifold(AbstractSaved):
    """Pieces of the stable or unstable manifold of a cycle, between whose ends it is straight.

    **Fields:**

    - `segments`: both ends of each piece; of an unstable manifold along each branch in turn.
    - `step`: how many times the piece at the cycle was mapped (or mapped back) to get there.
    - `branch`: number of the branch of an unstable manifold, from 0: the two sides of every point
        of the cycle; of a stable one, the point of the cycle that its orbits approach first.
    - `orbit`: the cycle.
    - `kind`: "unstable" or "stable"; `multiplier`: the Floquet multiplier along it.
    - `result`, `notes`.
    """

    file_type = "manifold"
    file_bounds = {"step": (0, "segment", 2**62), "branch": (0, "segment", 2**62)}

    segments: Float[np.ndarray, "segment 2 state"]
    step: Int[np.ndarray, " segment"]
    branch: Int[np.ndarray, " segment"]
    orbit: Float[np.ndarray, "time state"]
    kind: str
    multiplier: float
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def points(self) -> Float[np.ndarray, "point state"]:
        """All ends of pieces, each once."""
        return np.unique(self.segments.reshape(-1, self.segments.shape[2]), axis=0)

    @property
    def length(self) -> float:
        """Total arc length."""
        return float(np.linalg.norm(self.segments[:, 1] - self.segments[:, 0], axis=1).sum())

    def _table(self) -> Table:
        period, branches = len(self.orbit), len(np.unique(self.branch))
        name = "fixed point" if period == 1 else f"{period}-cycle"
        title = (
            f"{self.kind} manifold of a {name} (multiplier {self.multiplier:.6g}): "
            f"{plural(len(self), 'straight piece')}, arc length {self.length:.6g}"
        )
        rows = [f"{branches} branches, up to {int(self.step.max(initial=0))} steps from the cycle"]
        return Table([title, *rows], below=[*self.result.lines(), *self.notes])
