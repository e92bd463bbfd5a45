"""The executor that --workers or --executor names, opened for the time of a command."""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from typing import Any

from ._common import read_toml

_OPTION = re.compile(r"[a-z][a-z-]*")


def check_engine(command) -> None:
    """Refuse engines that do not exist, before any work.

    **Raises:** `ValueError` in words of the command line.
    """
    if command.workers < 1:
        raise ValueError(f"--workers: expected a positive integer, got {command.workers}")
    if command.executor is not None:
        if command.workers > 1:
            raise ValueError("--workers: goes without --executor")
        kind, _, rest = command.executor.partition(":")
        fits = {
            "slurm": not rest,
            "dask": bool(rest),
            "processes": bool(re.fullmatch(r"[1-9]\d*", rest)),
        }
        if not fits.get(kind, False):
            raise ValueError(
                f"--executor: expected slurm, dask:ADDRESS or processes:N, got {command.executor!r}"
            )
    if command.executor_options is not None and command.executor != "slurm":
        raise ValueError("--executor-options: only meaningful with --executor slurm")
    shard_of(command)
    if command.executor == "slurm":
        _template(*_options(command.executor_options)[1:])


def shard_of(command) -> tuple[int, int] | str | None:
    """Return the shard as the library takes it.

    **Raises:** `ValueError` naming --shard.
    """
    if command.shard is None or command.shard == "array":
        return command.shard
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", command.shard)
    if match is None or not int(match[1]) < int(match[2]):
        raise ValueError(f"--shard: expected I/N with 0 <= I < N, or array, got {command.shard!r}")
    return int(match[1]), int(match[2])


@contextlib.contextmanager
def engine_of(command, folder: str | None) -> Iterator[Any]:
    """Give what `executor=` takes: None, a number of processes, or an executor.

    **Raises:** `ImportError` naming the package that is missing; `ValueError` where a cluster
    cannot be reached.
    """
    kind, _, rest = (command.executor or "").partition(":")
    if kind == "slurm":
        with _slurm(command, folder) as executor:
            yield executor
    elif kind == "dask":
        with _dask(rest) as executor:
            yield executor
    else:
        count = int(rest) if kind == "processes" else command.workers
        yield count if count > 1 or kind else None


@contextlib.contextmanager
def _dask(address: str) -> Iterator[Any]:
    from .._arguments import require

    distributed = require("distributed", "cluster", "--executor dask")
    where = {"scheduler_file": address} if os.path.exists(address) else {"address": address}
    try:
        client = distributed.Client(**where, timeout=20, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(f"--executor: no Dask scheduler answers at {address}: {error}") from error
    with client:
        count = len(client.scheduler_info(n_workers=-1)["workers"])
        executor = client.get_executor()
        executor._max_workers = max(count, 1)
        yield executor


@contextlib.contextmanager
def _slurm(command, folder: str | None) -> Iterator[Any]:
    """Give executorlib's executor: one job for each tile, with a template of our own."""
    from .._arguments import require

    executorlib = require("executorlib", "cluster", "--executor slurm")
    jobs, setup, options = _options(command.executor_options)
    place = os.path.join(os.path.abspath(folder or "."), "slurm", secrets.token_hex(8))
    resources = {"cores": 1, "submission_template": _template(setup, options)}
    executor = executorlib.SlurmClusterExecutor(
        cache_directory=place, resource_dict=resources, wait=False
    )
    executor._max_workers = jobs
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(place, ignore_errors=True)


def _options(path: str | None) -> tuple[int, list[str], dict[str, Any]]:
    """Return how many jobs at once, lines of setup, and options of sbatch.

    **Raises:** `ValueError` naming --executor-options.
    """
    if path is None:
        return 16, [], {}
    found = read_toml(path, "--executor-options")
    jobs, setup = found.pop("jobs", 16), found.pop("setup", [])
    if type(jobs) is not int or jobs < 1:
        raise ValueError(f"--executor-options: jobs: expected a positive integer, got {jobs!r}")
    if not isinstance(setup, list) or not all(isinstance(line, str) for line in setup):
        raise ValueError("--executor-options: setup: expected a list of lines of shell")
    return jobs, setup, found


def _template(setup: list[str], options: dict[str, Any]) -> str:
    """Return the script of a job, as executorlib fills it in.

    **Raises:** `ValueError` naming --executor-options.
    """
    lines = []
    for name, value in options.items():
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        if not _OPTION.fullmatch(name) or isinstance(value, dict | list) or "\n" in text:
            raise ValueError(
                f"--executor-options: {name}: expected an option of sbatch and a value"
            )
        lines.append(f"#SBATCH --{name}" + ("" if value is True else f"={text}"))
    head = [
        "#!/bin/bash",
        "#SBATCH --output=time.out",
        "#SBATCH --job-name={{job_name}}",
        "#SBATCH --chdir={{working_directory}}",
    ]
    return "\n".join([*head, *lines, "", *setup, "{{command}}"]) + "\n"
