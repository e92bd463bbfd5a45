"""What belongs to the process as a whole: BLAS threads, and the memory of compiled programs."""

import contextlib
import threading
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.linalg
from systems import QUIET
from threadpoolctl import threadpool_info

import plrjax as plr
from plrjax import _programs
from plrjax._parallel import one_thread_per_solve


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.parametrize("first", ["main", "other"])
def test_calls_at_once_leave_the_threads_of_blas_as_they_were(first):
    """One call begins while the other one is inside, and ends after it."""
    scipy.linalg.solve(np.eye(2), np.ones(2))
    before, inside, left, seen = blas_threads(), threading.Event(), threading.Event(), []

    def other():
        with one_thread_per_solve():
            inside.set()
            left.wait()

    thread = threading.Thread(target=other)
    with one_thread_per_solve() if first == "main" else contextlib.nullcontext():
        thread.start()
        inside.wait()
        with one_thread_per_solve():
            seen.append(blas_threads())
    left.set()
    thread.join()
    assert set(seen[0]) == {1} and blas_threads() == before


def test_programs_are_dropped_where_there_are_too_many(monkeypatch):
    """The caller's go as well, and all give the same numbers when they are compiled again."""
    double: Any = jax.jit(lambda x: 2 * x)
    state, key = np.array([0.1, 0.2]), jr.key(0)
    model = plr.from_arrays("plrnn", A=[0.5, 0.5], W=[[0.0, -1.0], [0.5, 0.0]], h=[0.4, -1.0])

    def both():
        spectrum = plr.lyapunov_spectrum(model, state, key=key, num_steps=200, progress=QUIET)
        return float(double(jnp.ones(()))), spectrum.exponents.tolist()

    before, kept = both(), double._cache_size()
    assert kept == 1 and both() == before and double._cache_size() == 1
    for name, value in (("MOST_PROGRAMS", -1), ("_SHARE", 0.0)):
        with monkeypatch.context() as patch:
            patch.setattr(_programs, name, value)
            _programs.make_room()
            assert double._cache_size() == 0
        assert both() == before


def test_new_shapes_are_counted():
    _programs.make_room()
    before = _programs._since["dropped"]
    jax.jit(lambda x: x + 1.25)(jnp.ones(7)).block_until_ready()
    assert _programs._since["dropped"] > before
