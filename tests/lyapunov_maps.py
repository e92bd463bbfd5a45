"""Maps whose Lyapunov exponents are known, for the tests."""

import jax.numpy as jnp
import numpy as np

import plrjax as plr
from plrjax import PiecewiseAffineMap

LN2 = float(np.log(2.0))


def henon(state):
    """Hénon's map with a = 1.4, b = .3 (Hénon 1976): exponents .4193(4), sum ln .3."""
    return jnp.array([1.0 - 1.4 * state[0] ** 2 + state[1], 0.3 * state[0]])


class Logistic(plr.AbstractDynamics):
    """x' = r x (1 - x)."""

    r: np.ndarray

    @property
    def state_size(self) -> int:
        return 1

    def step(self, state, input=None):
        return jnp.asarray(self.r) * state * (1 - state)


class Linear(plr.AbstractDynamics):
    """z' = A z."""

    A: np.ndarray

    @property
    def state_size(self) -> int:
        return self.A.shape[0]

    def step(self, state, input=None):
        return jnp.asarray(self.A) @ state


def skew_tent(p: float) -> PiecewiseAffineMap:
    """Slopes 1/p below 0 and -1/(1-p) above, full: exponent -p ln p - (1-p) ln(1-p)."""
    return PiecewiseAffineMap([[1 / p]], [[-1 / p - 1 / (1 - p)]], [[1.0]], [1.0 - p], [0.0])


def lorenz(state):
    """One RK4 step, dt = .01, of Lorenz (1963): .9059(11), 0, -14.5725 per time unit."""

    def flow(s):
        x, y, z = s[0], s[1], s[2]
        return jnp.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

    dt = 0.01
    a = flow(state)
    b = flow(state + 0.5 * dt * a)
    c = flow(state + 0.5 * dt * b)
    d = flow(state + dt * c)
    return state + dt / 6.0 * (a + 2.0 * b + 2.0 * c + d)


TWO_CYCLE = PiecewiseAffineMap(
    [[0.0, 0.8], [-0.4, 0.2]], [[-1.5], [0.9]], [[1.0, 0.0]], [0.214, 0.0], [0.0]
)
"""Stable 2-cycle with multiplier moduli .537 and .417 (SCYFI's closed-form example)."""


def hidden_lozi(size: int) -> PiecewiseAffineMap:
    """The Lozi map in the last two states; the others (halved, driven) never switch on.

    The unit vectors of the dead units span an invariant subspace: a frame that starts there
    reports ln .5 as the largest exponent.
    """
    draw = np.random.default_rng(0)
    dead = size - 2
    A = np.zeros((size, size))
    A[:dead, :dead] = 0.5 * np.eye(dead)
    A[dead:, dead:] = [[1.7, 1.0], [0.5, 0.0]]
    W1 = np.zeros((size, dead + 1))
    W1[dead, dead] = -3.4
    W1[:dead, dead] = draw.uniform(-1, 1, dead)  # driven by the one live unit
    W1[dead:, :dead] = draw.standard_normal((2, dead))
    W2 = np.zeros((dead + 1, size))
    W2[:dead, :dead] = np.eye(dead)
    W2[dead, dead] = 1.0
    h1 = np.concatenate([np.full(dead, -5.0), [1.0, 0.0]])
    return PiecewiseAffineMap(A, W1, W2, h1, np.zeros(dead + 1))
