"""Penalties on parameters, added to the loss."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._arguments import checked_positive, checked_whole
from .._dynamics import AbstractDynamics
from ._observation import AbstractObservation, Affine


class AbstractRegularizer(eqx.Module):
    """A function of the parameters that is added to the loss; its fields are static."""

    @abc.abstractmethod
    def __call__(
        self, model: AbstractDynamics, observation: AbstractObservation
    ) -> Float[Array, ""]:
        """Return the penalty."""


class L2(AbstractRegularizer):
    """weight (sum |1 - A|^2 + sum |theta|^2 over all other parameters of the network).

    A is the field of that name, the linear part of a PLRNN: its neutral value is one.

    **Raises:** `ValueError` for a weight that is not positive.
    """

    weight: float = eqx.field(static=True)

    def __init__(self, weight: float):
        self.weight = checked_positive("weight", weight)

    def __call__(self, model, observation):
        leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_inexact_array))
        is_linear = lambda path: getattr(path[-1], "name", None) == "A"
        apart = [_neutral(leaf) - leaf if is_linear(path) else leaf for path, leaf in leaves]
        return self.weight * jnp.stack([jnp.sum(one**2) for one in apart]).sum()


class ManifoldAttractor(AbstractRegularizer):
    """weight (sum |1 - A_ii| + sum |W_ij| + sum |h_i|) over the last states i.

    States i whose rows come to A_ii = 1, W_i = 0, h_i = 0 integrate: a manifold attractor (Schmidt
    et al. 2021). For networks with fields A, W (or W1), h (or h1).

    **Arguments:** `num_states`: how many states, from the last; `weight`.

    **Raises:** `ValueError` naming the argument, or the field a network lacks.
    """

    num_states: int = eqx.field(static=True)
    weight: float = eqx.field(static=True)

    def __init__(self, num_states: int, weight: float):
        self.num_states = checked_whole("num_states", num_states, 1)
        self.weight = checked_positive("weight", weight)

    def __call__(self, model, observation):
        if self.num_states > model.state_size:
            raise ValueError(
                f"num_states: expected at most the {model.state_size} states of the network, got "
                f"{self.num_states}"
            )
        rows = slice(model.state_size - self.num_states, None)
        A, W, h = _field(model, "A"), _field(model, "W", "W1"), _field(model, "h", "h1")
        parts = (_neutral(A)[rows] - A[rows], W[rows], h[rows])
        return self.weight * jnp.stack([jnp.sum(jnp.abs(part)) for part in parts]).sum()


class ObservationCondition(AbstractRegularizer):
    """weight (1 - s_max/s_min)^2, s the singular values of B of an `Affine` observation model.

    **Raises:** `ValueError` naming the argument, or for another observation model.
    """

    weight: float = eqx.field(static=True)

    def __init__(self, weight: float):
        self.weight = checked_positive("weight", weight)

    def __call__(self, model, observation):
        if not isinstance(observation, Affine):
            raise ValueError(
                "regularizers: ObservationCondition expects an Affine observation model, got "
                f"{type(observation).__name__}"
            )
        values = jnp.linalg.svd(observation.B, compute_uv=False)
        return self.weight * (1.0 - values[0] / values[-1]) ** 2


def _neutral(A):
    """Return the A that does nothing: ones, or the identity where A is a matrix."""
    return jnp.ones_like(A) if A.ndim == 1 else jnp.eye(len(A), dtype=A.dtype)


def _field(model: AbstractDynamics, *names: str):
    for name in names:
        if hasattr(model, name):
            return getattr(model, name)
    raise ValueError(f"regularizers: expected a network with a field {names[0]}, got {model!r}")
