"""Time series as the metrics take them: a row per time, a column per observed dimension."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from .._numerics import as_float64

Series = Float[np.ndarray, "time dimension"]
Orbit = Float[np.ndarray, "step dimension"]
"""A generated series, of any length."""


def checked_series(name: str, value: Any, least: int, columns: int | None = None) -> Series:
    """Return a finite T x N series in float64 of at least `least` rows.

    **Raises:** `ValueError` naming the argument, what was expected and what came.
    """
    series = as_float64(name, value)
    if series.ndim != 2 or series.shape[1] == 0:
        raise ValueError(
            f"{name}: expected a series of shape (times, dimensions), got shape {series.shape}"
        )
    if columns is not None and series.shape[1] != columns:
        raise ValueError(f"{name}: expected {columns} columns, got shape {series.shape}")
    if len(series) < least:
        raise ValueError(f"{name}: expected at least {least} rows, got {len(series)}")
    return series


def checked_pair(true: Any, generated: Any, least: int) -> tuple[Series, Orbit | None]:
    """Return both series, of equally many columns; None for one generated that is not finite.

    **Raises:** `ValueError` naming `true` or `generated`.
    """
    data = checked_series("true", true, least)
    finite = _is_finite(generated)
    values = generated if finite else np.zeros_like(generated)
    orbit = checked_series("generated", values, least, data.shape[1])
    return data, orbit if finite else None


def _is_finite(value: Any) -> bool:
    """Return whether all numbers are finite (what is no array of numbers is refused later)."""
    try:
        return bool(np.isfinite(np.asarray(value)).all())
    except (TypeError, ValueError):
        return True


def refuse_constant(name: str, series: Series, why: str) -> None:
    """Refuse a series with a column that never changes."""
    still = np.flatnonzero(series.min(axis=0) == series.max(axis=0))
    if still.size:
        raise ValueError(
            f"{name}: expected columns that vary, got constant column {still[0]}, {why}; "
            "leave it out"
        )


def split_half(metric: Any, data: Any) -> float:
    """Return the metric between the two halves of a series: what finite data leave undecided.

    The first half is taken as true, the second as generated; of an odd number of rows the last is
    left out. A score near it cannot be told from perfect with so much data.

    **Arguments:** `metric`, called as `metric(true, generated)`, such as
    `plrjax.metrics.state_space_divergence`; `data` (T x N).

    **Raises:** `ValueError` naming `data`, and as the metric does.
    """
    if not callable(metric):
        raise ValueError(f"metric: expected a function of two series, got {metric!r}")
    series = checked_series("data", data, 2)
    half, between = len(series) // 2, cast(Callable[..., float], metric)
    return between(series[:half], series[half : 2 * half])
