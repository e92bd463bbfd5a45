"""Stable sets of cycles, curves or surfaces: all preimages of a straight piece."""

from typing import Any

import numpy as np

from .._arguments import checked_whole
from .._host import on_host
from .._job import Job, deadline_of, job
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._progress import AbstractProgress
from .._tables import plural
from ..cycles import CycleSet
from ._cells import Cells, box_of, cells_of
from ._local import dimension_of, local_of
from ._manifold import Manifold
from ._segments import inside, preimages_of
from ._surface import Mesh, StableSurface, segments_as_mesh

_SINGULAR = 1e12
"""Condition number beyond which a linear subregion is not mapped back."""


@on_host()
def stable_manifold(
    model: AbstractPLRNN,
    cycle: CycleSet,
    *,
    low: Any,
    high: Any,
    max_steps: int = 100,
    max_pieces: int = 100_000,
    max_regions: int = 20_000,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> Manifold:
    """Find the stable set of a cycle with one or two multipliers inside the unit circle, in a box.

    The piece beside the cycle where its word goes on for ever is straight, or a flat polygon; all
    its preimages in all linear subregions that meet the box follow, branches of maps that cannot be
    inverted included. Between two attractors it is the boundary of their basins.

    ```python
    surface = plr.stable_manifold(model, saddle, low=-3, high=3)
    plr.plot.manifold(surface)
    ```

    **Arguments:**

    - `model`, `cycle`: as in `unstable_manifold`.
    - `low`, `high`: corners of the box; pieces whose orbits leave it on the way are not found.
    - `max_steps`: preimages of preimages, so many times.
    - `max_pieces`, `max_regions`, `max_seconds`: limits; notes say which one ended the search.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `Manifold`. Ctrl-C returns what was found by then.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    dimension = dimension_of(map, cycle, stable=True)
    box = box_of(low, high, map.state_size)
    max_steps = checked_whole("max_steps", max_steps, 1)
    max_pieces = checked_whole("max_pieces", max_pieces, 1)
    orbit = cycle.orbit(0)
    if not ((orbit >= box[0]) & (orbit <= box[1])).all():
        raise ValueError("low: expected a box that the cycle is in")
    cells = cells_of(map, *box, checked_whole("max_regions", max_regions, 1))
    regular = np.linalg.cond(cells.J) < _SINGULAR
    notes = []
    if not regular.all():
        notes.append(f"{int((~regular).sum())} of {len(regular)} linear subregions are singular")
    cells = Cells(*(array[regular] for array in cells))
    way = (StableSurface if dimension == 2 else _Curve)(map, cycle, cells, box)
    found = [(way.first, np.zeros(len(orbit), int), np.arange(len(orbit)))]
    with job(progress, "stable manifold", deadline_of(max_seconds)) as task:
        notes += _followed(way, found, max_steps, max_pieces, task)
    meshes, steps, branches = zip(*found)
    mesh = Mesh(*(np.concatenate(column) for column in zip(*meshes)))
    step, branch = np.concatenate(steps), np.concatenate(branches)
    return Manifold(
        mesh.corners, mesh.sizes, step, branch, orbit, "stable", way.multiplier, task.result,
        tuple(notes),
    )  # fmt: skip


def _followed(way, found: list, max_steps: int, max_pieces: int, task: Job) -> list[str]:
    """Map back what is newest, again and again; return what ended it, or was left out."""
    newest, branch = way.beyond(*way.back(way.first, task))
    total, notes = len(way.first.sizes), []
    for step in range(1, max_steps + 1):
        if not len(newest.sizes):
            break
        found.append((newest, np.full(len(newest.sizes), step), branch))
        total += len(newest.sizes)
        if total > max_pieces:
            notes.append(f"max_pieces={max_pieces} ended it after {plural(step, 'step')}")
            break
        task.check()
        task.update(step / max_steps, plural(total, "piece"))
        newest, _, source = way.back(newest, task)
        branch = branch[source]
    else:
        if len(newest.sizes):
            notes.append(f"max_steps={max_steps} ended it; {len(newest.sizes)} more pieces follow")
    lost = way.back.lost if isinstance(way, StableSurface) else 0
    return [*notes, f"{lost} polygons with too many corners are left out"] if lost else notes


class _Curve:
    """All preimages of the straight pieces at a cycle."""

    def __init__(self, map: PiecewiseAffineMap, cycle: CycleSet, cells: Cells, box):
        self.map, self.cells, self.box = map, cells, box
        self.local, self.regions = local_of(map, cycle, stable=True), cycle.regions(0)
        self.inverse, self.multiplier = np.linalg.inv(cells.J), self.local.multiplier
        far = 2.0 * float(np.linalg.norm(box[1] - box[0]))
        ends = np.clip(self.local.ends, -far, far)
        pieces = self.local.orbit[:, None] + ends[..., None] * self.local.ways[:, None]
        self.pieces = np.concatenate([inside(piece[None], *box) for piece in pieces])
        self.first = segments_as_mesh(self.pieces)

    def back(self, mesh: Mesh, task: Job) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """Return all preimages, and of each the number of its cell and of its source."""
        ends = mesh.corners.reshape(-1, 2, self.map.state_size)
        pieces, *rest = preimages_of(self.cells, self.inverse, self.map, ends, *self.box)
        return segments_as_mesh(pieces), rest[0], rest[1]

    def beyond(self, mesh: Mesh, cell: np.ndarray, source: np.ndarray) -> tuple[Mesh, np.ndarray]:
        """Return the preimages of the pieces at the cycle without these themselves, and which point
        of the cycle each leads to."""
        local, kept, branch = self.local, [], []
        pieces = mesh.corners.reshape(-1, 2, self.map.state_size)
        for piece, number, target in zip(pieces, cell, source):
            point = (target - 1) % len(local.orbit)
            parts = [piece]
            if (self.cells.patterns[number] == self.regions[point]).all():
                way, start = local.ways[point], local.orbit[point]
                ends = np.sort((piece - start) @ way)
                own = np.sort((self.pieces[point] - start) @ way)
                edges = [(ends[0], min(ends[1], own[0])), (max(ends[0], own[1]), ends[1])]
                size = 1e-12 * max(1.0, float(np.abs(ends).max()))
                parts = [start + np.array([[a], [b]]) * way for a, b in edges if b - a > size]
            kept += parts
            branch += [target] * len(parts)
        ends = np.array(kept).reshape(-1, 2, self.map.state_size)
        return segments_as_mesh(ends), np.array(branch, np.int64)
