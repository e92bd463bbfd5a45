"""Readers in a process of their own, whose peak memory is measured file by file."""

import json
import pathlib
import subprocess
import sys

_SOURCE = """
import json, pathlib, sys
import numpy as np
import plrjax as plr

folder, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2])

def peak(reset=False):
    if reset:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if "VmHWM" in line
            or "VmRSS" in line}

def read(path):
    readers = [plr.load_series] if path.suffix in (".csv", ".npy") else [plr.load, plr.describe]
    for reader in readers:
        try:
            reader(path, max_bytes=limit)
        except (ValueError, FileNotFoundError) as error:
            assert chr(10) not in str(error)

paths, found = sorted(folder.iterdir()), {}
for path in paths[:1]:
    read(path)  # imports
for path in paths:
    before = peak(reset=True)["VmRSS"]
    read(path)
    found[path.name] = (peak()["VmHWM"] - before) / 1024 - path.stat().st_size / 2**20
print(json.dumps(found))
"""


def checked_in_a_process(folder: pathlib.Path, limit: int) -> dict[str, float]:
    """Return the MiB that reading each file of a folder took beside its own bytes.

    Anything but a `ValueError` of one line ends the process, and fails.
    """
    command = [sys.executable, "-c", _SOURCE, str(folder), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
