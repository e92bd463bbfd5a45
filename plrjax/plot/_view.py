"""Which directions of state space are drawn, and how far the view reaches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

_REACH = 1.6
"""A cycle is in view where it lies within so many half-widths of the orbits from their middle."""
_MARGIN = 0.06
"""Room at the rim, as a share of the width."""
_SAME = 1e-6
"""Points that differ by less, relative to the largest, are one."""
_LEAST = 0.05
"""A direction in which orbits hardly move is drawn at least so wide, as a share of the widest."""


class View(NamedTuple):
    """A projection of states: (z - center) @ matrix, and what the axes are called."""

    matrix: Float[np.ndarray, "state axis"]
    center: Float[np.ndarray, " state"]
    labels: tuple[str, ...]

    def of(self, points: Float[np.ndarray, "point state"]) -> Float[np.ndarray, "point axis"]:
        """Return the points as drawn."""
        return (points - self.center) @ self.matrix


def view_of(axes: Any, size: int, points: Float[np.ndarray, "point state"]) -> View:
    """Return the states that are drawn, or the principal components of points.

    **Arguments:** `axes`: two states or three; None: all up to three states, of more the first
    three principal components; "pca": the first two.

    **Raises:** `ValueError` for axes the state space does not have.
    """
    if axes is None and size > 3 or isinstance(axes, str) and axes == "pca" and size > 1:
        number = 3 if axes is None else 2
        if _spread(points):
            return principal_view(points, number)
        axes = range(number)
    chosen = tuple(range(min(size, 3))) if axes is None or size == 1 else _checked(axes, size)
    labels = tuple(f"state $z_{{{axis + 1}}}$" for axis in chosen)
    return View(np.eye(size)[:, list(chosen)], np.zeros(size), labels)


def principal_view(points: Float[np.ndarray, "point state"], number: int) -> View:
    """Return the directions of the largest variance, each with its share of it."""
    center = points.mean(axis=0)
    _, values, rows = np.linalg.svd(points - center, full_matrices=False)
    rows = np.concatenate([rows, np.eye(points.shape[1])])[:number] if len(rows) < number else rows
    share = 100 * values**2 / max(float((values**2).sum()), np.finfo(float).tiny)
    share = np.concatenate([share, np.zeros(number)])
    rows = rows[:number] * np.where(rows[:number].sum(axis=1) < 0, -1.0, 1.0)[:, None]
    labels = tuple(f"PC {i + 1} ({share[i]:.0f} %)" for i in range(number))
    return View(rows.T, center, labels)


def _spread(points: Float[np.ndarray, "point state"]) -> bool:
    """Return whether points differ by more than rounding, and so have principal components."""
    return len(points) > 1 and bool((np.ptp(points, axis=0) > _SAME * np.abs(points).max()).any())


def _checked(axes: Any, size: int) -> tuple[int, ...]:
    try:
        chosen = tuple(int(axis) for axis in axes)
    except (TypeError, ValueError):
        chosen = axes
    fits = isinstance(chosen, tuple) and len(chosen) in (2, 3) and len({*chosen}) == len(chosen)
    if not fits or not all(0 <= axis < size for axis in chosen):
        raise ValueError(
            f"axes: expected two or three different states from 0 to {size - 1}, or 'pca', got "
            f"{axes!r}"
        )
    return chosen


class Frame(NamedTuple):
    """The limits of a view, and which cycles are in it."""

    low: Float[np.ndarray, " axis"]
    high: Float[np.ndarray, " axis"]
    near: np.ndarray

    def rim(self, point: Float[np.ndarray, " axis"]) -> tuple[np.ndarray, np.ndarray]:
        """Return where the way from the middle to a point outside leaves the view, and its
        direction, both in units of the half-widths."""
        way = (point - self.middle) / self.half
        return way / np.abs(way).max(), way / np.linalg.norm(way)

    @property
    def middle(self) -> np.ndarray:
        return 0.5 * (self.low + self.high)

    @property
    def half(self) -> np.ndarray:
        return 0.5 * (self.high - self.low)


def frame_of(orbits: Sequence[np.ndarray], cycles: Sequence[np.ndarray]) -> Frame:
    """Return limits that orbits set, "point axis" each, and cycles on or near them, not others.

    Where no orbit moves, half of the cycles set them; without orbits, all cycles.
    """
    clouds = [points for points in orbits if len(points)] or list(cycles)
    if not clouds:
        return Frame(-np.ones(2), np.ones(2), np.zeros(0, bool))
    points = np.concatenate(clouds)
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    if not half.max() > _SAME * np.abs(middle).max():
        away = [float(np.abs(cycle - middle).max()) for cycle in cycles]
        away = [distance for distance in away if distance > _SAME * np.abs(middle).max()]
        half = np.full_like(half, np.median(away) if away else np.abs(middle).max() or 1.0) / _REACH
    half = np.maximum(half, _LEAST * half.max())
    near = np.array([(np.abs(c - middle) <= _REACH * half).all() for c in cycles], bool)
    ends = np.stack([middle - half, middle + half])
    shown = np.concatenate([ends, *(c for c, there in zip(cycles, near) if there)])
    low, high = shown.min(axis=0), shown.max(axis=0)
    margin = _MARGIN * (high - low)
    return Frame(low - margin, high + margin, near)
