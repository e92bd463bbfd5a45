"""The folder of a run: what is read is what training did, whatever happened in between."""

import json
import signal

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import plrjax as plr
from plrjax import training as tr
from plrjax._io import (
    CHECKPOINT,
    Measure,
    RunFolder,
    RunWriter,
    load_observation,
    open_run,
    save_observation,
)

KEY = jr.key(0)
ADAM, FORCING = optax.adam(1e-2), tr.AdaptiveForcing(every=2)
CONFIG = {
    "data": {"path": "x.npy", "sha256": "1", "shape": [300, 1]},
    "test": None,
    "standardization": None,
    "settings": {"alpha": 0.2, "num_steps": 60},
}


def series() -> np.ndarray:
    """One variable of the Hénon map: another state is hidden."""
    found = plr.systems.simulate(plr.systems.henon(), 300, key=KEY).observations
    return found[:, :1].astype(np.float32)


class PressesCtrlC:
    """Interrupts training after the updates to a step, before anything is written there."""

    def __init__(self, step: int):
        self.every = self.step = step

    def __call__(self, record):
        if record.step == self.step:
            signal.raise_signal(signal.SIGINT)


def same(one, other) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def writer_of(folder: RunFolder) -> RunWriter:
    norm = lambda record: [float(jnp.linalg.norm(record.model.W1))]
    return RunWriter(
        folder,
        num_steps=60,
        log_every=8,
        snapshot_every=24,
        measures=[Measure(16, ("norm",), norm)],
    )


def train(folder: RunFolder, callbacks=(), **options) -> tr.TrainingRun:
    """Train as the command line does: go on from the checkpoint where there is one."""
    writer = writer_of(folder)
    options |= {
        "key": KEY, "sequence_length": 20, "batch_size": 4,
        "forcing": FORCING, "optimizer": ADAM, "checkpoint": folder.path / CHECKPOINT,
        "observation_model": tr.Identity(1, 2, key=jr.key(2)),
    }  # fmt: skip
    model = plr.ClippedShallowPLRNN(2, 8, key=jr.key(1))
    quiet, done = plr.NoProgress(), folder.num_steps
    writer.rewind(done)
    if done:
        writer(tr.fit(model, series(), num_steps=done, progress=quiet, **options).record)
    run = tr.fit(
        model,
        series(),
        num_steps=60,
        callbacks=[*callbacks, writer],
        progress=quiet,
        **options,
    )
    writer.finish(run)
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return an uninterrupted run, its folder, and the networks that another callback kept."""
    folder = open_run(tmp_path_factory.mktemp("runs") / "whole", CONFIG)
    kept = tr.Snapshots(8)
    return folder, train(folder, callbacks=[kept]), kept


def test_everything_is_read_back(whole):
    folder, run, kept = whole
    table, steps = folder.metrics, [0, 8, 16, 24, 32, 40, 48, 56, 60]
    assert list(table) == ["step", "loss", "gradient_norm", "alpha", "norm"]
    assert table["step"].tolist() == steps and np.isnan(table["loss"][0])
    after = np.array(steps[1:]) - 1
    assert np.array_equal(table["loss"][1:], run.losses[after].astype(np.float64))
    norms = np.sqrt((run.gradient_norms[after].astype(np.float64) ** 2).sum(axis=1))
    np.testing.assert_allclose(table["gradient_norm"][1:], norms, rtol=1e-6)
    assert np.array_equal(table["alpha"][1:-1], run.forcing[steps[1:-1]].astype(np.float64))
    measured = [step for step, value in zip(steps, table["norm"]) if value == value]
    assert measured == [0, 16, 32, 48, 60]
    assert folder.steps.tolist() == [0, 24, 48, 60] and folder.num_steps == 60
    for step in (0, 24, 48):
        row = kept.steps.index(step)
        assert same(folder.snapshot(step), kept.models[row])
        assert same(folder.snapshot_observation(step), kept.observation_models[row])
    assert same(folder.model, run.model) and same(folder.snapshot(60), run.model)
    assert same(folder.observation_model, run.observation_model)
    assert "60 updates, 4 snapshots" in repr(folder)


def test_data_frame(whole):
    pytest.importorskip("pandas")
    frame = whole[0].to_dataframe()
    assert len(frame) == 9 and frame["alpha"].iloc[0] == 1.0


def assert_same_folders(one: RunFolder, other: RunFolder) -> None:
    for name in ("metrics.csv", "model.npz", "observation.npz", "config.json"):
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert one.steps.tolist() == other.steps.tolist()
    for step in one.steps.tolist():
        assert same(one.snapshot(step), other.snapshot(step))


@pytest.mark.parametrize("step", [24, 60])
def test_interrupted_before_a_step_is_written(tmp_path, whole, step, ctrl_c):
    """Ctrl-C after the updates to a logged step, before it is logged: nothing is lost."""
    folder = open_run(tmp_path / "run", CONFIG)
    part = train(folder, callbacks=[PressesCtrlC(step)])
    assert part.result is plr.RESULTS.interrupted and part.num_steps == step
    if step == 24:
        assert folder.metrics["step"].tolist() == [0, 8, 16]
    rest = train(open_run(tmp_path / "run", CONFIG))
    assert rest.num_steps == 60
    assert_same_folders(folder, whole[0])


def test_rows_beyond_the_checkpoint_are_taken_again(tmp_path, whole, ctrl_c):
    """As after kill -9: the table is ahead of the checkpoint, or there is none yet."""
    folder = open_run(tmp_path / "run", CONFIG)
    train(folder, callbacks=[PressesCtrlC(16)])
    early = (folder.path / CHECKPOINT).read_bytes()
    train(folder, callbacks=[PressesCtrlC(56)])
    assert folder.metrics["step"][-1] == 48 and folder.steps.tolist() == [0, 24, 48]
    (folder.path / CHECKPOINT).write_bytes(early)
    train(folder)
    assert_same_folders(folder, whole[0])
    (folder.path / CHECKPOINT).unlink()
    train(folder)
    assert_same_folders(folder, whole[0])


@pytest.mark.parametrize(
    "observation",
    [tr.Identity(3), tr.Identity(2, 5, key=KEY), tr.Affine(3, 7, key=KEY)],
    ids=["identity", "hidden", "affine"],
)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_observation_files(tmp_path, observation, suffix):
    path = tmp_path / f"observation{suffix}"
    save_observation(path, observation)
    found = load_observation(path)
    assert type(found) is type(observation) and same(found, observation)
    assert jax.tree.structure(found) == jax.tree.structure(observation)
    assert np.array_equal(found.forced, observation.forced)


def test_observation_files_that_are_damaged(tmp_path):
    path, wrong = tmp_path / "observation.npz", tmp_path / "wrong.npz"
    save_observation(path, tr.Affine(3, 7, key=KEY))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=f"^{path}: "):
        load_observation(path)
    plr.save(wrong, plr.ClippedShallowPLRNN(2, 3, key=KEY))
    with pytest.raises(ValueError, match=f"^{wrong}: expected an observation model, got type 'mo"):
        load_observation(wrong)
    from plrjax._files import write_arrays

    header = {"type": "observation", "kind": "identity"}
    for arrays, message in (
        ({"sizes": np.array([3, 2])}, r"sizes: expected 1 <= observed <= states, got \[3, 2\]"),
        ({"sizes": np.array([2, 3])}, "L: missing; there are sizes"),
        ({"sizes": np.array([2, 3]), "L": np.ones((2, 2))}, "L: expected shape"),
        ({}, "sizes: missing; there are no arrays"),
    ):
        write_arrays(path, header, arrays)
        with pytest.raises(ValueError, match=f"^{path}: {message}"):
            load_observation(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "line 1: expected the columns step, loss"),
        ("step,loss,gradient_norm,alpha\n0,,\n", "line 2: expected 4 cells, got 3"),
        ("step,loss,gradient_norm,alpha\n0,,,\n8,x,1,\n", "line 3: expected a number, got 'x'"),
        ("step,loss,gradient_norm,alpha\n-8,1,1,\n", "line 2: expected a step, got '-8'"),
        ("step,loss,gradient_norm,alpha\n8,1,1,\n8,1,1,\n", "line 3: step 8 after step 8"),
        ('step,loss,gradient_norm,alpha\n8,"1', "not a table of comma-separated values"),
    ],
)
def test_tables_that_are_damaged(tmp_path, text, message):
    folder = open_run(tmp_path / "run", CONFIG)
    path = folder.path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        print(folder.metrics)
    with pytest.raises(ValueError, match=f"^{path}: "):
        writer_of(folder)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[" * 10**5, "damaged"),
        ("[]", "expected the settings of a run"),
        ('{"type": "run"}', "expected format 1 at most, got None"),
        ('{"type": "run", "format": 2}', "expected format 1 at most, got 2"),
    ],
)
def test_settings_that_are_damaged(tmp_path, text, message):
    folder = open_run(tmp_path / "run", CONFIG)
    path = folder.path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        print(RunFolder(folder.path).config)


def test_folders_that_are_something_else(tmp_path, whole):
    folder, file, other = whole[0], tmp_path / "file", tmp_path / "other"
    file.write_text("x")
    other.mkdir()
    (other / "notes.txt").write_text("x")
    changed = CONFIG | {"settings": {"alpha": 0.3, "num_steps": 60}}
    data = CONFIG | {"data": {"path": "y.npy", "sha256": "2", "shape": [300, 1]}}
    empty = RunFolder(open_run(tmp_path / "empty", CONFIG).path)
    for call, message in (
        (
            lambda: RunFolder(file),
            f"{file}: expected the folder of a training run, but there is no such",
        ),
        (lambda: RunFolder(other), f"{other}: .* has no config.json"),
        (lambda: open_run(file, CONFIG), f"{file}: expected a folder, got a file"),
        (lambda: open_run(other, CONFIG), f"{other}: expected a new folder or a run"),
        (
            lambda: open_run(folder.path, changed),
            "holds another run: alpha is 0.2 there, 0.3 here;",
        ),
        (lambda: open_run(folder.path, data), "holds another run: data is another file"),
        (
            lambda: folder.snapshot(7),
            r"step: expected one of the steps of .*4 from 0 to 60\), got 7",
        ),
        (lambda: empty.snapshot(7), r"no snapshots\), got 7"),
        (lambda: empty.model, r"expected model\.npz or checkpoint\.npz"),
        (lambda: empty.metrics, r"metrics\.csv: no such file"),
        (lambda: empty.setting("settings", "beta"), r"config\.json: settings\.beta is missing"),
    ):
        with pytest.raises(ValueError, match=message):
            print(call())


def test_settings_are_replaced_where_nothing_was_logged(tmp_path):
    changed = CONFIG | {"settings": {"alpha": 0.3, "num_steps": 60}}
    open_run(tmp_path / "run", CONFIG)
    assert open_run(tmp_path / "run", changed).setting("settings", "alpha") == 0.3
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written == {"format": 1, "type": "run", **changed}


def test_units(tmp_path):
    scale = {"mean": [1.0], "deviation": [2.0]}
    folder = open_run(tmp_path / "run", CONFIG | {"standardization": scale})
    values = np.array([[3.0], [5.0]], np.float32)
    assert folder.in_units(values).tolist() == [[1.0], [2.0]]
    assert folder.in_units(values).dtype == np.float32
    with pytest.raises(ValueError, match="values: expected 1 variables, .* got 2"):
        folder.in_units(np.ones((3, 2)))
