"""Piecewise-linear paths on a CPU: one curve at a time, in a compiled loop.

The path, its ends and what it crosses are those of `_pivots`; see there. Tableaus are transposed,
"width unknown", with the unknowns filled up to a multiple of `ALIGNED` by zeros: then all inner
loops run along rows, in whole vectors. Import this module inside functions only: it is compiled.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..._compiled import compiled, inlined, inner
from ._pivots import BROKEN, CAPPED, CLOSED, DEAD_PIVOT, RAY, RUNNING, TRUSTED_PIVOT

ALIGNED = 4
"""Numbers in a vector register; rows of other lengths spend half of their time on the remainder."""

OVER, STALE, PAUSED = range(3)
"""Why `follow` came back: all starts are done; the tableau is to be solved anew; time is up."""

SIDE, YC, YR, WAIT = range(4)
"""Rows of `cells`: 1 for off and -1 for on, the levels y_c and y_r, and how far the zero is."""

COLUMN, ROW = range(2)
"""Rows of `lines`."""


class Form(NamedTuple):
    """A map as the loop wants it; for a reduced system `A1` is (B, c), and the rest is empty.

    **Fields:** `A1` = (A, h1); `V` = (W1, W2, h2), a row for each unit; `W2T`, the transpose of W2
    and below it h2; `nudge`, a row for each time.
    """

    A1: Float[np.ndarray, "state augmented"]
    V: Float[np.ndarray, "unit number"]
    W2T: Float[np.ndarray, "augmented unit"]
    nudge: Float[np.ndarray, "time unit"]


class Table(NamedTuple):
    """Starts: `home`, their cells (1: off, -1: on), and their (s, r)."""

    home: Float[np.ndarray, "start cell"]
    starts: Float[np.ndarray, "start augmented"]


class Limits(NamedTuple):
    """Pivots a leg may take, pivots until a tableau is solved anew, pivots until `PAUSED`.

    A tableau of more than `unknowns` is not solved here: `STALE` asks for T <- T system^-1.
    """

    pivots: int
    refresh: int
    piece: int
    unknowns: int


class Curve:
    """The curve that is followed: what `Lanes` in `_pivots` calls so, and whether T is just solved.

    Below, counts of pivots, of those of length zero and of cells noted.
    """

    path: int
    leg: int
    last: int
    pivots: int
    stalled: int
    age: int
    away: int
    status: int
    solved: bool
    s: float
    sign: float
    made: int
    ties: int
    hits: int


class Room(NamedTuple):
    """Arrays of the curve that is followed, and what is noted.

    **Fields:** `T`, the rows of the tableau, of the system it solves, and of the start's tableau;
    `cells`, the rows named above, a column for each unit at each time; `lines`, the column and the
    row of the unit to flip; `hits`, cells in which s passed zero, packed in little bit order, and
    their start in `owners`; `legs`, a count of legs by status.
    """

    T: Float[np.ndarray, "line filled"]
    cells: Float[np.ndarray, "4 cell"]
    lines: Float[np.ndarray, "2 padded"]
    hits: UInt8[np.ndarray, "hit byte"]
    owners: Int[np.ndarray, " hit"]
    legs: Int[np.ndarray, " status"]


_FAST: dict[str, Any] = {"fastmath": {"contract"}}
"""Multiplications and additions may be fused. What each pivot calls is inlined by force: a fifth of
its time in small systems."""


@inner("i8(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, f8, f8, i8)", forceinline=True, **_FAST)
def _next_unit(W2T, nudge, T, cells, c, s, sign, last):
    """Write the levels of all units; return the first one to reach zero (at infinity: never)."""
    units, steps, size = cells.shape[1], nudge.shape[0], W2T.shape[0] - 1
    r = c + 1
    if steps == 0:
        for u in range(units):
            cells[YC, u] = T[c, u]
            cells[YR, u] = T[r, u]
    for t in range(steps):
        first = t * size
        begin = np.uint64(t * nudge.shape[1])  # unsigned: no check for places from the end
        tc = T[c, first]
        tr = T[r, first]
        for u in range(nudge.shape[1]):
            w = W2T[0, u]
            place = begin + np.uint64(u)
            cells[YC, place] = W2T[size, u] + tc * w
            cells[YR, place] = nudge[t, u] + tr * w
        for half in range(size // 2):  # two at a time: fewer passes
            j = 2 * half + 1
            tc = T[c, first + j]
            tr = T[r, first + j]
            more, tc2, tr2 = 0, 0.0, 0.0
            if j + 1 < size:
                more = j + 1
                tc2 = T[c, first + more]
                tr2 = T[r, first + more]
            for u in range(nudge.shape[1]):
                w = W2T[j, u]
                w2 = W2T[more, u]
                place = begin + np.uint64(u)
                cells[YC, place] += tc * w + tc2 * w2
                cells[YR, place] += tr * w + tr2 * w2
    for u in range(units):  # no branches, so that the compiler can use vectors
        yr = cells[YR, u]
        rate = sign * yr
        length = -(cells[YC, u] + s * yr) / rate
        length = length if length > 0.0 else 0.0
        cells[WAIT, u] = length if cells[SIDE, u] * rate > 0.0 else np.inf
    if last >= 0:
        cells[WAIT, last] = np.inf
    unit, least = 0, np.inf
    for u in range(units):
        length = cells[WAIT, u]
        if length < least:
            unit = u
            least = length
    return unit


@inner("f8(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, i8)", forceinline=True, **_FAST)
def _read(V, nudge, T, lines, c, unit):
    """Read column and row of the unit to flip; return its response to itself."""
    width, filled = c + 2, T.shape[1]
    if nudge.shape[0] == 0:
        for i in range(filled):
            lines[COLUMN, i] = T[unit, i]
        for w in range(width):
            lines[ROW, w] = T[w, unit]
        return lines[ROW, unit]
    size, units = V.shape[1] // 2, nudge.shape[1]
    time = unit // units
    u = unit - time * units
    first = time * size
    for i in range(filled):
        lines[COLUMN, i] = 0.0
    for j in range(size):
        f = V[u, j]
        for i in range(filled):
            lines[COLUMN, i] += f * T[first + j, i]
    for w in range(width):
        total = 0.0
        for j in range(size):
            total += V[u, size + j] * T[w, first + j]
        lines[ROW, w] = total
    lines[ROW, c] += V[u, 2 * size]
    lines[ROW, c + 1] += nudge[time, u]
    own = 0.0
    for j in range(size):
        own += V[u, size + j] * lines[COLUMN, first + j]
    return own


@inner("void(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, f8[:,::1], f8[:,::1])", **_FAST)
def _renew(A1, V, nudge, starts, path, T, cells):
    """T <- the right sides and, below, the system of the cell (transposed)."""
    size, unknowns, filled = A1.shape[0], starts.shape[1] - 1, T.shape[1]
    steps = nudge.shape[0]
    c = unknowns
    r = c + 1
    system = c + 2
    for w in range(system + unknowns):
        for i in range(filled):
            T[w, i] = 0.0
    for i in range(unknowns):
        T[r, i] = starts[path, 1 + i]
    for t in range(1 if steps == 0 else steps):
        now = t * size
        after = now + size if t + 1 < steps else 0
        for i in range(size):
            here = now + i
            T[system + after + i, here] += 1.0
            T[c, here] = A1[i, size]
            for j in range(size):
                a = A1[i, j]
                if steps == 0:
                    T[j, i] = a
                    if cells[SIDE, j] < 0.0:
                        T[system + j, i] -= a
                else:
                    T[system + now + j, here] -= a
            if steps > 0:
                T[here, here] = 1.0
        for u in range(nudge.shape[1]):
            if cells[SIDE, t * nudge.shape[1] + u] < 0.0:
                h = V[u, 2 * size]
                n = nudge[t, u]
                for i in range(size):
                    here = now + i
                    f = V[u, i]
                    T[c, here] += f * h
                    T[r, here] += f * n
                    for j in range(size):
                        T[system + now + j, here] -= f * V[u, size + j]


@inner("void(f8[:,::1], f8[:,::1], i8)", **_FAST)
def _solve(T, lines, unknowns):
    """Solve for the tableau by Gauss-Jordan elimination with pivoting; NaN or inf if singular."""
    filled, system = T.shape[1], unknowns + 2
    for i in range(filled):
        lines[COLUMN, i] = 0.0
    for p in range(unknowns):
        best, row = p, system + p
        for i in range(p + 1, unknowns):
            if abs(T[row, i]) > abs(T[row, best]):
                best = i
        inverse = 1.0 / T[row, best]
        for i in range(unknowns):
            lines[COLUMN, i] = T[row, i] * inverse
        lines[COLUMN, best] = lines[COLUMN, p]
        lines[COLUMN, p] = 1.0 - inverse
        for w in range(system + unknowns):
            pivot = T[w, best]
            T[w, best] = T[w, p]
            T[w, p] = pivot
            for i in range(filled):
                T[w, i] -= lines[COLUMN, i] * pivot


@inlined
def _keep(T, unknowns: int) -> None:
    """Keep the start's tableau for its second leg."""
    width = unknowns + 2
    for w in range(width):
        for i in range(T.shape[1]):
            T[width + unknowns + w, i] = T[w, i]


@inlined
def _begin(table: Table, room: Room, curve: Curve, refresh: int) -> bool:
    """Begin the next leg, the second one with the start's tableau; return whether there is one."""
    T, cells, home, starts = room.T, room.cells, table.home, table.starts
    unknowns = starts.shape[1] - 1
    width = unknowns + 2
    if curve.path >= 0:
        room.legs[curve.status] += 1
    if curve.path >= 0 and curve.leg == 0 and curve.status != CLOSED:
        curve.leg, curve.sign, curve.age = 1, 1.0, 0
        for w in range(width):
            for i in range(T.shape[1]):
                T[w, i] = T[width + unknowns + w, i]
    else:
        curve.path += 1
        curve.leg, curve.sign, curve.age = 0, -1.0, refresh
        if curve.path >= len(starts):
            return False
    for u in range(cells.shape[1]):
        cells[SIDE, u] = home[curve.path, u]
    curve.s = starts[curve.path, 0]
    curve.last, curve.pivots, curve.stalled = -1, 0, 0
    curve.away, curve.solved, curve.status = 0, curve.leg == 1, RUNNING
    return True


@inlined
def _is_finite(T, c: int) -> bool:
    """Return whether all columns of a tableau are finite (NaN is what is left of others)."""
    total = 0.0
    for i in range(T.shape[1]):
        total += 0.0 * T[c, i] + 0.0 * T[c + 1, i]
    return total == 0.0


@inlined
def _note(room: Room, curve: Curve) -> None:
    """Note the cell."""
    hits, cells, row = room.hits, room.cells, curve.hits
    for byte in range(hits.shape[1]):
        hits[row, byte] = 0
    for u in range(cells.shape[1]):
        if cells[SIDE, u] < 0.0:
            hits[row, u // 8] |= 1 << (u % 8)
    room.owners[row] = curve.path
    curve.hits = row + 1


@inlined
def _flip(room: Room, curve: Curve, width: int, unit: int, rho: float, home: float) -> None:
    """Pivot: flip a unit, whose side is `home` in the start's cell."""
    T, cells, lines = room.T, room.cells, room.lines
    side = cells[SIDE, unit]
    factor = side / rho
    filled = T.shape[1]
    for w in range(width):
        f = factor * lines[ROW, w]
        for i in range(filled):
            T[w, i] += f * lines[COLUMN, i]
    cells[SIDE, unit] = -side
    curve.away += -1 if side != home else 1
    curve.stalled += 1
    if cells[WAIT, unit] > 0.0:
        curve.stalled = 0
    elif curve.pivots > 0:
        curve.ties += 1
    curve.last = unit
    curve.pivots += 1
    curve.made += 1
    if rho < 0.0:
        curve.sign = -curve.sign


@compiled(**_FAST)
def follow(form: Form, table: Table, limits: Limits, curve: Curve, room: Room) -> int:
    """Go on with the curves of a table of starts, and note the cells in which s passes zero.

    It pauses as well where there is no room for more of them. What goes on is `curve`, the tableaus
    and the cell.
    """
    A1, V, W2T, nudge = form
    T, cells, lines, starts = room.T, room.cells, room.lines, table.starts
    units, c, refresh, time = cells.shape[1], starts.shape[1] - 1, limits.refresh, limits.piece
    while True:
        if curve.status != RUNNING and not _begin(table, room, curve, refresh):
            return OVER
        if curve.age >= refresh:
            _renew(A1, V, nudge, starts, curve.path, T, cells)
            curve.age, curve.solved = 0, True
            if c > limits.unknowns:
                return STALE
            _solve(T, lines, c)
        if curve.solved:
            curve.solved = False
            if not _is_finite(T, c):
                curve.status = BROKEN
            if curve.pivots == 0 and curve.leg == 0:
                _keep(T, c)
            continue
        if time <= 0 or curve.hits >= len(room.hits):
            return PAUSED
        time -= 1
        s = curve.s
        unit = _next_unit(W2T, nudge, T, cells, c, s, curve.sign, curve.last)
        length = cells[WAIT, unit]
        reached = s + curve.sign * length
        if (s < 0.0 and reached >= 0.0) or (s > 0.0 and reached <= 0.0):
            _note(room, curve)
        own = _read(V, nudge, T, lines, c, unit)
        rho = 1.0 - cells[SIDE, unit] * own
        if curve.pivots > 0 and curve.away == 0:
            curve.status = CLOSED
        elif length == np.inf:
            curve.status = RAY
        elif own - own != 0.0 or curve.stalled > units or not abs(rho) > DEAD_PIVOT:
            curve.status = BROKEN
        elif curve.pivots >= limits.pivots:
            curve.status = CAPPED
        else:
            _flip(room, curve, c + 2, unit, rho, table.home[curve.path, unit])
            curve.age += 1 if abs(rho) >= TRUSTED_PIVOT else refresh
            curve.s = reached
