"""Piecewise-linear paths on a CPU: one curve at a time, in a compiled loop.

The path, its ends and what it crosses are those of `_pivots`; see there. Tableaus are transposed,
"width unknown", with the unknowns filled up to a multiple of `ALIGNED` by zeros: then all inner
loops run along rows, in whole vectors. Import this module inside functions only: it is compiled.

Few functions with few arrays compile soonest, so arrays are joined: `A1` = (A, h1); `V` = (W1, W2,
h2), a row for each unit; `W2T`, the transpose of W2 and below it h2; `nudge`, a row for each time.
The last three are empty for a reduced system, whose B and c are then `A1`. `T` are the rows of the
tableau, of the system it solves, and of the start's tableau; `cells` the rows named below, a column
for each unit at each time; `lines` the column and the row of the unit to flip.
"""

import numpy as np

from .._compiled import compiled, inner
from ._pivots import BROKEN, CAPPED, CLOSED, DEAD_PIVOT, RAY, RUNNING, TRUSTED_PIVOT

ALIGNED = 4
"""Numbers in a vector register; rows of other lengths spend half of their time on the remainder."""

OVER, STALE, PAUSED = range(3)
"""Why `follow` came back: all starts are done; the tableau is to be solved anew; time is up."""

PATH, LEG, LAST, PIVOTS, STALLED, AGE, AWAY, STATUS, SOLVED, MADE, TIES, HITS, LEGS = range(13)
"""Places in `now`: the start, what `Lanes` in `_pivots` calls so, whether T was just solved; counts
of pivots, of those of length zero, of cells noted; from `LEGS` on of legs by status."""

S, SIGN = range(2)
"""Places in `at`."""

SIDE, YC, YR, WAIT = range(4)
"""Rows of `cells`: 1 for off and -1 for on, the levels y_c and y_r, and how far the zero is."""

COLUMN, ROW = range(2)
"""Rows of `lines`."""

_FAST = {"fastmath": {"contract"}}
"""Multiplications and additions may be fused."""


@inner("i8(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, f8, f8, i8)", **_FAST)
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


@inner("f8(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, i8)", **_FAST)
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


@inner(
    "void(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8, f8[:,::1], f8[:,::1], f8[:,::1], b1)",
    **_FAST,
)
def _renew(A1, V, nudge, starts, path, T, cells, lines, solving):
    """T <- the right sides and, below, the system of the cell (transposed); solve it if wanted.

    By Gauss-Jordan elimination with pivoting; NaN or inf if singular.
    """
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
    if not solving:
        return
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


# fmt: off
@compiled(
    "i8(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], i8[::1], i8[::1], "
    "f8[::1], f8[:,::1], f8[:,::1], f8[:,::1], u1[:,::1], i8[::1])",
    **_FAST,
)
def follow(
    A1, V, W2T, nudge, home, starts, limits, now, at, T, cells, lines, hits, owners,
):  # fmt: on
    """Go on with the curves of a table of starts, and note the cells in which s passes zero.

    `home` are the cells of the starts (1: off, -1: on), `starts` their (s, r); `limits` are pivots
    a leg may take, pivots until a tableau is solved anew, pivots until `PAUSED`, and the unknowns
    up to which it is solved here: otherwise `STALE` asks for T <- T system^-1. What goes on is
    `now`, `at`, the tableaus and the cell. Cells crossed are packed into `hits`, little bit order,
    from `now[HITS]` on, with their start in `owners`; if these are full it pauses, too.
    """
    max_pivots, refresh, time = limits[0], limits[1], limits[2]
    path, leg, last = now[PATH], now[LEG], now[LAST]
    pivots, stalled = now[PIVOTS], now[STALLED]
    age, away, status = now[AGE], now[AWAY], now[STATUS]
    solved, noted = now[SOLVED], now[HITS]
    s, sign = at[S], at[SIGN]
    units, filled, c = cells.shape[1], T.shape[1], starts.shape[1] - 1
    width, begin = c + 2, c + 2 + c
    solving = c <= limits[3]
    while True:
        if status != RUNNING:  # the next leg, the second one with the start's tableau
            if path >= 0:
                now[LEGS + status] += 1
            if path >= 0 and leg == 0 and status != CLOSED:
                leg, sign, age = 1, 1.0, 0
                for w in range(width):
                    for i in range(filled):
                        T[w, i] = T[begin + w, i]
            else:
                path += 1
                leg, sign, age = 0, -1.0, refresh
                if path >= len(starts):
                    why = OVER
                    break
            for u in range(units):
                cells[SIDE, u] = home[path, u]
            s = starts[path, 0]
            last, pivots, stalled = -1, 0, 0
            away, solved, status = 0, leg, RUNNING
        if age >= refresh:
            _renew(A1, V, nudge, starts, path, T, cells, lines, solving)
            age, solved = 0, 1
            if not solving:
                why = STALE
                break
        if solved:
            solved, total = 0, 0.0
            for i in range(filled):
                total += 0.0 * T[c, i] + 0.0 * T[c + 1, i]
            if total != 0.0:  # NaN: some column is not finite
                status = BROKEN
            if pivots == 0 and leg == 0:
                for w in range(width):
                    for i in range(filled):
                        T[begin + w, i] = T[w, i]
            continue
        if time <= 0 or noted >= len(hits):
            why = PAUSED
            break
        time -= 1
        unit = _next_unit(W2T, nudge, T, cells, c, s, sign, last)
        length = cells[WAIT, unit]
        reached = s + sign * length
        if (s < 0.0 and reached >= 0.0) or (s > 0.0 and reached <= 0.0):
            for byte in range(hits.shape[1]):
                hits[noted, byte] = 0
            for u in range(units):
                if cells[SIDE, u] < 0.0:
                    hits[noted, u // 8] |= 1 << (u % 8)
            owners[noted] = path
            noted += 1
        own = _read(V, nudge, T, lines, c, unit)
        side = cells[SIDE, unit]
        rho = 1.0 - side * own
        if pivots > 0 and away == 0:
            status = CLOSED
        elif length == np.inf:
            status = RAY
        elif own - own != 0.0 or stalled > units or not abs(rho) > DEAD_PIVOT:
            status = BROKEN
        elif pivots >= max_pivots:
            status = CAPPED
        else:
            factor = side / rho
            for w in range(width):
                f = factor * lines[ROW, w]
                for i in range(filled):
                    T[w, i] += f * lines[COLUMN, i]
            cells[SIDE, unit] = -side
            away += -1 if side != home[path, unit] else 1
            stalled += 1
            if length > 0.0:
                stalled = 0
            elif pivots > 0:
                now[TIES] += 1
            age += 1 if abs(rho) >= TRUSTED_PIVOT else refresh
            last, s = unit, reached
            pivots += 1
            now[MADE] += 1
            if rho < 0.0:
                sign = -sign
    now[PATH], now[LEG], now[LAST] = path, leg, last
    now[PIVOTS], now[STALLED] = pivots, stalled
    now[AGE], now[AWAY], now[STATUS] = age, away, status
    now[SOLVED], now[HITS] = solved, noted
    at[S], at[SIGN] = s, sign
    return why
