"""Which attractor each of many initial states belongs to."""

from typing import Any

import numpy as np
from jaxtyping import Float, PRNGKeyArray

from .._arguments import check_kind, checked_key, checked_positive, checked_whole
from .._constant_input import with_input
from .._host import on_host
from .._job import deadline_of, job
from .._numerics import as_float64, float64_scope
from .._parallel import one_thread_per_solve
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower, with_a_unit
from .._progress import AbstractProgress
from .._results import ATTRACTOR, RESULTS
from ..cycles import CycleSet
from ..cycles._seeding import generator_of
from ._attractor_set import AttractorSet
from ._capture import Trap
from ._kinds import NUM_BLOCKS
from ._settling import Survey

_FAR = 1e8
"""An orbit so many times as far out as its start, or as the map's offsets, has diverged."""
_DRAWN = 512
"""Points of an attractor without a cycle that are kept."""


@on_host()
def find_attractors(
    model: AbstractPLRNN,
    states: Any,
    *,
    key: PRNGKeyArray,
    num_transient: int = 2_000,
    num_steps: int = 4_096,
    max_period: int = 128,
    cycles: CycleSet | None = None,
    inputs: Any = None,
    bound: float | int | None = None,
    batch_size: int = 1_024,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> AttractorSet:
    """Find the attractor of each initial state of a ReLU network, and what kind it is.

    An orbit whose itinerary has become periodic is on a cycle where the cycle of that word exists,
    is stable and verified, and where the orbit is inside an ellipsoid, invariant under F^k, that
    meets no switching boundary: then it can never leave. Other orbits are measured for `num_steps`
    steps: they share an attractor where exponent, occupancy and extremes agree, and it is chaotic
    or quasi-periodic by the largest Lyapunov exponent and its standard error. Orbits that still
    move, or that may be on another attractor or on none of these, are measured again, up to three
    times and each time over twice as many steps; what is open then is undecided. Long chaotic
    transients look like attractors: shares that change with `num_transient` show them. Float64
    whatever the global JAX setting.

    **Main arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `states`: initial states, one row each.
    - `key`: `jax.random.key(seed)`, for the tangent vectors.
    - `num_transient`: steps before the first look.
    - `num_steps`: steps measured where no cycle was met, at least 64 (rounded to a multiple).

    **Other arguments:**

    - `max_period`: longest cycle recognized; an itinerary must repeat over twice as many steps.
    - `cycles`: cycles known already; stable ones are listed even where they capture no state.
    - `inputs`: a constant input s of the network.
    - `bound`: an orbit with a larger entry has diverged; by default 1e8 times the largest entry of
        the initial states and the map's offsets.
    - `batch_size`: initial states that run side by side, rounded up to a power of two where fewer.
    - `max_seconds`: time limit; what is known by then is kept.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** an `AttractorSet`. Ctrl-C returns what is known by then, with
    `result == RESULTS.interrupted`.

    **Raises:** `ValueError` naming the argument.
    """
    map = with_a_unit(lower(with_input(model, inputs)))
    starts = _checked_states(states, map.state_size)
    num_transient = checked_whole("num_transient", num_transient, 0)
    num_steps = checked_whole("num_steps", num_steps, NUM_BLOCKS) // NUM_BLOCKS * NUM_BLOCKS
    check_kind("cycles", cycles, CycleSet, "a CycleSet")
    if cycles is not None and (cycles.state_size, cycles.num_units) != _sizes(map):
        raise ValueError(
            f"cycles: expected cycles of a map with {map.state_size} states and {map.num_units} "
            f"units, got {cycles.state_size} and {cycles.num_units}"
        )
    deadline = deadline_of(max_seconds)
    tangents = generator_of(checked_key(key)).standard_normal(starts.shape)
    with float64_scope(), one_thread_per_solve():
        survey = Survey(
            map,
            starts,
            tangents / np.linalg.norm(tangents, axis=1, keepdims=True),
            max_period=checked_whole("max_period", max_period, 1),
            bound=_bound(map, starts) if bound is None else checked_positive("bound", bound),
            batch_size=checked_whole("batch_size", batch_size, 1),
            known=cycles,
        )
        result = _run(survey, num_transient, num_steps, progress, deadline)
        rows, label = _collect(survey)
    return _table(map, rows, starts, label, num_transient, num_steps, result)


def _sizes(map: PiecewiseAffineMap) -> tuple[int, int]:
    return map.state_size, map.num_units


def _checked_states(states: Any, size: int) -> Float[np.ndarray, "lane state"]:
    array = as_float64("states", states)
    if array.ndim != 2 or array.shape[1] != size or not len(array):
        raise ValueError(
            f"states: expected initial states, one row of {size} each, got shape {array.shape}"
        )
    return array


def _bound(map: PiecewiseAffineMap, starts: np.ndarray) -> float:
    scale = max(np.abs(values).max(initial=0.0) for values in (starts, map.h1, map.h2))
    return _FAR * float(scale or 1.0)


def _run(
    survey: Survey,
    num_transient: int,
    num_steps: int,
    progress: AbstractProgress | None,
    deadline: float | None,
) -> RESULTS:
    with job(progress, "attractors", deadline) as survey.job:
        survey.settle(num_transient)
    if survey.job.result is RESULTS.successful:
        with job(progress, "exponents", deadline) as survey.job:
            survey.measure_open(num_steps)
    return survey.job.result


class _Row:
    """One attractor on its way into the table, and the lanes on it."""

    def __init__(self, kind, lanes, lyapunov=np.nan, error=np.nan, points=None, trap=None):
        self.kind, self.lanes, self.trap = kind, lanes, trap
        self.lyapunov, self.error = float(lyapunov), float(error)
        self.points: np.ndarray | None = points

    @property
    def order(self):
        """Attractors first, the most frequent first; a word decides between equals."""
        last = (ATTRACTOR.undecided, ATTRACTOR.diverged)
        place = 1 + last.index(self.kind) if self.kind in last else 0
        word = b"" if self.trap is None else self.trap.word.tobytes()
        return place, -len(self.lanes), np.isnan(self.lyapunov), self.kind, len(word), word


def _collect(survey: Survey) -> tuple[list[_Row], np.ndarray]:
    """Return the rows of the table in order, and the row of every initial state."""
    rows = [
        _cycle_row(trap, np.flatnonzero(survey.trap == number))
        for number, trap in enumerate(survey.traps.traps)
    ]
    lanes, group = survey.labels()
    for number in range(group.max(initial=-1) + 1):
        here = lanes[group == number]
        found = survey.regime_of(here)
        points = _stretch(survey.map, survey.now[here[0]])
        rows.append(_Row(found.kind, here, found.lyapunov, found.error, points))
    moving = survey.open & survey.measured & survey.unsettled
    rows.append(_Row(ATTRACTOR.undecided, np.flatnonzero(moving)))
    rows.append(_Row(ATTRACTOR.diverged, np.flatnonzero(survey.lost)))
    rows = sorted((r for r in rows if len(r.lanes) or r.trap), key=lambda row: row.order)
    label = np.full(len(survey.now), -1, np.int64)
    for number, row in enumerate(rows):
        label[row.lanes] = number
    return rows, label


def _cycle_row(trap: Trap, lanes: np.ndarray) -> _Row:
    return _Row(ATTRACTOR.cycle, lanes, trap.lyapunov, 0.0, trap.points, trap)


def _stretch(map: PiecewiseAffineMap, state: np.ndarray) -> Float[np.ndarray, "time state"]:
    """Return a stretch of the orbit from a state on an attractor."""
    points = np.empty((_DRAWN, map.state_size))
    for time in range(_DRAWN):
        points[time] = state = map.apply(state)
    return points


def _table(map, rows: list[_Row], starts, label, num_transient, num_steps, result) -> AttractorSet:
    size, width = map.state_size, (map.num_units + 7) // 8
    longest = max((row.trap.period for row in rows if row.trap), default=0)
    length = max((len(row.points) for row in rows if row.points is not None), default=0)
    itinerary = np.zeros((len(rows), longest, width), np.uint8)
    points = np.full((len(rows), length, size), np.nan)
    for number, row in enumerate(rows):
        if row.points is not None:
            points[number, : len(row.points)] = row.points
        if row.trap is not None:
            itinerary[number, : row.trap.period] = row.trap.word
    return AttractorSet(
        kind=np.array([row.kind for row in rows], np.int8),
        count=np.array([len(row.lanes) for row in rows], np.int64),
        lyapunov=np.array([row.lyapunov for row in rows], float),
        standard_error=np.array([row.error for row in rows], float),
        period=np.array([row.trap.period if row.trap else 0 for row in rows], np.int64),
        itinerary=itinerary,
        points=points,
        states=starts,
        label=label,
        num_units=map.num_units,
        num_transient=num_transient,
        num_steps=num_steps,
        result=result,
        notes=_notes(rows, label),
    )


def _notes(rows: list[_Row], label: np.ndarray) -> tuple[str, ...]:
    notes = []
    undecided = sum(len(row.lanes) for row in rows if row.kind is ATTRACTOR.undecided)
    if undecided:
        notes.append(f"{undecided} undecided: {ATTRACTOR.undecided.message}")
    late = int((label < 0).sum())
    if late:
        notes.append(f"{late} initial states were not settled when interrupted, and do not count")
    return tuple(notes)
