"""Enumeration: two independent ways must agree, and refuse what is too much."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import (
    LOZI,
    LOZI_PRIMES,
    QUIET,
    check_cycles,
    plrnn_map,
    random_plrnn,
    random_shallow,
    tent,
    words_of,
)

import plrjax as plr
from plrjax import COVERAGE


def by_plain_loop(map, periods):
    return plr.find_cycles(map, periods, solver=plr.Exhaustive(plr.PlainLoop()), progress=QUIET)


def by_schur(map, periods):
    return plr.find_cycles(map, periods, solver=plr.Exhaustive(), progress=QUIET)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 4),
    gain=st.floats(0.2, 3.0),
    shallow=st.booleans(),
)
def test_schur_agrees_with_the_plain_loop(seed, size, gain, shallow):
    map = random_shallow(seed, size, 3, gain) if shallow else random_plrnn(seed, size, gain)
    periods = [k for k in range(1, 5) if k * map.num_units <= 12]
    first, second = by_schur(map, periods), by_plain_loop(map, periods)
    assert words_of(first) == words_of(second)
    assert first.coverage is second.coverage is COVERAGE.complete_in_floating_point
    check_cycles(map, first)


def test_published_counts():
    cycles = by_schur(LOZI, LOZI_PRIMES)
    assert cycles.counts() == LOZI_PRIMES
    assert cycles.verified.all()
    check_cycles(LOZI, cycles)
    assert by_schur(tent(2.0), [8, 9]).counts() == {8: 30, 9: 56}


def test_admissible_words_of_the_lozi_map():
    """2, 4, 2, 8, 2, 28, 30, 64 words are admissible: the sum over d | k of d times primes."""
    counts = by_schur(LOZI, range(1, 9)).counts()
    words = [sum(d * counts[d] for d in counts if k % d == 0) for k in range(1, 9)]
    assert words == [2, 4, 2, 8, 2, 28, 30, 64]


def test_fixed_points_of_strongly_coupled_networks_agree_with_the_plain_loop():
    for seed in range(3):
        map = random_plrnn(seed, 12, 5.0)
        assert words_of(by_schur(map, 1)) == words_of(by_plain_loop(map, 1))


@pytest.mark.slow
def test_fixed_points_of_twenty_networks_of_fourteen_units():
    for seed in range(20):
        map = random_plrnn(seed, 14, 5.0)
        assert words_of(by_schur(map, 1)) == words_of(by_plain_loop(map, 1))


def test_integrator_units_are_handled_by_reflection():
    """A with eigenvalue 1: I - A is singular, yet other regions are regular."""
    map = plrnn_map([1.0, 0.5], [[-0.4, 0.3], [0.6, 0.0]], [0.2, -0.1])
    first, second = by_schur(map, range(1, 6)), by_plain_loop(map, range(1, 6))
    assert words_of(first) == words_of(second) and len(first) > 0
    check_cycles(map, first)


def test_small_pivots_are_tried_one_by_one():
    """I - B D has an exactly zero leading pivot although the whole system is regular."""
    B = np.array([[0.0, 2.0, 0.0], [3.0, 1.0, 0.0], [0.5, 0.0, 1.0]])
    c = np.array([-1.0, 0.7, 0.3])
    # As a network: A = 0, W1 = B, W2 = I, so y = z + h2 with h1 = c.
    map = plr.PiecewiseAffineMap(np.zeros(3), B, np.eye(3), c, np.zeros(3))
    assert words_of(by_schur(map, 1)) == words_of(by_plain_loop(map, 1))


def test_too_many_words_are_refused_with_their_number():
    with pytest.raises(ValueError, match=r"periods: .*2\^40 itineraries .*2\^30"):
        by_schur(random_plrnn(0, 10, 1.0), 4)


def test_no_key_is_needed():
    assert len(plr.find_cycles(LOZI, 1, solver=plr.Exhaustive())) == 2


def test_short_words_are_enumerated_by_default():
    import jax.random as jr

    cycles = plr.find_cycles(LOZI, [1, 22, 23], key=jr.key(0), progress=QUIET)
    assert cycles.stats["solver"] == {
        1: "Exhaustive",
        22: "Exhaustive",
        23: "BranchAndBound (words)",
    }
    assert cycles.coverage is COVERAGE.complete_in_floating_point


def test_units_that_do_nothing_are_no_obstacle():
    """Dead units (zero rows of W2, h2 < 0), zero columns of W1, equal rows of W2."""
    base = random_plrnn(3, 3, 1.2)
    W1 = np.concatenate([base.W1, np.zeros((3, 1)), np.ones((3, 1))], axis=1)
    W2 = np.concatenate([base.W2, base.W2[:1], np.zeros((1, 3))])
    map = plr.PiecewiseAffineMap(base.A, W1, W2, base.h1, [0, 0, 0, 0, -1.0])
    padded, plain = by_schur(map, range(1, 4)), by_schur(base, range(1, 4))
    assert padded.counts() == plain.counts()
    assert words_of(padded) == words_of(by_plain_loop(map, range(1, 4)))


@pytest.mark.parametrize("size, period, seed", [(4, 4, 17), (4, 4, 25), (4, 4, 30)])
def test_long_words_without_rotations_agree_with_the_plain_loop(size, period, seed):
    """Words of 16 bits, of which those of one unit tell branches apart."""
    map = random_plrnn(seed, size, 3.0)
    found = by_schur(map, period)
    assert len(found) > 1 and words_of(found) == words_of(by_plain_loop(map, period))


def test_words_of_21_bits_agree_with_a_search_of_another_kind():
    """Here two units tell branches apart."""
    map = random_plrnn(5, 7, 3.0)
    solver = plr.BranchAndBound(method="words")
    found, proven = by_schur(map, 3), plr.find_cycles(map, 3, solver=solver, progress=QUIET)
    assert len(found) == 6 and words_of(found) == words_of(proven)
