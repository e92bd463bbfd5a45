"""Cycles and gradient norms over a plane of two parameters, against sequential loops.

Run `python -m benchmarks.plane`; `--help` lists the options.
"""

import argparse

from benchmarks import timing
from plrjax._map_arrays import MapArrays

if __name__ == "__main__":
    MACHINE = timing.single_thread()

import time
from functools import cache
from typing import NamedTuple

import numba
import numpy as np

from benchmarks.reference import reference

PERIODS = tuple(range(1, 9))
MAX_STEPS = 24
"""Steps after which a walk of the reference is given up, as in `throughput`."""
RECALL = 0.99
"""Share of the cycles that the walks must find on the sub-grid."""
MOST_EVALUATIONS = 2**14
PUBLISHED = 500
"""Evaluations per period that the public test suites of SCYFI allow: 10 outer by 50 inner loops."""


class Network(NamedTuple):
    """A, W, h of a two-dimensional PLRNN whose a11 and a22 are scanned over [-1, 1]."""

    A: np.ndarray
    W: np.ndarray
    h: np.ndarray


_h = np.array([0.37298, -0.97931])
NETWORKS = {
    "published": Network(
        np.array([0.83777, 0.96461]), np.array([[0.0, -0.64375], [0.52505, 0.0]]), _h
    ),
    "coupled": Network(np.array([0.83777, 0.96461]), np.array([[0.0, -1.9], [1.6, 0.0]]), _h),
}
"""The plane of Eisenmann et al. (2023), and one with the off-diagonal weights about three times as
large, where more than one cycle exists."""


def sub_grid(num: int, side: int) -> np.ndarray:
    """Return (a11, a22) of side^2 pixels spread over the inner num x num plane."""
    values = np.linspace(-1.0, 1.0, num)[np.linspace(1, num - 2, side).astype(int)]
    return np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1).reshape(-1, 2)


def all_words(period: int) -> np.ndarray:
    """Return every itinerary of a period, "word time unit"."""
    bits = np.arange(4**period)[:, None] >> np.arange(2 * period) & 1
    return np.ascontiguousarray(bits.reshape(-1, period, 2) == 1)


@cache
def loops():
    """Compile the two references over many pixels."""
    pair = reference("loops", 2)
    batch, walk = pair.batch, pair.walk

    @numba.njit
    def enumerate_words(diagonals, W, h, words, points, visited, counts):
        for pixel in range(len(diagonals)):
            counts[pixel] = batch(diagonals[pixel], W, h, words, points, visited)

    @numba.njit
    def walks(diagonals, W, h, period, evaluations, max_steps, hit_words, hit_at, hits):
        for pixel in range(len(diagonals)):
            hits[pixel] = walk(
                diagonals[pixel], W, h, period, evaluations, max_steps, pixel,
                hit_words[pixel], hit_at[pixel],
            )  # fmt: skip

    return enumerate_words, walks


def count_by_words(network: Network, diagonals: np.ndarray, period: int) -> np.ndarray:
    """Return how many words of a period are admissible at each pixel, one word after the other."""
    words = all_words(period)
    counts, points = np.zeros(len(diagonals), np.int64), np.empty((len(words), 2))
    loops()[0](diagonals, network.W, network.h, words, points, np.empty_like(words), counts)
    return counts


def walk_all(network: Network, diagonals: np.ndarray, period: int, evaluations: int):
    """Return the words on which walks ended at each pixel, and their number."""
    count = len(diagonals)
    words = np.empty((count, evaluations, period, 2), bool)
    at, hits = np.empty((count, evaluations), np.int64), np.zeros(count, np.int64)
    loops()[1](diagonals, network.W, network.h, period, evaluations, MAX_STEPS, words, at, hits)
    return words, hits


def distinct_cycles(words: np.ndarray, hits: int) -> int:
    """Return the number of rotation classes of primitive words among the hits of one pixel."""
    period = words.shape[1]
    numbers = np.unique(words[:hits].reshape(hits, 2 * period) @ (1 << np.arange(2 * period)))
    top = 2 * (period - 1)
    found = set()
    for number in numbers.tolist():
        turns = [number]
        for _ in range(period - 1):
            turns.append(turns[-1] >> 2 | (turns[-1] & 3) << top)
        if len(set(turns)) == period:
            found.add(min(turns))
    return len(found)


def recall(network: Network, diagonals: np.ndarray, truth: dict, evaluations: int) -> float:
    """Return the share of all cycles of all pixels that walks find with so many evaluations."""
    found = 0
    for period in PERIODS:
        words, hits = walk_all(network, diagonals, period, evaluations)
        found += sum(map(distinct_cycles, words, hits.tolist()))
    return found / max(sum(int(counts.sum()) for counts in truth.values()), 1)


def needed_evaluations(network: Network, diagonals: np.ndarray, truth: dict) -> tuple[int, float]:
    """Return the least power of two of evaluations per pixel and period that suffices."""
    evaluations = 4
    while True:
        share = recall(network, diagonals, truth, evaluations)
        if share >= RECALL or evaluations >= MOST_EVALUATIONS:
            return evaluations, share
        evaluations *= 2


def batch_of(network: Network, diagonals: np.ndarray):
    """Return the pixels as a batch of maps."""
    from plrjax import PiecewiseAffineMap

    eye, zero = np.eye(2), np.zeros(2)
    maps = [PiecewiseAffineMap(d, network.W, eye, network.h, zero) for d in diagonals]
    return MapArrays.stack(maps)


def check(truth: dict, words: dict) -> None:
    """Stop where enumeration side by side and one by one disagree."""
    for k in PERIODS:
        total = sum(d * truth[d] for d in PERIODS if k % d == 0)
        if not np.array_equal(total, words[k]):
            raise SystemExit(f"period {k}: {int(np.sum(total != words[k]))} pixels disagree")


def compare(name: str, num: int, side: int) -> dict[str, float]:
    """Measure one network on its sub-grid and print pixels per second of each."""
    from plrjax.grid._count import count_cycles

    network, diagonals = NETWORKS[name], sub_grid(num, side)
    batch = batch_of(network, diagonals)
    truth = {k: found.num for k, found in count_cycles(batch, PERIODS).items()}
    check(truth, {k: count_by_words(network, diagonals, k) for k in PERIODS})
    evaluations, share = needed_evaluations(network, diagonals, truth)
    calls = {
        "words": lambda: [count_by_words(network, diagonals, k) for k in PERIODS],
        "walks": lambda: [walk_all(network, diagonals, k, evaluations) for k in PERIODS],
        "published": lambda: [walk_all(network, diagonals, k, PUBLISHED) for k in PERIODS],
    }
    usual = recall(network, diagonals, truth, PUBLISHED)
    times = timing.alternate(calls, repeats=5)
    rates = {key: len(diagonals) / found.best for key, found in times.items()}
    print(
        f"{name}: {sum(int(c.sum()) for c in truth.values())} cycles of period 1 to {PERIODS[-1]} "
        f"at {len(diagonals)} pixels of the sub-grid\n"
        f"  loop over all itineraries         {rates['words']:12,.0f} pixels/s\n"
        f"  walks, {evaluations:6d} each per period   {rates['walks']:12,.0f} pixels/s, "
        f"{share:.1%} of the cycles\n"
        f"  walks, {PUBLISHED:6d} each per period   {rates['published']:12,.0f} pixels/s, "
        f"{usual:.1%} of the cycles",
        flush=True,
    )
    return rates


def scan_plane(name: str, num: int, steps: int, rates: dict[str, float]) -> None:
    """Scan the whole plane with both measures and print pixels per second and ratios."""
    import plrjax as plr

    network = NETWORKS[name]
    model = plr.from_arrays("plrnn", A=network.A, W=network.W, h=network.h)
    from plrjax._numerics import float64_scope

    with float64_scope():
        targets = np.asarray(plr.trajectory(model, np.zeros(2), steps))[1:]
    for label, measure in (
        ("cycles", plr.CycleCounts(PERIODS)),
        (f"gradient norm, T={steps}", plr.GradientNorm(targets, np.zeros(2))),
    ):
        small = [plr.Axis("A", (i, i), -1.0, 1.0, 16) for i in range(2)]
        plr.scan_parameters(model, small, measure, progress=plr.NoProgress())
        axes = [plr.Axis("A", (i, i), -1.0, 1.0, num) for i in range(2)]
        wall, process = time.perf_counter(), time.process_time()
        found = plr.scan_parameters(model, axes, measure)
        wall, process = time.perf_counter() - wall, time.process_time() - process
        rate = num * num / process
        print(
            f"  plrjax, {label:25s} {rate:12,.0f} pixels/s ({num} x {num}: {process:.1f} s CPU, "
            f"{wall:.1f} s)"
        )
        for note in found.notes:
            print(f"    {note}")
        if label == "cycles":
            print(
                f"    {rate / rates['words']:.1f} times the loop over itineraries, "
                f"{rate / rates['walks']:.2g} and {rate / rates['published']:.2g} times the walks",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plane", description=__doc__)
    parser.add_argument("--num", type=int, default=400, help="pixels along each axis")
    parser.add_argument("--side", type=int, default=12, help="pixels along the sub-grid")
    parser.add_argument("--steps", type=int, default=500, help="steps T of the gradient norm")
    parser.add_argument("--network", action="append", choices=list(NETWORKS))
    given = parser.parse_args()
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    for name in given.network or NETWORKS:
        scan_plane(name, given.num, given.steps, compare(name, given.num, given.side))


if __name__ == "__main__":
    main()
