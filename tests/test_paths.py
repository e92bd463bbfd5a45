"""Path following: what it finds, and that the result depends on the key alone."""

import inspect

import jax
import jax.random as jr
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from systems import (
    EIGHTY,
    LOZI,
    LOZI_PRIMES,
    QUIET,
    SIXTEEN,
    PressesCtrlC,
    chaotic,
    check_cycles,
    clipped,
    planted,
    plrnn_map,
    random_plrnn,
    random_shallow,
    tent,
    words_of,
)

import plrjax as plr
from plrjax import COVERAGE, RESULTS


def search(map, periods, seed=0, solver=None, **options):
    return plr.find_cycles(
        map,
        periods,
        key=jr.key(seed),
        solver=solver or plr.PathFollowing(),
        progress=QUIET,
        **options,
    )


def enumerated(map, periods):
    return plr.find_cycles(map, periods, solver=plr.Exhaustive(), progress=QUIET)


def assert_complete(map, periods, found):
    """Every verified cycle of enumeration was found, and nothing else was."""
    tried = enumerated(map, periods)
    assert words_of(found) >= words_of(tried[tried.verified])
    assert words_of(found[found.verified]) <= words_of(tried)
    check_cycles(map, found)


def test_lozi_cycles():
    cycles = search(LOZI, [1, 2, 6, 7, 12])
    assert cycles.counts() == {k: LOZI_PRIMES[k] for k in (1, 2, 6, 7, 12)}
    assert cycles.verified.all() and cycles.coverage is COVERAGE.saturated
    check_cycles(LOZI, cycles)


def test_tent_cycles():
    cycles = search(tent(2.0), [8, 9])
    assert cycles.counts() == {8: 30, 9: 56}
    check_cycles(tent(2.0), cycles)


def test_long_cycles():
    """Both 80-cycles of the public test system, from the fixed point and from orbits."""
    cycles = search(plrnn_map(**EIGHTY), 80, num_searches=24)
    assert cycles.counts() == {80: 2}
    check_cycles(plrnn_map(**EIGHTY), cycles)


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1, 2, 4]),
    gain=st.floats(0.5, 4.0),
    shallow=st.booleans(),
)
def test_agrees_with_enumeration(seed, size, gain, shallow):
    map = random_shallow(seed, size, 4, gain) if shallow else random_plrnn(seed, size, gain)
    assert_complete(map, [1, 2, 4], search(map, [1, 2, 4]))


def test_all_fixed_points_of_random_networks():
    """300 paths, strongly coupled networks: the walk finds four of five (Eisenmann et al. 2023)."""
    for seed in range(16):
        map = random_plrnn(seed, 14, (1.5, 2.0, 3.0, 5.0)[seed % 4])
        assert_complete(map, 1, search(map, 1, num_searches=300))


def test_clipped_networks_are_complete_and_the_degree_says_so():
    for seed in range(6):
        map = clipped(seed, 5, 10)
        cycles = search(map, 1)
        assert_complete(map, 1, cycles)
        assert cycles.index_sum(1) == cycles.degree[1] == 1


def test_chaos_hides_nothing_from_paths():
    """95 20-cycles of a chaotic 3-unit network; the walk settles on a few of them."""
    map = chaotic(915)
    followed = search(map, 20, num_searches=128)
    walked = search(map, 20, solver=plr.SCYFI())
    assert followed.counts() == {20: 95}
    assert followed.verified.all()
    assert words_of(followed) > words_of(walked)
    assert 2 * len(walked) <= len(followed)
    check_cycles(map, followed)


def test_planted_network_where_walks_find_nothing():
    """M = 50, gain 2: paths find dozens of fixed points, each with its fold partner."""
    map = planted(0, 50, 2.0)
    cycles = search(map, 1, num_searches=1024)
    assert cycles.verified.all() and len(cycles) >= 80
    assert np.count_nonzero(cycles.index == 1) == np.count_nonzero(cycles.index == -1)
    assert len(search(map, 1, solver=plr.SCYFI(), num_searches=512)) == 0


def test_result_does_not_depend_on_lanes_or_devices():
    base = search(LOZI, [7, 12], num_searches=100)
    for solver in (
        plr.PathFollowing(lanes=16),
        plr.PathFollowing(lanes=24, devices=jax.devices("cpu")[:4]),
    ):
        other = search(LOZI, [7, 12], num_searches=100, solver=solver)
        assert words_of(base) == words_of(other)
        assert np.array_equal(base.hits, other.hits)
        assert np.array_equal(base.points, other.points, equal_nan=True)


def test_result_depends_on_the_key_alone():
    first, again = search(LOZI, 12, 3, num_searches=64), search(LOZI, 12, 3, num_searches=64)
    assert words_of(first) == words_of(again) and np.array_equal(first.hits, again.hits)
    other = search(LOZI, 12, 4, num_searches=64)
    assert not np.array_equal(first.hits, other.hits)


def test_networks_of_many_units_are_complete():
    map = random_shallow(1, 2, 12, 2.0)
    assert_complete(map, 1, search(map, 1))


@pytest.mark.parametrize("size", [1.0, -1.0])
def test_singular_closing(size):
    """A = +-1: I - A^2 is singular; a reference region with units on makes the system regular."""
    draw = np.random.default_rng(3)
    map = plrnn_map(np.full(3, size), -0.9 * draw.random((3, 3)), draw.standard_normal(3))
    assert_complete(map, [1, 2, 4], search(map, [1, 2, 4]))


def test_no_regular_reference():
    """One state no unit acts on, with multiplier 1: no region has I - J regular."""
    map = plr.PiecewiseAffineMap([1.0, 0.5], [[0.0], [-2.0]], [[0.0, 1.0]], [1.0, 1.0], [0.0])
    cycles = search(map, [1, 24], num_searches=32, throw=False)
    assert len(cycles) == 0


def test_known_cycles_are_starts():
    """Hops from one cycle of a walk reach the others, without a single random point."""
    map = chaotic(915)
    walked = search(map, 20, solver=plr.SCYFI())
    assert 0 < len(walked) < 20
    hopped = search(map, 20, solver=plr.PathFollowing(known=walked, hops=1.0), num_searches=32)
    assert words_of(hopped) > words_of(walked)
    assert hopped.stats["points"] == {20: 0}
    assert hopped.hits.max() == 0, "hops are no independent draws"
    check_cycles(map, hopped)


def test_unseen_counts_independent_paths_only():
    cycles = search(LOZI, 12, num_searches=256)
    unseen, stats = cycles.unseen[12], cycles.stats
    assert stats["paths"][12] == 256 and stats["points"][12] == 64 + 32 + 64
    assert unseen.chao2 >= len(cycles) and unseen.quiet_draws < stats["points"][12]
    few = search(LOZI, 24, num_searches=4)
    assert few.coverage is COVERAGE.partial


def test_time_limit_keeps_what_was_found():
    solver = plr.PathFollowing(min_searches=10**6)
    cycles = search(LOZI, [2, 12], solver=solver, max_seconds=1.0)
    assert cycles.result is RESULTS.budget_exhausted
    assert cycles.coverage is COVERAGE.partial
    assert 0 < len(cycles) <= 33


def test_interrupt_keeps_what_was_found():
    cycles = plr.find_cycles(
        LOZI, [2, 12], key=jr.key(0), solver=plr.PathFollowing(), progress=PressesCtrlC(5)
    )
    assert cycles.result is RESULTS.interrupted
    assert len(cycles) >= 1 and cycles.verified.all()


def test_max_pivots_ends_a_path():
    cycles = search(plrnn_map(**SIXTEEN), 16, solver=plr.PathFollowing(max_pivots=3))
    assert cycles.stats["capped"][16] > 0
    assert cycles.stats["pivots"][16] <= 2 * 4 * cycles.stats["paths"][16]


@pytest.mark.parametrize(
    "options, says",
    [
        (dict(max_pivots=0), "max_pivots: expected a positive integer, got 0"),
        (dict(min_searches=1.5), "min_searches: expected a positive integer, got 1.5"),
        (dict(hops=2.0), r"hops: expected a number in \[0, 1\], got 2.0"),
        (dict(known=[1]), "known: expected a CycleSet, got list"),
        (dict(lanes=-1), "lanes: expected a positive integer, got -1"),
    ],
)
def test_misuse(options, says):
    checked = inspect.unwrap(plr.PathFollowing.__post_init__)
    solver = object.__new__(plr.PathFollowing)
    for name, value in {**_DEFAULTS, **options}.items():
        object.__setattr__(solver, name, value)
    with pytest.raises(ValueError, match=says):
        checked(solver)


_DEFAULTS = dict(
    max_pivots=9,
    max_cycles=9,
    min_searches=None,
    max_searches=None,
    hops=0.5,
    known=None,
    lanes=None,
    devices=None,
)


def test_too_large_a_problem_is_refused():
    map = plrnn_map(np.full(50, 0.5), np.zeros((50, 50)), np.ones(50))
    with pytest.raises(ValueError, match="periods: path following of period 100 needs tableaus"):
        search(map, 100)


def test_known_cycles_of_another_network_are_refused():
    known = search(LOZI, 1)
    with pytest.raises(ValueError, match="known: expected cycles of a map with 2 units, got 1"):
        search(plrnn_map(**SIXTEEN), 1, solver=plr.PathFollowing(known=known))
