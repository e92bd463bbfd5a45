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

from .._elimination import cyclic_matrix, solve_rows
from .._numerics import EPS, quiet_floats
from ..words import canonical, pack
from ._continuation import CLOSE
from ._path import AbstractParameterPath
from ._test_functions import candidates

MOST_WORDS = 2**12
"""Words tried at one collision and period, at most."""

SINGULAR = 1e10
"""Condition number from which a piece's cyclic system counts as singular at the collision."""

_FLAT = 1e-12
"""A pre-activation that changes by less than this along a unit null vector does not change."""

Key = tuple[int, bytes]
Place = tuple[AbstractParameterPath, float]
"""A path, and s on it."""


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
    near = local.near(word, CLOSE)
    near[unit] = True
    return _met_by(local, local, near, periods)


def collision_between(
    low: Place,
    high: Place,
    word: Bool[np.ndarray, "time unit"],
    periods: Sequence[int],
    reach: float,
    force: bool = False,
) -> Collision | None:
    """Return who meets at a network of two paths: below along one, above along the other.

    None where no pre-activation of the word's cycle is zero there, or its system is singular.

    **Arguments:** `reach`: a root within this share of either path is at the network; `force`:
    whether the pre-activation nearest to zero is taken for zero where none is.
    """
    if is_singular(low, word):
        return None
    orbit = candidates(low[0], word[None], np.array([low[1]])).points[0]
    below, above = (_Local(*place, word, orbit) for place in (low, high))
    near = below.near(word, reach) | above.near(word, reach)
    if force and not near.any():
        near.flat[np.argmin(np.abs(below.activations) / below.forming)] = True
    return _met_by(below, above, near, periods) if near.any() else None


def is_singular(place: Place, word: Bool[np.ndarray, "time unit"]) -> bool:
    """Return whether a word's cyclic system is singular, or nearly, at a place."""
    path, s = place
    system = cyclic_matrix(path.arrays(np.array([s])).pieces(word[None])[0])
    return bool(_is_singular(system)[0])


def _is_singular(matrix: np.ndarray) -> np.ndarray:
    """Return which cyclic systems are singular to working precision, by the 1 that they contain."""
    finite = np.asarray(np.isfinite(matrix).all(axis=(1, 2)))
    sizes = np.linalg.svd(np.where(finite[:, None, None], matrix, 0.0), compute_uv=False)
    return ~(sizes[:, -1] * SINGULAR > np.fmax(sizes[:, 0], 1.0))


def _met_by(below: "_Local", above: "_Local", near: np.ndarray, periods: Sequence[int]):
    """Return the collision of an orbit on which some pre-activations are zero.

    **Arguments:** `below`, `above`: the map around the orbit, with its slopes to either side of s.
    """
    zeros = [(int(t), int(i)) for t, i in np.argwhere(near)]
    period = below.minimal_period(zeros)
    units = tuple(sorted({(t % period, i) for t, i in zeros}))
    members: dict[Key, Member] = {}
    complete = True
    for length in [m for m in periods if m % period == 0]:
        words, whole = _choices(below.word[:period], units, length)
        found, decided = _members(below, above, words, units, period)
        complete = complete and whole and decided
        members |= {member.key: member for member in found}
    return Collision(below.s, below.orbit[:period], units, tuple(members.values()), complete)


class _Local:
    """The map around one orbit at one value of the parameter."""

    def __init__(self, path: AbstractParameterPath, s: float, word: np.ndarray, orbit: np.ndarray):
        self.path, self.s, self.word, self.orbit = path, s, word, orbit
        self.arrays, self.slope = path.arrays(np.array([s])), path.derivative(s)
        W2, h2 = self.arrays.W2[0], self.arrays.h2[0]
        self.activations = orbit @ W2.T + h2
        self.forming = np.abs(orbit) @ np.abs(W2).T + np.abs(h2)
        dh1, dh2 = np.abs(self.slope.h1[0]) * path.span, np.abs(self.slope.h2[0]) * path.span
        # Where h passes through zero the orbit and all that forms it do, too.
        self.size = np.abs(orbit).max() + np.abs(self.arrays.h1).max() + dh1.max(initial=0.0)
        self.scale = self.forming + (np.abs(W2) @ dh1 + dh2).max(initial=0.0)

    def near(self, word: np.ndarray, share: float) -> Bool[np.ndarray, "time unit"]:
        """Return which pre-activations have a root within a share of the path from s."""
        slopes = self.activation_slopes(word[None])[0][0]
        reach = np.abs(slopes) * share * self.path.span
        near = np.abs(self.activations) <= np.fmin(reach, 1e-3 * self.scale)
        return near & (np.abs(slopes) * self.path.span > 1e3 * EPS * self.forming)

    def minimal_period(self, zeros: list[tuple[int, int]]) -> int:
        """Return the minimal period of the orbit (cycles collapse on shorter ones at borders)."""
        length = len(self.orbit)
        free = np.zeros(self.word.shape, bool)
        free[tuple(np.array(zeros).T)] = True
        for period in range(1, length):
            if length % period:
                continue
            close = (
                np.abs(self.orbit - np.roll(self.orbit, -period, axis=0)).max() <= 1e-7 * self.size
            )
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
        jacobians = _repeated(self.arrays, count).pieces(words)[0]
        matrix = cyclic_matrix(jacobians)
        with quiet_floats():
            dz = solve_rows(matrix, np.roll(pushed, 1, axis=1).reshape(count, -1))
            singular = _is_singular(matrix)
        return dz.reshape(count, length, -1) @ self.arrays.W2[0].T + direct, singular

    def admissible(self, words: np.ndarray, places: list[tuple[int, int]], side: int):
        """Return which words have their signs beside s, and which of them rest on a boundary."""
        slopes, singular = self.activation_slopes(words)
        at = tuple(np.array(places).T)
        rates, bits = slopes[:, at[0], at[1]], words[:, at[0], at[1]]
        forming = np.tile(self.forming, (words.shape[1] // len(self.forming) + 1, 1))[at]
        flat = (np.abs(rates) * self.path.span <= 1e-9 * forming).any(axis=1) & ~singular
        there = ((side * rates > 0) == bits).all(axis=1) & ~singular
        return there, flat & there


def _members(below: _Local, above: _Local, words, units: tuple[tuple[int, int], ...], period: int):
    """Return the cycles among words, and whether all were decided."""
    repeats = words.shape[1] // period
    places = [(t + period * r, i) for r in range(repeats) for t, i in units]
    before, flat = below.admissible(words, places, -1)
    after, flat_above = above.admissible(words, places, 1)
    found = [
        Member(words[row], key_of(words[row]), tuple(places), bool(before[row]), bool(after[row]))
        for row in np.flatnonzero(before | after)
    ]
    return found, not (flat | flat_above).any()


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


def family_end(
    path: AbstractParameterPath, word: Bool[np.ndarray, "time unit"], s: float
) -> tuple[np.ndarray, Float[np.ndarray, "doubled state"], tuple[int, int]] | None:
    """Return where the family of doubled cycles at a degenerate flip ends on a switching boundary.

    The family runs along the null vector of the doubled word's cyclic system, and on behind a
    boundary where the system there is singular, too.

    **Returns:** the word behind the last boundary, the orbit on it, and the (t, i) that is zero;
    None where no boundary limits the family.
    """
    at = np.array([s])
    arrays = path.arrays(at)
    word = np.tile(word, (2, 1))
    orbit = np.tile(candidates(path, word[: len(word) // 2][None], at).points[0], (2, 1))
    unit: tuple[int, int] | None = None
    for _ in range(word.size):
        _, sizes, rows = np.linalg.svd(cyclic_matrix(arrays.pieces(word[None])[0])[0])
        if sizes[-1] * SINGULAR > sizes[0]:
            break
        tilts = rows[-1].reshape(orbit.shape)
        rate = tilts @ arrays.W2[0].T
        y = orbit @ arrays.W2[0].T + arrays.h2[0]
        if unit is not None:
            if abs(rate[unit]) <= _FLAT * np.abs(rate).max():
                return None
            if (rate[unit] > 0) != word[unit]:
                tilts, rate = -tilts, -rate
            y[unit] = 0.0
        with quiet_floats():
            reach = np.where((rate * y < 0) & (np.abs(rate) > _FLAT), -y / rate, np.inf)
        if not np.isfinite(reach).any():
            return None
        t, i = np.unravel_index(np.argmin(reach), reach.shape)
        unit = (int(t), int(i))
        orbit = orbit + reach[unit] * tilts
        word = word.copy()
        word[unit] = ~word[unit]
    return None if unit is None else (word, orbit, unit)
