"""Trials of different lengths, values that are missing: networks learn from them, are scored."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from command import main
from systems import QUIET

import plrjax as plr

KEY = jr.key(0)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def test_a_network_learns_from_trials_with_gaps():
    """A rotation, 10 % of whose values are missing: as good as from all of them."""
    t = np.arange(600.0)
    whole = np.stack([np.cos(0.3 * t), np.sin(0.3 * t)], axis=1).astype(np.float32)
    torn = np.where(np.random.default_rng(0).uniform(size=whole.shape) < 0.1, np.nan, whole)
    errors = []
    for data in (whole, [torn[:100], torn[100:350], torn[350:]]):
        run = plr.fit(
            plr.ShallowPLRNN(2, 10, key=KEY), data, key=KEY, forcing=plr.GeneralizedForcing(0.2),
            num_steps=800, sequence_length=20, progress=QUIET,
        )  # fmt: skip
        assert run.result is plr.RESULTS.successful
        errors.append(plr.metrics.prediction_error(run.model, whole, 5))
    assert max(errors) < 0.01
    assert run.notes[0].startswith("9.42 % of all values are missing; 3 stretches")


def test_several_networks_take_the_same_masks():
    t = np.arange(200.0)
    whole = np.stack([np.cos(0.3 * t), np.sin(0.3 * t)], axis=1).astype(np.float32)
    mask = np.random.default_rng(0).uniform(size=200) < 0.9
    given: dict[str, Any] = {"num_steps": 20, "sequence_length": 10, "progress": QUIET}
    model = plr.ShallowPLRNN(2, 5, key=KEY)
    (one,) = plr.fit_many([model], whole, keys=[KEY], mask=mask, **given)
    other = plr.fit(model, np.where(mask[:, None], whole, np.nan), key=KEY, **given)
    assert np.array_equal(one.losses, other.losses)
    with pytest.raises(ValueError, match="^mask: expected together with observations"):
        plr.fit(model, None, mask=mask, key=KEY)


def test_gaps_do_not_change_how_good_a_network_is(float64):
    """Scores of the true map: PE is 0, D_stsp and D_H near those against all rows."""
    henon = plr.systems.simulate(plr.systems.henon(), 4000, key=KEY, standardize=False)
    whole = henon.observations.astype(np.float64)
    torn = whole.copy()
    torn[np.random.default_rng(0).uniform(size=len(whole)) < 0.1] = np.nan
    torn[1000:1040] = np.nan
    step = lambda z: jnp.stack([1.0 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]])
    full = plr.metrics.evaluate(step, whole, num_starts=4, num_steps=2)
    parts = [torn[:500], torn[500:2000], torn[2000:]]
    mask = [np.isfinite(part).all(axis=1) for part in parts]
    junk = [np.nan_to_num(part, nan=7.0) for part in parts]
    for given, there in ((parts, None), (junk, mask)):
        found = plr.metrics.evaluate(step, given, mask=there, num_starts=4, num_steps=2)
        assert found.num_observed == sum(map(np.sum, mask)) and found.prediction_error < 1e-20
        scores = zip(found.median[:2], full.median[:2])
        assert all(abs(one - other) < 0.1 for one, other in scores)
        assert np.isfinite(torn[found.start]).all()


def test_a_file_with_gaps(tmp_path):
    rows = ["x,y", *(f"{np.sin(t):.6g},{np.cos(t):.6g}" for t in range(400))]
    rows[5], rows[9], rows[20:40] = ",1", "NA,nan", [","] * 20
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match="line 6: value 1 of 2 is empty"):
        plr.load_series(tmp_path / "a.csv")
    values = plr.load_series(tmp_path / "a.csv", gaps=True)
    assert np.isnan(values).sum() == 43 and values.shape == (400, 2)
    both = plr.load_series([tmp_path / "a.csv"] * 2, gaps=True, standardize=True)
    assert len(both) == 2 and np.isclose(np.nanstd(np.concatenate(both)), 1.0)
    hidden = plr.load_series(tmp_path / "a.csv", gaps=True, mask=np.arange(400) < 100)
    assert np.isnan(hidden[100:]).all() and np.isnan(hidden[:100]).sum() == 43
    options = "--hidden-size 5 --sequence-length 20 --batch-size 4 --num-steps 40 --gaps"
    file, run = f"{tmp_path}/a.csv", f"{tmp_path}/run"
    assert main(["train", file, "--test", file, "--out", run, *options.split()]) == 0
    assert main(["evaluate", run, "--num-starts", "2", "--num-steps", "2"]) == 0
