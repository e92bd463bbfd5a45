"""The command `plrjax scan`: its file, exit codes, workers."""

import json

import numpy as np
import pytest
from command import main

import plrjax as plr
from plrjax import RESULTS

PLANE = """
measures = [{measures}]
network = "network.npz"
state = [0.4, -0.4]
tile = 4
[[axis]]
where = "A"
index = [0, 0]
start = -0.5
stop = 0.9
num = 9
[[axis]]
where = "A"
index = [1, 1]
start = -0.5
stop = 0.9
num = 5
"""


@pytest.fixture
def folder(tmp_path):
    model = plr.from_arrays("plrnn", A=[0.5, 0.5], W=[[0.0, -1.0], [0.5, 0.0]], h=[0.4, -1.0])
    plr.save(tmp_path / "network.npz", model)
    write(tmp_path, '"cycles:1:2", "orbit:3"')
    return tmp_path


def write(folder, measures: str, more: str = "") -> str:
    path = folder / "plane.toml"
    path.write_text(more + PLANE.format(measures=measures))
    return str(path)


def test_scan_is_that_of_the_function(folder, capsys):
    plane, out = str(folder / "plane.toml"), folder / "scan.npz"
    assert main(["scan", plane, "--out", str(out), "--json", "--seed", "4"]) == 0
    streams = capsys.readouterr()
    facts = json.loads(streams.out)
    found = plr.load(out)
    axes = [plr.Axis("A", (i, i), -0.5, 0.9, num) for i, num in enumerate((9, 5))]
    measures = [plr.CycleCounts([1, 2]), plr.AttractorOrbit([0.4, -0.4], num_points=3)]
    truth = plr.scan_parameters(plr.load(folder / "network.npz"), axes, measures)
    np.testing.assert_array_equal(found.numbers, truth.numbers)
    assert facts["pixels"] == facts["pixels_done"] == 45 and facts["result"] == "successful"
    assert facts["values"]["num_cycles"] == truth["num_cycles"].tolist()
    assert facts["coverage"] == "complete_in_floating_point" and "9 x 5 pixels" in streams.err


def test_workers_and_a_second_call(folder, capsys):
    plane, kept = write(folder, '"orbit:2"'), folder / "kept"
    command = ["scan", plane, "--checkpoint", str(kept), "--workers", "2"]
    assert main(command) == 0
    assert "exit code" not in capsys.readouterr().err
    assert len(list(kept.glob("tile_*.npz"))) == 6
    assert main(["scan", plane, "--checkpoint", str(kept), "--shard", "0/2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["stats"]["tiles_measured"] == 0 and facts["pixels_done"] == 45
    assert main(["scan", plane, "--checkpoint", str(kept), "--seed", "1"]) == 2
    assert "other key" in capsys.readouterr().err
    part = ["scan", plane, "--checkpoint", str(folder / "part"), "--shard", "0/2"]
    assert main(part) == 3 and "3 of 6 tiles are missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    "result, code",
    [(RESULTS.not_finite, 1), (RESULTS.budget_exhausted, 3), (RESULTS.interrupted, 130)],
)
def test_exit_codes(folder, monkeypatch, capsys, result, code):
    pytest.importorskip("matplotlib")
    original = plr.scan_parameters

    def stopped(*arguments, **options):
        found = original(*arguments, **options)
        return type(found)(**{**vars(found), "result": result})

    monkeypatch.setattr(plr, "scan_parameters", stopped)
    plane, out, plot = write(folder, '"orbit:2"'), folder / "scan.npz", folder / "scan.svg"
    assert main(["scan", plane, "--out", str(out), "--plot", str(plot)]) == code
    assert out.exists() == plot.exists() == (code != 1)
    assert result.message in capsys.readouterr().err


def test_budget(folder):
    assert main(["scan", str(folder / "plane.toml"), "--max-seconds", "1e-6"]) == 3


def test_series_of_targets(folder, capsys):
    np.save(folder / "series.npy", np.zeros((9, 1)))
    plane = write(folder, '"gradient:8"', 'targets = "series.npy"\n')
    assert main(["scan", plane]) == 0
    assert "gradient_norm" in capsys.readouterr().out
    plane = write(folder, '"loss:10"', 'targets = "series.npy"\n')
    assert main(["scan", plane]) == 2
    assert "targets: expected at least 10 rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    "measures, more, message",
    [
        ('"cycles:0"', "", "expected 1 <= first <= last"),
        ('"cycle:1"', "", "measures: expected cycles:1:8"),
        ('"orbit:0"', "", "measures: expected"),
        ("", "", "measures: missing"),
        ('"orbit:2"', "extra = 1\n", "extra: unknown"),
        ('"orbit:2"', "[", "plane.toml"),
    ],
)
def test_bad_planes(folder, capsys, measures, more, message):
    assert main(["scan", write(folder, measures, more)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (["--workers", "0"], "--workers: expected"),
        (["--shard", "0/2"], "--shard: needs --checkpoint"),
        (["--shard", "2/2", "--checkpoint", "here"], "--shard: expected I/N"),
        (["--shard", "array", "--checkpoint", "here"], "--shard: expected a Slurm job array"),
        (["absent.npz"], "absent.npz"),
    ],
)
def test_bad_options(folder, capsys, options, message):
    assert main(["scan", str(folder / "plane.toml"), *options]) == 2
    assert message in capsys.readouterr().err


def test_missing_plane(capsys):
    assert main(["scan"]) == 2
    assert "PLANE.TOML: missing" in capsys.readouterr().err
