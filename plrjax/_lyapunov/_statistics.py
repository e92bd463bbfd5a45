"""Error bars from blocks and orbits, and which orbits share an attractor."""

import numpy as np
from jaxtyping import Float, Int

from .._numerics import quiet_floats

_ENOUGH_BLOCKS = 64
"""Averages from which an error bar is made, itself then right within 9 %: the longest blocks that
give as many are taken, unless longer ones say otherwise."""
_FEWEST_BLOCKS, _FEWEST_ORBITS = 10, 8
"""Fewest averages, and fewest whole orbits, that are asked whether they say otherwise."""
_SURE = 3.0
"""They do where the logarithms of two variances differ by this many standard deviations."""
_GROUPS = 16
"""Averages of one orbit from which its own error is made, to tell attractors apart."""
_DIFFERENT = 6.0
"""Orbits differ where they are this many standard errors apart."""


def standard_error(blocks: Float[np.ndarray, "block orbit vector"]) -> Float[np.ndarray, " vector"]:
    """Return the standard error of the mean over all blocks of all orbits.

    Blocks are merged until the variance of the mean that they imply stops changing: then they are
    longer than the correlation time (Flyvbjerg, Petersen 1989). Orbits are independent, so the
    longest block is a whole orbit. NaN where an average is not finite, and where there is one only.
    """
    count, orbits, vectors = blocks.shape
    if count * orbits < 2:
        return np.full(vectors, np.nan)
    lengths = _block_lengths(count, orbits)
    with quiet_floats():
        variances = np.stack([_variance_of_mean(blocks, length) for length in lengths])
        logs = np.log(variances)
        doubt = [2.0 / ((count // length) * orbits - 1) for length in lengths]
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
    enough = [length for length in lengths if (count // length) * orbits >= _ENOUGH_BLOCKS]
    return lengths[len(enough[:-1]) :]


def _variance_of_mean(blocks: np.ndarray, length: int) -> np.ndarray:
    """Return the variance of the mean of everything, from averages over merged blocks."""
    count, orbits, vectors = blocks.shape
    whole = count // length
    used = blocks[count - whole * length :].reshape(whole, length, orbits, vectors)
    means = used.mean(axis=1).reshape(-1, vectors)
    return means.var(axis=0, ddof=1) / len(means) * (whole * length / count)


def attractors(
    exponents: Float[np.ndarray, "block orbit vector"],
    states: Float[np.ndarray, "block orbit state"],
    alive: np.ndarray,
    num_steps: int,
    num_transient: int,
) -> Int[np.ndarray, " orbit"]:
    """Label orbits by the attractor they settled on: 0 for the most frequent; -1 where not finite.

    Two orbits are linked where neither an exponent nor the time average of a state differs by more
    than six standard errors (of the difference, from 16 averages along each orbit), the drifts
    between the orbits' halves, and what is left of their start; linked orbits share an attractor.
    """
    labels = np.full(exponents.shape[1], -1, np.int64)
    if not alive.any():
        return labels
    growth = exponents[:, alive]
    growth = growth[:, :, np.isfinite(growth).all(axis=(0, 1))]
    alike = _linked(growth, _unaligned(growth.mean(axis=0), num_transient) + 0.5 / num_steps)
    found = _components(alike & _linked(states[:, alive], np.zeros((alive.sum(), 1))))
    if found.max() + 1 > max(8, alive.sum() / 4):
        found = _components(alike)  # a continuum of invariant sets
    order = np.argsort(-np.bincount(found), kind="stable")
    labels[alive] = np.argsort(order)[found]
    return labels


def _unaligned(exponents: np.ndarray, num_transient: int) -> np.ndarray:
    """Return how far "orbit vector" exponents may be off because frames were not aligned yet.

    Directions i and j part like exp(-|lambda_i - lambda_j| t); until then each grows at a mean.
    """
    gap = np.abs(exponents[:, :, None] - exponents[:, None, :])
    return (gap * np.exp(-gap * num_transient)).max(axis=2, initial=0.0)


def _linked(features: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Return which pairs of orbits agree in all features, "block orbit feature".

    `slack`, "orbit feature", is allowed on top of the errors.
    """
    count, orbits, number = features.shape
    if count < 8 or orbits == 1 or not number:
        return np.ones((orbits, orbits), bool)
    length = max(1, count // _GROUPS)
    whole = count // length
    means = features[count - whole * length :].reshape(whole, length, orbits, number).mean(axis=1)
    mean, half = means.mean(axis=0), whole // 2
    square = means.var(axis=0, ddof=1) / whole
    drift = np.abs(means[:half].mean(axis=0) - means[half:].mean(axis=0))
    rounding = 1e-9 * np.abs(means).max()
    linked = np.ones((orbits, orbits), bool)
    for i in range(orbits):
        allowed = _DIFFERENT * np.sqrt(square + square[i]) + drift + drift[i] + rounding
        allowed = allowed + slack + slack[i]
        linked[i] = (np.abs(mean - mean[i]) <= allowed).all(axis=1)
    return linked


def _components(linked: np.ndarray) -> np.ndarray:
    """Return the connected component of every orbit, numbered from 0 in order of appearance."""
    label = np.full(len(linked), -1)
    for first in range(len(linked)):
        if label[first] >= 0:
            continue
        reached, edge = linked[first].copy(), linked[first]
        while edge.any():
            found = linked[edge].any(axis=0)
            edge = found & ~reached
            reached |= found
        label[reached] = label.max() + 1
    return label
