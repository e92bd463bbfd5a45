"""A map, and room for one candidate, as the compiled loops of walks want them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt64

from ..._numerics import ROUNDED, quiet_floats
from ..._piecewise_affine import PiecewiseAffineMap, structure_of
from ._newton_step import unit_marks

MAX_ITERATIONS = 100
"""Iterations that GMRES is given: 11 to 60 is what it takes, and more where units integrate."""

WAYS = ANY, DIRECT, BY_MAPS, KRYLOV, FEW_UNITS = range(5)
"""Ways to solve for a candidate, see `_candidates`: whichever is fastest, and those above."""

_MOST_CELLS = 2**11
"""Cells (t, u) up to which the Green's function is made: 32 MB."""


class Net(NamedTuple):
    """A map: diagonal of A, A transposed (empty: diagonal), rows of W1^T and of W2, h1 and h2.

    W2 is empty where the units are the states. `marks` are random numbers that name itineraries.
    """

    a: Float[np.ndarray, " state"]
    A: Float[np.ndarray, "state state"]
    columns: Float[np.ndarray, "unit state"]
    rows: Float[np.ndarray, "unit state"]
    h1: Float[np.ndarray, " state"]
    h2: Float[np.ndarray, " unit"]
    marks: UInt64[np.ndarray, "time unit"]


class Green(NamedTuple):
    """The periodic Green's function of one period; all is empty where it is not used.

    **Fields:** `K`: row (t, u) is what unit u at time t does to all y; `G`: to z_1; `b`, `z`: y and
    z_1 with all units off; `reach`, `causal`, `base`: y of the orbit through z_1, of what units do
    after it (a row for each unit), and without both.
    """

    K: Float[np.ndarray, "cell cell"]
    G: Float[np.ndarray, "cell state"]
    b: Float[np.ndarray, " cell"]
    z: Float[np.ndarray, " state"]
    reach: Float[np.ndarray, "cell state"]
    causal: Float[np.ndarray, "unit cell"]
    base: Float[np.ndarray, " cell"]


class System(NamedTuple):
    """What an itinerary leaves of a map: the active units `on` of each time, `counts` of them.

    Where A is diagonal and the units are the states, `a`, `h1` and `columns` are those of the units
    that are ever on, and `on` numbers these. `every`: 0, 1, 2 ...
    """

    a: Float[np.ndarray, " state"]
    A: Float[np.ndarray, "state state"]
    columns: Float[np.ndarray, "unit state"]
    rows: Float[np.ndarray, "unit state"]
    h1: Float[np.ndarray, " state"]
    h2: Float[np.ndarray, " unit"]
    on: Int[np.ndarray, "time unit"]
    counts: Int[np.ndarray, " time"]
    every: Int[np.ndarray, " unit"]


class Dense(NamedTuple):
    """Room to multiply out: matrices, rows of W2 and of W1^T, what units read, room for LAPACK."""

    squares: Float[np.ndarray, "3 row column"]
    gathered: Float[np.ndarray, "2 unit state"]
    pushed: Float[np.ndarray, "state unit"]
    pivots: Int[np.ndarray, " row"]
    ints: Int[np.ndarray, "8"]
    reals: Float[np.ndarray, "2"]


class Krylov(NamedTuple):
    """Room for GMRES: basis, triangular factor, rotations and right side, preconditioner."""

    basis: Float[np.ndarray, "vector state"]
    upper: Float[np.ndarray, "row column"]
    turns: Float[np.ndarray, "4 row"]
    scale: Float[np.ndarray, " state"]


class Room(NamedTuple):
    """Room for one candidate.

    **Fields:** `kept`: the units that are ever on; `cells`: active (t, u); `lines`: two states;
    `values`: a number per unit; `z`: the solution; `right`, `levels`: of few units; `mark`: the
    name of the orbit's itinerary; `used`: iterations of the last GMRES; `expected`: how many to
    reckon with.
    """

    system: System
    dense: Dense
    krylov: Krylov
    kept: Int[np.ndarray, " unit"]
    cells: Int[np.ndarray, " cell"]
    lines: Float[np.ndarray, "2 state"]
    values: Float[np.ndarray, " unit"]
    z: Float[np.ndarray, " state"]
    right: Float[np.ndarray, " row"]
    levels: Float[np.ndarray, " cell"]
    mark: UInt64[np.ndarray, "1"]
    used: Int[np.ndarray, "1"]
    expected: Float[np.ndarray, "1"]


Lines = Float[np.ndarray, "2 state"]
Word = UInt8[np.ndarray, "time unit"]
Numbers = Int[np.ndarray, " unit"]
Vector = Float[np.ndarray, " state"]
Gathered = Float[np.ndarray, "2 unit state"]


def net_of(map: PiecewiseAffineMap, period: int) -> Net:
    """Return the map as the loop wants it."""
    diagonal, plain = structure_of(map)
    none = np.zeros((0, 0))
    A, rows = none if diagonal else map.A.T, none if plain else map.W2
    marks, _ = unit_marks(period, map.num_units)
    net = Net(np.diag(map.A), A, map.W1.T, rows, map.h1, map.h2, marks)
    return Net(*(np.array(array, order="C") for array in net))


def green_of(map: PiecewiseAffineMap, net: Net, period: int) -> Green:
    """Return the periodic Green's function, where the active units of an itinerary may be few.

    K_(t,u),(s,v) = W2_v A^((s - t - 1) mod k) (I - A^k)^-1 W1_u is what u at time t does to v at
    s. Empty where it would be large, or where I - A^k is nearly singular: no way of its own then.
    """
    size, cells = map.state_size, period * map.num_units
    none = (np.zeros((0, 0)), np.zeros((0, size)), np.zeros(0), np.zeros(size))
    empty = Green(*none, np.zeros((0, size)), np.zeros((0, 0)), np.zeros(0))
    if (not net.A.size and not net.rows.size) or cells > _MOST_CELLS:
        return empty
    with quiet_floats():
        system = np.eye(size) - np.linalg.matrix_power(map.A, period)
        around = np.eye(size) - map.A
        if not max(_condition(system), _condition(around)) < np.sqrt(1.0 / ROUNDED):
            return empty
        powers, reach, shifts = [np.linalg.solve(system, map.W1)], [map.W2], [np.zeros(size)]
        while len(powers) < period:
            powers.append(map.A @ powers[-1])
            reach.append(reach[-1] @ map.A)
            shifts.append(map.A @ shifts[-1] + map.h1)
        rest = np.linalg.solve(around, map.h1)
    answers = np.stack([map.W2 @ power for power in powers])
    lag = (np.arange(period) - np.arange(period)[:, None] - 1) % period
    K = np.moveaxis(answers[lag], 3, 1).reshape(cells, cells)
    G = np.concatenate([powers[(-t - 1) % period].T for t in range(period)])
    causal = np.concatenate([matrix @ map.W1 for matrix in reach]).T
    base = np.concatenate([map.W2 @ shift + map.h2 for shift in shifts])
    arrays = (
        K,
        G,
        np.tile(map.W2 @ rest + map.h2, period),
        rest,
        np.concatenate(reach),
        causal,
        base,
    )
    return Green(*(np.ascontiguousarray(array) for array in arrays))


def _condition(matrix: np.ndarray) -> float:
    """Return the condition number, infinite where the matrix is not finite."""
    return float(np.linalg.cond(matrix)) if np.isfinite(matrix).all() else np.inf


def room_of(net: Net, green: Green, period: int) -> Room:
    """Return the room for one candidate."""
    size, units, cells = len(net.a), len(net.h2), len(green.b)
    closed, wide = not net.A.size and not net.rows.size, max(size, units)
    side = max(size, min(cells, 2 * size + 64))
    a, h1, columns = net.a, net.h1, net.columns
    if closed:
        a, h1, columns = np.zeros(size), np.zeros(size), np.zeros((size, size))
    active = np.zeros((period, units), np.int64), np.zeros(period, np.int64), np.arange(wide)
    system = System(a, net.A, columns, net.rows, h1, net.h2, *active)
    matrices = np.zeros((3, side, side)), np.zeros((2, units, size)), np.zeros((size, units))
    dense = Dense(*matrices, np.zeros(side, np.int64), np.zeros(8, np.int64), np.zeros(2))
    n = MAX_ITERATIONS + 1
    krylov = Krylov(np.zeros((n, size)), np.zeros((n, n)), np.zeros((4, n)), np.zeros(size))
    numbers = np.zeros(wide, np.int64), np.zeros(max(wide, cells), np.int64)
    vectors = np.zeros((2, size)), np.zeros(wide), np.zeros(size), np.zeros(side), np.zeros(cells)
    told = np.zeros(1, np.uint64), np.zeros(1, np.int64), np.zeros(1)
    return Room(system, dense, krylov, *numbers, *vectors, *told)
