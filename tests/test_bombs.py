"""Bombs: files that lie about what they hold are refused, and take no more than they declare."""

import pathlib

import bombs
import numpy as np
import pytest
from measured import checked_in_a_process
from test_io import shallow_arrays
from test_io_fuzz import CASES, WRITERS

import plrjax as plr

measures = pytest.mark.skipif(
    not pathlib.Path("/proc/self/clear_refs").exists(), reason="the system does not tell the peak"
)


@pytest.mark.parametrize("name", bombs.bombs())
def test_bombs_are_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(bombs.bombs()[name])
    for read in (plr.load, plr.describe):
        with pytest.raises(ValueError) as caught:
            read(path, max_bytes=bombs.SMALL)
        text = str(caught.value)
        assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 500


@measures
def test_bombs_take_no_memory(tmp_path):
    for name, data in bombs.bombs().items():
        (tmp_path / name).write_bytes(data)
    sizes = checked_in_a_process(tmp_path, bombs.SMALL)
    assert len(sizes) == len(bombs.bombs()) and max(sizes.values()) < 64, sizes


def test_limits_can_be_set(tmp_path):
    path = tmp_path / "x.npz"
    plr.save(path, plr.example_network())
    plr.load(path, max_bytes=1 << 20)
    for read in (plr.load, plr.describe):
        with pytest.raises(ValueError, match="exceed the limit max_bytes=100"):
            read(path, max_bytes=100)
        with pytest.raises(ValueError, match="max_bytes: expected an integer"):
            read(path, max_bytes=0)
    table = tmp_path / "x.csv"
    table.write_text("1,2\n2,1\n" * 100)
    assert len(plr.load_series(table)) == 200
    with pytest.raises(ValueError, match="exceed the limit max_bytes=1000"):
        plr.load_series(table, max_bytes=1000)


@pytest.mark.parametrize("digits", [5, 400, 5000])
def test_long_numbers_in_headers(tmp_path, digits):
    number = "9" * digits
    content = bombs.npy(np.ones(4))
    for old, new in (("'<f8'", f"'<f{number}'"), ("(4,)", f"({number},)")):
        text = content[10:].split(b"\n")[0].decode().rstrip().replace(old, new) + "\n"
        data = content[:6] + b"\x02\x00" + len(text).to_bytes(4, "little") + text.encode()
        (tmp_path / "x.npy").write_bytes(data + bytes(32))
        with pytest.raises(ValueError, match="x.npy: "):
            plr.load_series(tmp_path / "x.npy")
    header = b'{"format": 1, "type": "model", "dtype": {"A": "f' + number.encode() + b'"}}'
    for text in (header, b'{"format": ' + number.encode() + b"}"):
        (tmp_path / "x.npz").write_bytes(bombs.header_zip(text))
        with pytest.raises(ValueError, match="x.npz: ") as caught:
            plr.load(tmp_path / "x.npz")
        assert "\n" not in str(caught.value)


@measures
@pytest.mark.parametrize("count", [3, pytest.param(667, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_take_no_memory(tmp_path, name, count):
    """Of each kind of damage so many, three or four kinds: 2,000 files and more where slow."""
    folder, rng = tmp_path / "damaged", np.random.default_rng(7)
    folder.mkdir()
    WRITERS[name](tmp_path / name, shallow_arrays())
    data = (tmp_path / name).read_bytes()
    for number, damage in enumerate(damage for other, damage in CASES if other == name):
        for row in range(count):
            (folder / f"{number}_{row}_{name}").write_bytes(damage(data, rng))
    peaks = checked_in_a_process(folder, bombs.SMALL)
    assert len(peaks) >= 3 * count and max(peaks.values()) < 64
