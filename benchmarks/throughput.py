"""Candidate evaluations per second: the compiled references, the kernel, and the whole search.

Run `python -m benchmarks.throughput`; `--help` lists the options.
"""

import argparse

from benchmarks import timing

if __name__ == "__main__":
    MACHINE = timing.single_thread()

import numpy as np

from benchmarks.reference import VARIANTS, gesv_loop, random_network, reference

SIZES = ((2, 1), (2, 10), (2, 80), (5, 40), (10, 1), (10, 10), (50, 10))
"""(M, k): state size and period of the rows of the table."""

PUBLISHED = {(2, 1): 0.83, (2, 10): 3.7, (2, 80): 24.0, (10, 1): 2.8, (10, 10): 11.5, (50, 10): 128}
"""Microseconds per candidate of SCYFI-speedup (Julia, one core, another machine): context only."""

EVALUATIONS = "candidates"
"""Entry of `CycleSet.stats` with the candidate evaluations of a search."""


_REPORTED: set[str] = set()


def piecewise_affine_map(state_size: int):
    """Return the benchmark's random PLRNN in canonical form."""
    from plrjax._piecewise_affine import PiecewiseAffineMap

    A, W, h = random_network(state_size)
    return PiecewiseAffineMap(A, W, np.eye(state_size), h, np.zeros(state_size))


def num_candidates(state_size: int, period: int) -> int:
    """Candidates in one timed batch of a reference: tens of milliseconds, more than the caches."""
    return max(64, 20_000 // (state_size * period))


def reference_call(variant: str, state_size: int, period: int):
    """Return a function that evaluates one batch with a reference, and the size of the batch."""
    network = random_network(state_size)
    count = num_candidates(state_size, period)
    words = np.random.default_rng(1).random((count, period, state_size)) < 0.5
    points, visited = np.empty((count, state_size)), np.empty_like(words)
    batch = reference(variant, state_size).batch
    return (lambda: batch(*network, words, points, visited)), count


def reference_walk_call(variant: str, state_size: int, period: int, max_steps: int = 24):
    """Return a function that runs whole walks with a reference, and its candidate evaluations."""
    network = random_network(state_size)
    count = num_candidates(state_size, period)
    words, found_at = np.empty((64, period, state_size), bool), np.empty(64, np.int64)
    walk = reference(variant, state_size).walk
    return (lambda: walk(*network, period, count, max_steps, 0, words, found_at)), count


def kernel_call(pwa_map, period: int, *, steps: int = 4):
    """Return a function that makes `steps` kernel steps on every lane, and their number.

    The lanes start from random itineraries and each step works on the itineraries of the last,
    as in the walk; the amount of work does not depend on the data.

    **Raises:** `ImportError` where this version of plrjax has no such kernel.
    """
    import jax
    import jax.numpy as jnp

    from plrjax._numerics import float64_scope
    from plrjax.cycles._solver._newton_step import make_layout, newton_step, parameters_of

    def run(p, D, period):
        body = lambda _, D: newton_step(p, layout, D, period).itinerary
        return jax.lax.fori_loop(0, steps, body, D)

    with float64_scope():
        layout = make_layout(pwa_map, period)
        p = parameters_of(pwa_map, layout)
        shape = (layout.rows, layout.num_units, layout.columns)
        D = jnp.asarray(np.random.default_rng(1).random(shape) < 0.5)
        compiled = jax.jit(run).lower(p, D, jnp.asarray(period)).compile()
        arguments = (p, D, jnp.asarray(period))

    def call():
        with float64_scope():
            return compiled(*arguments)

    return call, steps * layout.lanes


def engine_call(pwa_map, period: int):
    """Return what `kernel_call` does, or on a CPU, where that is faster, the same in the loop.

    The loop solves for the random itineraries of the references, one after the other.
    """
    import jax

    from plrjax.cycles._seeding import SeedTable
    from plrjax.cycles._solver._loop_walks import LoopWalks, loop_is_faster

    if jax.default_backend() != "cpu" or not loop_is_faster(pwa_map, period):
        return kernel_call(pwa_map, period)
    count = num_candidates(pwa_map.state_size, period)
    words = np.random.default_rng(1).random((count * period, pwa_map.num_units)) < 0.5
    engine = LoopWalks(pwa_map, period, max_steps=1)
    starts = period * np.arange(count)[:, None]
    engine.begin(SeedTable(words, starts, np.ones(count, int)), 0, 0, count)
    return (lambda: engine._walk(engine.desks[0], 0, count)), count


def search_call(pwa_map, period: int, *, seconds: float = 0.3):
    """Return a function that runs a whole search, and its candidate evaluations.

    The number of walks is chosen so that the bare kernel would take `seconds` for the same
    candidates (1000 to 200,000 walks): fixed costs of a call count, but do not rule.

    **Raises:** `ImportError` where this version of plrjax has no such search.
    """
    import jax

    import plrjax as plr

    if not hasattr(plr, "find_cycles"):
        raise ImportError("benchmarks: plrjax.find_cycles is not there yet")
    from plrjax import NoProgress

    def search(num_searches):
        found = plr.find_cycles(
            pwa_map,
            [period],
            key=jax.random.key(0),
            solver=plr.SCYFI(),
            num_searches=num_searches,
            throw=False,
            progress=NoProgress(),
        )
        return int(found.stats[EVALUATIONS][period])

    per_walk = search(1000) / 1000
    walks = seconds / (per_walk * plrjax_candidate_time(pwa_map, period, repeats=3))
    num_searches = int(np.clip(walks, 1000, 200_000))
    return (lambda: search(num_searches)), search(num_searches)


def kernel_throughput(pwa_map, period: int, *, repeats: int = 9) -> timing.Timing:
    """Time the kernel alone; seconds are per call (see `kernel_call`), not per candidate."""
    return timing.measure(kernel_call(pwa_map, period)[0], repeats=repeats)


def plrjax_candidate_time(pwa_map, period: int, *, repeats: int = 9) -> float:
    """Return seconds per candidate of the plrjax kernel."""
    call, count = kernel_call(pwa_map, period)
    return timing.measure(call, repeats=repeats).best / count


def gesv_seconds(size: int = 50) -> float:
    """Return the seconds of one LAPACK solve of a size x size system: the unit of the machine."""
    rng = np.random.default_rng(1)
    matrix, rhs = rng.standard_normal((size, size)) + 10 * np.eye(size), np.ones(size)
    return timing.measure(lambda: gesv_loop(matrix, rhs, 400)).best / 400


def row(state_size: int, period: int, *, repeats: int = 9, search: bool = True) -> dict[str, float]:
    """Measure one row in alternation: seconds per candidate of every competitor that exists.

    Keys: the names in `VARIANTS`, `walk` (whole walks of the `loops` reference), `kernel`,
    `search` (both NaN where this version of plrjax lacks them), and `spread`, the noise.
    """
    calls = {name: reference_call(name, state_size, period) for name in VARIANTS}
    calls["walk"] = reference_walk_call("loops", state_size, period)
    missing = []
    pwa_map = piecewise_affine_map(state_size)
    makers = {"kernel": engine_call} | ({"search": search_call} if search else {})
    for name, make in makers.items():
        try:
            calls[name] = make(pwa_map, period)
        except (ImportError, KeyError) as error:
            missing.append(f"{name}: {error}")
    times = timing.alternate({n: call for n, (call, _) in calls.items()}, repeats=repeats)
    seconds = {name: times[name].best / calls[name][1] for name in calls}
    seconds["spread"] = max(t.spread for t in times.values())
    for reason in missing:
        if reason not in _REPORTED:
            _REPORTED.add(reason)
            print("not measured:", reason)
    return {"kernel": np.nan, "search": np.nan} | seconds


def table(sizes=SIZES, *, repeats: int = 9, search: bool = True) -> list[dict[str, float]]:
    """Measure and print the table; see README.md of this folder for what each column means."""
    unit = gesv_seconds()
    print(f"one 50 x 50 LAPACK solve: {unit * 1e6:.1f} us; times in us per candidate, one thread\n")
    print(
        "  (M, k)  |  lapack    lean   loops    walk |  kernel  search |"
        " lapack/kernel  loops/kernel  search/kernel | lapack(50,10)/gesv | published  noise"
    )
    rows = []
    for size, period in sizes:
        s = row(size, period, repeats=repeats, search=search)
        us = {name: value * 1e6 for name, value in s.items()}
        to_unit = f"{s['lapack'] / unit:18.2f}" if (size, period) == (50, 10) else " " * 18
        print(
            f" ({size:3d},{period:3d}) |"
            f"{us['lapack']:8.3g}{us['lean']:8.3g}{us['loops']:8.3g}{us['walk']:8.3g} |"
            f"{us['kernel']:8.3g}{us['search']:8.3g} |"
            f"{s['lapack'] / s['kernel']:14.3g}{s['loops'] / s['kernel']:14.3g}"
            f"{s['search'] / s['kernel']:15.3g} | {to_unit} |"
            f"{PUBLISHED.get((size, period), np.nan):10.3g}{s['spread']:7.2f}",
            flush=True,
        )
        rows.append({"state_size": size, "period": period} | s)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="samples of each competitor")
    parser.add_argument("--no-search", action="store_true", help="leave out the whole search")
    parser.add_argument("--size", action="append", metavar="M,k", help="a row; may be repeated")
    arguments = parser.parse_args()
    sizes = SIZES
    if arguments.size:
        sizes = [tuple(int(part) for part in text.split(",")) for text in arguments.size]
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    table(sizes, repeats=arguments.repeats, search=not arguments.no_search)


if __name__ == "__main__":
    main()
