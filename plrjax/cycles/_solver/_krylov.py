"""Large states: (I - P) z = c by GMRES, with P known only as k applications of the map.

A direct solve multiplies k matrices of size M, 2 (k - 1) M^3 operations; here each iteration costs
2 k M^2, and some tens of them suffice, since the multipliers of a cycle gather near zero. Left
preconditioner 1 / (1 - a_i^k): without it units that nearly integrate (a near 1) need hundreds.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

MAX_ITERATIONS = 60
_BLOCK = 16
"""Vectors by which the part of the basis grows that is made orthogonal to."""

TOLERANCE = 1e-9
"""Preconditioned relative residual at which a lane is done. Only the signs of the orbit are used,
and every word found is solved again on the host."""


class _Arnoldi(NamedTuple):
    """State of all lanes: basis, triangular factor, rotations, right-hand side, iteration."""

    basis: Float[Array, "vector state lane"]
    upper: Float[Array, "row column lane"]
    cosine: Float[Array, "column lane"]
    sine: Float[Array, "column lane"]
    right: Float[Array, "row lane"]
    iteration: Array


def preconditioner(diagonal: Float[Array, " state"], period: Array) -> Float[Array, " state"]:
    """Return 1 / (1 - a_i^k), the denominator kept 1e-3 away from zero."""
    gap = 1.0 - diagonal**period
    return 1.0 / jnp.where(gap < 0, jnp.minimum(gap, -1e-3), jnp.maximum(gap, 1e-3))


def gmres(
    apply_power, offset: Float[Array, "state lane"], scale: Float[Array, " state"]
) -> tuple[Float[Array, "state lane"], Bool[Array, " lane"]]:
    """Solve z - P z = c for every lane; return z and which lanes reached the tolerance.

    **Arguments:** `apply_power`: v -> P v for a whole batch; `offset`: c; `scale`: left diagonal
    preconditioner. Saad and Schultz (1986), classical Gram-Schmidt done twice, Givens rotations.
    """
    right = scale[:, None] * offset
    norm = jnp.linalg.norm(right, axis=0)
    size, lanes = right.shape
    m = MAX_ITERATIONS
    start = _Arnoldi(
        jnp.zeros((m + 1, size, lanes)).at[0].set(right / _positive(norm)),
        jnp.zeros((m, m, lanes)),
        jnp.zeros((m, lanes)),
        jnp.zeros((m, lanes)),
        jnp.zeros((m + 1, lanes)).at[0].set(norm),
        jnp.asarray(0),
    )

    def unfinished(s: _Arnoldi):
        residual = jnp.abs(s.right[s.iteration])
        return (s.iteration < m) & jnp.any(residual > TOLERANCE * norm)

    end = lax.while_loop(unfinished, lambda s: _iterate(apply_power, scale, s), start)
    y = _triangular_solve(end.upper, end.right, end.iteration)
    z = jnp.einsum("vsl,vl->sl", end.basis[:m], y)
    residual = jnp.abs(end.right[end.iteration])
    return z, (residual <= TOLERANCE * norm) & jnp.isfinite(jnp.sum(z, axis=0))


def _positive(x: Array) -> Array:
    return jnp.where(x > 0, x, 1.0)


def _iterate(apply_power, scale: Array, s: _Arnoldi) -> _Arnoldi:
    """Extend the basis by one vector and rotate its column into the triangular factor."""
    j = s.iteration
    v = s.basis[j]
    w = scale[:, None] * (v - apply_power(v))
    most = s.basis.shape[0]
    cuts = [*range(_BLOCK, most, _BLOCK), most]
    parts = [lambda basis, w, cut=cut: _orthogonal(basis, w, cut) for cut in cuts]
    w, column = lax.switch(j // _BLOCK, parts, s.basis, w)
    norm = jnp.linalg.norm(w, axis=0)
    column = column.at[j + 1].set(norm)
    column = lax.fori_loop(0, j, lambda i, c: _rotate(c, i, s.cosine[i], s.sine[i]), column)
    length = _positive(jnp.hypot(column[j], column[j + 1]))
    cosine, sine = column[j] / length, column[j + 1] / length
    column = _rotate(column, j, cosine, sine)
    return _Arnoldi(
        s.basis.at[j + 1].set(w / _positive(norm)),
        s.upper.at[:, j].set(column[:-1]),
        s.cosine.at[j].set(cosine),
        s.sine.at[j].set(sine),
        _rotate(s.right, j, cosine, sine),
        j + 1,
    )


def _orthogonal(basis: Array, w: Array, count: int) -> tuple[Array, Array]:
    """Take from w its parts along the first `count` vectors; the others are still zero."""
    column = jnp.zeros((len(basis), w.shape[1]))
    for _ in range(2):
        part = jnp.einsum("vsl,sl->vl", basis[:count], w)
        w = w - jnp.einsum("vsl,vl->sl", basis[:count], part)
        column = column.at[:count].add(part)
    return w, column


def _rotate(x: Array, i: Array, cosine: Array, sine: Array) -> Array:
    """Apply the Givens rotation of rows i and i + 1."""
    first, second = x[i], x[i + 1]
    x = x.at[i].set(cosine * first + sine * second)
    return x.at[i + 1].set(cosine * second - sine * first)


def _triangular_solve(upper: Array, right: Array, count: Array) -> Float[Array, "column lane"]:
    """Solve the leading `count` rows of the triangular systems; zeros beyond."""

    def row(step, y):
        i = count - 1 - step
        total = right[i] - jnp.sum(upper[i] * y, axis=0)
        return y.at[i].set(total / jnp.where(upper[i, i] == 0, jnp.inf, upper[i, i]))

    return lax.fori_loop(0, count, row, jnp.zeros(upper.shape[1:]))
