"""How many linear subregions a search visits until it has every cycle, against random enumeration.

Reproduces the scaling figure of Eisenmann, Monfared, Göring, Durstewitz (2023): candidate
evaluations against the period k for 2-D systems, and against the state size M for fixed points of
random PLRNNs whose full set is known by exhaustive enumeration. Drawing itineraries at random
without replacement finds all of n cycles after (2^(M k) + 1)/(n + 1) draws on average.

Run `python -m benchmarks.scaling figure.png`; `--help` lists the options.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.systems import (
    Network,
    mean_largest_eigenvalue,
    num_fixed_points,
    random_network,
    systems_by_period,
)

PUBLISHED_LINE = (1.905, 0.0294)
"""Intercept and slope per step of k that the paper reports for its own 2-D test set."""


class Scaling(NamedTuple):
    """One axis of the figure; rows are systems, columns of `evaluations` are repeats.

    `size` is k or M, `truth` the number of known cycles (k-cycles, or fixed points), `evaluations`
    the count at which the last of them was found (NaN where a search missed one), `enumeration`
    the expectation for random enumeration.
    """

    size: np.ndarray
    truth: np.ndarray
    evaluations: np.ndarray
    enumeration: np.ndarray


Search = Callable[[Network, int, int], np.ndarray]
"""(network, period, seed) -> evaluations at which each distinct cycle was first found."""


def plrjax_search(num_searches: int = 1000) -> Search:
    """Count with `plr.find_cycles` and its own starts."""
    import jax

    import plrjax as plr
    from plrjax import NoProgress

    def search(network, period, seed):
        found = plr.find_cycles(
            plr.from_arrays("plrnn", A=network.A, W=network.W, h=network.h),
            [period],
            key=jax.random.key(seed),
            solver=plr.SCYFI(),
            num_searches=num_searches,
            throw=False,
            progress=NoProgress(),
        )
        return np.asarray(found.stats["first_found"].get(period, np.empty(0)), float)

    return search


def reference_search(evaluations: int = 100_000) -> Search:
    """Count with the sequential reference, which starts from random bits (the published way)."""
    from benchmarks.reference import reference

    def search(network, period, seed):
        size = len(network.h)
        words = np.empty((20_000, period, size), bool)
        found_at = np.empty(len(words), np.int64)
        walk = reference("loops", size).walk
        hits = min(walk(*network, period, evaluations, 24, seed, words, found_at), len(words))
        first = {}
        for word, at in zip(words[:hits], found_at):
            identity = least_rotation(word)
            if identity is not None:
                first.setdefault(identity, at)
        return np.array(list(first.values()), float)

    return search


def least_rotation(word: np.ndarray) -> bytes | None:
    """Return the cycle's name, the least rotation of its itinerary; None if it repeats a part."""
    rotations = [np.packbits(np.roll(word, -t, axis=0)).tobytes() for t in range(len(word))]
    return min(rotations) if len(set(rotations)) == len(rotations) else None


def expected_enumeration(size, period, num_cycles) -> np.ndarray:
    """Return (2^(M k) + 1)/(#cycles + 1), the mean number of random draws to find all cycles."""
    return (2.0 ** (np.asarray(size) * np.asarray(period)) + 1.0) / (np.asarray(num_cycles) + 1.0)


def _complete_at(first_found: np.ndarray, truth: int) -> float:
    return float(first_found.max()) if truth and len(first_found) >= truth else np.nan


def scale_with_period(
    search: Search, *, longest: int = 50, per_period: int = 3, repeats: int = 5
) -> Scaling:
    """Measure over k. Truth: the most cycles any repeat found, and at least the attracting one."""
    rows = []
    for period, networks in systems_by_period(longest, per_period).items():
        for network in networks:
            found = [search(network, period, seed) for seed in range(repeats)]
            truth = max(1, *map(len, found))
            rows.append((period, truth, [_complete_at(f, truth) for f in found]))
    size, truth, evaluations = (np.array(column) for column in zip(*rows))
    return Scaling(size, truth, evaluations, expected_enumeration(2, size, truth))


def scale_with_size(
    search: Search,
    *,
    largest: int = 12,
    gain: float = 1.0,
    num_systems: int = 10,
    repeats: int = 5,
) -> Scaling:
    """Measure over M for fixed points of random networks that have at least one."""
    rows = []
    for size in range(2, largest + 1):
        for number in range(num_systems):
            network = random_network(size, gain, number)
            truth = num_fixed_points(network)
            if truth:
                found = [search(network, 1, seed) for seed in range(repeats)]
                rows.append((size, truth, [_complete_at(f, truth) for f in found]))
    size, truth, evaluations = (np.array(column) for column in zip(*rows))
    return Scaling(size, truth, evaluations, expected_enumeration(size, 1, truth))


def medians(scaling: Scaling) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return sizes, and per size the median evaluations, median enumeration, and share missed."""
    sizes = np.unique(scaling.size)
    values, expected, missed = np.full((3, len(sizes)), np.nan)
    for i, size in enumerate(sizes):
        rows = scaling.size == size
        counts = scaling.evaluations[rows]
        missed[i] = np.isnan(counts).mean()
        if missed[i] < 1:
            values[i] = np.nanmedian(counts)
        expected[i] = np.median(scaling.enumeration[rows])
    return sizes, values, expected, missed


def fit_line(scaling: Scaling) -> tuple[float, float]:
    """Return intercept and slope of the medians against the size, by Theil and Sen.

    The median of pairwise slopes: one hard system must not set the law.
    """
    from scipy.stats import theilslopes

    sizes, values, _, _ = medians(scaling)
    good = np.isfinite(values)
    line = theilslopes(values[good], sizes[good])
    return float(line.intercept), float(line.slope)


def plot(by_period: Scaling, by_size: Scaling, label: str = "search"):
    """Draw both panels; return the matplotlib figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    names = ("period k (steps)", "state size M (units)")
    for axes, scaling, name in zip(panels, (by_period, by_size), names):
        sizes, values, expected, _ = medians(scaling)
        spread = np.repeat(scaling.size[:, None], scaling.evaluations.shape[1], axis=1)
        axes.plot(spread.ravel(), scaling.evaluations.ravel(), ".", color="C0", alpha=0.2)
        axes.plot(sizes, values, "o-", color="C0", label=f"{label} (median)")
        axes.plot(sizes, expected, "s--", color="C1", label="random enumeration (expected)")
        axes.set(xlabel=name, ylabel="linear subregions visited (count)", yscale="log")
        axes.legend()
    intercept, slope = fit_line(by_period)
    panels[0].set_title(f"2-D systems: {intercept:.3g} + {slope:.3g} k")
    panels[1].set_title("fixed points of random PLRNNs")
    return figure


def report(name: str, scaling: Scaling) -> None:
    """Print medians per size."""
    print(f"\n{name:>4s}  systems  cycles  evaluations (median)  random enumeration  missed")
    for size, value, expected, missed in zip(*medians(scaling)):
        rows = scaling.size == size
        print(
            f"{size:4d}{rows.sum():9d}{np.median(scaling.truth[rows]):8.0f}"
            f"{value:22.4g}{expected:20.4g}{missed:8.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("output", help="PNG file to write")
    parser.add_argument("--engine", choices=("plrjax", "reference"), default="plrjax")
    parser.add_argument("--longest", type=int, default=50, help="largest period of the left panel")
    parser.add_argument("--largest", type=int, default=12, help="largest M of the right panel")
    parser.add_argument("--gain", type=float, default=1.0, help="coupling of the random networks")
    parser.add_argument("--repeats", type=int, default=5, help="seeds per system")
    options = parser.parse_args()
    search = plrjax_search() if options.engine == "plrjax" else reference_search()
    by_period = scale_with_period(search, longest=options.longest, repeats=options.repeats)
    report("k", by_period)
    intercept, slope = fit_line(by_period)
    print(f"linear law: {intercept:.3f} + {slope:.4f} k; published: 1.905 + .0294 k (its own set)")
    by_size = scale_with_size(
        search, largest=options.largest, gain=options.gain, repeats=options.repeats
    )
    report("M", by_size)
    examples = [random_network(options.largest, options.gain, number) for number in range(10)]
    largest = np.mean([mean_largest_eigenvalue(network) for network in examples])
    print(f"gain {options.gain}: mean largest |eigenvalue| {largest:.2f} at M={options.largest}")
    plot(by_period, by_size, options.engine).savefig(options.output, dpi=150)


if __name__ == "__main__":
    main()
