"""Who makes the walks of a round: lanes side by side on devices, or a compiled loop on a CPU."""

import abc
import concurrent.futures
import functools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int, UInt64

from ..._memory import check_memory
from ..._numerics import float64_scope, quiet_floats
from ..._parallel import device_mesh, num_threads, over_devices
from ..._piecewise_affine import PiecewiseAffineMap, structure_of
from .._seeding import SeedTable
from ._loop_rooms import ANY, KRYLOV, MAX_ITERATIONS, green_of, net_of, room_of
from ._newton_step import Layout, make_layout, parameters_of
from ._walk import (
    GROUP,
    RUNNING,
    SINGULAR,
    DeviceTable,
    advance,
    initial_state,
    pack_table,
)

_CHUNK_SECONDS = 0.2

_SAMPLED = 4
"""Walks whose first steps tell how many iterations GMRES takes: the same, whoever walks on."""

_TOO_MANY = 0.8 * MAX_ITERATIONS
"""Where GMRES takes so many on average it often fails in the end: it is not used."""

_MOST_CELLS = 2**24
"""Bits of itineraries that a piece of work hands over, at most."""


_MANY_UNITS = 100

_LAST_PERIODS = (2, 4, 10)
_LEAST_STATES = {"plain": (8, 12, 12, 12), "many": (2, 2, 4, 4), "few": (8, 8, 12, 16)}
"""States from which on a CPU is faster with one walk at a time than with lanes, for periods up to
these and beyond: of networks whose units are their states, of others with many units, and with few.
Measured by `python -m benchmarks.large --crossover`, whose README has the figures."""


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


def walks_of(
    map: PiecewiseAffineMap,
    period: int,
    growth: float,
    max_steps: int,
    lanes: int | None,
    devices: Sequence[Any] | None,
) -> AbstractWalks:
    """Return the loop on a CPU where it is faster, and lanes elsewhere or where they are asked for.

    `growth`: log growth of errors per step, nats (`make_layout`).
    """
    layout = make_layout(map, period, growth, lanes)
    asked = lanes is not None or devices is not None
    if jax.default_backend() == "cpu" and not asked and layout.segments == 1:
        if loop_is_faster(map, period):
            return LoopWalks(map, period, max_steps)
    return LaneWalks(map, layout, period, max_steps, devices)


def loop_is_faster(map: PiecewiseAffineMap, period: int) -> bool:
    """Return whether a CPU makes walks faster one at a time than in lanes (`_LEAST_STATES`)."""
    diagonal, plain = structure_of(map)
    kind = "plain" if diagonal and plain else "many" if map.num_units >= _MANY_UNITS else "few"
    column = int(np.searchsorted(_LAST_PERIODS, period))
    return map.state_size >= _LEAST_STATES[kind][column]


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
            self.limit, self.seed = jnp.asarray(limit), jnp.asarray(np.uint64(seed))
            self.state = self.start(
                self.table,
                self.limit,
                self.seed,
                jnp.asarray(self.period),
                jnp.asarray(count),
                first + jnp.arange(count),
            )
        self.over = False

    def advance(self):
        with float64_scope():
            self.state, report = self.go(
                self.parameters,
                self.table,
                self.limit,
                self.seed,
                jnp.asarray(self.period),
                jnp.asarray(self.max_steps),
                jnp.asarray(self.mesh.devices.size),
                self.state,
            )
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

    def start(table, limit, seed, period, stride, first):
        return initial_state(layout, table, seed, limit, period, stride, first)

    def go(p, table, limit, seed, period, max_steps, stride, state):
        return advance(p, layout, num_groups, table, state, seed, limit, period, max_steps, stride)

    return over_devices(start, mesh, 5, 1), over_devices(go, mesh, 7, 1)


def _num_groups(layout: Layout) -> int:
    """Return groups per chunk: some tenths of a second at most on one core."""
    work = layout.rows * layout.columns * layout.state_size
    work *= (layout.state_size + 1) * (layout.state_size + 2 * layout.num_units)
    return int(np.clip(_CHUNK_SECONDS * 5e9 / (GROUP * work), 1, 16))


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


class LoopWalks(AbstractWalks):
    """One walk at a time on each core, in the compiled loop of `_walk_loop`.

    `along`: itineraries are read along the virtual cycles, not along orbits.
    """

    segments = 1

    def __init__(self, map: PiecewiseAffineMap, period: int, max_steps: int, along: bool = False):
        from . import _walk_loop as loop

        size, units, threads = map.state_size, map.num_units, num_threads()
        room = 8 * threads * (4 * size**2 + 3 * size * units)
        check_memory("model", f"walks of {size} states on {threads} cores", room)
        self.loop, self.period, self.over, self.along = loop, period, True, along
        self.lanes = num_threads()
        self.net = net_of(map, period)
        self.green = green_of(map, self.net, period)
        self.desks = [self._desk(max_steps) for _ in range(self.lanes)]
        self.most = max(1, _MOST_CELLS // (period * map.num_units * self.lanes))
        self.size = 1

    def _desk(self, max_steps: int) -> tuple[Any, Any]:
        """Return the room of one thread."""
        units = len(self.net.h2)
        next, marks = np.zeros((self.period, units), np.uint8), np.zeros(max_steps, np.uint64)
        return room_of(self.net, self.green, self.period), self.loop.Desk(next, marks)

    def begin(self, table, seed, first, limit):
        self.table = self.loop.Starts(
            np.ascontiguousarray(table.regions).view(np.uint8),
            table.starts.astype(np.int64),
            table.counts.astype(np.uint64),
            np.array([seed], np.uint64),
        )
        self.next, self.limit, self.over = first, limit, False
        if not first:
            self._expect()

    def advance(self):
        begun = time.perf_counter()
        bounds = self.next + self.size * np.arange(self.lanes + 1)
        bounds = np.minimum(bounds, self.limit).tolist()
        first, self.next = self.next, bounds[-1]
        pieces = [piece for piece in zip(self.desks, bounds, bounds[1:]) if piece[1] < piece[2]]
        if len(pieces) == 1:
            ended = [self._walk(*pieces[0])]
        else:
            with concurrent.futures.ThreadPoolExecutor(len(pieces)) as pool:
                ended = list(pool.map(self._walk, *zip(*pieces)))
        seconds = max(time.perf_counter() - begun, 1e-6)
        self.size = int(
            np.clip(self.size * _CHUNK_SECONDS / seconds, 1, min(8 * self.size, self.most))
        )
        self.over = self.next >= self.limit
        status, steps, marks, words = (np.concatenate(parts) for parts in zip(*ended))
        words = words.view(bool)
        stuck = words[status == SINGULAR][:1]
        walks = np.arange(first, self.next)
        return Ended(walks, status, steps, marks, lambda rows: words[rows], stuck)

    def _expect(self) -> None:
        """Count the iterations of GMRES in the first steps of the first walks, for its choice."""
        room, desk = self.desks[0]
        ended = self._blank(min(_SAMPLED, self.limit))
        short = desk._replace(marks=desk.marks[:2])
        total = self.loop.walk(
            self.net, self.green, room, self.table, short, ended, 0, KRYLOV, self.along
        )
        expected = total / max(int(ended.steps.sum()), 1)
        for room, _ in self.desks:
            room.expected[0] = expected if expected < _TOO_MANY else np.inf

    def _blank(self, count: int) -> Any:
        """Return places for walks that end."""
        shape = (count, self.period, len(self.net.h2))
        integers = np.zeros(count, np.int64), np.zeros(count, np.int64)
        return self.loop.Ended(*integers, np.zeros(count, np.uint64), np.zeros(shape, np.uint8))

    def _walk(self, desk: tuple[Any, Any], first: int, last: int) -> Any:
        """Make the walks from `first` to below `last`."""
        ended = self._blank(last - first)
        self.loop.walk(
            self.net, self.green, desk[0], self.table, desk[1], ended, first, ANY, self.along
        )
        return ended
