"""Compiled loops: numba's compiler with a cache on disk, wherever that can be written.

To compile little, write loops over numbers instead of array expressions (numba compiles a function
for each slice, copy, `max` or ufunc), and take each field of a tuple once, into a variable (every
use of a field moves the whole tuple).
"""

import contextlib
import functools
import gc
import inspect
import threading
import typing
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from ._caches import await_compiled, folder_of_loops
from ._progress import compiling

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
"""Loops run beside other threads; a division by zero gives inf or NaN, as in NumPy. They make no
arrays, so no references are counted: that would cost as much as small linear programs."""


_Record = TypeVar("_Record")
_setting = threading.RLock()
"""Held while numba's folder is ours: between threads that import modules of loops, the setting of
one would be that of the other, or the folder the process was started in."""


def compiled(signature: str | None = None, **options: Any) -> Callable[[Callable], Any]:
    """Return a decorator that compiles a function for one signature when its module is imported.

    Without a signature it is that of the annotations: arrays are contiguous, numbers take 8 bytes,
    named tuples are such tuples, and any other class stands for a record (`record_of`). The machine
    code is kept on disk, see `folder_of_loops`. Import modules of such functions inside functions
    only: it takes seconds once after installation.
    """

    def compile(function: Callable) -> Any:
        function = inspect.unwrap(function)  # without checks of types at run time, in the tests
        kind = signature or _signature(function)
        with compiling(), _cache_on_disk() as kept, _collector_paused():
            await_compiled(function.__module__)
            if kept:
                try:
                    return numba.njit(kind, **OPTIONS, **options)(function)
                except OSError as error:
                    _stop_keeping(error)
            return numba.njit(kind, **OPTIONS | {"cache": False}, **options)(function)

    return compile


def inner(signature: str | None = None, **options: Any) -> Callable[[Callable], Any]:
    """Return the same decorator for a function that only compiled functions call.

    Without entries for Python and C it compiles sooner; called from Python it would crash.
    """
    return compiled(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


def inlined(function: Callable) -> Any:
    """Return a part of one compiled function, compiled within it: for parts that take tuples.

    As a function of its own it would be optimized twice and be handed all fields at each call.
    """
    return numba.njit(inline="always")(inspect.unwrap(function))


def record_of(kind: type[_Record]) -> _Record:
    """Return the numbers that a class annotates, all zero: compiled functions may change them."""
    return np.zeros(1, _dtype(kind))[0]


def _signature(function: Callable) -> Any:
    hints = typing.get_type_hints(function)
    returned = _type_of(hints.pop("return"))
    return returned(*map(_type_of, hints.values()))


def _type_of(hint: Any) -> Any:
    """Return numba's type for an annotation."""
    if typing.get_origin(hint) is tuple:
        return numba.types.Tuple([_type_of(part) for part in typing.get_args(hint)])
    if hasattr(hint, "_fields"):
        fields = typing.get_type_hints(hint).values()
        return numba.types.BaseTuple.from_types([_type_of(field) for field in fields], hint)
    if hasattr(hint, "dims"):
        dtype = numba.from_dtype(np.dtype(getattr(np, hint.dtypes[-1])))
        return numba.types.Array(dtype, len(hint.dims), "C")
    simple = {int: numba.int64, float: numba.float64, bool: numba.boolean, type(None): numba.void}
    return simple[hint] if hint in simple else numba.from_dtype(_dtype(hint))


@functools.cache
def _dtype(kind: type) -> np.dtype:
    """Return the type of a record with a class's annotated numbers."""
    return np.dtype((np.record, np.dtype([*typing.get_type_hints(kind).items()], align=True)))


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
    with _setting:
        before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder or "")
        try:
            yield folder is not None
        finally:
            settings.CACHE_DIR = before
