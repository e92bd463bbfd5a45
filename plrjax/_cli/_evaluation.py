"""What `plrjax evaluate` does once its options are checked."""

import sys
from json import dumps
from typing import Any

import numpy as np

from .. import RunFolder
from .._interrupts import reporting
from .._json import plain
from ..metrics import Evaluation, EvaluationSummary, evaluate, evaluate_many
from ..training import late_rows
from ._common import EXIT, key_of, say
from ._training_parts import read_series


def evaluate_run(
    folder: str,
    data: str | None,
    num_starts: int,
    num_steps: int,
    late: int | None,
    seed: int,
    json: bool,
) -> EXIT:
    """Evaluate the last network of a run and late ones, and print their scores."""
    how = {"key": key_of(seed), "num_starts": num_starts, "num_steps": num_steps}
    run = RunFolder(folder)
    steps, (path, test) = _late_steps(late, run), _test(data, run)
    model, observation = run.model, run.observation_model
    final = evaluate(model, test, observation_model=observation, **how)
    found = _evaluate_late(run, steps, test, how)
    _say(final, steps, found, aside=json)
    if json:
        facts: dict[str, Any] = {"run": folder, "data": path, "seed": seed}
        facts |= {"prediction_steps": final.prediction_steps, "final": _facts(final)}
        facts["late"] = None if found is None else {"steps": steps, **_facts(found)}
        say(dumps(plain(facts), allow_nan=False))
    return EXIT.finished


def _test(path: str | None, run: RunFolder) -> tuple[str, np.ndarray]:
    """Return the path of the test data, and the data in the units of the run."""
    if path is None:
        if run.setting("test") is None:
            raise ValueError("--data: expected a held-out series, because the run has none")
        path = str(run.setting("test", "path"))
    try:
        gaps = run.setting("settings").get("gaps") is True
        return path, run.in_units(read_series("--data", path, gaps)[0])
    except ValueError as error:
        raise ValueError(str(error).replace("values: ", f"--data: {path}: ", 1)) from error


def _late_steps(late: int | None, run: RunFolder) -> list[int]:
    """Return the steps of the snapshots to evaluate."""
    steps = run.steps.tolist()
    if late is None:
        return [steps[row] for row in late_rows(steps)] if steps else []
    if late > len(steps):
        raise ValueError(f"--late: expected at most {len(steps)}, the snapshots, got {late}")
    return steps[len(steps) - late :]


def _say(final: Evaluation, steps: list[int], late: EvaluationSummary | None, aside: bool) -> None:
    """Print the scores, on stderr if `aside`."""
    texts = [f"network where training ended:\n{final}"]
    if late is not None:
        between = f"from step {steps[0]} to {steps[-1]}"
        texts.append(f"late snapshots {between}, each as a run:\n{late}")
    say("\n\n".join(texts), sys.stderr if aside else None)


def _evaluate_late(
    run: RunFolder, steps: list[int], test: np.ndarray, options: dict[str, Any]
) -> EvaluationSummary | None:
    """Return the scores of snapshots together, None where there are none."""
    found = []
    with reporting(None, "snapshots") as bar:
        for step in steps:
            model, observation = run.snapshot(step), run.snapshot_observation(step)
            found.append(evaluate(model, test, observation_model=observation, **options))
            bar.update(len(found) / len(steps))
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
