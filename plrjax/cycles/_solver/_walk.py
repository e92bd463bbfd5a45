"""The batched virtual-cycle walk: many walks at once on the device, restarted as they end.

Walk i starts from a window of the seed table chosen by a hash of (seed, i), so the set of walks
0 ... N-1 and where each one ends do not depend on how many run at a time or on how many devices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt64

from ..._map_arrays import MapArrays
from ._newton_step import Layout, newton_step

GROUP = 4
"""Newton steps between two looks at convergence, loops and restarts."""

RUNNING, CONVERGED, SINGULAR, LOOPED, CAPPED = range(5)
"""Status of a walk after a group of steps."""


class DeviceTable(NamedTuple):
    """A `SeedTable` on the device, regions packed into words of 32 units."""

    regions: Array
    starts: Array
    counts: Array


class Course(NamedTuple):
    """What all walks of a run share.

    `limit` is the first number that is no walk; a device takes every `stride`-th walk.
    """

    seed: UInt64[Array, ""]
    limit: Int[Array, ""]
    period: Int[Array, ""]
    max_steps: Int[Array, ""]
    stride: Int[Array, ""]


class WalkState(NamedTuple):
    """Everything the device needs to go on: itineraries, walk numbers, steps made, hashes."""

    itineraries: Bool[Array, "row unit column"]
    walk: Int[Array, " lane"]
    steps: Int[Array, " lane"]
    mark: UInt64[Array, " lane"]
    next_index: Int[Array, ""]


class Report(NamedTuple):
    """What a group of steps tells the host, lane by lane.

    `singular` is the itinerary, before the group, of one walk that met a singular system.
    """

    walk: Int[Array, " lane"]
    status: Int[Array, " lane"]
    steps: Int[Array, " lane"]
    hash: UInt64[Array, " lane"]
    anchors: Float[Array, "state column"]
    singular: Bool[Array, "row unit segment"]


TRACES = {"count": 0}
"""Number of times a walk was traced in this process (one per layout and table shape)."""


def pack_table(regions: np.ndarray) -> np.ndarray:
    """Return rows of activation patterns as words of 32 bits."""
    pad = -regions.shape[1] % 32
    bits = np.pad(regions, ((0, 0), (0, pad)))
    packed = np.packbits(bits, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4")


def _mix(x: UInt64[Array, "..."]) -> UInt64[Array, "..."]:
    """Return the splitmix64 finalizer of a counter (Steele, Lea, Flood 2014)."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _fresh(
    layout: Layout, table: DeviceTable, course: Course, index: Array, D: Array, change: Array
) -> Array:
    """Write the start itineraries of walks `index` into the lanes marked by `change`."""
    period, kinds = course.period, table.counts.shape[0]
    kind = (index % kinds).astype(jnp.int32)
    draw = _mix(course.seed + index.astype(jnp.uint64))
    count = table.counts[kind].astype(jnp.uint64)
    pick = (((draw >> np.uint64(32)) * count) >> np.uint64(32)).astype(jnp.int32)
    start = jnp.tile(table.starts[kind, pick], layout.segments)
    base = period // layout.segments
    longer = period - base * layout.segments
    segment = jnp.arange(layout.segments)
    shift = segment * base + jnp.minimum(segment, longer)
    start = start + jnp.repeat(shift, layout.lanes).astype(jnp.int32)
    change = jnp.tile(change, layout.segments)
    active = jnp.repeat(segment < longer, layout.lanes)
    shifts = (jnp.arange(layout.num_units) % 32).astype(jnp.uint32)[:, None]
    words = jnp.arange(layout.num_units) // 32

    def write(t, D):
        packed = table.regions[start + t.astype(jnp.int32)]
        bits = ((packed.T[words] >> shifts) & np.uint32(1)).astype(bool)
        bits = bits & ((t < base) | active)
        return D.at[t].set(jnp.where(change, bits, D[t]))

    last = base + (longer > 0)
    return lax.fori_loop(0, last, write, D)


def initial_state(layout: Layout, table: DeviceTable, course: Course, first: Array) -> WalkState:
    """Start walks `first`, `first + stride`, ... below `limit` in all lanes (idle: index -1)."""
    index = first + course.stride * jnp.arange(layout.lanes)
    D = jnp.zeros((layout.rows, layout.num_units, layout.columns), bool)
    D = _fresh(layout, table, course, index, D, jnp.ones(layout.lanes, bool))
    index = jnp.where(index < course.limit, index, -1)
    zero = jnp.zeros(layout.lanes, jnp.uint64)
    steps = jnp.zeros(layout.lanes, jnp.int32)
    return WalkState(D, index, steps, zero, first + course.stride * layout.lanes)


def _group(p: MapArrays, layout: Layout, state: WalkState, period: Array):
    """Make GROUP Newton steps; return itineraries, hashes, when each walk converged, soundness."""

    def one(j, carry):
        D, last, when, sound, _ = carry
        step = newton_step(p, layout, D, period)
        sound = sound & step.regular
        same = (step.hash == last) & (when == 0)
        when = jnp.where(same, j + 1, when)
        return step.itinerary, step.hash, when, sound, step.anchors

    lanes = layout.lanes
    anchors = jnp.zeros((layout.state_size, layout.columns))
    when = jnp.zeros(lanes, jnp.int32)
    carry = (state.itineraries, state.mark, when, jnp.ones(lanes, bool), anchors)
    return lax.fori_loop(0, GROUP, one, carry)


def advance(
    p: MapArrays,
    layout: Layout,
    num_groups: int,
    table: DeviceTable,
    course: Course,
    state: WalkState,
) -> tuple[WalkState, Report]:
    """Make `num_groups` groups of steps, refilling lanes whose walks have ended."""
    TRACES["count"] += 1

    def body(carry):
        group, state, reports = carry
        state, report = _one_group(p, layout, table, course, state)
        reports = jax.tree.map(lambda all, new: all.at[group].set(new), reports, report)
        return group + 1, state, reports

    def unfinished(carry):
        group, state, _ = carry
        return (group < num_groups) & jnp.any(state.walk >= 0)

    carry = (jnp.asarray(0), state, _blank_reports(layout, num_groups))
    _, state, reports = lax.while_loop(unfinished, body, carry)
    return state, reports


def _blank_reports(layout: Layout, count: int) -> Report:
    """Return reports in which every walk is still running."""
    lanes, size = layout.lanes, layout.state_size
    return Report(
        jnp.full((count, lanes), -1),
        jnp.zeros((count, lanes), jnp.int8),
        jnp.zeros((count, lanes), jnp.int32),
        jnp.zeros((count, lanes), jnp.uint64),
        jnp.zeros((count, size, layout.columns)),
        jnp.zeros((count, layout.rows, layout.num_units, layout.segments), bool),
    )


def _one_group(
    p: MapArrays, layout: Layout, table: DeviceTable, course: Course, state: WalkState
) -> tuple[WalkState, Report]:
    """Make GROUP steps, look at every walk, start new ones in the lanes of those that ended."""
    D, mark, when, sound, anchors = _group(p, layout, state, course.period)
    live = state.walk >= 0
    steps = state.steps + jnp.where(when > 0, when, GROUP)
    status = jnp.where(steps >= course.max_steps, CAPPED, RUNNING)
    status = jnp.where(mark == state.mark, LOOPED, status)
    status = jnp.where(when > 0, CONVERGED, status)
    status = jnp.where(sound, status, SINGULAR)
    status = jnp.where(live, status, RUNNING)
    worst = jnp.argmax(status == SINGULAR)
    before = state.itineraries
    stuck = before.reshape(*before.shape[:2], layout.segments, layout.lanes)[..., worst]
    report = Report(state.walk, status.astype(jnp.int8), steps, mark, anchors, stuck)
    over = (status != RUNNING) & live
    order = state.next_index + course.stride * (jnp.cumsum(over) - 1)
    index = jnp.where(over, order, state.walk)
    D = _fresh(layout, table, course, index, D, over)
    new = WalkState(
        D,
        jnp.where(index < course.limit, index, -1),
        jnp.where(over, 0, steps),
        jnp.where(over, np.uint64(0), mark),
        state.next_index + course.stride * jnp.sum(over),
    )
    return new, report
