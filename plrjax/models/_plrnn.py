"""The PLRNN family: networks whose ReLU units sit on the M states themselves."""

from fractions import Fraction

import equinox as eqx
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


def _draw(key: PRNGKeyArray, state_size: int) -> tuple[Array, Array, Array]:
    """Draw (A, W, h): A the diagonal of K/lambda_max(K), W the rest of it, h = 0."""
    check_size("state_size", state_size)
    K = positive_definite(key, state_size)
    A = jnp.diag(K)
    return A, K - jnp.diag(A), jnp.zeros(state_size)


class PLRNN(AbstractFormula):
    """z' = A z + W relu(z) + h + C s (Durstewitz 2017, eq. 1).

    Shapes: `A` M (diagonal) or M x M, `W` M x M, `h` M, `C` M x K or None.

    **Arguments:** `state_size` M, `input_size` K or None, `key` for A = diag(K/lambda_max(K)),
    W = offdiag(K/lambda_max(K)), h = 0.

    **Raises:** `ValueError` if a size is not a positive integer, or for an input without C.
    """

    A: Parameter
    W: Parameter
    h: Parameter
    C: Parameter | None

    affine_in_parameters = True

    def __init__(self, state_size: int, *, key: PRNGKeyArray, input_size: int | None = None):
        keys = jr.split(key, 2)
        self.A, self.W, self.h = _draw(keys[0], state_size)
        self.C = input_matrix(keys[1], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.h.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        return linear(p.A, z) + apply(p.W, relu(z)) + p.h + p.drive

    def canonical(self, input, exact):
        p = exact_operands(self, input, exact)
        return p.A, p.W, p.eye, p.h + p.drive, 0 * p.h


class MeanCenteredPLRNN(AbstractFormula):
    """z' = A z + W relu(z - mean(z)) + h + C s (Brenner et al. 2022, mean-centered PLRNN).

    Shapes, arguments, errors and initialization as `PLRNN`.
    """

    A: Parameter
    W: Parameter
    h: Parameter
    C: Parameter | None

    affine_in_parameters = True

    def __init__(self, state_size: int, *, key: PRNGKeyArray, input_size: int | None = None):
        keys = jr.split(key, 2)
        self.A, self.W, self.h = _draw(keys[0], state_size)
        self.C = input_matrix(keys[1], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.h.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        return linear(p.A, z) + apply(p.W, relu(z - jnp.mean(z))) + p.h + p.drive

    def canonical(self, input, exact):
        p, size = exact_operands(self, input, exact), self.state_size
        centering = p.eye - (Fraction(1, size) if exact else 1.0 / size)
        return p.A, p.W, centering, p.h + p.drive, 0 * p.h


class ThresholdPLRNN(AbstractFormula):
    """z' = A z + W relu(z - h) + C s (Durstewitz 2017, whose thresholds h are not added outside).

    Shapes, arguments, errors and initialization as `PLRNN`, of which it is another network with the
    same arrays.
    """

    A: Parameter
    W: Parameter
    h: Parameter
    C: Parameter | None

    affine_in_parameters = True

    def __init__(self, state_size: int, *, key: PRNGKeyArray, input_size: int | None = None):
        keys = jr.split(key, 2)
        self.A, self.W, self.h = _draw(keys[0], state_size)
        self.C = input_matrix(keys[1], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.h.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        return linear(p.A, z) + apply(p.W, relu(z - p.h)) + p.drive

    def canonical(self, input, exact):
        p = exact_operands(self, input, exact)
        return p.A, p.W, p.eye, 0 * p.h + p.drive, -p.h


def _draw_bases(key, state_size: int, num_bases: int, data_range) -> tuple[Array, Array]:
    """Draw (alpha, thresholds): alpha ~ U(±1/sqrt(B)), thresholds ~ N(0, 1) or U(data_range)."""
    check_size("num_bases", num_bases)
    keys = jr.split(key, 2)
    shape = (num_bases, state_size)
    if data_range is None:
        return uniform(keys[0], (num_bases,), num_bases), jr.normal(keys[1], shape)
    low, high = map(float, data_range)
    if not low < high:
        raise ValueError(f"data_range: expected (min, max) with min < max, got {data_range}")
    thresholds = jr.uniform(keys[1], shape, minval=low, maxval=high)
    return uniform(keys[0], (num_bases,), num_bases), thresholds


class DendriticPLRNN(AbstractFormula):
    """z' = A z + W sum_b alpha_b relu(z - H_b) + h + C s (Brenner et al. 2022, eq. 2).

    Shapes: `A` M or M x M, `W` M x M, `h` M, `alpha` B, `thresholds` B x M (row b is H_b),
    `C` M x K or None.

    **Arguments:** `state_size` M, `num_bases` B, `input_size` K or None, `key`; `data_range`
    (min X, max X) draws the thresholds uniformly there instead of from N(0, 1), which suits an
    identity observation model.

    **Raises:** `ValueError` for a size or range that does not make sense, or an input without C.
    """

    A: Parameter
    W: Parameter
    h: Parameter
    alpha: Parameter
    thresholds: Parameter
    C: Parameter | None

    def __init__(self, state_size: int, num_bases: int, *, key, input_size=None, data_range=None):
        keys = jr.split(key, 3)
        self.A, self.W, self.h = _draw(keys[0], state_size)
        self.alpha, self.thresholds = _draw_bases(keys[1], state_size, num_bases, data_range)
        self.C = input_matrix(keys[2], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.h.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        bases = p.alpha @ relu(z[None, :] - p.thresholds)
        return linear(p.A, z) + apply(p.W, bases) + p.h + p.drive

    def canonical(self, input, exact):
        p = exact_operands(self, input, exact)
        W1 = np.concatenate([a * p.W for a in p.alpha] or [p.W[:, :0]], axis=1)
        W2 = np.tile(p.eye, (len(p.alpha), 1))
        return p.A, W1, W2, p.h + p.drive, -p.thresholds.reshape(-1)


class ClippedDendriticPLRNN(AbstractFormula):
    """z' = A z + W sum_b alpha_b (relu(z - H_b) - relu(z)) + h + C s (Brenner et al. 2022).

    Shapes, arguments, errors and initialization as `DendriticPLRNN`. The terms -relu(z) share
    one block of the canonical form, so that it has (B + 1) M units.
    """

    A: Parameter
    W: Parameter
    h: Parameter
    alpha: Parameter
    thresholds: Parameter
    C: Parameter | None

    def __init__(self, state_size: int, num_bases: int, *, key, input_size=None, data_range=None):
        keys = jr.split(key, 3)
        self.A, self.W, self.h = _draw(keys[0], state_size)
        self.alpha, self.thresholds = _draw_bases(keys[1], state_size, num_bases, data_range)
        self.C = input_matrix(keys[2], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.h.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        bases = p.alpha @ (relu(z[None, :] - p.thresholds) - relu(z)[None, :])
        return linear(p.A, z) + apply(p.W, bases) + p.h + p.drive

    def canonical(self, input, exact):
        p = exact_operands(self, input, exact)
        W1 = np.concatenate([a * p.W for a in p.alpha] + [-p.alpha.sum() * p.W], axis=1)
        W2 = np.tile(p.eye, (len(p.alpha) + 1, 1))
        h2 = np.concatenate([-p.thresholds.reshape(-1), 0 * p.h])
        return p.A, W1, W2, p.h + p.drive, h2


class AlmostLinearRNN(AbstractFormula):
    """z' = A z + W phi(z) + h + C s, phi the identity but relu on the last P states.

    Source: Brenner et al. 2024, eq. 2. Shapes: `A` M or M x M, `W` M x M, `h` M, `C` M x K or
    None; `num_relu` P is a fixed integer, 0 <= P <= M.

    **Arguments:** `state_size` M, `num_relu` P, `input_size` K or None, `key`; initialization as
    `PLRNN`.

    **Raises:** `ValueError` for a size that does not make sense, or an input without C.
    """

    A: Parameter
    W: Parameter
    h: Parameter
    C: Parameter | None
    num_relu: int = eqx.field(static=True)

    affine_in_parameters = True

    def __init__(self, state_size: int, num_relu: int, *, key, input_size: int | None = None):
        keys = jr.split(key, 2)
        self.A, self.W, self.h = _draw(keys[0], state_size)
        self.C = input_matrix(keys[1], state_size, input_size)
        if not isinstance(num_relu, int | np.integer) or not 0 <= num_relu <= state_size:
            raise ValueError(f"num_relu: expected 0 to {state_size}, got {num_relu!r}")
        self.num_relu = int(num_relu)

    @property
    def state_size(self) -> int:
        return self.h.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        first = self.state_size - self.num_relu
        active = jnp.concatenate([z[:first], relu(z[first:])])
        return linear(p.A, z) + apply(p.W, active) + p.h + p.drive

    def canonical(self, input, exact):
        p, first = exact_operands(self, input, exact), self.state_size - self.num_relu
        A = p.A.copy()
        A[:, :first] += p.W[:, :first]
        return A, p.W[:, first:], p.eye[first:], p.h + p.drive, 0 * p.h[first:]


class ReluRNN(AbstractFormula):
    """z' = (1 - leak) z + leak phi(W z + C s + b), phi(x) = x for x > 0 and slope x below.

    A leaky (leak < 1) or plain (leak = 1, slope = 0) ReLU network. Shapes: `W` M x M, `b` M,
    `leak` and `slope` scalars, `C` M x K or None (the input acts inside phi).

    **Arguments:** `state_size` M, `leak`, `slope`, `input_size` K or None, `key` for W and b ~
    U(±1/sqrt(M)).

    **Raises:** `ValueError` if a size is not a positive integer, or for an input without C.
    """

    W: Parameter
    b: Parameter
    leak: Parameter | float
    slope: Parameter | float
    C: Parameter | None

    def __init__(self, state_size: int, *, key, leak=1.0, slope=0.0, input_size=None):
        check_size("state_size", state_size)
        keys = jr.split(key, 3)
        self.W = uniform(keys[0], (state_size, state_size), state_size)
        self.b = uniform(keys[1], (state_size,), state_size)
        self.leak, self.slope = float(leak), float(slope)
        self.C = input_matrix(keys[2], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.b.shape[0]

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        y = apply(p.W, z) + p.drive + p.b
        return (1 - p.leak) * z + p.leak * jnp.where(y > 0, y, p.slope * y)

    def canonical(self, input, exact):
        p = exact_operands(self, input, exact)
        b, leaked = p.b + p.drive, p.leak * p.slope
        A = (1 - p.leak) * p.eye + leaked * p.W
        return A, p.leak * (1 - p.slope) * p.eye, p.W, leaked * b, b
