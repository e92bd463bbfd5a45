"""Paths cut into several have the events of the whole path, wherever they are cut."""

import jax.random as jr
import numpy as np
import pytest
from cut_paths import cut_path, detect, differences, random_cuts, random_ends

import plrjax as plr
from plrjax import BIFURCATION, COLLISION, STABILITY, PiecewiseAffineMap
from plrjax import training as tr

PERIODS = {1: range(1, 5), 2: range(1, 4)}
"""Periods followed, by the number of units."""


def skew_tent(left, right, mu=1.0):
    """z' = left z for z <= 0, right z for z > 0, plus mu."""
    return PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [mu], [0.0])


ENDS = plr.bifurcations.Search(plr.Exhaustive(), max_bits=0, every=1000)
"""Cycles are searched at the first and the last network only, and followed from there."""


def said_of(seed, search=None):
    """Return the differences between one random path and itself, cut."""
    draw = np.random.default_rng([seed, 77])
    first, last = random_ends(draw)
    periods = PERIODS[first.W1.shape[1]]
    whole = detect([first, last], periods, search=search)
    places = random_cuts(draw, whole)
    cut = detect(cut_path(first, last, places), periods, search=search)
    return differences(whole, cut, places)


@pytest.mark.parametrize("seed", range(6))
def test_random_paths(seed):
    assert said_of(seed) == []


@pytest.mark.parametrize("seed", [8, 28, 59])
def test_what_is_known_at_the_ends_is_followed_through_all_cuts(seed):
    """Branches turn back at folds: they are followed to and fro through the networks between."""
    assert said_of(seed, ENDS) == []


@pytest.mark.slow
@pytest.mark.parametrize("search", [None, ENDS])
def test_many_random_paths(search):
    said = {seed: said_of(seed, search) for seed in range(6, 206)}
    assert {seed: one for seed, one in said.items() if one} == {}


def test_a_flip_at_a_network():
    rights = -0.5, -1.0, -1.5
    found = detect([skew_tent(0.2, right) for right in rights], range(1, 4))
    assert (found.interval + found.s).tolist() == [1.0] and not found.notes
    assert found.kind.tolist() == [BIFURCATION.degenerate_flip]
    assert found.attractor.tolist() == [0] and found.num_after.tolist() == [2]
    assert found.stability_before.tolist() == [STABILITY.stable]
    assert found.stability_after.tolist() == [STABILITY.unstable]
    assert [branch.born for branch in found.branches] == [-1, 0]


def test_a_network_with_an_event_that_is_given_twice():
    rights = -0.5, -1.0, -1.0, -1.0, -1.5, -1.5
    found = detect([skew_tent(0.2, right) for right in rights], range(1, 4))
    assert (found.interval + found.s).tolist() == [1.0] and not found.notes
    assert found.kind.tolist() == [BIFURCATION.degenerate_flip]
    assert found.attractor.tolist() == [0] and found.num_after.tolist() == [2]
    assert [len(found.alive_at(network)) for network in (0, 2, 4, 5)] == [1, 1, 2, 2]


@pytest.mark.parametrize("rights", [(-0.5, -1.0), (-1.0, -1.5)])
def test_a_flip_at_an_end_of_the_path_is_not_judged_from_one_side(rights):
    found = detect([skew_tent(0.2, right) for right in rights], range(1, 4))
    assert found.kind.tolist() == [BIFURCATION.degenerate_flip]
    assert found.attractor.tolist() == [0] and found.num_after.tolist() == [2]
    assert found.stability_before.tolist() == [STABILITY.stable]
    assert found.stability_after.tolist() == [STABILITY.unstable]


def test_a_collision_at_a_network():
    found = detect([skew_tent(0.5, -1.5, mu) for mu in (-1.0, 0.0, 1.0)], range(1, 4))
    assert (found.interval + found.s).tolist() == [1.0] and not found.notes
    assert found.subtype.tolist() == [COLLISION.multiple]
    assert found.num_before.tolist() == [1] and found.num_after.tolist() == [2]
    assert found.participants.tolist() == [[0, 1]] and found.attractor.tolist() == [0]


@pytest.mark.parametrize("right, before, attractor", [(2.0, 2, -1), (-3.0, 1, -1), (0.3, 1, 0)])
def test_what_only_touches_a_boundary_has_no_event(right, before, attractor):
    """mu = -1, 0, -1 turns back at the fold; mu = -1, 0, 1 does not."""
    back = detect([skew_tent(0.5, right, mu) for mu in (-1.0, 0.0, -1.0)], [1, 2])
    assert len(back) == 0 and back.num_branches == before and not back.notes
    through = detect([skew_tent(0.5, right, mu) for mu in (-1.0, 0.0, 1.0)], [1, 2])
    assert through.num_before.tolist() == [before]
    assert through.attractor.tolist() == [attractor]


def test_a_cycle_through_infinity_at_a_network():
    """The fixed point 1 / (1 - right) of z' = right z + 1 > 0 goes to infinity at right = 1."""
    found = detect([skew_tent(0.2, right) for right in (0.5, 1.0, 1.5)], [1])
    assert found.kind.tolist() == [BIFURCATION.degenerate_transcritical]
    assert (found.interval + found.s).tolist() == [1.0] and not found.notes
    assert found.attractor.tolist() == [-1] and found.num_after.tolist() == [0]
    back = detect([skew_tent(0.2, right) for right in (0.5, 1.0, 0.5)], [1])
    assert len(back) == 0 and back.num_branches == 1


def test_a_center_at_a_network():
    """J = [[1/2, 1], [-delta, 0]]: a pair of modulus sqrt(delta)."""
    model = lambda delta: PiecewiseAffineMap(
        [[0.5, 1.0], [-delta, 0.0]], [[0.0], [0.0]], [[1.0, 0.0]], [1.0, 0.0], [0.0]
    )
    found = detect([model(delta) for delta in (0.5, 1.0, 1.5)], [1])
    assert found.kind.tolist() == [BIFURCATION.center] and found.attractor.tolist() == [-1]
    assert (found.interval + found.s).tolist() == [1.0]
    assert len(detect([model(delta) for delta in (0.5, 1.0, 0.5)], [1])) == 0


@pytest.mark.parametrize("which", ["flip", "collision"])
def test_a_search_follows_through_a_network_with_an_event(which):
    """Cycles found at the first network only: what is born at the second is followed from there."""
    rights, mus = ((-0.5, -1.0, -1.5), (1, 1, 1)) if which == "flip" else ((-1.5,) * 3, (-1, 0, 1))
    models = [skew_tent(0.2, right, mu) for right, mu in zip(rights, mus)]
    search = plr.bifurcations.Search(max_bits=0, every=2)
    tracker = plr.BifurcationTracker((1, 2), key=jr.key(0), search=search)
    for step, model in enumerate(models):
        losses, norms = np.zeros(step), np.zeros((step, 1))
        observed, forcing = tr.Identity(1), tr.NoForcing()
        tracker(tr.TrainingRecord(step, model, observed, (), losses, norms, forcing, ()))
    found = tracker.bifurcations
    assert (found.interval + found.s).tolist() == [1.0] and not found.notes
    assert found.num_after.tolist() == [2] and found.attractor.tolist() == [0]


def test_cuts_of_one_event_of_two_units():
    """h = 0 at s = 0.4: all units are zero on the fixed point at once, which is one event."""
    ends = [
        PiecewiseAffineMap([[0.4]], [[0.3, -0.2]], [[1.0], [2.0]], [h], [0.5 * h, -0.3 * h])
        for h in (1.0, -1.5)
    ]
    whole = detect(ends, [1, 2])
    assert len(whole) == 1 and whole.num_units_zero.tolist() == [2] and not whole.notes
    places = [0.0, 0.4, 1.0]
    assert differences(whole, detect(cut_path(ends[0], ends[1], places), [1, 2]), places) == []
