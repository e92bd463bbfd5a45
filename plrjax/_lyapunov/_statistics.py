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
_ONE_SIGMA = 0.8413447460685429
"""Share of a normal distribution below one standard deviation."""


def standard_error(blocks: Float[np.ndarray, "block orbit vector"]) -> Float[np.ndarray, " vector"]:
    """Return the standard error of the mean over all blocks of all orbits.

    Blocks are merged until the variance of the mean that they imply stops changing: then they are
    longer than the correlation time (Flyvbjerg, Petersen 1989). Orbits are independent, so the
    longest block is a whole orbit. Widened by Student's t where averages are few, so that 68 % of
    all runs lie within one standard error. NaN where an average is not finite, and where there is
    one only.
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
    return error


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
