"""D_H: how far apart the power spectra of two orbits lie."""

import math
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float

from .._numerics import as_real, quiet_floats
from ._series import Series, checked_pair, refuse_constant

_STILL = 1e-6
"""A generated dimension that moves less than this share of the data's deviation stands still."""


def power_spectrum_error(true: Any, generated: Any, smoothing: float | int = 20) -> float:
    """Return D_H in [0, 1], the Hellinger distance of two power spectra, mean over the dimensions.

    Per dimension: the series is z-scored by its own mean and deviation, S = |rfft|^2 is smoothed
    by a Gaussian of `smoothing` frequency bins (cut off at 4 of these, reflected at the ends) and
    normalized to sum 1; then |sqrt S - sqrt S'|_2 / sqrt 2 (Mikhaeil, Monfared, Durstewitz 2022).
    Bins are frequencies only for equal lengths: of the longer series, the first rows are taken.

    A generated dimension that stands still (deviation below 1e-6 of the data's, as after
    convergence to a fixed point) has no spectrum; its distance counts as 1, the largest.

    **Arguments:** `true` and `generated`, times x N; `smoothing`, standard deviation in bins, 0 for
    none. Both need at least 2 `smoothing` rows: shorter spectra are smoothed to flat ones.

    **Returns:** NaN where `generated` is not finite.

    **Raises:** `ValueError` naming the argument; NaN, Inf and constant columns in `true` are
    refused.
    """
    width = checked_smoothing(smoothing)
    data, orbit = checked_pair(true, generated, fewest_rows(width))
    if orbit is None:
        refuse_constant("true", data, "which has no spectrum")
        return float("nan")
    length = min(len(data), len(orbit))
    refuse_constant("true", data[:length], f"which has no spectrum (first {length} rows)")
    (data, data_scale), (orbit, scale) = _centered(data[:length]), _centered(orbit[:length])
    still = scale * orbit.std(axis=0) <= _STILL * data_scale * data.std(axis=0)
    gap = np.sqrt(_spectra(data, width)) - np.sqrt(_spectra(orbit, width))
    distance = np.sqrt(0.5 * np.square(gap).sum(axis=0))
    return float(np.where(still, 1.0, distance).mean())


def checked_smoothing(value: Any) -> float:
    """Return a width of at least zero frequency bins."""
    width = float(as_real("smoothing", value, ()))
    if width < 0:
        raise ValueError(f"smoothing: expected a number of at least 0, got {value!r}")
    return width


def fewest_rows(smoothing: float) -> int:
    """Return how many rows have more frequencies than are smoothed into one."""
    return max(4, math.ceil(2 * smoothing))


def _centered(series: Series) -> tuple[Series, Float[np.ndarray, " dimension"]]:
    """Return series of zero mean over their largest entries, and these: squares stay finite."""
    largest = np.abs(series).max(axis=0)
    largest = np.where(largest == 0, 1.0, largest)
    shares = series / largest
    moves = shares - shares.mean(axis=0)
    return np.where((series == series[0]).all(axis=0), 0.0, moves), largest


def _spectra(moves: Series, smoothing: float) -> Float[np.ndarray, "frequency dimension"]:
    """Return normalized, smoothed power spectra, one per column; NaN for a column of zeros."""
    power = np.square(np.abs(np.fft.rfft(moves, axis=0)))
    if smoothing > 0:
        power = scipy.ndimage.gaussian_filter1d(
            power, smoothing, axis=0, mode="reflect", truncate=4.0
        )
    with quiet_floats():
        return power / power.sum(axis=0)
