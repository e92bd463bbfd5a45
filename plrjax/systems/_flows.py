"""Flows: vector fields, parameters, sampling intervals and starts; one engine integrates them."""

import jax.numpy as jnp
import numpy as np

from .._arguments import checked_whole
from ._system import Flow, Number, Parameter


def _lorenz63(state, *, sigma, rho, beta):
    x, y, z = state
    return jnp.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])


def lorenz63(
    *,
    sigma: Parameter = 10.0,
    rho: Parameter = 28.0,
    beta: Parameter = 8.0 / 3.0,
    dt: Number = 0.01,
    substeps: int = 2,
) -> Flow:
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z (Lorenz 1963).

    Chaotic: lambda = .9056, 0, -14.5723 nats per time unit (Sprott 2003); their sum is
    -(sigma + 1 + beta) exactly. Recommended dt = .01: errors double in 76.5 steps. At sigma = 16,
    rho = 45.92, beta = 4, lambda_1 is 1.50 (Rosenstein et al. 1993): 46.2 steps, the
    predictability time in Mikhaeil et al. (2022).
    """
    parameters = {"sigma": sigma, "rho": rho, "beta": beta}
    start = (-8.0, -8.0, 27.0)
    return Flow("lorenz63", _lorenz63, parameters, start, dt=dt, substeps=substeps)


def _lorenz96(state, *, forcing):
    ahead, before, two_before = jnp.roll(state, -1), jnp.roll(state, 1), jnp.roll(state, 2)
    return (ahead - two_before) * before - state + forcing


def lorenz96(
    size: int = 10, *, forcing: Parameter = 8.0, dt: Number = 0.04, substeps: int = 4
) -> Flow:
    """x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F on a ring of N sites (Lorenz 1996).

    Chaotic at F = 8: lambda_1 = 1.18 nats per time unit for N = 10, 1.55 for N = 20, 1.68 for
    N = 40 (ours, +- .01); the sum of the exponents is -N exactly. Recommended dt = .04.

    **Raises:** `ValueError` naming `size` for fewer than four sites.
    """
    size = checked_whole("size", size, 4)
    start = [8.01] + (size - 1) * [8.0]
    return Flow("lorenz96", _lorenz96, {"forcing": forcing}, start, dt=dt, substeps=substeps)


def _rossler(state, *, a, b, c):
    x, y, z = state
    return jnp.stack([-y - z, x + a * y, b + z * (x - c)])


def rossler(
    *,
    a: Parameter = 0.2,
    b: Parameter = 0.2,
    c: Parameter = 5.7,
    dt: Number = 0.1,
    substeps: int = 4,
) -> Flow:
    """x' = -y - z, y' = x + a y, z' = b + z (x - c) (Rössler 1976).

    Chaotic: lambda = .0714, 0, -5.3943 nats per time unit (Sprott 2003). Recommended dt = .1:
    errors double in 97 steps. At a = .15, b = .2, c = 10, lambda_1 is .090 (Rosenstein et al.
    1993): 77.0 steps, the predictability time in Mikhaeil et al. (2022).
    """
    parameters = {"a": a, "b": b, "c": c}
    return Flow("rossler", _rossler, parameters, (-9.0, 0.0, 0.0), dt=dt, substeps=substeps)


def _duffing(state, *, alpha, beta, delta, gamma, omega):
    x, v, phase = state
    force = gamma * jnp.cos(phase)
    return jnp.stack([v, force - delta * v - beta * x - alpha * x**3, omega + 0.0 * phase])


def _wrap_phase(state):
    return state.at[2].set(jnp.mod(state[2], 2.0 * np.pi))


def _show_forcing(state):
    x, v, phase = state
    return jnp.stack([x, v, jnp.cos(phase), jnp.sin(phase)])


def duffing(
    *,
    alpha: Parameter = 1.0,
    beta: Parameter = -1.0,
    delta: Parameter = 0.1,
    gamma: Parameter = 0.35,
    omega: Parameter = 1.4,
    dt: Number = 0.1,
    substeps: int = 4,
) -> Flow:
    """x'' + delta x' + beta x + alpha x^3 = gamma cos(omega t), a forced particle in two wells.

    The state is (x, x', phase) with the phase omega t in [0, 2 pi); observed are x, x', cos and
    sin of the phase (Duffing 1918). The parameters are those of the collection of Gilpin (2021),
    which Mikhaeil et al. (2022) cite for exponents (their appendix was not at hand). Chaotic:
    lambda = .1286(7), 0, -.2286 nats per time unit (ours); their sum is -delta exactly.
    Recommended dt = .1.
    """
    parameters = {"alpha": alpha, "beta": beta, "delta": delta, "gamma": gamma, "omega": omega}
    return Flow(
        "duffing",
        _duffing,
        parameters,
        (1.0, 0.0, 0.0),
        dt=dt,
        substeps=substeps,
        wrap=_wrap_phase,
        observe=_show_forcing,
    )
