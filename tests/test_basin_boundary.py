"""Basin boundaries by bisection, against exact stable manifolds and a plane known beforehand."""

import jax.random as jr
import numpy as np
import pytest
from local_bistable import bistable, coupled, ends, fixed_points
from systems import QUIET
from test_manifolds import distances

import plrjax as plr

KEY = jr.key(0)


def sampled(map, size: float, count: int = 300) -> plr.AttractorSet:
    return plr.basin_sizes(
        map, low=-size, high=size, key=KEY, num_samples=count, num_transient=500, progress=QUIET
    )


@pytest.mark.parametrize("seed", [1187, 1735])
def test_states_are_on_the_stable_manifold_of_the_saddle(seed):
    map = bistable(seed)
    saddle, _ = fixed_points(map)
    exact = plr.stable_manifold(map, saddle, low=-200, high=200, max_steps=60, progress=QUIET)
    known = sampled(map, 3)
    found = plr.basin_boundary(map, known, key=KEY, num_points=40, progress=QUIET)
    assert len(found) == 40 and found.saddle.tolist() == [0] * 40 and found.share.tolist() == [1.0]
    np.testing.assert_allclose(found.saddles[0], saddle.orbit(0), atol=1e-12)
    assert distances(found.points, exact.segments).max() < 1e-11
    assert {*found.sides.ravel().tolist()} == {0, 1}
    states = known.states[:12]
    near = plr.distance_to_boundary(map, known, states, key=KEY, progress=QUIET)
    true = distances(states, exact.segments)
    assert (near.distance >= true * (1 - 1e-9)).all()
    assert np.isclose(near.distance, true, rtol=1e-3).mean() > 0.75
    np.testing.assert_allclose(np.linalg.norm(near.points - states, axis=1), near.distance)


@pytest.mark.parametrize("states", [2, 5, 20])
def test_a_boundary_that_is_a_plane_near_the_saddle(states):
    """Where |z_1| < 1/2 all the way, the boundary is l z = 0, with l the left eigenvector of the
    multiplier 1.8: the distance of a state to it is |l z|."""
    map = coupled(states)
    known = sampled(map, 0.4)
    J = map.A + (map.W1 * [True, False]) @ map.W2
    values, vectors = np.linalg.eig(J.T)
    l = np.real(vectors[:, np.abs(values).argmax()])
    l = l / np.linalg.norm(l)
    assert np.abs(values).max() == pytest.approx(1.8)
    found = plr.basin_boundary(map, known, key=KEY, num_points=30, progress=QUIET)
    assert (found.saddle == 0).all() and found.multiplier == pytest.approx([1.8])
    assert np.abs(found.points @ l).max() < 1e-11
    assert np.abs(np.abs(found.normal @ l) - 1).max() < 1e-9
    start = known.states[:10]
    near = plr.distance_to_boundary(map, known, start, key=KEY, progress=QUIET)
    np.testing.assert_allclose(near.distance, np.abs(start @ l), rtol=1e-6)
    step = 1e-6 * near.normal
    attractors = np.array([known.orbit(0)[0], known.orbit(1)[0]])
    beside = [ends(map, near.points + way, attractors) for way in (step, -step)]
    assert (beside[0] == near.sides[:, 1]).all() and (beside[1] == near.sides[:, 0]).all()


def test_a_result_is_saved_and_printed_and_same_keys_give_the_same(tmp_path):
    map = coupled(3)
    known = sampled(map, 0.4)
    found = plr.basin_boundary(map, known, key=KEY, num_points=9, progress=QUIET)
    assert found == plr.basin_boundary(map, known, key=KEY, num_points=9, progress=QUIET)
    found.save(tmp_path / "boundary.npz")
    assert plr.load(tmp_path / "boundary.npz") == found
    assert "9 states on basin boundaries, of 9 pairs" in str(found)
    assert "fixed point (0) | fixed point (1)" in str(found)


def test_basin_entropy_of_known_pictures():
    """A straight boundary: boxes it halves have ln 2; and a checkerboard in every box."""
    map = coupled(2)
    picture = plr.attractors.basins(
        map, low=[-0.4, -0.4], high=[0.4, 0.4], num=20, key=KEY, num_transient=300, progress=QUIET
    )
    image = picture.image
    expected = []
    for row in range(0, 20, 5):
        for column in range(0, 20, 5):
            p = (image[row : row + 5, column : column + 5] == image[0, 0]).mean()
            expected.append(-sum(x * np.log(x) for x in (p, 1 - p) if x > 0))
    mean, boundary = picture.entropy(5)
    assert mean == pytest.approx(np.mean(expected))
    assert boundary == pytest.approx(np.mean([x for x in expected if x > 0])) and boundary < np.log(
        2
    )
    with pytest.raises(ValueError, match="box: expected at most 20 points"):
        picture.entropy(21)


def test_misuse_names_the_argument():
    map = coupled(2)
    known = sampled(map, 0.4)
    with pytest.raises(ValueError, match="attractors: expected those of a map with 3 states"):
        plr.basin_boundary(coupled(3), known, key=KEY)
    with pytest.raises(ValueError, match="states: expected one row of 2"):
        plr.distance_to_boundary(map, known, [0.1, 0.2], key=KEY)
    alone = plr.find_attractors(map, known.states[known.label == 0], key=KEY, progress=QUIET)
    with pytest.raises(ValueError, match="attractors: expected at least two"):
        plr.basin_boundary(map, alone, key=KEY)
