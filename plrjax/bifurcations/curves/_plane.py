"""Planes in parameter space: a network for every pair (p, q)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..._map_arrays import MapArrays
from ..._numerics import EPS
from ..._piecewise_affine import lower
from .._path import FunctionPath

_PROBES = ((0.31, 0.17), (0.77, 0.59), (0.13, 0.91))
"""Places (shares of the ranges) where a plane is held against bilinear interpolation."""


class ParameterPlane:
    """A smooth family of networks F_{p,q} over a rectangle.

    Where the canonical arrays are bilinear in (p, q), as they are for single entries of most
    models, they are interpolated from the corners (checked at inner places, to rounding).

    **Arguments:**

    - `function`: returns the network (PLRNN family) at (p, q); all of one shape.
    - `low`, `high`: corners of the rectangle.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(self, function: Callable[..., Any], low: Sequence[float], high: Sequence[float]):
        if not callable(function):
            raise ValueError(f"function: expected a function of (p, q), got {function!r}")
        self.function = function
        self.low, self.high = np.array(low, np.float64), np.array(high, np.float64)
        good = self.low.shape == self.high.shape == (2,) and (self.low < self.high).all()
        if not good or not np.isfinite([self.low, self.high]).all():
            raise ValueError(f"high: expected a pair above low = {low}, got {high}")
        corners = self._lowered(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        self.shape: tuple[int, int] = corners.W1.shape[1:]
        self._shapes = [corner.shape[1:] for corner in corners]
        self._corners: np.ndarray | None = np.hstack([corner.reshape(4, -1) for corner in corners])
        probes = np.array(_PROBES)
        exact, guessed = self._lowered(probes), self.arrays(probes)
        for a, b, corner in zip(exact, guessed, corners):
            if np.abs(a - b).max(initial=0.0) > 16 * EPS * np.abs(corner).max(initial=0.0):
                self._corners = None

    @classmethod
    def from_axes(cls, model: Any, axes: Sequence[Any]) -> "ParameterPlane":
        """Return the plane that two `Axis` of a scan span around a network."""
        if len(axes) != 2:
            raise ValueError(f"axes: expected two, got {len(axes)}")
        first, second = axes
        low = [min(one.values[0], one.values[-1]) for one in axes]
        high = [max(one.values[0], one.values[-1]) for one in axes]
        return cls(lambda p, q: second.apply(first.apply(model, p), q), low, high)

    def values(self, place: Float[np.ndarray, "*point 2"]) -> np.ndarray:
        """Return (p, q) of places in the unit square."""
        return self.low + np.asarray(place) * (self.high - self.low)

    def arrays(self, places: Float[np.ndarray, "point 2"]) -> MapArrays:
        """Return the canonical arrays at places in the unit square."""
        if self._corners is None:
            return self._lowered(places)
        x, y = np.asarray(places, np.float64).T
        weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        parts = np.split(weights @ self._corners, ends[:-1], axis=1)
        return MapArrays(*(x.reshape(-1, *shape) for x, shape in zip(parts, self._shapes)))

    def _lowered(self, places: np.ndarray) -> MapArrays:
        maps = [lower(self.function(p, q), "function") for p, q in self.values(places).tolist()]
        return MapArrays.stack(maps, "function")

    def line(self, start: Sequence[float], stop: Sequence[float]) -> "PlaneLine":
        """Return the straight path between two places of the unit square."""
        return PlaneLine(self, start, stop)


class PlaneLine(FunctionPath):
    """A straight path in a plane, s in [0, 1] from one place to another."""

    def __init__(self, plane: ParameterPlane, start: Sequence[float], stop: Sequence[float]):
        self.plane = plane
        self.ends = np.array(start, np.float64), np.array(stop, np.float64)

        def network(s: float):
            return plane.function(*plane.values(self.places(np.array([s]))[0]).tolist())

        super().__init__(network)

    def places(self, s: np.ndarray) -> Float[np.ndarray, "point 2"]:
        """Return places in the unit square."""
        s = np.asarray(s, np.float64)[:, None]
        return (1.0 - s) * self.ends[0] + s * self.ends[1]

    def arrays(self, s):
        return self.plane.arrays(self.places(s))
