"""Several runs at once: each is the run it would be alone."""

import inspect
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import optax
import pytest

import plrjax as plr

T = np.arange(400)
DATA = np.stack([np.cos(0.2 * T), np.sin(0.2 * T)], 1).astype(np.float32)
SETTINGS = dict(num_steps=60, sequence_length=25, batch_size=4, progress=plr.NoProgress())
KEYS = [jr.key(10 + row) for row in range(3)]


def networks():
    return [plr.ClippedShallowPLRNN(2, 8, key=jr.key(row)) for row in range(3)]


def settings(**more):
    return {**SETTINGS, "forcing": plr.AdaptiveForcing(every=4), **more}


def leaves(run):
    return jax.tree.leaves(eqx.filter(run.model, eqx.is_array))


def alone(row, **more):
    return plr.fit(networks()[row], DATA, key=KEYS[row], **settings(**more))


@pytest.mark.parametrize("together, rtol", [(False, 0.0), (True, 2e-3)])
def test_each_run_is_the_one_alone(together, rtol):
    runs = plr.fit_many(networks(), DATA, keys=KEYS, together=together, **settings())
    for row, run in enumerate(runs):
        one = alone(row)
        assert run.num_steps == 60 and run.result is plr.RESULTS.successful
        np.testing.assert_allclose(run.losses, one.losses, rtol=rtol)
        np.testing.assert_allclose(run.forcing, one.forcing, rtol=rtol)
        for found, expected in zip(leaves(run), leaves(one), strict=True):
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-4 * (rtol > 0))


def test_one_that_diverges_does_not_stop_the_others():
    models = networks()
    huge = eqx.tree_at(lambda m: m.A, models[1], 1e3 * np.ones(2, np.float32))
    runs = plr.fit_many(
        [models[0], huge, models[2]], DATA, keys=KEYS, together=True, throw=False,
        **settings(forcing=plr.NoForcing(), optimizer=optax.sgd(1e-3)),
    )  # fmt: skip
    assert runs[1].result is plr.RESULTS.not_finite and runs[1].num_steps == 0
    assert runs[0].num_steps == runs[2].num_steps == 60
    assert all(np.isfinite(leaf).all() for leaf in leaves(runs[1]))


class Ask:
    """A callback that notes its steps, and once changes the forcing or stops."""

    def __init__(self, every, at=-1, **action):
        self.every, self.at, self.action, self.seen = every, at, action, []

    def __call__(self, record):
        self.seen.append(record.step)
        return plr.training.Action(**self.action) if record.step == self.at else None


@pytest.mark.parametrize("together", [False, True])
def test_callbacks_are_each_run_s_own(together):
    asks = [Ask(20), Ask(15, at=30, stop=True), Ask(30, at=30, forcing=plr.SparseForcing(5))]
    runs = plr.fit_many(
        networks(), DATA, keys=KEYS, callbacks=[[ask] for ask in asks], together=together,
        **settings(),
    )  # fmt: skip
    assert [ask.seen for ask in asks] == [[0, 20, 40, 60], [0, 15, 30], [0, 30, 60]]
    assert [run.num_steps for run in runs] == [60, 30, 60]
    assert np.isfinite(runs[2].forcing[:30]).all() and np.isnan(runs[2].forcing[30:]).all()
    np.testing.assert_allclose(runs[0].losses, alone(0).losses, rtol=2e-3)


def test_runs_that_were_killed_at_different_times_catch_up(tmp_path):
    files = [tmp_path / f"{row}.npz" for row in range(3)]
    for row, stop in enumerate((20, 40)):
        alone(row, checkpoint=files[row], callbacks=[Ask(stop, at=stop, stop=True)])
    runs = plr.fit_many(networks(), DATA, keys=KEYS, checkpoints=files, together=True, **settings())
    for row, run in enumerate(runs):
        assert run.num_steps == 60
        np.testing.assert_allclose(run.losses, alone(row).losses, rtol=2e-3)


def test_a_changed_forcing_is_resumed(tmp_path):
    """A callback changed the forcing before the run was stopped; the rest goes on with it."""
    change = Ask(20, at=20, forcing=plr.SparseForcing(5))
    whole = alone(0, callbacks=[change])
    stop = Ask(40, at=40, stop=True)
    alone(0, callbacks=[change, stop], checkpoint=tmp_path / "run.npz")
    rest = alone(0, callbacks=[Ask(20)], checkpoint=tmp_path / "run.npz")
    assert rest.num_steps == 60 and np.array_equal(rest.losses, whole.losses)


def test_another_optimizer_is_another_run(tmp_path):
    alone(0, checkpoint=tmp_path / "run.npz", optimizer=optax.radam(1e-3))
    with pytest.raises(ValueError, match="checkpoint: .* belongs to another run"):
        alone(0, checkpoint=tmp_path / "run.npz", optimizer=optax.radam(1e-2))


def test_the_file_of_another_run_is_left_alone(tmp_path):
    alone(0, checkpoint=tmp_path / "run.npz")
    before = (tmp_path / "run.npz").read_bytes()
    with pytest.raises(ValueError, match="checkpoint: .* belongs to another run"):
        alone(1, checkpoint=tmp_path / "run.npz")
    assert (tmp_path / "run.npz").read_bytes() == before


def test_a_callback_that_was_interrupted_is_asked_again(tmp_path):
    """What it would have changed is changed by the rerun, to the same numbers."""
    change = {"forcing": plr.SparseForcing(5)}
    whole = alone(0, callbacks=[Ask(20, at=20, **change)])

    class Interrupted(Ask):
        def __call__(self, record):
            if record.step == 20:
                raise KeyboardInterrupt
            return None

    part = alone(0, callbacks=[Interrupted(20)], checkpoint=tmp_path / "run.npz")
    assert part.result is plr.RESULTS.interrupted and part.num_steps == 20
    rest = alone(0, callbacks=[Ask(20, at=20, **change)], checkpoint=tmp_path / "run.npz")
    assert rest.num_steps == 60 and np.array_equal(rest.losses, whole.losses)


def test_misuse_is_named():
    many = inspect.unwrap(plr.fit_many)
    with pytest.raises(ValueError, match="keys: expected one for each of 3 networks, got 2"):
        many(networks(), DATA, keys=KEYS[:2])
    with pytest.raises(ValueError, match="models: expected at least one network"):
        many([], DATA, keys=[])
    with pytest.raises(ValueError, match=r"models\[1\]: expected the type and shapes of models"):
        other = plr.ClippedShallowPLRNN(2, 9, key=jr.key(0))
        many([networks()[0], other], DATA, keys=KEYS[:2], **settings())
    with pytest.raises(ValueError, match="speed: expected one of mask, inputs, targets"):
        many(networks(), DATA, keys=KEYS, speed=3)


class Leave:
    """Write the process that trains, and a mark that the first one that was here has died."""

    every = 30

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, record):
        (self.folder / f"{os.getpid()}").touch()
        if record.step == 30 and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os._exit(9)


def test_an_executor_trains_the_same_runs(tmp_path):
    """The optimizer, which is a closure, travels; a worker that dies costs nothing."""
    more = {"optimizer": optax.adam(3e-3)}
    here = plr.fit_many(networks(), DATA, keys=KEYS, **settings(**more))
    there = plr.fit_many(
        networks(), DATA, keys=KEYS, executor=1, checkpoints=[tmp_path / f"{n}.npz" for n in "abc"],
        callbacks=[[Leave(tmp_path)] for _ in KEYS], **settings(**more),
    )  # fmt: skip
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.losses, other.losses)
        assert other.result is plr.RESULTS.successful and other.num_steps == 60
        for a, b in zip(leaves(one), leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)
    assert (tmp_path / "died").exists() and not (tmp_path / f"{os.getpid()}").exists()


def test_an_executor_keeps_to_the_time_limit_and_is_told_what_does_not_fit():
    call = {"keys": KEYS, "executor": ThreadPoolExecutor(1)}
    runs = plr.fit_many(networks(), DATA, **call, max_seconds=1e-6, **settings())
    assert all(run.result is plr.RESULTS.budget_exhausted for run in runs)
    assert [run.num_steps for run in runs] == [0, 0, 0]
    with pytest.raises(ValueError, match="together: goes without an executor"):
        plr.fit_many(networks(), DATA, **call, together=True, **settings())
    with pytest.raises(ValueError, match="executor: expected a number of processes"):
        plr.fit_many(networks(), DATA, **(call | {"executor": 0}), **settings())
    with pytest.raises(ValueError, match="callbacks: cannot be sent"):
        lock = threading.Lock()
        plr.fit_many(
            networks(), DATA, keys=KEYS, executor=1, callbacks=[[lambda _: id(lock)]] * 3,
            **settings(),
        )  # fmt: skip
