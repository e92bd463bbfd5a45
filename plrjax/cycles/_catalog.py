"""What a search has found, by word; and its conversion into a `CycleSet`."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Int, UInt8

from .._numerics import EPS, quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from ..words import canonical, least_rotation, pack, unpack
from ._exactly import Decided, Rationals, Undecided
from ._marginal import NotExamined, marginal_family
from ._verify import CLOSE, SAFETY, VERDICT, Examined, examine

REJECTED = -1
MAX_MARGINAL = 64
"""Singular words of one period that floats examine for families; further ones are only counted."""

_COMPANY = 256
"""Words that are identified before the others of a batch."""

MAX_DECIDED = 4096
"""Words that rationals decide in one search, at a millisecond or so each; the same."""


@dataclasses.dataclass
class Entry:
    """One cycle: its word, where it is, and what is known of its accuracy."""

    word: UInt8[np.ndarray, "time byte"]
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
    """Cycles by number, and the number of every word seen (REJECTED where it is not a cycle).

    Where rounding misled a walk or a path, it goes on for `exact_steps` in rationals.
    """

    map: PiecewiseAffineMap
    entries: list[Entry] = dataclasses.field(default_factory=list)
    numbers: dict[tuple[int, bytes], int] = dataclasses.field(default_factory=dict)
    num_virtual: int = 0
    num_singular: int = 0
    num_unexamined: int = 0
    num_decided: int = 0
    exact_steps: int = 2
    undecided: set[tuple[int, bytes]] = dataclasses.field(default_factory=set)

    @functools.cached_property
    def exact(self) -> Rationals:
        """The map in exact numbers."""
        return Rationals(self.map)

    def identify(
        self, itineraries: Bool[np.ndarray, "word time unit"], *, polish: int = 0
    ) -> Int[np.ndarray, " word"]:
        """Return the number of the cycle behind each itinerary, entering those not seen before."""
        numbers = np.full(len(itineraries), REJECTED)
        for low, high in _parts(len(itineraries)):
            words = itineraries[low:high]
            open_rows = low + np.flatnonzero(~self._repeat_a_tie(words))
            numbers[open_rows] = self._identify(itineraries[open_rows], polish)
        return numbers

    def _repeat_a_tie(self, words: np.ndarray) -> np.ndarray:
        """Return which words have a shorter cycle on a boundary for their only solution.

        They differ from its repeated word in units that are exactly 0 there: with h = 0, the origin
        solves all of them.
        """
        found, period = np.zeros(len(words), bool), words.shape[1]
        for entry in self.entries:
            if entry.zero is not None and period % entry.period == 0 and entry.period < period:
                found |= _solves(entry, words)
        rows = np.flatnonzero(found)
        found[rows] = _clearly_regular(self.map, words[rows])
        return found

    def _identify(self, itineraries: np.ndarray, polish: int) -> np.ndarray:
        words = [canonical(packed) for packed in pack(itineraries)]
        keys = [_key(word) for word in words]
        fresh = {key: word for key, word in zip(keys, words) if key not in self.numbers}
        for period in sorted({key[0] for key in fresh}):
            group = {key: word for key, word in fresh.items() if key[0] == period}
            self._enter(list(group), np.stack(list(group.values())), polish)
        return np.array([self.numbers[key] for key in keys], int).reshape(len(words))

    def is_undecided(self, itinerary: np.ndarray) -> bool:
        """Return whether an itinerary without a row was left undecided."""
        return _key(canonical(pack(itinerary))) in self.undecided

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

    def _leave_undecided(self, word: np.ndarray) -> None:
        self.num_unexamined += 1
        self.undecided.add(_key(word))

    def _known_with_ties(self, word: np.ndarray) -> int | None:
        """Return the number of a cycle on a boundary that solves a regular word as well.

        It does where they differ in units that are exactly 0; the word has no other solution. The
        result is REJECTED where the cycle is shorter than the word.
        """
        bits = unpack(word, self.map.num_units)[None]
        for number, entry in enumerate(self.entries):
            if entry.zero is None or len(word) % entry.period:
                continue
            if _solves(entry, bits)[0]:
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
            self._leave_undecided(word)
            return REJECTED
        itinerary = unpack(word, self.map.num_units)
        try:
            found = self.exact.decide(itinerary)
            steps = self.exact_steps if found is None and verdict == VERDICT.border else 0
            for _ in range(steps):
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
            self._leave_undecided(word)
            return None
        try:
            points = marginal_family(self.map, unpack(word, self.map.num_units))
        except NotExamined:
            self._leave_undecided(word)
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


def _solves(entry: Entry, words: np.ndarray) -> np.ndarray:
    """Return which words differ from a cycle's only in units that are exactly 0 on it."""
    assert entry.zero is not None
    times = (words.shape[1] // entry.period, 1)
    own = np.tile(unpack(entry.word, words.shape[2]), times)
    known, found = np.tile(~entry.zero, times), np.zeros(len(words), bool)
    for shift in range(entry.period):
        wrong = (words ^ np.roll(own, shift, axis=0)) & np.roll(known, shift, axis=0)
        found |= ~wrong.any(axis=(1, 2))
    return found


def _parts(count: int):
    """Yield the ends of slices: a short one first, as what it finds may decide many others."""
    edges = [0, *range(min(_COMPANY, count), count, _COMPANY**2), count]
    yield from ((low, high) for low, high in zip(edges, edges[1:]) if high > low)


def _clearly_regular(map: PiecewiseAffineMap, words: np.ndarray) -> np.ndarray:
    """Return where I - P is regular far beyond the rounding in P, a product of Jacobians."""
    if not len(words):
        return np.zeros(0, bool)
    size = map.state_size
    P = np.broadcast_to(np.eye(size), (len(words), size, size))
    largest = np.ones(len(words))
    with quiet_floats():
        for t in range(words.shape[1]):
            J = map.affine_piece(words[:, t])[0]
            largest = np.maximum(largest * np.linalg.norm(J, axis=(1, 2)), 1.0)
            P = J @ P
        finite = np.isfinite(P).all(axis=(1, 2)) & np.isfinite(largest)
        least = np.zeros(len(words))
        least[finite] = np.linalg.svd(np.eye(size) - P[finite], compute_uv=False)[:, -1]
    return least > 1e-8 * largest


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


def joined(first: Catalog, second: Catalog, entries: list[Entry]) -> Catalog:
    """Return entries as one catalog, with what two searches did not settle added up."""
    return Catalog(
        first.map,
        entries,
        num_virtual=first.num_virtual + second.num_virtual,
        num_singular=first.num_singular + second.num_singular,
        num_unexamined=first.num_unexamined + second.num_unexamined,
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
