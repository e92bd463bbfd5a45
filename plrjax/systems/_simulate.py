"""Series of observations from a known system, with their recipe."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Float, PRNGKeyArray

from .._arguments import checked_key, checked_whole
from .._files import plrjax_version
from .._host import on_host
from .._memory import check_memory
from .._numerics import as_float64, float64_scope
from ._system import AbstractSystem


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Series:
    """Observations of a known system, one row per sampling interval.

    **Fields:**

    - `observations`: T x N, with noise.
    - `clean`: the same without noise, in the same units.
    - `dt`: sampling interval in the units of the system; 1 for maps.
    - `mean`, `std`: what was subtracted, and then divided by; 0 and 1 where nothing was.
    - `recipe`: everything that made the series, as JSON knows it.
    """

    observations: Float[np.ndarray, "time variable"]
    clean: Float[np.ndarray, "time variable"]
    dt: float
    mean: Float[np.ndarray, " variable"]
    std: Float[np.ndarray, " variable"]
    recipe: dict[str, Any]

    def __len__(self) -> int:
        """Number T of rows."""
        return len(self.observations)

    def to_units(
        self, values: Float[np.ndarray, "row variable"]
    ) -> Float[np.ndarray, "row variable"]:
        """Return values of the system in the units of this series, (values - mean) / std.

        So a test set that was not standardized gets the units of the training set.
        """
        return (values - self.mean) / self.std

    def __repr__(self) -> str:
        steps, variables = self.observations.shape
        lines = [f"{steps} x {variables} observations, dt = {self.dt:g}"]
        lines += [f"  {name}: {value}" for name, value in self.recipe.items()]
        return "\n".join(lines)

    __str__ = __repr__


@on_host()
def simulate(
    system: AbstractSystem | Any,
    num_steps: int,
    *,
    key: PRNGKeyArray,
    num_transient: int = 10_000,
    noise: float | int = 0.0,
    standardize: bool = True,
    state: Any = None,
    spread: float | int = 1e-3,
) -> Series:
    """Simulate x_t = O(z_t) + noise e_t along an orbit z_{t+1} = F(z_t) on the attractor.

    Float64 whatever the global JAX setting; e_t is Gaussian with the standard deviation of each
    variable.

    **Arguments:**

    - `system`: such as `lorenz63()`.
    - `num_steps`: number of rows.
    - `key`: `jax.random.key(seed)`; the same key gives the same series, other keys other stretches
        of the attractor.
    - `num_transient`: rows left out at the beginning; up to as many more, drawn from the key.
    - `noise`: observation noise as a fraction of each variable's standard deviation.
    - `standardize`: subtract the mean and divide by the standard deviation of the clean series.
    - `state`: where the orbit starts, by default `system.start`;
    - `spread`: entries are multiplied by 1 + `spread` times Gaussian noise.

    **Raises:** `ValueError` naming the argument, or a variable that is constant and so cannot be
    standardized; `RuntimeError` where the orbit does not stay finite.
    """
    if not isinstance(system, AbstractSystem):
        raise ValueError(
            f"system: expected a system such as lorenz63(), got {type(system).__name__}"
        )
    num_steps = checked_whole("num_steps", num_steps, 1)
    num_transient = checked_whole("num_transient", num_transient, 0)
    check_memory("num_steps", num_steps, 4 * 8 * num_steps * system.state_size)
    level, spread = _share("noise", noise), _share("spread", spread)
    start = as_float64("state", system.start if state is None else state, (system.state_size,))
    with float64_scope():
        keys = jr.split(checked_key(key), 3)
        skipped = num_transient + int(jr.randint(keys[0], (), 0, num_transient + 1))
        scale = spread * (np.abs(start) if start.any() else 1.0)
        first = jnp.asarray(start) + scale * jr.normal(keys[1], start.shape)
        orbit = np.asarray(_observe(system, first, skipped, num_steps))
        errors = np.asarray(jr.normal(keys[2], orbit.shape))
    _check_finite(orbit, system)
    mean, std = _moments(orbit, np.abs(start).max(), standardize or level > 0)
    noisy = orbit + level * std * errors
    if not standardize:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    recipe = _recipe(system, first, key) | {
        "num_steps": num_steps,
        "num_transient": num_transient,
        "skipped": skipped,
        "noise": level,
        "standardize": standardize,
    }
    return Series((noisy - mean) / std, (orbit - mean) / std, system.dt, mean, std, recipe)


def _recipe(system: AbstractSystem, start: Any, key: Any) -> dict[str, Any]:
    """Return what a series was made of, as JSON knows it."""
    return {
        "system": system.name,
        "parameters": {name: float(value) for name, value in system.parameters.items()},
        "dt": system.dt,
        **system.scheme,
        "start": np.asarray(start).tolist(),
        "key": np.asarray(jr.key_data(checked_key(key))).ravel().tolist(),
        "plrjax": plrjax_version(),
    }


@eqx.filter_jit
def _observe(system: AbstractSystem, state, skipped, num_steps: int):
    """Return the outputs of the states after `skipped` steps, and of those that follow."""
    state = lax.fori_loop(0, jnp.asarray(skipped), lambda _, z: system.step(z), state)
    return lax.scan(lambda z, _: (system.step(z), system.output(z)), state, length=num_steps)[1]


def _share(name: str, value: Any) -> float:
    """Return a number that is not negative."""
    number = float(as_float64(name, value, ()))
    if number < 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return number


def _check_finite(orbit: np.ndarray, system: AbstractSystem) -> None:
    """Refuse an orbit that ran away."""
    finite = np.isfinite(orbit).all(axis=1)
    if not finite.all():
        raise RuntimeError(
            f"simulate: the orbit of {system.name} is not finite from row {int(np.argmin(finite))} "
            f"on: start elsewhere, or lower dt or the parameters"
        )


def _moments(orbit: np.ndarray, scale: float, needed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each variable, refusing constant ones if needed."""
    mean, std = orbit.mean(axis=0), orbit.std(axis=0)
    flat = std <= 1e-12 * (np.abs(mean) + scale)
    if needed and flat.any():
        raise ValueError(
            f"system: variable {int(np.flatnonzero(flat)[0])} is constant along the orbit; "
            f"simulate with standardize=False and noise=0"
        )
    return mean, std
