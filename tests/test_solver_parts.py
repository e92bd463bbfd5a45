"""Parts of solvers: engines of paths, Schur complements, rotations of words, glued words, news."""

import itertools

import numpy as np
import pytest
from systems import LOZI, random_plrnn, random_shallow, tent, words_of
from test_paths import assert_complete, search

import plrjax as plr
from plrjax.cycles._base import KnownCycle
from plrjax.cycles._solver import _path_following as _paths
from plrjax.cycles._solver._exhaustive import _may_be_largest as may_be_largest
from plrjax.cycles._solver._glued import glued_words
from plrjax.cycles._solver._path_engines import LaneEngine, LoopEngine
from plrjax.cycles._solver._path_starts import StateForm, UnitForm, form_of
from plrjax.cycles._solver._schur import Workspace, enumerate_branch, root_branch, split
from plrjax.cycles._work import late_periods


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


def sign_patterns(B, c):
    """Return all patterns of y = B relu(y) + c, one system at a time."""
    found = set()
    for bits in itertools.product([False, True], repeat=len(c)):
        D = np.array(bits)
        y = np.linalg.solve(np.eye(len(c)) - B * D, c)
        if np.array_equal(y > 0, D):
            found.add(bits)
    return found


@pytest.mark.parametrize("unknowns", [1, 2, 5, 8])
def test_schur_complements_find_every_sign_pattern(unknowns):
    for seed in range(10):
        draw = np.random.default_rng([seed, unknowns])
        B = 1.5 * draw.standard_normal((unknowns, unknowns)) / np.sqrt(unknowns)
        c = draw.standard_normal(unknowns)
        branches, scale = [root_branch(B, c)], np.abs(c).max()
        for _ in range(min(seed % 3, unknowns)):
            branches = [child for branch in branches for child in split(branch)[0]]
        leaves = [enumerate_branch(branch, scale, Workspace()) for branch in branches]
        assert not any(leaf.suspects for leaf in leaves)
        found = {tuple(p) for leaf in leaves for p in leaf.patterns.tolist()}
        assert found == sign_patterns(B, c)


def test_small_pivots_are_suspects():
    """I - B D has an exactly zero leading pivot although the whole system is regular."""
    B = np.array([[0.0, 2.0, 0.0], [3.0, 1.0, 0.0], [0.5, 0.0, 1.0]])
    assert enumerate_branch(root_branch(B, np.array([-1.0, 0.7, 0.3])), 1.0, Workspace()).suspects


@pytest.mark.parametrize("period, units", [(2, 4), (3, 3), (4, 2)])
def test_of_the_rotations_of_a_word_one_is_kept_at_every_depth(period, units):
    """Those that survive all cuts stand for the others: exactly one, whatever the word."""
    depths = [*range(1, period), *range(period, period * units + 1, period)]
    for number in range(2 ** (period * units)):
        word = np.array([number >> i & 1 for i in range(period * units)], bool)
        word = word.reshape(units, period)
        rotations = {tuple(np.roll(word, s, axis=1).ravel().tolist()) for s in range(period)}
        kept = [w for w in rotations if all(may_be_largest(w[:d], period) for d in depths)]
        assert len(kept) == 1


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


def test_periods_with_news_in_the_second_half_of_their_time_are_late():
    table = {
        "solver": ["a", "b", "a", "b", "b"],
        "period": [2, 2, 3, 3, 3],
        "seconds": [1.0, 4.0, 5.0, 5.5, 9.0],
        "cycles": [3, 3, 4, 6, 7],
    }
    assert late_periods(table) == [3]
    assert late_periods(dict(table, cycles=[3, 3, 4, 6, 6])) == []
