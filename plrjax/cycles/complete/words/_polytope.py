"""Small linear programs, compiled: push a linear function up over a polytope until it crosses 0."""

import numpy as np

from ...._compiled import inlined, inner
from ._space import Polytope

OPTIMUM, FAILED = -1, -2
"""Outcomes of `cross` other than the place in the basis of the row that is left."""

COST, UP, EDGE, TABLEAU = range(4)
"""Rows of `work`, the last one the first of many."""


@inner("void(f8[:,:,::1], i8[:,::1])")
def keep(vertices, basis):
    """Copy the vertex of the second place to the first one."""
    size = basis.shape[1]
    for i in range(size):
        basis[0, i] = basis[1, i]
    for j in range(size + 1):
        for i in range(size):
            vertices[0, j, i] = vertices[1, j, i]


@inner("b1(f8[:,::1], f8[:,:,::1], i8[:,::1], i8, f8[:,::1])")
def vertex(rows, vertices, basis, place, work):
    """Write the inverse of the basis and its vertex; return False for a singular basis."""
    size = basis.shape[1]
    both = 2 * size
    end = TABLEAU + size
    for i in range(size):
        row = basis[place, i]
        for j in range(size):
            work[TABLEAU + i, j] = rows[row, j]
            work[TABLEAU + i, size + j] = 0.0
        work[TABLEAU + i, size + i] = 1.0
    for c in range(size):
        top = TABLEAU + c
        pivot = top
        largest = abs(work[top, c])
        for r in range(top + 1, end):
            x = abs(work[r, c])
            if x > largest:
                pivot = r
                largest = x
        if not largest >= 1e-13:
            return False
        if pivot != top:
            for j in range(both):
                x = work[top, j]
                work[top, j] = work[pivot, j]
                work[pivot, j] = x
        factor = 1.0 / work[top, c]
        for j in range(both):
            work[top, j] *= factor
        for r in range(TABLEAU, end):
            factor = work[r, c]
            if r != top and factor != 0.0:
                for j in range(both):
                    work[r, j] -= factor * work[top, j]
    for i in range(size):
        total = 0.0
        for j in range(size):
            x = work[TABLEAU + i, size + j]
            vertices[place, i, j] = x
            total += x * rows[basis[place, j], size]
        vertices[place, size, i] = total
    return True


@inlined
def _steepest(vertices, basis, work, bland):
    """Return the row to leave, of least price or the first one (Bland; -1: none), and the slope."""
    size = basis.shape[1]
    leaving, best, slope = -1, -1e-11, 0.0
    for i in range(size):
        price = 0.0
        for j in range(size):
            price += work[UP, j] * vertices[1, j, i]
        if not bland:
            if price < best:
                leaving = i
                best = price
                slope = -price
        elif price < -1e-11 and (leaving < 0 or basis[1, i] < basis[1, leaving]):
            leaving = i
            slope = -price
    return leaving, slope


@inlined
def _blocking(rows, count, inside, vertices, work):
    """Return the row that ends the edge (-1: none), and how far that is."""
    size = vertices.shape[2]
    step, entering = np.inf, -1
    for k in range(count):
        if inside[k]:
            continue
        rate, now = 0.0, 0.0
        for j in range(size):
            x = rows[k, j]
            rate += x * work[EDGE, j]
            now += x * vertices[1, size, j]
        if rate > 1e-12:
            room = (rows[k, size] - now) / rate
            if room < 0.0:
                room = 0.0
            if room < step:
                step = room
                entering = k
    return entering, step


@inlined
def _exchange(rows, vertices, work, leaving, entering):
    """Update the inverse of a basis in which one row leaves and another one enters."""
    size = vertices.shape[2]
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += rows[entering, j] * vertices[1, j, i]
        work[EDGE, i] = total
    pivot = work[EDGE, leaving]
    for i in range(size):
        if i != leaving:
            factor = work[EDGE, i] / pivot
            if factor != 0.0:
                for j in range(size):
                    vertices[1, j, i] -= factor * vertices[1, j, leaving]
    for j in range(size):
        vertices[1, j, leaving] /= pivot


@inner()
def cross(p: Polytope, count: int, sign: float, value: float, level: float) -> int:
    """Raise sign * work[COST].v from the first vertex, where it is `value`, until it is `level`.

    Returns the place in the basis of the row left on the way (the second vertex is then the
    crossing point), `OPTIMUM` if the maximum is below the level, or `FAILED`.
    """
    rows, inside, vertices, basis, work = p.rows, p.inside, p.vertices, p.basis, p.work
    size = basis.shape[1]
    for k in range(count):
        inside[k] = False
    for i in range(size):
        row = basis[0, i]
        basis[1, i] = row
        inside[row] = True
        work[UP, i] = sign * work[COST, i]
    for j in range(size + 1):
        for i in range(size):
            vertices[1, j, i] = vertices[0, j, i]
    limit = 60 * size + 200
    for pivots in range(limit):
        leaving, slope = _steepest(vertices, basis, work, pivots > limit // 3)
        if leaving < 0:
            return OPTIMUM
        for j in range(size):
            work[EDGE, j] = -vertices[1, j, leaving]
        entering, step = _blocking(rows, count, inside, vertices, work)
        crossing = (level - value) / slope
        crosses = crossing <= step
        if not crosses and entering < 0:
            return FAILED
        if crosses:
            step = 0.0 if crossing < 0.0 else crossing
        for j in range(size):
            vertices[1, size, j] += step * work[EDGE, j]
        if crosses:
            return leaving
        _exchange(rows, vertices, work, leaving, entering)
        inside[basis[1, leaving]] = False
        inside[entering] = True
        basis[1, leaving] = entering
        value += step * slope
        if pivots % 25 == 24 and not vertex(rows, vertices, basis, 1, work):
            return FAILED
    return FAILED
