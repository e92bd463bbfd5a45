"""Newton and Levenberg-Marquardt steps towards F^k(z) = z, many starts side by side."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

States = Float[Array | np.ndarray, "lane state"]

MAX_STEPS = 200
"""Steps of a start; those that arrive take 5 to 40, those that creep along a valley more."""
STEPS = 16
"""Steps in one call, after which new starts take the place of those that have ended."""
_TIGHT = 4e-15
"""Residual, in units of 1 + |z|, at which nothing more is to be gained."""
_FLAT = 1e-7
"""Gradient of |r|^2 / 2, in units of (1 + |A|) |r|, at which the speed has a local minimum."""
_STIFFEST, _SOFTEST = 1e12, 1e-12
"""Bounds of the damping, in units of |r|: beyond them steps no longer change."""
_POLISH = 3
"""Newton steps at the end, where damping would keep digits away."""


class Descent(NamedTuple):
    """Where starts are: r = F^k(z) - z, A = DF^k(z) - I, damping in units of |r|, steps taken."""

    states: Float[Array, "lane state"]
    wrong: Float[Array, "lane state"]
    matrix: Float[Array, "lane state state"]
    damping: Float[Array, " lane"]
    age: Int[Array, " lane"]
    ended: Bool[Array, " lane"]


class Arrived(NamedTuple):
    """Where starts ended: `residual` max |r|; `flat`: the speed |r| has a local minimum there."""

    states: Float[Array, "lane state"]
    residual: Float[Array, " lane"]
    flat: Bool[Array, " lane"]


def iterated(model: Any, state: Float[Array, " state"], period) -> Float[Array, " state"]:
    """Return F^k(z)."""
    return lax.fori_loop(0, period, lambda _, z: model.step(z), state)


def _linear(model: Any, states: States, period):
    """Return r and A of each lane."""

    def one(z):
        ahead = lambda y: (iterated(model, y, period),) * 2
        jacobian, image = jax.jacfwd(ahead, has_aux=True)(z)
        return image - z, jacobian - jnp.eye(len(z))

    return jax.vmap(one)(states)


def _solved(matrix, right):
    return jnp.linalg.solve(matrix, right[..., None])[..., 0]


def _norm(x):
    return jnp.linalg.norm(x, axis=-1)


def _is_flat(wrong, matrix):
    slope = _norm(jnp.einsum("lij,li->lj", matrix, wrong))
    return slope <= _FLAT * (1 + _norm(matrix.reshape(len(matrix), -1))) * _norm(wrong)


def _one_step(model: Any, run: Descent, period) -> Descent:
    """Take one step: (A'A + damping |r| I) d = -A'r, kept where the residual falls."""
    size = _norm(run.wrong)
    slope = jnp.einsum("lij,li->lj", run.matrix, run.wrong)
    square = jnp.einsum("lij,lik->ljk", run.matrix, run.matrix)
    shift = (run.damping * size)[:, None, None] * jnp.eye(slope.shape[1])
    states = run.states - _solved(square + shift, slope)
    wrong, matrix = _linear(model, states, period)
    expected = size - _norm(run.wrong + jnp.einsum("lij,lj->li", run.matrix, states - run.states))
    gain = (size - _norm(wrong)) / jnp.maximum(expected, 1e-300)
    better = (gain > 1e-3) & jnp.isfinite(states).all(axis=1) & ~run.ended
    damping = jnp.where(gain > 0.75, 0.2, jnp.where(gain > 0.25, 1.0, 5.0)) * run.damping
    damping = jnp.clip(jnp.where(better, damping, 5.0 * run.damping), _SOFTEST, 2 * _STIFFEST)
    pairs = zip((states, wrong, matrix), run[:3])
    states, wrong, matrix = (_pick(better, *pair) for pair in pairs)
    tight = jnp.abs(wrong).max(axis=1) <= _TIGHT * (1 + jnp.abs(states).max(axis=1))
    done = tight | _is_flat(wrong, matrix) | (damping > _STIFFEST) | (run.age >= MAX_STEPS)
    return Descent(states, wrong, matrix, damping, run.age + 1, run.ended | done)


def _pick(which: Bool[Array, " lane"], new: Array, old: Array) -> Array:
    """Return new rows where they are chosen, and old ones elsewhere."""
    return jnp.where(which.reshape(-1, *[1] * (new.ndim - 1)), new, old)


@eqx.filter_jit
def begin(model: Any, states: States, period) -> Descent:
    """Return starts; those that blow up at once have ended."""
    wrong, matrix = _linear(model, states, period)
    lost = ~(jnp.isfinite(wrong).all(axis=1) & jnp.isfinite(matrix).all(axis=(1, 2)))
    count, states = len(states), jnp.asarray(states)
    return Descent(states, wrong, matrix, jnp.full(count, 1e-2), jnp.zeros(count, int), lost)


@eqx.filter_jit
def advance(model: Any, run: Descent, period) -> Descent:
    """Take some steps; lanes that have ended stand still."""
    return lax.fori_loop(0, STEPS, lambda _, now: _one_step(model, now, period), run)


@eqx.filter_jit
def refilled(model: Any, run: Descent, states: States, period) -> Descent:
    """Put new starts where lanes have ended."""
    fresh = begin(model, states, period)
    return Descent(*(_pick(run.ended, *pair) for pair in zip(fresh, run)))


@eqx.filter_jit
def polished(model: Any, run: Descent, period) -> Arrived:
    """Return where lanes end, after Newton steps without damping; NaN where they blew up."""
    flat, states, wrong, matrix = _is_flat(run.wrong, run.matrix), *run[:3]
    for _ in range(_POLISH):
        closer = states + _solved(matrix, -wrong)
        ahead, slope = _linear(model, closer, period)
        better = jnp.abs(ahead).max(axis=1) <= jnp.abs(wrong).max(axis=1)
        pairs = ((closer, states), (ahead, wrong), (slope, matrix))
        states, wrong, matrix = (_pick(better, *pair) for pair in pairs)
    return Arrived(states, jnp.abs(wrong).max(axis=1), flat)


@eqx.filter_jit
def orbits(model: Any, states: States, count: int) -> Float[Array, "..."]:
    """Return z, F(z), ..., F^count(z) of each lane: "lane time state"."""

    def one(z):
        _, path = lax.scan(lambda y, _: (model.step(y),) * 2, z, length=count)
        return jnp.concatenate([z[None], path])

    return jax.vmap(one)(states)


@eqx.filter_jit
def jacobians(model: Any, states: States) -> Float[Array, "lane state state"]:
    """Return DF at each state."""
    return jax.vmap(model.jacobian)(states)
