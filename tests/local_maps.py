"""Around a cycle the map is v -> G(v), linear on cones: its pieces, its degree, its multipliers."""

import copy
import functools
from fractions import Fraction

import numpy as np
from exact_words import product, solved
from polyhedra import ONE, ZERO, feasible_range


def applied(X, v):
    """Return X v."""
    return [sum(a * b for a, b in zip(row, v)) for row in X]


class LocalMap:
    """The map G that takes a small v to F^(m k)(z + v) - z around a k-cycle; G is homogeneous."""

    def __init__(self, map, orbit):
        self.size = map.size
        self.steps = [self._step(map, z) for z in orbit]

    def repeated(self, times):
        """Return G^times."""
        other = copy.copy(self)
        other.__dict__.pop("pieces", None)
        other.steps = self.steps * times
        return other

    def _step(self, map, z):
        """Return the matrix with units on that are, and the units at 0 as (W1 column, W2 row)."""
        J, tied = [list(row) for row in map.A], []
        for u, y in enumerate(map.pre_activations(z)):
            column = [row[u] for row in map.W1]
            if y > 0:
                J = [[x + w * a for x, a in zip(row, map.W2[u])] for row, w in zip(J, column)]
            elif y == 0 and any(map.W2[u]) and any(column):
                tied.append((column, map.W2[u]))
        return J, tied

    @property
    def is_kinked(self):
        """Whether the map itself is not linear around some point of the cycle."""
        return any(_is_kinked(tied) for _, tied in self.steps)

    @functools.cached_property
    def pieces(self):
        """The matrices of G with the cones (rows r: r.v > 0) on which they hold."""
        unit = [[Fraction(int(i == j)) for j in range(self.size)] for i in range(self.size)]
        pieces = [(unit, [])]
        for J, tied in self.steps:
            pieces = [new for P, cone in pieces for new in _divided(J, tied, P, cone)]
        return pieces

    @property
    def is_linear(self):
        """Whether all pieces of G coincide."""
        return all(P == self.pieces[0][0] for P, _ in self.pieces)

    def index(self):
        """Return the degree of v - G(v): signed preimages of a point that is no exception."""
        degrees = [self._degree(seed) for seed in (1, 2)]
        assert degrees[0] == degrees[1], degrees
        return degrees[0]

    def _degree(self, seed):
        draw = np.random.default_rng(seed)
        while True:
            y = [[Fraction(int(x), 1009)] for x in draw.integers(-(10**6), 10**6, self.size)]
            degree = self._count(y)
            if degree is not None:
                return degree

    def _count(self, y):
        total = 0
        for P, cone in self.pieces:
            Q = [[int(i == j) - x for j, x in enumerate(row)] for i, row in enumerate(P)]
            v, sign = solved(Q, y)
            if v is None:
                continue
            sides = [sum(a * x[0] for a, x in zip(row, v)) for row in cone]
            if min(sides, default=1) > 0:
                total += sign
            elif min(sides) == 0:
                return None
        return total

    def slopes(self):
        """Return G(-1) / -1 and G(1) of a map with one state."""
        return -self.at([-ONE])[0], self.at([ONE])[0]

    def at(self, v):
        """Return G(v)."""
        for J, tied in self.steps:
            new = applied(J, v)
            for column, row in tied:
                y = max(sum(a * b for a, b in zip(row, v)), ZERO)
                new = [x + w * y for x, w in zip(new, column)]
            v = new
        return v

    @functools.cached_property
    def _floats(self):
        return [
            (
                np.array(J, float),
                np.array([column for column, _ in tied], float).reshape(-1, self.size),
                np.array([row for _, row in tied], float).reshape(-1, self.size),
            )
            for J, tied in self.steps
        ]

    def ahead(self, V):
        """Return G of the rows of an array, in floats."""
        for J, columns, rows in self._floats:
            V = V @ J.T + np.maximum(V @ rows.T, 0.0) @ columns
        return V

    def winding(self, number=4096):
        """Return how often v - G(v) turns around 0 on a circle, in floats (two states)."""
        angle = np.linspace(0.0, 2 * np.pi, number + 1)
        V = np.stack([np.cos(angle), np.sin(angle)], 1)
        turned = V - self.ahead(V)
        angles = np.unwrap(np.arctan2(turned[:, 1], turned[:, 0]))
        return round((angles[-1] - angles[0]) / (2 * np.pi))


def _is_kinked(tied):
    """Return whether sum_i w_i relu(r_i v) is not linear: parallel rows may cancel."""
    kinks: dict[tuple, list] = {}
    for column, row in tied:
        lead = next(x for x in row if x)
        line = tuple(x / lead for x in row)
        old = kinks.setdefault(line, [ZERO] * len(column))
        kinks[line] = [x + abs(lead) * w for x, w in zip(old, column)]
    return any(any(kink) for kink in kinks.values())


def _divided(J, tied, P, cone):
    """Divide a cone by the signs of a step's tied units; return its parts with their matrices."""
    rows = [product([row], P)[0] for _, row in tied]
    parts = [((), cone)]
    for row in rows:
        if not any(row):
            parts = [((*signs, False), cone) for signs, cone in parts]
            continue
        negative = [-x for x in row]
        parts = [
            ((*signs, on), [*cone, side])
            for signs, cone in parts
            for on, side in ((False, negative), (True, row))
            if _is_open([*cone, side])
        ]
    return [(product(_with_units(J, tied, signs), P), cone) for signs, cone in parts]


def _with_units(J, tied, signs):
    for (column, row), on in zip(tied, signs):
        if on:
            J = [[x + w * a for x, a in zip(line, row)] for line, w in zip(J, column)]
    return J


def _is_open(cone):
    """Return whether a cone {r.v > 0 for all rows r} is not empty."""
    constraints = [(tuple(row), ZERO, True) for row in cone]
    return feasible_range(constraints, [ZERO] * len(cone[0]), ZERO) is not None


def polynomial(P):
    """Return the coefficients of det(x I - P), the leading one first (Faddeev-LeVerrier)."""
    size = len(P)
    M, poly = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)], [ONE]
    for n in range(1, size + 1):
        N = product(P, M)
        poly.append(-sum((N[i][i] for i in range(size)), ZERO) / n)
        M = [[x + poly[-1] * int(i == j) for j, x in enumerate(row)] for i, row in enumerate(N)]
    return poly


def has_unit_modulus(P):
    """Return whether an eigenvalue of at most three lies on the unit circle."""
    poly = polynomial(P)
    if sum(poly) == 0 or sum((-1) ** i * c for i, c in enumerate(poly)) == 0:
        return True
    if len(poly) == 3:
        return poly[2] == 1 and abs(poly[1]) < 2
    if len(poly) == 4:
        real = -poly[3]
        rest = -poly[1] - real
        return poly[2] == 1 + rest * real and abs(rest) < 2
    return False


def moduli(P):
    """Return the moduli of the eigenvalues, in floats."""
    return np.abs(np.roots([float(c) for c in polynomial(P)]))
