"""The degree at infinity against the index sum of complete enumeration."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import QUIET, plrnn_map, random_plrnn, random_shallow, tent

import plrjax as plr
from plrjax import PiecewiseAffineMap
from plrjax.cycles import degree_at_infinity


def index_sums(map: PiecewiseAffineMap, periods: int = 3) -> list[int | None]:
    """Return the index sum of every period; None where a cycle is singular or not off borders."""
    cycles = plr.find_cycles(
        map, range(1, periods + 1), solver=plr.Exhaustive(plr.PlainLoop()), progress=QUIET
    )
    if not cycles.verified.all():
        return [None] * periods
    return [cycles.index_sum(k) for k in range(1, periods + 1)]


def agreements(map: PiecewiseAffineMap, periods: int = 3) -> int:
    """Assert that no degree contradicts enumeration; return how many were compared."""
    compared = 0
    for k, total in enumerate(index_sums(map, periods), start=1):
        degree = degree_at_infinity(map, k)
        if degree is not None and total is not None:
            assert degree == total, (k, degree, total)
            compared += 1
    return compared


def clipped(seed: int, size: int, hidden: int) -> plr.ClippedShallowPLRNN:
    draw = np.random.default_rng([seed, size, hidden])
    return plr.from_arrays(
        "clipped-shallow",
        A=draw.uniform(-0.95, 0.95, size),
        W1=3.0 * draw.standard_normal((size, hidden)),
        W2=draw.standard_normal((hidden, size)),
        h1=draw.standard_normal(size),
        h2=3.0 * draw.standard_normal(hidden),
    )


@pytest.mark.parametrize("seed", range(12))
def test_clipped_networks_have_degree_one(seed):
    """Strong, but bounded: A alone decides at infinity, whatever happens inside."""
    map = clipped(seed, 2, 2).as_piecewise_affine()
    assert [degree_at_infinity(map, k) for k in (1, 2, 3, 40)] == [1] * 4
    assert agreements(map, 2) == 2


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.5, 1.0, 2.0]), st.booleans())
def test_never_contradicts_enumeration(seed, gain, shallow):
    agreements(random_shallow(seed, 2, 3, gain) if shallow else random_plrnn(seed, 3, gain))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.3, 1.0]))
def test_never_contradicts_enumeration_beyond_contractions(seed, gain):
    """A full, with eigenvalues on all sides of the unit circle: sums of either sign."""
    draw = np.random.default_rng(seed)
    map = PiecewiseAffineMap(
        1.2 * draw.standard_normal((2, 2)),
        gain * draw.standard_normal((2, 3)),
        draw.standard_normal((3, 2)),
        draw.standard_normal(2),
        draw.standard_normal(3),
    )
    agreements(map)


def test_weak_coupling_is_decided_as_a_rule():
    """The tests above compare something."""
    count = sum(agreements(random_plrnn(seed, 3, 0.2)) for seed in range(30))
    assert count >= 80


def test_expanding_state_turns_the_sign():
    """A = diag(2, .5): det(I - A) = -1 * .5 < 0, and the coupling is too weak to change it."""
    map = plrnn_map([2.0, 0.5], [[0.0, 0.1], [0.1, 0.0]], [1.0, -0.3])
    assert [degree_at_infinity(map, k) for k in (1, 2, 3)] == [-1, -1, -1]
    assert agreements(map) == 3
    flipped = plrnn_map([-2.0, 0.5], [[0.0, 0.1], [0.1, 0.0]], [1.0, -0.3])
    assert [degree_at_infinity(flipped, k) for k in (1, 2, 3)] == [1, -1, 1]
    assert agreements(flipped) == 3


def test_tent_maps():
    """z' = 1 - s |z| has two fixed points of opposite index for s > 1, one of index 1 below."""
    assert index_sums(tent(2.0)) == [0, 0, 0]
    assert [degree_at_infinity(tent(2.0), k) for k in (1, 2, 3)] == [None] * 3
    assert [degree_at_infinity(tent(0.9), k) for k in (1, 2, 3)] == [1] * 3
    assert agreements(tent(0.9)) == 3
    assert degree_at_infinity(tent(1.001), 1) is None


def skew(left: float, right: float) -> PiecewiseAffineMap:
    """z' = 1 + left z below 0 and 1 + right z above."""
    return PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [1.0], [0.0])


@pytest.mark.parametrize("left", [-3.0, -0.8, 0.4, 0.9, 1.5, 4.0])
@pytest.mark.parametrize("right", [-2.5, -0.6, 0.7, 1.7, 5.0])
def test_one_dimension_in_closed_form(left, right):
    """z - F(z) is negative or positive at either end: the degree is half the difference of signs,
    and it is found exactly where both slopes are on one side of 1."""
    truth = (np.sign(1.0 - right) + np.sign(1.0 - left)) / 2
    decided = (left < 1.0) == (right < 1.0)
    assert degree_at_infinity(skew(left, right), 1) == (truth if decided else None)


def test_slopes_are_averaged():
    """Slopes -.9 and .9: the mean 0 leaves |m| = .9 in one step; either slope alone would not do
    for k = 2."""
    for left, right in [(-0.9, 0.9), (0.9, -0.9)]:
        assert [degree_at_infinity(skew(left, right), k) for k in (1, 2, 3)] == [1] * 3
        assert agreements(skew(left, right)) == 3


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_all_lags_count(k):
    """A ring of states delays a strong rectifier by four steps: the sum over lags sees it."""
    size = 4
    shift = np.roll(np.eye(size), 1, axis=0) * 0.9
    W1, W2 = np.zeros((size, 1)), np.zeros((1, size))
    W1[0, 0], W2[0, size - 1] = 1.8, 1.0
    map = PiecewiseAffineMap(shift, W1, W2, np.arange(1.0, size + 1), [0.5])
    assert degree_at_infinity(map, k) is None
    weak = PiecewiseAffineMap(shift, 0.05 * W1, W2, np.arange(1.0, size + 1), [0.5])
    assert degree_at_infinity(weak, k) == 1


def rows_map(W1, W2, h2) -> PiecewiseAffineMap:
    return PiecewiseAffineMap([0.5, -0.4], W1, W2, [1.0, -2.0], h2)


def test_parallel_rows_are_taken_together():
    """4 relu(y + b) - 4 relu(y + c): strong alone, nothing at infinity; so with -y on both."""
    row = np.array([0.3, -1.7])
    column = np.array([4.0, -5.0])
    same = rows_map(np.stack([column, -column], 1), np.stack([row, row]), [1.0, -2.0])
    scaled = rows_map(np.stack([column / 8, -column], 1), np.stack([8 * row, row]), [8.0, -2.0])
    # 4 relu(y) - 4 relu(-y) = 4 y: all linear, L = A + column row.
    facing = rows_map(np.stack([column, -column], 1), np.stack([row, -row]), [1.0, -2.0])
    L = np.diag([0.5, -0.4]) + np.outer(column, row)
    for map, power in [(same, 0), (scaled, 0), (facing, 1)]:
        linear = L if power else np.diag([0.5, -0.4])
        for k in (1, 2, 3):
            det = np.linalg.det(np.eye(2) - np.linalg.matrix_power(linear, k))
            assert degree_at_infinity(map, k) == np.sign(det)
        assert agreements(map) == 3
    single = rows_map(column[:, None], row[None], [1.0])
    assert degree_at_infinity(single, 1) is None


def test_rows_with_the_same_largest_entry_are_not_mixed_up():
    row = np.array([2.0, 1.0])
    column = np.array([4.0, -5.0])
    other = np.array([2.0, -1.0])
    map = rows_map(np.stack([column, -column], 1), np.stack([row, other]), [1.0, -2.0])
    assert degree_at_infinity(map, 1) in (None, index_sums(map)[0])
    assert degree_at_infinity(map, 2) is None


@pytest.mark.parametrize("seed", range(5))
def test_zero_rows_and_scaled_rows_change_nothing(seed):
    """A unit that does not look at the state is an offset; scaling a row scales its column."""
    base = random_shallow(seed, 2, 3, 0.3)
    scale = np.array([2.0**60, 2.0**-70, 1.0])
    same = PiecewiseAffineMap(
        base.A,
        np.concatenate([base.W1 / scale, [[9.0], [-8.0]]], axis=1),
        np.concatenate([base.W2 * scale[:, None], np.zeros((1, 2))]),
        base.h1,
        np.append(base.h2 * scale, 1.0),
    )
    for k in (1, 2, 5):
        assert degree_at_infinity(same, k) == degree_at_infinity(base, k) is not None
    units = np.array([2.0**40, 2.0**-40])
    moved = PiecewiseAffineMap(
        base.A, base.W1 * units[:, None], base.W2 / units, base.h1 * units, base.h2
    )
    assert [degree_at_infinity(moved, k) for k in (1, 2, 5)] == [1, 1, 1]


def test_singular_recession_is_not_decided():
    """A multiplier 1 (line attractor), -1 for even k, and a fifth root of unity."""
    assert degree_at_infinity(plrnn_map([1.0, 0.5], [[0, 0.0], [0.3, 0]], [0.0, 1.0]), 1) is None
    flip = plrnn_map([-1.0, 0.5], [[0.0, 0.0], [0.3, 0.0]], [0.0, 1.0])
    assert [degree_at_infinity(flip, k) for k in (1, 2, 3, 4)] == [1, None, 1, None]
    near = PiecewiseAffineMap([[1.0 + 1e-12]], [[0.0]], [[1.0]], [1.0], [0.0])
    assert degree_at_infinity(near, 1) is None
    angle = 2 * np.pi / 5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rotation = PiecewiseAffineMap(turn, np.zeros((2, 1)), [[1.0, 0.0]], [1.0, 0.0], [0.0])
    assert [degree_at_infinity(rotation, k) for k in (1, 2, 5, 10)] == [1, 1, None, None]


def test_cancellation_in_the_linear_part_is_not_trusted():
    """L = A + column row = 1 up to rounding of its parts 1e8: the sign of 1 - L means nothing."""
    column, row = 1e8 / 3.0, 3.0
    for A in np.nextafter(1.0 - column * row, [-np.inf, np.inf]):
        map = PiecewiseAffineMap([[A]], [[column, -column]], [[row], [-row]], [1.0], [0.0, 0.0])
        assert degree_at_infinity(map, 1) is None


def test_sensitive_signs_are_not_decided():
    """L = 1 + 2^-20 as a difference of numbers 2^20: errors of 1e-12 in them turn the sign."""
    for column, decided in [(2.0**20, False), (2.0**4, True)]:
        map = PiecewiseAffineMap(
            [[1.0 - column + 2.0**-20]], [[column, -column]], [[1.0], [-1.0]], [1.0], [0.0, 0.0]
        )
        assert degree_at_infinity(map, 1) == (-1 if decided else None)


def test_no_units_long_periods_and_overflow():
    linear = PiecewiseAffineMap([2.0, 3.0], np.zeros((2, 0)), np.zeros((0, 2)), [1.0, 1.0], [])
    assert [degree_at_infinity(linear, k) for k in (1, 2)] == [1, 1]
    saddle = PiecewiseAffineMap([2.0, 0.1], np.zeros((2, 0)), np.zeros((0, 2)), [1.0, 1.0], [])
    assert degree_at_infinity(saddle, 3) == -1
    assert degree_at_infinity(saddle, 4000) is None
    bounded = clipped(3, 5, 20).as_piecewise_affine()
    assert degree_at_infinity(bounded, 1000) == 1
    assert degree_at_infinity(bounded, 4097) is None
    huge = plrnn_map([1e200, 1e200], [[0.0, 1e200], [1e200, 0.0]], [1e200, 1.0])
    assert [degree_at_infinity(huge, k) for k in (1, 2, 13)] == [None] * 3


@pytest.mark.parametrize("period", [0, -1, 1.5, True, None, "1"], ids=repr)
def test_misuse(period):
    with pytest.raises(ValueError, match="^period: expected a positive integer, got"):
        inspect.unwrap(degree_at_infinity)(tent(0.5), period)
