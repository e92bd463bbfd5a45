"""A census on a real Slurm: jobs by executorlib, job arrays, jobs and drivers that are killed.

Run `pytest -m slurm tests/test_slurm.py` where Slurm and the extra `cluster` are installed.
"""

import pathlib
import subprocess
import sys
import time

import analyses
import pytest
import slurm
from test_census import network

import plrjax as plr

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(slurm.why_not() is not None, reason=slurm.why_not() or ""),
]

COUNT = 400
OPTIONS = 'partition = "p"\ngpus = 1\njobs = 2\n'
TEMPLATE = """#!/bin/bash
#SBATCH --output=time.out
#SBATCH --job-name={{job_name}}
#SBATCH --chdir={{working_directory}}
#SBATCH --gpus=1
{{command}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The environment of the clients of a Slurm."""
    with slurm.slurm(tmp_path_factory.mktemp("slurm") / "node") as environment:
        yield environment


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> pathlib.Path:
    """A folder with 400 networks, their manifest, and the census of one process."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "nets").mkdir()
    lines = ["file,group"]
    for number in range(COUNT):
        plr.save(folder / "nets" / f"n{number}.npz", network(-2.0 + 0.01 * number))
        lines.append(f"nets/n{number}.npz,{number % 3}")
    (folder / "nets.csv").write_text("\n".join(lines) + "\n")
    (folder / "slurm.toml").write_text(OPTIONS)
    ran = subprocess.run([*command("serial")], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return folder


def command(out: str, *more: str) -> list[str]:
    options = "cycles @nets.csv --periods 1:2 --solver exhaustive --out"
    return [sys.executable, "-m", "plrjax", *options.split(), out, *more]


BY_JOBS = ("--executor", "slurm", "--executor-options", "slurm.toml")


def check_same(work: pathlib.Path, out: str) -> None:
    """Both censuses have the same results, bit for bit, and the same rows but for times."""
    expected, found = (plr.Census.load(work / name) for name in ("serial", out))
    assert len(found.rows) == COUNT and found.num_failed == 0
    for one, other in zip(found.rows, expected.rows):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert list(found) == list(expected)
    assert not list((work / out).rglob("*.tmp"))


def test_jobs_by_executorlib(cluster, work):
    pytest.importorskip("executorlib")
    done = subprocess.run(
        command("jobs", *BY_JOBS), cwd=work, env=cluster, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    check_same(work, "jobs")


def test_a_job_array(cluster, work):
    line = " ".join(command("array", "--shard", "$SLURM_ARRAY_TASK_ID/4"))
    submitted = ["sbatch", "--wait", "--array=0-3", "--gpus=1", "--wrap", line]
    done = subprocess.run(submitted, cwd=work, env=cluster, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    status = [sys.executable, "-m", "plrjax", "census"]
    told = subprocess.run([*status, "status", "array"], cwd=work, capture_output=True, text=True)
    assert told.stdout == "400 networks: 400 done, 0 failed, 0 missing\n" and not told.returncode
    assert subprocess.run([*status, "collect", "array"], cwd=work).returncode == 0
    assert (work / "array" / "table.csv").exists()
    check_same(work, "array")


def jobs(cluster) -> list[str]:
    """Return the numbers of the jobs that run."""
    told = subprocess.run(
        ["squeue", "-h", "-t", "R", "-o", "%i"], env=cluster, capture_output=True, text=True
    )
    return told.stdout.split()


def test_killed_jobs_and_drivers(cluster, work):
    """One job is cancelled, one worker and the driver are killed; the same command goes on."""
    pytest.importorskip("executorlib")
    driver = subprocess.Popen(
        command("killed", *BY_JOBS), cwd=work, env=cluster, stderr=subprocess.DEVNULL
    )
    rows = work / "killed" / "rows"
    deadline = time.monotonic() + 120
    while not (rows.is_dir() and list(rows.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    running = jobs(cluster)
    subprocess.run(["scancel", *running[:1]], env=cluster, check=True)
    subprocess.run(["pkill", "-9", "-f", "executorlib/backend"], check=False)
    time.sleep(2)
    driver.kill()
    driver.wait()
    subprocess.run(["scancel", "--user=root"], env=cluster, check=True)
    done = len(list(rows.glob("*.json")))
    assert done < COUNT
    again = subprocess.run(
        command("killed", *BY_JOBS), cwd=work, env=cluster, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    check_same(work, "killed")


def test_a_cancelled_job_is_tried_again(cluster, work, tmp_path, monkeypatch):
    """Through the library, with an executor of one's own; each job sees its device."""
    executorlib = pytest.importorskip("executorlib")
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster[name])
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parent))
    resources = {"cores": 1, "submission_template": TEMPLATE}
    models = [network(1.0 + number) for number in range(24)]
    cancelled: list[str] = []

    class Cancelling(plr.NoProgress):
        def update(self, share, note=""):
            if not cancelled and (running := jobs(cluster)):
                subprocess.run(["scancel", running[0]], env=cluster, check=True)
                cancelled.extend(running[:1])

    with executorlib.SlurmClusterExecutor(
        cache_directory=str(tmp_path / "cache"), resource_dict=resources
    ) as executor:
        found = plr.census(
            models, analyses.slow, executor=executor, out=tmp_path / "out", progress=Cancelling()
        )
    assert [row["norm"] for row in found.rows] == list(range(1, 25)) and cancelled
    assert {row["device"] for row in found.rows} <= {"0", "1"}


def test_a_job_that_is_told_its_time_is_over(cluster, work):
    """USR1 before the limit: what is done is kept, the exit code says so, the rest follows."""
    line = " ".join(["exec", *command("late", "--max-seconds", "3600")])
    submitted = ["sbatch", "--parsable", "--wrap", line]
    started = subprocess.run(submitted, cwd=work, env=cluster, capture_output=True, text=True)
    number, rows = started.stdout.strip(), work / "late" / "rows"
    deadline = time.monotonic() + 120
    while not (rows.is_dir() and list(rows.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    subprocess.run(["scancel", "--batch", "--signal=USR1", number], env=cluster, check=True)
    while jobs(cluster) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "what was done until then is kept" in (work / f"slurm-{number}.out").read_text()
    assert 0 < len(list(rows.glob("*.json"))) < COUNT
    assert subprocess.run(command("late"), cwd=work, capture_output=True).returncode == 0
    check_same(work, "late")
