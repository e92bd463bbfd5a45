"""Curves of a plane are all there: against every word on finer grids; what the result claims."""

import numpy as np
import pytest
from planes import judge, normal_form, random_plane
from systems import QUIET

import plrjax as plr
from plrjax import BIFURCATION, PiecewiseAffineMap
from plrjax.bifurcations.curves import _curves
from plrjax.bifurcations.curves._polylines import crossed


def tent(left, right, mu=1.0):
    return PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [mu], [0.0])


PLANES = {
    "slopes": lambda: plr.ParameterPlane(tent, (-1.9, -3.0), (1.7, 1.6)),
    "offset": lambda: plr.ParameterPlane(
        lambda left, mu: tent(left, -1.7, mu), (-0.9, -1.0), (1.4, 1.1)
    ),
    "traces": lambda: plr.ParameterPlane(
        lambda p, q: normal_form(p, 0.9, q, 0.9), (-2.2, -2.8), (2.3, 2.5)
    ),
    "both sides": lambda: plr.ParameterPlane(
        lambda p, q: normal_form(p, q, -p, q), (-2.6, -0.9), (2.7, 1.8)
    ),
    "determinants": lambda: plr.ParameterPlane(
        lambda p, q: normal_form(0.6, p, -1.2, q), (-0.6, -0.7), (1.8, 1.9)
    ),
}


def check(plane, periods, num, **options):
    curves = plr.bifurcation_curves(plane, periods, progress=QUIET, **options)
    assert curves.num_separated == curves.num_differing
    verdict = judge(plane, curves, periods, num)
    assert not verdict.missed and not verdict.spurious
    return verdict.differing


@pytest.mark.parametrize("name", ["slopes", "offset", "both sides"])
def test_every_difference_on_a_finer_grid_has_a_curve(name):
    assert check(PLANES[name](), range(1, 4), 100) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANES)
def test_every_difference_on_a_fine_grid_has_a_curve(name):
    assert check(PLANES[name](), range(1, 5), 200) > 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_every_difference_of_random_networks_has_a_curve(seed):
    """As fine a grid is asked for as judges: between two curves there may be a narrow strip."""
    assert check(random_plane(seed), range(1, 4), 150, resolution=150) > 0


@pytest.fixture(scope="module")
def skew():
    """The skew tent map with al = A and ar = A + W1, whose 2-cycle flips where al ar = -1."""
    model = plr.from_arrays("shallow", A=[0.2], W1=[[0.5]], W2=[[1.0]], h1=[1.0], h2=[0.0])
    axes = plr.Axis("A", (0,), -0.9, 0.9, 20), plr.Axis("W1", (0, 0), -2.5, 2.0, 20)
    return plr.ParameterPlane.from_axes(model, axes)


def test_every_branch_of_a_curve_is_traced(skew):
    found = plr.bifurcation_curves(skew, range(1, 4), progress=QUIET)
    flips = [c for c in found if c.kind is BIFURCATION.degenerate_flip and c.period == 2]
    points = np.concatenate([curve.points for curve in flips])
    assert np.abs(points[:, 0] * points.sum(axis=1) + 1.0).max() < 1e-9
    assert points[:, 0].min() == pytest.approx(0.5) and points[:, 0].max() == pytest.approx(0.9)


def test_centers_end_where_the_pair_is_real():
    """Trace and determinant are the parameters: a pair is on the circle for |trace| < 2 only."""
    found = plr.bifurcation_curves(PLANES["both sides"](), 1, progress=QUIET)
    centers = [curve.points for curve in found if curve.kind is BIFURCATION.center]
    assert centers
    for points in centers:
        assert np.abs(points[:, 1] - 1.0).max() < 1e-9
        assert np.abs(points[:, 0]).max() < 2.0 + 1e-5


def test_the_result_says_what_was_checked(skew):
    found = plr.bifurcation_curves(skew, 1, resolution=16, progress=QUIET)
    assert found.num_differing == found.num_separated > 0 and found.share_separated == 1.0
    assert found.periods == (1,) and found.resolution == 16 and found.num_undecided == 0
    (note,) = found.notes
    assert "16 x 16 grid" in note and "may be missing" in note
    assert len(list(found)) == len(found) == len(found[:]) and found[0] in found
    assert note[:40] in str(found) and "degenerate flip, period 1: 1" in str(found)


def test_what_was_not_found_is_said(skew, monkeypatch):
    monkeypatch.setattr(_curves, "trace", lambda *_: None)
    found = plr.bifurcation_curves(skew, 1, resolution=16, progress=QUIET)
    assert not len(found) and found.num_separated == 0 < found.num_differing
    assert f"no curve was found between {found.num_differing} pairs" in found.notes[1]


def test_what_is_marginal_is_said():
    """A = -1 and no unit acts: the fixed point has multiplier -1 at every grid point."""
    plane = plr.ParameterPlane(
        lambda p, q: PiecewiseAffineMap([[-1.0]], [[0.0]], [[1.0]], [p], [q]),
        [0.0, 0.0],
        [1.0, 1.0],
    )
    found = plr.bifurcation_curves(plane, 1, resolution=8, progress=QUIET)
    assert found.num_undecided == 64
    assert "64 of the grid points" in found.notes[-1]


def test_ctrl_c_keeps_what_was_traced(skew):
    class Stop(plr.NoProgress):
        def update(self, share, note=""):
            raise KeyboardInterrupt

    found = plr.bifurcation_curves(skew, range(1, 4), resolution=16, progress=Stop())
    assert found.result is plr.RESULTS.interrupted and len(found)
    assert found.notes[0].startswith("interrupted")


def test_crossings_of_a_circle():
    lines = np.linspace(0.01, 0.99, 21)
    angles = np.linspace(0.0, 2 * np.pi, 400)
    circle = 0.5 + 0.313 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inside = np.hypot(lines[:, None] - 0.5, lines - 0.5) < 0.313
    found = crossed(circle, lines)
    np.testing.assert_array_equal(found[0, :-1], inside[1:] != inside[:-1])
    np.testing.assert_array_equal(found[1, :, :-1], inside[:, 1:] != inside[:, :-1])
