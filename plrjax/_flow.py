"""Threshold-linear networks in continuous time, dx/dt = -x + [W x + b]+."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ._numerics import as_float64
from ._piecewise_affine import PiecewiseAffineMap

_TOLERANCE = 1e-10
"""Relative and absolute error of each step of the simulation."""


class ThresholdLinearFlow(eqx.Module):
    """A flow dx/dt = -x + [W x + b]+, no map: threshold-linear and CTLN rate networks.

    Its fixed points are those of the map x' = [W x + b]+, which `find_fixed_points` enumerates;
    their stability is the flow's. Cycles of the flow are not looked for. A neuron is in the support
    of a fixed point where it is active (Curto, Geneson, Morrison 2019).

    **Arguments:** `W`: n x n; `b`: n.

    **Raises:** `ValueError` naming the argument.

    **Example:** `plr.find_fixed_points(plr.ThresholdLinearFlow([[0, -.5], [-.5, 0]], [1, 1]))`.
    """

    W: Float[np.ndarray, "state state"]
    b: Float[np.ndarray, " state"]

    def __init__(self, W: Any, b: Any):
        self.b = as_float64("b", b, ("n",))
        self.W = as_float64("W", W, (len(self.b), len(self.b)))

    @property
    def state_size(self) -> int:
        """Number n of neurons."""
        return len(self.b)

    def velocity(self, state: Float[np.ndarray, " state"]) -> Float[np.ndarray, " state"]:
        """Return dx/dt, per unit of time."""
        return np.maximum(self.W @ state + self.b, 0.0) - state

    def fixed_point_map(self) -> PiecewiseAffineMap:
        """Return x' = [W x + b]+, which has the flow's fixed points, and another stability."""
        eye = np.eye(self.state_size)
        return PiecewiseAffineMap(0 * eye, eye, self.W, 0 * self.b, self.b)

    def simulate(self, state: Any, times: Any) -> Float[np.ndarray, "time state"]:
        """Return x at increasing times, the first of which belongs to `state` (LSODA of SciPy).

        **Raises:** `ValueError` naming the argument; `RuntimeError` where a solution escapes.
        """
        import scipy.integrate  # a tenth of a second, which no other use of this module needs

        start = as_float64("state", state, (self.state_size,))
        ticks = as_float64("times", times, ("T",))
        if len(ticks) < 2 or (np.diff(ticks) <= 0).any():
            raise ValueError("times: expected two increasing numbers at least")
        found = scipy.integrate.solve_ivp(
            lambda _, x: self.velocity(x), ticks[[0, -1]], start, method="LSODA", t_eval=ticks,
            rtol=_TOLERANCE, atol=_TOLERANCE,
        )  # fmt: skip
        if not found.success:
            raise RuntimeError(f"simulate: {found.message}")
        return found.y.T
