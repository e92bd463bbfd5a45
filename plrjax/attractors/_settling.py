"""Lead many initial states to where they settle, and measure those that no cycle caught."""

import time

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from .._job import Job
from .._lyapunov._runner import Pace
from .._map_arrays import MapArrays
from .._numerics import quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from .._results import ATTRACTOR
from ..cycles import CycleSet
from ._capture import Traps
from ._kinds import GROUPS, NUM_BLOCKS, Blocks, Regime, grouped, moved, odd, regime, unseen, vague
from ._orbits import advance, batches, measure, record

ROUNDS = 4
"""How often an orbit that has not settled is measured, each time over twice as many steps."""
_ALIGN = NUM_BLOCKS // 8
"""Blocks in which tangent vectors turn before they are measured."""


class Survey:
    """Where every initial state is now, and what is known of it.

    **Fields:** `now`, the states; `trap`, number of the cycle that caught each, or -1; `lost`,
    diverged; `seen`, the first tail was looked at; `measured` and `unsettled`: which were measured,
    and which of them were still moving then; `steps`, over how many steps.
    """

    def __init__(
        self,
        map: PiecewiseAffineMap,
        states: Float[np.ndarray, "lane state"],
        tangents: Float[np.ndarray, "lane state"],
        *,
        max_period: int,
        bound: float,
        batch_size: int,
        known: CycleSet | None,
    ):
        self.map, self.weights = map, MapArrays.of(map).on_device()
        self.now, self.tangents = states.copy(), tangents
        self.max_period, self.bound, self.batch_size = max_period, bound, batch_size
        self.traps = Traps(map, known)
        self.job = Job()
        count = len(states)
        self.trap = np.full(count, -1, np.int64)
        self.lost, self.seen, self.measured, self.unsettled = np.zeros((4, count), bool)
        self.steps = np.zeros(count, np.int64)
        self._work, self._done = 1.0, 0.0

    @property
    def open(self) -> Bool[np.ndarray, " lane"]:
        """Lanes that were seen and neither caught nor lost."""
        return self.seen & ~self.lost & (self.trap < 0)

    def settle(self, num_transient: int) -> None:
        """Lead all lanes through the transient and look where they are."""
        parts = batches(len(self.now), self.batch_size)
        pace = Pace(4.0 * self.weights.W1.size * len(parts[0]))
        self._begin(len(parts) * num_transient)
        for lanes in parts:
            z, left = self._lanes(self.now, lanes), num_transient
            while left:
                self.job.check()
                steps, begun = min(left, pace.steps), time.perf_counter()
                z = advance(self.weights, z, np.int64(steps)).block_until_ready()
                pace.note(steps, time.perf_counter() - begun)
                left -= steps
                self._update(steps)
            self._look(lanes, z)

    def measure_open(self, num_steps: int) -> None:
        """Measure the open lanes until they have settled, or were caught or lost."""
        again = self.open
        self._place(again)
        for number in range(ROUNDS):
            if not again.any():
                break
            self._measure(np.flatnonzero(again), num_steps << number)
            self.unsettled[again] = moved(self.blocks_of(again))
            again = self.open & (self.unsettled | self._doubtful())
        self.unsettled |= self._vague()

    def labels(self) -> tuple[Int[np.ndarray, " part"], Int[np.ndarray, " part"]]:
        """Return the open lanes that have settled, and the group that each belongs to."""
        lanes = self._settled()
        return lanes, self._grouped(lanes)[0]

    def _grouped(self, lanes: np.ndarray) -> tuple[Int[np.ndarray, " part"], bool]:
        if not len(lanes):
            return np.zeros(0, np.int64), False
        return grouped(self.blocks_of(lanes), int(self.steps[lanes].min()))

    def _vague(self) -> Bool[np.ndarray, " lane"]:
        """Return which settled lanes may be on another attractor than their group."""
        found, lanes = np.zeros(len(self.now), bool), self._settled()
        label, continuum = self._grouped(lanes)
        if len(lanes) and not continuum:
            found[lanes] = vague(self.blocks_of(lanes), label)
        return found

    def _settled(self) -> Int[np.ndarray, " part"]:
        return np.flatnonzero(self.open & self.measured & ~self.unsettled)

    def regime_of(self, lanes: np.ndarray) -> Regime:
        """Return what the measured lanes of one group are on: on no torus that was not seen."""
        blocks = self.blocks_of(lanes)
        found = regime(blocks.growth, self.steps[lanes])
        if found.kind is ATTRACTOR.quasiperiodic and unseen(blocks).mean() > 0.5:
            return found._replace(kind=ATTRACTOR.undecided)
        return found

    def blocks_of(self, lanes: np.ndarray) -> Blocks:
        """Return what was measured of some lanes, given by mask or index."""
        return self._blocks.of(self._column[lanes])

    def _place(self, chosen: Bool[np.ndarray, " lane"]) -> None:
        """Make room for what is measured of the chosen lanes."""
        count, size = int(chosen.sum()), self.map.state_size
        self._column = np.cumsum(chosen) - 1
        wide = np.zeros((2, GROUPS, count, size))
        ends = np.zeros((GROUPS, count, 2 * size))
        self._blocks = Blocks(np.zeros((NUM_BLOCKS, count)), wide[0], wide[1], ends)

    def _doubtful(self) -> Bool[np.ndarray, " lane"]:
        """Return which lanes have settled, but are unlike their group or on nothing known."""
        lanes, label = self.labels()
        found = self._vague()
        found[lanes] |= odd(self.blocks_of(lanes), label)
        for group in range(label.max(initial=-1) + 1):
            here = lanes[label == group]
            kind = self.regime_of(here).kind
            if kind is ATTRACTOR.quasiperiodic:
                found[here] |= unseen(self.blocks_of(here))
            found[here] |= kind is ATTRACTOR.undecided
        return found

    def _measure(self, chosen: Int[np.ndarray, " part"], num_steps: int) -> None:
        parts = batches(len(chosen), self.batch_size)
        steps = np.int64(num_steps // NUM_BLOCKS)
        self._begin(len(parts) * (NUM_BLOCKS + _ALIGN))
        for part in parts:
            lanes, means = chosen[part], []
            z, v = self._lanes(self.now, lanes), self._lanes(self.tangents, lanes)
            for _ in range(NUM_BLOCKS + _ALIGN):
                self.job.check()
                z, v, block = measure(self.weights, z, v, steps)
                means.append([np.asarray(values) for values in block])
                self._update(1)
            growth, mean, square, low, high = (np.stack(x) for x in zip(*means[_ALIGN:]))
            here = self._column[lanes]
            self._blocks.growth[:, here] = growth
            self._blocks.mean[:, here] = _in_groups(mean).mean(axis=1)
            self._blocks.square[:, here] = _in_groups(square).mean(axis=1)
            ends = _in_groups(low).min(axis=1), _in_groups(high).max(axis=1)
            self._blocks.ends[:, here] = np.concatenate(ends, axis=2)
            self._look(lanes, z)
            self.measured[lanes], self.steps[lanes] = True, num_steps

    def _look(self, lanes: Int[np.ndarray, " part"], z) -> None:
        """Record tails; find which lanes are lost, and which are caught by a cycle."""
        z, tail = record(self.weights, z, 2 * self.max_period)
        states, tail = np.asarray(z).T, np.asarray(tail)
        with quiet_floats():
            lost = ~(np.abs(states).max(axis=1) <= self.bound)
        trap = np.full(len(lanes), -1, np.int64)
        trap[~lost] = self.traps.catch(states[~lost], tail[:, :, ~lost], self.max_period)
        self.now[lanes], self.lost[lanes], self.trap[lanes] = states, lost, trap
        self.seen[lanes] = True

    def _lanes(self, rows: np.ndarray, lanes: np.ndarray):
        return jnp.asarray(np.ascontiguousarray(rows[lanes].T))

    def _begin(self, work: int) -> None:
        self._work, self._done = float(max(work, 1)), 0.0

    def _update(self, steps: int) -> None:
        self._done += steps
        kept = int((self.trap >= 0).sum())
        self.job.update(self._done / self._work, f"{kept} on cycles")


def _in_groups(blocks: np.ndarray) -> Float[np.ndarray, "group block lane state"]:
    """Return "block state lane" in groups of blocks."""
    return np.swapaxes(blocks.reshape(GROUPS, -1, *blocks.shape[1:]), 2, 3)
