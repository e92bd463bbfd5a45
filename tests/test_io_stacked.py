"""Native files of smooth and of stacked networks."""

import json

import jax
import numpy as np
import pytest
from native import write_native
from test_io import refused, same_arrays

import plrjax as plr
from plrjax import models


@pytest.mark.parametrize("kind", ["tanh-rnn", "gru", "lstm"])
def test_smooth_networks_have_no_cycles_to_find(tmp_path, kind):
    model = models.KINDS[kind].model(3, key=jax.random.key(0), input_size=2)
    plr.save(tmp_path / "x.npz", model)
    loaded = plr.load(tmp_path / "x.npz")
    same_arrays(loaded, models.arrays_of(model))
    with pytest.raises(ValueError, match=f"expected a piecewise-affine .*{type(model).__name__}"):
        plr.CycleCounts(1).outputs(loaded)


def mixed_stack():
    """A stack with a fixed integer, scalars, and two dtypes."""
    rng = np.random.default_rng(0)
    first = {"A": rng.normal(size=3), "W": rng.normal(size=(3, 3)), "h": rng.normal(size=3)}
    second = {"W": rng.normal(size=(2, 2)), "b": rng.normal(size=2), "C": rng.normal(size=(2, 3))}
    third = {"W": rng.normal(size=(8, 2)), "b": rng.normal(size=8), "C": rng.normal(size=(8, 2))}
    third = {name: array.astype(np.float32) for name, array in third.items()}
    return plr.Stacked(
        [
            models.from_arrays("almost-linear", **first, num_relu=2),
            models.from_arrays("relu-rnn", **second, leak=0.5),
            models.from_arrays("lstm", **third),
        ]
    )


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_stacks_round_trip(tmp_path, suffix):
    path, model = tmp_path / f"x{suffix}", mixed_stack()
    plr.save(path, model, provenance="test")
    loaded = plr.load(path, kind="stacked", index=-1)
    same_arrays(loaded, models.arrays_of(model))
    assert list(map(type, loaded.layers)) == list(map(type, model.layers))
    info = plr.describe(path)
    assert info["kind"] == "stacked" and info["layers"] == ["almost-linear", "relu-rnn", "lstm"]
    assert info["candidates"] == ["stacked"] and not info["problem"] and not info["ignored"]
    json.dumps(info)
    refused(path, kind="lstm", match="kind: the file says 'stacked', got 'lstm'")
    refused(path, num_relu=2, match="num_relu: the file holds a stack")
    refused(path, index=2, match="index: the file holds a single network, got 2")
    with pytest.raises(ValueError, match="^model: expected one of .*, stacked, got Dynamics"):
        plr.save(path, plr.Stacked([plr.Dynamics(lambda z: z, 2)]))


def test_damaged_headers_of_stacks(tmp_path):
    path, arrays = tmp_path / "x.npz", models.arrays_of(mixed_stack())
    kinds = ["almost-linear", "relu-rnn", "lstm"]
    header = {"type": "model", "kind": "stacked"}
    for layers, match in {
        None: "layers: expected 1 to 256 of the kinds",
        "lstm": "layers: expected 1 to 256 of the kinds .*, got lstm",
        (): "layers: expected 1 to 256 of the kinds",
        ("lstm",) * 9999: "layers: expected 1 to 256 of the kinds",
        ("stacked",): "layers: expected 1 to 256 of the kinds",
        (("lstm",),): "layers: expected 1 to 256 of the kinds",
        tuple(kinds[:2]): "2.W: unexpected",
        (*kinds, "lstm"): "3.W: missing; 'lstm' needs W, b, got nothing",
        ("relu-rnn", *kinds[1:]): "0.b: missing; 'relu-rnn' needs W, b, got A, W, h",
    }.items():
        write_native(path, {**header, "layers": layers}, arrays)
        refused(path, match=match)
        plr.describe(path)
    wrong = {**arrays, "2.C": np.ones((8, 3), np.float32)}
    write_native(path, {**header, "layers": kinds}, wrong)
    refused(path, match=r"layers\[2\]: expected input_size 2")
    write_native(path, {"type": "model", "kind": ["lstm"]}, arrays)
    refused(path, match="kind: expected one of")
    assert plr.describe(path)["kind"] == ["lstm"]
