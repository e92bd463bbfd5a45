"""The data of a training run: time series, inputs and targets, drawn as windows."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._numerics import as_real


class Series(NamedTuple):
    """Arrays "row column" that run in parallel, all sequences one after the other.

    **Fields:** `observations`, `inputs`, `targets` (None where absent); `starts`: rows at which a
    window may start.
    """

    observations: Array | None
    inputs: Array | None
    targets: Array | None
    starts: Array


class Windows(NamedTuple):
    """One batch: arrays "time lane column", inputs and targets one row fewer than observations."""

    observations: Float[Array, "time lane observation"] | None
    inputs: Float[Array, "time lane input"] | None
    targets: Array | None


def make_series(observations: Any, inputs: Any, targets: Any, length: int, dtype) -> Series:
    """Check the arrays, (time, column) or (sequence, time, column), and cut them into windows.

    A window has `length` steps: `length + 1` observations, `length` inputs and targets.

    **Raises:** `ValueError` naming the argument.
    """
    given = {"observations": observations, "inputs": inputs, "targets": targets}
    several = np.ndim(inputs) == 3
    arrays = {n: _rows(n, value, several) for n, value in given.items() if value is not None}
    if observations is None and targets is None:
        raise ValueError("observations: expected a time series (time, variable), got None")
    first, shape = next((name, array.shape[:2]) for name, array in arrays.items())
    for name, array in arrays.items():
        if array.shape[:2] != shape:
            raise ValueError(
                f"{name}: expected {shape[0]} sequences of {shape[1]} rows as {first} has, "
                f"got {array.shape[0]} of {array.shape[1]}"
            )
    needed = length + (observations is not None)
    count = shape[1] - needed + 1
    if count < 1:
        raise ValueError(
            f"sequence_length: expected at most {shape[1] - (observations is not None)}, because "
            f"{first} has {shape[1]} rows per sequence, got {length}"
        )
    starts = (np.arange(shape[0])[:, None] * shape[1] + np.arange(count)).ravel()
    flat = {name: array.reshape(-1, *array.shape[2:]) for name, array in arrays.items()}
    put = lambda x: jnp.asarray(x, dtype if x.dtype.kind == "f" else jnp.int32)
    found = {name: put(flat[name]) if name in flat else None for name in given}
    return Series(**found, starts=jnp.asarray(starts, jnp.int32))


def _rows(name: str, value: Any, several: bool) -> np.ndarray:
    """Return finite numbers "sequence time column"; integer targets (classes) stay integers."""
    array = as_real(name, value)
    if name == "targets" and array.dtype.kind in "iub":
        if array.ndim == 1 + several:
            array = array[..., None]
    elif array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{name}: expected shape (time, variable) or (sequence, time, variable), "
            f"got {np.shape(value)}"
        )
    return array


def draw_windows(series: Series, key, batch_size: int, length: int) -> Windows:
    """Draw windows with replacement, each start as likely."""
    picked = jr.randint(key, (batch_size,), 0, len(series.starts), dtype=jnp.int32)
    first = series.starts[picked]

    def cut(array, rows: int):
        if array is None:
            return None
        return array[first[None, :] + jnp.arange(rows, dtype=jnp.int32)[:, None]]

    return Windows(
        cut(series.observations, length + 1),
        cut(series.inputs, length),
        cut(series.targets, length),
    )
