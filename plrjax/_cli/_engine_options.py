"""Where the pieces of a command's work are done."""

import dataclasses
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class EngineOptions:
    """Options of commands whose work falls into pieces."""

    workers: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Processes on this machine, each with its own device and its share of the cores."""
    executor: Annotated[str | None, tyro.conf.arg(metavar="ENGINE")] = None
    """Where the pieces are done: slurm, dask:ADDRESS or processes:N."""
    executor_options: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """With --executor slurm: a .toml file with options of sbatch (partition = "gpu", gpus = 1),
    `setup` (lines of shell before each job) and `jobs` (how many at once)."""
    shard: Annotated[str | None, tyro.conf.arg(metavar="I/N|array")] = None
    """Do every N-th piece of the work from the I-th on, I from 0; array: the share of this task of
    a Slurm job array."""
