"""The readout benchmark (Vogt et al. 2020) at a tiny size: training, spectra, correlations."""

import dataclasses
import logging
import pathlib
import sys

import jax
import numpy as np
import pytest
import scipy.stats

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import readout, readout_task

TINY = readout_task.Settings(
    sizes=(4,),
    gains=(0.5, 4.0),
    rates=(0.02, 0.05),
    early=1,
    late=2,
    records=(0, 1, 2),
    characters=12_000,
    streams=8,
    window=32,
    sequences=3,
    num_steps=40,
    num_transient=10,
)


@pytest.fixture(scope="module")
def result():
    return readout.run(TINY)


def test_training_beats_chance(result):
    assert result.loss.shape == (8, 3)
    assert abs(result.loss[:, 0] - np.log(readout_task.CHARACTERS)).max() < 0.3
    assert (result.loss[:, -1] < np.log(readout_task.CHARACTERS)).all()
    assert (np.diff(result.loss, axis=1) < 0).all()


def test_spectra_have_the_size_of_the_state(result):
    states = np.where(result.cell == "LSTM", 8, 4)
    assert result.mean.shape == result.deviation.shape == (8, 3, 8)
    counts = np.isfinite(result.mean).sum(axis=2)
    assert (counts == states[:, None]).all()
    assert (result.deviation[np.isfinite(result.deviation)] > 0).all()


def test_a_larger_gain_expands_more(result):
    first, gain = result.largest(0), result.gain
    assert (first[gain == 4.0] > first[gain == 0.5]).all()


def test_the_same_seed_gives_the_same_numbers(result):
    group = readout_task.train_group(TINY, "LSTM", 4)
    assert np.array_equal(group.loss, result.loss[:4].astype(group.loss.dtype))
    for history, mean in zip(group.history, result.mean):
        assert np.array_equal(history.mean, mean)


def test_every_run_of_a_group_shares_the_programs(result, caplog):
    def something_new():
        return jax.numpy.zeros(7)

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        readout_task.train_group(dataclasses.replace(TINY, seed=1), "GRU", 4)
        jax.jit(something_new)()
    compiled = [line for line in caplog.messages if line.startswith("Compiling")]
    assert compiled and all("something_new" in line for line in compiled)


def test_intervals_contain_the_estimates(result, capsys):
    for at, until in ((0, 2), (1, 1), (2, 2)):
        for found in readout.correlations(result, at, until).values():
            assert -1 <= found.low <= found.value <= found.high <= 1
    readout.report(result)
    assert "Spearman" in capsys.readouterr().out


def test_spearman_of_a_known_sample():
    draw = np.random.default_rng(0)
    x = draw.standard_normal(200)
    y = x + draw.standard_normal(200)
    found = readout.spearman(x, np.exp(y))
    assert found == readout.spearman(x, y)
    truth = 6 / np.pi * np.arcsin(0.5**0.5 / 2)
    assert found.low < truth < found.high
    assert 0.05 < found.high - found.low < 0.3
    rounded = np.round(x), np.round(y)
    scipys = getattr(scipy.stats.spearmanr(*rounded), "statistic")
    assert np.isclose(readout.spearman(*rounded).value, scipys)
    assert np.isnan(readout.spearman(x, np.ones(200))).all()


def test_figure(result, tmp_path):
    pytest.importorskip("matplotlib")
    readout.plot(result).savefig(tmp_path / "figure.png")
