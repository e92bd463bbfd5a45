"""The word search, compiled: all words whose orbits stay in a box, bit after bit.

A node is the polytope of start points v that the bits decided so far allow. Whether the next unit
can be on, or off, is one small linear program from a vertex of the polytope; where it cannot, the
optimal basis is the proof. Where the arithmetic fails a branch is kept, never cut.

Arrays are those of `_simplex` and `_word_orbit`, and: `ids`, the numbers of the rows; `sides`, for
each time the constants of the box's sides; `log`, the proof in the checker's format, empty where
none is kept; `forks`, of nodes whose other branch is left (t, i, rows, period, whether the word so
far repeats, whether there is a row to add, basis), and `fork_rows`.
"""

import math

from ..._checker import BOTH, DEAD, OFF_EMPTY, ON_EMPTY
from ..._compiled import compiled, inner
from ._simplex import COST, OPTIMUM, cross, keep, vertex
from ._word_orbit import CANDIDATE, SINGULAR, advance, closing
from ._word_search import HEAD, LOGGED, NODES, NUM_COUNTS, NUM_OPEN, NUM_WORDS, PROGRAMS

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


@inner("void(i4[::1], i8[::1], i8, i8[::1], i8[:,::1], i8, i8, i8)")
def _prove(log, counts, kind, ids, basis, place, size, own):
    """Write a record with the numbers of `size` inequalities of a basis, and `own` (-1: none)."""
    if len(log) == 0:
        return
    at = counts[LOGGED]
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
    counts[LOGGED] = at


@inner("void(u1[::1], i8, u1[:,::1], i8[::1], i8[::1], i8)")
def _store(bits, count, table, lengths, counts, place):
    """Write the first bits to the next row of a table, of which a count says how many are taken."""
    row = counts[place]
    for pos in range(count):
        table[row, pos] = bits[pos]
    lengths[row] = count
    counts[place] = row + 1


@compiled(
    "void(f8[:,::1], f8[:,::1], f8[:,::1], i8, b1[::1], b1, b1, b1, i8[::1], i8, "
    "f8, f8, f8, u1[::1], i8, i4[::1], u1[:,::1], i8[::1], u1[:,::1], i8[::1], i8[::1], "
    "f8[:,:,::1], f8[:,:,::1], f8[:,::1], f8[:,::1], i8[::1], b1[::1], f8[:,:,::1], "
    "i8[:,::1], f8[:,::1], u1[::1], i8[:,::1], f8[:,::1])"
)
def explore(
    W1, planes, sides, boxed, wanted, necklaces, far, all_words, language, width,
    relaxed, slack, relaxed_on, prefix, max_nodes, log, words, lengths, open_bits, open_lengths,
    counts, maps, places, system, rows, ids, inside, vertices, basis, work, bits, forks, fork_rows,
):  # fmt: skip
    """Search the words that begin with the bits `prefix`.

    A row is relaxed by `relaxed` in v, that of a unit that is on by `relaxed_on`, and by `slack`
    times its rounding errors (all outward where positive). The first 2 `boxed` sides bound z_t.
    Candidates of `wanted` lengths (with `all_words` every word of K letters) go to `words`, and
    prefixes left over at `max_nodes` to `open_bits`.
    """
    M, H = W1.shape
    stride = 2 * M + H
    K = len(maps) - 1
    logging = len(log) > 0
    room = len(forks)
    margin = 8 * room + 2 * stride * (M + 4)
    vertex(rows, vertices, basis, 0, work)
    n = 2 * M
    sp, t, i = 0, 0, 0
    p, eq, bit = 0, True, -1
    stopping, hole = False, False
    while True:
        back = False
        if bit >= 0:
            bits[t * H + i] = bit
            if t > 0 and bit != bits[(t - p) * H + i]:
                eq = False
            i += 1
            bit = -1
            if i == H:
                depth = t + 1
                fresh = depth * H > len(prefix)
                counts[NODES] += 1
                counts[NUM_COUNTS + depth] += 1
                if width and depth >= width and fresh:
                    code = 0
                    for pos in range((depth - width) * H, depth * H):
                        code = 2 * code + bits[pos]
                    low = 0
                    high = len(language)
                    while low < high:
                        middle = (low + high) // 2
                        if language[middle] < code:
                            low = middle + 1
                        else:
                            high = middle
                    back = low == len(language) or language[low] != code
                if not back:
                    p = p if p and eq else depth
                    advance(W1, planes, bits, t, system, maps, places)
                    emit = False
                    if fresh and all_words:
                        emit = depth == K
                    elif fresh and wanted[depth] and (not necklaces or depth % p == 0):
                        found = closing(W1, planes, sides, bits, depth, maps, system, far)
                        primitive = not necklaces or depth == p
                        emit = found == SINGULAR or (found == CANDIDATE and primitive)
                    if emit:
                        _store(bits, depth * H, words, lengths, counts, NUM_WORDS)
                    t = depth
                    i = 0
                    eq = True
                    back = depth == K
        pos = t * H + i
        replay = pos < len(prefix)
        if not back and not replay:
            stopping = stopping or counts[NODES] >= max_nodes
            stopping = stopping or (logging and counts[LOGGED] + margin > len(log))
            stopping = stopping or counts[NUM_WORDS] + room > len(words)
            if stopping or hole:
                _prove(log, counts, DEAD, ids, basis, 0, 0, -1)
                _store(bits, pos, open_bits, open_lengths, counts, NUM_OPEN)
                back = True
                hole = False
        number = 0 if i == 0 and t > 0 else 2 * boxed
        while not back and number < 2 * boxed:
            own = t * stride + number
            where, value, constant, noise = _ask(
                planes, number, sides[t, number], True, places, t, vertices, work
            )
            number += 1
            if where == BEYOND and not replay:
                _prove(log, counts, DEAD, ids, basis, 0, 0, own)
                back = True
            if where != CUT:
                continue
            e = relaxed + slack * noise
            sign = -1.0 if value >= -e else 1.0
            counts[PROGRAMS] += 1
            place = cross(rows, n, inside, vertices, basis, work, sign, sign * value, -sign * e)
            if sign < 0.0 and place == OPTIMUM:
                keep(vertices, basis)
                continue
            if sign > 0.0 and place < 0:
                if place == OPTIMUM and not replay:
                    _prove(log, counts, DEAD, ids, basis, 1, M, own)
                    back = True
                continue
            _write_row(rows, n, work, -1.0, constant + e)
            ids[n] = own
            if sign > 0.0:
                basis[1, place] = n
                if not vertex(rows, vertices, basis, 1, work):
                    continue
                keep(vertices, basis)
            n += 1
        if not back:
            given = prefix[pos] if replay else -1
            barred = necklaces and eq and t > 0 and bits[(t - p) * H + i] == 1
            free = not replay and not barred
            number = 2 * M + i
            where, value, constant, noise = _ask(
                planes, number, planes[number, M], False, places, t, vertices, work
            )
            programmed = where == CUT
            e_off, e_on = relaxed + slack * noise, relaxed_on + slack * noise
            side = 1 if where == AROUND or (programmed and value >= 0.0) else 0
            first = given if replay else (1 if barred else 0)
            empty, place = False, 0
            if where == AROUND or where == BEYOND:
                bit = given if replay else side
                empty = not replay
            elif where == UNCLEAR:
                bit = first
            elif given == side or (barred and side and not replay):
                bit = side
                free = False
            else:
                sign = -1.0 if side else 1.0
                e = e_off if side else e_on
                counts[PROGRAMS] += 1
                place = cross(rows, n, inside, vertices, basis, work, sign, sign * value, -e)
                bit = first
                if place == OPTIMUM and not replay:
                    keep(vertices, basis)
                    bit = side
                    empty = True
                    place = M
                elif place >= 0:
                    basis[1, place] = n
            if empty:
                back = barred and side == 0
                _prove(log, counts, OFF_EMPTY if side else ON_EMPTY, ids, basis, 0, place, -1)
            else:
                if logging and not replay:
                    log[counts[LOGGED]] = BOTH
                    counts[LOGGED] += 1
                if free:  # keep what the other branch, the unit being on, goes on from
                    tight = side == 1 or place < 0 or not programmed
                    forks[sp, 0] = t
                    forks[sp, 1] = i
                    forks[sp, 2] = n
                    forks[sp, 3] = p
                    forks[sp, 4] = eq
                    forks[sp, 5] = programmed and (side == 1 or place >= 0)
                    other = 0 if tight else 1
                    for k in range(M):
                        forks[sp, HEAD + k] = basis[other, k]
                    _write_row(fork_rows, sp, work, -1.0, constant + e_on)
                    sp += 1
                if programmed:
                    sign = -1.0 if bit else 1.0
                    e = e_on if bit else e_off
                    _write_row(rows, n, work, sign, e - sign * constant)
                    ids[n] = t * stride + number
                    if bit == side:
                        n += 1
                    elif place >= 0 and vertex(rows, vertices, basis, 1, work):
                        keep(vertices, basis)
                        n += 1
        if back:
            if sp == 0:
                return
            sp -= 1
            t, i = forks[sp, 0], forks[sp, 1]
            n, p = forks[sp, 2], forks[sp, 3]
            eq, bit = forks[sp, 4] != 0, 1
            for k in range(M):
                basis[0, k] = forks[sp, HEAD + k]
            if forks[sp, 5]:
                for k in range(M + 1):
                    rows[n, k] = fork_rows[sp, k]
                ids[n] = t * stride + 2 * M + i
                n += 1
            if not vertex(rows, vertices, basis, 0, work):
                hole = True
