"""How `device.py` measures: on one device or another, within time and memory, row by row."""

import contextlib
import functools
import os
import pathlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax

from benchmarks import timing
from plrjax._memory import machine_bytes

LEAST_SECONDS = 5.0
"""A cell is not begun with less time than this left: compiling alone may take as long."""

SHARE = 2.0
"""A cell may take so many times its fair share of the time left: some are over at once."""

SAMPLE_SECONDS = 0.05
"""Least length of a sample: the clock and the dispatch of one call vanish in it."""

LEAST_SAMPLING = 1.0
"""Seconds for samples where compiling took all the time of a cell: what is compiled is used."""

MOST_SAMPLES = 7
"""Samples of a cell where time allows; the best is quoted, and more hardly ever improve it."""

NOISY = 1.2
"""Median over best from which the noise is told: README.md says to measure again above it."""

SPARE = 0.5
"""Share of the free memory that a cell may take: the estimates know no scratch space of XLA."""

LITTLE = 2.0**28
"""Bytes that a small program takes, compiler included."""

HEAD = (
    "measured, per second", "accelerator", "of its peak", "CPU, XLA", "of its peak", "CPU, loop",
    "accelerator / CPU", "row, s", "notes",
)  # fmt: skip
"""Columns of the table; README.md says what they are."""


class Work(NamedTuple):
    """What a cell runs: a function, how many things one call makes, and operations of each.

    `flops` is 0 where they are not counted; `note` says how the device was filled; `warm`: whether
    the function has run before, compiled.
    """

    call: Callable[[], Any]
    count: float
    flops: float = 0.0
    note: str = ""
    warm: bool = False


class Row(NamedTuple):
    """One line of the table: its work on a device, and in the compiled loop of a CPU if it has one.

    `needed` returns the bytes that `make` will take, about. `as_on_cpu` names an earlier row that
    is the same on a CPU: such a row is measured on an accelerator only.
    """

    name: str
    make: Callable[[Any], Work]
    loop: Callable[[], Work] | None = None
    needed: Callable[[], float] = lambda: LITTLE
    as_on_cpu: str = ""


class Cell(NamedTuple):
    """A rate per second and its share of the peak (0 if unknown), or why there is none."""

    rate: float = 0.0
    share: float = 0.0
    notes: tuple[str, ...] = ()


def accelerator() -> Any | None:
    """Return the default device, or None where that is a CPU."""
    device = jax.devices()[0]
    return None if device.platform == "cpu" else device


def cores() -> set[int]:
    """Return the cores that this thread may use; none where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@contextlib.contextmanager
def on(device: Any, allowed: frozenset[int] = frozenset()) -> Iterator[None]:
    """Compute on a device inside, with the sizes that the engines choose for its platform.

    An accelerator's host gets the cores `allowed`, for compiling; a CPU keeps the one it has.
    """
    before = cores()
    if allowed and device.platform != "cpu":
        os.sched_setaffinity(0, allowed)
    chosen = mock.patch.object(jax, "default_backend", lambda: device.platform)
    try:
        with jax.default_device(device), chosen:
            yield
    finally:
        if allowed and before:
            os.sched_setaffinity(0, before)


def host_bytes() -> float:
    """Return the memory of this machine that is free now."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        rows = pathlib.Path("/proc/meminfo").read_text().splitlines()
        free = next(row for row in rows if row.startswith("MemAvailable"))
        return min(1024.0 * int(free.split()[1]), machine_bytes())
    return machine_bytes() / 2


def free_bytes(device: Any) -> float:
    """Return the memory that is free on a device and on its host, whichever is less."""
    facts = None if device.platform == "cpu" else device.memory_stats()
    if not facts or "bytes_limit" not in facts:
        return host_bytes()
    return min(host_bytes(), facts["bytes_limit"] - facts.get("bytes_in_use", 0))


def is_out_of_memory(error: Exception) -> bool:
    """Return whether XLA or NumPy could not allocate."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def sampled(work: Work, limit: float, begun: float, on_cpu: bool) -> tuple[float, float, bool]:
    """Return least seconds of a call, median over least, and whether it was one call.

    On a CPU seconds of this process, which has one thread there; wall time elsewhere, since a CPU's
    clock does not see an accelerator. One call warms up, one tells how many more fit until `limit`
    seconds after `begun`.
    """
    if not work.warm:
        timing.first_call(work.call)
    process, wall = timing._once(work.call, 1)
    left = max(limit - (time.perf_counter() - begun), LEAST_SAMPLING)
    repeats = int(min(left / max(wall, SAMPLE_SECONDS) - 2, MOST_SAMPLES))
    if repeats < 1:
        return process if on_cpu else wall, 1.0, True
    found = timing.measure(work.call, repeats=repeats, min_seconds=SAMPLE_SECONDS)
    samples = found.process if on_cpu else found.wall
    return min(samples), statistics.median(samples) / min(samples), False


def measured(make: Callable[[], Work], limit: float, peak: float, on_cpu: bool) -> Cell:
    """Build and time one cell; `peak` in operations per second, 0 if unknown."""
    begun = time.perf_counter()
    try:
        work = make()
        seconds, noise, single = sampled(work, limit, begun, on_cpu)
    except Exception as error:  # one row that fails must not cost the others their time
        why = "out of memory" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
        return Cell(notes=(f"failed: {why.splitlines()[0][:100]}",))
    rate = work.count / seconds
    notes = [work.note] if work.note else []
    notes += [f"noise {noise:.2f}"] if noise > NOISY else []
    notes += ["one call"] if single else []
    return Cell(rate, work.flops * rate / peak if peak else 0.0, tuple(notes))


class Run:
    """Rows measured one after the other until the time is over.

    **Arguments:** `seconds` in all; `begun`: clock (`time.perf_counter`) at the start of the
    program; `allowed`: cores of an accelerator's host; `file`: where the table is written too.
    """

    def __init__(self, seconds: float, begun: float, allowed: set[int], file: str | None):
        self.end, self.allowed, self.file = begun + seconds, frozenset(allowed), file
        self.device, self.cpu = accelerator(), jax.devices("cpu")[0]
        self.peaks: dict[Any, float] = {}
        self.on_cpu: dict[str, tuple[Cell, Cell]] = {}
        self.lines: list[str] = []
        self.now, self.rows_left, self.lock = "", 1, threading.Lock()

    def left(self) -> float:
        """Return the seconds left."""
        return self.end - time.perf_counter()

    def say(self, line: str) -> None:
        """Print a line, and write all there are to the file."""
        with self.lock:
            print(line, flush=True)
            self.lines.append(line)
            if self.file:
                pathlib.Path(self.file).write_text("\n".join(self.lines) + "\n")

    def tell(self, *cells: str) -> None:
        """Say one line of the table."""
        self.say(f"| {' | '.join(cells)} |")

    def cell(
        self, device: Any, make: Callable[[], Work], bytes_of: Callable[[], float], cells: int
    ) -> Cell:
        """Measure one cell of `cells` that are left, or say why not."""
        left, free = self.left(), free_bytes(device)
        with on(device):
            needed = bytes_of()
        if left < LEAST_SECONDS:
            return Cell(notes=(f"skipped: {max(left, 0.0):.0f} s left",))
        if needed > SPARE * free:
            sizes = f"{needed / 1e9:.2g} GB of {free / 1e9:.2g} free"
            return Cell(notes=(f"skipped: would take {sizes}",))
        limit = min(left - 1.0, SHARE * left / max(cells, 1))
        with on(device, self.allowed):
            return measured(make, limit, self.peaks.get(device, 0.0), device.platform == "cpu")

    def cells_of(self, row: Row) -> int:
        """Return how many cells of a row are to be measured."""
        on_cpu = 0 if row.as_on_cpu else 1 + (row.loop is not None)
        return (self.device is not None) + on_cpu

    def row(self, row: Row, cells: int) -> tuple[Cell, Cell, Cell]:
        """Measure one row and print its line; `cells` are left, those of this row included."""
        self.now, device, cpu, left = row.name, self.device, self.cpu, self.left()
        fast = lanes = loop = Cell()
        if device is not None:
            fast = self.cell(device, functools.partial(row.make, device), row.needed, cells)
            cells -= 1
        if row.as_on_cpu:
            lanes, loop = self.on_cpu.get(row.as_on_cpu, (lanes, loop))
        else:
            lanes = self.cell(cpu, functools.partial(row.make, cpu), row.needed, cells)
            if row.loop:
                loop = self.cell(cpu, row.loop, lambda: LITTLE, cells - 1)
        self.on_cpu[row.name] = lanes, loop
        self.tell(row.name, *line_of(fast, lanes, loop, left - self.left()))
        self.rows_left -= 1
        return fast, lanes, loop

    def measure(self, rows: list[Row]) -> None:
        """Measure rows; without an accelerator not those that are only new there."""
        rows = [row for row in rows if self.device is not None or not row.as_on_cpu]
        cells, self.rows_left = sum(map(self.cells_of, rows)), len(rows)
        for row in rows:
            self.row(row, cells)
            cells -= self.cells_of(row)

    def find_peaks(self, row: Row) -> None:
        """Measure the row whose rate, in billions, is the peak of each device."""
        results = self.row(row, 20)
        found = zip((self.device, self.cpu), results)
        self.peaks = {device: 1e9 * cell.rate for device, cell in found if device is not None}

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """End the process when time is over: nothing else ends a program on a device."""
        timer = threading.Timer(max(self.left(), 0.0), self.give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def give_up(self) -> None:
        """Say which row has not ended, and end the process with what there is."""
        after = f"time was over before its end; {self.rows_left - 1} rows after it not measured"
        self.tell(self.now, *["-"] * (len(HEAD) - 2), after)
        os._exit(0)


def number(x: float) -> str:
    """Return three digits, zero as a dash."""
    if not x:
        return "-"
    return f"{float(f'{x:.3g}'):,.0f}" if x >= 100 else f"{x:.3g}"


def percent(x: float) -> str:
    """Return a share in percent, zero as a dash."""
    return f"{100 * x:.2g} %" if x else "-"


def line_of(device: Cell, lanes: Cell, loop: Cell, seconds: float) -> list[str]:
    """Return a row's columns but the first; the ratio is to the engine that a CPU takes."""
    taken = loop.rate or lanes.rate
    ratio = number(device.rate / taken) if taken else "-"
    names = ("accelerator", "XLA", "loop")
    notes = [
        f"{name}: {', '.join(cell.notes)}"
        for name, cell in zip(names, (device, lanes, loop))
        if cell.notes
    ]
    rates = [number(device.rate), percent(device.share), number(lanes.rate), percent(lanes.share)]
    return [*rates, number(loop.rate), ratio, f"{seconds:.1f}", "; ".join(notes)]
