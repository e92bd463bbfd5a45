"""Which cycle of one network is which cycle of another."""

import numpy as np
import pytest
from systems import QUIET, random_plrnn, tent

import plrjax as plr
from plrjax import LINK, FunctionPath, PiecewiseAffineMap


def cycles_of(map, periods=(1, 2, 3)):
    return plr.find_cycles(map, periods, solver=plr.Exhaustive(), progress=QUIET)


def skew_tent(left, right, mu=1.0):
    return PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [mu], [0.0])


def test_a_network_against_itself():
    map = tent(1.9)
    first = cycles_of(map, range(1, 6))
    found = plr.match_cycles((map, map), first, first)
    assert np.array_equal(found.rows, np.tile(np.arange(len(first))[:, None], 2))
    assert (found.link == LINK.continuation).all() and (found.distance == 0).all()
    assert not len(found.only_first) and not len(found.only_second)


def test_persistence_keeps_a_cycle_whose_word_changes():
    ends = skew_tent(0.5, 0.3, -1.0), skew_tent(0.5, 0.3, 1.0)
    first, second = map(cycles_of, ends)
    assert first.regions(0) != second.regions(0)
    found = plr.match_cycles(plr.LinearPath(*ends), first, second)
    assert found.rows.tolist() == [[0, 0]] and found.link[0] == LINK.continuation
    assert np.isclose(found.distance[0], 2.0 + 1.0 / 0.7)


def test_cycles_that_end_in_events_have_no_partner():
    """Two fixed points before a fold, none behind; a 2-cycle that is born at a flip."""
    ends = skew_tent(0.5, 2.0, -1.0), skew_tent(0.5, 2.0, 1.0)
    found = plr.match_cycles(ends, *map(cycles_of, ends))
    assert len(found) == 0 and found.only_first.tolist() == [0, 1] and not len(found.only_second)
    path = FunctionPath(lambda right: skew_tent(0.2, right), -1.8, -0.5)
    first, second = cycles_of(path.map(path.start)), cycles_of(path.map(path.stop))
    found = plr.match_cycles(path, first, second)
    assert first.period[found.rows[:, 0]].tolist() == [1] and len(second) == 1
    assert first.period[found.only_first].tolist() == [2]


def test_the_same_word_reborn_is_another_cycle():
    """A path that turns through a transcritical and back: the cycle at its end is a new one."""
    path = FunctionPath(lambda s: skew_tent(0.2, 1.5 - s**2), -1.2, 1.3)
    first, second = cycles_of(path.map(path.start)), cycles_of(path.map(path.stop))
    assert first.regions(0) == second.regions(0)
    found = plr.match_cycles(path, first, second)
    assert len(found) == 0 and found.only_first.tolist() == found.only_second.tolist() == [0]


def on_the_border(tilt, offset):
    """Fixed points with relu(y_1) = 0 exactly: on a switching boundary, so not to be followed."""
    return PiecewiseAffineMap(
        [[0.5, 0.0], [0.0, 0.3]], [[0.2], [tilt]], [[1.0, 0.0]], [0.0, offset], [0.0]
    )


def test_what_cannot_be_followed_is_matched_by_its_word():
    ends = on_the_border(0.1, 1.0), on_the_border(0.2, 1.4)
    first, second = (cycles_of(end, [1]) for end in ends)
    assert not first.margin.any() and len(first) == len(second) == 1
    found = plr.match_cycles(ends, first, second)
    assert found.rows.tolist() == [[0, 0]] and found.link[0] == LINK.word
    assert np.isclose(found.distance[0], 0.4 / 0.7)


def test_what_has_another_word_is_matched_by_distance():
    """A second unit is off in the first network and on in the second: the same index."""
    ends = [
        PiecewiseAffineMap(
            [[0.5, 0.0], [0.0, 0.3]], [[0.2, 0.0], [0.1, 0.0]], np.eye(2), [0.0, offset],
            [0.0, threshold],
        )
        for offset, threshold in ((1.0, -9.0), (1.4, 9.0))
    ]  # fmt: skip
    first, second = (cycles_of(end, [1]) for end in ends)
    assert not first.margin.any() and not second.margin.any()
    found = plr.match_cycles(ends, first, second)
    assert found.rows.tolist() == [[0, 0]] and found.link[0] == LINK.distance
    assert np.isclose(found.distance[0], 0.4 / 0.7)


@pytest.mark.parametrize("seed", range(4))
def test_matches_are_the_branches_of_detect_bifurcations(seed):
    ends = random_plrnn(seed, 2, 2.5), random_plrnn(seed + 50, 2, 2.5)
    sets = [cycles_of(end) for end in ends]
    found = plr.match_cycles(ends, *sets)
    traced = plr.detect_bifurcations(ends, [1, 2, 3], progress=QUIET)
    through = traced.alive_at(0).keys() & traced.alive_at(1).keys()
    assert len(found) == len(through) and (found.link == LINK.continuation).all()
    assert len(found.only_first) == len(sets[0]) - len(through)
    periods = [cycles.period[found.rows[:, side]] for side, cycles in enumerate(sets)]
    assert np.array_equal(periods[0], periods[1])
    back = plr.match_cycles(ends[::-1], *sets[::-1])
    assert sorted(map(tuple, back.rows[:, ::-1])) == sorted(map(tuple, found.rows))


def test_errors_name_the_argument():
    first = cycles_of(tent(1.9))
    with pytest.raises(ValueError, match="path"):
        plr.match_cycles(tent(1.9), first, first)
