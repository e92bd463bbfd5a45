"""`plrjax bifurcations`: networks of files and runs, what is printed and saved, refusals."""

import dataclasses
import json
import pathlib

import jax.random as jr
import numpy as np
import pytest
from command import main

import plrjax as plr
from plrjax import RESULTS, RunFolder

RIGHT = (-2.0, 0.4, 2.0)
"""Slopes of the skew tents in the files."""


def skew_tent(a_r: float):
    """z' = .2 z + 1 below 0 and a_r z + 1 above."""
    return plr.from_arrays("shallow", A=[0.2], W1=[[a_r - 0.2]], W2=[[1.0]], h1=[1.0], h2=[0.0])


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("networks")
    for name, a_r in zip("abc", RIGHT):
        plr.save(folder / f"{name}.npz", skew_tent(a_r))
    plr.save(folder / "wide.npz", plr.ShallowPLRNN(2, 1, key=jr.key(0)))
    plr.save(folder / "other.npz", plr.PLRNN(1, key=jr.key(0)))
    plr.save(folder / "smooth.npz", plr.TanhRNN(1, key=jr.key(0)))
    (folder / "empty.npz").touch()
    (folder / "empty").mkdir()
    np.savez(
        folder / "three.npz", A=[[0.2]], W1=np.reshape(RIGHT, (3, 1, 1)) - 0.2, W2=[[1.0]],
        h1=[1.0], h2=[0.0],
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def run(files) -> pathlib.Path:
    """Return the folder of a run with snapshots at 0, 20, 40, and losses at 20 and 40."""
    found = plr.systems.simulate(plr.systems.henon(), 200, key=jr.key(0))
    data = found.observations.astype(np.float32)
    np.save(files / "henon.npy", data)
    size = "--hidden-size 3 --alpha 0.1 --sequence-length 10 --batch-size 4 --seed 6"
    steps = "--num-steps 40 --log-every 20 --snapshot-every 20"
    command = ["train", str(files / "henon.npy"), "--out", str(files / "run")]
    assert main([*command, *size.split(), *steps.split()]) == 0
    return files / "run"


def printed(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def one_line_error(capsys) -> str:
    streams = capsys.readouterr()
    lines = streams.err.splitlines()
    assert streams.out == "" and len(lines) == 1 and lines[0].startswith("plrjax: ")
    return lines[0]


def check_transcritical(facts: dict) -> None:
    (one,) = [x for x in facts["events"] if x["kind"] == "degenerate_transcritical"]
    assert abs(one["s"] - (1.0 - 0.4) / (2.0 - 0.4)) < 1e-10 and one["interval"] == 1
    assert one["attractor"] == -1 and one["stability_before"] == "stable"
    assert one["stability_after"] is None and one["multipliers_after"] is None
    assert one["loss_before"] is None and facts["branches"][one["branch"]]["period"] == 1


def test_files_in_order(files, capsys):
    names = [str(files / f"{name}.npz") for name in "abc"]
    assert main(["bifurcations", *names, "--periods", "1:2", "--json"]) == 0
    facts = printed(capsys)
    check_transcritical(facts)
    assert [one["kind"] for one in facts["events"]][0] == "degenerate_flip"
    assert abs(facts["events"][0]["s"] - 1.0 / 2.4) < 1e-10
    assert facts["networks"] == names and facts["coverage"] == "complete_in_floating_point"
    assert facts["coverage_by_period"].keys() == {"1", "2"} and facts["steps"] == [0, 1, 2]


def test_all_snapshots_of_a_file(files, capsys, tmp_path):
    name = str(files / "three.npz")
    out, image = tmp_path / "found.npz", tmp_path / "found.png"
    options = ["--periods", "1,2", "--kind", "shallow", "--out", str(out)]
    pytest.importorskip("matplotlib")
    assert (
        main(["bifurcations", name, "--snapshots", "--json", *options, "--plot", f"{image}"]) == 0
    )
    facts = printed(capsys)
    check_transcritical(facts)
    found = plr.load(out)
    assert isinstance(found, plr.Bifurcations)
    np.testing.assert_array_equal(found.s, [one["s"] for one in facts["events"]])
    np.testing.assert_array_equal(found.steps, [0, 1, 2])
    assert image.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert main(["info", str(out)]) == 0 and "bifurcations" in capsys.readouterr().out
    with pytest.raises(ValueError, match="index: the file holds bifurcations"):
        plr.load(out, index=1)


def test_a_run(run, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "found.safetensors"
    arguments = ["bifurcations", str(run), "--periods", "1", "--out", str(out)]
    assert main([*arguments, "--plot", str(tmp_path / "found.svg")]) == 0
    assert "along 3 networks" in capsys.readouterr().out
    found, folder = plr.load(out), RunFolder(run)
    assert found.steps.tolist() == [0, 20, 40] and (tmp_path / "found.svg").stat().st_size
    models = [folder.snapshot(step) for step in folder.steps.tolist()]
    again = plr.detect_bifurcations(models, 1, key=jr.key(0), progress=plr.NoProgress())
    np.testing.assert_array_equal(found.s, again.s)
    losses = dict(zip(folder.metrics["step"].tolist(), folder.metrics["loss"].tolist()))
    known = [losses.get(20 * (row + 1), np.nan) for row in found.interval.tolist()]
    assert len(found) and np.isfinite(known).all()
    np.testing.assert_array_equal(found.loss_after, known)


@pytest.mark.parametrize(
    "result, code", [(RESULTS.budget_exhausted, 3), (RESULTS.interrupted, 130)]
)
def test_partial_results_are_printed_and_saved(files, capsys, tmp_path, monkeypatch, result, code):
    detect, given = plr.detect_bifurcations, {}

    def stopped(models, periods, **options):
        given.update(options)
        found = detect(models, periods, key=options["key"], progress=plr.NoProgress())
        return dataclasses.replace(found, result=result)

    monkeypatch.setattr(plr, "detect_bifurcations", stopped)
    names = [str(files / f"{name}.npz") for name in "ac"]
    out = tmp_path / "found.npz"
    assert main(["bifurcations", *names, "--max-seconds", "9", "--out", str(out)]) == code
    streams = capsys.readouterr()
    assert result.message in " ".join(streams.err.split()) and "2 events" in streams.out
    assert plr.load(out).result is result and given["max_seconds"] == 9
    assert given["key"] == jr.key(0)


@pytest.mark.parametrize(
    "arguments, named",
    [
        ([], "NETWORKS: expected the folder of a run or network files, got none"),
        (["a.npz"], "a.npz only"),
        (["a.npz", "absent.npz"], "NETWORKS: {tmp}/absent.npz"),
        (["a.npz", "empty.npz"], "{tmp}/empty.npz"),
        (
            ["a.npz", "wide.npz"],
            "{tmp}/wide.npz does not go with {tmp}/a.npz: expected arrays of shapes",
        ),
        (["a.npz", "other.npz"], "{tmp}/other.npz does not go with {tmp}/a.npz: expected a Shall"),
        (["a.npz", "smooth.npz"], "{tmp}/smooth.npz: expected a piecewise-affine network"),
        (["three.npz", "three.npz"], "index"),
        (["three.npz", "--snapshots"], "kind"),
        (["a.npz", "--snapshots"], "--snapshots: expected a file with two snapshots"),
        (["a.npz", "b.npz", "--snapshots"], "--snapshots: expected one file, got 2"),
        (["empty"], "{tmp}/empty: expected the folder of a training run"),
        (["empty", "a.npz"], "NETWORKS: expected one folder"),
        (["run", "--kind", "shallow"], "--kind: leave it out"),
        (["run", "--snapshots"], "--snapshots: leave it out"),
        (["a.npz", "b.npz", "--periods", "0"], "--periods"),
        (["a.npz", "b.npz", "--periods", "x"], "--periods"),
        (["a.npz", "b.npz", "--kind", "plrnn"], "kind"),
        (["a.npz", "b.npz", "--num-relu", "1"], "num_relu"),
        (["a.npz", "b.npz", "--seed", "-1"], "--seed"),
        (["a.npz", "b.npz", "--max-seconds", "0"], "max_seconds"),
        (["a.npz", "b.npz", "--out", "found.txt"], "--out"),
        (["a.npz", "b.npz", "--plot", "found.npz"], "--plot"),
        (["a.npz", "b.npz", "--unheard-of"], "--unheard-of"),
    ],
)
def test_bad_input_is_one_line_that_names_the_argument(files, run, arguments, named, capsys):
    before = sorted(files.iterdir())
    placed = [f"{files}/{x}" if (files / x).exists() or "absent" in x else x for x in arguments]
    assert main(["bifurcations", *placed]) == 2
    assert named.format(tmp=files) in one_line_error(capsys)
    assert sorted(files.iterdir()) == before


def test_a_run_without_snapshots(run, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    assert main(["bifurcations", str(tmp_path)]) == 2
    assert "--snapshot-every" in one_line_error(capsys)


def test_events_that_change_nothing_are_counted(run, capsys):
    command = ["bifurcations", str(run), "--periods", "1", "--max-seconds", "60"]
    assert main(command) == 0
    few = capsys.readouterr().out
    assert main([*command, "--all"]) == 0
    everything = capsys.readouterr().out
    found = plr.detect_bifurcations(plr.RunFolder(run), 1, key=jr.key(0), steps=[0, 20, 40])
    same = found.stability_before == found.stability_after
    goes_on = (found.subtype == plr.COLLISION.persistence) & same & (found.attractor == 0)
    np.testing.assert_array_equal(found.changes, ~goes_on)
    lines = [text.count("border collision, ") for text in (few, everything)]
    collisions = found.kind == plr.BIFURCATION.border_collision
    assert lines == [int((collisions & found.changes).sum()), int(collisions.sum())]
    assert ("not listed" in few) == bool(goes_on.any()) and "not listed" not in everything
