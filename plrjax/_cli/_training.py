"""What `plrjax train` does once its options are checked."""

import dataclasses
import functools
import json
import pathlib
import sys
from typing import Any

import filelock
import jax
import jax.random as jr
import numpy as np

from .. import AbstractProgress, NoProgress, RunFolder, TrainingRun, fit
from .._arguments import is_whole
from .._files import NOT_WRITTEN, plrjax_version
from .._io import CHECKPOINT, CONFIG, RunWriter, open_run
from .._json import plain
from .._results import RESULTS
from ..training import L2
from . import _training_parts as parts
from ._common import EXIT, complain, exit_code, key_of, say
from ._train_options import GATED, TrainOptions

_LOCK = ".lock"
"""File in the folder of a run that the process holds which trains there."""


def train(options: TrainOptions) -> EXIT:
    """Train, keep the folder, and say what came out."""
    try:
        folder, run = trained(options)
    except TimeoutError as error:
        text = f"--out: another process trains {options.out}; wait for it, or take another folder"
        raise ValueError(text) from error
    return _say_outcome(options, folder, run)


def trained(
    options: TrainOptions, progress: AbstractProgress | None = None, patience: float = 0.0
) -> tuple[RunFolder, TrainingRun]:
    """Train, or go on, and keep the folder.

    **Arguments:** `patience`: seconds to wait where another process trains in the folder; -1: for
    as long as it does.

    **Raises:** `TimeoutError` where it still does then.
    """
    options = _with_rate(options)
    keys = jr.split(key_of(options.seed), 4)
    data, test, config = _series(options)
    folder = open_run(str(options.out), config)
    data, test = folder.in_units(data), None if test is None else folder.in_units(test)
    with filelock.FileLock(folder.path / _LOCK, timeout=patience, poll_interval=0.5):
        return folder, _train_in(folder, options, data, test, keys, progress)


def _train_in(
    folder: RunFolder,
    options: TrainOptions,
    data: np.ndarray,
    test: np.ndarray | None,
    keys: Any,
    progress: AbstractProgress | None,
) -> TrainingRun:
    """Train, or go on, in a folder that no other process trains in."""
    training = _training(options, data, keys, folder)
    writer = RunWriter(
        folder,
        num_steps=options.resolved()["num_steps"],
        log_every=options.log_every,
        snapshot_every=options.resolved()["snapshot_every"],
        measures=parts.measures_of(options, data, test, keys[3]),
    )
    done = folder.num_steps
    writer.rewind(done)
    if done:  # with that many updates in all, `fit` restores the record and takes none
        if progress is None:
            say(f"plrjax: going on from update {done} of {options.out}", sys.stderr)
        writer(training(num_steps=done, progress=NoProgress()).record)
    run = training(callbacks=[writer], max_seconds=options.max_seconds, progress=progress)
    writer.finish(run)
    return run


def _with_rate(options: TrainOptions) -> TrainOptions:
    """Return the options with the fall of the learning rate that a run began with."""
    if options.rate_steps is not None or not (pathlib.Path(str(options.out)) / CONFIG).exists():
        return options
    settings = RunFolder(str(options.out)).config.get("settings")
    steps = settings.get("rate_steps") if isinstance(settings, dict) else None
    return dataclasses.replace(options, rate_steps=steps) if is_whole(steps) else options


def _series(options: TrainOptions) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Return training and test data, and everything that repeats the run."""
    data, facts = parts.read_series("DATA", options.data, options.gaps)
    test, more = None, None
    if options.test is not None:
        test, more = parts.read_series("--test", options.test, options.gaps)
        if test.shape[1] != data.shape[1]:
            raise ValueError(
                f"--test: expected {data.shape[1]} variables as in DATA, got {test.shape[1]}"
            )
    if len(data) <= options.sequence_length:
        raise ValueError(
            f"--sequence-length: expected at most {len(data) - 1}, because DATA has {len(data)} "
            f"rows, got {options.sequence_length}"
        )
    states = {"state_size": parts.state_size(options, data.shape[1])}
    settings = options.resolved() | ({} if options.kind in GATED else states)
    config = {
        "versions": {"plrjax": plrjax_version(), "jax": jax.__version__, "numpy": np.__version__},
        "data": facts,
        "test": more,
        "standardization": parts.standardization(data) if options.standardize else None,
        "networks": {"kind": options.kind, **states, **options.size()},
        "settings": settings,
    }
    return data, test, config


def _training(options: TrainOptions, data: np.ndarray, keys, folder: RunFolder):
    """Return `fit` with all but callbacks and time limit."""
    model, observation = parts.networks(options, data, keys)
    return functools.partial(
        fit,
        model,
        data,
        key=keys[2],
        forcing=parts.forcing_of(options),
        observation_model=observation,
        optimizer=parts.optimizer_of(options),
        regularizers=[L2(options.l2)] if options.l2 else [],
        num_steps=options.resolved()["num_steps"],
        sequence_length=options.sequence_length,
        batch_size=options.batch_size,
        checkpoint=folder.path / CHECKPOINT,
        checkpoint_seconds=options.checkpoint_seconds,
        throw=False,
    )


def _say_outcome(options: TrainOptions, folder: RunFolder, run: TrainingRun) -> EXIT:
    """Print what came out, and return the exit code."""
    metrics = folder.metrics
    last = {name: column[-1] for name, column in metrics.items()} if len(metrics["step"]) else {}
    say(str(run), sys.stderr if options.json else None)
    if options.json:
        facts = {"run": options.out, "seed": options.seed, "result": run.result.name}
        facts |= {"num_steps": run.num_steps, "notes": list(run.notes), "last_row": last}
        say(json.dumps(plain(facts), allow_nan=False))
    else:
        shown = (f"{k} {v:.4g}" for k, v in last.items() if v == v)
        say(f"last row of {options.out}/metrics.csv: " + ", ".join(shown))
    total = options.resolved()["num_steps"]
    code = exit_code(run.result)
    if any(NOT_WRITTEN in note for note in run.notes):
        return EXIT.failure
    if run.result is RESULTS.not_finite:
        complain(f"training diverged; the last finite network is {options.out}/model.npz")
    elif code != EXIT.finished:
        complain(
            f"{run.result.message} {run.num_steps} of {total} updates are done; go on with: plrjax "
            f"train {options.out}"
        )
    return code
