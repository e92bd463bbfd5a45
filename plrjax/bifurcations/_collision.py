"""What exists on either side of a border collision.

At s* points of a cycle lie on switching boundaries. Near them the map is piecewise affine with one
piece for every choice of the bits of the units that are zero, all of which share the orbit at s*;
dz/ds of every piece says on which side of s* its cycle has the signs that its word demands (Feigin
1970; di Bernardo, Budd, Champneys, Kowalczyk 2008, ch. 3).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._numerics import EPS, quiet_floats
from ..cycles._words import canonical, pack
from ._functions import candidates, cyclic_matrix, pieces, solve_rows
from ._march import CLOSE
from ._path import AbstractParameterPath

MOST_WORDS = 2**12
"""Words tried at one collision and period, at most."""

SINGULAR = 1e10
"""Condition number from which a piece's cyclic system counts as singular at the collision."""

Key = tuple[int, bytes]


class Member(NamedTuple):
    """A cycle that meets others at a collision.

    **Fields:** `word` (from the time origin of the collision's orbit) and its `key`; `zeros`: its
    pre-activations that are zero there; `before`, `after`: whether it exists for s below and above.
    """

    word: Bool[np.ndarray, "time unit"]
    key: Key
    zeros: tuple[tuple[int, int], ...]
    before: bool
    after: bool


class Collision(NamedTuple):
    """All cycles of the periods followed that meet at one orbit on switching boundaries.

    **Fields:** `s`; `orbit` of minimal period `d`; `units`: (t, i) that are zero on it; `members`;
    `complete`: whether all words were tried and decided.
    """

    s: float
    orbit: Float[np.ndarray, "time state"]
    units: tuple[tuple[int, int], ...]
    members: tuple[Member, ...]
    complete: bool

    @property
    def period(self) -> int:
        """Minimal period of the orbit at the collision."""
        return len(self.orbit)


def key_of(word: Bool[np.ndarray, "time unit"]) -> Key:
    """Return the identity of a cycle: period and least rotation of its word."""
    least = canonical(pack(word))
    return len(least), least.tobytes()


def collision_at(
    path: AbstractParameterPath,
    s: float,
    word: Bool[np.ndarray, "time unit"],
    unit: tuple[int, int],
    periods: Sequence[int],
    orbit: Float[np.ndarray, "time state"] | None = None,
) -> Collision:
    """Return who meets where pre-activation (t, i) of the word's cycle is zero.

    **Arguments:** `orbit`: the points at s, where the word's own system is singular.
    """
    own = candidates(path, word[None], np.array([s])).points[0] if orbit is None else orbit
    local = _Local(path, s, word, np.asarray(own))
    zeros = local.zeros(word, unit)
    period = local.minimal_period(zeros)
    units = tuple(sorted({(t % period, i) for t, i in zeros}))
    members: dict[Key, Member] = {}
    complete = True
    for length in [m for m in periods if m % period == 0]:
        words, whole = _choices(word[:period], units, length)
        found, decided = local.members(words, units, period)
        complete = complete and whole and decided
        members |= {member.key: member for member in found}
    return Collision(s, local.orbit[:period], units, tuple(members.values()), complete)


class _Local:
    """The map around one orbit at one value of the parameter."""

    def __init__(self, path: AbstractParameterPath, s: float, word: np.ndarray, orbit: np.ndarray):
        self.path, self.s, self.word, self.orbit = path, s, word, orbit
        self.arrays, self.slope = path.arrays(np.array([s])), path.derivative(s)
        W2, h2 = self.arrays.W2[0], self.arrays.h2[0]
        self.activations = orbit @ W2.T + h2
        self.forming = np.abs(orbit) @ np.abs(W2).T + np.abs(h2)

    def zeros(self, word: np.ndarray, unit: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the pre-activations that are zero at s, those with a root that close included."""
        slopes = self.activation_slopes(word[None])[0][0]
        reach = np.abs(slopes) * CLOSE * self.path.span
        near = np.abs(self.activations) <= np.fmin(reach, 1e-3 * self.forming)
        near &= np.abs(slopes) * self.path.span > 1e3 * EPS * self.forming
        near[unit] = True
        return [(int(t), int(i)) for t, i in np.argwhere(near)]

    def minimal_period(self, zeros: list[tuple[int, int]]) -> int:
        """Return the minimal period of the orbit (cycles collapse on shorter ones at borders)."""
        length = len(self.orbit)
        size = np.abs(self.orbit).max() + np.abs(self.arrays.h1).max()
        free = np.zeros(self.word.shape, bool)
        free[tuple(np.array(zeros).T)] = True
        for period in range(1, length):
            if length % period:
                continue
            close = np.abs(self.orbit - np.roll(self.orbit, -period, axis=0)).max() <= 1e-7 * size
            differs = self.word != np.roll(self.word, -period, axis=0)
            open_there = free | np.roll(free, -period, axis=0)
            if close and not (differs & ~open_there).any():
                return period
        return length

    def activation_slopes(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return dy/ds of the words' candidates on this orbit, and which systems are singular."""
        count, length, _ = words.shape
        repeats = -(-length // len(self.orbit))
        z = np.tile(self.orbit, (repeats, 1))[:length]
        y = np.where(words, z @ self.arrays.W2[0].T + self.arrays.h2[0], 0.0)
        dA, dW1, dW2, dh1, dh2 = (x[0] for x in self.slope)
        direct = z @ dW2.T + dh2
        pushed = z @ dA.T + y @ dW1.T + np.where(words, direct, 0.0) @ self.arrays.W1[0].T + dh1
        jacobians = pieces(_repeated(self.arrays, count), words)[0]
        matrix = cyclic_matrix(jacobians)
        with quiet_floats():
            dz = solve_rows(matrix, np.roll(pushed, 1, axis=1).reshape(count, -1))
            singular = ~(np.linalg.cond(matrix) < SINGULAR)
        return dz.reshape(count, length, -1) @ self.arrays.W2[0].T + direct, singular

    def members(self, words: np.ndarray, units: tuple[tuple[int, int], ...], period: int):
        """Return the cycles among words, and whether all were decided."""
        length = words.shape[1]
        slopes, singular = self.activation_slopes(words)
        places = [(t + period * r, i) for r in range(length // period) for t, i in units]
        at = tuple(np.array(places).T)
        rates, bits = slopes[:, at[0], at[1]], words[:, at[0], at[1]]
        forming = np.tile(self.forming, (length // len(self.forming) + 1, 1))[at]
        flat = (np.abs(rates) * self.path.span <= 1e-9 * forming).any(axis=1) & ~singular
        after = ((rates > 0) == bits).all(axis=1) & ~singular
        before = ((rates < 0) == bits).all(axis=1) & ~singular
        found = []
        for row in np.flatnonzero(before | after):
            found.append(
                Member(words[row], key_of(words[row]), tuple(places), before[row], after[row])
            )
        undecided = flat & (before | after)
        return found, not undecided.any()


def _repeated(arrays, count: int):
    return type(arrays)(*(np.broadcast_to(x, (count, *x.shape[1:])) for x in arrays))


def _choices(base: np.ndarray, units: tuple[tuple[int, int], ...], length: int):
    """Return primitive words of a length with every choice of the units' bits, one per cycle.

    Where there are too many, only words with all free bits equal but one are returned, and False.
    """
    repeats = length // len(base)
    places = [(t + len(base) * r, i) for r in range(repeats) for t, i in units]
    whole = 2 ** min(len(places), 60) <= MOST_WORDS
    if whole:
        patterns = (np.arange(2 ** len(places))[:, None] >> np.arange(len(places))) & 1 == 1
    else:
        single = np.eye(len(places), dtype=bool)
        patterns = np.concatenate([single, ~single, np.zeros_like(single[:1]), ~single[:1] | True])
        own = base[tuple(np.array(places).T % np.array([[len(base)], [base.shape[1]]]))]
        patterns = np.concatenate([patterns, own[None], own ^ single])
    words = np.tile(base, (len(patterns), repeats, 1))
    words[:, [t for t, _ in places], [i for _, i in places]] = patterns
    kept: dict[Key, np.ndarray] = {}
    for word in words:
        key = key_of(word)
        if key[0] == length:
            kept.setdefault(key, word)
    shape = (0, length, base.shape[1])
    return (np.stack(list(kept.values())) if kept else np.zeros(shape, bool)), whole
