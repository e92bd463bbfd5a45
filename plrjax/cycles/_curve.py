"""Pivoting along the curve z_{t+1} = F(z_t) + s d_t: from cell to cell, whatever s does.

In a cell (an itinerary) the curve is straight, and where a pre-activation reaches zero it goes on
in the cell with that unit switched (Katzenelson 1965, Bell Syst. Tech. J. 44; Eaves, Scarf 1976,
Math. Oper. Res. 1). Points where several units switch at once are passed as if the offsets d were
joined by an infinitesimal epsilon e, e drawn once (lexicographic rule): no number is perturbed.
"""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._elimination import CyclicSystem
from .._numerics import ROUNDED
from .._piecewise_affine import PiecewiseAffineMap
from .._results import _MessageEnum
from ._degree import row_directions

MOST_BORDERS = 10
"""A start on more switching boundaries is refused: 2^n cells meet there."""


class PATH_END(_MessageEnum):
    """How a curve of solutions ends on one side."""

    ray = 0, "No further switching boundary: the curve runs straight to infinity."
    closed = 1, "The curve came back to its start."
    cap = 2, "The curve goes on: `max_pieces` was reached. Raise it."
    singular = (
        3,
        "The next cell's system is singular to working precision, so the curve cannot be followed "
        "in s there. Follow it from its other side, or along another direction.",
    )


class Ray(NamedTuple):
    """A piece without a second vertex: from its vertex on, s moves by `sign`, z by dz/ds = `slope`.

    **Fields:** `itinerary`: its cell; `sign`: of the change of s away from the vertex; `slope`.
    """

    itinerary: Bool[np.ndarray, "time unit"]
    sign: int
    slope: Float[np.ndarray, "time state"]


class Segment(NamedTuple):
    """The curve in one cell: z = point + (s - s_point) slope + epsilon shift."""

    cell: Bool[np.ndarray, "time unit"]
    s: float
    point: Float[np.ndarray, "time state"]
    slope: Float[np.ndarray, "time state"]
    shift: Float[np.ndarray, "time state"]
    inverse: float


class Hit(NamedTuple):
    """The next boundary: unit i at time t is zero after |s| changed by step; how many were tied."""

    step: float
    time: int
    unit: int
    planes: int


@dataclasses.dataclass
class Leg:
    """One side of a curve, outwards from its start: a piece and the vertex behind it per entry.

    **Fields:** `tail`: the piece behind the last vertex, or the last one known; `signs`: of the
    change of s on each piece; `ties`: number of vertices where several boundaries met.
    """

    tail: Ray
    s: list[float] = dataclasses.field(default_factory=list)
    points: list[np.ndarray] = dataclasses.field(default_factory=list)
    units: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    cells: list[np.ndarray] = dataclasses.field(default_factory=list)
    signs: list[int] = dataclasses.field(default_factory=list)
    end: PATH_END = PATH_END.cap
    ties: int = 0


class Curve:
    """The solutions of z_{t+1} = F(z_t) + s d_t for one map and one d ("time state")."""

    def __init__(self, map: PiecewiseAffineMap, offsets: Float[np.ndarray, "time state"]):
        self.map = map
        self.offsets = offsets
        self.epsilon = np.random.default_rng(7).standard_normal(offsets.shape)
        normals, factors = row_directions(map.W2)
        levels = map.h2 / np.where(factors == 0, 1.0, factors) + 0.0
        planes = np.concatenate([normals, levels[:, None]], axis=1)
        self.plane = np.unique(planes, axis=0, return_inverse=True)[1].reshape(-1)
        self.facing = np.sign(factors)

    def beginning(self, point: Float[np.ndarray, "time state"], s: float) -> tuple[Segment, int]:
        """Return the segment on which a solution lies, and a sign of ds that leads along it.

        **Raises:** `ValueError` for a start whose cell is singular, or that no segment leaves.
        """
        segment = self._settled(point, s)
        blur = self._blur(segment, segment.point, 1.0, abs(segment.s))
        zero = (np.abs(self.map.pre_activations(segment.point)) <= blur) & (self.facing != 0)
        if not zero.any():
            return segment, 1
        borders = sorted({(int(t), int(self.plane[i])) for t, i in np.argwhere(zero)})
        if len(borders) > MOST_BORDERS:
            raise ValueError(
                f"start: expected a point on at most {MOST_BORDERS} switching boundaries, "
                f"got one on {len(borders)}"
            )
        for _ in range(2):
            around = [
                self._segment(self._sided(segment.cell, borders, sides), segment.point, segment.s)
                for sides in itertools.product((1, -1), repeat=len(borders))
            ]
            for sign in (1, -1):
                for piece in around:
                    if piece is not None and self._enters(piece, sign, zero):
                        return piece, sign
            # Along a fold that lies in a boundary there are solutions for one sign of epsilon only.
            self.epsilon = -self.epsilon
        raise ValueError(
            f"start: expected a point that the curve passes, got one on {len(borders)} switching "
            "boundaries that no piece of it leaves"
        )

    def leg(self, first: Segment, sign: int, limit: int) -> Leg:
        """Follow the curve from a segment's point on, with ds of this sign to begin with."""
        leg, here = Leg(Ray(first.cell, sign, first.slope)), first
        for _ in range(limit):
            hit = self._next(here, sign)
            if hit is None:
                leg.end = PATH_END.ray
                return leg
            there = self._beyond(here, sign, hit)
            at = there or here._replace(
                s=here.s + sign * hit.step, point=here.point + sign * hit.step * here.slope
            )
            leg.s.append(at.s)
            leg.points.append(at.point)
            leg.units.append((hit.time, hit.unit))
            leg.cells.append(here.cell)
            leg.signs.append(sign)
            leg.ties += hit.planes > 1
            if there is None:
                leg.end = PATH_END.singular
                return leg
            rate = there.slope[hit.time] @ self.map.W2[hit.unit]
            sign = int(np.sign(rate)) * (1 if there.cell[hit.time, hit.unit] else -1)
            here = there
            leg.tail = Ray(here.cell, sign, here.slope)
            if np.array_equal(here.cell, first.cell):
                leg.end = PATH_END.closed
                return leg
        return leg

    def _segment(self, cell: np.ndarray, point: np.ndarray, s: float) -> Segment | None:
        """Return the curve in a cell next to an approximate solution; None where it is singular."""
        J, c = self.map.affine_piece(cell)
        system = CyclicSystem(J[None])
        defect = c + s * self.offsets + (J @ point[..., None])[..., 0] - np.roll(point, -1, axis=0)
        point = point + system.solve(defect[None])[0]
        slope = system.solve(self.offsets[None])[0]
        shift = system.solve(self.epsilon[None])[0]
        inverse = float(np.abs(shift).max() / np.abs(self.epsilon).max())
        condition = inverse * (1.0 + np.abs(J).sum(axis=2).max())
        finite = np.isfinite(point).all() and np.isfinite(slope).all()
        if not (finite and condition < 1.0 / ROUNDED):
            return None
        return Segment(cell, s, point, slope, shift, inverse)

    def _beyond(self, here: Segment, sign: int, hit: Hit) -> Segment | None:
        """Return the segment behind a boundary, its point exactly on it: s moves along."""
        cell = here.cell.copy()
        cell[hit.time, self.plane == self.plane[hit.unit]] ^= True
        s = here.s + sign * hit.step
        there = self._segment(cell, here.point + sign * hit.step * here.slope, s)
        if there is None:
            return None
        row = self.map.W2[hit.unit]
        rate = there.slope[hit.time] @ row
        if rate == 0:
            return None
        back = -(there.point[hit.time] @ row + self.map.h2[hit.unit]) / rate
        return there._replace(s=there.s + back, point=there.point + back * there.slope)

    def _next(self, here: Segment, sign: int) -> Hit | None:
        """Return the boundary that the curve meets next, the first in epsilon among those tied."""
        if not here.cell.size:
            return None
        side = np.where(here.cell, 1.0, -1.0)
        rate = sign * side * (here.slope @ self.map.W2.T)
        toward = rate < -self._blur(here, here.slope, 0.0, 1.0)
        if not toward.any():
            return None
        speed = np.where(toward, -rate, 1.0)
        distance = np.maximum(side * self.map.pre_activations(here.point), 0.0)
        steps = np.where(toward, distance / speed, np.inf)
        step = steps.min()
        end = here.point + sign * step * here.slope
        blur = self._blur(here, end, 1.0, abs(here.s) + step)
        tied = toward & ((steps == step) | (distance - step * speed <= blur))
        delay = np.where(tied, side * (here.shift @ self.map.W2.T) / speed, np.inf)
        time, unit = np.unravel_index(delay.argmin(), delay.shape)
        planes = {(int(t), int(self.plane[i])) for t, i in np.argwhere(tied)}
        return Hit(float(steps[time, unit]), int(time), int(unit), len(planes))

    def _blur(
        self, here: Segment, z: np.ndarray, constant: float, weight: float
    ) -> Float[np.ndarray, "time unit"]:
        """Return the rounding errors of W2 z + constant h2, z formed with offsets weight d."""
        map = self.map
        forming = np.abs(z) @ np.abs(map.W2).T + constant * np.abs(map.h2)
        size = np.abs(z) @ np.abs(map.A).T + (here.cell * forming) @ np.abs(map.W1).T
        size = size + constant * np.abs(map.h1) + weight * np.abs(self.offsets)
        return ROUNDED * (forming + here.inverse * size.max() * np.abs(map.W2).sum(axis=1))

    def _settled(self, point: np.ndarray, s: float) -> Segment:
        """Return the segment of a start's own cell, the start corrected by Newton steps."""
        for _ in range(4):
            cell = self.map.region_of(point)
            segment = self._segment(cell, point, s)
            if segment is None:
                raise ValueError("start: expected a regular solution, got one in a singular cell")
            y = np.where(cell, 1.0, -1.0) * self.map.pre_activations(segment.point)
            if (y >= -self._blur(segment, segment.point, 1.0, abs(s))).all():
                return segment
            point = segment.point
        raise ValueError(
            "start: expected a solution, got a point whose cell's solution is not in it"
        )

    def _sided(self, cell: np.ndarray, borders: list[tuple[int, int]], sides) -> np.ndarray:
        """Return the cell on the given sides of some boundaries (t, plane)."""
        cell = cell.copy()
        for (t, plane), side in zip(borders, sides):
            members = self.plane == plane
            cell[t, members] = self.facing[members] == side
        return cell

    def _enters(self, piece: Segment, sign: int, zero: np.ndarray) -> bool:
        """Return whether the units that are zero at a segment's point go to their sides in it.

        A unit that stays zero along it must be on its side by epsilon.
        """
        side = np.where(piece.cell, 1.0, -1.0)
        rate = sign * side * (piece.slope @ self.map.W2.T)
        still = np.abs(rate) <= self._blur(piece, piece.slope, 0.0, 1.0)
        inward = np.where(still, side * (piece.shift @ self.map.W2.T), rate) > 0
        return bool(inward[zero].all())
