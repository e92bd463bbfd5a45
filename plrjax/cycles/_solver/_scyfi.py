"""SCYFI: the virtual-cycle walk from many starts, until nothing new appears."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._numerics import is_positive_whole
from ..._piecewise_affine import PiecewiseAffineMap
from ..._results import COVERAGE
from .._base import (
    FEW_SEARCHES,
    FRUITLESS_ROUNDS,
    AbstractCycleSolver,
    CycleProblem,
    Outcome,
    unseen_estimate,
)
from .._catalog import REJECTED, Catalog
from .._seeding import default_seeding, generator_of, seed_table
from ._glued import glued_words
from ._loop_walks import LoopWalks, walks_of
from ._walk import CONVERGED, SINGULAR
from ._walk_engines import AbstractWalks, Ended, NoWalks

_POLISH = 8


@dataclasses.dataclass
class _State:
    """A search between two chunks; `first` and `limit` bound the walks of the present round."""

    walks: AbstractWalks
    catalog: Catalog
    limits: list[int]
    round: int = 0
    numbers: dict[int, int] = dataclasses.field(default_factory=dict)
    steps: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    converged: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, bool))
    num_ended: int = 0
    num_stuck: int = 0
    over: bool = False


@dataclasses.dataclass(frozen=True)
class SCYFI(AbstractCycleSolver):
    """The virtual-cycle walk of Eisenmann, Monfared, Göring, Durstewitz (2023), batched and exact.

    From a start itinerary the walk solves for its (virtual) cycle, takes the itinerary of the true
    orbit through it, and goes on until the itinerary is its own. Many walks run side by side; one
    that falls into a loop, meets a singular system or exceeds `max_steps` is restarted. Every
    itinerary found is solved again in block form and verified. Walks come in rounds, each as many
    as all before; the search ends when a round brings nothing new.

    **Arguments:**

    - `max_steps`: Newton steps after which a walk is given up.
    - `min_searches`: walks of the first round (None: by cost per step, 512 or 1024).
    - `max_searches`: walks at which the search gives up settling (None: 64 first rounds).
    - `lanes`: walks side by side (None: what fits the device's memory best; on a CPU one walk on
      each core, where that is faster).
    - `devices`: devices to spread the lanes over (None: the default device). What walks find does
      not depend on `lanes` or `devices`; which of the singular words they meet are examined for
      marginal families does (one at a time is).
    - `glued`: start from words of two known cycles of any periods glued together, and read signs
      along the virtual cycle instead of the orbit through it, which leaves it soon where the map
      expands: for chaos, whose short cycles are known. One walk at a time, whatever `lanes`.
    """

    max_steps: int = 24
    min_searches: int | None = None
    max_searches: int | None = None
    lanes: int | None = None
    devices: Sequence[Any] | None = None
    glued: bool = False

    def __post_init__(self):
        for name in ("max_steps", "min_searches", "max_searches", "lanes"):
            value = getattr(self, name)
            if value is not None and not is_positive_whole(value):
                raise ValueError(f"{name}: expected a positive integer, got {value!r}")

    @property
    def name(self):
        return "glued words" if self.glued else "SCYFI"

    def init(self, problem: CycleProblem) -> _State:
        nothing = self.glued and len(problem.around) < 2
        walks = NoWalks() if nothing else self._walks(problem)
        return _State(walks, Catalog(problem.map), self._round_limits(problem), over=nothing)

    def _walks(self, problem: CycleProblem) -> AbstractWalks:
        """Return who makes the walks."""
        map, period = problem.map, problem.period
        if self.glued:
            return LoopWalks(map, period, self.max_steps, along=True)
        growth = problem.sample.growth if problem.sample is not None else 0.0
        return walks_of(map, period, growth, self.max_steps, self.lanes, self.devices)

    def _round_limits(self, problem: CycleProblem) -> list[int]:
        """Return the number of walks at the end of each round.

        Rounds double until the search settles; a given number of walks comes in four at most. Each
        round draws a new table of starts.
        """
        first = self.min_searches or _first_round(problem.map, problem.period)
        if problem.num_searches:
            last = problem.num_searches
            part = max(first, -(-last // 4))
            return [*range(part, last, part), last]
        last = self.max_searches or 64 * first
        limits = [min(first, last)]
        while limits[-1] < last:
            limits.append(min(2 * limits[-1], last))
        return limits

    def step(self, problem: CycleProblem, state: _State) -> _State:
        if state.walks.over:
            self._begin_round(problem, state)
        if state.over:
            return state
        _digest(state, state.walks.advance())
        if state.walks.over:
            state.over = self._settled(problem, state)
            state.round += 1
        return state

    def _begin_round(self, problem: CycleProblem, state: _State) -> None:
        """Draw a new table of starts and begin the walks of a round."""
        assert problem.key is not None and problem.sample is not None
        limit = state.limits[state.round]
        first = state.limits[state.round - 1] if state.round else 0
        generator = generator_of(problem.key, problem.period, state.round)
        if self.glued:
            table = glued_words(problem.around, problem.period, limit - first, generator)
            state.over = not len(table.counts)
            if state.over:
                return
            limit = state.limits[state.round] = first + len(table.counts)
        else:
            seeding = problem.seeding or default_seeding(problem.map, problem.period)
            table = seed_table(seeding, problem.sample, problem.period, generator)
        state.steps = np.concatenate([state.steps, np.zeros(limit - first, np.int32)])
        state.converged = np.concatenate([state.converged, np.zeros(limit - first, bool)])
        state.walks.begin(table, int(generator.integers(2**63)), first, limit)

    def _settled(self, problem: CycleProblem, state: _State) -> bool:
        """Return whether to stop after this round: nothing new lately, or no more walks."""
        if state.round + 1 >= len(state.limits):
            return True
        if problem.num_searches is not None:
            return False
        done = len(state.steps)
        fruitless = not state.converged.any() and done >= FRUITLESS_ROUNDS * state.limits[0]
        return fruitless or _quiet(state)

    def terminate(self, problem, state):
        return state.over

    def progress(self, problem, state):
        return (
            state.num_ended / state.limits[-1 if problem.num_searches else state.round - state.over]
        )

    def outcome(self, problem, state):
        if self.glued:
            return self._glued_outcome(state)
        arrived = int(np.count_nonzero(state.converged))
        settled = state.over and _quiet(state)
        coverage = COVERAGE.saturated if settled else COVERAGE.partial
        entries = state.catalog.entries
        own = np.array([e.period == problem.period and e.hits > 0 for e in entries], bool)
        hits = np.array([e.hits for e in entries], int)
        quiet = int(np.count_nonzero(state.converged[_last_news(state) + 1 :]))
        unseen = unseen_estimate(hits, arrived, own, quiet)
        return Outcome(
            state.catalog,
            coverage,
            unseen,
            self._stats(problem, state),
            searches=state.num_ended,
            arrived=arrived,
            stuck=state.num_stuck,
        )

    def _glued_outcome(self, state: _State) -> Outcome:
        """Return what glued words brought, without a claim: they are no independent draws."""
        stats = {"glued_walks": state.num_ended, "glued_candidates": int(state.steps.sum())}
        return Outcome(state.catalog, stats=stats)

    def _stats(self, problem: CycleProblem, state: _State) -> dict[str, Any]:
        """Counts; `first_found` counts candidates as if walks ran one after another."""
        total = np.cumsum(state.steps, dtype=np.int64)
        before = total - state.steps
        first = [
            int(before[e.first_walk] + state.steps[e.first_walk])
            for e in state.catalog.entries
            if e.period == problem.period and e.first_walk >= 0
        ]
        return {
            "candidates": int(total[-1]) if total.size else 0,
            "walks": state.num_ended,
            "converged": int(np.count_nonzero(state.converged)),
            "segments": state.walks.segments,
            "lanes": state.walks.lanes,
            "first_found": sorted(first),
        }


def _first_round(map: PiecewiseAffineMap, period: int) -> int:
    """Return how many walks to start with: some tenths of a second's worth, 512 or 1024."""
    work = period * (map.state_size + 1) * (map.state_size + 2 * map.num_units) * map.state_size
    return int(2 ** np.clip(np.floor(np.log2(2e8 / max(work, 1))), 9, 10))


def _last_news(state: _State) -> int:
    """Return the number of the last walk that found a cycle not seen before (-1: none did)."""
    return max((entry.first_walk for entry in state.catalog.entries), default=-1)


def _quiet(state: _State) -> bool:
    """Return whether the last half of the walks brought nothing new, and not too few arrived."""
    enough = np.count_nonzero(state.converged) >= FEW_SEARCHES
    return bool(enough) and _last_news(state) < len(state.steps) // 2


def _digest(state: _State, ended: Ended) -> None:
    """Enter a piece of work: steps of ended walks, hits of cycles, singular words."""
    state.steps[ended.walks] = ended.steps
    state.num_ended += len(ended.walks)
    state.num_stuck += int(np.count_nonzero(ended.status == SINGULAR))
    if len(ended.stuck):
        state.catalog.identify(np.unique(ended.stuck, axis=0), polish=_POLISH)
    rows = np.flatnonzero(ended.status == CONVERGED)
    walks = ended.walks[rows]
    state.converged[walks] = True
    marks, first, where = np.unique(ended.marks[rows], return_index=True, return_inverse=True)
    fresh = [i for i, mark in enumerate(marks.tolist()) if mark not in state.numbers]
    if fresh:
        numbers = state.catalog.identify(ended.words(rows[first[fresh]]), polish=_POLISH)
        state.numbers.update(zip(marks[fresh].tolist(), numbers.tolist()))
    number = np.array([state.numbers[mark] for mark in marks.tolist()], int)[where]
    for cycle in np.unique(number[number != REJECTED]):
        entry, mine = state.catalog.entries[cycle], walks[number == cycle]
        entry.hits += len(mine)
        earliest = int(mine.min())
        if entry.first_walk < 0 or earliest < entry.first_walk:
            entry.first_walk = earliest
