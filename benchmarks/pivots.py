"""Microseconds per pivot of path following: plrjax's lanes of tableaus against a compiled loop.

Both follow the same curves, those of y = B relu(y) + c through Gaussian points, and make the same
pivots. Run `python -m benchmarks.pivots`; `--drift` checks rounding instead; `--help` lists more.
"""

import argparse

from benchmarks import timing

if __name__ == "__main__":
    MACHINE = timing.single_thread()

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import jax
import numba
import numpy as np

from benchmarks.recall import Case, planted, problem_of
from plrjax import PathFollowing
from plrjax._numerics import float64_scope
from plrjax._parallel import device_mesh, shared_by, split_over
from plrjax.cycles import _paths, _pivots
from plrjax.cycles._starts import SCALES, Table
from plrjax.cycles._tableau import AbstractTableau

SIZES = (14, 30, 50, 100)
MAX_PIVOTS = 20_000
AIM, AIMED_AT = 1.3, (30, 100)
"""Largest ratio wanted, and at which M."""

SAFE_DRIFT = 1e-8
STRAGGLERS = 2e-3  # share of the pivots and solutions that rounding may change

_compiled = numba.njit(error_model="numpy", fastmath={"contract"})


class Work(NamedTuple):
    """One network with its starts: on the host for the loop, on the device for the engine."""

    system: tuple[np.ndarray, np.ndarray]
    table: Table
    form: AbstractTableau
    sizes: _pivots.Sizes
    program: Callable
    operands: tuple


def prepare(
    state_size: int, *, seed: int = 0, num_paths: int | None = None, num_blocks: int | None = None
) -> Work:
    """Draw a network of gain 2 and Gaussian starts, at most as many as the engine takes at once."""
    solver, map = PathFollowing(), planted(state_size, 2.0, seed)
    state = solver.init(problem_of(Case(map), solver, jax.random.key(0)))
    sizes, form, mesh = state.sizes, state.form, device_mesh(None)
    count = min(num_paths or sizes.starts, sizes.starts)
    draw = np.random.default_rng([seed, 1])
    points = draw.standard_normal((count, 1, state_size))
    points *= np.resize(SCALES, count)[:, None, None]
    table = form.points(points, draw)
    with float64_scope():
        data = form.data()
        starts, shared = shared_by(mesh, (_paths._filled_up(table, sizes), data))
    operands = (shared, starts, np.asarray(MAX_PIVOTS), np.asarray(1))
    program = solver._program(state, mesh)
    if num_blocks:
        program = _paths._program(type(form.tableau), sizes, num_blocks, mesh)
    system = tuple(np.asarray(part, order="C") for part in data)
    table = table._replace(direction=np.ascontiguousarray(table.direction))
    return Work(system, table, form.tableau, sizes, program, operands)


def engine_calls(work: Work):
    """Yield (state, hits) after each call of the engine's own program, until all paths ended."""
    with float64_scope():
        state, more = split_over(device_mesh(None), _pivots.idle_state(work.sizes, 1)), True
    while more:
        with float64_scope():
            state, hits, more = work.program(*work.operands, state)
        more = bool(np.any(more))
        yield state, hits


def engine_trace(work: Work) -> tuple[int, int, set]:
    """Return the engine's pivots, the pivots its lanes had time for, and what it crossed."""
    crossings, steps = set(), 0
    for state, hits in engine_calls(work):
        hit, bits, start = (np.asarray(part)[0] for part in hits)
        steps += int((start >= 0).any(axis=1).sum()) * work.sizes.steps * work.sizes.lanes
        for block, step, lane in zip(*np.nonzero(hit)):
            crossings.add((int(start[block, lane]), bits[block, step, lane].tobytes()))
    return int(state.tally.pivots[0]), steps, crossings


@_compiled
def solve(B, c, r, region, T, yc, yr):
    """T | yc | yr <- (I - B D)^-1 [B | c | r]."""
    n = len(c)
    J, right = np.empty((n, n)), np.empty((n, n + 2))
    for i in range(n):
        for j in range(n):
            J[i, j] = -B[i, j] * region[j]
            right[i, j] = B[i, j]
        J[i, i] += 1.0
        right[i, n], right[i, n + 1] = c[i], r[i]
    X = np.linalg.solve(J, right)
    for i in range(n):
        for j in range(n):
            T[i, j] = X[i, j]
        yc[i], yr[i] = X[i, n], X[i, n + 1]


@_compiled
def _next_unit(yc, yr, region, s, sign, last, wait):
    """Return the unit that reaches zero first, and how far in s that is (infinity: none does)."""
    for i in range(len(yc)):  # no branches, so that the compiler can use vectors
        rate = sign * yr[i]
        length = -(yc[i] + s * yr[i]) / rate
        length = length if length > 0.0 else 0.0
        wait[i] = length if (1.0 - 2.0 * region[i]) * rate > 0.0 else np.inf
    if last >= 0:
        wait[last] = np.inf
    unit = 0
    for i in range(1, len(yc)):
        if wait[i] < wait[unit]:
            unit = i
    return unit, wait[unit]


@_compiled
def _flip(T, yc, yr, unit, factor, row, column):
    """Add factor * column * row of one unit: a plain loop over sizes known at run time.

    With sizes known to the compiler it unrolls the inner loop and uses no vectors (4 x slower).
    """
    n = len(yc)
    for i in range(n):
        row[i], column[i] = T[unit, i], factor * T[i, unit]
    c, r = yc[unit], yr[unit]
    for i in range(n):
        f = column[i]
        for j in range(n):
            T[i, j] += f * row[j]
        yc[i] += f * c
        yr[i] += f * r


@_compiled
def _follow_leg(B, c, r, home, s, sign, limits, T, columns, region, hits, num_hits):
    """Follow one curve one way; return the number of hits, pivots, solves, and if it closed."""
    max_pivots, refresh, steps = limits
    yc, yr, wait, row, column = columns[0], columns[1], columns[2], columns[3], columns[4]
    region[:] = home
    solve(B, c, r, region, T, yc, yr)
    away, last, age, pivots, solves = 0, -1, 0, 0, 1
    while True:
        if age >= refresh and pivots % steps == 0:
            solve(B, c, r, region, T, yc, yr)
            age, solves = 0, solves + 1
        unit, length = _next_unit(yc, yr, region, s, sign, last, wait)
        after = s + sign * length
        crossed = (s < 0.0 and after >= 0.0) or (s > 0.0 and after <= 0.0)
        if crossed and num_hits < len(hits):
            hits[num_hits] = region
            num_hits += 1
        closed = pivots > 0 and away == 0
        rho = 1.0 + T[unit, unit] if region[unit] else 1.0 - T[unit, unit]
        singular = not abs(rho) > _pivots.DEAD_PIVOT
        if closed or length == np.inf or singular or pivots >= max_pivots:
            return num_hits, pivots, solves, closed
        _flip(T, yc, yr, unit, (-1.0 if region[unit] else 1.0) / rho, row, column)
        away += 1 if region[unit] == home[unit] else -1
        region[unit] = not region[unit]
        s, sign, last = after, (sign if rho > 0.0 else -sign), unit
        age += 1 if abs(rho) >= _pivots.TRUSTED_PIVOT else 1_000_000
        pivots += 1


@_compiled
def follow(B, c, regions, directions, starts, limits, hits, owners):
    """Follow curve after curve, each both ways; return the number of hits, pivots and solves."""
    n = len(c)
    T, columns, region = np.empty((n, n)), np.empty((5, n)), np.empty(n, np.bool_)
    found = pivots = solves = 0
    for path in range(len(starts)):
        r, home, s = directions[path], regions[path], starts[path]
        for sign in (-1.0, 1.0):
            before = found
            found, made, solved, closed = _follow_leg(
                B, c, r, home, s, sign, limits, T, columns, region, hits, found
            )
            owners[before:found] = path
            pivots, solves = pivots + made, solves + solved
            if closed:
                break
    return found, pivots, solves


def loop_call(work: Work):
    """Return a function that follows all curves in the compiled loop, and its arrays of hits.

    It solves its tableau as often as the engine does: at the start of each leg, and after
    `refresh` pivots at the end of a block.
    """
    limits = (MAX_PIVOTS, work.sizes.refresh, work.sizes.steps)
    hits = np.empty((64 * len(work.table.s), work.sizes.units), bool)
    owners = np.empty(len(hits), np.int64)
    return (lambda: follow(*work.system, *work.table, limits, hits, owners)), hits, owners


def check_same(work: Work) -> dict[str, float]:
    """Follow all curves with both; return the counts, or raise if they were not the same curves."""
    pivots, steps, crossed = engine_trace(work)
    call, hits, owners = loop_call(work)
    found, made, solves = call()
    padded = np.pad(hits[:found], ((0, 0), (0, -work.sizes.units % 32)))
    bits = np.packbits(padded, axis=1, bitorder="little")
    apart = crossed ^ {(int(owner), row.tobytes()) for owner, row in zip(owners, bits)}
    if abs(made - pivots) > STRAGGLERS * made or len(apart) > 1 + STRAGGLERS * found:
        raise AssertionError(
            f"M={work.sizes.units}: {pivots} pivots against {made} of the loop; "
            f"{len(apart)} of {len(crossed)} crossings are not shared"
        )
    return {"pivots": pivots, "solves": solves, "busy": pivots / steps, "apart": len(apart)}


def row(state_size: int, *, repeats: int = 9, num_paths: int | None = None) -> dict[str, float]:
    """Measure one size: seconds per pivot of both, all solves included, and their ratio."""
    work = prepare(state_size, num_paths=num_paths)
    counts = check_same(work)
    calls = {"engine": lambda: deque(engine_calls(work), 1), "loop": loop_call(work)[0]}
    times = timing.alternate(calls, repeats=repeats)
    seconds = {name: times[name].best / counts["pivots"] for name in calls}
    spread = max(samples.spread for samples in times.values())
    return counts | seconds | {"ratio": timing.ratio(*times.values()), "spread": spread}


def table(sizes=SIZES, *, repeats: int = 9, num_paths: int | None = None) -> None:
    """Measure and print one row per size (the columns: README.md of this folder)."""
    print("   M |  pivots  solves  busy | engine (us)  loop (us)  ratio | apart  noise")
    for size in sizes:
        r = row(size, repeats=repeats, num_paths=num_paths)
        print(
            f" {size:3d} |{r['pivots']:8.0f}{r['solves']:8.0f}{r['busy']:6.2f} |"
            f"{r['engine'] * 1e6:12.3f}{r['loop'] * 1e6:11.3f}{r['ratio']:7.2f} |"
            f"{r['apart']:6.0f}{r['spread']:7.2f}",
            "  above the aim" if size in AIMED_AT and r["ratio"] > AIM else "",
            flush=True,
        )


def residual(work: Work, tableau: np.ndarray, region: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return per lane the largest |J_D T - [B c r]|, each column relative to its own size."""
    B, c = work.system
    right = np.empty_like(tableau)
    right[:, :, :-2], right[:, :, -2] = B, c
    right[:, :, -1] = work.table.direction[start]
    error = np.abs(tableau - (B * region[:, None, :]) @ tableau - right).max(axis=1)
    return (error / np.maximum(np.abs(tableau), np.abs(right)).max(axis=1)).max(axis=1)


def drift(state_size: int = 30, least_pivots: int = 1_000_000) -> tuple[float, int, int]:
    """Return the largest residual of tableaus seen last (leg over or old), their number, pivots."""
    worst, examined, pivots, seed = 0.0, 0, 0, 0
    while pivots < least_pivots:
        work = prepare(state_size, seed=seed, num_blocks=1)
        for state, _ in engine_calls(work):
            lanes = jax.tree.map(lambda x: np.asarray(x)[0], state.lanes)
            due = (lanes.status != _pivots.RUNNING) | (lanes.age >= work.sizes.refresh)
            due &= (lanes.start >= 0) & (lanes.pivots > 0)
            if due.any():
                sizes = residual(work, lanes.tableau[due], lanes.region[due], lanes.start[due])
                worst, examined = max(worst, float(sizes.max())), examined + int(due.sum())
        pivots, seed = pivots + int(state.tally.pivots[0]), seed + 1
    return worst, examined, pivots


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pivots", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="samples of each competitor")
    parser.add_argument("--size", action="append", type=int, help="M of a row; may be repeated")
    parser.add_argument("--paths", type=int, help="number of curves (default: one full table)")
    parser.add_argument("--drift", action="store_true", help="check rounding over 10^6 pivots")
    arguments = parser.parse_args()
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    if not arguments.drift:
        table(arguments.size or SIZES, repeats=arguments.repeats, num_paths=arguments.paths)
        return
    worst, examined, pivots = drift()
    print(f"{pivots} pivots at M=30, {examined} tableaus: largest residual {worst:.1e}", end=" ")
    print(f"({'below' if worst < SAFE_DRIFT else 'NOT below'} {SAFE_DRIFT:.0e})")


if __name__ == "__main__":
    main()
