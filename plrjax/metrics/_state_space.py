"""D_stsp: how far apart two orbits lie in state space, time left aside."""

from typing import Any

import jax.random as jr

from .._arguments import checked_key, checked_positive, checked_whole
from ._histogram import binned_divergence
from ._mixture import mixture_divergence
from ._series import checked_pair

METHODS = ("auto", "binned", "mixture")
_FEW = 6
"""Fewer dimensions than this are binned by default."""


def state_space_divergence(
    true: Any,
    generated: Any,
    *,
    method: str = "auto",
    bins: int = 30,
    key: Any = None,
    variance: float | int = 1.0,
    num_samples: int = 1_000,
    max_points: int = 10_000,
) -> float:
    """Return D_stsp = KL(p_true | p_generated), nats: how far two orbits differ in state space.

    Binned: p is the histogram, pseudocount 1e-5, over the box [min - .1 sigma, max + .1 sigma] of
    the true data; points outside are dropped. Mixture: p is the equal-weight mixture of Gaussians
    at the points, and the integral a Monte-Carlo mean over a sample of the true mixture, which may
    come out slightly negative (Koppe et al. 2019; Brenner et al. 2022).

    **Main arguments:** `true` (T x N) and `generated` (any number of rows, N columns).

    **Other arguments:**

    - `method`: "binned", "mixture", or "auto": binned for N < 6.
    - `bins`: per dimension. Memory grows with the number of points, not of cells.
    - `key`: draws the sample of the mixture; by default `jax.random.key(0)`, so that a score can be
        repeated.
    - `variance`: of each Gaussian, in squared units of the data; 1 suits standardized data.
    - `num_samples`: size of the Monte-Carlo sample.
    - `max_points`: points of each mixture at most, spread evenly over a longer series.

    **Returns:** NaN where `generated` is not finite, or (binned) lies outside the box altogether.

    **Raises:** `ValueError` naming the argument; NaN or Inf in `true` is refused.
    """
    checked_method(method)
    bins, variance = checked_whole("bins", bins, 2), checked_positive("variance", variance)
    num_samples = checked_whole("num_samples", num_samples, 1)
    max_points = checked_whole("max_points", max_points, 1)
    key = jr.key(0) if key is None else checked_key(key)
    data, orbit = checked_pair(true, generated, 2)
    binned = uses_bins(method, data.shape[1])
    if orbit is None:
        return float("nan")
    if binned:
        return binned_divergence(data, orbit, bins)
    return mixture_divergence(data, orbit, key, variance, num_samples, max_points)


def checked_method(method: Any) -> str:
    """Return the method, refusing another."""
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    return method


def uses_bins(method: str, dimension: int) -> bool:
    """Return whether a method bins data of this dimension."""
    return method == "binned" or (method == "auto" and dimension < _FEW)
