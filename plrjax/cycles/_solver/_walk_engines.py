"""Who makes the walks of a round: lanes side by side on devices, or a compiled loop on a CPU."""

import abc
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int, UInt64

from ..._numerics import float64_scope, quiet_floats
from ..._parallel import device_mesh, over_devices
from ..._piecewise_affine import PiecewiseAffineMap
from .._seeding import SeedTable
from ._newton_step import Layout, parameters_of
from ._walk import (
    GROUP,
    RUNNING,
    SINGULAR,
    Course,
    DeviceTable,
    advance,
    initial_state,
    pack_table,
)

CHUNK_SECONDS = 0.2
"""A piece of work lasts about so long: Ctrl-C waits for it."""


class Ended(NamedTuple):
    """Walks that ended: their numbers, how (`_walk`), after how many steps, and where.

    **Fields:** `marks`: names of the itineraries at the end; `words(rows)`: these itineraries of
    some rows, all of which converged; `stuck`: itineraries, each of a walk that met a singular
    system, or from a few steps before.
    """

    walks: Int[np.ndarray, " walk"]
    status: Int[np.ndarray, " walk"]
    steps: Int[np.ndarray, " walk"]
    marks: UInt64[np.ndarray, " walk"]
    words: Any
    stuck: Bool[np.ndarray, "word time unit"]


class AbstractWalks(abc.ABC):
    """Makes one round of walks after another, in bounded pieces of work.

    **Fields:** `over`: whether the round is done; `lanes`: walks side by side; `segments`: parts
    of an itinerary that are solved for together.
    """

    over: bool
    lanes: int
    segments: int

    @abc.abstractmethod
    def begin(self, table: SeedTable, seed: int, first: int, limit: int) -> None:
        """Take the walks from number `first` to below `limit`."""

    @abc.abstractmethod
    def advance(self) -> Ended:
        """Go on for a fraction of a second; return the walks that ended."""


class NoWalks(AbstractWalks):
    """There is nothing to start from."""

    over, lanes, segments = True, 1, 1

    def begin(self, table, seed, first, limit):
        del table, seed, first, limit

    def advance(self):
        none = np.zeros(0, np.int64)
        words = np.zeros((0, 0, 0), bool)
        return Ended(none, none, none, none.astype(np.uint64), lambda rows: words, words)


class LaneWalks(AbstractWalks):
    """Many walks side by side, on one or several devices, new ones in the lanes of those ended."""

    def __init__(
        self,
        map: PiecewiseAffineMap,
        layout: Layout,
        period: int,
        max_steps: int,
        devices: Sequence[Any] | None,
    ):
        self.map, self.layout, self.period, self.max_steps = map, layout, period, max_steps
        self.lanes, self.segments, self.over = layout.lanes, layout.segments, True
        self.mesh = device_mesh(devices)
        self.start, self.go = _programs(layout, _num_groups(layout), self.mesh)
        with float64_scope():
            self.parameters = parameters_of(map, layout)

    def begin(self, table, seed, first, limit):
        count = self.mesh.devices.size
        with float64_scope():
            self.table = DeviceTable(
                jnp.asarray(pack_table(table.regions)),
                jnp.asarray(table.starts.astype(np.int32)),
                jnp.asarray(table.counts.astype(np.int32)),
            )
            numbers = np.uint64(seed), limit, self.period, self.max_steps, count
            self.course = Course(*map(jnp.asarray, numbers))
            self.state = self.start(self.table, self.course, first + jnp.arange(count))
        self.over = False

    def advance(self):
        with float64_scope():
            self.state, report = self.go(self.parameters, self.table, self.course, self.state)
            report = jax.device_get(report)
        self.over = bool((np.asarray(self.state.walk) < 0).all())
        ended = (report.status != RUNNING) & (report.walk >= 0)
        where = np.nonzero(ended)

        def words(rows: np.ndarray) -> np.ndarray:
            device, group, lane = (axis[rows] for axis in where)
            anchors = report.anchors[device, group]
            return host_itineraries(self.map, self.layout, anchors, lane, self.period)

        stuck = report.singular[(ended & (report.status == SINGULAR)).any(axis=2)]
        ordered = [_in_time_order(word, self.layout, self.period) for word in stuck]
        shape = (len(stuck), self.period, self.layout.num_units)
        return Ended(
            report.walk[where],
            report.status[where],
            report.steps[where],
            report.hash[where],
            words,
            np.array(ordered, bool).reshape(shape),
        )


@functools.lru_cache(maxsize=64)
def _programs(layout: Layout, num_groups: int, mesh) -> tuple[Any, Any]:
    """Return the compiled start and advance of walks for one layout on one mesh."""

    def start(table, course, first):
        return initial_state(layout, table, course, first)

    def go(p, table, course, state):
        return advance(p, layout, num_groups, table, course, state)

    return over_devices(start, mesh, 2, 1), over_devices(go, mesh, 3, 1)


def _num_groups(layout: Layout) -> int:
    """Return groups per chunk: some tenths of a second at most on one core."""
    work = layout.rows * layout.columns * layout.state_size
    work *= (layout.state_size + 1) * (layout.state_size + 2 * layout.num_units)
    return int(np.clip(CHUNK_SECONDS * 5e9 / (GROUP * work), 1, 16))


def _segment_bounds(layout: Layout, period: int) -> list[tuple[int, int]]:
    """Return first step and length of every segment."""
    base, longer = divmod(period, layout.segments)
    return [(s * base + min(s, longer), base + (s < longer)) for s in range(layout.segments)]


def _in_time_order(word: np.ndarray, layout: Layout, period: int) -> np.ndarray:
    """Return an itinerary "row unit segment" as "time unit"."""
    bounds = _segment_bounds(layout, period)
    return np.concatenate([word[:length, :, s] for s, (_, length) in enumerate(bounds)])


def host_itineraries(
    map: PiecewiseAffineMap, layout: Layout, anchors: np.ndarray, lanes: np.ndarray, period: int
) -> np.ndarray:
    """Return the itineraries of the orbits through the anchors of some lanes, "word time unit"."""
    columns = anchors.reshape(len(anchors), map.state_size, layout.segments, layout.lanes)
    z = np.take_along_axis(columns, lanes[:, None, None, None], axis=3)[..., 0]
    z = np.swapaxes(z, 1, 2)
    words = np.zeros((len(anchors), period, map.num_units), bool)
    bounds = _segment_bounds(layout, period)
    A, W1, W2, h1, h2 = map.A.T, map.W1.T, map.W2.T, map.h1, map.h2
    with quiet_floats():
        for step in range(max(length for _, length in bounds)):
            y = z @ W2 + h2
            for s, (begin, length) in enumerate(bounds):
                if step < length:
                    words[:, begin + step] = y[:, s] > 0
            z = z @ A + np.maximum(y, 0.0) @ W1 + h1
    return words
