"""Microseconds per pivot of path following: plrjax's own loop against another compiled loop.

Both follow the same curves, those of y = B relu(y) + c through Gaussian points, and make the same
pivots. Run `python -m benchmarks.pivots`; `--prototype FOLDER` adds cycles of a network of few
states and many units against the loop `state_paths.py` there; `--drift` checks rounding instead.
"""

import argparse
import sys

from benchmarks import timing

if __name__ == "__main__":
    MACHINE = timing.single_thread()

from typing import NamedTuple

import numba
import numpy as np

from benchmarks.recall import planted
from plrjax import PiecewiseAffineMap
from plrjax.cycles._solver import _pivots
from plrjax.cycles._solver._path_engines import LoopEngine, refresh_of
from plrjax.cycles._solver._path_starts import SCALES, AbstractForm, StateForm, Table, form_of

SIZES = (14, 30, 50, 100)
PERIODS = (1, 4, 10)
MAX_PIVOTS = 20_000
AIM = 1.15
"""Largest ratio wanted."""

SAFE_DRIFT = 1e-8
STRAGGLERS = 2e-3  # share of the pivots and solutions that rounding may change

_compiled = numba.njit(error_model="numpy", fastmath={"contract"})


class Work(NamedTuple):
    """The curves of one network: its tableau and the starts."""

    form: AbstractForm
    table: Table
    engine: LoopEngine


def prepare(state_size: int, *, seed: int = 0, num_paths: int | None = None) -> Work:
    """Draw a network of gain 2 and Gaussian starts: about as much work for every size."""
    form = form_of(planted(state_size, 2.0, seed), 1)
    count = num_paths or max(16, 14_336 // state_size)
    draw = np.random.default_rng([seed, 1])
    points = draw.standard_normal((count, 1, state_size))
    points *= np.resize(SCALES, count)[:, None, None]
    table = form.points(points, draw)
    table = table._replace(direction=np.ascontiguousarray(table.direction))
    return Work(form, table, LoopEngine(form, MAX_PIVOTS))


def engine_call(work: Work) -> tuple[int, set]:
    """Follow all curves in the engine; return its pivots and what it crossed."""
    crossings = set()
    work.engine.begin(work.table)
    while not work.engine.over:
        paths, cells = work.engine.advance()
        crossings.update(zip(paths.tolist(), map(bytes, cells)))
    return work.engine.tally().pivots, crossings


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
    """Return a function that follows all curves in the compiled loop, and its arrays of hits."""
    limits = (MAX_PIVOTS, refresh_of(work.form), 1)
    hits = np.empty((64 * len(work.table.s), work.form.num_units), bool)
    owners = np.empty(len(hits), np.int64)
    B, c = (np.ascontiguousarray(part) for part in work.form.data())
    return (lambda: follow(B, c, *work.table, limits, hits, owners)), hits, owners


def check_same(work: Work) -> dict[str, float]:
    """Follow all curves with both; return the counts, or raise if they were not the same curves."""
    pivots, crossed = engine_call(work)
    call, hits, owners = loop_call(work)
    found, made, solves = call()
    bits = np.packbits(hits[:found], axis=1, bitorder="little")
    apart = crossed ^ {(int(owner), bytes(row)) for owner, row in zip(owners, bits)}
    if abs(made - pivots) > STRAGGLERS * made or len(apart) > 1 + STRAGGLERS * found:
        raise AssertionError(
            f"M={work.form.num_units}: {pivots} pivots against {made} of the loop; "
            f"{len(apart)} of {len(crossed)} crossings are not shared"
        )
    return {"pivots": pivots, "solves": solves, "apart": len(apart)}


def row(state_size: int, *, repeats: int = 9, num_paths: int | None = None) -> dict[str, float]:
    """Measure one size: seconds per pivot of both, all solves included, and their ratio."""
    work = prepare(state_size, num_paths=num_paths)
    counts = check_same(work)
    calls = {"engine": lambda: engine_call(work), "loop": loop_call(work)[0]}
    return counts | _timed(calls, {name: counts["pivots"] for name in calls}, repeats)


def _timed(calls: dict, pivots: dict[str, float], repeats: int) -> dict[str, float]:
    """Return seconds per pivot of both competitors and the ratio, sampled in turn."""
    times = timing.alternate(calls, repeats=repeats)
    seconds = {name: times[name].best / pivots[name] for name in calls}
    share = pivots["loop"] / pivots["engine"]
    spread = max(samples.spread for samples in times.values())
    return seconds | {"ratio": timing.ratio(*times.values()) * share, "spread": spread}


def cycle_row(period: int, folder: str, *, repeats: int = 9, num_paths: int = 64):
    """Measure k-cycles of a network of 3 states and 100 units against the loop in a folder.

    That loop has no nudge of the units and always follows both legs, so pivots are counted apart.
    """
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import state_paths  # type: ignore[import-not-found]

    draw = np.random.default_rng(7)
    W1, W2 = 0.4 * draw.standard_normal((3, 100)), draw.standard_normal((100, 3))
    map = PiecewiseAffineMap(draw.uniform(0.3, 0.9, 3), W1, W2, np.zeros(3), W2[:, 0] * 1.5)
    form = StateForm(map, period)
    starts = draw.standard_normal((num_paths, period, 3))
    work = Work(form, form.points(starts, draw), LoopEngine(form, MAX_PIVOTS))
    arrays = [np.ascontiguousarray(x) for x in (map.A, map.W1.T, map.W2.T, map.h1, map.h2)]
    hits = np.empty((64 * num_paths, period, 100), bool)
    calls = {
        "engine": lambda: engine_call(work),
        "loop": lambda: state_paths.follow(*arrays, starts, MAX_PIVOTS, hits),
    }
    pivots = {"engine": engine_call(work)[0], "loop": calls["loop"]()[0]}
    facts = {"pivots": pivots["engine"], "solves": 0, "apart": 0}
    return facts | _timed(calls, pivots, repeats)


def table(rows) -> None:
    """Print rows as they come (the columns: README.md of this folder)."""
    print("                  |  pivots  solves | engine (us)  loop (us)  ratio | apart  noise")
    for name, r in rows:
        print(
            f"{name:17s} |{r['pivots']:8.0f}{r['solves']:8.0f} |"
            f"{r['engine'] * 1e6:12.3f}{r['loop'] * 1e6:11.3f}{r['ratio']:7.2f} |"
            f"{r['apart']:6.0f}{r['spread']:7.2f}",
            "  above the aim" if r["ratio"] > AIM else "",
            flush=True,
        )


def drift(state_size: int = 30, least_pivots: int = 1_000_000) -> tuple[float, int, int]:
    """Return the largest residual |J_D T - [B c r]| of tableaus on their way, number, pivots.

    Columns are judged relative to their own size; tableaus are looked at every 997 pivots.
    """
    worst, examined, pivots, seed = 0.0, 0, 0, 0
    while pivots < least_pivots:
        work = prepare(state_size, seed=seed)
        engine, (B, c) = work.engine, work.form.data()
        engine.limits, engine.chunk_seconds = engine.limits._replace(piece=997), 0.0
        engine.begin(work.table)
        while not engine.over:
            engine.advance()
            if engine.curve.status == _pivots.RUNNING:
                T = engine.tableau[:, : len(c)].T
                direction = engine.table.starts[engine.curve.path, 1:]
                right = np.column_stack([B, c, direction])
                error = np.abs(T - (B * (engine.side < 0)) @ T - right).max(axis=0)
                sizes = np.maximum(np.abs(T), np.abs(right)).max(axis=0)
                worst, examined = max(worst, float((error / sizes).max())), examined + 1
        pivots, seed = pivots + engine.tally().pivots, seed + 1
    return worst, examined, pivots


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pivots", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="samples of each competitor")
    parser.add_argument("--size", action="append", type=int, help="M of a row; may be repeated")
    parser.add_argument("--paths", type=int, help="number of curves (default: by size)")
    parser.add_argument("--prototype", help="folder with state_paths.py, for cycles")
    parser.add_argument("--drift", action="store_true", help="check rounding over 10^6 pivots")
    arguments = parser.parse_args()
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    if not arguments.drift:
        sizes = arguments.size or SIZES
        options = {"repeats": arguments.repeats}
        table((f"M = {M}", row(M, num_paths=arguments.paths, **options)) for M in sizes)
        if arguments.prototype:
            rows = ((k, cycle_row(k, arguments.prototype, **options)) for k in PERIODS)
            table((f"M = 3, H = 100, k = {k}"[:17], found) for k, found in rows)
        return
    worst, examined, pivots = drift()
    print(f"{pivots} pivots at M=30, {examined} tableaus: largest residual {worst:.1e}", end=" ")
    print(f"({'below' if worst < SAFE_DRIFT else 'NOT below'} {SAFE_DRIFT:.0e})")


if __name__ == "__main__":
    main()
