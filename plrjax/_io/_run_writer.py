"""The callback of `fit` that keeps the folder of a run up to date."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._arguments import checked_whole
from ..training import AdaptiveForcing, TrainingRecord, TrainingRun
from ._load import save
from ._observation_file import save_observation
from ._run_folder import MODEL, OBSERVATION, SNAPSHOTS, TABLE, RunFolder, snapshot_name
from ._run_table import FIXED, RunTable, read_table


@dataclasses.dataclass(frozen=True)
class Measure:
    """Numbers that are written into the table every so many steps.

    **Fields:** `every`; `columns`, their names; `cells`, a function of a `TrainingRecord` that
    returns as many numbers, the same ones for the same record.
    """

    every: int
    columns: tuple[str, ...]
    cells: Callable[[TrainingRecord], Sequence[float]]


class RunWriter:
    """A callback that writes rows of the table, and snapshots, as training goes.

    Snapshots of a step are written before its row, and its row before the checkpoint of `fit`. To
    go on from a checkpoint, `rewind` to its step and call the writer with the restored record: what
    was left undone there is measured, and the table ends up as that of a run without a break.

    **Arguments:**

    - `folder`: the run; `num_steps`: updates it takes in all, the last of which is always measured.
    - `log_every`, `snapshot_every` (None: never): steps from one row or snapshot to the next.
    - `measures`: what else is written into the table.

    **Raises:** `ValueError` naming the argument, or for a table of other columns.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        num_steps: int,
        log_every: int,
        snapshot_every: int | None = None,
        measures: Sequence[Measure] = (),
    ):
        self.folder, self.measures = folder, tuple(measures)
        self.num_steps = checked_whole("num_steps", num_steps, 1)
        self.log_every = checked_whole("log_every", log_every, 1)
        self.snapshot_every = snapshot_every
        periods = [self.log_every, *(measure.every for measure in self.measures)]
        if snapshot_every is not None:
            periods.append(checked_whole("snapshot_every", snapshot_every, 1))
        self.every = math.gcd(*periods)
        more = (name for measure in self.measures for name in measure.columns)
        self.table = RunTable((*FIXED, *more))
        self._read()

    def _read(self) -> None:
        path = self.folder.path / TABLE
        if not path.exists():
            return
        found = read_table(path)
        if found.columns != self.table.columns:
            raise ValueError(f"{path}: expected the columns {', '.join(self.table.columns)}")
        self.table = found

    def rewind(self, last: int) -> None:
        """Drop rows and snapshots of later steps, which will be taken again, and the snapshot of
        what was the last step before the run was extended."""
        self.table.cut(last)
        for step in self.folder.steps.tolist():
            if step > last or not self._is_due(step, self.snapshot_every):
                for what in ("step", "observation"):
                    path = self.folder.path / SNAPSHOTS / snapshot_name(what, step)
                    path.unlink(missing_ok=True)

    def __call__(self, record: TrainingRecord) -> None:
        """Write what is due at the step of the record, unless it was written before."""
        step = int(record.step)
        if step in self.table.rows:
            return
        due = [measure for measure in self.measures if self._is_due(step, measure.every)]
        keep = self._is_due(step, self.snapshot_every)
        if not (due or keep or self._is_due(step, self.log_every)):
            return
        cells = _progress_of(record)
        for measure in due:
            cells |= dict(zip(measure.columns, measure.cells(record), strict=True))
        if keep:
            folder = self.folder.path / SNAPSHOTS
            folder.mkdir(exist_ok=True)
            save_observation(folder / snapshot_name("observation", step), record.observation_model)
            save(folder / snapshot_name("step", step), record.model, provenance={"step": step})
        self.table.put(step, cells)
        self.table.write(self.folder.path / TABLE)

    def finish(self, run: TrainingRun) -> None:
        """Write the networks where training ended, and the last row where it came to its end."""
        if run.num_steps == self.num_steps:
            self(run.record)
        path = self.folder.path
        save_observation(path / OBSERVATION, run.observation_model)
        save(path / MODEL, run.model, provenance={"step": run.num_steps})
        self.table.write(path / TABLE)

    def _is_due(self, step: int, every: int | None) -> bool:
        return every is not None and (step % every == 0 or step == self.num_steps)


def _progress_of(record: TrainingRecord) -> dict[str, float]:
    """Return loss and gradient norm of the last update, and alpha where there is one."""
    cells: dict[str, float] = {}
    if len(record.losses):
        cells["loss"] = float(record.losses[-1])
        cells["gradient_norm"] = float(np.linalg.norm(record.gradient_norms[-1]))
    alpha: Any = getattr(record.forcing, "alpha", None)
    if isinstance(record.forcing, AdaptiveForcing):
        alpha = record.forcing_state
    return cells if alpha is None else cells | {"alpha": float(alpha)}


def evaluation_columns(prediction_steps: int) -> tuple[str, ...]:
    """Return the columns of `evaluation_cells`."""
    return "D_stsp", "D_H", f"PE({prediction_steps})", "captured_share", "nonfinite_share"


def evaluation_cells(evaluation: Any) -> list[float]:
    """Return medians over starting points, and the shares of orbits that went elsewhere."""
    lost = evaluation.num_nonfinite / len(evaluation.start)
    return [*evaluation.median, evaluation.captured_share, lost]


def exponent_columns(count: int) -> tuple[str, ...]:
    """Return the columns of that many exponents."""
    return tuple(f"lambda_{i + 1}" for i in range(count))
