"""Audits of published and own trained networks: counts, foci, and the end of every branch."""

import pathlib
import sys

import jax.random as jr
import numpy as np
import pytest
from systems import QUIET

import plrjax as plr

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.lorenz_audit import NETWORKS as LORENZ
from benchmarks.lorenz_audit import foci, load
from benchmarks.lorenz_circles import cycles_at, followed, linear_paths
from benchmarks.multistable import NETWORKS, ends, enumerated, numbers_alive
from plrjax import COLLISION

FIRST, LAST = 40, 56
"""Snapshots of the multistable network in which it loses three fixed points and wins two."""


@pytest.fixture
def multistable(shared):
    """A piece of the published training, and the events of its fixed points."""
    path = shared / NETWORKS
    models = [plr.load(path, kind="shallow", index=index) for index in range(FIRST, LAST)]
    return models, plr.detect_bifurcations(models, [1], progress=QUIET)


def test_multistable_network_has_as_many_fixed_points_as_enumeration_finds(multistable):
    models, found = multistable
    rows = [0, 5, 6, 8, 9, 10, 11, 15]
    assert numbers_alive(found)[rows].tolist() == enumerated(models, rows).tolist()
    assert found.coverage is plr.COVERAGE.complete_in_floating_point


def test_no_branch_of_the_multistable_network_is_lost(multistable):
    models, found = multistable
    counts = ends(found)
    assert counts["lost"] == counts["unexplained"] == 0 and not found.notes
    alive = numbers_alive(found)
    assert counts["outer"] == alive[0] + alive[-1]
    folds = found.subtype == COLLISION.nonsmooth_fold
    persistence = found.subtype == COLLISION.persistence
    assert (folds | persistence).all() and counts["events"] == 2 * len(found)
    assert alive[-1] - alive[0] == (found.num_after - found.num_before).sum()


def test_events_of_the_left_focus_bracket_its_changes_of_stability(shared):
    """Its pair crosses the unit circle between the first two and the third and fourth snapshots."""
    models, epochs = load(shared / LORENZ["gtf015"])
    models, epochs = models[:4], epochs[:4]
    found = plr.detect_bifurcations(
        models, [1], search=plr.bifurcations.Search(plr.PathFollowing(), every=3),
        key=jr.key(0), steps=epochs, progress=QUIET,
    )  # fmt: skip
    left, _ = foci(found, models)
    snapshots = np.arange(4)
    interval, s = np.minimum(snapshots, 2), (snapshots == 3).astype(float)
    modulus = np.abs(left.multipliers(interval, s)[:, 0])
    assert np.allclose(modulus, [1.0042, 0.9977, 0.9979, 1.0035], atol=1e-4)
    own = np.flatnonzero((found.branch == left.branch) & (found.attractor != 0))
    assert found.interval[own].tolist() == [0, 2]
    assert found.attractor[own].tolist() == [1, -1]
    assert (found.subtype[own] == COLLISION.persistence).all()
    before, after = (np.abs(x[own, 0]) for x in (found.multipliers_before, found.multipliers_after))
    assert ((before > 1) == [True, False]).all() and ((after > 1) == [False, True]).all()
    assert (np.abs(before - after) > 1e-3).all()
    assert np.allclose(found.s[own], [0.382244492182, 0.510543637966], rtol=0, atol=1e-11)


def test_a_cycle_met_from_both_ends_at_once_is_one_segment(shared):
    """At s = .566 a pair is born, and one of both ends at s = .643 as a third begins there."""
    models, _ = load(shared / LORENZ["agtf"])
    found = plr.detect_bifurcations(models[:2], [1], key=jr.key(0), progress=QUIET)
    ends = found.segment_low.round(9).tolist(), found.segment_high.round(9).tolist()
    words = [word.tobytes() for word in found.segment_itinerary]
    pieces = list(zip(words, *ends, strict=True))
    assert len(set(pieces)) == len(pieces) == len(found.segment_branch) > 3


@pytest.mark.slow
def test_locked_cycles_are_born_and_die_in_pairs(shared):
    """The circle around the left focus turns once in 61 steps from s = .22094 to .22112."""
    models, epochs = load(shared / LORENZ["gtf015"])
    path = linear_paths(models)[0]
    map = path.map(0.22096)
    state = np.array([-1.05, -0.916, 0.4])
    for _ in range(8):
        J, c = map.affine_piece(map.region_of(state))
        state = np.linalg.solve(np.eye(3) - J, c)
    state = state + 0.01
    for _ in range(20_000):
        state = map.apply(state)
    words = cycles_at(path, 0.22096, state, 61)
    found = followed([path], [(0, 0.22096, word) for word in words], epochs[:2])
    folds = found.subtype == COLLISION.nonsmooth_fold
    born = found.num_after[folds] == 2
    assert words and born.sum() == (~born).sum() == folds.sum() // 2
    assert found.s.min() == pytest.approx(0.2209385673, abs=1e-9)
    assert found.s.max() == pytest.approx(0.2211242910, abs=1e-9)
    counts = ends(found)
    assert counts["lost"] == counts["unexplained"] == counts["outer"] == 0
