"""Checks of arguments that several houses take, without JAX where there is no key."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jaxtyping

from ._numerics import is_number, is_whole

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
