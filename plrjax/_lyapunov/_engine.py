"""The compiled loops of the host layer: many orbits side by side, loop lengths given at run time.

One compilation serves every QR interval, block length and transient of a model.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._frames import (
    MAX_UNROLLED,
    ORTHONORMAL,
    Separated,
    frames_of,
    orthonormalize,
    push_lanes,
    push_rows,
    rows_of,
    separate,
    separate_rows,
    step_lanes,
)

SLOTS = 32
"""Sums kept apart in one call of `measure`."""

_CHUNK, _INTERVALS = 16, 4
"""Steps, and intervals, after which lost columns are noticed; what was done since is repeated."""

_UNROLLED, _ENOUGH_LANES = 16, 32
"""Most vectors for which the unrolled Gram-Schmidt is the fastest where so many lanes share it."""


class Lanes(NamedTuple):
    """Where every orbit is, and its tangent frame."""

    states: Float[Array, "state lane"]
    frames: Float[Array, "state vector lane"]


class Sums(NamedTuple):
    """Sums over the steps of each slot: ln R_ii, states reached, and 1 / kept (frames).

    `finite` and `finite_states` say which lanes, and which states, are finite at the end.
    """

    logs: Float[Array, "slot vector lane"]
    states: Float[Array, "slot state lane"]
    rounding: Float[Array, "slot vector lane"]
    finite: Bool[Array, " lane"]
    finite_states: Bool[Array, " lane"]


def _row(inputs, time):
    return None if inputs is None else lax.dynamic_index_in_dim(inputs, time, keepdims=False)


class _Run(NamedTuple):
    """Lanes on their way through a slot, frames in any layout, and the sums of the slot so far.

    The product of all R_ii is `mantissa` times 2^`exponent`; `worst` is the largest strain.
    """

    states: Float[Array, "state lane"]
    frames: Float[Array, "..."]
    total: Float[Array, "state lane"]
    mantissa: Float[Array, "vector lane"]
    exponent: Int[Array, "vector lane"]
    rounding: Float[Array, "vector lane"]
    worst: Float[Array, " lane"]
    time: Int[Array, ""]


def _begin_run(states, frames, num_vectors, time) -> _Run:
    shape = (num_vectors, states.shape[1])
    one, zero, none = jnp.ones(shape), jnp.zeros(shape), jnp.zeros(shape, jnp.int64)
    worst = jnp.zeros(shape[1])
    return _Run(states, frames, jnp.zeros(states.shape), one, none, zero, worst, time)


def _times(run: _Run, lengths) -> _Run:
    """Multiply the product of all R_ii: cheaper than one logarithm after the other."""
    product = run.mantissa * lengths
    bits = lax.bitcast_convert_type(product, jnp.int64)
    exponent = (bits >> 52) - 1023
    normal = (exponent > -1023) & (exponent < 1024)
    exponent = jnp.where(normal, exponent, 0)
    mantissa = lax.bitcast_convert_type(bits - (exponent << 52), product.dtype)
    return run._replace(mantissa=mantissa, exponent=run.exponent + exponent)


def _logs(run: _Run) -> Float[Array, "vector lane"]:
    return jnp.log(run.mantissa) + run.exponent * jnp.log(2.0)


def _go_on(push, separate, run: _Run, interval, stop) -> _Run:
    """Go on until time `stop` or later, interval after interval."""

    def one_step(time, carry):
        states, frames, total = carry
        states, frames = push(states, frames, time)
        return states, frames, total + states

    def one_interval(run):
        end, begin = run.time + interval, (run.states, run.frames, run.total)
        states, frames, total = lax.fori_loop(run.time, end, one_step, begin)
        found = separate(frames)
        rounding, worst = run.rounding + found.rounding, jnp.maximum(run.worst, found.strain)
        run = run._replace(states=states, frames=found.frames, total=total, time=end)
        return _times(run._replace(rounding=rounding, worst=worst), found.lengths)

    return lax.while_loop(lambda run: run.time < stop, one_interval, run)


def _exactly(frames: Float[Array, "state vector lane"]) -> Separated:
    found = orthonormalize(frames)
    return Separated(found.frames, found.lengths, 1.0 / found.kept, jnp.zeros(frames.shape[2]))


def _exactly_in_rows(rows: Float[Array, "lane vector state"]) -> Separated:
    found = _exactly(frames_of(rows))
    return found._replace(frames=rows_of(found.frames))


def _run_slot(model, inputs, few: bool, run: _Run, interval, length) -> _Run:
    """Go on for `length` intervals in chunks; where columns were lost, repeat the chunk exactly."""
    move, quickly, exactly = (
        (push_lanes, separate, _exactly) if few else (push_rows, separate_rows, _exactly_in_rows)
    )
    push = lambda states, frames, time: move(model.step, states, frames, _row(inputs, time))
    end = run.time + interval * length

    def one_chunk(run):
        stop = jnp.minimum(run.time + jnp.maximum(_CHUNK, _INTERVALS * interval), end)
        quick = _go_on(push, quickly, run, interval, stop)
        sound = jnp.isfinite(quick.states).all(axis=0)
        lost = jnp.any(sound & ~(quick.worst <= 1.0))
        again = lambda: _go_on(push, exactly, run, interval, stop)
        return lax.cond(lost, again, lambda: quick)

    def squared_up(run):
        """Make the frames orthonormal, so that the product of all R_ii is exact."""
        found = exactly(run.frames)
        return _times(run._replace(frames=found.frames), found.lengths)

    run = lax.while_loop(lambda run: run.time < end, one_chunk, run)
    return lax.cond(jnp.any(run.worst > ORTHONORMAL), squared_up, lambda run: run, run)


def _are_few(frames) -> bool:
    _, vectors, lanes = frames.shape
    return vectors <= (_UNROLLED if lanes >= _ENOUGH_LANES else MAX_UNROLLED)


@eqx.filter_jit
def measure(model, lanes: Lanes, inputs, start, interval, length, count) -> tuple[Lanes, Sums]:
    """Go on for `count` slots of `length` intervals of `interval` steps from time `start`."""
    few = _are_few(lanes.frames)

    def one_slot(i, carry):
        where, sums, time = carry
        states, frames = where
        run = _begin_run(states, frames, vectors[0], time)
        run = _run_slot(model, inputs, few, run, interval, length)
        logs, total = sums.logs.at[i].set(_logs(run)), sums.states.at[i].set(run.total)
        rounding = sums.rounding.at[i].set(run.rounding)
        sums = sums._replace(logs=logs, states=total, rounding=rounding)
        return (run.states, run.frames), sums, run.time

    vectors, states = lanes.frames.shape[1:], lanes.states.shape
    none, yes = jnp.zeros((SLOTS, *vectors)), jnp.ones(states[1:], bool)
    sums = Sums(none, jnp.zeros((SLOTS, *states)), none, yes, yes)
    where = (lanes.states, lanes.frames if few else rows_of(lanes.frames))
    (reached, frames), sums, _ = lax.fori_loop(0, count, one_slot, (where, sums, start))
    lanes = Lanes(reached, frames if few else frames_of(frames))
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
        return Lanes(states, orthonormalize(frames).frames), alive, count + alive

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
