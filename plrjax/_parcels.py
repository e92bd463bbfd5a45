"""What goes to other processes: pickled here and opened there, at once, never from a file."""

import functools
from collections.abc import Mapping
from typing import Any

import cloudpickle
import jax

from ._plugins import import_plugins

_SETTINGS = ("jax_enable_x64", "jax_threefry_partitionable", "jax_default_matmul_precision")


def jax_settings() -> dict[str, Any]:
    """Return the settings of JAX that numbers depend on."""
    return {name: getattr(jax.config, name) for name in _SETTINGS}


class Shared:
    """What all pieces of one job have in common, with the settings of JAX that numbers depend on.

    It is pickled once. In a worker it is opened once, so that programs are compiled once, and what
    is read after it finds the settings: arrays keep their dtypes where it is the first field.

    **Raises:** `ValueError` naming the argument for a value that cannot be sent.
    """

    def __init__(self, value: Any):
        self.value, self._settings = value, jax_settings()
        self._content: bytes | None = None

    def __reduce__(self):
        if self._content is None:
            self._content = cloudpickle.dumps(self.value)
        return _arrived, (self._settings, self._content)


def _arrived(settings: Mapping[str, Any], content: bytes) -> Shared:
    import_plugins()
    for name, value in settings.items():
        if getattr(jax.config, name) != value:
            jax.config.update(name, value)
    return _opened(content)


@functools.lru_cache(maxsize=1)
def _opened(content: bytes) -> Shared:
    return Shared(cloudpickle.loads(content))


def call_sealed(content: bytes) -> Any:
    """Call what `sealed` was given, with its arguments."""
    function, arguments = cloudpickle.loads(content)
    return function(*arguments)


def sealed(function: Any, *arguments: Any) -> bytes:
    """Return a call for another process; what a notebook or a script defines goes with it."""
    return cloudpickle.dumps((function, arguments))


def check_sendable(name: str, value: Any, executor: Any) -> None:
    """Refuse what cannot be sent to the processes of the standard library's pool.

    **Raises:** `ValueError` naming the argument.
    """
    if isinstance(executor, int):
        try:
            cloudpickle.dumps(value)
        except Exception as error:  # any, since a class says itself how it is sent
            raise ValueError(f"{name}: cannot be sent to other processes: {error}") from error
