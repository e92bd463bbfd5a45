"""How gradients grow along orbits: of states with respect to states, of a loss to parameters."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PRNGKeyArray

from .._arguments import checked_whole
from .._dynamics import AbstractDynamics
from .._host import on_host
from .._memory import check_memory
from .._numerics import EPS, float64_scope
from .._parallel import one_thread_per_solve
from ._arguments import program, rank_of
from ._frames import apply_step, push
from ._plan import Lengths, Plan, make_plan
from ._runner import NothingFinite, Runner

_MAX_NUMBERS = 2**23
"""Numbers in the sensitivities of all orbits that run side by side."""
_MOST_NUMBERS = 2**27
"""Most of a single orbit: 1 GiB, of which a few copies are needed."""


class Slope(NamedTuple):
    """A slope, mean over orbits, and its standard error (NaN for a single orbit)."""

    value: float
    standard_error: float


@dataclasses.dataclass(frozen=True, eq=False)
class GradientNorms:
    """Natural logarithms of gradient norms after 1, 2, ..., T steps from z_1.

    Theorems 1 to 3 of Mikhaeil, Monfared, Durstewitz (2022): towards a stable cycle the first
    falls like exp(lambda_1 T) and the second stays bounded; on a chaotic attractor both grow like
    exp(lambda_1 T); on a quasi-periodic one slower than any exponential.

    **Fields:**

    - `steps`: T = 1, 2, ...
    - `log_state`: ln |dz_{1+T}/dz_1|, the spectral norm.
    - `log_parameter`: ln |dL(z_{1+T})/dtheta|, the Euclidean norm over all parameters; NaN for a
        model without parameters.
    """

    steps: Float[np.ndarray, " step"]
    log_state: Float[np.ndarray, "orbit step"]
    log_parameter: Float[np.ndarray, "orbit step"]

    def state_slope(self, first: int = 1) -> Slope:
        """Return the least-squares slope of `log_state` over the steps from `first` on."""
        return _slope(self.steps, self.log_state, first)

    def parameter_slope(self, first: int = 1) -> Slope:
        """Return the least-squares slope of `log_parameter` over the steps from `first` on."""
        return _slope(self.steps, self.log_parameter, first)


@on_host("jax.grad of your own loss can be traced")
def gradient_norms(
    model: AbstractDynamics | Any,
    state: Any,
    *,
    num_steps: int,
    key: PRNGKeyArray,
    loss: Callable | None = None,
    inputs: Any = None,
    num_orbits: int | None = None,
    num_transient: int = 1_000,
    spread: float | int = 1e-3,
) -> GradientNorms:
    """Return |dz_T/dz_1| and |dL_T/dtheta| against T along orbits of a network.

    The product of Jacobians is kept as Q S with S = R_T ... R_1 scaled to 1, the sensitivities
    G_T = dz_T/dtheta = J_T G_{T-1} + dF/dtheta likewise, the scales as logarithms: nothing
    overflows. Forward in time, float64; memory M times the number of parameters per orbit.

    **Arguments:** as for `lyapunov_spectrum`, with one transient (orbits reach the attractor), and

    - `num_steps`: the largest T.
    - `loss`: L(z), a scalar of the state; |z|^2 / 2 by default. L_T is the loss at step T alone.
    - `num_orbits`: by default one for each state given.

    The parameters theta are the floating-point arrays of `model` (an Equinox module).

    **Raises:** `ValueError` naming the argument; `RuntimeError` where an orbit does not stay
    finite.
    """
    num_steps = checked_whole("num_steps", num_steps, 1)
    if loss is not None and not callable(loss):
        raise ValueError(f"loss: expected a callable of the state, got {type(loss).__name__}")
    if num_orbits is None and rank_of("inputs", inputs) != 3:
        num_orbits = 1 if rank_of("state", state) < 2 else len(state)
    with float64_scope(), one_thread_per_solve():
        lengths = Lengths(num_steps, None, num_transient, num_orbits, spread, 1)
        plan = make_plan(model, state, key, inputs, lengths)
        check_memory("num_steps", num_steps, 4 * 8 * num_steps * plan.num_orbits)
        logs = _along_orbits(plan, loss or _half_square)
    if np.isnan(logs[0]).any():
        bad = int(np.isnan(logs[0]).any(axis=1).sum())
        raise RuntimeError(f"gradient_norms: {bad} of {len(logs[0])} orbits did not stay finite")
    return GradientNorms(np.arange(1.0, num_steps + 1.0), *logs)


def _half_square(state):
    return 0.5 * jnp.sum(state * state)


def _along_orbits(plan: Plan, loss: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Return both logarithms "orbit step", some orbits at a time."""
    runner = Runner(plan)
    try:
        runner.begin()
    except NothingFinite:
        first = runner.first_nonfinite.min()
        raise RuntimeError(
            f"gradient_norms: no orbit stayed finite; the first was lost after {first} steps"
        ) from None
    states, count = np.asarray(runner.lanes.states).T, plan.num_orbits
    leaves = jax.tree.leaves(eqx.filter(plan.model, eqx.is_inexact_array))
    if any(np.iscomplexobj(leaf) for leaf in leaves):
        raise ValueError("model: expected real parameters, got complex ones")
    numbers = plan.state_size * (sum(map(np.size, leaves)) + plan.state_size)
    if numbers > _MOST_NUMBERS:
        raise ValueError(
            f"model: expected at most {_MOST_NUMBERS} sensitivities (states times parameters), got "
            f"{numbers}; take a smaller network"
        )
    together = int(np.clip(_MAX_NUMBERS // numbers, 1, count))
    inputs = runner.inputs
    if inputs is not None:
        inputs = inputs[runner.time : runner.time + plan.num_steps]
        shared = inputs.ndim == 2
        inputs = inputs if shared else jnp.moveaxis(inputs, -1, 0)
    found = []
    for first in range(0, count, together):
        rows = np.arange(first, first + together) % count  # the last ones repeat, for one shape
        part = inputs if inputs is None or inputs.ndim == 2 else inputs[rows]
        logs = _norms(plan.model, loss, jnp.asarray(states[rows]), part, plan.num_steps)
        found.append([np.asarray(x) for x in logs])
    state, parameter = (np.concatenate(parts)[:count] for parts in zip(*found))
    return state, parameter


@program
def _norms(model, loss: Callable, states, inputs, num_steps: int):
    """Return ln|dz_T/dz_1| and ln|dL_T/dtheta|, "orbit step"."""
    theta, rest = eqx.partition(model, eqx.is_inexact_array)
    vector, unravel = ravel_pytree(jax.tree.map(lambda x: jnp.asarray(x, float), theta))

    def step(vector, state, row):
        return apply_step(eqx.combine(unravel(vector), rest).step, state, row)

    def advance(carry, row):
        state, Q, S, scale, G, size = carry
        moved, pushed = push(lambda z, *s: step(vector, z, *(s or (None,))), state, Q, row)
        jacobian = pushed @ Q.T
        Q, R = jnp.linalg.qr(pushed)
        S = R @ S
        largest = _largest(S)
        S, scale = S / largest, scale + jnp.log(largest)
        log_state = scale + jnp.log(jnp.linalg.svd(S, compute_uv=False)[0])
        direct = jax.jacrev(lambda p: step(p, state, row))(vector)
        G = jacobian @ G + jnp.exp(-size) * direct
        grown = jnp.maximum(size + jnp.log(_largest(G)), 0.0)
        G = G * jnp.exp(size - grown)
        gradient = jax.grad(loss)(moved) @ G
        log_parameter = grown + jnp.log(jnp.linalg.norm(gradient))
        return (moved, Q, S, scale, G, grown), (log_state, log_parameter)

    def orbit(state, rows):
        unit, zero = jnp.eye(state.size), jnp.zeros(())
        carry = (state, unit, unit, zero, jnp.zeros((state.size, vector.size)), zero)
        return lax.scan(advance, carry, rows, length=num_steps)[1]

    axis = 0 if inputs is not None and inputs.ndim == 3 else None
    log_state, log_parameter = jax.vmap(orbit, in_axes=(0, axis))(states, inputs)
    return log_state, log_parameter if vector.size else log_parameter * jnp.nan


def _largest(matrix):
    """Return the largest modulus, 1 for a matrix of zeros or without entries."""
    largest = jnp.max(jnp.abs(matrix), initial=0.0)
    return jnp.where(largest == 0, 1.0, largest)


def _slope(steps: np.ndarray, logs: np.ndarray, first: int) -> Slope:
    if len(steps) < 2:
        raise ValueError("first: a slope needs num_steps of at least 2")
    checked_whole("first", first, 1, len(steps) - 1)
    x, y = steps[first - 1 :], logs[:, first - 1 :]
    if not np.isfinite(y).all():
        return Slope(float("nan"), float("nan"))
    x = x - x.mean()
    slopes = y @ x / (x @ x)
    error = slopes.std(ddof=1) / np.sqrt(len(slopes)) if len(slopes) > 1 else np.nan
    error = np.hypot(error, 4 * EPS * (1 + np.abs(y).max()))  # rounding
    return Slope(float(slopes.mean()), float(error))
