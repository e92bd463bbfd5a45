"""The loss of one batch of windows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._dynamics import AbstractDynamics
from ._forcing import AbstractForcing, Schedule
from ._observation import AbstractObservation
from ._regularization import AbstractRegularizer
from ._rollout import rollout
from ._windows import Windows


class Networks(NamedTuple):
    """What is trained."""

    model: AbstractDynamics
    observation: AbstractObservation


def _given(array: Array | None) -> Array:
    assert array is not None
    return array


def signals_of(nets: Networks, windows: Windows) -> Float[Array, "time state lane"]:
    """Return the forcing signals at all observations."""
    lanes = jax.vmap(nets.observation.signal, in_axes=-1, out_axes=-1)
    return jax.vmap(lanes)(_given(windows.observations))


def forecast_loss(
    nets: Networks, windows: Windows, forcing: AbstractForcing, schedule: Schedule
) -> Float[Array, ""]:
    """Return the mean squared error of O(z_t) against x_t, t = 2 ... T + 1.

    Predictions enter before they are forced (Hess et al. 2023, eq. 4). Where all states are forced
    at equal intervals the windows fall into segments that run side by side: the same loss in a
    fraction of the steps.
    """
    observations = _given(windows.observations)
    signals, wanted = signals_of(nets, windows), observations[1:]
    forced, num_steps = nets.observation.forced, len(wanted)
    interval = forcing.segment
    if forced.all() and interval is not None and interval < num_steps:
        return _segmented_loss(nets, signals, wanted, windows.inputs, interval)
    start = jax.vmap(nets.observation.initial_state, -1, -1)(observations[0])
    keep, flow = schedule
    if keep is not None:
        keep = keep.astype(start.dtype)[:, None]
        keep = keep if forced.all() else jnp.where(jnp.asarray(forced), keep, 1.0)
    found = rollout(
        nets.model,
        start,
        None if keep is None else signals[1:],
        keep,
        windows.inputs,
        num_steps=num_steps,
        flow=None if flow is None else flow.astype(start.dtype),
    )
    return jnp.mean((_observed(nets, found) - wanted) ** 2)


def _segmented_loss(nets: Networks, signals, wanted, inputs, interval: int):
    """Return the loss of segments of `interval` steps; the last ones may end earlier."""
    num_steps = len(wanted)
    count = -(-num_steps // interval)

    def split(rows):
        spare = count * interval - num_steps
        rows = jnp.concatenate([rows, jnp.zeros((spare, *rows.shape[1:]), rows.dtype)])
        rows = rows.reshape(count, interval, *rows.shape[1:])
        return jnp.moveaxis(rows, 0, -1).reshape(interval, rows.shape[2], -1)

    start = jnp.moveaxis(signals[:-1:interval], 0, -1).reshape(signals.shape[1], -1)
    drive = None if inputs is None else split(inputs)
    found = rollout(nets.model, start, None, None, drive, num_steps=interval, adjoint=False)
    error = (_observed(nets, found) - split(wanted)) ** 2
    used = split(jnp.ones_like(wanted[:, :1]))
    return jnp.sum(used * error) / wanted.size


def _observed(nets: Networks, states):
    """Return O(z) of all states "time state lane"."""
    size, times = states.shape[1], len(states)
    flat = jnp.moveaxis(states, 0, -1).reshape(size, -1)
    seen = jax.vmap(nets.observation.observe, in_axes=-1, out_axes=-1)(flat)
    return jnp.moveaxis(seen.reshape(len(seen), states.shape[2], times), -1, 0)


def task_loss(
    nets: Networks, windows: Windows, loss: Callable, schedule: Schedule
) -> Float[Array, ""]:
    """Return the mean over lanes of loss(predicted, target), both "time column"."""
    inputs, targets = _given(windows.inputs), _given(windows.targets)
    size, lanes = nets.model.state_size, targets.shape[-1]
    start = jnp.zeros((size, lanes), inputs.dtype)
    found = rollout(
        nets.model, start, None, None, inputs, num_steps=len(targets), flow=schedule.flow,
        adjoint=False,
    )  # fmt: skip
    shown = jax.vmap(jax.vmap(nets.model.output, -1, -1))(found)
    each = jax.vmap(loss, in_axes=-1)(_observed(nets, shown), targets)
    return jnp.mean(each)


def penalty(nets: Networks, regularizers: Sequence[AbstractRegularizer]) -> Any:
    """Return the sum of all regularizers."""
    return sum((one(*nets) for one in regularizers), start=0.0)
