"""What orbits do at every pixel: exponents, losses, gradients, attractors."""

import abc
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from .._arguments import checked_whole
from .._lyapunov import lyapunov_exponents
from .._memory import check_memory
from .._numerics import as_float64
from ._measure import AbstractMeasure, Dimension, Program
from ._plane import Plane

_NO_KEY = 0
"""Seed of frames where a scan has no key: any generic frame gives the same largest exponent."""

_POINT_BYTES = 64
"""Of one point of an orbit: its numbers, and its place among the coordinates."""


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class LargestExponent(AbstractMeasure):
    """The largest Lyapunov exponent `exponent` of one orbit per pixel, nats per step.

    NaN where the orbit does not stay finite.

    **Arguments:** `state`: where orbits start; `num_steps`: measured; `num_transient`: before.
    """

    state: np.ndarray
    num_steps: int
    num_transient: int

    def __init__(self, state: Any, num_steps: int = 2_000, num_transient: int = 500):
        object.__setattr__(self, "state", as_float64("state", state, ("M",)))
        object.__setattr__(self, "num_steps", checked_whole("num_steps", num_steps, 1))
        object.__setattr__(self, "num_transient", checked_whole("num_transient", num_transient, 0))

    def outputs(self, model: Any) -> dict[str, tuple[Dimension, ...]]:
        _check_state(self.state, model)
        return {"exponent": ()}

    def start(self, plane: Plane) -> Program:
        key = jr.key(_NO_KEY) if plane.key is None else plane.key

        def one(values, number):
            step = plane.at(values).step
            state = _moved(step, jnp.asarray(self.state), self.num_transient)
            found = lyapunov_exponents(
                step,
                state,
                num_steps=self.num_steps,
                num_exponents=1,
                key=jr.fold_in(key, number),
                remat=False,
            )[0]
            end = _moved(step, state, self.num_steps)
            return (jnp.where(jnp.isfinite(end).all(), found, jnp.nan),)

        run = plane.over_pixels(one)
        return lambda pixels, tick: {"exponent": run(pixels, tick)[0]}

    def facts(self):
        numbers = {"num_steps": self.num_steps, "num_transient": self.num_transient}
        return {"measure": "LargestExponent", "state": self.state.tolist()} | numbers


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class AttractorOrbit(AbstractMeasure):
    """Points `orbit` of one orbit after a transient: what a bifurcation diagram is drawn from.

    **Arguments:** `state`: where orbits start; `num_transient`: steps before; `num_points`: kept.
    """

    state: np.ndarray
    num_transient: int
    num_points: int

    def __init__(self, state: Any, num_transient: int = 1_000, num_points: int = 100):
        object.__setattr__(self, "state", as_float64("state", state, ("M",)))
        object.__setattr__(self, "num_transient", checked_whole("num_transient", num_transient, 0))
        object.__setattr__(self, "num_points", checked_whole("num_points", num_points, 1))
        check_memory("num_points", num_points, _POINT_BYTES * num_points)

    def outputs(self, model: Any) -> dict[str, tuple[Dimension, ...]]:
        _check_state(self.state, model)
        along = (_counted("point", self.num_points), _counted("state", len(self.state)))
        return {"orbit": along}

    def start(self, plane: Plane) -> Program:
        def one(values, number):
            step = plane.at(values).step
            begin = _moved(step, jnp.asarray(self.state), self.num_transient)
            return (lax.scan(lambda z, _: (step(z), z), begin, None, length=self.num_points)[1],)

        run = plane.over_pixels(one)
        return lambda pixels, tick: {"orbit": run(pixels, tick)[0]}

    def facts(self):
        numbers = {"num_transient": self.num_transient, "num_points": self.num_points}
        return {"measure": "AttractorOrbit", "state": self.state.tolist()} | numbers


class AbstractParameters(abc.ABC):
    """With respect to what the gradient of the loss is taken."""

    @abc.abstractmethod
    def value_and_gradient(self, loss: Callable, plane: Plane, values: Array) -> tuple[Any, Any]:
        """Return loss(model) at a pixel, and its gradient as a tree."""


class AllParameters(AbstractParameters):
    """All floating-point arrays of the model."""

    def value_and_gradient(self, loss, plane, values):
        return eqx.filter_value_and_grad(loss)(jax.tree.map(_traced, plane.at(values)))


class ScannedParameters(AbstractParameters):
    """The numbers along the axes of the scan only."""

    def value_and_gradient(self, loss, plane, values):
        return jax.value_and_grad(lambda v: loss(plane.at(v)))(values)


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class OrbitLoss(AbstractMeasure):
    """The `loss`: mean squared error of the free-running orbit against a series.

    Row t of the series is compared with z_{t+1}, its N columns with the first N states. What
    explodes is kept as infinity or NaN, and counted in the notes.

    **Arguments:** `targets`: T x N; `state`: z_0.
    """

    targets: np.ndarray
    state: np.ndarray

    def __init__(self, targets: Any, state: Any):
        object.__setattr__(self, "targets", as_float64("targets", targets, ("T", "N")))
        object.__setattr__(self, "state", as_float64("state", state, ("M",)))

    def outputs(self, model: Any) -> dict[str, tuple[Dimension, ...]]:
        _check_targets(self.targets, self.state, model)
        return {"loss": ()}

    def start(self, plane: Plane) -> Program:
        loss = _orbit_loss(self.targets, self.state)
        run = plane.over_pixels(lambda values, number: (loss(plane.at(values)),))
        return lambda pixels, tick: {"loss": run(pixels, tick)[0]}

    def facts(self):
        return {"measure": "OrbitLoss"} | _series_facts(self.targets, self.state)


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class GradientNorm(AbstractMeasure):
    """The `loss` of `OrbitLoss` and the Euclidean norm of its gradient, `gradient_norm`.

    Backpropagation through all T steps in float64. What explodes is kept as infinity or NaN, and
    counted in the notes.

    **Arguments:** `targets`: T x N; `state`: z_0; `wrt`: `AllParameters()` (the default) or
    `ScannedParameters()`.
    """

    targets: np.ndarray
    state: np.ndarray
    wrt: AbstractParameters

    def __init__(self, targets: Any, state: Any, wrt: AbstractParameters | None = None):
        object.__setattr__(self, "targets", as_float64("targets", targets, ("T", "N")))
        object.__setattr__(self, "state", as_float64("state", state, ("M",)))
        object.__setattr__(self, "wrt", AllParameters() if wrt is None else wrt)
        if not isinstance(self.wrt, AbstractParameters):
            raise ValueError(f"wrt: expected AllParameters() or ScannedParameters(), got {wrt!r}")

    def outputs(self, model: Any) -> dict[str, tuple[Dimension, ...]]:
        _check_targets(self.targets, self.state, model)
        return {"loss": (), "gradient_norm": ()}

    def start(self, plane: Plane) -> Program:
        loss = _orbit_loss(self.targets, self.state)

        def one(values, number):
            value, gradient = self.wrt.value_and_gradient(loss, plane, values)
            return value, jnp.linalg.norm(ravel_pytree(gradient)[0])

        run = plane.over_pixels(one)
        return lambda pixels, tick: dict(zip(("loss", "gradient_norm"), run(pixels, tick)))

    def facts(self):
        facts = {"measure": "GradientNorm", "wrt": type(self.wrt).__name__}
        return facts | _series_facts(self.targets, self.state)


def _orbit_loss(targets: np.ndarray, state: np.ndarray) -> Callable:
    """Return the loss as a function of a model."""

    def loss(model):
        def advance(carry, target):
            z, total = carry
            z = model.step(z)
            return (z, total + jnp.sum((z[: targets.shape[1]] - target) ** 2)), None

        begin = (jnp.asarray(state), jnp.zeros(()))
        (_, total), _ = lax.scan(advance, begin, jnp.asarray(targets))
        return total / targets.size

    return loss


def _traced(leaf: Any) -> Any:
    return jnp.asarray(leaf) if eqx.is_inexact_array(leaf) else leaf


def _moved(step: Callable, state: Array, num_steps: int) -> Array:
    return lax.fori_loop(0, num_steps, lambda _, z: step(z), state)


def _counted(name: str, count: int) -> Dimension:
    return Dimension(name, tuple(map(float, range(count))))


def _check_state(state: np.ndarray, model: Any) -> None:
    if state.shape != (model.state_size,):
        raise ValueError(f"state: expected {model.state_size} numbers, got {len(state)}")


def _check_targets(targets: np.ndarray, state: np.ndarray, model: Any) -> None:
    _check_state(state, model)
    if not len(targets) or not 1 <= targets.shape[1] <= model.state_size:
        raise ValueError(
            f"targets: expected T x N with N from 1 to {model.state_size}, got {targets.shape}"
        )


def _series_facts(targets: np.ndarray, state: np.ndarray) -> dict[str, Any]:
    digest = hashlib.sha256(targets.tobytes()).hexdigest()
    return {"targets": [*targets.shape, digest[:16]], "state": state.tolist()}
