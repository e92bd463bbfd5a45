"""Units of state in which the arithmetic is well scaled, and the way back."""

import numpy as np
import scipy
from jaxtyping import Float

from .._numerics import quiet_floats
from .._piecewise_affine import PiecewiseAffineMap


def balanced(map: PiecewiseAffineMap) -> tuple[PiecewiseAffineMap, Float[np.ndarray, " state"]]:
    """Return the map in units d of state, z = d u, and d: powers of two, so nothing is rounded.

    The units balance rows and columns of |A| + |W1| |W2| (Parlett, Reinsch 1969). Pre-activations,
    and with them regions and words, stay the same. Maps whose entries would leave the range of
    float64 are returned as they are.
    """
    ones = np.ones(map.state_size)
    with quiet_floats():
        coupling = np.abs(map.A) + np.abs(map.W1) @ np.abs(map.W2)
        if not np.isfinite(coupling).all():
            return map, ones
        _, (unit, _) = scipy.linalg.matrix_balance(coupling, permute=False, separate=True)
        parts = (
            map.A * unit[None, :] / unit[:, None],
            map.W1 / unit[:, None],
            map.W2 * unit[None, :],
            map.h1 / unit,
        )
        back = (
            parts[0] * unit[:, None] / unit[None, :],
            parts[1] * unit[:, None],
            parts[2] / unit[None, :],
            parts[3] * unit,
        )
    originals = (map.A, map.W1, map.W2, map.h1)
    if not all(np.array_equal(a, b) for a, b in zip(back, originals)):
        return map, ones
    exact = map.unrounded and map.unrounded.scaled(unit)
    return PiecewiseAffineMap(*parts, map.h2, unrounded=exact), unit


def with_a_unit(map: PiecewiseAffineMap) -> PiecewiseAffineMap:
    """Return a map without units with one that is always off: the engine wants at least one bit."""
    if map.num_units:
        return map
    size = map.state_size
    return PiecewiseAffineMap(map.A, np.zeros((size, 1)), np.zeros((1, size)), map.h1, [-1.0])
