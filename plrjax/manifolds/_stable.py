"""Stable sets of cycles, where they are curves: all preimages of a straight piece."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._arguments import checked_whole
from .._host import on_host
from .._job import deadline_of, job
from .._piecewise_affine import AbstractPLRNN, lower
from .._progress import AbstractProgress
from ..cycles import CycleSet
from ._cells import box_of, cells_of
from ._local import Local, local_of
from ._manifold import Manifold
from ._segments import inside, preimages_of

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
    max_segments: int = 100_000,
    max_regions: int = 20_000,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> Manifold:
    """Find the stable set of a cycle with one multiplier inside the unit circle, in a box.

    The piece beside the cycle where its word goes on is a straight line; all its preimages in all
    linear subregions that meet the box follow, branches of maps that cannot be inverted included.
    Between two attractors it is the boundary of their basins.

    **Arguments:**

    - `model`, `cycle`: as in `unstable_manifold`.
    - `low`, `high`: corners of the box; pieces whose orbits leave it on the way are not found.
    - `max_steps`: preimages of preimages, so many times.
    - `max_segments`, `max_regions`, `max_seconds`: limits; notes say which one ended the search.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `Manifold`. Ctrl-C returns what was found by then.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    local = local_of(map, cycle, stable=True)
    box = box_of(low, high, map.state_size)
    max_steps = checked_whole("max_steps", max_steps, 1)
    max_segments = checked_whole("max_segments", max_segments, 1)
    if not ((local.orbit >= box[0]) & (local.orbit <= box[1])).all():
        raise ValueError("low: expected a box that the cycle is in")
    cells = cells_of(map, *box, checked_whole("max_regions", max_regions, 1))
    regular = np.linalg.cond(cells.J) < _SINGULAR
    notes = []
    if not regular.all():
        notes.append(f"{int((~regular).sum())} of {len(regular)} linear subregions are singular")
    cells = type(cells)(*(array[regular] for array in cells))
    inverse = np.linalg.inv(cells.J)
    back = lambda ends: preimages_of(cells, inverse, map, ends, *box)
    first = _first(local, box)
    found = [(first, np.zeros(len(first), int), np.arange(len(first)))]
    with job(progress, "stable manifold", deadline_of(max_seconds)) as task:
        newest, branch = _beyond(cycle.regions(0), cells.patterns, local, first, *back(first))
        total = len(first)
        for step in range(1, max_steps + 1):
            if not len(newest):
                break
            found.append((newest, np.full(len(newest), step), branch))
            total += len(newest)
            if total > max_segments:
                notes.append(f"max_segments={max_segments} ended it after {step} steps")
                break
            task.check()
            task.update(step / max_steps)
            newest, _, source = back(newest)
            branch = branch[source]
        else:
            if len(newest):
                notes.append(f"max_steps={max_steps} ended it; {len(newest)} more pieces follow")
    segments, steps, branches = (np.concatenate(column) for column in zip(*found))
    return Manifold(
        segments,
        steps,
        branches,
        local.orbit,
        "stable",
        local.multiplier,
        task.result,
        tuple(notes),
    )


def _first(local: Local, box) -> Float[np.ndarray, "time 2 state"]:
    """Return the pieces at the cycle, as far as the box reaches."""
    far = 2.0 * float(np.linalg.norm(box[1] - box[0]))
    ends = np.clip(local.ends, -far, far)
    pieces = local.orbit[:, None] + ends[..., None] * local.ways[:, None]
    return np.concatenate([inside(piece[None], *box) for piece in pieces])


def _beyond(regions, patterns, local: Local, first, pieces, cell, source):
    """Return the preimages of the pieces at the cycle, without these pieces themselves, and which
    point of the cycle each leads to."""
    period, kept, branch = len(local.orbit), [], []
    for piece, number, target in zip(pieces, cell, source):
        point = (target - 1) % period
        parts = [piece]
        if (patterns[number] == regions[point]).all():
            way, start = local.ways[point], local.orbit[point]
            ends, own = np.sort((piece - start) @ way), np.sort((first[point] - start) @ way)
            edges = [(ends[0], min(ends[1], own[0])), (max(ends[0], own[1]), ends[1])]
            size = 1e-12 * max(1.0, float(np.abs(ends).max()))
            parts = [start + np.array([[a], [b]]) * way for a, b in edges if b - a > size]
        kept += parts
        branch += [target] * len(parts)
    shape = (-1, 2, local.orbit.shape[1])
    return np.array(kept).reshape(shape), np.array(branch, int)
