"""Cycles through a switching boundary: index and stability of a piecewise-linear return map.

Beside such a cycle F^k(z + v) - z = G(v), linear on each cone of v that gives the units of
pre-activation 0 their signs. Signs and cones are exact; what is not decided stays so.
"""

import itertools
from typing import Any

import numpy as np
from jaxtyping import Bool

from .._piecewise_affine import Itinerary
from .._results import STABILITY, UNDECIDED_INDEX
from ._polyhedron import Undecided, eliminate, rational, solutions

_MAX_TIES = 8
"""Units of pre-activation 0, at most: their 2^n sign patterns are gone through."""

_MAX_PRODUCTS = 4096
"""Products of pieces whose norms are looked at."""

_LONGEST_PRODUCT = 12
"""Factors they have at most."""

_CLEAR = 1e-9
"""Norms below 1, and growth above 1, count by so much: rounding is far smaller."""

Piece = tuple[Any, list[tuple[Any, int]], Itinerary]
"""The Jacobian of F^k with some signs of the ties, for each tie its row and sign, the itinerary."""


def judged(
    system: Any, itinerary: Itinerary, zero: Bool[np.ndarray, "time unit"]
) -> tuple[STABILITY, int] | Itinerary:
    """Return stability and index (the degree of v - G(v) around 0) of a cycle with ties.

    Where all pieces coincide, G is linear: returned is then the itinerary of one of them.
    """
    unknown = STABILITY.undecided, UNDECIDED_INDEX
    try:
        ties, pieces = _pieces(system, itinerary, zero)
        if not pieces:
            return unknown
        if all(piece[0] == pieces[0][0] for piece in pieces):
            return pieces[0][2]
        return _stability(system, itinerary, ties, pieces), _degree(system, pieces)
    except Undecided:
        return unknown


def is_in_continuum(system: Any, itinerary: Itinerary, zero: Bool[np.ndarray, "time unit"]) -> bool:
    """Return whether solutions of G(v) = v besides 0 are known: the cycle is not isolated."""
    _, pieces = _pieces(system, itinerary, zero)
    singular = [(system.identity - piece[0], piece) for piece in pieces]
    return any(m.det() == 0 and _keeps_a_ray(m, piece) for m, piece in singular)


def _pieces(system, itinerary, zero) -> tuple[list[tuple[int, int]], list[Piece]]:
    """Return the ties that matter and the pieces that meet; none where they are too many.

    Pieces whose cones are flat do not count: G is continuous, and others cover their cones.
    """
    ties = [(int(t), int(i)) for t, i in np.argwhere(zero & _matters(system))]
    if len(ties) > _MAX_TIES:
        return ties, []
    pieces = [_piece(system, itinerary, ties, signs) for signs in _signs(len(ties))]
    identity = system.identity.tolist()
    return ties, [p for p in pieces if eliminate(_cone(p, identity, True), system.size) is not None]


def _cone(piece: Piece, directions: list, strict: bool) -> list:
    """Return the inequalities of a piece's cone for combinations of some directions."""
    rows = []
    for row, sign in piece[1]:
        slopes = [sum((a * b for a, b in zip(row, v)), 0 * v[0]) for v in directions]
        numbers = [x if sign else -x for x in [*slopes, 0 * slopes[0]]]
        rows.append((tuple(numbers), strict))
    return rows


def _matters(system) -> np.ndarray:
    """Return which units change anything: those with a column of W1 and a row of W2."""
    columns = np.array([[x != 0 for x in row] for row in system.W1.tolist()]).any(axis=0)
    return columns & np.array([any(x != 0 for x in row) for row in system.W2.tolist()])


def _signs(count: int):
    return itertools.product((0, 1), repeat=count)


def _piece(system, itinerary, ties, signs) -> Piece:
    """Return DF^k and the tied pre-activations' rows, as functions of v, where ties have signs."""
    word = itinerary.copy()
    for tie, sign in zip(ties, signs):
        word[tie] = bool(sign)
    J, rows, at = system.identity, [], 0
    for t, letter in enumerate(word):
        seen = (system.W2 * J).tolist()
        while at < len(ties) and ties[at][0] == t:
            row = seen[ties[at][1]]
            if signs[at] or any(x != 0 for x in row):  # a tie for all v is off
                rows.append((row, signs[at]))
            at += 1
        J = system.piece(tuple(map(int, letter)))[0] * J
    return J, rows, word


def _side(row, v) -> int:
    """Return the sign of a tied pre-activation at v."""
    value = sum((a * b for a, b in zip(row, v)), 0 * v[0])
    return int(value > 0) - int(value < 0)


def _inside(piece: Piece, v) -> bool | None:
    """Return whether v lies in the piece's cone; None on its border."""
    sides = [(_side(row, v), sign) for row, sign in piece[1]]
    if any(side == (-1 if sign else 1) for side, sign in sides):
        return False
    return None if any(side == 0 for side, _ in sides) else True


def _degree(system, pieces: list[Piece]) -> int:
    """Count the solutions of v - G(v) = p, with sign, for a p in general position."""
    from flint import fmpq, fmpq_mat

    regular = []
    for piece in pieces:
        matrix = system.identity - piece[0]
        det = matrix.det()
        if det == 0:
            if _keeps_a_ray(matrix, piece):
                return UNDECIDED_INDEX
            continue
        regular.append((piece, matrix, 1 if det > 0 else -1))
    for trial in range(1, 6):
        p = fmpq_mat([[fmpq(37 * trial + 11 * j * j + 5, 13 + 7 * j)] for j in range(system.size)])
        total = 0
        for piece, matrix, sign in regular:
            inside = _inside(piece, [row[0] for row in matrix.solve(p).tolist()])
            if inside is None:
                break
            total += sign * inside
        else:
            return total
    return UNDECIDED_INDEX


def _keeps_a_ray(matrix, piece: Piece) -> bool:
    """Return whether v = G(v) has solutions in the piece's closed cone besides 0."""
    size = matrix.nrows()
    augmented = type(matrix)([[*row, 0] for row in matrix.tolist()])
    solved = solutions(augmented, size)
    assert solved is not None  # 0 is one
    kernel = solved[1]
    cone = _cone(piece, kernel, False)
    for place, side in itertools.product(range(len(kernel)), (1, -1)):
        away = [rational(side * (j == place)) for j in range(len(kernel))]
        if eliminate([*cone, ((*away, rational(-1)), False)], len(kernel)) is not None:
            return True
    return False


def _stability(system, itinerary, ties, pieces: list[Piece]) -> STABILITY:
    """Decide in one state by the two slopes; in more by a norm, or by a ray that is kept."""
    if system.size == 1:
        ahead, behind = (_pushed(system, itinerary, ties, [system.identity[0, 0] * s])[0]
                         for s in (1, -1))  # fmt: skip
        return _of_slopes(ahead, -behind)
    jacobians = [np.array([[float(int(x.p) / int(x.q)) for x in row] for row in J.tolist()])
                 for J, *_ in pieces]  # fmt: skip
    jacobians = list({J.tobytes(): J for J in jacobians}.values())
    if not all(np.isfinite(J).all() for J in jacobians):
        return STABILITY.undecided
    if _contracts(jacobians):
        return STABILITY.stable
    if _expands(pieces):
        return STABILITY.unstable
    return STABILITY.undecided


def _pushed(system, itinerary, ties, v: list) -> list:
    """Return G(v), exactly."""
    from flint import fmpq_mat

    tied = set(ties)
    column = fmpq_mat([[x] for x in v])
    for t, letter in enumerate(itinerary):
        values = (system.W2 * column).tolist()
        on = [int(values[i][0] > 0) if (t, i) in tied else int(bit)
              for i, bit in enumerate(letter)]  # fmt: skip
        column = system.piece(tuple(on))[0] * column
    return [row[0] for row in column.tolist()]


def _of_slopes(right, left) -> STABILITY:
    """Return the stability of 0 under x -> right x for x > 0, left x for x < 0."""
    if right >= 0 and left >= 0:
        growth = [right, left]
    elif right < 0 and left < 0:
        growth = [right * left]
    else:  # one side is left for the other one, which is kept
        growth = [max(right, left)]
    if any(factor > 1 for factor in growth):
        return STABILITY.unstable
    return STABILITY.nonhyperbolic if any(f == 1 for f in growth) else STABILITY.stable


def _contracts(jacobians: list[np.ndarray]) -> bool:
    """Return whether one norm of all products of some length is below one."""
    pieces = np.array(jacobians)
    products = pieces
    for _ in range(_LONGEST_PRODUCT):
        largest = [np.linalg.norm(products, order, axis=(1, 2)).max() for order in (1, 2, np.inf)]
        if min(largest) < 1 - _CLEAR:
            return True
        if len(products) * len(pieces) > _MAX_PRODUCTS or not min(largest) < 1e6:
            return False
        products = (pieces[:, None] @ products[None]).reshape(-1, *pieces.shape[1:])
    return False


def _expands(pieces: list[Piece]) -> bool:
    """Return whether a piece has a real eigenvalue above 1 whose vector lies inside its cone."""
    for J, rows, _ in pieces:
        matrix = np.array([[int(x.p) / int(x.q) for x in row] for row in J.tolist()])
        walls = np.array([[int(x.p) / int(x.q) for x in row] for row, _ in rows])
        signs = np.array([1.0 if sign else -1.0 for _, sign in rows])
        values, vectors = np.linalg.eig(matrix)
        for value, vector in zip(values, vectors.T):
            if np.imag(value) or not np.real(value) > 1 + _CLEAR:
                continue
            sides = signs * (walls @ np.real(vector)) if len(rows) else np.ones(1)
            clear = _CLEAR * max(np.abs(walls).max(initial=0.0), 1.0)
            if (sides > clear).all() or (sides < -clear).all():
                return True
    return False
