"""Compiled loops: numba's compiler with a cache on disk, wherever that can be written.

To compile little: give explicit signatures with contiguous arrays, write loops over numbers instead
of array expressions (numba compiles a function for each slice, copy, `max` or ufunc), and pass
arrays, not tuples of them (every use of a field moves the whole tuple).
"""

import contextlib
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from ._caches import private_temporary_folder
from ._progress import compiling

OPTIONS = {"nogil": True, "error_model": "numpy"}
"""Loops run beside other threads; a division by zero gives inf or NaN, as in NumPy."""


def compiled(signature: str, **options: Any) -> Callable[[Callable], Any]:
    """Return a decorator that compiles a function for one signature when its module is imported.

    The machine code is kept beside the module or, where that cannot be written, in the user's cache
    folder (`NUMBA_CACHE_DIR` wins over both); where neither can be, in a private temporary folder,
    which is said once. Import modules of such functions inside functions only: it takes seconds
    once after installation.
    """

    def compile(function: Callable) -> Any:
        function = inspect.unwrap(function)  # without checks of types at run time, in the tests
        settings = {"cache": True, **OPTIONS, **options}
        try:
            with compiling():
                return numba.njit(signature, **settings)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
        with _cache_in(private_temporary_folder("plrjax")), compiling():
            return numba.njit(signature, **settings)(function)

    return compile


def inner(signature: str, **options: Any) -> Callable[[Callable], Any]:
    """Return the same decorator for a function that only compiled functions call.

    Without entries for Python and C it compiles sooner; called from Python it would crash.
    """
    return compiled(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


@contextlib.contextmanager
def _cache_in(folder: Path):
    """Let numba cache what is compiled inside in a folder, and say so once."""
    warnings.warn(
        f"plrjax: no writable place for compiled code was found; it is kept in {folder} "
        "(set NUMBA_CACHE_DIR to a folder that lasts)",
        RuntimeWarning,
        stacklevel=4,
    )
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before  # type: ignore[attr-defined]
