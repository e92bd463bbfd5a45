"""Walks one at a time on each core of a CPU, and when that is faster than lanes."""

import concurrent.futures
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..._memory import check_memory
from ..._parallel import num_threads
from ..._piecewise_affine import PiecewiseAffineMap, structure_of
from ._loop_rooms import ANY, KRYLOV, MAX_ITERATIONS, green_of, net_of, room_of
from ._newton_step import make_layout
from ._walk import SINGULAR
from ._walk_engines import CHUNK_SECONDS, AbstractWalks, Ended, LaneWalks

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
            np.clip(self.size * CHUNK_SECONDS / seconds, 1, min(8 * self.size, self.most))
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
