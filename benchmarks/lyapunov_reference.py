"""Exponents of a PLRNN by compiled loops, one orbit after the other: what a careful author writes.

Three programs; the fastest is the competitor. `scalars` is written out for its size, without any
array; `loops` skips units that are off and takes four vectors at a time; `lapack` uses `np.dot` and
`np.linalg.qr`.
"""

import functools
import importlib
import math
from collections.abc import Callable

import numba
import numpy as np

import plrjax as plr

MAX_SCALARS = 10
_FAST = {"contract", "reassoc"}


class Loop:
    """One orbit of a compiled program on its way."""

    def __init__(self, program: Callable, model: plr.PLRNN, interval: int):
        draw, size = np.random.default_rng(1), model.state_size
        self.program, self.interval, self.length = program, interval, max(1, 64 // interval)
        self.arrays = [np.ascontiguousarray(x, np.float64) for x in (model.A, model.W, model.h)]
        self.state = 0.1 * draw.standard_normal(size)
        self.frame = np.linalg.qr(draw.standard_normal((size, size)))[0].copy()
        self.sums, self.steps = np.zeros(size), 0
        program(*self.arrays, self.state, self.frame, interval, 1000 // interval + 1, self.sums)
        self.sums[:] = 0.0

    def __call__(self) -> None:
        self.program(*self.arrays, self.state, self.frame, self.interval, self.length, self.sums)
        self.steps += self.interval * self.length

    def exponents(self) -> np.ndarray:
        """Return the means until now."""
        return np.sort(self.sums / self.steps)[::-1]


def competitors(model: plr.PLRNN, interval: int = 1) -> dict[str, Loop]:
    """Return the programs, warmed up."""
    size = model.state_size
    programs: dict[str, Callable] = {"loops": _loops(size), "lapack": _lapack}
    if size <= MAX_SCALARS:
        programs["scalars"] = _scalars(size)
    return {name: Loop(program, model, interval) for name, program in programs.items()}


class EagerTorch:
    """One orbit in PyTorch, eagerly: the frame pushed by the Jacobian, then `linalg.qr`."""

    def __init__(self, model: plr.PLRNN, interval: int = 1):
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
        draw, size = np.random.default_rng(1), model.state_size
        self.torch, self.interval, self.length, self.steps = torch, interval, 8, 0
        self.A, self.W, self.h = (
            torch.tensor(np.asarray(x, np.float64)) for x in (model.A, model.W, model.h)
        )
        self.state = torch.tensor(0.1 * draw.standard_normal(size))
        self.frame = torch.linalg.qr(torch.tensor(draw.standard_normal((size, size))))[0]
        self.sums = torch.zeros(size, dtype=torch.float64)
        for _ in range(20):
            self()
        self.sums, self.steps = torch.zeros_like(self.sums), 0

    def __call__(self) -> None:
        torch, state, frame = self.torch, self.state, self.frame
        for _ in range(self.length):
            for _ in range(self.interval):
                jacobian = torch.diag(self.A) + self.W * (state > 0)
                state = self.A * state + self.W @ torch.relu(state) + self.h
                frame = jacobian @ frame
            frame, R = torch.linalg.qr(frame)
            self.sums = self.sums + torch.log(torch.abs(torch.diagonal(R)))
        self.state, self.frame = state, frame
        self.steps += self.interval * self.length

    def exponents(self) -> np.ndarray:
        """Return the means until now."""
        return np.sort(self.sums.numpy() / self.steps)[::-1]


@functools.cache
def _scalars(size: int) -> Callable:
    """Write the program out for a number of states; logarithms of products of eight lengths."""
    R = range(size)
    dot = lambda left, right: " + ".join(f"{left.format(j=j)} * {right.format(j=j)}" for j in R)
    lines = ["def orbit(A, W, h, z, Q, interval, count, sums):", "    n = 0"]
    for i in R:
        lines.append(f"    a{i}, h{i}, z{i}, p{i} = A[{i}], h[{i}], z[{i}], 1.0")
        lines += [f"    w{i}_{j}, q{i}_{j} = W[{i}, {j}], Q[{i}, {j}]" for j in R]
    lines += ["    for _ in range(count):", "        for _ in range(interval):"]
    step = [f"d{j} = 1.0 if z{j} > 0.0 else 0.0" for j in R]
    step += [f"j{i}_{j} = w{i}_{j} * d{j}" + f" + a{i}" * (i == j) for i in R for j in R]
    moved = [f"h{i} + " + dot(f"j{i}_{{j}}", "z{j}") for i in R]
    step.append(", ".join(f"z{i}" for i in R) + ", = " + ", ".join(moved) + ",")
    for k in R:
        pushed = [dot(f"j{i}_{{j}}", f"q{{j}}_{k}") for i in R]
        step.append(", ".join(f"q{i}_{k}" for i in R) + ", = " + ", ".join(pushed) + ",")
    lines += [" " * 12 + line for line in step]
    lines += [" " * 8 + line for line in _gram_schmidt_lines(R, dot)]
    lines += ["        n += 1", "        if n % 8 == 0:"]
    lines += [f"            sums[{i}] += math.log(p{i}); p{i} = 1.0" for i in R]
    for i in R:
        lines.append(f"    z[{i}] = z{i}; sums[{i}] += math.log(p{i})")
        lines += [f"    Q[{i}, {j}] = q{i}_{j}" for j in R]
    space: dict = {"math": math}
    exec("\n".join(lines), space)
    return numba.njit(fastmath=_FAST, error_model="numpy")(space["orbit"])


def _gram_schmidt_lines(R: range, dot: Callable) -> list[str]:
    lines = []
    for k in R:
        for other in range(k):
            lines.append("r = " + dot(f"q{{j}}_{other}", f"q{{j}}_{k}"))
            lines += [f"q{i}_{k} -= r * q{i}_{other}" for i in R]
        lines += ["r = math.sqrt(" + dot(f"q{{j}}_{k}", f"q{{j}}_{k}") + ")", "inverse = 1.0 / r"]
        lines += [f"q{i}_{k} *= inverse" for i in R] + [f"p{k} *= r"]
    return lines


@functools.cache
def _loops(size: int) -> Callable:
    """Return loops over rows of the frame for a number of states known to the compiler."""

    @numba.njit(fastmath=_FAST, error_model="numpy")
    def orbit(A, W, h, z, Q, interval, count, sums):
        V, Y, columns = np.empty((size, size)), np.empty((size, size)), np.empty((size, size))
        on, y = np.empty(size, np.int64), np.empty(size)
        for i in range(size):  # numba takes seconds to compile a copy of an array
            for j in range(size):
                V[i, j], columns[i, j] = Q[j, i], W[j, i]
        for _ in range(count):
            for _ in range(interval):
                active = 0
                for j in range(size):
                    on[active] = j
                    active += z[j] > 0
                for i in range(size):
                    y[i] = A[i] * z[i] + h[i]
                for place in range(active):
                    j = on[place]
                    for i in range(size):
                        y[i] += columns[j, i] * z[j]
                for i in range(size):
                    z[i] = y[i]
                for k in range(size):
                    for i in range(size):
                        Y[k, i] = A[i] * V[k, i]
                    place = 0
                    while place + 4 <= active:
                        a, b, c, d = on[place], on[place + 1], on[place + 2], on[place + 3]
                        va, vb, vc, vd = V[k, a], V[k, b], V[k, c], V[k, d]
                        for i in range(size):
                            Y[k, i] += (
                                columns[a, i] * va + columns[b, i] * vb
                                + columns[c, i] * vc + columns[d, i] * vd
                            )  # fmt: skip
                        place += 4
                    while place < active:
                        j = on[place]
                        v = V[k, j]
                        for i in range(size):
                            Y[k, i] += columns[j, i] * v
                        place += 1
                V, Y = Y, V
            for j in range(size):
                square = 0.0
                for i in range(size):
                    square += V[j, i] * V[j, i]
                length = math.sqrt(square)
                sums[j] += math.log(length)
                for i in range(size):
                    V[j, i] /= length
                k = j + 1
                while k + 4 <= size:
                    ra, rb, rc, rd = 0.0, 0.0, 0.0, 0.0
                    for i in range(size):
                        v = V[j, i]
                        ra += v * V[k, i]
                        rb += v * V[k + 1, i]
                        rc += v * V[k + 2, i]
                        rd += v * V[k + 3, i]
                    for i in range(size):
                        v = V[j, i]
                        V[k, i] -= ra * v
                        V[k + 1, i] -= rb * v
                        V[k + 2, i] -= rc * v
                        V[k + 3, i] -= rd * v
                    k += 4
                while k < size:
                    r = 0.0
                    for i in range(size):
                        r += V[j, i] * V[k, i]
                    for i in range(size):
                        V[k, i] -= r * V[j, i]
                    k += 1
        for i in range(size):
            for j in range(size):
                Q[i, j] = V[j, i]

    return orbit


@numba.njit(cache=True)
def _lapack(A, W, h, z, Q, interval, count, sums):
    size, J, frame = len(A), np.empty_like(W), Q.copy()
    for _ in range(count):
        for _ in range(interval):
            for i in range(size):
                for j in range(size):
                    J[i, j] = W[i, j] if z[j] > 0 else 0.0
                J[i, i] += A[i]
            z[:] = A * z + np.dot(W, np.maximum(z, 0.0)) + h
            frame = np.dot(J, frame)
        orthonormal, R = np.linalg.qr(frame)
        frame = np.ascontiguousarray(orthonormal)
        for i in range(size):
            sums[i] += np.log(abs(R[i, i]))
    Q[:] = frame
