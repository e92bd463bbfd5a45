"""Manifolds of two dimensions: convex polygons in any number of states."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from .._job import Job
from .._piecewise_affine import PiecewiseAffineMap
from ..cycles import CycleSet
from ._cells import Cells, half

_THIN = 1e-11
"""Share of the box's width below which a polygon's width counts as rounding."""
_TURNS = 100_000
"""Turns around the cycle until the piece at the cycle is known, at most."""
_NEAR = 0.1
"""Share of the way to the nearest boundary below which orbits of the piece will not cross any."""


class Mesh(NamedTuple):
    """Polygons, their corners one after the other."""

    corners: Float[np.ndarray, "corner state"]
    sizes: Int[np.ndarray, " polygon"]

    def polygons(self) -> list[np.ndarray]:
        """Return the corners of each."""
        return np.split(self.corners, np.cumsum(self.sizes)[:-1]) if len(self.sizes) else []


def mesh_of(polygons: list[np.ndarray], size: int) -> Mesh:
    """Return a mesh of polygons."""
    corners = np.concatenate([np.zeros((0, size)), *polygons])
    return Mesh(corners, np.array([len(one) for one in polygons], np.int64))


def segments_as_mesh(ends: Float[np.ndarray, "segment 2 state"]) -> Mesh:
    """Return segments as pieces with two corners."""
    return Mesh(ends.reshape(-1, ends.shape[2]), np.full(len(ends), 2, np.int64))


def local_polygons(
    map: PiecewiseAffineMap, orbit: np.ndarray, regions: np.ndarray, box, stable: bool
) -> list[np.ndarray]:
    """Return, at each point of a cycle, the polygon of the plane whose orbits, to the cycle or from
    it, keep the cycle's word for ever, inside the box.

    Signs are looked at turn after turn, until all of it is close to the cycle.
    """
    J = map.affine_piece(regions)[0]
    period, found = len(J), []
    for phase in range(period):
        order = [(phase + n) % period for n in range(period)]
        product = np.eye(map.state_size)
        for at in order:
            product = J[at] @ product
        ordered: Any = scipy.linalg.schur(product, sort="iuc" if stable else "ouc")
        plane = ordered[1][:, :2]
        found.append(_kept(map, orbit, regions, J, plane, order, box, stable))
    return found


def _kept(map, orbit, regions, J, plane, order, box, stable: bool) -> np.ndarray:
    point = orbit[order[0]]
    far = 2.0 * float(np.linalg.norm(box[1] - box[0]))
    square = far * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    polygon = square @ plane.T
    for sign, edge in ((1.0, box[0]), (-1.0, box[1])):
        for m in range(len(point)):
            polygon = half(polygon, sign * (polygon[:, m] + point[m] - edge[m]))
    basis = plane
    steps = [(at, J[at]) for at in order]
    if not stable:  # orbits backwards: by the inverse on the plane, from the point before
        steps = [(at, J[at]) for at in order[::-1]]
    y = map.pre_activations(orbit)
    sign = np.where(regions, 1.0, -1.0)
    for _ in range(_TURNS):
        near = 0.0
        for at, one in steps:
            if not stable:
                basis = np.linalg.lstsq(one, basis, rcond=None)[0]
            rows = map.W2 @ basis
            near = max(near, float((np.abs(polygon @ plane @ rows.T) / np.abs(y[at])).max()))
            slack = sign[at] * (polygon @ plane @ rows.T + y[at])
            for unit in np.flatnonzero((slack < 0).any(axis=0)):
                value = polygon @ plane @ rows[unit] + y[at, unit]
                polygon = half(polygon, sign[at, unit] * value)
            if stable:
                basis = one @ basis
        if near < _NEAR:
            return polygon + point
    raise ValueError(f"cycle: the piece beside it is not known after {_TURNS} turns")


class Passages:
    """The subregions of a box, to lead polygons back through, or forwards."""

    def __init__(self, map: PiecewiseAffineMap, cells: Cells, box, backwards: bool):
        from ._polygon_kernel import MOST, Passage

        count, size = cells.offset.shape
        same, zero = np.tile(np.eye(size), (count, 1, 1)), np.zeros((count, size))
        before, start, after, end = same, zero, cells.J, cells.offset
        if backwards:
            before = np.linalg.inv(cells.J)
            start = -np.einsum("cmn,cn->cm", before, cells.offset)
            after, end = same, zero
        sign = np.where(cells.patterns, 1.0, -1.0)
        thin = _THIN * float((box[1] - box[0]).max())
        arrays = (before, start, after, end, sign, map.W2, map.h2, np.stack(box))
        exact = [np.ascontiguousarray(x, float) for x in arrays]
        self.through = Passage._make([*exact, thin])
        self.most, self.lost = MOST, 0

    def __call__(self, mesh: Mesh, task: Job) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """Return all that comes out, and of each polygon the number of its cell and its source."""
        from ._polygon_kernel import Desk, through_cells

        cells, size = self.through.start.shape
        room = max(4 * cells, 4096)
        work = np.empty((2, self.most, size))
        tables = np.empty((3, room), np.int64)
        desk = Desk(
            work[0], work[1], np.empty(self.most), np.empty((room * self.most, size)),
            tables[0], tables[1], tables[2], np.zeros(3, np.int64),
        )  # fmt: skip
        first = np.concatenate([[0], np.cumsum(mesh.sizes)]).astype(np.int64)
        corners, begin, found = np.ascontiguousarray(mesh.corners), 0, []
        while begin < len(mesh.sizes):
            task.check()
            begin = through_cells(corners, first, begin, self.through, desk)
            pieces, used, lost = desk.counts.tolist()
            self.lost += lost
            parts = (desk.sizes, desk.cells, desk.sources)
            found.append((desk.corners[:used].copy(), *(x[:pieces].copy() for x in parts)))
        none = (np.zeros((0, size)), *np.zeros((3, 0), np.int64))
        out, sizes, cell, source = (np.concatenate(x) for x in zip(none, *found))
        return Mesh(out, sizes), cell, source


class StableSurface:
    """All preimages of the polygons at a cycle."""

    def __init__(self, map: PiecewiseAffineMap, cycle: CycleSet, cells: Cells, box):
        self.regions, self.patterns = cycle.regions(0), cells.patterns
        self.local = local_polygons(map, cycle.orbit(0), self.regions, box, stable=True)
        self.first = mesh_of(self.local, map.state_size)
        self.back = Passages(map, cells, box, backwards=True)
        self.multiplier = _slowest(cycle, stable=True)

    def beyond(self, mesh: Mesh, cell: np.ndarray, source: np.ndarray) -> tuple[Mesh, np.ndarray]:
        """Return the preimages of the polygons at the cycle without these themselves, and which
        point of the cycle each leads to."""
        kept, branch = [], []
        for polygon, number, target in zip(mesh.polygons(), cell, source):
            point = (target - 1) % len(self.regions)
            parts = [polygon]
            if (self.patterns[number] == self.regions[point]).all():
                parts = without(polygon, self.local[point], self.back.through.thin)
            kept += parts
            branch += [target] * len(parts)
        return mesh_of(kept, mesh.corners.shape[1]), np.array(branch, np.int64)


class UnstableSurface:
    """Images of the polygons at a cycle, the newest ones only: they hold all earlier ones."""

    def __init__(self, map: PiecewiseAffineMap, cycle: CycleSet, cells: Cells, box, area: float):
        local = local_polygons(map, cycle.orbit(0), cycle.regions(0), box, stable=False)
        self.mesh, self.area, self.steps = mesh_of(local, map.state_size), area, 0
        self.branch = np.arange(len(local))
        self.forth = Passages(map, cells, box, backwards=False)
        self.multiplier = _slowest(cycle, stable=False)

    def grow(self, max_steps: int, max_pieces: int, task: Job) -> str | None:
        """Map all polygons on until their area is large enough; return what ended it else."""
        for step in range(1, max_steps + 1):
            covered = total_area(self.mesh)
            if covered >= self.area:
                return None
            if len(self.mesh.sizes) > max_pieces:
                return f"max_pieces={max_pieces} ended it at an area of {covered:.6g}"
            task.check()
            task.update(min(1.0, covered / self.area))
            self.mesh, _, source = self.forth(self.mesh, task)
            self.branch, self.steps = self.branch[source], step
        return f"max_steps={max_steps} ended it"

    def all(self) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """Return the polygons, their steps, and the points of the cycle that they come from."""
        return self.mesh, np.full(len(self.mesh.sizes), self.steps), self.branch


def total_area(mesh: Mesh) -> float:
    """Return the area of all polygons together, cut into triangles."""
    owner = np.repeat(np.arange(len(mesh.sizes)), mesh.sizes)
    first = np.repeat(np.cumsum(mesh.sizes) - mesh.sizes, mesh.sizes)
    ways = mesh.corners - mesh.corners[first]
    same = owner[1:] == owner[:-1]
    a, b = ways[:-1][same], ways[1:][same]
    dot = lambda x, y: np.einsum("ij,ij->i", x, y)
    return float(0.5 * np.sqrt(np.maximum(0.0, dot(a, a) * dot(b, b) - dot(a, b) ** 2)).sum())


def _slowest(cycle: CycleSet, stable: bool) -> float:
    """Return the modulus of the multiplier nearest to 1, inside or outside the unit circle."""
    sizes = np.abs(cycle.multipliers[0])
    return float(sizes[sizes < 1].max() if stable else sizes[sizes > 1].min())


def without(polygon: np.ndarray, hole: np.ndarray, thin: float) -> list[np.ndarray]:
    """Return convex parts of a polygon outside another one of the same plane."""
    middle = hole.mean(axis=0)
    parts, rest = [], polygon
    for a, b in zip(hole, np.roll(hole, -1, axis=0)):
        along = b - a
        size = float(along @ along)
        if size <= thin**2:
            continue
        inward = middle - a - along * ((middle - a) @ along / size)
        inward = inward / np.linalg.norm(inward)
        slack = (rest - a) @ inward
        if slack.min() < -thin:
            parts.append(half(rest, -slack))
            rest = half(rest, slack)
        if len(rest) < 3:
            break
    return [part for part in parts if len(part) > 2]
