"""How data pull the states of a network during training: variants as data for one rollout."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .._arguments import checked_whole
from .._dynamics import AbstractDynamics
from ..systems import correlation_delay, estimate_exponent
from ._estimators import product_bound


class Schedule(NamedTuple):
    """What happens after each of the T predictions of one update.

    **Fields:**

    - `keep`: z~_t = keep_t z_t + (1 - keep_t) signal_t; None where nothing is forced.
    - `flow`: 1 where gradients flow on through z~_t, 0 where they are cut; None for 1 everywhere.
    """

    keep: Float[Array, " time"] | None
    flow: Float[Array, " time"] | None = None


class AbstractForcing(eqx.Module):
    """A way to force states towards the data.

    Its state (`init`, `update`) is part of a checkpoint. `update_every`: updates from one call of
    `update` to the next, 0 for never. `segment`: the interval of sparse forcing at equal intervals,
    where windows fall into independent segments if all states are forced; None otherwise.
    """

    update_every: eqx.AbstractVar[int]
    segment: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def init(self) -> Any:
        """Return the state of the forcing before training."""

    @abc.abstractmethod
    def schedule(
        self, state: Any, key: PRNGKeyArray, update: Int[Array, ""], num_steps: int
    ) -> Schedule:
        """Return what happens in one update, number `update` from 0."""

    @abc.abstractmethod
    def update(
        self,
        state: Any,
        model: AbstractDynamics,
        jacobians: Float[Array, "time lane state state"],
    ) -> Any:
        """Return the next state from the model and its Jacobians at the forcing signals."""

    def prepared(self, stretches: Sequence[np.ndarray]) -> tuple["AbstractForcing", list[str]]:
        """Return the forcing with everything settled that the observations decide, and notes.

        **Arguments:** `stretches`: what lies between gaps, without missing values, longest first.
        """
        return self, []


class AbstractStatelessForcing(AbstractForcing):
    """A forcing that does not change with the model."""

    update_every: int = eqx.field(static=True, default=0, init=False)

    def init(self):
        return ()

    def update(self, state, model, jacobians):
        return state


class NoForcing(AbstractStatelessForcing):
    """z~_t = z_t: backpropagation through time, from one initial state per window.

    **Arguments:** `truncate`: cut gradients every so many steps (truncated backpropagation through
    time, Williams, Peng 1990); None: never. Windowing is a short `sequence_length`.

    **Raises:** `ValueError` naming the argument.
    """

    truncate: int | None = eqx.field(static=True)
    segment: int | None = eqx.field(static=True, default=None)

    def __init__(self, truncate: int | None = None):
        self.truncate = None if truncate is None else checked_whole("truncate", truncate, 1)

    def schedule(self, state, key, update, num_steps):
        if self.truncate is None:
            return Schedule(None)
        return Schedule(None, _every(self.truncate, num_steps))


class SparseForcing(AbstractStatelessForcing):
    """z~_t = signal_t where (t - 1) mod tau = 0, else z_t (Mikhaeil et al. 2022, eq. 8).

    **Arguments:** `interval`: tau in steps, or "auto", the predictability time ln 2 / lambda_1 of
    the observations (`plr.estimate_exponent`), of the longest stretch between gaps. That is where
    LSTMs were best; clipped shallow PLRNNs wanted a fifth of it on Lorenz-63: scan downwards from
    there. `plr.AutoInterval` follows the predictability time of the network instead. Where the
    observations do not show a positive exponent, tau is the time in which their autocorrelation
    falls below 1 - 1/e, and a note says so.

    **Raises:** `ValueError` naming the argument.
    """

    interval: int | str = eqx.field(static=True)
    segment: int | None = eqx.field(static=True)

    def __init__(self, interval: int | str):
        self.segment = None
        if isinstance(interval, str):
            if interval != "auto":
                raise ValueError(
                    f"interval: expected a positive integer or 'auto', got {interval!r}"
                )
            self.interval = interval
        else:
            self.interval = self.segment = checked_whole("interval", interval, 1)

    def prepared(self, stretches):
        if not isinstance(self.interval, str):
            return self, []
        if not stretches:
            raise ValueError("interval: 'auto' needs observations")
        interval, notes = _prediction_time(stretches[0])
        return SparseForcing(interval), notes

    def schedule(self, state, key, update, num_steps):
        if isinstance(self.interval, str):
            raise ValueError("interval: 'auto' is settled by fit, from the observations")
        return Schedule(_every(self.interval, num_steps))


class RandomForcing(AbstractStatelessForcing):
    """Sparse forcing at random times, with probability 1/tau at every step: a baseline.

    **Arguments:** `interval`: mean interval tau in steps.

    **Raises:** `ValueError` naming the argument.
    """

    interval: int = eqx.field(static=True)
    segment: int | None = eqx.field(static=True, default=None)

    def __init__(self, interval: int):
        self.interval = checked_whole("interval", interval, 1)

    def schedule(self, state, key, update, num_steps):
        share = jnp.asarray(1.0 / self.interval, jnp.float32)  # the same draws in every precision
        forced = jr.bernoulli(key, share, (num_steps,))
        return Schedule(1.0 - forced.astype(float))


class AnnealedForcing(AbstractStatelessForcing):
    """Sparse forcing whose interval grows from one number to another during training: a baseline.

    **Arguments:** `first`, `last`: intervals in steps; `num_updates`: over how many updates the
    interval changes, linearly.

    **Raises:** `ValueError` naming the argument.
    """

    first: int = eqx.field(static=True)
    last: int = eqx.field(static=True)
    num_updates: int = eqx.field(static=True)
    segment: int | None = eqx.field(static=True, default=None)

    def __init__(self, first: int, last: int, num_updates: int):
        self.first = checked_whole("first", first, 1)
        self.last = checked_whole("last", last, 1)
        self.num_updates = checked_whole("num_updates", num_updates, 1)
        if abs(self.last - self.first) * self.num_updates >= 2**31:
            raise ValueError("num_updates: expected less than 2**31 / |last - first|")

    def schedule(self, state, key, update, num_steps):
        done = jnp.minimum(update, self.num_updates)
        interval = self.first + (self.last - self.first) * done // self.num_updates
        forced = (jnp.arange(1, num_steps + 1, dtype=update.dtype) % interval) == 0
        return Schedule(1.0 - forced.astype(float))


class GeneralizedForcing(AbstractStatelessForcing):
    """z~_t = (1 - alpha) z_t + alpha signal_t (Doya 1992; Hess et al. 2023, eq. 6).

    **Arguments:** `alpha` in [0, 1].

    **Raises:** `ValueError` naming the argument.
    """

    alpha: float = eqx.field(static=True)
    segment: int | None = eqx.field(static=True, default=None)

    def __init__(self, alpha: float):
        self.alpha = _checked_share("alpha", alpha)

    def schedule(self, state, key, update, num_steps):
        return Schedule(jnp.full(num_steps, 1.0 - self.alpha))


class AdaptiveForcing(AbstractForcing):
    """Generalized forcing with alpha = max(0, 1 - 1/N) from Jacobians as training goes.

    Every `update_every` updates N is estimated at the forcing signals; alpha jumps up to a larger
    estimate and otherwise decays towards it, alpha <- g alpha + (1 - g) estimate (adaptive
    generalized teacher forcing, Hess et al. 2023).

    **Arguments:** `estimator`: `product_bound`, `mean_jacobian`, `largest_jacobian`, or a function
    of Jacobians "time lane state state"; `every`; `decay` g; `start`: first alpha.

    **Raises:** `ValueError` naming the argument.
    """

    estimator: Any = eqx.field(static=True)
    update_every: int = eqx.field(static=True)
    decay: float = eqx.field(static=True)
    start: float = eqx.field(static=True)
    segment: int | None = eqx.field(static=True, default=None)

    def __init__(self, estimator=product_bound, every: int = 5, decay=0.999, start=1.0):
        if not callable(estimator):
            raise ValueError(
                f"estimator: expected a function (jacobians, model), got {estimator!r}"
            )
        self.estimator, self.update_every = estimator, checked_whole("every", every, 1)
        self.decay, self.start = _checked_share("decay", decay), _checked_share("start", start)

    def init(self):
        return jnp.asarray(self.start, jnp.float32)

    def schedule(self, state, key, update, num_steps):
        return Schedule(jnp.full(num_steps, 1.0) - state)

    def update(self, state, model, jacobians):
        growth = self.estimator(jacobians, model)
        found = jnp.maximum(0.0, 1.0 - 1.0 / growth).astype(state.dtype)
        return jnp.where(found > state, found, self.decay * state + (1.0 - self.decay) * found)


def _every(interval: int, num_steps: int) -> Float[Array, " time"]:
    """Return 0 after every so many predictions, else 1."""
    return jnp.asarray(np.arange(1, num_steps + 1) % interval != 0, float)


def _prediction_time(rows: np.ndarray) -> tuple[int, list[str]]:
    """Return ln 2 / lambda_1 of a series in whole steps, or a stand-in, and what is to be said."""
    try:
        found = estimate_exponent(rows, throw=False)
        reason = "; ".join(found.notes) or "it is not positive beyond its error"
        if np.isfinite(found.prediction_time):
            return max(1, round(found.prediction_time)), []
        shown = f"{found.exponent:.3g} +- {found.standard_error:.2g} nats per step ({reason})"
    except ValueError as error:  # too short a series, or one that stands still
        shown = f"none ({error})"
    interval = correlation_delay((rows - rows.mean(axis=0)) / rows.std(axis=0).clip(1e-300))
    return interval, [
        f"interval: 'auto' found no positive exponent in the observations, {shown}; taken are "
        f"{interval} steps, in which the autocorrelation falls below 1 - 1/e, as of an exponent of "
        f"{np.log(2.0) / interval:.3g}"
    ]


def _checked_share(name: str, value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 0 <= value <= 1):
        raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)
