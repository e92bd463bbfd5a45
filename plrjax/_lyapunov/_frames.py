"""Tangent frames: drawn at random, pushed by the derivative of one step, made orthonormal by QR.

Everything is batch-last: states are `state *lanes`, frames `state vector *lanes`. A step then is
one matrix product over all lanes, and the unrolled Gram-Schmidt vectorizes over them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

MAX_UNROLLED = 10
"""Most vectors for which the unrolled Gram-Schmidt beats LAPACK's Householder QR (measured)."""

_LOSS = 10.0
"""A column that keeps less than 10 M eps of the longest column's length outside the span of those
before it is zero within rounding: its direction is lost and its exponent minus infinity."""


class Orthonormal(NamedTuple):
    """J Q = Q' R with positive diagonal: the frame Q', ln R_ii, and R_ii over the longest column.

    The relative rounding error of R_ii is eps divided by `kept`.
    """

    frames: Float[Array, "state vector ..."]
    logs: Float[Array, "vector ..."]
    kept: Float[Array, "vector ..."]


def random_frame(
    key: PRNGKeyArray, num_states: int, num_vectors: int, dtype
) -> Float[Array, "state vector"]:
    """Draw an orthonormal frame from the uniform distribution: generic, unlike unit vectors."""
    return jnp.linalg.qr(jr.normal(key, (num_states, num_vectors), dtype))[0]


def push(step: Callable, state, frame, input=None):
    """Return (F(z), J Q) for one lane: J = DF(z) is applied to the columns, never built."""
    moved, derivative = jax.linearize(lambda z: apply_step(step, z, input), state)
    return moved, jax.vmap(derivative, in_axes=1, out_axes=1)(frame)


def apply_step(step: Callable, state, input=None):
    """Return step(z), or step(z, s) for a driven map."""
    return step(state) if input is None else step(state, input)


def push_lanes(step: Callable, states, frames, input=None):
    """Return (F(z), J Q) of every lane; an input of rank 1 is shared, one of rank 2 has lanes."""
    axis = -1 if input is not None and input.ndim == 2 else None
    one = lambda z, Q, s: push(step, z, Q, s)
    return jax.vmap(one, in_axes=(-1, -1, axis), out_axes=-1)(states, frames, input)


def step_lanes(step: Callable, states, input=None):
    """Return F(z) of every lane."""
    axis = -1 if input is not None and input.ndim == 2 else None
    one = lambda z, s: apply_step(step, z, s)
    return jax.vmap(one, in_axes=(-1, axis), out_axes=-1)(states, input)


def orthonormalize(frames: Float[Array, "state vector ..."]) -> Orthonormal:
    """Return the QR factors of every lane's frame, and where columns collapsed, ln R_ii = -inf.

    A collapsed column is replaced by one orthonormal to those before it, so the others go on.
    """
    if frames.shape[1] > MAX_UNROLLED:
        return _householder(frames)
    return _repaired(_gram_schmidt(frames), frames)


def orthonormalize_fast(frames: Float[Array, "state vector ..."]) -> Orthonormal:
    """Return what `orthonormalize` does, where no gradient is asked for, sooner where many."""
    if frames.shape[1] > MAX_UNROLLED:
        return _repaired(_triangular(frames), frames)
    return orthonormalize(frames)


def _repaired(once: Orthonormal, frames) -> Orthonormal:
    """Take Householder's QR for all lanes where a column lost half of its digits.

    Modified Gram-Schmidt gives R as accurately as Householder, but Q only as orthonormal as the
    columns are independent (Björck 1967), and so does A R^-1; the next R feels the square of that.
    """
    limit = float(jnp.finfo(frames.dtype).eps) ** 0.5
    lost = jnp.any(lax.stop_gradient(once.kept) < limit)
    return lax.cond(lost, _householder, lambda _: once, frames)


def _dot(a, b):
    """Return the product over states; few are written out, which XLA fuses with what follows."""
    if a.shape[0] > 4:
        return jnp.sum(a * b, axis=0)
    total = a[0] * b[0]
    for i in range(1, a.shape[0]):
        total = total + a[i] * b[i]
    return total


def _length(square):
    """Return (sqrt(square), log of it, its inverse); zero has logarithm -inf and inverse 1."""
    zero = square == 0
    safe = jnp.where(zero, jnp.ones_like(square), square)
    length = jnp.sqrt(safe)
    none = jnp.zeros_like(square)
    log = jnp.where(zero, none - jnp.inf, 0.5 * jnp.log(safe))
    return jnp.where(zero, none, length), log, 1 / length


def _kept(lengths, squares):
    """Return R_ii over the length of the longest column, from R_ii and the columns' squares."""
    longest = _length(jnp.max(squares, axis=0, keepdims=True))
    return lax.stop_gradient(lengths * longest[2])


def _gram_schmidt(frames) -> Orthonormal:
    """Modified Gram-Schmidt in one pass, unrolled over the vectors."""
    columns, logs, lengths, squares = [], [], [], []
    for j in range(frames.shape[1]):
        rest, removed = frames[:, j], jnp.zeros_like(frames[0, 0])
        for column in columns:
            r = _dot(column, rest)
            rest, removed = rest - column * r, removed + r * r
        square = _dot(rest, rest)
        length, log, inverse = _length(square)
        columns.append(rest * inverse)
        logs.append(log)
        lengths.append(length)
        squares.append(removed + square)
    kept = _kept(jnp.stack(lengths), jnp.stack(squares))
    return Orthonormal(jnp.stack(columns, axis=1), jnp.stack(logs), kept)


def _triangular(frames) -> Orthonormal:
    """R by Householder, then A R^-1 with columns of unit length: saves LAPACK's forming of Q."""
    A = jnp.moveaxis(frames, (0, 1), (-2, -1))
    R = jnp.linalg.qr(A, mode="r")
    R = R * _signs(R)[..., :, None]
    Q = jnp.moveaxis(lax.linalg.triangular_solve(R, A, lower=False), (-2, -1), (0, 1))
    Q = Q * _length(jnp.sum(Q * Q, axis=0, keepdims=True))[2]
    return Orthonormal(Q, *_lengths(R))


def _householder(frames) -> Orthonormal:
    """LAPACK's QR, lane by lane; Q is orthonormal even where R is singular."""
    Q, R = jnp.linalg.qr(jnp.moveaxis(frames, (0, 1), (-2, -1)))
    Q = Q * _signs(R)[..., None, :]
    log, kept = _lengths(R)
    dead = kept <= _LOSS * frames.shape[0] * float(jnp.finfo(frames.dtype).eps)
    log = jnp.where(dead, jnp.zeros_like(log) - jnp.inf, log)
    kept = jnp.where(dead, jnp.zeros_like(kept), kept)
    return Orthonormal(jnp.moveaxis(Q, (-2, -1), (0, 1)), log, kept)


def _signs(R):
    diagonal = jnp.diagonal(R, axis1=-2, axis2=-1)
    one = jnp.ones_like(diagonal)
    return jnp.where(diagonal < 0, -one, one)


def _lengths(R):
    """Return ln|R_ii| and |R_ii| over the longest column, "vector *lanes"."""
    diagonal = jnp.moveaxis(jnp.diagonal(R, axis1=-2, axis2=-1), -1, 0)
    length, log, _ = _length(diagonal * diagonal)
    return log, _kept(length, jnp.moveaxis(jnp.sum(R * R, axis=-2), -1, 0))
