"""Which orbits share an attractor."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._numerics import quiet_floats

FEWEST_BLOCKS = 8
"""Fewest blocks per orbit from which attractors are told apart."""
_GROUPS = 16
"""Averages of one orbit from which its own error is made."""
_DIFFERENT = 6.0
"""Orbits differ where they are this many standard errors apart."""
_CALMER = 7.0
"""So they do where the variance of one's growth is e^7 times the other's, plus six errors of its
logarithm: a fixed point reached early and a chaotic attractor."""
_STRETCHES = 4
"""Stretches of an orbit whose least and largest states are compared ..."""
_APART = 6.0
"""... and differ where they are so many of their ranges apart ..."""
_NARROW = 0.005
"""... and this share of the orbit's width, on both sides."""
_ROUNDING = 1e-13
"""What averages may differ by, whatever their size."""
_SAMPLE = 1024
"""Orbits that are compared each with each; the others are held against these."""


class _Features(NamedTuple):
    """Averages of each orbit, their squared errors, and what else two orbits may differ by.

    In units of the largest average of each feature; 2 where it is not finite. `variance` is that of
    the mean by 16 averages along the orbit, `square` at most that.
    """

    mean: Float[np.ndarray, "orbit feature"]
    square: Float[np.ndarray, "orbit feature"]
    variance: Float[np.ndarray, "orbit feature"]
    slack: Float[np.ndarray, "orbit feature"]
    rounding: Float[np.ndarray, "orbit feature"]
    groups: int

    def joined(self, other: "_Features") -> "_Features":
        """Return the features of both."""
        pairs = [np.concatenate(arrays, axis=1) for arrays in zip(self[:-1], other[:-1])]
        return _Features._make([*pairs, self.groups])

    def linked(self, rows: np.ndarray, columns: np.ndarray) -> Bool[np.ndarray, "row column"]:
        """Return which orbits agree in all features."""
        found = np.ones((len(rows), len(columns)), bool)
        slack = self.slack + self.rounding
        for place, row in enumerate(rows):
            allowed = _DIFFERENT * np.sqrt(self.square[columns] + self.square[row])
            allowed = allowed + slack[columns] + slack[row]
            off = np.abs(self.mean[columns] - self.mean[row])
            found[place] = (off <= allowed).all(axis=1)
        return found

    def calm_alike(self, rows: np.ndarray, columns: np.ndarray) -> Bool[np.ndarray, "row column"]:
        """Return which orbits' features fluctuate alike."""
        logs = np.log(self.variance + (self.rounding / _DIFFERENT) ** 2 + 1e-300)
        limit = _CALMER + _DIFFERENT * np.sqrt(4.0 / max(self.groups - 1, 1))
        found = [(np.abs(logs[columns] - logs[row]) <= limit).all(axis=1) for row in rows]
        return np.array(found).reshape(len(rows), len(columns))


def attractors(*arguments, **options) -> Int[np.ndarray, " orbit"]:
    """Return the labels of `tell_apart`."""
    return tell_apart(*arguments, **options)[0]


def tell_apart(
    exponents: Float[np.ndarray, "block orbit vector"],
    states: Float[np.ndarray, "block orbit state"],
    alive: np.ndarray,
    num_steps: int,
    num_transient: int,
    ends: Float[np.ndarray, "group orbit end"] | None = None,
) -> tuple[Int[np.ndarray, " orbit"], bool]:
    """Label orbits by the attractor they settled on: 0 for the most frequent; -1 where not finite.

    Two orbits are linked where neither an exponent nor the time average of a state differs by more
    than six standard errors (of the difference, from 16 averages along each orbit), the drifts
    between the orbits' halves, and what is left of their start; and where their growth fluctuates
    alike. Linked orbits share an attractor. With fewer than 8 blocks all do. Orbits that grow, or
    whose averages are beyond float64, are compared by their exponents. Where the least and largest
    states of parts of the orbits are known (`ends`: all least ones first), those over four long
    stretches of either orbit must not be far apart, either. Returns whether they are a continuum,
    too: so many that only the growth was compared.
    """
    labels = np.full(exponents.shape[1], -1, np.int64)
    if not alive.any():
        return labels, False
    labels[alive] = 0
    growth = exponents[:, alive]
    growth = growth[:, :, np.isfinite(growth).all(axis=(0, 1))]
    orbits = growth.shape[1]
    if len(growth) < FEWEST_BLOCKS or orbits == 1:
        return labels, False
    with quiet_floats():
        slack = unaligned(growth.mean(axis=0), num_transient, num_steps) + 0.5 / num_steps
        rates = _features(growth, slack)
        places = np.where(grows(states)[:, None], np.inf, states)[:, alive]
        places = _features(places, np.zeros((orbits, 1)))
        alike = lambda a, b: rates.linked(a, b) & rates.calm_alike(a, b)
        if ends is not None:
            places = places.joined(_end_features(ends[:, alive]))
        found = _clusters(lambda a, b: alike(a, b) & places.linked(a, b), orbits)
        continuum = bool(found.max() + 1 > max(3, orbits / 4))
        if continuum:
            found = _clusters(alike, orbits)
    order = np.argsort(-np.bincount(found), kind="stable")
    labels[alive] = np.argsort(order)[found]
    return labels, continuum


def grows(states: Float[np.ndarray, "block orbit state"]) -> Bool[np.ndarray, " orbit"]:
    """Return which orbits keep growing, at least twice from quarter to quarter and 100 times in
    all: they settle on nothing."""
    quarter = len(states) // 4
    if not quarter or not states.size:
        return np.zeros(states.shape[1], bool)
    with quiet_floats():
        parts = states[len(states) - 4 * quarter :].reshape(4, -1, *states.shape[1:])
        size = np.abs(parts).max(axis=(1, 3))
        return (size[1:] > 2.0 * size[:-1]).all(axis=0) & (size[3] > 100.0 * size[0])


def unaligned(exponents: np.ndarray, num_transient: int, num_steps: int) -> np.ndarray:
    """Return how far "orbit vector" exponents may be off because frames were not aligned yet.

    Directions i and j part like exp(-|lambda_i - lambda_j| t), and until then each grows at a mean:
    over T steps the difference is about min(1/T, |lambda_i - lambda_j|) times what is left.
    """
    gap = np.abs(exponents[:, :, None] - exponents[:, None, :])
    rate = np.minimum(gap, 1.0 / num_steps) * np.exp(-gap * num_transient)
    return rate.max(axis=2, initial=0.0)


def _features(series: Float[np.ndarray, "block orbit feature"], slack: np.ndarray) -> _Features:
    """Return averages of orbits; `slack`, "orbit feature", is allowed on top of their errors.

    The error of a mean is at most the range of the sums of deviations over the run's length: these
    stay bounded where an orbit winds around a torus, and like 1.25 standard errors where it is
    chaotic.
    """
    count, orbits, number = series.shape
    length = max(1, count // _GROUPS)
    whole = count // length
    size = np.where(np.isfinite(series), np.abs(series), 0.0).max(axis=(0, 1), initial=0.0)
    scale = np.where(size > 0, size, 1.0)
    used = (series / scale)[count - whole * length :]
    means = used.reshape(whole, length, orbits, number).mean(axis=1)
    mean, half = means.mean(axis=0), whole // 2
    drift = np.abs(means[:half].mean(axis=0) - means[half:].mean(axis=0))
    path = np.cumsum(means - mean, axis=0)
    swing = (path.max(axis=0) - path.min(axis=0)) / whole
    variance = means.var(axis=0, ddof=1) / whole
    rounding = 1e-9 * np.abs(mean * scale).max(axis=1, initial=0.0, keepdims=True) + _ROUNDING
    arrays = [mean, np.minimum(variance, swing**2), variance, drift + slack / scale]
    lost = ~np.isfinite(arrays).all(axis=0)
    arrays = [np.where(lost, value, array) for value, array in zip((2.0, 0.0, 0.0, 0.0), arrays)]
    return _Features._make([*arrays, np.where(lost, 0.0, rounding / scale), whole])


def _end_features(ends: Float[np.ndarray, "group orbit end"]) -> _Features:
    """Return the middles of what the extremes of long stretches span, and how far they may move."""
    size = ends.shape[2] // 2
    length = len(ends) // _STRETCHES
    parts = ends[len(ends) - _STRETCHES * length :].reshape(_STRETCHES, length, -1, 2 * size)
    least, most = parts[..., :size].min(axis=1), parts[..., size:].max(axis=1)
    far = np.concatenate([least, most], axis=2)
    low, high = far.min(axis=0), far.max(axis=0)
    width = high[:, size:] - low[:, :size]
    middle, nothing = 0.5 * (low + high), np.zeros(low.shape)
    slack = (0.5 + _APART) * (high - low) + _NARROW * np.tile(width, 2)
    rounding = 1e-9 * np.abs(middle).max(axis=1, initial=0.0, keepdims=True) + _ROUNDING + nothing
    return _Features(middle, nothing, nothing, slack, rounding, len(ends))


def _clusters(linked, orbits: int) -> Int[np.ndarray, " orbit"]:
    """Return a label for every orbit; those beyond the sample join the first they are linked to."""
    sample = np.arange(min(orbits, _SAMPLE))
    labels = np.full(orbits, -1, np.int64)
    labels[sample] = _components(linked(sample, sample))
    for first in range(len(sample), orbits, _SAMPLE):
        rows = np.arange(first, min(first + _SAMPLE, orbits))
        match = linked(rows, sample)
        alone = ~match.any(axis=1)
        labels[rows] = labels[sample[match.argmax(axis=1)]]
        labels[rows[alone]] = labels.max() + 1 + np.arange(np.count_nonzero(alone))
    return labels


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
