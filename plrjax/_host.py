"""Functions of concrete numbers: what JAX traces is refused, and transfers are allowed."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
from jax.core import Tracer

_P = ParamSpec("_P")
_R = TypeVar("_R")


def on_host(instead: str = "") -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator for a function that goes to and fro between NumPy and JAX.

    Inside, arrays are moved whatever `jax_transfer_guard` says: that is meant for loops of the
    caller's own.

    **Arguments:** `instead`: what to call where JAX traces, as the end of a message.
    """
    hint = f"; {instead}" if instead else ""

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        names = tuple(inspect.signature(function).parameters)
        name = function.__name__

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            for argument, value in [*zip(names, args), *kwargs.items()]:
                if _is_traced(value):
                    raise ValueError(
                        f"{argument}: expected numbers, got what JAX traces; call {name} outside "
                        f"of jit, vmap and grad{hint}"
                    )
            with jax.transfer_guard("allow"):
                if isinstance(jax.numpy.zeros(()), Tracer):
                    raise ValueError(f"{name}: called while JAX traces; call it outside{hint}")
                return function(*args, **kwargs)

        return call

    return decorate


def _is_traced(value: object) -> bool:
    """Return whether there is a tracer in a value; only what JAX knows as a tree is looked into."""
    try:
        return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))
    except (TypeError, ValueError):  # such as dictionaries with keys that have no order
        return False
