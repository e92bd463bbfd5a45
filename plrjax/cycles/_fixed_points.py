"""The one user function for smooth networks: fixed points and k-cycles by descent from starts."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import jax
import jax.random as jr
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from .._arguments import check_budget, checked_key, checked_periods
from .._constant_input import with_inputs
from .._dynamics import AbstractDynamics
from .._flow import ThresholdLinearFlow
from .._host import on_host
from .._job import Job, deadline_of, job
from .._many import Results, each_of, networks_of
from .._memory import check_memory
from .._numerics import as_float64, float64_scope, quiet_floats
from .._parallel import one_thread_per_solve
from .._piecewise_affine import AbstractPLRNN
from .._progress import AbstractProgress
from .._results import COVERAGE, RESULTS
from ._base import unseen_estimate
from ._cycle_set import CycleSet
from ._descent import Arrived, advance, begin, jacobians, orbits, polished, refilled
from ._find import find_cycles
from ._flow_points import fixed_points_of_flow
from ._notes import degree_note
from ._smooth_rows import (
    Roots,
    cluster,
    index_sum,
    is_singular,
    minimal_period,
    monodromy_of,
    row_arrays,
)

_FEWEST, _MOST = 512, 2**14
"""Starts of a period: the search ends when the last half of at least so many brought nothing."""
_STUBBORN = 0.9
"""Share of the starts without news after which what indices ask for is given up."""
_BYTES = 2**28
"""Of the Jacobians of the starts that run side by side, a dozen of which are held."""
_ORBITS, _STEPS = 64, 200
"""Orbits from which starts are taken, and their length."""
_ARRIVED = 1e-11
"""Largest residual of a root, in units of 1 + |z|; a hundred roundings of sums of 100 terms."""
_FAR = 1.5
"""Half widths of the box around orbits in which starts lie, and continua count."""
_TIGHT = 1e-14
"""The same of members of a continuum, on which the residual is all rounding."""
_MOST_SLOW = 200
"""Slow points that are kept, the slowest ones."""


_SMOOTH = (
    "a smooth map: cycles are zeros of F^k(z) - z by damped Newton steps, told apart by distance"
)


@overload
def find_fixed_points(
    model: AbstractDynamics | ThresholdLinearFlow,
    periods: int | Iterable[int] = 1,
    *,
    key: PRNGKeyArray,
    states: Any = None,
    inputs: Any = None,
    num_searches: int | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> CycleSet: ...


@overload
def find_fixed_points(
    model: Sequence[AbstractDynamics],
    periods: int | Iterable[int] = 1,
    *,
    key: PRNGKeyArray,
    states: Any = None,
    inputs: Any = None,
    num_searches: int | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> Results[CycleSet]: ...


@on_host()
def find_fixed_points(
    model,
    periods: int | Iterable[int] = 1,
    *,
    key: PRNGKeyArray,
    states: Any = None,
    inputs: Any = None,
    num_searches: int | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
):
    """Find fixed points and k-cycles of any network: F^k(z) = z, by damped Newton steps.

    Levenberg-Marquardt steps on |F^k(z) - z|^2 with exact Jacobians, in float64, go from many
    starts side by side: states along orbits, close to them, in the box around them, and between
    what is known already; Newton steps end each (Sussillo, Barak 2013, minimized by gradients).
    Roots are told apart by distance. Of a ReLU network `find_cycles` finds them, by their words.

    **Arguments:**

    - `model`: tanh RNN, GRU, LSTM, `Dynamics(...)`, any `AbstractDynamics`; or many, in a list; or
        a `ThresholdLinearFlow`, of which all fixed points are enumerated, with its own stability.
    - `periods`: a period or several. Single shooting serves periods to some twenty in chaos.
    - `key`: `jax.random.key(seed)`.
    - `states`: where orbits begin, one row each; by default random ones.
    - `inputs`: a constant input s, or several as rows, each with its own result.
    - `num_searches`: starts for each period; by default as many as bring something new.
    - `max_seconds`, `throw`, `progress`: as in `find_cycles`.

    **Returns:** a `CycleSet` with `num_units == 0` and empty words; its `slow_points()` are minima
    of the speed |F(z) - z| that are no fixed points. Of many networks or inputs `Results`.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where no start stays finite.
    """
    check_budget(num_searches, max_seconds)
    if isinstance(model, ThresholdLinearFlow):
        return _of_flow(
            model, periods, states, inputs, key=key, num_searches=num_searches,
            max_seconds=max_seconds, throw=throw, progress=progress,
        )  # fmt: skip
    model = with_inputs(model, inputs)
    networks = networks_of(model) if not isinstance(model, AbstractDynamics) else None
    options: dict[str, Any] = {"periods": periods, "num_searches": num_searches}
    if networks is not None:
        options |= {"states": states, "throw": False}
        analyze: Callable[..., CycleSet] = functools.partial(find_fixed_points, **options)
        return each_of(networks, analyze, key=key, max_seconds=max_seconds, progress=progress)
    if isinstance(model, AbstractPLRNN):
        if states is not None:
            raise ValueError("states: goes with smooth networks; find_cycles takes seeding=")
        more = {"max_seconds": max_seconds, "throw": throw, "progress": progress}
        return find_cycles(model, **options, key=key, **more)
    if not isinstance(model, AbstractDynamics):
        raise ValueError(f"model: expected a network, got {type(model).__name__}")
    begun, wanted, key = time.perf_counter(), checked_periods(periods), checked_key(key)
    check_memory("model", f"{model.state_size} states", 16 * 8 * model.state_size**2)
    with float64_scope(), one_thread_per_solve(), quiet_floats():
        search = _Search(model, key, _starting_states(states, model), num_searches)
        with job(progress, "fixed points", deadline_of(max_seconds)) as work:
            for number, period in enumerate(wanted):
                search.look_for(period, work, (number, len(wanted)))
        if not search.finite and any(count.starts for count in search.counts.values()):
            work.result = RESULTS.not_finite
        found = _collected(search, wanted, work.result, time.perf_counter() - begun)
    if throw and work.result is RESULTS.not_finite:
        raise RuntimeError("find_fixed_points: no start stays finite")
    return found


def _of_flow(flow, periods: Any, states: Any, inputs: Any, **options) -> CycleSet:
    if checked_periods(periods) != [1]:
        raise ValueError("periods: expected 1 for a flow, whose cycles are not looked for")
    for name, value in (("states", states), ("inputs", inputs)):
        if value is not None:
            raise ValueError(f"{name}: expected None for a flow, whose input is its b")
    return fixed_points_of_flow(flow, **options)


def _starting_states(states: Any, model: AbstractDynamics) -> np.ndarray | None:
    if states is None:
        return None
    found = as_float64("states", states)
    if found.ndim != 2 or found.shape[1] != model.state_size or not len(found):
        raise ValueError(f"states: expected rows of {model.state_size}, got shape {found.shape}")
    return found


@dataclasses.dataclass
class _Count:
    """Starts of one period: all, those that arrived by chance, and those since the last news."""

    starts: int = 0
    drawn: int = 0
    quiet: int = 0
    settled: bool = False


class _Search:
    """Starts, and what they found, period by period."""

    def __init__(self, model, key, states: np.ndarray | None, num_searches: int | None):
        self.model, self.key, self.num_searches = model, key, num_searches
        self.size = model.state_size
        self.lanes = int(np.clip(_BYTES // (8 * 12 * self.size**2), 4, 256))
        self.roots: dict[int, Roots] = {}
        self.counts: dict[int, _Count] = {}
        self.slow = np.zeros((0, self.size)), np.zeros(0)
        self.finite = False
        self.visited = self._visit(states)
        self.middle, self.spread = self.visited.mean(axis=0), self.visited.std(axis=0) + 1e-3
        self.half = np.abs(self.visited - self.middle).max(axis=0) + 1e-3

    def _visit(self, states: np.ndarray | None) -> Float[np.ndarray, "visited state"]:
        """Return states along orbits, transients included."""
        if states is None:
            states = np.asarray(jr.normal(jr.fold_in(self.key, 0), (_ORBITS, self.size)))
        path = np.asarray(orbits(self.model, states, _STEPS)).reshape(-1, self.size)
        kept = path[np.isfinite(path).all(axis=1) & (np.abs(path).max(axis=1) < 1e100)]
        return kept if len(kept) else np.nan_to_num(states)

    def look_for(self, period: int, work: Job, place: tuple[int, int]) -> None:
        """Go down from starts until they bring nothing new."""
        roots = self.roots[period] = Roots(period)
        count = self.counts[period] = _Count()
        k, round = np.asarray(period), 0
        states, drawn = self._starts(period, round)
        run = begin(self.model, states, k)
        while not count.settled:
            work.check()
            run = advance(self.model, run, k)
            if not (ended := np.asarray(run.ended)).any():
                continue
            self._take(roots, count, polished(self.model, run, k), drawn, ended)
            states, fresh = self._starts(period, round := round + 1)
            run, drawn = refilled(self.model, run, states, k), np.where(ended, fresh, drawn)
            limit = self.num_searches or _MOST
            count.settled = self.num_searches is None and self._is_settled(period, count)
            work.update(
                (place[0] + min(count.starts / limit, 1.0)) / place[1],
                f"period {period}: {len(roots.cycles)} found from {count.starts} starts",
            )
            if count.starts >= limit:
                return

    def _is_settled(self, period: int, count: _Count) -> bool:
        """Return whether enough starts brought nothing new, most of them where indices show that
        something is missing."""
        if count.starts < _FEWEST or count.quiet < count.starts / 2:
            return False
        whole = all(d in self.roots for d in range(1, period) if period % d == 0)
        if not (self.model.is_bounded and whole):
            return True
        adds_up = index_sum(list(self.roots.values()), period) == 1
        return adds_up or count.quiet >= _STUBBORN * count.starts

    def _starts(self, period: int, round: int) -> tuple[np.ndarray, np.ndarray]:
        """Return starts, and which of them do not depend on what is known."""
        key = jr.fold_in(jr.fold_in(self.key, period), round + 1)
        seed = np.asarray(jr.key_data(key)).astype(np.uint32)
        generator = np.random.default_rng(seed)
        rows = lambda table: table[generator.integers(0, len(table), self.lanes)]
        shape, visited = (self.lanes, self.size), rows(self.visited)
        noise = 10.0 ** generator.uniform(-2.0, 0.3, (self.lanes, 1))
        near = visited + noise * self.spread * generator.standard_normal(shape)
        box = self.middle + _FAR * self.half * generator.uniform(-1.0, 1.0, shape)
        known = [orbit for roots in self.roots.values() for orbit in roots.cycles]
        ends = np.concatenate(known) if known else self.visited
        share = generator.uniform(-0.2, 1.2, (self.lanes, 1))
        between = share * rows(ends) + (1 - share) * rows(ends)
        kind = np.arange(self.lanes) % 4
        chosen = np.choose(kind[:, None], [visited, near, box, between])
        return chosen, kind != 3

    def _take(
        self, roots: Roots, count: _Count, arrived: Arrived, drawn: np.ndarray, ended: np.ndarray
    ) -> None:
        """Sort what the starts that have ended are on."""
        states, residual, flat = (np.asarray(part) for part in arrived)
        scale = 1 + np.abs(states).max(axis=1)
        self.finite |= bool(np.isfinite(residual[ended]).any())
        is_root = residual <= _ARRIVED * scale
        paths = np.asarray(orbits(self.model, states, roots.period))[:, : roots.period]
        for lane in np.flatnonzero(ended):
            count.starts, count.quiet = count.starts + 1, count.quiet + 1
            if not is_root[lane] or minimal_period(paths[lane]) < roots.period:
                continue
            product = monodromy_of(np.asarray(jacobians(self.model, paths[lane])))
            singular = is_singular(product)
            tight = residual[lane] <= _TIGHT * scale[lane] and self._is_near(states[lane])
            if singular and not tight:
                continue
            count.drawn += bool(drawn[lane])
            if roots.enter(paths[lane], product, singular, bool(drawn[lane])):
                count.quiet = 0
        if roots.period == 1:
            self._keep_slow(states, residual, flat & ended & np.isfinite(residual) & ~is_root)

    def _is_near(self, state: np.ndarray) -> bool:
        """Return whether a state lies about where orbits go: of continua, what is far out is cut.

        There gates saturate, and every state of a GRU is fixed up to rounding.
        """
        return bool((np.abs(state - self.middle) <= _FAR * self.half).all())

    def _keep_slow(self, states: np.ndarray, speed: np.ndarray, flat: np.ndarray) -> None:
        flat = flat & np.array([self._is_near(state) for state in states])
        points = np.concatenate([self.slow[0], states[flat]])
        speeds = np.concatenate([self.slow[1], speed[flat]])
        kept = cluster(points, speeds, _MOST_SLOW)
        self.slow = points[kept], speeds[kept]


def _collected(search: _Search, wanted: list[int], result: RESULTS, seconds: float) -> CycleSet:
    """Return everything that was found, and what can be said of the rest."""
    arrays = row_arrays(search.model, list(search.roots.values()), search.size)
    coverage, unseen, notes = {}, {}, [_SMOOTH]
    for period in wanted:
        count = search.counts.get(period, _Count())
        coverage[period] = COVERAGE.saturated if count.settled else COVERAGE.partial
        hits = np.array(search.roots[period].independent if period in search.roots else [], int)
        unseen[period] = unseen_estimate(hits, count.drawn, hits > 0, count.quiet)
    order = np.argsort(search.slow[1], kind="stable")
    slow = {"points": search.slow[0][order].tolist(), "speed": search.slow[1][order].tolist()}
    if len(order):
        least, most = min(slow["speed"]), max(slow["speed"])
        notes.append(
            f"{len(order)} slow points, where the speed |F(z) - z| has a minimum of {least:.2g} to "
            f"{most:.2g} per step: slow_points()"
        )
    degree = dict.fromkeys(wanted, 1) if search.model.is_bounded else {}
    stats = {
        "seconds": seconds,
        "searches": {k: count.starts for k, count in search.counts.items()},
        "solver": dict.fromkeys(wanted, "Levenberg-Marquardt"),
        "backend": jax.default_backend(),
        "dtype": "float64",
        "slow_points": slow,
    }
    found = CycleSet(
        **arrays, num_units=0, result=result, coverage_by_period=coverage, unseen=unseen,
        degree=degree, stats=stats,
    )  # fmt: skip
    for period in degree:
        if found.verified.all() and all(d in search.counts for d in range(1, period + 1)):
            notes += degree_note(period, found.index_sum(period), degree[period], "")
    return dataclasses.replace(found, notes=tuple(notes))
