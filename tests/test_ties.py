"""Points exactly on switching boundaries, and continua of cycles, against rational arithmetic."""

import collections

import jax.random as jr
import numpy as np
import pytest
from local_maps import LocalMap
from systems import QUIET
from tie_checks import Check, found_in, line_stability, random_map, source
from tie_oracle import Exact

import plrjax as plr
from plrjax import COVERAGE, STABILITY

P = plr.PiecewiseAffineMap


def plrnn(A, W, h):
    arrays = {"A": np.array(A, float), "W": np.array(W, float), "h": np.array(h, float)}
    return plr.from_arrays("plrnn", **arrays)


def find(model, periods):
    return plr.find_cycles(model, periods, key=jr.key(0), progress=QUIET)


CONTINUA = [
    (P([[-1.0]], np.zeros((1, 0)), np.zeros((0, 1)), [0.5], []), [2], 2),
    (P(np.diag([-1.0, 0.5]), [[0.0], [-0.2]], [[0.0, 1.0]], [0.0, 1.0], [-10.0]), [2], 2),
    (P([[0.0, -1], [1, -1]], 0.5 * np.eye(2), np.eye(2), [0.0, 0.0], [-1.0, -1.0]), [3], 3),
    (P([[-1.0]], [[1.0]], [[1.0]], [0.0], [-1.0]), [2], 2),
    (plrnn([1.0, 1.0], np.zeros((2, 2)), [0.0, 0.0]), range(1, 4), 1),
]


JORDAN = [[0.0, 1.0, 1.0], [-0.5, -1.0, 0.0], [0.5, 0.0, -1.0]]  # multipliers 0, -1, -1
CONTINUA.append((P(JORDAN, np.zeros((3, 0)), np.zeros((0, 3)), np.zeros(3), []), [2], 2))
TURN = [[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]]  # a 2-cycle has 1, -1, -1
TURNING = P(TURN, [[0.0], [0.0], [-1.0]], [[0.0, 1.0, 1.0]], [1.0, 0.0, -1.0], [1.0])
CONTINUA.append((TURNING, [4], 4))


@pytest.mark.parametrize("model, periods, period", CONTINUA)
def test_a_continuum_is_shown_and_not_counted(model, periods, period):
    cycles = find(model, periods)
    assert set(cycles.period.tolist()) == {period} and not cycles.is_isolated.any()
    assert not any(cycles.counts().values())
    assert any(f"period {period}:" in note and "a continuum" in note for note in cycles.notes)


def test_a_singular_word_without_solutions_is_no_continuum():
    map = plrnn([2, 0, -2], [[1, 1, 1], [1, 0, -3], [1, -3, 2]], [-2, -1, -1])
    cycles = find(map, [4])
    assert len(cycles) == 0 and cycles.coverage is COVERAGE.complete_in_floating_point


def test_a_multiplier_near_one_is_no_continuum():
    slope = 1 + 5e-14
    cycles = find(P([[slope]], [[-0.5]], [[1.0]], [(1 - slope) * 2], [-50.0]), [1])
    assert cycles.counts() == {1: 2} and cycles.is_isolated.all()


@pytest.mark.parametrize(
    "A, W, stability, index",
    [
        (0.5, 2.0, STABILITY.unstable, 0),
        (2.5, -2.0, STABILITY.unstable, 0),
        (-2.0, 2.5, STABILITY.stable, 1),
    ],
)
def test_a_fixed_point_on_a_boundary(A, W, stability, index):
    cycles = find(plrnn([A], [[W]], [0.0]), [1])
    assert cycles.counts() == {1: 1} and np.isnan(cycles.multipliers).all()
    assert cycles.stability[0] == stability and cycles.index[0] == index
    assert cycles.index_sum(1) == index


SMOOTH = [
    (P([[0.5, 0], [0, 2]], [[0.0], [0.0]], [[1.0, 0.0]], [0.0, 0.0], [0.0]), STABILITY.saddle),
    (P([[-1, 0], [0, 0]], [[0.0], [0]], [[0, 1]], [0, 0], [0]), STABILITY.nonhyperbolic),
    (P([[0.5]], [[1.0, -1.0]], [[1.0], [1.0]], [0.0], [0.0, 0.0]), STABILITY.stable),
    (P([[0.5]], [[1.0, -1.0]], [[1.0], [-1.0]], [0.0], [0.0, 0.0]), STABILITY.unstable),
]


@pytest.mark.parametrize("map, stability", SMOOTH)
def test_a_tie_that_changes_nothing_is_none(map, stability):
    """A unit without output, or two that cancel."""
    cycles = find(map, [1])
    assert cycles.counts() == {1: 1} and cycles.stability[0] == stability
    assert np.isfinite(cycles.multipliers).all()


def wrong_in(seeds):
    """Return what is wrong with the results of random maps, and how often what was undecided."""
    wrong, shares = [], collections.Counter()
    for seed in seeds:
        map = random_map(seed)
        check = Check(map, found_in(map, seed))
        shares += check.shares
        wrong += [f"seed {seed}: {source(map)}: {item}" for item in check.wrong]
    return wrong, shares


def test_random_maps_agree_with_rational_arithmetic():
    wrong, shares = wrong_in(range(60))
    assert not wrong, "\n".join(wrong[:20])
    assert shares["cycles"] > 60 and shares["continua"] > 10 and shares["on a boundary"] > 5


@pytest.mark.slow
def test_many_random_maps_agree_with_rational_arithmetic():
    wrong, shares = wrong_in(range(1000, 21_000))
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong[:40]])
    assert shares["index undecided"] < 0.2 * shares["on a boundary"], shares
    assert shares["stability undecided"] < 0.6 * shares["on a boundary"], shares


def test_the_oracle_agrees_with_closed_forms_and_turning_numbers():
    """One state: slopes decide; two: v - G(v) turns around 0 on a circle as often as the index."""
    ties = {1: 0, 2: 0}
    for seed in range(200):
        map = random_map(seed)
        if map.state_size > 2 or map.num_units > 2:
            continue
        truth = Exact(map, 3)
        for cycle in (cycle for k in (1, 2, 3) for cycle in truth.cycles[k]):
            local = LocalMap(truth, cycle)
            ties[map.state_size] += local.is_kinked
            if map.state_size == 2:
                assert local.winding() == local.index()
                continue
            left, right = local.slopes()
            assert 2 * local.index() == np.sign(1.0 - float(left)) + np.sign(1.0 - float(right))
    assert min(ties.values()) > 5


def test_the_stability_of_a_line_is_what_its_orbits_do():
    draw = np.random.default_rng(0)
    for left, right in draw.integers(-8, 9, (200, 2)) / 4.0:
        x = np.array([-1.0, 1.0])
        for _ in range(200):
            x = np.where(x < 0, left, right) * x
        code = line_stability(left, right)
        assert code == STABILITY.stable or np.abs(x).max() >= 1
        assert code == STABILITY.unstable or np.abs(x).max() <= max(abs(left), abs(right), 1)
        assert code != STABILITY.stable or np.abs(x).max() < 0.1
