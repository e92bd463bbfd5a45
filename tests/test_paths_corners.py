"""Degenerate networks: the right answer or a clear statement, never a hang or a false cycle."""

import jax.random as jr
import numpy as np
import pytest
from systems import (
    LOZI,
    QUIET,
    check_cycles,
    clipped,
    plrnn_map,
    random_plrnn,
    random_shallow,
    words_of,
)

import plrjax as plr
from plrjax import PiecewiseAffineMap


def followed(map, periods, solver=None, seed=0, **options):
    solver = solver or plr.PathFollowing(max_pivots=5000)
    return plr.find_cycles(
        map, periods, key=jr.key(seed), solver=solver, progress=QUIET, throw=False, **options
    )


def assert_same_cycles(map, periods, cycles):
    tried = plr.find_cycles(map, periods, solver=plr.Exhaustive(), progress=QUIET)
    assert words_of(cycles[cycles.verified]) == words_of(tried[tried.verified])
    assert len(cycles) <= len(tried)
    check_cycles(map, cycles)


def doubled(map: PiecewiseAffineMap, which: int, times: float) -> PiecewiseAffineMap:
    """Give the map one more unit whose switching boundary is that of unit `which`."""
    return PiecewiseAffineMap(
        map.A,
        np.concatenate([map.W1, 0.3 * map.W1[:, :1]], axis=1),
        np.concatenate([map.W2, times * map.W2[which : which + 1]]),
        map.h1,
        np.concatenate([map.h2, times * map.h2[which : which + 1]]),
    )


@pytest.mark.parametrize("times", [1.0, 2.5, -1.0])
@pytest.mark.parametrize("seed", range(3))
def test_units_with_one_boundary(seed, times):
    """Two units cross zero together at every step: the nudge of the direction parts them."""
    map = doubled(random_shallow(seed, 2, 4, 2.0), 1, times)
    cycles = followed(map, [1, 2])
    assert_same_cycles(map, [1, 2], cycles)
    assert not any(cycles.stats["capped"].values())


def test_all_rows_equal():
    """Five units, one boundary: the map is one of a single unit."""
    rows = np.ones((5, 1)) * np.array([[1.0, -0.5]])
    draw = np.random.default_rng(1)
    map = PiecewiseAffineMap(
        [0.5, -0.4], draw.standard_normal((2, 5)), rows, [0.2, 0.1], np.full(5, 0.3)
    )
    assert_same_cycles(map, [1, 2, 3], followed(map, [1, 2, 3]))


@pytest.mark.parametrize("offset", [0.5, -0.5, 0.0])
def test_zero_rows(offset):
    """A unit that does not look at the state is always on, or always off."""
    base = random_shallow(4, 2, 3, 2.0)
    W2, h2 = base.W2.copy(), base.h2.copy()
    W2[1], h2[1] = 0.0, offset
    map = PiecewiseAffineMap(base.A, base.W1, W2, base.h1, h2)
    assert_same_cycles(map, [1, 2], followed(map, [1, 2]))


def test_no_coupling_at_all():
    map = plrnn_map([0.5, -0.5], np.zeros((2, 2)), [1.0, -1.0])
    cycles = followed(map, [1, 2])
    assert cycles.counts() == {1: 1, 2: 0}


def test_fixed_point_on_the_switching_boundary():
    """z' = .5 z + relu(z) * .2 has its fixed point at 0, where the unit switches."""
    cycles = followed(plrnn_map([0.5], [[0.2]], [0.0]), [1, 2])
    assert len(cycles) == 1 and cycles.verified[0] and cycles.margin[0] == 0
    assert cycles.points[0, 0, 0] == 0 and np.isnan(cycles.multipliers).all()
    assert cycles.stability[0] == plr.STABILITY.stable and cycles.index[0] == 1


def test_corner_of_three_boundaries():
    """A fixed point at the origin, where all three units switch."""
    W = np.array([[0.0, -0.6, 0.3], [0.5, 0.0, -0.4], [-0.2, 0.7, 0.0]])
    cycles = followed(plrnn_map(np.full(3, 0.4), W, np.zeros(3)), 1)
    assert len(cycles) == 1 and cycles.verified.all() and not cycles.points[0, 0].any()
    assert cycles.stability[0] == plr.STABILITY.stable and cycles.index[0] == 1


@pytest.mark.parametrize("slope", [0.5, 1.0, -1.0, 2.0])
def test_one_unit(slope):
    """N = 1: z' = slope z - 3 relu(z) + 1, fixed points in closed form."""
    map = PiecewiseAffineMap([[slope]], [[-3.0]], [[1.0]], [1.0], [0.0])
    cycles = followed(map, 1)
    expected = [z for z, on in ((1 / (4 - slope), True), (_left(slope), False)) if (z > 0) == on]
    assert np.allclose(np.sort(cycles.points[:, 0, 0]), np.sort(expected))


def _left(slope: float) -> float:
    return 1 / (1 - slope) if slope != 1 else np.inf


def test_every_cell_singular():
    """z' = z + 1 has no fixed point and no regular cell: nothing is found, and it says so."""
    map = PiecewiseAffineMap([[1.0]], [[0.0]], [[1.0]], [1.0], [0.0])
    cycles = followed(map, 1, num_searches=16)
    assert len(cycles) == 0
    assert cycles.result is plr.RESULTS.not_finite
    with pytest.raises(RuntimeError, match="find_cycles"):
        plr.find_cycles(
            map, 1, key=jr.key(0), solver=plr.PathFollowing(), num_searches=16, progress=QUIET
        )


def test_line_of_fixed_points():
    """z' = |z|: every z > 0 is a fixed point, one marginal family, not verified."""
    map = PiecewiseAffineMap([[-1.0]], [[2.0]], [[1.0]], [0.0], [0.0])
    cycles = followed(map, 1, num_searches=16)
    assert not cycles.verified.any()


@pytest.mark.parametrize("scale", [1e-9, 1e9, 1e200])
def test_units_of_the_state_do_not_matter(scale):
    base = random_shallow(5, 3, 4, 2.0)
    map = PiecewiseAffineMap(base.A, base.W1 * scale, base.W2 / scale, base.h1 * scale, base.h2)
    assert_same_cycles(map, [1, 2], followed(map, [1, 2]))


@pytest.mark.parametrize("hidden", [4, 12])
def test_offsets_of_any_size(hidden):
    """With both tableaus: that of the units, and that of the states for many units."""
    base = random_shallow(5, 2, hidden, 3.0)
    for scale in (1e-12, 1.0, 1e12):
        map = PiecewiseAffineMap(base.A, base.W1, base.W2, base.h1 * scale, base.h2 * scale)
        periods = [1, 2] if hidden == 4 else 1
        assert_same_cycles(map, periods, followed(map, periods))


@pytest.mark.parametrize(
    "map, period",
    [
        (random_plrnn(429464144, 3, 2.9926514876794963), 4),
        (random_plrnn(523923394, 3, 3.5392265747557152), 4),
        (random_shallow(147922035, 2, 5, 3.4228), 2),
    ],
    ids=["escapes", "ties", "shallow"],
)
def test_escaping_orbits_are_no_starts(map, period):
    """Their closing error is beyond all digits at s = 0, and the pivots would go in circles."""
    solver = plr.PathFollowing(max_pivots=20_000)
    cycles = followed(map, period, solver, num_searches=128)
    assert cycles.stats["capped"][period] == cycles.stats["broken"][period] == 0
    assert_same_cycles(map, period, cycles)


def test_search_stops_at_many_cycles():
    solver = plr.PathFollowing(max_cycles=100)
    cycles = followed(LOZI, 17, solver)
    assert 100 <= len(cycles) <= 282 and cycles.coverage is plr.COVERAGE.partial
    assert any("stopped at" in note for note in cycles.notes)


def test_expanding_networks_with_few_units_count_their_true_cost():
    """A saddle A leaves no reduced system for long periods; the tableau of the states is large."""
    A = np.full(50, 0.5)
    A[0] = 2.0
    map = PiecewiseAffineMap(A, np.ones((50, 3)), np.eye(3, 50), np.ones(50), np.zeros(3))
    with pytest.raises(ValueError, match="5000 x 5000 numbers; the limit is 2048"):
        followed(map, 100)


def test_overflow_is_said():
    map = plrnn_map([1e200, 1e200], [[0.0, 1e200], [1e200, 0.0]], [1.0, 1e300])
    cycles = followed(map, [1, 4], num_searches=8)
    tried = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    assert words_of(cycles[cycles.verified]) <= words_of(tried[tried.verified])
    assert cycles.stats["broken"][4] > 0 and cycles.coverage is plr.COVERAGE.partial
    assert any("too few to tell" in note for note in cycles.notes)


def test_no_alarm_where_a_cycle_lies_on_a_boundary():
    """F(z) = 2 relu(z) - 2 relu(z - 1): fixed points 2 and 0, the latter of local degree 0."""
    map = PiecewiseAffineMap([0.0], [[2.0, -2.0]], [[1.0], [1.0]], [0.0], [0.0, -1.0])
    for solver in (plr.Exhaustive(), plr.PathFollowing()):
        cycles = followed(map, 1, solver)
        assert sorted(cycles.index) == [0, 1] and cycles.verified.all()
        assert cycles.degree == {1: 1} and cycles.index_sum(1) == 1
        assert not any("something is missing" in note for note in cycles.notes)


def test_missing_fixed_points_show_in_the_index_sum():
    """Walks that find some of the fixed points of a bounded map: the sum is not the degree."""
    map = clipped(8, 3, 6)
    complete = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    assert complete.index_sum(1) == complete.degree[1] == 1
    assert not any("something is missing" in note for note in complete.notes)
    notes = []
    for seed in range(12):
        few = followed(map, 1, plr.SCYFI(lanes=1), seed, num_searches=1)
        wrong = few.index_sum(1) != 1
        assert any("something is missing" in note for note in few.notes) == wrong
        notes.append(wrong)
    assert any(notes)
