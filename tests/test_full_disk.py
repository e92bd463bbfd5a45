"""Nothing can be written: what was computed is printed, and one line names the path."""

import errno
import os
import subprocess
import sys
import textwrap

import jax.random as jr
import numpy as np
import pytest
from command import main

import plrjax as plr
from plrjax import RESULTS

KEY = jr.key(0)
MODEL = plr.from_arrays("plrnn", A=[0.5, 0.5], W=[[0.0, -1.0], [0.5, 0.0]], h=[0.4, -1.0])
FULL = "{}: No space left on device"


def _no_room(number):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full(monkeypatch):
    """Let no file find room on the disk."""
    monkeypatch.setattr(os, "fsync", _no_room)


def test_results_are_printed(tmp_path, full, capsys):
    pytest.importorskip("matplotlib")
    files = [str(tmp_path / name) for name in ("a.npz", "a.png")]
    command = ["cycles", "--periods", "1", "--solver", "exhaustive"]
    assert main([*command, "--out", files[0], "--plot", files[1]]) == 1
    printed = capsys.readouterr()
    assert "coverage:" in printed.out
    told = [line for line in printed.err.splitlines() if "No space" in line]
    assert told == [f"plrjax: {FULL.format(file)}" for file in files]
    assert not list(tmp_path.iterdir())


def test_a_scan_goes_on(tmp_path, monkeypatch, capsys):
    axes = [plr.Axis("A", (0, 0), -0.5, 0.9, 4)]
    plr.scan_parameters(MODEL, axes, plr.CycleCounts([1]), checkpoint=tmp_path, tile=1)
    for path in tmp_path.glob("tile*"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _no_room)
        found = plr.scan_parameters(MODEL, axes, plr.CycleCounts([1]), checkpoint=tmp_path, tile=1)
    assert found.done.all() and found.result is RESULTS.successful
    assert FULL.format(tmp_path / "tile_000000.npz") in found.notes[0]
    assert "tiles could not be written" in found.notes[0]


def test_training_goes_on(tmp_path, full):
    series = np.sin(0.1 * np.arange(300.0, dtype=np.float32))[:, None] * np.ones(2, np.float32)
    file = tmp_path / "run.npz"
    run = plr.fit(
        MODEL, series, key=KEY, num_steps=300, sequence_length=10, batch_size=2,
        checkpoint=file, checkpoint_seconds=1e-6,
    )  # fmt: skip
    assert run.result is RESULTS.successful and run.num_steps == 300
    assert run.notes == (f"checkpoint could not be written ({FULL.format(file)})",)


def test_a_complete_search_goes_on(tmp_path, full):
    paths = [tmp_path / name for name in ("search.json", "certificate.json")]
    solver = plr.BranchAndBound(rigorous=True, checkpoint=paths[0], certificate=paths[1])
    found = plr.find_cycles(MODEL, [1, 2], solver=solver)
    assert found.coverage is plr.COVERAGE.certified
    told = [note for note in found.notes if "could not be written" in note]
    assert len(told) == 2
    assert all(any(FULL.format(path) in note for note in told) for path in paths)


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
@pytest.mark.parametrize("kilobytes", [4, 70])
def test_compiled_loops_are_used_though_they_cannot_be_kept(kilobytes, tmp_path):
    """Nothing fits, or what probes the folder does and compiled code does not."""
    module = tmp_path / "loop.py"
    module.write_text(
        textwrap.dedent("""
            from plrjax import _compiled
            @_compiled.compiled("float64(float64)")
            def twice(x):
                return 2 * x
            @_compiled.compiled("float64(float64)")
            def thrice(x):
                return 3 * x
            print(twice(1.5), thrice(1.5))
        """)
    )
    limit = f'trap "" XFSZ; ulimit -f {0 if kilobytes == 4 else kilobytes}; exec "$@"'
    outside = {"TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | outside
    ran = subprocess.run(
        ["bash", "-c", limit, "bash", sys.executable, str(module)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert ran.stdout.split() == ["3.0", "4.5"], ran.stderr
    assert ran.stderr.count("Warning: plrjax: compiled code") == (kilobytes == 4)
