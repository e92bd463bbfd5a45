"""Compiled programs are dropped before they use up what a process may have."""

import functools
import gc
import threading
from pathlib import Path

import jax
import jax.monitoring

MOST_PROGRAMS = 4096
"""Programs compiled since they were dropped last: some hundred networks of shapes of their own, and
one or two GB; recompiling what is needed again is cheap beside them."""
_SHARE = 0.5
"""Of the memory mappings that the system allows: the last programs may bring thousands."""
_since = {"dropped": 0}
_lock = threading.Lock()


def make_room() -> None:
    """Drop all compiled programs, the caller's too, where there are too many of them.

    XLA takes several memory mappings for each, and ends the process at the system's limit (65,530
    on Linux by default). They are compiled again where they are needed.
    """
    _listen()
    with _lock:
        full = _since["dropped"] > MOST_PROGRAMS or num_mappings() > _SHARE * _most_mappings()
        if full:
            _since["dropped"] = 0
    if full:
        jax.clear_caches()
        gc.collect()


@functools.cache
def _listen() -> None:
    jax.monitoring.register_event_duration_secs_listener(_count)


def _count(event: str, duration_secs: float, **facts) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        with _lock:
            _since["dropped"] += 1


def num_mappings() -> int:
    """Return the number of memory mappings of this process; 0 where the system does not tell."""
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else 0


@functools.cache
def _most_mappings() -> float:
    limit = Path("/proc/sys/vm/max_map_count")
    return float(limit.read_text()) if limit.exists() else float("inf")
