"""From pairs of states to the basin boundary between them, and along it to saddles."""

import numpy as np
from jaxtyping import Float, Int

from .._job import Job
from .._piecewise_affine import PiecewiseAffineMap
from ..attractors._labels import Labels
from ._edges import Edges, Saddles

_ROUNDS = 20
"""How often a pair is bisected again, on its way along the boundary."""
_TURNS = 16
"""How often nearer pieces of the boundary are looked for."""
_BEYOND = 1.2
"""How far a ray along the normal goes, in distances to the plane of the boundary."""


class Search:
    """Pairs from the drawn states to the boundary, and along it to a saddle."""

    def __init__(self, map: PiecewiseAffineMap, labels: Labels, first, second, task: Job):
        self.map, self.labels, self.task = map, labels, task
        self.states, self.tried = first, len(first)
        self.edges = Edges(map, labels, first, second, task)
        self.edges.bisect(np.flatnonzero(self.edges.good))
        self._mark()

    def _mark(self) -> None:
        """Keep what the pairs are now as states on the boundary."""
        edges = self.edges
        self.points = edges.a + 0.5 * (edges.b - edges.a)
        self.sides = np.stack([edges.label_a, edges.label_b], axis=1)
        self.normal = np.full(self.points.shape, np.nan)
        self.saddle = np.full(len(self.points), -1, np.int64)

    def run(self) -> None:
        """Follow all pairs along the boundary."""
        edges, self.saddles = self.edges, Saddles(self.map, self.labels.scale)
        rows = np.flatnonzero(edges.good)
        for number in range(_ROUNDS):
            if not len(rows):
                break
            self.task.check()
            self.task.update(number / _ROUNDS, f"{int((self.saddle >= 0).sum())} at saddles")
            before = edges.a[rows].copy(), edges.b[rows].copy()
            steps = edges.along(rows, self.labels.num_steps)
            if number == 0:
                self.normal[rows] = self._normals(rows, *before, steps)
            at = self.saddles.met(self.labels, before[0], steps)
            self.saddle[rows] = at
            rows = edges.swapped(rows[at < 0])
            edges.bisect(rows)
            rows = rows[edges.good[rows]]

    def _normals(self, rows, a, b, steps) -> Float[np.ndarray, "row state"]:
        """Return unit normals: the direction that separates, led back along the orbit by adjoints.

        The way from a to b grows along the orbit into the direction that leaves the boundary; its
        covector, led back by transposed Jacobians, keeps the tangents of the boundary at zero.
        """
        z, path = a, []
        for _ in range(int(steps.max(initial=0))):
            path.append(self.map.pre_activations(z) > 0)
            z = self.map.apply(z)
        l = self.edges.b[rows] - self.edges.a[rows]
        for step in reversed(range(len(path))):
            earlier = l @ self.map.A + ((l @ self.map.W1) * path[step]) @ self.map.W2
            size = np.linalg.norm(earlier, axis=1, keepdims=True)
            moved = (step < steps)[:, None] & (size > 0)
            l = np.where(moved, earlier / np.where(size > 0, size, 1.0), l)
        size = np.linalg.norm(l, axis=1, keepdims=True)
        l = np.where(size > 0, l / np.where(size > 0, size, 1.0), np.nan)
        return np.where(np.einsum("ij,ij->i", l, b - a)[:, None] < 0, -l, l)

    def nearest(self, num_rays: int, draw: np.random.Generator) -> None:
        """Keep the nearest crossing of each state, and look for nearer ones."""
        self._keep(self._best(num_rays))
        for turn in range(_TURNS):
            self.task.check()
            self.task.update(turn / _TURNS)
            self._nearer(num_rays, draw, 0.5**turn)

    def _best(self, count: int) -> Int[np.ndarray, " row"]:
        """Return the row of the nearest crossing of each state, which has `count` rows."""
        far = np.linalg.norm(self.points - self.states, axis=1)
        far[~self.edges.good] = np.inf
        return far.reshape(-1, count).argmin(axis=1) + np.arange(0, len(far), count)

    def _keep(self, rows: Int[np.ndarray, " row"]) -> None:
        self.states = self.states[rows]
        self.edges.keep(rows)
        self._mark()

    def _nearer(self, num_rays: int, draw: np.random.Generator, spread: float) -> None:
        """Try the ray along the normal, rays to random states that are not farther away, and rays
        that differ from the present one by `spread`."""
        edges, size = self.edges, self.map.state_size
        a, b = edges.a.copy(), edges.b.copy()
        steps = edges.along(np.arange(len(a)), self.labels.num_steps)
        normal = self._normals(np.arange(len(a)), a, b, steps)
        edges.a, edges.b = a, b
        way = self.points - self.states
        far = np.linalg.norm(way, axis=1)[:, None, None]
        rays = draw.standard_normal((len(a), num_rays, size))
        lengths = far * draw.random((len(a), num_rays, 1))
        rays[:, ::2] = way[:, None] + spread * far / np.sqrt(size) * rays[:, ::2]
        lengths[:, ::2] = far
        rays *= lengths / np.linalg.norm(rays, axis=2)[..., None]
        straight = _BEYOND * np.einsum("ij,ij->i", way, normal)[:, None] * normal
        straight = np.where(np.isfinite(straight), straight, 0.0)
        rays = np.concatenate([rays, straight[:, None]], axis=1)
        start = np.repeat(self.states, num_rays + 1, axis=0)
        other = Edges(self.map, self.labels, start, start + rays.reshape(start.shape), self.task)
        other.bisect(np.flatnonzero(other.good))
        self.states = np.concatenate(
            [self.states[:, None], start.reshape(-1, num_rays + 1, size)], 1
        )
        self.states = self.states.reshape(-1, size)
        edges.join(other, num_rays + 1)
        self._mark()
        self._keep(self._best(num_rays + 2))
