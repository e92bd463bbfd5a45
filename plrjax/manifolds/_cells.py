"""The linear subregions that meet a box, all of them, and whether the map can be inverted there."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linprog

from .._arguments import checked_whole
from .._host import on_host
from .._numerics import EPS, as_float64
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower

_THIN = 1e-12
"""A cell that a boundary cuts off by less than this share of the box's width is not one."""


class Cells(NamedTuple):
    """Linear subregions that meet a box: `patterns`, and J z + offset, the map on each."""

    patterns: Bool[np.ndarray, "cell unit"]
    J: Float[np.ndarray, "cell state state"]
    offset: Float[np.ndarray, "cell state"]


class Invertibility(NamedTuple):
    """What the determinants of the Jacobians say of a map on a box.

    **Fields:** `num_regions`, linear subregions that meet the box; in how many of them the
    determinant is `positive`, `negative`, or zero within its rounding error (`singular`).
    """

    num_regions: int
    positive: int
    negative: int
    singular: int

    @property
    def folds(self) -> bool:
        """Whether orientation changes, or a direction collapses: then some states have several
        preimages, or none."""
        return bool(self.singular or (self.positive and self.negative))


def cells_of(
    map: PiecewiseAffineMap,
    low: Float[np.ndarray, " state"],
    high: Float[np.ndarray, " state"],
    most: int,
) -> Cells:
    """Return all linear subregions that meet a box, up to rounding.

    Units are added one by one; each cuts the cells that its boundary crosses.

    **Raises:** `ValueError` naming `max_regions` where there are more.
    """
    find = _Polygons if map.state_size == 2 else _Programs
    parts = find(map, low, high)
    for unit in range(map.num_units):
        parts.cut(unit)
        if len(parts) > most:
            raise ValueError(
                f"max_regions: more than {most} linear subregions meet the box after {unit + 1} of "
                f"{map.num_units} units; allow more, or take a smaller box"
            )
    patterns = np.array(parts.patterns, bool).reshape(-1, map.num_units)
    J = map.A + np.einsum("mh,ch,hn->cmn", map.W1, patterns.astype(float), map.W2)
    offset = map.h1 + (patterns * map.h2) @ map.W1.T
    return Cells(patterns, J, offset)


class _Polygons:
    """Cells of a rectangle, as the corners of convex polygons."""

    def __init__(self, map: PiecewiseAffineMap, low: np.ndarray, high: np.ndarray):
        self.map, self.thin = map, _THIN * float((high - low).max())
        corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]]])
        self.polygons = [np.concatenate([corners, [[low[0], high[1]]]])]
        self.patterns: list[list[bool]] = [[]]

    def __len__(self) -> int:
        return len(self.patterns)

    def cut(self, unit: int) -> None:
        """Cut every cell that the boundary of a unit crosses."""
        normal, offset = self.map.W2[unit], self.map.h2[unit]
        size = float(np.linalg.norm(normal))
        polygons, patterns = [], []
        for polygon, pattern in zip(self.polygons, self.patterns):
            value = polygon @ normal + offset
            low, high = value.min(), value.max()
            if low >= -self.thin * size or high <= self.thin * size:
                polygons.append(polygon)
                patterns.append([*pattern, bool(high > self.thin * size)])
                continue
            for on in (False, True):
                polygons.append(half(polygon, value if on else -value))
                patterns.append([*pattern, on])
        self.polygons, self.patterns = polygons, patterns


def half(polygon: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the part of a convex polygon where a value at its corners is not negative."""
    corners = []
    for a, b, x, y in zip(polygon, np.roll(polygon, -1, axis=0), value, np.roll(value, -1)):
        if x >= 0:
            corners.append(a)
        if x * y < 0:
            corners.append(a + (b - a) * (x / (x - y)))
    return np.array(corners)


class _Programs:
    """Cells of a box in any number of dimensions, told apart by linear programs."""

    def __init__(self, map: PiecewiseAffineMap, low: np.ndarray, high: np.ndarray):
        self.map, self.bounds = map, list(zip(low.tolist(), high.tolist()))
        self.thin = _THIN * float((high - low).max())
        self.patterns: list[list[bool]] = [[]]

    def __len__(self) -> int:
        return len(self.patterns)

    def cut(self, unit: int) -> None:
        """Cut every cell that the boundary of a unit crosses."""
        patterns = []
        for pattern in self.patterns:
            low, high = (self._extreme(pattern, unit, way) for way in (1.0, -1.0))
            thin = self.thin * float(np.linalg.norm(self.map.W2[unit]))
            patterns += [[*pattern, False]] if low < -thin or high <= thin else []
            patterns += [[*pattern, True]] if high > thin else []
        self.patterns = patterns

    def _extreme(self, pattern: list[bool], unit: int, way: float) -> float:
        """Return the least (1) or the largest (-1) pre-activation of a unit over a cell."""
        sign = np.where(np.array(pattern, bool), -1.0, 1.0)
        W2, h2 = self.map.W2[: len(pattern)], self.map.h2[: len(pattern)]
        found = linprog(
            way * self.map.W2[unit],
            A_ub=sign[:, None] * W2 if len(pattern) else None,
            b_ub=-sign * h2 if len(pattern) else None,
            bounds=self.bounds,
        )
        value = way * found.fun if found.status == 0 else 0.0
        return float(value + self.map.h2[unit])


def box_of(low: Any, high: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a box; a number stands for all states.

    **Raises:** `ValueError` naming the argument.
    """
    ends = [as_float64(name, value) for name, value in (("low", low), ("high", high))]
    for name, end in zip(("low", "high"), ends):
        if end.ndim > 1 or (end.ndim == 1 and len(end) != size):
            raise ValueError(f"{name}: expected a number or {size} of them, got shape {end.shape}")
    found = [np.full(size, end) if end.ndim == 0 else end for end in ends]
    if not (found[0] < found[1]).all():
        raise ValueError(f"high: expected numbers above low, got {found[1]} and {found[0]}")
    return found[0], found[1]


@on_host()
def invertibility(
    model: AbstractPLRNN, *, low: Any, high: Any, max_regions: int = 20_000
) -> Invertibility:
    """Say whether a map can be inverted on a box: signs of det DF over all regions that meet it.

    ```python
    plr.invertibility(model, low=-3, high=3).folds  # True: some states have several preimages
    ```

    **Arguments:** `low`, `high`: corners of the box, numbers for all states or one for each;
    `max_regions`: more linear subregions are an error.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    ends = box_of(low, high, map.state_size)
    cells = cells_of(map, *ends, checked_whole("max_regions", max_regions, 1))
    sign, log = np.linalg.slogdet(cells.J)
    norm = np.log(np.maximum(np.abs(cells.J).sum(axis=2).max(axis=1), np.finfo(float).tiny))
    size = map.state_size
    zero = (sign == 0) | (log < np.log(size * EPS) + size * norm)
    return Invertibility(
        len(sign), int(((sign > 0) & ~zero).sum()), int(((sign < 0) & ~zero).sum()), int(zero.sum())
    )
