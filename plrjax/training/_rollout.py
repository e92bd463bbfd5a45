"""The engine of training: predictions along forced orbits, and their gradient.

Everything is "time state lane": one row per step, one lane per window of the batch. A step of all
lanes then is one matrix product.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._dynamics import AbstractDynamics

MAX_JACOBIAN = 4
"""Most states for which Jacobians written out beat one product after another (measured)."""
_UNROLL = 4


def rollout(
    model: AbstractDynamics,
    start: Float[Array, "state lane"],
    signals: Float[Array, "time state lane"] | None,
    keep: Float[Array, "time column"] | None,
    inputs: Float[Array, "time input lane"] | None,
    *,
    num_steps: int,
    flow: Float[Array, " time"] | None = None,
    adjoint: bool = True,
) -> Float[Array, "time state lane"]:
    """Return z_t = F(z~_{t-1}, s_{t-1}), z~_t = keep_t z_t + (1 - keep_t) signal_t, z~_1 = start.

    Without signals nothing is forced. `keep` has a column for each state, or one for all. `flow`
    is 1 where gradients flow on through z~_t and 0 where they are cut. `adjoint` takes the gradient
    by the adjoint recursion (see `_adjoint`), which agrees with automatic differentiation up to
    rounding.
    """
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    step = lambda p, z, s: eqx.combine(p, rest).step(z, s)
    rows = (signals, keep, flow)
    if not adjoint:
        return _forward(step, params, start, rows, inputs, num_steps)
    return _adjoint(step, num_steps)(params, start, rows, inputs)


def _lanes(step, inputs):
    """Return the step of all lanes."""
    axis = None if inputs is None else -1
    return jax.vmap(step, in_axes=(None, -1, axis), out_axes=-1)


def _forced(state, signal, keep):
    """Return z~; keep is "#state", or "time #state" beside as many rows of states."""
    return state if signal is None else keep[..., None] * state + (1.0 - keep[..., None]) * signal


def _forward(step, params, start, rows, inputs, num_steps: int):
    """Roll out by a scan, differentiated as it stands."""
    lanes = _lanes(step, inputs)

    def advance(state, row):
        (signal, keep, flow), drive = row
        moved = lanes(params, state, drive)
        state = _forced(moved, signal, keep)
        if flow is not None:
            state = flow * state + (1.0 - flow) * lax.stop_gradient(state)
        return state, moved

    return lax.scan(advance, start, (rows, inputs), length=num_steps, unroll=_UNROLL)[1]


def _adjoint(step, num_steps: int):
    """Return the rollout with its gradient by the adjoint recursion.

    With g_t the cotangent of z_t and J_t = DF(z~_t), a_t = g_t + keep_t flow_t J_t^T a_{t+1} runs
    backward alone; the gradients of all parameters then follow in one product over all times.
    """

    @jax.custom_vjp
    def run(params, start, rows, inputs):
        return _forward(step, params, start, rows, inputs, num_steps)

    def forward(params, start, rows, inputs):
        found = run(params, start, rows, inputs)
        return found, (params, start, rows, inputs, found)

    def backward(residuals, cotangents):
        params, start, rows, inputs, found = residuals
        signals, keep, flow = rows
        states = jnp.concatenate([start[None], _forced(found, signals, keep)[:-1]])
        gate = jnp.ones(num_steps, start.dtype) if flow is None else flow
        share = gate if keep is None else keep * gate[:, None]
        share = share.reshape(num_steps, -1)[:-1, :, None]
        adjoints = _recursion(step, params, states, inputs, share, cotangents)
        _, pull = jax.vjp(lambda *a: _all_times(step, *a), params, states, inputs)
        params_bar, states_bar, inputs_bar = pull(adjoints)
        rows_bar = _rows_bar(rows, found, states_bar, gate)
        return params_bar, states_bar[0], rows_bar, inputs_bar

    run.defvjp(forward, backward)
    return run


def _all_times(step, params, states, inputs):
    """Return the steps from all states at all times, as lanes of one product."""
    flat = lambda x: jnp.moveaxis(x, 0, -1).reshape(x.shape[1], -1)
    drive = None if inputs is None else flat(inputs)
    moved = _lanes(step, inputs)(params, flat(states), drive)
    return jnp.moveaxis(moved.reshape(*states.shape[1:], len(states)), -1, 0)


def _rows_bar(rows, found, states_bar, gate) -> tuple[Any, Any, Any]:
    """Return the cotangents of signals, keep and flow (flow is no variable: zero)."""
    signals, keep, flow = rows
    zero = None if flow is None else jnp.zeros_like(flow)
    if signals is None:
        return None, None if keep is None else jnp.zeros_like(keep), zero
    later = gate[:-1, None, None] * states_bar[1:]
    later = jnp.concatenate([later, jnp.zeros_like(later[:1])])
    weight = (later * (found - signals)).sum(axis=-1)
    if keep.shape[1] == 1:
        weight = weight.sum(axis=1, keepdims=True)
    return (1.0 - keep[..., None]) * later, weight, zero


def _recursion(step, params, states, inputs, share, cotangents):
    """Return a_t of all times; `share` is keep times flow, one row fewer than there are steps."""
    later = jax.tree.map(lambda x: x[1:], (states, inputs))
    if states.shape[1] <= MAX_JACOBIAN:
        factors, pull = _jacobians(step, params, *later), _by_jacobian
    else:
        factors, pull = later, lambda row, adjoint: _by_step(step, params, row, adjoint)

    def back(adjoint, row):
        cotangent, share, factor = row
        adjoint = cotangent + share * pull(factor, adjoint)
        return adjoint, adjoint

    last, rows = cotangents[-1], (cotangents[:-1], share, factors)
    _, adjoints = lax.scan(back, last, rows, reverse=True, unroll=_UNROLL)
    return jnp.concatenate([adjoints, last[None]])


def _jacobians(step, params, states, inputs):
    """Return J of all times, "time state state lane", first index of the new state."""
    size = states.shape[1]
    unit = jnp.eye(size, dtype=states.dtype)
    push = lambda v: jax.jvp(
        lambda z: _all_times(step, params, z, inputs),
        (states,),
        (jnp.broadcast_to(v[None, :, None], states.shape),),
    )[1]
    return jnp.stack([push(v) for v in unit], axis=2)


def _by_jacobian(jacobian, adjoint):
    return jnp.sum(jacobian * adjoint[:, None], axis=0)


def _by_step(step, params, row, adjoint):
    state, drive = row
    return jax.vjp(lambda z: _lanes(step, drive)(params, z, drive), state)[1](adjoint)[0]
