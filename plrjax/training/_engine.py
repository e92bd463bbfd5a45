"""Many updates in one compiled loop: what does not change, what is carried along, what is noted."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._forcing import AbstractForcing
from ._loss import Networks, forecast_loss, penalty, signals_of, task_loss
from ._regularization import AbstractRegularizer
from ._rollout import jacobians_at
from ._windows import Series, Windows, draw_windows

CHUNK = 4096
"""Most updates in one call."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run does, all of it fixed when it is compiled."""

    forcing: AbstractForcing
    optimizer: optax.GradientTransformationExtraArgs
    regularizers: tuple[AbstractRegularizer, ...]
    loss: Callable | None
    sequence_length: int
    batch_size: int


class Carry(NamedTuple):
    """What one update hands to the next; all of it is in a checkpoint."""

    nets: Networks
    opt_state: Any
    forcing_state: Any
    update: Int[Array, ""]
    scale: Float[Array, ""]


class Notes(NamedTuple):
    """What is noted of each update: loss, Euclidean norm of each leaf's gradient, forcing state."""

    losses: Float[Any, "update ..."]
    norms: Float[Any, "update ... leaf"]
    forcing: Float[Any, "update ..."]


def batch_loss(nets: Networks, windows: Windows, recipe: Recipe, schedule) -> Float[Array, ""]:
    """Return the loss of one batch, without regularizers."""
    if recipe.loss is not None:
        return task_loss(nets, windows, recipe.loss, schedule)
    return forecast_loss(nets, windows, recipe.forcing, schedule)


def one_update(
    carry: Carry, series: Series, key, recipe: Recipe
) -> tuple[Carry, tuple[Array, Array, Array], Bool[Array, ""]]:
    """Take one step of the optimizer; where loss, gradient or result are not finite, none."""
    draws = jr.split(jr.fold_in(key, carry.update))
    windows = draw_windows(series, draws[0], recipe.batch_size, recipe.sequence_length)
    length = recipe.sequence_length
    schedule = recipe.forcing.schedule(carry.forcing_state, draws[1], carry.update, length)

    def total(nets):
        value = batch_loss(nets, windows, recipe, schedule)
        return value + penalty(nets, recipe.regularizers), value

    (summed, value), gradient = eqx.filter_value_and_grad(total, has_aux=True)(carry.nets)
    leaves = jax.tree.leaves(gradient)
    norms = jnp.stack([_norm(leaf) for leaf in leaves])
    params, rest = eqx.partition(carry.nets, eqx.is_inexact_array)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # Optax's need
        change, opt_state = recipe.optimizer.update(gradient, carry.opt_state, params, value=summed)
    change = jax.tree.map(lambda x: carry.scale.astype(x.dtype) * x, change)
    nets = eqx.combine(eqx.apply_updates(params, change), rest)
    state = _next_forcing(carry, windows, recipe)
    good = jnp.isfinite(value) & jnp.isfinite(norms).all() & _finite(nets)
    moved = Carry(nets, opt_state, state, carry.update + 1, carry.scale)
    noted = carry.forcing_state if _is_number(carry.forcing_state) else jnp.nan
    carry = jax.tree.map(lambda a, b: jnp.where(good, a, b) if eqx.is_array(a) else a, moved, carry)
    return carry, (value, norms, jnp.asarray(noted, value.dtype)), good


def _norm(leaf: Array) -> Float[Array, ""]:
    """Return the Euclidean norm, which is finite where all entries are (squares may not be)."""
    largest = jnp.max(jnp.abs(leaf), initial=0.0)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    return scale * jnp.linalg.norm(jnp.ravel(leaf) / scale)


def _is_number(state: Any) -> bool:
    return eqx.is_array(state) and not state.shape


def _finite(nets: Networks) -> Bool[Array, ""]:
    leaves = jax.tree.leaves(eqx.filter(nets, eqx.is_inexact_array))
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def _next_forcing(carry: Carry, windows: Windows, recipe: Recipe):
    every = recipe.forcing.update_every
    if not every:
        return carry.forcing_state

    def estimate(state):
        signals = signals_of(carry.nets, windows)[:-1]  # where the inputs act
        jacobians = jacobians_at(carry.nets.model, signals, windows.inputs)
        return recipe.forcing.update(state, carry.nets.model, jacobians)

    due = (carry.update + 1) % every == 0
    return lax.cond(due, estimate, lambda state: state, carry.forcing_state)


@eqx.filter_jit
def advance(
    carry: Carry, series: Series, key, count: Int[Array, ""], recipe: Recipe
) -> tuple[Carry, Notes, Int[Array, " *run"]]:
    """Take `count` updates, or those until one is not finite; return how many were good.

    With several keys, everything carried has as many rows: runs side by side, each of which stands
    still after its first update that is not finite. The number of updates is given at run time, so
    that runs cut into other chunks compute the same numbers to the last bit.
    """
    params, rest = eqx.partition(carry, eqx.is_array)

    def update(params, key):
        moved, seen, good = one_update(eqx.combine(params, rest), series, key, recipe)
        return eqx.filter(moved, eqx.is_array), seen, good

    update = jax.vmap(update) if key.shape else update
    leaves = jax.tree.leaves(eqx.filter(carry.nets, eqx.is_inexact_array))
    blank = lambda *shape: jnp.zeros((CHUNK, *key.shape, *shape), leaves[0].dtype)

    def body(loop):
        i, alive, good, params, notes = loop
        moved, seen, fine = update(params, key)
        if key.shape:
            moved = jax.tree.map(lambda new, old: _where(alive, new, old), moved, params)
        alive = alive & fine
        notes = Notes(*(note.at[i].set(value) for note, value in zip(notes, seen)))
        return i + 1, alive, good + alive.astype(jnp.int32), moved, notes

    none, all_alive = jnp.zeros(key.shape, jnp.int32), jnp.ones(key.shape, bool)
    notes = Notes(blank(), blank(len(leaves)), blank())
    begin = (jnp.zeros((), jnp.int32), all_alive, none, params, notes)
    _, _, good, params, notes = lax.while_loop(
        lambda loop: (loop[0] < count) & loop[1].any(), body, begin
    )
    return eqx.combine(params, rest), notes, good


def _where(alive: Bool[Array, " run"], new: Array, old: Array) -> Array:
    """Return new rows of the runs that are alive, else the old ones."""
    return jnp.where(alive.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
