"""An accelerator against one core of its host: candidates, pivots, exponents, updates per second.

Run `python -m benchmarks.device`; `--help` lists the options. A markdown table is printed row by
row, in ten minutes at most. Without an accelerator the CPU is measured alone.
"""

import argparse
import contextlib
import functools
import itertools
import os
import pathlib
import platform
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

from benchmarks import timing

BEGUN = time.perf_counter() if __name__ == "__main__" else None
"""The clock before anything large is imported: a run counts its imports, too."""

ALLOWED: set[int] = set()
"""Cores of an accelerator's host; empty where none were taken away from this process."""

if __name__ == "__main__":
    ALLOWED = set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()
    timing.single_thread()

import jax
import jax.numpy as jnp
import jax.random as jr

from benchmarks import large, lyapunov, pivots, throughput, training
from benchmarks.device_run import HEAD, Row, Run, Work
from benchmarks.recall import planted
from plrjax import PiecewiseAffineMap
from plrjax._lyapunov._plan import make_plan
from plrjax._numerics import float64_scope
from plrjax._parallel import one_thread_per_solve
from plrjax.cycles._solver._krylov import MAX_ITERATIONS
from plrjax.cycles._solver._loop_walks import loop_is_faster
from plrjax.cycles._solver._newton_step import KRYLOV_SIZE, Layout, make_layout
from plrjax.cycles._solver._path_engines import AbstractEngine, LaneEngine, table_size
from plrjax.cycles._solver._path_starts import form_of

CANDIDATES = ((2, 1), (2, 80), (10, 10), (50, 10), (100, 10), (300, 10), (500, 10))
"""(M, k): from overhead alone to products of large matrices; a CPU takes the loop from M=10 on."""

PIVOTS = pivots.SIZES
"""States of the planted networks: the sizes of `pivots`, for comparison."""

CPU_CURVES = 256
"""Curves that a CPU follows, of the same round: its rate does not depend on their number."""

NARROW = {100: 1024}
"""States, and lanes of a second row: as many as a round has curves, since more would idle."""

EXPONENTS = {3: 2**15, 50: 2**10, 100: 2**8}
"""States, and orbits of the second row: the default number is chosen for the caches of a CPU."""

UPDATES = 50
"""Updates of training in one compiled call, as in `training`."""

LARGEST_MATMUL = 2**13
"""Largest side of the matrices whose product gives the peak: 1.6 GB with the result."""

MATMUL_SECONDS = 0.5
"""Sides are doubled until the next product would take so long: the rate has settled before."""

COPIES = 6
"""Of the k-step maps [P c]: old and new, masked, the system, its factors, and one to spare."""

BYTES_PER_BIT = 9
"""Of an itinerary: the array itself, and the random numbers of eight bytes that it comes from."""


def matmul(device: Any) -> Work:
    """Return a product of float64 matrices, as large as time allows; a thing is 1e9 operations."""
    with float64_scope():
        size, seconds = 128, 0.0
        while True:
            X = jr.normal(jr.key(0), (size, size), jnp.float64)
            program = jax.jit(jnp.matmul).lower(X, X).compile()
            call = functools.partial(program, X, X)
            timing.block(call())
            seconds = timing.first_call(call)
            if 2 * size > LARGEST_MATMUL or 8 * seconds > MATMUL_SECONDS:
                return Work(call, 2e-9 * size**3, note=f"n={size}")
            size *= 2


@functools.cache
def network(size: int) -> PiecewiseAffineMap:
    """Return the network of `throughput`, and the chaotic one of `large` where GMRES may solve."""
    make = throughput.piecewise_affine_map if size < KRYLOV_SIZE else large.FAMILIES["chaotic"]
    return make(size)


@functools.cache
def walks(size: int, period: int) -> large.Walks:
    """Return some walks of that network, and their candidates."""
    return large.Walks(network(size), period, large.STEPS)


def iterations(size: int, period: int) -> float:
    """Return the mean iterations of GMRES in the first steps of walks, infinite where it fails."""
    room, _ = walks(size, period).engine.desks[0]
    return float(room.expected[0])


def flops(layout: Layout, period: int, iterations: float) -> float:
    """Return the operations that a candidate takes if the units are the states and A is diagonal.

    The products with W, the solution, and the orbit; units that are off are not left out. Zero
    where GMRES fails on average, as it is unknown how often.
    """
    size, step = layout.state_size, 2.0 * layout.state_size**2
    if not layout.krylov:
        return period * step * (size + 1) + 2 / 3 * size**3 + 2 * size**2 + period * step
    if not iterations <= MAX_ITERATIONS:
        return 0.0
    return (iterations + 2) * period * step + 4 * size * iterations**2


def candidate_bytes(size: int, period: int) -> float:
    """Return about what the lanes take."""
    layout = make_layout(network(size), period)
    words = BYTES_PER_BIT * layout.rows * layout.num_units * layout.columns
    maps = COPIES * 8 * size * (size + 1) * layout.columns
    if layout.krylov:
        maps = maps / 8 + 2 * 8 * (MAX_ITERATIONS + 1) * size * layout.lanes
    return words + maps


def candidates(size: int, period: int) -> Row:
    """Return the row of Newton steps; GMRES gets the candidates of walks, as its work depends."""
    map = network(size)

    def lanes(device: Any) -> Work:
        layout, mean = make_layout(map, period), 0.0
        note = f"{layout.lanes:,} lanes"
        if layout.krylov:
            mean = iterations(size, period)
            call, count = large.lanes_call(map, period, walks(size, period).words)
            note += f", GMRES, {mean:.0f} iterations"
        else:
            call, count = throughput.kernel_call(map, period)
        return Work(call, count, flops(layout, period, mean), note)

    def loop() -> Work:
        these = walks(size, period)
        return Work(these.run, len(these.words))

    taken = loop if loop_is_faster(map, period) else None
    needed = functools.partial(candidate_bytes, size, period)
    return Row(f"candidates, M={size}, k={period}", lanes, taken, needed)


@functools.cache
def curves(size: int) -> pivots.Work:
    """Return the curves of one round of path following."""
    count = table_size(form_of(planted(size, 2.0, 0), 1))
    return pivots.prepare(size, num_paths=count)


def followed(work: pivots.Work, engine: AbstractEngine, most: int) -> Work:
    """Return the following of so many curves at most; made once, to count the pivots."""
    table = type(work.table)(*(part[:most] for part in work.table))
    work = work._replace(engine=engine, table=table)
    made, _ = pivots.engine_call(work)
    note = f"{engine.lanes:,} lanes, {len(table.s):,} curves" if engine.lanes > 1 else ""
    return Work(lambda: pivots.engine_call(work), made, note=note, warm=True)


def pivot_row(size: int, num_lanes: int | None = None) -> Row:
    """Return the row of pivots; `num_lanes` are those of an accelerator, None for its default."""

    def lanes(device: Any) -> Work:
        work = curves(size)
        engine = LaneEngine(work.form, pivots.MAX_PIVOTS, num_lanes, [device])
        most = CPU_CURVES if device.platform == "cpu" else len(work.table.s)
        return followed(work, engine, most)

    def needed() -> float:
        engine = LaneEngine(curves(size).form, pivots.MAX_PIVOTS, num_lanes, None)
        return COPIES * 8.0 * engine.lanes * size * (size + 2)

    name = f"pivots, M={size}"
    if num_lanes:
        return Row(f"{name}, {num_lanes:,} lanes", lanes, None, needed, name)
    loop = lambda: followed(curves(size), curves(size).engine, CPU_CURVES)
    return Row(name, lanes, loop, needed)


def exponents(size: int, num_orbits: int | None = None) -> Row:
    """Return the row of steps with all exponents; `num_orbits` None for the default number."""
    options = {"num_orbits": num_orbits}
    plan = lambda model, state, **others: make_plan(model, state, **others | options)

    def make(device: Any) -> Work:
        with (
            float64_scope(),
            one_thread_per_solve(),
            mock.patch.object(lyapunov, "make_plan", plan),
        ):
            run = lyapunov.Pooled(lyapunov.network(size), None)
            timing.first_call(run)
            while timing.first_call(run) < lyapunov._SAMPLE / 2:
                run.length *= 2

        def call() -> Any:
            with float64_scope(), one_thread_per_solve():
                run()
                return timing.block(run.runner.lanes)

        orbits = run.plan.num_orbits
        note = f"{orbits:,} orbits, QR every {run.interval}"
        return Work(call, run.interval * run.length * orbits, note=note)

    name = f"steps with all exponents, M={size}"
    if num_orbits:
        needed = COPIES * 16.0 * num_orbits * size**2
        return Row(f"{name}, {num_orbits:,} orbits", make, None, lambda: needed, name)
    return Row(name, make)


def updates(name: str) -> Row:
    """Return the row of training, in float32."""

    def make(device: Any) -> Work:
        run = training.Compiled(training.TASKS[name], UPDATES)

        def call() -> Any:
            run()
            return run.carry

        return Work(call, UPDATES)

    return Row(f"training updates, {name}", make)


def rows() -> list[Row]:
    """Return all rows but the peak's; kinds take turns, so that a short run has some of each."""
    kinds = (
        [candidates(*sizes) for sizes in CANDIDATES],
        [*map(pivot_row, PIVOTS), *itertools.starmap(pivot_row, NARROW.items())],
        [*map(exponents, EXPONENTS), *itertools.starmap(exponents, EXPONENTS.items())],
        [updates(name) for name in training.TASKS],
    )
    turns = itertools.chain(*itertools.zip_longest(*kinds))
    return [row for row in turns if row is not None]


def cpu_name() -> str:
    """Return what the processor calls itself, as far as the system tells."""
    with contextlib.suppress(OSError):
        for row in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if row.startswith("model name"):
                return row.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def title(device: Any | None) -> str:
    """Return the first line: what is compared."""
    versions = f"JAX {jax.__version__}, {time.strftime('%Y-%m-%d')}"
    if device is None:
        return f"No accelerator found: one core of {cpu_name()} alone ({versions})."
    return (
        f"{device.device_kind} ({device.platform}) against one core of {cpu_name()} ({versions})."
    )


def main(arguments: Sequence[str] | None = None, begun: float | None = None) -> None:
    """Measure everything and print the table; `begun`: clock when the time began, if not now."""
    begun = time.perf_counter() if begun is None else begun
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.device", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="in all, imports included")
    parser.add_argument("--out", metavar="FILE", help="where the table is written, too")
    given = parser.parse_args(arguments)
    run = Run(given.seconds, begun, ALLOWED, given.out)
    run.say(title(run.device) + "\n")
    run.tell(*HEAD)
    run.tell(*["---"] * len(HEAD))
    with run.guarded():
        run.find_peaks(Row("float64 matmul, 1e9 FLOP", matmul))
        run.measure(rows())
    run.say(f"\n{max(given.seconds - run.left(), 0.0):.0f} s of {given.seconds:.0f} s.")


if __name__ == "__main__":
    main(begun=BEGUN)
