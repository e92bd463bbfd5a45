"""Processes of the standard library's pool, each with its own device and cores."""

import glob
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ._caches import enable_compilation_cache_by_environment
from ._parcels import call_sealed, sealed
from ._plugins import import_plugins


class ProcessPool:
    """Processes of the standard library's pool, started afresh; one that dies is replaced.

    Each has its own device and its own share of the cores, chosen before it imports JAX, and ends
    with the process that began it.

    **Arguments:** `workers`: how many; `begin`, `arguments`: called first in each of them.
    """

    def __init__(self, workers: int, begin: Callable | None = None, arguments: tuple = ()):
        self.workers = workers
        self._first = None if begin is None else sealed(begin, *arguments)
        self._context = multiprocessing.get_context("spawn")
        self._pool: ProcessPoolExecutor | None = None
        self._held: Any = None

    def submit(self, piece: Callable, *arguments: Any) -> Future:
        """Hand a call to the next process that is free.

        **Raises:** `RuntimeError` where processes cannot be started at all.
        """
        for last in (False, True):
            if self._pool is None:
                self._pool = self._new()
            try:
                return self._pool.submit(call_sealed, sealed(piece, *arguments))
            except BrokenProcessPool as error:
                self._end()
                if last:
                    raise RuntimeError(DIED) from error
        raise AssertionError("unreachable")

    def _new(self) -> ProcessPoolExecutor:
        told, self._held = self._context.Pipe(duplex=False)
        settings = (self._context.Value("i", 0), told, self.workers, self._first)
        return ProcessPoolExecutor(
            self.workers, mp_context=self._context, initializer=_begin, initargs=settings
        )

    def _end(self) -> None:
        """Give the pool up, and the pieces that run with it."""
        if self._pool is not None:
            self._held.close()  # which ends the workers, whatever they do
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


DIED = (
    "workers: a process could not start or died; a script needs `if __name__ == '__main__':` "
    "around what it runs, or memory ran out"
)


def _begin(count, told, workers: int, first: bytes | None):
    """Begin a worker: its device, its cores, and when it ends."""
    with count.get_lock():
        number, count.value = count.value, count.value + 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began it hears Ctrl-C
    _pin(number % workers, workers)
    threading.Thread(target=_end_with, args=(told,), daemon=True).start()
    enable_compilation_cache_by_environment()
    import_plugins()
    if first is not None:
        call_sealed(first)


def _end_with(told: Any) -> None:
    """End this process once nobody holds the other end: the one that began it, or its pool, ended.

    An event would not do: where a process is killed that waits for one, setting it never returns.
    """
    told.poll(None)
    os.kill(os.getpid(), signal.SIGTERM)


def _pin(number: int, workers: int) -> None:
    """Take the device and the cores of one worker of several; JAX is imported later."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    present = [str(place) for place in range(len(glob.glob("/dev/nvidia[0-9]*")))]
    names = devices.split(",") if devices else present
    if names and devices != "":
        os.environ["CUDA_VISIBLE_DEVICES"] = names[number % len(names)]
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) >= workers:
            os.sched_setaffinity(0, cores[number::workers])
