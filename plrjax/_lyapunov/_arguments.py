"""Checks of what users pass to the functions of this house."""

import functools
import types
from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._dynamics import AbstractDynamics, Dynamics
from .._files import one_line
from .._numerics import as_float64
from ._frames import apply_step


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
        model = Dynamics(_fresh(model), states.shape[1])
    if states.shape[1] != model.state_size:
        raise ValueError(
            f"state: expected {model.state_size} numbers per state, got shape {np.shape(state)}"
        )
    return model, states


def _fresh(step: Callable) -> Callable:
    """Return the step, unless what it reads may change unseen: then a step equal to no other.

    Compiled programs are found again by their step. A plain function is the same each time, as for
    `jax.jit`; a method of an object that is no module, or a closure, would be equal to itself with
    other weights.
    """
    closure = step.__closure__ if isinstance(step, types.FunctionType) else step
    if isinstance(step, eqx.Module) or closure is None:
        return cast(Callable, step)
    return Once(step)


class Once:
    """A step that is compiled for this call alone."""

    def __init__(self, step: Callable):
        self.step = step
        self.programs: dict[Callable, Callable] = {}

    def __call__(self, *arguments):
        return self.step(*arguments)


def program(function: Callable) -> Callable:
    """Compile a function of (model, ...), for good; for a step of `Once`, as long as that lives."""
    lasting = eqx.filter_jit(function)

    @functools.wraps(function)
    def call(model, *arguments):
        step = getattr(model, "function", None)
        if not isinstance(step, Once):
            return lasting(model, *arguments)
        if function not in step.programs:
            step.programs[function] = eqx.filter_jit(function)
        return step.programs[function](model, *arguments)

    return call


def rank_of(name: str, value: Any) -> int:
    """Return the number of axes; 0 for None."""
    return 0 if value is None else as_float64(name, value).ndim


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
    if 0 in array.shape:
        raise ValueError(f"inputs: expected at least one number per row, got shape {array.shape}")
    length = array.shape[-2]
    if length < needed:
        raise ValueError(
            f"inputs: expected at least {needed} rows (two transients and the steps measured), "
            f"got {length}; lower num_transient or num_steps"
        )
    return array if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(array, 0, -1))


def shape_of_step(name: str, step: Callable, state: Any, row: Any) -> Any:
    """Return the shape and dtype that a step returns, whatever it raises as a `ValueError`."""
    try:
        moved = jax.eval_shape(lambda z: apply_step(step, z, row), state)
    except Exception as error:  # a step of the user's own may fail in any way
        kind = f"{type(error).__name__}: {one_line(error)}"
        given = "" if row is None else f" and an input of {len(row)} numbers"
        raise ValueError(
            f"{name}: expected a step that JAX can trace, from a state of {state.shape[0]} "
            f"numbers{given}; it says {kind[:400]}"
        ) from error
    shape, dtype = getattr(moved, "shape", None), getattr(moved, "dtype", None)
    if shape != state.shape or dtype != state.dtype:
        raise ValueError(
            f"{name}: expected a map to states of shape {state.shape} and dtype {state.dtype}, "
            f"got {moved}"
        )
    return moved


def check_step(model: AbstractDynamics, states: np.ndarray, inputs: np.ndarray | None) -> None:
    """Refuse a step that does not return a float64 state of the same length (inside the scope)."""
    row = None if inputs is None else jnp.zeros(inputs.shape[1])
    state = jax.ShapeDtypeStruct(states.shape[1:], jnp.float64)
    shape_of_step("model", model.step, state, row)
