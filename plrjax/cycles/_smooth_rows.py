"""Roots of F^k(z) = z of a smooth map, told apart by distance, as rows of a `CycleSet`."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from .._results import STABILITY, UNDECIDED_INDEX
from .._stability import classify, cycle_index, floquet_multipliers
from ._descent import jacobians, orbits

_SAME = 1e-7
"""Distance, in units of 1 + |z|, within which two roots are one: Newton steps from both sides end
within 1e-9 of each other up to condition 1e7."""
_SINGULAR = 1e9
"""Condition of DF^k - I from which a root may be one of a continuum, or of several that merge, or
none: far out a saturated gate carries states along, with what it changes lost to rounding."""
_APART = 0.1
"""Distance, in units of 1 + |z|, between members of what may be a continuum that are kept."""


@dataclasses.dataclass
class Roots:
    """Cycles of one minimal period, as they come.

    **Fields:** `cycles`: points of each; `hits`: starts that ended there; `independent`: those of
    them that were not chosen by what was known; `singular`: those of a continuum, or close to it.
    """

    period: int
    cycles: list[np.ndarray] = dataclasses.field(default_factory=list)
    hits: list[int] = dataclasses.field(default_factory=list)
    independent: list[int] = dataclasses.field(default_factory=list)
    singular: list[bool] = dataclasses.field(default_factory=list)
    monodromy: list[np.ndarray] = dataclasses.field(default_factory=list)

    def enter(
        self,
        orbit: Float[np.ndarray, "time state"],
        monodromy: Float[np.ndarray, "state state"],
        singular: bool,
        drawn: bool,
    ) -> bool:
        """Count a root; return whether it is a new cycle, none of a continuum."""
        place = self._place(orbit[0], singular)
        new = place == len(self.cycles)
        if new:
            first = int(np.argmin(orbit[:, 0]))
            self.cycles.append(np.roll(orbit, -first, axis=0))
            for column in (self.hits, self.independent):
                column.append(0)
            self.singular.append(singular)
            self.monodromy.append(monodromy)
        self.hits[place] += 1
        self.independent[place] += drawn
        return new and not singular

    def _place(self, point: np.ndarray, singular: bool) -> int:
        """Return the row of the cycle that a point belongs to, or the next one."""
        if not self.cycles:
            return 0
        away = np.abs(np.stack(self.cycles) - point).max(axis=2).min(axis=1)
        near = np.where(self.singular, _APART if singular else _SAME, _SAME)
        close = np.flatnonzero(away <= near * (1 + np.abs(point).max()))
        return int(close[0]) if len(close) else len(self.cycles)


def index_sum(found: Sequence[Roots], period: int) -> int:
    """Return the sum of sign det(I - DF^k) over the zeros of F^k(z) - z known."""
    total = 0
    for roots in found:
        for monodromy in roots.monodromy if period % roots.period == 0 else ():
            power = np.linalg.matrix_power(monodromy, period // roots.period)
            total += roots.period * int(np.linalg.slogdet(np.eye(len(power)) - power)[0])
    return total


def is_singular(monodromy: Float[np.ndarray, "state state"]) -> bool:
    """Return whether DF^k - I cannot be told from a singular matrix."""
    return condition_of(monodromy) > _SINGULAR


def monodromy_of(parts: Float[np.ndarray, "time state state"]) -> Float[np.ndarray, "state state"]:
    """Return J_k ... J_1."""
    product = parts[0]
    for part in parts[1:]:
        product = part @ product
    return product


def condition_of(monodromy: Float[np.ndarray, "state state"]) -> float:
    """Return the condition of A = P - I, |A^-1| (1 + |A|) in the maximum norm.

    The 1 is that of the states: where F hardly moves them, A is small and nothing is known.
    """
    matrix = monodromy - np.eye(len(monodromy))
    inverse = _inverse(matrix)
    return float(_row_sum(inverse) * (1 + _row_sum(matrix)))


def minimal_period(orbit: Float[np.ndarray, "time state"]) -> int:
    """Return the least d that divides k with F^d(z) = z, within the distance of one root."""
    period, scale = len(orbit), 1 + np.abs(orbit[0]).max()
    divisors = [d for d in range(1, period) if period % d == 0]
    back = (d for d in divisors if np.abs(orbit[d] - orbit[0]).max() <= _SAME * scale)
    return next(back, period)


def row_arrays(model: Any, found: Sequence[Roots], size: int) -> dict[str, Any]:
    """Return the per-cycle fields of a `CycleSet`, sorted by period and first point."""
    listed = [
        (roots.period, tuple(orbit[0]), orbit, hits, singular)
        for roots in found
        for orbit, hits, singular in zip(roots.cycles, roots.hits, roots.singular)
    ]
    listed.sort(key=lambda item: item[:2])
    longest, count = max((item[0] for item in listed), default=0), len(listed)
    points = np.full((count, longest, size), np.nan)
    arrays = {
        "points": points,
        "period": np.array([item[0] for item in listed], np.int32),
        "multipliers": np.zeros((count, size), complex),
        "stability": np.zeros(count, np.int8),
        "index": np.zeros(count, np.int8),
        "itinerary": np.zeros((count, longest, 0), np.uint8),
        "residual": np.zeros(count),
        "error_bound": np.zeros(count),
        "condition": np.zeros(count),
        "margin": np.full(count, np.inf),
        "hits": np.array([item[3] for item in listed], np.int32),
        "verified": np.zeros(count, bool),
        "valid": np.array([not item[4] for item in listed], bool),
    }
    for row, (period, _, orbit, _, singular) in enumerate(listed):
        points[row, :period] = orbit
        for name, value in _facts(model, orbit, singular).items():
            arrays[name][row] = value
    return arrays


def _facts(model: Any, orbit: Float[np.ndarray, "time state"], singular: bool) -> dict[str, Any]:
    """Return residual, error, condition, multipliers and stability of one cycle.

    The error of a multiplier is that of its computation, and its change where points move by their
    own error.
    """
    period = len(orbit)
    image = np.asarray(orbits(model, orbit, 1))[:, 1]
    residual = float(np.abs(image - np.roll(orbit, -1, axis=0)).max())
    parts = np.asarray(jacobians(model, orbit))
    condition = condition_of(monodromy_of(parts))
    error = _error(parts, residual + 4e-16 * (1 + np.abs(orbit).max()))
    values, errors = floquet_multipliers(parts[None])
    if np.isfinite(error):
        moved = orbit + error * np.where(np.arange(orbit.shape[1]) % 2, -1.0, 1.0)
        other, _ = floquet_multipliers(np.asarray(jacobians(model, moved))[None])
        errors = errors + 2 * np.abs(np.abs(other) - np.abs(values))
    stability, index = classify(values, errors)[0], cycle_index(values, errors)[0]
    if singular:
        stability, index = STABILITY.nonhyperbolic, UNDECIDED_INDEX
    return {
        "residual": residual,
        "error_bound": np.inf if singular else error,
        "condition": np.inf if singular else condition,
        "multipliers": values[0],
        "stability": stability,
        "index": index,
        "verified": not singular and period * error <= 0.1 * _SAME * (1 + np.abs(orbit).max()),
    }


def _error(parts: Float[np.ndarray, "time state state"], wrong: float) -> float:
    """Return how far the points may be off, to first order, for an error `wrong` in each step."""
    period, size, _ = parts.shape
    matrix = np.eye(period * size)
    for time, part in enumerate(parts):
        ahead = (time + 1) % period
        rows = slice(ahead * size, (ahead + 1) * size)
        matrix[rows, time * size : (time + 1) * size] -= part
    return float(wrong * _row_sum(_inverse(matrix)))


def _row_sum(matrix: np.ndarray) -> float:
    return np.abs(matrix).sum(axis=1).max()


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse, infinite where there is none."""
    try:
        found = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.inf)
    return np.where(np.isfinite(found), found, np.inf)


def cluster(
    points: Float[np.ndarray, "lane state"], speed: Float[np.ndarray, " lane"], most: int
) -> Bool[np.ndarray, " lane"]:
    """Return which points stand for all: the slowest of those that lie close together."""
    kept = np.zeros(len(points), bool)
    for row in np.argsort(speed, kind="stable"):
        near = _APART * (1 + np.abs(points[row]).max())
        if kept.sum() < most and (np.abs(points[kept] - points[row]).max(axis=1) > near).all():
            kept[row] = True
    return kept
