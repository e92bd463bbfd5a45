"""Words in exact arithmetic: is there a cycle, where is it, and how stable.

Parameters are floats, that is dyadic rationals, or fractions, and are taken as they are.
"""

import dataclasses
import hashlib
import json
import sys
from typing import Any

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat

Letter = tuple[int, ...]
"""The activation pattern of one step."""


class Degenerate(Exception):
    """A word has a continuum of solutions, and it is not decided whether one is a cycle."""


@dataclasses.dataclass(frozen=True)
class Cycle:
    """An exact cycle: strict word (least rotation), points, P = DF^k, sign det(I - P)."""

    word: tuple[str, ...]
    points: tuple[tuple[fmpq, ...], ...]
    jacobian: fmpq_mat
    sign: int
    on_border: bool


def rational(x) -> fmpq:
    """Return the exact value of a float or of one of Python's fractions."""
    return fmpq(*x.as_integer_ratio())


def matrix(array: np.ndarray) -> fmpq_mat:
    """Return the exact values of a matrix of floats or fractions."""
    return fmpq_mat([[rational(x) for x in row] for row in array.tolist()])


class System:
    """The map F(z) = A z + W1 relu(W2 z + h2) + h1 in exact numbers, with H > 0 units."""

    def __init__(self, A, W1, W2, h1, h2):
        self.A, self.W1, self.W2 = matrix(A), matrix(W1), matrix(W2)
        self.h1, self.h2 = matrix(h1[:, None]), matrix(h2[:, None])
        self.size, self.num_units = len(h1), len(h2)
        self.rows, self.offsets = arb_mat(self.W2), arb_mat(self.h2)
        self.identity = matrix(np.eye(self.size))
        self.linear, self.weights = (arb_mat(self.A), arb_mat(self.h1)), arb_mat(self.W1)
        self.units = [self._unit(i) for i in range(self.num_units)]

    def _unit(self, i: int) -> tuple[arb_mat, arb_mat]:
        """Return what unit i adds to (J, c) where it is on, in balls."""
        column = fmpq_mat([[self.W1[j, i]] for j in range(self.size)])
        row = fmpq_mat([[self.W2[i, j] for j in range(self.size)]])
        return arb_mat(column * row), arb_mat(column * self.h2[i, 0])

    def piece(self, letter: Letter) -> tuple[fmpq_mat, fmpq_mat]:
        """Return (J, c) of F(z) = J z + c in a subregion."""
        W1 = fmpq_mat([[x * on for x, on in zip(row, letter)] for row in self.W1.tolist()])
        return self.A + W1 * self.W2, W1 * self.h2 + self.h1

    def composed(self, word: list[Letter]) -> tuple[fmpq_mat, fmpq_mat]:
        """Return (P, q) of F_word(z) = P z + q."""
        P, q = self.identity, fmpq_mat(self.size, 1)
        for letter in word:
            J, c = self.piece(letter)
            P, q = J * P, J * q + c
        return P, q

    def closed(self, word: list[Letter], P: arb_mat, q: arb_mat) -> Cycle | None:
        """Return the cycle of a word, or None, as `exact_cycle` does; P z + q encloses F_word.

        Balls are tried first: in most cases they show a pre-activation of the wrong sign.
        """
        try:
            z = (arb_mat(self.identity) - P).solve(q)
        except ZeroDivisionError:
            return self.exact_cycle(word)
        for letter in word:
            x = self.rows * z + self.offsets
            if any(x[i, 0] < 0 if on else x[i, 0] > 0 for i, on in enumerate(letter)):
                return None
            on = arb_mat([[x[i, 0]] if on else [0] for i, on in enumerate(letter)])
            z = self.linear[0] * z + self.weights * on + self.linear[1]
        return self.exact_cycle(word)

    def repeated(self, word: list[Letter], P: arb_mat) -> None:
        """Make sure that a word v v ... v has no other solution than v.

        **Raises:** `Degenerate` where I - P is singular (a multiplier of v is a root of unity), but
        for words without any solution.
        """
        if (arb_mat(self.identity) - P).det().contains(0):
            exact, q = self.composed(word)
            if (self.identity - exact).det() == 0 and self._has_solutions(exact, q):
                raise Degenerate

    def _has_solutions(self, P: fmpq_mat, q: fmpq_mat) -> bool:
        """Return whether (I - P) z = q has a solution."""
        system = self.identity - P
        beside = fmpq_mat([[*row, *end] for row, end in zip(system.tolist(), q.tolist())])
        return system.rank() == beside.rank()

    def exact_cycle(self, word: list[Letter]) -> Cycle | None:
        """Decide a word in rationals; None too where its orbit has a smaller period.

        **Raises:** `Degenerate` where (I - P) z = q has more than one solution.
        """
        P, q = self.composed(word)
        system = self.identity - P
        det = system.det()
        if det == 0:
            if not self._has_solutions(P, q):
                return None
            raise Degenerate
        z, points, strict, border = system.solve(q), [], [], False
        for letter in word:
            signs = [row[0] for row in (self.W2 * z + self.h2).tolist()]
            if any(v < 0 if on else v > 0 for v, on in zip(signs, letter)):
                return None
            points.append(tuple(row[0] for row in z.tolist()))
            border = border or any(v == 0 for v in signs)
            strict.append("".join("1" if v > 0 else "0" for v in signs))
            J, c = self.piece(letter)
            z = J * z + c
        n = len(word)
        if any(n % d == 0 and points[d] == points[0] for d in range(1, n)):
            return None
        s = min(range(n), key=lambda s: strict[s:] + strict[:s])
        turned = [tuple(x[s:] + x[:s]) for x in (strict, points)]
        return Cycle(turned[0], turned[1], P, 1 if det > 0 else -1, border)


def stability(P: fmpq_mat) -> tuple[list[complex], str]:
    """Return the doubles nearest to the eigenvalues, and what is proven of their moduli.

    That is "stable", "unstable", "saddle", "nonhyperbolic" (an eigenvalue is 1 or -1), or
    "undecided" (balls of 128 bits around the roots of the characteristic polynomial do not tell).
    """
    poly: Any = P.charpoly().numer()
    roots = [root for root, times in poly.complex_roots() for _ in range(times)]
    inside, outside = [bool(abs(m) < 1) for m in roots], [bool(abs(m) > 1) for m in roots]
    values = [complex(_double(m.real), _double(m.imag)) for m in roots]
    values.sort(key=lambda m: (-abs(m), m.imag, m.real))
    if all(a or b for a, b in zip(inside, outside)):
        return values, "stable" if all(inside) else "unstable" if all(outside) else "saddle"
    return values, "nonhyperbolic" if poly(1) == 0 or poly(-1) == 0 else "undecided"


def _double(x: arb) -> float:
    """Return the double nearest to the middle of a ball, the largest one beyond its range."""
    largest = sys.float_info.max
    return max(-largest, min(largest, float(x.mid())))


def described(cycle: Cycle) -> dict[str, Any]:
    """Return what a certificate says of a cycle; numbers are the doubles nearest to the true ones.

    On a switching boundary multipliers depend on the side: none are given.
    """
    values, known = ([], "undecided") if cycle.on_border else stability(cycle.jacobian)
    return {
        "word": list(cycle.word),
        "points": [[int(x.p) / int(x.q) for x in point] for point in cycle.points],
        "multipliers": [[m.real, m.imag] for m in values],
        "stability": known,
        "index": 0 if cycle.on_border else cycle.sign,
    }


def listed(cycles) -> list[dict[str, Any]]:
    """Return the descriptions of cycles, by period and word."""
    return [described(c) for c in sorted(cycles, key=lambda c: (len(c.word), c.word))]


def sealed(data: dict) -> str:
    """Return the text of a certificate: JSON in one canonical form, with its hash."""
    body = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f'{{"SHA256":"{hashlib.sha256(body.encode()).hexdigest()}",{body[1:]}'


def fingerprint(*arrays: np.ndarray) -> str:
    """Return the hash of a map's arrays A, W1, W2, h1, h2: bits of floats, digits of fractions."""
    shapes = repr([array.shape for array in arrays]).encode()
    raw = b"".join(
        repr(x.tolist()).encode() if x.dtype == object else np.ascontiguousarray(x, "<f8").tobytes()
        for x in arrays
    )
    return hashlib.sha256(shapes + raw).hexdigest()


def with_a_unit(A, W1, W2, h1, h2) -> list[np.ndarray]:
    """Return the arrays of a map, with a unit that is always off where there is none.

    They hold floats or, where they have them, Python's fractions.
    """
    A, W1, W2, h1, h2 = (
        x if x.dtype == object else x.astype(np.float64)
        for x in map(np.asarray, (A, W1, W2, h1, h2))
    )
    if len(h2):
        return [A, W1, W2, h1, h2]
    return [A, np.zeros((len(h1), 1)), np.zeros((1, len(h1))), h1, -np.ones(1)]


def far_away(arrays, box) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """Return the map of (u, s), z = u / s; its box, |u| <= unit and s <= 1 / R; and the facets.

    A cycle that leaves |z| < R unit has, with s = 1 / (R max |z / (R unit)|), a u on a facet, which
    may be put at any time of the word.
    """
    A, W1, W2, h1, h2 = arrays
    M, H, radius = len(h1), len(h2), 2.0 ** np.floor(np.log2(box[1].min()))
    corner = np.block([[A, h1[:, None]], [np.zeros((1, M)), np.ones((1, 1))]])
    far = [corner, np.r_[W1, np.zeros((1, H))], np.c_[W2, h2], np.zeros(M + 1), np.zeros(H)]
    unit = box[1] / radius
    bounds = np.array([[*-unit, 0.0], [*unit, 1 / radius]])
    facets = [bounds.copy() for _ in range(2 * M)]
    for number, facet in enumerate(facets):
        j, side = divmod(number, 2)
        facet[1 - side, j] = bounds[side, j] * (1 - 2.0**-10)
    return far, bounds, facets


def bounded(arrays, box) -> bool:
    """Return whether every bounded orbit lies in |z| <= r: N r + b <= r and N r < r prove it.

    |F(z)| <= N |z| + b. Units of one row whose columns cancel give a bounded sum, which is largest
    at one of its kinks; the others contribute |W1| |W2| to N and |W1| |h2| to b.
    """
    A, W1, W2, h1, h2 = arrays
    r = [rational(x) for x in box[1]]
    for m, x in enumerate(r):
        growth = sum((abs(rational(a)) * y for a, y in zip(A[m], r)), fmpq(0))
        offset = abs(rational(h1[m]))
        for row in {tuple(row) for row in W2}:
            units = np.flatnonzero((W2 == row).all(axis=1))
            parts = [(rational(W1[m, i]), rational(h2[i])) for i in units]
            if sum(w for w, _ in parts) == 0:
                sums = [sum(w * max(h - k, fmpq(0)) for w, h in parts) for _, k in parts]
                offset += max(abs(value) for value in sums)
            else:
                reach = sum(abs(rational(a)) * y for a, y in zip(row, r))
                growth += sum(abs(w) for w, _ in parts) * reach
                offset += sum(abs(w * h) for w, h in parts)
        if not (growth + offset <= x and growth < x):
            return False
    return np.array_equal(box[0], -box[1])
