"""Curves in a plane of parameters: against closed forms, and against events on lines."""

import numpy as np
import pytest
from systems import QUIET

import plrjax as plr
from plrjax import BIFURCATION, PiecewiseAffineMap

DELTA = 0.3


def normal_form(tau_left, tau_right, delta=DELTA, mu=1.0):
    """The two-dimensional border-collision normal form, switching at z_1 = 0."""
    left = np.array([[tau_left, 1.0], [-delta, 0.0]])
    right = np.array([[tau_right, 1.0], [-delta, 0.0]])
    return PiecewiseAffineMap(left, (right - left)[:, :1], [[1.0, 0.0]], [mu, 0.0], [0.0])


@pytest.fixture(scope="module")
def plane():
    return plr.ParameterPlane(normal_form, (-2.0, -4.0), (2.0, 2.0))


@pytest.fixture(scope="module")
def curves(plane):
    return plr.bifurcation_curves(plane, range(1, 5), resolution=48, progress=QUIET)


def of(curves, kind, period):
    return [curve for curve in curves if curve.kind is kind and curve.period == period]


def test_fixed_points_run_to_infinity_at_trace_one_plus_determinant(curves):
    found = of(curves, BIFURCATION.degenerate_transcritical, 1)
    ends = sorted(curve.points.mean(axis=0).round(6).tolist() for curve in found)
    assert len(found) == 2, ends
    for curve in found:
        column = int(curve.word[0, 0])
        assert np.abs(curve.points[:, column] - (1 + DELTA)).max() < 1e-10
        assert np.ptp(curve.points[:, 1 - column]) > 3.9, "from edge to edge"


def test_degenerate_flip_of_the_fixed_point(curves):
    (curve,) = of(curves, BIFURCATION.degenerate_flip, 1)
    assert np.abs(curve.points[:, 1] + (1 + DELTA)).max() < 1e-10


def test_curves_of_the_two_cycle_in_closed_form(curves):
    """det(I -+ P) with P of trace tau_L tau_R - 2 delta and determinant delta^2."""
    for kind, sign in (
        (BIFURCATION.degenerate_transcritical, 1.0),
        (BIFURCATION.degenerate_flip, -1.0),
    ):
        found = of(curves, kind, 2)
        assert found
        for curve in found:
            trace = curve.points.prod(axis=1) - 2 * DELTA
            assert np.abs(1.0 - sign * trace + DELTA**2).max() < 1e-9


def test_border_collisions_are_zero_pre_activations(plane, curves):
    for curve in curves:
        if curve.kind is not BIFURCATION.border_collision:
            continue
        for p, q in curve.points[1:-1:7]:
            map = normal_form(p, q)
            P, c = map.compose(curve.word)
            z = np.linalg.solve(np.eye(2) - P, c)
            orbit = [z]
            for region in curve.word[:-1]:
                J, offset = map.affine_piece(region)
                orbit.append(J @ orbit[-1] + offset)
            t, i = curve.unit
            assert abs(map.pre_activations(np.array(orbit))[t, i]) < 1e-9


@pytest.mark.parametrize("tau_right", [-3.7, -2.2, -1.1, 0.4])
def test_events_on_a_line_lie_on_curves(plane, curves, tau_right):
    path = plr.FunctionPath(lambda s: normal_form(s, tau_right), -2.0, 2.0)
    found = plr.detect_bifurcations(path, range(1, 5), progress=QUIET)
    assert len(found) or tau_right > 0
    for s, kind in zip(found.s, found.kind):
        gaps = [
            distance(curve.points, np.array([s, tau_right]))
            for curve in curves
            if curve.kind == kind
        ]
        assert min(gaps, default=np.inf) < 2e-3, (s, BIFURCATION(int(kind)))


def distance(points, place):
    """Return the distance of a place to a polyline."""
    if len(points) < 2:
        return float(np.linalg.norm(points - place))
    chords = np.diff(points, axis=0)
    lengths = np.maximum((chords**2).sum(axis=1), 1e-300)
    share = np.clip(((place - points[:-1]) * chords).sum(axis=1) / lengths, 0, 1)
    return float(np.linalg.norm(place - points[:-1] - share[:, None] * chords, axis=1).min())


def test_cycles_given_by_hand_start_curves():
    """The tongue of the two 16-cycles (public test suite of SCYFI), whose words nobody counts."""
    W, h = [[0, -0.64375], [0.52505308, 0]], [0.37298253, -0.97931491]
    plane = plr.ParameterPlane(
        lambda p, q: plr.from_arrays("plrnn", A=[p, q], W=W, h=h), (0.8, 0.93), (0.88, 0.99)
    )
    place = (0.8377689, 0.96461297)
    with np.errstate(all="raise"):
        cycles = _sixteen(plane.function(*place))
    curves = plr.bifurcation_curves(plane, cycles=[(cycles, place)], step=0.03, progress=QUIET)
    assert {curve.period for curve in curves} == {16}
    borders = [c for c in curves if c.kind is BIFURCATION.border_collision]
    assert borders and all((c.points >= (0.8, 0.93)).all() for c in borders)


def _sixteen(model):
    import jax.random as jr

    cycles = plr.find_cycles(model, 16, key=jr.key(0), progress=QUIET)
    assert len(cycles) == 2
    return cycles


def test_wrong_arguments_are_named(plane):
    with pytest.raises(ValueError, match="periods: expected words that can be enumerated"):
        plr.bifurcation_curves(plane, 40)
    with pytest.raises(ValueError, match="periods: expected periods to enumerate, or cycles"):
        plr.bifurcation_curves(plane)
    with pytest.raises(ValueError, match="high"):
        plr.ParameterPlane(normal_form, (0.0, 0.0), (1.0, -1.0))
    with pytest.raises(ValueError, match="resolution"):
        plr.bifurcation_curves(plane, 1, resolution=0)
