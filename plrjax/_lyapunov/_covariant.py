"""Covariant Lyapunov vectors: the directions that grow at each exponent, forward and backward."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, PRNGKeyArray

from .._arguments import checked_whole
from .._dynamics import AbstractDynamics
from .._host import on_host
from .._numerics import EPS, float64_scope
from .._parallel import one_thread_per_solve
from ._arguments import program, rank_of
from ._frames import push
from ._plan import Lengths, make_plan
from ._runner import NothingFinite, Runner

_MAX_NUMBERS = 2**28
"""Most float64 numbers (2 GiB) kept of all frames and triangular factors."""


@dataclasses.dataclass(frozen=True, eq=False)
class CovariantVectors:
    """Covariant Lyapunov vectors along one orbit: J_t v_i(t) = exp(growth_i(t)) v_i(t + 1).

    **Fields:**

    - `states`: z_t.
    - `vectors`: unit vectors v_i(t) in the columns, by decreasing exponent.
    - `growth`: ln |J_t v_i(t)|, nats per step.
    - `exponents`: means of `growth`.
    """

    states: Float[np.ndarray, "step state"]
    vectors: Float[np.ndarray, "step state vector"]
    growth: Float[np.ndarray, "step vector"]
    exponents: Float[np.ndarray, " vector"]

    def angles(self, first: int = 0, second: int = 1) -> Float[np.ndarray, " step"]:
        """Return the angle between two vectors at every step, in [0, pi/2] radians.

        Angles that come close to 0 (tangencies) mean that the dynamics is not hyperbolic.
        """
        for name, index in (("first", first), ("second", second)):
            checked_whole(name, index, 0, self.vectors.shape[2] - 1)
        a, b = self.vectors[:, :, first], self.vectors[:, :, second]
        cosine = (a * b).sum(axis=1, keepdims=True)
        sine = np.linalg.norm(a - cosine * b, axis=1)
        return np.arctan2(sine, np.abs(cosine[:, 0]))

    def splitting_angles(self, num_unstable: int) -> Float[np.ndarray, " step"]:
        """Return the least angle between the span of the first vectors and that of the others."""
        checked_whole("num_unstable", num_unstable, 1, self.vectors.shape[2] - 1)
        first, _ = np.linalg.qr(self.vectors[:, :, :num_unstable])
        other, _ = np.linalg.qr(self.vectors[:, :, num_unstable:])
        overlap = np.swapaxes(first, 1, 2) @ other
        u, _, vt = np.linalg.svd(overlap, full_matrices=False)
        a = (first @ u[:, :, :1])[..., 0]
        b = (other @ np.swapaxes(vt, 1, 2)[:, :, :1])[..., 0]
        cosine = (a * b).sum(axis=1, keepdims=True)
        return np.arctan2(np.linalg.norm(a - cosine * b, axis=1), np.abs(cosine[:, 0]))


@on_host("lyapunov_exponents can be traced")
def covariant_vectors(
    model: AbstractDynamics | Any,
    state: Any,
    *,
    num_steps: int,
    key: PRNGKeyArray,
    inputs: Any = None,
    num_exponents: int | None = None,
    num_transient: int = 1_000,
    spread: float | int = 1e-3,
) -> CovariantVectors:
    """Compute covariant Lyapunov vectors along one orbit (Ginelli et al. 2007).

    Forward, frames Q_t and triangular factors R_t are stored (J_t Q_t = Q_{t+1} R_t); backward,
    C_t = R_t^-1 C_{t+1} with columns of unit length brings any upper triangular C to the
    coefficients of the vectors v(t) = Q_t C_t. Float64, QR at every step.

    **Arguments:** as for `lyapunov_spectrum`; there are three transients of `num_transient` steps
    (state, frame, and backward: steps beyond the end), which inputs must cover, and the memory
    is 8 (M k + k^2) bytes per step, two to three times over.

    **Raises:** `ValueError` naming the argument, also where a direction collapses (R_t singular:
    the vectors are not defined); `RuntimeError` where the orbit does not stay finite.
    """
    num_steps = checked_whole("num_steps", num_steps, 1)
    if rank_of("state", state) != 1 or rank_of("inputs", inputs) == 3:
        raise ValueError("state: expected one state (M,) and inputs (time, input), got several")
    with float64_scope(), one_thread_per_solve():
        lengths = Lengths(num_steps, num_exponents, num_transient, 1, spread, 3)
        plan = make_plan(model, state, key, inputs, lengths)
        size, count = plan.state_size, plan.num_exponents
        numbers = (num_steps + plan.num_transient) * (size * count + count * count)
        if numbers > _MAX_NUMBERS:
            raise ValueError(
                f"num_steps: expected at most {_MAX_NUMBERS} numbers to keep, got {numbers} "
                f"({num_steps} steps of {count} vectors); take fewer of either"
            )
        return _forward_backward(plan)


def _forward_backward(plan) -> CovariantVectors:
    runner = Runner(plan)
    try:
        runner.begin()
        runner.advance(plan.num_transient)
    except NothingFinite:
        raise RuntimeError(
            f"covariant_vectors: the orbit was lost after {runner.first_nonfinite[0]} steps"
        ) from None
    total, start = plan.num_steps + plan.num_transient, runner.time
    inputs = None if runner.inputs is None else runner.inputs[start : start + total]
    states, frames, factors = _forward(
        plan.model, runner.lanes.states[:, 0], runner.lanes.frames[:, :, 0], inputs, total
    )
    _check_factors(np.asarray(factors), plan.state_size)
    draw = np.triu(plan.draw.standard_normal((plan.num_exponents, plan.num_exponents)))
    coefficients, growth = _backward(factors, jnp.asarray(draw))
    kept = plan.num_steps
    vectors = np.asarray(frames)[:kept] @ np.asarray(coefficients)[:kept]
    growth = np.asarray(growth)[:kept]
    return CovariantVectors(np.asarray(states)[:kept], vectors, growth, growth.mean(axis=0))


@program
def _forward(model, state, frame, inputs, total: int):
    """Return z_t, Q_t and R_t of every step."""

    def advance(carry, row):
        state, frame = carry
        moved, pushed = push(model.step, state, frame, row)
        Q, R = jnp.linalg.qr(pushed)
        sign = jnp.where(jnp.diagonal(R) < 0, -1.0, 1.0)
        return (moved, Q * sign), (state, frame, sign[:, None] * R)

    return lax.scan(advance, (state, frame), inputs, length=total)[1]


@jax.jit
def _backward(factors, coefficients):
    """Return C_t and ln of the growth of its columns from t to t + 1, of every step."""

    def back(later, R):
        C = jax.scipy.linalg.solve_triangular(R, later)
        length = jnp.linalg.norm(C, axis=0)
        C = C / length
        return C, (C, -jnp.log(length))

    later = coefficients / jnp.linalg.norm(coefficients, axis=0)
    return lax.scan(back, later, factors, reverse=True)[1]


def _check_factors(factors: np.ndarray, size: int) -> None:
    """Refuse factors that are not finite, or singular within rounding."""
    finite = np.isfinite(factors).all(axis=(1, 2))
    if not finite.all():
        raise RuntimeError(
            f"covariant_vectors: the orbit was lost {int(np.argmin(finite))} steps after its "
            "transients"
        )
    diagonal = np.abs(np.diagonal(factors, axis1=1, axis2=2))
    collapsed = (diagonal <= 10 * size * EPS * np.linalg.norm(factors, axis=1)).any(axis=0)
    if collapsed.any():
        raise ValueError(
            f"num_exponents: expected at most {int(np.argmax(collapsed))}, because further "
            f"directions collapse (exponents -inf), got {len(collapsed)}"
        )
