"""Who follows the curves of a round: lanes side by side on devices, or a compiled loop on a CPU."""

import abc
import functools
import importlib
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy
from jaxtyping import Int, UInt8

from ..._numerics import float64_scope
from ..._parallel import device_mesh, over_devices, shared_by, split_over
from ._path_starts import AbstractForm, Table
from ._pivots import CLOSED, Sizes, Starts, advance, idle_state
from ._tableau import StateData

_CHUNK_SECONDS = 0.2

_REFRESH = 128
"""A tableau is solved anew after so many pivots, or four times its unknowns: a small extra cost."""

_SMALL = 40
"""Tableaus of up to so many unknowns are solved inside the loop, larger ones by LAPACK outside."""

_NOTES = 4096
"""Cells that the loop notes before they are handed over."""


class Crossings(NamedTuple):
    """Cells in which s passed zero: the number of the path in its round, and its bits packed."""

    paths: Int[np.ndarray, " crossing"]
    cells: UInt8[np.ndarray, "crossing byte"]


class Tally(NamedTuple):
    """Counts of a round: pivots, pivots of length zero (ties), legs by status (`_pivots`)."""

    pivots: int
    ties: int
    legs: Int[np.ndarray, " status"]


class AbstractEngine(abc.ABC):
    """Follows the curves of one round of starts after another, in bounded pieces of work.

    **Fields:** `over`: whether the round is done; `lanes`: curves side by side.
    """

    over: bool
    lanes: int

    @abc.abstractmethod
    def begin(self, table: Table) -> None:
        """Take the starts of a round."""

    @abc.abstractmethod
    def advance(self) -> Crossings:
        """Go on for a fraction of a second; return what was crossed."""

    @abc.abstractmethod
    def tally(self) -> Tally:
        """Return the counts of the round."""


def refresh_of(form: AbstractForm) -> int:
    """Return after how many pivots a tableau is solved anew."""
    return max(_REFRESH, 4 * form.num_unknowns)


def table_size(form: AbstractForm) -> int:
    """Return how many starts a round may have: tables of bounded size, whoever follows them."""
    numbers = form.num_unknowns * (form.num_unknowns + 2) + form.num_units
    return 2 ** int(np.clip(np.log2(2**23 / numbers * form.num_unknowns), 7, 10))


def engine_of(
    form: AbstractForm, max_pivots: int, lanes: int | None, devices: Sequence[Any] | None
) -> AbstractEngine:
    """Return the loop on a CPU, and lanes elsewhere or where lanes or devices are asked for."""
    most = min(max_pivots, 2 ** min(form.num_units, 30))
    if lanes is None and devices is None and jax.default_backend() == "cpu":
        return LoopEngine(form, most)
    return LaneEngine(form, most, lanes, devices)


@functools.cache
def prepare_loop() -> None:
    """Begin to compile the loop, once after installation, beside XLA's compiler and the walks."""
    if jax.default_backend() == "cpu":
        name = f"{__package__}._path_loop"
        threading.Thread(target=importlib.import_module, args=(name,), name="compiling").start()


class LoopEngine(AbstractEngine):
    """One curve at a time in the compiled loop of `_path_loop`; tableaus are solved by LAPACK."""

    lanes = 1
    chunk_seconds = 0.25 * _CHUNK_SECONDS

    def __init__(self, form: AbstractForm, max_pivots: int):
        from ..._compiled import record_of
        from . import _path_loop as loop

        self.loop, self.over = loop, True
        unknowns, units = form.num_unknowns, form.num_units
        width, filled = unknowns + 2, unknowns + -unknowns % loop.ALIGNED
        arrays, steps = _loop_arrays(form.data())
        cell = (steps, units // steps)
        piece = int(np.clip(0.1 * _CHUNK_SECONDS * 2e9 / form.cost, 16, 2**20))
        self.form = loop.Form(*arrays)
        self.limits = loop.Limits(max_pivots, refresh_of(form), piece, _SMALL)
        self.curve = record_of(loop.Curve)
        tableaus = np.zeros((2 * width + unknowns, filled))
        self.tableau = tableaus[:width]
        self.system = tableaus[width : width + unknowns, :unknowns]
        cells = np.zeros((4, units))
        self.side = cells[loop.SIDE].reshape(cell)
        lines, hits = np.zeros((2, filled + loop.ALIGNED)), np.zeros((_NOTES, -(-units // 8)), "u1")
        owners, legs = np.zeros(_NOTES, np.int64), np.zeros(5, np.int64)
        self.room = loop.Room(tableaus, cells, lines, hits, owners, legs)

    def begin(self, table):
        home = np.where(table.region, -1.0, 1.0).reshape(-1, self.side.size)
        starts = np.column_stack([table.s, np.nan_to_num(table.direction)])
        self.table = self.loop.Table(home, np.ascontiguousarray(starts, float))
        self.over, curve, self.room.legs[:] = False, self.curve, 0
        curve.made = curve.ties = curve.hits = 0
        curve.path, curve.status = -1, CLOSED

    def advance(self):
        end, loop, room = time.perf_counter() + self.chunk_seconds, self.loop, self.room
        while True:
            why = loop.follow(self.form, self.table, self.limits, self.curve, room)
            if why == loop.STALE:
                self._solve()
                continue
            self.over, made = why == loop.OVER, self.curve.hits
            if self.over or made == len(room.hits) or time.perf_counter() > end:
                self.curve.hits = 0
                return Crossings(room.owners[:made].copy(), room.hits[:made].copy())

    def _solve(self) -> None:
        """Solve by LAPACK for the tableau; NaN where the system is singular."""
        system, right = self.system.T, self.tableau[:, : len(self.system)].T
        *_, solution, info = scipy.linalg.lapack.dgesv(system, right, True, True)
        right[:] = solution if info == 0 else np.nan

    def tally(self):
        return Tally(int(self.curve.made), int(self.curve.ties), self.room.legs.copy())


def _loop_arrays(data: Any) -> tuple[tuple[np.ndarray, ...], int]:
    """Return A1, V, W2T and the nudge as the loop wants them, and the time steps.

    Of a reduced system A1 is (B, c), the rest is empty, and there is one step.
    """
    table: Any = np.zeros((0, 0))
    if isinstance(data, StateData):
        units = np.column_stack([data.W1.T, data.W2, data.h2])
        arrays = (np.column_stack([data.A, data.h1]), units, np.vstack([data.W2.T, data.h2]))
        arrays, steps = (*arrays, data.nudge), len(data.nudge)
    else:
        arrays, steps = (np.column_stack([data.B, data.c]), table, table, table), 1
    return tuple(np.array(array, float, order="C") for array in arrays), steps


class LaneEngine(AbstractEngine):
    """Many curves side by side, one pivot each at a time, on one or several devices."""

    def __init__(
        self,
        form: AbstractForm,
        max_pivots: int,
        lanes: int | None,
        devices: Sequence[Any] | None,
    ):
        self.form, self.max_pivots, self.over = form, max_pivots, True
        self.mesh = device_mesh(devices)
        data, unknowns, units = form.filled_up()
        self.sizes = _sizes(form, unknowns, units, lanes)
        self.lanes = self.sizes.lanes
        with float64_scope():
            self.data = shared_by(self.mesh, data)

    def begin(self, table):
        self.over = False
        with float64_scope():
            self.starts = shared_by(self.mesh, filled_up(table, self.sizes))
            self.state = split_over(self.mesh, idle_state(self.sizes, self.mesh.devices.size))

    def advance(self):
        sizes = self.sizes
        work = 1e-9 * self.form.cost * sizes.steps * sizes.lanes
        bytes = sizes.steps * sizes.lanes * (1 + sizes.units // 8)
        blocks = min(_CHUNK_SECONDS / work, 2**24 / bytes)
        blocks = 2 ** int(np.clip(np.log2(max(blocks, 1)), 0, 6))
        with float64_scope():
            self.state, hits, more = program(type(self.form.tableau), sizes, blocks, self.mesh)(
                self.data,
                self.starts,
                np.asarray(self.max_pivots),
                np.asarray(self.mesh.devices.size),
                self.state,
            )
            hits = jax.device_get(hits)
        self.over = not np.any(more)
        device, block, step, lane = np.nonzero(hits.hit)
        rows = np.ascontiguousarray(hits.bits[device, block, step, lane].astype("<u4"))
        cells = rows.view(np.uint8).reshape(len(block), 4 * rows.shape[1])[
            :, : -(-self.form.num_units // 8)
        ]
        return Crossings(hits.start[device, block, lane].astype(np.int64), cells)

    def tally(self):
        tally = jax.device_get(self.state.tally)
        counts = int(np.sum(tally.pivots)), int(np.sum(tally.ties))
        return Tally(*counts, np.sum(tally.legs, axis=0))


@functools.lru_cache(maxsize=64)
def program(form: type, sizes: Sizes, num_blocks: int, mesh) -> Any:
    """Return the compiled advance of lanes for one form of tableau on one mesh."""
    tableau = form()

    def go(data, starts, max_pivots, stride, state):
        return advance(tableau, sizes, num_blocks, data, starts, max_pivots, stride, state)

    return over_devices(go, mesh, 4, 1)


def _sizes(form: AbstractForm, unknowns: int, units: int, lanes: int | None) -> Sizes:
    """Return lanes that fill the second-level cache on a CPU, a device's memory elsewhere."""
    on_cpu = jax.default_backend() == "cpu"
    width = unknowns + 2
    numbers = unknowns * width + units
    fitting = (2**19.5 if on_cpu else 2**32) / (8 * numbers)
    least = min(3.0, max(np.log2(2**23 / numbers), 0.0))
    count = lanes or 2 ** int(np.clip(np.log2(fitting), least, 8 if on_cpu else 14))
    steps = 2 ** int(np.clip(np.log2(unknowns), 4, 6))
    at_once = 8 if unknowns < 24 else 4 if unknowns < 48 else 1
    group = min(count, at_once) if on_cpu else count
    shape = (unknowns, width, units)
    return Sizes(*shape, count, steps, refresh_of(form), group, table_size(form))


def filled_up(table: Table, sizes: Sizes) -> Starts:
    """Return the starts, filled up to the shapes that the program was compiled for."""
    count = len(table.s)
    direction: Any = np.zeros((sizes.starts, sizes.unknowns))
    direction[:count, : table.direction.shape[1]] = np.nan_to_num(table.direction)
    region: Any = np.zeros((sizes.starts, sizes.units), bool)
    region[:count, : table.region.shape[1]] = table.region
    s: Any = np.pad(table.s, (0, sizes.starts - count))
    used: Any = np.asarray(count)
    return Starts(region, direction, s, used)
