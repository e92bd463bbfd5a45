"""Probes of training: what they see is what the metrics say, and training does not notice them."""

import jax
import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax import training as tr

KEY = jr.key(0)
QUIET = plr.NoProgress()


def lozi_series() -> plr.systems.Series:
    """The Lozi map, which a PLRNN can be exactly."""
    return plr.systems.simulate(plr.systems.lozi(), 1200, key=KEY, standardize=False)


def lozi_network() -> plr.ShallowPLRNN:
    """x' = 1 - a |x| + y, y' = b x, with |x| = 2 relu(x) - x."""
    a, b = 1.7, 0.5
    arrays = {"A": [[a, 1.0], [b, 0.0]], "W1": [[-2 * a], [0.0]], "W2": [[1.0, 0.0]]}
    return plr.from_arrays("shallow", **arrays, h1=[1.0, 0.0], h2=[0.0])


def record(model, step: int = 0) -> tr.TrainingRecord:
    empty = np.zeros(0, np.float32)
    return tr.TrainingRecord(
        step, model, tr.Identity(2), None, empty, empty[:, None], tr.NoForcing(), ()
    )


def same(one, other) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def train(**options) -> tr.TrainingRun:
    x = lozi_series().observations.astype(np.float32)
    model = plr.ClippedShallowPLRNN(2, 8, key=jr.key(1))
    return tr.fit(
        model, x, key=KEY, num_steps=60, sequence_length=20, batch_size=4, progress=QUIET,
        forcing=tr.GeneralizedForcing(0.2), **options,
    )  # fmt: skip


def test_the_true_map_scores_perfectly():
    """The map that made the data: no prediction error, and the divergence of a perfect model."""
    test = lozi_series().observations
    probe = tr.EvaluationProbe(test, key=KEY, every=10, num_steps=3, num_starts=8)
    probe(record(lozi_network(), 20))
    probe(record(lozi_network(), 25))
    history = probe.history
    assert history.steps.tolist() == [20] and len(history) == 1
    assert history.prediction_error[0] < 1e-20 and history.captured_share[0] == 0.0
    floor = probe.evaluations[0].floor
    assert history.state_space_divergence[0] < 1.5 * floor.state_space_divergence
    assert history.power_spectrum_error[0] < 1.5 * floor.power_spectrum_error


def test_evaluations_while_training():
    test = lozi_series().observations
    probe = tr.EvaluationProbe(test, key=KEY, every=20, num_starts=4)
    kept = tr.Snapshots(20)
    run, alone = train(callbacks=[probe, kept]), train()
    assert same(run.model, alone.model) and np.array_equal(run.losses, alone.losses)
    assert probe.steps == kept.steps == [0, 20, 40, 60]
    assert same(kept.models[-1], run.model) and not same(kept.models[0], run.model)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(kept.models))
    for model, seen in zip(kept.models, probe.evaluations):
        found = plr.metrics.evaluate(model, test, key=KEY, num_starts=4)
        assert np.array_equal(found.power_spectrum_error, seen.power_spectrum_error)
        assert found.prediction_error == seen.prediction_error
    late = probe.late()
    errors = [one.prediction_error for one in probe.evaluations[2:]]
    assert late.median.prediction_error == np.median(errors)
    assert late.deviation.prediction_error == pytest.approx(np.ptp(errors) / 2)


@pytest.mark.parametrize(
    "steps, share, rows",
    [
        ([0, 10, 20, 30], 0.5, [2, 3]),
        ([0, 10, 20], 1.0, [0, 1, 2]),
        ([0, 90, 100], 0.01, [2]),
        ([7], 0.5, [0]),
    ],
)
def test_late_rows(steps, share, rows):
    assert tr.late_rows(steps, share) == rows


def test_ctrl_c_passes_through(monkeypatch):
    probe = tr.EvaluationProbe(lozi_series().observations, key=KEY, every=20, num_starts=4)

    def pressed(*arguments, **options):
        if probe.steps:
            raise KeyboardInterrupt
        return plr.metrics.evaluate(*arguments, **options)

    monkeypatch.setattr("plrjax.training._probes.evaluate", pressed)
    run = train(callbacks=[probe])
    assert run.result is plr.RESULTS.interrupted and run.num_steps == 20
    assert probe.steps == [0] and len(probe.evaluations) == 1


def test_misuse():
    test = lozi_series().observations
    probe = tr.EvaluationProbe(test, key=KEY, every=1)
    for call, message in (
        (lambda: tr.EvaluationProbe(test, key=KEY, every=0), "every: expected an integer of at"),
        (
            lambda: tr.EvaluationProbe(test, key=KEY, every=1, model=3),
            "model: expected one of mask",
        ),
        (lambda: tr.Snapshots(0), "every: expected an integer of at least 1"),
        (lambda: probe.history, "history: no record yet"),
        (lambda: probe.late(), "late: no record yet"),
        (lambda: tr.late_rows([1, 2], 0.0), r"share: expected a number in \(0, 1\], got 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
