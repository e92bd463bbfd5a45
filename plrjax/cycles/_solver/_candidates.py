"""One candidate at a time on a CPU: what `_newton_step` does, compiled, on the units that matter.

A candidate is an itinerary; (I - P) z = c is solved for its (virtual) cycle, and the itinerary of
the orbit through z is returned. Units that are off at a step cost nothing. There are three ways,
and each candidate takes the one that needs the least time by its count of operations:

- **directly**: P is multiplied out and solved by LAPACK. Where A is diagonal and the units are the
  states, a unit that is off at every step drives nobody: the system closes on the n units that are
  ever on, and the other states follow from theirs, z_i = c_i / (1 - A_ii^k);
- **by GMRES** on the same units, left-preconditioned by 1 / (1 - A_ii^k), as in `_krylov`;
- **by few units**: z_1 = z_0 + sum over the active (t, u) of y_tu G_tu, where the y solve
  y - K y = b among themselves: K and G, the periodic Green's function, are the same for all
  candidates of a period.

Import this module inside functions only: it is compiled.
"""

import numpy as np
from jaxtyping import UInt64

from ..._compiled import inlined, inner
from ..._lapack import multiply, solve
from ._loop_gmres import add, add_rows, dot, gmres, travel
from ._loop_rooms import (
    ANY,
    BY_MAPS,
    DIRECT,
    FEW_UNITS,
    KRYLOV,
    MAX_ITERATIONS,
    Dense,
    Gathered,
    Green,
    Net,
    Numbers,
    Room,
    System,
    Vector,
    Word,
)

GEMM, LU, PASS = 20.0, 10.0, 8.0
"""Operations per nanosecond of products, solutions, and sums of rows, on one core: ratios count."""

CALL, STEP = 1500.0, 100.0
"""Nanoseconds that each iteration of GMRES takes besides, and each of its steps of the map."""

UNSURE = 1e-6
"""Where GMRES leaves a sign nearer to zero, as a fraction of the state, it is solved directly."""


@inner()
def _list_units(net: Net, system: System, kept: Numbers, word: Word) -> int:
    """List the active units; return the size of the system, on units that are ever on if closed."""
    on, count = system.on, system.counts
    period, units = word.shape
    n = 0
    for u in range(units):
        ever = np.uint8(0)
        for t in range(period):
            ever |= word[t, u]
        kept[n] = u
        if ever:
            n += 1
    closed = len(net.A) == 0 and len(net.rows) == 0
    for t in range(period):
        q = 0
        for place in range(n):
            u = kept[place]
            on[t, q] = place if closed else u
            q += word[t, u]
        count[t] = q
    if not closed:
        return len(net.a)
    a, h1, columns, all_a, all_h1, all_columns = (
        system.a, system.h1, system.columns, net.a, net.h1, net.columns,
    )  # fmt: skip
    for place in range(n):
        u = kept[place]
        a[place] = all_a[u]
        h1[place] = all_h1[u]
        row = all_columns[u]
        to = columns[place]
        for other in range(n):
            to[other] = row[kept[other]]
    return n


@inner()
def _solve_closed(system: System, dense: Dense, z: Vector, size: int) -> bool:
    """Multiply out P of a plain network with diagonal A and solve; only active columns count."""
    squares, gathered, left, pivots, ints, reals = dense
    a, columns, on, count = system.a, system.columns, system.on, system.counts
    X, right = squares[0], gathered[0]
    for j in range(size):
        for i in range(size):
            X[j, i] = 0.0
        X[j, j] = a[j]
    for q in range(count[0]):
        j = on[0, q]
        add(1.0, columns[j], X[j], size)
    for t in range(1, len(count)):
        n, active = count[t], on[t]
        for q in range(n):
            row, to = columns[active[q]], right[q]
            for i in range(size):
                to[i] = row[i]
        for j in range(size):
            row, to = X[j], left[j]
            for q in range(n):
                to[q] = row[active[q]]
            for i in range(size):
                row[i] *= a[i]
        multiply(left, right, X, (size, n, size), (False, False), 1.0, ints, reals)
    return solve(X, z, size, pivots, ints)


@inner()
def _gather(system: System, gathered: Gathered, t: int, since: int) -> int:
    """Gather the rows of W2 and of W1^T of units that are on at t, or that changed since.

    Rows of W2 of units that went off are negated. Returns how many there are.
    """
    rows, columns, on, count = system.rows, system.columns, system.on, system.counts
    n, p, q = 0, 0, 0
    before = 0 if since < 0 else count[since]
    size = len(system.a)
    while p < before or q < count[t]:
        old = on[since, p] if p < before else np.int64(2**62)
        new = on[t, q] if q < count[t] else np.int64(2**62)
        p += old <= new
        q += new <= old
        if old == new:
            continue
        u = min(old, new)
        sign = 1.0 if new < old else -1.0
        R, C, row = gathered[0, n], gathered[1, n], columns[u]
        for i in range(size):
            C[i] = row[i]
            R[i] = 0.0
        if len(rows) == 0:
            R[u] = sign
        else:
            add(sign, rows[u], R, size)
        n += 1
    return n


@inner("i8(i8[:,::1], i8[::1])")
def _changed(on, count):
    """Return how many units switch between the times of an itinerary, those on at first too."""
    total = count[0]
    for t in range(1, len(count)):
        p, q = 0, 0
        while p < count[t - 1] and q < count[t]:
            old, new = on[t - 1, p], on[t, q]
            p += old <= new
            q += new <= old
            total += old != new
        total += count[t - 1] - p + count[t] - q
    return total


@inner()
def _solve_any(system: System, dense: Dense, z: Vector, by_maps: bool) -> bool:
    """Multiply out P of any network and solve.

    `by_maps`: from the Jacobians, each the last one with what switched; else without Jacobians.
    """
    squares, gathered, pushed, pivots, ints, reals = dense
    a, A = system.a, system.A
    size, now = len(a), 0
    R, C, J, first = gathered[0], gathered[1], squares[2], squares[0]
    for j in range(size):
        for i in range(size):
            J[j, i] = A[j, i] if len(A) else 0.0
        if len(A) == 0:
            J[j, j] = a[j]
    n = _gather(system, gathered, 0, -1)
    multiply(R, C, J, (size, n, size), (True, False), 1.0, ints, reals)
    for j in range(size):
        for i in range(size):
            first[j, i] = J[j, i]
    for t in range(1, len(system.counts)):
        X, new = squares[now], squares[1 - now]
        now = 1 - now
        n = _gather(system, gathered, t, t - 1 if by_maps else -1)
        if by_maps:
            multiply(R, C, J, (size, n, size), (True, False), 1.0, ints, reals)
            multiply(X, J, new, (size, size, size), (False, False), 0.0, ints, reals)
            continue
        multiply(X, R, pushed, (size, size, n), (False, True), 0.0, ints, reals)
        if len(A):
            multiply(X, A, new, (size, size, size), (False, False), 0.0, ints, reals)
        else:
            for j in range(size):
                for i in range(size):
                    new[j, i] = a[i] * X[j, i]
        multiply(pushed, C, new, (size, n, size), (False, False), 1.0, ints, reals)
    return solve(squares[now], z, size, pivots, ints)


@inner()
def _solve_few(
    green: Green, system: System, dense: Dense, cells: Numbers, right: Vector, z: Vector
) -> bool:
    """Solve for the pre-activations of the active (t, u) among themselves; write z_1."""
    K, G, b, rest = green.K, green.G, green.b, green.z
    on, count, units, S, n = system.on, system.counts, len(system.h2), dense.squares[0], 0
    for t in range(len(count)):
        for q in range(count[t]):
            cells[n] = t * units + on[t, q]
            n += 1
    for j in range(n):
        row, to = K[cells[j]], S[j]
        for i in range(n):
            to[i] = row[cells[i]]
        right[j] = b[cells[j]]
    regular = solve(S, right, n, dense.pivots, dense.ints)
    for i in range(len(rest)):
        z[i] = rest[i]
    add_rows(G, cells, n, right, z, len(rest))
    return regular


@inner()
def _open_up(net: Net, room: Room, size: int) -> None:
    """Write all states from those of the units that are ever on: the others are only driven."""
    a, h1, columns = net.a, net.h1, net.columns
    on, count = room.system.on, room.system.counts
    kept, cells, lines, z, values = room.kept, room.cells, room.lines, room.z, room.values
    period, all = len(count), len(a)
    for i in range(all):
        lines[0, i] = 0.0
    for place in range(size):
        lines[0, kept[place]] = z[place]
    for t in range(period):
        x, y, n = lines[t & 1], lines[1 - (t & 1)], count[t]
        for i in range(all):
            y[i] = a[i] * x[i] + h1[i]
        for q in range(n):
            cells[q] = kept[on[t, q]]
            values[q] = x[cells[q]]
        add_rows(columns, cells, n, values, y, all)
    for place in range(size):
        values[place] = z[place]
    end = lines[period & 1]
    for i in range(all):
        z[i] = end[i] / (1.0 - a[i] ** period)
    for place in range(size):
        z[kept[place]] = values[place]


@inner()
def _roll(net: Net, room: Room, word: Word, seen: Word, along: bool) -> float:
    """Write the itinerary of the orbit through z and its mark; return how near it is to a boundary.

    `along`: of the virtual cycle of `word`, which runs through z too, instead.
    That is the least pre-activation as a fraction of the largest state (at the origin zero); NaN if
    the orbit is not finite.
    """
    a, A, columns, rows, h1, h2, marks = net
    lines, values, chosen, every, z = room.lines, room.values, room.cells, room.system.every, room.z
    period, units = seen.shape
    size = len(a)
    largest, least, mark, total = 0.0, np.inf, np.uint64(0), 0.0
    for i in range(size):
        lines[0, i] = z[i]
    for t in range(period):
        x, y, q = lines[t & 1], lines[1 - (t & 1)], 0
        for i in range(size):
            largest = max(largest, abs(x[i]))
            total += x[i]
            y[i] = h1[i] + (a[i] * x[i] if len(A) == 0 else 0.0)
        if len(A):
            add_rows(A, every, size, x, y, size)
        for u in range(units):
            level = x[u] if len(rows) == 0 else dot(rows[u], x, size) + h2[u]
            least = min(least, abs(level))
            on = level > 0.0
            seen[t, u] = on
            mark += marks[t, u] if on else np.uint64(0)
            chosen[q] = u
            values[q] = level
            q += word[t, u] if along else on
        add_rows(columns, chosen, q, values, y, size)
    room.mark[0] = mark
    if not abs(total) < np.inf:
        return np.nan
    return least / largest if largest > 0.0 else 0.0


@inner()
def _choose(system: System, num_cells: int, iterations: float, size: int, most: int) -> int:
    """Return the way that takes the least time, by counts of operations."""
    count, full = system.counts, len(system.A) > 0
    closed = not full and len(system.rows) == 0
    period, total = len(count), 0
    for t in range(period):
        total += count[t]
    later, square = float(total - count[0]), 2.0 * size * size
    solving = square * size / 3.0 / LU
    krylov = 2.0 * size * total * (1.0 if closed else 2.0) + (square * period if full else 0.0)
    krylov = iterations * ((krylov + 2.0 * size * iterations) / PASS + CALL + STEP * period)
    if closed:
        return KRYLOV if krylov < square * later / GEMM + solving else DIRECT
    direct = square * count[0] + 2.0 * square * later
    if full:
        direct += square * size * (period - 1)
    maps = square * _changed(system.on, count) + square * size * (period - 1)
    best = min(direct, maps) / GEMM + solving
    way = DIRECT if direct < maps else BY_MAPS
    if krylov < best:
        best, way = krylov, KRYLOV
    if num_cells and total <= most:
        few = total * total * (2.0 * total / 3.0 / LU + 1.0) + 2.0 * size * total / PASS
        way = FEW_UNITS if few < best else way
    return way


@inner()
def _roll_few(
    green: Green,
    room: Room,
    marks: UInt64[np.ndarray, "time unit"],
    word: Word,
    seen: Word,
    along: bool,
) -> bool:
    """Do what `_roll` does by the Green's function, without the states; return if it is finite."""
    z, levels, mark, total = room.z, room.levels, np.uint64(0), 0.0
    period, units = seen.shape
    for cell in range(len(green.b)):
        levels[cell] = green.base[cell] + dot(green.reach[cell], z, len(z))
    for t in range(period):
        for u in range(units):
            level = levels[t * units + u]
            total += level
            seen[t, u] = level > 0.0
            mark += marks[t, u] if level > 0.0 else np.uint64(0)
            if word[t, u] if along else level > 0.0:
                later = (t + 1) * units
                add(level, green.causal[u], levels[later:], len(levels) - later)
    room.mark[0] = mark
    return bool(abs(total) < np.inf)


@inlined
def evaluate(net, green, room, word, seen, way, along):
    """Solve for an itinerary; write that of the orbit to `seen`; return whether it is regular.

    `along`: instead write the signs along the virtual cycle, each state of it in its own region.
    Where GMRES does not converge, or leaves a sign of the orbit unsure, it is solved directly.
    """
    system, dense, z, lines, values = room.system, room.dense, room.z, room.lines, room.values
    closed, square = len(system.A) == 0 and len(system.rows) == 0, dense.squares[0]
    size = _list_units(net, system, room.kept, word)
    if way == ANY:
        cells, expected = len(green.b), room.expected[0]
        way = _choose(system, cells, expected, size, len(square))
    while True:
        if way == FEW_UNITS:
            regular = _solve_few(green, system, dense, room.cells, room.right, z)
        else:
            for i in range(size):
                lines[0, i] = 0.0
            end = travel(system, lines, values, size, True)
            for i in range(size):
                z[i] = lines[end, i]
            if way == KRYLOV:
                used = gmres(system, room.krylov, lines, values, z, size)
                room.used[0] = used
                regular = used <= MAX_ITERATIONS
            elif closed:
                regular = _solve_closed(system, dense, z, size)
            else:
                regular = _solve_any(system, dense, z, way == BY_MAPS)
            if regular and closed:
                _open_up(net, room, size)
        if regular and way == FEW_UNITS:
            return _roll_few(green, room, net.marks, word, seen, along)
        nearest = _roll(net, room, word, seen, along) if regular else np.nan
        if way != KRYLOV or nearest > UNSURE:
            return regular and not np.isnan(nearest)
        way = DIRECT
