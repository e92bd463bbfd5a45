"""The arrays of one map, or of many maps of one shape, for loops and compiled programs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from ._piecewise_affine import PiecewiseAffineMap


class MapArrays(NamedTuple):
    """The arrays of F(z) = A z + W1 relu(W2 z + h2) + h1, of many maps along leading axes."""

    A: Float[Any, "*map state state"]
    W1: Float[Any, "*map state unit"]
    W2: Float[Any, "*map unit state"]
    h1: Float[Any, "*map state"]
    h2: Float[Any, "*map unit"]

    @classmethod
    def of(cls, map: PiecewiseAffineMap) -> "MapArrays":
        """Return the arrays of one map, without a leading axis."""
        return cls(map.A, map.W1, map.W2, map.h1, map.h2)

    @classmethod
    def stack(cls, maps: Sequence[PiecewiseAffineMap], name: str = "maps") -> "MapArrays":
        """Return the arrays of maps of one shape along one leading axis.

        **Raises:** `ValueError` beginning with `name` where shapes differ or there is no map.
        """
        shapes = {(map.state_size, map.num_units) for map in maps}
        if len(shapes) != 1:
            raise ValueError(
                f"{name}: expected networks of one shape (M, H), got {sorted(shapes) or 'none'}"
            )
        return cls(*(np.stack(arrays) for arrays in zip(*(cls.of(map) for map in maps))))

    @property
    def num_maps(self) -> int:
        """Number of maps along the first axis."""
        return self.h1.shape[0]

    @property
    def state_size(self) -> int:
        """Number M of states."""
        return self.h1.shape[-1]

    @property
    def num_units(self) -> int:
        """Number H of ReLU units."""
        return self.h2.shape[-1]

    def pick(self, rows) -> "MapArrays":
        """Return the maps of an index, a slice or an index array."""
        return MapArrays(*(array[rows] for array in self))

    def at(self, index: int) -> PiecewiseAffineMap:
        """Return one of the maps."""
        return PiecewiseAffineMap(*self.pick(index))

    def on_device(self) -> "MapArrays":
        """Return the same on the device, in float64 (call inside the float64 scope)."""
        return MapArrays(*map(jnp.asarray, self))

    def pieces(
        self, words: Bool[np.ndarray, "map time unit"]
    ) -> tuple[Float[np.ndarray, "map time state state"], Float[np.ndarray, "map time state"]]:
        """Return Jacobians J_t and offsets c_t along words, each with its map."""
        mask = words.astype(np.float64)
        jacobians = self.A[:, None] + (self.W1[:, None] * mask[:, :, None, :]) @ self.W2[:, None]
        offsets = (mask * self.h2[:, None]) @ np.swapaxes(self.W1, 1, 2) + self.h1[:, None]
        return jacobians, offsets
