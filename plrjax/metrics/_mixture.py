"""Kullback-Leibler divergence of two Gaussian mixtures, one component per point of an orbit."""

from typing import Any

import jax.random as jr
import numpy as np
from jaxtyping import Float

from ._series import Orbit, Series

_CHUNK = 1 << 21
"""Most entries of a table of squared distances held at once (16 MB)."""
_FARTHEST = 1e150
"""Coordinates beyond count as this, so that their squares stay finite."""


def mixture_divergence(
    true: Series, generated: Orbit, key: Any, variance: float, num_samples: int, max_points: int
) -> float:
    """Return the Monte-Carlo estimate of KL(p | q) in nats, mean(ln p(x) - ln q(x)), x ~ p.

    p and q are equal-weight mixtures of isotropic Gaussians at the points of the two series.
    """
    scale, center = np.sqrt(variance), true.mean(axis=0)
    points = (thinned(true, max_points) - center) / scale
    others = np.clip(thinned(generated, max_points) / scale - center / scale, -_FARTHEST, _FARTHEST)
    sample = drawn(points, num_samples, key)
    return float(np.mean(_log_density(sample, points) - _log_density(sample, others)))


def thinned(series: Series, most: int) -> Float[np.ndarray, "point dimension"]:
    """Return the whole series, or `most` rows evenly spread over it."""
    if len(series) <= most:
        return series
    return series[np.arange(most, dtype=np.int64) * len(series) // most]


def drawn(
    points: Float[np.ndarray, "point dimension"], count: int, key: Any
) -> Float[np.ndarray, "sample dimension"]:
    """Draw from the mixture of unit Gaussians at the points."""
    draw = np.random.default_rng(np.asarray(jr.key_data(key)).ravel().tolist())
    rows = draw.integers(0, len(points), count)
    return points[rows] + draw.standard_normal((count, points.shape[1]))


def _log_density(
    sample: Float[np.ndarray, "sample dimension"], points: Float[np.ndarray, "point dimension"]
) -> Float[np.ndarray, " sample"]:
    """Return ln of the mean of exp(-|x - point|^2/2) over the points, by logsumexp."""
    half = 0.5 * np.einsum("ij,ij->i", points, points)
    rows = max(1, _CHUNK // len(points))
    parts = [
        _log_mean_exp(x @ points.T - half) - 0.5 * np.einsum("ij,ij->i", x, x)
        for x in (sample[first : first + rows] for first in range(0, len(sample), rows))
    ]
    return np.concatenate(parts)


def _log_mean_exp(
    exponents: Float[np.ndarray, "sample point"],
) -> Float[np.ndarray, " sample"]:
    largest = exponents.max(axis=1)
    return largest + np.log(np.exp(exponents - largest[:, None]).mean(axis=1))
