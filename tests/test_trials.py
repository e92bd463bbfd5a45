"""Trials of different lengths, and values that are missing: in windows, losses and forcing."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from command import main
from systems import QUIET

import plrjax as plr
import plrjax.training as tr
from plrjax._trials import checked_trials
from plrjax.training._engine import Recipe, batch_loss
from plrjax.training._loss import Networks
from plrjax.training._windows import Windows, draw_windows, make_series

KEY = jr.key(0)


def exact(tree):
    return jax.tree.map(lambda x: x.astype(float) if isinstance(x, jax.Array) else x, tree)


def observations(name):
    """A model of 4 states, and what is seen of them: all, the first 3, or 3 mixtures."""
    model = exact(plr.ClippedShallowPLRNN(4, 10, key=jr.key(0)))
    make = {"all": tr.Identity(4), "some": tr.Identity(3, 4, key=jr.key(1))}
    made = make.get(name) or tr.Affine(3, 4, key=jr.key(1))
    return model, exact(made)


FORCINGS = {
    "none": tr.NoForcing(),
    "cut": tr.NoForcing(truncate=4),
    "sparse": tr.SparseForcing(3),
    "generalized": tr.GeneralizedForcing(0.3),
}


def loss_of(forcing, model, observation, x, seen):
    """Return the loss that training would take of windows "time lane observation"."""
    steps = len(x) - 1
    recipe = Recipe(forcing, tr.default_optimizer(1), (), None, steps, x.shape[1])
    schedule = forcing.schedule(forcing.init(), jr.key(0), jnp.zeros((), int), steps)
    windows = Windows(jnp.asarray(x), None, None, None if seen is None else jnp.asarray(seen))
    return batch_loss(Networks(model, observation), windows, recipe, schedule)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", ["all", "some", "affine"])
@pytest.mark.parametrize("forcing", FORCINGS)
def test_where_nothing_is_missing_nothing_changes(float64, name, forcing):
    """Losses and gradients are those of the engine for whole series."""
    model, observation = observations(name)
    x = np.random.default_rng(0).normal(size=(14, 2, 4 if name == "all" else 3))
    both = [
        jax.value_and_grad(
            lambda nets, seen=seen: loss_of(FORCINGS[forcing], nets[0], nets[1], x, seen),
            allow_int=True,
        )(Networks(model, observation))
        for seen in (None, np.ones(x.shape, bool))
    ]
    for one, other in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def by_hand(model, observation, x, seen, alpha):
    """Return the sum of squared errors of one window, forced by what was observed alone."""
    observe = lambda z: np.asarray(observation.observe(z))
    z, total = observation.initial_state(jnp.asarray(x[0])), 0.0
    for row, there in zip(x[1:], seen[1:]):
        z = np.asarray(model.step(z))
        total += np.square(observe(z) - row)[there].sum()
        if there.any():
            signal = np.asarray(observation.signal(jnp.where(there, row, observe(z))))
            forced = np.asarray(observation.forced)
            z = np.where(forced, (1 - alpha) * z + alpha * signal, z)
        z = jnp.asarray(z)
    return total


@pytest.mark.parametrize("name", ["all", "some", "affine"])
def test_what_is_missing_neither_counts_nor_forces(float64, name):
    model, observation = observations(name)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(14, 2, 4 if name == "all" else 3))
    seen = rng.uniform(size=x.shape) < 0.6
    seen[5] = False
    seen[0] = True
    expected = sum(by_hand(model, observation, x[:, i], seen[:, i], 0.3) for i in range(2))
    for junk in (0.0, 1e3):
        given = np.where(seen, x, junk)
        found = loss_of(tr.GeneralizedForcing(0.3), model, observation, given, seen)
        assert np.isclose(found, expected / seen[1:].sum(), rtol=1e-10)


def test_windows_cross_neither_trials_nor_gaps():
    """Each value is the number of its row: every window holds rows that follow one another."""
    sizes = [30, 7, 50]
    rows = np.split(np.arange(87.0)[:, None], np.cumsum(sizes)[:-1])
    mask = [np.ones(size, bool) for size in sizes]
    mask[0][10:13], mask[2][20:24], mask[2][40] = False, False, False
    trials = checked_trials("x", rows, mask)
    series = make_series(trials, None, None, 5, 3, np.float32)
    assert series.starts.tolist() == [
        *range(10), *range(13, 25), 30, 31, *range(37, 52), *range(61, 77), *range(78, 82)
    ]  # fmt: skip
    windows = draw_windows(series, KEY, 200, 5)
    assert windows.observations is not None and windows.seen is not None
    assert (np.diff(np.asarray(windows.observations)[..., 0], axis=0) == 1).all()
    assert np.asarray(windows.seen)[0].all()
    with pytest.raises(ValueError, match="sequence_length: expected at most 29, because the long"):
        make_series(trials, None, None, 30, 3, np.float32)


def test_missing_values_lie_between_their_neighbors():
    x = np.array([[0.0, np.nan], [np.nan, 1.0], [np.nan, 5.0], [3.0, np.nan]])
    trials = checked_trials("x", [x, x[::-1]])
    half = [[0.0, 1.0], [1.0, 1.0], [2.0, 5.0], [3.0, 5.0]]
    np.testing.assert_allclose(trials.values, half + half[::-1])
    np.testing.assert_array_equal(trials.seen, np.isfinite(np.concatenate([x, x[::-1]])))
    assert trials.note() == "50 % of all values are missing; 2 stretches between gaps in 2 trials"
    assert checked_trials("x", np.zeros((2, 3, 1))).note() is None


@pytest.mark.parametrize(
    "value, mask, message",
    [
        (np.zeros(3), None, r"x: expected shape \(time, variable\)"),
        ([np.zeros((3, 1)), np.zeros((3, 2))], None, "x: expected as many variables in every"),
        ([np.zeros((3, 1)), np.zeros(3)], None, r"x\[1\]: expected shape"),
        (np.full((3, 1), np.inf), None, "x: expected finite numbers, got 3 NaN or Inf"),
        (np.zeros((3, 1)), [1, 0, 1], "mask: expected True where x was observed"),
        (np.zeros((3, 2)), np.ones((3, 3), bool), "mask: expected shape"),
        ([np.zeros((3, 2))] * 2, [np.ones(3, bool)], "mask: expected one for each of 2 trials"),
        (np.zeros((3, 2)), np.array([[True, False]] * 3), "x: variable 1 is never observed"),
    ],
)
def test_refusals(value, mask, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        checked_trials("x", value, mask)


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
