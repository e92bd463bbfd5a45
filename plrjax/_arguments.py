"""Checks of arguments that several houses take, without JAX where there is no key; extras."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jaxtyping

from ._memory import check_memory
from ._numerics import is_number, is_positive_whole, is_whole

_LONGEST = 100_000
"""Orbits of 2 k steps are simulated first: some 20 seconds at this period, which nothing cuts."""
_SEARCH_BYTES = 16
"""What is kept of each search: its steps, whether it converged, and copies of both."""
_LARGEST = 2**63 - 1
_UNREADABLE = 10**40
"""From here on numbers are not repeated: Python refuses to write those of 4300 digits."""


def checked_whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return an integer within bounds."""
    if not is_whole(value) or value < least or value > (_LARGEST if most is None else most):
        most = _LARGEST if most is None and is_whole(value) and value > least else most
        upper = "" if most is None else f" and at most {most}"
        got = repr(value) if not is_whole(value) or abs(value) < _UNREADABLE else "a longer one"
        raise ValueError(f"{name}: expected an integer of at least {least}{upper}, got {got}")
    return int(value)


def checked_positive(name: str, value: Any) -> float:
    """Return a positive finite number."""
    if not (is_number(value) and 0 < value < np.inf):
        raise ValueError(f"{name}: expected a positive number, got {value!r}")
    return float(value)


def check_kind(name: str, value: Any, kind: type, expected: str) -> None:
    """Refuse what is neither None nor an instance: a string, or the class itself."""
    if value is not None and not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
        raise ValueError(f"{name}: expected {expected}, got {got}")


def checked_key(key: Any) -> "jaxtyping.PRNGKeyArray":
    """Return a typed key; raw uint32 keys of older JAX code are wrapped."""
    import jax
    import jax.numpy as jnp

    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.ndim == 0:
            return key
    elif isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.ndim == 1:
        return jax.random.wrap_key_data(jnp.asarray(key))
    raise ValueError(
        f"key: expected one JAX random key such as jax.random.key(0), got {type(key).__name__}"
    )


def checked_periods(periods: Any) -> list[int]:
    """Return sorted distinct positive integers."""
    values = [periods] if isinstance(periods, int | np.integer) else periods
    try:
        items = list(values)
    except TypeError:
        raise ValueError(
            f"periods: expected a positive integer or several, got {type(periods).__name__}"
        ) from None
    for item in items:
        if not is_positive_whole(item):
            raise ValueError(f"periods: expected positive integers, got {item!r}")
        if item > _LONGEST:
            raise ValueError(
                f"periods: expected at most {_LONGEST}, got {str(item)[:40]}: orbits of twice as "
                "many steps come before any search"
            )
    if not items:
        raise ValueError("periods: expected at least one period, got none")
    return sorted({int(item) for item in items})


def check_budget(num_searches: Any, max_seconds: Any) -> None:
    """Refuse limits that are not positive."""
    if num_searches is not None:
        if not is_positive_whole(num_searches):
            raise ValueError(f"num_searches: expected a positive integer, got {num_searches!r}")
        check_memory("num_searches", num_searches, _SEARCH_BYTES * int(num_searches))
    if max_seconds is not None and not (is_number(max_seconds) and max_seconds > 0):
        raise ValueError(f"max_seconds: expected a positive number, got {max_seconds!r}")


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Return a module of an optional dependency.

    **Raises:** `ImportError` that names what needs it and what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {module}: pip install 'plrjax[{extra}]'") from error
