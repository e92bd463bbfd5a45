"""Small linear programs, compiled: push a linear function up over a polytope until it crosses 0.

A polytope {v : G v <= g} in m dimensions is known by its rows (G, g) and a vertex, the solution of
G_B v = g_B for the rows B of a basis. Arrays, as passed around: `rows` (G, g); `vertices`, for each
of two places the inverse of G_B and, last, v; `basis`, the same for B; `work`, its rows c (a linear
function), that of the program that is solved, and the edge; `tableau` working space. The second
place is that of the program, the first one keeps the vertex before it.
"""

import numpy as np

from ..._compiled import inner

OPTIMUM, FAILED = -1, -2
"""Outcomes of `cross` other than the place in the basis of the row that is left."""

COST, UP, EDGE = range(3)
"""Rows of `work`."""


@inner("void(f8[:,:,::1], i8[:,::1], i8, i8)")
def keep(vertices, basis, source, target):
    """Copy a vertex from one place to the other."""
    size = basis.shape[1]
    for i in range(size):
        basis[target, i] = basis[source, i]
    for j in range(size + 1):
        for i in range(size):
            vertices[target, j, i] = vertices[source, j, i]


@inner("b1(f8[:,::1], f8[:,:,::1], i8[:,::1], i8, f8[:,::1])")
def vertex(rows, vertices, basis, place, tableau):
    """Write the inverse of the basis and its vertex; return False for a singular basis."""
    size = basis.shape[1]
    for i in range(size):
        for j in range(size):
            tableau[i, j] = rows[basis[place, i], j]
            tableau[i, size + j] = 1.0 if i == j else 0.0
    for c in range(size):
        pivot = c
        for r in range(c + 1, size):
            if abs(tableau[r, c]) > abs(tableau[pivot, c]):
                pivot = r
        if not abs(tableau[pivot, c]) >= 1e-13:
            return False
        if pivot != c:
            for j in range(2 * size):
                x = tableau[c, j]
                tableau[c, j] = tableau[pivot, j]
                tableau[pivot, j] = x
        factor = 1.0 / tableau[c, c]
        for j in range(2 * size):
            tableau[c, j] *= factor
        for r in range(size):
            factor = tableau[r, c]
            if r != c and factor != 0.0:
                for j in range(2 * size):
                    tableau[r, j] -= factor * tableau[c, j]
    for i in range(size):
        total = 0.0
        for j in range(size):
            x = tableau[i, size + j]
            vertices[place, i, j] = x
            total += x * rows[basis[place, j], size]
        vertices[place, size, i] = total
    return True


@inner("Tuple((i8, f8))(f8[:,::1], f8[:,:,::1], i8[:,::1], b1)")
def _leaving(work, vertices, basis, bland):
    """Return which row of the basis is to leave and the slope along its edge; -1 at an optimum."""
    size = basis.shape[1]
    chosen, best, slope = -1, -1e-11, 0.0
    for i in range(size):
        price = 0.0
        for j in range(size):
            price += work[UP, j] * vertices[1, j, i]
        if bland:
            if price < -1e-11 and (chosen < 0 or basis[1, i] < basis[1, chosen]):
                chosen, slope = i, -price
        elif price < best:
            chosen, best, slope = i, price, -price
    return chosen, slope


@inner("Tuple((f8, i8))(f8[:,::1], i8, b1[::1], f8[:,:,::1], f8[:,::1])")
def _longest_step(rows, count, inside, vertices, work):
    """Return how far the edge goes and the row that ends it (-1: none)."""
    size = work.shape[1]
    step, entering = np.inf, -1
    for k in range(count):
        if inside[k]:
            continue
        rate, value = 0.0, 0.0
        for j in range(size):
            rate += rows[k, j] * work[EDGE, j]
            value += rows[k, j] * vertices[1, size, j]
        if rate > 1e-12:
            room = (rows[k, size] - value) / rate
            if room < 0.0:
                room = 0.0
            if room < step:
                step, entering = room, k
    return step, entering


@inner("void(f8[:,::1], f8[:,:,::1], i8[:,::1], i8, i8, f8[:,::1])")
def _pivot(rows, vertices, basis, leaving, entering, work):
    """Exchange one row of the basis."""
    size = basis.shape[1]
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += rows[entering, j] * vertices[1, j, i]
        work[EDGE, i] = total
    for i in range(size):
        if i != leaving:
            factor = work[EDGE, i] / work[EDGE, leaving]
            if factor != 0.0:
                for j in range(size):
                    vertices[1, j, i] -= factor * vertices[1, j, leaving]
    for j in range(size):
        vertices[1, j, leaving] /= work[EDGE, leaving]
    basis[1, leaving] = entering


@inner("i8(f8[:,::1], i8, b1[::1], f8[:,:,::1], i8[:,::1], f8[:,::1], f8[:,::1], f8, f8)")
def cross(rows, count, inside, vertices, basis, work, tableau, value, level):
    """Raise work[UP].v, which is `value` at the second vertex, until it reaches `level`.

    Returns the place in the basis of the row left on the way (the second vertex is then the
    crossing point), `OPTIMUM` if the maximum is below the level, or `FAILED`. `inside` (a flag for
    each row) is working space.
    """
    size = basis.shape[1]
    for k in range(count):
        inside[k] = False
    for i in range(size):
        inside[basis[1, i]] = True
    limit = 60 * size + 200
    for pivots in range(limit):
        leaving, slope = _leaving(work, vertices, basis, pivots > limit // 3)
        if leaving < 0:
            return OPTIMUM
        for j in range(size):
            work[EDGE, j] = -vertices[1, j, leaving]
        step, entering = _longest_step(rows, count, inside, vertices, work)
        crossing = (level - value) / slope
        if crossing <= step:
            if crossing < 0.0:
                crossing = 0.0
            for j in range(size):
                vertices[1, size, j] += crossing * work[EDGE, j]
            return leaving
        if entering < 0:
            return FAILED
        inside[basis[1, leaving]] = False
        inside[entering] = True
        for j in range(size):
            vertices[1, size, j] += step * work[EDGE, j]
        _pivot(rows, vertices, basis, leaving, entering, work)
        value += step * slope
        if pivots % 25 == 24:
            if not vertex(rows, vertices, basis, 1, tableau):
                return FAILED
    return FAILED
