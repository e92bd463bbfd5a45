"""What a search has found, by word; and its conversion into a `CycleSet`."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from .._numerics import EPS
from .._piecewise_affine import PiecewiseAffineMap
from .._results import STABILITY
from .._stability import classify, cycle_index, floquet_multipliers
from .._types import PackedItinerary
from ._marginal import marginal_family
from ._verify import VERDICT, Examined, examine
from ._words import canonical, pack, unpack

REJECTED = -1
MAX_MARGINAL = 64
"""Singular words of one period that are examined for families; further ones are only counted."""


@dataclasses.dataclass
class Entry:
    """One cycle: its word, where it is, and what is known of its accuracy."""

    word: PackedItinerary
    points: np.ndarray
    verdict: int
    residual: float
    error_bound: float
    condition: float
    margin: float
    hits: int = 0
    first_walk: int = -1

    @property
    def period(self) -> int:
        return len(self.word)


@dataclasses.dataclass
class Catalog:
    """Cycles by number, and the number of every word seen (REJECTED where it is not a cycle)."""

    map: PiecewiseAffineMap
    entries: list[Entry] = dataclasses.field(default_factory=list)
    numbers: dict[tuple[int, bytes], int] = dataclasses.field(default_factory=dict)
    num_virtual: int = 0
    num_singular: int = 0
    num_unexamined: int = 0

    def identify(
        self, itineraries: Bool[np.ndarray, "word time unit"], *, polish: int = 0
    ) -> Int[np.ndarray, " word"]:
        """Return the number of the cycle behind each itinerary, entering those not seen before."""
        words = [canonical(packed) for packed in pack(itineraries)]
        keys = [(len(word), word.tobytes()) for word in words]
        fresh = {key: word for key, word in zip(keys, words) if key not in self.numbers}
        for period in sorted({key[0] for key in fresh}):
            group = {key: word for key, word in fresh.items() if key[0] == period}
            self._enter(list(group), np.stack(list(group.values())), polish)
        return np.array([self.numbers[key] for key in keys], int).reshape(len(words))

    def _enter(self, keys: list[tuple[int, bytes]], packed: np.ndarray, polish: int) -> None:
        seen = examine(self.map, unpack(packed, self.map.num_units), polish=polish)
        for row, key in enumerate(keys):
            verdict = seen.verdict[row]
            if verdict == VERDICT.virtual:
                self.num_virtual += 1
                self.numbers[key] = REJECTED
            elif verdict == VERDICT.marginal:
                self.numbers[key] = self._enter_marginal(packed[row])
            else:
                self.numbers[key] = self._enter_cycle(seen, row)

    def _enter_cycle(self, seen: Examined, row: int) -> int:
        """Enter an admissible itinerary under its own word (polishing may have changed it)."""
        own = pack(seen.itineraries[row])
        word = canonical(own)
        key = (len(word), word.tobytes())
        if key in self.numbers:
            return self.numbers[key]
        if not np.array_equal(word, own):
            seen, row = examine(self.map, unpack(word, self.map.num_units)[None]), 0
            if seen.verdict[0] not in (VERDICT.cycle, VERDICT.border):
                self.numbers[key] = REJECTED
                return REJECTED
        facts = (values[row].item() for values in seen[2:])
        self.entries.append(Entry(word, seen.points[row], *facts))
        self.numbers[key] = len(self.entries) - 1
        return self.numbers[key]

    def _enter_marginal(self, word: np.ndarray) -> int:
        self.num_singular += 1
        if self.num_singular > MAX_MARGINAL:
            self.num_unexamined += 1
            return REJECTED
        itinerary = unpack(word, self.map.num_units)
        points = marginal_family(self.map, itinerary)
        if points is None:
            return REJECTED
        residual = np.abs(self.map.apply(points) - np.roll(points, -1, axis=0)).max()
        margin = self.map.margin(points).min()
        fact = (int(VERDICT.marginal), float(residual), np.inf, np.inf, float(margin))
        self.entries.append(Entry(word, points, *fact))
        return len(self.entries) - 1

    def count(self, period: int) -> int:
        """Return the number of cycles of minimal period `period`."""
        return sum(entry.period == period for entry in self.entries)


def merge(catalogs: list[Catalog]) -> list[Entry]:
    """Return the entries of several catalogs, each word once with its hits added up."""
    merged: dict[tuple[int, bytes], Entry] = {}
    for catalog in catalogs:
        for entry in catalog.entries:
            key = (entry.period, entry.word.tobytes())
            if key in merged:
                merged[key].hits += entry.hits
            else:
                merged[key] = dataclasses.replace(entry)
    return [merged[key] for key in sorted(merged)]


def row_arrays(map: PiecewiseAffineMap, entries: list[Entry]) -> dict[str, Any]:
    """Return the per-cycle fields of a `CycleSet` for entries sorted by period and word."""
    longest = max((entry.period for entry in entries), default=0)
    count, size = len(entries), map.state_size
    points = np.full((count, longest, size), np.nan)
    width = (map.num_units + 7) // 8
    itinerary = np.zeros((count, longest, width), np.uint8)
    for row, entry in enumerate(entries):
        points[row, : entry.period] = entry.points
        itinerary[row, : entry.period] = entry.word
    period = np.array([entry.period for entry in entries], np.int32)
    multipliers, errors = _multipliers(map, entries, period)
    verdict = np.array([entry.verdict for entry in entries], int)
    stability, index = classify(multipliers, errors), cycle_index(multipliers, errors)
    stability[verdict == VERDICT.marginal] = STABILITY.nonhyperbolic
    index[verdict == VERDICT.marginal] = 0
    facts = ("residual", "error_bound", "condition", "margin")
    return {
        "points": points,
        "period": period,
        "multipliers": multipliers,
        "stability": stability,
        "index": index,
        "itinerary": itinerary,
        **{name: np.array([getattr(entry, name) for entry in entries], float) for name in facts},
        "hits": np.array([entry.hits for entry in entries], np.int32),
        "verified": verdict == VERDICT.cycle,
        "valid": np.isfinite(points[:, :1]).all(axis=(1, 2)) & (verdict != VERDICT.marginal),
    }


def _multipliers(
    map: PiecewiseAffineMap, entries: list[Entry], period: np.ndarray
) -> tuple[np.ndarray, Float[np.ndarray, "cycle state"]]:
    """Return Floquet multipliers and error bounds, period by period in bounded batches."""
    values = np.zeros((len(entries), map.state_size), complex)
    errors = np.zeros((len(entries), map.state_size))
    for k in np.unique(period):
        rows = np.flatnonzero(period == k)
        step = max(1, int(2**22 // (k * map.state_size**2)))
        for low in range(0, len(rows), step):
            part = rows[low : low + step]
            words = np.stack([unpack(entries[row].word, map.num_units) for row in part])
            values[part], errors[part] = floquet_multipliers(map.affine_piece(words)[0])
    return values, errors


def degenerate_notes(arrays: dict[str, np.ndarray], periods: list[int]) -> list[str]:
    """Name cycles with a multiplier that is a root of unity: longer cycles may surround them."""
    notes = []
    longest = max(periods, default=0)
    for row in np.flatnonzero(arrays["stability"] == STABILITY.nonhyperbolic):
        period, found = int(arrays["period"][row]), set()
        unit = arrays["multipliers"][row]
        unit = unit[np.abs(np.abs(unit) - 1.0) < 1e3 * EPS * period]
        for order in range(2, max(2, longest // period) + 1):
            close = np.abs(unit**order - 1.0) < 1e4 * EPS * period * order
            if close.any() and not any(order % smaller == 0 for smaller in found):
                found.add(order)
                notes.append(
                    f"the {period}-cycle of row {row} has a multiplier that is a root of unity of "
                    f"order {order}: a continuum of {order * period}-cycles may surround it"
                )
    return notes
