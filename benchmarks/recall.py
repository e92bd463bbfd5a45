"""Share of all cycles found against CPU seconds: walks, paths from points, their mixture, Auto.

Run `python -m benchmarks.recall [--quick] [figure.png]`; `--help` lists the options.
"""

import argparse
import dataclasses

from benchmarks import timing

if __name__ == "__main__":
    MACHINE = timing.single_thread()

import time
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np

from plrjax import SCYFI, Auto, CycleProblem, Exhaustive, PathFollowing, PiecewiseAffineMap
from plrjax._parallel import one_thread_per_solve
from plrjax._piecewise_affine import balanced
from plrjax._results import COVERAGE
from plrjax.cycles._run import _task
from plrjax.cycles._solver import _pivots, _walk
from plrjax.cycles._verify import VERDICT

METHODS = {
    "walks": SCYFI(),
    "points": PathFollowing(hops=0.0),
    "mixture": PathFollowing(),
    "auto": Auto(),
}
LABELS = {
    "mixture": ("PathFollowing()", "#56B4E9", "-", 3.5),
    "points": ("PathFollowing(hops=0)", "#0072B2", "--", 1.6),
    "walks": ("SCYFI()", "#D55E00", "-.", 1.6),
    "auto": ("Auto()", "#000000", ":", 1.8),
}
"""Text, color (Okabe and Ito 2008: told apart by color-blind readers), dash and width of each
curve."""

LONGER = 2
"""The further run that a union of all runs includes is so many budgets long."""

EARLY = 0.001
"""Where the time axis begins, in seconds."""


class Case(NamedTuple):
    """One network and the period of the cycles sought."""

    map: PiecewiseAffineMap
    period: int = 1


class Family(NamedTuple):
    """Networks of one kind, CPU seconds of every search, and whether the truth is enumerated.

    The name begins with the kind; families of one kind share a panel of the figure.
    """

    name: str
    cases: list[Case]
    seconds: float
    exact: bool


class Search(NamedTuple):
    """CPU seconds at which each cycle was first seen, by word, and at which steps ended."""

    first: dict[bytes, float]
    ends: list[float]


class Result(NamedTuple):
    """All searches of one network, by method, and the words of all its cycles as far as known."""

    searches: dict[str, Search]
    truth: set[bytes]


def plrnn(A, W, h) -> PiecewiseAffineMap:
    """Return z' = A z + W relu(z) + h."""
    return PiecewiseAffineMap(A, W, np.eye(len(h)), h, np.zeros(len(h)))


def coupling(draw: np.random.Generator, size: int, gain: float) -> np.ndarray:
    """Return W with entries N(0, gain^2/M) off the diagonal and 0 on it."""
    W = gain * draw.standard_normal((size, size)) / np.sqrt(size)
    np.fill_diagonal(W, 0.0)
    return W


def random_network(size: int, gain: float, seed: int) -> PiecewiseAffineMap:
    """Return a PLRNN with A = .5 I and h ~ N(0, 1)."""
    draw = np.random.default_rng([seed, size])
    return plrnn(np.full(size, 0.5), coupling(draw, size, gain), draw.standard_normal(size))


def planted(size: int, gain: float, seed: int) -> PiecewiseAffineMap:
    """Return a PLRNN with A = .5 I and h such that a Gaussian point is a fixed point."""
    draw = np.random.default_rng([seed, size])
    W, A, z = coupling(draw, size, gain), np.full(size, 0.5), draw.standard_normal(size)
    return plrnn(A, W, z - A * z - W @ np.maximum(z, 0.0))


def clipped(hidden: int, gain: float, seed: int, size: int = 5) -> PiecewiseAffineMap:
    """Return a clipped shallow PLRNN, W1 (relu(W2 z + h2) - relu(W2 z)): 2 H units."""
    draw = np.random.default_rng([seed, size, hidden])
    W1 = gain * draw.standard_normal((size, hidden)) / np.sqrt(hidden)
    W2 = draw.standard_normal((hidden, size)) / np.sqrt(size)
    h2, A = 2.0 * draw.standard_normal(hidden), draw.uniform(-0.3, 0.9, size)
    W1, W2, h2 = np.hstack([W1, -W1]), np.vstack([W2, W2]), np.append(h2, np.zeros(hidden))
    return PiecewiseAffineMap(A, W1, W2, 0.3 * draw.standard_normal(size), h2)


def chaotic(seed: int) -> PiecewiseAffineMap:
    """Return a chaotic PLRNN of three units (for the seeds used here)."""
    draw = np.random.default_rng([seed, 3, 1])
    W = coupling(draw, 3, 3.0)
    return plrnn(draw.uniform(-0.3, 0.9, 3), W, draw.standard_normal(3))


def with_fixed_points(size: int, gain: float, count: int) -> list[Case]:
    """Return the first `count` random networks that have any fixed point (most have none)."""
    cases = (Case(random_network(size, gain, seed)) for seed in range(1000))
    return list(islice((case for case in cases if search(Exhaustive(), case).first), count))


def families(quick: bool = False) -> list[Family]:
    """Return the families; if `quick`, two networks and one second of each."""
    grid = [(size, gain) for size in (14, 17, 20) for gain in (1.5, 3.0, 5.0)]
    small = [case for size, gain in grid for case in with_fixed_points(size, gain, 3)]
    hidden = [(h, seed) for seed in range(3) for h in (10, 11, 12)] + [(13, 0), (13, 1), (14, 0)]
    shallow = [Case(clipped(h, 16.0, seed)) for h, seed in hidden]
    thirty = [Case(planted(30, 3.0, seed)) for seed in range(5)]
    fifty = [Case(planted(50, 2.0, seed)) for seed in range(4)]
    long = [Case(chaotic(seed), period) for seed, period in ((592, 20), (868, 22), (915, 22))]
    rows = [
        Family("random, M=14 to 20", small, 2.0, True),
        Family("planted, M=30 g=3", thirty, 5.0, False),
        Family("planted, M=50 g=2", fifty, 5.0, False),
        Family("clipped shallow, M=5", shallow, 2.0, True),
        Family("chaotic, M=3", long, 5.0, False),
    ]
    if quick:
        rows = [row._replace(cases=row.cases[:2], seconds=1.0) for row in rows]
    return rows


def search(
    solver, case: Case, *, seed: int = 0, seconds: float = np.inf, wanted: set[bytes] | None = None
) -> Search:
    """Step a solver until its CPU time is spent, it is complete, or it has found all `wanted`.

    One that stops by itself before is started again with another key. The clock runs where
    `find_cycles` searches, and stands while the results so far are counted here.
    """
    clock = Clock({}, [0.0], seconds, wanted)
    map, key, run = balanced(case.map)[0], jax.random.key(seed), 0
    while not clock.is_over:
        folded = jax.random.fold_in(key, run)
        problem = CycleProblem(map, case.period, folded, periods=(case.period,))
        run_plan(solver, problem, clock)
        run += 1
    return Search(clock.first, clock.ends)


@dataclasses.dataclass
class Clock:
    """CPU seconds spent, and at which of them each cycle was first seen."""

    first: dict[bytes, float]
    ends: list[float]
    seconds: float
    wanted: set[bytes] | None
    complete: bool = False

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do, or no time."""
        found = self.wanted is not None and self.wanted <= self.first.keys()
        return self.complete or self.ends[-1] >= self.seconds or found

    def call(self, function, *arguments):
        """Call a function while the clock runs."""
        begun = time.process_time()
        result = function(*arguments)
        self.ends.append(self.ends[-1] + time.process_time() - begun)
        return result

    def see(self, outcome, period: int) -> None:
        """Note what is known by now."""
        for entry in outcome.catalog.entries:
            if entry.period == period and entry.verdict == VERDICT.cycle:
                self.first.setdefault(entry.word.tobytes(), self.ends[-1])
        self.complete |= outcome.coverage is COVERAGE.complete_in_floating_point


def run_plan(solver, problem: CycleProblem, clock: Clock) -> None:
    """Run the stages of a plan as `find_cycles` does."""
    period, outcomes, samples, news = problem.period, {}, {}, False
    for stage in solver.plan(problem):
        if clock.is_over or (stage.upon_news and not news):
            continue
        task = clock.call(_task, problem, stage, (period,), outcomes, samples)
        state, known = clock.call(stage.solver.init, task), len(clock.first)
        while not stage.solver.terminate(task, state) and not clock.is_over:
            state = clock.call(stage.solver.step, task, state)
            clock.see(stage.solver.outcome(task, state), period)
        outcome, news = stage.solver.outcome(task, state), len(clock.first) > known
        before = outcomes.get(period)
        outcomes[period] = outcome.after(before, period, True) if before else outcome


def compiled_search(*arguments, **options) -> Search:
    """Search, and once more if anything was traced on the way: compilation must not count."""
    while True:
        before = _pivots.TRACES["count"], _walk.TRACES["count"]
        result = search(*arguments, **options)
        if (_pivots.TRACES["count"], _walk.TRACES["count"]) == before:
            return result


def measure(family: Family, case: Case) -> Result:
    """Search one network with every method, and for its truth, enumerated or a union of runs."""
    options: dict = {"seconds": family.seconds}
    if family.exact:
        whole = search(Exhaustive(), case)
        options["wanted"] = set(whole.first)
    searches = {name: compiled_search(solver, case, **options) for name, solver in METHODS.items()}
    union = set().union(*(each.first for each in searches.values()))
    if family.exact:
        assert union <= whole.first.keys(), "not a cycle, or not enumerated"
        return Result(searches, options["wanted"])
    longer = search(METHODS["mixture"], case, seed=1, seconds=LONGER * family.seconds)
    return Result(searches, union | longer.first.keys())


def found(result: Result, method: str, seconds: float) -> int:
    """Return how many cycles a method had found at the end of its step that met the time."""
    search = result.searches[method]
    limit = min((end for end in search.ends if end >= seconds), default=np.inf)
    return sum(at <= limit for at in search.first.values())


def last_news(result: Result, method: str) -> float:
    """Return the CPU seconds after which a method found nothing new in one network."""
    return max(result.searches[method].first.values(), default=0.0)


def report(family: Family, results: list[Result]) -> None:
    """Print one row per method; see README.md of this folder for what the columns mean."""
    truth = sum(len(result.truth) for result in results)
    when = [last_news(result, "mixture") for result in results]
    kind = "enumerated" if family.exact else "union of all runs"
    print(f"\n{family.name}: {len(results)} networks, {truth} cycles ({kind})")
    print(f"{'after':>31s} {np.median(when):.2f} s{'':12s}{family.seconds:g} s   last new (s)")
    for method, (label, *_) in LABELS.items():
        equal = sum(found(result, method, at) for result, at in zip(results, when))
        late = sum(found(result, method, family.seconds) for result in results)
        shares = f"{equal:6d} {equal / truth:6.1%}{late:9d} {late / truth:6.1%}"
        latest = max(last_news(result, method) for result in results)
        print(f"  {label:22s}{shares}{latest:13.2f}", flush=True)


def curve(results: list[Result], method: str, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return CPU seconds per network, at least `EARLY`, and the share of all cycles found then."""
    firsts = [at for result in results for at in result.searches[method].first.values()]
    at = np.sort(np.maximum([EARLY, *firsts, seconds], EARLY))
    share = np.append(np.arange(len(firsts) + 1), len(firsts))
    return at, share / sum(len(result.truth) for result in results)


def plot(measured: list[tuple[Family, list[Result]]]):
    """Draw one panel per kind of network; return the matplotlib figure."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(family.name.split(",")[0] for family, _ in measured))
    figure = Figure(figsize=(8.7, 7.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, kind in zip(panels.flat, kinds):
        parts = [(family, each) for family, each in measured if family.name.startswith(kind)]
        results = [result for _, each in parts for result in each]
        seconds, exact = parts[0][0].seconds, parts[0][0].exact
        for method, (label, color, dash, width) in LABELS.items():
            at, share = curve(results, method, seconds)
            axes.step(at, share, dash, where="post", color=color, lw=width, label=label)
        truth = sum(len(result.truth) for result in results)
        name = f"{kind}, " + " and ".join(family.name.split(", ")[1] for family, _ in parts)
        count = f"all {truth} cycles" if exact else f"{truth} known cycles"
        axes.set_title(f"{name}:\n{count}", fontsize=10)
        axes.set(xscale="log", xlim=(EARLY, 6.0), ylim=(-0.03, 1.05))
        axes.grid(alpha=0.25)
    for axes in panels[-1]:
        axes.set_xlabel("CPU seconds per network")
    for axes in panels[:, 0]:
        axes.set_ylabel("share of cycles found")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False,
                  handlelength=3.5)  # fmt: skip
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recall", description=__doc__)
    parser.add_argument("output", nargs="?", help="PNG file to write")
    parser.add_argument("--quick", action="store_true", help="two networks, one second of each")
    options = parser.parse_args()
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    measured = []
    with one_thread_per_solve():
        for family in families(options.quick):
            for solver in METHODS.values():  # loops are compiled, or loaded, on first use
                search(solver, family.cases[0], seconds=1.0)
            results = [measure(family, case) for case in family.cases]
            measured.append((family, results))
            report(family, results)
    if options.output:
        plot(measured).savefig(options.output, dpi=96, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
