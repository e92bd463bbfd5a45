"""Where a word's candidate is along a path, and the functions whose zeros are its events.

For a word w of length k the candidate z_1 ... z_k at s solves the cyclic system z_{t+1} - J_t z_t =
c_t (multiple shooting; no product of Jacobians is formed). Events are zeros of the pre-activations
y_{t,i}, of det(I - P), det(I + P), and of prod_{i<j} (1 - m_i m_j) over the multipliers m of P.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float

from .._elimination import cyclic_matrix, solve_rows
from .._map_arrays import MapArrays
from .._numerics import EPS, quiet_floats
from .._stability import floquet_multipliers
from ._path import AbstractParameterPath

_CHUNK = 2**22
"""Numbers held in the systems of one batch, at most."""


class Signed(NamedTuple):
    """Numbers sign * exp(log), beyond the range of float64."""

    sign: Float[np.ndarray, "*point"]
    log: Float[np.ndarray, "*point"]


class Candidates(NamedTuple):
    """Solutions of words at values of the parameter (one entry per pair of both).

    **Fields:** `points` z_t; `activations` y_t = W2 z_t + h2; `closing` = det(I - P).
    """

    points: Float[np.ndarray, "point time state"]
    activations: Float[np.ndarray, "point time unit"]
    closing: Signed


def candidates(
    path: AbstractParameterPath,
    words: Bool[np.ndarray, "point time unit"],
    s: Float[np.ndarray, " point"],
) -> Candidates:
    """Return the solution of each word at its value of the parameter."""
    period, size = words.shape[1], path.shape[0]
    rows = max(1, _CHUNK // (period * size) ** 2)
    parts = [
        _candidates(path.arrays(s[low : low + rows]), words[low : low + rows])
        for low in range(0, len(s), rows)
    ]
    if not parts:
        parts = [_candidates(path.arrays(s), words)]
    if len(parts) == 1:
        return parts[0]
    closing = Signed(*(np.concatenate(x) for x in zip(*(part.closing for part in parts))))
    joined = (
        np.concatenate([getattr(part, name) for part in parts]) for name in Candidates._fields[:2]
    )
    points, activations = joined
    return Candidates(points, activations, closing)


def _candidates(arrays: MapArrays, words: np.ndarray) -> Candidates:
    count, period, _ = words.shape
    with quiet_floats():
        jacobians, offsets = arrays.pieces(words)
        matrix = cyclic_matrix(jacobians)
        sign, log = np.linalg.slogdet(matrix)
        right = np.roll(offsets, 1, axis=1).reshape(count, -1)
        points = solve_rows(matrix, right).reshape(count, period, -1)
        activations = points @ np.swapaxes(arrays.W2, 1, 2) + arrays.h2[:, None]
    return Candidates(points, activations, Signed(sign, log))


def activation_errors(arrays: MapArrays, words: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return first-order bounds of the rounding in the words' pre-activations "point time unit".

    |z error| <= 4 eps |(I - cyclic J)^-1| (|z| + sums of absolute values that form J z + c).
    """
    count, period, _ = words.shape
    mask = words.astype(np.float64)
    A, W1, W2 = np.abs(arrays.A), np.abs(arrays.W1), np.abs(arrays.W2)
    z = np.abs(points)
    with quiet_floats():
        pushed = z @ np.swapaxes(W2, 1, 2) + np.abs(arrays.h2)[:, None]
        formed = z @ np.swapaxes(A, 1, 2) + (mask * pushed) @ np.swapaxes(W1, 1, 2)
        formed += np.abs(arrays.h1)[:, None]
        right = (np.roll(formed, 1, axis=1) + z).reshape(count, -1)
        matrix = cyclic_matrix(arrays.pieces(words)[0])
        identity = np.eye(matrix.shape[1])
        inverse = np.stack([solve_rows(matrix, np.tile(e, (count, 1))) for e in identity], axis=2)
        error = (np.abs(inverse) @ right[..., None]).reshape(z.shape)
        return 4 * EPS * (error @ np.swapaxes(W2, 1, 2) + pushed)


class Stability(NamedTuple):
    """Test functions of stability: det(I + P), and the product over pairs of multipliers.

    **Fields:** `resting`: whether each of the two is zero within rounding.
    """

    flip: Signed
    center: Signed
    resting: Bool[np.ndarray, "2 point"]


def stability_functions(path: AbstractParameterPath, words: np.ndarray, s: np.ndarray) -> Stability:
    """Return the functions that change sign at degenerate flips and at center bifurcations."""
    rows = max(1, _CHUNK // (words.shape[1] * path.shape[0]) ** 2)
    flips, centers, resting = [], [], []
    for low in range(0, len(s), rows):
        part = slice(low, low + rows)
        jacobians, _ = path.arrays(s[part]).pieces(words[part])
        with quiet_floats():
            flips.append(np.linalg.slogdet(cyclic_matrix(jacobians, 1.0)))
        values = multipliers_of(jacobians)
        centers.append(pair_product(values))
        resting.append(_resting(values))
    flip, center = (Signed(*(np.concatenate(x) for x in zip(*parts))) for parts in (flips, centers))
    return Stability(flip, center, np.concatenate(resting, axis=1))


def _resting(multipliers: np.ndarray) -> np.ndarray:
    """Return whether a multiplier is -1, and whether a pair has the product 1, within rounding."""
    i, j = np.triu_indices(multipliers.shape[1], 1)
    with quiet_floats():
        rounding = 1e3 * EPS * np.fmax(1.0, np.abs(multipliers).max(axis=1, initial=0.0))
        flip = np.abs(1.0 + multipliers).min(axis=1, initial=np.inf)
        pair = np.abs(1.0 - multipliers[:, i] * multipliers[:, j]).min(axis=1, initial=np.inf)
        return np.stack([flip <= rounding, pair <= rounding])


def multipliers_of(jacobians: Float[np.ndarray, "point time state state"]) -> np.ndarray:
    """Return the Floquet multipliers of many cycles, by decreasing modulus.

    Small products are multiplied out; where they are large, small multipliers would drown in their
    rounding, and orthogonal iteration takes over.
    """
    size = jacobians.shape[-1]
    with quiet_floats():
        product = np.broadcast_to(np.eye(size), (len(jacobians), size, size))
        for t in range(jacobians.shape[1]):
            product = jacobians[:, t] @ product
        norms = np.abs(product).max(axis=(1, 2), initial=0.0)
        plain = norms < 1e4
        values = np.full((len(jacobians), size), np.nan, complex)
        if plain.any():
            values[plain] = np.linalg.eigvals(product[plain])
        if not plain.all():
            values[~plain] = floquet_multipliers(jacobians[~plain])[0]
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1)


def is_on_circle(multipliers: Complex[np.ndarray, " state"]) -> bool:
    """Return whether a complex pair (not two real multipliers m, 1/m) is on the unit circle."""
    pair = multipliers[np.imag(multipliers) > 0]
    return bool(pair.size) and bool(np.abs(np.abs(pair) - 1.0).min() < 1e-6)


def pair_product(multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return prod_{i<j} (1 - m_i m_j), a smooth function of the matrix, as sign and log."""
    i, j = np.triu_indices(multipliers.shape[1], 1)
    with quiet_floats():
        factors = 1.0 - multipliers[:, i] * multipliers[:, j]
        log = np.log(np.abs(factors)).sum(axis=1)
        turn = np.exp(1j * np.angle(factors).sum(axis=1))
    sign = np.where(np.isneginf(log), 0.0, np.sign(np.real(turn)))
    return sign, log
