"""A compiled simplex method on a dense dictionary of bounded variables, one row per variable.

Every variable v is an affine function v = T[v, :-1] . n + T[v, -1] of the nonbasic ones n, each
of which rests on one of its bounds; the row of a nonbasic variable is a unit vector. An objective
is always a variable, so its row is its reduced costs, and no second phase or tableau is needed.
What is concluded from a row is checked elsewhere against the original equations, so that an
inaccurate dictionary costs a pruning, never a cycle.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ...._compiled import inlined, inner

ZERO = 1e-9
"""Entries of the dictionary below this do not pivot; all variables are of order one."""

SLACK = 1e-9
"""Bounds may be passed by this much in the ratio test, for larger pivots (Harris 1973)."""

ROOMS, LENGTHS, PIVOT_ROW = range(3)
"""Rows of the working space."""


class Dictionary(NamedTuple):
    """Rows, bounds, values; `basis[c]` is the variable of column c, `column[v]` its inverse or -1.

    `met[v]` says whether v is within its bounds: only then do they block. `space` is working space.
    """

    T: Float[np.ndarray, "variable augmented"]
    low: Float[np.ndarray, " variable"]
    high: Float[np.ndarray, " variable"]
    value: Float[np.ndarray, " variable"]
    basis: Int[np.ndarray, " column"]
    column: Int[np.ndarray, " variable"]
    met: Bool[np.ndarray, " variable"]
    space: Float[np.ndarray, "3 longest"]


@inner("void(f8[:,::1], i8[::1], i8[::1], f8[:,::1], i8, i8)")
def _pivot(T, basis, column, space, row, c):
    """Exchange the variable of column c with the basic variable `row`."""
    count, width = T.shape
    for j in range(width):
        space[PIVOT_ROW, j] = T[row, j]
    entry = T[row, c]
    for i in range(count):
        f = T[i, c]
        if i != row and f != 0.0:
            f /= entry
            for j in range(width):
                T[i, j] -= f * space[PIVOT_ROW, j]
            T[i, c] = f
    for j in range(width):
        T[row, j] = 0.0
    T[row, c] = 1.0
    column[basis[c]] = -1
    column[row] = c
    basis[c] = row


@inner("void(f8[:,::1], f8[::1], i8[::1], i8[::1], f8[:,::1])")
def refresh(T, value, basis, column, space):
    """Recompute all values from the nonbasic ones."""
    size = len(basis)
    for v in range(len(value)):
        total = T[v, size]
        for c in range(size):
            total += T[v, c] * value[basis[c]]
        space[ROOMS, v] = total
    for v in range(len(value)):
        if column[v] < 0:
            value[v] = space[ROOMS, v]


@inner("Tuple((i8, f8))(f8[:,::1], f8[::1], f8[::1], f8[::1], i8[::1], f8[:,::1], i8, f8)")
def _entering(T, low, high, value, basis, space, row, sign):
    """Return the column of steepest ascent of sign * row, and its direction; -1 at the optimum.

    An edge is as long as what moves along it: all variables.
    """
    size = len(basis)
    for c in range(size):
        space[LENGTHS, c] = 1.0
    for v in range(len(value)):
        for c in range(size):
            space[LENGTHS, c] += T[v, c] * T[v, c]
    best, chosen, direction = 0.0, -1, 1.0
    for c in range(size):
        slope, v, length = sign * T[row, c], basis[c], space[LENGTHS, c]
        if abs(slope) <= ZERO or slope * slope <= best * length:
            continue
        if slope > 0.0:
            if value[v] < high[v]:
                best, chosen, direction = slope * slope / length, c, 1.0
        elif value[v] > low[v]:
            best, chosen, direction = slope * slope / length, c, -1.0
    return chosen, direction


@inner("f8(f8, f8, f8, f8, b1)")
def _room(rate, value, low, high, met):
    """Return how far a variable may move in the direction of `rate` (infinite: nothing blocks)."""
    if rate > 0.0:
        ahead, blocks = high - value, met or value <= high + SLACK
    else:
        ahead, blocks = value - low, met or value >= low - SLACK
    if not blocks:
        return np.inf
    return 0.0 if ahead < 0.0 else ahead


@inlined
def _leaving(d: Dictionary, row: int, sign: float, target: float, c: int, direction: float):
    """Return the blocking variable and the step length (the two passes of Harris)."""
    T, low, high, value, column, met, space = (
        d.T, d.low, d.high, d.value, d.column, d.met, d.space,
    )  # fmt: skip
    own, slope = d.basis[c], abs(T[row, c])
    longest = high[own] - low[own]
    bounded, missing = math.isfinite(target), 0.0
    if bounded:
        missing = sign * (target - value[row])
        if missing / slope < longest:
            longest = missing / slope if missing > 0.0 else 0.0
    bound = longest
    for v in range(len(value)):
        rate = T[v, c] * direction
        if abs(rate) > ZERO and column[v] < 0:
            room = _room(rate, value[v], low[v], high[v], met[v])
            space[ROOMS, v] = room
            if (room + SLACK) / abs(rate) < bound:
                bound = (room + SLACK) / abs(rate)
    chosen, largest, step = -1, ZERO, longest
    for v in range(len(value)):
        rate = abs(T[v, c])
        if rate > largest and column[v] < 0 and space[ROOMS, v] / rate <= bound:
            chosen, largest, step = v, rate, space[ROOMS, v] / rate
    if bounded and step * slope >= missing - SLACK:
        return row, (missing if missing > 0.0 else 0.0) / slope
    if chosen < 0 or longest <= step:
        return -1, longest
    return chosen, step


@inner()
def push(d: Dictionary, row: int, sign: float, target: float, limit: int) -> bool:
    """Raise sign * value[row] to the target (infinite: as far as it goes) by primal pivots.

    At most `limit` pivots are made. Return whether the target was reached; its variable has then
    left the basis, at the target. Variables that come within their bounds stay there.
    """
    T, low, high, value, basis, column, met, space = d
    for _ in range(limit):
        c, direction = _entering(T, low, high, value, basis, space, row, sign)
        if c < 0:
            return False
        leaving, step = _leaving(d, row, sign, target, c, direction)
        own = basis[c]
        for v in range(len(value)):
            value[v] += T[v, c] * (direction * step)
            if not met[v] and low[v] <= value[v] <= high[v]:
                met[v] = True
        if leaving < 0:
            value[own] = high[own] if direction > 0.0 else low[own]
            continue
        rate = T[leaving, c] * direction
        _pivot(T, basis, column, space, leaving, c)
        if leaving == row and math.isfinite(target):
            value[row] = target
            met[row] = True
            return True
        value[leaving] = high[leaving] if rate > 0.0 else low[leaving]
    return False
