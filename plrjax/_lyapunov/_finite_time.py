"""Finite-time exponents: how growth rates vary along orbits."""

from typing import Any

import numpy as np
from jaxtyping import Float, PRNGKeyArray

from .._arguments import checked_whole
from .._dynamics import AbstractDynamics
from .._host import on_host
from .._memory import check_memory
from .._numerics import float64_scope
from .._parallel import one_thread_per_solve
from ._arguments import rank_of
from ._plan import Lengths, make_plan
from ._runner import NothingFinite, Runner


@on_host("lyapunov_exponents can be traced")
def finite_time_exponents(
    model: AbstractDynamics | Any,
    state: Any,
    *,
    num_steps: int,
    window: int,
    key: PRNGKeyArray,
    inputs: Any = None,
    num_exponents: int | None = None,
    num_transient: int = 1_000,
    num_orbits: int | None = None,
    spread: float | int = 1e-3,
) -> Float[np.ndarray, "orbit window exponent"]:
    """Return exponents over consecutive windows along orbits, (1/w) sum_{t in window} ln R_ii.

    Nats per step, in the order of the frame (their means over windows are the exponents). The
    frame goes on from window to window, so it stays aligned.

    **Arguments:** as for `lyapunov_spectrum`, and

    - `window`: steps w per window; `num_steps` is rounded down to whole windows.
    - `num_orbits`: by default one for each state given.

    **Returns:** NaN for orbits that did not stay finite.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where no orbit stays finite.
    """
    window = checked_whole("window", window, 1)
    num_steps = checked_whole("num_steps", num_steps, window)
    if num_orbits is None and rank_of("inputs", inputs) != 3:
        num_orbits = 1 if rank_of("state", state) < 2 else len(state)
    with float64_scope(), one_thread_per_solve():
        lengths = Lengths(
            num_steps // window * window, num_exponents, num_transient, num_orbits, spread
        )
        plan = make_plan(model, state, key, inputs, lengths)
        kept = plan.num_steps // window * plan.num_exponents * plan.num_orbits
        check_memory("num_steps", num_steps, 2 * 8 * kept)
        runner = Runner(plan)
        try:
            runner.begin()
            runner.pilot()
            runner.interval = max(d for d in range(1, runner.longest + 1) if window % d == 0)
            runner.advance(plan.num_transient)
            runner.interval = max(d for d in range(1, runner.interval + 1) if window % d == 0)
            found = [logs for logs, _ in runner.blocks(window, plan.num_steps // window)]
        except NothingFinite:
            first = runner.first_nonfinite.min()
            raise RuntimeError(
                f"finite_time_exponents: no orbit stayed finite; the first was lost after {first} "
                "steps"
            ) from None
    exponents = np.transpose(np.concatenate(found), (2, 0, 1)) / window
    return np.where(runner.alive[:, None, None], exponents, np.nan)
