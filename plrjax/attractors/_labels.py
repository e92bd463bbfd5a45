"""To which of some known attractors states go."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from .._job import Job
from .._map_arrays import MapArrays
from .._numerics import quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from .._results import ATTRACTOR
from ._attractor_set import AttractorSet
from ._orbits import advance, batches, trail

_CHUNK, _LOOK = 128, 32
"""Steps from one look to the next, and how many states are looked at."""
_ON_THE_WAY, _AT_THE_END = 0.02, 0.5
"""An orbit is on an attractor where its distance is at most this share of that to all others."""


class Labels:
    """Attractors told apart by where they are; a row of those that diverged counts as one.

    `count` attractors can be reached; the label of a state is a row of the `AttractorSet`, or -1
    where it is not decided after `num_steps`.
    """

    def __init__(self, map: PiecewiseAffineMap, known: AttractorSet, num_steps: int):
        self.map, self.num_steps = map, num_steps
        self.weights = MapArrays.of(map).on_device()
        kinds = [ATTRACTOR(kind) for kind in known.kind]
        self.rows = [n for n, kind in enumerate(kinds) if kind is not ATTRACTOR.undecided]
        self.diverged = next((n for n in self.rows if kinds[n] is ATTRACTOR.diverged), -1)
        self.rows = [n for n in self.rows if n != self.diverged]
        self.trees = [KDTree(known.orbit(row)) for row in self.rows]
        ends = [known.orbit(row) for row in self.rows] or [known.states]
        self.scale = float(np.ptp(np.concatenate([*ends, known.states]), axis=0).max())
        self.bound = 1e6 * max(1.0, self.scale)

    def of(
        self, states: Float[np.ndarray, "lane state"], job: Job, patient: bool = False
    ) -> Int[np.ndarray, " lane"]:
        """Return the labels of states; `patient`: look only after all steps, not on the way."""
        found = np.full(len(states), -1, np.int64)
        left, now, done = np.arange(len(states)), states, 0
        while len(left) and done < self.num_steps:
            job.check()
            steps = self.num_steps - done if patient else min(_CHUNK, self.num_steps - done)
            now, seen = self._move(now, max(0, steps - _LOOK))
            done += steps
            label = self._label(now, seen, _ON_THE_WAY if done < self.num_steps else _AT_THE_END)
            found[left] = label
            keep = label < 0
            left, now = left[keep], now[keep]
        return found

    def _move(self, states, steps: int):
        """Return the states later, and the last ones seen on the way, "time lane state"."""
        out, seen = np.empty_like(states), np.empty((_LOOK, *states.shape))
        for lanes in batches(len(states), 1024):
            z = advance(self.weights, jnp.asarray(states[lanes].T), np.int64(steps))
            z, path = trail(self.weights, z, _LOOK)
            out[lanes], seen[:, lanes] = np.asarray(z).T, np.swapaxes(np.asarray(path), 1, 2)
        return out, seen

    def _label(self, now, seen, share: float) -> Int[np.ndarray, " lane"]:
        with quiet_floats():
            lost = ~(np.abs(now).max(axis=1) <= self.bound)
        label = np.full(len(now), -1, np.int64)
        label[lost] = self.diverged
        here = np.flatnonzero(~lost)
        if not self.trees or not len(here):
            return label
        path = seen[:, here].reshape(-1, now.shape[1])
        far = np.array([tree.query(path)[0].reshape(_LOOK, -1).max(axis=0) for tree in self.trees])
        best = far.argmin(axis=0)
        nearest = far[best, np.arange(len(here))]
        far[best, np.arange(len(here))] = np.inf
        other = far.min(axis=0) if len(self.trees) > 1 else np.full(len(here), self.scale)
        sure = nearest < share * other
        label[here[sure]] = np.array(self.rows)[best[sure]]
        return label
