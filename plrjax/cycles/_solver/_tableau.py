"""Linear data of one itinerary that a pivot updates: two forms of the same tableau, lanes first.

`_path_loop` has both once more, for one tableau at a time on a CPU.

On the curve of solutions of z_{t+1} = F(z_t) + s r_t the pre-activations inside one cell (one
itinerary D) are y(s) = y_c + s y_r. A tableau holds these two columns, and what turns them into
those of the neighbouring cell across the switching boundary of one unit: a rank-one update
(principal pivot; Katzenelson 1965; Cottle, Pang, Stone 1992, ch. 4).
"""

import abc
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..._piecewise_affine import PiecewiseAffineMap
from ._schur import ReducedSystem

Either = Array | np.ndarray
"""On the device or on the host."""


class Pivot(NamedTuple):
    """Column and row of the unit to flip, and the response of the unit to itself."""

    column: Float[Array, "lane unknown"]
    row: Float[Array, "lane width"]
    own: Float[Array, " lane"]


class AbstractTableau(abc.ABC):
    """One form of tableau; the arrays of the problem come as `data`, a pytree."""

    @abc.abstractmethod
    def fresh(
        self, data: Any, region: Bool[Array, "lane unit"], direction: Float[Array, "lane unknown"]
    ) -> Float[Array, "lane unknown width"]:
        """Return the tableau of each lane's cell by a direct solve."""

    @abc.abstractmethod
    def levels(
        self, data: Any, tableau: Float[Array, "lane unknown width"]
    ) -> tuple[Float[Array, "lane unit"], Float[Array, "lane unit"]]:
        """Return y_c and y_r."""

    @abc.abstractmethod
    def pivot(
        self, data: Any, tableau: Float[Array, "lane unknown width"], unit: Int[Array, " lane"]
    ) -> Pivot:
        """Return what the flip of one unit per lane needs."""


def updated(tableau: Array, pivot: Pivot, factor: Float[Array, " lane"]) -> Array:
    """Return T + factor * column row^T: one fused pass over the memory."""
    return tableau + (factor[:, None] * pivot.column)[:, :, None] * pivot.row[:, None, :]


class UnitData(NamedTuple):
    """The reduced system y = B relu(y) + c."""

    B: Float[Either, "unit unit"]
    c: Float[Either, " unit"]


class UnitTableau(AbstractTableau):
    """T = (I - B D)^-1 [B | c | r], N x (N + 2) for N = k H units: 2 N^2 flops a pivot."""

    def fresh(self, data: UnitData, region, direction):
        units = region.shape[1]
        system = jnp.eye(units) - data.B * region[:, None, :]
        right = jnp.broadcast_to(data.B, system.shape)
        c = jnp.broadcast_to(data.c, direction.shape)
        right = jnp.concatenate([right, c[:, :, None], direction[:, :, None]], axis=2)
        return jnp.linalg.solve(system, right)

    def levels(self, data: UnitData, tableau):
        del data
        return tableau[:, :, -2], tableau[:, :, -1]

    def pivot(self, data: UnitData, tableau, unit):
        del data
        row = jnp.take_along_axis(tableau, unit[:, None, None], axis=1)[:, 0]
        column = jnp.take_along_axis(tableau, unit[:, None, None], axis=2)[:, :, 0]
        own = jnp.take_along_axis(row, unit[:, None], axis=1)[:, 0]
        return Pivot(column, row, own)


class StateData(NamedTuple):
    """The map, as the cyclic system z_{t+1} = F(z_t) + s r_t sees it, and the nudge of the units.

    **Fields:** `nudge`: the pre-activations move by s times this tiny vector, so that no two units
    reach zero together; `following`: the step after each step (itself for those that only fill up
    the shape); `live`: 1, and 0 for the latter.
    """

    A: Float[Either, "state state"]
    W1: Float[Either, "state unit"]
    W2: Float[Either, "unit state"]
    h1: Float[Either, " state"]
    h2: Float[Either, " unit"]
    nudge: Float[Either, "time unit"]
    following: Int[Either, " time"]
    live: Float[Either, " time"]


class StateTableau(AbstractTableau):
    """[X | z_c | z_r] with X the inverse of the cyclic system, kM x (kM + 2).

    It needs no I - A^k and is the smaller one where there are many more units than states.
    """

    def fresh(self, data: StateData, region, direction):
        lanes = region.shape[0]
        period, units = data.nudge.shape
        size = data.h1.shape[0]
        D = region.reshape(lanes, period, units).astype(data.A.dtype)
        J = data.A + jnp.einsum("iu,ltu,uj->ltij", data.W1, D, data.W2)
        J = J * data.live[:, None, None]
        system = jnp.zeros((lanes, period, size, period, size))
        here = jnp.arange(period)
        system = system.at[:, here, :, data.following, :].add(jnp.eye(size))
        system = system.at[:, here, :, here, :].add(-jnp.moveaxis(J, 1, 0))
        system = system.reshape(lanes, period * size, period * size)
        offset = (data.h1 + (D * data.h2) @ data.W1.T) * data.live[:, None]
        moved = direction + ((D * data.nudge) @ data.W1.T).reshape(direction.shape)
        eye = jnp.broadcast_to(jnp.eye(period * size), system.shape)
        columns = [eye, offset.reshape(lanes, -1, 1), moved[:, :, None]]
        return jnp.linalg.solve(system, jnp.concatenate(columns, axis=2))

    def levels(self, data: StateData, tableau):
        period, units = data.nudge.shape
        lanes = tableau.shape[0]
        states = tableau[:, :, -2:].reshape(lanes, period, -1, 2)
        y = jnp.einsum("uj,ltjc->ltuc", data.W2, states).reshape(lanes, period * units, 2)
        yc = y[:, :, 0] + jnp.tile(data.h2, period)
        return yc, y[:, :, 1] + data.nudge.reshape(-1)

    def pivot(self, data: StateData, tableau, unit):
        period, units = data.nudge.shape
        lanes, unknowns = tableau.shape[:2]
        size = unknowns // period
        time, which = unit // units, unit % units
        into, out = data.W1.T[which], data.W2[which]
        blocks = tableau[:, :, :unknowns].reshape(lanes, unknowns, period, size)
        block = jnp.take_along_axis(blocks, time[:, None, None, None], axis=2)[:, :, 0]
        column = jnp.sum(block * into[:, None, :], axis=2)
        rows = tableau.reshape(lanes, period, size, unknowns + 2)
        rows = jnp.take_along_axis(rows, time[:, None, None, None], axis=1)[:, 0]
        row = jnp.sum(rows * out[:, :, None], axis=1)
        row = row.at[:, -2].add(data.h2[which])
        row = row.at[:, -1].add(data.nudge.reshape(-1)[unit])
        mine = jnp.take_along_axis(
            column.reshape(lanes, period, size), time[:, None, None], axis=1
        )[:, 0]
        return Pivot(column, row, jnp.sum(mine * out, axis=1))


def unit_data(system: ReducedSystem, units: int) -> UnitData:
    """Return the reduced system, filled up to `units` with units that are always off."""
    more = units - len(system.c)
    B = np.pad(system.B, ((0, more), (0, more)))
    return UnitData(B, np.pad(system.c, (0, more), constant_values=-1.0))


def state_data(
    map: PiecewiseAffineMap, nudge: Float[np.ndarray, "time unit"], steps: int
) -> StateData:
    """Return the map, filled up to `steps` time steps."""
    period = len(nudge)
    nudge = np.pad(nudge, ((0, steps - period), (0, 0)))
    number = np.arange(steps)
    following = np.where(number < period, (number + 1) % period, number)
    live = (number < period).astype(float)
    return StateData(map.A, map.W1, map.W2, map.h1, map.h2, nudge, following, live)
