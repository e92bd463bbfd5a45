"""The curve of all solutions through one solution: F with an offset s d, for every s."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from .._host import on_host
from .._numerics import as_float64, is_positive_whole, quiet_floats
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, balanced, lower
from ._curve import PATH_END as PATH_END
from ._curve import Curve, Leg, Segment
from ._curve import Ray as Ray

TOLERANCE = 1e-8
"""A start may miss its equation by this fraction of the sizes involved."""

CYCLE_TOLERANCE = 1e-12
"""Below this fraction it counts as a cycle of F, at s = 0."""


@dataclasses.dataclass(frozen=True, eq=False)
class Path:
    """A curve of solutions (z_1 ... z_k, s) of z_{t+1} = F(z_t) + s d_t, vertex by vertex.

    Vertices are the start and all points where a unit switches. Where several switching boundaries
    meet there is a vertex for each, with pieces of length zero between them.

    **Fields:**

    - `s`: parameter at each vertex.
    - `points`: states z_1 ... z_k at each vertex.
    - `units`: (t, i), both from 0, of the unit that switches there; (-1, -1) at the start.
    - `itineraries`: regions visited on each piece; piece j joins vertices j and j + 1. A unit that
        is zero all along a piece may be on or off in it.
    - `turning`: vertices where s turns back (folds).
    - `ends`: how the curve ends before its first and behind its last vertex.
    - `rays`: the unbounded pieces there (itinerary, sign of the change of s, dz/ds), where it ends
        in a ray.
    - `num_ties`: number of vertices where several boundaries met.
    """

    s: Float[np.ndarray, " vertex"]
    points: Float[np.ndarray, "vertex time state"]
    units: Int[np.ndarray, "vertex 2"]
    itineraries: Bool[np.ndarray, "piece time unit"]
    turning: Int[np.ndarray, " fold"]
    ends: tuple[PATH_END, PATH_END]
    rays: tuple[Ray | None, Ray | None]
    num_ties: int

    def crossings(self, s: float | int) -> Float[np.ndarray, "crossing time state"]:
        """Return all solutions on the curve at one value of the parameter, in their order on it."""
        points = [self._at(place, s) for place in self._places(s)]
        return np.array(points).reshape(-1, *self.points.shape[1:])

    def itineraries_at(self, s: float | int) -> Bool[np.ndarray, "crossing time unit"]:
        """Return the itineraries of `crossings(s)`; at a vertex, that of one of its two pieces."""
        cells = [self._cell(place) for place in self._places(s)]
        return np.array(cells, bool).reshape(len(cells), *self.itineraries.shape[1:])

    def _places(self, s: float | int) -> list[float]:
        """Return where the parameter is s: j at vertex j, j + 1/2 on piece j (rays: outside)."""
        last = len(self.s) - 1
        places: list[float] = []
        if (before := self.rays[0]) is not None and (s - self.s[0]) * before.sign > 0:
            places.append(-0.5)
        for j in range(last + 1):
            if self.s[j] == s and not self._again(j):
                places.append(float(j))
            if j < last and (self.s[j] < s < self.s[j + 1] or self.s[j] > s > self.s[j + 1]):
                places.append(j + 0.5)
        if (behind := self.rays[1]) is not None and (s - self.s[-1]) * behind.sign > 0:
            places.append(last + 0.5)
        return places

    def _again(self, j: int) -> bool:
        """Return whether vertex j is the same solution as the one before it (or closes the curve).

        Between vertices of equal s there is a piece of length zero.
        """
        closing = self.ends[1] is PATH_END.closed and j == len(self.s) - 1
        return bool(closing or (j > 0 and self.s[j - 1] == self.s[j]))

    def _at(self, place: float, s: float | int) -> np.ndarray:
        """Return the solution at a place."""
        j = int(np.floor(place))
        if place == j:
            return self.points[j]
        if 0 <= j < len(self.itineraries):
            share = (s - self.s[j]) / (self.s[j + 1] - self.s[j])
            return (1.0 - share) * self.points[j] + share * self.points[j + 1]
        ray, end = self.rays[j >= 0], max(j, 0)
        assert ray is not None
        return self.points[end] + (s - self.s[end]) * ray.slope

    def _cell(self, place: float) -> np.ndarray:
        """Return the itinerary of the piece at a place or behind it (else before it)."""
        piece = int(np.floor(place))
        ray = self.rays[piece >= 0]
        if ray is not None and not 0 <= piece < len(self.itineraries):
            return ray.itinerary
        return self.itineraries[min(piece, len(self.itineraries) - 1)]


@on_host()
def follow_path(
    model: AbstractPLRNN,
    direction: Float[np.ndarray, " state"] | Float[np.ndarray, "time state"],
    start: Float[np.ndarray, " state"] | Float[np.ndarray, "time state"],
    *,
    max_pieces: int = 10_000,
) -> Path:
    """Follow the solutions (z_1 ... z_k, s) of z_{t+1} = F(z_t) + s d_t along their curve.

    The cycles of F on it lie at s = 0, and their indices sign det(I - DF^k) alternate along it: a
    cycle's partners of opposite index are met on the way. At folds s turns back. Every cell is
    solved by multiple shooting in float64; nothing is searched for, so one curve need not meet all
    cycles.

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `direction`: d, the same at every time (M), or d_1 ... d_k (k x M), in units of state.
    - `start`: z_1 ... z_k (k x M), or a fixed point (M), that solves the equation for some s, which
        is found by least squares (0 for a cycle).
    - `max_pieces`: number of pieces followed at most, on either side of the start.

    **Returns:** a `Path`, from the end that decreasing s leads to at the start to the other; a
    closed curve from its start to its start.

    **Raises:** `ValueError` naming the argument; for a `start` that is no solution, that lies in a
    cell whose system is singular, or at a corner that no piece of the curve leaves.
    """
    original = lower(model)
    points, offsets = _checked(original, start, direction)
    if not is_positive_whole(max_pieces):
        raise ValueError(f"max_pieces: expected a positive integer, got {max_pieces!r}")
    with quiet_floats():
        s = _parameter(original, points, offsets)
        map, unit = balanced(original)
        curve = Curve(map, offsets / unit)
        first, sign = curve.beginning(points / unit, s)
        ahead = curve.leg(first, sign, max_pieces)
        if ahead.end is PATH_END.closed:
            return _closed(first, ahead, unit)
        return _joined(first, curve.leg(first, -sign, max_pieces), ahead, unit)


def _checked(map: PiecewiseAffineMap, start, direction) -> tuple[np.ndarray, np.ndarray]:
    """Return start and direction as "time state", or say what is wrong with them."""
    size = map.state_size
    points = as_float64("start", start)
    if points.ndim not in (1, 2) or points.shape[-1] != size or not len(points):
        raise ValueError(f"start: expected shape ({size},) or (k, {size}), got {points.shape}")
    points = points.reshape(-1, size)
    offsets = as_float64("direction", direction)
    if offsets.shape not in [(size,), points.shape]:
        raise ValueError(
            f"direction: expected shape ({size},) or {points.shape}, got {offsets.shape}"
        )
    if not offsets.any():
        raise ValueError("direction: expected a vector other than zero, got zero")
    return points, np.broadcast_to(offsets, points.shape)


def _parameter(map: PiecewiseAffineMap, points: np.ndarray, offsets: np.ndarray) -> float:
    """Return s with z_{t+1} - F(z_t) = s d_t by least squares, each state in units of its size."""
    rows = np.abs(points) @ np.abs(map.W2).T + np.abs(map.h2)
    forming = np.abs(points) @ np.abs(map.A).T + (map.region_of(points) * rows) @ np.abs(map.W1).T
    sizes = (forming + np.abs(map.h1) + np.abs(points)).max(axis=0)
    defect = np.roll(points, -1, axis=0) - map.apply(points)
    if (np.abs(defect) <= CYCLE_TOLERANCE * sizes).all():
        return 0.0
    weight = 1.0 / np.where(sizes > 0, sizes, 1.0)
    scale = np.abs(offsets * weight).max()
    d = offsets * weight / scale
    s = float((defect * weight * d).sum() / (d * d).sum() / scale)
    residual = np.abs(defect - s * offsets)
    if not (residual <= TOLERANCE * sizes).all():
        raise ValueError(
            "start: expected a solution of z_{t+1} = F(z_t) + s d_t, "
            f"got residual {residual.max():.3g} for the best s = {s:.3g}"
        )
    return s


def _joined(first: Segment, behind: Leg, ahead: Leg, unit: np.ndarray) -> Path:
    """Put two legs together, the first one reversed."""
    signs = [*(-sign for sign in behind.signs[::-1]), *ahead.signs]
    return _path(
        first,
        unit,
        (behind, ahead),
        s=[*behind.s[::-1], first.s, *ahead.s],
        points=[*behind.points[::-1], first.point, *ahead.points],
        units=[*behind.units[::-1], (-1, -1), *ahead.units],
        cells=[*behind.cells[::-1], *ahead.cells],
        signs=[-behind.tail.sign, *signs, ahead.tail.sign],
    )


def _closed(first: Segment, leg: Leg, unit: np.ndarray) -> Path:
    """Close a leg that came back to its first cell with a piece to the start."""
    return _path(
        first,
        unit,
        (Leg(leg.tail, end=PATH_END.closed), leg),
        s=[first.s, *leg.s, first.s],
        points=[first.point, *leg.points, first.point],
        units=[(-1, -1), *leg.units, (-1, -1)],
        cells=[*leg.cells, first.cell],
        signs=[leg.signs[0], *leg.signs, leg.tail.sign, leg.signs[0]],
    )


def _path(
    first: Segment,
    unit: np.ndarray,
    legs: tuple[Leg, Leg],
    *,
    s: list[float],
    points: list[np.ndarray],
    units: list[tuple[int, int]],
    cells: list[np.ndarray],
    signs: list[int],
) -> Path:
    """Return arrays in the user's units; `signs` are those of ds before and behind each vertex."""
    tails = [leg.tail if leg.end is PATH_END.ray else None for leg in legs]
    rays = [None if tail is None else tail._replace(slope=tail.slope * unit) for tail in tails]
    return Path(
        s=np.array(s),
        points=np.array(points) * unit,
        units=np.array(units),
        itineraries=np.array(cells, bool).reshape(len(cells), *first.cell.shape),
        turning=np.flatnonzero(np.diff(signs)),
        ends=(legs[0].end, legs[1].end),
        rays=(rays[0], rays[1]),
        num_ties=legs[0].ties + legs[1].ties,
    )
