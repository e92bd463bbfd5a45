"""Fingerprints of models, values and functions: the same, and only the same, share one."""

import enum
import functools
import hashlib
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

_PLAIN = bool | int | float | complex | str | bytes | None


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
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Mapping):
        return {str(name): fact_of(one) for name, one in value.items()}
    if isinstance(value, list | tuple | range):
        return [fact_of(one) for one in value]
    kind = {"type": type(value).__qualname__}
    if type(value).__module__.startswith("plrjax.") and _is_leaf(value):
        public = {name: one for name, one in vars(value).items() if not name.startswith("_")}
        return kind | {name: fact_of(one) for name, one in public.items()}
    name = getattr(value, "__name__", None)
    return (kind if name is None else {"function": name}) | {"digest": code_digest(value)}


def _is_leaf(value: Any) -> bool:
    """Whether JAX does not look into a value."""
    if isinstance(value, Iterator):
        return True
    leaves = jax.tree.leaves(value)
    return len(leaves) == 1 and leaves[0] is value and not isinstance(value, np.ndarray | jax.Array)


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


def code_digest(function: Any) -> str:
    """Return a hash of a function's code, of its defaults, and of what it closes over.

    Of other objects: of their type and all they hold.
    """
    seen: set[int] = set()

    def parts(item: Any) -> list[str]:
        if isinstance(item, types.CodeType):
            inner = [part for one in item.co_consts for part in parts(one)]
            return [item.co_code.hex(), repr(item.co_names), *inner]
        if isinstance(item, tuple | list):
            return [part for one in item for part in parts(one)]
        if isinstance(item, dict | frozenset | set):
            return parts(sorted(item.items() if isinstance(item, dict) else item, key=repr))
        if isinstance(item, enum.Enum | np.generic | _PLAIN):
            return [_placeless(repr(item))]
        if isinstance(item, np.ndarray | jax.Array):
            return [digest_of(item)]
        if isinstance(item, types.ModuleType | type):
            return [item.__name__]
        if name := _name_of_ours(item):
            return [name]
        if id(item) in seen:  # it calls, or holds, itself
            return [type(item).__qualname__]
        seen.add(id(item))
        return _inner(item, parts)

    return hashlib.sha256("\n".join(parts(function)).encode()).hexdigest()[:16]


def _name_of_ours(item: Any) -> str | None:
    """Return the name of a function of plrjax, whose version says the rest; None of others."""
    module, name = (getattr(item, field, None) for field in ("__module__", "__qualname__"))
    ours = isinstance(module, str) and module.startswith("plrjax.")
    return f"{module}.{name}" if ours and isinstance(name, str) and "<" not in name else None


def _inner(item: Any, parts: Callable[[Any], list[str]]) -> list[str]:
    """Return the parts of a function, a method, a model, or another object."""
    if isinstance(item, functools.partial):
        return parts([item.func, item.args, item.keywords])
    if isinstance(item, types.MethodType):
        return parts([item.__func__, item.__self__])
    if isinstance(item, types.FunctionType):
        cells = [cell.cell_contents for cell in item.__closure__ or ()]
        return parts([item.__qualname__, item.__code__, item.__defaults__,
                      item.__kwdefaults__, cells])  # fmt: skip
    if hasattr(item, "__wrapped__"):
        return parts(item.__wrapped__)
    if not _is_leaf(item):
        return [digest_of(item)]
    called = vars(type(item)).get("__call__")
    held = [] if called is None else parts(called)
    state = getattr(item, "__dict__", None)
    text = [_placeless(repr(item))] if state is None else parts(state)
    return [type(item).__qualname__, *held, *text]
