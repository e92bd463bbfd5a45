"""Scans: every pixel is what the functions for one network say, whatever tiles and shards."""

import dataclasses
import functools
import json
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest
from systems import QUIET, PressesCtrlC

import plrjax as plr

KEY = jr.key(3)
STATE = [0.4, -0.4]
MODEL = plr.from_arrays(
    "plrnn", A=[0.83777, 0.96461], W=[[0.0, -1.2], [1.1, 0.0]], h=[0.37298, -0.97931]
)
AXES = (plr.Axis("A", (0, 0), -0.9, 0.95, 11), plr.Axis("A", (1, 1), -0.8, 0.9, 7))


def scan(measures, axes: Any = AXES, **options):
    return plr.scan_parameters(MODEL, axes, measures, **{"progress": QUIET, **options})


def in_float64(model):
    promote = lambda x: np.array(x, np.float64) if eqx.is_inexact_array(x) else x
    return jax.tree.map(promote, model)


def at(i: int, j: int):
    model = in_float64(MODEL)
    for axis, place in zip(AXES, (i, j)):
        model = axis.apply(model, axis.values[place])
    return model


def assert_same(one: plr.ParameterScan, other: plr.ParameterScan):
    assert list(one.outputs) == list(other.outputs)
    np.testing.assert_array_equal(one.numbers, other.numbers)
    np.testing.assert_array_equal(one.done, other.done)


def test_axis():
    axis = plr.Axis("W", (0, 1), 0.0, 1.0, 3)
    assert axis.label == "W[0, 1]" and list(axis.values) == [0.0, 0.5, 1.0]
    changed = axis.apply(MODEL, 7.0)
    assert changed.W[0, 1] == 7.0 and MODEL.W[0, 1] == -1.2 and changed.W[1, 0] == 1.1
    assert plr.Axis("A", (1, 1), 0, 1, 2).apply(MODEL, 5.0).A.tolist() == [0.83777, 5.0]
    function = plr.Axis(lambda model: model.h, (1,), 0, 1, 2)
    assert function.apply(MODEL, 5.0).h.tolist() == [0.37298, 5.0]
    leaky = plr.from_arrays("relu-rnn", W=[[0.5]], b=[1.0], leak=0.3, slope=0.1)
    assert plr.Axis("leak", (), 0, 1, 2).apply(leaky, 0.5).leak == 0.5


@pytest.mark.parametrize(
    "where, index, message",
    [
        ("A", (0, 1), "off the diagonal"),
        ("A", (2, 2), "expected an entry"),
        ("W", (0,), "expected an entry"),
        ("B", (0,), r"expected a parameter of PLRNN \(A, W, h\), got 'B'"),
        ("C", (0, 0), "expected a parameter"),
    ],
)
def test_bad_axes(where, index, message):
    with pytest.raises(ValueError, match=message):
        scan(plr.CycleCounts(1), plr.Axis(where, index, 0, 1, 2))


def test_cycle_counts_are_those_of_find_cycles():
    found = scan(plr.CycleCounts(range(1, 5)))
    assert found["num_cycles"].shape == (11, 7, 4) and found["num_stable"].max() > 0
    assert found.coverage is plr.COVERAGE.complete_in_floating_point
    for i, j in [(0, 0), (10, 6), (9, 3), (4, 5), (10, 0)]:
        truth = plr.find_cycles(at(i, j), range(1, 5), solver=plr.Exhaustive(), progress=QUIET)
        assert list(truth.counts().values()) == found["num_cycles"][i, j].tolist()
        assert (truth.stability == 0).sum() == found["num_stable"][i, j]


def test_long_cycles_are_searched_pixel_by_pixel(monkeypatch):
    axis = plr.Axis("A", (1, 1), 0.5, 0.9, 3)
    with pytest.raises(ValueError, match="key: needed to search for cycles of period 10"):
        scan(plr.CycleCounts([1, 10]), axis)
    found = scan(plr.CycleCounts([1, 10]), axis, key=KEY, tile=1)
    for row, value in enumerate(axis.values):
        truth = plr.find_cycles(
            axis.apply(in_float64(MODEL), value),
            [10],
            key=jr.fold_in(KEY, row),
            progress=QUIET,
        )
        assert found["num_cycles"][row, 1] == len(truth)
        assert found["coverage"][row] <= truth.coverage


MEASURES = (
    plr.CycleCounts([1, 2, 3]),
    plr.LargestExponent(STATE, 60, 20),
)


def test_tiles_and_shards_change_nothing(tmp_path):
    whole = scan(MEASURES, key=KEY)
    assert whole.done.all() and whole.result is plr.RESULTS.successful
    parts = [scan(MEASURES, key=KEY, tile=3, shard=(i, 2), checkpoint=tmp_path) for i in range(2)]
    assert [part.done.all() for part in parts] == [False, True]
    assert "tiles are missing" in parts[0].notes[0]
    assert np.isnan(parts[0].numbers[~parts[0].done]).all()
    assert_same(whole, parts[1])


def test_a_job_array_is_a_set_of_shards_where_that_is_asked_for(tmp_path, monkeypatch):
    measure = plr.AttractorOrbit(STATE, 2, 1)
    with pytest.raises(ValueError, match="^shard: expected a Slurm job array"):
        scan(measure, tile=4, shard="array")
    for name, value in (("ID", 7), ("MIN", 5), ("COUNT", 4)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    part = scan(measure, tile=4, shard="array", checkpoint=tmp_path / "shared")
    names = sorted(path.name for path in (tmp_path / "shared").glob("tile*"))
    assert names == ["tile_000002.npz"] and part.stats["tiles_measured"] == 1
    assert scan(measure, tile=4, checkpoint=tmp_path / "own").done.all()


def test_tiles_of_another_scan_are_measured_again(tmp_path):
    """Its settings are gone, as where two scans begin at once: its numbers are not taken."""
    measure, axis = plr.AttractorOrbit(STATE, 2, 1), plr.Axis("A", (0, 0), -0.9, 0.95, 4)
    other = dataclasses.replace(axis, start=-0.8)
    scan(measure, other, tile=1, checkpoint=tmp_path)
    (tmp_path / "scan.json").unlink()
    found = scan(measure, axis, tile=1, checkpoint=tmp_path)
    assert found.stats["tiles_measured"] == 4
    assert_same(found, scan(measure, axis))


def test_static_fields_tell_scans_apart(tmp_path):
    arrays = {"A": [0.5, 0.5], "W": [[0.0, -1.2], [1.1, 0.0]], "h": [0.4, -1.0]}
    for relu in (1, 2):
        model = plr.from_arrays("almost-linear", **arrays, num_relu=relu)
        measure, axis = plr.AttractorOrbit(STATE, 2, 1), plr.Axis("h", 0, 0.0, 1.0, 2)
        found = functools.partial(
            plr.scan_parameters, model, axis, measure, checkpoint=tmp_path, progress=QUIET
        )
        if relu == 1:
            found()
        else:
            with pytest.raises(ValueError, match="holds another scan, with other model"):
                found()


def test_resumes_and_refuses_another_scan(tmp_path):
    measure = plr.OrbitLoss(np.zeros((5, 1)), STATE)
    stopped = scan(measure, tile=4, checkpoint=tmp_path, progress=PressesCtrlC(5))
    assert stopped.result is plr.RESULTS.interrupted
    assert 0 < stopped.done.sum() < len(stopped.done)
    first = next(tmp_path.glob("tile*"))
    kept = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("tile*"))]
    resumed = scan(measure, tile=4, checkpoint=tmp_path)
    assert resumed.done.all() and resumed.stats["tiles_measured"] == 6 - len(kept)
    assert_same(resumed, scan(measure))
    first.write_bytes(b"cut off")  # a tile that cannot be read is measured again
    again = scan(measure, tile=4, checkpoint=tmp_path)
    assert again.stats["tiles_measured"] == 1
    assert_same(resumed, again)
    with pytest.raises(ValueError, match="holds another scan, with other measures"):
        scan(plr.OrbitLoss(np.ones((5, 1)), STATE), tile=4, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="holds another scan, with other tile"):
        scan(measure, tile=5, checkpoint=tmp_path)


def test_budget():
    found = scan(plr.CycleCounts([1]), tile=2, max_seconds=1e-6)
    assert found.result is plr.RESULTS.budget_exhausted and not found.done.any()


def test_orbit_measures_are_what_they_say():
    targets = np.random.default_rng(0).standard_normal((6, 2))
    found = scan(
        [
            plr.GradientNorm(targets, STATE, plr.ScannedParameters()),
            plr.AttractorOrbit(STATE, 3, 4),
            plr.LargestExponent(STATE, 50, 10),
        ],
        key=KEY,
    )
    i, j = 8, 2
    with jax.enable_x64(True):
        orbit = np.asarray(plr.trajectory(at(i, j), np.array(STATE), 6))
    np.testing.assert_allclose(found["orbit"][i, j], orbit[3:7], rtol=1e-12)
    assert found["loss"][i, j] == pytest.approx(np.mean((orbit[1:] - targets) ** 2), rel=1e-12)
    step = 1e-6
    slopes = []
    for axis in AXES:
        ends = []
        for side in (-1, 1):
            place = axis.values[(i, j)[AXES.index(axis)]]
            with jax.enable_x64(True):
                moved = axis.apply(at(i, j), place + side * step)
                series = np.asarray(plr.trajectory(moved, np.array(STATE), 6))[1:]
            ends.append(np.mean((series - targets) ** 2))
        slopes.append((ends[1] - ends[0]) / (2 * step))
    assert found["gradient_norm"][i, j] == pytest.approx(np.hypot(*slopes), rel=1e-6)


def test_gradient_of_all_parameters():
    targets = np.ones((4, 1))
    found = scan(plr.GradientNorm(targets, STATE))

    def loss(leaves):
        z, total = jax.numpy.asarray(STATE), 0.0
        A, W, h = leaves
        for row in targets:
            z = A * z + W @ jax.nn.relu(z) + h
            total = total + (z[0] - row[0]) ** 2
        return total / targets.size

    with jax.enable_x64(True):
        model = at(3, 3)
        gradient = jax.grad(loss)([jax.numpy.asarray(x) for x in (model.A, model.W, model.h)])
        norm = float(np.sqrt(sum(float((g**2).sum()) for g in gradient)))
    assert found["gradient_norm"][3, 3] == pytest.approx(norm, rel=1e-12)


def test_what_explodes_is_kept_and_counted():
    axis = plr.Axis("A", (0, 0), 0.5, 1e30, 2)
    found = scan([plr.OrbitLoss(np.zeros((30, 2)), STATE), plr.LargestExponent(STATE, 20, 5)], axis)
    assert np.isfinite(found["loss"][0]) and not np.isfinite(found["loss"][1])
    assert np.isnan(found["exponent"][1])
    assert "loss: not finite at 1 of 2 pixels" in found.notes
    with pytest.raises(RuntimeError, match="nothing finite"):
        scan(plr.OrbitLoss(np.zeros((30, 2)), STATE), plr.Axis("A", (0, 0), 1e30, 1e31, 2))


def test_smooth_networks_and_own_axes():
    model = plr.from_arrays("tanh-rnn", W=[[1.5, -0.3], [0.4, 1.1]], b=[0.1, 0.0])

    class Gain(plr.Axis):
        def apply(self, model, value):
            return eqx.tree_at(lambda m: m.W, model, jax.numpy.asarray(model.W) * value)

    axis = Gain("W", (), 0.1, 1.0, 4)
    found = plr.scan_parameters(model, axis, plr.LargestExponent(STATE, 50, 50), progress=QUIET)
    assert found["exponent"][0] < found["exponent"][-1]
    with pytest.raises(ValueError, match="piecewise-affine"):
        plr.scan_parameters(model, axis, plr.CycleCounts(1), progress=QUIET)


def test_file_table_and_xarray(tmp_path):
    found = scan([plr.CycleCounts([1, 2]), plr.AttractorOrbit(STATE, 5, 3)])
    path = tmp_path / "scan.npz"
    found.save(path)
    loaded = plr.load(path)
    assert isinstance(loaded, plr.ParameterScan) and str(loaded) == str(found)
    assert_same(loaded, found)
    assert loaded.axes == found.axes and loaded.outputs == found.outputs
    text = str(found)
    assert "11 x 7 pixels" in text and "num_cycles, k=2" in text and "coverage: complete" in text
    with pytest.raises(KeyError, match="the scan holds num_cycles"):
        found["absent"]
    pytest.importorskip("xarray")
    data = found.to_xarray()
    assert data["orbit"].dims == ("A[0, 0]", "A[1, 1]", "point", "state")
    np.testing.assert_array_equal(data["num_cycles"].sel(period=1), found["num_cycles"][..., 0])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"axes": []}, "axes: expected one Axis or two"),
        ({"axes": (AXES[0], AXES[0])}, "axes: both are"),
        ({"measures": []}, "measures: expected"),
        ({"measures": (plr.OrbitLoss(np.zeros((2, 1)), STATE),) * 2}, "two of them measure 'loss'"),
        ({"measures": plr.OrbitLoss(np.zeros((2, 3)), STATE)}, "targets: expected T x N"),
        ({"measures": plr.AttractorOrbit([0.0])}, "state: expected 2 numbers"),
        ({"tile": 0}, "tile: expected"),
        ({"shard": (3, 3)}, "shard: expected"),
        ({"max_seconds": -1}, "max_seconds: expected"),
    ],
)
def test_wrong_arguments(change, message):
    arguments = {"axes": AXES, "measures": plr.CycleCounts(1)} | change
    with pytest.raises(ValueError, match=message):
        plr.scan_parameters(MODEL, arguments.pop("axes"), arguments.pop("measures"), **arguments)


def test_settings_are_json(tmp_path):
    scan(MEASURES, key=KEY, checkpoint=tmp_path, max_seconds=1e-6, throw=False)
    settings = json.loads((tmp_path / "scan.json").read_text())
    assert [facts["measure"] for facts in settings["measures"]] == [
        type(measure).__name__ for measure in MEASURES
    ]
