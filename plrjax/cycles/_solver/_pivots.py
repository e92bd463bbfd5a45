"""Piecewise-linear paths on the device: one pivot per lane and scan step.

A curve follows the solutions of F^k(z) = z + perturbation s r from cell to cell. Solutions of the
problem lie where s = 0. Each start is followed both ways (two legs; one where the curve closes).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

from ._tableau import AbstractTableau, updated

RUNNING, RAY, CLOSED, CAPPED, BROKEN = range(5)
"""Status of a leg: on its way, gone to infinity, closed, too long, or in a singular cell."""

TRUSTED_PIVOT = 1e-7
"""Below this the tableau is solved anew after the block; below `DEAD_PIVOT` the leg is broken."""

DEAD_PIVOT = 1e-13

TRACES = {"count": 0}
"""Number of times a path program was traced in this process."""


class Starts(NamedTuple):
    """Where curves start: the cell, the direction r and the parameter s there.

    Only the first `used` entries count, so that one program serves tables of any length.
    """

    region: Bool[Array, "start unit"]
    direction: Float[Array, "start unknown"]
    s: Float[Array, " start"]
    used: Int[Array, ""]


class Lanes(NamedTuple):
    """One curve per lane.

    **Fields:** `region` the cell, `home` the start's, `away` the number of units in which they
    differ, `bits` the cell's pattern packed; `s` and its direction `sign`; `last` the unit flipped
    last; `pivots` on this leg, `stalled` those of length zero in a row; `age` pivots since the
    tableau was solved; `start` the number of the start (-1: idle), `leg` 0 or 1, `status`.
    """

    tableau: Array
    region: Bool[Array, "lane unit"]
    home: Bool[Array, "lane unit"]
    away: Int[Array, " lane"]
    bits: UInt32[Array, "lane word"]
    s: Float[Array, " lane"]
    sign: Float[Array, " lane"]
    last: Int[Array, " lane"]
    pivots: Int[Array, " lane"]
    stalled: Int[Array, " lane"]
    age: Int[Array, " lane"]
    start: Int[Array, " lane"]
    leg: Int[Array, " lane"]
    status: Int[Array, " lane"]


class Tally(NamedTuple):
    """Counts over all legs: pivots made, legs by status, pivots of length zero (ties)."""

    pivots: Int[Array, ""]
    legs: Int[Array, " status"]
    ties: Int[Array, ""]


class State(NamedTuple):
    """Everything the device needs to go on."""

    lanes: Lanes
    next_start: Int[Array, ""]
    tally: Tally


class Hits(NamedTuple):
    """Solutions crossed, step by step and lane by lane: whether, which pattern, which start."""

    hit: Bool[Array, "block step lane"]
    bits: UInt32[Array, "block step lane word"]
    start: Int[Array, "block lane"]


class Sizes(NamedTuple):
    """What a path program is compiled for: tableaus of `unknowns` x `width` for `units` units.

    A block is `steps` pivots of every lane; a tableau is solved anew after `refresh` pivots or
    more; `group` lanes are solved at a time; a table holds `starts` starts.
    """

    unknowns: int
    width: int
    units: int
    lanes: int
    steps: int
    refresh: int
    group: int
    starts: int


def packed(region: Bool[Array, "lane unit"]) -> UInt32[Array, "lane word"]:
    """Return patterns as words of 32 units, little bit order."""
    lanes, units = region.shape
    padded = jnp.pad(region, ((0, 0), (0, -units % 32))).reshape(lanes, -1, 32)
    powers = np.uint32(1) << np.arange(32, dtype=np.uint32)
    return jnp.sum(jnp.where(padded, powers, np.uint32(0)), axis=2, dtype=jnp.uint32)


def _pick(values: Array, index: Array) -> Array:
    return jnp.take_along_axis(values, index[:, None], axis=1)[:, 0]


def _pivot(form: AbstractTableau, data, max_pivots: Array, lanes: Lanes):
    """Go to the next switching boundary and across it; return the solution crossed on the way."""
    units = jnp.arange(lanes.region.shape[1])
    yc, yr = form.levels(data, lanes.tableau)
    rate = lanes.sign[:, None] * yr
    toward = jnp.where(lanes.region, rate < 0, rate > 0) & (units != lanes.last[:, None])
    y = yc + lanes.s[:, None] * yr
    wait = jnp.where(toward, jnp.maximum(-y / jnp.where(toward, rate, 1.0), 0.0), jnp.inf)
    unit = jnp.argmin(wait, axis=1).astype(jnp.int32)
    length = _pick(wait, unit)
    s = lanes.s + lanes.sign * length
    live = lanes.status == RUNNING
    hit = live & (((lanes.s < 0) & (s >= 0)) | ((lanes.s > 0) & (s <= 0)))
    pivot = form.pivot(data, lanes.tableau, unit)
    on = _pick(lanes.region, unit)
    rho = jnp.where(on, 1.0 + pivot.own, 1.0 - pivot.own)
    status = jnp.where(lanes.pivots >= max_pivots, CAPPED, RUNNING)
    status = jnp.where(~(jnp.abs(rho) > DEAD_PIVOT), BROKEN, status)
    status = jnp.where(lanes.stalled > units.size, BROKEN, status)
    status = jnp.where(length == jnp.inf, RAY, status)
    status = jnp.where(jnp.isfinite(pivot.own) | (length == jnp.inf), status, BROKEN)
    status = jnp.where((lanes.pivots > 0) & (lanes.away == 0), CLOSED, status)
    status = jnp.where(live, status, lanes.status)
    go = live & (status == RUNNING)
    factor = jnp.where(go, jnp.where(on, -1.0, 1.0) / jnp.where(go, rho, 1.0), 0.0)
    flip = (units == unit[:, None]) & go[:, None]
    word = jnp.arange(lanes.bits.shape[1]) == (unit // 32)[:, None]
    mask = jnp.uint32(1) << (unit % 32).astype(jnp.uint32)
    back = on != _pick(lanes.home, unit)
    new = Lanes(
        tableau=updated(lanes.tableau, pivot, factor),
        region=lanes.region ^ flip,
        home=lanes.home,
        away=lanes.away + jnp.where(go, jnp.where(back, -1, 1), 0),
        bits=lanes.bits ^ jnp.where(word & go[:, None], mask[:, None], np.uint32(0)),
        s=jnp.where(go, s, lanes.s),
        sign=jnp.where(go & (rho < 0), -lanes.sign, lanes.sign),
        last=jnp.where(go, unit, lanes.last),
        pivots=lanes.pivots + go.astype(jnp.int32),
        stalled=jnp.where(go & (length == 0.0), lanes.stalled + 1, 0),
        age=lanes.age + jnp.where(go, jnp.where(jnp.abs(rho) < TRUSTED_PIVOT, 1_000_000, 1), 0),
        start=lanes.start,
        leg=lanes.leg,
        status=status,
    )
    tie = go & (length == 0.0) & (lanes.pivots > 0)
    return new, (hit, lanes.bits, jnp.sum(go), jnp.sum(tie))


def idle_state(sizes: Sizes, devices: int) -> State:
    """Return lanes without a curve, one set per device, each to take every `devices`-th start."""
    lead = (devices, sizes.lanes)
    number: Any = np.zeros(lead, np.int32)
    zero: Any = np.zeros(lead)
    region: Any = np.zeros((*lead, sizes.units), bool)
    tableau: Any = np.zeros((*lead, sizes.unknowns, sizes.width))
    bits: Any = np.zeros((*lead, -(-sizes.units // 32)), np.uint32)
    lanes = Lanes(
        tableau=tableau,
        region=region,
        home=region,
        away=number,
        bits=bits,
        s=zero,
        sign=zero,
        last=number - np.int32(1),
        pivots=number,
        stalled=number,
        age=number,
        start=number - np.int32(1),
        leg=number,
        status=number + np.int32(CLOSED),
    )
    count: Any = np.zeros(devices, np.int64)
    legs: Any = np.zeros((devices, 5), np.int64)
    first: Any = np.arange(devices, dtype=np.int64)
    return State(lanes, first, Tally(count, legs, count))


def _refill(starts: Starts, stride: Array, state: State) -> tuple[State, Bool[Array, " lane"]]:
    """Give lanes whose leg has ended the other leg, or the next start; return which changed."""
    lanes = state.lanes
    over = lanes.status != RUNNING
    again = _second_leg_due(lanes)
    wanting = over & ~again
    order = state.next_start + stride * (jnp.cumsum(wanting) - 1)
    order = jnp.where(order < starts.used, order, -1).astype(jnp.int32)
    start = jnp.where(wanting, order, lanes.start)
    changed = over & (start >= 0)
    home = starts.region[start]
    zero = jnp.where(changed, 0, 1)
    kept = changed[:, None]
    leg = jnp.where(again, 1, jnp.where(wanting, 0, lanes.leg))
    lanes = lanes._replace(
        region=jnp.where(kept, home, lanes.region),
        home=jnp.where(kept, home, lanes.home),
        away=lanes.away * zero,
        bits=jnp.where(kept, packed(home), lanes.bits),
        s=jnp.where(changed, starts.s[start], lanes.s),
        sign=jnp.where(changed, jnp.where(leg == 0, -1.0, 1.0), lanes.sign),
        last=jnp.where(changed, -1, lanes.last),
        pivots=lanes.pivots * zero,
        stalled=lanes.stalled * zero,
        age=lanes.age * zero,
        start=start,
        leg=leg,
        status=jnp.where(changed, RUNNING, lanes.status),
    )
    used = state.next_start + stride * jnp.sum(wanting)
    return state._replace(lanes=lanes, next_start=used), changed


def _second_leg_due(lanes: Lanes) -> Bool[Array, " lane"]:
    """Return the lanes whose first leg ended without closing: the other leg comes next."""
    ended = (lanes.status != RUNNING) & (lanes.status != CLOSED)
    return ended & (lanes.leg == 0) & (lanes.start >= 0)


def unfinished(starts: Starts, state: State) -> Bool[Array, "*device"]:
    """Return whether there is work left."""
    lanes = state.lanes
    busy = jnp.any((lanes.status == RUNNING) | _second_leg_due(lanes), axis=-1)
    return busy | (state.next_start < starts.used)


def _refresh(form: AbstractTableau, data, starts: Starts, group: int, lanes: Lanes, due: Array):
    """Solve anew the tableaus of the lanes that are due, a group at a time."""
    count = due.shape[0]

    def body(carry):
        tableau, due = carry
        chosen = jnp.nonzero(due, size=group, fill_value=count)[0]
        here = jnp.minimum(chosen, count - 1)
        solved = form.fresh(data, lanes.region[here], starts.direction[lanes.start[here]])
        return tableau.at[chosen].set(solved, mode="drop"), due.at[chosen].set(False, mode="drop")

    return lax.while_loop(lambda carry: jnp.any(carry[1]), body, (lanes.tableau, due))[0]


def advance(
    form: AbstractTableau,
    sizes: Sizes,
    num_blocks: int,
    data,
    starts: Starts,
    max_pivots: Array,
    stride: Array,
    state: State,
) -> tuple[State, Hits, Bool[Array, ""]]:
    """Make `num_blocks` blocks of pivots in every lane, refilling lanes between blocks.

    Returns also whether there is work left. With several devices each takes every `stride`-th
    start.
    """
    TRACES["count"] += 1

    def step(carry, _):
        lanes, pivots, ties = carry
        lanes, (hit, bits, made, tied) = _pivot(form, data, max_pivots, lanes)
        return (lanes, pivots + made, ties + tied), (hit, bits)

    def block(state: State) -> tuple[State, tuple]:
        state, changed = _refill(starts, stride, state)
        lanes = state.lanes
        due = (changed | (lanes.age >= sizes.refresh)) & (lanes.status == RUNNING)
        tableau = _refresh(form, data, starts, sizes.group, lanes, due)
        sound = jnp.all(jnp.isfinite(tableau[:, :, -2:]), axis=(1, 2)) | ~due
        lanes = lanes._replace(tableau=tableau, age=jnp.where(due, 0, lanes.age))
        before = lanes._replace(status=jnp.where(sound, lanes.status, BROKEN))
        carry = (before, state.tally.pivots, state.tally.ties)
        (lanes, pivots, ties), (hit, bits) = lax.scan(step, carry, None, length=sizes.steps)
        ended = (lanes.status != before.status).astype(jnp.int64) + ~sound
        legs = state.tally.legs.at[lanes.status].add(ended)
        state = State(lanes, state.next_start, Tally(pivots, legs, ties))
        return state, (hit, bits, lanes.start)

    def body(carry):
        number, state, hits = carry
        state, new = block(state)
        hits = Hits(*(all.at[number].set(part) for all, part in zip(hits, new)))
        return number + 1, state, hits

    count, steps = sizes.lanes, sizes.steps
    words = state.lanes.bits.shape[1]
    hits = Hits(
        jnp.zeros((num_blocks, steps, count), bool),
        jnp.zeros((num_blocks, steps, count, words), jnp.uint32),
        jnp.full((num_blocks, count), -1, jnp.int32),
    )
    more = lambda carry: (carry[0] < num_blocks) & unfinished(starts, carry[1])
    _, state, hits = lax.while_loop(more, body, (jnp.asarray(0), state, hits))
    return state, hits, unfinished(starts, state)
