"""What a search may claim where little was met, much is tied, or divisors were not searched."""

import json

import jax.random as jr
import numpy as np
from systems import LOZI, QUIET

import plrjax as plr
from plrjax import COVERAGE


def test_a_search_that_met_nothing_is_not_saturated(shared):
    """Period 12 of a chaotic network has 39 cycles; one path of a hundred comes upon any."""
    arrays = json.loads((shared / "cases" / "chaotic_m8.json").read_text())
    arrays = {name: np.array(arrays[name]) for name in ("A", "W", "h")}
    model = plr.from_arrays("plrnn", **arrays)
    solver = plr.PathFollowing(min_searches=64, max_searches=64)
    few = plr.find_cycles(model, 12, key=jr.key(0), solver=solver, progress=QUIET)
    assert few.stats["crossed"][12] == 0 and len(few) == 0
    assert few.coverage is COVERAGE.partial and np.isnan(few.unseen[12].missing_mass)
    solver = plr.PathFollowing(min_searches=512)
    more = plr.find_cycles(model, 12, key=jr.key(0), solver=solver, progress=QUIET)
    assert more.coverage is COVERAGE.saturated and more.counts() == {12: 39}
    assert more.stats["crossed"][12] >= 20


class Claims(plr.SCYFI):
    """Finds nothing, whatever it may claim."""

    claimed = COVERAGE.saturated

    def terminate(self, problem, state):
        return True

    def outcome(self, problem, state):
        return plr.cycles.Outcome(plr.cycles.Catalog(problem.map), self.claimed)


class Neighbours(plr.cycles.AbstractPlan):
    """All words of the periods below the last one, of which nothing is found."""

    def __init__(self, claimed):
        self.claimed = claimed

    def plan(self, problem):
        *before, last = problem.periods
        none = Claims()
        object.__setattr__(none, "claimed", self.claimed)
        stages = [plr.cycles.Stage(plr.Exhaustive(), (k,)) for k in before]
        return [*stages, plr.cycles.Stage(none, (last,))]


def test_a_period_far_below_its_neighbours_is_named():
    for claimed in (COVERAGE.saturated, COVERAGE.complete_in_floating_point):
        found = plr.find_cycles(
            LOZI, range(9, 13), key=jr.key(0), solver=Neighbours(claimed), progress=QUIET
        )
        assert found.coverage_by_period[12] is claimed and found.counts()[12] == 0
        assert min(found.counts()[10], found.counts()[11]) > 8
        named = [note.split(",")[0] for note in found.notes if "while there are" in note]
        assert named == ["period 12: 0 cycles"] * (claimed is COVERAGE.saturated)


def test_nothing_is_missing_where_divisors_were_not_searched():
    """A contraction of clipped units has one fixed point: none of period 5, and no alarm."""
    model = plr.from_arrays(
        "clipped-shallow",
        A=np.array([0.5, 0.5]),
        W1=np.array([[0.1, -0.1, 0.05], [0.05, 0.1, -0.1]]),
        W2=np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        h1=np.array([0.1, 0.2]),
        h2=np.array([0.3, -0.2, 0.1]),
    )
    alone = plr.find_cycles(model, [5], key=jr.key(0), progress=QUIET)
    both = plr.find_cycles(model, [1, 5], key=jr.key(0), progress=QUIET)
    assert both.counts() == {1: 1, 5: 0} and both.index_sum(5) == both.degree[5] == 1
    for found in (alone, both):
        assert not any("missing" in note for note in found.notes)


def test_words_that_the_origin_solves_are_decided_together():
    """With h = 0 each of 65,536 words of four letters has the origin for its solution."""
    draw = np.random.default_rng(0)
    W = draw.standard_normal((4, 4))
    np.fill_diagonal(W, 0.0)
    model = plr.from_arrays("plrnn", A=draw.uniform(0.2, 0.9, 4), W=W, h=np.zeros(4))
    found = plr.find_cycles(model, [1, 4], key=jr.key(0), progress=QUIET)
    assert found.counts() == {1: 1, 4: 0} and not found.points[0, 0].any()
    assert found.coverage is COVERAGE.complete_in_floating_point
