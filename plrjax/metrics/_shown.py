"""What test data show: rows to start from, a stretch without gaps, pairs n steps apart."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._arguments import checked_whole
from .._trials import checked_trials
from ._series import Series, refuse_constant

_ENOUGH = 0.5
"""Share of the values of a row that must have been observed for the row to stand for a state."""


class Shown(NamedTuple):
    """Test data in float64, missing values interpolated.

    **Fields:** `rows`: those of which enough was observed; `stretches`: first row and row after the
    last one of what lies between gaps.
    """

    values: Series
    seen: Bool[np.ndarray, "time dimension"]
    rows: Int[np.ndarray, " row"]
    stretches: list[tuple[int, int]]

    @property
    def longest(self) -> Series:
        """The longest stretch."""
        first, last = max(self.stretches, key=lambda ends: ends[1] - ends[0])
        return self.values[first:last]

    def pairs(
        self, num_steps: int
    ) -> tuple[
        Float[np.ndarray, "start dimension"],
        Float[np.ndarray, "start dimension"],
        Bool[np.ndarray, "start dimension"],
    ]:
        """Return rows, those n steps later in the same stretch, and what was observed of these."""
        inside = np.zeros(len(self.values), bool)
        for first, last in self.stretches:
            inside[first : max(last - num_steps, first)] = True
        starts = self.rows[inside[self.rows]]
        later = starts + num_steps
        kept = self.seen[later].any(axis=1)
        return self.values[starts[kept]], self.values[later[kept]], self.seen[later[kept]]


def checked_test(test: Any, mask: Any, least: int, num_starts: int, longest_gap: int) -> Shown:
    """Return test data whose longest stretch has `least` rows, both halves of which vary.

    **Raises:** `ValueError` naming `test`, `mask` or `longest_gap`.
    """
    checked_whole("longest_gap", longest_gap, 0)
    trials = checked_trials("test", test, mask)
    values = np.ascontiguousarray(trials.values, np.float64)
    rows = np.flatnonzero(trials.seen.mean(axis=1) >= _ENOUGH)
    shown = Shown(values, trials.seen, rows, list(trials.stretches(longest_gap)))
    series, whole = shown.longest, trials.seen.all() and len(trials.ends) == 1
    where = "" if whole else " in the longest stretch without a gap"
    least = max(least, num_starts if whole else 0)
    if len(series) < least:
        raise ValueError(f"test: expected at least {least} rows{where}, got {len(series)}")
    if len(rows) < num_starts:
        raise ValueError(
            f"num_starts: expected at most {len(rows)}, the rows of which half was observed, got "
            f"{num_starts}"
        )
    half = len(series) // 2
    for part in (series[:half], series[half : 2 * half]):
        refuse_constant("test", part, "in one half")
    return shown
