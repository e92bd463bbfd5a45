"""Error bars from blocks and orbits."""

import numpy as np
import scipy
from jaxtyping import Float

from .._numerics import quiet_floats

_ENOUGH_BLOCKS = 64
"""Averages from which an error bar is made, itself then right within 9 %: the longest blocks that
give as many are taken, unless longer ones say otherwise."""
_FEWEST_BLOCKS, _FEWEST_ORBITS = 10, 8
"""Fewest averages, and fewest whole orbits, that are asked whether they say otherwise."""
_SURE = 3.0
"""They do where the logarithms of two variances differ by this many standard deviations."""
_ENOUGH_OF_ONE = 20
"""The same where there is a single orbit: few averages from long blocks, as one orbit alone has not
the power to show that short blocks are too short."""
_WINDOW = 5.0
"""Autocorrelations are summed up to so many times the correlation time they give (Sokal 1997)."""
_MEMORY = 0.125
"""Share of the run over which growth may be correlated before errors are doubtful."""
_ONE_SIGMA = 0.8413447460685429
"""Share of a normal distribution below one standard deviation."""


def standard_error(blocks: Float[np.ndarray, "block orbit vector"]) -> Float[np.ndarray, " vector"]:
    """Return the standard error of the mean over all blocks of all orbits.

    Blocks are merged until the variance of the mean that they imply stops changing: then they are
    longer than the correlation time (Flyvbjerg, Petersen 1989). Orbits are independent, so the
    longest block is a whole orbit. Never less than what autocorrelations say, which see a memory of
    much of the run better than few long blocks do. Widened by Student's t where averages are few,
    so that 68 % of all runs lie within one standard error. NaN where an average is not finite, and
    where there is one only.
    """
    count, orbits, vectors = blocks.shape
    if count * orbits < 2:
        return np.full(vectors, np.nan)
    lengths = _block_lengths(count, orbits)
    with quiet_floats():
        variances = np.stack([_variance_of_mean(blocks, length) for length in lengths])
        logs = np.log(variances)
        doubt = [2.0 / ((count // length) * orbits - 1) for length in lengths]
        number = np.array([(count // length) * orbits for length in lengths])
        variances = variances * (scipy.special.stdtrit(number - 1.0, _ONE_SIGMA) ** 2)[:, None]
        error, settled = np.sqrt(variances[-1]), np.ones(vectors, bool)
        for i in range(len(lengths) - 2, -1, -1):
            for j in range(i + 1, len(lengths)):
                limit = _SURE * np.sqrt(doubt[j] - doubt[i])
                settled &= (np.abs(logs[j] - logs[i]) <= limit) | (variances[j] == variances[i])
            error = np.where(settled, np.sqrt(variances[i]), error)
        return np.maximum(error, _error_of_memory(blocks))


def remembers(blocks: Float[np.ndarray, "block orbit vector"]) -> bool:
    """Return whether blocks stay correlated over so much of the run that errors are doubtful: over
    an eighth, in more than half of the columns."""
    with quiet_floats():
        tau, share, _ = _memory(blocks)
    return bool(np.mean((tau > 0.5) & (share > _MEMORY)) > 0.5)


def _error_of_memory(blocks: np.ndarray) -> np.ndarray:
    """Return the standard error sqrt(2 tau c_0 / n), the bias of c_0 removed (Wolff 2004).

    Zero where successive blocks do not go the same way.
    """
    tau, share, square = _memory(blocks)
    wide = scipy.special.stdtrit(np.maximum(1.0 / share - 1.0, 1.0), _ONE_SIGMA)
    error = wide * np.sqrt(np.maximum(2 * tau * square * (1 + share), 0.0))
    return np.where(tau > 0.5, error, 0.0)


def _memory(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the correlation time tau in blocks, the share of the data it spans, and c_0 / n.

    tau = 1/2 + sum_{k=1}^W c_k / c_0 with the least W >= 5 tau, at most half an orbit; the share is
    (2 W + 1) / n.
    """
    count, orbits, vectors = blocks.shape
    lags = np.arange(count // 2 + 1)
    off = blocks - blocks.mean(axis=(0, 1))
    power = np.abs(np.fft.rfft(off, 2 * count, axis=0)) ** 2
    covariance = np.fft.irfft(power, axis=0)[lags].sum(axis=1) / ((count - lags)[:, None] * orbits)
    first = covariance[0]
    tau = np.cumsum(covariance / np.where(first > 0, first, 1.0), axis=0) - 0.5
    enough = lags[:, None] >= _WINDOW * np.maximum(tau, 0.5)
    window = np.where(enough.any(axis=0), enough.argmax(axis=0), lags[-1])
    share = (2 * window + 1) / (count * orbits)
    return tau[window, np.arange(vectors)], share, first / (count * orbits)


def _block_lengths(count: int, orbits: int) -> list[int]:
    """Return the lengths, in blocks, to which blocks are merged, from the shortest."""
    lengths = [1]
    while (count // (2 * lengths[-1])) * orbits >= _FEWEST_BLOCKS:
        lengths.append(2 * lengths[-1])
    if orbits >= _FEWEST_ORBITS:
        lengths = [length for length in lengths if count // length > 1] + [count]
    least = _ENOUGH_BLOCKS if orbits > 1 else _ENOUGH_OF_ONE
    enough = [length for length in lengths if (count // length) * orbits >= least]
    return lengths[len(enough[:-1]) :]


def _variance_of_mean(blocks: np.ndarray, length: int) -> np.ndarray:
    """Return the variance of the mean of everything, from averages over merged blocks."""
    count, orbits, vectors = blocks.shape
    whole = count // length
    used = blocks[count - whole * length :].reshape(whole, length, orbits, vectors)
    means = used.mean(axis=1).reshape(-1, vectors)
    return means.var(axis=0, ddof=1) / len(means) * (whole * length / count)
