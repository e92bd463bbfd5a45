"""Annotations checked at run time: every function's first calls in every test.

A search calls small functions a hundred thousand times; to check each of these calls took a third
of the suite's time and told what the first ones tell. `PLRJAX_EVERY_CALL=1 pytest` checks them all.
"""

import collections
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import beartype

EVERY_CALL = bool(os.environ.get("PLRJAX_EVERY_CALL"))
MOST = sys.maxsize if EVERY_CALL else 100
"""Checks of a function in one test; a call has two, of its arguments and of what it returns."""

_checks: collections.Counter[tuple[str, str]] = collections.Counter()
_left_alone: list[Any] = []


def checked(function: Callable) -> Callable:
    """Return a function's check by beartype, which does nothing once it was called often enough.

    jaxtyping calls this with stand-ins that carry the name of the function and its annotations.
    """
    name = function.__module__, function.__qualname__
    # Functions inside functions are defined anew at each call, mostly to be called once.
    check = None if "<locals>" in name[1] else beartype.beartype(function)

    def limited(*args: Any, **kwargs: Any) -> Any:
        nonlocal check
        _checks[name] += 1
        if _checks[name] > MOST:
            if _checks[name] == MOST + 1:
                _leave_alone(*name)
            return None
        if check is None:
            check = beartype.beartype(function)
        return check(*args, **kwargs)

    return limited


def check_again() -> None:
    """Let the first calls from now on be checked."""
    _checks.clear()
    for function in _left_alone:
        delattr(function, "__no_type_check__")
    _left_alone.clear()


def _leave_alone(module: str, qualname: str) -> None:
    """Mark a function as one that jaxtyping shall not even bind the arguments of."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = inspect.getattr_static(found, part, None)
    found = getattr(found, "__func__", None) or getattr(found, "fget", None) or found
    function = inspect.unwrap(found) if callable(found) else None
    if inspect.isfunction(function) and not hasattr(function, "__no_type_check__"):
        setattr(function, "__no_type_check__", True)
        _left_alone.append(function)
