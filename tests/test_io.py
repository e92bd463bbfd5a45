"""Loading and saving models: native files, and the files of other programs."""

import itertools
import json
import os
import pathlib
import pickle
import struct
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.io
from native import write_native

import plrjax as plr
from plrjax import models

SHARED = pathlib.Path(
    os.environ.get("PLRJAX_SHARED", pathlib.Path(__file__).parent.parent.parent / "shared")
)
NETWORKS = SHARED / "data" / "networks"
needs_networks = pytest.mark.skipif(
    not NETWORKS.is_dir(), reason="the folder of foreign networks is not here (PLRJAX_SHARED)"
)
(EXAMPLE,) = pathlib.Path(plr.__file__).parent.rglob("henon_shallow.safetensors")
SHALLOW = {"A": (3,), "W1": (3, 5), "W2": (5, 3), "h1": (3,), "h2": (5,)}


def shallow_arrays(dtype: Any = np.float32, snapshots=(), seed=0, **shapes):
    """Draw arrays of a shallow network, with leading axes `snapshots`."""
    rng = np.random.default_rng(seed)
    shapes = {**SHALLOW, **shapes}
    return {k: rng.normal(size=(*snapshots, *shape)).astype(dtype) for k, shape in shapes.items()}


def savez(path, **arrays: Any):
    """Write a foreign `.npz`."""
    np.savez(path, **arrays)


def same_arrays(model, arrays):
    """Check the fields of a model bit by bit."""
    found = models.arrays_of(model)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].shape == np.shape(array), name
        assert found[name].tobytes() == np.asarray(array, found[name].dtype).tobytes(), name


def refused(path, *, match, error: type[Exception] = ValueError, **kwargs):
    """Check that load raises a one-line error that starts with the path."""
    with pytest.raises(error, match=match) as caught:
        plr.load(path, **kwargs)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".mat"])
@pytest.mark.parametrize("kind", list(models.KINDS))
def test_round_trip(tmp_path, kind, suffix):
    sizes = {"M": 3, "H": 4, "B": 2, "K": 2, "3H": 12, "4H": 16}
    rng, arrays = np.random.default_rng(0), {}
    for dtype in (np.float32, np.float64):
        for name, shape in models.KINDS[kind].shapes.items():
            dims = [sizes[d] for d in shape.split() if d != "integer"]
            arrays[name] = np.array(2) if shape == "integer" else rng.normal(size=dims)
            arrays[name] = arrays[name].astype(dtype if shape != "integer" else np.int64)
        model = models.from_arrays(kind, **arrays)
        path = tmp_path / f"model{suffix}"
        plr.save(path, model, provenance={"run": 3})
        again = plr.load(path)
        assert type(again) is type(model)
        same_arrays(again, models.arrays_of(model))
        assert jax.tree.structure(again) == jax.tree.structure(model)
    info = plr.describe(path)
    assert (info["kind"], info["type"], info["problem"]) == (kind, "model", None)
    assert info["header"]["provenance"] == {"run": 3}
    json.dumps(info)


def test_random_and_bfloat16_models_round_trip(tmp_path):
    model = models.ClippedShallowPLRNN(3, 5, key=jr.key(0))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), model)
    for path, saved in ((tmp_path / "a.npz", model), (tmp_path / "b.safetensors", half)):
        plr.save(path, saved)
        loaded = plr.load(path)
        assert loaded.W1.dtype == saved.W1.dtype
        same_arrays(loaded, models.arrays_of(saved))


def test_example_network():
    model = plr.example_network()
    assert models.kind_of(model) == "shallow"
    assert model.state_size == 2 and model.W1.shape == (2, 20) and model.W1.dtype == np.float32
    F, z = model.as_piecewise_affine(), np.array([0.1, 0.2])
    orbit = np.array([z := F.apply(z) for _ in range(5000)])[500:]
    # the Henon map, standardized: a bounded orbit whose y is x one step before
    assert np.abs(orbit).max() < 2.5 and np.abs(orbit.mean(axis=0)).max() < 0.1
    assert np.abs(orbit[1:, 1] - orbit[:-1, 0]).max() < 0.1


def test_the_file_of_the_example_tells_how_it_was_made():
    told = plr.describe(EXAMPLE)["header"]["provenance"]
    assert {"recipe", "data", "seed", "chosen", "script", "versions", "reference"} <= set(told)
    script = pathlib.Path(__file__).resolve().parents[1] / told["script"]
    assert script.exists() and "teacher forcing" in told["recipe"]
    assert "by its cycle counts" in told["chosen"]
    reached = told["counts_same_up_to_of_all_seeds"]
    assert told["counts_same_up_to"] == reached[told["seed"]] == max(reached) == 10
    assert told["cycles_same_up_to"] == 8  # equal numbers are not equal cycles


def test_native_conflicts(tmp_path):
    path = tmp_path / "x.npz"
    plr.save(path, models.from_arrays("shallow", **shallow_arrays()))
    refused(path, kind="plrnn", match="kind: the file says 'shallow', got 'plrnn'")
    refused(path, num_relu=2, match="num_relu: the file says None")
    refused(path, index=1, match="index: the file holds a single network")
    assert plr.load(path, kind="shallow", index=-1).state_size == 3
    write_native(path, {"type": "weather"}, {})
    refused(path, match="holds a 'weather'; load reads model, cycles")
    write_native(path, {"type": "cycles"}, {})
    refused(path, match="the arrays points, period, .* are missing")
    refused(path, kind="plrnn", match="kind: the file holds cycles, not a network; got 'plrnn'")
    write_native(path, {"type": "model", "kind": "new"}, {})
    refused(path, match="kind: expected one of")
    write_native(path, {"type": "model", "kind": "plrnn"}, {"A": np.ones(2)})
    refused(path, match="W: missing; 'plrnn' needs A, W, h")


@pytest.mark.parametrize("native", [False, True])
def test_snapshots(tmp_path, native):
    path, stacked = tmp_path / "x.npz", shallow_arrays(snapshots=(4,))
    if native:
        write_native(path, {"type": "model", "kind": "shallow"}, stacked)
    else:
        savez(path, **stacked, epoch=np.arange(4))
    for index in (0, 3, -1, np.int64(-4)):
        model = plr.load(path, kind="shallow", index=index)
        same_arrays(model, {name: array[index] for name, array in stacked.items()})
    refused(path, kind="shallow", match="index: the file holds 4 snapshots; pass index=0 to 3")
    for index in (4, -5):
        refused(path, kind="shallow", index=index, match=f"index: expected -4 to 3, got {index}")
    refused(path, kind="shallow", index=True, match="index: expected an integer, got True")
    assert plr.describe(path)["snapshots"] == 4


def test_as_many_snapshots_as_states(tmp_path):
    path = tmp_path / "x.npz"
    stacked = shallow_arrays(snapshots=(3,))
    savez(path, **stacked)  # A is 3 x 3, and everything else is stacked: three diagonals
    same_arrays(plr.load(path, kind="shallow", index=1), {k: v[1] for k, v in stacked.items()})
    shared = {**stacked, "h1": stacked["h1"][0]}
    savez(path, **shared)
    refused(path, kind="shallow", index=1, match="A: shape .3, 3. may be 3 diagonals or one matrix")
    savez(path, **{**shared, "A": np.diag([1.0, 2.0, 3.0])})
    assert plr.load(path, kind="shallow", index=1).A.shape == (3, 3)
    savez(path, **{**stacked, "h2": np.zeros((2, 5))})
    refused(path, kind="shallow", index=0, match="different numbers of snapshots")


LAYOUTS = {
    "ours": lambda a: a,
    "transposed": lambda a: {**a, "W1": a["W1"].T, "W2": a["W2"].T},
    "one transposed": lambda a: {**a, "W2": a["W2"].T},
    "renamed": lambda a: dict(A=a["A"], W1=a["W2"], W2=a["W1"], h1=a["h2"], h2=a["h1"]),
    "renamed, transposed": lambda a: dict(
        A=a["A"], W1=a["W2"].T, W2=a["W1"].T, h1=a["h2"], h2=a["h1"]
    ),
    "rows": lambda a: {**a, "h1": a["h1"][None], "h2": a["h2"][None], "A": a["A"][None]},
    "columns": lambda a: {**a, "h1": a["h1"][:, None], "A": a["A"][:, None]},
    "prefixed": lambda a: {f"model.latent_step.{name}": array for name, array in a.items()},
    "subscripts": lambda a: {
        name.replace("1", "₁").replace("2", "₂"): array for name, array in a.items()
    },
    "underscores": lambda a: {
        name.replace("1", "_1").replace("2", "_2"): array for name, array in a.items()
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sizes", [(3, 5), (5, 3), (4, 4), (1, 4), (4, 1)])
def test_layouts_are_told_apart_by_shape(tmp_path, layout, sizes):
    M, H = sizes
    if M == H and layout in ("transposed", "renamed", "renamed, transposed", "one transposed"):
        pytest.skip("with M = H the names are trusted")
    arrays = shallow_arrays(A=(M,), W1=(M, H), W2=(H, M), h1=(M,), h2=(H,))
    savez(tmp_path / "x.npz", **LAYOUTS[layout](arrays), epochs=np.arange(3), note="text")
    model = plr.load(tmp_path / "x.npz", kind="clipped-shallow")
    if M == 1 and layout in ("rows", "columns"):
        arrays["A"] = arrays["A"][:, None]  # a full matrix, 1 x 1
    same_arrays(model, arrays)


def test_kind_is_inferred_only_where_the_arrays_tell(tmp_path):
    path, rng = tmp_path / "x.npz", np.random.default_rng(0)
    savez(path, **shallow_arrays(snapshots=(2,)))
    refused(path, match=r"load\('x.npz', kind='shallow', index=-1\)")
    plain = {"A": rng.normal(size=4), "W": rng.normal(size=(4, 4)), "h": rng.normal(size=4)}
    savez(path, **plain, B=np.zeros((2, 4)))
    refused(path, match="fit plrnn or mean-centered or almost-linear or threshold; say which")
    same_arrays(plr.load(path, kind="plrnn"), plain)
    same_arrays(plr.load(path, num_relu=2), {**plain, "num_relu": 2})
    refused(path, kind="almost-linear", match="num_relu: needed")
    refused(path, kind="plrnn", num_relu=2, match="num_relu: 'plrnn' has none")
    refused(path, num_relu=5, match="num_relu: expected 0 to 4")
    refused(path, kind="shallow", match="W: the file holds it, but 'shallow' has no such field")
    refused(path, kind="typo", match="kind: expected one of plrnn")
    savez(path, **plain, num_relu=np.array([[2.0]]))
    same_arrays(plr.load(path), {**plain, "num_relu": 2})
    refused(path, num_relu=3, match="num_relu: the file says")
    savez(path, W=plain["W"], b=plain["h"])
    refused(path, match="fit relu-rnn or tanh-rnn")
    scalars = {"leak": np.array(0.5), "slope": np.array(0.1)}
    savez(path, W=plain["W"], b=plain["h"], **scalars)
    same_arrays(plr.load(path), {"W": plain["W"], "b": plain["h"], **scalars})
    savez(path, gate=np.ones(3))
    refused(path, match="kind: no kind of network has these arrays: gate")
    savez(path, **{f"{name}.W": np.ones((2, 2)) for name in ("encoder", "decoder")})
    refused(path, match="both 'encoder.W' and 'decoder.W' look like the field W")
    assert "look like" in plr.describe(path)["problem"]


def test_input_matrix_and_observation_matrix(tmp_path):
    path, arrays = tmp_path / "x.npz", shallow_arrays()
    C = np.ones((3, 2), np.float32)
    savez(path, **arrays, C=C, B=np.ones((7, 3)))
    same_arrays(plr.load(path, kind="shallow"), {**arrays, "C": C})
    assert "B" in plr.describe(path)["ignored"]
    savez(path, **arrays, C=np.ones((7, 3)))
    same_arrays(plr.load(path, kind="shallow"), arrays)


def test_dendritic_conventions(tmp_path):
    path, rng = tmp_path / "x.npz", np.random.default_rng(0)
    AW, h, alphas = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=2)
    thetas, z = rng.normal(size=(3, 2)), rng.normal(size=3)
    savez(path, **{"latent_step.AW": AW, "latent_step.h": h}, alphas=alphas, thetas=thetas)
    refused(path, match="fit dendritic or clipped-dendritic")
    found = plr.load(path, kind="dendritic").as_piecewise_affine().apply(z)
    # the step of the public dendPLRNN code: relu(z + theta), W without the diagonal of AW
    bases = np.maximum(z[:, None] + thetas, 0) @ alphas
    A = np.diag(AW)
    assert np.allclose(found, A * z + (AW - np.diag(A)) @ bases + h, rtol=0, atol=1e-14)
    savez(path, A=A, W=AW, h=h, alpha=alphas, thresholds=thetas)  # M x B by its shape
    same_arrays(
        plr.load(path, kind="dendritic"),
        {"A": A, "W": AW, "h": h, "alpha": alphas, "thresholds": thetas.T},
    )


def test_clipped_states_are_refused(tmp_path):
    path, arrays = tmp_path / "x.npz", shallow_arrays()
    savez(path, **arrays, clip_range=np.array(10.0))
    refused(path, kind="shallow", match="clip_range: the state is clipped after each step")
    savez(path, **arrays, clip_range=np.array(np.inf))
    same_arrays(plr.load(path, kind="shallow"), arrays)


def test_bad_paths(tmp_path):
    refused(tmp_path / "no.npz", match="no such file", error=FileNotFoundError)
    refused(tmp_path / "no.xyz", match="no such file", error=FileNotFoundError)
    for suffix in (".npz", ".safetensors", ".mat", ".pt", ".pth", ".bson", ".npy"):
        empty = tmp_path / f"empty{suffix}"
        empty.write_bytes(b"")
        refused(empty, match="the file is empty")
        folder = tmp_path / f"folder{suffix}"
        folder.mkdir()
        refused(folder, match="expected a file, got a folder")
        empty.write_bytes(b"\x89HDF\r\n\x1a\n" + b"noise" * 100)
        refused(empty, match=": ")
    (tmp_path / "x.pkl").write_bytes(b"data")
    refused(tmp_path / "x.pkl", match="not supported by this version; known are .npz")
    (tmp_path / "x.txt").write_bytes(b"data")
    refused(tmp_path / "x.txt", match="unknown kind of file '.txt'; known are .npz, .safetensors")


# MATLAB


@pytest.mark.parametrize("compress", [False, True])
def test_matlab(tmp_path, compress):
    path, arrays = tmp_path / "x.mat", shallow_arrays()
    extra = {"s": "text", "st": {"a": 1}, "cell": np.array([1, "a"], dtype=object), "z": 1j}
    scipy.io.savemat(path, {**arrays, **extra}, do_compression=compress)
    same_arrays(plr.load(path, kind="shallow"), arrays)
    info = plr.describe(path)
    assert {"s", "st", "cell"} <= set(info["ignored"]) and info["candidates"][0] == "shallow"
    json.dumps(info)


def test_matlab_versions(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"A": np.ones(3)}, format="4")
    refused(path, match="not a MATLAB 5 file")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    refused(path, match="not a readable HDF5 file")


def test_saved_for_matlab(tmp_path):
    path, model = tmp_path / "x.mat", models.from_arrays("shallow", **shallow_arrays())
    plr.save(path, model)
    first = path.read_bytes()
    plr.save(path, model)
    assert path.read_bytes() == first
    seen = scipy.io.loadmat(path)
    assert seen["h1"].shape == (3, 1) and np.array_equal(seen["W1"], model.W1)
    one = models.from_arrays("shallow", A=[[0.5]], W1=[[1.0]], W2=[[2.0]], h1=[0.0], h2=[1.0])
    plr.save(path, one)
    same_arrays(plr.load(path), models.arrays_of(one))
    with pytest.raises(ValueError, match="'0.b' cannot be the name of a variable of MATLAB"):
        plr.save(path, plr.Stacked([plr.TanhRNN(2, key=jr.key(0))]))
    half = models.from_arrays("shallow", **shallow_arrays(np.float16))
    with pytest.raises(ValueError, match="MATLAB has no .-d float16 here; save to .npz"):
        plr.save(path, half)
    arrays = {**shallow_arrays(), "plrjax_header": np.frombuffer(b"{}", np.uint8)}
    scipy.io.savemat(path, arrays)
    refused(path, match="the header is damaged .no format number")


# PyTorch checkpoints, written by hand: PyTorch is not needed


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def tensor(key, array, storage=None, stride=None):
    """Return the opcodes that rebuild one tensor from the storage `key`."""
    storage = storage or {"f4": "Float", "f8": "Double"}[array.dtype.str[1:]]
    stride = stride or [step // array.itemsize for step in array.strides]
    reference = b"(" + text("storage") + f"ctorch\n{storage}Storage\n".encode() + text(str(key))
    reference += text("cpu") + integer(array.size) + b"tQ"
    shape = b"(" + b"".join(map(integer, array.shape)) + b"t"
    steps = b"(" + b"".join(map(integer, stride)) + b"t"
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    head = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return head + reference + integer(0) + shape + steps + hooks + b"tR"


def dictionary(items):
    """Return the opcodes of an OrderedDict."""
    body = b"".join(text(name) + value for name, value in items.items())
    return b"ccollections\nOrderedDict\n)R(" + body + b"u"


def write_torch(path, program, storages=()):
    """Write a checkpoint archive from the opcodes and the storages."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + program + b".")
        for key, array in enumerate(storages):
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def write_state_dict(path, arrays):
    """Write a state_dict."""
    items = {name: tensor(key, array) for key, (name, array) in enumerate(arrays.items())}
    write_torch(path, dictionary(items), arrays.values())


def test_torch_state_dict(tmp_path):
    path, arrays = tmp_path / "x.pt", shallow_arrays()
    write_state_dict(path, arrays)
    same_arrays(plr.load(path, kind="shallow"), arrays)
    nested = dictionary(
        {name: tensor(key, array) for key, (name, array) in enumerate(arrays.items())}
    )
    training = dictionary({"epoch": integer(7), "lr": b"G" + struct.pack(">d", 0.1)})
    whole = dictionary({"model": nested, "training": training})
    write_torch(path, whole, arrays.values())
    same_arrays(plr.load(path, kind="shallow"), arrays)
    assert plr.describe(path)["settings"] == {"training.epoch": 7, "training.lr": 0.1}
    clipped = dictionary({"model": nested, "args": dictionary({"clip_range": integer(10)})})
    write_torch(path, clipped, arrays.values())
    refused(path, kind="shallow", match="args.clip_range: the state is clipped")


def test_torch_files_that_would_execute_are_refused(tmp_path):
    path, marker = tmp_path / "x.pt", tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {marker}",))

    for protocol in range(2, 6):
        program = pickle.dumps({"A": Evil()}, protocol=protocol)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
        refused(path, match="refused: the file holds posix.system|nt.system; save the parameters")
    builtin = b"cbuiltins\neval\n(" + text(f"open({str(marker)!r}, 'w')") + b"tR"
    write_torch(path, builtin)
    refused(path, match="refused: the file holds builtins.eval; save the parameters alone")
    write_torch(path, b"cnetworks\nMyModel\n)\x81}(" + text("training") + b"\x88ub")
    refused(path, match=r"networks.MyModel; .*torch.save\(model.state_dict\(\), ...\)")
    write_torch(path, b"(iposix\nsystem\n")
    refused(path, match="refused|damaged")
    assert not marker.exists()


def test_torch_damage(tmp_path):
    path, W = tmp_path / "x.pt", np.ones((2, 3), np.float32)
    write_torch(path, dictionary({"W": tensor(0, W)}), [W[:1]])
    refused(path, match="holds only 3 numbers")
    write_torch(path, dictionary({"W": tensor(0, W, stride=[3, 2])}), [W])
    refused(path, match="reaches outside its storage")
    write_torch(path, dictionary({"W": tensor(1, W)}), [W])
    refused(path, match="storage '1' is missing")
    write_torch(path, b"}q\x00" + text("a") + b"h\x00s")  # a dictionary inside itself
    refused(path, match="nested more than")
    doubling = b")" + b"".join(b"q\x00h\x00\x86" for _ in range(200))  # tuples, doubled 200 times
    write_torch(path, b"}" + doubling + b"\x88s")
    refused(path, match="keys that are neither text nor integers")
    path.write_bytes(b"\x80\x02}.")
    refused(path, match="not a zip file")


# Files of other programs, where they are at hand


@needs_networks
def test_shared_matlab_network_has_five_fixed_points():
    path = NETWORKS / "for_LE_multistable.mat"
    F = plr.load(path, kind="shallow", index=0).as_piecewise_affine()
    regions = np.array(list(itertools.product([False, True], repeat=F.num_units)))
    J, c = F.affine_piece(regions)
    z = np.linalg.solve(np.eye(F.state_size) - J, c[..., None])[..., 0]
    assert np.all(F.region_of(z) == regions, axis=1).sum() == 5
    assert plr.describe(path)["snapshots"] == 150


@needs_networks
def test_shared_networks():
    alrnn = plr.load(NETWORKS / "alrnn_lorenz_m20_p2.pt", num_relu=2)
    assert alrnn.A.shape == (20,) and alrnn.as_piecewise_affine().num_units == 2
    path = NETWORKS / "lorenz63_clipped_shallow_agtf.npz"
    last = plr.load(path, kind="clipped-shallow", index=-1)
    assert last.W1.shape == (3, 50) and last.as_piecewise_affine().num_units == 100
