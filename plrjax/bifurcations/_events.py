"""The result of following cycles: events and branches, a flat struct that reads like a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Int, UInt8

from .._arguments import require
from .._results import BIFURCATION, COLLISION, COVERAGE, RESULTS
from .._saved import AbstractSaved
from .._tables import Table
from ..words import unpack
from ._table import stability_name, table_of


@dataclasses.dataclass(frozen=True)
class Branch:
    """One cycle through parameters: its pieces of constant word and stability, in order.

    **Fields:** `number`; `period`; `rows`: its segments in the result's tables; `born`, `lost`: the
    events at its ends, -1 where it is there from the first network on, or to the last.
    """

    number: int
    period: int
    rows: Int[np.ndarray, " segment"]
    born: int
    lost: int


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Bifurcations(AbstractSaved):
    """Events of fixed points and k-cycles along a sequence of networks, and the branches between.

    Between networks i and i + 1 the parameters run along a straight line, theta(s) = (1 - s)
    theta_i + s theta_{i+1}; events are located on it to rounding. Rows of events are sorted by
    interval and s; a mask selects events (`found[found.kind == BIFURCATION.center]`) and keeps the
    branches. An event can be listed only if one of its cycles was found (`coverage`).

    **Fields of events**, one row each:

    - `interval`: the event lies between networks i and i + 1; `s` where, in [0, 1] (for a path
        given as such, its own parameter; what happens at a network, within rounding, is listed
        once: at s = 1 before it, with the two sides it has on the path); `s_error`: first-order
        bound of the error of s.
    - `kind`: `BIFURCATION`; `subtype`: `COLLISION`, what a border collision does.
    - `period` of the branch that goes through it (or of the shortest cycle of a fold); `branch`,
        its number; `participants`: all branches that meet, padded with -1.
    - `num_before`, `num_after`: how many cycles that meet exist below and above s.
    - `attractor`: stable cycles above minus those below s: -1 where an attracting cycle is lost, +1
        where one is gained. (Attractors that are no cycles are not seen here.)
    - `unit`: (t, i), the point of the cycle (as in `regions` of the branch before, or else behind)
        and the unit that reaches zero, -1 for other kinds;
        `num_units_zero`: how many are zero at once.
    - `multipliers_before`, `multipliers_after`, `stability_before`, `stability_after` of the branch
        on both sides; NaN and -1 where it does not exist there.
    - `step`: training step, interpolated between the networks' steps (their numbers by default).
    - `loss_before`, `loss_after`, `gradient_norm_before`, `gradient_norm_after`: at the networks
        before and behind; NaN where they were not given.

    **Fields of segments**, pieces of branches with one word and one stability:

    - `segment_branch`, `segment_interval`, `segment_low`, `segment_high` (s), `segment_period`,
        `segment_stability`, `segment_itinerary` (bit-packed, padded with zeros in time).
    - `segment_first`, `segment_last`: event at its lower and upper end; -1 at a network, -2 where
        it could not be followed (see `notes`).

    **Fields of the networks:** `steps`, `losses`, `gradient_norms`, NaN where they were not given.

    **Fields of the computation:** `num_units`; `coverage_by_period`: what
    "all events" may claim; `result`, `stats`, `notes`.
    """

    file_type = "bifurcations"
    file_bounds = {
        "segment_period": (1, "time", 0),
        "interval": (0, "network", -2),
        "segment_interval": (0, "network", -2),
        "segment_branch": (0, "segment", -1),
        "branch": (0, "segment", -1),
        "participants": (-1, "segment", -1),
        "segment_first": (-2, "event", -1),
        "segment_last": (-2, "event", -1),
    }

    interval: Int[np.ndarray, " event"]
    s: Float[np.ndarray, " event"]
    s_error: Float[np.ndarray, " event"]
    kind: Int[np.ndarray, " event"]
    subtype: Int[np.ndarray, " event"]
    period: Int[np.ndarray, " event"]
    branch: Int[np.ndarray, " event"]
    participants: Int[np.ndarray, "event participant"]
    num_before: Int[np.ndarray, " event"]
    num_after: Int[np.ndarray, " event"]
    attractor: Int[np.ndarray, " event"]
    unit: Int[np.ndarray, "event 2"]
    num_units_zero: Int[np.ndarray, " event"]
    multipliers_before: Complex[np.ndarray, "event state"]
    multipliers_after: Complex[np.ndarray, "event state"]
    stability_before: Int[np.ndarray, " event"]
    stability_after: Int[np.ndarray, " event"]
    step: Float[np.ndarray, " event"]
    loss_before: Float[np.ndarray, " event"]
    loss_after: Float[np.ndarray, " event"]
    gradient_norm_before: Float[np.ndarray, " event"]
    gradient_norm_after: Float[np.ndarray, " event"]
    segment_branch: Int[np.ndarray, " segment"]
    segment_interval: Int[np.ndarray, " segment"]
    segment_low: Float[np.ndarray, " segment"]
    segment_high: Float[np.ndarray, " segment"]
    segment_period: Int[np.ndarray, " segment"]
    segment_stability: Int[np.ndarray, " segment"]
    segment_itinerary: UInt8[np.ndarray, "segment time byte"]
    segment_first: Int[np.ndarray, " segment"]
    segment_last: Int[np.ndarray, " segment"]
    steps: Float[np.ndarray, " network"]
    losses: Float[np.ndarray, " network"]
    gradient_norms: Float[np.ndarray, " network"]
    num_units: int
    coverage_by_period: Mapping[int, COVERAGE] = dataclasses.field(default_factory=dict)
    result: RESULTS = RESULTS.successful
    stats: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def coverage(self) -> COVERAGE:
        """The weakest coverage of all periods followed."""
        return min(self.coverage_by_period.values(), default=COVERAGE.partial)

    @property
    def num_branches(self) -> int:
        """Number of branches."""
        return int(self.segment_branch.max(initial=-1)) + 1

    def __len__(self) -> int:
        return len(self.s)

    def __getitem__(self, rows) -> "Bifurcations":
        if isinstance(rows, int | np.integer):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of {len(self)} events")
            rows = np.array([rows])
        picked = {name: getattr(self, name)[rows] for name in self._arrays_along("event")}
        chosen = np.arange(len(self))[rows]
        kept = np.full(len(self), -1)
        kept[chosen] = np.arange(len(chosen))
        for name in ("segment_first", "segment_last"):
            old = getattr(self, name)
            picked[name] = np.where(old >= 0, kept[np.maximum(old, 0)] if len(kept) else -1, old)
        return dataclasses.replace(self, **picked)

    def __iter__(self):
        return (self[row] for row in range(len(self)))

    @property
    def changes(self) -> Bool[np.ndarray, " event"]:
        """Whether an event changes stability, or which cycles there are; at the others, persistent
        border collisions, a cycle goes on as it was, under another word."""
        goes_on = self.subtype == COLLISION.persistence
        return ~goes_on | (self.stability_before != self.stability_after) | (self.attractor != 0)

    def branch_of(self, number: int) -> Branch:
        """Return one branch.

        **Raises:** `ValueError` for a number that there is not.
        """
        if not 0 <= number < self.num_branches:
            raise ValueError(f"number: expected 0 to {self.num_branches - 1}, got {number!r}")
        rows = np.flatnonzero(self.segment_branch == number)
        rows = rows[np.lexsort((self.segment_low[rows], self.segment_interval[rows]))]
        born, lost = self.segment_first[rows[0]], self.segment_last[rows[-1]]
        return Branch(number, int(self.segment_period[rows[0]]), rows, int(born), int(lost))

    @property
    def branches(self) -> list[Branch]:
        """All branches, in the order in which they appear."""
        return [self.branch_of(number) for number in range(self.num_branches)]

    def regions(self, row: int) -> Bool[np.ndarray, "time unit"]:
        """Return the unpacked word of one segment."""
        return unpack(self.segment_itinerary[row, : self.segment_period[row]], self.num_units)

    def alive_at(self, network: int) -> dict[int, int]:
        """Return the branches that exist at a network, with the row of a segment that ends there.

        **Raises:** `ValueError` for a network that there is not.
        """
        if not 0 <= network < len(self.steps):
            raise ValueError(f"network: expected 0 to {len(self.steps) - 1}, got {network!r}")
        low, high = self.stats.get("range", (0.0, 1.0))
        begins = (self.segment_interval == network) & (self.segment_low == low)
        ends = (self.segment_interval == network - 1) & (self.segment_high == high)
        rows = np.flatnonzero(begins | ends)
        return {int(self.segment_branch[row]): int(row) for row in rows}

    def to_dataframe(self):
        """Return a pandas DataFrame with one row per event (extra `sweep`)."""
        pandas = require("pandas", "sweep", "to_dataframe")
        events = {name: getattr(self, name) for name in self._arrays_along("event")}
        plain = {name: array for name, array in events.items() if array.ndim == 1}
        names = {
            "kind": [BIFURCATION(code).name for code in self.kind],
            "subtype": [COLLISION(code).name for code in self.subtype],
            "stability_before": [stability_name(code) for code in self.stability_before],
            "stability_after": [stability_name(code) for code in self.stability_after],
        }
        return pandas.DataFrame(plain | names)

    def _table(self) -> Table:
        return table_of(self)
