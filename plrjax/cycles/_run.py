"""Run the solvers of a plan in turn, each with what the ones before it found."""

import dataclasses

import numpy as np

from .._job import job
from .._piecewise_affine import PiecewiseAffineMap
from .._progress import AbstractProgress
from .._results import COVERAGE, RESULTS
from ._base import AbstractCycleSolver, AbstractPlan, CycleProblem, KnownCycle, Outcome, Stage
from ._catalog import Catalog
from ._seeding import Sample, generator_of, simulate
from ._work import Course

_COPIES = 8
"""Arrays as large as the orbits: states, bits, starts, those sorted, itineraries of the lanes."""
_SAMPLE_NUMBERS = 2**24
"""States and bits of all simulated orbits together, at most; 64 orbits where that suffices."""
_SAMPLE_WORK = 2**29
"""Products of numbers in their simulation, about, at most: a fraction of a second."""


def run(
    problem: CycleProblem,
    plan: AbstractPlan,
    deadline: float | None,
    progress: AbstractProgress | None,
) -> tuple[dict[int, Outcome], RESULTS, Course]:
    """Run the solvers of a plan in turn; on Ctrl-C or at the deadline keep what is there.

    Returned are outcomes by period: those that were reached.
    """
    outcomes: dict[int, Outcome] = {}
    samples: dict[int, Sample] = {}
    stages = plan.plan(problem)
    ends = np.cumsum([0.0, *(sum(stage.periods) for stage in stages)])
    ends /= max(ends[-1], 1.0)  # steps of an orbit, as the work that is to be expected
    solver: AbstractCycleSolver | None = None
    done, task, state, course = 0, problem, None, Course()

    def keep(ended: bool):
        if solver is None:
            return
        for period in task.periods:
            outcome = solver.outcome(dataclasses.replace(task, period=period), state)
            outcome = dataclasses.replace(outcome, method=outcome.method or solver.name)
            before = outcomes.get(period)
            outcomes[period] = outcome.after(before, period, ended) if before else outcome

    with job(progress, "cycles", deadline) as work:
        for done, stage in enumerate(stages):
            solver = None
            periods = tuple(k for k in stage.periods if not _is_complete(outcomes.get(k)))
            if not periods or (stage.upon_news and not course.news):
                continue
            task = _task(problem, stage, periods, outcomes, samples)
            known = _words(problem.periods, *(o.catalog for o in outcomes.values()))
            work.update(ends[done], _note(periods, known))
            for later in stages[done + 1 : done + 2]:
                later.solver.prepare()
            course.begin(stage.solver.name, periods)
            state, solver = stage.solver.init(task), stage.solver
            while not solver.terminate(task, state):
                work.check()
                state = solver.step(task, state)
                part = solver.progress(task, state)
                share = ends[done] + part * (ends[done + 1] - ends[done])
                found = solver.found(state)
                known |= _words(problem.periods, *([] if found is None else [found]))
                course.enter(len(known))
                work.update(share, solver.note(task, state) or _note(periods, known))
            keep(ended=True)
            course.enter(len(known), ended=True)
    if work.result is not RESULTS.successful:
        keep(ended=False)
        left = {k for stage in stages[done + 1 :] for k in stage.periods}
        cut = {k: _cut_short(o) if k in left else o for k, o in outcomes.items()}
        return cut, work.result, course
    exhausted = any(outcome.exhausted for outcome in outcomes.values())
    return outcomes, RESULTS.budget_exhausted if exhausted else RESULTS.successful, course


def _cut_short(outcome: Outcome) -> Outcome:
    """Return an outcome without the claim of random searches, as more was to follow."""
    claims = outcome.coverage is COVERAGE.saturated
    return dataclasses.replace(outcome, coverage=COVERAGE.partial) if claims else outcome


def _task(
    problem: CycleProblem,
    stage: Stage,
    periods: tuple[int, ...],
    outcomes: dict[int, Outcome],
    samples: dict[int, Sample],
) -> CycleProblem:
    """Return what a stage is to search, with what earlier ones found."""
    period = max(periods)
    before = [outcomes[k] for k in periods if k in outcomes]
    task = dataclasses.replace(
        problem,
        period=period,
        periods=periods,
        num_searches=stage.num_searches,
        known=tuple(cycle.itinerary for outcome in before for cycle in outcome.known()),
        around=_around(outcomes),
    )
    if stage.solver.needs_sample(task.map, period):
        task = dataclasses.replace(task, sample=_sample(task, samples))
    return task


def _around(outcomes: dict[int, Outcome]) -> tuple[KnownCycle, ...]:
    """Return all cycles found, each once."""
    cycles = (cycle for outcome in outcomes.values() for cycle in outcome.known())
    return tuple({(len(c.points), c.itinerary.tobytes()): c for c in cycles}.values())


def _words(periods: tuple[int, ...], *catalogs: Catalog) -> set[bytes]:
    """Return the words of all cycles found whose periods are wanted, each once."""
    entries = (entry for catalog in catalogs for entry in catalog.entries)
    return {entry.word.tobytes() for entry in entries if entry.period in periods}


def _note(periods: tuple[int, ...], known: set[bytes]) -> str:
    """Return what the bar says: periods searched now, and distinct cycles of all until now."""
    span = f"period {periods[0]}" + (f" to {periods[-1]}" if len(periods) > 1 else "")
    return f"{span}, {len(known)} cycle{'' if len(known) == 1 else 's'} found"


def _is_complete(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.is_complete


def sample_bytes(map: PiecewiseAffineMap, period: int) -> int:
    """Return the memory of the fewest orbits simulated for a period, and what follows."""
    return _COPIES * 4 * (320 + 2 * period) * (8 * map.state_size + map.num_units)


def _sample(problem: CycleProblem, known: dict[int, Sample]) -> Sample:
    """Simulate orbits long enough for windows of the period, once per length."""
    assert problem.key is not None
    steps = 128 * int(np.ceil((320 + 2 * problem.period) / 128))
    if steps not in known:
        width = problem.map.state_size + problem.map.num_units
        work = steps * problem.map.state_size * problem.map.num_units
        orbits = min(_SAMPLE_NUMBERS // (steps * width), _SAMPLE_WORK // work)
        orbits = int(np.clip(orbits, 4, 64))
        generator = generator_of(problem.key, 0, steps)
        known[steps] = simulate(problem.map, orbits, steps, generator)
    return known[steps]
