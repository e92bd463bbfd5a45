"""Path following: every solution on a piecewise-linear curve, from many starts and known cycles."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._numerics import float64_scope, is_positive_whole
from .._parallel import device_mesh, over_devices, shared_by, split_over
from .._piecewise_affine import PiecewiseAffineMap
from .._results import COVERAGE
from ._base import AbstractCycleSolver, CycleProblem, Outcome
from ._catalog import Entry
from ._cycle_set import CycleSet
from ._findings import Findings
from ._pivots import BROKEN, CAPPED, CLOSED, RAY, Sizes, Starts, advance, idle_state
from ._seeding import generator_of
from ._starts import AbstractForm, Table, form_of, plan_of, point_states
from ._words import unpack

_CHUNK_SECONDS = 0.2
MAX_UNKNOWNS = 2048
_REFRESH = 128
_FIRST_ROUND = 64


@functools.lru_cache(maxsize=64)
def _program(form: type, sizes: Sizes, num_blocks: int, mesh) -> Any:
    """Return the compiled advance of paths for one form of tableau on one mesh."""
    tableau = form()

    def go(data, starts, max_pivots, stride, state):
        return advance(tableau, sizes, num_blocks, data, starts, max_pivots, stride, state)

    return over_devices(go, mesh, 4, 1)


@dataclasses.dataclass
class _State:
    """A search between two chunks; path p of the present round is start p - `findings.finished`."""

    form: AbstractForm
    sizes: Sizes
    findings: Findings
    round: int = 0
    device: Any = None
    data: Any = None
    starts: Any = None
    used: dict[bytes, int] = dataclasses.field(default_factory=dict)
    pivots: int = 0
    ties: int = 0
    legs: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(5, np.int64))
    over: bool = False
    full: bool = False


@dataclasses.dataclass(frozen=True)
class PathFollowing(AbstractCycleSolver):
    """Piecewise-linear path following (Katzenelson 1965; Eaves, Lemke 1981) over all k-cycles.

    A start is made exact by a perturbation, F(z_t) + s r_t = z_{t+1} at s = 1, and the curve of
    solutions is followed through the linear subregions, both ways, with one rank-one update per
    switching boundary; wherever s = 0 it passes a cycle. Folds of the curve are passed by reversing
    s, so fold partners come for free. Half of the starts are points (Gaussian at several scales;
    for k > 1 orbits and noisy orbits, too), half are cycles known already, least used first, each
    with a random direction. Every itinerary found is solved again in block form and verified.

    **Arguments:**

    - `max_pivots`: boundaries after which one leg of a path is given up.
    - `min_searches`: least number of paths (None: by cost per pivot, 256 to 4096).
    - `max_searches`: paths at which the search gives up settling (None: 64 times the least).
    - `max_cycles`: cycles at which the search of a period stops, as `partial`.
    - `hops`: share of the starts that are known cycles, once there are any; 1 for nothing else.
    - `known`: cycles found elsewhere, for example by `SCYFI()`, to start from as well.
    - `lanes`: paths side by side (None: what fits the device's memory best). The result does not
      depend on it, nor on `devices`.
    - `devices`: devices to spread the lanes over (None: the default device).
    """

    max_pivots: int = 20_000
    min_searches: int | None = None
    max_searches: int | None = None
    max_cycles: int = 50_000
    hops: float = 0.5
    known: CycleSet | None = None
    lanes: int | None = None
    devices: Sequence[Any] | None = None

    def __post_init__(self):
        for name in ("max_pivots", "max_cycles", "min_searches", "max_searches", "lanes"):
            value = getattr(self, name)
            missing = value is None and not name.startswith("max_p") and name != "max_cycles"
            if not missing and not is_positive_whole(value):
                raise ValueError(f"{name}: expected a positive integer, got {value!r}")
        if not isinstance(self.hops, int | float | np.number) or not 0 <= self.hops <= 1:
            raise ValueError(f"hops: expected a number in [0, 1], got {self.hops!r}")
        if self.known is not None and not isinstance(self.known, CycleSet):
            raise ValueError(f"known: expected a CycleSet, got {type(self.known).__name__}")

    def check(self, map, period):
        unknowns = plan_of(map, period).num_unknowns
        if unknowns > MAX_UNKNOWNS:
            raise ValueError(
                f"periods: path following of period {period} needs tableaus of "
                f"{unknowns} x {unknowns} numbers; the limit is {MAX_UNKNOWNS} "
                "(use plrjax.SCYFI())"
            )
        if self.known is not None and max(self.known.num_units, 1) != map.num_units:
            raise ValueError(
                f"known: expected cycles of a map with {map.num_units} units, "
                f"got {self.known.num_units}"
            )

    def init(self, problem: CycleProblem) -> _State:
        self.check(problem.map, problem.period)
        assert problem.sample is not None
        form = form_of(problem.map, problem.period, problem.sample.scale)
        known = self.known if self.known is not None and self.known.num_units else []
        words = [cycle.regions(0) for cycle in known]
        findings = Findings(problem, form, [*problem.known, *words])
        return _State(form, self._sizes(problem, form), findings)

    def _sizes(self, problem: CycleProblem, form: AbstractForm) -> Sizes:
        """Return lanes that fill the second-level cache on a CPU, a device's memory elsewhere."""
        on_cpu = jax.default_backend() == "cpu"
        width = form.num_unknowns + 2
        numbers = form.num_unknowns * width + form.num_units
        fitting = (2**19.5 if on_cpu else 2**32) / (8 * numbers)
        least = min(3.0, max(np.log2(2**23 / numbers), 0.0))
        lanes = self.lanes or 2 ** int(np.clip(np.log2(fitting), least, 8 if on_cpu else 14))
        steps = 2 ** int(np.clip(np.log2(form.num_unknowns), 4, 6))
        starts = 2 ** int(np.clip(np.log2(2**23 / numbers * form.num_unknowns), 7, 10))
        at_once = 8 if form.num_unknowns < 24 else 4 if form.num_unknowns < 48 else 1
        group = min(lanes, at_once) if on_cpu else lanes
        shape = (form.num_unknowns, width, form.num_units)
        refresh = max(_REFRESH, 4 * form.num_unknowns)
        return Sizes(*shape, lanes, steps, refresh, group, starts)

    def _limits(self, problem: CycleProblem) -> tuple[int, int]:
        """Return the least and the largest number of paths."""
        if problem.num_searches:
            return problem.num_searches, problem.num_searches
        least = self.min_searches or _least_paths(problem)
        most = self.max_searches or 64 * least
        return min(least, most), most

    def step(self, problem: CycleProblem, state: _State) -> _State:
        mesh = device_mesh(self.devices)
        with float64_scope():
            if state.device is None:
                self._begin_round(problem, state)
            state.device, hits, more = self._program(state, mesh)(
                state.data,
                state.starts,
                np.asarray(min(self.max_pivots, 2 ** min(state.sizes.units, 30))),
                np.asarray(mesh.devices.size),
                state.device,
            )
            hits = jax.device_get(hits)
        state.findings.enter(hits)
        if not np.any(more):
            self._end_round(problem, state)
        state.full = len(state.findings.catalog.entries) >= self.max_cycles
        state.over |= state.full
        return state

    def _program(self, state: _State, mesh) -> Any:
        sizes = state.sizes
        work = 1e-9 * state.form.cost * sizes.steps * sizes.lanes
        bytes = sizes.steps * sizes.lanes * (1 + sizes.units // 8)
        blocks = min(_CHUNK_SECONDS / work, 2**24 / bytes)
        blocks = 2 ** int(np.clip(np.log2(max(blocks, 1)), 0, 6))
        return _program(type(state.form.tableau), sizes, blocks, mesh)

    def _begin_round(self, problem: CycleProblem, state: _State) -> None:
        """Draw the starts of a round: all points at first, then half of them hops."""
        assert problem.key is not None and problem.sample is not None
        done, last = state.findings.finished, self._limits(problem)[1]
        count = min(max(_FIRST_ROUND, done), state.sizes.starts, last - done)
        generator = generator_of(problem.key, problem.period, state.round)
        words = self._least_used(problem, state, int(self.hops * count))
        points = count - len(words)
        tables = []
        if points:
            states = point_states(
                problem.map, problem.sample, problem.period, points, done, generator
            )
            tables.append(state.form.points(states, generator))
        if words:
            tables.append(state.form.hops(np.stack(words), problem.sample.scale, generator))
        table = Table(*(np.concatenate(parts) for parts in zip(*tables)))
        state.findings.begin_round(np.arange(count) < points)
        mesh = device_mesh(self.devices)
        if state.data is None:
            state.data = shared_by(mesh, state.form.data())
        state.starts = shared_by(mesh, _filled_up(table, state.sizes))
        state.device = split_over(mesh, idle_state(state.sizes, mesh.devices.size))

    def _least_used(self, problem: CycleProblem, state: _State, count: int) -> list[np.ndarray]:
        """Return itineraries of known solutions, each as often as the others, up to one."""

        def uses(entry: Entry) -> tuple[int, bytes]:
            name = entry.word.tobytes()
            return state.used.get(name, 0), name

        good = sorted(state.findings.starts(), key=uses)
        chosen = [good[i % len(good)] for i in range(count if good else 0)]
        for entry in chosen:
            name = entry.word.tobytes()
            state.used[name] = state.used.get(name, 0) + 1
        units = problem.map.num_units
        return [np.tile(unpack(e.word, units), (problem.period // e.period, 1)) for e in chosen]

    def _end_round(self, problem: CycleProblem, state: _State) -> None:
        tally = jax.device_get(state.device.tally)
        state.pivots += int(np.sum(tally.pivots))
        state.ties += int(np.sum(tally.ties))
        state.legs += np.sum(tally.legs, axis=0)
        state.device = None
        state.findings.end_round()
        state.round += 1
        done, (least, most) = state.findings.finished, self._limits(problem)
        state.over = done >= most or (done >= least and state.findings.quiet)

    def terminate(self, problem, state):
        return state.over

    def progress(self, problem, state):
        findings, least = state.findings, self._limits(problem)[0]
        wanted = max(least, 2 * findings.last_news + 1)
        return 1.0 if state.over else min(findings.finished / wanted, 0.99)

    def outcome(self, problem, state):
        findings = state.findings
        settled = state.over and findings.quiet and not state.full
        coverage = COVERAGE.saturated if settled else COVERAGE.partial
        return Outcome(findings.catalog, coverage, findings.unseen(), _stats(state))


def work_per_path(map: PiecewiseAffineMap, period: int) -> float:
    """Return the floating-point operations of one path, roughly.

    Measured: a path makes some 3 pivots per unit for fixed points and 3 to 16 for cycles.
    """
    return plan_of(map, period).cost * period * map.num_units * (3 if period == 1 else 6)


def _least_paths(problem: CycleProblem) -> int:
    """Return how many paths to follow at least: about a second's worth, 256 to 4096."""
    work = work_per_path(problem.map, problem.period)
    return int(2 ** np.clip(np.floor(np.log2(4e9 / work)), 8, 12))


def _filled_up(table: Table, sizes: Sizes) -> Starts:
    """Return the starts, filled up to the shapes that the program was compiled for."""
    count = len(table.s)
    direction: Any = np.zeros((sizes.starts, sizes.unknowns))
    direction[:count, : table.direction.shape[1]] = np.nan_to_num(table.direction)
    region: Any = np.zeros((sizes.starts, sizes.units), bool)
    region[:count, : table.region.shape[1]] = table.region
    s: Any = np.pad(table.s, (0, sizes.starts - count))
    used: Any = np.asarray(count)
    return Starts(region, direction, s, used)


def _stats(state: _State) -> dict[str, Any]:
    findings = state.findings
    return {
        "paths": findings.finished,
        "points": findings.num_points,
        "crossed": findings.crossed,
        "pivots": state.pivots,
        "rays": int(state.legs[RAY]),
        "closed": int(state.legs[CLOSED]),
        "capped": int(state.legs[CAPPED]),
        "broken": int(state.legs[BROKEN]),
        "stuck": int(state.legs[BROKEN]) // 2,
        "ties": state.ties,
        "virtual": findings.catalog.num_virtual,
        "singular": findings.catalog.num_singular,
        "lanes": state.sizes.lanes,
        "full": state.full,
        "first_path": findings.first_paths(),
    }
