"""The benchmark of accelerators at tiny size; a second CPU device plays one."""

import dataclasses
import pathlib
import sys

import jax
import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import device, device_run, lyapunov
from benchmarks.device_run import Cell, Row, Run, Work
from plrjax.cycles._solver import _newton_step
from plrjax.cycles._solver._newton_step import Layout


@pytest.fixture
def tiny(monkeypatch):
    """Small systems, one sample each, and GMRES from ten states on."""
    for module in (_newton_step, device):
        monkeypatch.setattr(module, "KRYLOV_SIZE", 10)
    sizes = {"CANDIDATES": ((2, 1), (10, 2), (10, 4)), "PIVOTS": (6,), "NARROW": {6: 16}}
    sizes |= {"EXPONENTS": {2: 16}, "UPDATES": 2, "LARGEST_MATMUL": 128, "CPU_CURVES": 16}
    for name, value in sizes.items():
        monkeypatch.setattr(device, name, value)
    task = device.training.TASKS["plrnn-stf"]
    task = dataclasses.replace(task, state_size=4, batch_size=2, sequence_length=20)
    monkeypatch.setattr(device.training, "TASKS", {"plrnn-stf": task})
    monkeypatch.setattr(lyapunov, "_SAMPLE", 0.0)
    monkeypatch.setattr(device_run, "SAMPLE_SECONDS", 1e-3)
    monkeypatch.setattr(device_run, "MOST_SAMPLES", 1)
    monkeypatch.setattr(Run, "give_up", lambda run: None)  # it ends the process


@pytest.fixture
def second(monkeypatch):
    """Return the device that plays the accelerator."""
    if len(jax.devices("cpu")) < 2:
        pytest.skip("needs two CPU devices")
    found = jax.devices("cpu")[1]
    monkeypatch.setattr(device_run, "accelerator", lambda: found)
    return found


def lines(text: str) -> list[dict[str, str]]:
    """Return the rows of the table by columns; columns of one name are numbered."""
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| ")]
    assert {len(row) for row in rows[:2]} == {len(device_run.HEAD)}
    names = [name if n != 4 else "of the CPU's peak" for n, name in enumerate(rows[0])]
    return [dict(zip(names, row)) for row in rows[2:]]


def positive(cell: str) -> bool:
    return float(cell.replace(",", "").removesuffix(" %")) > 0


@pytest.mark.slow
def test_all_rows_on_both_devices(tiny, second, tmp_path, capsys, monkeypatch):
    used = []

    def call(work):
        used.append({d for x in jax.tree.leaves(work.call()) for d in getattr(x, "devices", set)()})
        return work

    plain = device_run.measured
    monkeypatch.setattr(
        device_run, "measured", lambda make, *others: plain(lambda: call(make()), *others)
    )
    device.main(["--out", str(tmp_path / "table.md")])
    shown = capsys.readouterr().out
    assert (tmp_path / "table.md").read_text() == shown
    assert "against one core of" in shown.splitlines()[0]
    table = {row["measured, per second"]: row for row in lines(shown)}
    assert len(table) == 1 + 3 + 2 + 2 + 1
    for name, row in table.items():
        assert positive(row["accelerator"]) and positive(row["CPU, XLA"]), row
        assert positive(row["accelerator / CPU"]) and positive(row["row, s"])
        assert positive(row["of its peak"]) if name.startswith("candidates") else True
        looped = name.startswith("pivots") or "M=10" in name
        assert (row["CPU, loop"] != "-") == looped, row
    assert "GMRES" in table["candidates, M=10, k=4"]["notes"]
    assert table["pivots, M=6"]["CPU, loop"] == table["pivots, M=6, 16 lanes"]["CPU, loop"]
    assert {second} in used and {jax.devices("cpu")[0]} in used
    assert all(len(one) <= 1 for one in used)


def test_time_that_is_over_and_memory_that_is_missing(tiny, capsys, monkeypatch):
    """Nothing runs, all rows say why; without an accelerator the first line does."""
    device.main(["--seconds", "0.5"])
    shown = capsys.readouterr().out
    assert shown.startswith("No accelerator found")
    table = lines(shown)
    assert len(table) == 1 + 3 + 1 + 1 + 1
    assert all("s left" in row["notes"] and row["CPU, XLA"] == "-" for row in table)
    monkeypatch.setattr(device_run, "free_bytes", lambda device: 1000.0)
    device.main([])
    table = lines(capsys.readouterr().out)
    assert all("skipped: would take" in row["notes"] for row in table)


@pytest.mark.parametrize(
    "error, why",
    [
        (RuntimeError("RESOURCE_EXHAUSTED: too much"), "failed: out of memory"),
        (ValueError("no such\nthing"), "failed: ValueError: no such"),
    ],
)
def test_a_row_that_fails_says_so(error, why, tmp_path):
    def fail(device):
        raise error

    run = Run(60.0, device.time.perf_counter(), set(), None)
    failed, good = Row("bad", fail), Row("good", lambda device: Work(lambda: None, 3))
    assert run.row(failed, 2)[1] == Cell(notes=(why,))
    assert run.row(good, 1)[1].rate > 0


def test_operations_of_a_candidate():
    """By hand: two products of 2 x 2 by 2 x 3, a solution, and two steps of the orbit."""
    layout = Layout(2, 2, 16, 1, 8, True, True)
    assert device.flops(layout, 2, 0.0) == 2 * 24 + 16 / 3 + 8 + 2 * 8
    krylov = Layout(100, 100, 16, 1, 8, True, True, krylov=True)
    assert device.flops(krylov, 4, 10.0) == 12 * 4 * 20_000 + 4 * 100 * 100
    assert device.flops(krylov, 4, float("inf")) == 0
