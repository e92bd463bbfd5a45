"""What every search for cycles has in common: the problem, the protocol, the outcome."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray

from .._piecewise_affine import PiecewiseAffineMap
from .._results import COVERAGE
from ..words import unpack
from ._catalog import Catalog, joined, merge
from ._cycle_set import CycleSet, Unseen
from ._seeding import AbstractSeeding, Sample
from ._verify import VERDICT

EVERYWHERE = "all of R^M"
"""The domain of a claim without restriction."""

FEW_SEARCHES = 20
"""Fewer walks or independent paths that came upon a solution tell little: such a search has not
settled."""

FRUITLESS_ROUNDS = 8
"""First rounds after which a search gives up that came upon no solution at all."""


NODE_COST = 6 * 8**3


def nodes_for(map: PiecewiseAffineMap, nodes: int) -> int:
    """Return a number of nodes scaled down for maps of more than six states and units.

    A node of the word search takes a linear program per unit in as many variables as states.
    """
    cost = max(map.num_units, 1) * (map.state_size + 2) ** 3
    return int(nodes * min(1.0, NODE_COST / cost))


class KnownCycle(NamedTuple):
    """A cycle that was found: its itinerary and its points."""

    itinerary: Bool[np.ndarray, "time unit"]
    points: Float[np.ndarray, "time state"]


@dataclasses.dataclass(frozen=True)
class CycleProblem:
    """All k-cycles of one period of a map, with what a solver may need to find them.

    **Fields:** `sample` is None for solvers that do not need simulated orbits; `key` likewise;
    `known`: itineraries of cycles that earlier solvers of the plan found, to start from; `around`:
    the cycles of all periods found so far; `original`: the map in the user's units of state (None:
    `map` is); `periods`: all periods of a joint search.
    """

    map: PiecewiseAffineMap
    period: int
    key: PRNGKeyArray | None = None
    sample: Sample | None = None
    seeding: AbstractSeeding | None = None
    num_searches: int | None = None
    known: tuple[np.ndarray, ...] = ()
    around: "tuple[KnownCycle, ...]" = ()
    original: PiecewiseAffineMap | None = None
    periods: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a solver says of one period at the end, or when it was stopped.

    **Fields:** `catalog`: the cycles; `coverage`: the claim, which is about the region `domain`;
    `unseen`: what random searches tell about cycles not seen; `stats`: numbers to show, by name;
    `method`: which way it searched; `notes`: facts to know; `exhausted`: a limit of the solver's
    own ran out; `searches`: independent searches made, of which `arrived` came upon a cycle and
    `stuck` met nothing finite.
    """

    catalog: Catalog
    coverage: COVERAGE = COVERAGE.partial
    unseen: Unseen | None = None
    stats: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    domain: str = EVERYWHERE
    notes: tuple[str, ...] = ()
    exhausted: bool = False
    searches: int = 0
    arrived: int = 0
    stuck: int = 0
    method: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether all cycles are known, so that another solver need not look for more."""
        complete = COVERAGE.complete_in_floating_point
        return self.coverage >= complete and self.domain == EVERYWHERE

    def words(self, period: int) -> set[bytes]:
        """Return the words of the cycles of a period."""
        return {e.word.tobytes() for e in self.catalog.entries if e.period == period}

    def known(self) -> tuple[KnownCycle, ...]:
        """Return the cycles, of all periods, that a search can start from."""
        good = (VERDICT.cycle, VERDICT.border, VERDICT.on_border)
        units = self.catalog.map.num_units
        entries = (entry for entry in self.catalog.entries if entry.verdict in good)
        return tuple(KnownCycle(unpack(entry.word, units), entry.points) for entry in entries)

    def after(self, before: "Outcome", period: int, ended: bool) -> "Outcome":
        """Return what two solvers of a plan say together; the earlier one was `before`.

        Random searches count together, and where the later one, if it `ended`, found nothing new,
        the claim of the earlier one holds, if both are about the same region.
        """
        news = self.words(period) - before.words(period)
        idle = not self.searches and not news and self.coverage <= before.coverage
        if ended and before.searches and idle:
            return before
        entries = merge([before.catalog, self.catalog])
        if not before.searches:
            catalog = dataclasses.replace(self.catalog, entries=entries)
            stats = {**before.stats, **self.stats}
            return dataclasses.replace(self, catalog=catalog, stats=stats)
        holds = ended and not news and before.domain == self.domain
        return Outcome(
            joined(before.catalog, self.catalog, entries),
            max(self.coverage, before.coverage) if holds else self.coverage,
            self.unseen or before.unseen,
            {**before.stats, **self.stats},
            self.domain,
            self.notes,
            self.exhausted,
            before.searches + self.searches,
            before.arrived + self.arrived,
            before.stuck + self.stuck,
            f"{before.method} + {self.method}",
        )


class Stage(NamedTuple):
    """A solver, the periods it takes at once, its walks or paths (None: as many as it likes).

    `upon_news`: it only runs where the solver before it found something new.
    """

    solver: "AbstractCycleSolver"
    periods: tuple[int, ...]
    num_searches: int | None = None
    upon_news: bool = False


class AbstractPlan(abc.ABC):
    """What `find_cycles` can be given: it says which solvers run in turn, and for which periods.

    `needs_key`: one of them draws random numbers.
    """

    needs_key: bool = True

    @abc.abstractmethod
    def plan(self, problem: CycleProblem) -> list[Stage]:
        """Return what to run in turn; periods whose cycles are all known by then are left out."""

    def check(self, map: PiecewiseAffineMap, period: int) -> None:
        """Raise `ValueError` where a period is not to be searched; nothing to object here."""
        del map, period

    def finish(self, found: CycleSet, map: PiecewiseAffineMap) -> CycleSet:
        """Return the result as it goes to the user."""
        del map
        return found


class AbstractCycleSolver(AbstractPlan):
    """A search that can be stepped, watched, stopped and continued.

    `init` makes a state; `step` does a bounded piece of work and returns the next state;
    `terminate` says whether there is nothing left to do; `outcome` may be asked at any time.
    `joint`: one search takes all periods of a problem, whose `period` then says which of them
    `outcome` is about.
    """

    joint: bool = False

    @property
    def name(self) -> str:
        """What a result calls the solver."""
        return type(self).__name__

    def needs_sample(self, map: PiecewiseAffineMap, period: int) -> bool:
        """Return whether simulated orbits are wanted for a period."""
        del map, period
        return self.needs_key

    def prepare(self) -> None:
        """Begin in the background what this solver needs, while the one before it searches."""

    @abc.abstractmethod
    def init(self, problem: CycleProblem) -> Any:
        """Return the state before any work."""

    @abc.abstractmethod
    def step(self, problem: CycleProblem, state: Any) -> Any:
        """Return the state after one bounded piece of work."""

    @abc.abstractmethod
    def terminate(self, problem: CycleProblem, state: Any) -> bool:
        """Return whether the search is over."""

    @abc.abstractmethod
    def outcome(self, problem: CycleProblem, state: Any) -> Outcome:
        """Return what was found until now and what it may claim."""

    def progress(self, problem: CycleProblem, state: Any) -> float:
        """Return the share of the work that is done, in [0, 1]; 0 where it is not known."""
        del problem, state
        return 0.0

    def plan(self, problem):
        together = [problem.periods] if self.joint else [(k,) for k in problem.periods]
        return [Stage(self, periods, problem.num_searches) for periods in together]

    def note(self, problem: CycleProblem, state: Any) -> str:
        """Return in words what the search is at; nothing by default."""
        del problem, state
        return ""

    def found(self, state: Any) -> Catalog | None:
        """Return the cycles found until now, for the bar; None where that is not known cheaply."""
        return getattr(getattr(state, "findings", state), "catalog", None)


def unseen_estimate(hits: np.ndarray, total: int, own: np.ndarray, quiet: int) -> Unseen:
    """Return what the numbers of hits say about cycles not seen.

    **Arguments:** `hits` per cycle, `own` marks those of the period searched; `total` number of
    successful walks; `quiet` walks since the last new cycle.
    """
    singles = np.count_nonzero(hits == 1)
    mass = singles / total if total else float("nan")
    ones, twos = np.count_nonzero(hits[own] == 1), np.count_nonzero(hits[own] == 2)
    chao2 = np.count_nonzero(own) + ones * (ones - 1) / (2.0 * (twos + 1))
    return Unseen(float(mass), float(chao2), int(quiet))
