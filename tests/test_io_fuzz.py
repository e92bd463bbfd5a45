"""Damaged files of every format: each loads to valid arrays or is refused in one line, quickly."""

import contextlib
import functools
import io
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import scipy.io
from foreign_files import (
    write_bson,
    write_compressed_hdf5,
    write_folder,
    write_hdf5,
    write_jld2,
    write_matlab_73,
)
from test_io import shallow_arrays, write_state_dict

import plrjax as plr
from plrjax import models

NUM_DAMAGED = 200
MAX_SECONDS = 2.0
MAX_BYTES = 64_000_000


def write_native(path, arrays):
    """Write a native file."""
    plr.save(path, models.from_arrays("shallow", **arrays), provenance="fuzz")


def write_compressed(path, arrays):
    """Write a compressed `.npz` without our header."""
    np.savez_compressed(path, **arrays)


def write_matlab(path, arrays):
    """Write a MATLAB file with variables that a reader has to skip."""
    scipy.io.savemat(path, {**arrays, "note": "text", "cell": np.array([1, "a"], dtype=object)})


def write_matlab_compressed(path, arrays):
    """Write a compressed MATLAB file."""
    scipy.io.savemat(path, arrays, do_compression=True)


WRITERS = {
    "native.npz": write_native,
    "foreign.npz": write_compressed,
    "native.safetensors": write_native,
    "native.mat": write_native,
    "plain.mat": write_matlab,
    "compressed.mat": write_matlab_compressed,
    "state.pt": write_state_dict,
    "julia.bson": write_bson,
    "plain.h5": write_hdf5,
    "compressed.hdf5": write_compressed_hdf5,
    "julia.jld2": write_jld2,
    "seven.mat": write_matlab_73,
}
HDF5 = ("plain.h5", "compressed.hdf5", "julia.jld2", "seven.mat")
"""Most of their bytes are room for more objects, behind the last array."""


def truncated(data, rng):
    """Cut a file at random."""
    return data[: rng.integers(0, len(data))]


def bits_flipped(data, rng):
    """Flip one to eight bits, half of the time near either end, where the structure is."""
    damaged = bytearray(data)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 300)
    for _ in range(rng.integers(1, 9)):
        position = int(rng.integers(0, reach))
        position = position if rng.random() < 0.5 else len(data) - 1 - position
        damaged[position] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


def bytes_replaced(data, rng):
    """Overwrite a run of bytes with extreme values, as lengths and counts that lie."""
    damaged = bytearray(data)
    start = int(rng.integers(0, min(len(data), 600)))
    run = rng.choice([b"\xff\xff\xff\x7f", b"\xff" * 8, b"\x00" * 8, b"\x7f\x00\x00\x00"])
    damaged[start : start + len(run)] = run
    return bytes(damaged)


def repacked(data, rng):
    """Damage one entry of a zip archive and write a valid archive around it (no checksum helps)."""
    source, target = io.BytesIO(data), io.BytesIO()
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        names = before.namelist()
        chosen = names[int(rng.integers(len(names)))] if rng.random() < 0.5 else names[0]
        for name in names:
            content = before.read(name)
            damage = (truncated, bits_flipped, bytes_replaced)[int(rng.integers(3))]
            after.writestr(name, damage(content, rng) if name == chosen and content else content)
    return target.getvalue()


def check_damaged(path):
    """Load and describe a damaged file; return whether it loaded."""
    loaded = True
    for function in (functools.partial(plr.load, kind="shallow"), plr.describe):
        started = time.process_time()
        try:
            result = function(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            loaded = False
        else:
            if isinstance(result, models.ShallowPLRNN):
                for array in models.arrays_of(result).values():
                    assert array.dtype.kind in "fiu" and np.isfinite(array).all()
        assert time.process_time() - started < MAX_SECONDS
    return loaded


@contextlib.contextmanager
def memory_watched():
    """Watch the peak of memory, which makes everything several times slower."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES
    finally:
        tracemalloc.stop()


CASES = [(name, d) for name in WRITERS for d in (truncated, bits_flipped, bytes_replaced)]
CASES += [(name, repacked) for name in WRITERS if name.endswith((".npz", ".pt"))]


@pytest.mark.parametrize("name, damage", CASES)
def test_damaged_files(tmp_path, name, damage):
    path, rng = tmp_path / name, np.random.default_rng(1234)
    WRITERS[name](path, shallow_arrays())
    data = path.read_bytes()
    assert check_damaged(path)
    survivors = 0
    for row in range(NUM_DAMAGED):
        path.write_bytes(damage(data, rng))
        with memory_watched() if row % 10 == 0 else contextlib.nullcontext():
            survivors += check_damaged(path)
    if damage is truncated and name not in HDF5:
        # only bytes behind the last array, or whole trailing variables, may be missing
        assert survivors <= NUM_DAMAGED // 10


def test_noise_under_every_suffix(tmp_path):
    rng = np.random.default_rng(0)
    starts = (
        b"",
        b"\x89HDF\r\n\x1a\n",
        b"PK\x03\x04",
        b"MATLAB 5.0".ljust(124) + b"\x00\x01IM",
        b"\x10" + b"\x00" * 7,
    )
    for suffix in (".npz", ".safetensors", ".mat", ".pt", ".pth", ".bson", ".h5", ".jld2", ".npy"):
        for start in starts:
            path = tmp_path / f"noise{suffix}"
            path.write_bytes(start + rng.bytes(500))
            assert not check_damaged(path)


@pytest.mark.parametrize("damage", [truncated, bits_flipped, bytes_replaced])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged_folders(tmp_path, name, damage):
    path, rng = tmp_path / "net", np.random.default_rng(99)
    write_folder(path, shallow_arrays(), model_type="shallow_plrnn", latent_dim=3)
    data = (path / name).read_bytes()
    assert check_damaged(path)
    for _ in range(60):
        (path / name).write_bytes(damage(data, rng))
        check_damaged(path)


@pytest.mark.parametrize("damage", [truncated, bits_flipped, bytes_replaced])
@pytest.mark.parametrize("suffix", [".npy", ".h5", ".mat"])
def test_damaged_series(tmp_path, suffix, damage):
    path, rng = tmp_path / f"x{suffix}", np.random.default_rng(7)
    x = rng.normal(size=(40, 2))
    write = {".npy": np.save, ".h5": write_hdf5, ".mat": write_matlab_73}[suffix]
    write(path, x if suffix == ".npy" else {"x": x})
    data = path.read_bytes()
    for _ in range(60):
        path.write_bytes(damage(data, rng))
        for function in (functools.partial(plr.load_series, gaps=True), plr.describe):
            try:
                function(path)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
