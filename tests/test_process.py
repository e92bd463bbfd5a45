"""What belongs to the process as a whole: BLAS threads, memory of compiled programs, their folders.

Of the folder where programs are kept: its choice, its bound, what is switched on.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
import time
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
from plrjax import _caches, _programs
from plrjax._parallel import one_thread_per_solve

DIR = "jax_compilation_cache_dir"


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


@pytest.fixture
def config(monkeypatch):
    """Record what is set in `jax.config` instead of setting it."""
    told = {}
    for name in (DIR, "jax_persistent_cache_min_compile_time_secs"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("PLRJAX_CACHE", raising=False)
    monkeypatch.setattr(_caches, "_folder_in_use", lambda: None)
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    return told


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home and a temporary folder of the test's own."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir(), temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(_caches.tempfile, "gettempdir", lambda: str(temporary))
    return home


def test_library_sets_what_it_says(config, home):
    folder = plr.enable_compilation_cache()
    assert folder is not None and folder.is_relative_to(home) and _caches.processor() in folder.name
    assert config == {DIR: str(folder), "jax_persistent_cache_min_compile_time_secs": 0.0}


def test_off_and_overridden(config, home, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "3")
    with monkeypatch.context() as patch:
        patch.setattr(_caches, "_folder_of_programs", lambda: pytest.fail("a folder was made"))
        _caches.enable_compilation_cache_by_environment()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "own")
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "3"
    monkeypatch.setenv("PLRJAX_CACHE", "0")
    assert plr.enable_compilation_cache() is None and not config
    assert not list(home.iterdir())


def test_command_line_sets_the_environment(config, home, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    _caches.enable_compilation_cache_by_environment()
    assert pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).is_relative_to(home)
    assert float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]) == 0.0
    assert not config


@pytest.mark.parametrize("trouble", ["a file is in the way", "open to others", "no home known"])
def test_a_private_temporary_folder_stands_in(config, home, monkeypatch, tmp_path, trouble):
    if trouble == "a file is in the way":
        (home / ".cache").write_text("")
    elif trouble == "open to others":
        place = _caches.platformdirs.user_cache_path("plrjax", appauthor=False) / "xla"
        place.mkdir(parents=True)
        place.chmod(0o777)
    else:
        unknown = pathlib.Path("~/.cache/plrjax")
        monkeypatch.setattr(_caches.platformdirs, "user_cache_path", lambda *_, **__: unknown)
    folder = plr.enable_compilation_cache()
    assert folder is not None and folder.is_relative_to(tmp_path / "temporary")
    private = next((tmp_path / "temporary").iterdir())
    assert not private.stat().st_mode & 0o077
    private.chmod(0o777)  # now anybody could have put a program there
    other = plr.enable_compilation_cache()
    assert other is not None and not other.is_relative_to(private)


def test_the_oldest_go_where_room_is_needed(tmp_path):
    inner = tmp_path / "jaxlib-0"
    inner.mkdir()
    for age in range(10):
        path = inner / f"{age}-cache"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age, 1e9 - age))
    (inner / "empty-cache").touch()
    _caches.make_room(tmp_path, 1000)
    assert sorted(path.name[0] for path in inner.iterdir()) == list("0123456789")
    _caches.make_room(tmp_path, 800)
    assert sorted(path.name[0] for path in inner.iterdir()) == list("012345")


def test_a_search_changes_no_setting():
    before = {name: repr(value) for name, value in jax.config.values.items()}
    model = plr.from_arrays("plrnn", A=[0.5], W=[[0.0]], h=[0.4])
    assert len(plr.find_cycles(model, 1, solver=plr.Exhaustive())) == 1
    assert before == {name: repr(value) for name, value in jax.config.values.items()}


def test_loops_in_a_temporary_folder_are_said(config, home, monkeypatch):
    """Once for a process: the folder is looked for once."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    find: Any = _caches.folder_of_loops.__wrapped__
    assert find().is_relative_to(home)
    (home / "in the way").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "in the way"))
    with pytest.warns(RuntimeWarning, match="compiled code is kept in"):
        assert find().is_relative_to(home.parent / "temporary")


def test_loops_are_compiled_in_another_process_and_awaited(tmp_path):
    """What the process compiled is on disk when it was awaited; then no other one is begun."""
    script = """
        from plrjax import _caches
        module = "plrjax.cycles.complete.words._orbit"
        _caches.compile_beside(module)
        assert module in _caches._beside and "numba" not in sys.modules
        _caches.await_compiled(module)
        assert list(_caches.folder_of_loops().rglob("_orbit.closing-*.nbi"))
        _caches.compile_beside(module)
        assert not _caches._beside
    """
    code = "import sys\n" + textwrap.dedent(script)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.skipif(not pathlib.Path("/proc").is_dir(), reason="reads /proc")
def test_that_process_ends_with_this_one(tmp_path):
    script = """
        from plrjax import _caches
        _caches.compile_beside("plrjax.cycles.complete.words._kernel")
        print(*(process.pid for process in _caches._beside.values()), flush=True)
        time.sleep(600)
    """
    code = "import time\n" + textwrap.dedent(script)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    begun = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                             env=environment)  # fmt: skip
    assert begun.stdout is not None
    line = pathlib.Path(f"/proc/{int(begun.stdout.readline())}/cmdline")
    time.sleep(1.0)
    begun.kill()
    begun.communicate()
    left = time.monotonic() + 10.0
    while line.exists() and line.read_bytes():
        assert time.monotonic() < left
        time.sleep(0.1)
