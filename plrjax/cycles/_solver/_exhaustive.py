"""Search by trying every itinerary: the oracle, and the default for short words."""

import abc
import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from ..._numerics import quiet_floats
from ..._piecewise_affine import PiecewiseAffineMap
from ..._results import COVERAGE
from .._base import AbstractCycleSolver, CycleProblem, Outcome
from .._catalog import Catalog
from ._schur import (
    BATCH_BITS,
    Branch,
    ReducedSystem,
    Workspace,
    enumerate_branch,
    reduced_system,
    root_branch,
    split,
)


def _words_per_step(problem: CycleProblem) -> int:
    """Return how many itineraries to try side by side: about 64 MiB of Jacobians."""
    return max(1, min(2**14, 2**23 // (problem.period * problem.map.state_size**2)))


class AbstractEnumeration(abc.ABC):
    """A way to try all 2^(k H) itineraries of one period."""

    @abc.abstractmethod
    def tasks(self, problem: CycleProblem) -> list:
        """Return independent pieces of work that cover every itinerary, or a rotation of it."""

    @abc.abstractmethod
    def candidates(
        self, problem: CycleProblem, task
    ) -> tuple[Bool[np.ndarray, "word time unit"], int]:
        """Return the itineraries of a piece that may be cycles, and how many were left untried."""


class PlainLoop(AbstractEnumeration):
    """Try the itineraries one after another: compose, solve, compare. The simplest reference.

    This is the loop that heuristics are compared with (Eisenmann et al. 2023): 2^(k H) systems.
    """

    def tasks(self, problem):
        total = 1 << (problem.period * problem.map.num_units)
        size = _words_per_step(problem)
        return [(low, min(low + size, total)) for low in range(0, total, size)]

    def candidates(self, problem, task):
        shape = (problem.period, problem.map.num_units)
        words = _numbered_words(np.arange(*task), *shape)
        return words[admissible(problem.map, words)], 0


_FEWEST_OPEN = 10
"""Bits of a branch, at least, that make its lanes worth their overhead."""


class SchurComplement(AbstractEnumeration):
    """Recursive Schur complements of the reduced system: some tens of nanoseconds per itinerary.

    Of long words most rotations are left out, as one of them stands for all.

    Patterns behind a pivot too small to be trusted are tried one by one, up to `max_suspects` of
    them; the rest is counted, and the result then claims no completeness.
    """

    def __init__(self, max_suspects: int = 2**18):
        self.max_suspects = max_suspects
        self._workspace = Workspace()

    def tasks(self, problem):
        system = reduced_system(problem.map, problem.period)
        if system is None:
            return PlainLoop().tasks(problem)
        system = _unit_by_unit(system)
        branches, suspects = [root_branch(system.B, system.c)], []
        for depth in range(1, _bits_to_decide(problem) + 1):
            parts = [split(branch) for branch in branches]
            branches = [child for children, _ in parts for child in children]
            suspects += [bits for _, bad in parts for bits in bad]
            if depth <= problem.period or depth % problem.period == 0:
                branches = [b for b in branches if _may_be_largest(b.bits, problem.period)]
        return [(system, branch) for branch in branches] + [(system, bits) for bits in suspects]

    def candidates(self, problem, task):
        system, work = task
        if not isinstance(system, ReducedSystem):
            return PlainLoop().candidates(problem, task)
        if not isinstance(work, Branch):
            return self._one_by_one(problem, system, [work])
        leaves = enumerate_branch(work, system.scale, self._workspace)
        words = _words_of(leaves.patterns, system)
        if not leaves.suspects:
            return words, 0
        more, untried = self._one_by_one(problem, system, leaves.suspects)
        return np.concatenate([words, more]), untried

    def _one_by_one(self, problem, system: ReducedSystem, prefixes: list):
        """Try every pattern that begins with one of the decided bits (last unknown first)."""
        tried, budget, untried = [], self.max_suspects, 0
        for bits in prefixes:
            count = 1 << (len(system.c) - len(bits))
            if count > budget:
                untried += count
            else:
                budget -= count
                tried.append((count, bits))
        found = [np.zeros((0, problem.period, problem.map.num_units), bool)]
        for patterns in _in_batches(tried, len(system.c), _words_per_step(problem)):
            words = _words_of(patterns, system)
            found.append(words[admissible(problem.map, words)])
        return np.concatenate(found), untried


def _unit_by_unit(system: ReducedSystem) -> ReducedSystem:
    """Return the system with its unknowns in the order "unit time" instead of "time unit"."""
    order = np.arange(len(system.c)).reshape(system.period, -1).T.reshape(-1)
    return system._replace(B=system.B[np.ix_(order, order)], c=system.c[order])


def _bits_to_decide(problem: CycleProblem) -> int:
    """Return how many bits tell the branches apart: whole units, where enough lanes are left."""
    period, units = problem.period, problem.map.num_units
    least = max(period * units - BATCH_BITS, 0)
    whole = -(-least // period) * period
    return whole if period * units - whole >= _FEWEST_OPEN else least


def _may_be_largest(bits: tuple[bool, ...], period: int) -> bool:
    """Return whether words that begin so can be the largest of their rotations.

    Words are compared by the order of their bits here, so that those that fail here are rotations
    of words in other branches, at whatever depth. `bits` decide one unit after the other, at all
    times each; of the first unit any number may be decided, of later ones all.
    """
    if len(bits) < period:
        return all(bits[shift:] <= bits[: len(bits) - shift] for shift in range(1, len(bits)))
    units = [bits[i : i + period] for i in range(0, len(bits), period)]
    turned = lambda shift: sum((unit[shift:] + unit[:shift] for unit in units), ())
    return all(turned(shift) <= bits for shift in range(1, period))


def _in_batches(prefixes: list[tuple[int, tuple[bool, ...]]], unknowns: int, size: int):
    """Yield all patterns behind prefixes (how many, decided bits, last unknown first), by `size`.

    Few patterns are behind most prefixes, and a system costs far less in company.
    """
    parts, gathered = [], 0
    for count, bits in prefixes:
        free = unknowns - len(bits)
        for low in range(0, count, size):
            numbers = np.arange(low, min(low + size, count))
            patterns = np.empty((len(numbers), unknowns), bool)
            patterns[:, :free] = (numbers[:, None] >> np.arange(free)) & 1
            patterns[:, free:] = np.array(bits[::-1], bool)
            parts.append(patterns)
            gathered += len(patterns)
            if gathered >= size:
                yield np.concatenate(parts)
                parts, gathered = [], 0
    if parts:
        yield np.concatenate(parts)


def _numbered_words(numbers: np.ndarray, period: int, num_units: int) -> np.ndarray:
    bits = (numbers[:, None] >> np.arange(period * num_units)) & 1
    return bits.astype(bool).reshape(-1, period, num_units)


def _words_of(patterns: np.ndarray, system: ReducedSystem) -> np.ndarray:
    """Return patterns "unit time" as itineraries, reflected units turned back."""
    words = patterns.reshape(-1, len(system.reference), system.period)
    return np.swapaxes(words, 1, 2) ^ system.reference


def admissible(
    map: PiecewiseAffineMap, words: Bool[np.ndarray, "word time unit"]
) -> Bool[np.ndarray, " word"]:
    """Return which itineraries may be their own: solve (I - P) z = c and compare signs, loosely.

    Words with I - P singular to working precision count as possible; they are examined later.
    """
    count, period, _ = words.shape
    size = map.state_size
    with quiet_floats():
        pieces = [map.affine_piece(words[:, t]) for t in range(period)]
        P = np.broadcast_to(np.eye(size), (count, size, size))
        c = np.zeros((count, size))
        for J, offset in pieces:
            P, c = J @ P, (J @ c[..., None])[..., 0] + offset
        system = np.eye(size) - P
        singular = _near_singular(system, P)
        system[singular] = np.eye(size)
        z = np.linalg.solve(system, c[..., None])[..., 0]
        possible = np.ones(count, bool)
        for t, (J, offset) in enumerate(pieces):
            y = map.pre_activations(z)
            loose = 1e-7 * np.maximum(np.abs(y).max(axis=1, initial=0.0), _size(map, z))
            wrong = np.where(words[:, t], y < -loose[:, None], y > loose[:, None])
            possible = possible & ~wrong.any(axis=1)
            z = (J @ z[..., None])[..., 0] + offset
    return possible | singular


def _near_singular(systems: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Return where |(I - P)^-1| (1 + |P|) exceeds 1e12 or overflows (the entries may cancel)."""
    good = np.isfinite(systems).all(axis=(1, 2))
    good &= np.where(good, np.abs(np.linalg.det(systems)), 0.0) > 0
    inverse = np.full_like(systems, np.inf)
    inverse[good] = np.linalg.inv(systems[good])
    size = np.abs(inverse).sum(axis=2).max(axis=1) * (1 + np.abs(P).sum(axis=2).max(axis=1))
    return ~(size < 1e12)


def _size(map: PiecewiseAffineMap, z: Float[np.ndarray, "word state"]) -> np.ndarray:
    return np.abs(z).max(axis=1) * np.abs(map.W2).max(initial=0.0) + np.abs(map.h2).max(initial=0.0)


@dataclasses.dataclass
class _State:
    tasks: list
    catalog: Catalog
    done: int = 0
    untried: int = 0


@dataclasses.dataclass(frozen=True)
class Exhaustive(AbstractCycleSolver):
    """Try every itinerary: complete up to rounding, for k H up to `max_bits`.

    **Arguments:**

    - `enumeration`: `SchurComplement()` (default) or `PlainLoop()`, the naive reference.
    - `max_bits`: refuse words of more than so many bits (2^max_bits itineraries).

    **Raises:** `ValueError` with the number of itineraries, when there are too many.
    """

    enumeration: AbstractEnumeration = dataclasses.field(default_factory=SchurComplement)
    max_bits: int = 30

    needs_key = False

    def check(self, map, period):
        bits = period * map.num_units
        if bits > self.max_bits:
            raise ValueError(
                f"periods: exhaustive search of period {period} would try 2^{bits} itineraries "
                f"({period} steps x {map.num_units} units); the limit is 2^{self.max_bits} "
                "(Exhaustive(max_bits=...)), or use plrjax.SCYFI()"
            )

    def init(self, problem):
        self.check(problem.map, problem.period)
        return _State(self.enumeration.tasks(problem), Catalog(problem.map))

    def step(self, problem, state):
        words, untried = self.enumeration.candidates(problem, state.tasks[state.done])
        if len(words):
            state.catalog.identify(words)
        return dataclasses.replace(state, done=state.done + 1, untried=state.untried + untried)

    def terminate(self, problem, state):
        return state.done >= len(state.tasks)

    def progress(self, problem, state):
        return state.done / max(len(state.tasks), 1)

    def outcome(self, problem, state):
        complete = self.terminate(problem, state) and not state.untried
        complete = complete and not state.catalog.num_unexamined
        coverage = COVERAGE.complete_in_floating_point if complete else COVERAGE.partial
        total = 1 << (problem.period * problem.map.num_units)
        stats = {"candidates": int(total * self.progress(problem, state)) - state.untried}
        note = f"period {problem.period}: {state.untried} itineraries were not tried"
        notes = (note,) if state.untried else ()
        return Outcome(state.catalog, coverage, stats=stats, notes=notes)
