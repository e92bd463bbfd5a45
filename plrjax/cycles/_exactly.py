"""Words that floating-point arithmetic cannot decide, decided in rationals.

Parameters are those of the network, before lowering rounds them. A unit whose
pre-activation is 0 is off, so each orbit has one itinerary and each cycle one word.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Float

from .._piecewise_affine import Itinerary, PiecewiseAffineMap
from ._on_border import is_in_continuum
from ._polyhedron import NUM_POINTS, Undecided, eliminate, point, rational, solutions

MAX_UNKNOWNS = 200
"""States times period, at most: so large a matrix of rationals takes some tenths of a second."""


@dataclasses.dataclass(frozen=True)
class Decided:
    """A cycle that exists: its true itinerary, its points to the nearest floats, and its ties.

    **Fields:** `zero`: which pre-activations are exactly 0; `is_family`: whether it is one member
    of a continuum.
    """

    itinerary: Bool[np.ndarray, "time unit"]
    points: Float[np.ndarray, "time state"]
    zero: Bool[np.ndarray, "time unit"]
    is_family: bool


class Rationals:
    """A map in exact numbers, and what it decides of words."""

    def __init__(self, map: PiecewiseAffineMap):
        self.map = map
        self._in_continua: dict[bytes, bool] = {}

    @functools.cached_property
    def system(self):
        """The map's parameters as rational matrices."""
        from .._exact import System

        return System(*self.map.exactly())

    def decide(self, itinerary: Itinerary) -> Decided | None:
        """Return the cycle of an itinerary of k steps, or None if it has none of minimal period k.

        Where the solutions of F_w(z) = z are a continuum, one of minimal period k is returned, if
        there are any whose itinerary is w. None, too, for the end of another word's continuum.

        **Raises:** `Undecided` for words that are too long.
        """
        if len(itinerary) * self.map.state_size > MAX_UNKNOWNS:
            raise Undecided
        from flint import fmpq_mat

        word = [tuple(map(int, letter)) for letter in itinerary]
        P, q = self.system.composed(word)
        matrix = self.system.identity - P
        if matrix.det() != 0:
            return self._judged(word, matrix.solve(q), False)
        augmented = fmpq_mat([[*row, *end] for row, end in zip(matrix.tolist(), q.tolist())])
        solved = solutions(augmented, self.map.state_size)
        if solved is None:
            return None
        members = list(self._members(word, *solved))
        several = any(start != members[0] for start in members)  # or the signs leave one point
        for start in members if several else members[:1]:
            found = self._judged(word, start, several)
            if found is not None:
                return found
        return None

    def visited(self, itinerary: Itinerary) -> Itinerary | None:
        """Return the itinerary of the orbit that begins at a word's solution, None if singular."""
        P, q = self.system.composed([tuple(map(int, letter)) for letter in itinerary])
        matrix = self.system.identity - P
        if matrix.det() == 0:
            return None
        z, seen = matrix.solve(q), []
        for _ in itinerary:
            seen.append([row[0] > 0 for row in (self.system.W2 * z + self.system.h2).tolist()])
            J, c = self.system.piece(tuple(map(int, seen[-1])))
            z = J * z + c
        return np.array(seen, bool)

    def _judged(self, word, z, is_family: bool) -> Decided | None:
        """Return the cycle that starts at z, if its orbit has the word's signs and period."""
        points, ties, on = [], [], []
        for letter in word:
            values = [row[0] for row in (self.system.W2 * z + self.system.h2).tolist()]
            if any(v < 0 if bit else v > 0 for v, bit in zip(values, letter)):
                return None
            points.append([row[0] for row in z.tolist()])
            on.append([v > 0 for v in values])
            ties.append([v == 0 for v in values])
            J, c = self.system.piece(letter)
            z = J * z + c
        zero, k = np.array(ties, bool), len(word)
        if any(k % d == 0 and points[d] == points[0] for d in range(1, k)):
            return None
        itinerary = np.array(on, bool)
        if zero.any() and not is_family and self._is_in_continuum(itinerary, zero):
            return None
        floats = [[int(x.p) / int(x.q) for x in place] for place in points]
        return Decided(itinerary, np.array(floats), zero, is_family)

    def _is_in_continuum(self, itinerary: Itinerary, zero: np.ndarray) -> bool:
        """Return whether a solution with ties is the end of a continuum; asked of many words."""
        name = itinerary.tobytes()
        if name not in self._in_continua:
            self._in_continua[name] = is_in_continuum(self.system, itinerary, zero)
        return self._in_continua[name]

    def _members(self, word, center, kernel):
        """Yield solutions center + kernel x inside the word's subregions, exactly."""
        from flint import fmpq_mat

        size = self.map.state_size
        basis = fmpq_mat([[*row] for row in zip(*kernel)])
        z, slopes, wanted = fmpq_mat([[x] for x in center]), basis, []
        for letter in word:
            values = (self.system.W2 * z + self.system.h2).tolist()
            rows = (self.system.W2 * slopes).tolist()
            for (value,), row, bit in zip(values, rows, letter):
                sign = 1 if bit else -1
                numbers = [sign * x for x in (*row, value)]
                wanted.append((tuple(numbers), bool(bit)))
            J, c = self.system.piece(letter)
            z, slopes = J * z + c, J * slopes
        stages = eliminate(wanted, len(kernel))
        for first in range(NUM_POINTS if stages is not None else 0):
            x = point(stages, first)
            yield fmpq_mat([
                [center[i] + sum((t * v[i] for t, v in zip(x, kernel)), rational(0))]
                for i in range(size)
            ])  # fmt: skip
