"""Interval propagation around a closed orbit, compiled: bounds of states and of pre-activations.

This module needs numba (the extra `rigorous`); import it inside functions only.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit

PAD = 1e-12
"""Sums are widened by this fraction of the sum of their absolute terms: a few hundred roundings."""

ENOUGH = 0.05
"""Propagation goes on while some interval lost more than this fraction of its width."""


class Parameters(NamedTuple):
    """The arrays of z' = A z + W1 relu(W2 z + h2) + h1, as compiled code wants them."""

    A: Float[np.ndarray, "state state"]
    W1: Float[np.ndarray, "state unit"]
    W2: Float[np.ndarray, "unit state"]
    h1: Float[np.ndarray, " state"]
    h2: Float[np.ndarray, " unit"]


@no_type_check
@njit(cache=True, nogil=True)
def sum_range(weights, low, high, constant):
    """Return the range of constant + weights . v for low <= v <= high, widened for rounding."""
    a, b, size = constant, constant, abs(constant)
    for j in range(weights.size):
        w = weights[j]
        if w > 0.0:
            a += w * low[j]
            b += w * high[j]
        elif w < 0.0:
            a += w * high[j]
            b += w * low[j]
        size += abs(w) * max(abs(low[j]), abs(high[j]))
    return a - PAD * size, b + PAD * size


@no_type_check
@njit(cache=True, nogil=True)
def _tighten_terms(weights, low, high, a, b, total_low, total_high):
    """Tighten low, high where weights . v + constant, of range [a, b], is in the total's range.

    Return the largest relative gain, or -1.0 where nothing is left.
    """
    gain = 0.0
    for j in range(weights.size):
        w = weights[j]
        if w == 0.0:
            continue
        width = high[j] - low[j]
        if w > 0.0:
            least = (total_low - (b - w * high[j])) / w
            most = (total_high - (a - w * low[j])) / w
        else:
            least = (total_high - (a - w * high[j])) / w
            most = (total_low - (b - w * low[j])) / w
        if least > low[j] + PAD:
            low[j] = least
        if most < high[j] - PAD:
            high[j] = most
        if low[j] > high[j]:
            if low[j] > high[j] + PAD:
                return -1.0
            low[j], high[j] = high[j], low[j]
        if width > 0.0:
            gain = max(gain, 1.0 - (high[j] - low[j]) / width)
    return gain


@no_type_check
@njit(cache=True, nogil=True)
def _meet(low, high, index, a, b):
    """Intersect the interval of one variable with [a, b]; return the gain as `_tighten_terms`."""
    width = high[index] - low[index]
    low[index] = max(low[index], a)
    high[index] = min(high[index], b)
    if low[index] > high[index]:
        if low[index] > high[index] + PAD:
            return -1.0
        low[index], high[index] = high[index], low[index]
    return 1.0 - (high[index] - low[index]) / width if width > 0.0 else 0.0


@no_type_check
@njit(cache=True, nogil=True)
def _through_units(p, zl, zu, xl, xu):
    """Propagate x = W2 z + h2 both ways at one time."""
    gain = 0.0
    for i in range(xl.size):
        a, b = sum_range(p.W2[i], zl, zu, p.h2[i])
        first = _meet(xl, xu, i, a, b)
        second = _tighten_terms(p.W2[i], zl, zu, a, b, xl[i], xu[i])
        if first < 0.0 or second < 0.0:
            return -1.0
        gain = max(gain, first, second)
    return gain


@no_type_check
@njit(cache=True, nogil=True)
def _through_step(p, joint, zl, zu, xl, xu, next_low, next_high):
    """Propagate z' = [A W1] (z, relu(x)) + h1 both ways at one time."""
    size, units, gain = zl.size, xl.size, 0.0
    low, high = np.empty(size + units), np.empty(size + units)
    low[:size], high[:size] = zl, zu
    low[size:], high[size:] = np.maximum(xl, 0.0), np.maximum(xu, 0.0)
    for r in range(size):
        a, b = sum_range(joint[r], low, high, p.h1[r])
        first = _meet(next_low, next_high, r, a, b)
        second = _tighten_terms(joint[r], low, high, a, b, next_low[r], next_high[r])
        if first < 0.0 or second < 0.0:
            return -1.0
        gain = max(gain, first, second)
    zl[:], zu[:] = np.maximum(zl, low[:size]), np.minimum(zu, high[:size])
    for i in range(units):
        if high[size + i] < -PAD:
            return -1.0
        if high[size + i] < max(xu[i], 0.0):
            xu[i] = max(high[size + i], 0.0)
        if low[size + i] > max(xl[i], 0.0):
            xl[i] = low[size + i]
        if xl[i] > xu[i]:
            return -1.0
    return gain


@no_type_check
@njit(cache=True, nogil=True)
def _in_order(leader, xl, xu):
    """Use x_{0,leader} >= x_{t,leader} for all t, which picks one rotation of a cycle.

    Equal maxima are common (cycles of a shorter period): only more than rounding tells them apart.
    """
    for t in range(1, len(xl)):
        if xl[t, leader] > xu[0, leader] + PAD:
            return False
        xu[t, leader] = min(xu[t, leader], xu[0, leader] + PAD)
        xl[0, leader] = max(xl[0, leader], xl[t, leader] - PAD)
    return True


@no_type_check
@njit(cache=True, nogil=True)
def propagate(p, joint, leader, zl, zu, xl, xu, rounds):
    """Tighten bounds of a closed orbit in place; return whether anything is left.

    The constraints are x_t = W2 z_t + h2 and z_{t+1} = A z_t + W1 relu(x_t) + h1 for all t modulo
    the period, each used forwards and backwards, in at most `rounds` sweeps; with `leader` >= 0
    also x_{0,leader} >= x_{t,leader}. No orbit within the bounds is lost, up to rounding.

    **Arguments:** `p` Parameters; `joint` = [A W1]; bounds "time state" and "time unit".
    """
    period = len(zl)
    for _ in range(rounds):
        gain = 0.0
        if leader >= 0 and not _in_order(leader, xl, xu):
            return False
        for t in range(period):
            here = _through_units(p, zl[t], zu[t], xl[t], xu[t])
            if here < 0.0:
                return False
            gain = max(gain, here)
        for t in range(period):
            after = (t + 1) % period
            here = _through_step(p, joint, zl[t], zu[t], xl[t], xu[t], zl[after], zu[after])
            if here < 0.0:
                return False
            gain = max(gain, here)
        if gain < ENOUGH:
            break
    return True
