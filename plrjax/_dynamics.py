"""What every recurrent network is here: a map z -> step(z, input) on flat state vectors."""

import abc
from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ._memory import check_memory
from ._numerics import float64_scope

State: TypeAlias = Float[Array | np.ndarray, " state"]
"""One state z, a flat vector."""


class AbstractDynamics(eqx.Module):
    """A discrete-time dynamical system z_{t+1} = F(z_t, s_t).

    The state is one flat vector (an LSTM concatenates h and c). Batches are made with
    `jax.vmap`, never by an extra axis inside a model.
    """

    @property
    @abc.abstractmethod
    def state_size(self) -> int:
        """Length M of the state vector."""

    @property
    def is_bounded(self) -> bool:
        """Whether some ball attracts all states, so that id - F^k has degree 1: the indices of its
        zeros add up to 1. False where that is not known."""
        return False

    @abc.abstractmethod
    def step(
        self, state: State, input: Float[Array | np.ndarray, " input"] | None = None
    ) -> Float[Array, " state"]:
        """Return the next state F(z, s), in the dtype of the parameters and the state."""

    def jacobian(
        self, state: State, input: Float[Array | np.ndarray, " input"] | None = None
    ) -> Float[Array, "state state"]:
        """Return DF(z), the M x M matrix of partial derivatives of one step."""
        return jax.jacfwd(lambda z: self.step(z, input))(jax.numpy.asarray(state))

    def output(self, state: State) -> Float[Array, " output"]:
        """Return what a state z shows to the next layer: all of z, or h of an LSTM's (h, c).

        **Raises:** `ValueError` naming `state` for another shape than (M,).
        """
        return checked_state(self, state)


class Dynamics(AbstractDynamics):
    """A user's own map, wrapped: `Dynamics(step, state_size)`.

    **Arguments:**

    - `function`: traceable by JAX; called as `function(state)`, or `function(state, input)` when
        an input is given.
    - `state_size`: length of the state vector.
    """

    function: Callable
    size: int = eqx.field(static=True)

    def __init__(self, function: Callable, state_size: int):
        if not callable(function):
            raise ValueError(f"function: expected a callable step, got {type(function).__name__}")
        if state_size < 1:
            raise ValueError(f"state_size: expected a positive integer, got {state_size}")
        self.function = function
        self.size = int(state_size)

    @property
    def state_size(self) -> int:
        return self.size

    def step(self, state, input=None):
        return self.function(state) if input is None else self.function(state, input)


def checked_state(model: AbstractDynamics, state) -> Array:
    """Return one state as a JAX array, refusing another shape than (M,)."""
    state = jax.numpy.asarray(state)
    if state.shape != (model.state_size,):
        raise ValueError(f"state: expected shape ({model.state_size},), got {state.shape}")
    return state


def trajectory(
    model: AbstractDynamics,
    state: State,
    num_steps: int,
    inputs: Float[Array, "time input"] | None = None,
) -> Float[Array | np.ndarray, "row state"]:
    """Return the orbit z_0, z_1, ..., z_{num_steps} (the initial state is row 0).

    In float64 where the network, the state or the inputs are, whatever the global JAX setting: a
    NumPy array where that setting has no float64. Traced by JAX, in the precision it traces in.

    **Arguments:**

    - `model`: the map.
    - `state`: the initial state z_0.
    - `num_steps`: number of steps T; the result has T + 1 rows.
    - `inputs`: external input s_0 ... s_{T-1}, one row per step, or None.

    **Raises:** `ValueError` if `num_steps` is negative or `inputs` has another length.
    """
    if num_steps < 0:
        raise ValueError(f"num_steps: expected a non-negative integer, got {num_steps}")
    if inputs is not None and len(inputs) != num_steps:
        raise ValueError(f"inputs: expected {num_steps} rows, one per step, got {len(inputs)}")
    check_memory("num_steps", num_steps, 2 * 4 * num_steps * model.state_size)
    orbit = lambda network, z, s: _orbit(network, z, s, num_steps)
    return _in_own_precision(orbit, model, state, inputs)


def _orbit(model: AbstractDynamics, state, inputs, num_steps: int) -> Array:
    def advance(z, s):
        z = model.step(z, s)
        return z, z

    state = jax.numpy.asarray(state)
    if num_steps:
        row = None if inputs is None else jax.numpy.asarray(inputs)[0]
        state = state.astype(jax.eval_shape(model.step, state, row).dtype)
    _, orbit = jax.lax.scan(advance, state, inputs, length=num_steps)
    return jax.numpy.concatenate([state[None], orbit])


def jacobian(
    model: AbstractDynamics,
    state: State,
    input: Float[Array, " input"] | None = None,
) -> Float[Array | np.ndarray, "state state"]:
    """Return DF(z), the M x M matrix of partial derivatives of one step; as `trajectory`, float64
    where the network, the state or the input are."""
    return _in_own_precision(lambda network, z, s: network.jacobian(z, s), model, state, input)


def _in_own_precision(function: Callable, model: AbstractDynamics, *arguments):
    """Return function(model, *arguments), in float64 where an array is; never where traced."""
    with jax.transfer_guard("allow"):
        return _computed(function, model, *arguments)


def _computed(function: Callable, model: AbstractDynamics, *arguments):
    weights, given = jax.tree.leaves(model), [x for x in arguments if x is not None]
    now = jax.numpy.zeros(())  # traced inside jit, whatever a user's step closes over
    if any(isinstance(leaf, Tracer) for leaf in [now, *weights, *jax.tree.leaves(given)]):
        return function(model, *arguments)
    dtypes = [leaf.dtype for leaf in weights if isinstance(leaf, jax.Array | np.ndarray)]
    dtypes += [getattr(value, "dtype", None) or np.asarray(value).dtype for value in given]
    if np.float64 not in dtypes:
        return function(model, *arguments)
    with float64_scope():
        found = function(model, *arguments)
    if isinstance(found, Tracer):  # a derivative with respect to what a step closes over
        return function(model, *arguments)
    return found if now.dtype == np.float64 else np.asarray(found)
