"""The checker of certificates of connecting orbits: proves again, without the search, that there is
a transversal homoclinic or heteroclinic point.

Proven in ball arithmetic (python-flint), of F(z) = A z + W1 relu(W2 z + h2) + h1: there is a point
q whose orbit comes from one cycle, makes the steps of a word, and goes to a cycle on its stable
manifold; both have one multiplier outside the unit circle and all others inside; no point of the
orbit or the cycles is on a switching boundary, so that F is affine around each; the Jacobians there
can be inverted; and the unstable direction, carried along, leaves the stable space.
"""

import json
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat, ctx

from ._checker import Refused
from ._exact import Letter, System, fingerprint, sealed, with_a_unit

FORMAT = 1
KIND = "connections"
LONGEST = 10_000
_BITS = (128, 256, 512, 1024, 2048, 4096)
"""Precisions that are tried in turn."""
_SQUARINGS = 40
"""Of P on the stable space, until its norm is below 1: 2^40 turns."""


class Undecided(Exception):
    """Balls are too wide to tell; a higher precision may."""


class Connection(NamedTuple):
    """An orbit by its words: from `source[0]` on, along `transit`, to `target[0]` and on."""

    source: list[Letter]
    target: list[Letter]
    transit: list[Letter]


class _Saddle(NamedTuple):
    """Points of a cycle, J of each step, and of P = DF^k at the first point the multiplier outside
    the unit circle with its right and left eigenvector (l v = 1)."""

    points: list[arb_mat]
    J: list[arb_mat]
    word: list[Letter]
    P: arb_mat
    multiplier: arb
    right: arb_mat
    left: arb_mat


def verify(text: str, A, W1, W2, h1, h2) -> list[dict[str, Any]]:
    """Return what a certificate proves of a map, one entry for each connecting orbit.

    **Raises:** `Refused` where anything in it is not proven, or is not as it was written.
    """
    try:
        data = json.loads(text)
        del data["SHA256"]
        if text != sealed(data) or data["format"] != FORMAT or data["kind"] != KIND:
            raise Refused("the file was changed after it was written")
        arrays = with_a_unit(A, W1, W2, h1, h2)
        if data["model"] != fingerprint(*arrays):
            raise Refused("it was made for another model")
        words = [[_letters(one[n], len(h2)) for n in Connection._fields] for one in data["orbits"]]
        found = [prove(arrays, Connection(*parts)) for parts in words]
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise error if isinstance(error, Refused) else Refused(f"damaged: {error}") from error
    if not found or data["orbits"] != found:
        raise Refused("the orbits listed are not those of the proof")
    return found


def _letters(texts: Any, units: int) -> list[Letter]:
    """Return a word written as texts of 0 and 1."""
    sound = isinstance(texts, list) and len(texts) <= LONGEST
    if not sound or any(len(x) != max(units, 1) or set(x) - {"0", "1"} for x in texts):
        raise Refused("damaged: words")
    return [tuple(int(bit) for bit in text) for text in texts]


def prove(arrays: list[np.ndarray], orbit: Connection) -> dict[str, Any]:
    """Prove a connecting orbit, at the least precision that suffices.

    **Raises:** `Refused` where it is disproven, or not decided.
    """
    if not orbit.source or not orbit.target:
        raise Refused("a cycle needs a word")
    for bits in _BITS:
        with ctx.workprec(bits), np.errstate(all="ignore"):
            try:
                return _Proof(System(*arrays), orbit).facts()
            except (Undecided, ZeroDivisionError):
                continue
    raise Refused(f"not decided in {_BITS[-1]} bits")


class _Proof:
    """One attempt, in balls of the present precision."""

    def __init__(self, system: System, orbit: Connection):
        self.system, self.orbit = system, orbit
        self.source, self.target = self._saddle(orbit.source), self._saddle(orbit.target)
        self.start, self.angle = self._start()
        self._comes_from_the_source()
        self._goes_to_the_target(self._travel())

    def facts(self) -> dict[str, Any]:
        """Return what is proven; numbers are the doubles nearest to the middles of balls."""
        word = lambda letters: ["".join(map(str, letter)) for letter in letters]
        source = self.orbit.source
        turned = [source[n:] + source[:n] for n in range(len(source))]
        point = self.source.points[0] + self.source.right * self.start
        return {name: word(letters) for name, letters in self.orbit._asdict().items()} | {
            "point": [float(x.mid()) for x in point],
            "multipliers": [float(x.multiplier.mid()) for x in (self.source, self.target)],
            "sine": float(self.angle.mid()),
            "homoclinic": self.orbit.target in turned,
        }

    def _saddle(self, word: list[Letter]) -> _Saddle:
        exact, q = self.system.composed(word)
        outside = [m for m in _roots(exact) if _told(abs(m) - 1)]
        if len(outside) != 1:
            raise Refused(
                f"a cycle has {len(outside)} multipliers outside the unit circle, not one"
            )
        P, value = arb_mat(exact), outside[0].real
        point = (arb_mat(self.system.identity) - P).solve(arb_mat(q))
        points, J = [point], []
        for letter in word:
            self._check(points[-1], letter, "a cycle")
            J.append(self._jacobian(letter))
            points.append(self._step(points[-1], letter))
        shift = arb_mat(self.system.identity) * value
        v, l = _null(P - shift), _null(P.transpose() - shift).transpose()
        return _Saddle(points[:-1], J, word, P, value, v, l / _number(l * v))

    def _jacobian(self, letter: Letter) -> arb_mat:
        J = arb_mat(self.system.piece(letter)[0])
        if J.det().contains(0):
            if self.system.piece(letter)[0].det() == 0:
                raise Refused("a Jacobian along the orbit cannot be inverted")
            raise Undecided
        return J

    def _step(self, z: arb_mat, letter: Letter) -> arb_mat:
        J, c = self.system.piece(letter)
        return arb_mat(J) * z + arb_mat(c)

    def _check(self, z: arb_mat, letter: Letter, what: str) -> None:
        """Make sure that a point is strictly inside a linear subregion."""
        y = self.system.rows * z + self.system.offsets
        for i, on in enumerate(letter):
            if y[i, 0].contains(0):
                raise Undecided
            if (y[i, 0] > 0) != bool(on):
                raise Refused(f"{what} is not in the linear subregions of its word")

    def _start(self) -> tuple[arb, arb]:
        """Return t of q = p + t v, whose image after the transit is in the stable space, and the
        sine of the angle between this space and the unstable direction carried along."""
        a, b = self.source.points[0], self.source.right
        for letter in self.orbit.transit:
            a, b = self._step(a, letter), self._jacobian(letter) * b
        slope = _number(self.target.left * b)
        if slope.contains(0):
            raise Undecided
        start = -_number(self.target.left * (a - self.target.points[0])) / slope
        if start.contains(0):
            raise Undecided
        return start, abs(slope) / (_norm(b) * _norm(self.target.left.transpose()))

    def _comes_from_the_source(self) -> None:
        """The past of q: between p and its images one and two turns ago, all on one side of every
        boundary, since these are convex."""
        for turns in (1, 2):
            offset = self.source.right * (self.start / self.source.multiplier**turns)
            for point, J, letter in zip(self.source.points, self.source.J, self.source.word):
                self._check(point + offset, letter, "the past of the orbit")
                offset = J * offset

    def _travel(self) -> arb_mat:
        z = self.source.points[0] + self.source.right * self.start
        for letter in self.orbit.transit:
            self._check(z, letter, "the orbit")
            z = self._step(z, letter)
        return z

    def _goes_to_the_target(self, z: arb_mat) -> None:
        """The future: offsets w in the stable space shrink, and keep all signs of the cycle."""
        _, J, word, P, value, v, l = self.target
        w = z - self.target.points[0]
        w = w - v * _number(l * w)
        stable = P - v * l * value
        bound, power = arb(1), stable
        for _ in range(_SQUARINGS):
            size = _row_sum(power)
            bound = bound * size.max(arb(1))
            if size < 1:
                break
            power = power * power
        else:
            raise Undecided
        rooms = self._rooms()
        for _ in range(LONGEST):
            if all(_largest(w) * bound * size < room for room, size in rooms):
                return
            offset = w
            for point, one, letter in zip(self.target.points, J, word):
                self._check(point + offset, letter, "the future of the orbit")
                offset = one * offset
            w = stable * w
        raise Undecided

    def _rooms(self) -> list[tuple[arb, arb]]:
        """Return how close each point of the target is to a boundary, and how many times |w| the
        orbit may be nearer by then."""
        found, prefix = [], arb_mat(self.system.identity)
        for point, J in zip(self.target.points, self.target.J):
            y = self.system.rows * point + self.system.offsets
            room = abs(y[0, 0])
            for x in y:
                room = room.min(abs(x))
            found.append((room, _row_sum(self.system.rows * prefix)))
            prefix = J * prefix
        return found


def _roots(P) -> list:
    """Return balls around the multipliers, each as often as it is one."""
    poly: Any = P.charpoly().numer()
    return [root for root, times in poly.complex_roots() for _ in range(times)]


def _told(x: arb) -> bool:
    """Return whether a number is positive.

    **Raises:** `Undecided` where its ball holds 0.
    """
    if x.contains(0):
        raise Undecided
    return bool(x > 0)


def _null(matrix: arb_mat) -> arb_mat:
    """Return the vector that a matrix of rank M - 1 maps to 0, one entry being 1.

    What is solved leaves out a row and a column: where this has one solution, it is that vector.
    """
    size = matrix.nrows()
    middle = np.array([[float(x.mid()) for x in row] for row in matrix.tolist()])
    left, _, right = np.linalg.svd(middle)
    row, column = (int(np.abs(x).argmax()) for x in (left[:, -1], right[-1]))
    rest = [j for j in range(size) if j != column]
    if not rest:
        return arb_mat([[1]])
    rows = [i for i in range(size) if i != row]
    part = arb_mat([[matrix[i, j] for j in rest] for i in rows])
    found = part.solve(arb_mat([[-matrix[i, column]] for i in rows]))
    entries = dict(zip(rest, (found[i, 0] for i in range(size - 1)))) | {column: arb(1)}
    return arb_mat([[entries[j]] for j in range(size)])


def _number(matrix: arb_mat) -> arb:
    return matrix[0, 0]


def _norm(column: arb_mat) -> arb:
    return sum((x * x for x in column), arb(0)).sqrt()


def _largest(column: arb_mat) -> arb:
    found = arb(0)
    for x in column:
        found = found.max(abs(x))
    return found


def _row_sum(matrix: arb_mat) -> arb:
    """Return the norm of a matrix that goes with the largest entry of a vector."""
    found = arb(0)
    for row in matrix.tolist():
        found = found.max(sum((abs(x) for x in row), arb(0)))
    return found
