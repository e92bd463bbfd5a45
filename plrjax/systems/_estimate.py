"""The largest Lyapunov exponent of a time series, from the divergence of nearest neighbors."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arguments import checked_positive, checked_whole
from .._host import on_host
from .._lyapunov._result import unit_size
from .._numerics import as_float64
from ._divergence import Divergence, directions, follow, neighbors
from ._embedding import (
    choose_embedding,
    correlation,
    correlation_delay,
    denoise,
    embed,
    mean_period,
)
from ._window import Fit, fit_divergence, no_fit

_SHORTEST = 100
"""Fewest rows of a series; its embedding has half as many at least."""
_FEWEST_PAIRS = 50
_SMOOTH = 0.8
"""Autocorrelation after one step above which a series is taken for an oversampled flow."""
_PERIODS, _MOST_PERIODS = 12, 96
"""Mean periods for which neighbors are followed at first; twice as many until they saturate."""
_JUMP = 0.5
"""Nats that distances may grow by at first, on top of the slope, without noise."""
_SURE = 2.0
"""Standard errors by which an exponent must exceed zero to count as positive."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ExponentEstimate:
    """The largest Lyapunov exponent of a series, and the curve that it was read off.

    **Fields:**

    - `exponent`: lambda_1, nats per step; NaN where the series does not show one.
    - `standard_error`: from stretches of the series left out in turn, and from how straight the
        curve is. It does not know that distances are finite, which raises estimates by a few per
        cent (of Lorenz-63 seen through x alone by 7 % with 100,000 rows, 12 % with 20,000).
    - `divergence`: mean ln of the distance of neighbors after 0, 1, ... steps, in standard
        deviations of the series.
    - `window`: first and last step of the fit.
    - `saturation`: the level of unrelated states.
    - `noise`: noise found, as a fraction of the standard deviation; 0 where none was found.
    - `delay`, `embedding`, `theiler`: what was used, in steps, delays and steps.
    - `num_pairs`: pairs of neighbors followed.
    - `dt`: time of a step.
    - `notes`: facts to know, in words.
    """

    exponent: float
    standard_error: float
    divergence: Float[np.ndarray, " step"]
    window: tuple[int, int]
    saturation: float
    noise: float
    delay: int
    embedding: int
    theiler: int
    num_pairs: int
    dt: float
    notes: tuple[str, ...] = ()

    @property
    def prediction_time(self) -> float:
        """ln 2 / lambda_1, the steps in which errors double.

        Infinite where the exponent is not positive by two standard errors; NaN where it is NaN.
        """
        if np.isnan(self.exponent):
            return float("nan")
        positive = self.exponent > _SURE * self.standard_error
        return float(np.log(2.0)) / self.exponent if positive else float("inf")

    def in_units(self, unit: str = "nats", dt: float | int | None = None) -> tuple[float, float]:
        """Return (exponent, standard error) in "nats" or "bits" per time unit.

        **Arguments:** `dt`: duration of a step; by default the one of the series.

        **Raises:** `ValueError` for another unit, or a `dt` that is not positive.
        """
        scale = unit_size(unit, self.dt if dt is None else dt)
        return self.exponent / scale, self.standard_error / scale

    def __repr__(self) -> str:
        rate, error = self.in_units()
        each = "" if self.dt == 1.0 else f", {rate:.4g} +- {error:.2g} per time unit"
        lines = [
            f"largest exponent {self.exponent:.4g} +- {self.standard_error:.2g} nats per step"
            + each,
            f"errors double in {self.prediction_time:.4g} steps; {self.num_pairs} pairs of "
            f"neighbors, fitted from step {self.window[0]} to {self.window[1]} (delay "
            f"{self.delay}, embedding {self.embedding}, Theiler window {self.theiler})",
        ]
        return "\n".join([*lines, *self.notes])

    __str__ = __repr__


@on_host()
def estimate_exponent(
    series: Any,
    *,
    dt: float | int = 1.0,
    delay: int | None = None,
    embedding: int | None = None,
    theiler: int | None = None,
    num_steps: int | None = None,
    num_pairs: int = 2_000,
    throw: bool = True,
) -> ExponentEstimate:
    """Estimate the largest Lyapunov exponent lambda_1 from a series, nats per step.

    The mean over pairs of nearest neighbors of ln|x_{i+t} - x_{j+t}| rises with slope lambda_1 as
    soon as their difference has turned to where it grows, until it saturates (Rosenstein et al.
    1993). The fit begins at the smallest distances at which the slope is at least 80 % of the
    steepest over any nat, and covers a third of the way to saturation.

    Variables are standardized. A series with an autocorrelation above .8 after one step is taken
    for a flow: its noise is estimated, smoothed and subtracted from distances, which are measured
    across the flow, because along it they do not grow. Without a flow, noise cannot be told from
    the dynamics and lowers the estimate; a jump of the distances at first is noted.

    **Arguments:**

    - `series`: (T,) or (T, N), T of at least 100.
    - `dt`: time of a step, for `in_units`.
    - `delay`: steps from one delay to the next; by default where the autocorrelation falls below
        1 - 1/e.
    - `embedding`: number of delays of each variable. By default 1 for several variables, and for
        one as many as neighbors need to stay neighbors (Kennel et al. 1992).
    - `theiler`: neighbors are farther apart in time than this (Theiler 1986); by default a mean
        period.
    - `num_steps`: how long pairs are followed; by default until they saturate, or for a quarter
        of the series.
    - `num_pairs`: number of pairs, evenly spaced in time.
    - `throw`: raise where the series shows no exponent, instead of saying so in `notes`.

    **Returns:** an `ExponentEstimate`. Where neighbors do not part (periodic and quasi-periodic
    series) the exponent is 0 within its error, and a note says so.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where no part of the curve is
    straight: noise, or a series too short for its dimension.
    """
    rows = _standardized(series)
    dt = checked_positive("dt", dt)
    num_pairs = checked_whole("num_pairs", num_pairs, _FEWEST_PAIRS)
    task = _make_task(rows, delay, embedding, theiler)
    if num_steps is not None:
        num_steps = checked_whole("num_steps", num_steps, 4, len(task.points) // 2)
    curve = task.measure(num_steps, num_pairs)
    if curve is None:
        fit = no_fit(
            "nearly all states occur more than once: the series repeats itself, or is rounded"
        )
    else:
        fit = fit_divergence(curve, task.floor, task.begin, task.period if task.flow else 2)
    if fit.reason and throw:
        raise RuntimeError(
            f"estimate_exponent: {fit.reason}. throw=False returns the curve; a longer or cleaner "
            f"series, or another embedding, may help"
        )
    return task.result(curve, fit, dt)


def _standardized(series: Any) -> Float[np.ndarray, "time variable"]:
    """Return "time variable", of mean 0 and standard deviation 1."""
    rows = as_float64("series", series)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or len(rows) < _SHORTEST or rows.shape[1] == 0:
        raise ValueError(
            f"series: expected (time,) or (time, variable) with at least {_SHORTEST} rows, got "
            f"shape {np.shape(series)}"
        )
    flat = np.flatnonzero((rows == rows[0]).all(axis=0))
    if len(flat):
        raise ValueError(f"series: variable {flat[0]} is constant")
    rows = rows / np.abs(rows).max(axis=0)
    centered = rows - rows.mean(axis=0)
    return centered / centered.std(axis=0)


@dataclasses.dataclass(frozen=True)
class _Task:
    """States to compare, and what was found out about the series."""

    points: Float[np.ndarray, "row coordinate"]
    flow: bool
    noise: float
    floor: float
    period: int
    delay: int
    embedding: int
    theiler: int

    @property
    def begin(self) -> int:
        """The first step after which states share no observation with where they started."""
        return 1 + (self.embedding - 1) * self.delay

    def measure(self, num_steps: int | None, num_pairs: int) -> Divergence | None:
        """Follow pairs for so many steps, or until they saturate; None if there are too few."""
        most = min(len(self.points) // 4, _MOST_PERIODS * self.period)
        steps = min(_PERIODS * self.period, most) if num_steps is None else num_steps
        tangents = directions(self.points) if self.flow and self.points.shape[1] > 1 else None
        while True:
            kept = self.points[: len(self.points) - steps]
            first, second = neighbors(kept, num_pairs, self.theiler)
            if len(first) < _FEWEST_PAIRS:
                return None
            curve = follow(self.points, tangents, first, second, steps)
            if num_steps is not None or curve.complete or steps == most:
                return curve
            steps = min(2 * steps, most)

    def result(self, curve: Divergence | None, fit: Fit, dt: float) -> ExponentEstimate:
        """Return the estimate, with notes."""
        failed = bool(fit.reason)
        return ExponentEstimate(
            float("nan") if failed else fit.slope,
            float("nan") if failed else fit.error,
            np.empty(0) if curve is None else curve.mean,
            (fit.first, fit.last),
            float("nan") if curve is None else curve.saturation,
            self.noise,
            self.delay,
            self.embedding,
            self.theiler,
            0 if curve is None else curve.num_pairs,
            dt,
            self._notes(curve, fit),
        )

    def _notes(self, curve: Divergence | None, fit: Fit) -> tuple[str, ...]:
        notes = [fit.reason] if fit.reason else []
        if fit.flat:
            notes.append("neighbors do not part: the series is periodic or quasi-periodic")
        if self.noise > 0:
            notes.append(
                f"noise of {self.noise:.2g} standard deviations was found: smoothed, and what is "
                f"left subtracted from the distances"
            )
        elif curve is not None and not fit.reason and not fit.flat:
            jump = float(curve.mean[self.begin] - curve.mean[0]) - self.begin * fit.slope
            if jump > _JUMP:
                notes.append(
                    f"distances jump by {jump:.2g} nats before they grow: the series is noisy, and "
                    f"the estimate may be too low"
                )
        return tuple(notes)


def _make_task(rows: np.ndarray, delay: Any, embedding: Any, theiler: Any) -> _Task:
    """Check the embedding, or choose it, and embed."""
    flow = correlation(rows, 1) > _SMOOTH
    rows, noise, left = denoise(rows) if flow else (rows, 0.0, 0.0)
    period = int(np.ceil(min(mean_period(rows), len(rows) / 10)))
    most = len(rows) // 4
    delay = correlation_delay(rows) if delay is None else checked_whole("delay", delay, 1, most)
    theiler = period if theiler is None else checked_whole("theiler", theiler, 0, most)
    longest = 1 + (len(rows) - _SHORTEST // 2) // delay
    if embedding is None:
        embedding = 1 if rows.shape[1] > 1 else choose_embedding(rows, delay, theiler)
        embedding = min(embedding, longest)
    embedding = checked_whole("embedding", embedding, 1, longest)
    points = embed(rows, delay, embedding)
    size = points.shape[1]
    across = (size - 1) / size if flow and size > 1 else 1.0
    floor = float(np.log(left * np.sqrt(2.0 * embedding * across))) if left > 0 else -np.inf
    noise /= float(np.sqrt(rows.shape[1]))
    return _Task(points, flow, noise, floor, period, delay, embedding, theiler)
