"""Whole walks of networks of any size: the compiled reference, the loop on a CPU, and the lanes.

Every engine solves for the same candidates, those of the walks, and their orbits. Run
`python -m benchmarks.large`; `--crossover` measures the loop against the lanes over (M, k).
"""

import argparse

from benchmarks import timing

if __name__ == "__main__":
    MACHINE = timing.single_thread()

import jax
import jax.numpy as jnp
import numba
import numpy as np

import plrjax as plr
from benchmarks.reference import reference
from plrjax._numerics import float64_scope
from plrjax._piecewise_affine import PiecewiseAffineMap
from plrjax.cycles._seeding import default_seeding, seed_table, simulate
from plrjax.cycles._solver import _walk_loop as walk_loop
from plrjax.cycles._solver._loop_walks import LoopWalks
from plrjax.cycles._solver._newton_step import make_layout, newton_step, parameters_of

STEPS = 12
"""Newton steps of a walk at most: walks in chaos hardly ever end before."""


def dense(gain: float, inhibition: float, slow: float | None = None):
    """Return a maker of networks W ~ N(0, gain^2 / M) - inhibition / M, half of A slow if given."""

    def make(size: int) -> PiecewiseAffineMap:
        draw = np.random.default_rng(0)
        A = draw.uniform(0.5, 0.95, size)
        W = draw.standard_normal((size, size)) * gain / np.sqrt(size) - inhibition / size
        np.fill_diagonal(W, 0.0)
        if slow is not None:
            A[: size // 2] = slow
        return PiecewiseAffineMap(A, W, np.eye(size), draw.standard_normal(size), np.zeros(size))

    return make


def few_units(size: int, units: int = 5) -> PiecewiseAffineMap:
    """Return an almost-linear network: only the last `units` states go through a ReLU."""
    draw = np.random.default_rng(0)
    A, W = draw.uniform(0.3, 0.9, size), draw.standard_normal((size, size)) / np.sqrt(size) * 0.4
    h = draw.standard_normal(size)
    model = plr.from_arrays("almost-linear", A=A, W=W, h=h, num_relu=units)
    return model.as_piecewise_affine()


def shallow(size: int, units: int = 200) -> PiecewiseAffineMap:
    """Return a shallow network of few states and many units."""
    draw = np.random.default_rng(0)
    W1 = draw.standard_normal((size, units)) / np.sqrt(units)
    W2 = draw.standard_normal((units, size)) / np.sqrt(size) * 1.5
    A, h1, h2 = (
        draw.uniform(0.3, 0.9, size),
        draw.standard_normal(size),
        draw.standard_normal(units),
    )
    return PiecewiseAffineMap(A, W1, W2, 0.3 * h1, h2)


FAMILIES = {
    "chaotic": dense(1.1, 4.0),
    "easy": dense(0.35, 2.0),
    "half A=.99": dense(1.1, 4.0, 0.99),
    "half on": dense(0.25, 0.0),
    "almost linear P=5": few_units,
    "shallow H=200": shallow,
}

ROWS = (
    ("chaotic", 100, 1, 4), ("chaotic", 100, 2, 4), ("chaotic", 100, 10, 8),
    ("chaotic", 300, 1, 4), ("chaotic", 300, 10, 20), ("chaotic", 500, 10, 15),
    ("easy", 500, 10, 50), ("half A=.99", 300, 10, 8), ("half on", 300, 10, 6),
    ("almost linear P=5", 100, 10, 40), ("almost linear P=5", 100, 40, 20),
    ("shallow H=200", 20, 10, 2),
)  # fmt: skip
"""Family, M, k, and the ratio reference / engine that is wanted at least."""


class Walks:
    """Some walks of a network, and their candidates in the order of the walk."""

    def __init__(self, map: PiecewiseAffineMap, period: int, count: int):
        draw = np.random.default_rng(1)
        self.map, self.period, self.count = map, period, count
        sample = simulate(map, 4, 128 * int(np.ceil((320 + 2 * period) / 128)), draw)
        self.table = seed_table(default_seeding(map, period), sample, period, draw)
        self.engine = LoopWalks(map, period, STEPS)
        self.engine.begin(self.table, 7, 0, count)
        self.words = self._words()

    def run(self):
        """Make the walks; return how they ended."""
        return self.engine._walk(self.engine.desks[0], 0, self.count)

    def _words(self) -> np.ndarray:
        """Return the itineraries of all candidates, walk by walk cut at each number of steps."""
        engine = self.engine
        room, desk = engine.desks[0]
        starts = engine._blank(self.count)
        for walk in range(self.count):
            _start(engine.table, walk, starts.words[walk])
        parts, steps = [starts.words], self.run().steps
        for n in range(1, STEPS):
            ended = engine._blank(self.count)
            short = desk._replace(marks=desk.marks[:n])
            engine.loop.walk(
                engine.net, engine.green, room, engine.table, short, ended, 0, 0, False
            )
            parts.append(ended.words[steps > n])
        return np.concatenate(parts).astype(bool)


@numba.njit
def _start(table, walk, word):
    walk_loop._begin(table, walk, word)


def reference_call(walks: Walks):
    """Return a function that solves for the same candidates by the sequential reference."""
    map, words = walks.map, walks.words
    if np.array_equal(map.W2, np.eye(map.state_size)):
        points, visited = np.empty((len(words), map.state_size)), np.empty_like(words)
        batch, network = reference("lean", map.state_size).batch, (np.diag(map.A).copy(), map.W1)
        return lambda: batch(*network, map.h1, words, points, visited)
    arrays = [np.ascontiguousarray(x) for x in (map.A, map.W1, map.W2, map.h1, map.h2)]
    return lambda: by_jacobians(*arrays, words)


@numba.njit
def by_jacobians(A, W1, W2, h1, h2, words):
    """Do the same for any network, its Jacobians built and multiplied by BLAS, one by one."""
    size, hits = len(h1), 0
    for word in words:
        P, c = np.eye(size), np.zeros(size)
        for t in range(len(word)):
            D = W1 * word[t].astype(np.float64)
            J = A + np.dot(D, W2)
            P, c = np.dot(J, P) if t else J, np.dot(J, c) + np.dot(D, h2) + h1
        z, same = np.linalg.solve(np.eye(size) - P, c), True
        for t in range(len(word)):
            y = np.dot(W2, z) + h2
            same &= np.all((y > 0) == word[t])
            z = np.dot(A, z) + np.dot(W1, np.maximum(y, 0.0)) + h1
        hits += same
    return hits


def lanes_call(map: PiecewiseAffineMap, period: int, words: np.ndarray):
    """Return a function that makes one step of the lanes on candidates, and their number."""
    with float64_scope():
        layout = make_layout(map, period)
        p, shape = parameters_of(map, layout), (layout.rows, layout.num_units, layout.columns)
        D = np.zeros(shape, bool)
        if layout.segments == 1:
            D[:period] = np.resize(words, (layout.lanes, *words.shape[1:])).transpose(1, 2, 0)
        D, k = jnp.asarray(D), jnp.asarray(period)
        step = jax.jit(lambda p, D, k: newton_step(p, layout, D, k).itinerary)
        step = step.lower(p, D, k).compile()

    def call():
        with float64_scope():
            return step(p, D, k).block_until_ready()

    return call, layout.lanes


def row(family: str, size: int, period: int, *, lanes: bool = False, repeats: int = 3):
    """Return seconds per candidate by engine, and how many candidates there were."""
    map = FAMILIES[family](size)
    cost = period * map.num_units * size + size**3 / 10
    walks = Walks(map, period, int(np.clip(3e7 / cost, 6, 300)))
    count = len(walks.words)
    calls = {"reference": (reference_call(walks), count), "loop": (walks.run, count)}
    if lanes:
        calls["lanes"] = lanes_call(map, period, walks.words)
    times = timing.alternate({name: call for name, (call, _) in calls.items()}, repeats=repeats)
    return {name: times[name].best / calls[name][1] for name in calls}, count


def ratios() -> None:
    """Print the ratios reference / loop beside what is wanted."""
    print("family               (M, k)     reference        loop   ratio  wanted  candidates")
    for family, size, period, wanted in ROWS:
        seconds, count = row(family, size, period)
        reference, loop = seconds["reference"], seconds["loop"]
        print(
            f"{family:20s} ({size:3d},{period:2d})  {1e3 * reference:9.4g} ms {1e3 * loop:8.4g} ms"
            f"  {reference / loop:6.1f}  {wanted:6d}  {count:9d}",
            flush=True,
        )


def crossover(family: str, sizes: list[int], periods: list[int]) -> None:
    """Print lanes / loop: above 1 the loop is faster."""
    print(f"{family}: lanes / loop (reference / loop)")
    print("   M  " + "".join(f"        k = {k:2d}  " for k in periods))
    for size in sizes:
        cells = []
        for period in periods:
            seconds, _ = row(family, size, period, lanes=True)
            loop = seconds["loop"]
            cells.append(f"{seconds['lanes'] / loop:7.2f} ({seconds['reference'] / loop:5.1f})")
        print(f"{size:4d}  " + "".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--crossover", choices=FAMILIES, help="the loop against the lanes")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 5, 10, 20, 30, 50, 100])
    parser.add_argument("--periods", type=int, nargs="+", default=[1, 2, 4, 10, 40])
    arguments = parser.parse_args()
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    if arguments.crossover:
        crossover(arguments.crossover, arguments.sizes, arguments.periods)
    else:
        ratios()


if __name__ == "__main__":
    main()
