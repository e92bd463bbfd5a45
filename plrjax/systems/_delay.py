"""Flows with a delay: the state is the delay line."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._arguments import checked_positive, checked_whole
from ._system import (
    AbstractSystem,
    Number,
    Parameter,
    checked_parameters,
    refuse_input,
    runge_kutta,
)

_MIDDLE = (5.0 / 16.0, 15.0 / 16.0, -5.0 / 16.0, 1.0 / 16.0)
"""Weights of the cubic through four neighbors at the middle of the first two (Lagrange)."""


class DelayFlow(AbstractSystem):
    """x' = f(x(t), x(t - tau)) of one variable, seen every dt, as a map of the delay line.

    The state is x at t - tau, t - tau + h, ..., t with h = dt / `substeps`. Each substep is one of
    the classical Runge-Kutta method; in its middle, x(t - tau + h/2) is read off the cubic through
    the four nearest later points of the line, so that the order stays 4.

    **Arguments:** `name`, `parameters`; `field`, called as `field(x, delayed, **parameters)`;
    `delay` tau; `start`, the constant history; `dt`; `substeps`.

    **Raises:** `ValueError` naming the argument: tau must be a whole number of substeps, and hold
    one sampling interval and two more of them.
    """

    name: str = eqx.field(static=True)
    field: Callable = eqx.field(static=True)
    parameters: dict[str, Any]
    delay: float = eqx.field(static=True)
    default_start: tuple[float, ...] = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    substeps: int = eqx.field(static=True)
    observe: Callable = eqx.field(static=True)

    def __init__(
        self,
        name: str,
        field: Callable,
        parameters: dict[str, Any],
        delay: Number,
        start: Number,
        *,
        dt: Number,
        substeps: int,
    ):
        self.name, self.field = name, field
        self.parameters = checked_parameters(parameters)
        self.delay, self.dt = checked_positive("delay", delay), checked_positive("dt", dt)
        self.substeps = checked_whole("substeps", substeps, 1)
        count = round(self.delay / self.dt * self.substeps)
        whole = np.isclose(count * self.dt, self.delay * self.substeps, rtol=1e-9, atol=0.0)
        if not whole or count < self.substeps + 2:
            raise ValueError(
                f"delay: expected a whole number of substeps dt / substeps = "
                f"{self.dt / self.substeps:g}, at least {self.substeps + 2}, got {delay}"
            )
        self.default_start = (float(start),) * (count + 1)
        self.observe = _newest

    @property
    def scheme(self) -> dict[str, Any]:
        """How one sampling interval is computed."""
        return {"scheme": "Runge-Kutta 4 on the delay line", "substeps": self.substeps}

    def step(self, state, input=None):
        refuse_input(input)
        h, s = self.dt / self.substeps, self.substeps
        line = jnp.asarray(state)
        middles = sum(w * line[i : i + s] for i, w in enumerate(_MIDDLE))

        def one(x, drive):
            x = runge_kutta(lambda x, d: self.field(x, d, **self.parameters), x, h, drive)
            return x, x

        _, new = lax.scan(one, line[-1], (line[:s], middles, line[1 : s + 1]))
        return jnp.concatenate([line[s:], new])


def _newest(line):
    return line[-1:]


def _mackey_glass(x, delayed, *, beta, gamma, power):
    return beta * delayed / (1.0 + delayed**power) - gamma * x


def mackey_glass(
    *,
    delay: Number = 17.0,
    beta: Parameter = 0.2,
    gamma: Parameter = 0.1,
    power: Parameter = 10.0,
    dt: Number = 1.0,
    substeps: int = 4,
) -> DelayFlow:
    """x' = beta x(t - tau) / (1 + x(t - tau)^n) - gamma x (Mackey, Glass 1977); observed is x(t).

    Chaotic: lambda_1 = .00513(3) nats per time unit, and .0072 at tau = 30 (ours, two independent
    schemes). Recommended dt = 1, with a state of tau substeps / dt + 1 = 69 numbers. The
    collection of Gilpin (2021) has tau = 2, beta = 2, gamma = 1, n = 9.65: .0716(4).
    """
    parameters = {"beta": beta, "gamma": gamma, "power": power}
    return DelayFlow(
        "mackey_glass", _mackey_glass, parameters, delay, 1.2, dt=dt, substeps=substeps
    )
