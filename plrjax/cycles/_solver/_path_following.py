"""Path following: every solution on a piecewise-linear curve, from many starts and known cycles."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._numerics import is_positive_whole
from ..._piecewise_affine import PiecewiseAffineMap
from ..._results import COVERAGE
from ...words import unpack
from .._base import FRUITLESS_ROUNDS, AbstractCycleSolver, CycleProblem, Outcome
from .._catalog import Entry
from .._cycle_set import CycleSet
from .._seeding import generator_of
from ._findings import Findings
from ._path_engines import AbstractEngine, engine_of, prepare_loop, table_size
from ._path_starts import AbstractForm, Table, form_of, plan_of, point_states
from ._pivots import BROKEN, CAPPED, CLOSED, RAY

MAX_UNKNOWNS = 2048

ENOUGH_ARRIVALS = 64
"""Paths from points that came upon a solution, after which a search without news has settled: what
is missing has hardly more than a share of 1 / 64 of them."""

_FIRST_ROUND = 64


@dataclasses.dataclass
class _State:
    """A search between two chunks; path p of the present round is start p - `findings.finished`."""

    form: AbstractForm
    engine: AbstractEngine
    findings: Findings
    round: int = 0
    used: dict[bytes, int] = dataclasses.field(default_factory=dict)
    pivots: int = 0
    ties: int = 0
    legs: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(5, np.int64))
    over: bool = False
    full: bool = False


@dataclasses.dataclass(frozen=True)
class PathFollowing(AbstractCycleSolver):
    """Piecewise-linear path following (Katzenelson 1965; Eaves, Lemke 1981) over all k-cycles.

    A start is made exact by a perturbation, F(z_t) + s r_t = z_{t+1} at s = 1, and the curve of
    solutions is followed through the linear subregions, both ways, with one rank-one update per
    switching boundary; wherever s = 0 it passes a cycle. Folds of the curve are passed by reversing
    s, so fold partners come for free. Half of the starts are points (Gaussian at several scales;
    for k > 1 orbits and noisy orbits, too), half are cycles known already, least used first, each
    with a random direction. Every itinerary found is solved again in block form and verified.

    **Arguments:**

    - `max_pivots`: boundaries after which one leg of a path is given up.
    - `min_searches`: least number of paths (None: by cost per pivot, 256 to 4096). After them the
      search ends once the last half brought nothing new and 64 paths from points arrived, or, where
      fewer do, after eight times as many.
    - `max_searches`: paths at which the search gives up settling (None: 64 times the least).
    - `max_cycles`: cycles at which the search of a period stops, as `partial`.
    - `hops`: share of the starts that are known cycles, once there are any; 1 for nothing else.
    - `per_known`: at most so many paths for each cycle that earlier solvers of a plan handed on.
    - `known`: cycles found elsewhere, for example by `SCYFI()`, to start from as well.
    - `lanes`: paths side by side on the device (None: what fits its memory best; on a CPU one
      after another in a compiled loop, which is faster). The result does not depend on it, nor on
      `devices`.
    - `devices`: devices to spread the lanes over (None: the default device).
    """

    max_pivots: int = 20_000
    min_searches: int | None = None
    max_searches: int | None = None
    max_cycles: int = 50_000
    hops: float = 0.5
    per_known: int | None = None
    known: CycleSet | None = None
    lanes: int | None = None
    devices: Sequence[Any] | None = None

    def __post_init__(self):
        names = ("max_pivots", "max_cycles", "min_searches", "max_searches", "per_known", "lanes")
        for name in names:
            value = getattr(self, name)
            missing = value is None and not name.startswith("max_p") and name != "max_cycles"
            if not missing and not is_positive_whole(value):
                raise ValueError(f"{name}: expected a positive integer, got {value!r}")
        if not isinstance(self.hops, int | float | np.number) or not 0 <= self.hops <= 1:
            raise ValueError(f"hops: expected a number in [0, 1], got {self.hops!r}")
        if self.known is not None and not isinstance(self.known, CycleSet):
            raise ValueError(f"known: expected a CycleSet, got {type(self.known).__name__}")

    def check(self, map, period):
        unknowns = plan_of(map, period).num_unknowns
        if unknowns > MAX_UNKNOWNS:
            raise ValueError(
                f"periods: path following of period {period} needs tableaus of "
                f"{unknowns} x {unknowns} numbers; the limit is {MAX_UNKNOWNS} "
                "(use plrjax.SCYFI())"
            )
        if self.known is not None and max(self.known.num_units, 1) != map.num_units:
            raise ValueError(
                f"known: expected cycles of a map with {map.num_units} units, "
                f"got {self.known.num_units}"
            )

    def prepare(self):
        prepare_loop()

    def init(self, problem: CycleProblem) -> _State:
        self.check(problem.map, problem.period)
        assert problem.sample is not None
        form = form_of(problem.map, problem.period, problem.sample.scale)
        known = self.known if self.known is not None and self.known.num_units else []
        words = [cycle.regions(0) for cycle in known]
        findings = Findings(problem, form, [*problem.known, *words])
        engine = engine_of(form, self.max_pivots, self.lanes, self.devices)
        return _State(form, engine, findings, over=not self._limits(problem)[1])

    def _limits(self, problem: CycleProblem) -> tuple[int, int]:
        """Return the least and the largest number of paths."""
        if problem.num_searches:
            return problem.num_searches, problem.num_searches
        least = self.min_searches or _least_paths(problem)
        most = self.max_searches or 64 * least
        if self.per_known is not None:
            most = min(most, self.per_known * len(problem.known))
        return min(least, most), most

    def step(self, problem: CycleProblem, state: _State) -> _State:
        if state.engine.over:
            self._begin_round(problem, state)
        state.findings.enter(state.engine.advance())
        if state.engine.over:
            self._end_round(problem, state)
        state.full = len(state.findings.catalog.entries) >= self.max_cycles
        state.over |= state.full
        return state

    def _begin_round(self, problem: CycleProblem, state: _State) -> None:
        """Draw the starts of a round: all points at first, then half of them hops."""
        assert problem.key is not None and problem.sample is not None
        done, last = state.findings.finished, self._limits(problem)[1]
        count = min(max(_FIRST_ROUND, done), table_size(state.form), last - done)
        generator = generator_of(problem.key, problem.period, state.round)
        words = self._least_used(problem, state, int(self.hops * count))
        points = count - len(words)
        tables = []
        if points:
            states = point_states(
                problem.map, problem.sample, problem.period, points, done, generator
            )
            tables.append(state.form.points(states, generator))
        if words:
            tables.append(state.form.hops(np.stack(words), problem.sample.scale, generator))
        table = Table(*(np.concatenate(parts) for parts in zip(*tables)))
        state.findings.begin_round(np.arange(count) < points)
        state.engine.begin(table)

    def _least_used(self, problem: CycleProblem, state: _State, count: int) -> list[np.ndarray]:
        """Return itineraries of known solutions, each as often as the others, up to one."""

        def uses(entry: Entry) -> tuple[int, bytes]:
            name = entry.word.tobytes()
            return state.used.get(name, 0), name

        good = sorted(state.findings.starts(), key=uses)[:count]
        words = []
        for place, entry in enumerate(good):
            name, times = entry.word.tobytes(), len(range(place, count, len(good)))
            state.used[name] = state.used.get(name, 0) + times
            word = unpack(entry.word, problem.map.num_units)
            words.append(np.tile(word, (problem.period // entry.period, 1)))
        return [words[i % len(words)] for i in range(count if words else 0)]

    def _end_round(self, problem: CycleProblem, state: _State) -> None:
        tally = state.engine.tally()
        state.pivots += tally.pivots
        state.ties += tally.ties
        state.legs += tally.legs
        state.findings.end_round()
        state.round += 1
        done, (least, most) = state.findings.finished, self._limits(problem)
        enough = state.findings.crossed >= ENOUGH_ARRIVALS or done >= FRUITLESS_ROUNDS * least
        state.over = done >= most or (done >= least and enough and state.findings.idle)

    def terminate(self, problem, state):
        return state.over

    def progress(self, problem, state):
        findings, least = state.findings, self._limits(problem)[0]
        wanted = max(least, 2 * findings.last_news + 1)
        return 1.0 if state.over else min(findings.finished / wanted, 0.99)

    def outcome(self, problem, state):
        findings, legs = state.findings, state.legs
        settled = state.over and findings.quiet and not state.full and self.hops < 1
        count = findings.catalog.count(problem.period)
        more = "PathFollowing(max_cycles=...) goes on"
        note = f"period {problem.period}: the search stopped at {count} cycles; {more}"
        return Outcome(
            findings.catalog,
            COVERAGE.saturated if settled else COVERAGE.partial,
            findings.unseen() if self.hops < 1 else None,
            _stats(state),
            notes=(note,) if state.full else (),
            searches=findings.finished,
            arrived=findings.crossed,
            stuck=int(legs[BROKEN]) // 2,
        )


def work_per_path(map: PiecewiseAffineMap, period: int) -> float:
    """Return the floating-point operations of one path, roughly.

    Measured: a path makes some 3 pivots per unit for fixed points and 3 to 16 for cycles.
    """
    return plan_of(map, period).cost * period * map.num_units * (3 if period == 1 else 6)


def _least_paths(problem: CycleProblem) -> int:
    """Return how many paths to follow at least: about a second's worth, 256 to 4096."""
    work = work_per_path(problem.map, problem.period)
    return int(2 ** np.clip(np.floor(np.log2(4e9 / work)), 8, 12))


def _stats(state: _State) -> dict[str, Any]:
    findings = state.findings
    return {
        "paths": findings.finished,
        "points": findings.num_points,
        "crossed": findings.crossed,
        "pivots": state.pivots,
        "rays": int(state.legs[RAY]),
        "closed": int(state.legs[CLOSED]),
        "capped": int(state.legs[CAPPED]),
        "broken": int(state.legs[BROKEN]),
        "ties": state.ties,
        "lanes": state.engine.lanes,
        "first_path": findings.first_paths(),
    }
