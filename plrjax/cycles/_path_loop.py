"""Piecewise-linear paths on a CPU: one curve at a time, in a compiled loop.

The path, its ends and what it crosses are those of `_pivots`; see there. Tableaus are transposed,
"width unknown", with the unknowns filled up to a multiple of `ALIGNED` by zeros: then all inner
loops run along rows, in whole vectors. Import this module inside functions only: it is compiled.
"""

import numpy as np

from .._compiled import compiled, inner
from ._pivots import BROKEN, CAPPED, CLOSED, DEAD_PIVOT, RAY, RUNNING, TRUSTED_PIVOT

ALIGNED = 4
"""Numbers in a vector register; rows of other lengths spend half of their time on the remainder."""

OVER, STALE, PAUSED = range(3)
"""Why `follow` came back: all starts are done; the tableau is to be solved anew; time is up."""

PATH, LEG, LAST, PIVOTS, STALLED, AGE, AWAY, STATUS, SOLVED = range(9)
"""Places in `now`: the start, what `Lanes` in `_pivots` calls so, whether T was just solved."""

S, SIGN = range(2)
"""Places in `at`."""

MADE, TIES, HITS, LEGS = range(4)
"""Places in `tally`: pivots, those of length zero, cells noted; from `LEGS` on legs by status."""

_FAST = {"fastmath": {"contract"}}
"""Multiplications and additions may be fused."""


@inner("void(f8[:,::1], f8[:,::1], f8[::1], f8[:,::1], f8[:,:,::1])", **_FAST)
def _look(T, W2T, h2, nudge, y):
    """y <- the levels y_c and y_r of all units; without `nudge` the unknowns are the units."""
    width = T.shape[0]
    if not nudge.shape[0]:
        for i in range(y.shape[2]):
            y[0, 0, i], y[1, 0, i] = T[width - 2, i], T[width - 1, i]
        return
    size, units = W2T.shape
    for t in range(nudge.shape[0]):
        c, r = T[width - 2, t * size], T[width - 1, t * size]
        for u in range(units):
            y[0, t, u] = h2[u] + c * W2T[0, u]
            y[1, t, u] = nudge[t, u] + r * W2T[0, u]
        for j in range(1, size, 2):  # two at a time: fewer passes
            more = j + 1 if j + 1 < size else 0
            c, r = T[width - 2, t * size + j], T[width - 1, t * size + j]
            c2 = T[width - 2, t * size + more] if more else 0.0
            r2 = T[width - 1, t * size + more] if more else 0.0
            for u in range(units):
                y[0, t, u] += c * W2T[j, u] + c2 * W2T[more, u]
                y[1, t, u] += r * W2T[j, u] + r2 * W2T[more, u]


@inner("i8(f8[:,:,::1], f8[:,::1], f8[::1], i8, f8[:,::1])", **_FAST)
def _next_unit(y, side, at, last, wait):
    """Return the first unit to reach zero; `wait` holds how far in s that is (infinity: never)."""
    s, sign = at[S], at[SIGN]
    steps, units = side.shape
    unit, least = 0, np.inf
    for t in range(steps):
        for u in range(units):  # no branches, so that the compiler can use vectors
            rate = sign * y[1, t, u]
            length = -(y[0, t, u] + s * y[1, t, u]) / rate
            length = length if length > 0.0 else 0.0
            wait[t, u] = length if side[t, u] * rate > 0.0 else np.inf
        if last // units == t:
            wait[t, last % units] = np.inf
        for u in range(units):
            if wait[t, u] < least:
                unit, least = t * units + u, wait[t, u]
    return unit


@inner(
    "f8(f8[:,::1], f8[:,::1], f8[:,::1], f8[::1], f8[:,::1], i8, f8[::1], f8[::1])",
    **_FAST,
)
def _read(T, W1, W2, h2, nudge, unit, column, row):
    """Read column and row of the unit to flip; return its response to itself."""
    width, unknowns = T.shape
    if not nudge.shape[0]:
        for i in range(unknowns):
            column[i] = T[unit, i]
        for w in range(width):
            row[w] = T[w, unit]
        return row[unit]
    units, size = W1.shape
    time, u = unit // units, unit % units
    first = time * size
    for i in range(unknowns):
        column[i] = 0.0
    for j in range(size):
        f = W1[u, j]
        for i in range(unknowns):
            column[i] += f * T[first + j, i]
    for w in range(width):
        total = 0.0
        for j in range(size):
            total += W2[u, j] * T[w, first + j]
        row[w] = total
    row[width - 2] += h2[u]
    row[width - 1] += nudge[time, u]
    own = 0.0
    for j in range(size):
        own += W2[u, j] * column[first + j]
    return own


@inner("void(f8[:,::1], f8, f8[::1], f8[::1])", **_FAST)
def _update(T, factor, column, row):
    """T <- T + factor * row column^T."""
    for w in range(T.shape[0]):
        f = factor * row[w]
        for i in range(T.shape[1]):
            T[w, i] += f * column[i]


@inner("void(f8[:,::1], f8[:,::1])", **_FAST)
def _copy(source, target):
    """target <- source."""
    for w in range(source.shape[0]):
        for i in range(source.shape[1]):
            target[w, i] = source[w, i]


@inner("b1(f8[:,::1], f8[:,:,::1], f8[::1], i8, i8[::1], f8[::1], f8[:,::1], f8[:,::1])", **_FAST)
def _next_leg(first, home, begin, refresh, now, at, T, side):
    """Set out on the next leg, the second one with `first`; return whether there is one."""
    if now[PATH] >= 0 and now[LEG] == 0 and now[STATUS] != CLOSED:
        now[LEG] = 1
    else:
        now[PATH] += 1
        now[LEG] = 0
    path = now[PATH]
    if path >= len(begin):
        return False
    for t in range(side.shape[0]):
        for u in range(side.shape[1]):
            side[t, u] = home[path, t, u]
    at[S] = begin[path]
    at[SIGN] = -1.0 if now[LEG] == 0 else 1.0
    now[LAST] = -1
    now[PIVOTS] = now[STALLED] = now[AWAY] = 0
    now[AGE] = refresh if now[LEG] == 0 else 0
    now[SOLVED] = now[LEG]
    now[STATUS] = RUNNING
    if now[LEG] == 1:
        _copy(first, T)
    return True


@inner("b1(f8[:,::1])", **_FAST)
def _sound(T):
    """Return whether the columns of the two right-hand sides are finite."""
    total = 0.0
    for i in range(T.shape[1]):
        total += 0.0 * T[T.shape[0] - 2, i] + 0.0 * T[T.shape[0] - 1, i]
    return total == 0.0


@inner("void(f8[:,::1], u1[:,::1], i8)", **_FAST)
def _note(side, hits, place):
    """Pack the units that are on into a row of bytes, little bit order."""
    for byte in range(hits.shape[1]):
        hits[place, byte] = 0
    for t in range(side.shape[0]):
        for u in range(side.shape[1]):
            if side[t, u] < 0.0:
                i = t * side.shape[1] + u
                hits[place, i // 8] |= 1 << (i % 8)


@inner("i8(i8[::1], i8, i8, f8, f8, f8)", **_FAST)
def _ending(now, units, max_pivots, length, rho, own):
    """Return the status after a look at the next boundary: that of `_pivots`."""
    if now[PIVOTS] > 0 and now[AWAY] == 0:
        return CLOSED
    if length == np.inf:
        return RAY
    if not own - own == 0.0 or now[STALLED] > units or not abs(rho) > DEAD_PIVOT:
        return BROKEN
    return CAPPED if now[PIVOTS] >= max_pivots else RUNNING


@inner(
    "void(f8[:,::1], f8[::1], f8[:,::1], f8[:,::1], f8[::1], f8[:,::1], f8[::1], "
    "f8[:,::1], f8[:,::1], f8[:,::1])",
    **_FAST,
)
def _assemble(A, h1, W1, W2, h2, nudge, direction, side, system, T):
    """system, T <- the system of the cell and what is solved for, both transposed: `_tableau`'s.

    Without `nudge` A and h1 are B and c of the reduced system.
    """
    unknowns, size = len(system), len(h1)
    for j in range(unknowns):
        for i in range(unknowns):
            system[j, i] = T[j, i] = 0.0
    c, r = unknowns, unknowns + 1
    if not nudge.shape[0]:
        for i in range(unknowns):
            for j in range(unknowns):
                system[j, i] = -A[i, j] if side[0, j] < 0.0 else 0.0
                T[j, i] = A[i, j]
            system[i, i] += 1.0
            T[c, i], T[r, i] = h1[i], direction[i]
        return
    for t in range(len(nudge)):
        now, after = t * size, (t + 1) % len(nudge) * size
        for i in range(size):
            system[after + i, now + i] += 1.0
            T[now + i, now + i] = 1.0
            T[c, now + i], T[r, now + i] = h1[i], direction[now + i]
            for j in range(size):
                system[now + j, now + i] -= A[i, j]
        for u in range(len(h2)):
            if side[t, u] < 0.0:
                for i in range(size):
                    T[c, now + i] += W1[u, i] * h2[u]
                    T[r, now + i] += W1[u, i] * nudge[t, u]
                    for j in range(size):
                        system[now + j, now + i] -= W1[u, i] * W2[u, j]


@inner("void(f8[:,::1], i8, i8, f8[::1])", **_FAST)
def _clear(rows, p, best, factors):
    """Swap columns p and `best`, and subtract from all columns theirs times their factors."""
    for w in range(len(rows)):
        pivot = rows[w, best]
        rows[w, best] = rows[w, p]
        rows[w, p] = pivot
        for i in range(rows.shape[1]):
            rows[w, i] -= factors[i] * pivot


@inner("void(f8[:,::1], f8[:,::1], f8[::1])", **_FAST)
def _eliminate(system, T, factors):
    """T <- the solution, by Gauss-Jordan elimination with pivoting; NaN or inf if singular."""
    unknowns = len(system)
    for i in range(unknowns, len(factors)):
        factors[i] = 0.0
    for p in range(unknowns):
        best = p
        for i in range(p + 1, unknowns):
            if abs(system[p, i]) > abs(system[p, best]):
                best = i
        inverse = 1.0 / system[p, best]
        for i in range(unknowns):
            factors[i] = system[p, i] * inverse
        factors[best] = factors[p]
        factors[p] = 1.0 - inverse
        _clear(system, p, best, factors)
        _clear(T, p, best, factors)


_FOLLOW = (
    "i8("
    "f8[:,::1], f8[::1], f8[:,::1], f8[:,::1], f8[:,::1], f8[::1], f8[:,::1], "
    "f8[:,:,::1], f8[::1], f8[:,::1], i8[::1], "
    "i8[::1], f8[::1], i8[::1], f8[:,::1], f8[:,::1], f8[:,::1], "
    "f8[:,:,::1], f8[::1], f8[::1], f8[:,::1], f8[:,::1], "
    "u1[:,::1], i8[::1])"
)


# fmt: off
@compiled(_FOLLOW, **_FAST)
def follow(
    A, h1, W1, W2, W2T, h2, nudge,
    home, begin, direction, limits,
    now, at, tally, T, side, first,
    y, column, row, wait, system,
    hits, owners,
):  # fmt: on
    """Go on with the curves of a table of starts, and note the cells in which s passes zero.

    `W1` and `W2` are "unit state", `W2T` its transpose, empty without `nudge` (A and h1 are then B
    and c of the reduced system); `home` are the cells of the starts (1: off, -1: on), `begin` their
    s, `direction` their r; `limits` are pivots a leg may take, pivots until a tableau is solved
    anew, pivots until `PAUSED`, and the unknowns up to which it is solved here: otherwise `STALE`
    asks for T <- T system^-1. What goes on is `now`, `at`, `tally`, the tableau `T`, the cell
    `side` and the tableau of the start `first`; then comes room. Cells crossed are packed into
    `hits` from `tally[HITS]` on, with their start in `owners`; if these are full it pauses, too.
    """
    max_pivots, refresh, time, small = limits[0], limits[1], limits[2], limits[3]
    units = side.shape[1]
    while True:
        if now[STATUS] != RUNNING:
            if now[PATH] >= 0:
                tally[LEGS + now[STATUS]] += 1
            if not _next_leg(first, home, begin, refresh, now, at, T, side):
                return OVER
        if now[AGE] >= refresh:
            _assemble(A, h1, W1, W2, h2, nudge, direction[now[PATH]], side, system, T)
            now[AGE], now[SOLVED] = 0, 1
            if len(system) > small:
                return STALE
            _eliminate(system, T, column)
        if now[SOLVED]:
            now[SOLVED] = 0
            if not _sound(T):
                now[STATUS] = BROKEN
            if now[PIVOTS] == 0 and now[LEG] == 0:
                _copy(T, first)
            continue
        if time <= 0 or tally[HITS] >= len(hits):
            return PAUSED
        time -= 1
        _look(T, W2T, h2, nudge, y)
        unit = _next_unit(y, side, at, now[LAST], wait)
        t, u = unit // units, unit % units
        length = wait[t, u]
        s = at[S] + at[SIGN] * length
        if (at[S] < 0.0 and s >= 0.0) or (at[S] > 0.0 and s <= 0.0):
            _note(side, hits, tally[HITS])
            owners[tally[HITS]] = now[PATH]
            tally[HITS] += 1
        own = _read(T, W1, W2, h2, nudge, unit, column, row)
        on = side[t, u] < 0.0
        rho = 1.0 + own if on else 1.0 - own
        now[STATUS] = _ending(now, side.size, max_pivots, length, rho, own)
        if now[STATUS] != RUNNING:
            continue
        _update(T, (-1.0 if on else 1.0) / rho, column, row)
        side[t, u] = -side[t, u]
        now[AWAY] += 1 if side[t, u] != home[now[PATH], t, u] else -1
        if length == 0.0:
            tally[TIES] += 1 if now[PIVOTS] > 0 else 0
            now[STALLED] += 1
        else:
            now[STALLED] = 0
        now[AGE] += 1 if abs(rho) >= TRUSTED_PIVOT else refresh
        now[LAST] = unit
        now[PIVOTS] += 1
        tally[MADE] += 1
        at[S] = s
        if rho < 0.0:
            at[SIGN] = -at[SIGN]
