"""Manifolds, against iterated points, basins on a grid, and enumerated preimages."""

import itertools
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from local_bistable import bistable
from systems import LOZI, QUIET, tent

import plrjax as plr

LOZI_2 = plr.PiecewiseAffineMap([[1.4, 1.0], [0.3, 0.0]], [[-2.8], [0.0]], [[1, 0]], [1, 0], [0])
"""Lozi map with a = 1.4, b = .3."""


def saddles(map, periods) -> plr.CycleSet:
    found = plr.find_cycles(map, periods, solver=plr.Exhaustive(), progress=QUIET)
    return found[found.stability == plr.STABILITY.saddle]


def distances(points, segments) -> np.ndarray:
    """Return the distance of each point to the nearest segment."""
    best = np.full(len(points), np.inf)
    for a, b in segments:
        way = b - a
        share = np.clip((points - a) @ way / max(way @ way, 1e-300), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - share[:, None] * way, axis=1))
    return best


@pytest.mark.parametrize("map", [LOZI, LOZI_2], ids=["a=1.7", "a=1.4"])
@pytest.mark.parametrize("period", [1, 2])
def test_unstable_manifolds_are_where_points_beside_the_cycle_go(map, period):
    """Points very near the cycle, on the unstable direction, moved on one by one."""
    length = 10.0
    for cycle in saddles(map, period):
        found = plr.unstable_manifold(map, cycle, length=length, progress=QUIET)
        assert found.result is plr.RESULTS.successful and not found.notes
        sizes = np.linalg.norm(found.segments[:, 1] - found.segments[:, 0], axis=1)
        branches = np.bincount(found.branch, weights=sizes)
        np.testing.assert_allclose(branches, length, rtol=1e-12)
        assert len(branches) == 2 * period
        product = np.eye(2)
        for region in cycle.regions(0):
            product = (map.A + (map.W1 * region) @ map.W2) @ product
        values, vectors = np.linalg.eig(product)
        way = np.real(vectors[:, np.abs(values).argmax()])
        z = cycle.orbit(0)[0] + np.linspace(-1e-4, 1e-4, 401)[:, None] * way
        while np.ptp(z, axis=0).max() < 0.5:
            for _ in range(period):
                z = map.apply(z)
        assert distances(z, found.segments).max() < 1e-9


@pytest.mark.parametrize("map", [LOZI, LOZI_2], ids=["a=1.7", "a=1.4"])
def test_corners_of_an_unstable_manifold_come_from_the_cycle(map):
    """The Lozi map has an inverse: mapped back, every corner runs into the cycle."""
    for cycle in saddles(map, 1):
        found = plr.unstable_manifold(map, cycle, length=10, progress=QUIET)
        gaps = np.abs(found.segments[1:, 0] - found.segments[:-1, 1]).max(axis=1)
        assert (gaps[np.diff(found.branch) == 0] < 1e-12).all(), "branches are connected"
        z = found.segments.reshape(-1, 2).copy()
        for _ in range(int(found.step.max()) + 8):
            x = z[:, 1] / map.A[1, 0]  # z = (1 - a|x| + y, b x)
            y = z[:, 0] - 1 + map.A[0, 0] * np.abs(x)
            z = np.column_stack([x, y])
        assert np.linalg.norm(z - cycle.orbit(0)[0], axis=1).max() < 0.1


@pytest.mark.parametrize("period", [1, 2])
def test_a_stable_manifold_runs_into_the_cycle(period):
    for cycle in saddles(LOZI, period):
        found = plr.stable_manifold(LOZI, cycle, low=-3, high=3, max_steps=6, progress=QUIET)
        z = found.segments.mean(axis=1)
        for _ in range(int(found.step.max()) + 20 * period):
            z = LOZI.apply(z)
        off = np.linalg.norm(z[:, None] - cycle.orbit(0), axis=2).min(axis=1)
        assert off.max() < 1e-2


def labels(map, attractors, x, y) -> np.ndarray:
    """Return the attractor of every point of a grid, by running to it."""
    z = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    for _ in range(600):
        z = map.apply(z)
    off = np.linalg.norm(z[:, None] - np.array(attractors), axis=2)
    assert off.min(axis=1).max() < 1e-6
    return off.argmin(axis=1).reshape(len(y), len(x))


def disagreements(image: np.ndarray, x, y, segments) -> tuple[int, int]:
    """Return at how many edges of the grid two states are on different sides of the curves by
    their attractors, but not by the number of crossings, or conversely; and of how many."""
    wrong = different = 0
    for rows, levels, places, ends in (
        (image, y, x, segments),
        (image.T, x, y, segments[..., ::-1]),
    ):
        for row, level in zip(rows, levels):
            a, b = ends[:, 0], ends[:, 1]
            hit = (a[:, 1] > level) != (b[:, 1] > level)
            a, b = a[hit], b[hit]
            at = a[:, 0] + (level - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
            number = np.bincount(np.searchsorted(places, at), minlength=len(places) + 1)
            sides = row[1:] != row[:-1]
            wrong += int(((number[1:-1] % 2 == 1) != sides).sum())
            different += int(sides.sum())
    return wrong, different


def check_boundary(seed: int, side: int) -> plr.manifolds.Invertibility:
    map = bistable(seed)
    found = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    stable = np.flatnonzero(found.stability == plr.STABILITY.stable)
    (saddle,) = found[found.stability == plr.STABILITY.saddle]
    middle = found.points[:, 0].mean(axis=0)
    half = 2.5 * np.abs(found.points[:, 0] - middle).max()
    x, y = (np.linspace(c - half, c + half, side) for c in middle)
    low, high = middle.min() - 40 * half, middle.max() + 40 * half
    curves = plr.stable_manifold(map, saddle, low=low, high=high, max_steps=60, progress=QUIET)
    assert not curves.notes
    image = labels(map, found.points[stable, 0], x, y)
    wrong, different = disagreements(image, x, y, curves.segments)
    assert wrong == 0 and different > side / 2
    return plr.invertibility(map, low=middle - half, high=middle + half)


@pytest.mark.parametrize("seed", [1187, 1735, 2466, 3525, 3553])
def test_the_boundary_of_basins_is_the_stable_manifold_of_the_saddle(seed):
    """Between neighbors of a grid the curves are crossed an odd number of times exactly where the
    attractors differ. These maps fold: their basins are in many pieces."""
    assert check_boundary(seed, 100).folds


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1187, 1735, 2466, 3525, 3553])
def test_the_boundary_on_a_fine_grid(seed):
    check_boundary(seed, 1000)


@pytest.mark.parametrize("states, units", [(2, 5), (2, 16), (3, 8), (6, 10)])
def test_preimages_are_those_of_all_regions(states, units):
    draw = np.random.default_rng(units + 1)
    map = plr.PiecewiseAffineMap(
        np.diag(draw.uniform(-0.5, 0.5, states)), draw.standard_normal((states, units)),
        draw.standard_normal((units, states)), draw.standard_normal(states),
        draw.standard_normal(units),
    )  # fmt: skip
    patterns = np.array(list(itertools.product([False, True], repeat=units)))
    J = map.A + np.einsum("mh,ch,hn->cmn", map.W1, patterns.astype(float), map.W2)
    offset = map.h1 + (patterns * map.h2) @ map.W1.T
    several = 0
    for target in [*map.apply(2 * draw.standard_normal((5, states))), np.full(states, 3.0)]:
        z = np.linalg.solve(J, (target - offset)[..., None])[..., 0]
        own = ((z @ map.W2.T + map.h2 > 0) == patterns).all(axis=1)
        found = plr.preimages(map, target, progress=QUIET)
        assert found.coverage.name.startswith("complete")
        order = lambda points: points[np.lexsort(points.T)]
        np.testing.assert_allclose(order(found.points[:, 0]), order(z[own]), atol=1e-9)
        several += len(found) > 1
    assert several


def random_map(states: int) -> plr.PiecewiseAffineMap:
    draw = np.random.default_rng(states)
    W1, W2 = draw.standard_normal((states, 6)), draw.standard_normal((6, states))
    return plr.PiecewiseAffineMap(0.5 * np.eye(states), W1, W2, np.zeros(states), W2 @ W1[:, 0])


def test_regions_of_a_box_are_those_that_points_of_it_are_in():
    for map in (bistable(1735), random_map(2), random_map(3)):
        low, high = -2.0 * np.ones(map.state_size), 2.0 * np.ones(map.state_size)
        cells = plr.manifolds._cells.cells_of(map, low, high, 10_000)
        points = np.random.default_rng(0).uniform(low, high, (50_000, map.state_size))
        seen = np.unique(points @ map.W2.T + map.h2 > 0, axis=0)
        listed = {pattern.tobytes() for pattern in cells.patterns}
        assert {pattern.tobytes() for pattern in seen} <= listed
        assert len(listed) == len(cells.patterns) <= 1.2 * len(seen) + 2
        sign = np.sign(np.linalg.det(cells.J))
        told = plr.invertibility(map, low=-2, high=2)
        assert (told.positive, told.negative) == ((sign > 0).sum(), (sign < 0).sum())


def test_the_tent_map_folds_and_has_two_preimages():
    told = plr.invertibility(tent(1.9), low=-1, high=1)
    assert told == (2, 1, 1, 0) and told.folds
    found = plr.preimages(tent(1.9), [0.05], progress=QUIET)
    np.testing.assert_allclose(np.sort(found.points[:, 0, 0]), [-0.5, 0.5], atol=1e-12)
    assert not len(plr.preimages(tent(1.9), [1.5], progress=QUIET))
    assert not plr.invertibility(LOZI, low=-2, high=2).folds


def test_limits_are_said():
    (cycle, *_) = saddles(LOZI, 1)
    short = plr.unstable_manifold(LOZI, cycle, length=1e6, max_steps=5, progress=QUIET)
    assert "max_steps=5 ended it" in short.notes[0]
    few = plr.unstable_manifold(LOZI, cycle, length=1e9, max_pieces=50, progress=QUIET)
    assert "max_pieces=50 ended it" in few.notes[0]
    boxed = plr.unstable_manifold(LOZI, cycle, length=50, low=-2, high=2, progress=QUIET)
    mapped = boxed.segments[boxed.step > 1]  # the piece at the cycle is as long as it is straight
    assert len(mapped) and (np.abs(mapped) <= 2 + 1e-12).all()
    stopped = plr.stable_manifold(LOZI, cycle, low=-3, high=3, max_steps=2, progress=QUIET)
    assert "max_steps=2 ended it" in stopped.notes[0]


def test_a_result_is_saved_printed_and_drawn(tmp_path):
    import matplotlib.pyplot as plt

    (cycle, *_) = saddles(LOZI, 2)
    found = plr.unstable_manifold(LOZI, cycle, progress=QUIET)
    found.save(tmp_path / "manifold.npz")
    assert plr.load(tmp_path / "manifold.npz") == found
    assert "unstable manifold of a 2-cycle (multiplier -1.74689)" in str(found)
    assert len(found.points) > len(found) and found.points.shape[1] == 2
    ax: Any = plr.plot.manifold(found)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["unstable manifold"]
    with pytest.raises(ValueError, match="axes: expected two or three states from 0 to 1"):
        plr.plot.manifold(found, axes=(0, 2))
    plt.close("all")


def test_misuse_names_the_argument():
    cycles = saddles(LOZI, 1)
    with pytest.raises(ValueError, match="cycle: expected one cycle of a map with 2 states"):
        plr.unstable_manifold(LOZI, cycles)
    with pytest.raises(ValueError, match="length: expected a positive number"):
        plr.unstable_manifold(LOZI, cycles[0], length=0)
    with pytest.raises(ValueError, match="low: expected a box that the cycle is in"):
        plr.stable_manifold(LOZI, cycles[0], low=5, high=6)
    with pytest.raises(ValueError, match="high: expected numbers above low"):
        plr.stable_manifold(LOZI, cycles[0], low=5, high=4)
    with pytest.raises(ValueError, match="max_regions: more than 1 linear subregions"):
        plr.stable_manifold(LOZI, cycles[0], low=-3, high=3, max_regions=1)
    with pytest.raises(ValueError, match="z: expected shape"):
        plr.preimages(LOZI, [1.0])
    map = bistable(2466)
    found = plr.find_cycles(map, 1, key=jr.key(0), progress=QUIET)
    (one, *_) = found[found.stability == plr.STABILITY.stable]
    with pytest.raises(ValueError, match="is a curve or a surface, but 0 of its 2"):
        plr.unstable_manifold(map, one)
