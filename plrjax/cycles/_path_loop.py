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

PATH, LEG, LAST, PIVOTS, STALLED, AGE, AWAY, STATUS = range(8)
"""Places in `now`: the start, the leg, and what `Lanes` in `_pivots` calls by these names."""

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
        for u in range(units):
            y[0, t, u], y[1, t, u] = h2[u], nudge[t, u]
        for j in range(size):
            c, r = T[width - 2, t * size + j], T[width - 1, t * size + j]
            for u in range(units):
                y[0, t, u] += c * W2T[j, u]
                y[1, t, u] += r * W2T[j, u]


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


@inner(
    "b1(f8[:,:,::1], f8[:,:,::1], f8[::1], i8[::1], f8[::1], f8[:,::1], f8[:,::1])",
    **_FAST,
)
def _next_leg(fresh, home, begin, now, at, T, side):
    """Set out on the next leg; return whether there is one."""
    if now[PATH] >= 0 and now[LEG] == 0 and now[STATUS] != CLOSED:
        now[LEG] = 1
    else:
        now[PATH] += 1
        now[LEG] = 0
    path = now[PATH]
    if path >= len(begin):
        return False
    for w in range(T.shape[0]):
        for i in range(T.shape[1]):
            T[w, i] = fresh[path, w, i]
    for t in range(side.shape[0]):
        for u in range(side.shape[1]):
            side[t, u] = home[path, t, u]
    at[S] = begin[path]
    at[SIGN] = -1.0 if now[LEG] == 0 else 1.0
    now[LAST] = -1
    now[PIVOTS] = now[STALLED] = now[AGE] = now[AWAY] = 0
    now[STATUS] = RUNNING
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
def _assemble(A, h1, W1, W2, h2, nudge, direction, side, system, right):
    """system <- the system of the cell, right <- what is solved for: those of `_tableau`.

    Without `nudge` A and h1 are B and c of the reduced system.
    """
    unknowns, size = len(system), len(h1)
    for i in range(unknowns):
        for j in range(unknowns):
            system[i, j] = right[i, j] = 0.0
        right[i, unknowns] = right[i, unknowns + 1] = 0.0
    if not nudge.shape[0]:
        for i in range(unknowns):
            for j in range(unknowns):
                system[i, j] = -A[i, j] if side[0, j] < 0.0 else 0.0
                right[i, j] = A[i, j]
            system[i, i] += 1.0
            right[i, unknowns], right[i, unknowns + 1] = h1[i], direction[i]
        return
    for t in range(len(nudge)):
        now, after = t * size, (t + 1) % len(nudge) * size
        for i in range(size):
            system[now + i, after + i] += 1.0
            right[now + i, now + i] = 1.0
            right[now + i, unknowns], right[now + i, unknowns + 1] = h1[i], direction[now + i]
            for j in range(size):
                system[now + i, now + j] -= A[i, j]
        for u in range(len(h2)):
            if side[t, u] < 0.0:
                for i in range(size):
                    right[now + i, unknowns] += W1[u, i] * h2[u]
                    right[now + i, unknowns + 1] += W1[u, i] * nudge[t, u]
                    for j in range(size):
                        system[now + i, now + j] -= W1[u, i] * W2[u, j]


@inner("void(f8[:,::1], f8[:,::1], f8[:,::1])", **_FAST)
def _eliminate(system, right, T):
    """T <- (system^-1 right)^T by Gauss-Jordan elimination with row pivoting; NaN if singular."""
    unknowns, width = right.shape
    for p in range(unknowns):
        best = p
        for i in range(p + 1, unknowns):
            if abs(system[i, p]) > abs(system[best, p]):
                best = i
        for j in range(unknowns):
            system[p, j], system[best, j] = system[best, j], system[p, j]
        for j in range(width):
            right[p, j], right[best, j] = right[best, j], right[p, j]
        inverse = 1.0 / system[p, p]
        for j in range(unknowns):
            system[p, j] *= inverse
        for j in range(width):
            right[p, j] *= inverse
        for i in range(unknowns):
            f = system[i, p]
            if i != p and f != 0.0:
                for j in range(unknowns):
                    system[i, j] -= f * system[p, j]
                for j in range(width):
                    right[i, j] -= f * right[p, j]
    for w in range(width):
        for i in range(unknowns):
            T[w, i] = right[i, w]


_FOLLOW = (
    "i8("
    "f8[:,::1], f8[::1], f8[:,::1], f8[:,::1], f8[:,::1], f8[::1], f8[:,::1], "
    "f8[:,:,::1], f8[:,:,::1], f8[::1], f8[:,::1], i8[::1], "
    "i8[::1], f8[::1], i8[::1], f8[:,::1], f8[:,::1], "
    "f8[:,:,::1], f8[::1], f8[::1], f8[:,::1], f8[:,::1], f8[:,::1], "
    "u1[:,::1], i8[::1])"
)


# fmt: off
@compiled(_FOLLOW, **_FAST)
def follow(
    A, h1, W1, W2, W2T, h2, nudge,
    fresh, home, begin, direction, limits,
    now, at, tally, T, side,
    y, column, row, wait, system, right,
    hits, owners,
):  # fmt: on
    """Go on with the curves of a batch of starts, and note the cells in which s passes zero.

    `W1` and `W2` are "unit state", `W2T` its transpose, empty without `nudge` (A and h1 are then B
    and c of the reduced system); `fresh` holds the tableaus of the starts, `home` their cells
    (1: off, -1: on), `begin` their s, `direction` their r; `limits` are pivots a leg may take,
    pivots until a tableau is solved anew, and pivots until `PAUSED`. What goes on is `now`, `at`,
    `tally`, the tableau `T` and the cell `side`; then comes room for levels, rows and systems
    (without that for systems it comes back `STALE`). Cells crossed are packed into `hits` from
    `tally[HITS]` on, with their start in `owners`; where these are full it comes back, too.
    """
    max_pivots, refresh, time = limits[0], limits[1], limits[2]
    units = side.shape[1]
    while True:
        if now[STATUS] != RUNNING:
            if now[PATH] >= 0:
                tally[LEGS + now[STATUS]] += 1
            if not _next_leg(fresh, home, begin, now, at, T, side):
                return OVER
            if not _sound(T):
                now[STATUS] = BROKEN
                continue
        if now[AGE] >= refresh:
            if not len(system):
                return STALE
            _assemble(A, h1, W1, W2, h2, nudge, direction[now[PATH]], side, system, right)
            _eliminate(system, right, T)
            now[AGE] = 0
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
