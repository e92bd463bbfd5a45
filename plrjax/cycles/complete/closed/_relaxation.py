"""The linear relaxation of all closed orbits within bounds, its dictionary, and safe bounds.

For one period k the states satisfy E z = c + V n (k M equations): unit i at time t is off
(y = 0), on (y = x) or undecided; an undecided unit has either y = n or y = x + n with a nonbasic
variable n >= 0, whichever is likelier to be zero (`guess`). Undecided units are kept to the
triangle 0 <= y, x <= y, y - s x <= -s l with s = u / (u - l), l <= x <= u.

**Safe bounds** (Neumaier, Shcherbina 2004): a row v = sum_c T_vc n_c + const of the dictionary is
only a hint. Its coefficients, taken back to (z, n), give multipliers lambda = E^-T g of the
original equations; v = lambda . c + sum_c T_vc n_c + (residuals) . (z, n) holds for any lambda,
and every variable has bounds, so what rounding left over is paid for.
"""

import numpy as np

from ...._elimination import cyclic_matrix
from . import _kernel as kernel
from ._dictionary import Dictionary
from ._kernel import FREE_OFF, Relaxation


def unit_states(xl, xu, guess):
    """Return the state of every unit; a unit that is both on and off (x = 0) is off."""
    return np.where(xu <= 0.0, kernel.OFF, np.where(xl >= 0.0, kernel.ON, FREE_OFF + guess))


def _list_variables(planes, states, aliased, leader, bounds):
    """Return (parts, factors of x and y, low and high) of all variables."""
    most = bounds.zl.size + 4 * bounds.xl.size + len(states)
    parts, factors = np.zeros((most, 3), np.int64), np.zeros((most, 4))
    parts[:, 0], limits = -1, np.zeros((2, most))
    n = kernel.list_variables(planes, states, aliased, leader, bounds, parts, factors, limits)
    return parts[:n], factors[:n], *limits[:, :n].copy()


def cycle_system(p, states):
    """Return E and c: row block t+1 reads z_{t+1} - (A + W1 D_t W2) z_t = h1 + W1 D_t h2."""
    weights = p.W1 * (states % 2)[:, None]
    c = np.roll(p.h1 + weights @ p.h2, 1, axis=0)
    return cyclic_matrix((p.A + weights @ p.W2)[None])[0], c.ravel()


def _term_sizes(p, states):
    """Return the sum of the absolute terms that form each row of E z = c where |z| <= 1."""
    reach = (np.abs(p.W2).sum(axis=1) + np.abs(p.h2)) * (states % 2)
    fixed = 1.0 + np.abs(p.A).sum(axis=1) + np.abs(p.h1)
    return np.roll(fixed + reach @ np.abs(p.W1).T, 1, axis=0).ravel()


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


def relax(p, states, aliased, leader, bounds, E, right, inverse):
    """Return the relaxation within bounds and a dictionary at the vertex n = 0."""
    owner, drive = _free_columns(p, states)
    planes = np.column_stack([p.W2, p.h2])
    parts, factors, low, high = _list_variables(planes, states, aliased, leader, bounds)
    which, pair, cx, cy = parts[:, 0], parts[:, 1:], factors[:, :2], factors[:, 2:]
    state = states.ravel()[pair]
    on_x, on_n = cx + cy * (state % 2), np.where(state >= FREE_OFF, cy, 0.0)
    Z, X = _vertex(p, inverse, right, drive)
    T = on_x[:, :1] * X[pair[:, 0]] + on_x[:, 1:] * X[pair[:, 1]]
    T[which >= 0] = Z[which[which >= 0]]
    v, s = np.nonzero(on_n)
    np.add.at(T, (v, owner[pair[v, s]]), on_n[v, s])

    count, own = drive.shape[1], owner[pair[:, 0]]
    x_rows, basis, position = np.empty(count, int), np.empty(count, int), np.full(len(which), -1)
    is_x = (own >= 0) & (cx[:, 0] == 1.0) & (cy[:, 0] == 0.0) & (cx[:, 1] == 0.0)
    x_rows[own[is_x]] = np.flatnonzero(is_x)
    is_n = np.flatnonzero((on_x[:, 0] == 0.0) & (on_n[:, 0] == 1.0))
    basis[:] = is_n[np.unique(own[is_n], return_index=True)[1]]
    position[basis] = np.arange(count)

    value = T[:, -1].copy()
    value[basis] = 0.0
    met, space = (low <= value) & (value <= high), np.zeros((3, max(T.shape)))
    d = Dictionary(np.ascontiguousarray(T), low, high, value, basis, position, met, space)
    sizes = _term_sizes(p, states) + np.abs(drive) @ high[basis]
    system = np.column_stack([E, -drive, right, sizes])
    ranges = np.column_stack(
        [[bounds.zl.ravel(), bounds.zu.ravel()], [np.zeros(count), high[basis]]]
    )
    terms = np.zeros((3, max(ranges.shape[1], states.size)))
    factors = np.column_stack([on_x, on_n])
    inverse = np.ascontiguousarray(inverse)
    return Relaxation(inverse, system, ranges, parts, factors, owner, planes, terms, x_rows), d
