"""Words in ball arithmetic: points, signs and multipliers that are proven.

Every number of a ball is a bound: what is decided here holds in exact arithmetic for the parameters
as they are, floats being dyadic rationals (Johansson 2017, Arb).
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq_mat, fmpz_poly
from jaxtyping import Bool

from ..._exact import Degenerate, System, matrix, with_a_unit
from ..._exact import stability as exact_stability
from ..._piecewise_affine import PiecewiseAffineMap
from ..._results import STABILITY
from ._spectrum_split import stability_in_balls

FIRST_BITS = (128, 256, 512)
"""Precisions tried before exact rationals."""

HIGHER_BITS = (1024, 2048, 4096, 8192, 16384)
"""Precisions tried after them, within `_MAX_WORK`."""

_MAX_WORK = 2e9
"""Bits times k M^3, at most, beyond `FIRST_BITS`."""

_MAX_EXACT = 1000
"""States times period, at most, of words decided in rationals."""

_MAX_ROOTS = 400
"""States times period, at most, of words whose characteristic polynomial is solved."""

_ACCURATE = 2.0**-54


@dataclasses.dataclass
class Proof:
    """What is proven of a word: `exists` is None where nothing is, and `reason` says why."""

    exists: bool | None
    reason: str = ""
    points: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    error: float = np.inf
    index: int = 0
    accurate: bool = False
    on_border: bool = False
    stability: STABILITY | None = None
    multipliers: np.ndarray | None = None


class Enclosure:
    """The map F(z) = A z + W1 relu(W2 z + h2) + h1 in balls, and what it proves of words.

    Units that are 0 everywhere are left out: they are off. A map without units has one that is off.
    """

    def __init__(self, map: PiecewiseAffineMap):
        A, W1, W2, h1, h2 = map.exactly()
        live = (W2 != 0).any(axis=1) | (h2 != 0)
        self.idle = ~live
        self.arrays = with_a_unit(A, W1[:, live], W2[live], h1, h2[live])
        self.size = map.state_size

    def prove(self, regions: Bool[np.ndarray, "time unit"]) -> Proof:
        """Return what is proven of the cycle with an itinerary: existence first, then stability."""
        if regions[:, self.idle].any():
            return Proof(False, "a unit that is 0 everywhere is on in the word")
        word = regions[:, ~self.idle]
        if not word.shape[1]:
            word = np.zeros((len(word), 1), bool)
        proof = self._existence(word)
        if proof.exists:
            self._add_stability(word, proof)
        return proof

    def _existence(self, word: np.ndarray) -> Proof:
        proof = self._climb(word, FIRST_BITS, Proof(None, "signs not decided"))
        if proof.exists is None and self.size * len(word) <= _MAX_EXACT:
            exact = self._decided_exactly(word)
            if exact is not None:
                return exact
        if proof.exists is not False and not proof.accurate:
            proof = self._climb(word, self._higher(word), proof)
        if proof.exists and _repeats(word):
            return Proof(False, "the word repeats a shorter one, and so does its only solution")
        return proof

    def _climb(self, word: np.ndarray, precisions: Iterable[int], best: Proof) -> Proof:
        """Raise the precision until all signs are decided, and the points accurate in float64."""
        for bits in precisions:
            with ctx.workprec(bits):
                proof = self._enclosed(word)
            if proof is not None:
                best = proof
                if proof.accurate or proof.exists is False:
                    break
        return best

    def _enclosed(self, word: np.ndarray) -> Proof | None:
        """Return a proof in balls of the present precision, or None."""
        pieces = [self._piece(letter) for letter in word]
        P, q = self._composed(pieces)
        system = _identity(self.size) - P
        try:
            z = system.solve(q)
        except ZeroDivisionError:
            return None
        rows, offsets = _balls(self.arrays[2]), _column(self.arrays[4])
        points, strict = [], True
        for letter, (J, c) in zip(word, pieces):
            values = (rows * z + offsets).entries()
            if any(y < 0 if on else y > 0 for y, on in zip(values, letter)):
                return Proof(False, "the only solution of the word has another itinerary")
            strict = strict and all(y > 0 if on else y < 0 for y, on in zip(values, letter))
            points.append(z)
            z = J * z + c
        if not strict:
            return None
        values, error, accurate = _doubles(points)
        if not np.isfinite(values).all():
            return Proof(None, "the points leave the range of float64")
        det = system.det()
        return Proof(True, "", values, error, int(det > 0) - int(det < 0), accurate)

    def _decided_exactly(self, word: np.ndarray) -> Proof | None:
        """Decide in rationals what balls cannot: singular words, and points on the border.

        None for a strict cycle, which finer balls will show.
        """
        try:
            cycle = System(*self.arrays).exact_cycle(_letters(word))
        except Degenerate:
            return Proof(None, "I - P is singular (a marginal family, or none)")
        if cycle is None:
            return Proof(False, "the word has no solution of its period and itinerary")
        if cycle.on_border:
            return Proof(None, "a point lies exactly on a switching boundary", on_border=True)
        return None

    def _add_stability(self, word: np.ndarray, proof: Proof) -> None:
        found = self._stability_in_balls(word, FIRST_BITS)
        if (found is None or found[1] is None) and self.size * len(word) <= _MAX_ROOTS:
            P, _ = System(*self.arrays).composed(_letters(word))
            found = _stability_of_rationals(P) or found
        if found is None:
            found = self._stability_in_balls(word, self._higher(word))
        if found is not None:
            proof.stability, proof.multipliers = found

    def _stability_in_balls(
        self, word: np.ndarray, precisions: Iterable[int]
    ) -> tuple[STABILITY, np.ndarray | None] | None:
        """Return the stability and the multipliers (None where they are not enclosed), or None."""
        best = None
        for bits in precisions:
            with ctx.workprec(bits):
                P, _ = self._composed([self._piece(letter) for letter in word])
                found = stability_in_balls(P)
            if found is not None:
                best = found[:2]
                if found[2]:
                    break
        return best

    def _piece(self, letter: np.ndarray) -> tuple[arb_mat, arb_mat]:
        """Return balls around (J, c) of a subregion."""
        A, W1, W2, h1, h2 = self.arrays
        J, c = _balls(A), _column(h1)
        if letter.any():
            columns = _balls(W1[:, letter])
            J, c = J + columns * _balls(W2[letter]), c + columns * _column(h2[letter])
        return J, c

    def _composed(self, pieces: list[tuple[arb_mat, arb_mat]]) -> tuple[arb_mat, arb_mat]:
        """Return balls around (P, q) of F_word(z) = P z + q."""
        P, q = pieces[0]
        for J, c in pieces[1:]:
            P, q = J * P, J * q + c
        return P, q

    def _higher(self, word: np.ndarray) -> list[int]:
        return [b for b in HIGHER_BITS if b * len(word) * self.size**3 <= _MAX_WORK]


def _balls(array: np.ndarray) -> arb_mat:
    if array.dtype == object:
        return arb_mat(matrix(array))
    rows, columns = array.shape
    return arb_mat(rows, columns, array.ravel().tolist())


def _column(array: np.ndarray) -> arb_mat:
    return _balls(array[:, None])


def _identity(size: int) -> arb_mat:
    return _balls(np.eye(size))


def _letters(word: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(map(int, letter)) for letter in word]


def _repeats(word: np.ndarray) -> bool:
    """Return whether a word is v v ... v; with strict signs its points repeat themselves, too."""
    k = len(word)
    return any(k % d == 0 and (word == np.roll(word, d, axis=0)).all() for d in range(1, k))


def _doubles(points: list[arb_mat]) -> tuple[np.ndarray, float, bool]:
    """Return doubles near balls, a bound of their errors, and whether rounding dominates it."""
    balls = [x for z in points for x in z.entries()]
    values = np.array([float(x.mid()) for x in balls])
    if not np.isfinite(values).all():
        return values.reshape(len(points), -1), np.inf, False
    pairs = list(zip(balls, values.tolist()))
    off = max(float(abs(x - arb(v)).upper()) for x, v in pairs)
    bound = 0.0 if all(x == v for x, v in pairs) else float(np.nextafter(off, np.inf))
    radius = max(float(x.rad()) for x in balls)
    accurate = radius <= _ACCURATE * np.abs(values).max(initial=0.0)
    return values.reshape(len(points), -1), bound, bool(accurate)


def _stability_of_rationals(P: fmpq_mat) -> tuple[STABILITY, np.ndarray] | None:
    """Return stability and multipliers from the roots of the characteristic polynomial, or None."""
    known = "undecided"
    values: list[complex] = []
    for bits in FIRST_BITS:
        with ctx.workprec(bits):
            values, known = exact_stability(P)
            if known == "undecided" and on_unit_circle(P):
                known = "nonhyperbolic"
        if known != "undecided":
            return STABILITY[known], np.array(values, complex)
    return None


def on_unit_circle(P: fmpq_mat) -> bool:
    """Return whether an eigenvalue is proven to have modulus 1.

    With m, 1 / conj(m) is a root of the common factor of the characteristic polynomial and its
    reversal; if that can only be the root m itself, |m| = 1.
    """
    poly: Any = P.charpoly().numer()
    roots = [m for m, _ in poly.gcd(fmpz_poly(poly.coeffs()[::-1])).complex_roots()]
    for m in roots:
        mirrored = 1 / m.conjugate()
        if m.overlaps(mirrored) and sum(mirrored.overlaps(other) for other in roots) == 1:
            return True
    return False
