"""Compiled sequential references of SCYFI's inner step (Eisenmann et al. 2023).

One candidate of a PLRNN z' = A z + W relu(z) + h (A diagonal, W general): take an itinerary
D (k x M), compose the k-step map F_w(z) = P z + c, solve (I - P) z = c, roll the true orbit from z
and hand back the itinerary it visits. One candidate at a time, one thread, no batching.

Three variants of the same arithmetic, as data in `VARIANTS`:

- `lapack`: idiomatic compiled code, J_D built and multiplied with `np.dot`, the system solved
  with `np.linalg.solve`, fresh arrays as the idiom makes them. At M <= 5 most of its time is
  allocation and call overhead, not arithmetic.
- `lean`: the same BLAS and LAPACK routines called directly on preallocated memory, c carried as
  one more column of P.
- `loops`: hand-written scalar code compiled for each M; skips the columns of units that are off.

`lapack` is what a careful author writes first; the least of the three is what one core can do.
Quote a ratio against both.
"""

import ctypes
from functools import cache
from typing import NamedTuple

import numba
import numpy as np
from numba.extending import get_cython_function_address

_POINTER = ctypes.c_void_p
# int64 cells hold the integer arguments: little-endian readers of 32 or 64 bits both see n.
_dgemm = ctypes.CFUNCTYPE(None, *[_POINTER] * 13)(
    get_cython_function_address("scipy.linalg.cython_blas", "dgemm")
)
_dgesv = ctypes.CFUNCTYPE(None, *[_POINTER] * 8)(
    get_cython_function_address("scipy.linalg.cython_lapack", "dgesv")
)
# Reordered sums and fused multiply-adds are allowed to the loops as they are to BLAS.
_FAST = {"contract", "reassoc"}
_inline = numba.njit(inline="always")


class Reference(NamedTuple):
    """The two compiled drivers of one variant at one state size.

    `batch(A, W, h, itineraries[B,k,M], points[B,M], visited[B,k,M])` evaluates B candidates one
    after the other, fills the last two and returns how many are cycles.
    `walk(A, W, h, period, evaluations, max_steps, seed, hit_words[N,k,M], hit_at[N])` restarts
    from random itineraries until the budget of candidate evaluations is spent, records the first
    N hits with the evaluation each came at, and returns the number of all hits.
    """

    batch: object
    walk: object


def _lapack(size):
    identity = np.eye(size)

    @numba.njit
    def solve(A, W, h, D, d, points, b, work, ints):
        P, c = identity, h
        for t in range(D.shape[1]):
            J = W * D[d, t].astype(np.float64)
            for i in range(size):
                J[i, i] += A[i]
            if t == 0:
                P = J
            else:
                P = np.dot(J, P)
                c = np.dot(J, c) + h
        try:
            points[b] = np.linalg.solve(identity - P, c)
        except Exception:  # exactly singular
            points[b] = np.nan

    @_inline
    def roll(A, W, h, points, b, D, d, visited, v, work):
        z = points[b]
        same = True
        for i in range(size):
            same &= np.isfinite(z[i])
        for t in range(D.shape[1]):
            for i in range(size):
                visited[v, t, i] = z[i] > 0
                same &= visited[v, t, i] == D[d, t, i]
            if t + 1 < D.shape[1]:
                z = A * z + np.dot(W, np.maximum(z, 0.0)) + h
        return same

    return solve, roll


def _lean(size):
    one, zero, keep = np.ones(1), np.zeros(1), np.full(1, ord("N"), np.int8)
    n, columns, single = (np.full(1, value, np.int64) for value in (size, size + 1, 1))

    @_inline
    def solve(A, W, h, D, d, points, b, work, ints):  # row j of X, Y, J is column j of the matrix
        X, Y, J = work[0], work[1], work[2]
        for t in range(D.shape[1]):
            target = X if t == 0 else J
            for j in range(size):
                for i in range(size):
                    target[j, i] = W[i, j] * D[d, t, j]
                target[j, j] += A[j]
            if t == 0:
                for i in range(size):
                    X[size, i] = h[i]
            else:
                _dgemm(
                    keep.ctypes, keep.ctypes, n.ctypes, columns.ctypes, n.ctypes, one.ctypes,
                    J.ctypes, columns.ctypes, X.ctypes, columns.ctypes, zero.ctypes,
                    Y.ctypes, columns.ctypes,
                )  # fmt: skip
                for i in range(size):
                    Y[size, i] += h[i]
                X, Y = Y, X
        for j in range(size):
            for i in range(size):
                X[j, i] = -X[j, i]
            X[j, j] += 1.0
        _dgesv(
            n.ctypes, single.ctypes, X.ctypes, columns.ctypes, ints[0].ctypes, X[size].ctypes,
            columns.ctypes, ints[1].ctypes,
        )  # fmt: skip
        for i in range(size):
            points[b, i] = X[size, i] if ints[1, 0] == 0 else np.nan

    return solve, _roll(size)


def _loops(size):
    @_inline
    def eliminate(X, x, points, b):
        """Gaussian elimination with partial pivoting; column M of X[x] is the right-hand side."""
        for c in range(size):
            p, largest = c, abs(X[x, c, c])
            for i in range(c + 1, size):
                if abs(X[x, i, c]) > largest:
                    p, largest = i, abs(X[x, i, c])
            if p != c:
                for j in range(c, size + 1):
                    swap = X[x, c, j]
                    X[x, c, j] = X[x, p, j]
                    X[x, p, j] = swap
            inverse = 1.0 / X[x, c, c] if largest > 0.0 else np.nan
            for i in range(c + 1, size):
                factor = X[x, i, c] * inverse
                for j in range(c + 1, size + 1):
                    X[x, i, j] -= factor * X[x, c, j]
        for i in range(size - 1, -1, -1):
            total = X[x, i, size]
            for j in range(i + 1, size):
                total -= X[x, i, j] * points[b, j]
            points[b, i] = total / X[x, i, i] if X[x, i, i] != 0.0 else np.nan

    @_inline
    def advance(A, W, h, X, x, y, active, count):
        """X[y] <- J_D X[x] + [0 h], four active units at a time to reuse the row in registers."""
        for i in range(size):
            for j in range(size + 1):
                X[y, i, j] = A[i] * X[x, i, j]
            X[y, i, size] += h[i]
            q = 0
            while q + 4 <= count:
                l0, l1, l2, l3 = active[0, q], active[0, q + 1], active[0, q + 2], active[0, q + 3]
                w0, w1, w2, w3 = W[i, l0], W[i, l1], W[i, l2], W[i, l3]
                for j in range(size + 1):
                    X[y, i, j] += (
                        w0 * X[x, l0, j] + w1 * X[x, l1, j] + w2 * X[x, l2, j] + w3 * X[x, l3, j]
                    )
                q += 4
            while q < count:
                l0 = active[0, q]
                w0 = W[i, l0]
                for j in range(size + 1):
                    X[y, i, j] += w0 * X[x, l0, j]
                q += 1

    @_inline
    def solve(A, W, h, D, d, points, b, work, ints):
        for i in range(size):
            for j in range(size):
                work[0, i, j] = W[i, j] * D[d, 0, j]
            work[0, i, i] += A[i]
            work[0, i, size] = h[i]
        now = 0
        for t in range(1, D.shape[1]):
            count = 0
            for unit in range(size):  # without a branch: random bits cannot be predicted
                ints[0, count] = unit
                count += D[d, t, unit]
            advance(A, W, h, work, now, 1 - now, ints, count)
            now = 1 - now
        for i in range(size):
            for j in range(size):
                work[now, i, j] = -work[now, i, j]
            work[now, i, i] += 1.0
        eliminate(work, now, points, b)

    return solve, _roll(size)


def _roll(size):
    @_inline
    def roll(A, W, h, points, b, D, d, visited, v, work):
        different = 0
        for i in range(size):
            work[3, 0, i] = points[b, i]
            different += not np.isfinite(points[b, i])
        for t in range(D.shape[1]):
            for i in range(size):
                on = work[3, 0, i] > 0
                visited[v, t, i] = on
                different += on != D[d, t, i]
            if t + 1 < D.shape[1]:
                for i in range(size):
                    total = A[i] * work[3, 0, i] + h[i]
                    for j in range(size):
                        total += W[i, j] * max(work[3, 0, j], 0.0)
                    work[3, 1, i] = total
                for i in range(size):  # copied, not swapped: the compiler then keeps registers
                    work[3, 0, i] = work[3, 1, i]
        return different == 0

    return roll


VARIANTS = {"lapack": _lapack, "lean": _lean, "loops": _loops}


@cache
def reference(variant: str, state_size: int) -> Reference:
    """Compile one variant for one state size (seconds; remembered within the process)."""
    solve, roll = VARIANTS[variant](state_size)

    @numba.njit(fastmath=_FAST)
    def batch(A, W, h, itineraries, points, visited):
        work = np.empty((4, state_size + 1, state_size + 1))
        ints = np.zeros((2, state_size + 1), np.int64)
        cycles = 0
        for b in range(itineraries.shape[0]):
            solve(A, W, h, itineraries, b, points, b, work, ints)
            cycles += roll(A, W, h, points, b, itineraries, b, visited, b, work)
        return cycles

    @numba.njit(fastmath=_FAST)
    def walk(A, W, h, period, evaluations, max_steps, seed, hit_words, hit_at):
        work = np.empty((4, state_size + 1, state_size + 1))
        ints = np.zeros((2, state_size + 1), np.int64)
        words, point = np.empty((2, period, state_size), np.bool_), np.empty((1, state_size))
        np.random.seed(seed)
        hits, step, now = 0, max_steps, 0
        for spent in range(1, evaluations + 1):
            if step == max_steps:  # given up, or a cycle was found: start afresh
                step = 0
                for t in range(period):
                    for i in range(state_size):
                        words[now, t, i] = np.random.random() < 0.5
            solve(A, W, h, words, now, point, 0, work, ints)
            step += 1
            if roll(A, W, h, point, 0, words, now, words, 1 - now, work):
                if hits < hit_at.shape[0]:
                    hit_words[hits] = words[now]
                    hit_at[hits] = spent
                hits += 1
                step = max_steps
            now = 1 - now
        return hits

    return Reference(batch, walk)


def random_network(state_size: int, seed: int = 0, gain: float = 1.0):
    """Return A (diagonal, U(.2, .9)), W (off-diagonal, N(0, gain^2/M)), h (N(0, .3^2))."""
    rng = np.random.default_rng(seed)
    A = rng.uniform(0.2, 0.9, state_size)
    W = rng.standard_normal((state_size, state_size)) * gain / np.sqrt(state_size)
    np.fill_diagonal(W, 0.0)
    return A, W, 0.3 * rng.standard_normal(state_size)


def gesv_loop(matrix, rhs, times: int):
    """Solve one system `times` times by LAPACK in compiled code: the unit of machine speed."""
    return _gesv_loop(matrix, rhs, times)


@numba.njit
def _gesv_loop(matrix, rhs, times):
    total = 0.0
    for _ in range(times):
        total += np.linalg.solve(matrix, rhs)[0]
    return total
