"""How fast Jacobian products grow at the forcing signals: estimates for adaptive forcing."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._dynamics import AbstractDynamics

_SQUARINGS = 20
"""|G^n|_F^(1/n) with n = 2^20 exceeds the largest eigenvalue of G by less than 1 in 10^6."""


def spectral_norms(matrices: Float[Array, "*batch row column"]) -> Float[Array, "*batch"]:
    """Return |J|_2 of many small matrices: the root of the growth of (J'J)^n, by squaring.

    Batched products are several times faster than as many singular value decompositions, on a GPU
    above all.
    """
    size = matrices.shape[-1]
    spare = 0 if size <= 4 else -size % 8  # widths that XLA multiplies fast
    wide = jnp.pad(matrices, [(0, 0)] * (matrices.ndim - 1) + [(0, spare)])

    def square(_, carry):
        product, growth, weight = carry
        scale = jnp.abs(product).max(axis=(-2, -1))
        scale = jnp.where(scale > 0, scale, 1.0)
        product = product / scale[..., None, None]
        return product @ product, growth + weight * jnp.log(scale), 0.5 * weight

    product = jnp.swapaxes(wide, -2, -1) @ wide
    begin = (product, jnp.zeros(product.shape[:-2], product.dtype), jnp.ones((), product.dtype))
    product, growth, weight = lax.fori_loop(0, _SQUARINGS, square, begin)
    rest = jnp.log(jnp.sqrt(jnp.sum(product**2, axis=(-2, -1))))
    return jnp.exp(0.5 * (growth + weight * rest))


def product_bound(
    jacobians: Float[Array, "time lane state state"], model: AbstractDynamics | None = None
) -> Float[Array, ""]:
    """Return max over lanes of exp(mean_t ln |J_t|_2), a bound of |J_T ... J_1|^(1/T)."""
    return jnp.exp(jnp.log(spectral_norms(jacobians)).mean(axis=0)).max()


def mean_jacobian(
    jacobians: Float[Array, "time lane state state"], model: AbstractDynamics | None = None
) -> Float[Array, ""]:
    """Return max over lanes of |mean_t J_t|_2."""
    return spectral_norms(jacobians.mean(axis=0)).max()


def largest_jacobian(
    jacobians: Float[Array, "time lane state state"], model: AbstractDynamics | None = None
) -> Float[Array, ""]:
    """Return the largest |J_t|_2 of the batch."""
    return spectral_norms(jacobians).max()


def parameter_bound(
    jacobians: Float[Array, "time lane state state"] | None, model: AbstractDynamics
) -> Float[Array, ""]:
    """Return |A|_2 + |W1|_2 |W2|_2, a bound of |J|_2 in all of state space (W2 = 1 where absent).

    For networks with fields A and W1, W2 (or W) whose units have slopes in [0, 1].

    **Raises:** `ValueError` naming the field a network lacks.
    """
    A = _field(model, "A")
    linear = jnp.abs(A).max() if A.ndim == 1 else spectral_norms(A)
    if hasattr(model, "W1"):
        return linear + spectral_norms(_field(model, "W1").T) * spectral_norms(_field(model, "W2"))
    return linear + spectral_norms(_field(model, "W"))


def _field(model: AbstractDynamics, name: str) -> Array:
    if not hasattr(model, name):
        raise ValueError(
            f"estimator: parameter_bound expects a network with a field {name}, got "
            f"{type(model).__name__}"
        )
    return jnp.asarray(getattr(model, name))


ESTIMATORS = (product_bound, mean_jacobian, largest_jacobian, parameter_bound)
"""Estimates of the growth of Jacobian products (Hess et al. 2023)."""
