"""State_dicts of torch.nn.RNN, GRU and LSTM: equations, names, refusals, and damaged files."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from test_io import refused, same_arrays, savez, write_state_dict
from test_io_fuzz import bits_flipped, bytes_replaced, repacked, truncated

import plrjax as plr
from plrjax import models

GATES = {"tanh-rnn": 1, "relu-rnn": 1, "gru": 3, "lstm": 4}
K, H = 2, 3


def state_dict(gates, layers=1, bias=True, prefix="", dtype: Any = np.float64, size=H, seed=0):
    """Draw what `torch.nn.RNN` (1 gate), `GRU` (3) or `LSTM` (4) have in their state_dicts."""
    rng, arrays = np.random.default_rng(seed), {}
    for layer in range(layers):
        shapes = {"weight_ih": (gates * size, size if layer else K)}
        shapes["weight_hh"] = (gates * size, size)
        shapes |= {"bias_ih": (gates * size,), "bias_hh": (gates * size,)} if bias else {}
        for name, shape in shapes.items():
            arrays[f"{prefix}{name}_l{layer}"] = rng.normal(size=shape).astype(dtype)
    return arrays


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def torch_cell(kind, p, x, h, c):
    """Advance one layer by the equations in the documentation of torch.nn.RNN, GRU and LSTM."""
    w, v = p["weight_ih"], p["weight_hh"]
    b, d = p.get("bias_ih", np.zeros(len(w))), p.get("bias_hh", np.zeros(len(w)))
    gates = len(w) // H
    W, V, B, D = (np.split(array, gates) for array in (w, v, b, d))
    ih = [W[i] @ x + B[i] for i in range(gates)]
    hh = [V[i] @ h + D[i] for i in range(gates)]
    if kind == "tanh-rnn":
        return np.tanh(ih[0] + hh[0]), c
    if kind == "relu-rnn":
        return np.maximum(ih[0] + hh[0], 0), c
    if kind == "gru":
        r, z = sigmoid(ih[0] + hh[0]), sigmoid(ih[1] + hh[1])
        n = np.tanh(ih[2] + r * hh[2])
        return (1 - z) * n + z * h, c
    i, f, o = (sigmoid(ih[k] + hh[k]) for k in (0, 1, 3))
    c = f * c + i * np.tanh(ih[2] + hh[2])
    return o * np.tanh(c), c


def torch_layers(kind, arrays, inputs, h, c):
    """Return the states h (and c) of all layers after every step, "time layer unit"."""
    params = [
        {name[:-3]: array for name, array in arrays.items() if name.endswith(f"_l{layer}")}
        for layer in range(len(h))
    ]
    states = []
    for x in inputs:
        for layer, p in enumerate(params):
            h[layer], c[layer] = torch_cell(kind, p, x, h[layer], c[layer])
            x = h[layer]
        states.append([h.copy(), c.copy()])
    return np.moveaxis(np.array(states), 1, 0)


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_modules_follow_their_documented_equations(tmp_path, kind, layers, bias):
    path, arrays = tmp_path / "x.pt", state_dict(GATES[kind], layers, bias)
    write_state_dict(path, arrays)
    model = plr.load(path, kind=kind)
    assert isinstance(model, plr.Stacked if layers > 1 else models.KINDS[kind].model)
    rng = np.random.default_rng(1)
    (h, c), inputs = rng.normal(size=(2, layers, H)), rng.normal(size=(15, K))
    start = np.concatenate([h, c], axis=1) if kind == "lstm" else h
    with jax.enable_x64(True):
        orbit = plr.trajectory(model, jnp.asarray(start.ravel()), 15, jnp.asarray(inputs))
        shown = np.asarray(jax.vmap(model.output)(orbit))[1:]
    hidden, cells = torch_layers(kind, arrays, inputs, h, c)
    parts = (hidden, cells) if kind == "lstm" else (hidden,)
    want = np.concatenate(parts, axis=-1).reshape(15, -1)
    scale = 1 + np.abs(want).max()
    assert np.abs(np.asarray(orbit)[1:] - want).max() < 1e-11 * scale  # 15 steps of rounding
    assert np.abs(shown - hidden[:, -1]).max() < 1e-11 * scale


WRITERS = {
    ".pt": write_state_dict,
    ".npz": lambda path, arrays: savez(path, **arrays),
    ".safetensors": lambda path, arrays: safetensors.numpy.save_file(arrays, path),
}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("prefix", ["", "rnn.", "model.encoder.lstm."])
def test_what_is_told_of_a_module(tmp_path, suffix, prefix):
    path = tmp_path / f"x{suffix}"
    arrays = state_dict(4, layers=2, prefix=prefix, dtype=np.float32)
    others = {"decoder.weight": np.ones((5, H), np.float32), "decoder.bias": np.ones(5, np.float32)}
    WRITERS[suffix](path, {**arrays, **others})
    model = plr.load(path)
    get = lambda name: arrays[f"{prefix}{name}"]
    expected = {}
    for i in range(2):
        expected[f"{i}.W"], expected[f"{i}.C"] = get(f"weight_hh_l{i}"), get(f"weight_ih_l{i}")
        expected[f"{i}.b"] = get(f"bias_ih_l{i}") + get(f"bias_hh_l{i}")
    same_arrays(model, expected)
    assert all(array.dtype == np.float32 for array in models.arrays_of(model).values())
    info = plr.describe(path)
    assert info["kind"] == "lstm" and info["layers"] == ["lstm", "lstm"] and not info["problem"]
    assert info["fields"]["1.W"] == f"{prefix}weight_hh_l1"
    assert info["fields"]["0.b"] == f"{prefix}bias_ih_l0 + {prefix}bias_hh_l0"
    assert info["ignored"] == dict.fromkeys(others, "not a field of any kind")
    json.dumps(info)
    refused(path, kind="gru", match="kind: the arrays fit lstm, got 'gru'")
    refused(path, kind="stacked", match="kind: expected one of plrnn")
    refused(path, index=1, match="index: the file holds a single network, got 1")
    refused(path, num_relu=2, match="A: missing")


def test_one_layer_and_the_two_kinds_of_rnn(tmp_path):
    path = tmp_path / "x.pt"
    arrays = state_dict(1)
    write_state_dict(path, arrays)
    refused(
        path, match=r"fit tanh-rnn or relu-rnn; say which, e.g. load\('x.pt', kind='tanh-rnn'\)"
    )
    info = plr.describe(path)
    assert (info["kind"], info["candidates"]) == (None, ["tanh-rnn", "relu-rnn"])
    assert info["layers"] is None and info["fields"]["W"] == "weight_hh_l0"
    relu = plr.load(path, kind="relu-rnn")
    F = relu.as_piecewise_affine(np.ones(K))
    z = np.linspace(-1, 1, H)
    (want,), _ = torch_layers("relu-rnn", arrays, np.ones((1, K)), z[None].copy(), z[None].copy())
    assert np.allclose(F.apply(z), want[0], rtol=0, atol=1e-14)
    write_state_dict(path, state_dict(1, layers=2))
    refused(path, match="fit tanh-rnn or relu-rnn")
    assert plr.describe(path)["layers"] == ["tanh-rnn or relu-rnn"] * 2
    assert models.layer_kinds(plr.load(path, kind="relu-rnn")) == ["relu-rnn"] * 2
    write_state_dict(path, state_dict(3))
    assert plr.describe(path)["fields"]["b_candidate"] == "bias_hh_l0"
    assert plr.load(path).state_size == H
    write_state_dict(path, state_dict(3, size=1))  # 3 x 1 is a GRU of one unit
    assert isinstance(plr.load(path, index=-1), plr.GRU)


MANY = {f"weight_hh_l{layer}": np.ones((12, 3)) for layer in range(2, 302)}
REFUSED = [
    ({"weight_hh_l0_reverse": np.ones((12, 3))}, "weight_hh_l0_reverse: .* bidirectional"),
    ({"weight_hr_l0": np.ones((2, 3))}, "weight_hr_l0: .*without projections"),
    (
        {"b.weight_hh_l0": np.ones((12, 3))},
        "got 2 .weight_hh_l0, b.weight_hh_l0.; save the state_d",
    ),
    ({"weight_hh_l1": None}, "weight_hh_l1: missing"),
    ({"weight_ih_l0": None}, "weight_ih_l0: missing"),
    ({"bias_ih_l1": None}, "bias_ih_l1: missing"),
    ({"weight_hh_l7": np.ones((12, 3))}, "weight_ih_l2: missing"),
    ({"weight_hh_l0": np.ones((6, 3))}, "weight_hh_l0: expected shape H x H, 3H x H or 4H x H"),
    ({"weight_hh_l0": np.ones((0, 0))}, r"weight_hh_l0: .* got \(0, 0\)"),
    ({"weight_hh_l1": np.ones((9, 3))}, "weight_hh_l1: expected shape 12 x 3"),
    ({"weight_ih_l1": np.ones((12, 2))}, "weight_ih_l1: expected shape 12 x 3"),
    ({"bias_hh_l1": np.ones(9)}, "bias_hh_l1: expected shape 12, got"),
    ({"bias_hh_l0": np.ones(12, int)}, "bias_hh_l0: expected floating-point numbers, got"),
    ({"weight_ih_l0": np.full((12, 2), np.nan)}, "weight_ih_l0: expected finite numbers"),
    (MANY, "at most 256 layers, got 302"),
]


@pytest.mark.parametrize("change, match", REFUSED)
def test_modules_that_have_no_form_here(tmp_path, change, match):
    path, arrays = tmp_path / "x.npz", state_dict(4, layers=2) | change
    savez(path, **{name: array for name, array in arrays.items() if array is not None})
    refused(path, match=match)
    refused(path, kind="lstm", match=match)
    assert plr.describe(path)["problem"] and plr.describe(path)["candidates"] == []


def test_sums_of_biases_that_overflow_are_refused(tmp_path):
    path, arrays = tmp_path / "x.npz", state_dict(4, dtype=np.float16)
    arrays["bias_ih_l0"] = arrays["bias_hh_l0"] = np.full(12, 6e4, np.float16)
    savez(path, **arrays)
    refused(path, match="b: expected finite numbers")


def test_a_module_beside_named_fields(tmp_path):
    path, rng, module = tmp_path / "x.npz", np.random.default_rng(0), state_dict(4, prefix="enc.")
    plain = {"A": rng.normal(size=4), "W": rng.normal(size=(4, 4)), "h": rng.normal(size=4)}
    savez(path, **plain, **module)
    refused(path, match="fit plrnn or mean-centered or almost-linear or threshold or lstm; say")
    same_arrays(plr.load(path, kind="plrnn"), plain)
    same_arrays(plr.load(path, num_relu=2), {**plain, "num_relu": 2})
    assert isinstance(plr.load(path, kind="lstm"), plr.LSTM)
    assert plr.describe(path)["ignored"] == {}
    savez(path, **plain, num_relu=2, **module)  # a single PLRNN: the module is its encoder
    same_arrays(plr.load(path), {**plain, "num_relu": 2})
    assert plr.describe(path)["kind"] == "almost-linear"
    savez(path, **plain, **module, **{"enc.weight_hh_l0_reverse": module["enc.weight_hh_l0"]})
    refused(path, match="fit plrnn or mean-centered or almost-linear or threshold; say which")
    refused(path, kind="gru", match="bidirectional")
    both = {"W": rng.normal(size=(12, 3)), "b": rng.normal(size=12)}
    savez(path, **both, **module)
    for kind in (None, "lstm"):
        refused(
            path, kind=kind, match="both 'W' and 'enc.weight_hh_l0' belong to a network of kind"
        )
    savez(path, **{"q.W": np.ones(1), "k.W": np.ones(1)}, **module)
    refused(path, match="both 'q.W' and 'k.W' look like the field W")
    refused(path, kind="plrnn", match="both 'q.W' and 'k.W' look like the field W")
    assert isinstance(plr.load(path, kind="lstm"), plr.LSTM)


def write_module(path):
    write_state_dict(path, state_dict(4, layers=2, dtype=np.float32))


def write_stack(path):
    models_of = [
        plr.LSTM(3, key=jax.random.key(0)),
        plr.GRU(2, key=jax.random.key(0), input_size=3),
    ]
    plr.save(path, plr.Stacked(models_of))


@pytest.mark.parametrize("name, write", [("x.npz", write_stack), ("x.pt", write_module)])
@pytest.mark.parametrize("damage", [truncated, bits_flipped, bytes_replaced, repacked])
def test_damaged_files(tmp_path, name, write, damage):
    path, rng = tmp_path / name, np.random.default_rng(4321)
    write(path)
    data = path.read_bytes()
    for _ in range(60):
        path.write_bytes(damage(data, rng))
        for function in (plr.load, plr.describe):
            try:
                function(path)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
