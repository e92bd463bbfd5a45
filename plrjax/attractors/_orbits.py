"""Many orbits of one map side by side: moved, watched, and measured along one tangent vector."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt8

from .._map_arrays import MapArrays

SMALLEST = float(np.finfo(np.float64).tiny)
"""A tangent vector that shrinks to less within one step counts as this long."""


class Block(NamedTuple):
    """Means over one block of steps: ln growth of the tangent vector, z, z squared; ends of z."""

    growth: Float[Array, " lane"]
    mean: Float[Array, "state lane"]
    square: Float[Array, "state lane"]
    low: Float[Array, "state lane"]
    high: Float[Array, "state lane"]


def _pre_activations(w: MapArrays, z: Float[Array, "state lane"]) -> Float[Array, "unit lane"]:
    return w.W2 @ z + w.h2[:, None]


def _step(w: MapArrays, z: Float[Array, "state lane"]) -> Float[Array, "state lane"]:
    return w.A @ z + w.W1 @ jax.nn.relu(_pre_activations(w, z)) + w.h1[:, None]


@jax.jit
def advance(w: MapArrays, z: Float[Array, "state lane"], num_steps) -> Float[Array, "state lane"]:
    """Return the states `num_steps` later."""
    return lax.fori_loop(0, num_steps, lambda _, z: _step(w, z), z)


def _packed(on: Bool[Array, "unit lane"]) -> UInt8[Array, "byte lane"]:
    """Return activation patterns with eight units to a byte, little bit order."""
    units, lanes = on.shape
    padded = jnp.pad(on, ((0, -units % 8), (0, 0))).reshape(-1, 8, lanes)
    weight = (2 ** np.arange(8)).astype(np.uint8)[:, None]
    return (padded.astype(jnp.uint8) * weight).sum(axis=1, dtype=jnp.uint8)


@functools.partial(jax.jit, static_argnames="num_steps")
def record(
    w: MapArrays, z: Float[Array, "state lane"], num_steps: int
) -> tuple[Float[Array, "state lane"], UInt8[Array, "time byte lane"]]:
    """Return the states `num_steps` later, and the regions of z_0 ... z_{num_steps - 1}."""

    def one_step(z, _):
        y = _pre_activations(w, z)
        return w.A @ z + w.W1 @ jax.nn.relu(y) + w.h1[:, None], _packed(y > 0)

    return lax.scan(one_step, z, length=num_steps)


@functools.partial(jax.jit, static_argnames="num_steps")
def trail(
    w: MapArrays, z: Float[Array, "state lane"], num_steps: int
) -> tuple[Float[Array, "state lane"], Float[Array, "time state lane"]]:
    """Return the states `num_steps` later, and z_0 ... z_{num_steps - 1}."""
    return lax.scan(lambda z, _: (_step(w, z), z), z, length=num_steps)


@jax.jit
def apart(
    w: MapArrays, a: Float[Array, "state lane"], b: Float[Array, "state lane"], limit, num_steps
) -> tuple[Float[Array, "state lane"], Float[Array, "state lane"], Int[Array, " lane"]]:
    """Return pairs where they are farther apart than `limit` for the first time, and when."""

    def one_step(_, carry):
        a, b, steps = carry
        close = jnp.linalg.norm(a - b, axis=0) <= limit
        return jnp.where(close, _step(w, a), a), jnp.where(close, _step(w, b), b), steps + close

    zero = jnp.zeros(a.shape[1], jnp.int64)
    return lax.fori_loop(0, num_steps, one_step, (a, b, zero))


@jax.jit
def measure(
    w: MapArrays, z: Float[Array, "state lane"], v: Float[Array, "state lane"], num_steps
) -> tuple[Float[Array, "state lane"], Float[Array, "state lane"], Block]:
    """Move states and unit tangent vectors `num_steps` on; return both and the block's means."""

    def one_step(_, carry):
        z, v, growth, mean, square, low, high = carry
        y = _pre_activations(w, z)
        z = w.A @ z + w.W1 @ jax.nn.relu(y) + w.h1[:, None]
        u = w.A @ v + w.W1 @ jnp.where(y > 0, w.W2 @ v, 0.0)
        length = jnp.linalg.norm(u, axis=0)
        v = jnp.where(length > SMALLEST, u / jnp.maximum(length, SMALLEST), v)
        growth = growth + jnp.log(jnp.maximum(length, SMALLEST))
        ends = jnp.minimum(low, z), jnp.maximum(high, z)
        return z, v, growth, mean + z, square + z * z, *ends

    zero = jnp.zeros(z.shape)
    begin = (z, v, jnp.zeros(z.shape[1]), zero, zero, zero + jnp.inf, zero - jnp.inf)
    z, v, *sums, low, high = lax.fori_loop(0, num_steps, one_step, begin)
    return z, v, Block._make([*(total / num_steps for total in sums), low, high])


def batches(count: int, size: int) -> list[np.ndarray]:
    """Return indices 0 ... count - 1 in batches whose lengths are powers of two up to `size`.

    The last batch repeats its first lane, so that few programs are compiled.
    """
    found = []
    for low in range(0, count, size):
        part = np.arange(low, min(low + size, count))
        width = min(size, 1 << (len(part) - 1).bit_length())
        found.append(np.concatenate([part, np.full(width - len(part), low)]))
    return found
