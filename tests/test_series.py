"""Loading time series: every kind of file, and what is wrong with it."""

import pickle
import zipfile

import numpy as np
import pytest
import scipy.io

import plrjax as plr

SERIES = np.random.default_rng(0).standard_normal((30, 3))


def write_table(path, rows=SERIES, separator=",", names=None, ending="\n"):
    lines = [] if names is None else [separator.join(names)]
    lines += [separator.join(f"{value:.17g}" for value in row) for row in rows]
    path.write_bytes((ending.join(lines) + ending).encode())


def save_npy(path):
    np.save(path, SERIES)


def save_npz(path):
    np.savez(path, x=SERIES)


def save_mat(path):
    scipy.io.savemat(path, {"x": SERIES})


def save_compressed_mat(path):
    scipy.io.savemat(path, {"x": SERIES}, do_compression=True)


WRITERS = {
    "npy": save_npy,
    "npz": save_npz,
    "mat": save_mat,
    "compressed.mat": save_compressed_mat,
    "csv": write_table,
    "named.csv": lambda path: write_table(path, names=["x", '"y"', "z (mV)"]),
    "semicolon.csv": lambda path: write_table(path, separator=";"),
    "tsv": lambda path: write_table(path, separator="\t", names=["x", "y", "z"]),
    "txt": lambda path: write_table(path, separator=" "),
    "wide.txt": lambda path: write_table(path, separator="   "),
    "windows.csv": lambda path: write_table(path, ending="\r\n"),
    "spaced.csv": lambda path: write_table(path, separator=", ", names=["x", "y", "z"]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file(name, tmp_path):
    path = tmp_path / f"series.{name}"
    WRITERS[name](path)
    values = plr.load_series(path)
    assert values.dtype == np.float64 and np.array_equal(values, SERIES)
    assert np.array_equal(plr.load_series(str(path)), SERIES)


def test_comments_and_empty_lines(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("\ufeff# a comment\n\nx,y\n1,2\n# another\n3,5\n\n-1e-3,.5\n", "utf-8")
    assert plr.load_series(path).tolist() == [[1, 2], [3, 5], [-1e-3, 0.5]]


@pytest.mark.parametrize(
    "dtype, expected",
    [("f4", "f4"), (">f4", "f4"), (">f8", "f8"), ("f2", "f8"), ("i4", "f8"), ("u1", "f8")],
)
def test_dtypes(dtype, expected, tmp_path):
    values = (10 * np.abs(SERIES)).astype(dtype)
    np.save(tmp_path / "series.npy", values)
    loaded = plr.load_series(tmp_path / "series.npy")
    assert loaded.dtype == np.dtype(expected) and loaded.dtype.isnative
    assert np.array_equal(loaded, values)


def test_orders_and_single_variables(tmp_path):
    path = tmp_path / "series.npy"
    np.save(path, np.asfortranarray(SERIES))
    loaded = plr.load_series(path)
    assert np.array_equal(loaded, SERIES) and loaded.flags.c_contiguous and loaded.flags.writeable
    np.save(path, SERIES[:, 0])
    assert np.array_equal(plr.load_series(path), SERIES[:, :1])
    write_table(tmp_path / "series.txt", SERIES[:, :1])
    assert np.array_equal(plr.load_series(tmp_path / "series.txt"), SERIES[:, :1])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_standardized(dtype, tmp_path):
    np.save(tmp_path / "series.npy", (3 * SERIES + 7).astype(dtype))
    loaded = plr.load_series(tmp_path / "series.npy", standardize=True)
    assert loaded.dtype == np.dtype(dtype)
    assert np.abs(loaded.mean(axis=0)).max() < 1e-6
    assert np.abs(loaded.std(axis=0) - 1.0).max() < 1e-6


@pytest.mark.parametrize("suffix", ["npz", "mat"])
def test_one_of_several_arrays(suffix, tmp_path):
    path = tmp_path / f"series.{suffix}"
    if suffix == "npz":
        np.savez(path, x=SERIES, y=2 * SERIES)
    else:
        scipy.io.savemat(path, {"x": SERIES, "y": 2 * SERIES})
    assert np.array_equal(plr.load_series(path, name="y"), 2 * SERIES)
    refused(path, r"name: needed to choose one array; there are x \(30, 3\), y \(30, 3\)")
    refused(path, "name: no array 'z'", name="z")


def refused(path, message, **options):
    """Check that loading raises a one-line error that starts with the path."""
    with pytest.raises(ValueError, match=message) as caught:
        plr.load_series(path, **options)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def spoiled(row, column, value):
    values = SERIES.copy()
    values[row, column] = value
    return values


def flat(*columns):
    values = SERIES.copy()
    values[:, columns] = 7.0
    return values


@pytest.mark.parametrize(
    "values, message",
    [
        (spoiled(4, 1, np.nan), r"\[4, 1\] is nan, the first of 1 values that are not finite"),
        (spoiled(0, 2, np.inf), r"\[0, 2\] is inf"),
        (flat(1), r"\[:, 1\] is constant"),
        (flat(0, 2), r"\[:, 0\], \[:, 2\] are constant"),
        (SERIES.T, "expected time x variables, got 3 x 30: .* transposed"),
        (SERIES[None], r"expected time x variables, got 3 axes, \(1, 30, 3\)"),
        (SERIES[:1, :1], "expected at least two time steps"),
        (SERIES[:, :0], "expected at least two time steps"),
        (np.float64(1.0), "expected at least two time steps"),
        (SERIES + 1j, "expected real numbers, got dtype complex128"),
        (SERIES.astype("U5"), "expected real numbers, got dtype <U5"),
        (np.array(SERIES, object), "Python objects, which are never unpickled"),
    ],
)
def test_arrays_that_are_no_series(values, message, tmp_path):
    np.save(tmp_path / "series.npy", values)
    refused(tmp_path / "series.npy", message)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1,2\n3,4\n5\n", "line 3: expected 2 values, got 1"),
        ("x,y\n1,2\n3,4,5\n", "line 3: expected 2 values, got 3"),
        ("x,y\n1,2,3\n", "line 2: expected 2 values, got 3"),
        ("1,2\n3,\n", "line 2: value 2 of 2 is empty"),
        ("1,2\n3,nan\n", "line 2: value 2 of 2 is 'nan', not a finite number"),
        ("1,2\n\n3,apple\n", "line 3: value 2 of 2 is 'apple', not a finite number"),
        ("1,banana\n3,4\n", "line 1: value 2 of 2 is 'banana'"),
        ("1,5;2,5\n1,6;2,6\n", "line 2: value 1 of 2 is '1,6', .*decimal points"),
        (",x\n0,1\n1,2\n", "line 1: name 1 of 2 is empty; if this is a row index"),
        ("x,y\n", "no numbers in the table"),
        ("", "no numbers in the table"),
        ("1,2\n1,3\n1,4\n", r"\[:, 0\] is constant"),
    ],
)
def test_tables_that_are_no_series(text, message, tmp_path):
    (tmp_path / "series.csv").write_text(text)
    refused(tmp_path / "series.csv", message)


def test_files_that_are_no_series(tmp_path):
    refused_bytes(tmp_path / "a.npy", b"\x93NUMPY", "not an array")
    refused_bytes(tmp_path / "b.npy", pickle.dumps([1, 2]), "not an array")
    refused_bytes(tmp_path / "c.npz", b"PK\x03\x04", "not a readable zip archive")
    refused_bytes(tmp_path / "d.mat", b"\x00" * 600, "not a MATLAB 5 file")
    refused_bytes(tmp_path / "e.csv", b"\xff\xfe1\x00", "not a text in UTF-8")
    refused_bytes(tmp_path / "f.csv", b"1," * (1 << 20), "line 1: longer than")
    refused_bytes(tmp_path / "g.xlsx", b"1", "unknown kind of series '.xlsx'; known are .npy")
    with zipfile.ZipFile(tmp_path / "h.npz", "w") as archive:
        archive.writestr("note.txt", "nothing")
    refused(tmp_path / "h.npz", "name: needed to choose one array; there are none")
    scipy.io.savemat(tmp_path / "i.mat", {"x": {"y": 1.0}, "z": SERIES})
    refused(tmp_path / "i.mat", "name: 'x' is a MATLAB struct", name="x")
    plr.save(tmp_path / "j.npz", plr.example_network())
    refused(tmp_path / "j.npz", "holds a 'model' of plrjax, not a series")
    write_table(tmp_path / "k.csv")
    refused(tmp_path / "k.csv", "name: a .csv file holds a single array", name="x")
    refused(tmp_path / "k.csv", "bytes exceed the limit max_bytes=100", max_bytes=100)


def refused_bytes(path, data, message):
    path.write_bytes(data)
    refused(path, message)


def test_a_header_that_promises_too_much(tmp_path):
    """Nothing is allocated on the word of a file."""
    np.save(tmp_path / "series.npy", SERIES)
    data = (tmp_path / "series.npy").read_bytes()
    refused_bytes(
        tmp_path / "big.npy", data.replace(b"(30, 3)", b"(30, 9)"), "does not fit 720 bytes"
    )


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        plr.load_series(tmp_path / "nothing.npy")
    refused(tmp_path, "expected a file, got a folder")


def test_the_public_series(shared):
    folder = shared / "data" / "series"
    for path in sorted(folder.glob("*.npy")):
        values = plr.load_series(path)
        assert np.array_equal(values, np.load(path)) and values.ndim == 2
