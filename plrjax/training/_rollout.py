"""The engine of training: predictions along forced orbits, and their gradient.

Everything is "time lane state": one row per step, one lane per window of the batch, one matrix
product for a step of all lanes.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from .._dynamics import AbstractDynamics
from ._forcing import Schedule
from ._observation import AbstractObservation

MAX_JACOBIAN = 4
"""Most states for which Jacobians written out beat one product after another (measured)."""
MAX_CLOSED_JACOBIAN = 8
"""The same for networks that know their Jacobian in closed form."""


def rollout(
    model: AbstractDynamics,
    start: Float[Array, "lane state"],
    signals: Float[Array, "time lane state"] | None,
    keep: Float[Array, "time column"] | None,
    inputs: Float[Array, "time lane input"] | None,
    *,
    num_steps: int,
    flow: Float[Array, " time"] | None = None,
    adjoint: bool = True,
) -> Float[Array, "time lane state"]:
    """Return z_t = F(z~_{t-1}, s_{t-1}), z~_t = keep_t z_t + (1 - keep_t) signal_t, z~_1 = start.

    Without signals nothing is forced. `keep` has a column for each state, or one for all. `flow`
    is 1 where gradients flow on through z~_t and 0 where they are cut. `adjoint` takes the gradient
    by the adjoint recursion (see `_adjoint`), which agrees with automatic differentiation up to
    rounding.
    """
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    whole = lambda params: eqx.combine(params, rest)
    rows = (signals, keep, flow)
    if not adjoint:
        return _forward(whole, params, start, rows, inputs, num_steps)
    return _adjoint(whole, num_steps)(params, start, rows, inputs)


def rollout_seen(
    model: AbstractDynamics,
    observation: AbstractObservation,
    start: Float[Array, "lane state"],
    observations: Float[Array, "time lane observation"],
    seen: Bool[Array, "time lane observation"],
    inputs: Float[Array, "time lane input"] | None,
    schedule: Schedule,
) -> Float[Array, "time lane state"]:
    """Return the same where observations are missing, differentiated as it stands.

    What is missing says what the network says: the signal is that of the observation with O(z_t) in
    its place. Where nothing was observed, no state is forced.
    """
    keep, flow = (None if x is None else x.astype(start.dtype) for x in schedule)
    forced, signal = jnp.asarray(observation.forced), observation.prepared_signal()

    def advance(state, row):
        shown, there, share, gate, drive = row
        state = moved = all_lanes(model.step, state, drive)
        if share is not None:
            filled = jnp.where(there, shown, jax.vmap(observation.observe)(moved))
            pulled = share * moved + (1.0 - share) * jax.vmap(signal)(filled)
            state = jnp.where(there.any(axis=1)[:, None] & forced[None], pulled, moved)
        if gate is not None:
            state = gate * state + (1.0 - gate) * lax.stop_gradient(state)
        return state, moved

    rows = (observations, seen, keep, flow, inputs)
    return lax.scan(advance, start, rows, length=len(observations))[1]


def all_lanes(function, states: Float[Array, "lane state"], inputs: Any) -> Array:
    """Return function(state, input) of all lanes; inputs may be None."""
    return jax.vmap(function, in_axes=(0, None if inputs is None else 0))(states, inputs)


def jacobians_at(
    model: AbstractDynamics,
    states: Float[Array, "time lane state"],
    inputs: Float[Array, "time lane input"] | None,
) -> Float[Array, "time lane state state"]:
    """Return DF of all times and lanes."""
    found = all_lanes(model.jacobian, _flat(states), _flat(inputs))
    return found.reshape(*states.shape, states.shape[-1])


def _forced(state, signal, keep):
    """Return z~; keep is "column", or "time column" beside as many rows of states."""
    if signal is None:
        return state
    keep = jnp.expand_dims(keep, -2)
    return keep * state + (1.0 - keep) * signal


def _forward(whole, params, start, rows, inputs, num_steps: int):
    """Roll out by a scan, differentiated as it stands."""

    def advance(state, row):
        (signal, keep, flow), drive = row
        moved = all_lanes(whole(params).step, state, drive)
        state = _forced(moved, signal, keep)
        if flow is not None:
            state = flow * state + (1.0 - flow) * lax.stop_gradient(state)
        return state, moved

    return lax.scan(advance, start, (rows, inputs), length=num_steps)[1]


def _adjoint(whole, num_steps: int):
    """Return the rollout with its gradient by the adjoint recursion.

    With g_t the cotangent of z_t and J_t = DF(z~_t), a_t = g_t + keep_t flow_t J_t^T a_{t+1} runs
    backward alone; the gradients of all parameters then follow in one product over all times.
    """

    @jax.custom_vjp
    def run(params, start, rows, inputs):
        return _forward(whole, params, start, rows, inputs, num_steps)

    def forward(params, start, rows, inputs):
        found = run(params, start, rows, inputs)
        return found, (params, start, rows, inputs, found)

    def backward(residuals, cotangents):
        params, start, rows, inputs, found = residuals
        signals, keep, flow = rows
        states = jnp.concatenate([start[None], _forced(found, signals, keep)[:-1]])
        gate = jnp.ones(num_steps, start.dtype) if flow is None else flow
        share = gate if keep is None else keep * gate[:, None]
        share = share.reshape(num_steps, 1, -1)[:-1]
        adjoints = _recursion(whole, params, states, inputs, share, cotangents)
        _, pull = jax.vjp(lambda *a: _all_times(whole, *a), params, states, inputs)
        params_bar, states_bar, inputs_bar = pull(adjoints)
        rows_bar = _rows_bar(rows, found, states_bar, gate)
        return params_bar, states_bar[0], rows_bar, inputs_bar

    run.defvjp(forward, backward)
    return run


def _flat(rows) -> Any:
    """Return "time lane column" as lanes of one product."""
    return None if rows is None else rows.reshape(-1, rows.shape[-1])


def _all_times(whole, params, states, inputs):
    """Return the steps from all states at all times."""
    moved = all_lanes(whole(params).step, _flat(states), _flat(inputs))
    return moved.reshape(states.shape)


def _rows_bar(rows, found, states_bar, gate) -> tuple[Any, Any, Any]:
    """Return the cotangents of signals, keep and flow (flow is no variable: zero)."""
    signals, keep, flow = rows
    zero = None if flow is None else jnp.zeros_like(flow)
    if signals is None:
        return None, None if keep is None else jnp.zeros_like(keep), zero
    later = gate[:-1, None, None] * states_bar[1:]
    later = jnp.concatenate([later, jnp.zeros_like(states_bar[:1])])
    weight = (later * (found - signals)).sum(axis=1)
    if keep.shape[1] == 1:
        weight = weight.sum(axis=1, keepdims=True)
    return (1.0 - keep[:, None]) * later, weight, zero


def _recursion(whole, params, states, inputs, share, cotangents):
    """Return a_t of all times; `share` is keep times flow, one row fewer than there are steps."""
    later = jax.tree.map(lambda x: x[1:], (states, inputs))
    if _has_small_jacobian(whole(params)):
        factors, pull = jacobians_at(whole(params), *later), _by_jacobian
    else:
        factors, pull = later, lambda row, adjoint: _by_step(whole, params, row, adjoint)

    def back(adjoint, row):
        cotangent, share, factor = row
        adjoint = cotangent + share * pull(factor, adjoint)
        return adjoint, adjoint

    last, rows = cotangents[-1], (cotangents[:-1], share, factors)
    _, adjoints = lax.scan(back, last, rows, reverse=True)
    return jnp.concatenate([adjoints, last[None]])


def _has_small_jacobian(model: AbstractDynamics) -> bool:
    """Return whether Jacobians of all times are worth their memory and time."""
    closed = type(model).jacobian is not AbstractDynamics.jacobian
    return model.state_size <= (MAX_CLOSED_JACOBIAN if closed else MAX_JACOBIAN)


def _by_jacobian(jacobian, adjoint):
    return jnp.sum(jacobian * adjoint[:, :, None], axis=1)


def _by_step(whole, params, row, adjoint):
    state, drive = row
    step = lambda z: all_lanes(whole(params).step, z, drive)
    return jax.vjp(step, state)[1](adjoint)[0]
