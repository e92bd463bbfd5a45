"""Settings of the whole suite: strict promotion, four CPU devices, fixed keys, shared data."""

import atexit
import gc
import importlib.util
import mmap
import os
import pathlib
import shutil
import signal
import tempfile

os.environ.setdefault("MPLBACKEND", "Agg")
_DEVICES = "--xla_force_host_platform_device_count=4"
_QUICK = ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false")
"""Small programs are compiled in a fifth of the time, and run once or twice."""


def _set_flags() -> None:
    """Set XLA's flags here and in all processes begun by tests; those of the caller win.

    `PLRJAX_OPTIMIZED=1 pytest` compiles as users do. XLA ends the process at a flag it does not
    know.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    given = {flag.split("=")[0] for flag in flags}
    quick = () if os.environ.get("PLRJAX_OPTIMIZED") else _QUICK
    wanted = [flag for flag in (_DEVICES, *quick) if flag.split("=")[0] not in given]
    os.environ["XLA_FLAGS"] = " ".join([*flags, *filter(_is_known, wanted)])


def _is_known(flag: str) -> bool:
    """Return whether the XLA that is installed has a flag."""
    found = importlib.util.find_spec("jaxlib")
    assert found is not None and found.submodule_search_locations is not None
    folder = pathlib.Path(found.submodule_search_locations[0])
    name = flag.split("=")[0].removeprefix("--").encode()
    return any(_contains(path, name) for path in folder.rglob("*") if path.suffix in _LIBRARIES)


_LIBRARIES = (".so", ".dylib", ".pyd", ".dll")


def _contains(path: pathlib.Path, name: bytes) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(name) >= 0


_set_flags()

_PROGRAMS = pathlib.Path(__file__).resolve().parent.parent / ".pytest_cache" / "programs"
_MOST_BYTES = 2**29


def _keep_programs() -> None:
    """Let all processes of the suite share compiled XLA programs in one folder on disk.

    Workers and the commands that tests start inherit it; a folder set by the caller wins.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = str(_PROGRAMS)
    try:
        if _PROGRAMS.is_dir() and sum(f.stat().st_size for f in _PROGRAMS.iterdir()) > _MOST_BYTES:
            shutil.rmtree(_PROGRAMS)
        _PROGRAMS.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=_PROGRAMS).close()
    except OSError:
        folder = tempfile.mkdtemp(prefix="plrjax-programs-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"


_keep_programs()

import first_calls
import hypothesis
import jax
import jax.random as jr
import pytest

hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")

jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


_LONG = ("test_pyright", "test_notebook_runs", "test_python_blocks_run", "test_table_shown")


def pytest_collection_modifyitems(config, items):
    """Begin with the longest tests, so that no worker ends with one.

    Skip tests marked slow unless they are asked for with -m, and gpu tests without one.
    """
    items.sort(key=lambda item: not item.name.startswith(_LONG))
    chosen = config.getoption("-m")
    on_cpu = jax.default_backend() == "cpu"
    for item in items:
        if "slow" in item.keywords and "slow" not in chosen:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with -m slow"))
        if "slurm" in item.keywords and "slurm" not in chosen:
            item.add_marker(pytest.mark.skip(reason="starts a Slurm; run with -m slurm"))
        if "gpu" in item.keywords and on_cpu:
            item.add_marker(pytest.mark.skip(reason="needs an accelerator"))


def pytest_collection_finish(session):
    """Let Python's collector pass over what was imported, and look less often at what is young.

    JAX's tracing makes many small objects, and each full collection went through all modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_runtest_setup(item):
    """Check the annotations of each function's first calls in every test."""
    first_calls.check_again()


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Drop compiled programs before they use up the mappings a process may have (65,530)."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 15_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def ctrl_c():
    """Skip where this process was started with Ctrl-C ignored, as background jobs are."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        pytest.skip("SIGINT is ignored in this process")


@pytest.fixture
def getkey():
    """Return a function that hands out fresh keys from a fixed seed."""
    numbers = iter(range(10_000))
    return lambda: jr.fold_in(jr.key(5678), next(numbers))


@pytest.fixture
def shared() -> pathlib.Path:
    """Return the folder of shared systems, networks and series, or skip where it is missing."""
    place = os.environ.get("PLRJAX_SHARED", "../shared")
    folder = pathlib.Path(__file__).resolve().parent.parent / place
    if not (folder / "cases").is_dir():
        pytest.skip("the shared data are not here (set PLRJAX_SHARED)")
    return folder


@pytest.fixture(params=[False, True], ids=["x64-off", "x64-on"])
def either_precision(request):
    """Run a test with the global float64 setting off, as users have it, and on."""
    with jax.enable_x64(request.param):
        yield request.param
