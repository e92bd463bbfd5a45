"""The linear relaxation of all closed orbits within bounds, its dictionary, and safe bounds.

For one period k the states satisfy E z = c + V n (k M equations): unit i at time t is off
(y = 0), on (y = x) or undecided; an undecided unit has either y = n or y = x + n with a nonbasic
variable n >= 0, whichever is likelier to be zero (`guess`). Undecided units are kept to the
triangle 0 <= y, x <= y, y - s x <= -s l with s = u / (u - l), l <= x <= u. Needs numba.

**Safe bounds** (Neumaier, Shcherbina 2004): a row v = sum_c T_vc n_c + const of the dictionary is
only a hint. Its coefficients, taken back to (z, n), give multipliers lambda = E^-T g of the
original equations; v = lambda . c + sum_c T_vc n_c + (residuals) . (z, n) holds for any lambda,
and every variable has bounds, so what rounding left over is paid for.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from ._closed_simplex import Dictionary, push, refresh

OFF, ON, FREE_OFF, FREE_ON = 0, 1, 2, 3
"""States of a unit; the free ones with y = n and y = x + n."""

SAFE = 1e-11
"""Rounding of a safe bound, as a fraction of the sum of its absolute terms (variables are <= 2)."""


class Relaxation(NamedTuple):
    """The equations E z = c + V n, and every variable as a combination of z, of two x, of two n."""

    matrix: Float[np.ndarray, "orbit orbit"]
    inverse: Float[np.ndarray, "orbit orbit"]
    right: Float[np.ndarray, " orbit"]
    drive: Float[np.ndarray, "orbit column"]
    bounds: Float[np.ndarray, "2 orbit"]
    nonbasic: Float[np.ndarray, "2 column"]
    sizes: Float[np.ndarray, " orbit"]
    column: Int[np.ndarray, " unit"]
    x_rows: Int[np.ndarray, " column"]
    state: Int[np.ndarray, " variable"]
    units: Int[np.ndarray, "variable 2"]
    on_x: Float[np.ndarray, "variable 2"]
    on_n: Float[np.ndarray, "variable 2"]


@no_type_check
@njit(cache=True, nogil=True)
def unit_states(xl, xu, guess):
    """Return the state of every unit; a unit that is both on and off (x = 0) is off."""
    states = np.empty(xl.shape, np.int64)
    for t in range(xl.shape[0]):
        for i in range(xl.shape[1]):
            if xu[t, i] <= 0.0:
                states[t, i] = OFF
            elif xl[t, i] >= 0.0:
                states[t, i] = ON
            else:
                states[t, i] = FREE_ON if guess[t, i] else FREE_OFF
    return states


def cycle_matrix(p, states):
    """Return E and c: row block t+1 reads z_{t+1} - (A + W1 D_t W2) z_t = h1 + W1 D_t h2."""
    period, size = len(states), len(p.A)
    E, c = np.eye(period * size), np.empty((period, size))
    blocks = E.reshape(period, size, period, size)
    for t in range(period):
        after, weights = (t + 1) % period, p.W1 * (states[t] % 2)
        blocks[after, :, t] -= p.A + weights @ p.W2
        c[after] = p.h1 + weights @ p.h2
    return E, c.ravel()


def _term_sizes(p, states):
    """Return the sum of the absolute terms that form each row of E z = c where |z| <= 1."""
    reach = (np.abs(p.W2).sum(axis=1) + np.abs(p.h2)) * (states % 2)
    fixed = 1.0 + np.abs(p.A).sum(axis=1) + np.abs(p.h1)
    return np.roll(fixed + reach @ np.abs(p.W1).T, 1, axis=0).ravel()


@no_type_check
@njit(cache=True, nogil=True)
def _needs_row(p, t, i, zl, zu):
    """Return whether the box of states leaves the sign of x_{t,i} open."""
    a = b = p.h2[i]
    for j in range(zl.shape[1]):
        w = p.W2[i, j]
        a += min(w * zl[t, j], w * zu[t, j])
        b += max(w * zl[t, j], w * zu[t, j])
    return a < 0.0 < b


@no_type_check
@njit(cache=True, nogil=True)
def _list_variables(p, states, aliased, leader, zl, zu, xl, xu):
    """Return (state, units, coefficients of x and y, low, high) of all variables."""
    period, units = states.shape
    most = zl.size + 4 * xl.size + period
    which, pair = np.full(most, -1), np.zeros((most, 2), np.int64)
    cx, cy = np.zeros((most, 2)), np.zeros((most, 2))
    low, high, n = np.zeros(most), np.zeros(most), 0
    for t in range(period):
        for j in range(zl.shape[1]):
            if not aliased[j]:
                which[n], low[n], high[n] = t * zl.shape[1] + j, zl[t, j], zu[t, j]
                n += 1
        for i in range(units):
            u, l, h = t * units + i, xl[t, i], xu[t, i]
            free = states[t, i] >= FREE_OFF
            if free or _needs_row(p, t, i, zl, zu):
                pair[n], cx[n, 0], low[n], high[n] = u, 1.0, l, h
                n += 1
            if free:
                slope = h / (h - l)
                pair[n], cy[n, 0], high[n] = u, 1.0, h
                pair[n + 1], cy[n + 1, 0], cx[n + 1, 0], high[n + 1] = u, 1.0, -1.0, -l
                pair[n + 2], cy[n + 2, 0], cx[n + 2, 0], high[n + 2] = u, 1.0, -slope, -slope * l
                n += 3
    if leader >= 0:
        for t in range(1, period):
            pair[n, 0], pair[n, 1], cx[n, 0], cx[n, 1] = leader, t * units + leader, 1.0, -1.0
            high[n] = max(xu[0, leader] - xl[t, leader], 0.0)
            n += 1
    return which[:n], pair[:n], cx[:n], cy[:n], low[:n], high[:n]


def _free_columns(p, states):
    """Return the column of every unit (-1 for a decided one), and the matrix V."""
    period, units = states.shape
    free = np.flatnonzero(states >= FREE_OFF)
    column, columns = np.full(states.size, -1), np.arange(len(free))
    column[free] = columns
    drive = np.zeros((period, len(p.A), len(free)))
    drive[(free // units + 1) % period, :, columns] = p.W1[:, free % units].T
    return column, drive.reshape(period * len(p.A), len(free))


def _vertex(p, inverse, right, drive):
    """Return all states and all pre-activations as functions of n, the constant last."""
    period = len(right) // len(p.A)
    Z = inverse @ np.column_stack([drive, right])
    X = p.W2 @ Z.reshape(period, len(p.A), -1)
    X[:, :, -1] += p.h2
    return Z, X.reshape(-1, Z.shape[1])


def relax(p, states, aliased, leader, zl, zu, xl, xu, E, right, inverse):
    """Return the relaxation within bounds and a dictionary at the vertex n = 0."""
    column, drive = _free_columns(p, states)
    which, pair, cx, cy, low, high = _list_variables(p, states, aliased, leader, zl, zu, xl, xu)
    state = states.ravel()[pair]
    on_x, on_n = cx + cy * (state % 2), np.where(state >= FREE_OFF, cy, 0.0)
    Z, X = _vertex(p, inverse, right, drive)
    T = on_x[:, :1] * X[pair[:, 0]] + on_x[:, 1:] * X[pair[:, 1]]
    T[which >= 0] = Z[which[which >= 0]]
    v, s = np.nonzero(on_n)
    np.add.at(T, (v, column[pair[v, s]]), on_n[v, s])

    count, owner = drive.shape[1], column[pair[:, 0]]
    x_rows, basis, position = np.empty(count, int), np.empty(count, int), np.full(len(which), -1)
    is_x = (owner >= 0) & (cx[:, 0] == 1.0) & (cy[:, 0] == 0.0) & (cx[:, 1] == 0.0)
    x_rows[owner[is_x]] = np.flatnonzero(is_x)
    is_n = np.flatnonzero((on_x[:, 0] == 0.0) & (on_n[:, 0] == 1.0))
    basis[:] = is_n[np.unique(owner[is_n], return_index=True)[1]]
    position[basis] = np.arange(count)

    value = T[:, -1].copy()
    value[basis] = 0.0
    d = Dictionary(T, low, high, value, basis, position, (low <= value) & (value <= high))
    nonbasic = np.stack([np.zeros(count), high[basis]])
    bounds = np.stack([zl.ravel(), zu.ravel()])
    sizes = _term_sizes(p, states) + np.abs(drive) @ nonbasic[1]
    kinds = (column, x_rows, which, pair, on_x, on_n)
    return Relaxation(E, inverse, right, drive, bounds, nonbasic, sizes, *kinds), d


@no_type_check
@njit(cache=True, nogil=True)
def _take_back(r, p, v, factor, gz, gx, gn):
    """Add factor times variable v, as a combination of z, x and n."""
    if r.state[v] >= 0:
        gz[r.state[v]] += factor
        return
    for s in range(2):
        u = r.units[v, s]
        gx[u] += factor * r.on_x[v, s]
        if r.on_n[v, s] != 0.0:
            gn[r.column[u]] += factor * r.on_n[v, s]


@no_type_check
@njit(cache=True, nogil=True)
def safe_bound(r, p, d, v, sign):
    """Return an upper bound of sign * v over all closed orbits within bounds, safe to rounding.

    It is infinite where the arithmetic overflows.
    """
    size, units = p.W2.shape[1], p.W2.shape[0]
    gz, gx, gn = np.zeros(len(r.right)), np.zeros(len(r.column)), np.zeros(len(d.basis))
    total, scale = 0.0, 4.0
    _take_back(r, p, v, sign, gz, gx, gn)
    for c in range(len(d.basis)):
        slope, own = sign * d.T[v, c], d.basis[c]
        if slope != 0.0 and own != v:
            _take_back(r, p, own, -slope, gz, gx, gn)
            worst = d.high[own] if slope > 0.0 else d.low[own]
            total += slope * worst
            scale += 4.0 * abs(slope)
        elif own == v:
            return max(sign * d.low[v], sign * d.high[v])
    for u in range(len(gx)):
        if gx[u] != 0.0:
            start, i = (u // units) * size, u % units
            gz[start : start + size] += gx[u] * p.W2[i]
            total += gx[u] * p.h2[i]
            scale += abs(gx[u])
    weights = r.inverse.T @ gz
    total += weights @ r.right
    scale += np.abs(weights) @ r.sizes
    left_n = gn + weights @ r.drive
    left_z = gz - weights @ r.matrix
    for c in range(len(left_n)):
        total += max(left_n[c] * r.nonbasic[0, c], left_n[c] * r.nonbasic[1, c])
    for j in range(len(left_z)):
        total += max(left_z[j] * r.bounds[0, j], left_z[j] * r.bounds[1, j])
    bound = total + SAFE * (scale + np.abs(gz).sum() + np.abs(gn).sum())
    return bound if np.isfinite(bound) else np.inf


FEASIBLE, EMPTY, UNKNOWN = 0, 1, 2


@no_type_check
@njit(cache=True, nogil=True)
def make_feasible(r, p, d, tolerance, limit):
    """Push every variable into its bounds; say EMPTY only where a safe bound forbids it.

    UNKNOWN: the simplex method failed for numerical reasons, nothing is concluded.
    """
    pushes = 0
    while True:
        worst, row = 0.0, -1
        for v in range(len(d.met)):
            off = max(d.low[v] - d.value[v], d.value[v] - d.high[v])
            if not d.met[v] and off > worst:
                worst, row = off, v
            elif off <= 0.0:
                d.met[v] = True
        if row < 0:
            return FEASIBLE, pushes
        sign = 1.0 if d.value[row] < d.low[row] else -1.0
        target = d.low[row] if sign > 0.0 else d.high[row]
        pushes += 1
        if not push(d, row, sign, target, limit):
            if safe_bound(r, p, d, row, sign) < sign * target - tolerance:
                return EMPTY, pushes
            if sign * (target - d.value[row]) > tolerance:
                return UNKNOWN, pushes
            d.met[row] = True


@no_type_check
@njit(cache=True, nogil=True)
def _fix(r, p, d, v, low, high, tolerance, limit):
    """Decide the unit of pre-activation v by its new bounds: y - x = 0 or y = 0."""
    changed = v + 2 if low[v] >= 0.0 else v + 1
    d.high[changed] = 0.0
    if d.column[changed] >= 0:
        d.value[changed] = 0.0
        refresh(d)
        for w in range(len(d.met)):
            d.met[w] = d.low[w] <= d.value[w] <= d.high[w]
    else:
        d.met[changed] = d.value[changed] <= 0.0
    return make_feasible(r, p, d, tolerance, limit)


@no_type_check
@njit(cache=True, nogil=True)
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
            if pending[n, s]:
                near = high[v] - seen[1, v] if s else seen[0, v] - low[v]
                if near < keep * width or width <= tolerance:
                    pending[n, s] = False
                    continue
                ahead = (high[v] - value[v] if s else value[v] - low[v]) / width
                if ahead < best:
                    best, chosen, side = ahead, n, s
    return chosen, side


@no_type_check
@njit(cache=True, nogil=True)
def tighten(r, p, d, targets, pending, low, high, seen, keep, tolerance, limit, most):
    """Bound the variables `targets` on their `pending` sides by linear programs; tighten low, high.

    The next side is always the closest one (Gleixner, Berthold, Mueller, Weltge 2017). A unit whose
    sign becomes known is decided at once. `seen` (4 rows) collects the least, the greatest and the
    sum of all values at vertices, and in [3, 0] their number. At most `most` programs are solved.
    Return (FEASIBLE, EMPTY or UNKNOWN, number of linear programs).
    """
    count = 0
    while count < most:
        n, side = _next_side(d.value, targets, pending, low, high, seen, keep, tolerance)
        if n < 0:
            pending[:] = False
            break
        pending[n, side] = False
        v, sign = targets[n], 2.0 * side - 1.0
        push(d, v, sign, np.inf, limit)
        count += 1
        seen[0], seen[1] = np.minimum(seen[0], d.value), np.maximum(seen[1], d.value)
        seen[2] += d.value
        seen[3, 0] += 1.0
        bound = sign * (safe_bound(r, p, d, v, sign) + tolerance)
        if side:
            high[v] = min(high[v], bound)
        else:
            low[v] = max(low[v], bound)
        if low[v] > high[v]:
            return EMPTY, count
        if r.state[v] < 0 and (low[v] >= 0.0 or high[v] <= 0.0):
            pending[n] = False
            status, more = _fix(r, p, d, v, low, high, tolerance, limit)
            count += more
            if status != FEASIBLE:
                return status, count
    return FEASIBLE, count
