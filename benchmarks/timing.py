"""Fair timing: one thread, warm-up, `block_until_ready`, competitors in alternation.

Import this module and call `single_thread()` before NumPy or JAX are imported: both read their
thread settings only once.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
XLA_SINGLE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def single_thread(core: int | None = None) -> dict[str, object]:
    """Ask BLAS and XLA for one thread and pin the process to one core.

    **Arguments:** `core`: the core to pin to; by default the last one this process may use.

    **Returns:** the facts to print beside a result: `core` (None where pinning is not possible)
    and `in_time`, False if NumPy or JAX were imported before this call, so that the thread
    settings came too late. The pin holds in either case.
    """
    in_time = "numpy" not in sys.modules and "jaxlib" not in sys.modules
    configured = all(os.environ.get(name) == "1" for name in BLAS_THREADS)
    for name in BLAS_THREADS:
        os.environ[name] = "1"
    flags = os.environ.get("XLA_FLAGS", "")
    if XLA_SINGLE_THREAD not in flags:
        configured = False
        os.environ["XLA_FLAGS"] = f"{flags} {XLA_SINGLE_THREAD}".strip()
    pinned = None
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        pinned = max(allowed) if core is None else core
        os.sched_setaffinity(0, {pinned})
    return {"core": pinned, "in_time": in_time or configured}


@dataclass(frozen=True)
class Timing:
    """Seconds per call, one entry per repeat: CPU time of the process, and the clock on the wall.

    Process time leaves out what other processes do to this core, but counts every thread of this
    one; wall time is the other way round. On one thread of an idle machine they agree.
    """

    process: tuple[float, ...]
    wall: tuple[float, ...]

    @property
    def best(self) -> float:
        """Least process time: the figure to quote, as noise only ever adds."""
        return min(self.process)

    @property
    def median(self) -> float:
        """Median process time."""
        return statistics.median(self.process)

    @property
    def spread(self) -> float:
        """Median over best: 1.0 on a quiet machine; above 1.2 measure again."""
        return self.median / self.best


def block(value):
    """Wait for JAX arrays inside `value`, if JAX is loaded at all, and return it."""
    jax = sys.modules.get("jax")
    return value if jax is None else jax.block_until_ready(value)


def first_call(function: Callable[[], object]) -> float:
    """Return the wall seconds of the first call: tracing, compilation and one run."""
    start = time.perf_counter()
    block(function())
    return time.perf_counter() - start


def _once(function: Callable[[], object], calls: int) -> tuple[float, float]:
    wall, process = time.perf_counter(), time.process_time()
    for _ in range(calls):
        block(function())
    return (time.process_time() - process) / calls, (time.perf_counter() - wall) / calls


def _calls_needed(function: Callable[[], object], min_seconds: float) -> int:
    """Return how many calls make one sample long enough for the clock (after warming up)."""
    block(function())
    calls = 1
    while True:
        seconds = _once(function, calls)[1] * calls
        if seconds >= min_seconds:
            return calls
        calls = max(2 * calls, int(calls * min_seconds / max(seconds, 1e-9)))


def alternate(
    functions: Mapping[str, Callable[[], object]], *, repeats: int = 9, min_seconds: float = 0.05
) -> dict[str, Timing]:
    """Time competitors in alternation (ABC ABC ...), so that a slow phase hits all of them.

    **Arguments:** `functions`: name to function of no arguments; `repeats`: samples of each;
    `min_seconds`: the least length of one sample, reached by repeating short calls.

    **Returns:** one `Timing` per name. Compilation and first touch stay outside.
    """
    calls = {name: _calls_needed(function, min_seconds) for name, function in functions.items()}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            samples[name].append(_once(function, calls[name]))
    return {name: Timing(*zip(*rows)) for name, rows in samples.items()}


def measure(
    function: Callable[[], object], *, repeats: int = 9, min_seconds: float = 0.05
) -> Timing:
    """Time one function alone; use `alternate` wherever a ratio is the aim."""
    return alternate({"it": function}, repeats=repeats, min_seconds=min_seconds)["it"]


def ratio(slow: Timing, fast: Timing) -> float:
    """Return slow / fast as the median over paired samples of one `alternate` call."""
    return statistics.median(a / b for a, b in zip(slow.process, fast.process))
