"""What a search has found, by word; and its conversion into a `CycleSet`."""

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from .._numerics import EPS, quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from .._results import STABILITY, UNDECIDED_INDEX
from .._stability import classify, cycle_index, floquet_multipliers
from .._types import PackedItinerary
from ._exactly import Decided, Rationals, Undecided
from ._marginal import NotExamined, marginal_family
from ._on_border import judged
from ._verify import CLOSE, SAFETY, VERDICT, Examined, examine
from ._words import canonical, least_rotation, pack, unpack

REJECTED = -1
MAX_MARGINAL = 64
"""Singular words of one period that floats examine for families; further ones are only counted."""

EXACT_STEPS = 2
"""Where rounding misled a walk or a path, it goes on for so many steps in rationals."""

MAX_DECIDED = 4096
"""Words that rationals decide in one search, at a millisecond or so each; the same."""


@dataclasses.dataclass
class Entry:
    """One cycle: its word, where it is, and what is known of its accuracy."""

    word: PackedItinerary
    points: np.ndarray
    verdict: int
    error: np.ndarray
    condition: float
    hits: int = 0
    first_walk: int = -1
    zero: np.ndarray | None = None

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
    num_decided: int = 0

    @functools.cached_property
    def exact(self) -> Rationals:
        """The map in exact numbers."""
        return Rationals(self.map)

    def identify(
        self, itineraries: Bool[np.ndarray, "word time unit"], *, polish: int = 0
    ) -> Int[np.ndarray, " word"]:
        """Return the number of the cycle behind each itinerary, entering those not seen before."""
        words = [canonical(packed) for packed in pack(itineraries)]
        keys = [_key(word) for word in words]
        fresh = {key: word for key, word in zip(keys, words) if key not in self.numbers}
        for period in sorted({key[0] for key in fresh}):
            group = {key: word for key, word in fresh.items() if key[0] == period}
            self._enter(list(group), np.stack(list(group.values())), polish)
        return np.array([self.numbers[key] for key in keys], int).reshape(len(words))

    def _enter(self, keys: list[tuple[int, bytes]], packed: np.ndarray, polish: int) -> None:
        seen = examine(self.map, unpack(packed, self.map.num_units), polish=polish)
        for row, key in enumerate(keys):
            if seen.verdict[row] == VERDICT.virtual:
                self.num_virtual += 1
                self.numbers[key] = REJECTED
            else:
                self.numbers[key] = self._enter_own_word(seen, row)

    def _enter_own_word(self, seen: Examined, row: int) -> int:
        """Enter what is not virtual under its own word (polishing may have changed it)."""
        own = pack(seen.itineraries[row])
        word = canonical(own)
        key = _key(word)
        if key not in self.numbers:
            if not np.array_equal(word, own):
                seen, row = examine(self.map, unpack(word, self.map.num_units)[None]), 0
            self.numbers[key] = self._enter_judged(word, seen, row)
        return self.numbers[key]

    def _enter_judged(self, word: np.ndarray, seen: Examined, row: int) -> int:
        verdict, points = int(seen.verdict[row]), seen.points[row]
        error, condition = seen.error[row], float(seen.condition[row])
        if verdict == VERDICT.virtual:
            return REJECTED
        if verdict != VERDICT.cycle:
            number = self._decided(word, verdict, condition)
            if number is not None:
                return number
        if verdict == VERDICT.marginal:
            found = self._family_member(word)
            if found is None:
                return REJECTED
            points, error, condition = found, np.full(self.map.state_size, np.inf), np.inf
        if verdict == VERDICT.border:
            known = self._same_border_cycle(points, error, seen.unit[row])
            if known is not None:
                return known
        return self._append(Entry(word, points, verdict, error, condition))

    def _append(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1

    def _known_with_ties(self, word: np.ndarray) -> int | None:
        """Return the number of a cycle on a boundary that solves a regular word as well.

        It does where they differ in units that are exactly 0; the word has no other solution. The
        result is REJECTED where the cycle is shorter than the word.
        """
        units = self.map.num_units
        for number, entry in enumerate(self.entries):
            if entry.zero is None or len(word) % entry.period or entry.verdict == VERDICT.marginal:
                continue
            times = (len(word) // entry.period, 1)
            own = np.tile(unpack(entry.word, units), times)
            free, bits = np.tile(entry.zero, times), unpack(word, units)
            for shift in range(entry.period):
                if not ((np.roll(own, shift, axis=0) ^ bits) & ~np.roll(free, shift, axis=0)).any():
                    return number if entry.period == len(word) else REJECTED
        return None

    def _decided(self, word: np.ndarray, verdict: int, condition: float) -> int | None:
        """Return the number of what rationals say of a word, None where it is too long for them."""
        self.num_singular += verdict == VERDICT.marginal
        known = self._known_with_ties(word) if verdict == VERDICT.border else None
        if known is not None:
            return known
        self.num_decided += 1
        if self.num_decided > MAX_DECIDED:
            self.num_unexamined += 1
            return REJECTED
        itinerary = unpack(word, self.map.num_units)
        try:
            found = self.exact.decide(itinerary)
            for _ in range(EXACT_STEPS if found is None and verdict == VERDICT.border else 0):
                visited = self.exact.visited(itinerary)
                if visited is None or np.array_equal(visited, itinerary):
                    break
                itinerary, found = visited, self.exact.decide(visited)
                if found is not None:
                    break
        except Undecided:
            return None
        return REJECTED if found is None else self.enter_exact(found, condition)

    def enter_exact(self, found: Decided, condition: float = np.inf) -> int:
        """Enter a cycle that rationals decided, under its true itinerary."""
        entry = exact_entry(found, condition)
        key = _key(entry.word)
        if self.numbers.get(key, REJECTED) == REJECTED:
            self.numbers[key] = self._append(entry)
        return self.numbers[key]

    def _family_member(self, word: np.ndarray) -> np.ndarray | None:
        """Return the points of a cycle of a singular word, if one has its minimal period."""
        if self.num_singular > MAX_MARGINAL:
            self.num_unexamined += 1
            return None
        try:
            points = marginal_family(self.map, unpack(word, self.map.num_units))
        except NotExamined:
            self.num_unexamined += 1
            return None
        if points is None or _repeats(points, 1e-9 * np.abs(points).max(axis=0)):
            return None
        return points

    def _same_border_cycle(
        self, points: np.ndarray, error: np.ndarray, unit: np.ndarray
    ) -> int | None:
        """Return the number under which an undecided orbit is known, REJECTED if it repeats itself.

        A cycle on a switching boundary is admissible under several words, and a shorter cycle
        there under words that mix them. An orbit whose error is large is not compared loosely.
        """
        if _repeats(points, np.minimum(SAFETY * error, CLOSE * unit)):
            return REJECTED
        for number, entry in enumerate(self.entries):
            if entry.verdict == VERDICT.border and len(entry.points) == len(points):
                close = np.minimum(SAFETY * (error + entry.error), CLOSE * unit)
                for shift in range(len(points)):
                    if (np.abs(np.roll(points, shift, axis=0) - entry.points) <= close).all():
                        return number
        return None

    def count(self, period: int) -> int:
        """Return the number of cycles of minimal period `period`."""
        return sum(entry.period == period for entry in self.entries)


def _key(word: np.ndarray) -> tuple[int, bytes]:
    return len(word), word.tobytes()


def exact_entry(found: Decided, condition: float) -> Entry:
    """Return the entry of a decided cycle: its word begins where it is least."""
    packed = pack(found.itinerary)
    shift = -least_rotation(packed.tobytes(), len(packed)) if packed.shape[1] else 0
    word, points, zero = (np.roll(x, shift, axis=0) for x in (packed, found.points, found.zero))
    error = EPS * np.abs(points).max(axis=0)
    condition = min(condition, float(np.finfo(float).max))  # infinite for continua alone
    if found.is_family:
        return Entry(word, points, VERDICT.marginal, np.full(points.shape[1], np.inf), np.inf)
    if zero.any():
        return Entry(word, points, VERDICT.on_border, error, condition, zero=zero)
    return Entry(word, points, VERDICT.cycle, error, condition)


def _repeats(points: np.ndarray, close: np.ndarray) -> bool:
    """Return whether an orbit of k points returns, within `close`, after a proper divisor of k."""
    k = len(points)
    return any(
        bool((np.abs(np.roll(points, d, axis=0) - points) <= close).all())
        for d in range(1, k // 2 + 1)
        if k % d == 0
    )


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


def row_arrays(
    map: PiecewiseAffineMap,
    scaled: PiecewiseAffineMap,
    unit: Float[np.ndarray, " state"],
    entries: list[Entry],
) -> dict[str, Any]:
    """Return the per-cycle fields of a `CycleSet` for entries sorted by period and word.

    `map` is the map as the user gave it, `scaled` the one searched, with states in units `unit`.
    """
    longest = max((entry.period for entry in entries), default=0)
    count = len(entries)
    points = np.full((count, longest, map.state_size), np.nan)
    itinerary = np.zeros((count, longest, (map.num_units + 7) // 8), np.uint8)
    for row, entry in enumerate(entries):
        points[row, : entry.period] = entry.points * unit
        itinerary[row, : entry.period] = entry.word[:, : itinerary.shape[2]]
    period = np.array([entry.period for entry in entries], np.int32)
    residual, margin = _residuals_and_margins(map, points, period)
    multipliers, errors = _multipliers(scaled, entries, period)
    verdict = np.array([entry.verdict for entry in entries], int)
    stability, index = classify(multipliers, errors), cycle_index(multipliers, errors)
    stability[verdict == VERDICT.marginal] = STABILITY.nonhyperbolic
    index[verdict == VERDICT.marginal] = UNDECIDED_INDEX
    _judge_ties(scaled, entries, multipliers, stability, index)
    return {
        "points": points,
        "period": period,
        "multipliers": multipliers,
        "stability": stability,
        "index": index,
        "itinerary": itinerary,
        "residual": residual,
        "error_bound": np.array([np.max(entry.error * unit) for entry in entries], float),
        "condition": np.array([entry.condition for entry in entries], float),
        "margin": margin,
        "hits": np.array([entry.hits for entry in entries], np.int32),
        "verified": np.isin(verdict, (VERDICT.cycle, VERDICT.on_border)),
        "valid": np.isfinite(points[:, :1]).all(axis=(1, 2)) & (verdict != VERDICT.marginal),
    }


def _judge_ties(map, entries, multipliers, stability, index) -> None:
    """Write what is known of cycles on a boundary, or too close to one: no multipliers there."""
    exact = Rationals(map)
    for row, entry in enumerate(entries):
        if entry.verdict == VERDICT.border:
            stability[row], index[row] = STABILITY.undecided, UNDECIDED_INDEX
        elif entry.verdict == VERDICT.on_border:
            word = unpack(entry.word, map.num_units)
            stability[row], index[row] = judged(exact.system, word, entry.zero)
        else:
            continue
        multipliers[row] = np.nan


def _residuals_and_margins(
    map: PiecewiseAffineMap, points: np.ndarray, period: np.ndarray
) -> tuple[Float[np.ndarray, " cycle"], Float[np.ndarray, " cycle"]]:
    """Return max_t |F(z_t) - z_{t+1}| and the least margin of padded orbits, in bounded batches."""
    residual, margin = np.zeros(len(points)), np.zeros(len(points))
    step = max(1, int(2**22 // (points[:1].size + points.shape[1] * map.num_units + 1)))
    times = np.arange(points.shape[1])
    for low in range(0, len(points), step):
        orbits, length = points[low : low + step], period[low : low + step, None]
        following = np.take_along_axis(orbits, ((times + 1) % length)[..., None], axis=1)
        with quiet_floats():
            wrong = np.abs(map.apply(orbits) - following).max(axis=2, initial=0.0)
            distance = map.margin(orbits)
        residual[low : low + step] = np.where(times < length, wrong, 0.0).max(axis=1)
        margin[low : low + step] = np.where(times < length, distance, np.inf).min(axis=1)
    return residual, margin


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
