"""One candidate by GMRES, compiled: (I - P) z = c with P known as k passes over active units.

Left-preconditioned by 1 / (1 - A_ii^k), as in `_krylov`; see `_candidates`. Import this module
inside functions only: it is compiled.
"""

from typing import Any

import numpy as np

from ..._compiled import inner
from ._loop_rooms import MAX_ITERATIONS, Krylov, Lines, System, Vector

_TOLERANCE = 1e-9
"""Preconditioned relative residual at which it ends: only signs of the orbit are used."""

FAST: dict[str, Any] = {"fastmath": {"contract", "reassoc"}}
"""Sums may be reordered and fused, as in BLAS."""


@inner("void(f8[:,::1], i8[::1], i8, f8[::1], f8[::1], i8)", **FAST)
def add_rows(rows, chosen, count, weights, out, size):
    """Add weights[q] times the row chosen[q] to `out`, four rows at a time."""
    q = 0
    while q + 4 <= count:
        w0, w1, w2, w3 = weights[q], weights[q + 1], weights[q + 2], weights[q + 3]
        r0, r1 = rows[chosen[q]], rows[chosen[q + 1]]
        r2, r3 = rows[chosen[q + 2]], rows[chosen[q + 3]]
        for i in range(size):
            out[i] += w0 * r0[i] + w1 * r1[i] + w2 * r2[i] + w3 * r3[i]
        q += 4
    while q < count:
        w = weights[q]
        r = rows[chosen[q]]
        for i in range(size):
            out[i] += w * r[i]
        q += 1


@inner("f8(f8[::1], f8[::1], i8)", **FAST)
def dot(x, y, size):
    total = 0.0
    for i in range(size):
        total += x[i] * y[i]
    return total


@inner(**FAST)
def travel(system: System, lines: Lines, values: Vector, size: int, affine: bool) -> int:
    """Send lines[0] once around the itinerary's maps; return the line where the result is."""
    a, A, columns, rows, h1, h2, on, count, every = system
    for t in range(len(count)):
        x, y, active, n = lines[t & 1], lines[1 - (t & 1)], on[t], count[t]
        shift = 1.0 if affine else 0.0
        if len(A) == 0:
            for i in range(size):
                y[i] = a[i] * x[i] + shift * h1[i]
        else:
            for i in range(size):
                y[i] = shift * h1[i]
            add_rows(A, every, size, x, y, size)
        if len(rows) == 0:
            for q in range(n):
                values[q] = x[active[q]]
        else:
            for q in range(n):
                u = active[q]
                values[q] = dot(rows[u], x, size) + shift * h2[u]
        add_rows(columns, active, n, values, y, size)
    return len(count) & 1


@inner("void(f8, f8[::1], f8[::1], i8)", **FAST)
def add(weight, row, out, size):
    """Add a multiple of a row."""
    for i in range(size):
        out[i] += weight * row[i]


@inner()
def gmres(
    system: System, krylov: Krylov, lines: Lines, values: Vector, z: Vector, size: int
) -> int:
    """Solve (I - P) z = c in place of c, as `_krylov` does; return the iterations it took.

    They are `MAX_ITERATIONS` + 1 where it did not converge.
    """
    V, R, turns, scale = krylov
    a, period = system.a, len(system.counts)
    for i in range(size):
        gap = 1.0 - a[i] ** period
        scale[i] = 1.0 / (min(gap, -1e-3) if gap < 0.0 else max(gap, 1e-3))
        z[i] *= scale[i]
    norm = np.sqrt(dot(z, z, size))
    if norm == 0.0 or not norm < np.inf:
        return 0 if norm == 0.0 else MAX_ITERATIONS + 1
    v = V[0]
    for i in range(size):
        v[i] = z[i] / norm
        z[i] = 0.0
    turns[2, 0] = norm
    used = 0
    while used < MAX_ITERATIONS:
        j, v, w, start = used, V[used], V[used + 1], lines[0]
        for i in range(size):
            start[i] = v[i]
        end = lines[travel(system, lines, values, size, False)]
        for i in range(size):
            w[i] = scale[i] * (v[i] - end[i])
        for q in range(j + 1):
            R[q, j] = 0.0
        for _ in range(2):
            for q in range(j + 1):
                part = dot(V[q], w, size)
                R[q, j] += part
                add(-part, V[q], w, size)
        length = np.sqrt(dot(w, w, size))
        for i in range(size):
            w[i] = w[i] / length if length > 0.0 else 0.0
        for q in range(j):
            f, e = R[q, j], R[q + 1, j]
            R[q, j] = turns[0, q] * f + turns[1, q] * e
            R[q + 1, j] = turns[0, q] * e - turns[1, q] * f
        r = np.sqrt(R[j, j] ** 2 + length**2)
        turns[0, j] = R[j, j] / r if r > 0.0 else 1.0
        turns[1, j] = length / r if r > 0.0 else 0.0
        R[j, j] = r
        used += 1
        turns[2, used] = -turns[1, j] * turns[2, j]
        turns[2, j] *= turns[0, j]
        if not abs(turns[2, used]) > _TOLERANCE * norm:
            break
    for i in range(used - 1, -1, -1):
        part = turns[2, i]
        for q in range(i + 1, used):
            part -= R[i, q] * turns[3, q]
        turns[3, i] = part / R[i, i] if R[i, i] != 0.0 else np.nan
        add(turns[3, i], V[i], z, size)
    return used if abs(turns[2, used]) <= _TOLERANCE * norm else MAX_ITERATIONS + 1
