"""Manifolds and homoclinic orbits of all saddles of a network that have such."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from .._arguments import check_kind, checked_positive, checked_whole
from .._host import on_host
from .._job import deadline_of, job
from .._piecewise_affine import AbstractPLRNN, lower
from .._progress import AbstractProgress, NoProgress
from .._results import RESULTS, STABILITY
from .._tables import AbstractTabular, Table, plural
from ..cycles import CycleSet
from ._connect import connections
from ._connections import CHAOS, Connections
from ._manifold import Manifold
from ._stable import stable_manifold
from ._unstable import unstable_manifold

_WIDER = 3.0
"""How many times as wide as the cycles the box is where none is given."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Survey(AbstractTabular):
    """What `survey` found, saddle by saddle.

    **Fields:** `saddles`; for each of them `stable`, `unstable` (a `Manifold`) and `homoclinic`
    (`Connections`), or None with the reason in `why`, where limits
    that ended a search are, too; `box`; `result`, `notes`.
    """

    saddles: CycleSet
    stable: tuple[Manifold | None, ...]
    unstable: tuple[Manifold | None, ...]
    homoclinic: tuple[Connections | None, ...]
    why: tuple[str, ...]
    box: tuple[np.ndarray, np.ndarray]
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    @property
    def horseshoe(self) -> bool:
        """Whether chaos is proven by one of the homoclinic orbits."""
        return any(one is not None and one.horseshoe for one in self.homoclinic)

    @property
    def found(self) -> list[Manifold | Connections]:
        """All manifolds and homoclinic orbits, for `plr.plot.manifold(*survey.found)`."""
        parts = (*self.stable, *self.unstable, *self.homoclinic)
        return [one for one in parts if one is not None and len(one)]

    def save(self, folder: Any) -> None:
        """Write each part to `saddle_N_stable.npz`, `_unstable.npz` and `_homoclinic.npz`."""
        path = pathlib.Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.saddles.save(path / "saddles.npz")
        for name in ("stable", "unstable", "homoclinic"):
            for row, part in enumerate(getattr(self, name)):
                if part is not None:
                    part.save(path / f"saddle_{row}_{name}.npz")

    def _table(self) -> Table:
        rows = []
        for row in range(len(self.why)):
            period = int(self.saddles.period[row])
            orbits = self.homoclinic[row]
            told = "-"
            if orbits is not None:
                told = (
                    f"{len(orbits)} ({int(orbits.proven.sum())} proven)" if len(orbits) else "none"
                )
            rows.append((
                str(row), "fixed point" if period == 1 else f"{period}-cycle",
                ", ".join(f"{x:.4g}" for x in self.saddles.orbit(row)[0][:3]),
                _told(self.stable[row]), _told(self.unstable[row]), told,
            ))  # fmt: skip
        low, high = (", ".join(f"{x:.4g}" for x in end[:4]) for end in self.box)
        title = f"{plural(len(rows), 'saddle')}; stable manifolds in the box from {low} to {high}"
        head = ("", "saddle", "first point", "stable manifold", "unstable manifold", "homoclinic")
        below = [CHAOS] if self.horseshoe else []
        below += [f"saddle {row}: {text}" for row, text in enumerate(self.why) if text]
        return Table([title], head, rows, [*below, *self.result.lines(), *self.notes])


def _told(one: Manifold | None) -> str:
    if one is None:
        return "-"
    if one.dimension == 1:
        return f"curve, {len(one)} pieces, {one.measure:.4g}"
    return f"surface, {len(one)} polygons, {one.measure:.4g}"


@on_host()
def survey(
    model: AbstractPLRNN,
    cycles: CycleSet,
    *,
    low: Any = None,
    high: Any = None,
    length: float | int = 20.0,
    max_saddles: int = 8,
    max_pieces: int = 2_000,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> Survey:
    """Find the manifolds and the homoclinic orbits of a network's saddles, and prove the latter.

    ```python
    cycles = plr.find_cycles(model, range(1, 4), key=key)
    found = plr.manifolds.survey(model, cycles)
    print(found)
    plr.plot.manifold(*found.found)
    ```

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `cycles`: what `find_cycles` found; its saddles are looked at, those of short period first.
    - `low`, `high`: corners of the box for stable manifolds and for surfaces; by default three
        times as wide as the cycles are apart.
    - `length`: arc length of the branches of unstable curves.
    - `max_saddles`, `max_pieces`, `max_seconds`: limits, of pieces for each manifold.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `Survey`. Ctrl-C returns what was found by then.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    check_kind("cycles", cycles, CycleSet, "a CycleSet, as find_cycles returns")
    max_saddles = checked_whole("max_saddles", max_saddles, 1)
    length = checked_positive("length", length)
    max_pieces = checked_whole("max_pieces", max_pieces, 1)
    rows = np.flatnonzero((cycles.stability == STABILITY.saddle) & cycles.is_regular)
    notes = []
    if len(rows) > max_saddles:
        notes.append(f"{len(rows) - max_saddles} more saddles: max_saddles={max_saddles}")
    saddles = cycles[rows[:max_saddles]]
    box = _box(cycles, low, high)
    limits = {"max_pieces": max_pieces, "progress": NoProgress()}
    parts: list[tuple] = []
    with job(progress, "manifolds", deadline_of(max_seconds)) as task:
        for row in range(len(saddles)):
            task.check()
            task.update(row / len(saddles), f"saddle {row + 1} of {len(saddles)}")
            one, why = saddles[[row]], []
            share = None if max_seconds is None else float(max_seconds) / (3 * len(saddles))
            limits["max_seconds"] = share
            ways = {
                "stable": lambda: stable_manifold(map, one, low=box[0], high=box[1], **limits),
                "unstable": lambda: unstable_manifold(
                    map, one, length=length, low=box[0], high=box[1], **limits
                ),
                "homoclinic": lambda: connections(
                    map, one, certify=True, max_seconds=share, progress=NoProgress()
                ),
            }
            made = [_tried(name, way, why) for name, way in ways.items()]
            parts.append((*made, "; ".join(dict.fromkeys(why))))
    stable, unstable, homoclinic, why = zip(*parts) if parts else ((), (), (), ())
    return Survey(
        saddles[: len(parts)], stable, unstable, homoclinic, why, box, task.result, tuple(notes)
    )


def _tried(name: str, way, why: list[str]):
    """Return a part, or None where a saddle has none, and note why."""
    try:
        found = way()
    except ValueError as error:
        why.append(str(error).partition(": ")[2])
        return None
    why += [f"{name}: {note}" for note in found.notes if not note.startswith("max_orbits")]
    return found


def _box(cycles: CycleSet, low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners given, or those of a box around all cycles."""
    from ._cells import box_of

    points = np.concatenate(
        [cycles.orbit(row) for row in range(len(cycles))] or [np.zeros((1, cycles.state_size))]
    )
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    half = 0.5 * _WIDER * max(1.0, float(np.ptp(points, axis=0).max()))
    return box_of(
        middle - half if low is None else low, middle + half if high is None else high, len(middle)
    )
