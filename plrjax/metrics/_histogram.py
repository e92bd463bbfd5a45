"""Kullback-Leibler divergence of two histograms of which only occupied cells are stored."""

import numpy as np
from jaxtyping import Float, Int

from .._numerics import quiet_floats
from ._series import Orbit, Series, refuse_constant

_MARGIN = 0.1
"""The box ends this many standard deviations beyond the extremes of the true data."""
_PSEUDOCOUNT = 1e-5
"""Added to the count of every cell."""


def binned_divergence(true: Series, generated: Orbit, bins: int) -> float:
    """Return KL(true | generated) in nats over bins^N cells; NaN where none is hit by `generated`.

    A cell with c of n counts has p = (c + e)/(n + e bins^N), e = 1e-5. The cells U hit by either
    series are summed; each of the others has c = 0 in both, so together they add
    (bins^N - |U|) (e/z) ln(z'/z), z and z' the two denominators.

    **Raises:** `ValueError` for a constant true column, or more than 2^63 cells.
    """
    dimension = true.shape[1]
    if bins**dimension >= 2**63:
        raise ValueError(
            f"method: expected fewer than 2^63 cells, got {bins}^{dimension}; use 'mixture'"
        )
    refuse_constant("true", true, "whose histogram has no width")
    margin = _MARGIN * true.std(axis=0, ddof=1)
    low, high = true.min(axis=0) - margin, true.max(axis=0) + margin
    cells, counts = _occupied(true, low, high, bins)
    other_cells, other_counts = _occupied(generated, low, high, bins)
    if not len(other_cells):
        return float("nan")
    union = np.union1d(cells, other_cells)
    p, q = np.full((2, len(union)), _PSEUDOCOUNT)
    p[np.searchsorted(union, cells)] += counts
    q[np.searchsorted(union, other_cells)] += other_counts
    everywhere = float(bins) ** dimension
    total = counts.sum() + _PSEUDOCOUNT * everywhere
    other_total = other_counts.sum() + _PSEUDOCOUNT * everywhere
    hit = np.dot(p / total, np.log((p / total) / (q / other_total)))
    empty = (everywhere - len(union)) * _PSEUDOCOUNT / total * np.log(other_total / total)
    return max(0.0, float(hit + empty))


def _occupied(
    series: Series,
    low: Float[np.ndarray, " dimension"],
    high: Float[np.ndarray, " dimension"],
    bins: int,
) -> tuple[Int[np.ndarray, " cell"], Int[np.ndarray, " cell"]]:
    """Return the linear indices of the cells hit, in rising order, and their counts."""
    inside = ((series >= low) & (series <= high)).all(axis=1)
    index = np.zeros(np.count_nonzero(inside), np.int64)
    for column, least, most in zip(series[inside].T, low, high):
        with quiet_floats():
            place = np.floor((column - least) / (most - least) * bins).astype(np.int64)
        index = index * bins + np.minimum(place, bins - 1)
    cells, counts = np.unique(index, return_counts=True)
    return cells, counts.astype(np.int64)
