"""How many steps may pass between two QR factorizations."""

import numpy as np

from .._numerics import EPS

PILOT = 192
"""Steps of the pilot, of which the last two thirds count (the first align the frame)."""

_CANDIDATES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_GROWTH = 200.0
"""Most that one direction may grow or shrink within one interval, in nats: far from overflow."""
ROUNDING = 1e-8
"""Largest rounding error of an exponent per step that is accepted in a run; a pilot keeps to
3e-10. That is 14 nats of spread per interval (ln(1/eps)/2 = 18, less a margin), or fewer where
growth varies."""
_PILOT_ROUNDING = 3e-10


def collapsing(logs: np.ndarray) -> np.ndarray:
    """Return which vectors, "vector lane", collapse in a pilot (ln R_ii = -inf)."""
    return np.any(np.isneginf(logs[len(logs) // 3 :]), axis=0)


def longest_interval(logs: np.ndarray, dead: np.ndarray) -> int:
    """Choose tau from a pilot with QR at every step, `logs` = ln R_ii "step vector lane".

    The columns of J^tau Q differ in length by exp(tau (lambda_1 - lambda_k)); the last
    exponents then carry a rounding error of eps times that, and past 1/eps are silently wrong.
    Here the mean over windows and lanes is bounded. Vectors that collapse anyway are left out.
    """
    logs = np.where(dead, 0.0, logs[len(logs) // 3 :])
    lanes = np.isfinite(logs).all(axis=(0, 1))
    logs, dead = logs[:, :, lanes], dead[:, lanes]
    if not logs.size:
        return 1
    sums = np.concatenate([np.zeros((1, *logs.shape[1:])), np.cumsum(logs, axis=0)])
    best = 1
    for length in _CANDIDATES[1:]:
        if length >= len(sums):
            break
        windows = sums[length:] - sums[:-length]
        largest = np.where(dead, -np.inf, windows).max(axis=1)
        smallest = np.where(dead, np.inf, windows).min(axis=1)
        with np.errstate(over="ignore"):
            error = EPS * np.exp(largest - smallest).mean() / length
        if error > _PILOT_ROUNDING or np.abs(windows).max() > _GROWTH:
            break
        best = length
    return best


def shorter_interval(interval: int, limit: int) -> int:
    """Return the largest proper divisor of the interval that is at most `limit`."""
    return max(d for d in range(1, interval) if interval % d == 0 and d <= max(limit, 1))


def mean_over(counted: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the means over lanes of `sums`, "... vector lane"; the mask is "vector lane"."""
    total = np.where(counted, sums, 0.0).sum(axis=-1)
    return total / np.maximum(counted.sum(axis=1), 1)
