"""Maps with known exponents."""

import jax.numpy as jnp

from ._system import Map, Parameter


def _henon(state, *, a, b):
    x, y = state
    return jnp.stack([1.0 - a * x**2 + y, b * x])


def henon(*, a: Parameter = 1.4, b: Parameter = 0.3) -> Map:
    """x_{t+1} = 1 - a x_t^2 + y_t, y_{t+1} = b x_t (Hénon 1976).

    Chaotic: lambda = .41922, -1.62320 per step (Sprott 2003); their sum is ln|b| exactly.
    """
    return Map("henon", _henon, {"a": a, "b": b}, (0.1, 0.1))


def _logistic(state, *, r):
    return r * state * (1.0 - state)


def logistic(*, r: Parameter = 4.0) -> Map:
    """x_{t+1} = r x_t (1 - x_t) (May 1976).

    lambda = ln 2 per step at r = 4, .49606 at r = 3.9.
    """
    return Map("logistic", _logistic, {"r": r}, (0.3123,))


def _lozi(state, *, a, b):
    x, y = state
    return jnp.stack([1.0 - a * jnp.abs(x) + y, b * x])


def lozi(*, a: Parameter = 1.7, b: Parameter = 0.5) -> Map:
    """x_{t+1} = 1 - a |x_t| + y_t, y_{t+1} = b x_t, piecewise linear (Lozi 1978).

    Chaotic: lambda_1 = .47023 per step; the sum of the exponents is ln|b| exactly.
    """
    return Map("lozi", _lozi, {"a": a, "b": b}, (0.1, 0.1))
