"""Files of Julia, HDF5 and MATLAB 7.3: bit for bit, bounded, and leading nowhere else."""

import json
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from foreign_files import (
    bson_document,
    julia_array,
    julia_struct,
    write_bson,
    write_compressed_hdf5,
    write_hdf5,
    write_jld2,
    write_matlab_73,
)
from test_io import refused, same_arrays, shallow_arrays

import plrjax as plr

h5py = pytest.importorskip("h5py")

WRITERS = {
    "x.bson": write_bson,
    "x.h5": write_hdf5,
    "z.hdf5": write_compressed_hdf5,
    "x.jld2": write_jld2,
    "x.mat": write_matlab_73,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("sizes", [(3, 5), (4, 4)])
def test_formats_keep_every_bit(tmp_path, name, sizes):
    M, H = sizes
    arrays = shallow_arrays(A=(M,), W1=(M, H), W2=(H, M), h1=(M,), h2=(H,))
    WRITERS[name](tmp_path / name, arrays)
    model = plr.load(tmp_path / name, kind=None if name == "x.bson" else "shallow")
    assert isinstance(model, plr.ShallowPLRNN)
    same_arrays(model, arrays)
    info = plr.describe(tmp_path / name)
    json.dumps(info)
    told = {"x.bson": {}, "x.mat": {"note": "a MATLAB char, not a numeric array"}}
    assert info["ignored"] == told.get(name, {"note": "text, not a numeric array"})
    refused(tmp_path / name, kind="shallow", max_bytes=300, match="bytes exceed")


def test_julia_structs(tmp_path):
    path, rng = tmp_path / "x.bson", np.random.default_rng(0)
    A, W, h, alpha = rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=3), np.ones(3)
    H = rng.normal(size=(3, 3))  # M x B there, as many bases as states
    write = lambda name, *fields: path.write_bytes(
        bson_document({"model": [julia_struct(name, *fields)]})
    )
    write("dendPLRNN", A, W, h, alpha, H, None)
    want = {"A": A, "W": W, "h": h, "alpha": alpha, "thresholds": H.T}
    same_arrays(plr.load(path), want)
    write("clippedDendPLRNN", A, W, h, alpha, H, None)
    assert isinstance(plr.load(path), plr.ClippedDendriticPLRNN)
    write("mcPLRNN", A, W, h, np.ones((3, 2)))
    same_arrays(plr.load(path), {"A": A, "W": W, "h": h, "C": np.ones((3, 2))})
    assert plr.describe(path)["kind"] == "mean-centered"
    write("ALRNN", A, W, h, 2)
    same_arrays(plr.load(path), {"A": A, "W": W, "h": h, "num_relu": 2})
    refused(path, num_relu=1, match="num_relu: the file says 2, got 1")
    write("Unknown", A, W, h)
    refused(path, match=r"kind: no kind of network has these arrays: model.0.0 \(3,\)")
    path.write_bytes(bson_document({"A": A, "W": W, "h": h}))
    same_arrays(plr.load(path, kind="plrnn"), {"A": A, "W": W, "h": h})


def test_bson_bombs(tmp_path):
    path = tmp_path / "x.bson"
    twice = lambda n: {"tag": "tuple", "data": [{"tag": "backref", "ref": n}] * 2}
    doubled = [twice(n + 2) for n in range(40)] + [julia_array(np.ones(3))]
    path.write_bytes(bson_document({"a": twice(1), "_backrefs": doubled}))
    refused(path, match="more than 200000 values, too deep")
    circle = [{"tag": "backref", "ref": 2}, {"tag": "backref", "ref": 1}]
    path.write_bytes(bson_document({"a": circle[0], "_backrefs": circle}))
    refused(path, match="references in a circle")
    held: Any = {}
    for _ in range(70):
        held = {"a": held}
    path.write_bytes(bson_document(held))
    refused(path, match="damaged: a document of")
    path.write_bytes(bson_document({"A": {**julia_array(np.ones(3)), "size": [1 << 40, 1 << 40]}}))
    refused(path, match="has 24 bytes")
    path.write_bytes(bson_document({"a": {"tag": "backref", "ref": 7}}))
    refused(path, match="a reference to 7 of 0")


def test_hdf5_leads_nowhere_else(tmp_path):
    path, other, arrays = tmp_path / "x.h5", tmp_path / "other.h5", shallow_arrays()
    write_hdf5(other, {"secret": np.ones(3)})
    (tmp_path / "raw").write_bytes(bytes(24))
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file["far"] = h5py.ExternalLink(str(other), "/net/secret")
        file["soft"] = h5py.SoftLink("/A")
        file["again"], file["loop/up"] = file["A"], file["/"]
        file.create_dataset("raw", (3,), "f8", external=[(str(tmp_path / "raw"), 0, 24)])
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(other), "net/secret", (3,))
        file.create_virtual_dataset("virtual", layout)
        file["pair"] = np.zeros(2, [("a", "f8"), ("b", "f8")])
        file.create_dataset("texts", data=["a", "b"])
        file.create_dataset("pointer", data=file["A"].ref, dtype=h5py.ref_dtype)
        file.create_dataset("lzf", data=np.ones((64, 64)), compression="lzf")
        file["nothing"] = h5py.Empty("f8")
    same_arrays(plr.load(path, kind="shallow"), arrays)
    ignored = plr.describe(path)["ignored"]
    assert {
        "far",
        "soft",
        "again",
        "loop/up",
        "raw",
        "virtual",
        "pair",
        "texts",
        "pointer",
        "lzf",
    } <= (set(ignored))
    assert "never followed" in ignored["far"] and "never opened" in ignored["virtual"]


def test_hdf5_bombs(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("A", (1 << 40,), "f8")  # nothing of it is stored
    refused(path, match="A: .* bytes exceed what is left of max_bytes")
    with h5py.File(path, "w") as file:
        made = file.create_dataset("A", (4,), "f8", chunks=(4,), compression="gzip")
        made.id.write_direct_chunk((0,), zlib.compress(bytes(10_000_000)))
    refused(path, match="a chunk holds more than it declares")
    with h5py.File(path, "w") as file:
        file.create_dataset("A", (4,), "f8", chunks=(1 << 28,), maxshape=(None,))
        file["A"][0] = 1
    refused(path, max_bytes=1 << 20, match="exceed")
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(20):
            group = group.create_group("g")
    refused(path, match="more than 10000 objects, or 16 groups in groups")


def test_hdf5_needs_its_extra(tmp_path, monkeypatch):
    write_hdf5(tmp_path / "x.h5", shallow_arrays())
    monkeypatch.setitem(sys.modules, "h5py", None)
    for function in (plr.load, plr.describe, plr.load_series):
        with pytest.raises(ImportError, match="HDF5 needs h5py: pip install 'plrjax.hdf5.'"):
            function(tmp_path / "x.h5")


@pytest.mark.parametrize("name", ["x.h5", "x.jld2", "x.mat"])
def test_series_in_hdf5(tmp_path, name):
    x = np.random.default_rng(0).normal(size=(30, 2))
    x[3, 1] = np.nan
    WRITERS[name](tmp_path / name, {"x": x, "y": np.zeros((1, 1))})
    key = "x" if name == "x.mat" else "net/x"
    found = plr.load_series(tmp_path / name, name=key, gaps=True)
    assert np.array_equal(found, x, equal_nan=True)
    facts = plr.describe(tmp_path / name)["series"][key]
    assert facts["nan_share"] == 1 / 60 and facts["maximum"] == np.nanmax(x)
    with pytest.raises(ValueError, match="name: needed to choose one array"):
        plr.load_series(tmp_path / name)
