"""The word search: prepares a map for the compiled search, and runs it piece by piece."""

from typing import Any, NamedTuple

import numpy as np

from ..._piecewise_affine import PiecewiseAffineMap
from . import _word_kernel as kernel
from ._merged_units import merge_units, parallel_units

OUTWARD = (1e-10, 1.0, 1e-10)
"""Rows relaxed outward, by this share of the box and so many times their rounding errors."""

INWARD = (-1e-12, 0.0, -1e-12)
"""With a proof to follow, polytopes as thin as this are taken for empty: the proof decides."""

STRICT = (1e-13, 0.0, -1e-10)
"""The same where ties are decided: a unit at its boundary is off."""

TOUCHING = (0.0, -2.0, 0.0)
"""Polytopes thinner than rounding are taken for empty. A point of theirs is, up to rounding, on the
border of another one: that suffices, as all that are not flat cover the box. For maps with many
boundaries through one point, where relaxing outward would keep all 2^H of its sign patterns."""


class Piece(NamedTuple):
    """What one piece of work brought: candidate words, prefixes left open, the proof, numbers."""

    words: list[np.ndarray]
    open: list[bytes]
    log: list[int]
    counts: np.ndarray
    depths: np.ndarray


def is_central(map: PiecewiseAffineMap) -> bool:
    """Return whether more than M boundaries that are not parallel go through the origin."""
    through = np.flatnonzero((map.h2 == 0) & (map.W2 != 0).any(axis=1))
    follows = parallel_units(map.W2[through], map.h2[through]) if len(through) else []
    return sum(lead == i for i, (lead, _) in enumerate(follows)) > map.state_size


def margins_of(map: PiecewiseAffineMap) -> tuple[float, float, float]:
    """Return the margins of a search without proof."""
    return TOUCHING if is_central(map) else OUTWARD


class WordSearch:
    """All words up to `length` letters whose orbits stay in a box.

    **Arguments:** `facet` (t, b): the box of time t is b, and the map is that of (u, s), z = u / s;
    `merged`: parallel units are taken as one; `margins`: see above; `language`, `width`: codes
    of the windows that words may have; `max_words`: candidates of one run, which then stops.
    """

    def __init__(self, map, box, length, *, periods=(), necklaces=True, facet=None, merged=True,
                 all_words=False, language=None, width=0, margins=OUTWARD,
                 max_words=4096):  # fmt: skip
        self.merged = merge_units(map, parallel_units(map.W2, map.h2) if merged else None)
        self.length, self.num_leads = int(length), self.merged.map.num_units
        size = map.state_size
        boxes = np.repeat(np.asarray(box, np.float64)[:, None], self.length + 1, axis=1)
        if facet is not None:
            boxes[:, facet[0]] = facet[1]
        start = boxes[:, 0]
        wanted = np.zeros(self.length + 1, bool)
        wanted[[k for k in periods if k <= self.length]] = True
        boxed = np.ones(size, bool)
        boxed[-1] = facet is None
        lean = self.merged.map
        self._arrays = tuple(
            np.ascontiguousarray(x) for x in (lean.A, lean.W1, lean.h1, lean.W2, lean.h2)
        )
        codes = np.zeros(1, np.int64) if language is None else language
        self._options = (np.diag(0.5 * (start[1] - start[0])), 0.5 * (start[0] + start[1]),
                         boxes[0], boxes[1], boxed, self.length, wanted, necklaces,
                         facet is not None, all_words, codes, width, *margins)  # fmt: skip
        room = 2 * self.length * self.num_leads + 4
        self._words = np.zeros((max_words + room, self.length, self.num_leads), np.uint8)
        self._lengths = np.zeros(len(self._words), np.int64)
        self._open = np.zeros((room, self.length * self.num_leads), np.uint8)
        self._open_lengths = np.zeros(room, np.int64)

    def run(self, prefix: bytes = b"", max_nodes: int = 20_000, log_size: int = 0) -> Piece:
        """Search below a prefix of bits until `max_nodes` letters were met or all is done."""
        depths = np.zeros(self.length + 1, np.int64)
        log = np.zeros(log_size, np.int32)
        if len(prefix) >= self.length * self.num_leads:
            return Piece([], [], [], np.zeros(kernel.NUM_COUNTS, np.int64), depths)
        compiled: Any = kernel.explore
        counts = compiled(
            *self._arrays, *self._options, np.frombuffer(prefix, np.uint8), max_nodes, log,
            self._words, self._lengths, self._open, self._open_lengths, depths,
        )  # fmt: skip
        words = [
            self._words[row, : self._lengths[row]].astype(bool)
            for row in range(counts[kernel.NUM_WORDS])
        ]
        left = [
            self._open[row, : self._open_lengths[row]].tobytes()
            for row in range(counts[kernel.NUM_OPEN])
        ]
        return Piece(words, left, log[: counts[kernel.LOGGED]].tolist(), counts, depths)
