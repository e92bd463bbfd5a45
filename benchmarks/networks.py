"""CPU seconds of the default search per network, after the first, and what it found.

Run `python -m benchmarks.networks`. The cycles found are written to a file, so that two versions
can be compared network by network: `--out new.json --before old.json`.
"""

import argparse
import json
import pathlib
import time

import jax.random as jr
import numpy as np

from plrjax import NoProgress, find_cycles, from_arrays


def random_plrnn(number: int, size: int = 10):
    """Return a network of `size` states, gain 1.1, that stays bounded for most draws."""
    draw = np.random.default_rng([10, number])
    W = draw.standard_normal((size, size)) * 1.1 / np.sqrt(size) - 4.0 / size
    np.fill_diagonal(W, 0.0)
    A, h = draw.uniform(0.3, 0.9, size), draw.standard_normal(size)
    return from_arrays("plrnn", A=A, W=W, h=h)


def random_clipped(number: int, size: int = 3, hidden: int = 50):
    """Return a clipped shallow network, strongly coupled."""
    draw = np.random.default_rng([3, number])
    arrays = {
        "A": draw.uniform(0.3, 0.9, size),
        "W1": draw.standard_normal((size, hidden)) / np.sqrt(hidden),
        "W2": 1.5 * draw.standard_normal((hidden, size)),
        "h1": 0.3 * draw.standard_normal(size),
        "h2": draw.standard_normal(hidden),
    }
    return from_arrays("clipped-shallow", **arrays)


FAMILIES = {"plrnn M=10": (random_plrnn, 100), "clipped M=3 H=50": (random_clipped, 20)}


def search(model, periods) -> tuple[float, list[str]]:
    """Return CPU seconds and the words of the verified cycles."""
    begun = time.process_time()
    found = find_cycles(model, periods, key=jr.key(0), progress=NoProgress())
    spent = time.process_time() - begun
    rows = np.flatnonzero(found.verified)
    words = [found.itinerary[r, : found.period[r]].tobytes().hex() for r in rows]
    return spent, words


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("--count", type=int, help="networks of each family (default: 100 and 20)")
    parser.add_argument("--out", help="write the cycles found to this .json file")
    parser.add_argument("--before", help="such a file of another version, to compare with")
    options = parser.parse_args()
    before = json.loads(pathlib.Path(options.before).read_text()) if options.before else {}
    kept = {}
    for name, (draw, count) in FAMILIES.items():
        results = [search(draw(i), range(1, 6)) for i in range(options.count or count)]
        seconds = np.array([spent for spent, _ in results])
        kept[name] = [words for _, words in results]
        print(
            f"{name}: first {seconds[0]:.2f} s, then median {np.median(seconds[1:]):.3f} s, "
            f"mean {seconds[1:].mean():.3f} s; {sum(map(len, kept[name]))} cycles",
            flush=True,
        )
        pairs = list(zip(before.get(name, []), kept[name]))
        if pairs:
            lost = sum(len(set(old) - set(new)) for old, new in pairs)
            news = sum(len(set(new) - set(old)) for old, new in pairs)
            print(f"  against {options.before}: {lost} cycles lost, {news} more")
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
