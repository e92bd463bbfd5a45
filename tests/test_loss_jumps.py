"""The benchmark of loss jumps: its losses, its counts of events and its shares, piece by piece."""

import dataclasses
import pathlib
import sys

import numpy as np
import pytest

import plrjax as plr

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import loss_jumps
from benchmarks import loss_jumps_figure as figure
from benchmarks import loss_jumps_task as task

TINY = task.Settings(
    num_starts=2, num_steps=12, length=20, hidden_size=4, num_controls=3, num_matched=2
)


def tent(slope: float, offset: float = 1.0) -> plr.PiecewiseAffineMap:
    """z' = .2 z below 0, slope z above, plus an offset (right fixed point offset/(1 - slope))."""
    return plr.PiecewiseAffineMap([[0.2]], [[slope - 0.2]], [[1.0]], [offset], [0.0])


@pytest.fixture(scope="module", params=[0.0, 0.1])
def trained(request):
    return request.param, task.train(TINY, 0, request.param)


def test_recorded_losses_are_those_of_the_kept_networks(trained):
    (alpha, run), data = trained, task.membrane(TINY)
    assert len(run.losses) == 12 and len(run.models) == 13
    for model, loss in zip(run.models, run.losses):
        assert abs(task.window_loss(model, data, alpha) / loss - 1) < 1e-4  # float32 in training


def test_updates_are_gradient_descent(trained):
    _, run = trained
    assert np.allclose(run.lengths, TINY.rate * run.norms, rtol=1e-3)


@pytest.mark.parametrize("slope", [1.5, -1.5])
def test_a_step_over_a_known_bifurcation_carries_it(slope):
    # The right fixed point's multiplier is the slope, from 0 linearly: it reaches +-1 at s = 2/3.
    models = [tent(0.0), tent(0.0, 1.1), tent(slope, 1.1)]
    assert task.crossed(models, 0, (1,)) == task.Carried(0, 0)
    assert task.crossed(models, 1, (1,)) == task.Carried(1, 1)
    found = plr.detect_bifurcations(models, 1)
    kinds = plr.BIFURCATION.degenerate_transcritical, plr.BIFURCATION.degenerate_flip
    assert found.kind[0] == kinds[int(slope < 0)] and abs(found.s[0] - 2 / 3) < 1e-12


def test_a_border_collision_that_keeps_the_attractor_is_an_event_of_its_own_kind():
    # The stable fixed point of slopes .2 and .5 crosses 0 with the offset, at s = 1/2.
    models = [tent(0.5, -1.0), tent(0.5, 1.0)]
    assert task.crossed(models, 0, (1,)) == task.Carried(events=1, attractors=0)


def run_of(losses, lengths) -> task.Trained:
    losses, lengths = np.array(losses, float), np.array(lengths, float)
    return task.Trained([], losses, np.ones_like(losses), lengths, False)


def test_jumps_controls_and_matches_are_disjoint():
    settings = dataclasses.replace(TINY, num_controls=10)
    runs = [
        run_of([1, 1, 3.5, 1, 1, 2.9], [0.1, 8, 0.2, 7, 0.3, 9]),
        run_of([1, 4, 4, 4], [5, 1, 6, 1]),
    ]
    assert [run.jumps(3.0).tolist() for run in runs] == [[1], [0]]
    drawn = task.drawn_rows(settings, runs)
    assert drawn == [(0, 0), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2)]
    zeros = np.zeros(2, int)
    jumps = task.Sample(np.array([0, 1]), np.array([1, 0]), np.array([8.0, 5.0]), zeros, zeros)
    matched = task.matched_rows(settings, runs, jumps)
    assert sorted(matched[:2]) == [(0, 3), (1, 2)] and len(set(matched)) == 4


def test_shares_and_their_comparison():
    # Fisher's lady tasting tea (1935): 3 of 4 against 1 of 4, p = 17/70.
    found = task.compared(np.arange(4) < 3, np.arange(4) < 1)
    assert found.with_jump == task.Share(3, 4) and found.without == task.Share(1, 4)
    assert abs(found.p - 17 / 70) < 1e-12 and found.low < found.ratio < found.high
    # Wilson (1927): center (p + z^2/2n)/(1 + z^2/n), z = 1.96.
    low, high = task.Share(3, 4).interval
    z2 = 1.959963984540054**2
    assert abs((low + high) / 2 - (0.75 + z2 / 8) / (1 + z2 / 4)) < 1e-12
    assert np.isnan(task.compared(np.zeros(0, bool), np.ones(2, bool)).p)


def test_decisions_are_counted_once():
    made = [
        plr.bifurcations.Decision(10, False, 1.0, "accepted", 0),
        plr.bifurcations.Decision(20, True, 1.2, "tried again", 1),
        plr.bifurcations.Decision(20, False, 0.9, "accepted", 1),
        plr.bifurcations.Decision(30, True, 0.8, "skipped", 0),
    ]
    outlook = task.Outlook(tuple(made), 0.8, False)
    assert outlook.crossings == task.Share(1, 3) and outlook.tries == 1


def test_a_small_run_end_to_end(capsys):
    pytest.importorskip("matplotlib")
    found = loss_jumps.associate(TINY, 0.0)
    loss_jumps.report(found)
    assert len(found.drawn) == 6 and "Fisher" in capsys.readouterr().out
    run = found.runs[0]
    events = plr.detect_bifurcations(run.models[:12], 1, progress=task.QUIET)
    drawing = figure.plot(TINY, [(run, events), (run, events)])
    assert len(drawing.axes) >= 4
    assert figure.num_stable(events, 12).min() >= 0


def test_looking_ahead_and_watching_begin_alike():
    pairs = [task.looked_ahead(TINY, 0, 0.05, act, 1.0) for act in (False, True)]
    assert all(len(one.decisions) >= 1 for one in pairs)
    assert pairs[0].decisions[0].step == pairs[1].decisions[0].step == 0
