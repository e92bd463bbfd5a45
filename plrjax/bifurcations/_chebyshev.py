"""Smooth functions on a panel of the parameter: Chebyshev series, their signs and their roots.

A function is known by its values at the Chebyshev points of a panel. Where the series has
converged its sign is settled by its coefficients (|c_0| > sum |c_j|), and all its roots are
eigenvalues of the colleague matrix: a pair of roots between two samples is not missed (Trefethen
2013, ch. 18).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.polynomial import chebyshev

from .._numerics import EPS

NODES = 17
"""Points per panel: polynomials of degree 16 are exact."""

_ANGLES = (np.arange(NODES)[::-1] + 0.5) * np.pi / NODES
POINTS = np.cos(_ANGLES)
"""Chebyshev points of the first kind in (-1, 1), ascending."""

_TO_COEFFICIENTS = 2.0 / NODES * np.cos(np.outer(np.arange(NODES), _ANGLES))
_TO_COEFFICIENTS[0] /= 2.0

TAIL = 1e-9
"""A series has converged where its last coefficients are below this fraction of the largest."""


class Series(NamedTuple):
    """Chebyshev series of functions on a panel.

    **Fields:** `coefficients`; `converged`; `sign`: +1 or -1 where it is settled on the whole
    panel, else 0.
    """

    coefficients: Float[np.ndarray, "*batch term"]
    converged: Bool[np.ndarray, "*batch"]
    sign: Float[np.ndarray, "*batch"]


def series_of(values: Float[np.ndarray, "*batch node"], tail: float = TAIL) -> Series:
    """Return the series of functions from their values at the points of a panel.

    A function that is not finite somewhere has not converged.
    """
    finite = np.asarray(np.isfinite(values).all(axis=-1))
    values = np.where(finite[..., None], values, 0.0)
    coefficients = values @ _TO_COEFFICIENTS.T
    sizes = np.abs(coefficients)
    largest = sizes.max(axis=-1)
    rest = sizes[..., -3:].max(axis=-1)
    converged = finite & (rest <= tail * largest)
    others = sizes[..., 1:].sum(axis=-1) + NODES * (rest + EPS * largest)
    settled = converged & (sizes[..., 0] > others)
    return Series(coefficients, converged, np.where(settled, np.sign(coefficients[..., 0]), 0.0))


def roots_of(coefficients: Float[np.ndarray, " term"]) -> Float[np.ndarray, " root"]:
    """Return the real roots of a series in [-1, 1], a little beyond included, ascending."""
    sizes = np.abs(coefficients)
    kept = np.flatnonzero(sizes > 1e-14 * sizes.max(initial=0.0))
    if not kept.size or kept[-1] == 0:
        return np.zeros(0)
    found = chebyshev.chebroots(coefficients[: kept[-1] + 1])
    # A double root splits into a pair whose imaginary parts are of the root of the rounding.
    real = np.real(found[np.abs(np.imag(found)) < 1e-6])
    return np.sort(np.clip(real[np.abs(real) <= 1.0 + 1e-6], -1.0, 1.0))


def value_at(coefficients: np.ndarray, x: float) -> np.ndarray:
    """Return series at one place of [-1, 1]."""
    return np.asarray(chebyshev.chebval(x, np.moveaxis(coefficients, -1, 0)))
