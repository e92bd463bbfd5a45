"""The default solver: what it chooses by size, and that nothing is lost between its stages."""

import inspect

import jax.random as jr
import numpy as np
import pytest
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
    plrnn_map,
    random_plrnn,
    words_of,
)

import plrjax as plr
from benchmarks import recall
from plrjax import COVERAGE, RESULTS

BOTH = "SCYFI + PathFollowing"


STAGES: plr.cycles.AbstractPlan = plr.Auto(complete=False)
WHOLE = plr.Auto()


def search(map, periods, seed=0, *, solver: plr.cycles.AbstractPlan = STAGES, **options):
    return plr.find_cycles(map, periods, key=jr.key(seed), progress=QUIET, solver=solver, **options)


def test_a_complete_search_comes_first():
    cycles = search(LOZI, [12, 23], solver=WHOLE)
    assert cycles.stats["solver"] == {12: "Exhaustive", 23: "BranchAndBound (words)"}
    assert cycles.counts()[12] == LOZI_PRIMES[12]
    assert cycles.coverage is COVERAGE.complete_in_floating_point


def test_what_a_complete_search_leaves_open_goes_on_to_walks():
    cycles = search(random_plrnn(0, 6, 1.5), range(3, 5), solver=WHOLE)
    assert cycles.stats["solver"] == {3: "Exhaustive", 4: BOTH}
    assert cycles.coverage is COVERAGE.saturated


def test_short_words_are_enumerated_and_longer_ones_searched():
    cycles = search(LOZI, [17, 23], num_searches=100)
    assert cycles.stats["solver"] == {17: "Exhaustive", 23: BOTH}
    assert cycles.counts()[17] == LOZI_PRIMES[17]
    assert cycles.coverage_by_period[17] is COVERAGE.complete_in_floating_point
    assert cycles.coverage_by_period[23] < COVERAGE.complete_in_floating_point


def test_enumeration_up_to_a_number_of_bits():
    cycles = search(LOZI, 12, solver=plr.Auto(max_bits=8, complete=False))
    assert cycles.stats["solver"] == {12: BOTH}
    assert cycles.counts() == {12: LOZI_PRIMES[12]}
    check_cycles(LOZI, cycles)


def test_words_that_cost_a_system_each_are_enumerated_only_if_short():
    """Multiplier 1 in every region: no reduced system, so 2^15 words would be solved one by one."""
    map = plr.PiecewiseAffineMap([1.0, 0.5], [[0.0], [-2.0]], [[0.0, 1.0]], [1.0, 1.0], [0.0])
    cycles = search(map, [1, 15], num_searches=8, throw=False)
    assert cycles.stats["solver"][1] == "Exhaustive"
    assert cycles.stats["solver"][15].startswith("SCYFI")


def test_number_of_searches_is_kept():
    cycles = search(chaotic(915), [9, 12], num_searches=101)
    assert cycles.stats["walks"] == {9: 51, 12: 51}
    assert cycles.stats["paths"] == {9: 50, 12: 50}
    one = search(chaotic(915), 9, num_searches=1)
    assert one.stats["walks"] == {9: 1} and one.coverage is COVERAGE.partial


def test_finds_what_walks_miss():
    map = chaotic(915)
    both, walked = search(map, 20), search(map, 20, solver=plr.SCYFI())
    assert both.counts() == {20: 95} and both.verified.all()
    assert words_of(both) > words_of(walked)
    assert both.coverage is COVERAGE.saturated
    assert both.unseen[20].missing_mass < 0.01


def test_agrees_with_enumeration_where_words_are_longer():
    for seed in range(3):
        map = random_plrnn(seed, 23, 2.0)
        true = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
        cycles = search(map, 1)
        assert cycles.stats["solver"] == {1: BOTH}
        assert words_of(cycles) == words_of(true)


def test_long_words_walk_until_they_settle_and_hop_from_there():
    map = plrnn_map(**EIGHTY)
    cycles = search(map, 80)
    assert cycles.counts() == {80: 2} and cycles.coverage is COVERAGE.saturated
    assert cycles.stats["walks"][80] >= 512
    assert cycles.stats["points"] == {80: 0} and 0 < cycles.stats["paths"][80] < 32
    assert cycles.unseen[80].quiet_draws > 200


def test_more_effort_follows_more_paths():
    less, more = (
        search(chaotic(915), 8, solver=plr.Auto(effort=e, complete=False)) for e in (0.25, 1.0)
    )
    assert less.stats["paths"][8] < more.stats["paths"][8]
    assert words_of(less) <= words_of(more)


def test_first_cycle_comes_as_soon_as_from_the_walk():
    """The walks of both solvers are the same until paths take over."""
    map = plrnn_map(**SIXTEEN)
    both, walked = search(map, 16), search(map, 16, solver=plr.SCYFI())
    assert both.stats["first_found"][16] == walked.stats["first_found"][16]


def test_bounded_network_adds_up_to_its_degree():
    cycles = search(clipped(2, 10, 50), 1)
    assert cycles.stats["solver"] == {1: BOTH}
    assert cycles.index_sum(1) == cycles.degree[1] == 1
    walked = [
        search(clipped(2, 10, 50), 1, solver=plr.SCYFI(), num_searches=n) for n in range(1, 9)
    ]
    short = [cycles for cycles in walked if cycles.index_sum(1) != 1]
    assert short, "one to eight walks meet some of nine fixed points"
    for cycles in short:
        assert any("something is missing" in note for note in cycles.notes)


def test_early_interrupt_keeps_the_finds():
    cycles = plr.find_cycles(
        plrnn_map(**EIGHTY), 80, key=jr.key(0), progress=PressesCtrlC(3), solver=STAGES
    )
    assert cycles.result is RESULTS.interrupted and cycles.coverage is COVERAGE.partial
    assert cycles.stats["solver"][80].startswith("SCYFI")
    assert len(cycles) <= 2 and cycles.verified.all()


def test_interrupt_in_the_second_stage_keeps_the_finds_of_both():
    solver = plr.Auto(effort=1e4, complete=False)
    cycles = plr.find_cycles(
        chaotic(915), 20, key=jr.key(0), solver=solver, progress=PressesCtrlC(60)
    )
    assert cycles.result is RESULTS.interrupted and cycles.coverage is COVERAGE.partial
    assert cycles.stats["solver"] == {20: BOTH}
    assert len(cycles) == 95 and cycles.verified.all()


def test_time_limit_in_the_second_stage():
    cycles = search(chaotic(915), 20, solver=plr.Auto(effort=1e4, complete=False), max_seconds=4.0)
    assert cycles.result is RESULTS.budget_exhausted
    assert len(cycles) > 5


@pytest.mark.parametrize(
    "options, says",
    [
        (dict(effort=0.0, max_bits=22), "effort: expected a positive number, got 0.0"),
        (dict(effort=1.0, max_bits=99), "max_bits: expected an integer from 0 to 40, got 99"),
    ],
)
def test_misuse(options, says):
    solver = object.__new__(plr.Auto)
    for name, value in options.items():
        object.__setattr__(solver, name, value)
    with pytest.raises(ValueError, match=says):
        inspect.unwrap(plr.Auto.__post_init__)(solver)


def test_key_is_asked_for():
    with pytest.raises(ValueError, match="key: expected a JAX random key"):
        plr.find_cycles(LOZI, 2, solver=plr.Auto())


def test_state_units_do_not_matter():
    map = plrnn_map(SIXTEEN["A"], SIXTEEN["W"], SIXTEEN["h"] * 1e-7)
    cycles = search(map, [15, 16])
    assert cycles.counts() == {15: 0, 16: 2}
    assert np.abs(cycles.points[:, 0]).max() < 1e-5


class Limited(plr.cycles.AbstractPlan):
    """What `Auto` does with long periods, with another limit on the nodes of the joint search."""

    def plan(self, problem):
        complete = plr.BranchAndBound(method="words", max_nodes=20000)
        walks = [plr.cycles.Stage(plr.SCYFI(), (k,), 20) for k in problem.periods]
        return [plr.cycles.Stage(complete, problem.periods), *walks]


def test_what_is_settled_is_not_called_exhausted():
    """The limit on nodes ends the search of period 60; period 12 was over before."""
    cycles = search(plrnn_map(**SIXTEEN), [12, 60], solver=Limited(), num_searches=20)
    assert cycles.stats["solver"][12] == "BranchAndBound (words)"
    assert cycles.stats["solver"][60].startswith("SCYFI")
    assert cycles.result is RESULTS.successful


class Turns(plr.cycles.AbstractPlan):
    """Solvers in turn, each for every period."""

    def __init__(self, *solvers):
        self.solvers = solvers

    def plan(self, problem):
        pairs = ((k, one) for k in problem.periods for one in self.solvers)
        return [plr.cycles.Stage(one, (k,), problem.num_searches) for k, one in pairs]


def test_solvers_in_turn_keep_what_either_finds_and_claims():
    """Few walks, then all words; what is complete needs no walks; claims hold without news."""
    few, all_words = plr.SCYFI(min_searches=1, max_searches=2), plr.Exhaustive()
    found = search(LOZI, [6, 7], solver=Turns(few, all_words))
    assert found.counts() == {6: 4, 7: 4} and found.stats["walks"] == {6: 2, 7: 2}
    assert found.coverage is COVERAGE.complete_in_floating_point
    assert found.stats["solver"][6] == "SCYFI + Exhaustive"
    found = search(LOZI, [6], solver=Turns(all_words, plr.SCYFI()))
    assert "walks" not in found.stats and found.stats["solver"] == {6: "Exhaustive"}
    found = search(LOZI, [6], solver=Turns(plr.SCYFI(), few))
    assert found.coverage is COVERAGE.saturated
    found = search(LOZI, [8], solver=Turns(few, plr.PathFollowing(max_searches=300)))
    assert found.counts() == {8: 7} and found.stats["walks"] == {8: 2}
    box = plr.BranchAndBound(box=1.0, method="words")
    found = search(LOZI, [6], solver=Turns(plr.SCYFI(), box, plr.PathFollowing()))
    assert found.coverage <= COVERAGE.saturated and found.coverage_domain == "all of R^M"


def test_recall_benchmark_steps_a_plan_to_its_end():
    case = recall.Case(LOZI, 8)
    whole = recall.search(plr.Exhaustive(), case)
    wanted, solver = set(whole.first), plr.Auto(max_bits=8, complete=False)
    assert len(wanted) == LOZI_PRIMES[8]
    found = recall.search(solver, case, wanted=wanted, seconds=60.0)
    assert set(found.first) == wanted and found.ends == sorted(found.ends)
