"""The compiled loops of the host layer: many orbits side by side, loop lengths given at run time.

One compilation serves every QR interval, block length and transient of a model.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._frames import orthonormalize_fast, push_lanes, step_lanes

SLOTS = 32
"""Sums kept apart in one call of `measure`."""


class Lanes(NamedTuple):
    """Where every orbit is, and its tangent frame."""

    states: Float[Array, "state lane"]
    frames: Float[Array, "state vector lane"]


class Sums(NamedTuple):
    """Sums over the steps of each slot: ln R_ii and states; over all: 1 / kept (see frames).

    `finite` and `finite_states` say which lanes, and which states, are finite at the end.
    """

    logs: Float[Array, "slot vector lane"]
    states: Float[Array, "slot state lane"]
    rounding: Float[Array, "vector lane"]
    finite: Bool[Array, " lane"]
    finite_states: Bool[Array, " lane"]


def _row(inputs, time):
    return None if inputs is None else lax.dynamic_index_in_dim(inputs, time, keepdims=False)


@eqx.filter_jit
def measure(model, lanes: Lanes, inputs, start, interval, length, count) -> tuple[Lanes, Sums]:
    """Go on for `count` slots of `length` intervals of `interval` steps from time `start`."""

    def one_step(i, carry):
        lanes, total, time = carry
        moved = push_lanes(model.step, lanes.states, lanes.frames, _row(inputs, time))
        return Lanes(*moved), total + lanes.states, time + 1

    def one_interval(i, carry):
        lanes, logs, total, rounding, time = carry
        lanes, total, time = lax.fori_loop(0, interval, one_step, (lanes, total, time))
        found = orthonormalize_fast(lanes.frames)
        lanes = Lanes(lanes.states, found.frames)
        return lanes, logs + found.logs, total, rounding + 1.0 / found.kept, time

    def one_slot(i, carry):
        lanes, sums, time = carry
        zero = jnp.zeros(lanes.frames.shape[1:]), jnp.zeros(lanes.states.shape)
        begin = (lanes, *zero, sums.rounding, time)
        lanes, logs, total, rounding, time = lax.fori_loop(0, length, one_interval, begin)
        logs, total = sums.logs.at[i].set(logs), sums.states.at[i].set(total)
        return lanes, sums._replace(logs=logs, states=total, rounding=rounding), time

    vectors, states = lanes.frames.shape[1:], lanes.states.shape
    logs, total, rounding = (jnp.zeros(s) for s in ((SLOTS, *vectors), (SLOTS, *states), vectors))
    yes = jnp.ones(states[1:], bool)
    sums = Sums(logs, total, rounding, yes, yes)
    lanes, sums, _ = lax.fori_loop(0, count, one_slot, (lanes, sums, start))
    finite = jnp.isfinite(lanes.states).all(axis=0)
    both = finite & jnp.isfinite(lanes.frames).all(axis=(0, 1))
    return lanes, sums._replace(finite=both, finite_states=finite)


@eqx.filter_jit
def drift(
    model, states: Float[Array, "state lane"], inputs, start, stop, ends: Int[Array, " lane"]
) -> tuple[Float[Array, "state lane"], Int[Array, " lane"]]:
    """Move states from time `start` to `stop`, every lane to its own end at most.

    Returns the number of steps after which each lane was still finite, too.
    """

    def one_step(time, carry):
        states, alive, count = carry
        states = jnp.where(time < ends, step_lanes(model.step, states, _row(inputs, time)), states)
        alive = alive & jnp.isfinite(states).all(axis=0)
        return states, alive, count + alive

    alive = jnp.isfinite(states).all(axis=0)
    begin = (states, alive, jnp.zeros_like(ends))
    states, _, count = lax.fori_loop(start, stop, one_step, begin)
    return states, count


@eqx.filter_jit
def count_finite(model, lanes: Lanes, inputs, start, num_steps) -> Int[Array, " lane"]:
    """Return how many steps each lane takes before its state or frame is not finite."""

    def one_step(i, carry):
        lanes, alive, count = carry
        row = _row(inputs, start + i)
        states, frames = push_lanes(model.step, lanes.states, lanes.frames, row)
        alive = alive & jnp.isfinite(states).all(axis=0) & jnp.isfinite(frames).all(axis=(0, 1))
        return Lanes(states, orthonormalize_fast(frames).frames), alive, count + alive

    alive = jnp.isfinite(lanes.states).all(axis=0)
    begin = (lanes, alive, jnp.zeros(alive.shape, int))
    return lax.fori_loop(0, num_steps, one_step, begin)[2]


@eqx.filter_jit
def log_determinants(
    model, states: Float[Array, "state lane"], inputs, start, num_steps
) -> Float[Array, " lane"]:
    """Return sum_t ln |det J_t| of every lane, from the Jacobians themselves."""
    size, count = states.shape
    unit = jnp.broadcast_to(jnp.eye(size)[:, :, None], (size, size, count))

    def one_step(i, carry):
        states, total = carry
        states, jacobians = push_lanes(model.step, states, unit, _row(inputs, start + i))
        return states, total + jnp.linalg.slogdet(jnp.moveaxis(jacobians, -1, 0))[1]

    return lax.fori_loop(0, num_steps, one_step, (states, jnp.zeros(count)))[1]
