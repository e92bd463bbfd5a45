"""The degree of id - F^k at infinity: what the indices of all solutions of F^k(z) = z must sum to.

Far out only the recession map F_inf(z) = A z + W1 relu(W2 z) counts. With units of parallel rows
taken together it is L z + sum_g m_g |w_g z|, and where the terms |w_g z| are too weak to carry a
cycle of their own, the degree is that of the linear map L.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .._host import on_host
from .._numerics import EPS, is_positive_whole, quiet_floats
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, balanced, lower

MARGIN = 0.999
"""The spectral radius that bounds the nonlinear part must stay below this."""

LARGEST_AMPLIFICATION = 1e10
"""Errors of L may grow by this factor in (I - L^k)^-1."""

LONGEST = 4096
"""Longest period tried."""


@on_host()
def degree_at_infinity(model: AbstractPLRNN, period: int) -> int | None:
    """Return the sum of sign det(I - DF^k) over all solutions of F^k(z) = z, or None if unknown.

    If no nonzero orbit of L z + tau sum_g m_g |w_g z| with 0 <= tau <= 1 has period k, all cycles
    stay bounded on the way from F to L, so the degree is sign det(I - L^k) (homotopy invariance:
    Deimling 1985, Nonlinear Functional Analysis, ch. 1). Sufficient is a spectral radius below one
    of S = sum_{m<k} |W L^m (I - L^k)^-1 M|, W with rows w_g and M with columns m_g. The sum counts
    cycles of all periods that divide k; it takes for granted that each is regular and off the
    switching boundaries. It holds in floating-point arithmetic, with a bound of the rounding
    errors, and is not an interval proof.

    A clipped shallow PLRNN has M = 0 and L = A: with spectral radius of A below one the degree is
    1 for every period. (None also comes where (I - L^k)^-1 amplifies errors by more than 1e10, on
    overflow, and for k > 4096.)

    **Raises:** `ValueError` for a period that is not a positive integer.
    """
    if not is_positive_whole(period):
        raise ValueError(f"period: expected a positive integer, got {period!r}")
    if period > LONGEST:
        return None
    with quiet_floats():
        parts = _recession(balanced(lower(model))[0])
        closing, powers = _closing(parts.linear, period)
        amplification = _amplification(closing, powers, parts.forming_linear)
        if not amplification < LARGEST_AMPLIFICATION:
            return None
        if not _radius_bound(_coupling(parts, closing, powers, amplification)) < MARGIN:
            return None
        return int(np.linalg.slogdet(closing)[0])


class _Recession(NamedTuple):
    """F_inf(z) = L z + sum_g m_g |w_g z|, and the norms of what was summed to form L and m_g."""

    linear: Float[np.ndarray, "state state"]
    rows: Float[np.ndarray, "group state"]
    columns: Float[np.ndarray, "state group"]
    forming_linear: float
    forming_columns: Float[np.ndarray, " group"]


def row_directions(
    rows: Float[np.ndarray, "unit state"],
) -> tuple[Float[np.ndarray, "unit state"], Float[np.ndarray, " unit"]]:
    """Return rows divided by their entry of largest modulus, and that entry (zero rows: 0).

    Parallel rows share their direction; the entry's sign says which way they face.
    """
    if not rows.size:
        return rows, np.zeros(len(rows))
    largest = np.abs(rows).argmax(axis=1)[:, None]
    factors = np.take_along_axis(rows, largest, axis=1)[:, 0]
    return rows / np.where(factors == 0, 1.0, factors)[:, None] + 0.0, factors


def _recession(map: PiecewiseAffineMap) -> _Recession:
    """Take units of parallel rows together: p relu(x) + q relu(-x) = (p-q)/2 x + (p+q)/2 |x|."""
    rows, factors = row_directions(map.W2)
    groups, label = np.unique(rows, axis=0, return_inverse=True)
    member = label.reshape(-1)[:, None] == np.arange(len(groups))
    weights = map.W1 * np.abs(factors)
    ahead = weights @ (member & (factors > 0)[:, None])
    behind = weights @ (member & (factors < 0)[:, None])
    linear = map.A + 0.5 * (ahead - behind) @ groups
    forming = float(np.linalg.norm(np.abs(map.A) + np.abs(weights) @ np.abs(rows)))
    forming_columns = np.linalg.norm(np.abs(weights) @ member, axis=0)
    return _Recession(linear, groups, 0.5 * (ahead + behind), forming, forming_columns)


def _closing(linear: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Return I - L^k and the norms of L^0 ... L^k."""
    power = np.eye(len(linear))
    norms = [1.0]
    for _ in range(period):
        power = linear @ power
        norms.append(float(np.linalg.norm(power)))
    return np.eye(len(linear)) - power, np.array(norms)


def _amplification(closing: np.ndarray, powers: np.ndarray, forming: float) -> float:
    """Return how relative errors of the parameters grow in (I - L^k)^-1, infinite if singular.

    An error E of L moves L^k by sum_m L^m E L^(k-1-m).
    """
    if not np.isfinite(closing).all() or np.linalg.slogdet(closing)[0] == 0:
        return np.inf
    drift = forming * (powers[:-1] * powers[-2::-1]).sum()
    return float(np.linalg.norm(np.linalg.inv(closing)) * (1.0 + powers[-1] + drift))


def _coupling(
    parts: _Recession, closing: np.ndarray, powers: np.ndarray, amplification: float
) -> Float[np.ndarray, "group group"]:
    """Return S plus a bound of its rounding: |y_t| <= sum_j S_(t-j-1) |y_j| for orbits y = W z."""
    inverse = np.linalg.inv(closing)
    response = inverse @ parts.columns
    total = np.zeros((len(parts.rows), len(parts.rows)))
    largest = np.zeros(len(parts.rows))
    period = len(powers) - 1
    for _ in range(period):
        total += np.abs(parts.rows @ response)
        largest = np.maximum(largest, np.linalg.norm(response, axis=0))
        response = parts.linear @ response
    steps = period * (period + len(closing)) * powers[:-1].max()
    errors = (
        EPS * steps * (amplification * largest + np.linalg.norm(inverse) * parts.forming_columns)
    )
    return total + np.outer(np.linalg.norm(parts.rows, axis=1), errors)


def _radius_bound(matrix: Float[np.ndarray, "group group"]) -> float:
    """Return a bound of the spectral radius of a nonnegative matrix, infinite if it is too large.

    It is max_i (S x)_i / x_i for an x > 0 (Collatz 1942), here (MARGIN I - S)^-1 1, which is
    positive if and only if the spectral radius is below MARGIN.
    """
    if not len(matrix):
        return 0.0
    shifted = MARGIN * np.eye(len(matrix)) - matrix
    if not np.isfinite(shifted).all() or np.linalg.slogdet(shifted)[0] == 0:
        return np.inf
    x = np.linalg.solve(shifted, np.ones(len(matrix)))
    return float((matrix @ x / x).max()) if (x > 0).all() else np.inf
