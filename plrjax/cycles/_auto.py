"""The default solver: enumeration, walks and paths, chosen and combined by size."""

import dataclasses
from typing import Any

import numpy as np

from .._numerics import is_whole
from .._piecewise_affine import PiecewiseAffineMap
from .._results import COVERAGE
from ._base import FRUITLESS_ROUNDS, AbstractCycleSolver, CycleProblem, Outcome, nodes_for
from ._catalog import Catalog, merge
from ._enumerate import reduced_system
from ._exhaustive import Exhaustive
from ._path_engines import prepare_loop
from ._paths import MAX_UNKNOWNS, PathFollowing, work_per_path
from ._scyfi import SCYFI
from ._starts import plan_of
from ._verify import VERDICT
from ._words import unpack
from .complete._branch_and_bound import BranchAndBound, word_bytes

ENUMERATED_BITS = 22
"""Words of at most so many bits (period times units) are enumerated by default."""

PLAIN_BITS = 14
"""The same where every word costs a system of its own."""

FEW_PATHS = 32
"""Where the work allows fewer paths, they start from cycles that walks found, and nowhere else."""

NODES_TO_TRY = 100_000
"""A complete search is tried with so many nodes (for up to six states; fewer for more)."""

WORTH_TRYING = 25_000
"""With less than this it is not tried."""

WORK = {True: 2e9, False: 1e9}
"""Floating-point operations of the first paths, for fixed points and for longer cycles."""


_MOST_BYTES = 1 << 30
"""Of a complete search that is tried first; words this long are left to walks."""


@dataclasses.dataclass
class _State:
    """The stages that are over, as outcomes, and the one that runs."""

    solver: AbstractCycleSolver
    state: Any
    problem: CycleProblem
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Auto(AbstractCycleSolver):
    """Enumeration of short words; for longer ones walks, then paths.

    Words of at most 22 bits (14 where no region makes I - A^k regular) are enumerated. Otherwise
    `SCYFI` walks come first: they meet the easy cycles soonest. Then `PathFollowing`, which finds
    what walks cannot, goes on while it brings anything new. Where paths are so long that few can be
    followed, walks go on until they settle, and paths start from the cycles found only.

    Longer periods first go to `BranchAndBound` together, with a limit of about 1e5 nodes:
    small networks come out complete. Only what it cannot settle in all of R^M is left to walks and
    paths.

    **Arguments:**

    - `effort`: multiplies the number of paths and, where paths are few, of walks.
    - `max_bits`: enumerate words of at most so many bits.
    - `complete`: try `BranchAndBound`.
    """

    effort: float | int = 1.0
    max_bits: int = ENUMERATED_BITS
    complete: bool = True

    def __post_init__(self):
        if not isinstance(self.effort, int | float | np.number) or not 0 < self.effort < 1e9:
            raise ValueError(f"effort: expected a positive number, got {self.effort!r}")
        if not is_whole(self.max_bits) or not 0 <= self.max_bits <= 40:
            raise ValueError(f"max_bits: expected an integer from 0 to 40, got {self.max_bits!r}")

    def needs_sample(self, map, period):
        return not self._enumerates(map, period)

    def plan(self, problem):
        jobs: list[tuple[AbstractCycleSolver, tuple[int, ...]]] = super().plan(problem)
        nodes = _nodes_to_try(problem.map)
        long = tuple(
            k
            for k in problem.periods
            if not self._enumerates(problem.map, k) and word_bytes(problem.map, k) < _MOST_BYTES
        )
        if self.complete and long and nodes:
            search = BranchAndBound(method="words", max_nodes=nodes)
            return [(search, long), *jobs]
        return jobs

    def _enumerates(self, map: PiecewiseAffineMap, period: int) -> bool:
        """Return whether every itinerary is tried: few of them, at little cost each."""
        bits = period * map.num_units
        if bits > self.max_bits:
            return False
        return bits <= PLAIN_BITS or reduced_system(map, period) is not None

    def _num_paths(self, problem: CycleProblem) -> int:
        """Return how many paths to follow first (0: only from known cycles)."""
        if plan_of(problem.map, problem.period).num_unknowns > MAX_UNKNOWNS:
            return 0
        work = work_per_path(problem.map, problem.period)
        count = self.effort * WORK[problem.period == 1] / work
        return int(min(count, 4096)) if count >= FEW_PATHS else 0

    def found(self, state):
        return state.solver.found(state.state)

    def init(self, problem):
        if self._enumerates(problem.map, problem.period):
            solver: AbstractCycleSolver = Exhaustive(max_bits=self.max_bits)
            return _State(solver, solver.init(problem), problem)
        prepare_loop()
        total = problem.num_searches
        walks = total if total is None or not self._num_paths(problem) else (total + 1) // 2
        task = dataclasses.replace(problem, num_searches=walks)
        solver = SCYFI(max_searches=self._max_walks(problem))
        return _State(solver, solver.init(task), task)

    def _max_walks(self, problem: CycleProblem) -> int | None:
        """Return the walks to make before paths take over; no limit where paths are few."""
        return 1024 if self._num_paths(problem) else None

    def step(self, problem, state):
        inner = state.solver.step(state.problem, state.state)
        state = dataclasses.replace(state, state=inner)
        if not state.solver.terminate(state.problem, inner):
            return state
        return self._next_stage(problem, state)

    def _next_stage(self, problem: CycleProblem, state: _State) -> _State:
        """Close the stage that is over; after walks, go on with paths."""
        if state.names or isinstance(state.solver, Exhaustive):
            return state
        outcome = state.solver.outcome(state.problem, state.state)
        known = _known(problem, outcome.catalog)
        least, total = self._num_paths(problem), problem.num_searches
        hops = 0.5
        if not least:
            work = work_per_path(problem.map, problem.period)
            least = min(2 * len(known), int(self.effort * WORK[False] / work))
            hops = 1.0
        if total is not None:
            least = total - (total + 1) // 2 if hops < 1 else 0
        if not least or plan_of(problem.map, problem.period).num_unknowns > MAX_UNKNOWNS:
            return state
        settled = outcome.coverage is COVERAGE.saturated
        most = least if hops == 1 else FRUITLESS_ROUNDS * least if settled else None
        solver = PathFollowing(min_searches=least, max_searches=most, hops=hops)
        task = dataclasses.replace(problem, known=known, num_searches=total and least)
        names = [type(state.solver).__name__]
        return _State(solver, solver.init(task), task, [outcome], names)

    def terminate(self, problem, state):
        return state.solver.terminate(state.problem, state.state)

    def progress(self, problem, state):
        share = state.solver.progress(state.problem, state.state)
        if isinstance(state.solver, Exhaustive):
            return share
        return 0.5 * (len(state.outcomes) + share)

    def outcome(self, problem, state):
        last = state.solver.outcome(state.problem, state.state)
        outcomes = [*state.outcomes, last]
        names = [*state.names, type(state.solver).__name__]
        stats: dict[str, Any] = {}
        for outcome in outcomes:
            stats = _added(stats, outcome.stats)
        stats["solver"] = " + ".join(names)
        if len(outcomes) == 1:
            return dataclasses.replace(last, stats=stats)
        first = outcomes[0]
        news = _words(problem, last.catalog) - _words(problem, first.catalog)
        settled = not news and self.terminate(problem, state)
        coverage = first.coverage if settled else COVERAGE.partial
        unseen = first.unseen if state.solver.hops == 1 else last.unseen
        if state.solver.hops < 1:
            coverage = max(coverage, last.coverage)
        together = _together(problem, outcomes)
        return Outcome(together, coverage, unseen, stats, notes=last.notes)


def _nodes_to_try(map: PiecewiseAffineMap) -> int:
    """Return the nodes of a complete search that is worth trying, 0 for large maps."""
    nodes = nodes_for(map, NODES_TO_TRY)
    return nodes if nodes >= WORTH_TRYING else 0


def _known(problem: CycleProblem, catalog: Catalog) -> tuple[np.ndarray, ...]:
    """Return the itineraries of cycles that paths can start from."""
    good = (VERDICT.cycle, VERDICT.border, VERDICT.on_border)
    return tuple(
        unpack(entry.word, problem.map.num_units)
        for entry in catalog.entries
        if entry.verdict in good
    )


def _words(problem: CycleProblem, catalog: Catalog) -> set[bytes]:
    """Return the words of the period's cycles."""
    return {e.word.tobytes() for e in catalog.entries if e.period == problem.period}


def _added(stats: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of two stages added up; what only one of them knows is kept."""
    both = {
        name: stats[name] + more[name]
        for name in stats.keys() & more.keys()
        if isinstance(more[name], int) and name not in ("lanes", "segments")
    }
    return {**stats, **more, **both}


def _together(problem: CycleProblem, outcomes: list[Outcome]) -> Catalog:
    """Return one catalog of all stages."""
    catalogs = [outcome.catalog for outcome in outcomes]
    return Catalog(
        problem.map,
        merge(catalogs),
        num_virtual=sum(c.num_virtual for c in catalogs),
        num_singular=sum(c.num_singular for c in catalogs),
        num_unexamined=sum(c.num_unexamined for c in catalogs),
    )
