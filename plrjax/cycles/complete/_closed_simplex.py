"""A compiled simplex method on a dense dictionary of bounded variables, one row per variable.

Every variable v is an affine function v = T[v, :-1] . n + T[v, -1] of the nonbasic ones n, each
of which rests on one of its bounds; the row of a nonbasic variable is a unit vector. An objective
is always a variable, so its row is its reduced costs, and no second phase or tableau is needed.
What is concluded from a row is checked elsewhere against the original equations, so that an
inaccurate dictionary costs a pruning, never a cycle. Needs numba.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit

ZERO = 1e-9
"""Entries of the dictionary below this do not pivot; all variables are of order one."""

SLACK = 1e-9
"""Bounds may be passed by this much in the ratio test, for larger pivots (Harris 1973)."""


class Dictionary(NamedTuple):
    """Rows, bounds, values; `basis[c]` is the variable of column c, `column[v]` its inverse or -1.

    `met[v]` says whether v is within its bounds: only then do they block.
    """

    T: Float[np.ndarray, "variable augmented"]
    low: Float[np.ndarray, " variable"]
    high: Float[np.ndarray, " variable"]
    value: Float[np.ndarray, " variable"]
    basis: Int[np.ndarray, " column"]
    column: Int[np.ndarray, " variable"]
    met: Bool[np.ndarray, " variable"]


@no_type_check
@njit(cache=True, nogil=True)
def pivot(d, row, c):
    """Exchange the variable of column c with the basic variable `row`."""
    T = d.T
    pivot_row = T[row].copy()
    entry = pivot_row[c]
    for i in range(len(T)):
        f = T[i, c]
        if i != row and f != 0.0:
            f /= entry
            for j in range(len(pivot_row)):
                T[i, j] -= f * pivot_row[j]
            T[i, c] = f
    T[row] = 0.0
    T[row, c] = 1.0
    d.column[d.basis[c]] = -1
    d.column[row] = c
    d.basis[c] = row


@no_type_check
@njit(cache=True, nogil=True)
def refresh(d):
    """Recompute all values from the nonbasic ones."""
    augmented = np.ones(len(d.basis) + 1)
    augmented[:-1] = d.value[d.basis]
    values = d.T @ augmented
    for v in range(len(values)):
        if d.column[v] < 0:
            d.value[v] = values[v]


@no_type_check
@njit(cache=True, nogil=True)
def _lengths(d):
    """Return 1 + the squared length of every column over the variables that it moves."""
    length = np.ones(len(d.basis))
    for v in range(len(d.T)):
        row = d.T[v]
        for c in range(len(length)):
            length[c] += row[c] * row[c]
    return length


@no_type_check
@njit(cache=True, nogil=True)
def _entering(d, row, sign):
    """Return the column of steepest ascent of sign * row, and its direction; -1 at the optimum."""
    best, chosen, direction = 0.0, -1, 1.0
    length = _lengths(d)
    for c in range(len(d.basis)):
        slope, v = sign * d.T[row, c], d.basis[c]
        if abs(slope) <= ZERO or slope * slope <= best * length[c]:
            continue
        if slope > 0.0 and d.value[v] < d.high[v]:
            best, chosen, direction = slope * slope / length[c], c, 1.0
        elif slope < 0.0 and d.value[v] > d.low[v]:
            best, chosen, direction = slope * slope / length[c], c, -1.0
    return chosen, direction


@no_type_check
@njit(cache=True, nogil=True)
def _room(rate, value, low, high, met):
    """Return how far a variable may move in the direction of `rate` (infinite: nothing blocks)."""
    if rate > 0.0:
        return max(high - value, 0.0) if met or value <= high + SLACK else np.inf
    return max(value - low, 0.0) if met or value >= low - SLACK else np.inf


@no_type_check
@njit(cache=True, nogil=True)
def _leaving(d, row, sign, target, c, direction):
    """Return the blocking variable and the step length (the two passes of Harris)."""
    own = d.basis[c]
    longest, slope = d.high[own] - d.low[own], abs(d.T[row, c])
    if np.isfinite(target):
        longest = min(longest, max(sign * (target - d.value[row]), 0.0) / slope)
    rates, value, low, high, met, column = d.T[:, c], d.value, d.low, d.high, d.met, d.column
    rooms, bound = np.empty(len(rates)), longest
    for v in range(len(rates)):
        rate = rates[v] * direction
        if abs(rate) > ZERO and column[v] < 0:
            rooms[v] = _room(rate, value[v], low[v], high[v], met[v])
            bound = min(bound, (rooms[v] + SLACK) / abs(rate))
    chosen, largest, step = -1, 0.0, longest
    for v in range(len(rates)):
        rate = abs(rates[v])
        if rate > max(largest, ZERO) and column[v] < 0 and rooms[v] / rate <= bound:
            chosen, largest, step = v, rate, rooms[v] / rate
    if np.isfinite(target) and step * slope >= sign * (target - d.value[row]) - SLACK:
        return row, max(sign * (target - d.value[row]), 0.0) / slope
    if chosen < 0 or longest <= step:
        return -1, longest
    return chosen, step


@no_type_check
@njit(cache=True, nogil=True)
def _move(value, met, low, high, rates, step):
    """Change all values along a column; those that come within their bounds stay there."""
    for v in range(len(value)):
        value[v] += rates[v] * step
        if not met[v] and low[v] <= value[v] <= high[v]:
            met[v] = True


@no_type_check
@njit(cache=True, nogil=True)
def push(d, row, sign, target, limit):
    """Raise sign * value[row] to the target (infinite: as far as it goes) by primal pivots.

    At most `limit` pivots are made. Return whether the target was reached; its variable has then
    left the basis, at the target.
    """
    for _ in range(limit):
        c, direction = _entering(d, row, sign)
        if c < 0:
            return False
        leaving, step = _leaving(d, row, sign, target, c, direction)
        own = d.basis[c]
        _move(d.value, d.met, d.low, d.high, d.T[:, c], direction * step)
        if leaving < 0:
            d.value[own] = d.high[own] if direction > 0.0 else d.low[own]
            continue
        rate = d.T[leaving, c] * direction
        arrived = leaving == row and np.isfinite(target)
        pivot(d, leaving, c)
        if arrived:
            d.value[row], d.met[row] = target, True
            return True
        d.value[leaving] = d.high[leaving] if rate > 0.0 else d.low[leaving]
    return False
