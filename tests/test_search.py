"""The walk: what it finds, and that the result depends on the key alone."""

import jax
import jax.numpy as jnp
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
    check_cycles,
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
        map, periods, key=jr.key(seed), solver=solver or plr.SCYFI(), progress=QUIET, **options
    )


def assert_same(first, second):
    """Same words, same hits, and the same numbers to the last bits."""
    assert words_of(first) == words_of(second)
    assert np.array_equal(first.hits, second.hits)
    assert np.array_equal(first.points, second.points, equal_nan=True)
    assert first.coverage_by_period == second.coverage_by_period


def test_lozi_by_walks_alone():
    cycles = search(LOZI, range(1, 9))
    assert cycles.counts() == {k: LOZI_PRIMES[k] for k in range(1, 9)}
    assert cycles.verified.all() and cycles.coverage is COVERAGE.saturated
    check_cycles(LOZI, cycles)


def test_tent_by_walks_alone():
    cycles = search(tent(2.0), [8, 9])
    assert cycles.counts() == {8: 30, 9: 56}
    check_cycles(tent(2.0), cycles)


# A walk is a heuristic, so the draws are fixed: a miss here would be news, not chance.
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 4),
    gain=st.floats(0.3, 2.0),
    shallow=st.booleans(),
)
def test_search_agrees_with_exhaustive_enumeration(seed, size, gain, shallow):
    map = random_shallow(seed, size, 3, gain) if shallow else random_plrnn(seed, size, gain)
    periods = range(1, 5)
    walked = search(map, periods, solver=plr.SCYFI(lanes=256, min_searches=2048))
    tried = plr.find_cycles(map, periods, solver=plr.Exhaustive())
    clear = {
        (int(k), tried.itinerary[i, :k].tobytes())
        for i, k in enumerate(tried.period)
        if tried.verified[i]
    }
    assert words_of(walked) >= clear
    assert words_of(walked[walked.verified]) <= clear
    check_cycles(map, walked)


def test_result_does_not_depend_on_lanes_or_devices():
    base = search(LOZI, [7, 12], num_searches=1500)
    assert_same(base, search(LOZI, [7, 12], num_searches=1500, solver=plr.SCYFI(lanes=32)))
    spread = plr.SCYFI(lanes=64, devices=jax.devices("cpu")[:4])
    assert_same(base, search(LOZI, [7, 12], num_searches=1500, solver=spread))


def test_result_depends_on_the_key_alone():
    first, again = search(LOZI, 12, seed=3), search(LOZI, 12, seed=3)
    assert_same(first, again)
    other = search(LOZI, 12, seed=4)
    assert words_of(other) == words_of(first)
    assert not np.array_equal(other.hits, first.hits)


def test_a_period_is_searched_alike_alone_and_among_others():
    alone, among = search(LOZI, 12), search(LOZI, [3, 11, 12])
    assert words_of(alone) == words_of(among[among.period == 12])


def test_engine_runs_in_float64_whatever_the_setting(either_precision):
    cycles = search(plrnn_map(**SIXTEEN), [1, 16])
    assert cycles.points.dtype == np.float64 and cycles.multipliers.dtype == np.complex128
    assert cycles.counts() == {1: 1, 16: 2}
    assert cycles.residual.max() < 1e-14
    assert jnp.ones(1).dtype == (jnp.float64 if either_precision else jnp.float32)


def test_float32_parameters_give_float64_cycles():
    arrays = {name: value.astype(np.float32) for name, value in SIXTEEN.items()}
    single = plr.from_arrays("plrnn", **arrays)
    double = plr.from_arrays("plrnn", **{n: v.astype(np.float64) for n, v in arrays.items()})
    assert_same(search(single, [1, 16]), search(double, [1, 16]))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e12])
def test_scale_of_the_attractor_does_not_matter(scale):
    map = plrnn_map(SIXTEEN["A"], SIXTEEN["W"], SIXTEEN["h"] * scale)
    cycles = plr.find_cycles(map, [15, 16], key=jr.key(0), progress=QUIET)
    assert cycles.counts() == {15: 0, 16: 2}
    assert cycles.verified.all()
    check_cycles(map, cycles)


def test_eighty_cycles_within_few_candidates():
    """Both 80-cycles within 200 candidates, median of 20 keys, walks counted one after another."""
    map = plrnn_map(**EIGHTY)
    needed = []
    for seed in range(20):
        cycles = search(map, 80, seed, num_searches=512)
        found = cycles.stats["first_found"][80]
        assert len(found) == 2 and cycles.stats["candidates"][80] >= found[1]
        needed.append(found[1])
    assert np.median(needed) <= 200


def test_eighty_periods_take_at_most_eight_traces():
    map = plrnn_map(EIGHTY["A"], EIGHTY["W"] * 1.01, EIGHTY["h"])
    solver = plr.SCYFI(lanes=24)
    cycles = search(map, range(1, 81), solver=solver, num_searches=48)
    assert 1 <= cycles.stats["traces"] <= 8
    again = search(map, range(1, 81), solver=solver, num_searches=48)
    assert again.stats["traces"] == 0


def test_num_searches_is_kept_exactly():
    cycles = search(LOZI, [7, 12], num_searches=777)
    assert cycles.stats["walks"] == {7: 777, 12: 777}


def test_few_searches_claim_little():
    cycles = search(LOZI, 17, num_searches=200)
    assert cycles.coverage is COVERAGE.partial
    assert 0 < len(cycles) < LOZI_PRIMES[17]
    unseen = cycles.unseen[17]
    assert unseen.missing_mass > 0.05
    assert unseen.chao2 > len(cycles)


def test_good_turing_estimate_is_calibrated():
    """The estimated missing mass after n walks against the share of later walks that are new."""
    estimated, observed = [], []
    for seed in range(6):
        few = search(LOZI, 17, seed, num_searches=400)
        many = search(LOZI, 17, seed + 100, num_searches=4000)
        known = words_of(few)
        new = [
            hits
            for row, hits in enumerate(many.hits)
            if (17, many.itinerary[row, :17].tobytes()) not in known
        ]
        estimated.append(few.unseen[17].missing_mass)
        observed.append(sum(new) / many.stats["converged"][17])
    assert abs(np.mean(estimated) - np.mean(observed)) < 0.1


def test_time_limit_keeps_what_was_found():
    cycles = search(LOZI, [2, 17], num_searches=10**7, max_seconds=2.0)
    assert cycles.result is RESULTS.budget_exhausted
    assert cycles.coverage is COVERAGE.partial
    assert len(cycles) > 0
    assert "max_seconds" in " ".join(cycles.notes)


def test_interrupt_keeps_what_was_found():
    cycles = plr.find_cycles(
        LOZI, [2, 17, 18], key=jr.key(0), solver=plr.SCYFI(), progress=PressesCtrlC(3)
    )
    assert cycles.result is RESULTS.interrupted
    assert cycles.coverage_by_period[18] is COVERAGE.partial
    assert len(cycles) >= 1 and cycles.verified.all()


@pytest.mark.parametrize(
    "seeding",
    [
        plr.TransientItineraries(),
        plr.FlippedItineraries(),
        plr.CloseReturns(),
        plr.RegionPool(),
        plr.UniformItineraries(),
        plr.MixtureSeeding((plr.CloseReturns(), plr.UniformItineraries())),
    ],
    ids=lambda s: type(s).__name__,
)
def test_every_seeding_finds_the_lozi_cycles(seeding):
    cycles = search(LOZI, 7, seeding=seeding)
    assert cycles.counts() == {7: 4}


def test_orbits_that_run_away_do_no_harm():
    """z' = 3 z: every orbit but the origin diverges; the fixed point is found all the same."""
    map = plrnn_map([3.0, 2.0], [[0.0, 0.1], [0.1, 0.0]], [1.0, -1.0])
    cycles = search(map, [1, 12])
    assert cycles.counts() == {1: 1, 12: 0}


def test_steps_of_the_protocol_can_be_made_by_hand():
    states = np.empty((16, 512, 2))
    states[:, 0] = 0.1 * np.random.default_rng(0).standard_normal((16, 2))
    for t in range(1, 512):
        states[:, t] = LOZI.apply(states[:, t - 1])
    sample = plr.cycles.Sample(states, LOZI.region_of(states), growth=0.5, scale=1.0)
    problem = plr.CycleProblem(LOZI, 12, jr.key(0), sample)
    solver = plr.SCYFI()
    state = solver.init(problem)
    seen = 0
    while not solver.terminate(problem, state):
        state = solver.step(problem, state)
        assert 0 <= solver.progress(problem, state) <= 1
        now = solver.outcome(problem, state).catalog.count(12)
        assert now >= seen
        seen = now
    assert seen == LOZI_PRIMES[12]
