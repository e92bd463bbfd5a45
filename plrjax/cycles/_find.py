"""The one user function: find the cycles of a network."""

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Bool, PRNGKeyArray

from .._parallel import AbstractProgress, ProgressBar
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._results import COVERAGE, RESULTS
from ._base import AbstractCycleSolver, CycleProblem, Outcome
from ._catalog import Catalog, degenerate_notes, merge, row_arrays
from ._cycle_set import CycleSet
from ._enumerate import reduced_system
from ._exhaustive import Exhaustive
from ._scyfi import SCYFI
from ._seeding import AbstractSeeding, Sample, generator_of, simulate
from ._walk import TRACES

ENUMERATED_BITS = 22
"""Words of at most so many bits (period times units) are enumerated by default."""

PLAIN_BITS = 14
"""The same where every word costs a system of its own."""

_ORBITS = 64


def find_cycles(
    model: AbstractPLRNN,
    periods: int | Iterable[int],
    *,
    key: PRNGKeyArray | None = None,
    solver: AbstractCycleSolver | None = None,
    seeding: AbstractSeeding | None = None,
    num_searches: int | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> CycleSet:
    """Find the fixed points and k-cycles of a ReLU network: F^k(z) = z with minimal period k.

    Every candidate is an itinerary, the sequence of linear subregions visited; inside it the map is
    affine, so it has one solution, which is a cycle if its orbit really has that itinerary
    (Eisenmann, Monfared, Göring, Durstewitz 2023). Every cycle returned was solved again by
    multiple shooting in float64 and carries its error bound. The computation runs in float64
    whatever the global JAX setting.

    **Main arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `periods`: a period or several, for example `range(1, 11)`.
    - `key`: `jax.random.key(seed)`. May be left out with `Exhaustive()` only.

    **Other arguments:**

    - `solver`: `SCYFI()`, `Exhaustive()`; by default periods with k H <= 22 are enumerated and the
        others searched by `SCYFI()`.
    - `seeding`: where walks start; by default a mixture.
    - `num_searches`: number of walks per period; by default the search stops when the last half of
        its walks brought nothing new.
    - `max_seconds`: time limit for the whole call. A result it cut short is not reproducible.
    - `throw`: raise where the computation failed, instead of saying so in `result`.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `CycleSet`. Ctrl-C returns what was found until then, with
    `result == RESULTS.interrupted`.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where no walk met a finite system.
    """
    map = lower(model)
    wanted = _checked_periods(periods)
    _check_budget(num_searches, max_seconds)
    if key is None and (solver is None or solver.needs_key):
        raise ValueError(
            "key: expected a JAX random key such as jax.random.key(0), got None "
            "(only solver=Exhaustive() does without)"
        )
    key = None if key is None else _checked_key(key)
    begun = time.perf_counter()
    chosen = {period: solver or default_solver(map, period) for period in wanted}
    problem = CycleProblem(map, wanted[-1], key, None, seeding, num_searches)
    problem = dataclasses.replace(problem, sample=_sample(problem, chosen))
    report = ProgressBar() if progress is None else progress
    deadline = None if max_seconds is None else begun + max_seconds
    traces = TRACES["count"]
    outcomes, result = _run(problem, chosen, deadline, report)
    if result is RESULTS.successful and _nothing_finite(outcomes):
        result = RESULTS.not_finite
    stats = _statistics(chosen, outcomes, time.perf_counter() - begun, TRACES["count"] - traces)
    found = _collect(map, wanted, outcomes, result, stats, deadline is not None)
    if throw and result is RESULTS.not_finite:
        raise RuntimeError(f"find_cycles: {result.message}")
    return found


def cycles_of_itineraries(
    model: AbstractPLRNN, itineraries: Iterable[Bool[np.ndarray, "time unit"]]
) -> CycleSet:
    """Return the cycles that have the given itineraries: those whose solution is admissible.

    Each itinerary is solved by multiple shooting (no product of Jacobians, so the length does not
    matter) and verified as in `find_cycles`. Rotations and repetitions of one word give one cycle;
    virtual words give none. The result says nothing about other cycles (`coverage` is partial).

    **Raises:** `ValueError` for an itinerary that is not a boolean array "time unit".
    """
    map = lower(model)
    groups: dict[int, list[np.ndarray]] = {}
    for number, item in enumerate(itineraries):
        word = np.asarray(item)
        if word.dtype != bool or word.ndim != 2 or word.shape[1] != map.num_units or not len(word):
            raise ValueError(
                f"itineraries: expected boolean arrays time x {map.num_units}, "
                f"got {word.dtype} {word.shape} as number {number}"
            )
        groups.setdefault(len(word), []).append(word)
    catalog = Catalog(map)
    for words in groups.values():
        catalog.identify(np.stack(words))
    entries = merge([catalog])
    return CycleSet(**row_arrays(map, entries), num_units=map.num_units)


def default_solver(map: PiecewiseAffineMap, period: int) -> AbstractCycleSolver:
    """Return the solver for a period: enumeration of short words, walks for longer ones.

    Where the reduced system is singular, so that words are tried one by one, only very short ones
    are enumerated.
    """
    bits = period * map.num_units
    if bits <= PLAIN_BITS or (bits <= ENUMERATED_BITS and reduced_system(map, period) is not None):
        return Exhaustive()
    return SCYFI()


def _run(problem: CycleProblem, chosen: dict, deadline: float | None, report: AbstractProgress):
    """Search period after period; on Ctrl-C or at the deadline keep what is there."""
    outcomes: dict[int, Outcome] = {}
    total = 0
    report.open("cycles")
    try:
        for done, (period, solver) in enumerate(chosen.items()):
            task = dataclasses.replace(problem, period=period)
            state = solver.init(task)
            outcomes[period] = solver.outcome(task, state)
            while not solver.terminate(task, state):
                if deadline is not None and time.perf_counter() > deadline:
                    outcomes[period] = solver.outcome(task, state)
                    return outcomes, RESULTS.budget_exhausted
                state = solver.step(task, state)
                share = (done + solver.progress(task, state)) / len(chosen)
                report.update(share, f"period {period}, {total} cycles found")
            outcomes[period] = solver.outcome(task, state)
            total += outcomes[period].catalog.count(period)
    except KeyboardInterrupt:
        return outcomes, RESULTS.interrupted
    finally:
        report.close()
    return outcomes, RESULTS.successful


def _sample(problem: CycleProblem, chosen: dict[int, AbstractCycleSolver]) -> Sample | None:
    """Simulate orbits if any solver starts from them: long enough for windows of every period."""
    searched = [period for period, solver in chosen.items() if solver.needs_key]
    if not searched:
        return None
    steps = 128 * int(np.ceil((320 + 2 * max(searched)) / 128))
    assert problem.key is not None
    return simulate(problem.map, _ORBITS, steps, generator_of(problem.key, 0))


def _nothing_finite(outcomes: dict[int, Outcome]) -> bool:
    """Return whether there were walks and every one of them met an overflowing system."""
    walks = [o.stats for o in outcomes.values() if "walks" in o.stats]
    return bool(walks) and all(
        s["walks"] > 0 and s["stuck"] == s["walks"] and not s["singular"] for s in walks
    )


def _statistics(
    chosen: dict[int, AbstractCycleSolver],
    outcomes: dict[int, Outcome],
    seconds: float,
    traces: int,
) -> dict[str, Any]:
    """Turn the numbers of every period into tables by name."""
    names = sorted({name for outcome in outcomes.values() for name in outcome.stats})
    stats: dict[str, Any] = {
        name: {k: o.stats[name] for k, o in outcomes.items() if name in o.stats} for name in names
    }
    stats["solver"] = {k: type(solver).__name__ for k, solver in chosen.items()}
    stats["seconds"] = seconds
    stats["traces"] = traces
    stats["backend"] = jax.default_backend()
    stats["dtype"] = "float64"
    return stats


def _collect(
    map: PiecewiseAffineMap,
    wanted: list[int],
    outcomes: dict[int, Outcome],
    result: RESULTS,
    stats: dict[str, Any],
    timed: bool,
) -> CycleSet:
    """Merge the catalogs of all periods into one set."""
    entries = [e for e in merge([o.catalog for o in outcomes.values()]) if e.period in set(wanted)]
    arrays = row_arrays(map, entries)
    coverage = {k: outcomes[k].coverage if k in outcomes else COVERAGE.partial for k in wanted}
    unseen = {k: o.unseen for k, o in outcomes.items() if o.unseen is not None}
    notes = degenerate_notes(arrays, wanted)
    for k, outcome in outcomes.items():
        notes += _period_notes(k, outcome, arrays)
    if timed and result is RESULTS.budget_exhausted:
        notes.append("cut short by max_seconds: the same key may give another result next time")
    return CycleSet(
        **arrays,
        num_units=map.num_units,
        result=result,
        coverage_by_period=coverage,
        unseen=unseen,
        stats=stats,
        notes=tuple(notes),
    )


def _period_notes(period: int, outcome: Outcome, arrays: dict[str, np.ndarray]) -> list[str]:
    """Say what a reader must know about one period."""
    notes = []
    here = arrays["period"] == period
    families = int(np.count_nonzero(here & ~np.isfinite(arrays["condition"])))
    if families:
        notes.append(
            f"period {period}: {families} marginal famil{'y' if families == 1 else 'ies'} "
            "(I - P singular): a continuum of cycles, one representative each"
        )
    if outcome.catalog.num_unexamined:
        notes.append(
            f"period {period}: {outcome.catalog.num_unexamined} further singular words were "
            "not examined for families"
        )
    if outcome.stats.get("untried"):
        notes.append(f"period {period}: {outcome.stats['untried']} itineraries were not tried")
    return notes


def _checked_periods(periods: Any) -> list[int]:
    values = [periods] if isinstance(periods, int | np.integer) else periods
    try:
        items = list(values)
    except TypeError:
        raise ValueError(
            f"periods: expected a positive integer or several, got {type(periods).__name__}"
        ) from None
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | np.integer) or item < 1:
            raise ValueError(f"periods: expected positive integers, got {item!r}")
    if not items:
        raise ValueError("periods: expected at least one period, got none")
    return sorted({int(item) for item in items})


def _check_budget(num_searches: Any, max_seconds: Any) -> None:
    if num_searches is not None:
        whole = isinstance(num_searches, int | np.integer) and not isinstance(num_searches, bool)
        if not whole or num_searches < 1:
            raise ValueError(f"num_searches: expected a positive integer, got {num_searches!r}")
    if max_seconds is not None and not (max_seconds > 0):
        raise ValueError(f"max_seconds: expected a positive number, got {max_seconds!r}")


def _checked_key(key: Any) -> PRNGKeyArray:
    """Return a typed key; raw uint32 keys of older JAX code are wrapped."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.ndim == 0:
            return key
    elif isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.ndim == 1:
        return jr.wrap_key_data(jnp.asarray(key))
    raise ValueError(
        f"key: expected one JAX random key such as jax.random.key(0), got {type(key).__name__}"
    )
