"""Known systems as maps over one sampling interval: the engine that all of them share."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from .._arguments import checked_positive, checked_whole
from .._dynamics import AbstractDynamics, State, checked_state

Number: TypeAlias = float | int
Parameter: TypeAlias = float | int | Array
"""A parameter of a system; an array (also a traced one) must be a scalar."""


def as_is(state: State, /) -> State:
    """Return the state."""
    return state


class AbstractSystem(AbstractDynamics):
    """A known system, z_{t+1} = F(z_t): iterated, or followed over one sampling interval dt.

    **Fields:**

    - `name`: what it is called in a recipe.
    - `parameters`: its parameters by name; Python floats take the dtype of the state.
    - `dt`: time from one state to the next, in the units of the equations; 1 for maps.
    - `default_start`: a state in the basin of the attractor.
    - `observe`: the observation of a state; all of it, if not said otherwise.
    """

    name: eqx.AbstractVar[str]
    parameters: eqx.AbstractVar[dict[str, Any]]
    dt: eqx.AbstractVar[float]
    default_start: eqx.AbstractVar[tuple[float, ...]]
    observe: eqx.AbstractVar[Callable]

    @property
    def state_size(self) -> int:
        """Length M of the state vector."""
        return len(self.default_start)

    @property
    def start(self) -> Float[np.ndarray, " state"]:
        """A state in the basin of the attractor, float64."""
        return np.array(self.default_start)

    @property
    @abc.abstractmethod
    def scheme(self) -> dict[str, Any]:
        """How one sampling interval is computed, for the recipe of a series."""

    def output(self, state: State) -> Float[Array, " output"]:
        """Return the observation of a state, what `simulate` records.

        **Raises:** `ValueError` naming `state` for another shape than (M,).
        """
        return self.observe(checked_state(self, state))


class Map(AbstractSystem):
    """z_{t+1} = f(z_t).

    **Arguments:** `name`; `rule`, called as `rule(state, **parameters)`; `parameters`;
    `start`, a state in the basin of the attractor.

    **Raises:** `ValueError` naming a parameter that is not a finite number.
    """

    name: str = eqx.field(static=True)
    rule: Callable = eqx.field(static=True)
    parameters: dict[str, Any]
    default_start: tuple[float, ...] = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    observe: Callable = eqx.field(static=True)

    def __init__(self, name: str, rule: Callable, parameters: dict[str, Any], start: Sequence):
        self.name, self.rule = name, rule
        self.parameters = checked_parameters(parameters)
        self.default_start = tuple(float(entry) for entry in start)
        self.dt, self.observe = 1.0, as_is

    @property
    def scheme(self) -> dict[str, Any]:
        """How one step is computed."""
        return {"scheme": "map"}

    def step(self, state, input=None):
        refuse_input(input)
        return self.rule(state, **self.parameters)


class Flow(AbstractSystem):
    """z' = f(z), seen every dt: `substeps` steps of the classical Runge-Kutta method of order 4.

    **Arguments:**

    - `name`, `parameters`, `start`: as for `Map`.
    - `field`: the vector field, called as `field(state, **parameters)`.
    - `dt`: sampling interval; `substeps`: steps of integration in it.
    - `wrap`: applied at the end of each interval, to bring a phase back to [0, 2 pi).
    - `observe`: the observation of a state; by default all of it.

    **Raises:** `ValueError` naming the argument.
    """

    name: str = eqx.field(static=True)
    field: Callable = eqx.field(static=True)
    parameters: dict[str, Any]
    default_start: tuple[float, ...] = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    substeps: int = eqx.field(static=True)
    wrap: Callable = eqx.field(static=True)
    observe: Callable = eqx.field(static=True)

    def __init__(
        self,
        name: str,
        field: Callable,
        parameters: dict[str, Any],
        start: Sequence,
        *,
        dt: Number,
        substeps: int,
        wrap: Callable = as_is,
        observe: Callable = as_is,
    ):
        self.name, self.field = name, field
        self.parameters = checked_parameters(parameters)
        self.default_start = tuple(float(entry) for entry in start)
        self.dt, self.substeps = checked_positive("dt", dt), checked_whole("substeps", substeps, 1)
        self.wrap, self.observe = wrap, observe

    @property
    def scheme(self) -> dict[str, Any]:
        """How one sampling interval is computed."""
        return {"scheme": "Runge-Kutta 4", "substeps": self.substeps}

    def step(self, state, input=None):
        refuse_input(input)
        h = self.dt / self.substeps

        def one(z, _):
            return runge_kutta(lambda z, _: self.field(z, **self.parameters), z, h), None

        return self.wrap(lax.scan(one, jnp.asarray(state), length=self.substeps)[0])


def runge_kutta(slope: Callable, state: Array, h: float, drive=(None, None, None)) -> Array:
    """Return the state after one step h of z' = slope(z, s(t)), classical and of order 4.

    `drive` is s at the beginning, the middle and the end of the step (Kutta 1901).
    """
    first, middle, last = drive
    a = slope(state, first)
    b = slope(state + 0.5 * h * a, middle)
    c = slope(state + 0.5 * h * b, middle)
    d = slope(state + h * c, last)
    return state + (h / 6.0) * (a + 2.0 * (b + c) + d)


def refuse_input(input: Any) -> None:
    """Refuse an external input: these systems have none."""
    if input is not None:
        raise ValueError("input: expected None; a benchmark system has no external input")


def checked_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters, numbers as floats; scalar arrays (also traced ones) stay as they are.

    **Raises:** `ValueError` naming a parameter that is not a finite number.
    """
    return {name: _parameter(name, value) for name, value in parameters.items()}


def _parameter(name: str, value: Any) -> Any:
    if isinstance(value, jax.Array) and value.ndim == 0:
        return value
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not np.isfinite(float(value)):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return float(value)
