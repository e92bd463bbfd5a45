"""Glued words: the starts they make, and cycles of chaotic maps that nothing else comes upon."""

import json

import jax.random as jr
import numpy as np
import pytest
from systems import LOZI, LOZI_PRIMES, QUIET, check_cycles, random_plrnn

import plrjax as plr
from plrjax.cycles._base import KnownCycle
from plrjax.cycles._solver._glued import glued_words
from plrjax.cycles._work import late_periods


class GluedAlone(plr.cycles.AbstractPlan):
    """Enumeration up to a period, and glued words for the longer ones."""

    def __init__(self, enumerated: int):
        self.enumerated = enumerated

    def plan(self, problem):
        first = plr.Exhaustive(), plr.SCYFI(glued=True)
        return [plr.cycles.Stage(first[k > self.enumerated], (k,)) for k in problem.periods]


def known_cycles(*lengths, units=5):
    draw = np.random.default_rng(0)
    words = [draw.random((k, units)) < 0.5 for k in lengths]
    return [KnownCycle(word, np.zeros((len(word), 2))) for word in words]


def rotations(word):
    return {np.roll(word, shift, axis=0).tobytes() for shift in range(len(word))}


@pytest.mark.parametrize("period", [1, 2, 6, 7])
def test_starts_are_pieces_of_two_cycles_and_none_twice(period):
    cycles = known_cycles(2, 3, 6)
    table = glued_words(cycles, period, 40, np.random.default_rng(1))
    count = len(table.counts)
    words = table.regions.reshape(count, period, 5)
    assert (table.starts[:, 0] == period * np.arange(count)).all() and (table.counts == 1).all()
    assert len({min(rotations(word)) for word in words}) == count
    long = [np.resize(cycle.itinerary, (64, 5)) for cycle in cycles]
    pieces = [[{w[t : t + n].tobytes() for t in range(6)} for w in long] for n in range(period)]
    begins = [{w[t : t + period].tobytes() for t in range(6)} for w in long]
    for word in words:
        cut_somewhere = any(
            any(word[:c].tobytes() in some for some in pieces[c])
            and any(word[c:].tobytes() in some for some in pieces[period - c])
            for c in range(1, period)
        )
        assert cut_somewhere or any(word.tobytes() in some for some in begins)
    for cycle in (c for c in cycles if period % len(c.points) == 0):
        repeated = np.tile(cycle.itinerary, (period // len(cycle.points), 1))
        assert not any(word.tobytes() in rotations(repeated) for word in words)


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


def test_periods_with_news_in_the_second_half_of_their_time_are_late():
    table = {
        "solver": ["a", "b", "a", "b", "b"],
        "period": [2, 2, 3, 3, 3],
        "seconds": [1.0, 4.0, 5.0, 5.5, 9.0],
        "cycles": [3, 3, 4, 6, 7],
    }
    assert late_periods(table) == [3]
    assert late_periods(dict(table, cycles=[3, 3, 4, 6, 6])) == []
