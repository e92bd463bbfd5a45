"""Closed-cycle branch and bound: all k-cycles in a box, for many units and short words.

A node is a box of states and of pre-activations along the closed orbit z_0, ..., z_{k-1}. It is
narrowed by interval propagation and by linear programs over the triangle relaxation that bound
every undecided pre-activation, and split at the sign of one of them. Both halves are closed, ReLU
is continuous: an orbit on a switching boundary is in both.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from ...._numerics import quiet_floats
from ...._piecewise_affine import MergedUnits, PiecewiseAffineMap, merge_units, parallel_units
from ._intervals import Bounds, Parameters, propagate
from ._kernel import EMPTY, FEASIBLE, Aims, make_feasible, tighten
from ._relaxation import cycle_system, relax, unit_states

TOLERANCE = 1e-9
"""Bounds are moved outwards by so much, in units of the box."""

ILL = 1e9
"""A larger inverse of the cyclic system gives no useful bounds; the node is only split."""

KEEP = 0.05
"""A bound is not computed where a known vertex is within this fraction of the interval's width."""

ROUNDS, WORTH = 8, 0.85
"""A node's bounds are computed so often, while undecided intervals shrink to this fraction."""

CHUNK = 8
"""Pre-activations that are bounded between two looks at the clock."""

NAMES = ("zl", "zu", "xl", "xu", "guess")
"""The arrays of a node: bounds of states and pre-activations, and whether units are likelier on."""


def power_of_two(values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Return the least power of two >= each value (1 for 0): scaling by it is exact."""
    fraction, exponent = np.frexp(np.asarray(values, float))
    exponent = exponent - (fraction == 0.5)
    return np.where(fraction > 0, np.ldexp(1.0, exponent), 1.0)


@dataclasses.dataclass(frozen=True)
class ScaledMap:
    """z = unit * zeta with |zeta| <= 1 in the box; pre-activations x of size <= 1 likewise.

    Units with the same switching boundary are one.

    **Fields:** `parameters`, `unit` (per state), `merged` (what became of the units), `aliased`
    (states that are a multiple of some pre-activation).
    """

    parameters: Parameters
    unit: Float[np.ndarray, " state"]
    merged: MergedUnits
    aliased: Bool[np.ndarray, " state"]

    def expand(self, words: Bool[np.ndarray, "word time merged"]) -> np.ndarray:
        """Return itineraries of the merged units as itineraries of the original map."""
        return self.merged.expand(words)


def scale(
    map: PiecewiseAffineMap, lower: Float[np.ndarray, " state"], upper: Float[np.ndarray, " state"]
) -> ScaledMap:
    """Return the map in powers of two of the size of the box and of its pre-activations there."""
    merged = merge_units(map, parallel_units(map.W2, map.h2) if map.num_units else None)
    map = merged.map
    unit = power_of_two(np.maximum(np.abs(lower), np.abs(upper)))
    W2 = map.W2 * unit
    x_unit = power_of_two(np.abs(W2).sum(axis=1) + np.abs(map.h2))
    A, W1 = map.A * unit / unit[:, None], map.W1 * x_unit / unit[:, None]
    arrays = (A, W1, W2 / x_unit[:, None], map.h1 / unit, map.h2 / x_unit)
    parameters = Parameters(*[np.ascontiguousarray(v, dtype=np.float64) for v in arrays])
    single = (np.count_nonzero(parameters.W2, axis=1) == 1) & (parameters.h2 == 0)
    aliased = (parameters.W2[single] != 0).any(axis=0)
    return ScaledMap(parameters, unit, merged, aliased)


class ClosedSearch:
    """All k-cycles in the box lower <= z_t <= upper (all t), complete in floating point.

    Of the rotations of a cycle at least one is found (that with the largest pre-activation of one
    unit at time 0); cycles of a shorter period that divides k are met as well. `take_words` gives
    candidate itineraries, to be identified elsewhere. The search is complete where `done` and not
    `num_unresolved`. An interrupted `step` loses nothing: the next one goes on.

    **Arguments:** `map`; `period` k >= 1; `lower`, `upper`: the box (numbers or vectors);
    `frontier`: what `frontier()` of an interrupted search of the same problem gave, to go on.

    **Raises:** `ValueError` for a period below 1, a box that is not finite, a foreign frontier.
    """

    def __init__(self, map: PiecewiseAffineMap, period: int, lower, upper, *, frontier=None):
        if period < 1:
            raise ValueError(f"period: expected an integer >= 1, got {period}")
        size = map.state_size
        lower, upper = (np.broadcast_to(np.asarray(v, float), (size,)) for v in (lower, upper))
        if not (np.isfinite(lower).all() and np.isfinite(upper).all() and (lower <= upper).all()):
            raise ValueError(f"lower, upper: expected a finite box, got {lower} and {upper}")
        self.map, self.period = map, period
        with quiet_floats():
            self._scaled = scale(map, lower, upper)
        p = self._scaled.parameters
        self._joint = np.ascontiguousarray(np.hstack([p.A, p.W1]))
        self._problem = _fingerprint(map, period, lower, upper)
        self.nodes = self.num_lps = self.num_unresolved = 0
        self._words: list[np.ndarray] = []
        self._stack: list[tuple[np.ndarray, ...]] = []
        self._leader = -1
        self._work = self._explore()
        if not all(np.isfinite(v).all() for v in p):
            self.num_unresolved = 1
            return
        self._begin(lower / self._scaled.unit, upper / self._scaled.unit)
        if frontier is not None:
            self._resume(frontier)

    def _begin(self, lower, upper) -> None:
        """Put the whole box on the stack, narrowed once; choose the unit that orders rotations."""
        p, k = self._scaled.parameters, self.period
        zl, zu = np.tile(lower, (k, 1)), np.tile(upper, (k, 1))
        reach = 2.0 * np.ones((k, len(p.h2)))
        root = (zl, zu, -reach, reach, np.zeros(reach.shape, bool))
        if not propagate(p, self._joint, -1, Bounds(*root[:4]), 30):
            return
        if k > 1 and len(p.h2):
            l, u = np.minimum(root[2][0], 0.0), np.maximum(root[3][0], 0.0)
            gap = -l * u / np.maximum(u - l, 1e-300) * np.abs(p.W1).sum(axis=0)
            self._leader = int(np.argmax(gap))
        self._stack = [root]

    def _resume(self, frontier) -> None:
        if not np.array_equal(frontier["problem"], self._problem):
            raise ValueError("frontier: expected that of a search for the same map, period and box")
        nodes = zip(*(frontier[name] for name in NAMES))
        self._stack = [tuple(array.copy() for array in node) for node in nodes]
        self.nodes, self.num_lps = (int(v) for v in frontier["counts"])
        self._words = list(frontier["words"])

    @property
    def done(self) -> bool:
        """Whether no node is left."""
        return not self._stack

    @property
    def num_open(self) -> int:
        """Number of nodes that are left."""
        return len(self._stack)

    def step(self, max_seconds: float) -> None:
        """Work for about `max_seconds`, or until nothing is left."""
        end = time.monotonic() + max_seconds
        with quiet_floats():
            while not self.done:
                if next(self._work, None) is None:
                    self._work = self._explore()  # it was interrupted: the node begins anew
                if time.monotonic() >= end:
                    return

    def take_words(self) -> list[Bool[np.ndarray, "time unit"]]:
        """Return the candidate itineraries met since the last call."""
        if not self._words:
            return []
        words = list(self._scaled.expand(np.stack(self._words)))
        self._words = []
        return words

    def frontier(self) -> dict[str, np.ndarray]:
        """Return the open nodes, from which a search may be resumed (words not taken included)."""
        k, M, H = self.period, self.map.state_size, len(self._scaled.parameters.h2)
        sizes = (M, M, H, H, H)
        packed = {
            name: np.array([node[n] for node in self._stack]).reshape(-1, k, size)
            for n, (name, size) in enumerate(zip(NAMES, sizes))
        }
        packed["guess"] = packed["guess"].astype(bool)
        packed["words"] = np.array(self._words, bool).reshape(-1, k, H)
        packed["counts"] = np.array([self.nodes, self.num_lps])
        packed["problem"] = self._problem
        return packed

    def _explore(self) -> Iterator[bool]:
        """Work through the open nodes, depth first; yield often.

        A node stays on the stack until its children replace it, so that an interrupt loses none.
        """
        while self._stack:
            node = self._stack[-1]
            where = yield from self._narrow(node)
            self._stack[-1:] = [] if where is None else _halves(node, where)
            self.nodes += 1
            yield True

    def _narrow(self, node) -> Iterator[bool]:
        """Tighten a node's bounds in place; return a branching unit, None if nothing is left."""
        zl, zu, xl, xu, guess = node
        score = np.zeros(xl.shape)
        for _ in range(ROUNDS):
            if not self._propagate(node):
                return None
            states = unit_states(xl, xu, guess)
            free = states >= 2
            if not free.any():
                self._reach_leaf(node, states)
                return None
            program, before = self._program(node, states), np.sum((xu - xl)[free])
            if program is None:
                score = np.minimum(-xl, xu)
                break
            yield True
            score = yield from self._bounds(node, *program)
            if score is None:
                return None
            free = (xl < 0) & (xu > 0)
            if not free.any() or np.sum((xu - xl)[free]) > WORTH * before:
                break
        if not self._propagate(node):
            return None
        states = unit_states(xl, xu, guess)
        if not (states >= 2).any():
            self._reach_leaf(node, states)
            return None
        score = np.where(states >= 2, score, -np.inf)
        return np.unravel_index(int(np.argmax(score)), score.shape)

    def _propagate(self, node) -> bool:
        return propagate(self._scaled.parameters, self._joint, self._leader, Bounds(*node[:4]), 6)

    def _reach_leaf(self, node, states) -> None:
        """Keep the word of a node without undecided units, unless its one orbit is elsewhere."""
        program = self._program(node, states)
        if program is not None:
            r, d = program
            status, _ = make_feasible(r, d, TOLERANCE, 1)
            if status == EMPTY:
                return
        self._words.append(states % 2 == 1)

    def _program(self, node, states):
        """Return the relaxation and its dictionary; None: ill-conditioned, or nothing to relax."""
        p = self._scaled.parameters
        if not states.size:
            return None
        E, c = cycle_system(p, states)
        try:
            inverse = np.ascontiguousarray(np.linalg.inv(E))
        except np.linalg.LinAlgError:
            return None
        if not np.abs(inverse).max(initial=0.0) < ILL:
            return None
        aliased, leader = self._scaled.aliased, self._leader
        return relax(p, states, aliased, leader, Bounds(*node[:4]), E, c, inverse)

    def _bounds(self, node, r, d):
        """Solve the linear programs of a node; return branching scores, None if it is empty."""
        limit = 50 + 10 * len(d.basis)
        zl, zu, xl, xu, guess = node
        status, count = make_feasible(r, d, TOLERANCE, limit)
        self.num_lps += count
        if status == EMPTY:
            return None
        low, high = d.low.copy(), d.high.copy()
        seen = np.stack([d.value, d.value, d.value, np.ones(len(d.value))])
        targets = r.x_rows
        if 2 * zl.shape[1] <= xl.shape[1]:
            targets = np.concatenate([np.flatnonzero(r.parts[:, 0] >= 0), targets])
        pending = np.ones((len(targets), 2), bool)
        aims = Aims(targets, pending, low, high, seen)
        while status == FEASIBLE and pending.any():
            status, count = tighten(r, d, aims, KEEP, TOLERANCE, limit, CHUNK)
            self.num_lps += count
            if status == EMPTY:
                return None
            yield True
        rows, units = r.x_rows, r.parts[r.x_rows, 1]
        np.maximum.at(xl.reshape(-1), units, low[rows])
        np.minimum.at(xu.reshape(-1), units, high[rows])
        states = np.flatnonzero(r.parts[:, 0] >= 0)
        np.maximum.at(zl.reshape(-1), r.parts[states, 0], low[states])
        np.minimum.at(zu.reshape(-1), r.parts[states, 0], high[states])
        mean = seen[2] / seen[3, 0]
        guess.reshape(-1)[units] = mean[rows] > 0
        score = np.zeros(xl.size)
        score[units] = mean[rows + 1] - np.maximum(mean[rows], 0.0)
        return score.reshape(xl.shape)


def _halves(node, where):
    """Return copies of both closed halves of a node, the likelier one last."""
    on, off = (tuple(v.copy() for v in node) for _ in range(2))
    on[2][where], on[4][where] = 0.0, True
    off[3][where], off[4][where] = 0.0, False
    return [off, on] if node[4][where] else [on, off]


def _fingerprint(map: PiecewiseAffineMap, period: int, lower, upper) -> np.ndarray:
    """Return 32 bytes that tell one search problem from another."""
    parts = (map.A, map.W1, map.W2, map.h1, map.h2, lower, upper, np.array([period], float))
    data = b"".join(np.asarray(part.shape).tobytes() + part.tobytes() for part in parts)
    return np.frombuffer(hashlib.sha256(data).digest(), np.uint8)
