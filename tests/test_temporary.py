"""Writers that are killed: no file is torn, and none is left after the next start."""

import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from plrjax._files import read_arrays
from plrjax._temporary import part_of, temporary_folder

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
            array = read_arrays(folder / "out.npz")[1]["a"]
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
