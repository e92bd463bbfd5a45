"""Pairs of states on two sides of a basin boundary: bisected, and led along it."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from .._job import Job
from .._piecewise_affine import PiecewiseAffineMap
from .._results import STABILITY
from ..attractors._labels import Labels
from ..attractors._orbits import apart, batches, record
from ..cycles import CycleSet, cycles_of_itineraries
from ..words import canonical, unpack

_HALVINGS = 100
"""Bisections at most; most pairs are close after 45."""
_WIDTH = 1e-13
"""Share of the scale that pairs are apart in the end; neighbors may be mapped to one state."""
_PARTS = ("a", "b", "label_a", "label_b", "good")
_APART = 1e-5
"""Share of the scale at which a pair that runs along the boundary is bisected again."""
_WATCHED = 512
"""Steps along the boundary, at most, whose words are looked at."""
_SAME = 1e-6
"""Share of the scale within which an orbit along the boundary has come to a cycle."""


class Edges:
    """Pairs (a, b) whose orbits end on different attractors, row by row."""

    def __init__(self, map: PiecewiseAffineMap, labels: Labels, a, b, job: Job):
        self.map, self.labels, self.job = map, labels, job
        self.a, self.b = a.copy(), b.copy()
        self.label_a, self.label_b = labels.of(a, job), labels.of(b, job)
        self.good = (self.label_a >= 0) & (self.label_b >= 0) & (self.label_a != self.label_b)

    def bisect(self, rows: Int[np.ndarray, " row"]) -> None:
        """Halve the distance of pairs until it is near rounding.

        A state in the middle that goes to a third attractor takes the place of b.
        """
        for _ in range(_HALVINGS):
            middle = self.a[rows] + 0.5 * (self.b[rows] - self.a[rows])
            wide = np.linalg.norm(self.b[rows] - self.a[rows], axis=1) > _WIDTH * self.labels.scale
            rows, middle = rows[wide], middle[wide]
            if not len(rows):
                return
            label = self.labels.of(middle, self.job)
            self.good[rows[label < 0]] = False
            first = label == self.label_a[rows]
            self.a[rows[first]] = middle[first]
            rest = ~first & (label >= 0)
            self.b[rows[rest]], self.label_b[rows[rest]] = middle[rest], label[rest]
            rows = rows[label >= 0]

    def keep(self, rows: Int[np.ndarray, " row"]) -> None:
        """Keep some pairs only."""
        for name in _PARTS:
            setattr(self, name, getattr(self, name)[rows])

    def join(self, other: "Edges", count: int) -> None:
        """Put `count` pairs of another set behind each pair."""
        for name in _PARTS:
            own, more = getattr(self, name), getattr(other, name)
            both = np.concatenate([own[:, None], more.reshape(len(own), count, *own.shape[1:])], 1)
            setattr(self, name, both.reshape(-1, *own.shape[1:]))

    def along(self, rows: Int[np.ndarray, " row"], num_steps: int) -> Int[np.ndarray, " row"]:
        """Move pairs on until they are apart, or for `num_steps`; return how long that took."""
        steps = np.zeros(len(rows), np.int64)
        limit = _APART * self.labels.scale
        for part in batches(len(rows), 1024):
            pair = (jnp.asarray(x[rows[part]].T) for x in (self.a, self.b))
            a, b, taken = apart(self.labels.weights, *pair, limit, np.int64(num_steps))
            self.a[rows[part]], self.b[rows[part]] = np.asarray(a).T, np.asarray(b).T
            steps[part] = np.asarray(taken)
        return steps

    def swapped(self, rows: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
        """Label pairs anew; return those that are still on two sides."""
        self.label_a[rows] = self.labels.of(self.a[rows], self.job)
        self.label_b[rows] = self.labels.of(self.b[rows], self.job)
        fine = (self.label_a[rows] >= 0) & (self.label_b[rows] >= 0)
        return rows[fine & (self.label_a[rows] != self.label_b[rows])]


class Saddles:
    """Cycles on the boundary, met as words that repeat, each solved and verified once."""

    def __init__(self, map: PiecewiseAffineMap, scale: float):
        self.map, self.scale = map, scale
        self.found: list[CycleSet] = []
        self._number: dict[bytes, int] = {}

    def met(
        self,
        labels: Labels,
        states: Float[np.ndarray, "row state"],
        steps: Int[np.ndarray, " row"],
    ) -> Int[np.ndarray, " row"]:
        """Return the number of the saddle that each state is at, or -1; it is on the boundary for
        so many steps."""
        found = np.full(len(states), -1, np.int64)
        for part in batches(len(states), 1024):
            words = np.asarray(record(labels.weights, jnp.asarray(states[part].T), _WATCHED)[1])
            for lane, place in enumerate(part):
                length = min(int(steps[place]) * 3 // 4, _WATCHED)
                found[place] = self._of(words[:length, :, lane], states[place])
        return found

    def _of(self, word: UInt8[np.ndarray, "time byte"], z: Float[np.ndarray, " state"]) -> int:
        period = _period(word)
        if not period:
            return -1
        root = canonical(np.ascontiguousarray(word[:period]))
        text = root.tobytes()
        if text not in self._number:
            self._number[text] = self._solved(root)
        number = self._number[text]
        if number < 0:
            return -1
        away = np.linalg.norm(self.found[number].orbit(0) - z, axis=1).min()
        return number if away < _SAME * self.scale else -1

    def _solved(self, root: np.ndarray) -> int:
        cycle = cycles_of_itineraries(self.map, [unpack(root, self.map.num_units)])
        good = len(cycle) and cycle.is_regular[0] and cycle.stability[0] == STABILITY.saddle
        if not good or int((np.abs(cycle.multipliers[0]) > 1).sum()) != 1:
            return -1
        self.found.append(cycle)
        return len(self.found) - 1


def _period(word: UInt8[np.ndarray, "time byte"]) -> int:
    """Return the least k with which a word of at least 2 k letters repeats, or 0."""
    for period in range(1, len(word) // 2 + 1):
        if (word[period:] == word[:-period]).all():
            return period
    return 0
