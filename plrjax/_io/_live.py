"""Networks from the live objects of other programs, none of which is imported."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._foreign_model import Asked, model_of

_LARGEST = 1_000_000
"""Entries of a mapping, and modules within a module."""


def from_state_dict(
    mapping: Any,
    kind: str | None = None,
    num_relu: int | None = None,
    *,
    index: int | None = None,
    leak: float | None = None,
) -> Any:
    """Return the network whose arrays a mapping holds, recognized as those of a file by `load`.

    **Arguments:**

    - `mapping`: name to tensor or array, such as `module.state_dict()` of PyTorch, or arrays of
        NumPy, JAX or Keras; values that are no arrays are left out.
    - `kind`, `num_relu`, `index`, `leak`: as for `load`.

    **Raises:** `ValueError` naming the argument or the array, with the call that resolves it.
    """
    if not isinstance(mapping, Mapping) or len(mapping) > _LARGEST:
        raise ValueError(f"mapping: expected name to array, got a {type(mapping).__name__}")
    arrays, settings = {}, {}
    for name, value in mapping.items():
        if not isinstance(name, str):
            raise ValueError(f"mapping: expected names that are texts, got {name!r}")
        if value is None or isinstance(value, str | bool | int):
            settings[name] = value
        else:
            arrays[name] = _array(name, value)
    asked = Asked("from_state_dict(mapping", kind, num_relu, index, leak)
    return model_of(arrays, settings, {}, asked)


def from_torch(
    module: Any,
    kind: str | None = None,
    num_relu: int | None = None,
    *,
    index: int | None = None,
    leak: float | None = None,
) -> Any:
    """Return the network that a module of PyTorch is, or contains; PyTorch is not imported.

    The arrays are those of `module.state_dict()`; whether a `torch.nn.RNN` has tanh or relu is
    taken from the module itself.

    **Arguments:** `module`; the others as for `load`.

    **Raises:** `ValueError` as `from_state_dict`, and for what has no `state_dict`.
    """
    if not callable(getattr(module, "state_dict", None)):
        raise ValueError(f"module: expected a module of PyTorch, got a {type(module).__name__}")
    modules = module.modules() if callable(getattr(module, "modules", None)) else [module]
    told = {getattr(part, "nonlinearity", None) for part in modules}
    told &= {"tanh", "relu"}
    if kind is None and num_relu is None and leak is None and len(told) == 1:
        kind = f"{told.pop()}-rnn"
    return from_state_dict(module.state_dict(), kind, num_relu, index=index, leak=leak)


def _array(name: str, value: Any) -> np.ndarray:
    """Return a tensor, or whatever NumPy takes for an array, as an array of its own."""
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if callable(getattr(value, step, None)) else value
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        value = value.float()  # exact; NumPy has no such numbers
    try:
        array = np.array(value.numpy() if callable(getattr(value, "numpy", None)) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: expected an array, got a {type(value).__name__}") from error
    return array
