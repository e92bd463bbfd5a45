"""Recurrent layers on top of each other, as one network."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._dynamics import AbstractDynamics, checked_state
from .._files import one_line
from ._common import common_dtype


class Stacked(AbstractDynamics):
    """z^l' = F_l(z^l, y^{l-1}), y^l = output_l(z^l'), y^0 = s: each layer drives the next at once.

    The state concatenates the layers' states, the input drives the first layer, and the new output
    of each layer drives the next one in the same step, as in `torch.nn.LSTM(num_layers=L)`.
    `output` is that of the last layer. Stacks within a stack are unpacked into their layers.

    **Arguments:** `layers`: networks of any kinds; the `input_size` of each layer but the first is
    the size of the output of the one before it (M; H of an LSTM).

    **Raises:** `ValueError` naming `layers` where one of them is no network or cannot be driven by
    the one before it.
    """

    layers: tuple[AbstractDynamics, ...]

    def __init__(self, layers: Any):
        self.layers = _unpacked(layers)
        _check_wiring(self.layers)

    @property
    def state_size(self) -> int:
        return sum(layer.state_size for layer in self.layers)

    def _parts(self, state) -> list:
        """Return the states of the layers."""
        ends = np.cumsum([layer.state_size for layer in self.layers])
        return jnp.split(state, ends[:-1])

    def step(self, state, input=None):
        leaves = [leaf for leaf in jax.tree.leaves(self.layers) if _is_floating(leaf)]
        given = [state] if input is None else [state, input]
        dtype = common_dtype([*leaves, *map(jnp.asarray, given)])
        parts = self._parts(checked_state(self, jnp.asarray(state, dtype)))
        signal = None if input is None else jnp.asarray(input, dtype)
        for index, layer in enumerate(self.layers):
            parts[index] = layer.step(parts[index], signal)
            signal = layer.output(parts[index])
        dtype = common_dtype(parts)
        return jnp.concatenate([jnp.asarray(part, dtype) for part in parts])

    def output(self, state):
        return self.layers[-1].output(self._parts(checked_state(self, state))[-1])


def _is_floating(leaf: object) -> bool:
    """Return whether a leaf of a layer is an array of real floating-point numbers."""
    return isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(leaf.dtype, jnp.floating)


def _unpacked(layers: Any) -> tuple[AbstractDynamics, ...]:
    """Return the layers in one row, stacks among them unpacked."""
    if not isinstance(layers, Iterable) or isinstance(layers, str):
        raise ValueError(f"layers: expected a sequence of networks, got {type(layers).__name__}")
    found: list[AbstractDynamics] = []
    for index, layer in enumerate(layers):
        if not isinstance(layer, AbstractDynamics):
            got = type(layer).__name__
            raise ValueError(f"layers[{index}]: expected a network (AbstractDynamics), got {got}")
        found.extend(layer.layers if isinstance(layer, Stacked) else [layer])
    if not found:
        raise ValueError("layers: expected at least one network, got none")
    return tuple(found)


def _check_wiring(layers: Sequence[AbstractDynamics]) -> None:
    """Refuse layers that cannot be driven by the output of the one before; nothing is computed."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        sizes = [_output_size(f"layers[{index}]", layer) for index, layer in enumerate(layers)]
        for index, (size, layer) in enumerate(zip(sizes, layers[1:]), start=1):
            wanted = (
                f"layers[{index}]: expected input_size {size}, the size of the output of "
                f"layers[{index - 1}]"
            )
            try:
                moved = jax.eval_shape(layer.step, _vector(layer.state_size), _vector(size))
            except Exception as error:  # a step of the user's own may fail in any way
                raise ValueError(f"{wanted}; its step says: {one_line(error)}") from error
            if getattr(moved, "shape", None) != (layer.state_size,):
                raise ValueError(
                    f"layers[{index}]: expected a step to shape ({layer.state_size},), got {moved}"
                )


def _output_size(name: str, layer: AbstractDynamics) -> int:
    """Return the length of a layer's output."""
    output = jax.eval_shape(layer.output, _vector(layer.state_size))
    if output.ndim != 1:
        raise ValueError(f"{name}: expected an output with one axis, got shape {output.shape}")
    return output.shape[0]


def _vector(size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((size,), jnp.result_type(float))
