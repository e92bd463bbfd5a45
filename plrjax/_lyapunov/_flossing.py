"""Gradient flossing: a penalty that pulls Lyapunov exponents towards a target."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._dynamics import State
from ._exponents import lyapunov_exponents

_EXPLODING = 1e4
"""Growth of a perturbation over the window past which its gradient is worth a warning."""


def flossing_penalty(
    step: Callable,
    state: State,
    *,
    num_steps: int,
    num_exponents: int,
    key: PRNGKeyArray,
    target: float | Float[Array, " exponent"] = 0.0,
    qr_every: int = 1,
    inputs: Float[Array, "time input"] | None = None,
    orbit: Float[Array, "time state"] | None = None,
    detach_state: bool = False,
    remat: bool = True,
    warn: bool = True,
) -> Float[Array, ""]:
    """Return mean_i (lambda_i - target_i)^2 over the first exponents of one orbit.

    Gradient flossing (Engelken 2023) adds this to a loss, or minimizes it alone before training:
    exponents near zero keep gradients from vanishing and exploding. The exponents are those of
    `lyapunov_exponents`, nats per step; pure, traceable, differentiable.

    The gradient of the penalty itself grows like exp(lambda_1 T) where lambda_1 > 0, as it flows
    through the states. A `RuntimeWarning` says so where exp(lambda_1 T) passes 10^4: take a shorter
    window, a forced `orbit`, or `detach_state=True`. Directions that collapse (exponents -inf) make
    the penalty infinite; a warning says that, too.

    **Arguments:** as for `lyapunov_exponents`, and

    - `target`: wanted exponents, one number for all or one for each.
    - `warn`: watch the growth while running (a call back to the host for each evaluation).

    **Raises:** `ValueError` naming the argument.
    """
    target = _checked_target(target, num_exponents)
    found = lyapunov_exponents(
        step,
        state,
        num_steps=num_steps,
        num_exponents=num_exponents,
        key=key,
        qr_every=qr_every,
        inputs=inputs,
        orbit=orbit,
        detach_state=detach_state,
        remat=remat,
    )
    if warn and orbit is None and not detach_state:
        jax.debug.callback(_warn_of_growth, jax.lax.stop_gradient(found) * num_steps)
    return jnp.mean((found - target) ** 2)


def _checked_target(target: Any, num_exponents: int):
    number = isinstance(target, int | float) or hasattr(target, "shape")
    if not number or jnp.shape(target) not in ((), (num_exponents,)):
        raise ValueError(
            f"target: expected one number or {num_exponents}, one for each exponent, got "
            f"{jnp.shape(target) if number else repr(target)}"
        )
    return target


def _warn_of_growth(growth: Any) -> None:
    """Warn where the gradient through a window explodes or is none; `growth` is lambda_i T."""
    if not np.isfinite(growth).all():
        warnings.warn(
            "flossing_penalty: some exponents are not finite (directions that collapse), and so is "
            "the penalty: lower num_exponents or qr_every",
            RuntimeWarning,
            stacklevel=2,
        )
    worst = float(np.max(np.where(np.isfinite(growth), growth, -np.inf)))
    if worst > math.log(_EXPLODING):
        warnings.warn(
            f"flossing_penalty: the first exponent is positive and perturbations grow by "
            f"e^{worst:.1f} over the window, as does the gradient through the states: lower "
            "num_steps, or give orbit= or detach_state=True",
            RuntimeWarning,
            stacklevel=2,
        )
