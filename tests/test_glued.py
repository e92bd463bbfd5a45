"""Glued words: cycles of chaotic maps that nothing else comes upon."""

import json

import jax.random as jr
import numpy as np
import pytest
from systems import LOZI, LOZI_PRIMES, QUIET, check_cycles, random_plrnn

import plrjax as plr


class GluedAlone(plr.cycles.AbstractPlan):
    """Enumeration up to a period, and glued words for the longer ones."""

    def __init__(self, enumerated: int):
        self.enumerated = enumerated

    def plan(self, problem):
        first = plr.Exhaustive(), plr.SCYFI(glued=True)
        return [plr.cycles.Stage(first[k > self.enumerated], (k,)) for k in problem.periods]


def test_short_cycles_of_the_lozi_map_give_the_longer_ones():
    found = plr.find_cycles(LOZI, range(1, 9), key=jr.key(0), solver=GluedAlone(5), progress=QUIET)
    assert found.counts() == {k: LOZI_PRIMES[k] for k in range(1, 9)}
    check_cycles(LOZI, found)
    assert found.coverage is plr.COVERAGE.partial  # such starts are no independent draws
    assert found.effort()["glued words"][1] == sum(LOZI_PRIMES[k] for k in range(6, 9))


def test_nothing_is_glued_where_one_cycle_is_known():
    model = random_plrnn(0, 6, 0.4)
    found = plr.find_cycles(model, [1, 4], key=jr.key(0), solver=GluedAlone(1), progress=QUIET)
    assert found.counts() == {1: 1, 4: 0}
    assert found.stats["glued_walks"] == {4: 0}


def test_the_default_finds_the_cycles_of_a_chaotic_saddle(shared):
    """Counts of the shared case: at least so many exist, each found by two programs."""
    case = json.loads((shared / "cases" / "chaotic_m8.json").read_text())
    arrays = {name: np.array(case[name]) for name in ("A", "W", "h")}
    model = plr.from_arrays(case["model"], **arrays)
    found = plr.find_cycles(model, range(1, 9), key=jr.key(3), progress=QUIET)
    least = [1, 1, 2, 3, 2, 2, 4, 9]
    assert all(found.counts()[k] >= number for k, number in enumerate(least, start=1))
    check_cycles(model.as_piecewise_affine(), found)


def test_course_of_a_search():
    found = plr.find_cycles(LOZI, range(1, 8), key=jr.key(0), progress=QUIET)
    work = found.stats["work"]
    assert work["seconds"] == sorted(work["seconds"]) and work["cycles"][-1] == len(found)
    effort = found.effort()
    assert sum(news for _, news in effort.values()) == len(found)
    assert sum(seconds for seconds, _ in effort.values()) <= found.stats["seconds"]
    axes = plr.plot.course(found)
    labels = axes.get_legend_handles_labels()[1]
    assert [label.split(":")[0] for label in labels] == list(effort)
    assert axes.dataLim.ymax == len(found)
    with pytest.raises(ValueError, match="cycles: expected the result of find_cycles"):
        plr.plot.course(plr.cycles_of_itineraries(LOZI, [np.ones((1, 1), bool)]))
