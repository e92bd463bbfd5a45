"""Words of a few bits as sequences of symbols: rotation classes, and transitions a map can make.

A symbol is the activation pattern of one step as an integer, unit i its bit i.
"""

import functools

import numpy as np
from jaxtyping import Bool, Int

from ..words import pack

MAX_SYMBOLS = 16
"""Transitions of more symbols are not tabulated."""
_REGULAR = 1e8
"""W2 of a larger condition number is not inverted."""
_TOLERANCE = 1e-9
"""A bound is not trusted to this fraction of the terms that form it."""


@functools.cache
def necklaces(period: int, num_units: int) -> Int[np.ndarray, "word time"]:
    """Return the least rotation of every primitive word of a period, as symbols.

    "Least" is byte order of the packed itinerary, as for the words of `CycleSet`.
    """
    base = 1 << num_units
    # A word is a number whose digits are ranks of symbols in byte order, the first time leading.
    digits = np.arange(base**period)
    patterns = unpack_symbols(np.arange(base), num_units)
    text = [row.tobytes() for row in pack(patterns)]
    by_rank = np.array(sorted(range(base), key=text.__getitem__), np.int32)
    turned, keep = digits, np.ones(len(digits), bool)
    for _ in range(period - 1):
        turned = turned % base ** (period - 1) * base + turned // base ** (period - 1)
        keep &= turned > digits
    kept = digits[keep]
    places = base ** np.arange(period - 1, -1, -1)
    found = by_rank[kept[:, None] // places % base]
    found.flags.writeable = False
    return found


def unpack_symbols(symbols: Int[np.ndarray, "*batch"], num_units: int) -> np.ndarray:
    """Return activation patterns "*batch unit" of symbols."""
    return (np.asarray(symbols)[..., None] >> np.arange(num_units)) & 1 == 1


def allowed_transitions(A, W1, W2, h1, h2) -> Bool[np.ndarray, "symbol symbol map"]:
    """Return which symbol may follow which in an orbit of each map.

    Where W2 is square and regular the pre-activations y are coordinates, and each component of
    y' = W2 F is affine on the orthant of a symbol: its range is a half-line or everything. A
    transition is ruled out only where a component cannot have the sign; else all are allowed.
    """
    count, size, units = W1.shape
    base = 1 << units
    everything = np.ones((base, base, count), bool)
    if size != units or base > MAX_SYMBOLS or not (np.linalg.cond(W2) < _REGULAR).all():
        return everything
    linear = W2 @ A @ np.linalg.inv(W2)
    active = W2 @ W1
    offset = np.einsum("bij,bj->bi", W2, h1) + h2 - np.einsum("bij,bj->bi", linear, h2)
    terms = np.einsum("bij,bj->bi", np.abs(linear), np.abs(h2)) + np.abs(h2)
    loose = _TOLERANCE * (terms + np.einsum("bij,bj->bi", np.abs(W2), np.abs(h1)))
    patterns = unpack_symbols(np.arange(base), units)
    # Slopes along the direction in which y_j leaves 0: up where the unit is on, else down.
    slopes = linear[:, None] + active[:, None] * patterns[None, :, None, :]
    slopes = np.where(patterns[None, :, None, :], slopes, -slopes)
    above = (slopes > 0).any(axis=-1) | (offset > -loose)[:, None]
    below = (slopes < 0).any(axis=-1) | (offset < loose)[:, None]
    fits = np.where(patterns[None, None], above[:, :, None, :], below[:, :, None, :])
    return np.ascontiguousarray(np.moveaxis(fits.all(axis=-1), 0, -1))
