"""Several networks on the same data: one program, one after the other, or on any executor."""

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax

from .._arguments import checked_key
from .._dynamics import AbstractDynamics
from .._executors import Numbered, check_executor, run_pieces
from .._host import on_host
from .._job import deadline_of, job
from .._parcels import Shared, check_sendable
from .._progress import AbstractProgress, NoProgress
from .._results import RESULTS
from ._engine import Carry, Recipe
from ._fit import Settings, check_begun, first_carry, listed, prepared
from ._loop import Loop, run_loops
from ._records import Callback, TrainingRun
from ._windows import Series

_GRACE = 60.0
"""Seconds after the time limit that runs on an executor have to hand over what they did."""


@on_host()
def fit_many(
    models: Sequence[AbstractDynamics],
    observations: Any = None,
    *,
    keys: Any,
    callbacks: Sequence[Sequence[Callback]] | None = None,
    checkpoints: Sequence[Any] | None = None,
    checkpoint_seconds: float | int = 30.0,
    together: bool | None = None,
    executor: Any = None,
    num_steps: int = 25_000,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
    **settings: Any,
) -> list[TrainingRun]:
    """Train several networks of one architecture on the same data, as `fit` does each of them.

    **Arguments:**

    - `models`: the networks to begin with, of the same shapes.
    - `observations`, `num_steps`, `checkpoint_seconds`, `max_seconds` (for all together), `throw`,
        `progress` and other `settings`: as in `fit`.
    - `keys`: one for each network.
    - `callbacks`, `checkpoints`: for each network its callbacks, and its file.
    - `together`: all runs as one program (`jax.vmap`), else one after the other. By default
        together on accelerators: small networks leave most of one idle. On a CPU there is nothing
        to gain. Numbers agree up to rounding.
    - `executor`: a number of processes of this machine, each with its own device, or an executor of
        the `concurrent.futures` protocol. A run is trained as `fit` does it, and one whose worker
        dies is begun again, from its checkpoint where it has one. Callbacks are called there: what
        they write stays, what they remember does not.

    **Returns:** the runs, in the order of the networks. One that diverges does not stop the others.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where the first update of every
    run is not finite.
    """
    begun, models, deadline = time.perf_counter(), list(models), deadline_of(max_seconds)
    check_executor(executor)
    if executor is not None and together is not None:
        raise ValueError("together: goes without an executor, which trains each run by itself")
    keys = [checked_key(key) for key in keys]
    rows = [("keys", keys), ("callbacks", callbacks), ("checkpoints", checkpoints)]
    if checkpoints is not None and len(set(map(str, checkpoints))) < len(checkpoints):
        raise ValueError("checkpoints: expected another file for each network")
    for name, given in rows:
        if given is not None and len(given) != len(models):
            raise ValueError(
                f"{name}: expected one for each of {len(models)} networks, got {len(given)}"
            )
    if not models:
        raise ValueError("models: expected at least one network, got none")
    known = [field.name for field in dataclasses.fields(Settings)]
    for name in settings:
        if name not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}")
    first, series, recipe, notes = prepared(
        models[0], observations, num_steps, Settings(**settings)
    )
    starts = [first_carry(model, first.nets.observation, recipe) for model in models]
    for row, carry in enumerate(starts):
        if _kind(carry) != _kind(first):
            raise ValueError(f"models[{row}]: expected the type and shapes of models[0]")
    what = _Task(series, recipe, num_steps, checkpoint_seconds, tuple(notes))
    own = [[]] * len(models) if callbacks is None else [listed(each) for each in callbacks]
    files = [None] * len(models) if checkpoints is None else list(checkpoints)
    if executor is None:
        loops = [what.loop(*parts) for parts in zip(starts, keys, own, files)]
        _train_here(loops, together, progress, deadline)
        runs = [loop.finished(time.perf_counter() - begun) for loop in loops]
    else:
        check_sendable("callbacks", own, executor)
        for name in ("forcing", "optimizer", "regularizers", "loss"):
            check_sendable(name, getattr(recipe, name), executor)
        files = [file and os.path.abspath(file) for file in files]
        until = None if deadline is None else time.time() + deadline - time.perf_counter()
        shared = Shared(what)
        pieces = [
            _Training(shared, number, *parts, until)
            for number, parts in enumerate(zip(starts, keys, own, files))
        ]
        runs = _train_away(pieces, executor, progress, deadline)
    if throw and not any(run.num_steps for run in runs):
        check_begun(runs[0])
    return runs


@dataclasses.dataclass(frozen=True, eq=False)
class _Task:
    """What all runs have in common."""

    series: Series
    recipe: Recipe
    num_steps: int
    checkpoint_seconds: float | int
    notes: tuple[str, ...]

    def loop(self, carry: Carry, key: Any, callbacks: Sequence[Callback], file: Any) -> Loop:
        """Return one run, at its start."""
        seconds = self.checkpoint_seconds
        loop = Loop(
            carry, self.series, self.recipe, key, self.num_steps, callbacks, file, seconds
        )  # fmt: skip
        loop.notes += self.notes
        return loop


def _train_here(
    loops: list[Loop],
    together: bool | None,
    progress: AbstractProgress | None,
    deadline: float | None,
) -> None:
    side_by_side = jax.default_backend() != "cpu" if together is None else together
    for group in [loops] if side_by_side else [[loop] for loop in loops]:
        if deadline is not None and time.perf_counter() > deadline:
            group[0].result = RESULTS.budget_exhausted
            continue
        run_loops(group, progress, deadline)
        if group[0].result is RESULTS.interrupted:
            break


@dataclasses.dataclass(frozen=True, eq=False)
class _Training:
    """One run, for a worker.

    **Fields:** `until`: when it must end, in seconds since 1970, or None.
    """

    shared: Shared
    number: int
    carry: Carry
    key: Any
    callbacks: Sequence[Callback]
    file: Any
    until: float | None
    attempt: int = 0

    def loop(self) -> Loop:
        """Return the run, at its start."""
        return self.shared.value.loop(self.carry, self.key, self.callbacks, self.file)

    def __call__(self) -> TrainingRun:
        """Train until the end, or the time limit."""
        begun, loop = time.perf_counter(), self.loop()
        left = None if self.until is None else self.until - time.time()
        if left is None or left > 0:
            run_loops([loop], NoProgress(), deadline_of(left))
        else:
            loop.result = RESULTS.budget_exhausted
        return loop.finished(time.perf_counter() - begun)


def _train_away(
    pieces: list[_Training],
    executor: Any,
    progress: AbstractProgress | None,
    deadline: float | None,
) -> list[TrainingRun]:
    """Return all runs; those that were given up are as they were at the start."""
    found: dict[int, TrainingRun] = {}
    again = lambda number, attempt: dataclasses.replace(pieces[number], attempt=attempt)
    left = Numbered(range(len(pieces)), len(pieces), "run", again, found.__setitem__)
    with job(progress, "runs", None if deadline is None else deadline + _GRACE) as work:
        run_pieces(executor, left, work)
    for piece in pieces:
        if piece.number not in found:
            loop = piece.loop()
            loop.result = work.result
            found[piece.number] = loop.finished(0.0)
    return [found[piece.number] for piece in pieces]


def _kind(carry: Carry) -> Any:
    """Return what runs must share to be one program."""
    arrays, rest = eqx.partition(carry, eqx.is_array)
    kinds = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(arrays)]
    return kinds, jax.tree.structure(carry), jax.tree.leaves(rest)
