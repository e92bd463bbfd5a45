"""The orbit of a word, compiled: its affine maps and its fixed point.

Arrays, as passed around: `W1`; `planes`, for each side of the box and then for each unit a function
of z (coefficients, constant), and then (A, h1); `bits`, letter after letter; `maps`, for each time
(T, r) with z_t = T z_0 + r; `places`, for each time (P, q, size) with z_t = P v + q and a bound of
what is added up in it, v being the start in the unit box; `system`, room for a linear system, and
below it two points of an orbit.
"""

import numpy as np

from ...._compiled import inner

NO_CYCLE, CANDIDATE, SINGULAR = range(3)


@inner("void(f8[:,::1], f8[:,::1], u1[::1], i8, f8[:,::1], f8[:,:,::1], f8[:,:,::1])")
def advance(W1, planes, bits, t, J, maps, places):
    """Compose one more step for the subregion of letter t: z_(t+1) = J z_t + c, and in v."""
    size, units = W1.shape
    wide = size + 1
    begin = 2 * size
    after = t + 1
    for a in range(size):
        for b in range(wide):
            J[a, b] = planes[begin + units + a, b]
    for i in range(units):
        if bits[t * units + i]:
            for a in range(size):
                w = W1[a, i]
                if w != 0.0:
                    for b in range(wide):
                        J[a, b] += w * planes[begin + i, b]
    for a in range(size):
        for b in range(wide):
            total = J[a, size] if b == size else 0.0
            for l in range(size):
                total += J[a, l] * maps[t, l, b]
            maps[after, a, b] = total
            if b < size:
                places[after, a, b] = 0.0
        q = maps[after, a, size]  # T (P0 v + q0) + r as P v + q, and a bound of what is added up
        magnitude = abs(q)
        for j in range(size):
            x = maps[after, a, j]
            if x != 0.0:
                q += x * places[0, j, size]
                magnitude += abs(x) * places[0, j, wide]
                for k in range(size):
                    places[after, a, k] += x * places[0, j, k]
        places[after, a, size] = q
        places[after, a, wide] = magnitude


@inner("f8(f8[:,::1], i8)")
def _solve(system, size):
    """Solve (A, b) in place, x in the last column; return least pivot over largest entry."""
    least, largest, wide = np.inf, 0.0, size + 1
    for i in range(size):
        for j in range(size):
            x = abs(system[i, j])
            if x > largest:
                largest = x
    for c in range(size):
        p = c
        top = abs(system[c, c])
        for i in range(c + 1, size):
            x = abs(system[i, c])
            if x > top:
                p = i
                top = x
        if top < least:
            least = top
        if not top > 0.0:
            return 0.0
        if p != c:
            for j in range(wide):
                x = system[c, j]
                system[c, j] = system[p, j]
                system[p, j] = x
        for i in range(c + 1, size):
            f = system[i, c] / system[c, c]
            if f != 0.0:
                for j in range(c, wide):
                    system[i, j] -= f * system[c, j]
    for back in range(size):
        c = size - 1 - back
        total = system[c, size]
        for j in range(c + 1, size):
            total -= system[c, j] * system[j, size]
        system[c, size] = total / system[c, c]
    return least / largest


@inner("i8(f8[:,::1], f8[:,::1], f8[:,::1], u1[::1], i8, f8[:,:,::1], f8[:,::1], b1)")
def closing(W1, planes, sides, bits, n, maps, system, far):
    """Return whether the solution of z_n = z_0 has the word's signs, up to rounding.

    With `far` the map is that of (u, s), z = u / s, and the solution must leave the box as well.
    """
    states, units = W1.shape
    size = states - 1 if far else states
    for a in range(size):
        system[a, size] = maps[n, a, size]
        for b in range(size):
            system[a, b] = (1.0 if a == b else 0.0) - maps[n, a, b]
    pivot = _solve(system, size)
    if pivot < 1e-11:
        return SINGULAR
    now, after = states, states + 1
    for a in range(size):
        system[now, a] = system[a, size]
    tolerance = pivot * 1e4
    if tolerance > 1.0:
        tolerance = 1.0
    outside = not far
    last = len(sides) - 1
    for t in range(n):
        largest = 0.0
        for a in range(size):
            x = abs(system[now, a])
            if far and x * sides[last, 2 * size] >= sides[last, 2 * a] * (1 - 1e-6):
                outside = True
            if x > largest:
                largest = x
            row = 2 * states + units + a
            total = planes[row, size]
            for b in range(size):
                total += planes[row, b] * system[now, b]
            system[after, a] = total
        for i in range(units):
            row = 2 * states + i
            x = planes[row, size]
            scale = abs(x)
            for a in range(size):
                w = planes[row, a]
                x += w * system[now, a]
                scale += abs(w) * largest
            most = 1e-7 * scale / tolerance
            if bits[t * units + i]:
                if x < -most:
                    return NO_CYCLE
                for a in range(size):
                    system[after, a] += W1[a, i] * x
            elif x > most:
                return NO_CYCLE
        for a in range(size):
            system[now, a] = system[after, a]
    return CANDIDATE if outside else NO_CYCLE
