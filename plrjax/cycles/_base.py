"""What every search for cycles has in common: the problem, the protocol, the outcome."""

import abc
import dataclasses
from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from .._piecewise_affine import PiecewiseAffineMap
from .._results import COVERAGE
from ._catalog import Catalog
from ._cycle_set import CycleSet, Unseen
from ._seeding import AbstractSeeding, Sample

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


@dataclasses.dataclass(frozen=True)
class CycleProblem:
    """All k-cycles of one period of a map, with what a solver may need to find them.

    **Fields:** `sample` is None for solvers that do not need simulated orbits; `key` likewise;
    `known`: itineraries of cycles that another solver found, to start from; `original`: the map in
    the user's units of state (None: `map` is); `periods`: all periods of a joint search.
    """

    map: PiecewiseAffineMap
    period: int
    key: PRNGKeyArray | None = None
    sample: Sample | None = None
    seeding: AbstractSeeding | None = None
    num_searches: int | None = None
    known: tuple[np.ndarray, ...] = ()
    original: PiecewiseAffineMap | None = None
    periods: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a solver says at the end, or when it was stopped.

    **Fields:** `domain`: the region of state space that `coverage` is about; `notes`: facts to
    know; `exhausted`: a limit of the solver's own ran out.
    """

    catalog: Catalog
    coverage: COVERAGE
    unseen: Unseen | None
    stats: dict[str, Any]
    domain: str = EVERYWHERE
    notes: tuple[str, ...] = ()
    exhausted: bool = False


class AbstractCycleSolver(abc.ABC):
    """A search that can be stepped, watched, stopped and continued.

    `init` makes a state; `step` does a bounded piece of work and returns the next state;
    `terminate` says whether there is nothing left to do; `outcome` may be asked at any time.
    `needs_key`: it draws random numbers; `joint`: one search takes all periods of a problem, whose
    `period` then says which of them `outcome` is about.
    """

    needs_key: bool = True
    joint: bool = False

    def check(self, map: PiecewiseAffineMap, period: int) -> None:
        """Raise `ValueError` where this solver will not search a period; nothing to object here."""
        del map, period

    def needs_sample(self, map: PiecewiseAffineMap, period: int) -> bool:
        """Return whether simulated orbits are wanted for a period."""
        del map, period
        return self.needs_key

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
    def progress(self, problem: CycleProblem, state: Any) -> float:
        """Return the share of the work that is done, in [0, 1]."""

    def plan(self, problem: CycleProblem) -> "list[tuple[AbstractCycleSolver, tuple[int, ...]]]":
        """Return what to run in turn: a solver and its periods (those settled are left out)."""
        jobs = [problem.periods] if self.joint else [(k,) for k in problem.periods]
        return [(self, periods) for periods in jobs]

    def note(self, problem: CycleProblem, state: Any) -> str:
        """Return in words what the search is at; nothing by default."""
        del problem, state
        return ""

    def found(self, state: Any) -> Catalog | None:
        """Return the cycles found until now, for the bar; None where that is not known cheaply."""
        return getattr(getattr(state, "findings", state), "catalog", None)

    def finish(self, found: CycleSet, map: PiecewiseAffineMap) -> CycleSet:
        """Return the result as it goes to the user."""
        del map
        return found

    @abc.abstractmethod
    def outcome(self, problem: CycleProblem, state: Any) -> Outcome:
        """Return what was found until now and what it may claim."""


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
