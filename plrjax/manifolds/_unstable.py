"""Unstable manifolds of cycles, curves or surfaces: images of a straight piece."""

from typing import Any

import numpy as np

from .._arguments import checked_positive, checked_whole
from .._host import on_host
from .._job import Job, deadline_of, job
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._progress import AbstractProgress
from ..cycles import CycleSet
from ._cells import box_of, cells_of
from ._local import Local, dimension_of, local_of
from ._manifold import Manifold
from ._segments import images, inside
from ._surface import Mesh, UnstableSurface, segments_as_mesh


@on_host()
def unstable_manifold(
    model: AbstractPLRNN,
    cycle: CycleSet,
    *,
    length: float | int = 10.0,
    low: Any = None,
    high: Any = None,
    max_steps: int = 1_000,
    max_pieces: int = 1_000_000,
    max_regions: int = 20_000,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> Manifold:
    """Follow the unstable manifold of a cycle with one or two multipliers outside the unit circle.

    The piece beside the cycle where its word goes on is straight, or a flat polygon; its images are
    polygonal curves and surfaces, cut where they cross switching boundaries. The curve of a cycle
    of period k has 2 k branches; a surface is all images of the polygons at the cycle so far.

    ```python
    saddle = cycles[cycles.stability == plr.STABILITY.saddle][0]
    curve = plr.unstable_manifold(model, saddle, length=20)
    plr.plot.manifold(curve)
    ```

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `cycle`: a `CycleSet` of one row.
    - `length`: arc length of each branch, from the cycle; of a surface its area.
    - `low`, `high`: corners of a box, numbers for all states or one for each; what leaves it is not
        followed any more, and what would come back is missing. A surface needs one.
    - `max_steps`, `max_pieces`, `max_seconds`: limits; notes say which one ended the search.
    - `max_regions`: of a surface: more linear subregions that meet the box are an error.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `Manifold`. Ctrl-C returns what was found by then.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    dimension = dimension_of(map, cycle, stable=False)
    length = checked_positive("length", length)
    max_steps = checked_whole("max_steps", max_steps, 1)
    max_pieces = checked_whole("max_pieces", max_pieces, 1)
    box = None if low is None and high is None else box_of(low, high, map.state_size)
    if dimension == 2:
        if box is None:
            raise ValueError("low: expected a box, this manifold is a surface")
        cells = cells_of(map, *box, checked_whole("max_regions", max_regions, 1))
        grown: Any = UnstableSurface(map, cycle, cells, box, length)
    else:
        grown = _Branches(map, local_of(map, cycle, stable=False), length, box)
    with job(progress, "unstable manifold", deadline_of(max_seconds)) as task:
        note = grown.grow(max_steps, max_pieces, task)
    (corners, sizes), step, branch = grown.all()
    notes = () if note is None else (note,)
    return Manifold(
        corners, sizes, step, branch, cycle.orbit(0), "unstable", grown.multiplier, task.result,
        notes,
    )  # fmt: skip


class _Branches:
    """The branches of an unstable manifold as they grow."""

    def __init__(self, map: PiecewiseAffineMap, local: Local, length: float, box):
        self.map, self.length, self.box = map, length, box
        self.multiplier = local.multiplier
        period, flips = len(local.orbit), local.multiplier < 0
        self.turns = period * (2 if flips else 1)
        growth = local.multiplier ** (2 if flips else 1)
        self.found: list[list[tuple[np.ndarray, int]]] = []
        self.fronts = []
        for side in (1,) if flips else (0, 1):
            reach = min(abs(local.ends[0, side]), length) * (1 if side else -1)
            start, way = local.orbit[0], local.ways[0]
            ends = start + np.array([[[0.0], [reach]], [[reach / growth], [reach]]]) * way
            self.fronts.append(ends[1:])
            piece = ends[:1]
            for turn in range(self.turns):
                self.found.append([(piece, turn)])
                piece = images(map, piece)

    def grow(self, max_steps: int, max_pieces: int, task: Job) -> str | None:
        """Map the newest pieces on until every branch is long enough; return what ended it else."""
        known = [self._length(parts) for parts in self.found]
        for step in range(1, max_steps + self.turns):
            task.check()
            task.update(min(1.0, min(known) / self.length))
            for number, front in enumerate(self.fronts):
                front = images(self.map, front)
                if self.box is not None:
                    front = inside(front, *self.box)
                self.fronts[number] = front
                if step >= self.turns:
                    place = number * self.turns + step % self.turns
                    if known[place] < self.length:
                        self.found[place].append((front, step))
                        known[place] += self._length([(front, step)])
            if min(known) >= self.length:
                return None
            if sum(map(len, self.fronts)) > max_pieces:
                return f"max_pieces={max_pieces} ended it at a length of {min(known):.6g}"
            if not any(map(len, self.fronts)):
                return "all of it left the box"
        return f"max_steps={max_steps} ended it at a length of {min(known):.6g}"

    def _length(self, parts) -> float:
        return sum(float(np.linalg.norm(x[:, 1] - x[:, 0], axis=1).sum()) for x, _ in parts)

    def all(self) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """Return the pieces of all branches, cut at their length, with their steps and branches."""
        segments, steps, numbers = [], [], []
        for number, parts in enumerate(self.found):
            pieces = np.concatenate([x for x, _ in parts])
            step = np.concatenate([np.full(len(x), n) for x, n in parts])
            sizes = np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1)
            before = np.cumsum(sizes) - sizes
            kept = before < self.length
            share = np.minimum(1.0, (self.length - before) / np.maximum(sizes, 1e-300))[kept]
            pieces = pieces[kept]
            ends = np.where(
                share[:, None] < 1, pieces[:, 0] + share[:, None] * (pieces[:, 1] - pieces[:, 0]),
                pieces[:, 1],
            )  # fmt: skip
            segments.append(np.stack([pieces[:, 0], ends], axis=1))
            steps.append(step[kept])
            numbers.append(np.full(int(kept.sum()), number))
        return (
            segments_as_mesh(np.concatenate(segments)),
            np.concatenate(steps),
            np.concatenate(numbers),
        )
