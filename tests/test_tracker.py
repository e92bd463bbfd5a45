"""Bifurcations while training: the tracker, and training that looks ahead."""

from typing import Any

import jax.random as jr
import numpy as np
import optax
import pytest
from systems import QUIET

import plrjax as plr
from plrjax import BifurcationTracker, GeneralizedForcing, LookAhead, TrainingRecord
from plrjax.training import Action

KEY = jr.key(0)


def circle(num_steps=200):
    t = 0.2 * np.arange(num_steps)
    return np.stack([np.cos(t), np.sin(t)], axis=1).astype(np.float32)


def train(callbacks, num_steps=40, **options):
    options = {"optimizer": optax.adam(0.05), "forcing": GeneralizedForcing(0.1)} | options
    return plr.fit(
        plr.ShallowPLRNN(2, 3, key=jr.key(3)), circle(), key=KEY, num_steps=num_steps,
        sequence_length=20, batch_size=4, progress=QUIET, callbacks=callbacks, **options,
    )  # fmt: skip


def test_the_tracker_sees_what_is_seen_afterwards():
    tracker, kept = BifurcationTracker([1, 2], every=4), plr.Snapshots(every=4)
    run = train([tracker, kept])
    plain = train([])
    assert np.array_equal(run.losses, plain.losses), "watching must not change the run"
    found, later = tracker.bifurcations, plr.detect_bifurcations(kept, [1, 2], progress=QUIET)
    assert tracker.steps == kept.steps == list(range(0, 41, 4))
    assert len(found) > 0
    for name in found.file_arrays:
        if not name.startswith(("loss", "gradient")):
            assert np.array_equal(getattr(found, name), getattr(later, name), equal_nan=True), name
    steps = np.array(kept.steps)
    assert np.array_equal(found.loss_before, run.losses[steps[found.interval]])
    norms = np.linalg.norm(run.gradient_norms.astype(float), axis=1)
    assert np.allclose(found.gradient_norm_before, norms[steps[found.interval]])
    last = steps[found.interval + 1]
    wanted = np.where(last < 40, run.losses[np.minimum(last, 39)], np.nan)
    assert np.array_equal(found.loss_after, wanted.astype(float), equal_nan=True)
    assert ((found.step >= steps[found.interval]) & (found.step <= last)).all()


def test_the_tracker_needs_two_records_and_linear_subregions():
    with pytest.raises(ValueError, match="bifurcations"):
        _ = BifurcationTracker([1]).bifurcations
    with pytest.raises(ValueError, match="every"):
        BifurcationTracker([1], every=0)
    with pytest.raises(ValueError, match="key"):
        train([BifurcationTracker([20], every=10)], num_steps=10)
    with pytest.raises(ValueError, match="model"):
        BifurcationTracker([1])(record(0, plr.LSTM(2, key=KEY)))


def tent(right):
    """A fixed point on the right that is stable for |a_r| < 1; no 2-cycle is attracting."""
    return plr.PiecewiseAffineMap([[0.2]], [[right - 0.2]], [[1.0]], [1.0], [0.0])


def record(step: int, model: Any, losses: Any = (), forcing: Any = None) -> Any:
    losses = np.array(losses, np.float32)
    nothing: Any = None
    return TrainingRecord(step, model, nothing, nothing, losses, losses[:, None], forcing, nothing)


BASE, STRONGER = GeneralizedForcing(0.1), GeneralizedForcing(0.5)


def test_lost_attractors_are_tried_otherwise():
    """The fixed point runs to infinity at a_r = 1: the updates are taken back and tried smaller."""
    look = LookAhead(
        [1], every=1, alternatives=[Action(update_scale=0.5), Action(forcing=STRONGER)]
    )
    first = record(0, tent(0.3), forcing=BASE)
    assert look(first) is None
    second = record(1, tent(0.6), [1.0], BASE)
    assert look(second) is None
    again: Any = look(record(2, tent(1.4), [1.0, 1.5], BASE))
    assert again.revert_to is second and again.update_scale == 0.5 and again.forcing is None
    again = look(record(3, tent(1.1), [1.0, 1.5, 1.4], BASE))
    assert again.revert_to is second and again.forcing is STRONGER
    kept = record(4, tent(0.8), [1.0, 1.5, 1.4, 1.3], STRONGER)
    done: Any = look(kept)
    assert done.update_scale == 1.0 and done.forcing is BASE and done.revert_to is None
    choices = [(one.step, one.lost, one.choice) for one in look.decisions]
    assert choices == [
        (0, False, "accepted"), (1, True, "tried again"), (1, True, "tried again"),
        (1, False, "accepted"),
    ]  # fmt: skip
    assert look(record(5, tent(0.9), [1.0, 1.5, 1.4, 1.3, 1.2], BASE)) is None
    assert look.decisions[-1].step == 4


def test_the_least_bad_is_kept_where_all_lose():
    look = LookAhead([1], every=1)
    first, plain = record(0, tent(0.3), forcing=BASE), record(2, tent(1.4), [1.0, 1.5], BASE)
    middle = record(1, tent(0.6), [1.0], BASE)
    look(first), look(middle), look(plain)
    done: Any = look(record(3, tent(1.2), [1.0, 1.5, 1.9], BASE))
    assert done.revert_to is plain and done.update_scale == 1.0
    assert look.decisions[-1].choice == "alternative 0" and look.decisions[-1].loss == 1.5


def test_a_jump_whose_loss_stays_low_is_taken():
    look = LookAhead([1], every=1)
    look(record(0, tent(0.3), forcing=BASE)), look(record(1, tent(0.6), [1.0], BASE))
    assert look(record(2, tent(1.4), [1.0, 0.9], BASE)) is None
    assert look.decisions[-1].choice == "skipped" and look.decisions[-1].lost
    careful = LookAhead([1], every=1, tolerance=0)
    careful(record(0, tent(0.3), forcing=BASE)), careful(record(1, tent(0.6), [1.0], BASE))
    again: Any = careful(record(2, tent(1.4), [1.0, 0.9], BASE))
    assert again.update_scale == 0.5


def test_watching_only():
    look = LookAhead([1], every=1, act=False)
    for step, right in enumerate((0.3, 0.6, 1.4, 0.5)):
        assert look(record(step, tent(right), [9.0] * step, BASE)) is None
    assert [one.lost for one in look.decisions] == [False, True, False]


def test_a_change_of_word_loses_nothing():
    """Persistence at mu = 0 keeps the attractor; only that of `state` counts where it is given."""
    model = lambda mu: plr.PiecewiseAffineMap([[0.5]], [[-0.2]], [[1.0]], [mu], [0.0])
    look = LookAhead([1])
    assert not look.loses(model(-1.0), model(1.0))
    assert look.loses(tent(0.5), tent(1.5)) and not look.loses(tent(1.5), tent(0.5))
    assert LookAhead([1], state=[0.0, 0.0]).loses(tent_pair(0.5, 0.1), tent_pair(1.5, 0.1))


def tent_pair(right, slow):
    """The skew tent beside a contracting state."""
    return plr.PiecewiseAffineMap(
        [[0.2, 0.0], [0.0, slow]], [[right - 0.2], [0.0]], [[1.0, 0.0]], [1.0, 0.5], [0.0]
    )


def test_looking_ahead_inside_a_run():
    """With large steps attractors get lost; whatever happens, the run ends with its own forcing."""
    options = {"num_steps": 40, "optimizer": optax.adam(0.1), "forcing": GeneralizedForcing(0.5)}
    look = LookAhead([1, 2], every=2, tolerance=0.0)
    run = train([look], **options)
    assert run.num_steps == 40
    tried = [one for one in look.decisions if one.choice == "tried again"]
    assert tried, "no attractor was lost: the test tests nothing"
    assert run.record.forcing == GeneralizedForcing(0.5)
    watching = LookAhead([1, 2], every=2, act=False)
    watched = train([watching], **options)
    assert np.array_equal(watched.losses, train([], **options).losses)
    begun = tried[0].step
    assert begun == next(one.step for one in watching.decisions if one.lost)
    assert np.array_equal(run.losses[: begun + 2], watched.losses[: begun + 2])
    assert run.losses[begun + 2] != watched.losses[begun + 2], "the tried update began elsewhere"


def test_errors_of_looking_ahead():
    cases: list[tuple[dict[str, Any], str]] = [
        ({"every": 0}, "every"),
        ({"alternatives": [Action(stop=True)]}, "alternatives"),
        ({"state": [[1.0]]}, "state"),
    ]
    for options, text in cases:
        with pytest.raises(ValueError, match=text):
            LookAhead([1], **options)
