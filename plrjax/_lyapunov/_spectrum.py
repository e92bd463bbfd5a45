"""The host layer: many orbits in float64, guarded, with error bars."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

from jaxtyping import PRNGKeyArray

from .._arguments import checked_whole
from .._dynamics import AbstractDynamics
from .._host import on_host
from .._job import deadline_of, job
from .._many import Results, each_of, networks_of
from .._numerics import float64_scope
from .._parallel import one_thread_per_solve
from .._progress import AbstractProgress
from .._results import RESULTS
from ._collect import Totals, collect
from ._plan import Lengths, Plan, make_plan
from ._result import LyapunovSpectrum
from ._runner import NothingFinite, Runner

_BLOCKS = 128
"""Blocks per orbit, about, where there are as many intervals; more where a block would last long,
so that little is lost to Ctrl-C. These are merged."""
_FEWEST_INTERVALS = 64
"""An interval chosen from a pilot leaves at least this many in the run."""


@overload
def lyapunov_spectrum(
    model: Sequence[AbstractDynamics],
    state: Any,
    *,
    key: PRNGKeyArray,
    inputs: Any = None,
    num_steps: int | None = None,
    num_exponents: int | None = None,
    qr_every: int | str = "auto",
    num_transient: int = 1_000,
    num_orbits: int | None = None,
    spread: float | int = 1e-3,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> Results[LyapunovSpectrum]: ...


@overload
def lyapunov_spectrum(
    model: AbstractDynamics | Callable[..., Any],
    state: Any,
    *,
    key: PRNGKeyArray,
    inputs: Any = None,
    num_steps: int | None = None,
    num_exponents: int | None = None,
    qr_every: int | str = "auto",
    num_transient: int = 1_000,
    num_orbits: int | None = None,
    spread: float | int = 1e-3,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> LyapunovSpectrum: ...


@on_host("lyapunov_exponents can be traced")
def lyapunov_spectrum(
    model,
    state: Any,
    *,
    key: PRNGKeyArray,
    inputs: Any = None,
    num_steps: int | None = None,
    num_exponents: int | None = None,
    qr_every: int | str = "auto",
    num_transient: int = 1_000,
    num_orbits: int | None = None,
    spread: float | int = 1e-3,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
):
    """Compute the Lyapunov exponents of a recurrent network, with error bars.

    A random orthonormal frame is pushed along each of many orbits z_{t+1} = F(z_t, s_t),
    Q_{t+1} R_{t+1} = J_t Q_t, and lambda_i = lim (1/T) sum_t ln R_ii, natural logarithms per step
    (Benettin et al. 1980). Orbits start near the given state, are led to the attractor by a first
    transient, their frames aligned by a second; averages over orbits on the same attractor are
    pooled. Float64 whatever the global JAX setting.

    **Main arguments:**

    - `model`: any `AbstractDynamics` (an LSTM's state is (h, c): 2H exponents), many of them in a
        list or stacked along a leading axis, all from the same `state`, or a callable
        `step(state)` or `step(state, input)`. A plain function is compiled once, as by `jax.jit`;
        closures, and methods of objects that are no modules, anew in every call.
    - `state`: an initial state (M,), or several (orbits, M), which may lie in different basins.
    - `key`: `jax.random.key(seed)`; the same key gives the same result.
    - `num_steps`: steps measured along each orbit; 20,000, or what inputs leave.
    - `num_exponents`: how many, from the largest; by default all M.
    - `num_transient`: steps of each of the two transients.

    **Other arguments:**

    - `inputs`: external input (time, input) for all orbits, or (orbits, time, input) with one
        sequence for each; the transients take the first 2 `num_transient` rows. Orbits under the
        same input count as one for the standard errors.
    - `qr_every`: steps from one QR to the next, "auto" to choose it from a pilot. An interval so
        long that exponents are lost to rounding is shortened, with a note.
    - `num_orbits`: by default 8 to 256, by the size of the problem (with batched inputs, one per
        sequence).
    - `spread`: orbits start at the state plus Gaussian noise of `spread` times its largest entry,
        and run up to `num_transient` more steps where there are no inputs; 0: exactly at the
        states, one orbit for each.
    - `max_seconds`: time limit; steps measured until then are kept.
    - `throw`: raise where no orbit stays finite, instead of saying so in `result`.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `LyapunovSpectrum`; of many networks `Results` with one for each. Ctrl-C returns
    what was measured until then, with `result == RESULTS.interrupted`.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where no orbit stays finite.
    """
    networks = networks_of(model)
    if networks is not None:
        options = {"state": state, "inputs": inputs, "num_steps": num_steps, "throw": False}
        options |= {"num_exponents": num_exponents, "qr_every": qr_every, "spread": spread}
        options |= {"num_transient": num_transient, "num_orbits": num_orbits}
        analyze: Any = functools.partial(lyapunov_spectrum, **options)
        return each_of(networks, analyze, key=key, max_seconds=max_seconds, progress=progress)
    deadline = deadline_of(max_seconds)
    interval = None
    if not (isinstance(qr_every, str) and qr_every == "auto"):
        interval = checked_whole("qr_every", qr_every, 1)
    with float64_scope(), one_thread_per_solve():
        lengths = Lengths(num_steps, num_exponents, num_transient, num_orbits, spread)
        plan = make_plan(model, state, key, inputs, lengths)
        runner = Runner(plan)
        totals = Totals(plan)
        result = RESULTS.successful
        with job(progress, "exponents", deadline) as runner.job:
            result = _run(runner, plan, totals, interval)
        if runner.job.result is not RESULTS.successful:
            result = runner.job.result
        spectrum = collect(runner, plan, totals, result)
    if throw and result is RESULTS.not_finite:
        raise RuntimeError(f"lyapunov_spectrum: {spectrum.notes[0]}")
    return spectrum


def _run(runner: Runner, plan: Plan, totals: Totals, interval: int | None) -> RESULTS:
    """Lead the orbits through both transients and measure, as far as time allows."""
    try:
        runner.begin()
        runner.pilot()
        runner.asked = 0 if interval is None else interval
        runner.interval = min(runner.asked or runner.longest, plan.num_steps)
        if interval is None:
            runner.interval = min(runner.interval, max(1, plan.num_steps // _FEWEST_INTERVALS))
        runner.align()
        tau = runner.interval
        wanted = tau * max(1, round(plan.num_steps / _BLOCKS / tau))
        totals.block = min(wanted, runner.unit(tau))
        while totals.room:
            for logs, states in runner.blocks(totals.block, totals.room):
                totals.add_blocks(logs, states)
            totals.merge()
        for steps, logs, states in runner.stretch(totals.left):
            totals.add(logs, states, steps)
    except NothingFinite:
        return RESULTS.not_finite
    return RESULTS.successful
