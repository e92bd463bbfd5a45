"""Basins of attraction: on a grid over two states, and their sizes by sampling."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from .._arguments import checked_key, checked_whole
from .._host import on_host
from .._memory import check_memory
from .._numerics import as_float64
from .._piecewise_affine import AbstractPLRNN, lower
from .._tables import AbstractTabular, Table
from ..cycles._seeding import generator_of
from ._attractor_set import AttractorSet
from ._find import find_attractors

_STARTS = 1
"""Index folded into the key for initial states; tangent vectors are drawn from the key itself."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Basins(AbstractTabular):
    """An `AttractorSet` whose initial states form a grid over two coordinates.

    Nothing else is kept, so a file of it is a file of `attractors`: save that, and build
    `Basins(AttractorSet.load(path), axes)` again.

    **Fields:** `attractors`; `axes`, the two coordinates, the second one upwards.

    **Raises:** `ValueError` where the initial states are no such grid.
    """

    attractors: AttractorSet
    axes: tuple[int, int] = (0, 1)

    def __post_init__(self):
        size = self.attractors.states.shape[1]
        _checked_axes(self.axes, size)
        grid = _grid(self.x, self.y, self.axes, self.attractors.states[0])
        if not np.array_equal(grid, self.attractors.states):
            raise ValueError(
                f"attractors: expected initial states on a grid over states {self.axes}, row by row"
            )

    @property
    def x(self) -> Float[np.ndarray, " x"]:
        """Values of the first coordinate."""
        return np.unique(self.attractors.states[:, self.axes[0]])

    @property
    def y(self) -> Float[np.ndarray, " y"]:
        """Values of the second coordinate."""
        return np.unique(self.attractors.states[:, self.axes[1]])

    @property
    def image(self) -> Int[np.ndarray, "y x"]:
        """Row of the attractor in `attractors` for every grid point; -1 where Ctrl-C came first."""
        return self.attractors.label.reshape(len(self.y), len(self.x))

    def entropy(self, box: int = 5) -> tuple[float, float]:
        """Return the basin entropy and the boundary basin entropy, in nats.

        The mean of -sum p ln p over boxes of `box` x `box` grid points, of all boxes and of those
        that hold more than one attractor (Daza, Wagemakers, Georgeot, Guery-Odelin, Sanjuan 2016);
        of boxes this small, more than ln 2 of the latter means a fractal boundary.

        **Raises:** `ValueError` naming the argument.
        """
        box = checked_whole("box", box, 2)
        if box > min(self.image.shape):
            raise ValueError(f"box: expected at most {min(self.image.shape)} points, got {box}")
        rows, columns = (size // box for size in self.image.shape)
        cut = self.image[: rows * box, : columns * box].reshape(rows, box, columns, box)
        shares = [(cut == row).mean(axis=(1, 3)) for row in np.unique(cut)]
        p = np.array(shares)
        entropies = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=0)
        mixed = entropies > 0
        boundary = float(entropies[mixed].mean()) if mixed.any() else 0.0
        return float(entropies.mean()), boundary

    def _table(self) -> Table:
        where = " and ".join(
            f"z_{axis + 1} in [{values[0]:g}, {values[-1]:g}]"
            for axis, values in zip(self.axes, (self.x, self.y))
        )
        table = self.attractors._table()
        title = f"basins on {len(self.x)} x {len(self.y)} points, {where}"
        return table._replace(above=[title, *table.above])


_STATE_BYTES = 32
"""Of one number of an initial state: itself, its tangent, where its orbit is, and the table."""


@on_host()
def basins(
    model: AbstractPLRNN,
    *,
    low: Sequence[float] | Any,
    high: Sequence[float] | Any,
    key: PRNGKeyArray,
    num: int | tuple[int, int] = 200,
    axes: tuple[int, int] = (0, 1),
    state: Any = None,
    **options: Any,
) -> Basins:
    """Find the basins of attraction on a grid over two states.

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `low`, `high`: ends of the grid, two numbers each, for the two `axes`.
    - `key`: `jax.random.key(seed)`.
    - `num`: grid points per axis, one number or two.
    - `axes`: the two states that vary.
    - `state`: the values of all others, one whole state; by default 0.
    - `options`: those of `find_attractors`.

    **Returns:** `Basins`: an image of rows of an `AttractorSet`.

    **Raises:** `ValueError` naming the argument.
    """
    size = lower(model).state_size
    axes = _checked_axes(axes, size)
    low, high = _checked_box(low, high, 2)
    counts = (num, num) if not isinstance(num, tuple) else num
    if len(counts) != 2:
        raise ValueError(f"num: expected one or two numbers of grid points, got {num!r}")
    counts = [checked_whole("num", count, 2) for count in counts]
    fixed = np.zeros(size) if state is None else as_float64("state", state, (size,))
    check_memory("num", num, _STATE_BYTES * size * counts[0] * counts[1])
    x, y = (np.linspace(*ends) for ends in zip(low, high, counts))
    found = find_attractors(model, _grid(x, y, axes, fixed), key=key, **options)
    return Basins(found, axes)


@on_host()
def basin_sizes(
    model: AbstractPLRNN,
    *,
    key: PRNGKeyArray,
    num_samples: int = 1_000,
    low: Any = None,
    high: Any = None,
    sampler: Callable[[PRNGKeyArray, int], Any] | None = None,
    **options: Any,
) -> AttractorSet:
    """Estimate the share of initial states that each attractor captures, with 95 % intervals.

    Monte Carlo ("basin stability": Menck, Heitzig, Marwan, Kurths 2013): an interval covers what
    was sampled, and a basin of share p is missed by n samples with probability (1 - p)^n.

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `key`: `jax.random.key(seed)`; the same key draws the same states, more with more samples.
    - `num_samples`: number n of initial states.
    - `low`, `high`: corners of a box from which states are drawn uniformly (a number: all states).
    - `sampler`: in their place, a function `(key, num_samples)` that returns states, one per row.
    - `options`: those of `find_attractors`.

    **Returns:** an `AttractorSet`; see `share` and `interval`.

    **Raises:** `ValueError` naming the argument.
    """
    size = lower(model).state_size
    num_samples = checked_whole("num_samples", num_samples, 1)
    check_memory("num_samples", num_samples, _STATE_BYTES * size * num_samples)
    key = checked_key(key)
    if (sampler is None) == (low is None and high is None):
        raise ValueError("sampler: expected either a sampler, or low and high, got both or neither")
    if sampler is not None:
        if not callable(sampler):
            raise ValueError(f"sampler: expected a function (key, num_samples), got {sampler!r}")
        states = sampler(key, num_samples)
    else:
        low, high = _checked_box(low, high, size)
        draw = generator_of(key, _STARTS)
        states = low + (high - low) * draw.random((num_samples, size))
    return find_attractors(model, states, key=key, **options)


def _checked_axes(axes: Any, size: int) -> tuple[int, int]:
    chosen = tuple(axes)
    whole = all(isinstance(axis, int | np.integer) and 0 <= axis < size for axis in chosen)
    if len(chosen) != 2 or not whole or chosen[0] == chosen[1]:
        raise ValueError(f"axes: expected two different states from 0 to {size - 1}, got {chosen}")
    return int(chosen[0]), int(chosen[1])


def _checked_box(low: Any, high: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    ends = []
    for name, value in (("low", low), ("high", high)):
        if value is None:
            raise ValueError(f"{name}: expected a number or {size} of them, got None")
        array = as_float64(name, value)
        ends.append(np.full(size, array) if array.ndim == 0 else as_float64(name, value, (size,)))
    if not (ends[0] < ends[1]).all():
        raise ValueError(f"high: expected numbers above low, got {ends[1]} and {ends[0]}")
    return ends[0], ends[1]


def _grid(x, y, axes: tuple[int, int], fixed: np.ndarray) -> Float[np.ndarray, "point state"]:
    """Return all states of a grid, x fastest."""
    grid = np.tile(fixed, (len(y) * len(x), 1))
    grid[:, axes[0]] = np.tile(x, len(y))
    grid[:, axes[1]] = np.repeat(y, len(x))
    return grid
