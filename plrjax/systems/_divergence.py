"""How the distance of neighbors grows along a series."""

import dataclasses

import numpy as np
import scipy
from jaxtyping import Float, Int

_TINY = 1e-10
"""Standardized states closer than this count as the same state."""
_BLOCKS = 16
"""Stretches of the series that are left out in turn, for an error bar."""
_SIGNAL = 0.5
"""Share of a squared distance that must not be noise."""
_LEVEL, _NEAR_TOP = 0.1, 0.5
"""Nats by which a curve that has ended may rise from quarter to quarter, and nats below the level
of unrelated states from which on it has ended anyway."""

Points = Float[np.ndarray, "row coordinate"]
Index = Int[np.ndarray, " pair"]


@dataclasses.dataclass(frozen=True)
class Divergence:
    """Mean logarithm of the distance of pairs after 0, 1, ... steps.

    **Fields:**

    - `mean`: over all pairs; `without`: leaving out one stretch of the series after the other.
    - `saturation`: where it ends: the level of unrelated states, or a lower one at which it stays
        (pairs may keep in phase).
    - `size`: the level of unrelated states where distances along the flow count, too.
    - `num_pairs`: number of pairs.
    """

    mean: Float[np.ndarray, " step"]
    without: Float[np.ndarray, "block step"]
    saturation: float
    size: float
    num_pairs: int

    @property
    def complete(self) -> bool:
        """Whether distances grew by a nat and have come to an end."""
        third, last = _quarters(self.mean)
        ended = last - third < _LEVEL or last > self.saturation - _NEAR_TOP
        return bool(ended and last - self.mean[1] > 1.0)

    def without_noise(self, floor: float) -> "Divergence":
        """Return the curve without the noise that distances of e^floor come from.

        Squares add: ln d' = (1/2) ln(d^2 - e^(2 floor)). NaN where less than half of d^2 is left.
        """
        if floor == -np.inf:
            return self
        return dataclasses.replace(
            self, mean=_subtracted(self.mean, floor), without=_subtracted(self.without, floor)
        )


def neighbors(points: Points, num_pairs: int, theiler: int) -> tuple[Index, Index]:
    """Return pairs (i, j): evenly spaced i, and the nearest j with |i - j| > theiler of each.

    An i whose nearest j is the same state, or that has none, is left out.
    """
    count = len(points)
    at = np.unique(np.linspace(0, count - 1, min(count, num_pairs)).astype(np.int64))
    nearest, distance = np.full(len(at), -1), np.zeros(len(at))
    tree, left, wanted = scipy.spatial.KDTree(points), np.arange(len(at)), 4
    while len(left):
        wanted = min(2 * wanted, count)
        far, found = map(np.asarray, tree.query(points[at[left]], wanted))
        fits = np.abs(found - at[left][:, None]) > theiler
        has, place = fits.any(axis=1), fits.argmax(axis=1)
        nearest[left[has]] = found[has, place[has]]
        distance[left[has]] = far[has, place[has]]
        left = left[~has]
        if wanted == count:
            break
    kept = distance > _TINY
    return at[kept], nearest[kept]


def directions(points: Points) -> Points:
    """Return the unit tangents of a smooth orbit."""
    velocity = np.gradient(points, axis=0)
    return velocity / np.maximum(np.linalg.norm(velocity, axis=1, keepdims=True), 1e-300)


def log_distances(
    points: Points, tangents: Points | None, first: Index, second: Index
) -> Float[np.ndarray, " pair"]:
    """Return ln|x_i - x_j|, across the mean direction of the flow if tangents are given."""
    apart = points[first] - points[second]
    if tangents is not None:
        along = tangents[first] + tangents[second]
        share = _dot(apart, along) / np.maximum(_dot(along, along), 1e-300)
        apart -= share[:, None] * along
    return 0.5 * np.log(np.maximum(_dot(apart, apart), _TINY**2))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("pc,pc->p", a, b)


def follow(
    points: Points, tangents: Points | None, first: Index, second: Index, num_steps: int
) -> Divergence:
    """Follow pairs for `num_steps` steps; at least one pair."""
    count = len(first)
    blocks = np.array_split(np.arange(count), min(_BLOCKS, count))
    starts, sizes = [block[0] for block in blocks], np.array([len(block) for block in blocks])
    sums = np.empty((len(blocks), num_steps + 1))
    for step in range(num_steps + 1):
        logs = log_distances(points, tangents, first + step, second + step)
        sums[:, step] = np.add.reduceat(logs, starts)
    mean = sums.sum(axis=0) / count
    without = (count * mean - sums) / np.maximum(count - sizes, 1)[:, None]
    saturation = _unrelated(points, tangents, first)
    third, last = _quarters(mean)
    if last - third < _LEVEL and last - mean[1] > 1.0:
        saturation = min(saturation, last)
    return Divergence(mean, without, saturation, _unrelated(points, None, first), count)


def _subtracted(logs: np.ndarray, floor: float) -> np.ndarray:
    share = 1.0 - np.exp(2.0 * (floor - logs))
    return np.where(share >= _SIGNAL, logs + 0.5 * np.log(np.maximum(share, _SIGNAL)), np.nan)


def _quarters(mean: Float[np.ndarray, " step"]) -> tuple[float, float]:
    """Return the averages of a curve over its third and its last quarter."""
    quarter = max(1, len(mean) // 4)
    return float(mean[-2 * quarter : -quarter].mean()), float(mean[-quarter:].mean())


def _unrelated(points: Points, tangents: Points | None, at: Index) -> float:
    """Return the mean logarithm of the distance of states far apart in time."""
    shifts = [len(at) * share // 7 for share in (2, 3, 4, 5)]
    logs = [log_distances(points, tangents, at, np.roll(at, shift)) for shift in shifts]
    return float(np.mean(logs))
