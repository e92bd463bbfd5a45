"""`plrjax train` and `plrjax evaluate`: runs that go on, refuse, fail, and are scored."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from command import main

import plrjax as plr
from plrjax import RunFolder
from plrjax._cli import _training_parts as parts
from plrjax._cli._train import Train
from plrjax._cli._train_options import FAMILIES

SMALL = "--hidden-size 6 --sequence-length 20 --batch-size 4 --log-every 20".split()


def henon(seed: int, rows: int = 600) -> np.ndarray:
    found = plr.systems.simulate(plr.systems.henon(), rows, key=jr.key(seed), standardize=False)
    return found.observations.astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("series")
    np.save(folder / "data.npy", henon(0))
    np.savetxt(folder / "test.csv", henon(1).astype(np.float64), delimiter=",", fmt="%.17g")
    np.save(folder / "short.npy", henon(2, 30))
    np.save(folder / "one.npy", henon(2)[:, :1])
    return folder


def same(one, other) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def contents(run: pathlib.Path) -> dict[str, bytes]:
    """Return all files of a run but its checkpoint."""
    files = (path for path in run.rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(p.relative_to(run)): p.read_bytes() for p in files if p.name != "checkpoint.npz"}


@pytest.fixture(scope="module")
def trained(files) -> pathlib.Path:
    """Return a finished run with everything in its table."""
    run = files / "trained"
    options = f"--test {files}/test.csv --evaluate-every 40 --exponents-every 60 --standardize"
    more = f"--snapshot-every 20 --num-steps 120 --clip 1 --out {run}"
    assert main(["train", f"{files}/data.npy", *SMALL, *options.split(), *more.split()]) == 0
    return run


def test_the_folder_of_a_run(trained, files):
    folder = RunFolder(trained)
    table, data = folder.metrics, henon(0)
    columns = ["D_stsp", "D_H", "PE(20)", "captured_share", "nonfinite_share"]
    lambdas = ["lambda_1", "lambda_2"]
    assert list(table) == ["step", "loss", "gradient_norm", "alpha", *lambdas, *columns]
    known = lambda name: table["step"][~np.isnan(table[name])].tolist()
    assert known("loss") == [20, 40, 60, 80, 100, 120] and known("alpha") == [0, *known("loss")]
    assert known("lambda_1") == [0, 60, 120] and known("PE(20)") == [0, 40, 80, 120]
    assert folder.steps.tolist() == [0, *known("loss")] and folder.num_steps == 120
    assert same(folder.snapshot(120), folder.model)
    assert folder.setting("settings", "learning_rate") == 5e-3
    scale = folder.setting("standardization")
    wide = data.astype(np.float64)
    assert np.array_equal(scale["mean"], wide.mean(0))
    assert np.array_equal(scale["deviation"], wide.std(0))
    sums = subprocess.run(["sha256sum", files / "data.npy"], capture_output=True, text=True)
    if sums.returncode == 0:
        assert folder.setting("data", "sha256") == sums.stdout.split()[0]


def test_the_table_is_what_the_snapshots_say(trained):
    """Exponents and scores again, from the files alone."""
    folder = RunFolder(trained)
    table, test = folder.metrics, folder.in_units(henon(1).astype(np.float64))
    row = table["step"].tolist().index(80)
    found = plr.metrics.evaluate(folder.snapshot(80), test)
    assert table["PE(20)"][row] == found.prediction_error
    assert np.array_equal(table["D_H"][row], found.median.power_spectrum_error, equal_nan=True)
    spectrum = plr.lyapunov_spectrum(
        folder.model, folder.in_units(henon(0))[::40], key=jr.key(5), num_steps=4000
    )
    exponents = [table[f"lambda_{i}"][-1] for i in (1, 2)]
    np.testing.assert_allclose(exponents, spectrum.exponents, atol=0.02)


def test_a_finished_run_stays_as_it_is(trained, files, capsys):
    before = contents(trained)
    assert main(["train", str(trained), "--json"]) == 0
    streams = capsys.readouterr()
    facts = json.loads(streams.out)
    assert (facts["num_steps"], facts["result"]) == (120, "successful")
    assert facts["last_row"]["step"] == 120 and "going on from update 120" in streams.err
    assert contents(trained) == before


def test_other_settings_are_refused(trained, files, capsys):
    command = ["train", f"{files}/data.npy", *SMALL, "--out", str(trained)]
    assert main([*command, "--alpha", "0.2"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "holds another run" in error
    assert "alpha is 0.1 there, 0.2 here" in error and "test is given once only" in error
    assert main(["train", str(trained), "--clip", "2"]) == 2
    assert "--clip: leave it out" in capsys.readouterr().err
    assert main(["train", str(trained), "--num-steps", "60"]) == 2
    assert "num_steps is 120 there, 60 here" in capsys.readouterr().err


def test_scores(trained, files, capsys):
    assert main(["evaluate", str(trained), "--data", f"{files}/test.csv", "--json"]) == 0
    streams = capsys.readouterr()
    facts, folder = json.loads(streams.out), RunFolder(trained)
    test = folder.in_units(henon(1).astype(np.float64))
    final = plr.metrics.evaluate(folder.model, test)
    assert str(final) in streams.err and "split-half" in streams.err
    assert facts["final"]["prediction_error"] == final.prediction_error
    assert facts["final"]["floor"]["power_spectrum_error"] == final.floor.power_spectrum_error
    assert facts["late"]["steps"] == [60, 80, 100, 120]
    late = [plr.metrics.evaluate(folder.snapshot(step), test) for step in (60, 80, 100, 120)]
    errors = np.array([one.prediction_error for one in late])
    assert facts["late"]["median"]["prediction_error"] == np.median(errors)
    deviation = np.median(np.abs(errors - np.median(errors)))
    assert facts["late"]["deviation"]["prediction_error"] == deviation
    assert main(["evaluate", str(trained), "--late", "0", "--num-starts", "4"]) == 0
    assert capsys.readouterr().out.count("orbits of") == 1


def test_standardized_data_train_the_same_network(trained, files, tmp_path):
    """The same series, standardized by hand beforehand."""
    wide = henon(0).astype(np.float64)
    np.save(tmp_path / "data.npy", ((wide - wide.mean(0)) / wide.std(0)).astype(np.float32))
    options = f"--num-steps 120 --clip 1 --out {tmp_path}/run".split()
    assert main(["train", f"{tmp_path}/data.npy", *SMALL, *options]) == 0
    assert same(RunFolder(tmp_path / "run").model, RunFolder(trained).model)


def test_time_limit_and_further(files, tmp_path, capsys):
    """A run cut by the clock says how to go on, and ends like one without a break."""
    for name, limit in (("cut", ["--max-seconds", "0.3"]), ("whole", [])):
        options = f"--observation affine --state-size 3 --num-steps 200 --out {tmp_path}/{name}"
        command = ["train", f"{files}/data.npy", *SMALL, *options.split()]
        code = main([*command, *limit])
        assert code == (3 if limit else 0)
        if limit:
            assert f"go on with: plrjax train {tmp_path}/cut" in capsys.readouterr().err
            assert main(["train", str(tmp_path / "cut")]) == 0
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    folder = RunFolder(tmp_path / "cut")
    assert folder.observation_model.forced.shape == (3,) and folder.model.state_size == 3


SCRIPT = """
import sys
from plrjax._cli import main
from plrjax.training._checkpoint import Checkpoint
from plrjax._io import _run_writer as w
Checkpoint.save_sometimes = lambda self, loop: loop.done % 60 or self.save(loop)
put = w.RunTable.put
def told(self, step, cells):
    put(self, step, cells)
    print("step", step, flush=True)
w.RunTable.put = told
raise SystemExit(main())
"""


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, "train", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ})


def steps_of(lines: Iterable[str]) -> Iterator[int]:
    return (int(line.split()[1]) for line in lines if line.startswith("step "))


@pytest.fixture(scope="module")
def whole(files) -> tuple[list[str], dict[str, bytes]]:
    """Return the arguments of a run without a break, and its files."""
    options = "--num-steps 600 --snapshot-every 100 --forcing adaptive --evaluate-every 200"
    series = [f"{files}/data.npy", *SMALL, *options.split(), "--test", f"{files}/test.csv"]
    process = start(*series, "--out", f"{files}/whole")
    process.communicate()
    assert process.returncode == 0
    return series, contents(files / "whole")


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_and_run_again(whole, tmp_path, request, stop):
    """Kill -9, Ctrl-C or SIGTERM in the middle: the run ends with the same files, byte for byte."""
    if stop == signal.SIGINT:
        request.getfixturevalue("ctrl_c")
    series, expected = whole
    stopped = start(*series, "--out", f"{tmp_path}/a")
    assert stopped.stdout is not None
    assert any(step >= 260 for step in steps_of(stopped.stdout))
    stopped.send_signal(stop)
    error = stopped.communicate()[1]
    assert stopped.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[stop]
    assert stop == signal.SIGKILL or f"go on with: plrjax train {tmp_path}/a" in error
    assert (tmp_path / "a" / "model.npz").exists() == (stop != signal.SIGKILL)
    assert main(["evaluate", f"{tmp_path}/a", "--num-starts", "2"]) == 0
    again = start(f"{tmp_path}/a")
    steps = list(steps_of(again.communicate()[0].splitlines()))
    assert again.returncode == 0 and 240 < steps[0] < 600 and steps[-1] == 600
    assert contents(tmp_path / "a") == expected


@pytest.mark.parametrize("more", [[], ["--observation", "affine", "--state-size", "3"]])
def test_a_checkpoint_holds_the_network(files, tmp_path, more):
    """Without `model.npz`, as where the run was killed at its last update: the same network."""
    command = ["train", f"{files}/data.npy", *SMALL, "--num-steps", "40", "--out", f"{tmp_path}/r"]
    assert main([*command, *more]) == 0
    run, names = RunFolder(tmp_path / "r"), ("model.npz", "observation.npz")
    model, observation = run.model, run.observation_model
    for name in names:
        (run.path / name).unlink()
    assert same(run.model, model) and same(run.observation_model, observation)
    (run.path / "checkpoint.npz").unlink()
    with pytest.raises(ValueError, match="did training begin"):
        run.model


def test_more_updates_extend_a_run(files, tmp_path):
    """80 updates, then 160: those of 160 at once whose learning rate falls over the first 80."""
    command = ["train", f"{files}/data.npy", *SMALL]
    parts, whole = f"{tmp_path}/parts", f"{tmp_path}/whole"
    assert main([*command, "--out", parts, "--num-steps", "80"]) == 0
    assert main(["train", parts, "--num-steps", "160"]) == 0
    assert main([*command, "--out", whole, "--num-steps", "160", "--rate-steps", "80"]) == 0
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert main([*command, "--out", parts, "--num-steps", "200"]) == 0
    assert RunFolder(parts).num_steps == 200


def test_divergence_is_a_failure(files, tmp_path, capsys):
    options = f"--forcing none --learning-rate 5 --num-steps 200 --out {tmp_path}/run --l2 0"
    command = ["train", f"{files}/data.npy", "--kind", "shallow", *SMALL, *options.split()]
    assert main(command) == 1
    assert (
        f"diverged; the last finite network is {tmp_path}/run/model.npz" in capsys.readouterr().err
    )
    assert all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves(RunFolder(tmp_path / "run").model)
    )


@pytest.mark.parametrize("observation", ["identity", "affine"])
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, observation):
    gated = {"gru": 4, "lstm": 8}
    size: dict[str, Any] = {"hidden_size": 4} if family in gated else {"state_size": 5}
    options = Train("x.npy", kind=family, observation=observation, out="run", **size)
    options.check()
    data = henon(0)
    model, observe = parts.networks(options, data, jr.split(jr.key(0), 4))
    assert model.state_size == gated.get(family, 5)
    state = observe.initial_state(jnp.asarray(data[0]))
    assert observe.observe(model.step(state)).shape == (2,)
    assert parts.state_size(options, 2) == model.state_size


@pytest.mark.parametrize(
    "options, message",
    [
        ("", "--out: expected the folder of the run"),
        ("--out {0}/data.npy", "--out: expected a folder, got the file"),
        ("--out {0}", "expected a new folder or a run, but it holds other files"),
        ("--out r --kind gru --state-size 3", "--state-size: gru has --hidden-size instead"),
        ("--out r --kind plrnn --hidden-size 3", "--hidden-size: plrnn has none"),
        ("--out r --kind almost-linear --num-relu 3", "--num-relu: expected at most 2"),
        ("--out r --state-size 1", "--state-size: 1 states cannot be the 2 variables of DATA"),
        ("--out r --interval 3", "--interval: only meaningful with --forcing sparse"),
        (
            "--out r --forcing sparse --interval x",
            "--interval: expected a positive integer or auto",
        ),
        ("--out r --alpha 2", "--alpha: expected a number from 0 to 1, got 2.0"),
        ("--out r --num-steps 0", "--num-steps: expected an integer of at least 1"),
        ("--out r --learning-rate=-1", "--learning-rate: expected a positive number"),
        ("--out r --seed=-1", "--seed: expected an integer of at least 0"),
        ("--out r --l2=-1", "--l2: expected a positive number"),
        ("--out r --sequence-length 600", "--sequence-length: expected at most 599"),
        ("--out r --evaluate-every 5", "--evaluate-every: only meaningful together with --test"),
        ("--out r --test nowhere.npy", "--test: nowhere.npy: no such file"),
        ("--out r --test {0}/one.npy", "--test: expected 2 variables as in DATA, got 1"),
        ("--out r --kind nothing", "invalid choice"),
    ],
)
def test_misuse(files, options, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"{files}/data.npy", *options.format(files).split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_test_data_that_are_too_short_can_be_replaced(files, tmp_path, capsys):
    command = ["train", f"{files}/data.npy", *SMALL, "--num-steps", "20", "--out", f"{tmp_path}/r"]
    assert main([*command, "--test", f"{files}/short.npy"]) == 2
    assert "test: expected at least" in capsys.readouterr().err
    assert main(command) == 0


def test_misuse_of_evaluate(trained, files, tmp_path, capsys):
    for arguments, message in (
        ([str(tmp_path)], "has no config.json"),
        ([str(trained), "--late", "9"], "--late: expected at most 7, the snapshots, got 9"),
        ([str(trained), "--num-starts", "0"], "--num-starts: expected an integer of at least 1"),
        ([str(trained), "--data", f"{files}/one.npy"], "one.npy: expected 2 variables"),
        ([str(trained), "--data", "nowhere.npy"], "--data: nowhere.npy: no such file"),
    ):
        assert main(["evaluate", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    (tmp_path / "config.json").write_text(json.dumps({"type": "run", "format": 1, "test": None}))
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "--data: expected a held-out series, because the run has none" in capsys.readouterr().err
    assert main(["train", str(tmp_path)]) == 2
    assert "config.json: settings is missing" in capsys.readouterr().err


def test_snapshots_are_kept_unless_they_are_not_wanted(files, tmp_path, capsys):
    command = ["train", f"{files}/data.npy", *SMALL, "--num-steps", "520"]
    assert main([*command, "--out", f"{tmp_path}/run"]) == 0
    assert plr.RunFolder(tmp_path / "run").steps.tolist() == [0, 500, 520]
    assert main([*command, "--out", f"{tmp_path}/none", "--snapshot-every", "0"]) == 0
    assert not len(plr.RunFolder(tmp_path / "none").steps)
    assert main(["train", f"{tmp_path}/none", "--num-steps", "530"]) == 0  # goes on without
    assert not len(plr.RunFolder(tmp_path / "none").steps)


def test_commands_take_the_folder_of_a_run(trained, tmp_path, capsys):
    """Also of one that was killed: then it is the network of the checkpoint."""
    killed = tmp_path / "killed"
    shutil.copytree(trained, killed)
    shutil.rmtree(killed / "snapshots")
    (killed / "model.npz").unlink()
    for run in (trained, killed):
        assert main(["cycles", str(run), "--periods", "1", "--solver", "exhaustive"]) == 0
        assert f"plrjax: {run}: the network after 120 updates" in capsys.readouterr().err
        assert main(["lyapunov", str(run), "--num-steps", "300", "--num-orbits", "8"]) == 0
        assert main(["info", str(run), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert facts["updates"] == 120 and facts["finished"] == (run == trained)
    assert main(["cycles", str(trained), "--periods", "1", "--index", "99"]) == 2
    assert "--index: expected 0 to 6, got 99" in capsys.readouterr().err
    assert main(["cycles", str(trained), "--kind", "plrnn"]) == 2
    assert "--kind: leave it out" in capsys.readouterr().err
