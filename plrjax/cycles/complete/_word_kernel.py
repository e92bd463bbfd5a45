"""The word search, compiled: all words whose orbits stay in a box, bit after bit.

A node is the polytope of start points v that the bits decided so far allow. Whether the next unit
can be on, or off, is one small linear program from a vertex of the polytope; where it cannot, the
optimal basis is the proof. Where the arithmetic fails a branch is kept, never cut. Needs numba
(extra `rigorous`).
"""

from typing import no_type_check

import numpy as np
from numba import njit

from ..._checker import BOTH, DEAD, OFF_EMPTY, ON_EMPTY
from ._simplex import FAILED, OPTIMUM, cross, vertex

NODES, PROGRAMS, PIVOTS, FAILURES, LOGGED, NUM_WORDS, NUM_OPEN, NUM_COUNTS = range(8)
"""Places in the counts that `explore` returns."""

NO_CYCLE, CANDIDATE, SINGULAR = range(3)
ROUNDING = 4e-15
"""Rounding errors are bounded by this multiple of what was added up, per step."""


@no_type_check
@njit(cache=True, nogil=True)
def _row(weights, offset, P, q, magnitude, out):
    """Write weights.z_t + offset, z_t = P v + q, to `out`; return constant, 1- and 2-norm, size."""
    states, free = P.shape
    constant, size = offset, abs(offset)
    for k in range(free):
        out[k] = 0.0
    for j in range(states):
        w = weights[j]
        if w != 0.0:
            constant += w * q[j]
            size += abs(w) * magnitude[j]
            for k in range(free):
                out[k] += w * P[j, k]
    total, square = 0.0, 0.0
    for k in range(free):
        total += abs(out[k])
        square += out[k] * out[k]
    return constant, total, np.sqrt(square), size


@no_type_check
@njit(cache=True, nogil=True)
def _advance(A, W1, h1, W2, h2, letter, J, T, r, T_next, r_next):
    """Compose one more step: z_(t+1) = J (T z_0 + r) + c for the subregion `letter`."""
    size = len(h1)
    for a in range(size):
        r_next[a] = h1[a]
        for b in range(size):
            J[a, b] = A[a, b]
    for i in range(len(letter)):
        if letter[i]:
            for a in range(size):
                w = W1[a, i]
                if w != 0.0:
                    r_next[a] += w * h2[i]
                    for b in range(size):
                        J[a, b] += w * W2[i, b]
    for a in range(size):
        for l in range(size):
            r_next[a] += J[a, l] * r[l]
        for b in range(size):
            total = 0.0
            for l in range(size):
                total += J[a, l] * T[l, b]
            T_next[a, b] = total


@no_type_check
@njit(cache=True, nogil=True)
def _place(T, r, P0, q0, span, P, q, magnitude):
    """Write z_t = T (P0 v + q0) + r as P v + q, and bounds of what is added up in it."""
    states, free = P0.shape
    for a in range(states):
        q[a], magnitude[a] = r[a], abs(r[a])
        for k in range(free):
            P[a, k] = 0.0
        for j in range(states):
            x = T[a, j]
            if x != 0.0:
                q[a] += x * q0[j]
                magnitude[a] += abs(x) * span[j]
                for k in range(free):
                    P[a, k] += x * P0[j, k]


@no_type_check
@njit(cache=True, nogil=True)
def _solved(system, right):
    """Return the solution, and the least pivot over the largest entry of its row's start."""
    size = len(right)
    A, x = system.copy(), right.copy()
    least, largest = np.inf, 0.0
    for i in range(size):
        for j in range(size):
            largest = max(largest, abs(A[i, j]))
    for c in range(size):
        p = c
        for i in range(c + 1, size):
            if abs(A[i, c]) > abs(A[p, c]):
                p = i
        least = min(least, abs(A[p, c]))
        if not abs(A[p, c]) > 0.0:
            return x, 0.0
        if p != c:
            for j in range(size):
                A[c, j], A[p, j] = A[p, j], A[c, j]
            x[c], x[p] = x[p], x[c]
        for i in range(c + 1, size):
            f = A[i, c] / A[c, c]
            if f != 0.0:
                for j in range(c, size):
                    A[i, j] -= f * A[c, j]
                x[i] -= f * x[c]
    for c in range(size - 1, -1, -1):
        total = x[c]
        for j in range(c + 1, size):
            total -= A[c, j] * x[j]
        x[c] = total / A[c, c]
    return x, least / largest


@no_type_check
@njit(cache=True, nogil=True)
def _closing(A, W1, h1, W2, h2, lo, hi, D, n, T, r, far):
    """Return whether the solution of z_n = z_0 has the word's signs, up to rounding.

    With `far` the map is that of (u, s), z = u / s, and the solution must leave the box as well.
    """
    size = len(h1) - 1 if far else len(h1)
    system, right = np.empty((size, size)), np.empty(size)
    for a in range(size):
        right[a] = T[a, size] if far else r[a]
        for b in range(size):
            system[a, b] = (1.0 if a == b else 0.0) - T[a, b]
    z, pivot = _solved(system, right)
    if pivot < 1e-11:
        return SINGULAR
    outside, following = not far, np.empty(size)
    for t in range(n):
        largest = 0.0
        for a in range(size):
            largest = max(largest, abs(z[a]))
            if far and abs(z[a]) * hi[-1, size] >= hi[-1, a] * (1 - 1e-6):
                outside = True
        for a in range(size):
            following[a] = A[a, size] if far else h1[a]
            for b in range(size):
                following[a] += A[a, b] * z[b]
        for i in range(W2.shape[0]):
            x = W2[i, size] if far else h2[i]
            scale = abs(x)
            for a in range(size):
                x += W2[i, a] * z[a]
                scale += abs(W2[i, a]) * largest
            tolerance = 1e-7 * scale / min(1.0, pivot * 1e4)
            if (x < -tolerance) if D[t, i] else (x > tolerance):
                return NO_CYCLE
            if D[t, i]:
                for a in range(size):
                    following[a] += W1[a, i] * x
        z[:] = following
    return CANDIDATE if outside else NO_CYCLE


@no_type_check
@njit(cache=True, nogil=True)
def _known_window(D, n, width, language):
    """Return whether the last `width` letters are among the codes of the language."""
    code = 0
    for t in range(n - width, n):
        for i in range(D.shape[1]):
            code = (code << 1) | D[t, i]
    low = np.searchsorted(language, code)
    return low < len(language) and language[low] == code


@no_type_check
@njit(cache=True, nogil=True)
def _write(log, at, kind, ids, basis, size, own):
    """Write a record with the numbers of a basis' inequalities (`size` of them, and `own`)."""
    log[at] = kind
    count = size + (1 if own >= 0 else 0)
    log[at + 1] = count
    for i in range(size):
        log[at + 2 + i] = ids[basis[i]]
    if own >= 0:
        log[at + 1 + count] = own
    return at + 2 + count


@no_type_check
@njit(cache=True, nogil=True)
def explore(
    A, W1, h1, W2, h2, P0, q0, lo, hi, boxed, K, wanted, necklaces, far, all_words, language, width,
    relaxed, slack, relaxed_on, prefix, max_nodes, log, words, lengths, open_bits, open_lengths,
    depths,
):  # fmt: skip
    """Search the words that begin with the bits `prefix`; return the counts.

    A row is relaxed by `relaxed` in v, that of a unit that is on by `relaxed_on`, and by `slack`
    times its rounding errors (all outward where positive). The start points are z_0 = P0 v + q0
    with |v| <= 1 (maximum norm), z_t stays in [lo_t, hi_t].
    Candidates of `wanted` lengths (with `all_words` every word of K letters) go to `words`, and
    prefixes left over at `max_nodes` to `open_bits`; the log of the proof, if there is room for
    one, has the format of the checker.
    """
    M, H, m = len(h1), len(h2), P0.shape[1]
    stride = 2 * M + H
    logging = len(log) > 0
    cap = 2 * m + K * stride + 2
    counts = np.zeros(NUM_COUNTS, np.int64)
    G, g, ids = np.zeros((cap, m)), np.zeros(cap), np.zeros(cap, np.int64)
    T, r = np.zeros((K + 1, M, M)), np.zeros((K + 1, M))
    D = np.zeros((K, H), np.uint8)
    basis, inverse, v = np.zeros(m, np.int64), np.zeros((m, m)), np.zeros(m)
    basis2, inverse2, v2 = basis.copy(), inverse.copy(), v.copy()
    c, up = np.zeros(m), np.zeros(m)
    weights, J = np.zeros(M), np.zeros((M, M))
    P, q, sizes = np.zeros((K + 1, M, m)), np.zeros((K + 1, M)), np.zeros((K + 1, M))
    edge, inside = np.zeros(m), np.zeros(cap, np.bool_)
    span = np.abs(q0).copy()
    for j in range(M):
        T[0, j, j] = 1.0
        for k in range(m):
            span[j] += abs(P0[j, k])
    _place(T[0], r[0], P0, q0, span, P[0], q[0], sizes[0])
    n = 0
    for k in range(m):
        j = 0
        while P0[j, k] == 0.0:
            j += 1
        for low in range(2):
            G[n, k] = -1.0 if low else 1.0
            g[n] = 1.0 + max(relaxed, 0.0)
            ids[n] = 2 * j + low
            n += 1
        basis[k] = 2 * k
    vertex(G, g, basis, inverse, v)
    room = 2 * K * H + 4
    f_t, f_i = np.zeros(room, np.int64), np.zeros(room, np.int64)
    f_n, f_p = np.zeros(room, np.int64), np.zeros(room, np.int64)
    f_eq, f_row = np.zeros(room, np.bool_), np.zeros(room, np.bool_)
    f_basis, f_G, f_g = np.zeros((room, m), np.int64), np.zeros((room, m)), np.zeros(room)
    sp, t, i, p, eq, bit = 0, 0, 0, 0, True, -1
    stopping, hole = False, False
    margin = 8 * room + 2 * stride * (m + 4)
    while True:
        back = False
        if bit >= 0:
            D[t, i] = bit
            if t > 0 and bit != D[t - p, i]:
                eq = False
            i += 1
            bit = -1
            if i == H:
                depth = t + 1
                fresh = depth * H > len(prefix)
                counts[NODES] += 1
                depths[depth] += 1
                if width and depth >= width and fresh:
                    back = not _known_window(D, depth, width, language)
                if not back:
                    p = p if p and eq else depth
                    _advance(A, W1, h1, W2, h2, D[t], J, T[t], r[t], T[depth], r[depth])
                    _place(T[depth], r[depth], P0, q0, span, P[depth], q[depth], sizes[depth])
                    emit = False
                    if fresh and all_words:
                        emit = depth == K
                    elif fresh and wanted[depth] and (not necklaces or depth % p == 0):
                        found = _closing(
                            A, W1, h1, W2, h2, lo, hi, D, depth, T[depth], r[depth], far
                        )
                        primitive = not necklaces or depth == p
                        emit = found == SINGULAR or (found == CANDIDATE and primitive)
                    if emit:
                        words[counts[NUM_WORDS], :depth] = D[:depth]
                        lengths[counts[NUM_WORDS]] = depth
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
                if logging:
                    log[counts[LOGGED]] = DEAD
                    log[counts[LOGGED] + 1] = 0
                    counts[LOGGED] += 2
                place = counts[NUM_OPEN]
                open_lengths[place] = pos
                for s in range(pos):
                    open_bits[place, s] = D[s // H, s % H]
                counts[NUM_OPEN] += 1
                back, hole = True, False
        if not back and i == 0 and t > 0:
            for number in range(2 * M):
                j, low = number // 2, number % 2
                if not boxed[j] or back:
                    continue
                weights[:] = 0.0
                weights[j] = 1.0 if low else -1.0
                offset = -lo[t, j] if low else hi[t, j]
                c0, total, norm, size = _row(weights, offset, P[t], q[t], sizes[t], c)
                noise = ROUNDING * (t + 2) * size
                if c0 - total >= 0.0 or (norm <= 10 * noise and c0 >= -total - noise):
                    continue
                own = t * stride + number
                if c0 + total < -noise:
                    if not replay:
                        back = True
                        if logging:
                            counts[LOGGED] = _write(log, counts[LOGGED], DEAD, ids, basis, 0, own)
                    continue
                value, e = c0 / norm, relaxed + slack * noise / norm
                for k in range(m):
                    c[k] /= norm
                    value += c[k] * v[k]
                    basis2[k], v2[k] = basis[k], v[k]
                    for l in range(m):
                        inverse2[k, l] = inverse[k, l]
                counts[PROGRAMS] += 1
                if value >= -e:
                    for k in range(m):
                        up[k] = -c[k]
                    place, pivots = cross(
                        G, g, n, inside, edge, basis2, inverse2, v2, up, -value, e
                    )
                    counts[PIVOTS] += pivots
                    if place == OPTIMUM:
                        basis[:], v[:] = basis2, v2
                        inverse[:, :] = inverse2
                        continue
                    basis2[:] = basis
                    v2[:] = v
                    inverse2[:, :] = inverse
                else:
                    place, pivots = cross(G, g, n, inside, edge, basis2, inverse2, v2, c, value, -e)
                    counts[PIVOTS] += pivots
                    if place == OPTIMUM:
                        if not replay:
                            back = True
                            if logging:
                                counts[LOGGED] = _write(
                                    log, counts[LOGGED], DEAD, ids, basis2, m, own
                                )
                        continue
                    if place == FAILED:
                        counts[FAILURES] += 1
                        continue
                    basis2[place] = n
                G[n], g[n], ids[n] = -c, c0 / norm + e, own
                if value < -e and not vertex(G, g, basis2, inverse2, v2):
                    counts[FAILURES] += 1
                    continue
                basis[:], v[:] = basis2, v2
                inverse[:, :] = inverse2
                n += 1
        if not back:
            c0, total, norm, size = _row(W2[i], h2[i], P[t], q[t], sizes[t], c)
            noise = ROUNDING * (t + 2) * size
            barred = necklaces and eq and t > 0 and D[t - p, i] == 1
            own = t * stride + 2 * M + i
            if abs(c0) > total + noise or norm <= 10 * noise:
                if replay:
                    bit = prefix[pos]
                elif c0 > total + noise:
                    bit = 1
                    if logging:
                        counts[LOGGED] = _write(log, counts[LOGGED], OFF_EMPTY, ids, basis, 0, -1)
                elif c0 < -total - noise:
                    bit = 0
                    back = barred
                    if logging:
                        counts[LOGGED] = _write(log, counts[LOGGED], ON_EMPTY, ids, basis, 0, -1)
                else:
                    counts[FAILURES] += 1
                    bit = 1 if barred else 0
                    if logging:
                        log[counts[LOGGED]] = BOTH
                        counts[LOGGED] += 1
                    if not barred:
                        f_t[sp], f_i[sp], f_n[sp], f_p[sp] = t, i, n, p
                        f_eq[sp], f_row[sp], f_basis[sp] = eq, False, basis
                        sp += 1
            else:
                value, e_off = c0 / norm, relaxed + slack * noise / norm
                e_on = relaxed_on + slack * noise / norm
                for k in range(m):
                    c[k] /= norm
                    value += c[k] * v[k]
                k0 = c0 / norm
                side = 1 if value >= 0 else 0
                sign = 1.0 if side else -1.0
                if (replay and prefix[pos] == side) or (barred and side and not replay):
                    bit = side
                    if logging and not replay:
                        log[counts[LOGGED]] = BOTH
                        counts[LOGGED] += 1
                    G[n], g[n] = -sign * c, sign * k0 + (e_on if side else e_off)
                    ids[n] = own
                    n += 1
                else:
                    basis2[:], v2[:] = basis, v
                    inverse2[:, :] = inverse
                    for k in range(m):
                        up[k] = -sign * c[k]
                    counts[PROGRAMS] += 1
                    e = e_off if side else e_on
                    place, pivots = cross(
                        G, g, n, inside, edge, basis2, inverse2, v2, up, -sign * value, -e
                    )
                    counts[PIVOTS] += pivots
                    if place == FAILED:
                        counts[FAILURES] += 1
                    if place == OPTIMUM and not replay:
                        basis[:], v[:] = basis2, v2
                        inverse[:, :] = inverse2
                        bit = side
                        back = barred and not side
                        if logging:
                            kind = OFF_EMPTY if side else ON_EMPTY
                            counts[LOGGED] = _write(log, counts[LOGGED], kind, ids, basis, m, -1)
                    else:
                        first = prefix[pos] if replay else (1 if barred else 0)
                        if logging and not replay:
                            log[counts[LOGGED]] = BOTH
                            counts[LOGGED] += 1
                        if place >= 0:
                            basis2[place] = n
                        if not replay and not barred:
                            f_t[sp], f_i[sp], f_n[sp], f_p[sp], f_eq[sp] = t, i, n, p, eq
                            f_row[sp] = side == 1 or place >= 0
                            f_basis[sp] = basis if side == 1 or place < 0 else basis2
                            f_G[sp], f_g[sp] = -c, k0 + e_on
                            sp += 1
                        bit = first
                        s = 1.0 if first else -1.0
                        G[n], g[n] = -s * c, s * k0 + (e_on if first else e_off)
                        ids[n] = own
                        if first == side:
                            n += 1
                        elif place >= 0:
                            if vertex(G, g, basis2, inverse2, v2):
                                basis[:], v[:] = basis2, v2
                                inverse[:, :] = inverse2
                                n += 1
                            else:
                                counts[FAILURES] += 1
        if back:
            bit = -1
            if sp == 0:
                return counts
            sp -= 1
            t, i, n, p, eq, bit = f_t[sp], f_i[sp], f_n[sp], f_p[sp], f_eq[sp], 1
            basis[:] = f_basis[sp]
            if f_row[sp]:
                G[n], g[n], ids[n] = f_G[sp], f_g[sp], t * stride + 2 * M + i
                n += 1
            if not vertex(G, g, basis, inverse, v):
                counts[FAILURES] += 1
                hole = True
