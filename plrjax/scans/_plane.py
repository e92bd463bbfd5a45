"""The grid of a scan: its pixels, its tiles, and the models of many pixels at once."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from .._map_arrays import MapArrays
from .._numerics import float64_scope
from .._piecewise_affine import lower
from ._axis import Axis

CHUNK = 256
"""Pixels of one compiled call. Always the same, so that no result depends on the tile."""
_SIDE = 16
"""Pixels are ordered in squares of this side: neighbors in a chunk are neighbors in the plane."""
_TRIED = 8


class Pixels(NamedTuple):
    """Pixels of one tile.

    **Fields:** `number`: row-major index in the grid; `values`: of each axis.
    """

    number: Int[np.ndarray, " pixel"]
    values: Float[np.ndarray, "pixel axis"]


@dataclasses.dataclass(frozen=True, eq=False)
class Plane:
    """A model and the one or two axes along which it changes.

    **Fields:** `model`: in float64; `axes`; `key`: random key, or None.
    """

    model: Any
    axes: tuple[Axis, ...]
    key: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(axis.num for axis in self.axes)

    @property
    def num_pixels(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape))

    def tiles(self, side: int) -> list[Int[np.ndarray, " pixel"]]:
        """Return the pixels of each tile: side x side, or side^2 along a single axis."""
        sides = (side,) * 2 if len(self.axes) == 2 else (side * side,)
        grid = np.arange(self.num_pixels).reshape(self.shape)
        corners = [range(0, num, width) for num, width in zip(self.shape, sides)]
        tiles = []
        for corner in np.stack(np.meshgrid(*corners, indexing="ij"), -1).reshape(-1, len(sides)):
            part = grid[tuple(slice(low, low + width) for low, width in zip(corner, sides))]
            square = np.array(np.indices(part.shape)).reshape(len(sides), -1) // _SIDE
            order = np.lexsort([part.ravel(), *square[::-1]])
            tiles.append(part.ravel()[order])
        return tiles

    def pixels(self, number: Int[np.ndarray, " pixel"]) -> Pixels:
        """Return pixels with their values."""
        places = np.unravel_index(number, self.shape)
        columns = [axis.values[place] for axis, place in zip(self.axes, places)]
        return Pixels(number, np.stack(columns, axis=-1))

    def at(self, values: Any) -> Any:
        """Return the model at one pixel's values (numbers, or traced)."""
        model = self.model
        for place, axis in enumerate(self.axes):
            model = axis.apply(model, values[place])
        return model

    def key_of(self, number: int) -> Array:
        """Return the random key of one pixel."""
        assert self.key is not None
        return jr.fold_in(self.key, number)

    def over_pixels(self, function: Callable) -> Callable:
        """Compile `function(values, number) -> arrays` over pixels, `CHUNK` of them at a time.

        The result is called as (pixels, tick) and returns the arrays with a leading pixel axis.
        """
        program = jax.jit(jax.vmap(function))

        def run(pixels: Pixels, tick: Callable[[float], None]) -> list[np.ndarray]:
            parts, count = [], len(pixels.number)
            for low in range(0, count, CHUNK):
                rows = np.minimum(np.arange(low, low + CHUNK), count - 1)
                with float64_scope():
                    number = jnp.asarray(pixels.number[rows], jnp.uint32)
                    found = program(jnp.asarray(pixels.values[rows]), number)
                    parts.append([np.asarray(x)[: count - low] for x in found])
                tick(min(1.0, (low + CHUNK) / count))
            return [np.concatenate(columns) for columns in zip(*parts)]

        return run


class Lowering:
    """Canonical forms of many pixels, faster than one by one.

    Entries that change along one axis only are tabulated along it; where that does not reproduce
    the canonical form bit for bit at pixels tried, every pixel is lowered by itself.
    """

    def __init__(self, plane: Plane):
        self.plane = plane
        middle = tuple(num // 2 for num in plane.shape)
        self._middle = self._lowered([middle])
        self._along = []
        for place, num in enumerate(plane.shape):
            line = [middle[:place] + (i,) + middle[place + 1 :] for i in range(num)]
            self._along.append(self._lowered(line))
        ends = [sorted({0, num - 1}) for num in plane.shape]
        corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, len(ends))
        drawn = np.random.default_rng(3).integers(0, plane.shape, (_TRIED, len(ends)))
        tried = np.concatenate([corners, drawn])
        exact = self._lowered([tuple(map(int, row)) for row in tried])
        made = self._tabulated(tuple(tried.T))
        self.separable = all(np.array_equal(a, b) for a, b in zip(exact, made))

    def batch(self, number: Int[np.ndarray, " pixel"]) -> MapArrays:
        """Return the canonical forms of pixels."""
        places = np.unravel_index(number, self.plane.shape)
        if self.separable:
            return self._tabulated(places)
        return self._lowered([tuple(map(int, row)) for row in zip(*places)])

    def _lowered(self, places: Iterable[tuple[int, ...]]) -> MapArrays:
        axes = self.plane.axes
        values = [axis.values for axis in axes]
        models = (self.plane.at([v[i] for v, i in zip(values, place)]) for place in places)
        return MapArrays.stack([lower(model) for model in models])

    def _tabulated(self, places: tuple[np.ndarray, ...]) -> MapArrays:
        fields = []
        for name, center in zip(MapArrays._fields, self._middle):
            total = np.repeat(center, len(places[0]), axis=0)
            for line, place in zip(self._along, places):
                table = getattr(line, name)
                total = np.where((table != center).any(axis=0), table[place], total)
            fields.append(total)
        return MapArrays(*fields)
