"""Safe bounds and linear programs over a relaxation of closed orbits, compiled."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ...._compiled import compiled, inlined, inner
from ._dictionary import Dictionary, push, refresh
from ._intervals import Bounds

OFF, ON, FREE_OFF, FREE_ON = 0, 1, 2, 3
"""States of a unit; the free ones with y = n and y = x + n."""

SAFE = 1e-11
"""Rounding of a safe bound, as a fraction of the sum of its absolute terms (variables are <= 2)."""

FEASIBLE, EMPTY, UNKNOWN = 0, 1, 2

ON_Z, ON_X, WEIGHTS = range(3)
"""Rows of `terms`: a combination of (z, n), of all x, and the multipliers of the equations."""


class Relaxation(NamedTuple):
    """The equations E z = c + V n, and every variable as a combination of z, of two x, of two n.

    **Fields:** `inverse` of E; `system`: E, -V, c and the sizes of the terms of each equation;
    `ranges` of z and n; `parts`: state (-1: none) and two units of each variable; `factors` of two
    x and of two n; `owner`: the column of each unit or -1; `planes`: W2 and h2; `terms`: working
    space; `x_rows`: the pre-activation of each column.
    """

    inverse: Float[np.ndarray, "orbit orbit"]
    system: Float[np.ndarray, "orbit width"]
    ranges: Float[np.ndarray, "2 variable"]
    parts: Int[np.ndarray, "variable 3"]
    factors: Float[np.ndarray, "variable 4"]
    owner: Int[np.ndarray, " unit"]
    planes: Float[np.ndarray, "merged augmented"]
    terms: Float[np.ndarray, "3 longest"]
    x_rows: Int[np.ndarray, " column"]


class Aims(NamedTuple):
    """The variables `targets` are to be bounded on their `pending` sides, in `least` and `most`.

    `seen` collects the least, the greatest and the sum of all values at vertices, and in [3, 0]
    their number.
    """

    targets: Int[np.ndarray, " target"]
    pending: Bool[np.ndarray, "target 2"]
    least: Float[np.ndarray, " variable"]
    most: Float[np.ndarray, " variable"]
    seen: Float[np.ndarray, "4 variable"]


@inner("b1(f8[:,::1], i8, f8[:,::1], f8[:,::1], i8)")
def _needs_row(planes, i, zl, zu, t):
    """Return whether the box of states leaves the sign of x_{t,i} open."""
    size = zl.shape[1]
    a = b = planes[i, size]
    for j in range(size):
        x, y = planes[i, j] * zl[t, j], planes[i, j] * zu[t, j]
        a += y if y < x else x
        b += y if y > x else x
    return a < 0.0 < b


@compiled()
def list_variables(
    planes: Float[np.ndarray, "merged augmented"],
    states: Int[np.ndarray, "time merged"],
    aliased: Bool[np.ndarray, " state"],
    leader: int,
    bounds: Bounds,
    parts: Int[np.ndarray, "variable 3"],
    factors: Float[np.ndarray, "variable 4"],
    limits: Float[np.ndarray, "2 variable"],
) -> int:
    """List all variables; return their number.

    Written are the state or -1 and the two units of each one (`parts`), the factors of two x and of
    two y, and low, high (the rows of `limits`).
    """
    zl, zu, xl, xu = bounds
    period, units = states.shape
    size, n = zl.shape[1], 0
    for t in range(period):
        for j in range(size):
            if not aliased[j]:
                parts[n, 0] = t * size + j
                limits[0, n] = zl[t, j]
                limits[1, n] = zu[t, j]
                n += 1
        for i in range(units):
            l, h = xl[t, i], xu[t, i]
            free = states[t, i] >= FREE_OFF
            first = n
            if free or _needs_row(planes, i, zl, zu, t):
                factors[n, 0] = 1.0
                limits[0, n] = l
                limits[1, n] = h
                n += 1
            if free:
                slope = h / (h - l)
                factors[n, 2] = 1.0
                limits[1, n] = h
                factors[n + 1, 2] = 1.0
                factors[n + 1, 0] = -1.0
                limits[1, n + 1] = -l
                factors[n + 2, 2] = 1.0
                factors[n + 2, 0] = -slope
                limits[1, n + 2] = -slope * l
                n += 3
            for v in range(first, n):
                parts[v, 1] = t * units + i
    if leader >= 0:
        for t in range(1, period):
            parts[n, 1] = leader
            parts[n, 2] = t * units + leader
            factors[n, 0] = 1.0
            factors[n, 1] = -1.0
            ahead = xu[0, leader] - xl[t, leader]
            limits[1, n] = ahead if ahead > 0.0 else 0.0
            n += 1
    return n


@inner("void(i8[:,::1], f8[:,::1], i8[::1], f8[:,::1], i8, i8, f8)")
def _take_back(parts, factors, owner, terms, orbit, v, factor):
    """Add factor times variable v, as a combination of z, x and n."""
    if parts[v, 0] >= 0:
        terms[ON_Z, parts[v, 0]] += factor
        return
    for s in range(2):
        u = parts[v, 1 + s]
        terms[ON_X, u] += factor * factors[v, s]
        if factors[v, 2 + s] != 0.0:
            terms[ON_Z, orbit + owner[u]] += factor * factors[v, 2 + s]


@inner("Tuple((f8, f8))(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1])")
def _remainder(inverse, system, ranges, terms):
    """Bound a combination of (z, n): by the equations, and by bounds for what is then left of it.

    Return the bound and the sum of the absolute terms of its rounding errors.
    """
    orbit, width = len(inverse), ranges.shape[1]
    total, scale = 0.0, 0.0
    for j in range(orbit):
        terms[WEIGHTS, j] = 0.0
    for j in range(width):
        scale += abs(terms[ON_Z, j])
    for i in range(orbit):
        x = terms[ON_Z, i]
        if x != 0.0:
            for j in range(orbit):
                terms[WEIGHTS, j] += x * inverse[i, j]
    for i in range(orbit):
        x = terms[WEIGHTS, i]
        total += x * system[i, width]
        scale += abs(x) * system[i, width + 1]
        for j in range(width):
            terms[ON_Z, j] -= x * system[i, j]
    for j in range(width):
        x = terms[ON_Z, j]
        low, high = x * ranges[0, j], x * ranges[1, j]
        total += high if high > low else low
    return total, scale


@compiled()
def safe_bound(r: Relaxation, d: Dictionary, v: int, sign: float) -> float:
    """Return an upper bound of sign * v over all closed orbits within bounds, safe to rounding.

    It is infinite where the arithmetic overflows.
    """
    inverse, system, ranges, parts, factors, owner, planes, terms, _ = r
    T, low, high, basis = d.T, d.low, d.high, d.basis
    units, size, orbit = len(planes), planes.shape[1] - 1, len(inverse)
    if d.column[v] >= 0:
        return sign * high[v] if sign > 0.0 else sign * low[v]
    for k in range(terms.shape[1]):
        terms[ON_Z, k] = 0.0
        terms[ON_X, k] = 0.0
    total, scale = 0.0, 4.0
    _take_back(parts, factors, owner, terms, orbit, v, sign)
    for c in range(len(basis)):
        slope, own = sign * T[v, c], basis[c]
        if slope != 0.0:
            _take_back(parts, factors, owner, terms, orbit, own, -slope)
            total += slope * (high[own] if slope > 0.0 else low[own])
            scale += 4.0 * abs(slope)
    for u in range(len(owner)):
        x = terms[ON_X, u]
        if x != 0.0:
            start, i = (u // units) * size, u % units
            for j in range(size):
                terms[ON_Z, start + j] += x * planes[i, j]
            total += x * planes[i, size]
            scale += abs(x)
    more, wide = _remainder(inverse, system, ranges, terms)
    bound = total + more + SAFE * (scale + wide)
    return bound if math.isfinite(bound) else np.inf


@inner("Tuple((i8, f8))(f8[::1], f8[::1], f8[::1], b1[::1])")
def _worst(low, high, value, met):
    """Return the variable furthest out of its bounds (-1: none) and which way it has to go."""
    worst, row, sign = 0.0, -1, 1.0
    for v in range(len(met)):
        below, above = low[v] - value[v], value[v] - high[v]
        off = above if above > below else below
        if not met[v] and off > worst:
            worst, row, sign = off, v, 1.0 if below > 0.0 else -1.0
        elif off <= 0.0:
            met[v] = True
    return row, sign


@compiled()
def make_feasible(r: Relaxation, d: Dictionary, tolerance: float, limit: int) -> tuple[int, int]:
    """Push every variable into its bounds; say EMPTY only where a safe bound forbids it.

    UNKNOWN: the simplex method failed for numerical reasons, nothing is concluded. Also returned is
    the number of linear programs.
    """
    low, high, value, met = d.low, d.high, d.value, d.met
    pushes = 0
    while True:
        row, sign = _worst(low, high, value, met)
        if row < 0:
            return FEASIBLE, pushes
        target = low[row] if sign > 0.0 else high[row]
        pushes += 1
        if not push(d, row, sign, target, limit):
            bound = safe_bound(r, d, row, sign)
            if bound < sign * target - tolerance:
                return EMPTY, pushes
            if sign * (target - value[row]) > tolerance:
                return UNKNOWN, pushes
            met[row] = True


@inlined
def _fix(d: Dictionary, changed: int) -> None:
    """Set a variable of a decided unit, y - x or y, to zero."""
    T, low, high, value, basis, column, met, space = d
    high[changed] = 0.0
    if column[changed] < 0:
        met[changed] = value[changed] <= 0.0
        return
    value[changed] = 0.0
    refresh(T, value, basis, column, space)
    for w in range(len(met)):
        met[w] = low[w] <= value[w] <= high[w]


@inlined
def _next_side(value, targets, pending, low, high, seen, keep, tolerance):
    """Return the pending (target, side) whose bound is relatively closest to the present vertex.

    A side is struck off where a vertex seen lies within the fraction `keep` of the interval's
    width from its bound.
    """
    best, chosen, side = np.inf, -1, 0
    for n in range(len(targets)):
        v = targets[n]
        width = high[v] - low[v]
        for s in range(2):
            if not pending[n, s]:
                continue
            near = high[v] - seen[1, v] if s else seen[0, v] - low[v]
            if near < keep * width or width <= tolerance:
                pending[n, s] = False
                continue
            ahead = (high[v] - value[v] if s else value[v] - low[v]) / width
            if ahead < best:
                best, chosen, side = ahead, n, s
    return chosen, side


@inlined
def _see(value, seen):
    """Collect the least, the greatest and the sum of all values, and their number."""
    for v in range(len(value)):
        x = value[v]
        if x < seen[0, v]:
            seen[0, v] = x
        if x > seen[1, v]:
            seen[1, v] = x
        seen[2, v] += x
    seen[3, 0] += 1.0


@compiled()
def tighten(
    r: Relaxation, d: Dictionary, aims: Aims, keep: float, tolerance: float, limit: int,
    programs: int,
) -> tuple[int, int]:  # fmt: skip
    """Tighten bounds of variables by at most so many linear programs; the closest side is next.

    (Gleixner, Berthold, Mueller, Weltge 2017.) A unit whose sign becomes known is decided at once.
    Return (FEASIBLE, EMPTY or UNKNOWN, number of linear programs).
    """
    targets, pending, least, most, seen = aims
    value, parts = d.value, r.parts
    count = 0
    while count < programs:
        n, side = _next_side(value, targets, pending, least, most, seen, keep, tolerance)
        if n < 0:
            return FEASIBLE, count
        pending[n, side] = False
        v, sign = targets[n], 2.0 * side - 1.0
        push(d, v, sign, np.inf, limit)
        count += 1
        _see(value, seen)
        bound = sign * (tolerance + safe_bound(r, d, v, sign))
        if side and bound < most[v]:
            most[v] = bound
        if not side and bound > least[v]:
            least[v] = bound
        if least[v] > most[v]:
            return EMPTY, count
        if parts[v, 0] < 0 and (least[v] >= 0.0 or most[v] <= 0.0):
            pending[n, 0] = False
            pending[n, 1] = False
            changed = v + 2 if least[v] >= 0.0 else v + 1
            _fix(d, changed)
            status, more = make_feasible(r, d, tolerance, limit)
            count += more
            if status != FEASIBLE:
                return status, count
    return FEASIBLE, count
