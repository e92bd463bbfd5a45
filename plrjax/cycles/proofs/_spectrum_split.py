"""How many eigenvalues of a matrix of balls lie inside the unit circle."""

from typing import Any

import numpy as np
import scipy.linalg
from flint import acb_mat, arb, arb_mat

from ..._results import STABILITY

_MAX_EIGENVALUES = 40
"""Eigenvalues enclosed one by one, at most, where the circle splits them otherwise."""

_MAX_SQUARINGS = 40
_TINY = 2.0**-200


def stability_in_balls(P: arb_mat) -> tuple[STABILITY, np.ndarray | None, bool] | None:
    """Return a proven stability, the eigenvalues where enclosed, and whether that is fine, or None.

    Few eigenvalues are enclosed one by one; for many, it is enough to tell inside from outside.
    """
    large = P.nrows() > _MAX_EIGENVALUES
    found = None if large else enclosed_eigenvalues(P)
    if found is None and (code := split_stability(P)) is not None:
        found = code, None, large
    return enclosed_eigenvalues(P) if large and found is None else found


def enclosed_eigenvalues(P: arb_mat) -> tuple[STABILITY, np.ndarray, bool] | None:
    """Return what balls around all eigenvalues prove, their midpoints, and whether they are fine.

    None where they cannot be told apart or one ball meets the unit circle.
    """
    try:
        balls = acb_mat(P).eig(multiple=True)
    except ValueError:
        return None
    inside = [bool(abs(m) < 1) for m in balls]
    if not all(a or abs(m) > 1 for m, a in zip(balls, inside)):
        return None
    # A real eigenvalue of a real matrix has an imaginary part that cannot be told from 0.
    values: Any = np.array(
        [
            complex(float(m.real.mid()), 0.0 if m.imag.contains(0) else float(m.imag.mid()))
            for m in balls
        ]
    )
    fine = all(
        float(max(m.real.rad(), m.imag.rad())) <= max(2.0**-50 * abs(v), _TINY)
        for m, v in zip(balls, values.tolist())
    )
    order = np.lexsort((values.imag, -np.abs(values)))
    return _named(sum(inside), len(inside)), values[order], fine


def split_stability(P: arb_mat) -> STABILITY | None:
    """Return the stability that a splitting of the spectrum by the unit circle proves, or None.

    In a basis (rounded, so taken as it is) of both invariant subspaces P = [[B, E], [G, C]] with E
    and G small. For |m| = 1, |(m - B)^-1| <= b follows from a power of B below 1, and
    |(m - C)^-1| <= c from one of C^-1. If b |E| c |G| < 1, no eigenvalue of [[B, t E], [t G, C]]
    with 0 <= t <= 1 lies on the circle: as many lie inside as B has.
    """
    size = P.nrows()
    approximate = np.array([float(x.mid()) for x in P.entries()]).reshape(size, size)
    if not np.isfinite(approximate).all():
        return None
    basis, count = _basis(approximate)
    if basis is None:
        return None
    blocks = _blocks(P, basis, count)
    if blocks is None:
        return None
    B, E, G, C = blocks
    bounds = _resolvent(B), _outer_resolvent(C)
    if bounds[0] is None or bounds[1] is None:
        return None
    coupled = bounds[0] * _norm(E) * bounds[1] * _norm(G)
    return _named(count, size) if coupled < 1 else None


def _named(inside: int, size: int) -> STABILITY:
    if inside == size:
        return STABILITY.stable
    return STABILITY.saddle if inside else STABILITY.unstable


def _basis(P: np.ndarray) -> tuple[np.ndarray | None, int]:
    """Return a basis of the subspaces inside and outside, and the dimension of the first."""
    try:
        ordered: Any = scipy.linalg.schur(
            P, output="real", sort=lambda re, im: np.hypot(re, im) < 1.0
        )
        T, Z, count = ordered
        if 0 < count < len(P):
            X = scipy.linalg.solve_sylvester(
                T[:count, :count], -T[count:, count:], -T[:count, count:]
            )
            Z = np.hstack([Z[:, :count], Z[:, :count] @ X + Z[:, count:]])
    except scipy.linalg.LinAlgError:
        return None, 0
    return (Z if np.isfinite(Z).all() else None), int(count)


def _blocks(P: arb_mat, basis: np.ndarray, count: int):
    """Return the blocks of V^-1 P V; whole matrices need no other basis."""
    size = len(basis)
    if 0 < count < size:
        V = arb_mat(size, size, basis.ravel().tolist())
        try:
            P = V.solve(P * V)
        except ZeroDivisionError:
            return None
    rows = P.tolist()

    def block(low, high, left, right):
        part = [row[left:right] for row in rows[low:high]]
        return arb_mat(high - low, right - left, [x for row in part for x in row])

    corners = ((0, count), (count, size))
    return [block(*a, *b) for a in corners for b in corners]


def _norm(matrix: arb_mat) -> arb:
    """Return an upper bound of the maximum row sum."""
    sums = [sum((abs(x) for x in row), arb(0)).upper() for row in matrix.tolist()]
    largest = arb(0)
    for value in sums:
        largest = largest.max(value)
    return largest


def _resolvent(B: arb_mat) -> arb | None:
    """Bound |(m - B)^-1| on |m| = 1 by prod (1 + |B^(2^i)|) / (1 - |B^(2^n)|), or None."""
    if not B.nrows():
        return arb(0)
    bound = arb(1)
    for _ in range(_MAX_SQUARINGS):
        norm = _norm(B)
        if norm < 1:
            return bound / (1 - norm)
        if not norm < 2.0**500:
            return None
        bound, B = bound * (1 + norm), B * B
    return None


def _outer_resolvent(C: arb_mat) -> arb | None:
    """Bound |(m - C)^-1| on |m| = 1 by |C^-1| and the powers of C^-1, or None."""
    if not C.nrows():
        return arb(0)
    try:
        inverse = C.inv()
    except ZeroDivisionError:
        return None
    bound = _resolvent(inverse)
    return None if bound is None else _norm(inverse) * bound
