"""Compiled loops: numba's compiler with a cache on disk, wherever that can be written.

To compile little: give explicit signatures with contiguous arrays, write loops over numbers instead
of array expressions (numba compiles a function for each slice, copy, `max` or ufunc), and pass
arrays, not tuples of them (every use of a field moves the whole tuple).
"""

import contextlib
import gc
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numba

from ._caches import await_compiled, folder_of_loops
from ._progress import compiling

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
"""Loops run beside other threads; a division by zero gives inf or NaN, as in NumPy."""


def compiled(signature: str, **options: Any) -> Callable[[Callable], Any]:
    """Return a decorator that compiles a function for one signature when its module is imported.

    The machine code is kept on disk, see `folder_of_loops`. Import modules of such functions inside
    functions only: it takes seconds once after installation.
    """

    def compile(function: Callable) -> Any:
        function = inspect.unwrap(function)  # without checks of types at run time, in the tests
        with compiling(), _cache_on_disk() as kept, _collector_paused():
            await_compiled(function.__module__)
            if kept:
                try:
                    return numba.njit(signature, **OPTIONS, **options)(function)
                except OSError as error:
                    _stop_keeping(error)
            return numba.njit(signature, **OPTIONS | {"cache": False}, **options)(function)

    return compile


def inner(signature: str, **options: Any) -> Callable[[Callable], Any]:
    """Return the same decorator for a function that only compiled functions call.

    Without entries for Python and C it compiles sooner; called from Python it would crash.
    """
    return compiled(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


_full: list[bool] = []
"""Whether the disk had no room for what was compiled."""


def _stop_keeping(error: OSError) -> None:
    """Compile without a cache from now on, and say so once."""
    _full.append(True)
    text = f"plrjax: compiled code is not kept: {folder_of_loops()}: {error.strerror or error}"
    warnings.warn(text, RuntimeWarning, stacklevel=2)


@contextlib.contextmanager
def _collector_paused():
    """Keep Python from looking for garbage inside: a fifth of the time of numba's compiler."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


@contextlib.contextmanager
def _cache_on_disk():
    """Let numba keep what is compiled inside in our folder, and leave its setting as it was.

    Yields whether there is such a folder.
    """
    settings: Any = numba.config
    folder = None if _full else folder_of_loops()
    before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder or "")
    try:
        yield folder is not None
    finally:
        settings.CACHE_DIR = before
