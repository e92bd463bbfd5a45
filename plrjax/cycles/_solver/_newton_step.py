"""The inner step of the virtual-cycle walk, for many candidates at once.

A candidate is an itinerary D_1 ... D_k. Its step (Eisenmann, Monfared, Göring, Durstewitz 2023,
Algorithm 1) solves (I - P) z = c for the k-step map z -> P z + c of the itinerary and returns the
itinerary of the true orbit through z: a semismooth Newton step on F^k(z) - z. All arrays carry the
candidates along the LAST axis, so every operation runs across them; the maps are applied to the
columns of [P c] by one shared matrix product, and no Jacobian is ever built.

Long itineraries of expanding maps are cut into S segments (multiple shooting): products and
orbits then run inside a segment only, and the error grows like exp(lambda k/S) instead of
exp(lambda k). Segment s of candidate b is lane s B + b.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, UInt64

from ..._elimination import batched_solve, block_cyclic_solve
from ..._map_arrays import MapArrays
from ..._piecewise_affine import PiecewiseAffineMap, structure_of
from ._krylov import gmres, preconditioner

UNROLLED_SIZE = 16
"""Largest state size whose systems are eliminated in unrolled JAX code; LAPACK above it."""


_DIRECT_SHARE = 8
"""Of lanes that GMRES leaves unsolved this share of all is solved directly at a time."""

KRYLOV_SIZE = 100
"""Smallest state size whose cycles of period four or more are solved by GMRES."""

LEAST_ROWS = 16
"""Periods up to this share one program: compiling another one costs more than what it saves."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a kernel is compiled for; the period is a traced value up to rows * segments."""

    state_size: int
    num_units: int
    rows: int
    segments: int
    lanes: int
    diagonal: bool
    plain_units: bool
    krylov: bool = False

    @property
    def columns(self) -> int:
        """Segment lanes: candidates times segments."""
        return self.segments * self.lanes


class Step(NamedTuple):
    """Result of one step: segment anchors, the orbit's itinerary and hash, regularity."""

    anchors: Float[Array, "state column"]
    itinerary: Bool[Array, "row unit column"]
    hash: UInt64[Array, " lane"]
    regular: Bool[Array, " lane"]


def make_layout(
    map: PiecewiseAffineMap, period: int, growth: float = 0.0, lanes: int | None = None
) -> Layout:
    """Choose the layout for a period: rows in buckets 16, 32, 64, ..., segments by the growth.

    A segment may grow errors by about exp(20) (`growth`: log growth per step, nats). Lanes fill
    the second-level cache on a CPU, and the device elsewhere.
    """
    segments = 1
    if growth > 0:
        longest = min(max(20.0 / growth, 8.0), period)
        while period > segments * longest:
            segments *= 2
    rows = LEAST_ROWS
    while rows * segments < period:
        rows *= 2
    diagonal, plain = structure_of(map)
    krylov = map.state_size >= KRYLOV_SIZE and period >= 4 and segments == 1
    count = lanes or _fitting_lanes(map, rows, segments, krylov)
    sizes = (map.state_size, map.num_units, rows, segments, count)
    return Layout(*sizes, diagonal, plain, krylov)


def _fitting_lanes(map: PiecewiseAffineMap, rows: int, segments: int, krylov: bool) -> int:
    """Return the power of two of candidates whose [P c] fill a CPU cache, or a part of a GPU.

    Fewer where their itineraries, or their dense cyclic systems, would take more than a gigabyte.
    """
    on_cpu = jax.default_backend() == "cpu"
    words = 2**30 // (rows * segments * map.num_units)
    if segments > 1 and map.state_size > UNROLLED_SIZE:
        words = min(words, 2**27 // (segments * map.state_size) ** 2)
    most = int(np.log2(max(words, 1)))
    if krylov:
        return 2 ** min(4 if on_cpu else 10, most)
    size = 8 * max(map.state_size, map.num_units) * (map.state_size + 1) * segments
    fitting = (2**17 if on_cpu else 2**28) / size
    fill = int(np.clip(np.log2(max(fitting, 1.0)), 3, 13 if on_cpu else 17))
    return 2 ** min(fill, most)


def parameters_of(map: PiecewiseAffineMap, layout: Layout) -> MapArrays:
    """Return the map's arrays on the device, in float64 (call inside the float64 scope)."""
    A = np.diag(map.A) if layout.diagonal else map.A
    return MapArrays.of(map)._replace(A=A).on_device()


def _times(W: Float[Array, "out inner"], Y: Float[Array, " inner *rest"]) -> Array:
    """Return W Y with every trailing axis of Y in one matrix product."""
    return (W @ Y.reshape(Y.shape[0], -1)).reshape(W.shape[0], *Y.shape[1:])


def _linear(p: MapArrays, layout: Layout, X: Array) -> Array:
    """Return A X."""
    if layout.diagonal:
        return p.A.reshape(-1, *(1,) * (X.ndim - 1)) * X
    return _times(p.A, X)


def _compose(
    p: MapArrays, layout: Layout, D: Bool[Array, "row unit column"], period: Array
) -> Float[Array, "state augmented column"]:
    """Return [P c] of every segment: the maps of its regions applied to the columns of [I 0]."""
    size, columns = layout.state_size, layout.columns
    last = jnp.zeros(size + 1).at[size].set(1.0)
    shift1 = (p.h1[:, None] * last)[:, :, None]
    shift2 = (p.h2[:, None] * last)[:, :, None]

    def push(X, region):
        Y = X if layout.plain_units else _times(p.W2, X) + shift2
        Y = jnp.where(region[:, None, :], Y, 0.0)
        return _linear(p, layout, X) + _times(p.W1, Y) + shift1

    units = jnp.concatenate([p.W2, p.h2[:, None]], axis=1)[:, :, None]
    first = jnp.where(D[0][:, None, :], units, 0.0)
    A = jnp.diag(p.A) if layout.diagonal else p.A
    first = _times(p.W1, first)
    X = jnp.concatenate([A, p.h1[:, None]], axis=1)[:, :, None] + first
    X = jnp.broadcast_to(X, (size, size + 1, columns))
    base, active = _segment_lengths(layout, period)
    X = lax.fori_loop(1, base, lambda t, X: push(X, D[t]), X)
    if layout.segments > 1:
        X = jnp.where(active, push(X, D[jnp.minimum(base, layout.rows - 1)]), X)
    return X


def _segment_lengths(layout: Layout, period: Array) -> tuple[Array, Array]:
    """Return the common length of the segments and which columns have one more step."""
    base = period // layout.segments
    longer = period - base * layout.segments
    return base, jnp.repeat(jnp.arange(layout.segments) < longer, layout.lanes)


def _anchors(
    layout: Layout, X: Float[Array, "state augmented column"]
) -> tuple[Float[Array, "state column"], Bool[Array, " lane"]]:
    """Solve z_{s+1} = P_s z_s + c_s around the cycle of segments."""
    size, segments, lanes = layout.state_size, layout.segments, layout.lanes
    unrolled = size <= UNROLLED_SIZE
    if segments == 1:
        system = jnp.concatenate([jnp.eye(size)[:, :, None] - X[:, :size], X[:, size:]], axis=1)
        return batched_solve(system, unrolled=unrolled)
    X = jnp.moveaxis(X.reshape(size, size + 1, segments, lanes), 2, 0)
    Z, regular = block_cyclic_solve(X[:, :, :size], X[:, :, size], unrolled=unrolled)
    return jnp.moveaxis(Z, 0, 1).reshape(size, segments * lanes), regular


def _krylov_anchors(
    p: MapArrays, layout: Layout, D: Bool[Array, "row unit column"], period: Array
) -> tuple[Float[Array, "state column"], Bool[Array, " lane"]]:
    """Solve (I - P) z = c by GMRES, and directly in the lanes where it does not converge."""

    def travel(z, affine):
        h1, h2 = (p.h1[:, None], p.h2[:, None]) if affine else (0.0, 0.0)

        def push(t, z):
            Y = z if layout.plain_units else _times(p.W2, z) + h2
            return _linear(p, layout, z) + _times(p.W1, jnp.where(D[t], Y, 0.0)) + h1

        return lax.fori_loop(0, period, push, z)

    offset = travel(jnp.zeros((layout.state_size, layout.columns)), True)
    diagonal = p.A if layout.diagonal else jnp.diagonal(p.A)
    z, done = gmres(lambda v: travel(v, False), offset, preconditioner(diagonal, period))
    few = dataclasses.replace(layout, lanes=max(1, layout.lanes // _DIRECT_SHARE))

    def some_directly(state):
        z, regular, left = state
        lanes = jnp.nonzero(left, size=few.lanes, fill_value=layout.lanes)[0]
        words = D[:, :, jnp.minimum(lanes, layout.lanes - 1)]
        exact, sound = _anchors(few, _compose(p, few, words, period))
        z, regular = (
            z.at[:, lanes].set(exact, mode="drop"),
            regular.at[lanes].set(sound, mode="drop"),
        )
        return z, regular, left.at[lanes].set(False, mode="drop")

    z, regular, _ = lax.while_loop(lambda state: jnp.any(state[2]), some_directly, (z, done, ~done))
    return z, regular


def hash_constants(layout: Layout) -> tuple[Array, Array]:
    """Return fixed random 64-bit numbers, one per row and unit, and odd ones per segment.

    The hash of an itinerary is the sum (mod 2^64) of the numbers of its active units: two given
    itineraries collide with probability 2^-64 over the choice of numbers (Carter, Wegman 1979).
    """
    bits, draw = unit_marks(layout.rows, layout.num_units)
    odd = draw.integers(0, 2**63, layout.segments, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return jnp.asarray(bits), jnp.asarray(odd)


def unit_marks(
    rows: int, num_units: int
) -> tuple[UInt64[np.ndarray, "row unit"], np.random.Generator]:
    """Return fixed random 64-bit numbers, and the generator that goes on from there."""
    draw = np.random.default_rng(0x5C1F1)
    return draw.integers(0, 2**64, (rows, num_units), dtype=np.uint64), draw


def _orbit(
    p: MapArrays, layout: Layout, anchors: Array, old: Array, period: Array
) -> tuple[Array, Array]:
    """Return the itinerary of the true orbit inside every segment, and its hash per candidate.

    The buffer `old` is overwritten. Reading it here would make the compiler copy it at every step.
    """
    unit_bits, segment_bits = hash_constants(layout)

    def look(z):
        Y = z if layout.plain_units else _times(p.W2, z) + p.h2[:, None]
        return Y, Y > 0

    def marks(t, region):
        return jnp.sum(jnp.where(region, unit_bits[t][:, None], np.uint64(0)), axis=0)

    def advance(t, carry):
        z, D, h = carry
        Y, region = look(z)
        h = h + marks(t, region)
        z = _linear(p, layout, z) + _times(p.W1, jnp.maximum(Y, 0.0)) + p.h1[:, None]
        return z, D.at[t].set(region), h

    carry = (anchors, old, jnp.zeros(layout.columns, jnp.uint64))
    base, longer = _segment_lengths(layout, period)
    z, D, h = lax.fori_loop(0, base, advance, carry)
    if layout.segments > 1:
        t = jnp.minimum(base, layout.rows - 1)
        region = look(z)[1] & longer
        h = h + marks(t, region)
        D = D.at[t].set(jnp.where(longer, region, D[t]))
    h = h.reshape(layout.segments, layout.lanes) * segment_bits[:, None]
    # The offset keeps the itinerary without active units apart from "no itinerary yet" (zero).
    return D, jnp.sum(h, axis=0) + np.uint64(0x9E3779B97F4A7C15)


def newton_step(
    p: MapArrays, layout: Layout, D: Bool[Array, "row unit column"], period: Array
) -> Step:
    """Return the virtual cycle of every itinerary and the itinerary of the orbit through it."""
    if layout.krylov:
        anchors, regular = _krylov_anchors(p, layout, D, period)
    else:
        anchors, regular = _anchors(layout, _compose(p, layout, D, period))
    finite = jnp.isfinite(jnp.sum(anchors, axis=0)).reshape(layout.segments, layout.lanes)
    itinerary, mark = _orbit(p, layout, anchors, D, period)
    return Step(anchors, itinerary, mark, regular & finite.all(axis=0))
