"""The result of a survey of initial states: attractors, one row each, that reads like a table."""

import dataclasses
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from .._results import ATTRACTOR, RESULTS
from .._saved import AbstractSaved
from .._tables import Table, plural
from ..words import unpack


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class AttractorSet(AbstractSaved):
    """Attractors of a map and the initial states that each captured, the most frequent first.

    A cycle is its word; other attractors are told apart by exponent and occupancy. Orbits that
    diverged, and those still undecided, have rows of their own at the end.

    **Fields**, one row per attractor:

    - `kind`: codes of `ATTRACTOR`.
    - `count`: number of initial states captured; 0 for a known stable cycle that captured none.
    - `lyapunov`, `standard_error`: largest Lyapunov exponent, nats per step; exact for a cycle
        (ln of its largest multiplier's modulus over k); NaN for diverged orbits and for those that
        were still moving.
    - `period`: minimal period of a cycle, 0 for other rows.
    - `itinerary`: word of a cycle, bit-packed, zero beyond its period (see `regions`).
    - `points`: points of a cycle in the order of its word, or a stretch of one orbit on another
        attractor; NaN beyond.

    and one entry per initial state:

    - `states`: the initial states.
    - `label`: row of its attractor; -1 where Ctrl-C came first.

    and of the whole:

    - `num_units`: number H of ReLU units.
    - `num_transient`, `num_steps`: steps before the first look, and measured after it.
    - `result`: whether the computation went well.
    - `notes`: facts to know, in words.
    """

    file_type = "attractors"
    file_bounds = {
        "label": (-1, "attractor", -1),
        "period": (0, "time", 0),
    }

    kind: Int[np.ndarray, " attractor"]
    count: Int[np.ndarray, " attractor"]
    lyapunov: Float[np.ndarray, " attractor"]
    standard_error: Float[np.ndarray, " attractor"]
    period: Int[np.ndarray, " attractor"]
    itinerary: UInt8[np.ndarray, "attractor time byte"]
    points: Float[np.ndarray, "attractor row state"]
    states: Float[np.ndarray, "start state"]
    label: Int[np.ndarray, " start"]
    num_units: int
    num_transient: int
    num_steps: int
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def share(self) -> Float[np.ndarray, " attractor"]:
        """Share of the initial states looked at that each attractor captured."""
        return self.count / max(1, int(self.count.sum()))

    @property
    def interval(self) -> Float[np.ndarray, "attractor 2"]:
        """95 % interval of each share (Wilson 1927); of meaning where states are a random sample.

        Where nothing was captured its upper end is what a basin not met may still measure.
        """
        return wilson(self.count, int(self.count.sum()))

    def orbit(self, row: int | np.integer) -> Float[np.ndarray, "time state"]:
        """Return the points of one attractor without padding."""
        points = self.points[row]
        return points[~np.isnan(points).any(axis=1)]

    def regions(self, row: int | np.integer) -> Bool[np.ndarray, "time unit"]:
        """Return the unpacked itinerary of a cycle (no rows for other attractors)."""
        return unpack(self.itinerary[row, : self.period[row]], self.num_units)

    def name(self, row: int | np.integer) -> str:
        """Return what a row is, for tables and legends."""
        kind, period = ATTRACTOR(self.kind[row]), int(self.period[row])
        if kind is not ATTRACTOR.cycle:
            return {ATTRACTOR.quasiperiodic: "quasi-periodic"}.get(kind, kind.name)
        return "fixed point" if period == 1 else f"{period}-cycle"

    def _table(self) -> Table:
        rows = [_cells(self, row) for row in range(min(len(self), 20))]
        more = len(self) - len(rows)
        below = [f"{more} more rows are not shown"] if more else []
        head = ("", "attractor", "period", "states", "share", "95 % interval", "lambda_1", "error")
        return Table([_title(self)], head, rows, [*below, *self.result.lines(), *self.notes], {1})


def wilson(count: Int[np.ndarray, " row"], total: int) -> Float[np.ndarray, "row 2"]:
    """Return Wilson's 95 % interval of a share `count` / `total` (Wilson 1927); 0 to 1 of none."""
    if not total:
        return np.tile([0.0, 1.0], (len(count), 1))
    z = NormalDist().inv_cdf(0.975)
    share, weight = count / total, 1.0 / (1.0 + z**2 / total)
    middle = weight * (share + z**2 / (2 * total))
    half = weight * z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low, high = (
        np.where(count == 0, 0.0, middle - half),
        np.where(count == total, 1.0, middle + half),
    )
    return np.stack([low, high], axis=1)


def _title(found: AttractorSet) -> str:
    real = int((~np.isin(found.kind, (ATTRACTOR.diverged, ATTRACTOR.undecided))).sum())
    return f"{plural(real, 'attractor')} of {int(found.count.sum())} initial states"


def _cells(found: AttractorSet, row: int) -> tuple[str, ...]:
    low, high = 100 * found.interval[row]
    known = not np.isnan(found.lyapunov[row])
    period = str(found.period[row]) if found.period[row] else "-"
    return (
        str(row),
        found.name(row),
        period,
        str(found.count[row]),
        f"{100 * found.share[row]:.1f} %",
        f"{low:.1f} to {high:.1f} %",
        f"{found.lyapunov[row]:.5f}" if known else "-",
        f"{found.standard_error[row]:.1g}" if known else "-",
    )
