"""Where paths start, and how cells of a tableau are read as itineraries."""

import abc
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..._numerics import quiet_floats
from ..._piecewise_affine import PiecewiseAffineMap
from .._seeding import Sample
from ._schur import ReducedSystem, reduced_system_at, regular_reference
from ._tableau import AbstractTableau, StateTableau, UnitTableau, state_data, unit_data

SCALES = (0.3, 1.0, 3.0, 10.0)
"""Gaussian starts lie at these multiples of the typical size of the states."""

NOISE = 0.3
"""Noise on trajectory starts, in the same units."""

NUDGE = 1e-6
"""Random part of every direction, relative: it parts units that would reach zero together."""


DESCENT_SIZE = 40
"""From so many states on, three of four starts of a fixed point first go downhill."""

DESCENT_SCALES = (0.03, 0.1, 0.3)
"""They begin at these multiples of the typical size."""

_SLAB = 16

_PER_UNIT = 20.0
"""Cost of looking for the next boundary, per unit."""

FAR = 1e4
"""Orbits farther out than this, in the same units, run away and are no starts."""


class Table(NamedTuple):
    """Starts on the host: cells, directions, and the parameter s there."""

    region: Bool[np.ndarray, "start unit"]
    direction: Float[np.ndarray, "start unknown"]
    s: Float[np.ndarray, " start"]


def bucket(count: int, least: int) -> int:
    """Return the first of `least` (a power of two) times 1, 1.5, 2, 3, 4, 6, ... not below `count`.

    Problems of several periods then share one compiled program.
    """
    size = least
    while size < count:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def downhill(
    map: PiecewiseAffineMap, states: Float[np.ndarray, "start state"], steps: int = 30
) -> Float[np.ndarray, "start state"]:
    """Return states after some Levenberg-Marquardt steps on |F(z) - z|^2 (Marquardt 1963).

    In many dimensions hardly any curve through a random state meets a solution; curves through
    states that nearly solve the problem do so far more often.
    """
    z, eye = states.copy(), np.eye(map.state_size)
    damping = np.full((len(z), 1, 1), 1e-2)
    f = map.apply(z) - z
    for _ in range(steps):
        J = map.affine_piece(map.region_of(z))[0] - eye
        Jt = np.swapaxes(J, 1, 2)
        size = np.abs(J).max(axis=(1, 2), keepdims=True) ** 2
        step = np.linalg.solve(Jt @ J + (damping * size + 1e-300) * eye, Jt @ f[..., None])[..., 0]
        new = map.apply(z - step) - (z - step)
        better = (new * new).sum(axis=1) < (f * f).sum(axis=1)
        z, f = np.where(better[:, None], z - step, z), np.where(better[:, None], new, f)
        damping = np.clip(np.where(better[:, None, None], damping / 8, damping * 8), 1e-14, 1e14)
    return z


def point_states(
    map: PiecewiseAffineMap,
    sample: Sample,
    period: int,
    count: int,
    first: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, "start time state"]:
    """Return k states per start: Gaussian at several scales, and for k > 1 orbits and noisy ones.

    Kinds take turns by the number of the path, from `first` on.
    """
    size = sample.states.shape[2]
    number = first + np.arange(count)
    noise = generator.standard_normal((count, period, size)) * min(sample.scale, 1e100)
    scale = np.array(SCALES)[(number if period == 1 else number // 3) % len(SCALES)]
    gaussian = noise * scale[:, None, None]
    orbits, time = sample.states.shape[:2]
    orbit = generator.integers(orbits, size=count)
    begin = generator.integers(max(time - period, 1), size=count)
    if period == 1 and size >= DESCENT_SIZE:
        with quiet_floats():
            depth = np.array(DESCENT_SCALES)[number // 4 % len(DESCENT_SCALES)]
            chosen = np.flatnonzero(number % 4 > 0)
            for low in range(0, len(chosen), _SLAB):
                some = chosen[low : low + _SLAB]
                gaussian[some, 0] = downhill(map, noise[some, 0] * depth[some, None])
    if period == 1:
        return gaussian
    rows = np.minimum(begin[:, None] + np.arange(period), time - 1)
    windows = sample.states[orbit[:, None], rows]
    kind = number % 3
    near = np.abs(windows).max(axis=(1, 2)) < FAR * sample.scale
    noisy = windows + np.where(kind == 1, 0.0, NOISE)[:, None, None] * noise
    return np.where(((kind > 0) & near)[:, None, None], noisy, gaussian)


class AbstractForm(abc.ABC):
    """A tableau with what it needs to know about one map and one period.

    **Fields:** `cost`: of a pivot, in floating-point operations.
    """

    tableau: AbstractTableau
    num_unknowns: int
    num_units: int
    cost: float

    @abc.abstractmethod
    def data(self) -> Any:
        """Return the arrays of the problem."""

    @abc.abstractmethod
    def filled_up(self) -> "tuple[Any, int, int]":
        """Return the arrays filled up to a size that several periods share, unknowns, and units."""

    @abc.abstractmethod
    def points(self, states: np.ndarray, generator: np.random.Generator) -> Table:
        """Return starts at states "start time state", where s = 1."""

    @abc.abstractmethod
    def hops(self, words: np.ndarray, scale: float, generator: np.random.Generator) -> Table:
        """Return starts at solutions ("start time unit"), where s = 0, in random directions."""

    @abc.abstractmethod
    def words(self, patterns: Bool[np.ndarray, "word unit"]) -> np.ndarray:
        """Return cells, without the units that only fill up, as itineraries "word time unit"."""


class UnitForm(AbstractForm):
    """Paths of the reduced system y = B relu(y) + c; it must exist (I - A^k regular somewhere)."""

    def __init__(self, map: PiecewiseAffineMap, system: ReducedSystem):
        self.system = system
        self.map = map.rebase(system.reference) if system.reference.any() else map
        self.tableau = UnitTableau()
        self.num_unknowns = self.num_units = len(system.c)
        self.cost = unit_cost(self.num_unknowns)

    def data(self):
        return unit_data(self.system, self.num_units)

    def filled_up(self):
        units = self.num_units if self.system.period == 1 else bucket(self.num_units, 8)
        return unit_data(self.system, units), units, units

    def points(self, states, generator):
        with quiet_floats():
            y = self.map.pre_activations(states).reshape(len(states), -1)
            y = y + NUDGE * self._sizes(y) * generator.standard_normal(y.shape)
            direction = y - np.maximum(y, 0.0) @ self.system.B.T - self.system.c
        return Table(y > 0, direction, np.ones(len(y)))

    def hops(self, words, scale, generator):
        period, size = self.system.period, self.map.state_size
        push = min(scale, 1e100) * generator.standard_normal((len(words), period, size))
        direction = (push @ self.map.W2.T).reshape(len(words), -1)
        noise = generator.standard_normal(direction.shape)
        direction = direction + NUDGE * self._sizes(direction) * noise
        region = (words ^ self.system.reference).reshape(len(words), -1)
        return Table(region, direction, np.zeros(len(words)))

    def words(self, patterns):
        reference = self.system.reference
        return patterns.reshape(len(patterns), -1, len(reference)) ^ reference

    def _sizes(self, y: np.ndarray) -> np.ndarray:
        return np.abs(y).max(axis=1, keepdims=True, initial=self.system.scale)


class StateForm(AbstractForm):
    """Paths of z_{t+1} = F(z_t) + s r_t itself, whatever A."""

    def __init__(self, map: PiecewiseAffineMap, period: int, scale: float = 1.0):
        self.map, self.period = map, period
        self.tableau = StateTableau()
        self.num_unknowns = period * map.state_size
        self.num_units = period * map.num_units
        self.cost = state_cost(map, period)
        rows = np.abs(map.W2).sum(axis=1) * min(scale, 1e100) + np.abs(map.h2)
        noise = np.random.default_rng(17).standard_normal((period, map.num_units))
        self.nudge = NUDGE * np.where(rows > 0, rows, 1.0) * noise

    def data(self):
        return state_data(self.map, self.nudge, self.period)

    def filled_up(self):
        steps = 1 if self.period == 1 else bucket(self.period, 2)
        data = state_data(self.map, self.nudge, steps)
        return data, steps * self.map.state_size, steps * self.map.num_units

    def points(self, states, generator):
        del generator
        with quiet_floats():
            y = self.map.pre_activations(states) + self.nudge
            image = states @ self.map.A.T + np.maximum(y, 0.0) @ self.map.W1.T + self.map.h1
            direction = np.roll(states, -1, axis=1) - image
        count = len(states)
        return Table((y > 0).reshape(count, -1), direction.reshape(count, -1), np.ones(count))

    def hops(self, words, scale, generator):
        unknowns = self.period * self.map.state_size
        direction = min(scale, 1e100) * generator.standard_normal((len(words), unknowns))
        return Table(words.reshape(len(words), -1), direction, np.zeros(len(words)))

    def words(self, patterns):
        return patterns.reshape(len(patterns), self.period, -1)


class Plan(NamedTuple):
    """Which tableau serves a period: its unknowns, and what a pivot costs.

    `reference` is the region whose reflection makes a reduced system regular; without one the
    tableau is that of the states, and so it is where that one is cheaper.
    """

    reference: Bool[np.ndarray, " unit"] | None
    num_unknowns: int
    cost: float


def plan_of(map: PiecewiseAffineMap, period: int) -> Plan:
    """Return the cheaper tableau; that of the states where no reduced system is regular."""
    units, by_state = period * map.num_units, state_cost(map, period)
    reference = None
    if unit_cost(units) <= by_state:
        reference = regular_reference(map, period)
    if reference is None:
        return Plan(None, period * map.state_size, by_state)
    return Plan(reference, units, unit_cost(units))


def unit_cost(unknowns: int) -> float:
    """Return what a pivot of `UnitTableau` costs, in floating-point operations."""
    return 2.0 * unknowns**2 + _PER_UNIT * unknowns


def state_cost(map: PiecewiseAffineMap, steps: int) -> float:
    """Return what a pivot of `StateTableau` costs, in floating-point operations."""
    size, units = map.state_size, map.num_units
    products = 2.0 * (steps * size) ** 2 + 4.0 * steps * size * (units + size)
    return products + _PER_UNIT * steps * units


def form_of(map: PiecewiseAffineMap, period: int, scale: float = 1.0) -> AbstractForm:
    """Return the tableau of `plan_of` for a map with states of a typical size."""
    reference = plan_of(map, period).reference
    if reference is None:
        return StateForm(map, period, scale)
    return UnitForm(map, reduced_system_at(map, period, reference))
