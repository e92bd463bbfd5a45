"""Networks written for other programs come back bit for bit, and open there."""

import importlib.util
import subprocess
import sys
import zipfile
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from command import main

import plrjax as plr

MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gru": (plr.GRU(4, key=jr.key(0), input_size=2), {}),
    "lstm": (plr.LSTM(3, key=jr.key(1), input_size=2), {}),
    "tanh": (plr.TanhRNN(3, key=jr.key(2), input_size=1), {"kind": "tanh-rnn"}),
    "relu": (plr.ReluRNN(3, key=jr.key(3), input_size=2), {"kind": "relu-rnn"}),
    "plrnn": (plr.PLRNN(3, key=jr.key(4)), {"kind": "plrnn"}),
    "clipped": (plr.ClippedShallowPLRNN(3, 5, key=jr.key(5)), {"kind": "clipped-shallow"}),
    "linear": (plr.AlmostLinearRNN(5, 2, key=jr.key(6)), {"num_relu": 2}),
}


def leaves(model) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(model)]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".mat", ".pt"])
@pytest.mark.parametrize("name", MODELS)
def test_round_trips_are_exact(tmp_path, name, suffix):
    model, options = MODELS[name]
    path = tmp_path / f"net{suffix}"
    plr.save(path, model)
    found = plr.load(path, **(options if suffix in (".mat", ".pt") else {}))
    assert type(found) is type(model)
    for one, other in zip(leaves(model), leaves(found), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_stacks_are_modules_of_several_layers(tmp_path):
    layers = [plr.GRU(3, key=jr.key(0), input_size=2), plr.GRU(3, key=jr.key(1), input_size=3)]
    plr.save(tmp_path / "stack.pt", plr.Stacked(layers))
    found = plr.load(tmp_path / "stack.pt")
    assert isinstance(found, plr.Stacked)
    for one, other in zip(leaves(plr.Stacked(layers)), leaves(found), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_network_makes_the_same_file_of_raw_numbers(tmp_path):
    model = plr.from_arrays("plrnn", A=[0.5, 0.25], W=[[0.0, 1.0], [2.0, 0.0]], h=[1.0, 3.0])
    for name in ("a.pt", "b.pt"):
        plr.save(tmp_path / name, model)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert archive.read("archive/version") == b"3\n"
        numbers = [archive.read(n) for n in archive.namelist() if n.startswith("archive/data/")]
    assert np.array([0.0, 1.0, 2.0, 0.0]).tobytes() in numbers


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_torch_opens_it_and_takes_the_same_step(tmp_path):
    model, _ = MODELS["gru"]
    plr.save(tmp_path / "gru.pt", model)
    text = (
        "import sys, torch\nmodule = torch.nn.GRU(2, 4)\n"
        "module.load_state_dict(torch.load(sys.argv[1], weights_only=True))\n"
        "out = module(torch.ones(1, 2), torch.ones(1, 4))[1]\nprint(*out[0].tolist())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", text, tmp_path / "gru.pt"], capture_output=True, text=True
    )
    found = np.array(ran.stdout.split(), np.float32)
    step = model.step(np.ones(4, np.float32), np.ones(2, np.float32))
    np.testing.assert_allclose(found, step, atol=1e-6)


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plr.save("net.npz", MODELS["linear"][0])
    assert main(["convert", "net.npz", "net.pt"]) == 0
    assert "net.pt: AlmostLinearRNN with 5 states" in capsys.readouterr().out
    assert main(["convert", "net.pt", "again.npz", "--num-relu", "2", "--json"]) == 0
    for one, other in zip(leaves(plr.load("again.npz")), leaves(MODELS["linear"][0]), strict=True):
        np.testing.assert_array_equal(one, other)
    capsys.readouterr()
    for arguments, message in (
        (["net.npz", "net.txt"], "OUT: expected a name ending in"),
        (["none.npz", "net.pt"], "FILE: none.npz"),
        (["net.npz", "no/net.pt"], "OUT: the folder no does not exist"),
    ):
        assert main(["convert", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_an_ambiguous_file_is_resolved_by_options(tmp_path, capsys):
    """Arrays of two kinds: the message names options, not arguments of a function."""
    model, _ = MODELS["clipped"]
    arrays: dict[str, Any] = {k: np.asarray(v) for k, v in vars(model).items() if k != "C"}
    np.savez(tmp_path / "two.npz", **arrays)
    assert main(["cycles", str(tmp_path / "two.npz")]) == 2
    told = capsys.readouterr().err
    assert "e.g. --kind shallow" in told and "load(" not in told and "Their maps differ" in told
