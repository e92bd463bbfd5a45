"""Curves through degenerate points: ties, coinciding boundaries, corners, singular cells."""

import inspect

import numpy as np
import pytest
from curves import check_curve, check_signs, distance, doubled, orbits, shifted, skew
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import plrnn_map, random_plrnn, random_shallow

from plrjax import PiecewiseAffineMap
from plrjax.cycles import PATH_END, follow_path


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("factor", [1.0, 8.0])
def test_copies_of_a_unit_switch_together(seed, factor):
    map = random_shallow(seed, 2, 3, 2.5)
    z = np.random.default_rng(seed).standard_normal((2, 2))
    d = np.roll(z, -1, axis=0) - map.apply(z)
    path, copied = follow_path(map, d, z), follow_path(doubled(map, factor), d, z)
    assert copied.num_ties == path.num_ties == 0
    assert np.allclose(copied.s, path.s, rtol=1e-9)
    assert np.allclose(copied.points, path.points, rtol=1e-9, atol=1e-12)
    on = path.itineraries
    assert np.array_equal(copied.itineraries, np.concatenate([on, on, ~on], axis=2))
    assert np.array_equal(copied.turning, path.turning)


@pytest.mark.parametrize("seed", range(6))
def test_nearly_equal_units_are_passed_one_after_the_other(seed):
    """Factors of 1 / 3 and 7: the same boundaries up to rounding, so pieces of length zero."""
    map = random_shallow(seed, 2, 3, 2.5)
    z = np.random.default_rng(seed).standard_normal((1, 2))
    d = z - map.apply(z)
    for factor in (1.0 / 3.0, 7.0):
        path, copied = follow_path(map, d, z), follow_path(doubled(map, factor), d, z)
        check_curve(doubled(map, factor), d, copied)
        assert [end.name for end in copied.ends] == [end.name for end in path.ends]
        for s in (1.0, 0.0, -2.0, 3.0):
            assert len(copied.crossings(s)) == len(path.crossings(s))
            assert distance(copied.crossings(s), path.crossings(s)) <= 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_zero_rows_and_units_of_state_change_nothing(seed):
    base = random_shallow(seed, 2, 3, 2.5)
    z = np.random.default_rng(seed).standard_normal((2, 2))
    d = np.roll(z, -1, axis=0) - base.apply(z)
    path = follow_path(base, d, z)
    zero = PiecewiseAffineMap(
        base.A,
        np.concatenate([base.W1, np.ones((2, 3))], axis=1),
        np.concatenate([base.W2, np.zeros((3, 2))]),
        base.h1 - 2.0,
        np.append(base.h2, [2.0, 0.0, -1.0]),
    )
    with_zero = follow_path(zero, d, z)
    assert np.allclose(with_zero.s, path.s, rtol=1e-9)
    assert np.array_equal(with_zero.itineraries[:, :, :3], path.itineraries)
    assert (with_zero.itineraries[:, :, 3:] == [True, False, False]).all()
    unit = np.array([1e9, 1e-7])
    scaled = PiecewiseAffineMap(
        base.A * unit[:, None] / unit,
        base.W1 * unit[:, None],
        base.W2 / unit,
        base.h1 * unit,
        base.h2,
    )
    moved = follow_path(scaled, d * unit, z * unit)
    assert np.allclose(moved.s, path.s, rtol=1e-9)
    assert np.allclose(moved.points / unit, path.points, rtol=1e-9, atol=1e-12)
    for ray, other in zip(moved.rays, path.rays):
        assert (ray is None) == (other is None)
        if ray is not None and other is not None:
            assert np.allclose(ray.slope / unit, other.slope, rtol=1e-9)


@pytest.mark.parametrize("left, right", [(0.5, -2.0), (0.5, 3.0), (3.0, 0.5), (2.0, 3.0)])
@pytest.mark.parametrize("factor", [None, 1.0, 0.25])
def test_start_on_a_switching_boundary(left, right, factor):
    """z = 0 of z' = slope z: the curve has both sides, whether it turns there or not."""
    map = skew(left, right, 0.0) if factor is None else doubled(skew(left, right, 0.0), factor)
    path = follow_path(map, np.ones(1), np.zeros(1))
    check_curve(map, np.ones(1), path)
    both = (1 - left) * (1 - right) > 0
    for s in (-1.0, 1.0):
        count = 1 if both else 2 if s * (1 - right) > 0 else 0
        assert len(path.crossings(s)) == count
    assert np.abs(path.crossings(0)).max() == 0.0 and len(path.crossings(0)) == 1
    assert path.num_ties == 0 and len(path.turning) == (0 if both else 1)


def absolute(first: float, second: float) -> PiecewiseAffineMap:
    """z1' = z1 - first |z1| and z2' = z2 - second |z2|: for d = (1, 1), s is first |z1| and
    second |z2|."""
    signs = np.array([first, second])
    return PiecewiseAffineMap(
        1.0 + signs, np.diag(-2.0 * signs), np.eye(2), np.zeros(2), np.zeros(2)
    )


def test_corner_where_four_branches_meet_is_passed():
    """|z1| = |z2| = s: the curve goes on along one of the three other branches."""
    map, d = absolute(1.0, 1.0), np.ones(2)
    for start in (np.array([1.0, 1.0]), np.array([-1.0, 1.0]), np.zeros(2)):
        path = follow_path(map, d, start)
        check_curve(map, d, path)
        assert path.ends == (PATH_END.ray, PATH_END.ray)
        assert path.num_ties == 1
        crossings = path.crossings(1.0)[:, 0]
        assert len(crossings) == 2 and np.abs(np.abs(crossings) - 1.0).max() <= 1e-14
        assert not np.array_equal(crossings[0], crossings[1])
        assert len(path.crossings(-1e-9)) == 0
        check_signs(map, path, 1.0)


def test_corner_that_is_a_solution_of_its_own():
    """|z1| = s = -|z2|: only the origin, no curve."""
    with pytest.raises(ValueError, match="^start: expected a point that the curve passes"):
        inspect.unwrap(follow_path)(absolute(1.0, -1.0), np.ones(2), np.zeros(2))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_small_integers_make_ties(seed):
    """Exact ties, folds within boundaries, singular cells: never a wrong piece, never endless."""
    draw = np.random.default_rng(seed)
    size, hidden, period = (int(draw.integers(1, most)) for most in (5, 6, 4))
    whole = [draw.integers(-2, 3, shape) for shape in [(size, size), (size, hidden), (size,)]]
    W2, h2 = draw.integers(-1, 2, (hidden, size)), draw.integers(-1, 2, hidden)
    map = PiecewiseAffineMap(0.5 * whole[0], whole[1], W2, whole[2], h2)
    z = draw.integers(-2, 3, (period, size)).astype(float)
    d = np.roll(z, -1, axis=0) - map.apply(z)
    try:
        path = follow_path(map, d, z, max_pieces=2000)
    except ValueError as refused:
        assert str(refused).startswith(("start: expected a ", "direction: expected a vector"))
        return
    assert PATH_END.cap not in path.ends
    check_curve(map, d, path)
    check_signs(map, path, 0.77)


@pytest.mark.parametrize("second", [1.0, -1.0])
def test_curve_within_a_fold(second):
    """z1' = z1 / 2, z2' = z2 - second |z2|, offset s in z1: z2 = 0 is double all along."""
    map = PiecewiseAffineMap([0.5, 1.0 + second], [[0.0], [-2.0 * second]], [[0, 1]], [0, 0], [0])
    path = follow_path(map, np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    assert path.s.tolist() == [1.0] and path.ends == (PATH_END.ray, PATH_END.ray)
    assert path.crossings(3.0)[:, 0].tolist() == [[6.0, 0.0]]


def test_start_on_many_boundaries_is_refused():
    map = plrnn_map(np.full(11, 0.5), 0.1 * (np.ones((11, 11)) - np.eye(11)), np.zeros(11))
    with pytest.raises(ValueError, match="^start: expected a point on at most 10 .* got one on 11"):
        follow_path(map, np.ones(11), np.zeros(11))


@pytest.mark.parametrize("seed", range(10))
def test_rounding_of_a_slope_is_no_crossing(seed):
    """In turned coordinates, the unit looks at the state that does not feel d, up to rounding."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    z = turn @ [1.0, -2.0, 3.0]
    A, W1 = turn @ np.diag([0.5, 0.4, -0.3]) @ turn.T, turn[:, :1]
    map = PiecewiseAffineMap(A, W1, turn[:, 1:2].T, z - A @ z, [0.4])
    path = follow_path(map, turn[:, 0], z)
    assert path.ends == (PATH_END.ray, PATH_END.ray) and path.s.tolist() == [0.0]


def test_unit_that_stays_at_zero():
    """A second state that rests on its boundary and does not feel d: z2 = 0 all along."""
    map = plrnn_map([0.5, 0.4], [[0.0, 0.3], [0.0, 0.0]], [1.0, 0.0])
    path = follow_path(map, np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    assert path.ends == (PATH_END.ray, PATH_END.ray)
    assert path.s.tolist() == pytest.approx([-1.0, 0.0]) and (path.points[:, 0, 1] == 0).all()
    assert path.crossings(4.0)[0, 0].tolist() == pytest.approx([10.0, 0.0])


@pytest.mark.parametrize("seed", range(8))
def test_repeated_fixed_points_as_cycles(seed):
    """k equal states: units switch at k times at once. Solutions remain solutions."""
    map = random_plrnn(seed, 3, 2.5)
    z = np.random.default_rng(seed).standard_normal(3)
    d = z - map.apply(z)
    path = follow_path(map, d, np.tile(z, (3, 1)))
    check_curve(map, d, path)
    check_signs(map, path, 0.5)
    assert PATH_END.cap not in path.ends
    assert (path.num_ties > 0) == (len(follow_path(map, d, z).s) > 1)
    assert distance(path.crossings(0.5), orbits(shifted(map, 0.5 * d), 3)) <= 1e-9


def test_curve_that_runs_into_a_singular_cell():
    """z' = z + 1 below 0 and z / 2 + 1 above: for s = -1 every z < 0 is a solution."""
    map = skew(1.0, 0.5, 1.0)
    path = follow_path(map, np.ones(1), np.array([2.0]))
    assert path.ends == (PATH_END.singular, PATH_END.ray)
    assert path.s.tolist() == pytest.approx([-1.0, 0.0]) and not len(path.turning)
    assert abs(path.points[0, 0, 0]) <= 1e-15 and path.itineraries.tolist() == [[[True]]]
    assert path.rays[0] is None and len(path.crossings(-1.5)) == 0
    assert path.itineraries_at(float(path.s[0])).tolist() == [[[True]]]
    mirrored = follow_path(skew(0.5, 1.0, -1.0), np.ones(1), np.array([-2.0]))
    assert mirrored.ends == (PATH_END.ray, PATH_END.singular)
    assert mirrored.s.tolist() == pytest.approx([0.0, 1.0])
    assert mirrored.itineraries_at(float(mirrored.s[1])).tolist() == [[[False]]]
    with pytest.raises(ValueError, match="^start: expected a regular solution"):
        inspect.unwrap(follow_path)(map, np.ones(1), np.array([-3.0]))
