"""All cycles of a small piecewise-affine map in rational numbers: cycles, continua, index.

A unit is off where its pre-activation is 0, so that every point has exactly one word. Words are
solved one by one; where I - P is singular the solutions of a word are a polyhedron, which
Fourier-Motzkin elimination measures. Around a cycle the map is v -> G(v), linear on cones.
"""

import dataclasses
import functools
import itertools
import math
from fractions import Fraction

from exact_words import exact
from local_maps import LocalMap, applied
from polyhedra import ONE, ZERO, adjugate, feasible_range, is_point, kernel


@functools.cache
def necklaces(letters, length):
    """Return all words that are the least of their rotations."""
    words = itertools.product(range(letters), repeat=length)
    return [w for w in words if all(w <= w[d:] + w[:d] for d in range(1, length))]


def _whole(rows):
    """Return integer rows that are the given ones times one positive factor, and the factor."""
    factor = math.lcm(*(x.denominator for row in rows for x in row), 1)
    return [[int(x * factor) for x in row] for row in rows], factor


def _times(X, Y):
    return [[sum(a * b for a, b in zip(row, column)) for column in zip(*Y)] for row in X]


@dataclasses.dataclass(frozen=True)
class Family:
    """The solutions of one word: start + basis t where all signs hold; more than a point."""

    word: tuple
    start: list
    basis: list
    constraints: list
    whole_period: bool


class Exact:
    """A map in rational numbers, its cycles and continua of every period up to a longest one."""

    def __init__(self, map, longest=4):
        self.size, self.units = map.state_size, map.num_units
        self.A, self.W1, self.W2 = (exact(x) for x in (map.A, map.W1, map.W2))
        self.h1, self.h2 = exact(map.h1), exact(map.h2)
        patterns = itertools.product((0, 1), repeat=self.units)
        self.patterns = [p for p in patterns if self._can_be(p)]
        lifted = [self._lifted(p) for p in self.patterns]
        factor = math.lcm(*(x.denominator for rows in lifted for r in rows for x in r), 1)
        self.lifted = [[[int(x * factor) for x in row] for row in rows] for rows in lifted]
        self.looks = [_whole([[*row, h]])[0][0] for row, h in zip(self.W2, self.h2)]
        self._products = {(): [[int(i == j) for j in range(self.size + 1)] for i in self._lines()]}
        self.families: dict[int, list[Family]] = {}
        self.cycles: dict[int, list[list[tuple]]] = {}
        for k in range(1, longest + 1):
            self._enumerate(k)

    def _lines(self):
        return range(self.size + 1)

    def _can_be(self, pattern):
        """Return whether units that look at nothing have the sign they must have."""
        return all(any(row) or (h > 0) == bool(on) for row, h, on in zip(self.W2, self.h2, pattern))

    def _lifted(self, pattern):
        """Return the matrix of (z, 1) -> (F(z), 1) in one linear subregion."""
        rows = []
        for i in range(self.size):
            row = [*self.A[i], self.h1[i]]
            for w, look, h, on in zip(self.W1[i], self.W2, self.h2, pattern):
                if on and w:
                    row = [x + w * y for x, y in zip(row, [*look, h])]
            rows.append(row)
        return [*rows, [ZERO] * self.size + [ONE]]

    def composed(self, word):
        """Return a positive multiple of the lifted matrix of a word."""
        if word not in self._products:
            self._products[word] = _times(self.lifted[word[-1]], self.composed(word[:-1]))
        return self._products[word]

    def _system(self, word):
        T, size = self.composed(word), self.size
        scale = T[-1][-1]
        matrix = [[scale * (i == j) - T[i][j] for j in range(size)] for i in range(size)]
        return matrix, [T[i][-1] for i in range(size)]

    def _enumerate(self, k):
        self.families[k], self.cycles[k] = [], []
        found = []
        for word in necklaces(len(self.patterns), k):
            matrix, right = self._system(word)
            inverse, det = adjugate(matrix)
            if det:
                point = [*applied(inverse, right), det]
                point = [-x for x in point] if det < 0 else point
                if self._has_word(point, word):
                    found.append([Fraction(x, point[-1]) for x in point[:-1]])
            else:
                found += self._singular(word, matrix, right)
        orbits = [self.orbit(z, k) for z in found]
        self.cycles[k] = [
            orbit
            for orbit in orbits
            if len(set(orbit)) == k and not any(self.touches(orbit, f) for f in self.families[k])
        ]

    def _has_word(self, point, word):
        """Return whether the orbit of (z, 1) times something positive has a word."""
        for letter in word:
            for look, on in zip(self.looks, self.patterns[letter]):
                if (sum(a * b for a, b in zip(look, point)) > 0) != bool(on):
                    return False
            point = applied(self.lifted[letter], point)
        return True

    def _singular(self, word, matrix, right):
        """Enter the family of a singular word; return its solution where it is only one point."""
        solution = kernel(matrix, right)
        if solution is None:
            return []
        start, basis = solution
        constraints = self._signs(word, start, basis)
        unit = [[Fraction(int(i == j)) for i in range(len(basis))] for j in range(len(basis))]
        ranges = []
        for direction in unit:
            interval = feasible_range(constraints, direction, ZERO)
            if interval is None:
                return []
            ranges.append(interval)
        if all(map(is_point, ranges)):
            steps = [interval[0] for interval in ranges]
            return [[x + sum(t * b[i] for t, b in zip(steps, basis)) for i, x in enumerate(start)]]
        own = self._has_whole_period(word, start, basis, constraints)
        self.families[len(word)].append(Family(word, start, basis, constraints, own))
        return []

    def _signs(self, word, start, basis):
        constraints = []
        for step, letter in enumerate(word):
            T = self.composed(word[:step])
            for look, on in zip(self.looks, self.patterns[letter]):
                row = applied(list(zip(*T)), look)
                sign = 1 if on else -1
                value = sign * (sum(a * b for a, b in zip(row, start)) + row[-1])
                slope = tuple(sign * sum(a * b for a, b in zip(row, d)) for d in basis)
                constraints.append((slope, value, bool(on)))
        return constraints

    def _has_whole_period(self, word, start, basis, constraints):
        """Return whether some solutions of a word have its length as their minimal period."""
        k = len(word)
        for d in (d for d in range(1, k) if k % d == 0 and word == word[:d] * (k // d)):
            matrix, right = self._system(word[:d])
            if all(
                interval == (ZERO, ZERO)
                for interval in (
                    feasible_range(
                        constraints,
                        [sum(Fraction(a) * b for a, b in zip(row, way)) for way in basis],
                        sum(Fraction(a) * b for a, b in zip(row, start)) - r,
                    )
                    for row, r in zip(matrix, right)
                )
            ):
                return False
        return True

    def touches(self, orbit, family):
        """Return whether a point of an orbit is a limit of a family's points."""
        return any(self._is_limit(orbit[i:] + orbit[:i], family) for i in range(len(orbit)))

    def _is_limit(self, orbit, family):
        for t, letter in enumerate(family.word):
            signs = self.pre_activations(orbit[t % len(orbit)])
            for y, on in zip(signs, self.patterns[letter]):
                if y and (y > 0) != bool(on):
                    return False
        return True

    def pre_activations(self, z):
        """Return W2 z + h2."""
        return [sum(a * b for a, b in zip(row, z)) + h for row, h in zip(self.W2, self.h2)]

    def orbit(self, z, k):
        """Return k points from a point on."""
        points = []
        for _ in range(k):
            points.append(tuple(z))
            on = [max(y, ZERO) for y in self.pre_activations(z)]
            z = [
                sum(a * b for a, b in zip(self.A[i], z))
                + sum(a * b for a, b in zip(self.W1[i], on))
                + self.h1[i]
                for i in range(self.size)
            ]
        return points

    def has_continuum(self, k):
        """Return whether there is a continuum of points of minimal period k."""
        return any(family.whole_period for family in self.families[k])

    def index_sum(self, k):
        """Return the sum of the indices of F^k's fixed points; None where they are a continuum."""
        if self.families[k]:
            return None
        return sum(
            d * LocalMap(self, orbit).repeated(k // d).index()
            for d in range(1, k + 1)
            if k % d == 0
            for orbit in self.cycles[d]
        )
