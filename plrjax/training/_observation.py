"""From states to observations, and from observations to the states that force the network."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._arguments import checked_whole
from .._dynamics import AbstractDynamics
from .._files import one_line


class AbstractObservation(eqx.Module):
    """x = O(z), trained together with the network, and what an observation says about z."""

    @abc.abstractmethod
    def observe(self, state: Float[Array, " state"]) -> Float[Array, " observation"]:
        """Return O(z)."""

    @abc.abstractmethod
    def signal(self, observation: Float[Array, " observation"]) -> Float[Array, " state"]:
        """Return the state that forces the network; zero where it says nothing."""

    @abc.abstractmethod
    def initial_state(self, observation: Float[Array, " observation"]) -> Float[Array, " state"]:
        """Return the state from which the network starts at an observation."""

    def prepared_signal(self) -> Callable[[Array], Array]:
        """Return `signal` with all that does not depend on the observation computed beforehand."""
        return self.signal

    @property
    @abc.abstractmethod
    def forced(self) -> Bool[np.ndarray, " state"]:
        """Which states the signal forces."""


class Identity(AbstractObservation):
    """x = z_1 ... z_N: the first N of M states are observed, and they alone are forced.

    The other states start at L x with a learned L, M - N x N.

    **Arguments:** `num_observed` N; `state_size` M, by default N; `key` for L ~ U(±1/sqrt(N)),
    needed where M > N.

    **Raises:** `ValueError` naming the argument.
    """

    num_observed: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)
    L: Float[Array, "hidden observation"] | None

    def __init__(
        self, num_observed: int, state_size: int | None = None, *, key: PRNGKeyArray | None = None
    ):
        self.num_observed = checked_whole("num_observed", num_observed, 1)
        size = num_observed if state_size is None else state_size
        self.state_size = checked_whole("state_size", size, num_observed)
        hidden, self.L = self.state_size - self.num_observed, None
        if hidden and key is None:
            raise ValueError("key: expected a key for L, because some states are not observed")
        if hidden and key is not None:
            bound = self.num_observed**-0.5
            self.L = jr.uniform(key, (hidden, num_observed), minval=-bound, maxval=bound)

    def observe(self, state):
        return state[: self.num_observed]

    def signal(self, observation):
        hidden = jnp.zeros(self.state_size - self.num_observed, observation.dtype)
        return jnp.concatenate([observation, hidden])

    def initial_state(self, observation):
        if self.L is None:
            return observation
        return jnp.concatenate([observation, self.L @ observation])

    @property
    def forced(self):
        return np.arange(self.state_size) < self.num_observed


class Affine(AbstractObservation):
    """x = B z + b; signals are B^+ (x - b) with the pseudo-inverse B^+ (Hess et al. 2023).

    Where N < M the pseudo-inverse gives the shortest state that explains the observation; all
    states are forced.

    **Arguments:** `num_observed` N, `state_size` M, `key` for B ~ N(0, 2/M); b = 0.

    **Raises:** `ValueError` naming the argument.
    """

    B: Float[Array, "observation state"]
    b: Float[Array, " observation"]

    def __init__(self, num_observed: int, state_size: int, *, key: PRNGKeyArray):
        checked_whole("num_observed", num_observed, 1)
        checked_whole("state_size", state_size, 1)
        self.B = jr.normal(key, (num_observed, state_size)) * (2.0 / state_size) ** 0.5
        self.b = jnp.zeros(num_observed)

    def observe(self, state):
        return self.B @ state + self.b

    def signal(self, observation):
        return self.prepared_signal()(observation)

    def prepared_signal(self):
        inverse = jnp.linalg.pinv(self.B)
        return lambda observation: inverse @ (observation - self.b)

    def initial_state(self, observation):
        return self.signal(observation)

    @property
    def forced(self):
        return np.ones(self.B.shape[1], bool)


def checked_observation(value: Any, num_observed: int, state_size: int) -> AbstractObservation:
    """Return the observation model, the identity by default where all states are observed."""
    if value is None:
        if num_observed != state_size:
            raise ValueError(
                f"observation_model: expected one, because {num_observed} observations do not name "
                f"{state_size} states; such as Identity({num_observed}, {state_size}, key=key) or "
                f"Affine({num_observed}, {state_size}, key=key)"
            )
        return Identity(num_observed)
    if not isinstance(value, AbstractObservation):
        raise ValueError(f"observation_model: expected Identity or Affine, got {value!r}")
    vector = lambda size: jax.ShapeDtypeStruct((size,), jnp.float32)
    parts = {"observe": (state_size, num_observed), "signal": (num_observed, state_size)}
    parts["initial_state"] = parts["signal"]
    for name, (given, wanted) in parts.items():
        _check_shape(getattr(value, name), vector(given), vector(wanted).shape, name)
    return value


def check_readout(value: Any, model: AbstractDynamics) -> None:
    """Refuse an observation model that does not fit the output of a network."""
    state = jax.ShapeDtypeStruct((model.state_size,), jnp.float32)
    _check_shape(lambda z: value.observe(model.output(z)), state, None, "observe")


def _check_shape(function: Any, given: Any, wanted: tuple | None, name: str) -> None:
    """Refuse a part of an observation model that takes or returns another number of entries."""
    with jax.numpy_dtype_promotion("standard"):
        try:
            found = jax.eval_shape(function, given).shape
        except Exception as error:  # one of the user's own may fail in any way
            raise ValueError(
                f"observation_model: {name} does not take {given.shape[0]} entries: "
                f"{one_line(error)}"
            ) from error
    if len(found) != 1 or wanted not in (None, found):
        raise ValueError(
            f"observation_model: expected {name} to return shape {wanted or '(variable,)'}, from "
            f"{given.shape[0]} entries, got {found}"
        )
