"""Time scales of a series, observation noise, and its embedding by delays."""

import math

import numpy as np
import scipy
from jaxtyping import Float

from ._divergence import neighbors

_WINDOWS = (5, 7, 9, 11, 15, 19, 25, 31, 39, 49)
_DEGREE = 3
"""Windows and degree of the smoothing polynomials that are tried."""
_DIFFERENCES = 6
"""Order of the differences that leave the noise of an oversampled series only."""
_MOST_DELAYS = 8
_FALSE = 10.0
"""A neighbor is false whose next coordinate is this many times farther away (Kennel et al.)."""
_FEW = 0.01
"""Share of false neighbors from which on an embedding is good."""

Rows = Float[np.ndarray, "time variable"]


def correlation(series: Rows, lag: int) -> float:
    """Return the autocorrelation at a lag, over all variables of a standardized series."""
    return float((series[lag:] * series[: len(series) - lag]).mean() / (series**2).mean())


def correlation_delay(series: Rows) -> int:
    """Return the first lag at which the autocorrelation is below 1 - 1/e (Rosenstein et al. 1993).

    A tenth of the series, if it is above up to there.
    """
    most = max(1, len(series) // 10)
    below = (lag for lag in range(1, most) if correlation(series, lag) < 1.0 - 1.0 / math.e)
    return next(below, most)


def mean_period(series: Rows) -> float:
    """Return the steps in a period of the mean frequency sum f P(f) / sum P(f), all variables."""
    power = (np.abs(np.fft.rfft(series, axis=0)) ** 2).sum(axis=1)
    power[0] = 0.0
    frequency = np.fft.rfftfreq(len(series))
    return float(power.sum() / (power * frequency).sum())


def noise_level(series: Rows) -> Float[np.ndarray, " variable"]:
    """Return the standard deviation of white noise on an oversampled series, for each variable.

    The n-th differences of white noise have the variance binom(2n, n) sigma^2, those of a smooth
    curve next to none.
    """
    rough = np.diff(series, _DIFFERENCES, axis=0)
    return np.sqrt((rough**2).mean(axis=0) / math.comb(2 * _DIFFERENCES, _DIFFERENCES))


def denoise(series: Rows) -> tuple[Rows, float, float]:
    """Return (smoothed series, noise found, noise left), noise as standard deviations of a row.

    Local cubics (Savitzky, Golay 1964) in the window with the least estimated risk
    |x - Sx|^2 / T + (2 S_ii - 1) sigma^2 (Stein 1981, for a linear smoother S). Where no window is
    better than none, the series is returned as it is, with noise 0.
    """
    variance = float((noise_level(series) ** 2).sum())
    best, found = variance, (series, 0.0, 0.0)
    for window in _WINDOWS:
        if window > len(series) // 4:
            break
        tried = np.asarray(scipy.signal.savgol_filter(series, window, _DEGREE, axis=0))
        weight = float(scipy.signal.savgol_coeffs(window, _DEGREE)[window // 2])
        risk = float(((series - tried) ** 2).mean(axis=0).sum()) + (2.0 * weight - 1.0) * variance
        if risk < best:
            best, found = risk, (tried, math.sqrt(variance), math.sqrt(weight * variance))
    return found


def embed(series: Rows, delay: int, embedding: int) -> Float[np.ndarray, "row coordinate"]:
    """Return rows (x_t, x_{t+delay}, ..., x_{t+(m-1)delay}) of all variables (Takens 1981)."""
    rows = len(series) - (embedding - 1) * delay
    return np.concatenate([series[k * delay : k * delay + rows] for k in range(embedding)], axis=1)


def choose_embedding(series: Rows, delay: int, theiler: int) -> int:
    """Return the least number of delays that leaves no more than 1 % of neighbors false.

    False is a neighbor of a row that is ten times its distance away in the next delay (Kennel,
    Brown, Abarbanel 1992). At most 8; where none is good, the best.
    """
    shares = []
    for embedding in range(1, _MOST_DELAYS + 1):
        count = len(series) - embedding * delay
        if count < 2 * theiler + _MOST_DELAYS:
            break
        points = embed(series, delay, embedding)[:count]
        first, second = neighbors(points, 1_000, theiler)
        apart = np.linalg.norm(points[first] - points[second], axis=1)
        ahead = np.linalg.norm(
            series[first + embedding * delay] - series[second + embedding * delay], axis=1
        )
        shares.append(float((ahead > _FALSE * apart).mean()) if len(first) else 1.0)
        if shares[-1] <= _FEW:
            break
    return 1 + int(np.argmin(shares)) if shares else 1
