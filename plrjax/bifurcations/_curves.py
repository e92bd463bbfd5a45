"""Exact curves in a plane of parameters: where cycles collide, run to infinity, or turn stability.

In the plane the cycle of a word exists on regions bounded by curves on which one of its
pre-activations, or det(I - P), is zero; stability changes on curves on which det(I + P), or the
product over pairs of multipliers, is. Each is traced by prediction along its tangent and Newton
correction across it, from exact points on lines of the plane.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float

from .._arguments import check_kind, checked_whole
from .._parallel import AbstractProgress, ProgressBar, one_thread_per_solve
from .._results import BIFURCATION
from ..cycles import CycleSet
from ..cycles._arguments import checked_periods
from ..cycles._grid import MapBatch, admissible_maps, count_cycles, fits_grid
from ._march import END, Start, march
from ._plane import ParameterPlane
from ._trace import Function, Tracing, trace


@dataclasses.dataclass(frozen=True, eq=False)
class ParameterCurve:
    """One curve in a plane of parameters.

    **Fields:** `kind`: `BIFURCATION`; `period` of the cycle; `word`, its itinerary next to the
    curve; `unit`: (t, i) that is zero on a border-collision curve, else (-1, -1); `points`: (p, q)
    along the curve, exact to rounding but for the ends, which are exact to 1e-6 of the rectangle.
    """

    kind: BIFURCATION
    period: int
    word: Bool[np.ndarray, "time unit"]
    unit: tuple[int, int]
    points: Float[np.ndarray, "point 2"]


class Seed(NamedTuple):
    """A cycle known at one place of the unit square."""

    word: Bool[np.ndarray, "time unit"]
    place: Float[np.ndarray, " 2"]


def bifurcation_curves(
    plane: Any,
    periods: int | Iterable[int] | None = None,
    *,
    cycles: Sequence[tuple[CycleSet, Sequence[float]]] = (),
    resolution: int = 64,
    step: float = 0.01,
    progress: AbstractProgress | None = None,
) -> list[ParameterCurve]:
    """Trace border-collision and stability curves of all cycles that a grid of the plane meets.

    From a cycle at a place of the plane lines run up, down, left and right to exact events, and
    from these the curves are traced. Short words are enumerated on a coarse grid, with a start in
    every connected part of each word's region; cycles of any period may be given, too. Regions that
    no start lies in have no curves.

    **Arguments:**

    - `plane`: a `ParameterPlane`, or a pair (network, two `Axis`).
    - `periods`: to enumerate, of few enough bits for that (period times units up to 18); or None.
    - `cycles`: cycles to start from, as pairs (`CycleSet`, (p, q) of its network).
    - `resolution`: points of the coarse grid along each axis.
    - `step`: longest distance of points on a curve, as a share of the rectangle.
    - `progress`.

    **Returns:** curves in the order in which they were met. Ctrl-C returns those traced until then.

    **Raises:** `ValueError` naming the argument.
    """
    if not isinstance(plane, ParameterPlane):
        model, axes = plane
        plane = ParameterPlane.from_axes(model, axes)
    wanted = [] if periods is None else checked_periods(periods)
    given = _given_seeds(plane, cycles)
    if not (wanted or given):
        raise ValueError("periods: expected periods to enumerate, or cycles to start from")
    checked_whole("resolution", resolution, 2, 2000)
    for period in wanted:
        if not fits_grid(plane.shape[0], plane.shape[1], period):
            raise ValueError(
                f"periods: expected words that can be enumerated, got period {period} of "
                f"{plane.shape[1]} units"
            )
    report = ProgressBar() if progress is None else progress
    curves: list[ParameterCurve] = []
    report.open("curves")
    try:
        with one_thread_per_solve():
            seeds = given + (grid_seeds(plane, wanted, resolution) if wanted else [])
            tracing = Tracing(plane, step)
            for number, seed in enumerate(seeds):
                curves += _curves_of(tracing, seed)
                report.update((number + 1) / len(seeds), f"{len(curves)} curves")
    except KeyboardInterrupt:
        return curves
    finally:
        report.close()
    return curves


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


def grid_seeds(plane: ParameterPlane, periods: Sequence[int], resolution: int) -> list[Seed]:
    """Return a place in every connected part, on a coarse grid, of the region of every word."""
    edge = (np.arange(resolution) + 0.5) / resolution
    places = np.stack(np.meshgrid(edge, edge, indexing="ij"), axis=-1).reshape(-1, 2)
    batch = MapBatch(*plane.arrays(places))
    seeds = []
    for counts in count_cycles(batch, periods).values():
        for word in counts.words:
            mask = admissible_maps(batch, word)[0].reshape(resolution, resolution)
            labeled: Any = scipy.ndimage.label(mask, np.ones((3, 3)))
            parts, number = labeled
            depths: Any = scipy.ndimage.distance_transform_cdt(np.pad(mask, 1))
            depth = depths[1:-1, 1:-1]
            for part in range(1, number + 1):
                inside = np.where(parts == part, depth, -1)
                where = int(np.argmax(inside))
                seeds.append(Seed(np.asarray(word), places[where]))
    return seeds


def _curves_of(tracing: Tracing, seed: Seed) -> list[ParameterCurve]:
    """Trace everything around one seed: its region's boundary, and turns of stability inside."""
    found = []
    own = Tracing(tracing.plane, tracing.step)
    queue = _starts(tracing.plane, seed)
    while queue:
        function, place = queue.pop()
        if own.is_known(function, place):
            continue
        curve = trace(own, function, place)
        if curve is None:
            continue
        queue += curve.corners
        middle = curve.places[len(curve.places) // 2]
        if tracing.is_known(function, middle):  # the curve of a partner: same points, other word
            continue
        tracing.known.append((function.kind, curve.places))
        word = function.word
        points = tracing.plane.values(curve.places)
        unit = function.unit if function.kind is BIFURCATION.border_collision else (-1, -1)
        found.append(ParameterCurve(function.kind, len(word), word, unit, points))
    return found


def _starts(plane: ParameterPlane, seed: Seed) -> list[tuple[Function, np.ndarray]]:
    """Return exact places on curves, met on the four lines from a seed to the rectangle's edges."""
    x, y = seed.place
    found = []
    for start, stop, share in (
        ((0.0, y), (1.0, y), x),
        ((x, 0.0), (x, 1.0), y),
    ):
        line = plane.line(start, stop)
        for stretch in march(line, [Start(seed.word, share, -1), Start(seed.word, share, 1)]):
            place = lambda s: line.places(np.array([s]))[0]
            for s, kind in stretch.turns:
                found.append((Function(seed.word, kind, (-1, -1)), place(s)))
            if stretch.end is END.border_collision:
                function = Function(seed.word, BIFURCATION.border_collision, stretch.unit)
                found.append((function, place(stretch.s)))
            elif stretch.end is END.degenerate_transcritical:
                kind = BIFURCATION.degenerate_transcritical
                found.append((Function(seed.word, kind, (-1, -1)), place(stretch.s)))
    return found
