"""Stable cycles, and which orbits they have caught for good."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from .._lyapunov import cycle_exponents
from .._numerics import quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from .._results import STABILITY
from ..cycles import CycleSet, cycles_of_itineraries
from ..words import canonical, least_rotation, unpack

_GLANCE = 16
"""Rows that are compared before whole tails are."""
_DOUBLINGS = 64
"""Squarings of P, at most: (1 - eps)^(2^64) is 0."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trap:
    """A stable cycle and an ellipsoid around its first point that F^k maps into itself.

    With X = sum_n (P^n)' P^n every ellipsoid d' X d < level is invariant under d -> P d. `level` is
    the largest for which no pre-activation changes its sign anywhere along the cycle, so that F^k
    is this affine map inside: an orbit that entered stays, and converges to the cycle.
    """

    word: UInt8[np.ndarray, "time byte"]
    points: Float[np.ndarray, "time state"]
    lyapunov: float
    form: Float[np.ndarray, "state state"]
    level: float

    @property
    def period(self) -> int:
        """Period k."""
        return len(self.word)

    def holds(
        self,
        map: PiecewiseAffineMap,
        states: Float[np.ndarray, "lane state"],
        phases: Int[np.ndarray, " lane"],
    ) -> Bool[np.ndarray, " lane"]:
        """Return which states, next to the cycle's points of the given phases, are caught."""
        states, left = states.copy(), (-phases) % self.period
        for done in range(int(left.max(initial=0))):
            late = left > done
            states[late] = map.apply(states[late])
        offset = states - self.points[0]
        with quiet_floats():
            return np.einsum("li,ij,lj->l", offset, self.form, offset) < self.level


def make_trap(map: PiecewiseAffineMap, cycles: CycleSet, row: int) -> Trap:
    """Return the trap of a stable cycle."""
    points, regions = cycles.orbit(row), cycles.regions(row)
    prefix, constraints = np.eye(map.state_size), []
    for J in map.affine_piece(regions)[0]:
        constraints.append(map.W2 @ prefix)
        prefix = J @ prefix
    form, power = np.eye(map.state_size), prefix
    for _ in range(_DOUBLINGS):
        form, power = form + power.T @ form @ power, power @ power
        if not power.any():
            break
    rows = np.concatenate(constraints)
    with quiet_floats():
        reach = np.einsum("ci,ic->c", rows, np.linalg.solve(form, rows.T))
        room = map.pre_activations(points).ravel() ** 2 / reach
    level = float(np.min(room[reach > 0], initial=np.inf))
    largest = cycle_exponents(cycles.multipliers[row], int(cycles.period[row]))[0]
    word = cycles.itinerary[row, : cycles.period[row]]
    return Trap(word, points, float(largest), form, level if np.isfinite(form).all() else 0.0)


def tail_periods(
    tail: UInt8[np.ndarray, "time byte lane"], max_period: int
) -> Int[np.ndarray, " lane"]:
    """Return the least k up to `max_period` with which each lane's whole tail repeats, or 0."""
    length, _, lanes = tail.shape
    found, glance = np.zeros(lanes, np.int64), min(_GLANCE, length - max_period)
    for k in range(1, max_period + 1):
        alike = tail[length - glance :] == tail[length - glance - k : length - k]
        maybe = np.flatnonzero(alike.all(axis=(0, 1)) & (found == 0))
        if len(maybe):
            whole = (tail[k:, :, maybe] == tail[:-k, :, maybe]).all(axis=(0, 1))
            found[maybe[whole]] = k
    return found


class Traps:
    """All stable cycles met so far, each solved and verified once, found again by their words."""

    def __init__(self, map: PiecewiseAffineMap, known: CycleSet | None):
        self.map = map
        self.traps: list[Trap] = []
        self._of_word: dict[bytes, int | None] = {}
        if known is not None:
            self._learn(known)

    def catch(
        self,
        states: Float[np.ndarray, "lane state"],
        tail: UInt8[np.ndarray, "time byte lane"],
        max_period: int,
    ) -> Int[np.ndarray, " lane"]:
        """Return the trap that holds each lane, or -1; `states` come right after the tails."""
        periods, groups = tail_periods(tail, max_period), {}
        for lane in np.flatnonzero(periods):
            word = np.ascontiguousarray(tail[-periods[lane] :, :, lane])
            groups.setdefault(word.tobytes(), []).append(int(lane))
        words = {raw: self._word(raw) for raw in groups}
        self._solve(words.values())
        near = np.full(len(states), -1, np.int64)
        phases = np.zeros(len(states), np.int64)
        for raw, lanes in groups.items():
            number, period = self._of_word[words[raw].tobytes()], len(words[raw])
            near[lanes] = -1 if number is None else number
            phases[lanes] = -least_rotation(raw, period) % period
        for number in np.unique(near[near >= 0]):
            lanes = np.flatnonzero(near == number)
            held = self.traps[number].holds(self.map, states[lanes], phases[lanes])
            near[lanes[~held]] = -1
        return near

    def _word(self, raw: bytes) -> UInt8[np.ndarray, "time byte"]:
        return canonical(np.frombuffer(raw, np.uint8).reshape(-1, self._width))

    @property
    def _width(self) -> int:
        return (self.map.num_units + 7) // 8

    def _solve(self, words) -> None:
        """Solve the words not met before."""
        new = {word.tobytes(): word for word in words if word.tobytes() not in self._of_word}
        if new:
            itineraries = [unpack(word, self.map.num_units) for word in new.values()]
            self._learn(cycles_of_itineraries(self.map, itineraries))
            for text in new:
                self._of_word.setdefault(text, None)

    def _learn(self, cycles: CycleSet) -> None:
        """Take in the stable, verified ones."""
        good = cycles.is_regular & (cycles.stability == STABILITY.stable)
        for row in np.flatnonzero(good):
            text = cycles.itinerary[row, : cycles.period[row]].tobytes()
            if self._of_word.get(text) is None:
                self._of_word[text] = len(self.traps)
                self.traps.append(make_trap(self.map, cycles, int(row)))
