"""Files of arrays: round trips, atomicity, bounds, and refusal of anything that could execute.

Of writers that are killed: no file is torn, and none is left after the next start.
"""

import io
import json
import os
import pickle
import random
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import bombs
import numpy as np
import pytest
import scipy.io
from test_io import dictionary, tensor, write_torch

from plrjax import _files
from plrjax._io._mat import read_mat
from plrjax._io._torch_zip import read_torch
from plrjax._json import parse_json
from plrjax._temporary import part_of, temporary_folder
from plrjax._zip import read_zip

SUFFIXES = [".npz", ".safetensors"]


def many_arrays():
    """Return arrays of every dtype and layout that can be stored."""
    rng = np.random.default_rng(0)
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    arrays = {
        "complex128": rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4)),
        "complex64": (rng.normal(size=5) + 1j).astype(np.complex64),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 3)),
        "empty_complex": np.zeros((2, 0), complex),
        "scalar": np.array(3.5, np.float32),
        "big_endian": np.arange(4, dtype=">f8"),
        "fortran": np.asfortranarray(rng.normal(size=(3, 5))),
        "strided": rng.normal(size=(6, 6))[::2, ::-1],
        "bfloat16": np.arange(5).astype(bfloat16),
        "special": np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
    }
    for code in "i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split():
        arrays[code] = np.array([0, 1, 100]).astype(code)
    return arrays


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_is_exact_and_reproducible(tmp_path, suffix):
    path, arrays = tmp_path / f"x{suffix}", many_arrays()
    header = {"type": "test", "kind": None, "provenance": {"source": "größe\n1"}}
    _files.write_arrays(path, header, arrays)
    first = path.read_bytes()
    found, loaded = _files.read_arrays(path)
    assert {key: found[key] for key in header} == header and found["format"] == 1
    assert found["version"] == _files.plrjax_version()
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].shape == array.shape
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        assert loaded[name].tobytes() == array.astype(loaded[name].dtype).tobytes()
    _files.write_arrays(path, header, arrays)
    assert path.read_bytes() == first
    assert os.listdir(tmp_path) == [path.name]


def test_numpy_and_safetensors_read_our_files(tmp_path):
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    A = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    for suffix in SUFFIXES:
        _files.write_arrays(tmp_path / f"x{suffix}", {"type": "test"}, {"A": A})
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["A"], A)
        assert json.loads(archive[_files.HEADER].tobytes())["type"] == "test"
    assert np.array_equal(safetensors_numpy.load_file(tmp_path / "x.safetensors")["A"], A)


def test_foreign_files_have_no_header(tmp_path):
    A = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.savez_compressed(tmp_path / "x.npz", A=A, label=np.array("text"), n=3)
    header, arrays = _files.read_arrays(tmp_path / "x.npz")
    assert header == {} and np.array_equal(arrays["A"], A) and arrays["n"] == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failed_write_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"x{suffix}"
    _files.write_arrays(path, {}, {"A": np.ones(3)})
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(_files.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        _files.write_arrays(path, {}, {"A": np.zeros(3)})
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def refused(function, path, *args, match, error: type[Exception] = ValueError, **kwargs):
    """Check for a one-line error that starts with the path."""
    with pytest.raises(error, match=match) as caught:
        function(path, *args, **kwargs)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_cannot_be_written(tmp_path, suffix):
    path, write = tmp_path / f"x{suffix}", _files.write_arrays
    refused(write, path, {}, {"A": np.array([None])}, match="A: cannot store dtype object")
    refused(write, path, {}, {"A": np.array(["a"])}, match="A: cannot store dtype")
    refused(write, path, {}, {_files.HEADER: np.ones(2)}, match="cannot be the name")
    refused(write, tmp_path / "x.txt", {}, {}, match="expected a name ending in")
    missing = tmp_path / "no" / f"x{suffix}"
    refused(write, missing, {}, {}, match="folder .* does not exist", error=FileNotFoundError)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_cannot_be_read(tmp_path, suffix):
    path, read = tmp_path / f"x{suffix}", _files.read_arrays
    refused(read, path, match="no such file", error=FileNotFoundError)
    path.mkdir()
    refused(read, path, match="expected a file, got a folder")
    path.rmdir()
    path.write_bytes(b"")
    refused(read, path, match="the file is empty")
    path.write_bytes(b"nonsense" * 20)
    refused(read, path, match="not a readable")
    _files.write_arrays(path, {}, {"A": np.ones(1000)})
    refused(read, path, max_bytes=1000, match="exceed the limit max_bytes=1000")
    _files.write_arrays(path, {"format": 2}, {})
    refused(read, path, match="written by a newer plrjax .format 2, .* upgrade")


def write_zip(path, entries, compression=zipfile.ZIP_STORED):
    """Write a zip archive from bytes."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def npy(array, **kwargs):
    """Return the bytes of a `.npy` file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), **kwargs)
    return buffer.getvalue()


def test_zip_bombs_are_refused_before_they_expand(tmp_path):
    path = tmp_path / "x.npz"
    bomb = npy(np.zeros(20_000_000, np.uint8))
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        write_zip(path, {"A.npy": bomb}, compression)
        assert path.stat().st_size < 100_000
        refused(_files.read_arrays, path, max_bytes=10_000_000, match="exceed the limit")
    refused(_files.read_arrays, path, match="another method than deflate")


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "x.npz"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    evil = np.array([Evil()], dtype=object)
    write_zip(path, {"A.npy": npy(evil, allow_pickle=True)})
    refused(_files.read_arrays, path, match="A.npy: holds Python objects")
    structured = np.zeros(2, [("a", "f4"), ("b", "i4")])
    write_zip(path, {"A.npy": npy(structured)})
    refused(_files.read_arrays, path, match="A.npy: not an array of plain numbers")
    write_zip(path, {"A.npy": pickle.dumps(Evil())})
    refused(_files.read_arrays, path, match="A.npy: not an array")
    assert not (tmp_path / "executed").exists()


def test_headers_that_lie(tmp_path):
    path, content = tmp_path / "x.npz", npy(np.ones(4))
    liars = {
        b"'shape': (4,)": b"'shape': (5,)",
        b"<f8": b"<f4",
        b"(4,), }": b"(99999999999,), }",
    }
    for old, new in liars.items():
        assert old in content
        write_zip(path, {"A.npy": content.replace(old, new)})
        refused(_files.read_arrays, path, match="A.npy: ")
    deep = np.frombuffer(b"[" * 100_000, np.uint8)
    for text in (deep, np.frombuffer(b'{"format": "x"}', np.uint8), np.arange(3, dtype=np.uint8)):
        write_zip(path, {f"{_files.HEADER}.npy": npy(text)})
        refused(_files.read_arrays, path, match="the header is damaged")
    wrong = np.frombuffer(b'{"format": 1, "dtype": {"A": "float32"}}', np.uint8)
    write_zip(path, {"A.npy": content, f"{_files.HEADER}.npy": npy(wrong)})
    refused(_files.read_arrays, path, match="A: the header says float32")
    write_zip(path, {f"{_files.HEADER}.npy": npy(wrong)})
    refused(_files.read_arrays, path, match="the header does not fit the arrays")


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_creates_a_file(tmp_path, monkeypatch, links):
    """Of threads that create one file at once, one writes, on any file system."""
    if not links:
        monkeypatch.setattr("os.link", _no_links)
    path, texts = tmp_path / "scan.json", [bytes([65 + i]) * 100_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        wrote = list(pool.map(lambda text: _files.create_bytes(path, text), texts))
    assert sum(wrote) == 1 and path.read_bytes() == texts[wrote.index(True)]
    assert [found.name for found in tmp_path.iterdir()] == ["scan.json"]


def _no_links(source, target):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("compress", [False, True])
def test_matlab_reader_equals_scipy(tmp_path, compress):
    rng, path = np.random.default_rng(0), tmp_path / "x.mat"
    codes = "i1 i2 i4 i8 u1 u2 u4 u8 f4 f8".split()
    arrays = {code: rng.integers(0, 100, (2, 3, 4)).astype(code) for code in codes}
    arrays |= {"complex": rng.normal(size=(2, 2)) * 1j, "empty": np.zeros((0, 3)), "one": 3.0}
    scipy.io.savemat(path, arrays, do_compression=compress)
    found, _ = read_mat(path.read_bytes(), 1 << 20)
    expected = scipy.io.loadmat(path)
    for name in arrays:
        assert found[name].dtype == expected[name].dtype
        assert np.array_equal(found[name], expected[name])


def test_matlab_bombs(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"A": np.zeros(3_000_000)}, do_compression=True)
    with pytest.raises(ValueError, match="exceed the size limit"):
        read_mat(path.read_bytes(), 1 << 20)


def test_torch_strides_and_bfloat16(tmp_path):
    path = tmp_path / "x.pt"
    W = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_torch(path, dictionary({"W": tensor(0, W.T)}), [W])
    arrays, _ = read_torch(path.read_bytes(), 1 << 20)
    assert np.array_equal(arrays["W"], W.T)
    halves = (W.view(np.uint32) >> 16).astype(np.uint16)  # small integers fit bfloat16
    write_torch(path, dictionary({"W": tensor(0, W, "BFloat16")}), [halves])
    arrays, _ = read_torch(path.read_bytes(), 1 << 20)
    assert np.array_equal(arrays["W"], W) and arrays["W"].dtype == np.float32


def test_zip_entries_are_what_they_declare():
    honest = bombs.lying_zip("A.npy", b"content" * 1000, 7000)
    assert read_zip(honest, 7000) == {"A.npy": b"content" * 1000}
    for declared, more in ((6999, "more"), (7001, "less")):
        with pytest.raises(ValueError, match=f"holds {more} than the {declared} bytes|CRC"):
            read_zip(bombs.lying_zip("A.npy", b"content" * 1000, declared), 10_000)
    with pytest.raises(ValueError, match="the same name"):
        read_zip(bombs.doubled_zip("A.npy"), 1000)
    with pytest.raises(ValueError, match="overlaps"):
        read_zip(bombs.overlapping_zip(), 1000)


def test_json_texts():
    assert parse_json('{"a": [1, "ü"]}', 10_000) == {"a": [1, "ü"]}
    for text in (b"[" * 200_000, b"[1", b"9" * 5000, 3):
        with pytest.raises(ValueError):
            parse_json(text, _files.MAX_BYTES)
    with pytest.raises(ValueError, match="exceeds the limit max_bytes=1000"):
        parse_json(b"[[],[],[],[],[],[],[]]", 1000)


WRITER = """
import sys
import numpy as np
from plrjax._files import create_bytes, write_arrays
from plrjax._temporary import temporary_folder
folder = sys.argv[1]
with temporary_folder() as place:
    print(place, flush=True)
    for number in range(100_000):
        write_arrays(folder + "/out.npz", {"type": "x"}, {"a": np.full(200_000, number)})
        create_bytes(f"{folder}/once_{number}", bytes(100_000))
"""
posix = pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")


def begin(folder) -> subprocess.Popen:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None and "plrjax-" in writer.stdout.readline()
    return writer


def end(writer: subprocess.Popen) -> None:
    writer.kill()
    writer.communicate()


def check_killed(folder, kills: int) -> None:
    draw = random.Random(kills)
    for _ in range(kills):
        writer = begin(folder)
        time.sleep(draw.uniform(0.0, 0.02))
        end(writer)
        if (folder / "out.npz").exists():
            array = _files.read_arrays(folder / "out.npz")[1]["a"]
            assert array.shape == (200_000,) and (array == array[0]).all()
        for path in folder.glob("once_*"):
            assert path.stat().st_size == 100_000
            path.unlink()
    last = begin(folder)
    while not (folder / "once_0").exists():
        time.sleep(0.01)
    left = {int(path.name.split(".")[-3]) for path in folder.glob(".*.tmp")}
    assert left <= {last.pid}
    end(last)


@posix
def test_killed_writers_leave_nothing_behind(tmp_path, monkeypatch):
    places = tmp_path / "places"
    places.mkdir()
    monkeypatch.setenv("TMPDIR", str(places))
    check_killed(tmp_path, 5)
    last = begin(tmp_path)
    assert [str(last.pid) in path.name for path in places.iterdir()] == [True]
    end(last)


@posix
@pytest.mark.slow
def test_a_thousand_killed_writers(tmp_path):
    check_killed(tmp_path, 1000)


def test_those_of_others_are_kept(tmp_path):
    """A living process, and another machine's, of which nothing is known."""
    (tmp_path / f".a.npz.01234567.{2**22}.01234567.tmp").touch()
    mine = part_of(tmp_path / "a.npz")
    mine.touch()
    part_of(tmp_path / "b.npz")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_for_a_time():
    with temporary_folder() as folder:
        np.save(folder / "a.npy", np.zeros(3))
    assert not folder.exists()
