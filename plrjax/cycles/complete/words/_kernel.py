"""The word search, compiled: all words whose orbits stay in a box, bit after bit.

Whether the next unit can be on, or off, is one small linear program from a vertex of the polytope
of a node; where it cannot, the optimal basis is the proof. Where the arithmetic fails a branch is
kept, never cut.
"""

import math

import numpy as np
from jaxtyping import UInt8

from ...._checker import BOTH, DEAD, OFF_EMPTY, ON_EMPTY
from ...._compiled import compiled, inlined, inner
from ._orbit import CANDIDATE, SINGULAR, advance, closing
from ._polytope import COST, OPTIMUM, cross, keep, vertex
from ._space import HEAD, Forks, Found, Node, Orbit, Polytope, Rules

ROUNDING = 4e-15
"""Rounding errors are bounded by this multiple of what was added up, per step."""

AROUND, BEYOND, UNCLEAR, CUT = range(4)
"""The polytope is on the positive side, on the negative one, flat, or perhaps on both sides."""


@inner("Tuple((i8, f8, f8, f8))(f8[:,::1], i8, f8, b1, f8[:,:,::1], i8, f8[:,:,::1], f8[:,::1])")
def _ask(planes, number, constant, is_side, places, t, vertices, work):
    """Say on which side of a function of z_t the polytope or its vertex lies.

    Returns with it the value at the vertex, the constant and the rounding errors of the function
    of v whose coefficients, of norm 1, are work[COST].
    """
    size = vertices.shape[2]
    total, square, magnitude = 0.0, 0.0, abs(constant)
    for k in range(size):
        work[COST, k] = 0.0
    for j in range(size):
        w = planes[number, j]
        if w != 0.0:
            constant += w * places[t, j, size]
            magnitude += abs(w) * places[t, j, size + 1]
            for k in range(size):
                work[COST, k] += w * places[t, j, k]
    for k in range(size):
        x = work[COST, k]
        total += abs(x)
        square += x * x
    norm = math.sqrt(square)
    noise = ROUNDING * (t + 2) * magnitude
    flat = norm <= 10 * noise
    where = UNCLEAR
    if is_side:
        if constant >= total or (flat and constant >= -total - noise):
            where = AROUND
        elif constant + total < -noise:
            where = BEYOND
        else:
            flat = False
    elif flat or abs(constant) > total + noise:
        flat = True
        if constant > total + noise:
            where = AROUND
        elif constant < -total - noise:
            where = BEYOND
    if flat or where != UNCLEAR:
        return where, 0.0, 0.0, 0.0
    constant /= norm
    value = constant
    for k in range(size):
        x = work[COST, k] / norm
        work[COST, k] = x
        value += x * vertices[0, size, k]
    return CUT, value, constant, noise / norm


@inner("void(f8[:,::1], i8, f8[:,::1], f8, f8)")
def _write_row(rows, n, work, sign, right):
    """Write the row sign * work[COST] . v <= right."""
    size = rows.shape[1] - 1
    for k in range(size):
        rows[n, k] = sign * work[COST, k]
    rows[n, size] = right


@inner("i8(i4[::1], i8, i8, i8[::1], i8[:,::1], i8, i8, i8)")
def _prove(log, at, kind, ids, basis, place, size, own):
    """Write a record with the numbers of `size` inequalities of a basis, and `own` (-1: none).

    Returns the place behind it.
    """
    if len(log) == 0:
        return at
    log[at] = kind
    log[at + 1] = size
    at += 2
    for i in range(size):
        log[at + i] = ids[basis[place, i]]
    at += size
    if own >= 0:
        log[at - size - 1] = size + 1
        log[at] = own
        at += 1
    return at


@inlined
def _is_known(language, bits, first, end):
    """Return whether a window of bits is one of the language."""
    code = 0
    for pos in range(first, end):
        code = 2 * code + bits[pos]
    low = 0
    high = len(language)
    while low < high:
        middle = (low + high) // 2
        if language[middle] < code:
            low = middle + 1
        else:
            high = middle
    return low < len(language) and language[low] == code


@inlined
def _is_found(rules: Rules, o: Orbit, depth: int, period: int) -> bool:
    """Return whether a word, which repeats its first `period` letters, is a candidate."""
    if rules.all_words:
        return depth == len(o.maps) - 1
    necklaces = rules.necklaces
    if not rules.wanted[depth] or (necklaces and depth % period != 0):
        return False
    found = closing(o.W1, o.planes, o.sides, o.bits, depth, o.maps, o.system, rules.far)
    return found == SINGULAR or (found == CANDIDATE and (not necklaces or depth == period))


@inlined
def _enter(rules: Rules, o: Orbit, f: Found, at: Node, replayed: int) -> bool:
    """Go on behind a letter whose last bit was taken; return whether nothing follows."""
    bits, counts = o.bits, f.counts
    units = o.W1.shape[1]
    depth = at.time + 1
    end = depth * units
    fresh = end > replayed
    counts.nodes += 1
    f.depths[depth] += 1
    width = rules.width
    if width and depth >= width and fresh:
        if not _is_known(rules.language, bits, end - width * units, end):
            return True
    if at.period == 0 or not at.repeats:
        at.period = depth
    advance(o.W1, o.planes, bits, at.time, o.system, o.maps, o.places)
    if fresh and _is_found(rules, o, depth, at.period):
        words, row = f.words, counts.words
        for pos in range(end):
            words[row, pos] = bits[pos]
        f.lengths[row] = end
        counts.words += 1
    at.time = depth
    at.unit = 0
    at.repeats = True
    return depth == len(o.maps) - 1


@inlined
def _take(rules: Rules, o: Orbit, f: Found, at: Node, replayed: int) -> bool:
    """Take the bit that was decided, if any; return whether nothing follows it."""
    bit = at.bit
    if bit < 0:
        return False
    bits, units = o.bits, o.W1.shape[1]
    bits[at.time * units + at.unit] = bit
    if at.time > 0 and bit != bits[(at.time - at.period) * units + at.unit]:
        at.repeats = False
    at.unit += 1
    at.bit = -1
    return at.unit == units and _enter(rules, o, f, at, replayed)


@inlined
def _leave_open(o: Orbit, p: Polytope, f: Found, at: Node, room: int, max_nodes: int) -> bool:
    """Leave a node open where its vertex is lost, or at `max_nodes`, or where no room is left."""
    counts, log, bits = f.counts, f.log, o.bits
    size, units = o.W1.shape
    margin = 8 * room + 2 * (2 * size + units) * (size + 4)
    if (
        counts.nodes >= max_nodes
        or (len(log) > 0 and counts.logged + margin > len(log))
        or counts.words + room > len(f.words)
    ):
        at.stopped = True
    if not (at.stopped or at.lost):
        return False
    f.counts.logged = _prove(f.log, f.counts.logged, DEAD, p.ids, p.basis, 0, 0, -1)
    left, row, end = f.open, counts.open, at.time * units + at.unit
    for pos in range(end):
        left[row, pos] = bits[pos]
    f.open_lengths[row] = end
    counts.open += 1
    at.lost = False
    return True


@inlined
def _leave_box(rules: Rules, o: Orbit, p: Polytope, f: Found, at: Node, replays: bool) -> bool:
    """Cut the polytope by the box of z_t; return whether nothing of it is left."""
    rows, sides, t = p.rows, o.sides, at.time
    size, units = o.W1.shape
    share, errors = rules.margins.share, rules.margins.errors
    for number in range(2 * rules.boxed):
        own = t * (2 * size + units) + number
        where, value, constant, noise = _ask(
            o.planes, number, sides[t, number], True, o.places, t, p.vertices, p.work
        )
        if where == BEYOND and not replays:
            f.counts.logged = _prove(f.log, f.counts.logged, DEAD, p.ids, p.basis, 0, 0, own)
            return True
        if where != CUT:
            continue
        e = share + errors * noise
        sign = -1.0 if value >= -e else 1.0
        f.counts.programs += 1
        place = cross(p, at.rows, sign, sign * value, -sign * e)
        if sign < 0.0 and place == OPTIMUM:
            keep(p.vertices, p.basis)
            continue
        if sign > 0.0 and place < 0:
            if place == OPTIMUM and not replays:
                f.counts.logged = _prove(f.log, f.counts.logged, DEAD, p.ids, p.basis, 1, size, own)
                return True
            continue
        n = at.rows
        _write_row(rows, n, p.work, -1.0, constant + e)
        p.ids[n] = own
        if sign > 0.0:
            p.basis[1, place] = n
            if not vertex(rows, p.vertices, p.basis, 1, p.work):
                continue
            keep(p.vertices, p.basis)
        at.rows += 1
    return False


@inlined
def _push(p: Polytope, forks: Forks, at: Node, place: int, cuts: bool, right: float) -> None:
    """Keep what the other branch, the unit being on, goes on from: a basis, with `cuts` a row."""
    numbers, basis, top = forks.numbers, p.basis, at.forks
    numbers[top, 0] = at.time
    numbers[top, 1] = at.unit
    numbers[top, 2] = at.rows
    numbers[top, 3] = at.period
    numbers[top, 4] = at.repeats
    numbers[top, 5] = cuts
    for k in range(basis.shape[1]):
        numbers[top, HEAD + k] = basis[place, k]
    _write_row(forks.rows, top, p.work, -1.0, right)
    at.forks = top + 1


@inlined
def _pop(o: Orbit, p: Polytope, forks: Forks, at: Node) -> bool:
    """Go on with the last branch that is left; return whether there was one."""
    if at.forks == 0:
        return False
    at.forks -= 1
    numbers, basis, rows, top = forks.numbers, p.basis, p.rows, at.forks
    size, units = o.W1.shape
    at.time, at.unit, at.bit = numbers[top, 0], numbers[top, 1], 1
    at.rows, at.period, at.repeats = numbers[top, 2], numbers[top, 3], numbers[top, 4] != 0
    for k in range(size):
        basis[0, k] = numbers[top, HEAD + k]
    if numbers[top, 5]:
        right, n = forks.rows, at.rows
        for k in range(size + 1):
            rows[n, k] = right[top, k]
        p.ids[n] = at.time * (2 * size + units) + 2 * size + at.unit
        at.rows = n + 1
    if not vertex(p.rows, p.vertices, p.basis, 0, p.work):
        at.lost = True
    return True


@inlined
def _decide(
    rules: Rules, o: Orbit, p: Polytope, forks: Forks, f: Found, at: Node, given: int
) -> bool:
    """Decide the bit of the next unit, as `given` (-1: it is not); return whether there is none."""
    t, n, bits, planes = at.time, at.rows, o.bits, o.planes
    size, units = o.W1.shape
    replays, number = given >= 0, 2 * size + at.unit
    barred = rules.necklaces and at.repeats and t > 0
    barred = barred and bits[(t - at.period) * units + at.unit] == 1
    where, value, constant, noise = _ask(
        planes, number, planes[number, size], False, o.places, t, p.vertices, p.work
    )
    cuts = where == CUT
    errors = rules.margins.errors * noise
    off, on = rules.margins.share + errors, rules.margins.on + errors
    side = 1 if where == AROUND or (cuts and value >= 0.0) else 0
    first = given if replays else (1 if barred else 0)
    free, empty, place = not replays and not barred, False, 0
    bit = first
    if where == AROUND or where == BEYOND:
        bit = given if replays else side
        empty = not replays
    elif cuts and (given == side or (barred and side == 1 and not replays)):
        bit = side
        free = False
    elif cuts:
        sign = -1.0 if side else 1.0
        f.counts.programs += 1
        place = cross(p, n, sign, sign * value, -(off if side else on))
        if place == OPTIMUM and not replays:
            keep(p.vertices, p.basis)
            bit = side
            empty = True
            place = size
        elif place >= 0:
            p.basis[1, place] = n
    at.bit = bit
    if empty:
        f.counts.logged = _prove(
            f.log, f.counts.logged, OFF_EMPTY if side else ON_EMPTY, p.ids, p.basis, 0, place, -1
        )
        return barred and side == 0
    log = f.log
    if len(log) > 0 and not replays:
        log[f.counts.logged] = BOTH
        f.counts.logged += 1
    if free:
        tight = side == 1 or place < 0 or not cuts
        _push(p, forks, at, 0 if tight else 1, cuts and (side == 1 or place >= 0), constant + on)
    if cuts:
        sign = -1.0 if bit else 1.0
        _write_row(p.rows, n, p.work, sign, (on if bit else off) - sign * constant)
        p.ids[n] = t * (2 * size + units) + number
        if bit == side:
            at.rows += 1
        elif place >= 0 and vertex(p.rows, p.vertices, p.basis, 1, p.work):
            keep(p.vertices, p.basis)
            at.rows += 1
    return False


@compiled()
def explore(
    rules: Rules, o: Orbit, p: Polytope, forks: Forks, f: Found, at: Node,
    prefix: UInt8[np.ndarray, " bit"], max_nodes: int,
) -> None:  # fmt: skip
    """Search the words that begin with the bits `prefix`; what is left at `max_nodes` is open."""
    units, room = o.W1.shape[1], len(forks.numbers)
    at.bit, at.rows, at.repeats = -1, 2 * len(o.W1), True
    for k in range(len(o.W1)):
        p.basis[0, k] = 2 * k
    vertex(p.rows, p.vertices, p.basis, 0, p.work)
    while True:
        over = _take(rules, o, f, at, len(prefix))
        pos = at.time * units + at.unit
        given = -1
        if pos < len(prefix):
            given = prefix[pos]
        elif not over:
            over = _leave_open(o, p, f, at, room, max_nodes)
        if not over and at.unit == 0 and at.time > 0:
            over = _leave_box(rules, o, p, f, at, given >= 0)
        if not over:
            over = _decide(rules, o, p, forks, f, at, given)
        if over and not _pop(o, p, forks, at):
            return
