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
from ._simplex import COST, OPTIMUM, UP, cross, keep, vertex
from ._word_orbit import CANDIDATE, SINGULAR, advance, closing, is_known
from ._word_search import HEAD, LOGGED, NODES, NUM_OPEN, NUM_WORDS, PROGRAMS

ROUNDING = 4e-15
"""Rounding errors are bounded by this multiple of what was added up, per step."""

AROUND, BEYOND, UNCLEAR, ABOVE, BELOW = range(5)
"""The polytope is on the positive side, on the negative one, or flat; else the vertex is."""


@inner("Tuple((f8, f8, f8, f8))(f8[:,::1], i8, f8, f8[:,:,::1], i8, f8[:,::1])")
def _function(planes, number, constant, places, t, work):
    """Write a function of z_t as one of v to work[COST]; return constant, norms 1 and 2, noise."""
    size = work.shape[1]
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
    return constant, total, math.sqrt(square), ROUNDING * (t + 2) * magnitude


@inner("f8(f8[:,::1], f8, f8, f8[:,:,::1])")
def _normalize(work, constant, norm, vertices):
    """Divide work[COST] by its norm; return the function's value at the vertex."""
    size = work.shape[1]
    value = constant / norm
    for k in range(size):
        work[COST, k] /= norm
        value += work[COST, k] * vertices[0, size, k]
    return value


@inner("void(f8[:,::1], f8)")
def _aim(work, sign):
    """Make the program's function that of the row times a sign."""
    for k in range(work.shape[1]):
        work[UP, k] = sign * work[COST, k]


@inner("void(f8[:,::1], i8, f8[:,::1], f8, f8)")
def _write_row(rows, n, work, sign, right):
    """Write the row sign * work[COST] . v <= right."""
    size = work.shape[1]
    for k in range(size):
        rows[n, k] = sign * work[COST, k]
    rows[n, size] = right


@inner("void(i4[::1], i8[::1], i8)")
def _note(log, counts, kind):
    """Write a record without a proof."""
    if len(log) > 0:
        log[counts[LOGGED]] = kind
        counts[LOGGED] += 1


@inner("void(i4[::1], i8[::1], i8, i8[::1], i8[:,::1], i8, i8, i8)")
def _prove(log, counts, kind, ids, basis, place, size, own):
    """Write a record with the numbers of `size` inequalities of a basis, and `own` (-1: none)."""
    if len(log) == 0:
        return
    at = counts[LOGGED]
    count = size + (1 if own >= 0 else 0)
    log[at] = kind
    log[at + 1] = count
    for i in range(size):
        log[at + 2 + i] = ids[basis[place, i]]
    if own >= 0:
        log[at + 1 + count] = own
    counts[LOGGED] = at + 2 + count


@inner("void(u1[::1], i8, u1[:,::1], i8[::1], i8)")
def _store(bits, count, table, lengths, row):
    """Write the first bits to a row of a table."""
    for pos in range(count):
        table[row, pos] = bits[pos]
    lengths[row] = count


@inner(
    "Tuple((i8, f8, f8, f8))(f8[:,::1], f8[:,::1], f8[:,:,::1], i8, i8, f8, f8, "
    "f8[:,:,::1], i8[:,::1], f8[:,::1])"
)
def _ask_side(planes, sides, places, t, number, relaxed, slack, vertices, basis, work):
    """Say where a side of the box lies; return, for the program, value and level, and the row."""
    c0, total, norm, noise = _function(planes, number, sides[t, number], places, t, work)
    if c0 - total >= 0.0 or (norm <= 10 * noise and c0 >= -total - noise):
        return AROUND, 0.0, 0.0, 0.0
    if c0 + total < -noise:
        return BEYOND, 0.0, 0.0, 0.0
    value, e = _normalize(work, c0, norm, vertices), relaxed + slack * noise / norm
    keep(vertices, basis, 0, 1)
    if value >= -e:
        _aim(work, -1.0)
        return ABOVE, -value, e, c0 / norm + e
    _aim(work, 1.0)
    return BELOW, value, -e, c0 / norm + e


@inner("void(i8[:,::1], f8[:,::1], i8, i8, i8, i8, i8, b1, i8[:,::1], i8, f8[:,::1], f8, b1)")
def _fork(
    forks, fork_rows, sp, t, i, n, p, eq, basis, place, work, right, with_row,
):  # fmt: skip
    """Keep what the other branch of a node, the unit being on, goes on from."""
    size = basis.shape[1]
    forks[sp, 0] = t
    forks[sp, 1] = i
    forks[sp, 2] = n
    forks[sp, 3] = p
    forks[sp, 4] = eq
    forks[sp, 5] = with_row
    for k in range(size):
        forks[sp, HEAD + k] = basis[place, k]
    _write_row(fork_rows, sp, work, -1.0, right)


@inner("i8(i8[:,::1], f8[:,::1], i8, i8, f8[:,::1], i8[::1], i8[:,::1])")
def _return_to(forks, fork_rows, sp, own, rows, ids, basis):
    """Go back to the rows and the basis of a fork; return the number of rows."""
    size, n = basis.shape[1], forks[sp, 2]
    for k in range(size):
        basis[0, k] = forks[sp, HEAD + k]
    if not forks[sp, 5]:
        return n
    for k in range(size + 1):
        rows[n, k] = fork_rows[sp, k]
    ids[n] = own
    return n + 1


@inner(
    "Tuple((i8, f8, f8, f8, f8))(f8[:,::1], f8[:,:,::1], i8, i8, f8, f8, f8, f8[:,:,::1], "
    "i8[:,::1], f8[:,::1])"
)
def _ask_unit(planes, places, t, number, relaxed, relaxed_on, slack, vertices, basis, work):
    """Say on which side of a boundary polytope or vertex lie; return value, constant, margins."""
    size = work.shape[1]
    c0, total, norm, noise = _function(planes, number, planes[number, size], places, t, work)
    if abs(c0) > total + noise or norm <= 10 * noise:
        if c0 > total + noise:
            return AROUND, 0.0, 0.0, 0.0, 0.0
        return (BEYOND if c0 < -total - noise else UNCLEAR), 0.0, 0.0, 0.0, 0.0
    value = _normalize(work, c0, norm, vertices)
    e_off, e_on = relaxed + slack * noise / norm, relaxed_on + slack * noise / norm
    return (ABOVE if value >= 0 else BELOW), value, c0 / norm, e_off, e_on


@compiled(
    "void(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, b1[::1], b1, b1, b1, i8[::1], i8, "
    "f8, f8, f8, u1[::1], i8, i4[::1], u1[:,::1], i8[::1], u1[:,::1], i8[::1], i8[::1], i8[::1], "
    "f8[:,:,::1], f8[:,:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8[::1], b1[::1], f8[:,:,::1], "
    "i8[:,::1], f8[:,::1], f8[:,::1], u1[::1], i8[:,::1], f8[:,::1])"
)
def explore(
    A1, W1, planes, sides, boxed, wanted, necklaces, far, all_words, language, width,
    relaxed, slack, relaxed_on, prefix, max_nodes, log, words, lengths, open_bits, open_lengths,
    depths, counts, maps, places, system, orbit, rows, ids, inside, vertices, basis, work, tableau,
    bits, forks, fork_rows,
):  # fmt: skip
    """Search the words that begin with the bits `prefix`.

    A row is relaxed by `relaxed` in v, that of a unit that is on by `relaxed_on`, and by `slack`
    times its rounding errors (all outward where positive). The first 2 `boxed` sides bound z_t.
    Candidates of `wanted` lengths (with `all_words` every word of K letters) go to `words`, and
    prefixes left over at `max_nodes` to `open_bits`.
    """
    M, H = W1.shape
    stride, K, logging = len(planes), len(maps) - 1, len(log) > 0
    room = len(forks)
    margin = 8 * room + 2 * stride * (M + 4)
    vertex(rows, vertices, basis, 0, tableau)
    n, sp, t, i, p, eq, bit = 2 * M, 0, 0, 0, 0, True, -1
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
                depths[depth] += 1
                if width and depth >= width and fresh:
                    back = not is_known(bits, (depth - width) * H, depth * H, language)
                if not back:
                    p = p if p and eq else depth
                    advance(A1, W1, planes, bits, t, system, maps, places)
                    emit = False
                    if fresh and all_words:
                        emit = depth == K
                    elif fresh and wanted[depth] and (not necklaces or depth % p == 0):
                        found = closing(
                            A1, W1, planes, sides, bits, depth, maps, system, orbit, far
                        )
                        primitive = not necklaces or depth == p
                        emit = found == SINGULAR or (found == CANDIDATE and primitive)
                    if emit:
                        _store(bits, depth * H, words, lengths, counts[NUM_WORDS])
                        counts[NUM_WORDS] += 1
                    t, i, eq = depth, 0, True
                    back = depth == K
        pos = t * H + i
        replay = pos < len(prefix)
        if not back and not replay:
            stopping = stopping or counts[NODES] >= max_nodes
            stopping = stopping or (logging and counts[LOGGED] + margin > len(log))
            stopping = stopping or counts[NUM_WORDS] + room > len(words)
            if stopping or hole:
                _prove(log, counts, DEAD, ids, basis, 0, 0, -1)
                _store(bits, pos, open_bits, open_lengths, counts[NUM_OPEN])
                counts[NUM_OPEN] += 1
                back, hole = True, False
        number = 0 if i == 0 and t > 0 else 2 * boxed
        while not back and number < 2 * boxed:
            own = t * stride + number
            where, value, level, right = _ask_side(
                planes, sides, places, t, number, relaxed, slack, vertices, basis, work
            )
            number += 1
            if where == BEYOND and not replay:
                _prove(log, counts, DEAD, ids, basis, 0, 0, own)
                back = True
            if where < ABOVE:
                continue
            counts[PROGRAMS] += 1
            place = cross(rows, n, inside, vertices, basis, work, tableau, value, level)
            if where == ABOVE and place == OPTIMUM:
                keep(vertices, basis, 1, 0)
                continue
            if where == BELOW and place < 0:
                if place == OPTIMUM and not replay:
                    _prove(log, counts, DEAD, ids, basis, 1, M, own)
                    back = True
                continue
            _write_row(rows, n, work, -1.0, right)
            ids[n] = own
            if where == BELOW:
                basis[1, place] = n
                if not vertex(rows, vertices, basis, 1, tableau):
                    continue
                keep(vertices, basis, 1, 0)
            n += 1
        if not back:
            given = prefix[pos] if replay else -1
            barred = necklaces and eq and t > 0 and bits[(t - p) * H + i] == 1
            free = not replay and not barred
            where, value, constant, e_off, e_on = _ask_unit(
                planes, places, t, 2 * M + i, relaxed, relaxed_on, slack, vertices, basis, work
            )
            side = 1 if where == AROUND or where == ABOVE else 0
            first = given if replay else (1 if barred else 0)
            empty, place = False, 0
            if where == AROUND or where == BEYOND:
                bit = given if replay else side
                empty = not replay
            elif where == UNCLEAR:
                bit = first
            elif given == side or (barred and side and not replay):
                bit, free = side, False
            else:
                keep(vertices, basis, 0, 1)
                sign, e = (-1.0, e_off) if side else (1.0, e_on)
                _aim(work, sign)
                counts[PROGRAMS] += 1
                place = cross(rows, n, inside, vertices, basis, work, tableau, sign * value, -e)
                bit = first
                if place == OPTIMUM and not replay:
                    keep(vertices, basis, 1, 0)
                    bit, empty, place = side, True, M
                elif place >= 0:
                    basis[1, place] = n
            if empty:
                back = barred and side == 0
                _prove(log, counts, OFF_EMPTY if side else ON_EMPTY, ids, basis, 0, place, -1)
            else:
                programmed = where >= ABOVE
                if not replay:
                    _note(log, counts, BOTH)
                if free:
                    tight = side == 1 or place < 0 or not programmed
                    _fork(
                        forks, fork_rows, sp, t, i, n, p, eq, basis, 0 if tight else 1, work,
                        constant + e_on, programmed and (side == 1 or place >= 0),
                    )  # fmt: skip
                    sp += 1
                if programmed:
                    sign, e = (1.0, e_on) if bit else (-1.0, e_off)
                    _write_row(rows, n, work, -sign, sign * constant + e)
                    ids[n] = t * stride + 2 * M + i
                    if bit == side:
                        n += 1
                    elif place >= 0 and vertex(rows, vertices, basis, 1, tableau):
                        keep(vertices, basis, 1, 0)
                        n += 1
        if back:
            if sp == 0:
                return
            sp -= 1
            t, i, n, p = forks[sp, 0], forks[sp, 1], forks[sp, 2], forks[sp, 3]
            eq, bit = forks[sp, 4] != 0, 1
            own = t * stride + 2 * M + i
            n = _return_to(forks, fork_rows, sp, own, rows, ids, basis)
            if not vertex(rows, vertices, basis, 0, tableau):
                hole = True
