"""`detect_bifurcations`: events of cycles along a sequence of networks."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from .._arguments import check_kind, checked_key, checked_periods, checked_whole
from .._constant_input import with_input, with_inputs
from .._host import on_host
from .._job import deadline_of, job
from .._numerics import as_float64
from .._parallel import one_thread_per_solve
from .._piecewise_affine import AbstractPLRNN
from .._progress import AbstractProgress, NoProgress
from .._results import COVERAGE, RESULTS
from ..cycles import AbstractCycleSolver, CycleSet, find_cycles
from ._all_words import MOST_BITS, admissible_places, all_words, in_turn
from ._events import Bifurcations
from ._gather import PerNetwork, gathered
from ._node_events import Nodes
from ._nodes import divide, enter, spread
from ._path import AbstractParameterPath, LinearPath
from ._segments import Atlas


@dataclasses.dataclass(frozen=True)
class Search:
    """How cycles to follow are found.

    **Fields:** `solver`, `num_searches`: as in `find_cycles`; `max_bits`: words of at most so many
    bits (period times units) are all tried along the whole path, by which no event is missed up to
    rounding; `every`: networks from one search to the next (`detect_bifurcations` searches the
    last, too).
    """

    solver: AbstractCycleSolver | None = None
    num_searches: int | None = None
    max_bits: int = MOST_BITS
    every: int = 1

    def __post_init__(self):
        check_kind("solver", self.solver, AbstractCycleSolver, "a solver such as Auto()")
        checked_whole("max_bits", self.max_bits, 0, 24)
        checked_whole("every", self.every, 1)


@on_host()
def detect_bifurcations(
    models: Any,
    periods: int | Iterable[int],
    *,
    key: PRNGKeyArray | None = None,
    search: Search | None = None,
    steps: Any = None,
    losses: Any = None,
    gradient_norms: Any = None,
    inputs: Any = None,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> Bifurcations:
    """Follow fixed points and k-cycles through a sequence of networks; name what happens to them.

    Between two networks the parameters run along a straight line. A cycle's word is constant until
    a pre-activation or a multiplier's test function reaches zero; the first such root is bracketed
    on converged Chebyshev series and refined to rounding. At border collisions all cycles that meet
    there are found from the pieces of the map around them, and followed in turn (Eisenmann,
    Monfared, Göring, Durstewitz 2023; Feigin 1970 for the classification).

    **Main arguments:**

    - `models`: networks of one kind and shape, in order; or a `Snapshots` callback, a `RunFolder`,
        or one path (`LinearPath`, `FunctionPath`).
    - `periods`: which cycles to follow, for example `range(1, 9)`.
    - `key`: `jax.random.key(seed)`; may be left out where all words are tried along the path.

    **Other arguments:**

    - `search`: how cycles are found, `Search()`: at every network by `find_cycles`; short words
        (period times units up to 12) are tried along the whole path instead, which misses none.
    - `inputs`: a constant input s of all networks; or, of one network as `models`, several as rows:
        the path then leads from one input to the next.
    - `steps`, `losses`, `gradient_norms`: one number for each network, to go with the events.
    - `max_seconds`; `progress`.

    **Returns:** `Bifurcations`. Ctrl-C returns what was found until then.

    **Raises:** `ValueError` naming the argument.
    """
    begun = time.perf_counter()
    paths, own_steps = _paths(models, inputs)
    wanted = checked_periods(periods)
    search = Search() if search is None else search
    check_kind("search", search, Search, "a Search(...)")
    key = None if key is None else checked_key(key)
    rows = {"steps": own_steps if steps is None else steps, "losses": losses,
            "gradient_norms": gradient_norms}  # fmt: skip
    known = PerNetwork(*(_per_network(*row, len(paths) + 1) for row in rows.items()))
    deadline = deadline_of(max_seconds)
    tracer = Tracer(wanted, search, key)
    with job(progress, "bifurcations", deadline) as work:

        def watch(share: float) -> None:
            done = (max(len(tracer.atlases), 1) - 1 + share) / len(paths)
            work.update(done, f"{tracer.num_events} events")
            work.check()

        tracer.watch = watch
        for number, path in enumerate(paths):
            tracer.advance(path, last=number == len(paths) - 1)
    return tracer.found(known, work.result, time.perf_counter() - begun)


class Tracer:
    """Follows cycles from network to network; asked for the result at any time.

    **Arguments:** `periods`, sorted; `search`; `key`, which each network's number is folded into.

    **Raises:** `ValueError` where a search needs a key and there is none.
    """

    def __init__(self, periods: Sequence[int], search: Search, key: PRNGKeyArray | None):
        self.periods, self.search, self.key = tuple(periods), search, key
        self.atlases: list[Atlas] = []
        self._nodes, self._num_whole = Nodes(), 0
        self._moving: list[int] = []
        self.coverage: dict[int, COVERAGE] = {}
        self.notes: list[str] = []
        self.watch: Callable[[float], None] = lambda share: None
        self._searched: dict[int, CycleSet] = {}

    @property
    def num_events(self) -> int:
        """Border collisions, transcriticals, flips and centers met until now, about."""
        return sum(len(atlas.collisions) for atlas in self.atlases)

    def advance(self, path: AbstractParameterPath, last: bool = False) -> Atlas:
        """Follow everything known, and everything found at the ends, along the next path.

        What an interruption leaves undone is missing; what was followed until then is kept.
        """
        number = len(self.atlases)
        atlas = Atlas(path, self.periods)
        self.atlases.append(atlas)
        if self._moving and isinstance(path, LinearPath) and path.is_still:
            return atlas
        self._moving.append(number)
        moving = [self.atlases[row] for row in self._moving]
        if len(moving) > 1:
            divide(*moving[-2:])
        searched = [k for k in self.periods if k * path.shape[1] > self.search.max_bits]
        stages = [k for k in self.periods if k not in searched]
        total = len(stages) + 1 + 2 * bool(searched)
        done = 0

        def tick() -> None:
            self.watch(done / total)

        atlas.watch = tick
        with one_thread_per_solve():
            for period in stages:
                self._try_all(atlas, number, period)
                done += 1
            spread(moving)
            done += 1
            if searched:
                for at, s in ((number, path.start), (number + 1, path.stop)):
                    if at % self.search.every == 0 or at == 0 or (last and at > number):
                        enter(atlas, self._searched_at(at, path, s, searched), above=at > number)
                    done += 1
                spread(moving)
        self._num_whole += 1
        self.watch(1.0)
        return atlas

    def _try_all(self, atlas: Atlas, number: int, period: int) -> None:
        """Follow the cycles of all words of a period that are admissible anywhere on the path."""
        self._claim(period, COVERAGE.complete_in_floating_point)
        coarse = 0
        for words in all_words(period, atlas.path.shape[1]):
            atlas.watch()
            places, cut = admissible_places(atlas.path, words)
            for part in in_turn(places):
                atlas.follow(part)
            coarse += cut
        if coarse:
            self._claim(period, COVERAGE.partial)
            self.notes.append(
                f"interval {number}: {coarse} panels of words of period {period} were judged "
                "coarsely"
            )

    def _searched_at(self, number: int, path: AbstractParameterPath, s: float, periods: list[int]):
        """Return the verified cycles that a search finds at one network."""
        if number not in self._searched:
            self._searched = {k: v for k, v in self._searched.items() if k == number - 1}
            self._searched[number] = self._find(number, path, s, periods)
        cycles = self._searched[number]
        for period, coverage in cycles.coverage_by_period.items():
            self._claim(period, min(coverage, COVERAGE.saturated))
        return [cycles.regions(row) for row in np.flatnonzero(cycles.verified).tolist()]

    def _find(self, number: int, path: AbstractParameterPath, s: float, periods: list[int]):
        solver = self.search.solver
        if self.key is None and (solver is None or solver.needs_key):
            raise ValueError(
                "key: expected a JAX random key such as jax.random.key(0), got None (only where "
                "all words are tried along the path, or with a solver that needs none)"
            )
        found = find_cycles(
            path.map(s),
            periods,
            key=None if self.key is None else jr.fold_in(self.key, number),
            solver=solver,
            num_searches=self.search.num_searches,
            throw=False,
            progress=NoProgress(),
        )
        if found.result is RESULTS.interrupted:
            raise KeyboardInterrupt
        if not found.verified.all():
            count = int((~found.verified).sum())
            self.notes.append(
                f"network {number}: {count} cycles lie on a switching boundary within rounding or "
                "belong to a marginal family; they were not followed from there"
            )
        return found

    def _claim(self, period: int, coverage: COVERAGE) -> None:
        self.coverage[period] = min(self.coverage.get(period, coverage), coverage)

    def found(
        self, known: PerNetwork, result: RESULTS = RESULTS.successful, seconds: float = 0.0
    ) -> Bifurcations:
        """Return events and branches of all paths until now."""
        coverage = {k: self.coverage.get(k, COVERAGE.partial) for k in self.periods}
        if result is not RESULTS.successful:
            coverage = dict.fromkeys(coverage, COVERAGE.partial)
        nodes = self._nodes.of(self.atlases, self._moving, self._num_whole)
        return gathered(self.atlases, nodes, coverage, result, self.notes, known, seconds)


def _paths(models: Any, inputs: Any = None) -> tuple[list[AbstractParameterPath], Any]:
    """Return a path for every interval, and the steps of the networks if the argument knows."""
    if inputs is not None and isinstance(models, AbstractPLRNN):
        models, inputs = with_inputs(models, inputs), None
    if isinstance(models, AbstractParameterPath):
        if inputs is not None:
            raise ValueError("inputs: goes with networks; a path holds its own: plr.with_inputs")
        return [models], [models.start, models.stop]
    steps = None
    if hasattr(models, "snapshot") and hasattr(models, "steps"):
        steps = [int(step) for step in models.steps]
        models = [models.snapshot(step) for step in steps]
    elif hasattr(models, "models") and hasattr(models, "steps"):
        models, steps = list(models.models), list(models.steps)
    if isinstance(models, str | bytes) or not isinstance(models, Iterable):
        raise ValueError(
            "models: expected networks in a list, a Snapshots callback, a RunFolder or a path, got "
            f"{type(models).__name__}"
        )
    models = list(models)
    for row, model in enumerate(models):
        if not isinstance(model, AbstractPLRNN):
            raise ValueError(
                f"models[{row}]: expected a piecewise-affine network, got {type(model).__name__}"
            )
    if len(models) < 2:
        raise ValueError(f"models: expected at least two networks, got {len(models)}")
    models = [with_input(model, inputs) for model in models]
    return [LinearPath(a, b) for a, b in zip(models[:-1], models[1:])], steps


def _per_network(name: str, values: Any, count: int) -> np.ndarray:
    """Return one number for each network: their numbers for missing steps, NaN for the others."""
    if values is None:
        return np.arange(float(count)) if name == "steps" else np.full(count, np.nan)
    if name == "steps":
        return as_float64(name, values, (count,))
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected one number for each network ({error})") from error
    if array.shape != (count,):
        raise ValueError(
            f"{name}: expected one number for each of {count} networks, got {array.shape}"
        )
    return array
