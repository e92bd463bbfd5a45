"""Networks and series of the field: every layout is read, or refused with a reason."""

import json
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign_files import write_folder
from test_io import NETWORKS, SHARED, needs_networks, refused, same_arrays, savez, shallow_arrays
from test_io_smooth import state_dict, torch_layers

import plrjax as plr
from plrjax import models

FIELD = SHARED / "cases" / "field"
needs_field = pytest.mark.skipif(
    not FIELD.is_dir(), reason="the folder of field cases is not here (PLRJAX_SHARED)"
)
KINDS_OF_AWH = "plrnn or mean-centered or almost-linear or threshold"


def expected(name):
    """Return what is expected of a file of the field."""
    return json.loads((FIELD / "expectations.json").read_text())[name]


def fixed_points(model):
    """Return all fixed points, in order of their first coordinate."""
    found = plr.find_cycles(model, 1, solver=plr.Exhaustive()).points.reshape(-1, model.state_size)
    return np.asarray(sorted(found.tolist()))


def same_points(model, points):
    want = np.asarray(sorted(points)).reshape(-1, model.state_size)
    found = fixed_points(model).reshape(-1, model.state_size)
    assert found.shape == want.shape and np.allclose(found, want, rtol=0, atol=1e-12)


# Each file of the shared folders


@needs_field
def test_extra_arrays_are_ignored_and_listed():
    want, path = expected("extra_arrays.npz"), FIELD / "extra_arrays.npz"
    same_points(plr.load(path, kind=want["kind"]), want["fixed_points"])
    info = plr.describe(path)
    assert list(info["ignored"]) == want["ignored"] and info["problem"] is None
    assert want["kind"] in info["candidates"]
    refused(
        path, match=f"fit {KINDS_OF_AWH}; say which, e.g. load.'extra_arrays.npz', kind='plrnn'"
    )


@needs_field
def test_thresholds_are_another_network():
    want, path = expected("threshold.npz"), FIELD / "threshold.npz"
    model = plr.load(path, kind=want["kind"])
    assert isinstance(model, plr.ThresholdPLRNN)
    same_points(model, want["fixed_points"])
    assert not np.allclose(fixed_points(plr.load(path, kind="plrnn"))[0], want["fixed_points"][0])
    maps = "plrnn: z' = A z . W relu.z. . h . C s; .*threshold: z' = A z . W relu.z - h. . C s"
    refused(path, match=maps)
    assert plr.describe(path)["maps"]["threshold"] == "z' = A z + W relu(z - h) + C s"


@needs_field
def test_wrong_shapes_are_told_as_shapes():
    path, match = (
        FIELD / "wrong_shapes.npz",
        r"W: expected shape \(3, 3\) beside h \(3,\), got \(2, 2\)",
    )
    refused(path, match=match)
    refused(path, kind="plrnn", match=match)
    assert "got (2, 2)" in plr.describe(path)["problem"]


CELLS = [
    ("rnn_cell.npz", "tanh", {"kind": "tanh-rnn"}),
    ("rnn_cell.npz", "relu", {"kind": "relu-rnn"}),
    ("gru_cell.npz", None, {}),
    ("lstm_cell.npz", None, {}),
    ("keras_simple_rnn.npz", "tanh", {"kind": "tanh-rnn"}),
    ("leaky_input2h.npz", None, {"leak": 0.2}),
]


@needs_field
@pytest.mark.parametrize("name, word, options", CELLS)
def test_cells_of_the_field(name, word, options):
    want, model = expected(name), plr.load(FIELD / name, **options)
    state, image = want["h"], want["next"] if word is None else want["next"][word]
    if isinstance(model, plr.LSTM):
        state, image = state + want["c"], image["h"] + image["c"]
    image = image["h"] if isinstance(image, dict) else image
    with jax.enable_x64(True):
        found = model.step(np.array(state), jnp.array(want["input"]))
    assert np.allclose(found, image, rtol=0, atol=1e-14)
    info = plr.describe(FIELD / name)
    assert info["ignored"] == {} and (options or info["kind"] == models.kind_of(model))


@needs_field
def test_the_leak_is_asked_for():
    path = FIELD / "leaky_input2h.npz"
    refused(
        path, match=r"leak: .* h' = \(1 - leak\) h \+ leak relu.*load\('leaky_input2h.npz', leak="
    )
    refused(path, kind="tanh-rnn", match="the arrays fit relu-rnn, got 'tanh-rnn'")
    refused(path, kind="tanh-rnn", leak=0.1, match="leak: 'tanh-rnn' has none, got 0.1")
    refused(path, leak=np.nan, match="leak: expected a finite number")
    assert "leak" in plr.describe(path)["problem"]


@needs_field
def test_a_mixture_is_no_map_but_each_expert_is():
    path, want = FIELD / "mixture_of_experts", expected("mixture_of_experts")
    refused(path, match="index: a mixture of 3 experts, .*context, is no map of the state")
    for index, points in enumerate(want["fixed_points_by_expert"]):
        model = plr.load(path, index=index)
        assert isinstance(model, plr.AlmostLinearRNN) and model.num_relu == 2
        same_points(model, points)
    refused(path, index=3, match="index: expected -3 to 2, got 3")
    info = plr.describe(path)
    assert (info["kind"], info["snapshots"], info["format"]) == ("almost-linear", 3, "folder")
    assert set(info["ignored"]) == {"B", "gating_network.weight"}


@needs_field
def test_a_pretrained_folder():
    want, path = expected("pretrained_folder"), FIELD / "pretrained_folder"
    assert plr.describe(path)["kind"] == want["kind"]
    same_points(plr.load(path), want["fixed_points"])
    refused(path, kind="relu-rnn", match="A: the file holds it")


@needs_field
def test_a_flow_is_named_beside_what_its_arrays_fit():
    path = FIELD / "threshold_linear_flow.npz"
    refused(path, match=r"fit relu-rnn or tanh-rnn; .*a flow dx/dt = -x \+ relu.W x \+ b. may have")
    assert "no map" in plr.describe(path)["maps"]


@needs_field
def test_a_series_is_described_as_one():
    path = FIELD / "series.npy"
    info = plr.describe(path)
    facts = info["series"]["array"]
    assert info["type"] == "series" and (facts["time_steps"], facts["variables"]) == (300, 3)
    x = np.load(path)
    assert (facts["minimum"], facts["maximum"], facts["nan_share"]) == (x.min(), x.max(), 0)
    refused(path, match="a time series of 300 rows .* and 3 columns .*load_series reads it")


@needs_field
@needs_networks
def test_no_file_of_the_folders_is_forgotten():
    told = json.loads((FIELD / "expectations.json").read_text())
    assert {path.name for path in FIELD.iterdir()} - {"expectations.json"} == set(told)
    reasons = {}
    for path in sorted(NETWORKS.iterdir()):
        try:
            plr.load(path)
        except ValueError as error:
            reasons[path.name] = str(error).split(": ", 1)[1]
    assert "fit plrnn" in reasons.pop("alrnn_lorenz_m20_p2.pt")
    assert "contALRNN" in (flow := reasons.pop("ct_plrnn.jld2")) and "flow dz/dt" in flow
    assert reasons.pop("ct_plrnn.json").startswith("unknown kind of file '.json'")
    assert "a mixture of 10 experts" in reasons.pop("dynamix_3d_alrnn.bson")
    assert len(reasons) == 3 and all("fit shallow or clipped" in why for why in reasons.values())


@needs_networks
def test_dynamix_of_julia():
    path = NETWORKS / "dynamix_3d_alrnn.bson"
    model = plr.load(path, index=-1)
    assert (model.state_size, model.num_relu, model.A.dtype) == (30, 2, np.float32)
    assert plr.describe(path)["snapshots"] == 10
    steps = plr.trajectory(model, np.zeros(30, np.float32), 100)
    assert np.isfinite(steps).all()


# Layouts


def keras(arrays, gates):
    """Turn the state_dict of a torch module around, gate by gate, into what Keras has."""
    order = {1: [0], 3: [1, 0, 2], 4: [0, 1, 2, 3]}[gates]
    turn = lambda a: np.concatenate([np.split(a, gates)[i] for i in order])
    ih, hh, b, d = (
        turn(arrays[f"{n}_l0"]) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    bias = np.stack([b, d]) if gates == 3 else b + d
    return {"kernel": ih.T, "recurrent_kernel": hh.T, "bias": bias}


@pytest.mark.parametrize("kind, gates", [("tanh-rnn", 1), ("relu-rnn", 1), ("gru", 3), ("lstm", 4)])
@pytest.mark.parametrize("names", ["{}", "rnn/simple_rnn_cell/{}:0", "layers/rnn/cell/vars/{}"])
def test_keras_has_the_same_networks(tmp_path, kind, gates, names):
    path, torch = tmp_path / "x.npz", state_dict(gates)
    arrays = keras(torch, gates)
    numbers = {"kernel": 0, "recurrent_kernel": 1, "bias": 2}
    named = lambda name: names.format(numbers[name] if names.endswith("vars/{}") else name)
    extra = {"dense/kernel": np.ones((3, 2)), "dense/bias": np.ones(2)}
    savez(path, **{named(name): array for name, array in arrays.items()}, **extra)
    model = plr.load(path, kind=kind)
    h, c, x = np.ones((1, 3)) / 3, np.ones((1, 3)) / 5, np.ones((1, 2))
    want, cell = torch_layers(kind, torch, x, h.copy(), c.copy())
    state = np.concatenate([h[0], c[0]]) if kind == "lstm" else h[0]
    image = np.concatenate([want[0, 0], cell[0, 0]]) if kind == "lstm" else want[0, 0]
    with jax.enable_x64(True):
        assert np.allclose(model.step(state, x[0]), image, rtol=0, atol=1e-14)
    assert set(plr.describe(path)["ignored"]) == set(extra)


def test_keras_that_has_no_form_here(tmp_path):
    path, arrays = tmp_path / "x.npz", keras(state_dict(3), 3)
    savez(path, **{**arrays, "bias": arrays["bias"][0]})
    refused(path, match="bias: expected a GRU with reset_after=True")
    savez(path, **{**arrays, "recurrent_kernel": np.ones((3, 6))})
    refused(path, match=r"recurrent_kernel: expected shape \(H, H\), .* got \(3, 6\)")
    savez(path, **{f"{layer}/{name}": a for layer in "ab" for name, a in arrays.items()})
    refused(path, match="kind: expected one recurrent cell, got 2")


def test_low_rank(tmp_path):
    path, rng = tmp_path / "x.npz", np.random.default_rng(0)
    A, m, n, h = rng.normal(size=4), rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), np.ones(4)
    for given in (n, n.T):
        savez(path, A=A, m=m, n=given, h=h)
        same_arrays(plr.load(path, kind="plrnn"), {"A": A, "W": m @ n.T, "h": h})
    info = plr.describe(path)
    assert info["fields"]["W"] == "m n'" and info["ignored"] == {}
    refused(path, match=f"fit {KINDS_OF_AWH}")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.rnn.", "_orig_mod.module."])
def test_prefixes_of_wrappers(tmp_path, prefix):
    arrays = shallow_arrays()
    savez(tmp_path / "x.npz", **{f"{prefix}{name}": array for name, array in arrays.items()})
    same_arrays(plr.load(tmp_path / "x.npz", kind="shallow"), arrays)
    cell = {name[:-3]: array for name, array in state_dict(4).items()}
    savez(tmp_path / "x.npz", **{f"{prefix}{name}": array for name, array in cell.items()})
    same = plr.from_state_dict(state_dict(4))
    same_arrays(plr.load(tmp_path / "x.npz"), models.arrays_of(same))


def test_experts_must_be_alike(tmp_path):
    arrays = {f"experts.{j}.{name}": a for j in range(2) for name, a in shallow_arrays().items()}
    write_folder(tmp_path / "net", arrays, model_type="shallow_plrnn")
    same_arrays(plr.load(tmp_path / "net", index=1), shallow_arrays())
    write_folder(tmp_path / "net", {**arrays, "experts.1.A": np.ones(2, np.float32)})
    refused(tmp_path / "net", match="experts.A: expected one shape for all 2 experts")
    del arrays["experts.1.h1"]
    write_folder(tmp_path / "net", arrays)
    refused(tmp_path / "net", match="experts.h1: expected 2, one per expert, got 1")
    write_folder(tmp_path / "net", shallow_arrays(), model_type="neural_ode")
    refused(tmp_path / "net", match="model_type: 'neural_ode' is a flow")
    (tmp_path / "net" / "config.json").write_text("[1]")
    refused(tmp_path / "net", match="config.json: expected a table, got a list")


def test_what_no_kind_uses_is_left_out_but_not_what_shapes_the_map(tmp_path):
    path, rng = tmp_path / "x.npz", np.random.default_rng(0)
    plain = {"A": rng.normal(size=3), "W": rng.normal(size=(3, 3)), "h": rng.normal(size=3)}
    bases = {"alpha": np.ones(2), "thresholds": np.ones((2, 3))}
    savez(path, **plain, a=np.ones(7), m=np.ones((5, 2)), **{"loss.h1": np.ones(9)})
    same_arrays(plr.load(path, kind="threshold"), plain)
    assert set(plr.describe(path)["ignored"]) == {"a", "m", "loss.h1"}
    savez(path, **plain, **bases)
    refused(path, kind="plrnn", match="alpha: the file holds it, but 'plrnn' has no such field")
    savez(path, **plain, leak=0.1)
    refused(path, kind="plrnn", match="leak: the file holds it, but 'plrnn' has no such field")
    savez(path, **plain, alpha=np.ones(2), thresholds=np.ones((2, 4)))
    refused(
        path, kind="dendritic", match=r"thresholds: expected shape \(2, 3\) beside alpha \(2,\) and"
    )
    savez(path, W=np.ones((7, 3)), b=np.ones(7))
    refused(path, match=r"W: expected shape \(7, 7\) beside b \(7,\), got \(7, 3\)")


# Live objects


class Tensor:
    """What a tensor of PyTorch lets others do."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.array


class Module:
    """What a module of PyTorch lets others do."""

    def __init__(self, arrays, nonlinearity=None):
        self.arrays, self.nonlinearity = arrays, nonlinearity

    def state_dict(self):
        return {name: Tensor(array) for name, array in self.arrays.items()}

    def modules(self):
        return [object(), self]


def test_live_objects():
    arrays, listed, numbered = shallow_arrays(), cast(Any, []), cast(Any, {1: np.ones(2)})
    found = plr.from_state_dict({**arrays, "note": "text", "P": 3}, "clipped-shallow")
    same_arrays(found, arrays)
    assert isinstance(found, plr.ClippedShallowPLRNN)
    with pytest.raises(ValueError, match=r"from_state_dict\(mapping, kind='shallow'\)"):
        plr.from_state_dict(arrays)
    for word in ("tanh", "relu"):
        model = plr.from_torch(Module(state_dict(1), word))
        assert models.kind_of(model) == f"{word}-rnn"
    assert isinstance(plr.from_torch(Module(state_dict(3, layers=2), "tanh"), "gru"), plr.Stacked)
    with pytest.raises(ValueError, match="module: expected a module of PyTorch, got a dict"):
        plr.from_torch({})
    with pytest.raises(ValueError, match="mapping: expected name to array, got a list"):
        plr.from_state_dict(listed)
    with pytest.raises(ValueError, match="mapping: expected names that are texts, got 1"):
        plr.from_state_dict(numbered)
    with pytest.raises(ValueError, match="W: expected an array, got a list"):
        plr.from_state_dict({"W": [[1], [1, 2]]})
    plain = {"A": np.ones(2) / 2, "W": np.ones((2, 2)), "h": np.ones(2)}
    assert plr.from_state_dict(plain, num_relu=1).num_relu == 1
    leaky = {"h2h.weight": np.eye(2), "input2h.weight": np.ones((2, 1)), "alpha": np.array(0.5)}
    assert plr.from_state_dict(leaky).leak == 0.5
