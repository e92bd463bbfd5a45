"""A map in units of a box, equal switching boundaries merged: what the closed search works on."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from ...._piecewise_affine import PiecewiseAffineMap
from .._merged_units import MergedUnits, merge_units, parallel_units
from ._intervals import Parameters


def power_of_two(values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Return the least power of two >= each value (1 for 0): scaling by it is exact."""
    fraction, exponent = np.frexp(np.asarray(values, float))
    exponent = exponent - (fraction == 0.5)
    return np.where(fraction > 0, np.ldexp(1.0, exponent), 1.0)


@dataclasses.dataclass(frozen=True)
class ScaledMap:
    """z = unit * zeta with |zeta| <= 1 in the box; pre-activations x of size <= 1 likewise.

    Units with the same switching boundary are one.

    **Fields:** `parameters`, `unit` (per state), `merged` (what became of the units), `aliased`
    (states that are a multiple of some pre-activation).
    """

    parameters: Parameters
    unit: Float[np.ndarray, " state"]
    merged: MergedUnits
    aliased: Bool[np.ndarray, " state"]

    def expand(self, words: Bool[np.ndarray, "word time merged"]) -> np.ndarray:
        """Return itineraries of the merged units as itineraries of the original map."""
        return self.merged.expand(words)


def scale(
    map: PiecewiseAffineMap, lower: Float[np.ndarray, " state"], upper: Float[np.ndarray, " state"]
) -> ScaledMap:
    """Return the map in powers of two of the size of the box and of its pre-activations there."""
    merged = merge_units(map, parallel_units(map.W2, map.h2) if map.num_units else None)
    map = merged.map
    unit = power_of_two(np.maximum(np.abs(lower), np.abs(upper)))
    W2 = map.W2 * unit
    x_unit = power_of_two(np.abs(W2).sum(axis=1) + np.abs(map.h2))
    A, W1 = map.A * unit / unit[:, None], map.W1 * x_unit / unit[:, None]
    arrays = (A, W1, W2 / x_unit[:, None], map.h1 / unit, map.h2 / x_unit)
    parameters = Parameters(*[np.ascontiguousarray(v, dtype=np.float64) for v in arrays])
    single = (np.count_nonzero(parameters.W2, axis=1) == 1) & (parameters.h2 == 0)
    aliased = (parameters.W2[single] != 0).any(axis=0)
    return ScaledMap(parameters, unit, merged, aliased)
