"""The result of a search for cycles: a flat struct of arrays that reads like a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Int, UInt8

from .._arguments import require
from .._results import COVERAGE, RESULTS, STABILITY, UNDECIDED_INDEX
from .._saved import AbstractSaved
from .._tables import Table
from ..words import unpack
from ._work import pieces_of


@dataclasses.dataclass(frozen=True)
class Unseen:
    """What a search with independent starts says about cycles of one period it did not see.

    **Fields:**

    - `missing_mass`: Good-Turing estimate (Good 1953) of the probability that the next draw finds
        a cycle not seen before: cycles seen once per draw. A draw is a walk that ended on a cycle,
        or a path from a random point (paths from known cycles are not independent: they do not
        count). NaN without draws.
    - `chao2`: lower-bound estimate (Chao 1987) of the number of cycles the draws can reach,
        seen ones included.
    - `quiet_draws`: number q of draws since the last new cycle; with 95 % confidence the next one
        finds a new cycle with probability below 3/q.
    """

    missing_mass: float
    chao2: float
    quiet_draws: int


_PROVEN = ("proven_existence", "proven_stability")


def _nothing() -> np.ndarray:
    return np.zeros(0, bool)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CycleSet(AbstractSaved):
    """Fixed points and k-cycles of a piecewise-affine map, one row each, sorted by period and word.

    A cycle is its word: the least rotation of its itinerary in canonical units. Rows can be
    selected by mask, integer array, slice or integer: `cycles[cycles.period == 3]`; a selection
    keeps the facts about the search (`coverage`, `unseen`, `stats`) and prints its own rows. To
    iterate is to select one row after the other. Sets are equal where all their fields are.

    **Fields**, rows padded along time to the longest period:

    - `points`: z_1 ... z_k of each cycle in the order of its word; NaN beyond its period.
    - `period`: minimal period k.
    - `multipliers`: Floquet multipliers, eigenvalues of DF^k, by decreasing modulus; NaN for a
        cycle on a switching boundary, which has none.
    - `stability`: codes of `STABILITY`; `nonhyperbolic` for marginal families (I - P singular).
    - `index`: sign det(I - DF^k), or the degree of id - F^k around a cycle on a switching boundary;
        -128 where it is not decided.
    - `itinerary`: the word, bit-packed (see `regions`).
    - `residual`: max_t |F(z_t) - z_{t+1}| (maximum norm).
    - `error_bound`: first-order bound of the error of `points` (maximum norm), the inverse norm
        estimated by Hager's method: an estimate, not a proof, unless `proven_existence`; infinite
        for a marginal family.
    - `condition`: estimated condition number of the multiple-shooting system (maximum norm, states
        in units of what forms them);
        infinite for a marginal family.
    - `margin`: least Euclidean distance of a point to a switching boundary.
    - `hits`: number of walks that ended on the cycle and of paths from random points that passed
        it; 0 where it was enumerated, or met only from other cycles.
    - `verified`: every pre-activation exceeds 1000 times its error bound with the word's sign, or
        its sign is proven (0 counts as off).
    - `valid`: the row's computation went well (False for a marginal family's representative).
    - `proven_existence`: `certify` proved that the cycle exists, has its minimal period, and is the
        only one of its word.
    - `proven_stability`: `certify` proved `stability`.
    - `num_units`: number H of ReLU units.
    - `result`: whether the computation went well.
    - `coverage_by_period`: for every period searched, what "all" may claim.
    - `coverage_domain`: the region of state space the claim is about.
    - `unseen`: per period, what the search says about cycles it did not see.
    - `degree`: per period, what `index_sum` is where all cycles are known; only for maps whose
        behavior at infinity decides it (bounded ones: 1).
    - `stats`: counts, traces and the solver used.
    - `notes`: facts to know, in words (marginal families, budget, collisions).
    - `selected_from`: of a selection, how many rows there were to choose from; else None.
    """

    file_type = "cycles"
    file_later = ("degree", "selected_from", *_PROVEN)
    file_bounds = {"period": (1, "time", 0)}

    points: Float[np.ndarray, "cycle time state"]
    period: Int[np.ndarray, " cycle"]
    multipliers: Complex[np.ndarray, "cycle state"]
    stability: Int[np.ndarray, " cycle"]
    index: Int[np.ndarray, " cycle"]
    itinerary: UInt8[np.ndarray, "cycle time byte"]
    residual: Float[np.ndarray, " cycle"]
    error_bound: Float[np.ndarray, " cycle"]
    condition: Float[np.ndarray, " cycle"]
    margin: Float[np.ndarray, " cycle"]
    hits: Int[np.ndarray, " cycle"]
    verified: Bool[np.ndarray, " cycle"]
    valid: Bool[np.ndarray, " cycle"]
    num_units: int
    result: RESULTS = RESULTS.successful
    coverage_by_period: Mapping[int, COVERAGE] = dataclasses.field(default_factory=dict)
    coverage_domain: str = "all of R^M"
    unseen: Mapping[int, Unseen] = dataclasses.field(default_factory=dict)
    degree: Mapping[int, int] = dataclasses.field(default_factory=dict)
    stats: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    proven_existence: Bool[np.ndarray, " cycle"] = dataclasses.field(default_factory=_nothing)
    proven_stability: Bool[np.ndarray, " cycle"] = dataclasses.field(default_factory=_nothing)
    selected_from: int | None = None

    def __post_init__(self):
        for name in _PROVEN:
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(np.shape(self.period), bool))
        self._check_arrays(self._arrays(), "CycleSet")

    @property
    def coverage(self) -> COVERAGE:
        """The weakest coverage of all periods searched."""
        return min(self.coverage_by_period.values(), default=COVERAGE.partial)

    @property
    def state_size(self) -> int:
        """Number M of states."""
        return self.points.shape[-1]

    def __len__(self) -> int:
        return self.period.shape[0]

    def __getitem__(self, rows) -> "CycleSet":
        if isinstance(rows, int | np.integer):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of a CycleSet with {len(self)} cycles")
            rows = [rows]
        picked = {name: getattr(self, name)[rows] for name in self.file_arrays}
        whole = len(self) if self.selected_from is None else self.selected_from
        return dataclasses.replace(self, **picked, selected_from=whole)

    def __iter__(self):
        return (self[row] for row in range(len(self)))

    def effort(self) -> dict[str, tuple[float, int]]:
        """Return seconds spent by each solver of the search, and the cycles that it was first at.

        `stats["work"]` has the whole course: solver, period, seconds and cycles known.
        """
        spent: dict[str, tuple[float, int]] = {}
        for piece in pieces_of(self.stats.get("work", {})):
            seconds, news = spent.get(piece.solver, (0.0, 0))
            spent[piece.solver] = (seconds + piece.seconds, news + piece.news)
        return spent

    def slow_points(
        self,
    ) -> tuple[Float[np.ndarray, "slow state"], Float[np.ndarray, " slow"]]:
        """Return where the speed max |F(z) - z| of a smooth network has a minimum that is not zero,
        as far as `find_fixed_points` met them, and that speed per step, the slowest first."""
        found = self.stats.get("slow_points", {"points": [], "speed": []})
        return np.reshape(found["points"], (-1, self.state_size)), np.array(found["speed"], float)

    def orbit(self, row: int) -> Float[np.ndarray, "time state"]:
        """Return the points of one cycle without padding."""
        return self.points[row, : self.period[row]]

    def regions(self, row: int) -> Bool[np.ndarray, "time unit"]:
        """Return the unpacked itinerary of one cycle without padding."""
        return unpack(self.itinerary[row, : self.period[row]], self.num_units)

    @property
    def is_isolated(self) -> Bool[np.ndarray, " cycle"]:
        """Which rows are cycles of their own, not members of a continuum (I - P singular)."""
        return np.isfinite(self.condition)

    @property
    def is_regular(self) -> Bool[np.ndarray, " cycle"]:
        """Which rows are verified and off all switching boundaries: F^k is affine around them."""
        return self.verified & ~np.isnan(self.multipliers).any(axis=1)

    def counts(self) -> dict[int, int]:
        """Return the number of cycles per minimal period, for every period searched or present.

        A continuum, of which a row shows one member, counts as none.
        """
        present, number = np.unique(self.period[self.is_isolated], return_counts=True)
        found = dict(zip(present.tolist(), number.tolist()))
        return {k: found.get(k, 0) for k in sorted({*self.coverage_by_period, *found})}

    def index_sum(self, period: int) -> int | None:
        """Return the sum of sign det(I - DF^k) over Fix(F^k), from the cycles known.

        Where `degree` has an entry for the period, another sum shows that something is missing, up
        to rounding and where all cycles are verified; equality shows nothing, as cycles come in
        pairs of opposite index. None where the index of a cycle is not decided, as that of
        repetitions of one on a switching boundary. Meaningful only where all divisors of the period
        were searched.
        """
        divides = (period % self.period) == 0
        if not divides.any():
            return 0
        repeats = period // self.period[divides]
        with_ties = np.isnan(self.multipliers[divides]).all(axis=1)
        if (self.index[divides] == UNDECIDED_INDEX).any() or (with_ties & (repeats > 1)).any():
            return None
        signs = [
            power_index(multipliers, int(count), int(index))
            for multipliers, count, index in zip(
                self.multipliers[divides], repeats, self.index[divides]
            )
        ]
        return int(np.dot(signs, self.period[divides]))

    def to_dataframe(self):
        """Return a pandas DataFrame with one row per cycle (extra `sweep`)."""
        pandas = require("pandas", "sweep", "to_dataframe")
        moduli = np.abs(self.multipliers)
        return pandas.DataFrame(
            {
                "period": self.period,
                "stability": [STABILITY(code).name for code in self.stability],
                "max_multiplier": moduli.max(axis=1) if len(self) else np.zeros(0),
                "index": self.index,
                "verified": self.verified,
                "proven_existence": self.proven_existence,
                "proven_stability": self.proven_stability,
                "valid": self.valid,
                "hits": self.hits,
                "margin": self.margin,
                "residual": self.residual,
                "error_bound": self.error_bound,
                "condition": self.condition,
                "point": [self.points[row, 0] for row in range(len(self))],
            }
        )

    def _row(self) -> dict[str, str]:
        """Return what a table of many networks says of this one."""
        from . import _table

        return _table.row_of(self)

    def _table(self) -> Table:
        from . import _table

        return _table.of_search(self) if self.selected_from is None else _table.of_rows(self)


def power_index(multipliers: np.ndarray, repeats: int, index: int) -> int:
    """Return sign det(I - P^m) from the multipliers of P; complex pairs do not count."""
    if repeats == 1 or index == 0:
        return index
    real = np.real(multipliers)[np.imag(multipliers) == 0]
    if repeats % 2 == 0:
        real = np.abs(real)
    return 0 if np.any(real == 1.0) else int((-1) ** np.count_nonzero(real > 1.0))
