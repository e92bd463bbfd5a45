"""Cases that once went wrong, or easily could: scales, pivots, boundaries, overflow, interrupts."""

import os
import signal
from fractions import Fraction

import jax.random as jr
import numpy as np
import pytest
from exact_words import exact_orbit
from systems import LOZI, QUIET, check_cycles, random_plrnn, tent, words_of

import plrjax as plr
from plrjax import COVERAGE, RESULTS, STABILITY, PiecewiseAffineMap

KEY = jr.key(0)
TENT_PRIMES = {1: 2, 2: 1, 3: 2, 4: 3, 5: 6}


def find(map, periods, solver=None, **options):
    return plr.find_cycles(map, periods, key=KEY, solver=solver, progress=QUIET, **options)


def test_consecutive_small_pivots_lose_nothing():
    """Eliminating two nearly dependent units in turn magnifies rounding by 1e12."""
    W = [
        [1.7583697508984093, -1.4209820223119163, -0.726093788947765],
        [-0.843732662303268, -40452.62031898418, -0.20211439504395987],
        [-0.844078680578592, -0.6941719367070082, 0.9999965317778746],
    ]
    h = [1.625774815687313, 57555.75681714815, 1.63715920742225]
    map = PiecewiseAffineMap(np.zeros(3), W, np.eye(3), h, np.zeros(3))
    schur, plain = find(map, 1, plr.Exhaustive()), find(map, 1, plr.Exhaustive(plr.PlainLoop()))
    assert len(schur) == len(plain) == 2 and words_of(schur) == words_of(plain)


def test_nearly_singular_units_agree_with_the_plain_loop():
    """I - W near integers with noise: pivots of every size."""
    for seed in range(40):
        draw = np.random.default_rng(seed)
        noise = 10.0 ** draw.uniform(-7, -4)
        S = draw.integers(-2, 3, (6, 6)) + noise * draw.standard_normal((6, 6))
        map = PiecewiseAffineMap(
            np.zeros(6), np.eye(6) - S, np.eye(6), draw.standard_normal(6), np.zeros(6)
        )
        schur, plain = find(map, 1, plr.Exhaustive()), find(map, 1, plr.Exhaustive(plr.PlainLoop()))
        assert words_of(schur[schur.verified]) == words_of(plain[plain.verified])


@pytest.mark.parametrize("size", [1e6, 1e10, 1e12])
@pytest.mark.parametrize("solver", [plr.Exhaustive(), plr.SCYFI()], ids=["schur", "scyfi"])
def test_a_large_state_does_not_blur_a_small_one(size, solver):
    """A tent map beside an uncoupled state of size 1e12."""
    map = PiecewiseAffineMap([0.5, 2.0], [[0.0], [-4.0]], [[0.0, 1.0]], [size, 1.0], [0.0])
    cycles = find(map, range(1, 6), solver)
    assert cycles.counts() == TENT_PRIMES and cycles.verified.all()


@pytest.mark.parametrize("unit", [1e-9, 1e8, 1e10])
@pytest.mark.parametrize("solver", [plr.Exhaustive(), plr.SCYFI()], ids=["schur", "scyfi"])
def test_units_of_the_states_do_not_matter(unit, solver):
    """The Lozi map with its second state in other units."""
    map = PiecewiseAffineMap(
        [[1.7, unit], [0.5 / unit, 0.0]], [[-3.4], [0.0]], [[1.0, 0.0]], [1.0, 0.0], [0.0]
    )
    cycles, plain = find(map, range(1, 9), solver), find(LOZI, range(1, 9), solver)
    assert cycles.counts() == plain.counts() and cycles.verified.all()
    assert np.array_equal(cycles.itinerary, plain.itinerary)
    assert np.allclose(cycles.points * [1.0, unit], plain.points, rtol=1e-9, equal_nan=True)


def test_a_border_point_is_not_many_cycles():
    """The end of a line of fixed points satisfies every word that mixes its two regions."""
    map = PiecewiseAffineMap([[1.0]], [[0.5]], [[2.0]], [0.0], [2.0])
    for solver in (plr.Exhaustive(), plr.SCYFI()):
        cycles = find(map, range(1, 8), solver)
        assert cycles.period.tolist() == [1] and not cycles.is_isolated.any()
        assert not any(cycles.counts().values())
    line = PiecewiseAffineMap(
        [[1.0, 0.0], [0.0, 0.5]], [[-0.5], [0.0]], [[1.0, 0.0]], [0.0, 1.0], [-1.0]
    )
    cycles = find(line, range(1, 15))
    assert cycles.period.tolist() == [1] and not any(cycles.counts().values())


def test_families_too_large_to_examine_are_counted():
    A = np.full(601, 0.5)
    A[0] = 1.0
    map = PiecewiseAffineMap(
        A, np.zeros((601, 2)), np.ones((2, 601)), np.r_[0.0, np.ones(600)], [1e4, 1e4]
    )
    cycles = find(map, 1)
    assert cycles.coverage is COVERAGE.partial
    assert any("not examined" in note for note in cycles.notes)


def test_cancellation_in_a_product_widens_the_error_of_its_multipliers():
    """J2 J1 = (1 + eps) orthogonal through factors of size 1e3: not confidently a saddle."""
    claimed_wrong = 0
    for seed in range(30):
        draw = np.random.default_rng(seed)
        Q, R = (np.linalg.qr(draw.standard_normal((3, 3)))[0] for _ in range(2))
        first = Q @ np.diag([1e3, 1.0, 1e-3]) @ R
        second = R.T @ np.diag([1e-3, 1.0, 1e3]) @ Q.T * (1 + 1e-11)
        stability = plr.classify(*plr.floquet_multipliers(np.stack([first, second])[None]))
        claimed_wrong += stability[0] in (STABILITY.stable, STABILITY.saddle)
    assert claimed_wrong == 0


def test_multipliers_beyond_the_range_of_float64_keep_their_sign():
    words = np.random.default_rng(0).random((4, 1200, 1)) < 0.5
    cycles = plr.cycles_of_itineraries(tent(2.0), words)
    signs = [(-1) ** int(cycles.regions(row).sum()) for row in range(4)]
    assert np.isinf(cycles.multipliers).all()
    assert np.array_equal(np.sign(np.real(cycles.multipliers[:, 0])), signs)
    assert (cycles.stability == STABILITY.unstable).all()
    assert np.array_equal(cycles.index, -np.array(signs))


def test_what_was_enumerated_survives_walks_that_overflow():
    map = PiecewiseAffineMap([1e200], [[1.0]], [[1.0]], [1.0], [0.0])
    cycles = find(map, [1, 30])
    assert cycles.counts()[1] == 1


def test_periods_are_refused_before_any_work():
    class Watch(plr.NoProgress):
        def open(self, label):
            raise AssertionError("the search began")

    with pytest.raises(ValueError, match=r"period 31 would try 2\^31"):
        plr.find_cycles(tent(2.0), [1, 31], solver=plr.Exhaustive(), progress=Watch())


def test_walks_do_not_converge_by_default():
    """The region with every unit off is a word like any other: no fixed point, no convergence."""
    map = PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [-1.0], [0.0])
    cycles = find(map, 1, plr.SCYFI(), num_searches=200)
    assert len(cycles) == 0 and cycles.stats["converged"][1] == 0
    assert any("too few" in note for note in cycles.notes)


def test_dead_units_do_not_spoil_verification():
    map = PiecewiseAffineMap([[2.0]], [[-4.0, 0.0]], [[1.0], [0.0]], [1.0], [0.0, 0.0])
    cycles = find(map, range(1, 5))
    assert cycles.counts() == {k: TENT_PRIMES[k] for k in range(1, 5)} and cycles.verified.all()


def test_multiplier_one_is_no_root_of_unity_of_higher_order():
    map = PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [0.0], [0.0])
    assert not any("root of unity" in note for note in find(map, [1, 2, 3]).notes)


@pytest.mark.parametrize(
    "solver", [None, plr.Exhaustive(), plr.SCYFI()], ids=["default", "schur", "scyfi"]
)
def test_a_linear_map_has_one_fixed_point(solver):
    map = PiecewiseAffineMap(
        0.5 * np.eye(2), np.zeros((2, 0)), np.zeros((0, 2)), np.ones(2), np.zeros(0)
    )
    cycles = find(map, [1, 2], solver)
    assert cycles.counts() == {1: 1, 2: 0} and cycles.verified.all()
    assert np.array_equal(cycles.points[0, 0], [2.0, 2.0])
    assert cycles.num_units == 0 and cycles.regions(0).shape == (1, 0)


def test_index_sum_of_huge_multipliers():
    assert find(tent(1e4), 1).index_sum(100) == -2


def test_one_period_does_not_depend_on_the_others():
    alone, among = (
        find(LOZI, periods, plr.SCYFI(), num_searches=500) for periods in (14, [3, 14, 90])
    )
    assert words_of(alone) == words_of(among[among.period == 14])
    assert alone.stats["candidates"][14] == among.stats["candidates"][14]


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: plr.MixtureSeeding(()), "strategies"),
        (lambda: plr.CloseReturns(share=2.0), "share"),
        (lambda: plr.FlippedItineraries(probability=-1.0), "probability"),
    ],
)
def test_seedings_check_their_settings(make, name):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        make()


class _Pressed(plr.NoProgress):
    """Sends a real Ctrl-C after some updates."""

    def __init__(self, after):
        self.left = after

    def update(self, share, note=""):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_counts_up_to_date(ctrl_c):
    cycles = plr.find_cycles(
        LOZI, [17], key=KEY, solver=plr.SCYFI(min_searches=10**6), progress=_Pressed(2)
    )
    assert cycles.result is RESULTS.interrupted
    assert cycles.stats["walks"][17] > 0 and cycles.hits.sum() > 0
    assert len(cycles) > 100
    check_cycles(LOZI, cycles)


def test_lanes_without_units_on_hash_apart():
    """Walks of a contracting map end on its fixed point only: hits equal converged walks."""
    map = PiecewiseAffineMap([0.5, 0.4], np.zeros((2, 2)), np.eye(2), [-1.0, -1.0], np.zeros(2))
    cycles = find(map, 1, plr.SCYFI(), num_searches=300)
    assert cycles.hits.tolist() == [300] == [cycles.stats["converged"][1]]


def test_cancellation_of_parameters_is_part_of_the_error():
    """h1 and W1 h2 cancel to 12 digits: floats are wrong by 1e-4, rationals decide."""
    map = PiecewiseAffineMap(
        [-1.0395734275277406],
        [[1.5395734275277406, -0.2]],
        [[1.0], [1.0]],
        [-2520222715680.085],
        [1636961687321.4543, -2.0002758783136243],
    )
    for solver in (plr.Exhaustive(), plr.SCYFI()):
        cycles = find(map, 1, solver)
        assert len(cycles) == 1 and cycles.verified.all()
        assert abs(cycles.points[0, 0, 0] - _fixed_point(map)) <= cycles.error_bound[0] < 1e-14


def _fixed_point(map):
    """Return the fixed point with the first unit on, in fractions."""
    a, h1 = Fraction(map.A[0, 0]), Fraction(map.h1[0])
    (w1, w2), (g1, g2) = (Fraction(x) for x in map.W1[0]), (Fraction(x) for x in map.h2)
    off = (h1 + w1 * g1) / (1 - a - w1)
    return off if off + g2 <= 0 else (h1 + w1 * g1 + w2 * g2) / (1 - a - w1 - w2)


@pytest.mark.parametrize("gap", [1e-10, 1e-11, 1e-12, 1e-13, 3e-14])
def test_ill_conditioned_cycles_do_not_vanish_silently(gap):
    """A 2-cycle with multiplier 1 - gap: found, or told to be undecided, never just missing."""
    left, right = -0.5, -2 * (1 - gap)
    map = PiecewiseAffineMap([left], [[right - left]], [[1.0]], [0.3], [0.0])
    cycles = find(map, 2, plr.Exhaustive())
    told = cycles.coverage is COVERAGE.partial and any("not examined" in n for n in cycles.notes)
    assert len(cycles) == 1 or told


def test_units_do_not_change_stability():
    """The same network in units 2^16 and 2^-16: the same multipliers, stability and index."""
    for seed in range(6):
        base = random_plrnn(seed, 3, 1.5)
        unit = 2.0 ** np.array([16, 0, -16])
        scaled = PiecewiseAffineMap(
            base.A * unit[:, None] / unit[None, :],
            base.W1 * unit[:, None],
            base.W2 / unit[None, :],
            base.h1 * unit,
            base.h2,
        )
        plain, other = find(base, range(1, 5)), find(scaled, range(1, 5))
        assert np.array_equal(plain.itinerary, other.itinerary)
        assert np.array_equal(plain.stability, other.stability)
        assert np.array_equal(plain.index, other.index)
        assert np.allclose(plain.multipliers, other.multipliers, rtol=1e-9, atol=1e-12)


def test_both_sides_of_a_border_collision_stay():
    """z' = mu + 3 z below 0 and mu - 2 z above: fixed points -mu / 2 and mu / 3, however close."""
    for mu in (1e-16, 1e-6):
        map = PiecewiseAffineMap([[3.0]], [[-5.0]], [[1.0]], [mu], [0.0])
        cycles = find(map, 1, plr.Exhaustive())
        assert len(cycles) == 2


def test_every_given_itinerary_has_a_row_or_a_note():
    """z' = -z/2 + .3 below 0, a z + .3 above: its 2-cycle has multiplier 1 - 2^-50, and exists."""
    map = PiecewiseAffineMap([-0.5], [[-1.5 + 2.0**-49]], [[1.0]], [0.3], [0.0])
    words = [np.array(bits, bool)[:, None] for bits in ([0], [0, 1], [1], [1, 1])]
    cycles = plr.cycles_of_itineraries(map, words)
    exact = [exact_orbit(map, word) is not None for word in words]
    assert exact == [False, True, True, False] and cycles.period.tolist() == [1, 2]
    assert cycles.verified.all() and cycles.is_isolated.all()
    assert cycles.notes == ("no cycle of that minimal period has itinerary number 0",)
    size = 601  # too many for rationals, and for the linear program
    line = PiecewiseAffineMap(
        np.eye(size), np.zeros((size, 1)), np.ones((1, size)), np.zeros(size), [1.0]
    )
    cycles = plr.cycles_of_itineraries(line, [np.ones((1, 1), bool)])
    assert len(cycles) == 0 and "too long to be decided: itinerary number 0" in cycles.notes[0]
