"""Many networks in one table: the same on every way, resumed from files, no network ends it."""

import csv
import json
import os
import threading
from typing import Any

import analyses
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax import RESULTS, Census

QUIET = plr.NoProgress()
CANNOT_TRAVEL = lambda model, lock=threading.Lock(): 1.0


def network(scale: float, size: int = 2) -> plr.PLRNN:
    W = np.zeros((size, size))
    W[0, 1] = scale
    return plr.from_arrays("plrnn", A=np.full(size, 0.5), W=W, h=np.ones(size))


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "nets"
    folder.mkdir()
    for number in range(5):
        plr.save(folder / f"n{number}.npz", network(1.0 + number))
    return folder


def numbers(found: Census, name: str) -> list:
    return [row.get(name) for row in found.rows]


def test_each_network_has_its_key_and_its_row(files):
    models = [network(1.0 + number) for number in range(5)]
    here = plr.census(models, analyses.with_key, key=jr.key(3), scale=2.0, progress=QUIET)
    expected = [float(jr.uniform(jr.fold_in(jr.key(3), number))) for number in range(5)]
    assert numbers(here, "draw") == expected and numbers(here, "norm") == [2, 4, 6, 8, 10]
    read = plr.census(f"{files}/*.npz", analyses.with_key, key=jr.key(3), scale=2.0, progress=QUIET)
    assert numbers(read, "draw") == expected and here.columns[-1] == "seconds"
    assert numbers(read, "network") == [str(files / f"n{n}.npz") for n in range(5)]
    assert "5 networks, " in str(read) and "n4.npz" in str(read) and str(files) not in str(read)


def test_results_are_those_of_a_loop(tmp_path):
    models = [network(-1.5), network(0.7), network(0.2)]
    options: dict[str, Any] = {"periods": [1, 2], "solver": plr.Exhaustive()}
    loop = plr.find_cycles(models, **options, key=jr.key(0), progress=QUIET)
    found = plr.census(
        models, plr.find_cycles, **options, key=jr.key(0), out=tmp_path / "c", progress=QUIET
    )
    assert list(found) == list(loop) and found[1:] == list(loop)[1:]
    for row, cycles in zip(found.rows, loop):
        assert [row["cycles_1"], row["cycles_2"]] == list(cycles.counts().values())
        stable = cycles.stability == plr.STABILITY.stable
        assert row["stable"] == np.count_nonzero(stable) == row["stable_1"] + row["stable_2"]
        assert row["coverage"] == "complete_in_floating_point"
    again = Census.load(tmp_path / "c")
    assert list(again) == list(loop) and again.rows == found.rows


def test_spectra_attractors_and_stacks(tmp_path):
    spectra = plr.census(
        [network(0.3)], plr.lyapunov_spectrum, state=np.zeros(2), num_steps=100, key=jr.key(0)
    )
    (row,) = spectra.rows
    np.testing.assert_allclose([row["exponent_1"], row["exponent_2"]], np.log(0.5), atol=0.01)
    assert row["error_1"] < 0.01 and row["result"] == "successful"
    found = plr.census(network(0.3), plr.find_attractors, states=np.ones((3, 2)), key=jr.key(0))
    assert found.rows[0]["cycle"] == 1 and found.rows[0]["chaotic"] == 0
    models = [[network(0.3), network(0.4)], [network(0.3), network(0.2)]]
    events = plr.census(models, plr.detect_bifurcations, periods=1, key=jr.key(0))
    assert numbers(events, "events") == [0, 0] and len(events) == 2


def test_what_cannot_be_read_or_analyzed_is_a_row(files, tmp_path):
    (files / "bad.npz").write_bytes(b"no network")
    plr.save(files / "large.npz", network(1e4))
    place = tmp_path / "out"
    call: dict[str, Any] = dict(key=jr.key(0), out=place, progress=QUIET)
    found = plr.census([f"{files}/*.npz", "absent.npz"], analyses.with_key, **call)
    failed = {row["network"].rpartition("/")[2]: row["error"] for row in found.rows[:]
              if "error" in row}  # fmt: skip
    assert failed.keys() == {"bad.npz", "large.npz", "absent.npz"} and found.num_failed == 3
    assert "too large" in failed["large.npz"] and "FileNotFoundError" in failed["absent.npz"]
    assert found.result is RESULTS.successful and found[0] is None
    text = str(found)
    assert "8 networks, 3 failed" in text and "not a readable zip" in text
    with open(place / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == numbers(found, "network")
    assert [float(row["norm"]) for row in rows if row["norm"]] == [1, 2, 3, 4, 5]


def test_resumed_from_its_files(files, tmp_path):
    place = tmp_path / "out"
    call: dict[str, Any] = dict(key=jr.key(0), out=place, progress=QUIET)
    first = plr.census(f"{files}/*.npz", analyses.with_key, shard=(0, 2), **call)
    assert [row["number"] for row in first.rows] == [0, 2, 4]
    assert "a share of 3 networks" in str(first) and not (place / "table.csv").exists()
    assert len(Census.load(place).rows) == 3
    row = place / "rows" / "000002.json"
    row.write_text(row.read_text()[:20])  # torn
    whole = plr.census(f"{files}/*.npz", analyses.with_key, **call)
    alone = plr.census(f"{files}/*.npz", analyses.with_key, key=jr.key(0), progress=QUIET)
    strip = lambda found: [{**row, "seconds": 0} for row in found.rows]
    assert strip(whole) == strip(alone) and len(Census.load(place).rows) == 5
    before = row.read_text()
    plr.census(f"{files}/*.npz", analyses.with_key, **call)
    assert row.read_text() == before, "what is done is done once"


@pytest.mark.parametrize(
    "change, differs",
    [
        (dict(key=jr.key(1)), "other key"),
        (dict(scale=3.0), r"other arguments \(scale: null, not 3.0"),
        (dict(networks=[network(1.0), network(3.0)]), "other networks .number 1: "),
        (dict(networks=[network(1.0)]), r"other networks \(2, not 1"),
    ],
)
def test_a_folder_belongs_to_one_census(tmp_path, change, differs):
    call: dict[str, Any] = dict(
        networks=[network(1.0), network(2.0)], analysis=analyses.with_key, key=jr.key(0)
    )
    call |= dict(out=tmp_path / "out", progress=QUIET)
    plr.census(**call)
    with pytest.raises(ValueError, match=f"out: .*holds another census, with {differs}"):
        plr.census(**call | change)
    assert len(Census.load(tmp_path / "out").rows) == 2


def test_manifests(files, tmp_path):
    table = tmp_path / "nets.csv"
    table.write_text("file,kind,subject,rate\nnets/n0.npz,,a,1\nnets/n3.npz,plrnn,b,2\n")
    found = plr.census(f"@{table}", analyses.norm, progress=QUIET)
    assert numbers(found, "subject") == ["a", "b"] and numbers(found, "value") == [1, 4]
    table = tmp_path / "nets.toml"
    table.write_text('group = "x"\n[[network]]\nfile = "nets/n1.npz"\nrate = 0.5\n')
    (row,) = plr.census(table, analyses.norm, progress=QUIET).rows
    assert (row["group"], row["rate"], row["value"]) == ("x", 0.5, 2)
    for text, message in (
        ("name\nx\n", "network 1: file: missing"),
        ("file,index\nnets/n0.npz,x\n", "network 1: index: expected an integer"),
        ("file\na,b\n", "other columns"),
        ("file,number\nnets/n0.npz,1\n", "number: the table of a census has such a column"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            plr.census(tmp_path / "bad.csv", analyses.norm)


def test_snapshots_of_one_file(tmp_path):
    models = [network(1.0 + number) for number in range(3)]
    arrays = {name: np.stack([getattr(m, name) for m in models]) for name in ("A", "W", "h")}
    np.savez(tmp_path / "all.npz", A=arrays["A"], W=arrays["W"], h=arrays["h"])
    call: dict[str, Any] = dict(
        networks=tmp_path / "all.npz", analysis=analyses.norm, progress=QUIET
    )
    found = plr.census(**call, load_with={"kind": "plrnn"})
    assert numbers(found, "value") == [1, 2, 3] and numbers(found, "index") == [0, 1, 2]
    one = plr.census(**call, load_with={"kind": "plrnn", "index": 1})
    assert numbers(one, "value") == [2]
    text = str(plr.census(**call))
    assert "3 networks, 3 failed" in text and "error: kind: the arrays" in text


def test_ctrl_c_and_a_time_limit_keep_what_is_done(monkeypatch):
    models = [network(1.0 + number) for number in range(4)]

    def third(model):
        if analyses.norm(model) == 3:
            raise KeyboardInterrupt
        return analyses.norm(model)

    found = plr.census(models, third, progress=QUIET)
    assert found.result is RESULTS.interrupted and numbers(found, "value") == [1, 2]
    assert found[3] is None and "2 of 4 networks not done" in str(found)
    late = plr.census(models, analyses.norm, max_seconds=1e-9, progress=QUIET)
    assert late.result is RESULTS.budget_exhausted and not late.rows


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(networks=[]), "networks: expected at least one"),
        (dict(networks="none*.npz"), "networks: no file matches"),
        (dict(analysis=3), "analysis: expected a function"),
        (dict(speed=3), "speed: expected an argument of the analysis .scale"),
        (dict(key=None), "key: missing"),
        (dict(executor=0), "executor: expected a number of processes"),
        (dict(executor="slurm"), "executor: expected"),
        (dict(shard=(0, 2)), "out: expected a folder"),
        (dict(shard=(2, 2), out="x"), "shard: expected"),
        (dict(analysis=CANNOT_TRAVEL, key=None, executor=2), "analysis: cannot be sent"),
    ],
)
def test_bad_arguments(change, message):
    call: dict[str, Any] = dict(networks=[network(1.0)], analysis=analyses.with_key, key=jr.key(0))
    with pytest.raises(ValueError, match=message):
        plr.census(**call | change)


def test_results_do_not_depend_on_the_settings_of_workers(tmp_path):
    """In float64, as the caller has it, and arrays of JAX arrive as they are."""
    with jax.enable_x64(True):
        models = [jax.tree.map(jnp.asarray, network(1.0 + 1e-12))]
        call: dict[str, Any] = dict(networks=models, analysis=analyses.dtype, progress=QUIET)
        here, there = plr.census(**call), plr.census(**call, executor=1)
    assert here.rows[0]["value"] == there.rows[0]["value"] == "float64 True ArrayImpl"


class Scaled:
    """An analysis that holds something."""

    def __init__(self, scale):
        self._scale = scale

    def of(self, model):
        return self._scale * analyses.norm(model)


@pytest.mark.parametrize("wrap", [lambda one: one.of, lambda one: lambda model: one.of(model)])
def test_what_an_analysis_holds_makes_another_census(tmp_path, wrap):
    call: dict[str, Any] = dict(networks=[network(1.0)], out=tmp_path / "out", progress=QUIET)
    found = plr.census(analysis=wrap(Scaled(2.0)), **call)
    assert numbers(found, "value") == [2.0]
    assert numbers(plr.census(analysis=wrap(Scaled(2.0)), **call), "value") == [2.0]
    with pytest.raises(ValueError, match="holds another census, with other analysis"):
        plr.census(analysis=wrap(Scaled(3.0)), **call)


def test_arguments_of_any_kind_identify_a_census(tmp_path):
    def analysis(model, *, steps, place, names):
        return float(steps)

    call: dict[str, Any] = dict(place=tmp_path, names={"a", "b"}, progress=QUIET)
    call |= dict(networks=[network(1.0)], analysis=analysis, out=tmp_path / "out")
    plr.census(**call, steps=np.int64(3))
    assert len(plr.census(**call, steps=3).rows) == 1
    with pytest.raises(ValueError, match=r"other arguments \(names: "):
        plr.census(**{**call, "names": {"a"}}, steps=3)


def test_columns_that_are_taken(tmp_path):
    models = [network(1.0), network(2.0)]
    for name in ("number", "error", "seconds", "network"):
        found = plr.census(models, lambda model, name=name: {name: 7}, progress=QUIET)
        assert found.num_failed == 2 and f"{name}: the table has such" in found.rows[1]["error"]
    found = plr.census(models, lambda model: {"census": 7}, out=tmp_path / "c", progress=QUIET)
    assert numbers(found, "census") == [7, 7]


def test_tables_of_mixed_columns_and_odd_names(tmp_path):
    values = iter(["none", 1.5, None])
    name = os.fsdecode(b"odd\xff.npz")
    plr.save(tmp_path / name, network(1.0))
    models = [network(1.0), network(2.0), tmp_path / name]
    found = plr.census(models, lambda model: {"x": next(values)}, out=tmp_path / "c",
                       progress=QUIET)  # fmt: skip
    assert numbers(found, "x") == ["none", 1.5, None] and not found.notes
    assert (tmp_path / "c" / "table.csv").exists()


def test_a_census_is_read_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call: dict[str, Any] = dict(periods=1, solver=plr.Exhaustive(), progress=QUIET)
    plr.census([network(0.5)], plr.find_cycles, out="c", **call)
    found = Census.load("c")
    monkeypatch.chdir("/")
    assert len(found[0]) == 1


def test_values_that_are_no_row():
    (row,) = plr.census([network(1.0)], lambda model: model.W, progress=QUIET).rows
    assert "expected a number or a text" in row["error"]
    with pytest.raises(ValueError, match="numbers in its rows"):
        plr.plot.census(plr.census([network(1.0)], lambda model: "x", progress=QUIET))


def test_saved_tables(tmp_path):
    pandas = pytest.importorskip("pandas")
    models = [network(1.0), [], network(2.0)]
    found = plr.census(models, analyses.norm, progress=QUIET)
    assert found.table["value"].tolist()[::2] == [1.0, 2.0]
    found.save(tmp_path / "t.csv")
    same = lambda one: pandas.testing.assert_frame_equal(
        one.astype(found.table.dtypes), found.table
    )
    same(pandas.read_csv(tmp_path / "t.csv"))
    with pytest.raises(ValueError, match="expected a name ending in .csv"):
        found.save(tmp_path / "t.xls")
    pytest.importorskip("pyarrow")
    found.save(tmp_path / "t.parquet")
    same(pandas.read_parquet(tmp_path / "t.parquet"))


def test_damaged_folders(tmp_path):
    with pytest.raises(ValueError, match="expected the folder of a census"):
        Census.load(tmp_path)
    (tmp_path / "census.json").write_text(json.dumps({"analysis": "x"}))
    with pytest.raises(ValueError, match="damaged"):
        Census.load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="out: expected a folder, got the file"):
        plr.census([network(1.0)], analyses.norm, out=tmp_path / "file")


@pytest.mark.parametrize("what", ["cycles", "spectra", "numbers"])
def test_pictures(what):
    pytest.importorskip("matplotlib")
    models = [network(-1.5), "absent.npz", network(0.7)]
    calls = {
        "cycles": (plr.find_cycles, dict(periods=[1, 2], solver=plr.Exhaustive())),
        "spectra": (plr.lyapunov_spectrum, dict(state=np.zeros(2), num_steps=50, key=jr.key(0))),
        "numbers": (analyses.norm, {}),
    }
    function, arguments = calls[what]
    found = plr.census(models, function, **arguments, progress=QUIET)
    figure = plr.plot.census(found, plr.plot.bare_figure())
    figure.draw_without_rendering()
    assert figure.axes[0].get_xlim()[0] < 0.5 and "1 failed" in " ".join(
        ax.get_xlabel() for ax in figure.axes
    )
