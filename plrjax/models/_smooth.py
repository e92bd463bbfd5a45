"""Smooth networks (no piecewise-affine form): tanh RNN, GRU and LSTM, gates as in Equinox."""

import jax
import jax.numpy as jnp
import jax.random as jr

from .._dynamics import AbstractDynamics, checked_state
from ._common import Parameter, apply, check_size, input_matrix, operands, uniform


@jax.custom_jvp
def sigmoid(x):
    """1 / (1 + e^-x), whose derivative e^-|x| / (1 + e^-|x|)^2 keeps its digits where it is tiny.

    As s (1 - s) it is zero for x > 37, and a Jacobian with such a row is singular.
    """
    return jax.nn.sigmoid(x)


@sigmoid.defjvp
def _(primals, tangents):
    small = jnp.exp(-jnp.abs(primals[0]))
    return sigmoid(*primals), small / (1 + small) ** 2 * tangents[0]


@jax.custom_jvp
def tanh(x):
    """The hyperbolic tangent, whose derivative 4 e^-2|x| / (1 + e^-2|x|)^2 keeps its digits."""
    return jnp.tanh(x)


@tanh.defjvp
def _(primals, tangents):
    small = jnp.exp(-2 * jnp.abs(primals[0]))
    return tanh(*primals), 4 * small / (1 + small) ** 2 * tangents[0]


class TanhRNN(AbstractDynamics):
    """z' = tanh(W z + C s + b) (Elman 1990).

    Shapes: `W` M x M, `b` M, `C` M x K or None.

    **Arguments:** `state_size` M, `input_size` K or None, `key`; W and b ~ U(±1/sqrt(M)).

    **Raises:** `ValueError` if a size is not a positive integer, or for an input without C.
    """

    W: Parameter
    b: Parameter
    C: Parameter | None

    def __init__(self, state_size: int, *, key, input_size: int | None = None):
        check_size("state_size", state_size)
        keys = jr.split(key, 3)
        self.W = uniform(keys[0], (state_size, state_size), state_size)
        self.b = uniform(keys[1], (state_size,), state_size)
        self.C = input_matrix(keys[2], state_size, input_size)

    @property
    def state_size(self) -> int:
        return self.b.shape[0]

    @property
    def is_bounded(self) -> bool:
        return True

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        return tanh(apply(p.W, z) + p.drive + p.b)


def _draw_gates(key, num_gates: int, hidden_size: int, input_size: int | None) -> tuple:
    """Draw (W, b, C) for stacked gates, all ~ U(±1/sqrt(H)) as `equinox.nn` cells do."""
    check_size("hidden_size", hidden_size)
    keys, rows = jr.split(key, 3), num_gates * hidden_size
    W = uniform(keys[0], (rows, hidden_size), hidden_size)
    b = uniform(keys[1], (rows,), hidden_size)
    if input_size is None:
        return W, b, None
    check_size("input_size", input_size)
    return W, b, uniform(keys[2], (rows, input_size), hidden_size)


class GRU(AbstractDynamics):
    """h' = n + u (h - n), the gated recurrent unit (Cho et al. 2014) in the form of `GRUCell`.

    With the 3H rows split in the order r, u, n: r, u = sigmoid(C s + W h + b) and
    n = tanh(C_n s + b_n + r (W_n h + b_candidate)). Shapes: `W` 3H x H, `b` 3H,
    `b_candidate` H, `C` 3H x K or None.

    **Arguments:** `hidden_size` H, `input_size` K or None, `key`; all ~ U(±1/sqrt(H)).

    **Raises:** `ValueError` if a size is not a positive integer, or for an input without C.
    """

    W: Parameter
    b: Parameter
    b_candidate: Parameter
    C: Parameter | None

    def __init__(self, hidden_size: int, *, key, input_size: int | None = None):
        keys = jr.split(key, 2)
        self.W, self.b, self.C = _draw_gates(keys[0], 3, hidden_size, input_size)
        self.b_candidate = uniform(keys[1], (hidden_size,), hidden_size)

    @property
    def state_size(self) -> int:
        return self.b_candidate.shape[0]

    @property
    def is_bounded(self) -> bool:
        return True

    def step(self, state, input=None):
        p, h = operands(self, state, input)
        r, u, n = jnp.split(p.drive + p.b, 3)
        recurrent_r, recurrent_u, recurrent_n = jnp.split(apply(p.W, h), 3)
        r, u = sigmoid(r + recurrent_r), sigmoid(u + recurrent_u)
        n = tanh(n + r * (recurrent_n + p.b_candidate))
        return n + u * (h - n)


class LSTM(AbstractDynamics):
    """c' = f c + i g, h' = o tanh(c'), the long short-term memory; the state is (h, c), 2H long.

    With the 4H rows split in the order i, f, g, o (Hochreiter, Schmidhuber 1997; Gers et al.
    2000): i, f, o = sigmoid(W h + C s + b), g = tanh(W h + C s + b). Shapes: `W` 4H x H, `b` 4H,
    `C` 4H x K or None.

    **Arguments:** `hidden_size` H, `input_size` K or None, `key`; all ~ U(±1/sqrt(H)).

    **Raises:** `ValueError` if a size is not a positive integer, or for an input without C.
    """

    W: Parameter
    b: Parameter
    C: Parameter | None

    def __init__(self, hidden_size: int, *, key, input_size: int | None = None):
        self.W, self.b, self.C = _draw_gates(key, 4, hidden_size, input_size)

    @property
    def state_size(self) -> int:
        return 2 * self.W.shape[1]

    @property
    def is_bounded(self) -> bool:
        return True

    def step(self, state, input=None):
        p, z = operands(self, state, input)
        h, c = jnp.split(z, 2)
        i, f, g, o = jnp.split(apply(p.W, h) + p.drive + p.b, 4)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return jnp.concatenate([sigmoid(o) * tanh(c), c])

    def output(self, state):
        return checked_state(self, state)[: self.W.shape[1]]
