"""Floquet multipliers of cycles, their index and their stability."""

from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Complex, Float, Int

from ._numerics import EPS, quiet_floats
from ._results import STABILITY, UNDECIDED_INDEX

INVARIANT = 1e-12
"""Columns of the frame that return into their span up to this angle have converged."""


def floquet_multipliers(
    jacobians: Float[np.ndarray, "cycle time state state"],
) -> tuple[Complex[np.ndarray, "cycle state"], Float[np.ndarray, "cycle state"]]:
    """Return the eigenvalues of the monodromy J_k ... J_1 of many cycles, and their error bounds.

    The product itself is useless for long cycles: its small eigenvalues drown in rounding. Here
    orthogonal iteration around the cycle (QR of J_t Q, as for Lyapunov exponents) brings it to
    block triangular form; blocks are split where the leading columns of the frame return into
    their own span, and only the diagonal blocks are multiplied out.

    **Returns:** multipliers by decreasing modulus, and first-order bounds of their errors
    (eigenvalue condition times rounding; not a proof). Moduli beyond the range of float64 come
    out as 0 or infinity.
    """
    jacobians = np.asarray(jacobians, np.float64)
    count, period, size, _ = jacobians.shape
    if count == 0 or size == 0:
        return np.zeros((count, size), complex), np.zeros((count, size))
    with quiet_floats():
        rounds = _one_step(jacobians[:, 0]) if period == 1 else _periodic_iteration(jacobians)
        pairs = [_block_eigenvalues(Round(*item), period) for item in zip(*rounds)]
    return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])


class Round(NamedTuple):
    """The monodromy in the frame of orthogonal iteration, for one cycle or (stacked) for many.

    **Fields:** `matrix`: Q^T P Q, block upper triangular; `error`: bound of the rounding in it, to
    first order and entry by entry; `growth`, `sign`: log modulus and sign of the diagonal, and
    `spread`, the relative error of its modulus; `cuts`: where its blocks split.
    """

    matrix: np.ndarray
    error: np.ndarray
    growth: np.ndarray
    sign: np.ndarray
    spread: np.ndarray
    cuts: np.ndarray


def _one_step(J: np.ndarray) -> Round:
    """Return the Jacobian itself as one block."""
    count, size, _ = J.shape
    diagonal = np.diagonal(J, axis1=1, axis2=2)
    cuts = np.zeros((count, max(size - 1, 0)), bool)
    error, spread = 4 * EPS * size * np.abs(J), np.full((count, size), 4 * EPS)
    return Round(J, error, np.log(np.abs(diagonal)), np.sign(diagonal), spread, cuts)


def _periodic_iteration(jacobians: np.ndarray) -> Round:
    """Turn a frame around every cycle until its columns return into their spans."""
    count, period, size, _ = jacobians.shape
    frame = np.linalg.qr(np.random.default_rng(7).standard_normal((size, size)))[0]
    Q = np.broadcast_to(frame, (count, size, size))
    for _ in range(4 if size <= 4 else 15):
        for t in range(period):
            Q, _ = np.linalg.qr(jacobians[:, t] @ Q)
    start, growth, sign = Q, np.zeros((count, size)), np.ones((count, size))
    product = absolute = np.broadcast_to(np.eye(size), (count, size, size))
    error, spread = np.zeros((count, size, size)), np.full((count, size), INVARIANT)
    for t in range(period):
        Q, R = np.linalg.qr(jacobians[:, t] @ Q)
        diagonal = np.diagonal(R, axis1=1, axis2=2)
        growth, sign = growth + np.log(np.abs(diagonal)), sign * np.sign(diagonal)
        # Rounding in a column of R is relative to the whole column, not to its entries.
        column = 4 * EPS * size * np.linalg.norm(R, axis=1)
        spread = spread + np.where(diagonal == 0, 0.0, column / np.abs(diagonal))
        error = np.abs(R) @ error + (column[:, None, :] @ absolute)
        product, absolute = R @ product, np.abs(R) @ absolute
    turn = np.swapaxes(start, 1, 2) @ Q
    lower = [np.abs(turn[:, i:, :i]).max(axis=(1, 2)) for i in range(1, size)]
    cuts = np.stack(lower, axis=1) < INVARIANT if size > 1 else np.zeros((count, 0), bool)
    spread = spread + _dropped_coupling(turn, product)
    turn = _masked(turn, cuts)
    sign = sign * np.sign(np.diagonal(turn, axis1=1, axis2=2))
    error = np.abs(turn) @ (error + EPS * size * absolute)
    return Round(turn @ product, error, growth, sign, spread, cuts)


def _dropped_coupling(turn: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Return the relative change of the diagonal by what lies below it in the turn.

    For [[a, b], [t a, c + t b]] the eigenvalue next to c is c (1 - t b / (a - c)), to first order.
    """
    modulus = np.abs(np.diagonal(product, axis1=1, axis2=2))
    gap = np.abs(modulus[:, :, None] - modulus[:, None, :])
    coupling = np.abs(np.tril(turn, -1)) * np.abs(np.swapaxes(product, 1, 2))
    ratio = np.where(np.isfinite(coupling / gap), coupling / gap, 0.0)
    return ratio.sum(axis=1) + ratio.sum(axis=2)


def _masked(turn: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Keep the diagonal blocks of the frame's turn; below them it is zero up to `INVARIANT`."""
    label = np.concatenate([np.zeros((len(cuts), 1), int), np.cumsum(cuts, axis=1)], axis=1)
    return np.where(label[:, :, None] == label[:, None, :], turn, 0.0)


def _block_eigenvalues(cycle: Round, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of the diagonal blocks, and bounds of their errors."""
    edges = [0, *(np.flatnonzero(cycle.cuts) + 1).tolist(), len(cycle.matrix)]
    values, errors = [], []
    for low, high in zip(edges[:-1], edges[1:]):
        block = cycle.matrix[low:high, low:high]
        if high - low == 1 and period > 1:
            modulus, value = np.exp(cycle.growth[low]), block[0, 0]
            if not np.isfinite(value) or value == 0:
                value = cycle.sign[low] * modulus if modulus else 0.0
            found = np.array([value], complex)
            error = np.array([0.0 if np.isinf(modulus) else cycle.spread[low] * modulus])
        elif np.isfinite(block).all():
            found, error = _eigenvalues(block, cycle.error[low:high, low:high])
        else:
            found = np.exp(cycle.growth[low:high]).astype(complex)
            error = np.full(high - low, np.inf)
        values.append(found)
        errors.append(error)
    multipliers, bounds = np.concatenate(values), np.concatenate(errors)
    order = np.lexsort((np.imag(multipliers), -np.abs(multipliers)))
    return multipliers[order], bounds[order]


def _eigenvalues(block: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of one block and its error times their condition numbers."""
    rounding = np.linalg.norm(error) + 4 * EPS * len(block) * np.linalg.norm(block)
    if len(block) == 1:
        return block[0].astype(complex), np.array([4 * EPS * abs(block[0, 0])])
    parts: Any = scipy.linalg.eig(block, left=True, right=True)
    values, left, right = parts
    condition = 1.0 / np.abs(np.sum(left.conj() * right, axis=0))
    # A defective eigenvalue moves like the root of the perturbation, of order its multiplicity.
    worst = (rounding * max(np.linalg.norm(block), 1.0) ** (len(block) - 1)) ** (1 / len(block))
    spread = np.fmin(rounding * condition, worst)
    return values.astype(complex), spread


def classify(
    multipliers: Complex[np.ndarray, "cycle state"], errors: Float[np.ndarray, "cycle state"]
) -> Int[np.ndarray, " cycle"]:
    """Return the `STABILITY` code of each cycle.

    Nonhyperbolic where a modulus is 1 within its error bound; else stable (all inside the unit
    circle), unstable (all outside) or saddle.
    """
    moduli = np.abs(multipliers)
    near = (np.abs(moduli - 1.0) <= errors).any(axis=1) | np.isnan(moduli).any(axis=1)
    inside, outside = (moduli < 1).all(axis=1), (moduli > 1).all(axis=1)
    code = np.where(inside, STABILITY.stable, STABILITY.saddle)
    code = np.where(outside & ~inside, STABILITY.unstable, code)
    return np.where(near, STABILITY.nonhyperbolic, code).astype(np.int8)


def cycle_index(
    multipliers: Complex[np.ndarray, "cycle state"], errors: Float[np.ndarray, "cycle state"]
) -> Int[np.ndarray, " cycle"]:
    """Return sign det(I - DF^k) = (-1)^(number of real multipliers > 1), if none may be 1.

    Complex multipliers come in conjugate pairs and contribute |1 - m|^2 > 0.
    """
    singular = (np.abs(multipliers - 1.0) <= errors).any(axis=1)
    above = ((np.imag(multipliers) == 0) & (np.real(multipliers) > 1)).sum(axis=1)
    return np.where(singular, UNDECIDED_INDEX, 1 - 2 * (above % 2)).astype(np.int8)
