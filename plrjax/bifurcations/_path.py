"""Paths through parameter space: a network for every s, in canonical form."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from .._map_arrays import MapArrays
from .._numerics import EPS
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower


class AbstractParameterPath(abc.ABC):
    """A smooth family of piecewise-affine maps F_s, s from `start` to `stop`."""

    start: float = 0.0
    stop: float = 1.0

    @abc.abstractmethod
    def model(self, s: float) -> AbstractPLRNN:
        """Return the network at one value of the parameter."""

    @abc.abstractmethod
    def arrays(self, s: Float[np.ndarray, " point"]) -> MapArrays:
        """Return the canonical arrays at many values of the parameter."""

    @abc.abstractmethod
    def derivative(self, s: float) -> MapArrays:
        """Return d/ds of the canonical arrays at one value (leading axis of length one)."""

    def map(self, s: float) -> PiecewiseAffineMap:
        """Return the map F_s in canonical form."""
        return PiecewiseAffineMap(*(x[0] for x in self.arrays(np.array([float(s)]))))

    @property
    def span(self) -> float:
        """Length of the range of the parameter."""
        return self.stop - self.start

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers (M, H) of states and ReLU units."""
        return self.arrays(np.array([self.start])).W1.shape[1:]


class LinearPath(AbstractParameterPath):
    """The straight line theta(s) = (1 - s) theta_0 + s theta_1 between two networks, s in [0, 1].

    It runs in the parameters that the networks have (both of one kind and shape); for those whose
    canonical arrays are affine in them it is a straight line there, too.

    **Arguments:** `first`, `last`: networks of one kind and of the same shapes.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(self, first: AbstractPLRNN, last: AbstractPLRNN):
        ends = [lower(first, "first"), lower(last, "last")]
        if type(first) is not type(last):
            raise ValueError(
                f"last: expected a {type(first).__name__} like first, got {type(last).__name__}"
            )
        shapes = [[np.shape(leaf) for leaf in _leaves(one)] for one in (first, last)]
        if shapes[0] != shapes[1] or ends[0].W1.shape != ends[1].W1.shape:
            raise ValueError(
                f"last: expected arrays of shapes {shapes[0]} like first, got {shapes[1]}"
            )
        self.first, self.last = first, last
        self.is_affine = first.affine_in_parameters
        self._ends = [MapArrays.stack([end]) for end in ends]
        self._slope = MapArrays(*(b - a for a, b in zip(*self._ends)))

    @property
    def is_still(self) -> bool:
        """Whether both networks are the same."""
        return not any(change.any() for change in self._slope)

    def model(self, s):
        def between(a, b):
            if not _is_parameter(a):
                return a
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
            return (1.0 - s) * a + s * b

        return jax.tree.map(between, self.first, self.last)

    def arrays(self, s):
        if not self.is_affine:
            return _lowered(self.model, s)
        s = np.asarray(s, np.float64)
        shaped = lambda x: s.reshape(-1, *(1,) * (x.ndim - 1))
        return MapArrays(*((1.0 - shaped(a)) * a + shaped(a) * b for a, b in zip(*self._ends)))

    def derivative(self, s):
        return self._slope if self.is_affine else _difference(self, s)


class FunctionPath(AbstractParameterPath):
    """A family of networks given by a function of s, smooth in s.

    **Arguments:**

    - `function`: returns the network (PLRNN family) at s; all of one shape.
    - `start`, `stop`: the range of s.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(self, function: Callable[[float], Any], start: float = 0.0, stop: float = 1.0):
        if not callable(function):
            raise ValueError(f"function: expected a function of s, got {function!r}")
        if not (np.isfinite([start, stop]).all() and start < stop):
            raise ValueError(f"stop: expected a number above start = {start}, got {stop}")
        self.function, self.start, self.stop = function, float(start), float(stop)
        lower(function(self.start), "function")

    @classmethod
    def along(cls, model: AbstractPLRNN, axis: Any) -> "FunctionPath":
        """Return the path on which one parameter takes the values of an `Axis` of a scan."""
        low, high = sorted((axis.start, axis.stop))
        return cls(lambda s: axis.apply(model, s), low, high)

    def model(self, s):
        return self.function(float(s))

    def arrays(self, s):
        return _lowered(self.function, s)

    def derivative(self, s):
        return _difference(self, s)


def as_path(path: Any) -> AbstractParameterPath:
    """Return a path, from itself or from a pair of networks."""
    if isinstance(path, AbstractParameterPath):
        return path
    if isinstance(path, list | tuple) and len(path) == 2:
        return LinearPath(*path)
    raise ValueError(
        "path: expected a LinearPath, a FunctionPath or a pair of networks, got "
        f"{type(path).__name__}"
    )


def _is_parameter(leaf: Any) -> bool:
    return eqx.is_inexact_array_like(leaf) or isinstance(leaf, np.ndarray)


def _leaves(model: AbstractPLRNN) -> list:
    return [leaf for leaf in jax.tree.leaves(model) if _is_parameter(leaf)]


def _lowered(function: Callable[[float], Any], s: np.ndarray) -> MapArrays:
    """Return the canonical arrays of a function at many values, each value lowered once."""
    values, where = np.unique(np.asarray(s, np.float64), return_inverse=True)
    maps = [lower(function(float(value)), "function") for value in values]
    return MapArrays.stack(maps, "function").pick(where)


def _difference(path: AbstractParameterPath, s: float) -> MapArrays:
    """Return d/ds by differences of fourth order, inside the range (one-sided at its ends)."""
    step = EPS**0.2 * path.span
    shifts = step * np.arange(-2.0, 3.0)
    center = np.clip(s, path.start + 2 * step, path.stop - 2 * step)
    offset = (s - center) / step
    weights = _stencil(offset) / step
    found = path.arrays(center + shifts)
    return MapArrays(*(np.einsum("p,p...->...", weights, x)[None] for x in found))


def _stencil(offset: float) -> np.ndarray:
    """Return weights of the derivative at `offset` from values at -2 ... 2."""
    nodes = np.arange(-2.0, 3.0)
    powers = np.vander(nodes, increasing=True).T
    slopes = np.array([0.0, *(j * offset ** (j - 1) for j in range(1, 5))])
    return np.linalg.solve(powers, slopes)
