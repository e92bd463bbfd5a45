"""Checks of what users pass to the functions of this house."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._dynamics import AbstractDynamics, Dynamics
from .._numerics import as_float64


def checked_states(model: Any, state: Any) -> tuple[AbstractDynamics, np.ndarray]:
    """Return the model (a bare step is wrapped) and float64 states "orbit state"."""
    states = as_float64("state", state)
    if states.ndim not in (1, 2) or 0 in states.shape:
        raise ValueError(
            f"state: expected one state (M,) or several (orbits, M), got shape {states.shape}"
        )
    states = np.atleast_2d(states)
    if not isinstance(model, AbstractDynamics):
        if isinstance(model, type) or not callable(model):
            kind = getattr(model, "__name__", type(model).__name__)
            raise ValueError(
                "model: expected a network (an AbstractDynamics) or a callable step(state), "
                f"got {kind}"
            )
        model = Dynamics(model, states.shape[1])
    if states.shape[1] != model.state_size:
        raise ValueError(
            f"state: expected {model.state_size} numbers per state, got shape {np.shape(state)}"
        )
    return model, states


def checked_inputs(inputs: Any, num_orbits: int | None, needed: int) -> np.ndarray | None:
    """Return float64 inputs, "time input" (shared) or "time input lane", long enough for a run."""
    if inputs is None:
        return None
    array = as_float64("inputs", inputs)
    if array.ndim not in (2, 3):
        raise ValueError(
            "inputs: expected shape (time, input), or (orbits, time, input) with one sequence per "
            f"orbit, got {array.shape}"
        )
    if array.ndim == 3 and num_orbits is not None and len(array) != num_orbits:
        raise ValueError(
            f"inputs: expected {num_orbits} sequences, one per orbit, got {len(array)}"
        )
    length = array.shape[-2]
    if length < needed:
        raise ValueError(
            f"inputs: expected at least {needed} rows (two transients and the steps measured), "
            f"got {length}; lower num_transient or num_steps"
        )
    return array if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(array, 0, -1))


def check_step(model: AbstractDynamics, states: np.ndarray, inputs: np.ndarray | None) -> None:
    """Refuse a step that does not return a float64 state of the same length (inside the scope)."""
    row = None if inputs is None else jnp.zeros(inputs.shape[1])
    state = jax.ShapeDtypeStruct(states.shape[1:], jnp.float64)
    moved = jax.eval_shape(lambda z: model.step(z) if row is None else model.step(z, row), state)
    shape, dtype = getattr(moved, "shape", None), getattr(moved, "dtype", None)
    if shape != state.shape or dtype != state.dtype:
        raise ValueError(
            f"model: expected a step to float64 states of shape {state.shape} from such states, "
            f"got {dtype} {shape}"
        )
