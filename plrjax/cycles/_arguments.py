"""Checks of what users pass to `find_cycles`."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from .._numerics import is_positive_whole


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
    if not items:
        raise ValueError("periods: expected at least one period, got none")
    return sorted({int(item) for item in items})


def check_budget(num_searches: Any, max_seconds: Any) -> None:
    """Refuse limits that are not positive."""
    if num_searches is not None:
        if not is_positive_whole(num_searches):
            raise ValueError(f"num_searches: expected a positive integer, got {num_searches!r}")
    number = isinstance(max_seconds, int | float | np.number)
    if max_seconds is not None and not (number and max_seconds > 0):
        raise ValueError(f"max_seconds: expected a positive number, got {max_seconds!r}")


def check_kind(name: str, value: Any, kind: type, expected: str) -> None:
    """Refuse what is neither None nor an instance: a string, or the class itself."""
    if value is not None and not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
        raise ValueError(f"{name}: expected {expected}, got {got}")


def checked_key(key: Any) -> PRNGKeyArray:
    """Return a typed key; raw uint32 keys of older JAX code are wrapped."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.ndim == 0:
            return key
    elif isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.ndim == 1:
        return jr.wrap_key_data(jnp.asarray(key))
    raise ValueError(
        f"key: expected one JAX random key such as jax.random.key(0), got {type(key).__name__}"
    )
