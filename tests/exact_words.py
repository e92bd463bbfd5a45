"""Words of piecewise-affine maps in fractions, and `CycleSet`s that claim what they like."""

from fractions import Fraction
from typing import Any

import numpy as np
from systems import QUIET

import plrjax as plr
from plrjax import STABILITY
from plrjax.words import pack


def certified(map, cycles):
    return plr.certify(map, cycles, progress=QUIET)


def enumerated(map, periods):
    return plr.find_cycles(map, periods, solver=plr.Exhaustive(), progress=QUIET)


def set_of(map, words):
    """Return a `CycleSet` that claims a cycle for every word, its numbers all wrong."""
    count, longest = len(words), max(len(word) for word in words)
    itinerary = np.zeros((count, longest, (map.num_units + 7) // 8), np.uint8)
    for row, word in enumerate(words):
        itinerary[row, : len(word)] = pack(np.array(word, bool).reshape(len(word), -1))
    ones = np.ones(count)
    return plr.CycleSet(
        points=np.full((count, longest, map.state_size), 7.0),
        period=np.array([len(word) for word in words], np.int32),
        multipliers=np.full((count, map.state_size), 0.5 + 0j),
        stability=np.full(count, STABILITY.stable, np.int8),
        index=np.zeros(count, np.int8),
        itinerary=itinerary,
        residual=ones,
        error_bound=ones,
        condition=ones,
        margin=ones,
        hits=np.zeros(count, np.int32),
        verified=np.ones(count, bool),
        valid=np.ones(count, bool),
        num_units=map.num_units,
    )


def exact(array) -> Any:
    """Return nested lists of fractions."""
    if array.ndim == 0:
        return Fraction(float(array))
    return [exact(part) for part in array]


def product(X, Y):
    return [[sum((a * b for a, b in zip(row, col)), Fraction(0)) for col in zip(*Y)] for row in X]


def solved(matrix, right):
    """Solve a linear system by elimination; None where it is singular. Also sign of det."""
    rows, sign = [[*row, *end] for row, end in zip(matrix, right)], 1
    for i in range(len(rows)):
        pivot = next((j for j in range(i, len(rows)) if rows[j][i]), None)
        if pivot is None:
            return None, 0
        sign = sign if pivot == i else -sign
        rows[i], rows[pivot] = rows[pivot], rows[i]
        sign = sign if rows[i][i] > 0 else -sign
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(len(rows)):
            if j != i:
                rows[j] = [x - rows[j][i] * y for x, y in zip(rows[j], rows[i])]
    return [[row[-1]] for row in rows], sign


def affine(map, letter):
    """Return (J, c) of a subregion in fractions."""
    W1 = [[x * int(on) for x, on in zip(row, letter)] for row in exact(map.W1)]
    slope, offset = product(W1, exact(map.W2)), product(W1, [[x] for x in exact(map.h2)])
    J = [[a + b for a, b in zip(*rows)] for rows in zip(exact(map.A), slope)]
    return J, [[h + b[0]] for h, b in zip(exact(map.h1), offset)]


def composed(map, word):
    size = map.state_size
    P, q = exact(np.eye(size)), exact(np.zeros((size, 1)))
    for letter in word:
        J, c = affine(map, letter)
        P, q = product(J, P), [[a[0] + b[0]] for a, b in zip(product(J, q), c)]
    return P, q


def exact_orbit(map, word):
    """Return the points of a strict cycle of a word in fractions, and sign det(I - P); or None."""
    P, q = composed(map, word)
    system = [[int(i == j) - x for j, x in enumerate(row)] for i, row in enumerate(P)]
    z, sign = solved(system, q)
    if z is None:
        return None
    points = []
    for letter in word:
        y = [a[0] + h for a, h in zip(product(exact(map.W2), z), exact(map.h2))]
        looking = map.W2.any(axis=1)
        if any((v > 0) != bool(on) or (v == 0 and x) for v, on, x in zip(y, letter, looking)):
            return None
        points.append([x[0] for x in z])
        J, c = affine(map, letter)
        z = [[a[0] + b[0]] for a, b in zip(product(J, z), c)]
    if any(points[d] == points[0] for d in range(1, len(word))):
        return None
    return points, sign


def all_inside(poly):
    """Schur-Cohn: whether all roots of a_0 + a_1 x + ... + a_n x^n have modulus below 1."""
    while len(poly) > 1:
        if not abs(poly[0]) < abs(poly[-1]):
            return False
        reduced = [poly[-1] * a - poly[0] * b for a, b in zip(poly, poly[::-1])]
        largest = max(map(abs, reduced))
        poly = [x / largest for x in reduced[1:]]
    return True


def exact_stability(P):
    """Return stable, unstable, or None for what else there is (Faddeev-LeVerrier)."""
    size, M = len(P), exact(np.eye(len(P)))
    poly: list[Any] = [Fraction(1)]
    for n in range(1, size + 1):
        N = product(P, M)
        poly.append(-sum(N[i][i] for i in range(size)) / n)
        M = [[x + poly[-1] * int(i == j) for j, x in enumerate(row)] for i, row in enumerate(N)]
    if all_inside(poly[::-1]):
        return STABILITY.stable
    return STABILITY.unstable if all_inside(poly) else None


def check_bounds(map, proven):
    """Assert that fractions lie within the proven bounds of the points of proven rows."""
    for row in np.flatnonzero(proven.proven_existence).tolist():
        known = exact_orbit(map, proven.regions(row))
        assert known is not None
        orbit, sign = known
        bound = Fraction(float(proven.error_bound[row]))
        for point, true in zip(proven.orbit(row).tolist(), orbit):
            assert all(abs(Fraction(x) - y) <= bound for x, y in zip(point, true))
        size = np.abs(proven.orbit(row)).max()
        assert bound <= 2 * np.finfo(float).eps * size
        assert proven.index[row] == sign
