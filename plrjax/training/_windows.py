"""The data of a training run: time series, inputs and targets, drawn as windows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float

from .._numerics import as_real
from .._trials import Trials, is_several


class Series(NamedTuple):
    """Arrays "row column" that run in parallel, all sequences one after the other.

    **Fields:** `observations`, `inputs`, `targets` (None where absent); `starts`: rows at which a
    window may start; `seen`: which observations there are, None for all of them.
    """

    observations: Array | None
    inputs: Array | None
    targets: Array | None
    starts: Array
    seen: Array | None


class Windows(NamedTuple):
    """One batch: arrays "time lane column", inputs and targets one row fewer than observations."""

    observations: Float[Array, "time lane observation"] | None
    inputs: Float[Array, "time lane input"] | None
    targets: Array | None
    seen: Bool[Array, "time lane observation"] | None = None


def make_series(
    observations: Trials | None, inputs: Any, targets: Any, length: int, longest_gap: int, dtype
) -> Series:
    """Check inputs and targets beside the observations, and find where windows may start.

    A window has `length` steps: `length + 1` observations, `length` inputs and targets. It starts
    where something was observed, in one sequence, and holds no gap (`Trials.stretches`).

    **Raises:** `ValueError` naming the argument.
    """
    given = {"inputs": inputs, "targets": targets}
    several = is_several(inputs)
    lists = {n: _sequences(n, value, several) for n, value in given.items() if value is not None}
    if observations is None and targets is None:
        raise ValueError("observations: expected a time series (time, variable), got None")
    lengths = {n: [len(part) for part in parts] for n, parts in lists.items()}
    if observations is not None:
        sizes = np.diff(observations.ends, prepend=0).tolist()
        lengths = {"observations": sizes, **lengths}
    (first, wanted), *others = lengths.items()
    for name, sizes in others:
        if sizes != wanted:
            raise ValueError(
                f"{name}: expected {_numbered(wanted)} as {first} has, got {_numbered(sizes)}"
            )
    starts = _starts(observations, wanted, length, longest_gap, first)
    put = lambda x: jnp.asarray(x, dtype if x.dtype.kind == "f" else jnp.int32)
    found = {n: put(np.concatenate(lists[n])) if n in lists else None for n in given}
    seen = None
    if observations is not None and not observations.seen.all():
        seen = jnp.asarray(observations.seen)
    values = None if observations is None else put(observations.values)
    return Series(values, **found, starts=jnp.asarray(starts, jnp.int32), seen=seen)


def _numbered(sizes: list[int]) -> str:
    """Return "3 sequences of 20 rows", in words."""
    rows = str(sizes[0]) if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
    return f"{len(sizes)} sequences of {rows} rows"


def _starts(
    observations: Trials | None, sizes: list[int], length: int, longest_gap: int, name: str
) -> np.ndarray:
    """Return the rows at which a window may start.

    **Raises:** `ValueError` where nothing is as long as a window.
    """
    if observations is None:
        ends = np.cumsum(sizes)
        parts, needed = list(zip((ends - sizes).tolist(), ends.tolist())), length
        some = np.full(int(ends[-1]), True)
    else:
        parts, needed = list(observations.stretches(longest_gap)), length + 1
        some = np.asarray(observations.seen.any(axis=1))
    ranges = [np.arange(first, last - needed + 1) for first, last in parts]
    starts = np.concatenate([rows[some[rows]] for rows in ranges if len(rows)] or [np.zeros(0)])
    if not len(starts):
        longest = max(last - first for first, last in parts) - (needed - length)
        raise ValueError(
            f"sequence_length: expected at most {longest}, because the longest stretch of {name} "
            f"without a gap has {longest + needed - length} rows, got {length}"
        )
    return starts


def _sequences(name: str, value: Any, several: bool) -> Sequence[np.ndarray]:
    """Return finite arrays "time column" of all sequences; targets may be classes, integers."""
    return [_rows(name, one) for one in (value if several else [value])]


def _rows(name: str, value: Any) -> np.ndarray:
    array = as_real(name, value)
    if name == "targets" and array.dtype.kind in "iub":
        array = array[:, None] if array.ndim == 1 else array
    elif array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name}: expected shape (time, variable), (sequence, time, variable), or a list of "
            f"sequences, got {np.shape(value)}"
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
        cut(series.seen, length + 1),
    )
