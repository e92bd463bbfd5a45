"""Axes of a scan: one number of a model that takes evenly spaced values."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arguments import checked_whole
from .._numerics import is_number, is_whole


@dataclasses.dataclass(frozen=True)
class Axis:
    """One entry of one parameter, from `start` to `stop` in `num` steps (both ends included).

    **Arguments:**

    - `where`: name of a parameter such as "A", or a function of the model that returns it.
    - `index`: the entry, `(i, j)`; `()` for a number. Where a diagonal is stored as a vector,
        `(i, i)` is its entry i.
    - `start`, `stop`, `num`: the values.

    A subclass whose `apply` sets several parameters from one value scans a line through them; its
    `apply` must be traceable by JAX, and its `label` should say what it does.

    **Raises:** `ValueError` naming the argument.
    """

    where: str | Callable[[Any], Any]
    index: Any
    start: float | int
    stop: float | int
    num: int

    def __post_init__(self):
        index = tuple(self.index) if isinstance(self.index, tuple | list) else (self.index,)
        if not all(map(is_whole, index)):
            raise ValueError(f"index: expected integers such as (0, 0), got {self.index!r}")
        object.__setattr__(self, "index", tuple(int(i) for i in index))
        if not (isinstance(self.where, str) or callable(self.where)):
            raise ValueError(f"where: expected a name or a function, got {self.where!r}")
        checked_whole("num", self.num, 1)
        for name in ("start", "stop"):
            value = getattr(self, name)
            if not (is_number(value) and np.isfinite(float(value))):
                raise ValueError(f"{name}: expected a finite number, got {value!r}")
            object.__setattr__(self, name, float(value))

    @property
    def values(self) -> Float[np.ndarray, " value"]:
        """The values, in order."""
        return np.linspace(self.start, self.stop, self.num)

    @property
    def label(self) -> str:
        """Name for tables and plots, such as "A[0, 0]"."""
        name = self.where if isinstance(self.where, str) else self.where.__name__
        return f"{name}[{', '.join(map(str, self.index))}]" if self.index else name

    def apply(self, model: Any, value: Any) -> Any:
        """Return the model with the entry set to `value` (a number, or a traced JAX scalar).

        **Raises:** `ValueError` where the model has no such parameter, or no such entry.
        """
        leaf = self._leaf(model)
        index = self._place(np.shape(leaf))
        changed = _with_entry(leaf, index, value)
        if not isinstance(self.where, str):
            return eqx.tree_at(self.where, model, changed)
        # As `eqx.tree_at`, which takes longer than the lowering of a small network.
        model = copy.copy(model)
        object.__setattr__(model, self.where, changed)
        return model

    def _leaf(self, model: Any) -> Any:
        if not isinstance(self.where, str):
            return self.where(model)
        names = [field.name for field in dataclasses.fields(model)]
        leaf = getattr(model, self.where) if self.where in names else None
        if not _is_parameter(leaf):
            known = [name for name in names if _is_parameter(getattr(model, name))]
            raise ValueError(
                f"where: expected a parameter of {type(model).__name__} "
                f"({', '.join(known)}), got {self.where!r}"
            )
        return leaf

    def _place(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the index into an array of this shape."""
        index = self.index
        if len(shape) == 1 and len(index) == 2:
            if index[0] != index[1]:
                raise ValueError(
                    f"index: {self.label} is off the diagonal, and only the diagonal is stored"
                )
            index = index[:1]
        inside = len(index) == len(shape) and all(-n <= i < n for i, n in zip(index, shape))
        if not inside:
            raise ValueError(f"index: expected an entry of a parameter {shape}, got {self.index}")
        return index


def _is_parameter(leaf: Any) -> bool:
    """Return whether a field holds floating-point numbers."""
    array = isinstance(leaf, np.ndarray | jax.Array)
    return isinstance(leaf, float) or (array and jnp.issubdtype(leaf.dtype, jnp.floating))


def _with_entry(leaf: Any, index: tuple[int, ...], value: Any) -> Any:
    """Return a copy of the leaf with one entry replaced, as JAX array only where traced."""
    if isinstance(value, jax.Array) or isinstance(leaf, jax.Array):
        return jnp.asarray(leaf).at[index].set(value) if index else value
    if not index:
        return type(leaf)(value) if isinstance(leaf, float) else np.asarray(value, leaf.dtype)
    array = np.array(leaf)
    array[index] = value
    return array


def in_float64(model: Any) -> Any:
    """Return the model with its floating-point arrays in NumPy float64, exactly."""
    promote = lambda x: np.array(x, np.float64) if eqx.is_inexact_array(x) else x
    return jax.tree.map(promote, model)
