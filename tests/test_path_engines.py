"""The compiled loop and the lanes follow the same curves: pivots, ends and crossings agree."""

import numpy as np
import pytest
from systems import LOZI, random_plrnn, random_shallow, tent, words_of
from test_paths import assert_complete, search

import plrjax as plr
from plrjax.cycles._solver import _path_following as _paths
from plrjax.cycles._solver._path_engines import LaneEngine, LoopEngine
from plrjax.cycles._solver._path_starts import StateForm, UnitForm, form_of


def followed(engine, table):
    """Return (path, cell) of all crossings and the tally of one round."""
    engine.begin(table)
    crossings = set()
    while not engine.over:
        paths, cells = engine.advance()
        crossings |= set(zip(paths.tolist(), map(bytes, cells)))
    return crossings, engine.tally()


def starts_of(form, period, size, count=40):
    draw = np.random.default_rng(count)
    return form.points(draw.standard_normal((count, period, size)), draw)


CASES = {
    "units": (random_plrnn(4, 5, 4.0), 2, UnitForm, 5000),
    "states": (random_shallow(6, 2, 12, 4.0), 2, StateForm, 5000),
    "short legs": (random_plrnn(4, 9, 3.0), 1, UnitForm, 7),
    "lozi": (LOZI, 7, UnitForm, 5000),
}


@pytest.mark.parametrize("name", CASES)
def test_loop_and_lanes_agree(name):
    map, period, kind, most = CASES[name]
    form = form_of(map, period)
    assert isinstance(form, kind)
    table = starts_of(form, period, map.state_size)
    crossings, tally = followed(LoopEngine(form, most), table)
    others, other = followed(LaneEngine(form, most, 16, None), table)
    assert crossings == others and len(crossings) > 0
    assert tally.pivots == other.pivots and tally.ties == other.ties
    assert np.array_equal(tally.legs, other.legs) and tally.legs.sum() >= 40


def test_tableaus_of_lapack_and_of_the_loop_are_the_same(monkeypatch):
    """Above a size the loop asks for a solution from outside; the curves do not change."""
    form = form_of(random_plrnn(2, 9, 3.0), 1)
    table = starts_of(form, 1, 9)
    inside = followed(LoopEngine(form, 5000), table)
    monkeypatch.setattr("plrjax.cycles._solver._path_engines._SMALL", 3)
    outside = followed(LoopEngine(form, 5000), table)
    assert inside[0] == outside[0] and inside[1].pivots == outside[1].pivots


def test_a_singular_start_is_a_broken_leg():
    """I - J vanishes in the cell of the start: the tent of slope 1 on the left is the identity."""
    form = StateForm(tent(1.0), 1)
    table = starts_of(form, 1, 1, 8)
    crossings, tally = followed(LoopEngine(form, 100), table)
    others, other = followed(LaneEngine(form, 100, 8, None), table)
    assert np.array_equal(tally.legs, other.legs) and crossings == others


def test_both_tableaus_find_the_same(monkeypatch):
    map = random_plrnn(3, 5, 3.0)
    by_unit = search(map, [1, 3], num_searches=200)
    assert isinstance(form_of(map, 3), UnitForm)
    monkeypatch.setattr(_paths, "form_of", lambda map, period, scale: StateForm(map, period, scale))
    by_state = search(map, [1, 3], num_searches=200)
    assert words_of(by_unit) == words_of(by_state)
    assert_complete(map, [1, 3], by_state)


def test_many_units_use_the_tableau_of_the_states():
    """So does a state that no unit acts on, with multiplier 1: no region has I - J regular."""
    free = plr.PiecewiseAffineMap([1.0, 0.5], [[0.0], [-2.0]], [[0.0, 1.0]], [1.0, 1.0], [0.0])
    for map in (random_shallow(1, 2, 12, 2.0), free):
        assert isinstance(form_of(map, 1), StateForm)
