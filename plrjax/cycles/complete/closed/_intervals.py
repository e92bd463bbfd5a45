"""Interval propagation around a closed orbit, compiled: bounds of states and of pre-activations.

Arrays, as passed around: `rows`, a linear function in each row, the constant last; `box`, lower
and upper bounds of what it is a function of.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ...._compiled import compiled, inner

PAD = 1e-12
"""Sums are widened by this fraction of the sum of their absolute terms: a few hundred roundings."""

ENOUGH = 0.05
"""Propagation goes on while some interval lost more than this fraction of its width."""


Rows = Float[np.ndarray, "row augmented"]


class Parameters(NamedTuple):
    """The arrays of z' = A z + W1 relu(W2 z + h2) + h1, as compiled code wants them."""

    A: Float[np.ndarray, "state state"]
    W1: Float[np.ndarray, "state unit"]
    W2: Float[np.ndarray, "unit state"]
    h1: Float[np.ndarray, " state"]
    h2: Float[np.ndarray, " unit"]


class Bounds(NamedTuple):
    """Lower and upper bounds of the states and of the pre-activations of a closed orbit."""

    zl: Float[np.ndarray, "time state"]
    zu: Float[np.ndarray, "time state"]
    xl: Float[np.ndarray, "time unit"]
    xu: Float[np.ndarray, "time unit"]


@inner("UniTuple(f8, 2)(f8[:,::1], i8, f8[:,::1])")
def _sum_range(rows, r, box):
    """Return the range of a row over the box, widened for rounding."""
    count = rows.shape[1] - 1
    a = b = rows[r, count]
    size = abs(a)
    for j in range(count):
        w, low, high = rows[r, j], box[0, j], box[1, j]
        if w > 0.0:
            a += w * low
            b += w * high
        elif w < 0.0:
            a += w * high
            b += w * low
        low, high = abs(low), abs(high)
        size += abs(w) * (high if high > low else low)
    return a - PAD * size, b + PAD * size


@inner("f8(f8[:,::1], i8, f8[:,::1], f8, f8, f8, f8)")
def _tighten_terms(rows, r, box, a, b, total_low, total_high):
    """Tighten the box where a row, of range [a, b], is in the total's range.

    Return the largest relative gain, or -1.0 where nothing is left.
    """
    gain = 0.0
    for j in range(rows.shape[1] - 1):
        w = rows[r, j]
        if w == 0.0:
            continue
        low, high = box[0, j], box[1, j]
        width = high - low
        if w > 0.0:
            least = (total_low - (b - w * high)) / w
            most = (total_high - (a - w * low)) / w
        else:
            least = (total_high - (a - w * high)) / w
            most = (total_low - (b - w * low)) / w
        if least > low + PAD:
            low = least
        if most < high - PAD:
            high = most
        if low > high:
            if low > high + PAD:
                return -1.0
            low, high = high, low
        box[0, j] = low
        box[1, j] = high
        if width > 0.0 and 1.0 - (high - low) / width > gain:
            gain = 1.0 - (high - low) / width
    return gain


@inner("f8(f8[:,::1], f8[:,::1], i8, i8, f8, f8)")
def _meet(lower, upper, t, index, a, b):
    """Intersect the interval of one variable with [a, b]; return the gain as `_tighten_terms`."""
    low, high = lower[t, index], upper[t, index]
    width = high - low
    if a > low:
        low = a
    if b < high:
        high = b
    if low > high:
        if low > high + PAD:
            return -1.0
        low, high = high, low
    lower[t, index] = low
    upper[t, index] = high
    return 1.0 - (high - low) / width if width > 0.0 else 0.0


@inner("f8(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, i8)")
def _through_row(rows, box, lower, upper, t, r):
    """Propagate y = row . v both ways; return the gain."""
    a, b = _sum_range(rows, r, box)
    first = _meet(lower, upper, t, r, a, b)
    second = _tighten_terms(rows, r, box, a, b, lower[t, r], upper[t, r])
    if first < 0.0 or second < 0.0:
        return -1.0
    return second if second > first else first


@inner("b1(f8[:,::1], f8[:,::1], f8[:,::1], i8, f8[:,::1], f8[:,::1])")
def _take_units(box, zl, zu, t, xl, xu):
    """Tighten bounds at one time by those of (z, relu(x)); return whether anything is left."""
    size = zl.shape[1]
    for j in range(size):
        if box[0, j] > zl[t, j]:
            zl[t, j] = box[0, j]
        if box[1, j] < zu[t, j]:
            zu[t, j] = box[1, j]
    for i in range(xl.shape[1]):
        low, high = box[0, size + i], box[1, size + i]
        if high < -PAD:
            return False
        if high < (xu[t, i] if xu[t, i] > 0.0 else 0.0):
            xu[t, i] = high if high > 0.0 else 0.0
        if low > (xl[t, i] if xl[t, i] > 0.0 else 0.0):
            xl[t, i] = low
        if xl[t, i] > xu[t, i]:
            return False
    return True


@inner("b1(i8, f8[:,::1], f8[:,::1])")
def _in_order(leader, xl, xu):
    """Use x_{0,leader} >= x_{t,leader} for all t, which picks one rotation of a cycle.

    Equal maxima are common (cycles of a shorter period): only more than rounding tells them apart.
    """
    for t in range(1, len(xl)):
        if xl[t, leader] > xu[0, leader] + PAD:
            return False
        if xu[0, leader] + PAD < xu[t, leader]:
            xu[t, leader] = xu[0, leader] + PAD
        if xl[t, leader] - PAD > xl[0, leader]:
            xl[0, leader] = xl[t, leader] - PAD
    return True


@compiled()
def _sweep(
    planes: Rows, steps: Rows, states: Rows, both: Rows, leader: int, bounds: Bounds, rounds: int
) -> bool:
    """Propagate in at most `rounds` sweeps; `states` and `both` are boxes to work in."""
    zl, zu, xl, xu = bounds
    period, size, units = len(zl), zl.shape[1], xl.shape[1]
    for _ in range(rounds):
        gain = 0.0
        if leader >= 0 and not _in_order(leader, xl, xu):
            return False
        for t in range(period):
            for j in range(size):
                states[0, j] = zl[t, j]
                states[1, j] = zu[t, j]
            for i in range(units):
                here = _through_row(planes, states, xl, xu, t, i)
                if here < 0.0:
                    return False
                if here > gain:
                    gain = here
            for j in range(size):
                zl[t, j] = states[0, j]
                zu[t, j] = states[1, j]
        for t in range(period):
            after = (t + 1) % period
            for j in range(size):
                both[0, j] = zl[t, j]
                both[1, j] = zu[t, j]
            for i in range(units):
                both[0, size + i] = xl[t, i] if xl[t, i] > 0.0 else 0.0
                both[1, size + i] = xu[t, i] if xu[t, i] > 0.0 else 0.0
            for r in range(size):
                here = _through_row(steps, both, zl, zu, after, r)
                if here < 0.0:
                    return False
                if here > gain:
                    gain = here
            if not _take_units(both, zl, zu, t, xl, xu):
                return False
        if gain < ENOUGH:
            break
    return True


def propagate(p, joint, leader, bounds, rounds) -> bool:
    """Tighten bounds of a closed orbit in place; return whether anything is left.

    The constraints are x_t = W2 z_t + h2 and z_{t+1} = A z_t + W1 relu(x_t) + h1 for all t modulo
    the period, each used forwards and backwards, in at most `rounds` sweeps; with `leader` >= 0
    also x_{0,leader} >= x_{t,leader}. No orbit within the bounds is lost, up to rounding.

    **Arguments:** `p` Parameters; `joint` = [A W1].
    """
    planes, steps = np.column_stack([p.W2, p.h2]), np.column_stack([joint, p.h1])
    states, both = np.empty((2, p.W2.shape[1])), np.empty((2, joint.shape[1]))
    return _sweep(planes, steps, states, both, leader, bounds, rounds)
