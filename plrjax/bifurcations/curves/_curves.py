"""Exact curves in a plane of parameters: where cycles collide, run to infinity, or turn stability.

In the plane the cycle of a word exists on regions bounded by curves on which one of its
pre-activations, or det(I - P), is zero; stability changes on curves on which det(I + P), or the
product over pairs of multipliers, is. Each is traced by prediction along its tangent and Newton
correction across it, from exact points on lines of the plane: between neighbors on a grid that
differ, until all are separated.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..._arguments import check_kind, checked_periods, checked_whole
from ..._host import on_host
from ..._job import deadline_of, job
from ..._parallel import one_thread_per_solve
from ..._progress import AbstractProgress
from ..._results import BIFURCATION, RESULTS
from ...cycles import CycleSet
from ...grid._count import fits_grid
from .._continuation import END, Start, march
from .._zeros import Function
from ._newton import Tracing, trace
from ._parameter_curves import ParameterCurve, ParameterCurves
from ._plane import ParameterPlane, PlaneLine
from ._polylines import crossed
from ._portraits import ABSENT, EXPLAINS, UNDECIDED, PlaneGrid, differing

_SHOWN = 3
"""Pairs that a note names."""


class Seed(NamedTuple):
    """A cycle known at one place of the unit square."""

    word: Bool[np.ndarray, "time unit"]
    place: Float[np.ndarray, " 2"]


@on_host()
def bifurcation_curves(
    plane: Any,
    periods: int | Iterable[int] | None = None,
    *,
    cycles: Sequence[tuple[CycleSet, Sequence[float]]] = (),
    resolution: int = 64,
    step: float = 0.01,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> ParameterCurves:
    """Trace border-collision and stability curves of all cycles that a grid of the plane meets.

    Short words are enumerated on a grid. Between neighbors where one is a cycle at one of them
    only, or its number of multipliers inside the unit circle differs, the exact event is looked
    for, and the curve through it traced, until a curve of the word separates all such neighbors, or
    a note says where none does. What lies between grid points is met only where these curves lead
    to it. Cycles of any period may be given, too: from each, lines run up, down, left and right to
    events.

    **Arguments:**

    - `plane`: a `ParameterPlane`, or a pair (network, two `Axis`).
    - `periods`: to enumerate, of few enough bits for that (period times units up to 18); or None.
    - `cycles`: cycles to start from, as pairs (`CycleSet`, (p, q) of its network).
    - `resolution`: points of the grid along each axis.
    - `step`: longest distance of points on a curve, as a share of the rectangle.
    - `max_seconds`: time limit; what is traced by then is kept.
    - `progress`.

    **Returns:** `ParameterCurves`. Ctrl-C returns those traced until then, and says so.

    **Raises:** `ValueError` naming the argument.

    **Example:**

    ```python
    def tent(left, right):
        return plr.PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [1.0], [0.0])

    plane = plr.ParameterPlane(tent, (0.1, -3.0), (0.9, -0.1))
    curves = plr.bifurcation_curves(plane, range(1, 4))
    print(curves.notes)
    ```
    """
    if not isinstance(plane, ParameterPlane):
        model, axes = plane
        plane = ParameterPlane.from_axes(model, axes)
    wanted = [] if periods is None else checked_periods(periods)
    given = _given_seeds(plane, cycles)
    if not (wanted or given):
        raise ValueError("periods: expected periods to enumerate, or cycles to start from")
    deadline = deadline_of(max_seconds)
    checked_whole("resolution", resolution, 2, 2000)
    for period in wanted:
        if not fits_grid(plane.shape[0], plane.shape[1], period):
            raise ValueError(
                f"periods: expected words that can be enumerated, got period {period} of "
                f"{plane.shape[1]} units"
            )
    survey = _Survey(Tracing(plane, step))
    with one_thread_per_solve(), job(progress, "curves", deadline) as work:
        for share in survey.run(given, wanted, resolution):
            work.update(share, f"{len(survey.curves)} curves")
            if share < 1.0:
                work.check()
    return survey.found(wanted, resolution, work.result)


def _given_seeds(plane: ParameterPlane, cycles: Sequence[tuple[CycleSet, Sequence[float]]]):
    """Return the verified cycles that the user gave, with their places in the unit square."""
    seeds = []
    for found, pair in cycles:
        check_kind("cycles", found, CycleSet, "pairs of a CycleSet and its (p, q)")
        place = (np.asarray(pair, np.float64) - plane.low) / (plane.high - plane.low)
        if place.shape != (2,) or not ((place >= 0) & (place <= 1)).all():
            raise ValueError(f"cycles: expected (p, q) inside the plane, got {pair}")
        seeds += [
            Seed(found.regions(row), place) for row in np.flatnonzero(found.is_regular).tolist()
        ]
    return seeds


class _Survey:
    """Curves traced until now, and which pairs of neighbors on the grid they separate."""

    def __init__(self, tracing: Tracing):
        self.tracing = tracing
        self.curves: list[ParameterCurve] = []
        self.differ = self.missed = np.zeros((2, 0, 0), bool)
        self.undecided = np.zeros((0, 0), bool)
        self.lines = np.zeros(0)

    def run(
        self, given: Sequence[Seed], periods: Sequence[int], resolution: int
    ) -> Iterator[float]:
        """Trace the curves around given seeds, then of every word on the grid; yield the share."""
        for seed in given:
            own = Tracing(self.tracing.plane, self.tracing.step)
            self._follow(own, _starts(self.tracing.plane, seed))
            yield 0.0
        if not periods:
            return
        grid = PlaneGrid(self.tracing.plane, resolution)
        words, undecided = grid.words(periods)
        self.lines, self.undecided = grid.lines, undecided
        self.differ = np.zeros((2, resolution, resolution), bool)
        self.missed = self.differ.copy()
        for number, (word, states) in enumerate(grid.states(words), start=1):
            self._separate(word, states)
            yield number / len(words)

    def _separate(self, word: np.ndarray, states: np.ndarray) -> None:
        """Trace curves of a word from all pairs of neighbors that no curve of it separates yet."""
        own = Tracing(self.tracing.plane, self.tracing.step)
        differ = differing(states)
        missed = differ.copy()
        for what, axis, i, j in np.argwhere(differ).tolist():
            if not missed[what, axis, i, j]:
                continue
            before = len(own.known)
            self._follow(own, self._between(word, states, axis, (i, j)))
            for function, places in own.known[before:]:
                missed[EXPLAINS[function.kind]] &= ~crossed(places, self.lines)
        self.differ |= differ.any(axis=0)
        self.missed |= missed.any(axis=0)
        self.undecided |= states == UNDECIDED

    def _between(self, word: np.ndarray, states: np.ndarray, axis: int, first: tuple[int, int]):
        """Return exact places on curves between a grid point with the cycle and its next."""
        second = (first[0] + (axis == 0), first[1] + (axis == 1))
        if states[first] == ABSENT:
            first, second = second, first
        start, stop = (self.lines[list(point)].tolist() for point in (first, second))
        line = self.tracing.plane.line(start, stop)
        return _events_on(line, [Start(word, 0.0, 1)])

    def _follow(self, own: Tracing, queue: list[tuple[Function, np.ndarray]]) -> None:
        """Trace curves from places on them, and those that follow at their corners."""
        while queue:
            function, place = queue.pop()
            curve = None if own.is_known(function, place) else trace(own, function, place)
            if curve is None:
                continue
            queue += curve.corners
            if not self.tracing.has_curve(function, curve.places):  # that of a partner's word
                self.tracing.known.append((function, curve.places))
                self.curves.append(self._curve(function, curve.places))

    def _curve(self, function: Function, places: np.ndarray) -> ParameterCurve:
        unit = function.unit if function.kind is BIFURCATION.border_collision else (-1, -1)
        points = self.tracing.plane.values(places)
        return ParameterCurve(function.kind, len(function.word), function.word, unit, points)

    def found(self, periods: Sequence[int], resolution: int, result: RESULTS) -> ParameterCurves:
        """Return the curves with what was checked."""
        differ, missed = int(self.differ.sum()), int(self.missed.sum())
        undecided = int(self.undecided.sum())
        return ParameterCurves(
            tuple(self.curves), tuple(periods), resolution, differ, differ - missed, undecided,
            result, tuple(self._notes(periods, resolution, result)),
        )  # fmt: skip

    def _notes(self, periods: Sequence[int], resolution: int, result: RESULTS) -> Iterator[str]:
        grid = f"{resolution} x {resolution} grid"
        if not periods:
            yield "no period was enumerated: nothing is known of cycles that were not given"
            return
        if result is RESULTS.interrupted:
            yield f"interrupted: not all words were compared on the {grid}"
        differ, missed = int(self.differ.sum()), int(self.missed.sum())
        yield (
            f"checked on a {grid}: of {differ} pairs of neighbors at which cycles of periods "
            f"{', '.join(map(str, periods))} differ, {differ - missed} have a curve between them; "
            "what is narrower than the grid's distance may be missing"
        )
        if missed:
            yield f"no curve was found between {missed} pairs, next to (p, q) = {self._some()}"
        if self.undecided.any():
            yield (
                f"{int(self.undecided.sum())} of the grid points lie on a curve or are marginal "
                "within rounding: there some word was not compared"
            )

    def _some(self) -> str:
        pairs = np.argwhere(self.missed)[:_SHOWN, 1:]
        points = self.tracing.plane.values(self.lines[pairs])
        return ", ".join(f"({p:.6g}, {q:.6g})" for p, q in points)


def _starts(plane: ParameterPlane, seed: Seed) -> list[tuple[Function, np.ndarray]]:
    """Return exact places on curves, met on the four lines from a seed to the rectangle's edges."""
    x, y = seed.place
    found = []
    for start, stop, share in (
        ((0.0, y), (1.0, y), x),
        ((x, 0.0), (x, 1.0), y),
    ):
        both = [Start(seed.word, share, -1), Start(seed.word, share, 1)]
        found += _events_on(plane.line(start, stop), both)
    return found


def _events_on(line: PlaneLine, starts: Sequence[Start]) -> list[tuple[Function, np.ndarray]]:
    """Return exact places on curves that cycles meet on a line."""
    found = []
    for start, stretch in zip(starts, march(line, starts)):
        events = [(s, kind, (-1, -1)) for s, kind in stretch.turns]
        if stretch.end is END.border_collision:
            events.append((stretch.s, BIFURCATION.border_collision, stretch.unit))
        elif stretch.end is END.degenerate_transcritical:
            events.append((stretch.s, BIFURCATION.degenerate_transcritical, (-1, -1)))
        for s, kind, unit in events:
            found.append((Function(start.word, kind, unit), line.places(np.array([s]))[0]))
    return found
