"""The loop on the host: chunks of updates, callbacks between them, checkpoints."""

import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._arguments import checked_whole
from .._files import NOT_WRITTEN, note_unless_written
from .._job import job
from .._progress import AbstractProgress
from .._results import RESULTS
from ._checkpoint import Checkpoint
from ._engine import CHUNK, Carry, Notes, Recipe, advance
from ._forcing import AbstractForcing
from ._forcing_file import forcing_facts
from ._loss import Networks
from ._records import Action, Callback, TrainingRecord, TrainingRun, checked_action
from ._windows import Series

_SECONDS = 0.5
"""Aim for the duration of one call: between two calls Ctrl-C and the clock are heard."""


class Loop:
    """One run on its way: what it carries, what was noted, whom it calls back.

    `result` is None as long as it goes on, and before it began.
    """

    def __init__(
        self,
        carry: Carry,
        series: Series,
        recipe: Recipe,
        key: Any,
        num_steps: int,
        callbacks: Sequence[Callback],
        checkpoint: Any,
        checkpoint_seconds: float,
    ):
        self.carry, self.series, self.recipe, self.key = carry, series, recipe, key
        self.num_steps, self.callbacks = num_steps, callbacks
        self.names = _names(carry.nets)
        blank = lambda *shape: np.empty((num_steps, *shape), carry.scale.dtype)
        self.noted = Notes(blank(), blank(len(self.names)), blank())
        self.notes: list[str] = []
        self.done, self.stopped, self.unheard = 0, False, False
        self.result: RESULTS | None = None
        self.first_forcing = recipe.forcing
        self.before = (carry, recipe.forcing)
        self.checkpoint: Checkpoint | None = None
        if checkpoint is not None:
            self.checkpoint = Checkpoint(checkpoint, self, checkpoint_seconds)
        self.periods = [checked_whole("every", getattr(c, "every", 1), 1) for c in callbacks]

    def begin(self) -> None:
        """Go on from the checkpoint where there is one; else let the callbacks see the start."""
        if self.checkpoint is not None:
            self.checkpoint.restore(self)
        if not self.done or self.unheard:
            self.call_back()
        self._settle()

    def ahead(self) -> int:
        """Return how many updates may be taken until somebody must be asked."""
        return min(CHUNK, self.num_steps - self.done, *self._to_callbacks())

    def _to_callbacks(self) -> list[int]:
        return [CHUNK, *(every - self.done % every for every in self.periods)]

    def take(self, carry: Carry, noted: Notes, good: int, count: int) -> None:
        """Note what came of `count` updates, of which the first `good` were finite."""
        for kept, new in zip(self.noted, noted):
            kept[self.done : self.done + good] = np.asarray(new)[:good]
        self.carry, self.done, self.unheard = carry, self.done + good, good == count
        self.before = (carry, self.recipe.forcing)
        if good < count:
            self.notes.append(
                f"loss, gradient or result of update {self.done + 1} was not finite: the model is "
                "the last finite one; lower the learning rate, clip gradients, or force more "
                "strongly"
            )
            self.result = RESULTS.not_finite
            return
        self.call_back()
        self._settle()
        if self.checkpoint is not None:
            trouble = note_unless_written(
                "checkpoint", functools.partial(self.checkpoint.save_sometimes, self)
            )
            self.notes += [note for note in trouble if note not in self.notes]

    def _settle(self) -> None:
        if self.result is None and (self.stopped or self.done >= self.num_steps):
            self.result = RESULTS.successful

    def record(self) -> TrainingRecord:
        """Return where training is."""
        seen = [_read_only(rows[: self.done]) for rows in self.noted]
        return TrainingRecord(
            step=self.done,
            model=self.carry.nets.model,
            observation_model=self.carry.nets.observation,
            opt_state=self.carry.opt_state,
            losses=seen[0],
            gradient_norms=seen[1],
            forcing=self.recipe.forcing,
            forcing_state=self.carry.forcing_state,
        )

    def call_back(self) -> None:
        """Call those whose turn it is, and do what they ask for."""
        self.before = (self.carry, self.recipe.forcing)
        self.unheard = True  # until all have returned: an interrupted run asks them again
        for callback, every in zip(self.callbacks, self.periods):
            if self.done % every == 0:
                action = callback(self.record())
                if action is not None:
                    self._act(checked_action(action))
        self.unheard = False

    def _act(self, action: Action) -> None:
        if action.revert_to is not None:
            record = action.revert_to
            nets = Networks(record.model, record.observation_model)
            self.carry = self.carry._replace(nets=nets, opt_state=record.opt_state)
        if action.update_scale is not None:
            scale = jnp.asarray(action.update_scale, self.carry.scale.dtype)
            self.carry = self.carry._replace(scale=scale)
        if action.forcing is not None:
            if self.checkpoint is not None:
                forcing_facts(action.forcing)  # raises where no file holds it
            self.change_forcing(action.forcing)
        self.stopped = self.stopped or action.stop

    def change_forcing(self, forcing: AbstractForcing) -> None:
        """Go on with another forcing, from its first state."""
        self.recipe = dataclasses.replace(self.recipe, forcing=forcing)
        self.carry = self.carry._replace(forcing_state=forcing.init())

    def save(self) -> None:
        """Write the checkpoint, if there is one."""
        if self.checkpoint is not None:
            self.checkpoint.save(self)

    def save_at_last(self) -> None:
        """Write the checkpoint; where that fails, the run in memory must not be lost."""
        try:
            trouble = note_unless_written("checkpoint", self.save)
        except KeyboardInterrupt:
            trouble = [f"checkpoint {NOT_WRITTEN} (interrupted)"]
        self.notes += [note for note in trouble if note not in self.notes]

    def finished(self, seconds: float) -> TrainingRun:
        """Return the run."""
        if self.result is None:
            self.notes.append("not begun in this call; a checkpoint is as it was")
        record = self.record()
        return TrainingRun(
            model=record.model,
            observation_model=record.observation_model,
            losses=record.losses,
            gradient_norms=record.gradient_norms,
            parameters=self.names,
            forcing=_read_only(self.noted.forcing[: self.done]),
            num_steps=self.done,
            seconds=seconds,
            record=record,
            result=RESULTS.interrupted if self.result is None else self.result,
            notes=tuple(self.notes),
        )


def run_loops(
    loops: Sequence[Loop], progress: AbstractProgress | None, deadline: float | None
) -> None:
    """Take all updates of runs that share data and recipe: one program for all of them.

    On Ctrl-C and at the deadline what is done is kept; every run then has a `result`.
    """
    begun: list[Loop] = []
    try:
        with job(progress, "training", deadline) as work:
            for loop in loops:
                loop.begin()
                begun.append(loop)  # one that belongs to another run must not be written over
            for share, loss in _chunks(loops):
                work.update(share, f"loss {loss:.3g}")
                work.check()
        if work.result is not RESULTS.successful:
            _end(loops, work.result)
    finally:
        for loop in begun:
            loop.save_at_last()


def _end(loops: Sequence[Loop], why: RESULTS) -> None:
    for loop in loops:
        loop.result = why if loop.result is None else loop.result


def _chunks(loops: Sequence[Loop]) -> Iterator[tuple[float, float]]:
    """Take updates until all runs have a result; yield the share done and a loss after each call.

    Runs that are ahead of others, after checkpoints of different age, wait for them.
    """
    pace = 64
    while waiting := [loop for loop in loops if loop.result is None]:
        begun, done = time.perf_counter(), min(loop.done for loop in waiting)
        now = [loop for loop in waiting if loop.done == done]
        now = [loop for loop in now if loop.recipe == now[0].recipe]  # callbacks may change one
        later = [loop.done - done for loop in waiting if loop.done > done]
        count = min(pace, *later, *(loop.ahead() for loop in now), CHUNK)
        if len(loops) == 1:
            _advance_one(loops[0], count)
        else:
            _advance_all(loops, now, count)
        seconds = time.perf_counter() - begun
        pace = max(1, min(int(count * _SECONDS / max(seconds, 1e-6)), 8 * pace))
        last = now[0].noted.losses[: now[0].done]
        share = sum(loop.done for loop in loops) / sum(loop.num_steps for loop in loops)
        yield share, float(last[-1]) if len(last) else float("nan")


def _advance_one(loop: Loop, count: int) -> None:
    carry, noted, good = advance(
        loop.carry, loop.series, loop.key, jnp.asarray(count, jnp.int32), loop.recipe
    )
    loop.take(carry, noted, int(good), count)


def _advance_all(loops: Sequence[Loop], now: Sequence[Loop], count: int) -> None:
    """Take updates of the runs `now` in one program of a fixed width; the others stand still."""
    like = [loop if loop in now else now[0] for loop in loops]
    parts = [eqx.partition(loop.carry, eqx.is_array) for loop in like]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(part[0] for part in parts))
    carry, noted, good = advance(
        eqx.combine(params, parts[0][1]), now[0].series, jnp.stack([one.key for one in like]),
        jnp.asarray(count, jnp.int32), now[0].recipe,
    )  # fmt: skip
    moved = eqx.filter(carry, eqx.is_array)
    for row, loop in enumerate(loops):
        if loop in now:
            own = jax.tree.map(lambda leaf, row=row: leaf[row], moved)
            noted_here = Notes(*(np.asarray(rows)[:, row] for rows in noted))
            loop.take(eqx.combine(own, parts[row][1]), noted_here, int(good[row]), count)


def _read_only(rows: np.ndarray) -> np.ndarray:
    rows = rows.view()
    rows.flags.writeable = False
    return rows


def _names(nets: Networks) -> tuple[str, ...]:
    """Return names such as "model.A" of the trained arrays, in the order of their gradients."""
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(nets, eqx.is_inexact_array))
    return tuple(jax.tree_util.keystr(path).lstrip(".") for path, _ in leaves)
