"""Shallow PLRNNs: one hidden layer of H ReLU units between M states and M states."""

from types import SimpleNamespace

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.nn import relu
from jaxtyping import Array, PRNGKeyArray

from .._piecewise_affine import AbstractFormula
from ._common import (
    Parameter,
    apply,
    check_size,
    exact_operands,
    input_matrix,
    linear,
    operands,
    positive_definite,
    uniform,
)


def _draw(key: PRNGKeyArray, state_size: int, hidden_size: int) -> tuple:
    """Draw (A, W1, W2, h1) as the public code of Hess et al. 2023 does."""
    check_size("state_size", state_size)
    check_size("hidden_size", hidden_size)
    keys = jr.split(key, 3)
    A = jnp.diag(positive_definite(keys[0], state_size))
    W1 = uniform(keys[1], (state_size, hidden_size), hidden_size)
    W2 = uniform(keys[2], (hidden_size, state_size), state_size)
    return A, W1, W2, jnp.zeros(state_size)


def _jacobian(p: SimpleNamespace, slopes: Array) -> Array:
    """Return A + W1 diag(slopes) W2 as one product of the slopes with all W1_ij W2_jk.

    Thus the Jacobians of many states are one matrix product.
    """
    pairs = p.W1[:, None, :] * p.W2.T[None, :, :]
    A = jnp.diag(p.A) if p.A.ndim == 1 else p.A
    return A + apply(pairs.reshape(A.size, -1), slopes).reshape(A.shape)


class ShallowPLRNN(AbstractFormula):
    """z' = A z + W1 relu(W2 z + h2) + h1 + C s (Hess et al. 2023, eq. 3).

    Shapes: `A` M (diagonal) or M x M, `W1` M x H, `W2` H x M, `h1` M, `h2` H, `C` M x K or None.

    **Arguments:** `state_size` M, `hidden_size` H, `input_size` K or None, `key` for A =
    diag(K/lambda_max(K)), W1 ~ U(±1/sqrt(H)), W2 ~ U(±1/sqrt(M)), h1 = h2 = 0.

    **Raises:** `ValueError` if a size is not a positive integer, or for an input without C.
    """

    A: Parameter
    W1: Parameter
    W2: Parameter
    h1: Parameter
    h2: Parameter
    C: Parameter | None

    affine_in_parameters = True

    def __init__(self, state_size: int, hidden_size: int, *, key, input_size: int | None = None):
        keys = jr.split(key, 2)
        self.A, self.W1, self.W2, self.h1 = _draw(keys[0], state_size, hidden_size)
        self.h2 = jnp.zeros(hidden_size)
        self.C = input_matrix(keys[1], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.h1.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        return linear(p.A, z) + apply(p.W1, relu(apply(p.W2, z) + p.h2)) + p.h1 + p.drive

    def jacobian(self, state, input=None):
        p, z = operands(self, state, input)
        return _jacobian(p, (apply(p.W2, z) + p.h2 > 0).astype(z.dtype))

    def canonical(self, input, exact):
        p = exact_operands(self, input, exact)
        return p.A, p.W1, p.W2, p.h1 + p.drive, p.h2


class ClippedShallowPLRNN(AbstractFormula):
    """z' = A z + W1 (relu(W2 z + h2) - relu(W2 z)) + h1 + C s (Hess et al. 2023, eq. 5).

    Shapes, arguments and errors as `ShallowPLRNN`; h2 ~ U(±1/sqrt(H)). With max|A| < 1 every
    bounded invariant set lies within |z_i| <= (|h1_i| + sum_j |W1_ij| |h2_j|) / (1 - |A_i|).
    """

    A: Parameter
    W1: Parameter
    W2: Parameter
    h1: Parameter
    h2: Parameter
    C: Parameter | None

    affine_in_parameters = True

    def __init__(self, state_size: int, hidden_size: int, *, key, input_size: int | None = None):
        keys = jr.split(key, 3)
        self.A, self.W1, self.W2, self.h1 = _draw(keys[0], state_size, hidden_size)
        self.h2 = uniform(keys[1], (hidden_size,), hidden_size)
        self.C = input_matrix(keys[2], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.h1.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        y = apply(p.W2, z)
        return linear(p.A, z) + apply(p.W1, relu(y + p.h2) - relu(y)) + p.h1 + p.drive

    def jacobian(self, state, input=None):
        p, z = operands(self, state, input)
        y = apply(p.W2, z)
        return _jacobian(p, (y + p.h2 > 0).astype(z.dtype) - (y > 0).astype(z.dtype))

    def canonical(self, input, exact):
        p = exact_operands(self, input, exact)
        W1 = np.concatenate([p.W1, -p.W1], axis=1)
        W2 = np.concatenate([p.W2, p.W2])
        return p.A, W1, W2, p.h1 + p.drive, np.concatenate([p.h2, 0 * p.h2])
