"""The result of a computation of Lyapunov exponents: arrays that read like a table."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .._numerics import quiet_floats
from .._results import RESULTS
from .._saved import AbstractSaved
from .._tables import Table, plural
from ._measures import kaplan_yorke_dimension

_ROW_EXPONENTS = 3
"""Exponents that a table of many networks shows of each."""

_MOST_ROWS = 20


class AttractorSpectrum(NamedTuple):
    """The exponents of the orbits that settled on one attractor.

    **Fields:** `label`; `num_orbits` on it; `exponents` and `standard_error`, nats per step;
    `mean_state`, the time average of the state.
    """

    label: int
    num_orbits: int
    exponents: Float[np.ndarray, " exponent"]
    standard_error: Float[np.ndarray, " exponent"]
    mean_state: Float[np.ndarray, " state"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LyapunovSpectrum(AbstractSaved):
    """Lyapunov exponents of a map, natural logarithms per step, largest first.

    **Fields:**

    - `exponents`: lambda_1 >= ... >= lambda_k, means over the orbits on the most frequent
        attractor; -inf where a direction collapses within one step.
    - `standard_error`: their standard errors, from blocks longer than the correlation time and
        from orbits, rounding included; NaN where an exponent is not finite.
    - `per_orbit`: exponents of each orbit, in the order of `exponents`; NaN for orbits that did not
        stay finite.
    - `running`: means over the first 1, 2, ... blocks of `block_steps` steps: how they converged.
    - `attractor`: label per orbit, 0 for the most frequent attractor; -1 where not finite. Orbits
        with an input sequence each are not told apart.
    - `attractor_exponents`, `attractor_standard_error`, `attractor_state`: exponents, their errors
        and the time-averaged state, a row for each label.
    - `first_nonfinite`: steps after the initial state at which an orbit (or its Jacobian) was not
        finite any more; -1 for orbits that stayed finite.
    - `det_residual`: |sum_i lambda_i - mean ln|det J|| along sampled stretches of all orbits; NaN
        where not all exponents were computed, or one is -inf.
    - `qr_every`: steps from one QR to the next.
    - `num_steps`: steps measured along each orbit, after both transients.
    - `block_steps`: steps per block.
    - `state_size`: number M of states.
    - `notes`: facts to know, in words.
    - `result`: whether the computation went well.
    """

    file_type = "spectrum"
    file_bounds = {"attractor": (-1, "attractor", -1)}

    exponents: Float[np.ndarray, " exponent"]
    standard_error: Float[np.ndarray, " exponent"]
    per_orbit: Float[np.ndarray, "orbit exponent"]
    running: Float[np.ndarray, "block exponent"]
    attractor: Int[np.ndarray, " orbit"]
    attractor_exponents: Float[np.ndarray, "attractor exponent"]
    attractor_standard_error: Float[np.ndarray, "attractor exponent"]
    attractor_state: Float[np.ndarray, "attractor state"]
    first_nonfinite: Int[np.ndarray, " orbit"]
    det_residual: float
    qr_every: int
    num_steps: int
    block_steps: int
    state_size: int
    notes: tuple[str, ...] = ()
    result: RESULTS = RESULTS.successful

    def __post_init__(self):
        counts = (self.qr_every, self.num_steps, self.block_steps, self.state_size)
        if min(counts) < 0 or not len(self.exponents):
            raise ValueError(f"exponents: expected one or more, and no negative of {counts}")

    @property
    def num_orbits(self) -> int:
        """Number of orbits."""
        return len(self.attractor)

    @property
    def orbit_mean(self) -> Float[np.ndarray, " exponent"]:
        """Mean of each exponent over all finite orbits, whichever attractor or input they have."""
        finite = self.per_orbit[self.attractor >= 0]
        with quiet_floats():
            return finite.mean(axis=0) if len(finite) else np.full(self.exponents.shape, np.nan)

    @property
    def orbit_deviation(self) -> Float[np.ndarray, " exponent"]:
        """Standard deviation of each exponent over all finite orbits; NaN for fewer than two."""
        finite = self.per_orbit[self.attractor >= 0]
        with quiet_floats():
            enough = len(finite) > 1
            return finite.std(axis=0, ddof=1) if enough else np.full(self.exponents.shape, np.nan)

    @property
    def kaplan_yorke(self) -> float:
        """Kaplan-Yorke dimension; NaN where too few exponents were computed to know it."""
        dimension = kaplan_yorke_dimension(self.exponents)
        known = len(self.exponents) == self.state_size or dimension < len(self.exponents)
        return dimension if known else float("nan")

    @property
    def entropy_sum(self) -> float:
        """Sum of the positive exponents, nats per step: an upper bound of the entropy (Ruelle).

        Where the last exponent computed is positive, too, take more of them.
        """
        return float(np.maximum(self.exponents, 0.0).sum())

    @property
    def prediction_time(self) -> float:
        """ln 2 / lambda_1, the steps in which errors double; infinite unless lambda_1 > 0."""
        largest = float(self.exponents[0])
        return float("inf") if largest <= 0 else float(np.log(2.0)) / largest

    def in_units(
        self, unit: str = "bits", dt: float | int | None = None
    ) -> tuple[Float[np.ndarray, " exponent"], Float[np.ndarray, " exponent"]]:
        """Return (exponents, standard errors) in "bits" or "nats", per step or per time unit.

        **Arguments:** `dt`: duration of a step, for flows; None means per step.

        **Raises:** `ValueError` for another unit, or a `dt` that is not positive.
        """
        scale = unit_size(unit, dt)
        return self.exponents / scale, self.standard_error / scale

    def per_attractor(self) -> tuple[AttractorSpectrum, ...]:
        """Return the exponents of each attractor found, the most frequent first."""
        return tuple(
            AttractorSpectrum(
                label,
                int(np.count_nonzero(self.attractor == label)),
                self.attractor_exponents[label],
                self.attractor_standard_error[label],
                self.attractor_state[label],
            )
            for label in range(len(self.attractor_exponents))
        )

    def _row(self) -> dict[str, str]:
        """Return what a table of many networks says of this one."""
        pairs = zip(self.exponents[:_ROW_EXPONENTS], self.standard_error)
        row = {f"exponent {i}": f"{x:.4g} ± {e:.1g}" for i, (x, e) in enumerate(pairs, start=1)}
        row |= {"sum > 0": f"{self.entropy_sum:.4g}", "dimension": f"{self.kaplan_yorke:.4g}"}
        return row | {"attractors": str(len(self.attractor_exponents))} | self.result.cells()

    def _table(self) -> Table:
        pairs = zip(self.exponents, self.standard_error)
        rows = [(f"{i}", f"{x:.6g}", f"{e:.2g}", "") for i, (x, e) in enumerate(pairs, start=1)]
        if len(rows) > _MOST_ROWS:
            rows[_MOST_ROWS:-1] = [("...", "", "", "")]
        below = [
            f"Kaplan-Yorke dimension {self.kaplan_yorke:.4g}, positive exponents sum to "
            f"{self.entropy_sum:.4g}, errors double in {self.prediction_time:.4g} steps"
        ]
        if not np.isnan(self.det_residual):
            below.append(f"sum against mean ln|det J|: off by {self.det_residual:.1g}")
        if self.result is not RESULTS.successful:
            below.append(f"result: {self.result}")
        head = ("i", "exponent", "standard error", "(nats per step)")
        return Table([_title(self)], head, rows, [*below, *self.notes], least=(4, 12, 14))


def unit_size(unit: str, dt: float | int | None) -> float:
    """Return the nats per step of one unit, "bits" or "nats", per step or per time unit."""
    if unit not in ("bits", "nats"):
        raise ValueError(f"unit: expected 'bits' or 'nats', got {unit!r}")
    if dt is not None and not 0 < dt < np.inf:
        raise ValueError(f"dt: expected a positive duration of one step, got {dt!r}")
    return float((np.log(2.0) if unit == "bits" else 1.0) * (1.0 if dt is None else dt))


def _title(spectrum: LyapunovSpectrum) -> str:
    known, orbits = len(spectrum.exponents), spectrum.num_orbits
    return (
        f"{known} of {spectrum.state_size} Lyapunov exponents from {plural(orbits, 'orbit')} of "
        f"{spectrum.num_steps} steps (QR every {spectrum.qr_every})"
    )
