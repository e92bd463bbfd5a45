"""Small linear programs, compiled: push a linear function up over a polytope until it crosses 0.

A polytope {v : G v <= g} in a few dimensions is known by its rows and one vertex, the solution of
G_B v = g_B for the rows B of a basis, with the inverse of G_B. Needs numba (extra `rigorous`).
"""

from typing import no_type_check

import numpy as np
from numba import njit

OPTIMUM, FAILED = -1, -2
"""Outcomes of `cross` other than the place in the basis of the row that is left."""


@no_type_check
@njit(cache=True, nogil=True)
def vertex(G, g, basis, inverse, v):
    """Write the inverse of the basis and its vertex; return False for a singular basis."""
    size = len(basis)
    work = np.zeros((size, 2 * size))
    for i in range(size):
        work[i, :size] = G[basis[i]]
        work[i, size + i] = 1.0
    for c in range(size):
        pivot = c
        for r in range(c + 1, size):
            if abs(work[r, c]) > abs(work[pivot, c]):
                pivot = r
        if not abs(work[pivot, c]) >= 1e-13:
            return False
        if pivot != c:
            for j in range(2 * size):
                work[c, j], work[pivot, j] = work[pivot, j], work[c, j]
        factor = 1.0 / work[c, c]
        for j in range(2 * size):
            work[c, j] *= factor
        for r in range(size):
            factor = work[r, c]
            if r != c and factor != 0.0:
                for j in range(2 * size):
                    work[r, j] -= factor * work[c, j]
    for i in range(size):
        total = 0.0
        for j in range(size):
            inverse[i, j] = work[i, size + j]
            total += work[i, size + j] * g[basis[j]]
        v[i] = total
    return True


@no_type_check
@njit(cache=True, nogil=True)
def _leaving(c, basis, inverse, bland):
    """Return the place of the row to leave and the slope along its edge; -1 at an optimum."""
    size = len(basis)
    place, best, slope = -1, -1e-11, 0.0
    for i in range(size):
        price = 0.0
        for j in range(size):
            price += c[j] * inverse[j, i]
        if bland and price < -1e-11 and (place < 0 or basis[i] < basis[place]):
            place, slope = i, -price
        elif not bland and price < best:
            place, best, slope = i, price, -price
    return place, slope


@no_type_check
@njit(cache=True, nogil=True)
def _longest_step(G, g, count, inside, v, edge):
    """Return how far the edge goes and the row that ends it (-1: none)."""
    size = len(v)
    step, entering = np.inf, -1
    for k in range(count):
        if inside[k]:
            continue
        rate = 0.0
        value = 0.0
        for j in range(size):
            rate += G[k, j] * edge[j]
            value += G[k, j] * v[j]
        if rate > 1e-12:
            room = max((g[k] - value) / rate, 0.0)
            if room < step:
                step, entering = room, k
    return step, entering


@no_type_check
@njit(cache=True, nogil=True)
def _pivot(G, basis, inverse, place, entering, row):
    """Exchange one row of the basis (`row` is working space)."""
    size = len(basis)
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += G[entering, j] * inverse[j, i]
        row[i] = total
    for i in range(size):
        if i != place:
            factor = row[i] / row[place]
            if factor != 0.0:
                for j in range(size):
                    inverse[j, i] -= factor * inverse[j, place]
    for j in range(size):
        inverse[j, place] /= row[place]
    basis[place] = entering


@no_type_check
@njit(cache=True, nogil=True)
def cross(G, g, count, inside, edge, basis, inverse, v, c, value, level):
    """Raise c.v, which is `value` at the vertex v, along edges until it reaches `level`.

    Returns the place in the basis of the row left on the way (v is then the crossing point),
    `OPTIMUM` if the maximum is below the level, or `FAILED`; and the number of pivots. `inside`
    (a flag for each row) and `edge` are working space.
    """
    size = len(v)
    inside[:count] = False
    for i in range(size):
        inside[basis[i]] = True
    limit = 60 * size + 200
    for pivots in range(limit):
        place, slope = _leaving(c, basis, inverse, pivots > limit // 3)
        if place < 0:
            return OPTIMUM, pivots
        for j in range(size):
            edge[j] = -inverse[j, place]
        step, entering = _longest_step(G, g, count, inside, v, edge)
        crossing = (level - value) / slope
        if crossing <= step:
            for j in range(size):
                v[j] += max(crossing, 0.0) * edge[j]
            return place, pivots
        if entering < 0:
            return FAILED, pivots
        inside[basis[place]] = False
        inside[entering] = True
        for j in range(size):
            v[j] += step * edge[j]
        _pivot(G, basis, inverse, place, entering, edge)
        value += step * slope
        if pivots % 25 == 24:
            if not vertex(G, g, basis, inverse, v):
                return FAILED, pivots
    return FAILED, limit
