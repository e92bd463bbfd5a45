"""Many networks in one call: time beside the analysis, programs by worker, two workers against one.

Run `python -m benchmarks.census`; `--help` lists the options. A markdown table is printed row by
row, in some six minutes for 1,000 networks.
"""

import argparse
import collections
import os
import time

import jax
import jax.random as jr
import numpy as np

import plrjax as plr

_COMPILED = "/jax/core/compile/backend_compile_duration"
_programs = collections.Counter()
"""Programs that XLA has compiled, or read from its cache, in this process."""


def _count(event: str, *_: object, **__: object) -> None:
    _programs[event] += 1


jax.monitoring.register_event_duration_secs_listener(_count)


def counted(model, *, key):
    """Return what a census of cycles does, and the programs compiled in this process until then."""
    cycles = plr.find_cycles(model, periods=[1, 2], key=key, progress=plr.NoProgress())
    return {
        "cycles": len(cycles),
        "process": os.getpid(),
        "programs": _programs[_COMPILED],
    }


def networks(count: int, size: int) -> list[plr.PLRNN]:
    """Return chaotic networks of one shape."""
    found = []
    for number in range(count):
        rng = np.random.default_rng(number)
        W = rng.standard_normal((size, size)) * 1.5 / np.sqrt(size)
        arrays = {"A": rng.uniform(0.2, 0.8, size), "W": W, "h": rng.standard_normal(size)}
        found.append(plr.from_arrays("plrnn", **arrays))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--states", type=int, default=10)
    options = parser.parse_args()
    from benchmarks.census import counted  # by its name, so that workers import the counter, too

    models = networks(options.networks, options.states)
    print("| workers | wall, s | beside the analysis, ms a network | programs, first | later |")
    print("|---|---|---|---|---|")
    for workers in (1, 2):
        begun = time.perf_counter()
        found = plr.census(models, counted, key=jr.key(0), executor=workers)
        wall = time.perf_counter() - begun
        beside = workers * wall - sum(row["seconds"] for row in found.rows)
        ends = [(row["process"], row["programs"]) for row in found.rows]
        first = {process: count for process, count in reversed(ends)}
        later = sum(max(n for p, n in ends if p == process) - first[process] for process in first)
        print(
            f"| {workers} | {wall:.1f} | {1e3 * beside / len(models):.1f} "
            f"| {', '.join(map(str, first.values()))} | {later} |", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
