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
from ._rollout import rollout, rollout_seen
from ._windows import Windows


class Networks(NamedTuple):
    """What is trained."""

    model: AbstractDynamics
    observation: AbstractObservation


def _given(array: Array | None) -> Array:
    assert array is not None
    return array


def signals_of(nets: Networks, windows: Windows) -> Float[Array, "time lane state"]:
    """Return the forcing signals at all observations."""
    return _at_all(nets.observation.signal, _given(windows.observations))


def _at_all(function: Callable, rows: Float[Array, "time lane column"]) -> Array:
    """Return the function of all times and lanes, as one product."""
    found = jax.vmap(function)(rows.reshape(-1, rows.shape[-1]))
    return found.reshape(*rows.shape[:2], *found.shape[1:])


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
    start = jax.vmap(nets.observation.initial_state)(observations[0])
    if windows.seen is None and forced.all() and interval is not None and interval < num_steps:
        return _segmented_loss(nets, start, signals, wanted, windows.inputs, interval)
    keep, flow = schedule
    if windows.seen is not None:
        return _loss_of_seen(nets, start, windows, schedule)
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
    return jnp.mean((_at_all(nets.observation.observe, found) - wanted) ** 2)


def _loss_of_seen(nets: Networks, start, windows: Windows, schedule: Schedule):
    """Return the loss over what was observed; only that forces the states."""
    wanted, seen = _given(windows.observations)[1:], _given(windows.seen)[1:]
    found = rollout_seen(
        nets.model, nets.observation, start, wanted, seen, windows.inputs, schedule
    )
    errors = jnp.where(seen, _at_all(nets.observation.observe, found) - wanted, 0.0)
    return jnp.sum(errors**2) / jnp.maximum(seen.sum(), 1).astype(errors.dtype)


def _segmented_loss(nets: Networks, start, signals, wanted, inputs, interval: int):
    """Return the loss of segments of `interval` steps side by side, and of what is left of them."""
    count = len(wanted) // interval
    whole = count * interval
    starts = jnp.concatenate([start[None], signals[interval:-1:interval]])

    def split(rows):
        rows = rows[:whole].reshape(count, interval, *rows.shape[1:])
        return jnp.moveaxis(rows, 0, 1).reshape(interval, -1, rows.shape[-1])

    def error(begin, wanted, drive):
        found = rollout(nets.model, begin, None, None, drive, num_steps=len(wanted))
        return jnp.sum((_at_all(nets.observation.observe, found) - wanted) ** 2)

    drive = None if inputs is None else split(inputs)
    total = error(starts[:count].reshape(-1, starts.shape[-1]), split(wanted), drive)
    if whole < len(wanted):
        rest = None if inputs is None else inputs[whole:]
        total = total + error(starts[count], wanted[whole:], rest)
    return total / wanted.size


def task_loss(
    nets: Networks, windows: Windows, loss: Callable, schedule: Schedule
) -> Float[Array, ""]:
    """Return the mean over lanes of loss(predicted, target), both "time column"."""
    inputs, targets = _given(windows.inputs), _given(windows.targets)
    start = jnp.zeros((inputs.shape[1], nets.model.state_size), inputs.dtype)
    found = rollout(
        nets.model, start, None, None, inputs, num_steps=len(targets), flow=schedule.flow,
        adjoint=False,
    )  # fmt: skip
    shown = _at_all(lambda z: nets.observation.observe(nets.model.output(z)), found)
    each = jax.vmap(loss, in_axes=1)(shown, targets)
    return jnp.mean(each)


def penalty(nets: Networks, regularizers: Sequence[AbstractRegularizer]) -> Any:
    """Return the sum of all regularizers."""
    return sum((one(*nets) for one in regularizers), start=0.0)
