"""The word search: prepares a map for the compiled search, and runs it piece by piece."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from ...._piecewise_affine import PiecewiseAffineMap, merge_units, parallel_units
from ._space import HEAD, Counts, Forks, Found, Margins, Node, Rules, orbit_of, polytope_of

OUTWARD = Margins(1e-10, 1.0, 1e-10)
"""Rows are relaxed outward, by this share of the box and by their rounding errors."""

INWARD = Margins(-1e-12, 0.0, -1e-12)
"""With a proof to follow, polytopes as thin as this are taken for empty: the proof decides."""

STRICT = Margins(1e-13, 0.0, -1e-10)
"""The same where ties are decided: a unit at its boundary is off."""

TOUCHING = Margins(0.0, -2.0, 0.0)
"""Polytopes thinner than rounding are taken for empty. A point of theirs is, up to rounding, on the
border of another one: that suffices, as all that are not flat cover the box. For maps with many
boundaries through one point, where relaxing outward would keep all 2^H of its sign patterns."""


class Piece(NamedTuple):
    """What one piece of work brought: candidate words, prefixes left open, the proof, numbers."""

    words: list[np.ndarray]
    open: list[bytes]
    log: list[int]
    nodes: int
    programs: int
    depths: np.ndarray


def is_central(map: PiecewiseAffineMap) -> bool:
    """Return whether more than M boundaries that are not parallel go through the origin."""
    through = np.flatnonzero((map.h2 == 0) & (map.W2 != 0).any(axis=1))
    follows = parallel_units(map.W2[through], map.h2[through]) if len(through) else []
    return sum(lead == i for i, (lead, _) in enumerate(follows)) > map.state_size


def margins_of(map: PiecewiseAffineMap) -> Margins:
    """Return the margins of a search without proof."""
    return TOUCHING if is_central(map) else OUTWARD


class Sought(NamedTuple):
    """Words of these lengths, rotations and repetitions apart, or (none) all of the longest.

    Their windows of `width` letters have codes in `language`; `margins`: see above.
    """

    periods: Collection[int] = ()
    margins: Margins = OUTWARD
    language: np.ndarray | None = None
    width: int = 0


class WordSearch:
    """All words up to `length` letters whose orbits stay in a box.

    **Arguments:** `facet` (t, b): the box of time t is b, and the map is that of (u, s), z = u / s,
    with all rotations of words; `merged`: parallel units are taken as one; `max_words`: candidates
    of one run, which then stops.
    """

    def __init__(self, map, box, length, sought, *, facet=None, merged=True, max_words=4096):
        self.merged = merge_units(map, parallel_units(map.W2, map.h2) if merged else None)
        self.length, self.num_leads = int(length), self.merged.map.num_units
        size = map.state_size
        boxes = np.repeat(np.asarray(box, np.float64)[:, None], self.length + 1, axis=1)
        far = facet is not None
        if far:
            boxes[:, facet[0]] = facet[1]
        wanted = np.zeros(self.length + 1, bool)
        wanted[[k for k in sought.periods if k <= self.length]] = True
        every = len(sought.periods) == 0
        codes = np.zeros(1, np.int64) if sought.language is None else sought.language
        self._rules = Rules(
            sought.margins, size - far, wanted, not (every or far), far, every, codes, sought.width
        )
        bits = self.length * self.num_leads
        room = 2 * bits + 4
        self._orbit = orbit_of(self.merged.map, boxes)
        rows = self.length * (2 * size + self.num_leads) + 2
        self._polytope = polytope_of(size, rows, sought.margins.share)
        self._forks = Forks(np.zeros((room, HEAD + size), np.int64), np.zeros((room, size + 1)))
        self._words = np.zeros((max_words + room, bits), np.uint8)
        self._lengths = np.zeros(len(self._words), np.int64)
        self._open = np.zeros((room, bits), np.uint8)
        self._open_lengths = np.zeros(room, np.int64)

    def run(self, prefix: bytes = b"", max_nodes: int = 20_000, log_size: int = 0) -> Piece:
        """Search below a prefix of bits until `max_nodes` letters were met or all is done."""
        depths, log = np.zeros(self.length + 1, np.int64), np.zeros(log_size, np.int32)
        if len(prefix) >= self.length * self.num_leads:
            return Piece([], [], [], 0, 0, depths)
        from ...._compiled import record_of
        from . import _kernel as _word_kernel

        counts: Any = record_of(Counts)
        found = Found(
            counts, depths, log, self._words, self._lengths, self._open, self._open_lengths
        )
        compiled: Any = _word_kernel.explore
        compiled(
            self._rules, self._orbit, self._polytope, self._forks, found, record_of(Node),
            np.frombuffer(bytearray(prefix), np.uint8), max_nodes,
        )  # fmt: skip
        nodes, programs, logged, num_words, num_open = counts.item()
        words = [
            self._words[row, : self._lengths[row]].reshape(-1, self.num_leads).astype(bool)
            for row in range(num_words)
        ]
        left = [self._open[row, : self._open_lengths[row]].tobytes() for row in range(num_open)]
        return Piece(words, left, log[:logged].tolist(), nodes, programs, depths)
