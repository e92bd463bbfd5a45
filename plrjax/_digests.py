"""Fingerprints of models, values and functions: the same, and only the same, share one."""

import functools
import hashlib
import re
import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def digest_of(model: Any) -> str:
    """Return a fingerprint of the types, static fields and arrays of a model."""
    digest = hashlib.sha256(_placeless(str(jax.tree.structure(model))).encode())
    for leaf in jax.tree.leaves(model):
        array = np.asarray(leaf)
        text = _placeless(repr(leaf)) if array.dtype == object else f"{array.dtype} {array.shape}"
        digest.update(text.encode())
        digest.update(b"" if array.dtype == object else array.tobytes())
    return digest.hexdigest()[:16]


def fact_of(value: Any) -> Any:
    """Return what identifies an argument, as JSON knows it."""
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Mapping):
        return {str(name): fact_of(one) for name, one in value.items()}
    if isinstance(value, list | tuple | range):
        return [fact_of(one) for one in value]
    if isinstance(plain_function(value), types.FunctionType):
        return {"function": getattr(value, "__name__", "function"), "code": code_digest(value)}
    kind = {"type": type(value).__qualname__}
    if jax.tree.leaves(value) == [value] and not isinstance(value, np.ndarray | jax.Array):
        public = {name: one for name, one in vars(value).items() if not name.startswith("_")}
        return kind | {name: fact_of(one) for name, one in public.items()}
    return kind | {"digest": digest_of(value)}


def _placeless(text: str) -> str:
    """Return a text without the places of objects in memory, which differ from run to run."""
    return re.sub(r"0x[0-9a-f]+", "", text)


def plain_function(function: Any) -> Any:
    """Return the Python function inside partial and compiled ones."""
    while not isinstance(function, types.FunctionType):
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    return function


def code_digest(function: Callable) -> str:
    """Return a hash of a function's code, of its defaults, and of what it closes over."""
    seen: set[int] = set()

    def parts(item: Any) -> list[str]:
        if isinstance(item, types.CodeType):
            inner = [part for one in item.co_consts for part in parts(one)]
            return [item.co_code.hex(), repr(item.co_names), *inner]
        if isinstance(item, tuple | list):
            return [part for one in item for part in parts(one)]
        if isinstance(item, dict | frozenset):
            return parts(sorted(item.items() if isinstance(item, dict) else item, key=repr))
        if isinstance(item, functools.partial):
            return parts([item.func, item.args, item.keywords])
        if isinstance(item, types.FunctionType):
            if id(item) in seen:  # it calls itself
                return [item.__qualname__]
            seen.add(id(item))
            cells = [cell.cell_contents for cell in item.__closure__ or ()]
            return parts([item.__qualname__, item.__code__, item.__defaults__,
                          item.__kwdefaults__, cells])  # fmt: skip
        if hasattr(item, "__wrapped__"):
            return parts(item.__wrapped__)
        if isinstance(item, np.ndarray | jax.Array):
            return [str(item.dtype), repr(item.shape), np.asarray(item).tobytes().hex()]
        return [repr(item)] if isinstance(item, _PLAIN) else []

    return hashlib.sha256("\n".join(parts(function)).encode()).hexdigest()[:16]
