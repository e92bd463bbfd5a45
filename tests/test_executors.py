"""Every executor gives what one process gives; workers that die cost nothing but time."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import analyses
import jax.random as jr
import numpy as np
import pytest
from test_census import network, numbers

import plrjax as plr
from plrjax import RESULTS

QUIET = plr.NoProgress()
MODELS = [network(1.0 + number) for number in range(7)]


def without_seconds(found: plr.Census) -> list[dict]:
    return [{**row, "seconds": 0} for row in found.rows]


def test_processes_threads_and_one_process_agree(tmp_path):
    call: dict[str, Any] = dict(
        networks=MODELS, analysis=analyses.with_key, key=jr.key(1), progress=QUIET
    )
    alone = plr.census(**call)
    assert without_seconds(plr.census(**call, executor=2)) == without_seconds(alone)
    with ThreadPoolExecutor(3) as threads:
        found = plr.census(**call, executor=threads, out=tmp_path / "threads")
        assert threads.submit(int).result() == 0, "what the caller gave stays open"
    assert without_seconds(found) == without_seconds(alone) and len(found) == 7
    with pytest.raises(ValueError, match="out: expected a folder that all workers see"):
        plr.census(**call, executor=threads)


def test_results_come_back_from_processes():
    call: dict[str, Any] = dict(
        networks=MODELS[:2], analysis=plr.find_cycles, periods=1, progress=QUIET
    )
    call |= dict(solver=plr.Exhaustive())
    assert list(plr.census(**call, executor=1)) == list(plr.census(**call))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be pinned here")
def test_workers_have_their_own_device_and_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    rows = plr.census(MODELS, analyses.where, executor=2, progress=QUIET).rows
    workers = {row["process"]: (row["device"], row["cores"]) for row in rows}
    assert os.getpid() not in workers and {one[0] for one in workers.values()} <= {"4", "7"}
    if len(workers) == 2 and len(os.sched_getaffinity(0)) > 1:
        (a, b) = workers.values()
        assert a[0] != b[0] and a[1] != b[1]


def test_a_worker_that_dies_is_replaced(tmp_path):
    call: dict[str, Any] = dict(analysis=analyses.deadly, folder=str(tmp_path), progress=QUIET)
    found = plr.census(MODELS, **call, executor=2)
    assert numbers(found, "value") == [1, 2, 3, 4, 5, 6, 7] and (tmp_path / "died").exists()


def test_a_network_that_always_kills_its_worker_is_a_row(tmp_path):
    models = [*MODELS[:1], network(1e4), *MODELS[2:4]]
    call: dict[str, Any] = dict(analysis=analyses.deadly, folder=str(tmp_path), progress=QUIET)
    found = plr.census(models, **call, executor=1)
    assert numbers(found, "value") == [1, None, 3, 4] and found.num_failed == 1
    assert "BrokenProcessPool" in found.rows[1]["error"] and "3 times" in found.rows[1]["error"]


def test_others_are_not_blamed_for_a_network_that_kills(tmp_path):
    """It is in the middle of a tile, others are in flight: it alone is a row with an error."""
    models = [network(3.0 + number) for number in range(30)]
    models[11] = network(1e4)
    call: dict[str, Any] = dict(analysis=analyses.deadly, folder=str(tmp_path), progress=QUIET)
    found = plr.census(models, **call, executor=2)
    assert [row["number"] for row in found.rows if row.get("error")] == [11]
    assert "3 times" in found.rows[11]["error"] and len(found.rows) == 30


def test_an_executor_where_nothing_works(tmp_path):
    class Broken(ThreadPoolExecutor):
        def submit(self, *_, **__):
            return super().submit(int, "no number")

    with Broken(1) as broken, pytest.raises(RuntimeError, match="no piece of work could be done"):
        plr.census(MODELS, analyses.norm, executor=broken, out=tmp_path, progress=QUIET)


def test_ctrl_c_ends_the_workers(tmp_path, ctrl_c):
    """What runs is given up at once, what is done is kept, and the same call goes on."""
    call: dict[str, Any] = dict(
        analysis=analyses.slow, out=tmp_path / "out", executor=1, progress=QUIET
    )

    def press():
        rows = tmp_path / "out" / "rows"
        while not (rows.is_dir() and list(rows.glob("*.json"))):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    found = plr.census(MODELS, **call, seconds=0.2)
    thread.join()
    assert found.result is RESULTS.interrupted and 0 < len(found.rows) < 7
    whole = plr.census(MODELS, **call, seconds=0.2)
    assert numbers(whole, "norm") == [1, 2, 3, 4, 5, 6, 7] and whole.result is RESULTS.successful


def test_a_scan_on_processes(tmp_path):
    axes = [plr.Axis("A", (0, 0), 0.1, 0.9, 8), plr.Axis("W", (0, 1), -1.0, 1.0, 6)]
    call: dict[str, Any] = dict(axes=axes, measures=plr.CycleCounts([1]), tile=4, progress=QUIET)
    here = plr.scan_parameters(network(1.0), **call)
    away = plr.scan_parameters(network(1.0), **call, executor=2)
    np.testing.assert_array_equal(away.numbers, here.numbers)
    with pytest.raises(ValueError, match="measures: cannot be sent"):
        lock = threading.Lock()
        plr.scan_parameters(network(1.0), axes[:1], lambda model: id(lock), executor=2)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="checkpoint: expected a"):
        plr.scan_parameters(network(1.0), axes[:1], plr.CycleCounts([1]), executor=pool)


@pytest.mark.parametrize(
    "task, least, count, message",
    [(7, 3, 2, "evenly spaced"), ("x", 0, 2, "expected a Slurm job array")],
)
def test_job_arrays_that_are_no_share(monkeypatch, tmp_path, task, least, count, message):
    for name, value in (("ID", task), ("MIN", least), ("COUNT", count)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    with pytest.raises(ValueError, match=f"shard: .*{message}"):
        plr.census(MODELS, analyses.norm, out=tmp_path, shard="array")


def test_the_share_of_a_job_array(monkeypatch, tmp_path):
    names = ("ID", "MIN", "COUNT", "STEP")
    for name, value in zip(names, (7, 3, 3, 2)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    found = plr.census(MODELS, analyses.norm, out=tmp_path, shard="array", progress=QUIET)
    assert numbers(found, "number") == [2, 5]


_DRIVER = """
import sys
sys.path.insert(0, {tests!r})
import analyses, plrjax as plr
from test_census import network
if __name__ == "__main__":
    models = [network(1.0 + number) for number in range(40)]
    plr.census(models, analyses.slow, seconds=0.05, out={out!r}, executor={executor})
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_kill_minus_nine_of_drivers_and_workers(tmp_path):
    """Two drivers on one folder, killed with their workers again and again: nothing is torn."""
    out = tmp_path / "out"
    text = _DRIVER.format(tests=str(pathlib.Path(__file__).parent), out=str(out), executor=2)
    script = tmp_path / "driver.py"
    script.write_text(text)
    for patience in (0.3, 0.6, 0.9):
        drivers = [subprocess.Popen([sys.executable, script]) for _ in range(2)]
        begun = time.monotonic()
        while not list(out.glob("rows/*.json")) and time.monotonic() < begun + 60:
            time.sleep(0.02)
        time.sleep(patience)
        for driver in drivers:
            driver.kill()
        for driver in drivers:
            driver.wait()
    found = plr.census(
        [network(1.0 + number) for number in range(40)], analyses.slow, seconds=0.05, out=out,
        progress=QUIET,
    )  # fmt: skip
    assert numbers(found, "norm") == list(range(1, 41)) and found.result is RESULTS.successful
    assert not list(out.rglob("*.tmp"))


def test_dask(tmp_path):
    """400 networks on two worker processes; one is killed on the way."""
    distributed = pytest.importorskip("distributed", reason="extra cluster is not installed")
    models = [network(1.0 + number) for number in range(400)]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        pids = list(client.run(os.getpid).values())
        threading.Timer(2.0, os.kill, (pids[0], signal.SIGKILL)).start()
        executor, out = client.get_executor(), tmp_path / "dask"
        call: dict[str, Any] = dict(analysis=analyses.slow, seconds=0.02, progress=QUIET)
        found = plr.census(models, **call, executor=executor, out=out)
    assert numbers(found, "norm") == list(range(1, 401)) and found.num_failed == 0


def test_workers_import_plugins(tmp_path, monkeypatch):
    """A reader that a plugin registers works in processes of their own, too."""
    (tmp_path / "odd_reader.py").write_text(
        "import pathlib, plrjax as plr\n"
        "plr.register_reader('.odd', lambda path: plr.load(pathlib.Path(path).read_text()))\n"
    )
    plr.save(tmp_path / "net.npz", MODELS[2])
    (tmp_path / "net.odd").write_text(str(tmp_path / "net.npz"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PLRJAX_PLUGINS", "odd_reader")
    found = plr.census(str(tmp_path / "net.odd"), analyses.norm, executor=1, progress=QUIET)
    assert numbers(found, "value") == [3]


def test_what_a_prompt_defines_is_sent():
    text = """
import numpy as np, plrjax as plr
models = [plr.from_arrays("plrnn", A=[a], W=[[0]], h=[1]) for a in (0.25, 0.5)]
shift = 1.0
def shifted(model):
    return float(model.A[0]) + shift
print([row["value"] for row in plr.census(models, shifted, executor=1).rows])
axis = plr.Axis("A", (0,), 0.25, 0.5, 2)
print(plr.scan_parameters(models[0], axis, lambda model: model.A[0] + shift, executor=1).numbers)
"""
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert ran.stdout.splitlines() == ["[1.25, 1.5]", "[[1.25]", " [1.5 ]]"], ran.stderr
