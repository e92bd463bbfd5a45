"""Scores of several runs together: median and MAD, with floors and failures."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from .._tables import AbstractTabular, Table, plural
from ._evaluation import Evaluation, Scores, median_deviation, score_rows, with_columns


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class EvaluationSummary(AbstractTabular):
    """What several runs score: one entry per run, medians over all of them.

    **Fields**, one entry per run; with several evaluations of a run (late checkpoints) their
    median, NaN counted as worse than any number:

    - `state_space_divergence`, `power_spectrum_error`: medians over starting points.
    - `prediction_error`: PE(n).
    - `captured_share`, `nonfinite_share`: of all orbits of the run.
    - `num_evaluations`: evaluations of the run.

    **Other fields:** `prediction_steps`, n; `num_orbits`, of all runs together; `floor`, the
    split-half scores of the test data; `reference`, the scores of a perfect model, or None.
    """

    state_space_divergence: Float[np.ndarray, " run"]
    power_spectrum_error: Float[np.ndarray, " run"]
    prediction_error: Float[np.ndarray, " run"]
    captured_share: Float[np.ndarray, " run"]
    nonfinite_share: Float[np.ndarray, " run"]
    num_evaluations: Int[np.ndarray, " run"]
    prediction_steps: int
    num_orbits: int
    floor: Scores
    reference: Scores | None = None

    @property
    def median(self) -> Scores:
        """Medians over the runs, NaN counted as worse than any number."""
        return Scores(*(median_deviation(values)[0] for values in self._columns()))

    @property
    def deviation(self) -> Scores:
        """Median absolute deviations from the medians (not scaled to a Gaussian)."""
        return Scores(*(median_deviation(values)[1] for values in self._columns()))

    @property
    def num_failed(self) -> int:
        """Number of runs without a score: one of their three numbers is NaN."""
        return int(np.isnan(np.stack(self._columns())).any(axis=0).sum())

    def _columns(self) -> list[Float[np.ndarray, " run"]]:
        return [self.state_space_divergence, self.power_spectrum_error, self.prediction_error]

    def _table(self) -> Table:
        runs, evaluations = len(self.num_evaluations), int(self.num_evaluations.sum())
        title = (
            f"{plural(runs, 'run')}, {plural(evaluations, 'evaluation')}, "
            f"{plural(self.num_orbits, 'orbit')}"
        )
        beside = {"split-half": self.floor}
        if self.reference is not None:
            beside["perfect"] = self.reference
        rows = score_rows(self._columns(), self.prediction_steps)
        footer = (
            f"captured by another attractor: {_percent(self.captured_share)} of a run's "
            f"orbits, not finite: {_percent(self.nonfinite_share)}; runs without a score: "
            f"{self.num_failed} of {runs}"
        )
        head, *rows = with_columns(rows, beside)
        return Table([title], head, rows, [footer], {0})


def _percent(shares: Float[np.ndarray, " run"]) -> str:
    mean, most = shares.mean(), shares.max()
    return f"{100 * mean:.3g} %" + (f" (up to {100 * most:.3g} %)" if most > mean else "")


def evaluate_many(
    evaluations: Sequence[Evaluation] | Sequence[Sequence[Evaluation]] | Any,
    *,
    reference: Evaluation | Any = None,
) -> EvaluationSummary:
    """Return median ± MAD of several runs of one kind, failures counted.

    **Arguments:**

    - `evaluations`: one `Evaluation` per run (per key), or a sequence of them per run (its late
        checkpoints, since the last one alone is a lottery), whose median stands for the run.
    - `reference`: the `Evaluation` of a perfect model, to print beside.

    **Raises:** `ValueError` for something else, nothing at all, or different test data.
    """
    runs = _runs(evaluations)
    first, *others = everything = [one for run in runs for one in run]
    if reference is not None and not isinstance(reference, Evaluation):
        raise ValueError(f"reference: expected an Evaluation, got {type(reference).__name__}")
    compared = others if reference is None else [*others, reference]
    for name in ("num_observed", "dimension", "prediction_steps"):
        found = {getattr(one, name) for one in [first, *compared]}
        if len(found) > 1:
            raise ValueError(
                f"evaluations: expected the same {name} in all, got {sorted(found)}; compare "
                "models on the same test data"
            )
    columns = zip(*(_scores(run) for run in runs))
    return EvaluationSummary(
        *map(np.array, columns),
        captured_share=np.array([_share(one.captured for one in run) for run in runs]),
        nonfinite_share=np.array([_share(one.first_nonfinite >= 0 for one in run) for run in runs]),
        num_evaluations=np.array([len(run) for run in runs]),
        prediction_steps=first.prediction_steps,
        num_orbits=sum(len(one.start) for one in everything),
        floor=first.floor,
        reference=None if reference is None else reference.median,
    )


def _runs(evaluations: Any) -> list[list[Evaluation]]:
    """Return a list of evaluations per run."""
    given = list(evaluations) if isinstance(evaluations, Sequence) else []
    runs = [[run] if isinstance(run, Evaluation) else run for run in given]
    fits = [
        isinstance(run, Sequence) and run and all(isinstance(one, Evaluation) for one in run)
        for run in runs
    ]
    if not (runs and all(fits)):
        raise ValueError(
            "evaluations: expected Evaluations, or a sequence of them for each run, got "
            f"{evaluations!r}"
        )
    return [list(run) for run in runs]


def _scores(run: list[Evaluation]) -> Scores:
    """Return the medians of one run over its checkpoints."""
    columns = np.array([one.median for one in run]).T
    return Scores(*(median_deviation(values)[0] for values in columns))


def _share(flags: Iterable[Bool[np.ndarray, " start"]]) -> float:
    """Return the share of orbits flagged, over all checkpoints of a run."""
    return float(np.concatenate(list(flags)).mean())
