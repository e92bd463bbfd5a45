"""The score of one model: arrays over starting points that read like a table."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._tables import AbstractTabular, Table, plural
from ._verdict import verdict_of


class Scores(NamedTuple):
    """One number per metric: D_stsp in nats, D_H in [0, 1], PE(n) in squared units of the data."""

    state_space_divergence: float
    power_spectrum_error: float
    prediction_error: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Evaluation(AbstractTabular):
    """What `evaluate` found: a model held against test data from many starting points.

    **Fields**, one entry per starting point:

    - `start`: the row of the test data where the orbit began.
    - `state_space_divergence`: D_stsp of the orbit against the whole test data, nats; NaN where the
        orbit did not stay finite, or (binned) never came near the data.
    - `power_spectrum_error`: D_H of it, in [0, 1]; NaN where the orbit did not stay finite.
    - `first_nonfinite`: steps after which the orbit was not finite any more; -1 if it stayed so.
    - `relative_deviation`: standard deviation over the last T/4 steps of the orbit, divided by that
        of the quietest quarter of the test data, per dimension; NaN where the orbit is not finite.
    - `captured`: whether a finite orbit settled on another attractor than the data's: all of its
        relative deviations are below .5 (a fixed point, a circle around a focus), or its D_stsp is
        above three times the median plus .5, or (binned) it never came near the data.

    **Other fields:**

    - `prediction_error`: PE(n) over the test data, in their squared units; `prediction_steps`: n.
    - `floor`: D_stsp and D_H between the two halves of the test data; NaN for PE.
    - `num_generated`: rows of each orbit that were compared.
    - `num_observed`, `dimension`: rows and columns of the test data; `variance`: that of a column,
        in the mean, which is the PE of always predicting the mean.
    """

    start: Int[np.ndarray, " start"]
    state_space_divergence: Float[np.ndarray, " start"]
    power_spectrum_error: Float[np.ndarray, " start"]
    first_nonfinite: Int[np.ndarray, " start"]
    relative_deviation: Float[np.ndarray, "start dimension"]
    captured: Bool[np.ndarray, " start"]
    prediction_error: float
    prediction_steps: int
    floor: Scores
    num_generated: int
    num_observed: int
    dimension: int
    variance: float

    @property
    def median(self) -> Scores:
        """Medians over the starting points, NaN counted as worse than any number."""
        return Scores(*(spread[0] for spread in self._spreads()))

    @property
    def deviation(self) -> Scores:
        """Median absolute deviations from the medians (not scaled to a Gaussian)."""
        return Scores(*(spread[1] for spread in self._spreads()))

    @property
    def num_nonfinite(self) -> int:
        """Number of orbits that did not stay finite."""
        return int(np.count_nonzero(self.first_nonfinite >= 0))

    @property
    def captured_share(self) -> float:
        """Share of all orbits that settled on another attractor than the data's."""
        return float(self.captured.mean())

    @property
    def verdict(self) -> tuple[str, ...]:
        """Whether the scores are good, in sentences: against split-half scores, which no model can
        be told to beat, and against predicting the mean."""
        return verdict_of(
            self.median, self.floor, self.captured, self.num_nonfinite, self.prediction_steps,
            self.variance,
        )  # fmt: skip

    def _spreads(self) -> list[tuple[float, float]]:
        scores = (self.state_space_divergence, self.power_spectrum_error)
        return [*map(median_deviation, scores), (self.prediction_error, float("nan"))]

    def _table(self) -> Table:
        number = len(self.start)
        title = (
            f"{plural(number, 'orbit')} of {self.num_generated} steps against "
            f"{self.num_observed} x {self.dimension} test data"
        )
        columns = (self.state_space_divergence, self.power_spectrum_error)
        footer = (
            f"captured by another attractor: {self.captured.sum()} of {number} "
            f"({100 * self.captured_share:.3g} %), not finite: {self.num_nonfinite}"
        )
        rows = score_rows([*columns, np.array([self.prediction_error])], self.prediction_steps)
        head, *rows = with_columns(rows, {"split-half": self.floor})
        return Table([title], head, rows, [footer, *self._legend()], {0})

    def _legend(self) -> list[str]:
        """Return what the scores are, and what they are to be held against."""
        return [
            "D_stsp: how differently orbits and data fill state space, nats; D_H: how far apart "
            "their power spectra are, 0 to 1.",
            f"PE({self.prediction_steps}): mean squared error {self.prediction_steps} steps ahead; "
            f"that of always predicting the mean is {self.variance:.3g}.",
            *self.verdict,
        ]


def median_deviation(values: Float[np.ndarray, " value"]) -> tuple[float, float]:
    """Return median and median absolute deviation, NaN counted as worse than any number."""
    ranked = np.where(np.isnan(values), np.inf, values)
    median = float(np.median(ranked))
    if not np.isfinite(median):
        return float("nan"), float("nan")
    return median, float(np.median(np.abs(ranked - median)))


def score_rows(columns: Sequence[np.ndarray], steps: int) -> list[list[str]]:
    """Return a head line and the rows D_stsp, D_H and PE(n) of a table."""
    rows = [["", "median", "MAD", "least", "most"]]
    for name, values in zip(("D_stsp", "D_H", f"PE({steps})"), columns):
        known = values[~np.isnan(values)]
        extremes = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
        median, deviation = median_deviation(values)
        single = len(values) == 1
        cells = (median, np.nan if single else deviation, *((np.nan,) * 2 if single else extremes))
        rows.append([name, *map(cell, cells)])
    return rows


def cell(value: float) -> str:
    """Return a number with three digits, "-" for NaN."""
    return "-" if np.isnan(value) else f"{value:.3g}"


def with_columns(rows: list[list[str]], beside: dict[str, Scores]) -> list[list[str]]:
    """Return the rows of a table with further columns of scores at its right."""
    columns = [[name, *map(cell, scores)] for name, scores in beside.items()]
    return [[*row, *more] for row, *more in zip(rows, *columns)]
