"""Marginal systems: families where I - P is singular, cycles on a switching boundary."""

from fractions import Fraction

import jax.random as jr
import numpy as np
import pytest
from systems import QUIET, plrnn_map, random_plrnn

import plrjax as plr
from plrjax import STABILITY

SOLVERS = [plr.Exhaustive(), plr.Exhaustive(plr.PlainLoop()), plr.SCYFI()]
IDS = ["schur", "plain", "scyfi"]


def find(map, periods, solver):
    return plr.find_cycles(map, periods, key=jr.key(0), solver=solver, progress=QUIET)


@pytest.mark.parametrize("solver", SOLVERS, ids=IDS)
def test_line_of_fixed_points_is_reported_as_a_family(solver):
    """z' = z below 0 and z / 2 above: every z < 0 is a fixed point."""
    map = plr.PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [0.0], [0.0])
    cycles = find(map, 1, solver)
    family = cycles[~np.isfinite(cycles.condition)]
    assert len(family) == 1
    assert family.points[0, 0, 0] < 0
    assert family.residual[0] == 0
    assert family.stability[0] == STABILITY.nonhyperbolic and family.index[0] == -128
    assert not family.verified[0] and not family.valid[0]
    assert any("marginal" in note for note in cycles.notes)
    assert "marginal" in str(cycles)


@pytest.mark.parametrize("solver", SOLVERS, ids=IDS)
def test_translation_has_no_cycles_and_does_not_crash(solver):
    map = plrnn_map([1.0, 1.0], np.zeros((2, 2)), [1.0, -2.0])
    cycles = find(map, [1, 2, 3], solver)
    assert len(cycles) == 0


@pytest.mark.parametrize("solver", SOLVERS, ids=IDS)
def test_reflection_has_a_family_of_two_cycles(solver):
    """z' = 1 - z: a nonhyperbolic fixed point at 1/2; z, 1 - z is a 2-cycle for every other z."""
    map = plr.PiecewiseAffineMap([[-1.0]], [[0.0]], [[1.0]], [1.0], [0.0])
    cycles = find(map, [1, 2], solver)
    fixed = cycles[cycles.period == 1]
    assert len(fixed) == 1 and fixed.points[0, 0, 0] == 0.5
    assert fixed.stability[0] == STABILITY.nonhyperbolic
    pairs = cycles[cycles.period == 2]
    assert len(pairs) and not pairs.is_isolated.any() and cycles.counts() == {1: 1, 2: 0}
    assert any("period 2" in note and "marginal famil" in note for note in cycles.notes)
    assert np.abs(pairs.points[:, :2, 0].sum(axis=1) - 1.0).max() < 1e-12


@pytest.mark.parametrize("solver", SOLVERS, ids=IDS)
def test_line_attractor_of_a_network(solver):
    """A unit with a = 1 and no input holds its value: a line of fixed points in each half space."""
    map = plrnn_map([1.0, 0.5], [[0.0, 0.0], [0.3, 0.0]], [0.0, 1.0])
    cycles = find(map, 1, solver)
    families = cycles[~np.isfinite(cycles.condition)]
    assert len(families) >= 1
    for row in range(len(families)):
        point = families.orbit(row)
        assert np.abs(map.apply(point) - point).max() < 1e-12


@pytest.mark.parametrize("solver", SOLVERS[:2], ids=IDS[:2])
def test_rotation_is_a_center(solver):
    """A rotation by 72 degrees, up to rounding, about a point off the boundaries: in exact numbers
    there are no 5-cycles around it."""
    angle = 2 * np.pi / 5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    center = np.array([3.0, 2.0])
    map = plr.PiecewiseAffineMap(
        turn, np.zeros((2, 1)), [[1.0, 0.0]], center - turn @ center, [0.0]
    )
    cycles = find(map, range(1, 6), solver)
    fixed = cycles[cycles.period == 1]
    assert np.abs(fixed.points[0, 0] - center).max() < 1e-14
    assert fixed.stability[0] == STABILITY.nonhyperbolic
    assert cycles.counts()[5] == 0 and not cycles[cycles.period == 5].is_isolated.any()


@pytest.mark.parametrize("solver", SOLVERS, ids=IDS)
def test_fixed_point_on_its_boundary_is_found_once(solver):
    """h = 0: the origin is a fixed point and lies on every switching boundary."""
    map = plrnn_map([0.5, 0.4], [[0.0, 0.1], [0.2, 0.0]], [0.0, 0.0])
    cycles = find(map, 1, solver)
    assert len(cycles) == 1
    assert np.abs(cycles.points[0, 0]).max() == 0.0
    assert cycles.margin[0] == 0.0
    assert cycles.verified[0] and np.isnan(cycles.multipliers[0]).all()
    assert cycles.stability[0] == STABILITY.stable and cycles.index[0] == 1


@pytest.mark.parametrize("solver", SOLVERS, ids=IDS)
def test_point_near_its_boundary_is_decided_in_rationals(solver):
    """Fixed point at distance d from the boundary, as a difference of numbers of size 0.2: floats
    tell the sign for d = 1e-9, rationals for d = 1e-15, where .1 is not a tenth."""
    for distance in (1e-9, 1e-15, -1e-15):
        h = distance / 2 - 0.2
        cycles = find(plrnn_map([0.5, 0.5], [[0.0, 0.1], [0.0, 0.0]], [h, 1.0]), 1, solver)
        assert cycles.verified.tolist() == [True]
        true = Fraction(h) + 2 * Fraction(0.1)
        assert cycles.regions(0)[0, 0] == (true > 0)


def test_overflowing_parameters_do_not_crash():
    map = plrnn_map([1e200, 1e200], [[0.0, 1e200], [1e200, 0.0]], [1e200, 1.0])
    cycles = plr.find_cycles(
        map, range(1, 14), key=jr.key(0), progress=QUIET, throw=False, num_searches=64
    )
    assert cycles.result in (plr.RESULTS.successful, plr.RESULTS.not_finite)
    assert np.isfinite(cycles.points[cycles.verified, 0]).all()


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scaled_states_give_the_same_cycles(factor):
    """z -> factor z maps cycles to cycles: same words."""
    base = random_plrnn(11, 3, 1.5)
    larger = plr.PiecewiseAffineMap(base.A, base.W1, base.W2, factor * base.h1, base.h2)
    plain = find(base, range(1, 6), plr.Exhaustive())
    scaled = find(larger, range(1, 6), plr.Exhaustive())
    assert plain.counts() == scaled.counts() and len(plain) > 0
    assert np.array_equal(plain.itinerary, scaled.itinerary)
    assert np.allclose(scaled.points, factor * plain.points, rtol=1e-12, equal_nan=True)
