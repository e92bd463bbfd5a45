"""The one user function: find the cycles of a network."""

import functools
import time
from collections.abc import Iterable, Sequence
from typing import Any, overload

import jax
import numpy as np
from jaxtyping import Bool, PRNGKeyArray

from .._arguments import check_budget, check_kind, checked_key, checked_periods
from .._constant_input import with_inputs
from .._host import on_host
from .._interrupts import held_back
from .._job import deadline_of
from .._many import Results, each_of, networks_of
from .._memory import check_memory
from .._parallel import one_thread_per_solve
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, balanced, lower, with_a_unit
from .._progress import AbstractProgress
from .._results import COVERAGE, RESULTS
from ._base import (
    EVERYWHERE,
    AbstractPlan,
    CycleProblem,
    Outcome,
)
from ._catalog import REJECTED, Catalog, merge
from ._cycle_set import CycleSet
from ._degree import degree_at_infinity
from ._families import continua_around
from ._notes import (
    degree_note,
    few_converged_note,
    growth_notes,
    itinerary_notes,
    next_note,
    period_notes,
)
from ._rows import row_arrays
from ._run import run, sample_bytes
from ._seeding import AbstractSeeding
from ._solver._auto import Auto
from ._solver._pivots import TRACES as PATH_TRACES
from ._solver._walk import TRACES as WALK_TRACES
from ._work import late_periods


@overload
def find_cycles(
    model: AbstractPLRNN,
    periods: int | Iterable[int],
    *,
    key: PRNGKeyArray | None = None,
    solver: AbstractPlan | None = None,
    seeding: AbstractSeeding | None = None,
    inputs: Any = None,
    num_searches: int | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> CycleSet: ...


@overload
def find_cycles(
    model: Sequence[AbstractPLRNN],
    periods: int | Iterable[int],
    *,
    key: PRNGKeyArray | None = None,
    solver: AbstractPlan | None = None,
    seeding: AbstractSeeding | None = None,
    inputs: Any = None,
    num_searches: int | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> Results[CycleSet]: ...


@on_host("cycle_sensitivity has derivatives of cycles")
def find_cycles(
    model,
    periods: int | Iterable[int],
    *,
    key: PRNGKeyArray | None = None,
    solver: AbstractPlan | None = None,
    seeding: AbstractSeeding | None = None,
    inputs: Any = None,
    num_searches: int | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
):
    """Find the fixed points and k-cycles of a ReLU network: F^k(z) = z with minimal period k.

    Every candidate is an itinerary, the sequence of linear subregions visited; inside it the map is
    affine, so it has one solution, which is a cycle if its orbit really has that itinerary
    (Eisenmann, Monfared, Göring, Durstewitz 2023). Every cycle returned was solved again by
    multiple shooting in float64 and carries its error bound. The computation runs in float64
    whatever the global JAX setting.

    **Main arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`; or many in a list or
        stacked along a leading axis (`equinox.filter_vmap`), which are searched one by one.
    - `periods`: a period or several, for example `range(1, 11)`.
    - `key`: `jax.random.key(seed)`; of many networks, number i has it with i folded in. May be left
        out with `Exhaustive()` and `BranchAndBound()` only.

    **Other arguments:**

    - `solver`: `Auto()` (default), which enumerates where k H <= 22 and otherwise walks and then
        follows paths; or one alone: `BranchAndBound()`, `Exhaustive()`, `PathFollowing()`,
        `SCYFI()`.
    - `seeding`: where walks start; by default a mixture.
    - `inputs`: a constant input s of the network, or several as rows, each with its own result.
    - `num_searches`: number of walks and paths per period; by default the search stops when the
        last half of them brought nothing new.
    - `max_seconds`: time limit for the whole call. A result it cut short is not reproducible.
    - `throw`: raise where the computation failed, instead of saying so in `result`.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `CycleSet`; of many networks `Results` with one for each. Ctrl-C returns what was
    found until then, with `result == RESULTS.interrupted`.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where no walk met a finite system.
    """
    model = with_inputs(model, inputs)
    networks = networks_of(model)
    if networks is not None:
        options = {"periods": periods, "solver": solver, "seeding": seeding}
        options |= {"num_searches": num_searches, "throw": False}
        for number, one in enumerate(networks):
            lower(one, f"model[{number}]")
        analyze = functools.partial(find_cycles, **options)
        check_budget(num_searches, max_seconds)
        return each_of(networks, analyze, key=key, max_seconds=max_seconds, progress=progress)
    original = lower(model)
    wanted = checked_periods(periods)
    check_budget(num_searches, max_seconds)
    check_kind("solver", solver, AbstractPlan, "a solver such as Auto()")
    check_kind("seeding", seeding, AbstractSeeding, "a seeding such as CloseReturns()")
    if key is None and (solver is None or solver.needs_key):
        raise ValueError(
            "key: expected a JAX random key such as jax.random.key(0), got None "
            "(only solver=Exhaustive() and BranchAndBound() do without)"
        )
    key = None if key is None else checked_key(key)
    begun, traces = time.perf_counter(), num_traces()
    map, unit = balanced(with_a_unit(original))
    chosen = solver or Auto()
    check_memory("periods", wanted[-1], sample_bytes(map, wanted[-1]))
    for period in wanted:
        chosen.check(map, period)
    problem = CycleProblem(
        map,
        wanted[-1],
        key,
        seeding=seeding,
        num_searches=num_searches,
        original=with_a_unit(original),
        periods=tuple(wanted),
    )
    deadline = deadline_of(max_seconds)
    with one_thread_per_solve():
        outcomes, result, course = run(problem, chosen, deadline, progress)
    if result is RESULTS.successful and _nothing_finite(outcomes):
        result = RESULTS.not_finite
    stats = _statistics(wanted, chosen, outcomes)
    stats |= {"work": course.table(), "seconds": time.perf_counter() - begun}
    stats |= {"traces": num_traces() - traces}
    with held_back(), one_thread_per_solve():
        found = _collect(original, map, unit, wanted, outcomes, result, stats)
    with one_thread_per_solve():
        found = chosen.finish(found, original)
    if throw and result is RESULTS.not_finite:
        raise RuntimeError(f"find_cycles: {result.message}")
    return found


def num_traces() -> int:
    """Return how many times a search program was traced in this process."""
    return WALK_TRACES["count"] + PATH_TRACES["count"]


@on_host("itinerary_sensitivity has derivatives of cycles")
def cycles_of_itineraries(
    model: AbstractPLRNN, itineraries: Iterable[Bool[np.ndarray, "_ unit"]]
) -> CycleSet:
    """Return the cycles that have the given itineraries: those whose solution is admissible.

    Each itinerary is solved by multiple shooting (no product of Jacobians, so the length does not
    matter) and verified as in `find_cycles`. Rotations and repetitions of one word give one cycle;
    virtual words give none: `notes` name these, and what is not decided. The result says nothing
    about other cycles (`coverage` is partial).

    **Raises:** `ValueError` for an itinerary that is not a boolean array "time unit".
    """
    map = lower(model)
    if not map.num_units:
        raise ValueError("model: has no ReLU units, so its cycles have no itineraries")
    groups: dict[int, list[tuple[int, np.ndarray]]] = {}
    for number, item in enumerate(itineraries):
        word = np.asarray(item)
        if word.dtype != bool or word.ndim != 2 or word.shape[1] != map.num_units or not len(word):
            raise ValueError(
                f"itineraries: expected boolean arrays time x {map.num_units}, "
                f"got {word.dtype} {word.shape} as number {number}"
            )
        groups.setdefault(len(word), []).append((number, word))
    scaled, unit = balanced(map)
    catalog, virtual, open_words = Catalog(scaled, exact_steps=0), [], []
    with one_thread_per_solve():
        for items in groups.values():
            found = catalog.identify(np.stack([word for _, word in items]))
            for (number, word), cycle in zip(items, found.tolist()):
                if cycle == REJECTED:
                    undecided = catalog.is_undecided(word)
                    (open_words if undecided else virtual).append(number)
        arrays = row_arrays(map, scaled, unit, merge([catalog]))
    notes = itinerary_notes(sorted(virtual), sorted(open_words))
    return CycleSet(**arrays, num_units=map.num_units, notes=notes)


def _domain(outcomes: dict[int, Outcome]) -> str:
    """Return the region that coverage is about, by period where it is not the same."""
    domains: dict[str, list[str]] = {}
    for k, outcome in outcomes.items():
        domains.setdefault(outcome.domain, []).append(str(k))
    if len(domains) < 2:
        return next(iter(domains), EVERYWHERE)
    return "; ".join(f"{name} (period {', '.join(ks)})" for name, ks in domains.items())


def _nothing_finite(outcomes: dict[int, Outcome]) -> bool:
    """Return whether nothing was found and every search met a system that overflows."""
    return bool(outcomes) and all(
        not outcome.catalog.entries
        and 0 < outcome.searches == outcome.stuck
        and not outcome.catalog.num_singular
        for outcome in outcomes.values()
    )


def _statistics(
    periods: list[int],
    plan: AbstractPlan,
    outcomes: dict[int, Outcome],
) -> dict[str, Any]:
    """Turn the numbers of every period into tables by name."""
    stats: dict[str, Any] = {}
    for k, outcome in outcomes.items():
        numbers = dict(outcome.stats)
        if outcome.searches:
            numbers["stuck"] = outcome.stuck
            numbers["virtual"] = outcome.catalog.num_virtual
            numbers["singular"] = outcome.catalog.num_singular
        for name, number in sorted(numbers.items()):
            stats.setdefault(name, {})[k] = number
    names = dict.fromkeys(periods, type(plan).__name__)
    stats["solver"] = names | {k: outcome.method for k, outcome in outcomes.items()}
    stats["backend"] = jax.default_backend()
    stats["dtype"] = "float64"
    return stats


def _collect(
    map: PiecewiseAffineMap,
    scaled: PiecewiseAffineMap,
    unit: np.ndarray,
    wanted: list[int],
    outcomes: dict[int, Outcome],
    result: RESULTS,
    stats: dict[str, Any],
) -> CycleSet:
    """Merge the catalogs of all periods into one set, in the user's units of state."""
    entries = merge([outcome.catalog for outcome in outcomes.values()])
    arrays = row_arrays(map, scaled, unit, entries)
    continua, open_continua = continua_around(scaled, entries, arrays, wanted)
    if continua:
        entries = sorted([*entries, *continua], key=lambda e: (e.period, e.word.tobytes()))
        arrays = row_arrays(map, scaled, unit, entries)
    everything = CycleSet(**arrays, num_units=map.num_units)
    degree = {k: d for k in wanted if (d := degree_at_infinity(scaled, k)) is not None}
    rows = np.isin(arrays["period"], wanted)
    arrays = {name: values[rows] for name, values in arrays.items()}
    arrays |= {name: arrays[name][:, : wanted[-1]] for name in ("points", "itinerary")}
    coverage = {k: outcomes[k].coverage if k in outcomes else COVERAGE.partial for k in wanted}
    coverage |= dict.fromkeys(open_continua, COVERAGE.partial)
    unseen = {k: o.unseen for k, o in outcomes.items() if o.unseen is not None}
    notes = list(open_continua.values())
    for k, outcome in outcomes.items():
        notes += period_notes(k, outcome, arrays)
        searched = all(k % d or d in outcomes for d in range(1, k))
        if searched and everything.verified[k % everything.period == 0].all():
            notes += degree_note(k, everything.index_sum(k), degree.get(k))
    notes += growth_notes({k: int((arrays["period"] == k).sum()) for k in wanted}, coverage)
    notes += few_converged_note(outcomes)
    notes += next_note(outcomes, late_periods(stats["work"]))
    notes += dict.fromkeys(note for outcome in outcomes.values() for note in outcome.notes)
    timed = not any(outcome.exhausted for outcome in outcomes.values())
    if result is RESULTS.budget_exhausted and timed:
        notes.append("cut short by max_seconds: the same key may give another result next time")
    return CycleSet(
        **arrays,
        num_units=map.num_units,
        result=result,
        coverage_by_period=coverage,
        coverage_domain=_domain(outcomes),
        unseen=unseen,
        degree=degree,
        stats=stats,
        notes=tuple(notes),
    )
