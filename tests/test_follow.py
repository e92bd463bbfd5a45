"""Curves of solutions: closed forms, the equation itself, and enumeration at other offsets."""

import inspect

import jax.random as jr
import numpy as np
import pytest
from curves import check_curve, check_signs, distance, orbits, shifted, sign_of_determinant, skew
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import EIGHTY, QUIET, plrnn_map, random_plrnn, random_shallow

import plrjax as plr
from plrjax import PiecewiseAffineMap
from plrjax.cycles import PATH_END, Path, follow_path


@pytest.mark.parametrize("left, right", [(0.5, -2.0), (0.5, 3.0), (2.0, 0.3), (-3.0, 4.0), (2, 3)])
@pytest.mark.parametrize("mu", [1.0, -0.7])
def test_skew_tent_map(left, right, mu):
    """s = (1 - left) z - mu below 0, (1 - right) z - mu above: a fold at 0 if one slope is > 1."""
    map = skew(left, right, mu)
    z = np.array([[1.7]])
    path = follow_path(map, np.ones(1), z)
    check_curve(map, np.ones(1), path)
    start = int(np.flatnonzero(path.units[:, 0] == -1)[0])
    border = 1 - start
    assert path.s[start] == pytest.approx((1.0 - right) * 1.7 - mu, rel=1e-14)
    assert path.points[start, 0, 0] == pytest.approx(1.7, rel=1e-14)
    assert path.s[border] == pytest.approx(-mu, rel=1e-14) and len(path.s) == 2
    assert abs(path.points[border, 0, 0]) <= 1e-15 and path.units[border].tolist() == [0, 0]
    fold = (1.0 - left) * (1.0 - right) < 0
    assert path.turning.tolist() == ([border] if fold else [])
    assert path.ends == (PATH_END.ray, PATH_END.ray) and path.num_ties == 0
    assert border == (0 if right < 1 else 1), "decreasing s comes first"
    slopes = [path.rays[0], path.rays[1]][:: 1 if border == 0 else -1]
    for ray, slope, on in zip(slopes, (left, right), (False, True)):
        assert ray is not None and ray.itinerary.tolist() == [[on]]
        assert ray.slope[0, 0] == pytest.approx(1.0 / (1.0 - slope), rel=1e-14)
        assert ray.sign == np.sign(1.0 - slope) * (1 if on else -1)
    for s in (-2.0, -mu, 0.0, 0.9):
        truth = [(s + mu) / (1 - left)] if (s + mu) / (1 - left) < 0 else []
        truth += [(s + mu) / (1 - right)] if (s + mu) / (1 - right) > 0 else []
        truth = sorted(truth) if s != -mu else [0.0]
        assert sorted(path.crossings(s)[:, 0, 0]) == pytest.approx(truth, abs=1e-14)
        assert path.itineraries_at(s).shape == (len(truth), 1, 1)


SYSTEMS = [(1, 3, 1), (2, 0, 1), (3, 0, 1), (4, 0, 1), (3, 5, 1), (2, 3, 2), (2, 0, 3), (1, 3, 3)]


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.sampled_from(SYSTEMS), st.integers(0, 10**6), st.booleans())
def test_random_networks(system, seed, in_time):
    """From any solution: z and d drawn, d_t the defect of z; then s = 1 at the start."""
    size, hidden, period = system
    map = random_shallow(seed, size, hidden, 2.5) if hidden else random_plrnn(seed, size, 2.5)
    z = 2.0 * np.random.default_rng(seed).standard_normal((period, size))
    d = np.roll(z, -1, axis=0) - map.apply(z)
    path = follow_path(map, d if in_time or period > 1 else d[0], z)
    start = path.units[:, 0].tolist().index(-1)
    assert path.s[start] == pytest.approx(1.0, rel=1e-12)
    assert np.allclose(path.points[start], z, rtol=1e-12)
    check_curve(map, d, path)
    check_signs(map, path, 1.0)
    assert distance(z[None], path.crossings(float(path.s[start]))) <= 1e-12
    if PATH_END.closed not in path.ends:
        behind = path.s[start + 1] if start + 1 < len(path.s) else np.inf
        assert behind > path.s[start], "it goes from decreasing to increasing s"
    if period == 1:
        for s in (0.0, -0.8):
            solutions = path.crossings(s)
            assert distance(solutions, orbits(shifted(map, s * d[0]), 1)) <= 1e-9
            if size == 1:
                assert len(solutions) == len(orbits(shifted(map, s * d[0]), 1)), "s = z - F(z)"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("system", [(3, 0, 1), (2, 0, 2), (2, 3, 2), (1, 3, 3), (2, 0, 3)], ids=str)
def test_cycles_and_their_partners(system, seed):
    """Along a curve through a cycle, s = 0 and s = s1 pick out solutions that enumeration has."""
    size, hidden, period = system
    map = random_shallow(seed, size, hidden, 2.5) if hidden else random_plrnn(seed, size, 2.5)
    d = np.random.default_rng(seed).standard_normal(size)
    known = orbits(map, period)
    for orbit in known[:2]:
        path = follow_path(map, d, orbit if period > 1 else orbit[0])
        check_curve(map, d, path)
        assert distance(orbit[None], path.crossings(0)) <= 1e-12
        assert distance(path.crossings(0), known) <= 1e-9
        assert distance(path.crossings(0.37), orbits(shifted(map, 0.37 * d), period)) <= 1e-9
        check_signs(map, path, 0.37)
        words = path.itineraries_at(0)
        primitive = [w for w in words if period == 1 or not np.array_equal(w, np.roll(w, 1, 0))]
        assert len(plr.cycles_of_itineraries(map, primitive)) <= len(primitive)
        assert np.array_equal(map.region_of(path.crossings(0.37)), path.itineraries_at(0.37))


@pytest.mark.parametrize("seed", range(12))
def test_the_curve_does_not_depend_on_where_it_starts(seed):
    """Started from any of its points at another s, it has the same vertices."""
    map = random_plrnn(seed, 4, 2.5)
    z = np.random.default_rng(seed).standard_normal(4)
    d = z - map.apply(z)
    path = follow_path(map, d, z)
    for s in (1.0, 0.6, -3.0):
        for point in path.crossings(s):
            other = follow_path(map, d, point)
            assert sorted(end.name for end in other.ends) == sorted(end.name for end in path.ends)
            mine, yours = (p.points[p.units[:, 0] >= 0] for p in (path, other))
            assert len(mine) == len(yours)
            assert distance(mine, yours) <= 1e-10 if len(mine) else True
            assert sorted(path.s[path.turning]) == pytest.approx(sorted(other.s[other.turning]))


def closed_curve() -> tuple[PiecewiseAffineMap, np.ndarray, Path]:
    for seed in range(60):
        map = random_plrnn(seed, 3, 2.5)
        d = np.random.default_rng(seed).standard_normal(3)
        for orbit in orbits(map, 1):
            path = follow_path(map, d, orbit[0])
            if path.ends[0] is PATH_END.closed:
                return map, d, path
    raise AssertionError("none of these curves is closed")


def test_closed_curve():
    """It ends where it started, each of its fixed points has a partner of opposite index."""
    map, d, path = closed_curve()
    check_curve(map, d, path)
    assert path.ends == (PATH_END.closed, PATH_END.closed) and path.rays == (None, None)
    assert path.s[0] == path.s[-1] == 0.0 and np.array_equal(path.points[0], path.points[-1])
    assert np.array_equal(path.itineraries[0], path.itineraries[-1])
    assert len(np.unique(path.itineraries[:-1], axis=0)) == len(path.itineraries) - 1
    assert len(path.turning) % 2 == 0 and len(path.turning) >= 2
    for s in (0.0, 0.5 * path.s.max(), 0.5 * path.s.min()):
        signs = [sign_of_determinant(map, cell) for cell in path.itineraries_at(s)]
        assert len(signs) == len(path.crossings(s)) >= 2 and sum(signs) == 0
    assert len(path.crossings(path.s.max() + 1e-9)) == 0
    for s in path.s.tolist():
        solutions = path.crossings(s)
        assert len(np.unique(solutions, axis=0)) == len(solutions) == len(path.itineraries_at(s))
    assert len(path.crossings(float(path.s.max()))) == 1, "a fold is one solution"


def test_no_units_is_a_line():
    map = PiecewiseAffineMap(
        [[0.5, 0.2], [0.0, -2.0]], np.zeros((2, 0)), np.zeros((0, 2)), [1, 2], []
    )
    d = np.array([1.0, -1.0])
    z = np.linalg.solve(np.eye(2) - map.A, map.h1)
    path = follow_path(map, d, z)
    assert path.ends == (PATH_END.ray, PATH_END.ray) and path.s.tolist() == [0.0]
    assert path.itineraries.shape == (0, 1, 0)
    assert path.crossings(3.0)[0, 0] == pytest.approx(
        z + 3.0 * np.linalg.solve(np.eye(2) - map.A, d)
    )
    assert len(path.crossings(-7)) == len(path.crossings(0)) == 1


def test_cap_and_long_cycles():
    """Two 80-cycles share a curve, all rotations of both; cut short, it is a part of that."""
    map = plrnn_map(EIGHTY["A"], EIGHTY["W"], EIGHTY["h"])
    cycles = plr.find_cycles(map, 80, key=jr.key(0), progress=QUIET)
    assert len(cycles) == 2
    d = np.array([1.0, 0.0])
    short = follow_path(map, d, cycles.orbit(0), max_pieces=5)
    assert short.ends == (PATH_END.cap, PATH_END.cap) and len(short.itineraries) == 10
    assert short.rays == (None, None)
    check_curve(map, d, short)
    partners = plr.cycles_of_itineraries(map, short.itineraries_at(0))
    assert len(partners) == 2 and partners.verified.all()


MAP = skew(0.5, -2.0, 1.0)
ONE = np.ones(1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((None, ONE, ONE), "model: expected a piecewise-affine network"),
        ((MAP, ONE, np.ones(2)), r"start: expected shape \(1,\) or \(k, 1\), got \(2,\)"),
        ((MAP, ONE, np.ones((0, 1))), r"start: expected shape .*, got \(0, 1\)"),
        ((MAP, ONE, np.ones((1, 1, 1))), "start: expected shape"),
        ((MAP, ONE, np.array([np.nan])), "start: expected finite numbers"),
        ((MAP, ONE, "here"), "start: expected real numbers"),
        ((MAP, np.ones(2), ONE), r"direction: expected shape \(1,\) or \(1, 1\), got \(2,\)"),
        ((MAP, np.ones((3, 1)), np.ones((2, 1))), r"direction: expected .* \(2, 1\), got \(3, 1\)"),
        ((MAP, np.zeros(1), ONE), "direction: expected a vector other than zero"),
        ((MAP, np.array([np.inf]), ONE), "direction: expected finite numbers"),
        ((MAP, ONE, np.array([[1.0], [2.0]])), "start: expected a solution .* residual [0-9.e+]+"),
    ],
)
def test_misuse(arguments, message):
    with pytest.raises(ValueError, match="^" + message) as error:
        inspect.unwrap(follow_path)(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", [0, -3, 1.5, True, None], ids=repr)
def test_max_pieces(number):
    with pytest.raises(ValueError, match="^max_pieces: expected a positive integer, got"):
        inspect.unwrap(follow_path)(MAP, ONE, ONE, max_pieces=number)


def test_start_off_the_curve_is_refused_and_rounding_is_not():
    map = random_plrnn(3, 3, 2.5)
    z = np.random.default_rng(3).standard_normal(3)
    d = z - map.apply(z)
    start = follow_path(map, d, z + 1e-10 * np.array([1.0, -1.0, 1.0]))
    assert start.s[start.units[:, 0] == -1] == pytest.approx(1.0, rel=1e-8)
    check_curve(map, d, start)
    with pytest.raises(ValueError, match="^start: expected a solution .* got residual"):
        follow_path(map, d, z + 1e-4 * np.array([1.0, -1.0, 1.0]))


def test_rounding_of_a_large_state_does_not_blur_s():
    """States 1e14 and 1 with the same d: s is known from the small one."""
    map = plrnn_map([0.9, 0.5], [[0.0, 0.1], [0.0, 0.0]], [1e13 / 3.0, 1.0])
    z2 = (1.0 + 0.123) / 0.5
    z1 = (1e13 / 3.0 + 0.1 * z2 + 0.123) / 0.1
    path = follow_path(map, np.ones(2), np.array([z1, z2]))
    assert path.s[path.units[:, 0] == -1] == pytest.approx(0.123, rel=1e-9)


def test_start_is_moved_into_its_cell():
    """1e-9 on the wrong side of the boundary at 5: Newton steps take it to the right one."""
    map = PiecewiseAffineMap([0.5, 0.5], [[-2.5], [0.0]], [[1.0, 0.0]], [2.5 + 3e-9, 1.0], [-5.0])
    path = follow_path(map, np.ones(2), np.array([5.0 - 1e-9, 2.0]))
    check_curve(map, np.ones(2), path)
    start = path.points[path.units[:, 0] == -1][0, 0]
    assert 5.0 + 1e-11 < start[0] < 5.0 + 2e-9 and abs(start[1] - 2.0) < 1e-8
