"""Free-running models: from an observation to a state, steps, and back to observations."""

import contextlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._dynamics import AbstractDynamics, Dynamics
from .._numerics import float64_scope


def _same(value):
    return value


class Simulator(eqx.Module):
    """A model between observations: z_0 = encode(x_0), z_{t+1} = F(z_t), x_t = decode(z_t).

    `dtype` is the one all is computed in: the dtype of the model's parameters, float64 where it
    has none.
    """

    dynamics: AbstractDynamics
    encode: Callable
    decode: Callable
    dtype: np.dtype = eqx.field(static=True)

    def start(self, observation: Float[Array, " dimension"]) -> Array:
        """Return the state that an observation stands for."""
        return jnp.asarray(self.encode(observation), self.dtype)

    def advance(self, state: Float[Array, " state"]) -> Array:
        """Return the next state."""
        return jnp.asarray(self.dynamics.step(state), self.dtype)

    def show(self, state: Float[Array, " state"]) -> Array:
        """Return what of a state is observed."""
        return jnp.asarray(self.decode(state), self.dtype)

    @contextlib.contextmanager
    def scope(self):
        """Compute in `dtype` inside, and let orbits run away without a caller's NaN checks."""
        with contextlib.ExitStack() as stack:
            if self.dtype == np.float64:
                stack.enter_context(float64_scope())
            stack.enter_context(jax.debug_nans(False))
            stack.enter_context(jax.debug_infs(False))
            yield


def make_simulator(
    model: Any, dimension: int, encode: Any, decode: Any, names: tuple[str, str]
) -> Simulator:
    """Return a simulator whose functions fit together; None stands for the identity.

    **Raises:** `ValueError` naming `model`, or one of the `names` of `encode` and `decode`.
    """
    for name, function in zip(names, (encode, decode)):
        if function is not None and not callable(function):
            raise ValueError(f"{name}: expected a function, got {function!r}")
    if isinstance(model, type) or not (isinstance(model, AbstractDynamics) or callable(model)):
        kind = getattr(model, "__name__", type(model).__name__)
        raise ValueError(
            f"model: expected a network (an AbstractDynamics) or a callable step(state), got {kind}"
        )
    dynamics = model if isinstance(model, AbstractDynamics) else Dynamics(model, 1)
    simulator = Simulator(
        dynamics,
        _same if encode is None else encode,
        _same if decode is None else decode,
        _dtype_of(model),
    )
    with simulator.scope():
        _check(simulator, isinstance(model, AbstractDynamics), dimension, names)
    return simulator


def _dtype_of(model: Any) -> np.dtype:
    """Return the widest floating dtype of the model's arrays, float64 if it has none."""
    arrays = [x for x in jax.tree.leaves(model) if eqx.is_inexact_array_like(x) and np.ndim(x)]
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(True):
        return np.dtype(jnp.result_type(*arrays) if arrays else np.float64)


def _check(simulator: Simulator, sized: bool, dimension: int, names: tuple[str, str]) -> None:
    """Refuse functions whose shapes do not fit together, and say which."""
    row = jax.ShapeDtypeStruct((dimension,), simulator.dtype)
    state = jax.eval_shape(simulator.start, row)
    size = (simulator.dynamics.state_size,) if sized else state.shape
    if state.shape != size or len(state.shape) != 1:
        if simulator.encode is _same:
            raise ValueError(
                f"model: expected as many states as observed dimensions, {dimension}, got "
                f"{size[0]}; say by {names[0]} and {names[1]} how they are related"
            )
        wanted = f"{size}" if sized else "(states,)"
        raise ValueError(f"{names[0]}: expected a state of shape {wanted}, got {state.shape}")
    moved = jax.eval_shape(simulator.advance, state)
    if moved.shape != state.shape:
        raise ValueError(
            f"model: expected a step to states of shape {state.shape}, got {moved.shape}"
        )
    shown = jax.eval_shape(simulator.show, state)
    if shown.shape != row.shape:
        raise ValueError(
            f"{names[1]}: expected an observation of shape {row.shape}, got {shown.shape}"
        )


@eqx.filter_jit
def predicted(
    simulator: Simulator, observations: Float[Array, "start dimension"], num_steps: int
) -> Float[Array, "start dimension"]:
    """Return the observations `num_steps` steps after each of the given ones."""

    def one(observation):
        steps = lambda _, state: simulator.advance(state)
        state = jax.lax.fori_loop(0, num_steps, steps, simulator.start(observation))
        return simulator.show(state)

    return jax.vmap(one)(observations)


@eqx.filter_jit
def generated(
    simulator: Simulator,
    observations: Float[Array, "start dimension"],
    num_dropped: int,
    num_kept: int,
) -> tuple[Float[Array, "time start dimension"], Int[Array, " start"]]:
    """Return orbits after `num_dropped` steps, and how many steps of each were finite.

    An orbit that was not finite once is NaN from there on, even if a later step brings it back.
    """

    def forward(carry, _):
        states, alive, count = carry
        states = jax.vmap(simulator.advance)(states)
        shown = jax.vmap(simulator.show)(states)
        alive = alive & jnp.isfinite(states).all(axis=1) & jnp.isfinite(shown).all(axis=1)
        count = count + alive.astype(jnp.int32)
        return (states, alive, count), jnp.where(alive[:, None], shown, jnp.nan)

    states = jax.vmap(simulator.start)(observations)
    alive = jnp.isfinite(states).all(axis=1)
    carry = (states, alive, jnp.zeros(len(states), jnp.int32))
    carry = jax.lax.fori_loop(0, num_dropped, lambda _, c: forward(c, None)[0], carry)
    carry, orbits = jax.lax.scan(forward, carry, length=num_kept)
    return orbits, carry[2]
