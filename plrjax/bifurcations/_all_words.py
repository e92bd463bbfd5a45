"""Every word along a whole path: where it is admissible, so that no cycle can be missed there."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from .._elimination import cyclic_matrix
from .._numerics import ROUNDED, quiet_floats
from ..words import least_rotation, pack, primitive_period
from ._chebyshev import NODES, POINTS, Series, roots_of, series_of, value_at
from ._continuation import LEAST_STEP, activation_values
from ._path import AbstractParameterPath
from ._test_functions import activation_errors, candidates

Seeds = list[tuple[np.ndarray, float]]

MOST_BITS = 12
"""Words of at most so many bits (period times units) are tried along whole paths by default."""

_INSIDE = 0.4871
"""Where in a gap a cycle is picked up: not at its middle, where events of symmetric paths lie."""

_ROWS = 2**21
"""Numbers in the systems of one batch of words, at most."""

_SOME_PANELS = 4
"""Open panels of a word from which it is asked whether I - P is singular on all of them."""

MOST_PANELS = 64
"""Open panels of a word, at most: with more, the path is not smooth, and they are judged as is."""

_NOISE = 1e-5
"""Fraction of the terms of a pre-activation that float32 leaves uncertain, and some more."""


def all_words(period: int, num_units: int) -> Iterator[Bool[np.ndarray, "word time unit"]]:
    """Yield all primitive words of a period, one rotation of each, in batches."""
    bits = period * num_units
    for low in range(0, 1 << bits, 1 << 14):
        numbers = np.arange(low, min(low + (1 << 14), 1 << bits))
        words = ((numbers[:, None] >> np.arange(bits)) & 1 == 1).reshape(-1, period, num_units)
        packed = pack(words)
        keep = [_is_own_least(word.tobytes(), period) for word in packed]
        if any(keep):
            yield words[keep]


def _is_own_least(text: bytes, period: int) -> bool:
    return primitive_period(text, period) == period and least_rotation(text, period) == 0


def admissible_places(
    path: AbstractParameterPath, words: Bool[np.ndarray, "word time unit"]
) -> tuple[list[tuple[np.ndarray, float]], int]:
    """Return (word, s) inside every interval of s on which a word is admissible.

    Panels are halved until the series of all pre-activations have converged; a word is dropped on
    a panel where one of them has the wrong sign throughout. Also returned: the number of panels
    that had to be accepted before that.
    """
    found: list[tuple[np.ndarray, float]] = []
    coarse = 0
    size = (words.shape[1] * path.shape[0]) ** 2 * NODES
    rows = max(1, _ROWS // size)
    for low in range(0, len(words), rows):
        part = words[low : low + rows]
        panels = np.tile([path.start, path.stop], (len(part), 1))
        owner = np.arange(len(part))
        while len(owner):
            places, owner, panels, number = _one_round(path, part, owner, panels)
            found += [(part[word], s) for word, s in places]
            keep = _worth_halving(path, part, owner, panels)
            owner, panels, coarse = owner[keep], panels[keep], coarse + number
    return found, coarse


def _worth_halving(path: AbstractParameterPath, words: np.ndarray, owner: np.ndarray, panels):
    """Return which panels belong to words that halving may resolve.

    Where I - P is singular along the whole path its determinant is rounding, which no series
    resolves: such a word has no isolated cycle anywhere.
    """
    counts = np.bincount(owner, minlength=len(words))
    hopeless = np.zeros(len(words), bool)
    for word in np.flatnonzero(counts >= _SOME_PANELS).tolist():
        s = panels[owner == word].mean(axis=1)
        repeated = np.repeat(words[word][None], len(s), axis=0)
        matrix = cyclic_matrix(path.arrays(s).pieces(repeated)[0])
        for axis in (2, 1):
            size = np.abs(matrix).max(axis=axis, keepdims=True)
            matrix /= np.where(size > 0, size, 1.0)
        with quiet_floats():
            hopeless[word] = (np.linalg.cond(matrix) > 1.0 / ROUNDED).all()
    return ~hopeless[owner]


def _one_round(path: AbstractParameterPath, words: np.ndarray, owner: np.ndarray, panels):
    """Judge words on their panels; return places found and the panels that must be halved."""
    middle, half = panels.mean(axis=1), 0.5 * (panels[:, 1] - panels[:, 0])
    s = middle[:, None] + half[:, None] * POINTS
    values, closing = activation_values(path, words[owner], s)
    own = series_of(values)
    determinant = series_of(closing)
    wanted = np.where(words[owner], 1.0, -1.0) * determinant.sign[:, None, None]
    virtual = ((own.sign * wanted) < 0).any(axis=(1, 2))
    ready = own.converged.all(axis=(1, 2)) & determinant.converged
    small = 2.0 * half <= 2.0 * LEAST_STEP * path.span
    crowded = np.bincount(owner, minlength=len(words))[owner] > MOST_PANELS
    small |= crowded
    places: list[tuple[int, float]] = []
    for row in np.flatnonzero(~virtual & (ready | small)):
        series = Series(*(x[row] for x in own)), Series(*(x[row] for x in determinant))
        for x in _admissible_gaps(words[owner[row]], *series):
            place = float(middle[row] + half[row] * x)
            judge = _is_clear if crowded[row] else _is_admissible
            if judge(path, words[owner[row]], place):
                places.append((int(owner[row]), place))
    split = np.flatnonzero(~virtual & ~ready & ~small)
    low, high, center = panels[split, 0], panels[split, 1], middle[split]
    halves = np.concatenate([np.stack([low, center], 1), np.stack([center, high], 1)])
    return places, np.tile(owner[split], 2), halves, int((small & ~ready & ~virtual).sum())


def _admissible_gaps(word: np.ndarray, activations: Series, closing: Series) -> list[float]:
    """Return a place in every gap between roots where all signs are the word's."""
    edges = [-1.0, 1.0]
    for t, i in np.argwhere(activations.sign == 0).tolist():
        edges += roots_of(activations.coefficients[t, i]).tolist()
    if closing.sign == 0:
        edges += roots_of(closing.coefficients).tolist()
    edges = np.unique(edges)
    places = []
    for low, high in zip(edges[:-1], edges[1:]):
        x = low + _INSIDE * (high - low)
        sign = np.sign(value_at(closing.coefficients, x))
        found = value_at(activations.coefficients, x) * sign
        sizes = np.abs(activations.coefficients).max(axis=-1)
        right = np.where(word, found > 0, found <= 1e-12 * sizes)
        if right.all() and high - low > 1e-12:
            places.append(x)
    return places


def _is_admissible(path: AbstractParameterPath, word: np.ndarray, s: float) -> bool:
    """Return whether the candidate at s has the word's signs, beyond rounding."""
    found, arrays = candidates(path, word[None], np.array([s])), path.arrays(np.array([s]))
    y = found.activations[0]
    bound = activation_errors(arrays, word[None], found.points)[0]
    return bool(np.where(word, y > bound, y <= bound).all())


def _is_clear(path: AbstractParameterPath, word: np.ndarray, s: float) -> bool:
    """Return whether the candidate has the word's signs, beyond what is noise on a rough path.

    A pre-activation that rests at zero is rounding, which no series resolves either.
    """
    found, arrays = candidates(path, word[None], np.array([s])), path.arrays(np.array([s]))
    forming = np.abs(found.points[0]) @ np.abs(arrays.W2[0]).T + np.abs(arrays.h2[0])
    signed = np.where(word, found.activations[0], -found.activations[0])
    return bool((signed > _NOISE * forming).all())


def in_turn(places: Seeds) -> list[Seeds]:
    """Return the first place of every word, then the second, ...: most are known by then."""
    parts: list[Seeds] = []
    seen: dict[bytes, int] = {}
    for word, s in places:
        turn = seen.get(word.tobytes(), 0)
        seen[word.tobytes()] = turn + 1
        if turn == len(parts):
            parts.append([])
        parts[turn].append((word, s))
    return parts
