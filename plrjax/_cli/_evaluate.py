"""The command `plrjax evaluate RUN --data TEST`."""

import dataclasses
import json
import sys
from typing import Annotated, Any

import numpy as np
import tyro

from .. import ProgressBar
from .._arguments import checked_whole
from .._io import RunFolder
from ..metrics import Evaluation, EvaluationSummary, evaluate, evaluate_many
from ..training import late_rows
from ._common import EXIT, key_of, plain, say
from ._training_parts import read_series


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Hold the network of a run against held-out data: D_stsp, D_H, PE(n), with floors.

    Beside the network where training ended, late snapshots are evaluated where there are any, and
    their median ± MAD is printed: a single checkpoint is a lottery. Exit codes: 0 finished, 1
    failure, 2 bad input, 130 Ctrl-C.
    """

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a run, as `plrjax train --out` leaves it."""
    data: Annotated[str | None, tyro.conf.arg(metavar="TEST")] = None
    """Held-out series in the units of the training data; by default the TEST of the run."""
    num_starts: int = 16
    """Orbits, from as many rows of TEST."""
    num_steps: int = 20
    """The n of PE(n)."""
    late: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """So many last snapshots; by default those of the second half of training."""
    seed: int = 0
    """Seed of the random numbers in D_stsp of six variables and more."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the scores as JSON on stdout; everything else goes to stderr."""

    def run(self) -> EXIT:
        checked_whole("--num-starts", self.num_starts, 1)
        checked_whole("--num-steps", self.num_steps, 1)
        options = {"key": key_of(self.seed), "num_starts": self.num_starts}
        options |= {"num_steps": self.num_steps}
        run = RunFolder(self.folder)
        steps, (path, test) = self._late_steps(run), self._test(run)
        model, observation = run.model, run.observation_model
        final = evaluate(model, test, observation_model=observation, **options)
        self._say(path, final, steps, _evaluate_late(run, steps, test, options))
        return EXIT.finished

    def _test(self, run: RunFolder) -> tuple[str, np.ndarray]:
        """Return the path of the test data, and the data in the units of the run."""
        path = self.data
        if path is None:
            if run.setting("test") is None:
                raise ValueError("--data: expected a held-out series, because the run has none")
            path = str(run.setting("test", "path"))
        try:
            return path, run.in_units(read_series("--data", path)[0])
        except ValueError as error:
            raise ValueError(str(error).replace("values: ", f"--data: {path}: ", 1)) from error

    def _late_steps(self, run: RunFolder) -> list[int]:
        """Return the steps of the snapshots to evaluate."""
        steps = run.steps.tolist()
        if self.late is None:
            return [steps[row] for row in late_rows(steps)] if steps else []
        late = checked_whole("--late", self.late, 0)
        if late > len(steps):
            raise ValueError(f"--late: expected at most {len(steps)}, the snapshots, got {late}")
        return steps[len(steps) - late :]

    def _say(
        self, path: str, final: Evaluation, steps: list[int], late: EvaluationSummary | None
    ) -> None:
        """Print the scores."""
        texts = [f"network where training ended:\n{final}"]
        if late is not None:
            between = f"from step {steps[0]} to {steps[-1]}"
            texts.append(f"late snapshots {between}, each as a run:\n{late}")
        say("\n\n".join(texts), sys.stderr if self.json else None)
        if self.json:
            facts: dict[str, Any] = {"run": self.folder, "data": path, "seed": self.seed}
            facts |= {"prediction_steps": final.prediction_steps, "final": _facts(final)}
            facts["late"] = None if late is None else {"steps": steps, **_facts(late)}
            say(json.dumps(plain(facts), allow_nan=False))


def _evaluate_late(
    run: RunFolder, steps: list[int], test: np.ndarray, options: dict[str, Any]
) -> EvaluationSummary | None:
    """Return the scores of snapshots together, None where there are none."""
    found, bar = [], ProgressBar()
    bar.open("snapshots")
    try:
        for step in steps:
            model, observation = run.snapshot(step), run.snapshot_observation(step)
            found.append(evaluate(model, test, observation_model=observation, **options))
            bar.update(len(found) / len(steps))
    finally:
        bar.close()
    return evaluate_many(found) if found else None


def _facts(found: Evaluation | EvaluationSummary) -> dict[str, Any]:
    """Return all scores, and their medians, as JSON knows them."""
    columns = ("state_space_divergence", "power_spectrum_error", "prediction_error")
    share = "captured_share"
    facts: dict[str, Any] = {name: getattr(found, name) for name in (*columns, share)}
    if isinstance(found, Evaluation):
        facts |= {"num_nonfinite": found.num_nonfinite}
    else:
        facts |= {"nonfinite_share": found.nonfinite_share}
    scores = {name: getattr(found, name)._asdict() for name in ("median", "deviation", "floor")}
    return facts | scores
