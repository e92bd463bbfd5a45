"""What `certify` returns: saved, printed, interrupted, refused; and the command line."""

import inspect
import json
from typing import Any

import numpy as np
import pytest
from command import main
from exact_words import certified, check_bounds, enumerated
from systems import LOZI, PressesCtrlC, random_plrnn, tent

import plrjax as plr
from plrjax import RESULTS


def test_result_is_saved_printed_and_selected(tmp_path):
    found = enumerated(LOZI, range(1, 7))
    assert not found.proven_existence.any() and not found.proven_stability.any()
    assert "proven for" not in str(found)
    proven = certified(LOZI, found)
    assert f"existence and stability proven for {len(found)} of {len(found)} cycles" in str(proven)
    assert "proven for" in proven._repr_html_()
    assert proven.coverage == found.coverage and proven.stats is found.stats
    assert proven[2:4].proven_existence.tolist() == [True, True]
    for suffix in (".npz", ".safetensors"):
        proven.save(tmp_path / f"proven{suffix}")
        again = plr.load(tmp_path / f"proven{suffix}")
        for name in proven.file_arrays:
            assert np.array_equal(getattr(again, name), getattr(proven, name), equal_nan=True)
        assert again.proven_stability.dtype == bool and str(again) == str(proven)
    twice = certified(tent(1.0), certified(tent(1.0), enumerated(tent(1.0), [1, 2])))
    assert len(set(twice.notes)) == len(twice.notes)


def test_files_without_proofs_load_as_not_proven(tmp_path):
    found = enumerated(LOZI, [1, 2])
    old = {name: getattr(found, name) for name in found.file_arrays}
    for name in ("proven_existence", "proven_stability"):
        assert old.pop(name).shape == (len(found),)
    header = {"type": "cycles", "facts": json.dumps(found._facts())}
    again = plr.CycleSet.from_parts(header, old, "old.npz")
    assert again.proven_existence.tolist() == again.proven_stability.tolist() == [False] * 3
    with pytest.raises(ValueError, match="proven_existence: expected .* cycle = 3"):
        plr.CycleSet.from_parts(header, {**old, "proven_existence": np.zeros(2, bool)}, "x.npz")
    with pytest.raises(ValueError, match="period are missing"):
        old.pop("period")
        plr.CycleSet.from_parts(header, old, "x.npz")


def test_dataframe_has_both_columns():
    pytest.importorskip("pandas", reason="the extra `sweep` is not installed")
    frame = certified(LOZI, enumerated(LOZI, [1, 2])).to_dataframe()
    assert frame["proven_existence"].tolist() == frame["proven_stability"].tolist() == [True] * 3


def test_interrupted_certification_keeps_what_is_done():
    found = enumerated(LOZI, range(1, 9))
    proven = plr.certify(LOZI, found, progress=PressesCtrlC(after=3))
    assert proven.result is RESULTS.interrupted and len(proven) == len(found)
    assert proven.proven_existence.sum() == 3 and proven.proven_existence[:3].all()
    assert "interrupted" in proven.notes[-1] and "row" in proven.notes[-1]
    assert np.array_equal(proven.points[3:], found.points[3:], equal_nan=True)


def test_empty_set_is_certified():
    proven = certified(LOZI, enumerated(LOZI, 3))
    assert len(proven) == 0 and proven.result is RESULTS.successful and not proven.notes


def test_wrong_arguments_are_named():
    found, certify = enumerated(LOZI, [1, 2]), inspect.unwrap(plr.certify)
    with pytest.raises(ValueError, match="model: expected a piecewise-affine"):
        certify("LOZI", found)
    with pytest.raises(ValueError, match="cycles: expected a CycleSet, got list"):
        certify(LOZI, [found])
    with pytest.raises(ValueError, match="2 states and 2 units, got .* 2 states and 1 units"):
        certify(random_plrnn(0, 2, 1.0), found)
    with pytest.raises(ValueError, match="1 states and 1 units, got .* 2 states"):
        certify(tent(1.5), found)
    with pytest.raises(ValueError, match="progress: expected"):
        certify(LOZI, found, progress="bar")


def test_networks_are_taken_as_they_are():
    """A model of float32 parameters is certified for these very numbers."""
    arrays: dict[str, Any] = {
        "A": np.array([0.5, 0.25], np.float32),
        "W": np.array([[0, -0.9], [0.7, 0]], np.float32),
        "h": np.array([0.3, 0.1], np.float32),
    }
    model = plr.from_arrays("plrnn", **arrays)
    map = model.as_piecewise_affine()
    proven = certified(model, enumerated(model, [1, 2]))
    assert proven.proven_existence.all() and len(proven)
    check_bounds(map, proven)


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.npz"
    plr.save(path, plr.from_arrays("plrnn", A=[0.5, 0.5], W=[[0, -1], [0.5, 0]], h=[0.4, -1.0]))
    return str(path)


def test_command_line(network, capsys, tmp_path):
    out = str(tmp_path / "cycles.npz")
    assert main(["cycles", network, "--periods", "1:3", "--certify", "--out", out]) == 0
    assert "existence and stability proven for" in capsys.readouterr().out
    assert plr.CycleSet.load(out).proven_stability.all()
    for options, expected in (([], False), (["--certify"], True)):
        assert main(["cycles", network, "--periods", "1", "--json", *options]) == 0
        facts = json.loads(capsys.readouterr().out)["cycles"]
        assert facts and all(cycle["proven_existence"] is expected for cycle in facts)
        assert all(cycle["proven_stability"] is expected for cycle in facts)
