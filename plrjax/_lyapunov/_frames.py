"""Tangent frames: drawn at random, pushed by the derivative of one step, made orthonormal by QR.

Frames are `state vector *lanes`: a step then is one matrix product over all lanes, and the unrolled
Gram-Schmidt vectorizes over them. Many vectors are orthonormalized in blocks by matrix products;
these take the lane first, and vectors in rows (`lane vector state`).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

MAX_UNROLLED = 10
"""Most vectors for which the unrolled Gram-Schmidt is the fastest (measured)."""

_BLOCK = 16
"""Vectors orthonormalized at a time where there are many: the fastest of 8 to 50 (measured)."""

_PANEL = 64
"""Vectors after which all the rest are updated: products large enough to run at full speed. At 512
vectors QR takes a fifth of the time it takes with blocks alone, at 256 two thirds (measured)."""

_LEAST, _LEAST_IN_BLOCK = 3e-11, 5e-7
"""Smallest R_ii, over the longest column of all and of its block, that `separate` accepts. Columns
then are orthonormal up to 1e-5 (eps over the first) and .01 (16 eps over the second squared). The
first is multiplied by how uneven the R_ii of a panel are: so far off is what it removes."""

ORTHONORMAL = 2e-3
"""Strain of few vectors up to which they are orthonormal to half of the digits."""

_LOSS = 10.0
"""A column that keeps less than 10 M eps of the longest column's length outside the span of those
before it is zero within rounding: its direction is lost and its exponent minus infinity."""


class Orthonormal(NamedTuple):
    """J Q = Q' R with positive diagonal: the frame Q', R_ii, and R_ii over the longest column.

    The relative rounding error of R_ii is eps divided by `kept`.
    """

    frames: Float[Array, "state vector ..."]
    lengths: Float[Array, "vector ..."]
    kept: Float[Array, "vector ..."]

    @property
    def logs(self) -> Float[Array, "vector ..."]:
        """ln R_ii, minus infinity (with gradient zero) where a column collapsed."""
        zero = self.lengths == 0
        log = jnp.log(jnp.where(zero, jnp.ones_like(self.lengths), self.lengths))
        return jnp.where(zero, jnp.zeros_like(log) - jnp.inf, log)


class Separated(NamedTuple):
    """J Q = Q' R with a frame Q' that is not quite orthonormal, in the layout of J Q; and R_ii.

    Products of R_ii over many steps are none the worse for it: with the factor that would make the
    last frame orthonormal they are exact. The relative rounding error of `lengths` is eps times
    `rounding`. In lanes where `strain` is not at most 1 columns were lost, and nothing counts.
    """

    frames: Float[Array, "..."]
    lengths: Float[Array, "vector lane"]
    rounding: Float[Array, "vector lane"]
    strain: Float[Array, " lane"]


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
    """Return (F(z), J Q) of every lane; an input of rank 1 is shared, one of rank 2 has lanes.

    Linearized over all lanes at once: a derivative per lane would have arrays transposed.
    """
    moved, derivative = jax.linearize(lambda z: step_lanes(step, z, input), states)
    return moved, jax.vmap(derivative, in_axes=1, out_axes=1)(frames)


def push_rows(step: Callable, states, rows, input=None):
    """Return what `push_lanes` does for vectors in rows, `lane vector state`."""

    def one(state, rows, input):
        moved, derivative = jax.linearize(lambda z: apply_step(step, z, input), state)
        return moved, jax.vmap(derivative)(rows)

    axes = (-1, 0, _input_axis(input))
    return jax.vmap(one, in_axes=axes, out_axes=(-1, 0))(states, rows, input)


def _input_axis(input):
    return -1 if input is not None and input.ndim == 2 else None


def step_lanes(step: Callable, states, input=None):
    """Return F(z) of every lane."""
    one = lambda z, s: apply_step(step, z, s)
    return jax.vmap(one, in_axes=(-1, _input_axis(input)), out_axes=-1)(states, input)


def orthonormalize(frames: Float[Array, "state vector ..."]) -> Orthonormal:
    """Return the QR factors of every lane's frame, and where columns collapsed, ln R_ii = -inf.

    A collapsed column is replaced by one orthonormal to those before it, so the others go on.
    """
    if frames.shape[1] > MAX_UNROLLED:
        return _householder(frames)
    columns, lengths, squares = _gram_schmidt(frames)
    return _repaired(Orthonormal(columns, lengths, _kept(lengths, squares)), frames)


def _repaired(once: Orthonormal, frames) -> Orthonormal:
    """Take Householder's QR for all lanes where a column lost half of its digits.

    Modified Gram-Schmidt gives R as accurately as Householder, but Q only as orthonormal as the
    columns are independent (Björck 1967); the next R feels the square of that.
    """
    lost = jnp.any(lax.stop_gradient(once.kept) < _eps(frames) ** 0.5)
    return lax.cond(lost, _householder, lambda _: once, frames)


def separate(frames: Float[Array, "state vector lane"]) -> Separated:
    """Return what `orthonormalize` does for few vectors, but leave repairs to the caller."""
    columns, lengths, squares = _gram_schmidt(frames)
    rounding = jnp.sqrt(squares.max(axis=0)) / lengths
    return Separated(columns, lengths, rounding, _LEAST * rounding.max(axis=0))


def separate_rows(rows: Float[Array, "lane vector state"]) -> Separated:
    """Separate many vectors by Gram-Schmidt in panels, and blocks, and there by Cholesky's factors.

    All of it is products with triangular matrices, so `lengths` belong to the frame returned,
    however far that is from orthonormal.
    """
    rest, removed = rows, jnp.zeros(rows.shape[:2], rows.dtype)
    panels, uneven = [], jnp.ones(rows.shape[0], rows.dtype)
    while rest.shape[1]:
        panel = _separate_panel(rest[:, :_PANEL], removed[:, :_PANEL])
        panels.append(panel)
        rest, removed = rest[:, _PANEL:], removed[:, _PANEL:]
        if rest.shape[1]:
            shares = rest @ panel.rows.mT
            rest = rest - shares @ panel.rows
            removed = removed + jnp.sum(shares * shares, axis=2)
            uneven = jnp.maximum(uneven, panel.lengths.max(axis=1) / panel.lengths.min(axis=1))
    done, length, square = (jnp.concatenate(x, axis=1) for x in list(zip(*panels))[:3])
    rounding = jnp.sqrt(square.max(axis=1, keepdims=True)) / length
    in_block = jnp.sqrt(jnp.stack([panel.spread for panel in panels]).max(axis=0))
    strain = jnp.maximum(_LEAST * uneven * rounding.max(axis=1), _LEAST_IN_BLOCK * in_block)
    return Separated(done, length.T, rounding.T, strain)


class _Panel(NamedTuple):
    """Vectors of a panel made a frame, their R_ii, their squares, and the worst block's spread."""

    rows: Float[Array, "lane vector state"]
    lengths: Float[Array, "lane vector"]
    squares: Float[Array, "lane vector"]
    spread: Float[Array, " lane"]


def _separate_panel(rest, removed) -> _Panel:
    """Separate vectors, of whose squares `removed` is gone already, in blocks."""
    done, lengths, squares, spread = [], [], [], []
    while rest.shape[1]:
        block = rest[:, :_BLOCK]
        size = block.shape[1]
        products = rest @ block.mT
        inverse, length = _inverse_factor(products[:, :size])
        own = jnp.diagonal(products[:, :size], axis1=1, axis2=2)
        squares.append(removed[:, :size] + own)
        spread.append(own.max(axis=1) / jnp.square(length.min(axis=1)))
        done.append(inverse @ block)
        lengths.append(length)
        shares = products[:, size:] @ inverse.mT
        rest = rest[:, size:] - shares @ done[-1]
        removed = removed[:, size:] + jnp.sum(shares * shares, axis=2)
    rows, length, square = (jnp.concatenate(x, axis=1) for x in (done, lengths, squares))
    return _Panel(rows, length, square, jnp.stack(spread).max(axis=0))


def _inverse_factor(gram):
    """Return L^-1 and the diagonal of L, L L^T = gram (NaN where it is not positive definite)."""
    factor = lax.linalg.cholesky(gram, symmetrize_input=False)
    unit = jnp.broadcast_to(jnp.eye(gram.shape[-1], dtype=gram.dtype), gram.shape)
    inverse = lax.linalg.triangular_solve(factor, unit, left_side=True, lower=True)
    return inverse, jnp.diagonal(factor, axis1=1, axis2=2)


def rows_of(frames: Float[Array, "state vector lane"]) -> Float[Array, "lane vector state"]:
    """Return frames with the lane first and vectors in rows."""
    return jnp.transpose(frames, (2, 1, 0))


def frames_of(rows: Float[Array, "lane vector state"]) -> Float[Array, "state vector lane"]:
    """Return frames with the lane last and vectors in columns."""
    return jnp.transpose(rows, (2, 1, 0))


def _eps(array) -> float:
    return float(jnp.finfo(array.dtype).eps)


def _dot(a, b):
    """Return the product over states; few are written out, which XLA fuses with what follows."""
    if a.shape[0] > 4:
        return jnp.sum(a * b, axis=0)
    total = a[0] * b[0]
    for i in range(1, a.shape[0]):
        total = total + a[i] * b[i]
    return total


def _length(square):
    """Return (sqrt(square), its inverse); the inverse of zero is 1."""
    zero = square == 0
    length = jnp.sqrt(jnp.where(zero, jnp.ones_like(square), square))
    return jnp.where(zero, jnp.zeros_like(square), length), 1 / length


def _kept(lengths, squares):
    """Return R_ii over the length of the longest column, from R_ii and the columns' squares."""
    longest = _length(jnp.max(squares, axis=0, keepdims=True))
    return lax.stop_gradient(lengths * longest[1])


def _gram_schmidt(frames):
    """Modified Gram-Schmidt in one pass, unrolled: the frame, R_ii, and the columns' squares."""
    columns, lengths, squares = [], [], []
    for j in range(frames.shape[1]):
        rest, removed = frames[:, j], jnp.zeros_like(frames[0, 0])
        for column in columns:
            r = _dot(column, rest)
            rest, removed = rest - column * r, removed + r * r
        square = _dot(rest, rest)
        length, inverse = _length(square)
        columns.append(rest * inverse)
        lengths.append(length)
        squares.append(removed + square)
    return jnp.stack(columns, axis=1), jnp.stack(lengths), jnp.stack(squares)


def _householder(frames) -> Orthonormal:
    """LAPACK's QR, lane by lane; Q is orthonormal even where R is singular.

    With the longest rows first, errors are small against every row (Cox, Higham 1998): one unit
    that saturates makes a short row, and the last R_ii keeps its digits.
    """
    rows = jnp.moveaxis(frames, (0, 1), (-2, -1))
    size = lax.stop_gradient(jnp.abs(rows).max(axis=-1))
    order = jnp.argsort(-size, axis=-1)[..., None]
    Q, R = jnp.linalg.qr(jnp.take_along_axis(rows, order, axis=-2))
    Q = jnp.take_along_axis(Q * _signs(R)[..., None, :], jnp.argsort(order, axis=-2), axis=-2)
    lengths, kept = _lengths(R)
    least = _LOSS * frames.shape[0] * _eps(frames)
    alike = lambda: _lengths(jnp.linalg.qr(_equilibrated(rows, size), mode="r"))[1]
    kept = lax.cond(jnp.any(kept <= least), alike, lambda: kept)
    dead = kept <= least
    lengths, kept = (jnp.where(dead, jnp.zeros_like(kept), x) for x in (lengths, kept))
    return Orthonormal(jnp.moveaxis(Q, (-2, -1), (0, 1)), lengths, kept)


def _equilibrated(rows, size):
    """Return rows of size one (or zero): their R says how far errors of each row reach."""
    return lax.stop_gradient(rows) / jnp.where(size == 0, jnp.ones_like(size), size)[..., None]


def _signs(R):
    diagonal = jnp.diagonal(R, axis1=-2, axis2=-1)
    one = jnp.ones_like(diagonal)
    return jnp.where(diagonal < 0, -one, one)


def _lengths(R):
    """Return |R_ii| and |R_ii| over the longest column, "vector *lanes"."""
    diagonal = jnp.moveaxis(jnp.diagonal(R, axis1=-2, axis2=-1), -1, 0)
    length, _ = _length(diagonal * diagonal)
    return length, _kept(length, jnp.moveaxis(jnp.sum(R * R, axis=-2), -1, 0))
