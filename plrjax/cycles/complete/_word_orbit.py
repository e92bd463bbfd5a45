"""The orbit of a word, compiled: its affine maps, its fixed point, and whether windows are known.

Arrays, as passed around: `A1` = (A, h1); `W1`; `planes`, for each side of the box and then for each
unit a function of z (coefficients, constant); `bits`, letter after letter; `maps`, for each time
(T, r) with z_t = T z_0 + r; `places`, for each time (P, q, size) with z_t = P v + q and a bound of
what is added up in it, v being the start in the unit box.
"""

import numpy as np

from ..._compiled import inner

NO_CYCLE, CANDIDATE, SINGULAR = range(3)


@inner("void(f8[:,:,::1], f8[:,:,::1], i8)")
def _place(maps, places, t):
    """Write z_t = T (P0 v + q0) + r as P v + q, and bounds of what is added up in it."""
    size = maps.shape[1]
    for a in range(size):
        for k in range(size):
            places[t, a, k] = 0.0
        q = maps[t, a, size]
        magnitude = abs(q)
        for j in range(size):
            x = maps[t, a, j]
            if x != 0.0:
                q += x * places[0, j, size]
                magnitude += abs(x) * places[0, j, size + 1]
                for k in range(size):
                    places[t, a, k] += x * places[0, j, k]
        places[t, a, size] = q
        places[t, a, size + 1] = magnitude


@inner("void(f8[:,::1], f8[:,::1], f8[:,::1], u1[::1], i8, f8[:,::1], f8[:,:,::1], f8[:,:,::1])")
def advance(A1, W1, planes, bits, t, J, maps, places):
    """Compose one more step: z_(t+1) = J z_t + c for the subregion of letter t."""
    size, units = W1.shape
    for a in range(size):
        for b in range(size + 1):
            J[a, b] = A1[a, b]
    for i in range(units):
        if bits[t * units + i]:
            for a in range(size):
                w = W1[a, i]
                if w != 0.0:
                    for b in range(size + 1):
                        J[a, b] += w * planes[2 * size + i, b]
    for a in range(size):
        for b in range(size + 1):
            total = J[a, size] if b == size else 0.0
            for l in range(size):
                total += J[a, l] * maps[t, l, b]
            maps[t + 1, a, b] = total
    _place(maps, places, t + 1)


@inner("f8(f8[:,::1], i8)")
def _solve(system, size):
    """Solve (A, b) in place, x in the last column; return least pivot over largest entry."""
    least, largest = np.inf, 0.0
    for i in range(size):
        for j in range(size):
            if abs(system[i, j]) > largest:
                largest = abs(system[i, j])
    for c in range(size):
        p = c
        for i in range(c + 1, size):
            if abs(system[i, c]) > abs(system[p, c]):
                p = i
        if abs(system[p, c]) < least:
            least = abs(system[p, c])
        if not abs(system[p, c]) > 0.0:
            return 0.0
        if p != c:
            for j in range(size + 1):
                x = system[c, j]
                system[c, j] = system[p, j]
                system[p, j] = x
        for i in range(c + 1, size):
            f = system[i, c] / system[c, c]
            if f != 0.0:
                for j in range(c, size + 1):
                    system[i, j] -= f * system[c, j]
    for c in range(size - 1, -1, -1):
        total = system[c, size]
        for j in range(c + 1, size):
            total -= system[c, j] * system[j, size]
        system[c, size] = total / system[c, c]
    return least / largest


@inner("b1(f8[:,::1], f8[:,::1], f8[:,::1], u1[::1], i8, f8[:,::1], i8, f8)")
def _has_signs(A1, W1, planes, bits, t, orbit, size, tolerance):
    """Step from orbit[0] to orbit[1]; return whether the units of letter t have its signs."""
    units, largest = W1.shape[1], 0.0
    for a in range(size):
        if abs(orbit[0, a]) > largest:
            largest = abs(orbit[0, a])
        total = A1[a, size]
        for b in range(size):
            total += A1[a, b] * orbit[0, b]
        orbit[1, a] = total
    for i in range(units):
        x = planes[2 * W1.shape[0] + i, size]
        scale = abs(x)
        for a in range(size):
            w = planes[2 * W1.shape[0] + i, a]
            x += w * orbit[0, a]
            scale += abs(w) * largest
        if bits[t * units + i]:
            if x < -(1e-7 * scale / tolerance):
                return False
            for a in range(size):
                orbit[1, a] += W1[a, i] * x
        elif x > 1e-7 * scale / tolerance:
            return False
    return True


@inner(
    "i8(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], u1[::1], i8, f8[:,:,::1], f8[:,::1], "
    "f8[:,::1], b1)"
)
def closing(A1, W1, planes, sides, bits, n, maps, system, orbit, far):
    """Return whether the solution of z_n = z_0 has the word's signs, up to rounding.

    With `far` the map is that of (u, s), z = u / s, and the solution must leave the box as well.
    """
    size = W1.shape[0] - (1 if far else 0)
    for a in range(size):
        system[a, size] = maps[n, a, size]
        for b in range(size):
            system[a, b] = (1.0 if a == b else 0.0) - maps[n, a, b]
    pivot = _solve(system, size)
    if pivot < 1e-11:
        return SINGULAR
    for a in range(size):
        orbit[0, a] = system[a, size]
    tolerance = pivot * 1e4
    if tolerance > 1.0:
        tolerance = 1.0
    outside, last = not far, len(sides) - 1
    for t in range(n):
        if far:
            for a in range(size):
                limit = sides[last, 2 * a] * (1 - 1e-6)
                if abs(orbit[0, a]) * sides[last, 2 * size] >= limit:
                    outside = True
        if not _has_signs(A1, W1, planes, bits, t, orbit, size, tolerance):
            return NO_CYCLE
        for a in range(size):
            orbit[0, a] = orbit[1, a]
    return CANDIDATE if outside else NO_CYCLE


@inner("b1(u1[::1], i8, i8, i8[::1])")
def is_known(bits, begin, end, language):
    """Return whether the letters from bit `begin` to bit `end` are a code of the language."""
    code = 0
    for pos in range(begin, end):
        code = 2 * code + bits[pos]
    low, high = 0, len(language)
    while low < high:
        middle = (low + high) // 2
        if language[middle] < code:
            low = middle + 1
        else:
            high = middle
    return low < len(language) and language[low] == code
