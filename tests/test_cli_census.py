"""`plrjax cycles` of many files, `plrjax census`, `plrjax train --grid`: folders and exit codes."""

import json
import os
import pathlib
import sys

import filelock
import numpy as np
import pytest
from command import main
from test_census import network

import plrjax as plr
from plrjax import _files

CYCLES = ["--periods", "1:2", "--solver", "exhaustive"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with four networks."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("nets")
    for number in range(4):
        plr.save(f"nets/n{number}.npz", network(-2.0 + number))
    return tmp_path


def test_many_files_are_one_table(place, capsys):
    pytest.importorskip("matplotlib")
    command = ["cycles", "nets/*.npz", *CYCLES, "--out", "all", "--plot", "all.png", "--json"]
    assert main(command) == 0
    streams = capsys.readouterr()
    facts = json.loads(streams.out)
    assert facts["num_networks"] == 4 and "4 networks, " in streams.err
    truth = [plr.find_cycles(network(-2.0 + n), [1, 2], solver=plr.Exhaustive()) for n in range(4)]
    assert [row["cycles_1"] for row in facts["rows"]] == [found.counts()[1] for found in truth]
    assert list(plr.Census.load("all")) == truth
    assert (place / "all.png").exists() and (place / "all" / "table.csv").exists()


def test_shards_status_and_collect(place, capsys):
    command = ["cycles", "nets/*.npz", *CYCLES, "--out", "all"]
    assert main([*command, "--shard", "1/2"]) == 0
    assert main(["census", "status", "all"]) == 3
    assert capsys.readouterr().out.endswith("4 networks: 2 done, 0 failed, 2 missing\n")
    assert main([*command, "--shard", "0/2"]) == 0
    assert main(["census", "status", "all"]) == 0 and main(["census", "collect", "all"]) == 0
    assert "4 networks, " in capsys.readouterr().out
    assert len(pathlib.Path("all/table.csv").read_text().splitlines()) == 5
    assert main([*command, "--periods", "1:3"]) == 2
    assert "with other arguments (periods: [1, 2], not [1, 2, 3])" in capsys.readouterr().err


def test_failed_networks_are_rows_and_told(place, capsys):
    pathlib.Path("nets/bad.npz").write_text("nothing")
    assert main(["lyapunov", "nets/*.npz", "--num-steps", "100", "--out", "all"]) == 1
    streams = capsys.readouterr()
    assert "5 networks, 1 failed" in streams.out and "exponent 1" in streams.out
    assert "1 of 5 networks failed" in streams.err
    assert main(["census", "status", "all"]) == 1
    assert "nets/bad.npz: ValueError" in capsys.readouterr().out
    plr.save("nets/bad.npz", network(0.5))
    assert main(["lyapunov", "nets/*.npz", "--num-steps", "100", "--out", "all"]) == 2
    assert "other networks (number 0: " in capsys.readouterr().err


def test_a_disk_that_refuses(place, capsys, monkeypatch):
    """What is there stays, one line says what and where, and the same command goes on."""
    command = ["cycles", "nets/*.npz", *CYCLES, "--out", "all"]
    written, real = [], _files.write_bytes

    def refuse(path, data):
        if "rows" in str(path):
            written.append(path)
            if len(written) > 2:
                raise OSError(28, "No space left on device", str(path))
        real(path, data)

    monkeypatch.setattr("plrjax._census._work.write_bytes", refuse)
    assert main(command) == 1
    error = capsys.readouterr().err
    (line,) = (line for line in error.splitlines() if line.startswith("plrjax: "))
    assert "--out: " in line and "No space left" in line and "Traceback" not in error
    monkeypatch.undo()
    os.chdir(place)
    assert main(["census", "status", "all"]) == 3
    assert "2 done, 0 failed, 2 missing" in capsys.readouterr().out
    assert main(command) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_may_not_be_written(place, capsys):
    os.mkdir("all", mode=0o500)
    assert main(["cycles", "nets/*.npz", *CYCLES, "--out", "all"]) == 1
    assert "Permission denied" in capsys.readouterr().err


def test_a_grid_of_trainings(place, capsys):
    rng = np.random.default_rng(0)
    np.save("series.npy", rng.standard_normal((60, 2)).astype(np.float32))
    pathlib.Path("grid.toml").write_text("seed = [0, 1]\nlearning-rate = [1, 0.01]\n")
    command = ["train", "series.npy", "--grid", "grid.toml", "--out", "runs", "--num-steps", "20"]
    command += ["--sequence-length", "10", "--log-every", "10", "--hidden-size", "4"]
    assert main(command) == 0
    assert "4 networks, " in capsys.readouterr().out
    rows = plr.Census.load("runs").rows
    assert [(row["seed"], row["learning_rate"]) for row in rows] == [
        (0, 1), (0, 0.01), (1, 1), (1, 0.01)
    ]  # fmt: skip
    assert [row["updates"] for row in rows[1::2]] == [20, 20]
    alone = ["train", "series.npy", "--out", "alone", *command[6:], "--seed", "1"]
    assert main([*alone, "--learning-rate", "0.01"]) == 0
    run = plr.RunFolder("runs/seed=1,learning-rate=0.01")
    np.testing.assert_array_equal(run.metrics["loss"], plr.RunFolder("alone").metrics["loss"])
    assert rows[3]["loss"] == run.metrics["loss"][-1]
    capsys.readouterr()
    for text, message in (
        ("speed = [1]", "speed: expected an option of training"),
        ("seed = 1", "seed: expected a list"),
        ("# none", "expected 1 to"),
        ("seed = [", "grid.toml"),
    ):
        pathlib.Path("grid.toml").write_text(text)
        assert main(command) == 2
        assert message in capsys.readouterr().err
    assert main(["train", "series.npy", "--out", "x", "--workers", "2"]) == 2
    assert "--workers: only meaningful with --grid" in capsys.readouterr().err


def test_a_run_that_another_process_trains(place, capsys):
    """A second command is refused; a grid waits for the first, and ends at its time limit."""
    rng = np.random.default_rng(0)
    np.save("series.npy", rng.standard_normal((60, 2)).astype(np.float32))
    options = ["--num-steps", "20", "--sequence-length", "10", "--hidden-size", "4", "--seed", "1"]
    pathlib.Path("grid.toml").write_text("l2 = [0.1]\n")
    grid = ["train", "series.npy", "--grid", "grid.toml", "--out", "runs", *options]
    run = ["train", "series.npy", "--out", "runs/l2=0.1", *options, "--l2", "0.1"]
    pathlib.Path("runs/l2=0.1").mkdir(parents=True)
    with filelock.FileLock("runs/l2=0.1/.lock"):
        assert main(run) == 2
        told = capsys.readouterr().err
        assert "--out: another process trains runs/l2=0.1" in told
        assert main([*grid, "--max-seconds", "2"]) == 3
    assert main(grid) == 0 and plr.Census.load("runs").rows[0]["updates"] == 20


def test_runs_give_their_snapshots(place, capsys):
    np.save("series.npy", np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32))
    command = ["train", "series.npy", "--out", "run", "--num-steps", "20", "--sequence-length"]
    assert main([*command, "10", "--hidden-size", "3", "--snapshot-every", "10"]) == 0
    capsys.readouterr()
    one = ["cycles", "run", "--periods", "1", "--solver", "exhaustive"]
    assert main(one) == 0 and "the network after" in capsys.readouterr().err
    assert main([*one, "--out", "census"]) == 0
    table = capsys.readouterr().out
    steps = plr.RunFolder("run").steps.tolist()
    assert f"{len(steps)} networks" in table and all(f"run:{step}" in table for step in steps)


@pytest.mark.parametrize(
    "text, message",
    [
        ("jobs = 0", "jobs: expected a positive integer"),
        ('setup = "x"', "setup: expected a list of lines"),
        ('"bad name" = 1', "bad name: expected an option of sbatch"),
        ('partition = "a\\nb"', "partition: expected an option of sbatch"),
        ("= 1", "--executor-options: slurm.toml"),
    ],
)
def test_bad_options_of_slurm(place, capsys, text, message):
    pathlib.Path("slurm.toml").write_text(text)
    options = ["--executor", "slurm", "--executor-options", "slurm.toml"]
    assert main(["cycles", "nets/*.npz", "--out", "x", *options]) == 2
    assert message in capsys.readouterr().err and not pathlib.Path("x").exists()


def test_engines_that_are_not_there(place, capsys, monkeypatch):
    for name in ("distributed", "executorlib"):
        monkeypatch.setitem(sys.modules, name, None)
    for engine in ("slurm", "dask:127.0.0.1:9"):
        assert main(["cycles", "nets/*.npz", "--out", "x", "--executor", engine]) == 2
        assert "pip install 'plrjax[cluster]'" in capsys.readouterr().err
