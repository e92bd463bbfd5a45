"""Manifolds of two dimensions, against where states run to, and points moved on one by one."""

import numpy as np
import pytest
from local_bistable import bistable, ends, fixed_points
from systems import QUIET

import plrjax as plr


def crossings(polygons, x, y) -> np.ndarray:
    """Return how many polygons each segment from x to y crosses."""
    total, way = np.zeros(len(x), int), y - x
    for corners in polygons:
        normal = np.cross(corners[1:-1] - corners[0], corners[2:] - corners[0]).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (corners[0] - x) @ normal / (way @ normal)
        met = (share > 0) & (share < 1)
        place = x + np.where(met, share, 0.0)[:, None] * way
        for a, b in zip(corners, np.roll(corners, -1, axis=0)):
            met &= np.cross(b - a, place - a) @ normal >= 0
        total += met
    return total


@pytest.mark.parametrize("seed", [836, 1636])
def test_the_boundary_of_basins_in_three_dimensions(seed):
    """2,000 states of the mesh come to the saddle, and states beside them end on different
    attractors; other segments cross the mesh an odd number of times exactly where the ends do."""
    map = bistable(seed, 3)
    saddle, attractors = fixed_points(map)
    mesh = plr.stable_manifold(map, saddle, low=-60, high=60, progress=QUIET)
    assert mesh.dimension == 2 and not mesh.notes and len(mesh) > 50
    draw, polygons = np.random.default_rng(0), mesh.polygons
    chosen = draw.integers(len(polygons), size=2_000)
    weights = [draw.dirichlet(np.ones(len(polygons[k]))) for k in chosen]
    points = np.array([w @ polygons[k] for w, k in zip(weights, chosen)])
    normals = [np.cross(p[1:-1] - p[0], p[2:] - p[0]).sum(axis=0) for p in polygons]
    beside = 1e-5 * np.array([n / np.linalg.norm(n) for n in normals])[chosen]
    assert (
        ends(map, points + beside, attractors) != ends(map, points - beside, attractors)
    ).mean() > 0.999
    z, nearest = points, np.full(len(points), np.inf)
    for _ in range(80):
        nearest = np.minimum(nearest, np.linalg.norm(z - saddle.points[0, 0], axis=1))
        z = map.apply(z)
    assert nearest.max() < 1e-2
    x = draw.uniform(-4, 4, (2_000, 3))
    y = x + draw.normal(0, 0.3, x.shape)
    different = ends(map, x, attractors) != ends(map, y, attractors)
    assert np.array_equal(crossings(polygons, x, y) % 2 == 1, different) and different.sum() > 30


def off_the_mesh(polygons, point) -> float:
    """Return how far a point is from the nearest polygon whose inside it is above."""
    best = np.inf
    for corners in polygons:
        normal = np.cross(corners[1:-1] - corners[0], corners[2:] - corners[0]).sum(axis=0)
        normal = normal / np.linalg.norm(normal)
        height = (point - corners[0]) @ normal
        foot = point - height * normal
        edges = np.roll(corners, -1, axis=0) - corners
        sizes = np.linalg.norm(edges, axis=1)
        inward = np.cross(edges, foot - corners) @ normal / np.maximum(sizes, 1e-300)
        if inward.min() > -1e-9:
            best = min(best, abs(height))
    return best


def test_an_unstable_surface_is_where_points_beside_the_fixed_point_go():
    draw = np.random.default_rng(3)
    turn = np.linalg.qr(draw.standard_normal((3, 3)))[0]
    W1, W2 = 0.4 * draw.standard_normal((3, 5)), draw.standard_normal((5, 3))
    map = plr.PiecewiseAffineMap(
        turn @ np.diag([1.4, -1.25, 0.4]) @ turn.T, W1, W2, np.zeros(3), -1 - draw.random(5)
    )
    found = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    point = found[[int(np.abs(found.points[:, 0]).max(axis=1).argmin())]]
    assert np.abs(point.points).max() < 1e-12 and (np.abs(point.multipliers) > 1).sum() == 2
    mesh = plr.unstable_manifold(map, point, length=580, low=-20, high=20, progress=QUIET)
    assert mesh.dimension == 2 and mesh.measure >= 580 and len(mesh) > 100 and not mesh.notes
    polygons, steps = mesh.polygons, int(mesh.step.max())
    checked = 0
    for way in draw.standard_normal((12, 2)):
        z = 1e-3 * turn[:, :2] @ way / np.linalg.norm(way)
        left = 0  # steps since it left the region of the fixed point
        while left <= steps and np.abs(z).max() < 15:
            assert off_the_mesh(polygons, z) < 1e-9
            checked += left > 0
            left += left > 0 or bool((map.W2 @ z + map.h2 > 0).any())
            z = map.apply(z)
    assert checked > 30


def test_surfaces_are_saved_and_drawn_and_need_a_box(tmp_path):
    import matplotlib.pyplot as plt

    map = bistable(1636, 3)
    saddle, _ = fixed_points(map)
    mesh = plr.stable_manifold(map, saddle, low=-4, high=4, progress=QUIET)
    mesh.save(tmp_path / "mesh.npz")
    assert plr.load(tmp_path / "mesh.npz") == mesh
    assert "10 polygons, area 70.66" in str(mesh)
    with pytest.raises(ValueError, match="segments: these are polygons"):
        _ = mesh.segments
    few = plr.stable_manifold(map, saddle, low=-60, high=60, max_pieces=5, progress=QUIET)
    assert "max_pieces=5 ended it" in few.notes[0]
    ax = plr.plot.manifold(mesh)
    assert ax.name == "3d"
    plt.close("all")
