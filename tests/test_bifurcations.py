"""Events of maps whose bifurcations are known in closed form."""

import numpy as np
import pytest
from path_oracle import words_on_grid
from systems import QUIET

import plrjax as plr
from plrjax import BIFURCATION, COLLISION, COVERAGE, STABILITY, FunctionPath, PiecewiseAffineMap

CLOSE = 1e-10
_CODES = (STABILITY.stable, STABILITY.saddle, STABILITY.unstable)
"""By the number of multipliers outside the unit circle, in the plane."""

FLIP, INFINITY = BIFURCATION.degenerate_flip, BIFURCATION.degenerate_transcritical
BORDER, CENTER = BIFURCATION.border_collision, BIFURCATION.center


def skew_tent(left, right, mu=1.0):
    """z' = a_l z for z <= 0, a_r z for z > 0, plus mu."""
    return PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [mu], [0.0])


def planar(left, right, h):
    """z' = J_L z for z_1 <= 0, J_R z for z_1 > 0, plus h; J_L and J_R share their second column."""
    left, right = np.array(left, float), np.array(right, float)
    return PiecewiseAffineMap(left, (right - left)[:, :1], [[1.0, 0.0]], h, [0.0])


def normal_form(tau_left, tau_right, delta, mu=1.0):
    """The two-dimensional border-collision normal form."""
    left, right = [[tau_left, 1.0], [-delta[0], 0.0]], [[tau_right, 1.0], [-delta[1], 0.0]]
    return planar(left, right, [mu, 0.0])


def published(left, right=-1.5):
    """The planar family with known 2-cycles (J_L, J_R, h of Eisenmann et al. 2023)."""
    return planar([[left, 0.8], [-0.4, 0.2]], [[right, 0.8], [0.5, 0.2]], [0.214, 0.0])


def detect(models, periods, **options):
    return plr.detect_bifurcations(models, periods, progress=QUIET, **options)


def along(function, start, stop, periods, **options):
    return detect(FunctionPath(function, start, stop), periods, **options)


def same_events(found, wanted):
    """Assert that these (s, kind, period) are all the events there are."""
    wanted = sorted(wanted)
    assert len(found) == len(wanted), f"{found}\n{wanted}"
    assert np.allclose(found.s, [s for s, *_ in wanted], rtol=0, atol=CLOSE)
    assert (found.s_error <= CLOSE).all()
    assert [(k, p) for k, p in zip(found.kind, found.period)] == [(k, p) for _, k, p in wanted]


def test_skew_tent_along_its_right_slope():
    found = along(lambda right: skew_tent(0.2, right), -2.0, 2.0, [1, 2])
    same_events(found, [(-1.0, FLIP, 1), (1.0, INFINITY, 1)])
    assert found.num_before.tolist() == [2, 1] and found.num_after.tolist() == [1, 0]
    assert found.attractor.tolist() == [0, -1]
    assert found.stability_before.tolist() == [STABILITY.unstable, STABILITY.stable]
    assert found.stability_after.tolist() == [STABILITY.stable, -1]
    assert found.coverage is COVERAGE.complete_in_floating_point and not found.notes
    straight = detect([skew_tent(0.2, -2.0), skew_tent(0.2, 2.0)], [1, 2])
    same_events(straight, [(0.25, FLIP, 1), (0.75, INFINITY, 1)])


@pytest.mark.parametrize("right", [-0.5, -1.2, -1.5, -2.0, -4.0])
@pytest.mark.parametrize("mu", [1.0, 1e-6, 1e6])
def test_skew_tent_stability_of_its_2_cycle(right, mu):
    """The 2-cycle has the multiplier a_l a_r; its signs are those of 1 + a_l, 1 + a_r, 1 - a_l a_r."""  # noqa: E501
    found = along(lambda left: skew_tent(left, right, mu), -3.0, 0.97, [2])
    wanted = [(1 / right, INFINITY, 2)]
    if right < -1 / 0.97:
        wanted.append((-1 / right, FLIP, 2))
    same_events(found, wanted)


def test_curved_paths_are_followed_exactly():
    """a_r = -2 + 4 s^3 through exp and sin: events where the curve meets +1 and -1."""
    found = along(lambda s: skew_tent(0.2, 2.0 * np.sin(s)), -1.5, 1.5, [1, 2])
    same_events(found, [(-np.pi / 6, FLIP, 1), (np.pi / 6, INFINITY, 1)])
    there_and_back = along(lambda s: skew_tent(0.2, 1.5 - s**2), -1.9, 1.9, [1, 2])
    wanted = [(x, kind, 1) for x in (-1, 1) for kind in (FLIP, INFINITY)]
    places = {FLIP: np.sqrt(2.5), INFINITY: np.sqrt(0.5)}
    same_events(there_and_back, [(x * places[kind], kind, 1) for x, kind, _ in wanted])


def closed_form(left, right):
    """Return both points of the 2-cycle of `published`, by Cramer's rule."""
    J = {"L": (left, 0.8, -0.4, 0.2), "R": (right, 0.8, 0.5, 0.2)}

    def point(first, second):
        a, b, c, d = J[second]
        e, f, g, h = J[first]
        P = a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
        x, y = (a + 1) * 0.214, c * 0.214
        det = (1 - P[0]) * (1 - P[3]) - P[1] * P[2]
        return ((1 - P[3]) * x + P[1] * y) / det, (P[2] * x + (1 - P[0]) * y) / det

    return np.array([point("L", "R"), point("R", "L")])


def test_published_2_cycles_have_their_closed_form():
    path = FunctionPath(published, -0.48, 0.5)
    found = detect(path, [1, 2])
    assert found.stability_before.size == 0 and found.branches[-1].period == 2
    points = []  # of the 2-cycle, along the path
    for s, states, _ in plr.plot.branch_curves(found, path):
        exact = np.array([closed_form(a_l, -1.5) for a_l in s])
        sizes = np.abs(exact).max(axis=(1, 2))
        # Beside the transcritical at -.48235 the system's condition is some 600.
        error = np.abs(states[:, None] - exact).max(axis=2)
        points += [i for i in (0, 1) if (error[:, i] <= 1e-12 * sizes).all()]
        assert len(s) == 200 and np.allclose(s[[0, -1]], [-0.48, 0.5])
    assert sorted(points) == [0, 1]
    assert np.allclose(closed_form(0.0, -1.5)[0], [-0.26097561, 0.22835366], atol=5e-9)
    assert np.allclose(closed_form(0.0, -1.5)[1], [0.39668293, 0.15006098], atol=5e-9)
    for s in np.linspace(-0.48, 0.5, 199)[::20]:
        cycles = plr.find_cycles(published(s), 2, solver=plr.Exhaustive(), progress=QUIET)
        orbit = cycles.orbit(0)
        orbit = orbit[np.argsort(orbit[:, 0])]
        assert np.allclose(orbit, closed_form(s, -1.5), rtol=1e-12, atol=1e-12)


def test_published_2_cycles_end_where_their_polynomials_say():
    """det(I -+ P) = 1 -+ tr + det is linear in a_l, and so are the numerators of z_1."""
    found = along(published, -3.0, 3.0, [2])
    same_events(found, [(-0.656 / 1.36, INFINITY, 2), (0.896 / 1.64, FLIP, 2)])


@pytest.mark.parametrize("left", [-0.3, 0.0, 0.3, 0.5])
def test_published_2_cycles_along_the_right_slope(left):
    """As polynomials in a_r (numpy.poly1d): the border of z_L, and the turns of stability."""
    a = np.poly1d([1.0, 0.0])
    J_L, J_R = [[left, 0.8], [-0.4, 0.2]], [[a, 0.8], [0.5, 0.2]]
    P = [[J_R[i][0] * J_L[0][j] + J_R[i][1] * J_L[1][j] for j in (0, 1)] for i in (0, 1)]
    trace, det = P[0][0] + P[1][1], P[0][0] * P[1][1] - P[0][1] * P[1][0]
    zero = (1 - P[1][1]) * (J_R[0][0] + 1) + P[0][1] * J_R[1][0]
    border = float(np.roots(zero.coeffs)[0])
    flip, infinity = (float(np.roots((1 + x * trace + det).coeffs)[0]) for x in (1, -1))
    found = along(lambda right: published(left, right), -9.0, 1.0, [2])
    assert np.isclose(border, -2 / 3)
    wanted = [(border, BORDER, 2)]
    wanted += [(x, k, 2) for x, k in ((flip, FLIP), (infinity, INFINITY)) if -9 < x < border]
    same_events(found, wanted)


def expected_cycles(tau_left, tau_right, delta, mu):
    """Return stability of the fixed points and the 2-cycle of the normal form that exist."""
    tau, words = (tau_left, tau_right), {}
    for side, sign in ((0, -1), (1, 1)):
        if sign * mu * (1 - tau[side] + delta[side]) > 0:
            words["LR"[side]] = abs(tau[side]) < 1 + delta[side] and abs(delta[side]) < 1
    closing = (1 + delta[0]) * (1 + delta[1]) - tau[0] * tau[1]
    if mu * (1 + tau[1] + delta[1]) * closing < 0 < mu * (1 + tau[0] + delta[0]) * closing:
        turning = (1 - delta[0]) * (1 - delta[1]) + tau[0] * tau[1]
        words["LR"] = closing > 0 and turning > 0 and abs(delta[0] * delta[1]) < 1
    return words


def words_of(cycles):
    rows = range(len(cycles))
    names = ["".join("LR"[int(bit)] for bit in cycles.regions(row)[:, 0]) for row in rows]
    return dict(zip(names, (cycles.stability == STABILITY.stable).tolist()))


@pytest.mark.parametrize("mu", [1.0, -1.0])
@pytest.mark.parametrize("delta", [(0.3, 0.6), (-0.4, 0.7), (1.2, 0.5)])
def test_normal_form_has_the_cycles_of_its_conditions(delta, mu):
    for tau_left in np.linspace(-2.93, 2.91, 7):
        for tau_right in np.linspace(-2.89, 2.97, 7):
            map = normal_form(tau_left, tau_right, delta, mu)
            cycles = plr.find_cycles(map, [1, 2], solver=plr.Exhaustive(), progress=QUIET)
            assert words_of(cycles) == expected_cycles(tau_left, tau_right, delta, mu)


def normal_form_events(tau_right, delta, mu, span):
    """Return the events along tau_L that the conditions of `expected_cycles` imply."""
    left, right = delta
    shown = lambda tau, word: word in expected_cycles(tau, tau_right, delta, mu)
    wanted = []
    places = {
        (1 + left, "L"): INFINITY,
        (-1 - left, "L"): FLIP,
        ((1 + left) * (1 + right) / tau_right, "LR"): INFINITY,
        (-(1 - left) * (1 - right) / tau_right, "LR"): FLIP,
        (-1 - left, "LR"): BORDER,
    }
    for (tau, word), kind in places.items():
        near = shown(tau - 1e-6, word), shown(tau + 1e-6, word)
        happens = all(near) if kind is FLIP else near[0] != near[1]
        if span[0] < tau < span[1] and happens:
            wanted.append((tau, kind, len(word)))
    flips = {tau for tau, kind, period in wanted if kind is FLIP and period == 1}
    return [(t, k, p) for t, k, p in wanted if not (k is BORDER and t in flips)]


@pytest.mark.parametrize("mu", [1.0, -1.0])
@pytest.mark.parametrize("delta", [(0.3, 0.6), (-0.4, 0.7), (0.8, -0.5)])
@pytest.mark.parametrize("tau_right", [-3.1, -1.3, -0.7, 0.6, 2.2])
def test_normal_form_events_lie_on_its_curves(delta, tau_right, mu):
    span = (-4.1, 4.3)
    found = along(lambda tau: normal_form(tau, tau_right, delta, mu), *span, [1, 2])
    same_events(found, normal_form_events(tau_right, delta, mu, span))


@pytest.mark.parametrize("tau_right", [-1.4, -2.2, 1.1])
def test_normal_form_longer_cycles_change_at_events_only(tau_right):
    """Cycles of period 1 to 6 by enumeration on a grid; all changes lie at events of the path."""
    path = FunctionPath(lambda tau: normal_form(tau, tau_right, (0.3, 0.45)), -1.4, 1.6)
    found = detect(path, range(1, 7))
    assert found.coverage is COVERAGE.complete_in_floating_point
    grid = np.linspace(-1.397, 1.593, 700)
    arrays = lambda s: tuple(x[0] for x in path.arrays(np.array([s])))
    oracle = words_on_grid(arrays, grid, range(1, 7))
    for s, admissible, unstable in zip(grid, oracle.admissible, oracle.unstable):
        here = (found.segment_low <= s) & (s <= found.segment_high)
        codes = [_CODES[number] for number in unstable[admissible]]
        periods = [len(word) for word, there in zip(oracle.words, admissible) if there]
        mine = sorted(zip(found.segment_period[here], found.segment_stability[here]))
        assert mine == sorted(zip(periods, codes)), s


def test_center():
    """J_R = [[1/2, 1], [-delta, 0]]: a pair of modulus sqrt(delta)."""
    found = along(lambda delta: normal_form(0.5, 0.5, (0.4, delta)), 0.5, 1.5, [1])
    same_events(found, [(1.0, CENTER, 1)])
    assert found.attractor.tolist() == [-1] and found.num_after.tolist() == [1]
    assert (np.abs(found.multipliers_before) < 1).all()
    assert (np.abs(found.multipliers_after) > 1).all()


def test_a_pair_of_reciprocal_multipliers_is_no_center():
    """Multipliers 2 and s: their product passes 1 at s = 1/2 while both are real."""
    path = lambda s: PiecewiseAffineMap([2.0, s], np.zeros((2, 1)), [[1.0, 0.0]], [1.0, 1.0], [9.0])
    assert len(along(path, 0.2, 0.8, [1])) == 0


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e6])
def test_collisions_of_the_skew_tent_at_the_origin(unit):
    """mu from negative to positive: Feigin's cases by the slopes."""
    cases = {
        (0.5, 0.3): (COLLISION.persistence, 1, 1, 0),
        (0.5, 2.0): (COLLISION.nonsmooth_fold, 2, 0, -1),
        (3.0, 0.3): (COLLISION.nonsmooth_fold, 0, 2, 1),
        (0.5, -1.5): (COLLISION.multiple, 1, 2, 0),
        (0.5, -3.0): (COLLISION.multiple, 1, 2, -1),
        (-0.4, -0.8): (COLLISION.persistence, 1, 1, 0),
    }
    for (left, right), (subtype, before, after, attractor) in cases.items():
        found = along(lambda mu: skew_tent(left, right, mu * unit), -1.0, 0.7, [1, 2])
        same_events(found, [(0.0, BORDER, 1)])
        row = found.subtype[0], found.num_before[0], found.num_after[0], found.attractor[0]
        assert row == (subtype, before, after, attractor), (left, right)
        assert found.unit[0].tolist() == [0, 0]


def test_persistence_that_changes_stability():
    found = along(lambda mu: skew_tent(0.5, -3.0, mu), -1.0, 0.7, [1])
    same_events(found, [(0.0, BORDER, 1)])
    assert found.subtype[0] == COLLISION.persistence and found.num_branches == 1
    assert (found.stability_before[0], found.stability_after[0]) == (
        STABILITY.stable,
        STABILITY.unstable,
    )


def test_everything_that_is_born_at_a_collision_is_found():
    """A map that is homogeneous in (z, mu) has all its cycles end at mu = 0."""
    for left, right in ((0.5, -6.0), (0.3, -4.2), (1.4, -1.9), (0.9, -1.7)):
        found = along(lambda mu: skew_tent(left, right, mu), -1.0, 0.7, range(1, 7))
        cycles = plr.find_cycles(
            skew_tent(left, right, 0.7), range(1, 7), solver=plr.Exhaustive(), progress=QUIET
        )
        assert len(found) == 1 and abs(found.s[0]) < 1e-15
        born = np.abs(found.segment_low) < 1e-15
        assert sorted(found.segment_period[born]) == sorted(cycles.period)
        assert found.num_after[0] == len(cycles)


def test_nonsmooth_fold_in_the_plane():
    """Fixed points of the normal form exist on one side where 1 - tau + delta differ in sign."""
    found = along(lambda mu: normal_form(0.4, 2.5, (0.3, 0.6), mu), -1.0, 1.7, [1])
    same_events(found, [(0.0, BORDER, 1)])
    assert found.subtype[0] == COLLISION.nonsmooth_fold and found.attractor[0] == -1
    assert found.participants[0].tolist() == [0, 1] and found.num_before[0] == 2


def test_a_multiplier_that_rests_at_minus_one_is_no_event():
    """J_R has the multiplier -1 along the whole path: det(I + P) is rounding, without roots."""
    found = along(lambda tau: normal_form(tau, -1.4, (0.3, 0.4)), -1.4, 1.6, [1])
    same_events(found, [(1.3, INFINITY, 1)])
    assert found.alive_at(0).keys() < found.alive_at(1).keys()


def test_a_pair_that_rests_on_the_unit_circle_is_no_event():
    """An area-preserving center: the product of its multipliers is 1 along the whole path."""
    found = along(lambda tau: normal_form(1.7, tau, (0.4, 1.0)), -1.1, 1.3, [1])
    assert len(found) == 0 and not found.notes
    assert set(found.segment_stability) == {STABILITY.nonhyperbolic, STABILITY.saddle}


def test_a_word_that_is_singular_everywhere_is_no_cycle():
    """a_l a_r = 1: det(I - P) of the 2-cycle is zero along the whole path."""
    found = along(lambda mu: skew_tent(-0.5, -2.0, mu), -1.0, 0.7, [1, 2])
    same_events(found, [(0.0, BORDER, 1)])
