"""A map in units of a box, equal switching boundaries merged: what the closed search works on."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from .._piecewise_affine import PiecewiseAffineMap
from ._propagation import Parameters


def power_of_two(values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Return the least power of two >= each value (1 for 0): scaling by it is exact."""
    fraction, exponent = np.frexp(np.asarray(values, float))
    exponent = exponent - (fraction == 0.5)
    return np.where(fraction > 0, np.ldexp(1.0, exponent), 1.0)


@dataclasses.dataclass(frozen=True)
class ScaledMap:
    """z = unit * zeta with |zeta| <= 1 in the box; pre-activations x of size <= 1 likewise.

    Units with exactly the same switching boundary are one: relu(c x) = c relu(x) for c > 0, and
    relu(-x) = relu(x) - x. `leader` and `flipped` say which unit of the original stands for which.

    **Fields:** `parameters`, `unit` (per state), `leader`, `flipped` (per original unit), `aliased`
    (states that are a multiple of some pre-activation).
    """

    parameters: Parameters
    unit: Float[np.ndarray, " state"]
    leader: np.ndarray
    flipped: Bool[np.ndarray, " unit"]
    aliased: Bool[np.ndarray, " state"]

    def expand(self, words: Bool[np.ndarray, "word time merged"]) -> np.ndarray:
        """Return itineraries of the merged units as itineraries of the original map."""
        return words[..., self.leader] ^ self.flipped


def _merge(A, W1, W2, h1, h2):
    """Return the parameters with equal boundaries merged, and (leader, flipped) per unit."""
    kept: dict[bytes, int] = {}
    A, h1, columns = A.copy(), h1.copy(), []
    leader, flipped = np.zeros(len(h2), int), np.zeros(len(h2), bool)
    for i, row in enumerate(np.column_stack([W2, h2])):
        plus, minus = (row + 0.0).tobytes(), (0.0 - row).tobytes()
        if plus in kept or minus not in kept:
            leader[i] = kept.setdefault(plus, len(columns))
            if leader[i] == len(columns):
                columns.append((i, W1[:, i].copy()))
            else:
                columns[leader[i]][1][:] += W1[:, i]
            continue
        leader[i], flipped[i] = kept[minus], True
        columns[leader[i]][1][:] += W1[:, i]
        A += np.outer(W1[:, i], row[:-1])
        h1 += W1[:, i] * row[-1]
    first = [i for i, _ in columns]
    merged = np.array([w for _, w in columns]).reshape(-1, len(h1)).T
    return (A, merged, W2[first], h1, h2[first]), leader, flipped


def scale(
    map: PiecewiseAffineMap, lower: Float[np.ndarray, " state"], upper: Float[np.ndarray, " state"]
) -> ScaledMap:
    """Return the map in powers of two of the size of the box and of its pre-activations there."""
    unit = power_of_two(np.maximum(np.abs(lower), np.abs(upper)))
    W2 = map.W2 * unit
    x_unit = power_of_two(np.abs(W2).sum(axis=1) + np.abs(map.h2))
    A, W1 = map.A * unit / unit[:, None], map.W1 * x_unit / unit[:, None]
    arrays = (A, W1, W2 / x_unit[:, None], map.h1 / unit, map.h2 / x_unit)
    merged, leader, flipped = _merge(*arrays)
    parameters = Parameters(*[np.ascontiguousarray(v, dtype=np.float64) for v in merged])
    single = (np.count_nonzero(parameters.W2, axis=1) == 1) & (parameters.h2 == 0)
    aliased = (parameters.W2[single] != 0).any(axis=0)
    return ScaledMap(parameters, unit, leader, flipped, aliased)
