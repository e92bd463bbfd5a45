"""The word search: prepares a map for the compiled search, and runs it piece by piece."""

from typing import Any, NamedTuple

import numpy as np

from ..._piecewise_affine import PiecewiseAffineMap
from ._merged_units import merge_units, parallel_units

NODES, PROGRAMS, LOGGED, NUM_WORDS, NUM_OPEN, NUM_COUNTS = range(6)
"""Places in the counts of a piece."""

HEAD = 6
"""Numbers of a fork in the compiled search before its basis."""

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
        wanted = np.zeros(self.length + 1, bool)
        wanted[[k for k in periods if k <= self.length]] = True
        codes = np.zeros(1, np.int64) if language is None else language
        self._problem = (
            *_arrays(self.merged.map, boxes), size - (facet is not None), wanted, necklaces,
            facet is not None, all_words, codes, width, *margins,
        )  # fmt: skip
        bits = self.length * self.num_leads
        room = 2 * bits + 4
        self._words = np.zeros((max_words + room, bits), np.uint8)
        self._lengths = np.zeros(len(self._words), np.int64)
        self._open = np.zeros((room, bits), np.uint8)
        self._open_lengths = np.zeros(room, np.int64)
        self._space = _space(boxes, size, self.num_leads, margins[0])

    def run(self, prefix: bytes = b"", max_nodes: int = 20_000, log_size: int = 0) -> Piece:
        """Search below a prefix of bits until `max_nodes` letters were met or all is done."""
        numbers = np.zeros(NUM_COUNTS + self.length + 1, np.int64)
        counts, depths = numbers[:NUM_COUNTS], numbers[NUM_COUNTS:]
        log = np.zeros(log_size, np.int32)
        if len(prefix) >= self.length * self.num_leads:
            return Piece([], [], [], counts, depths)
        self._space.basis[0] = 2 * np.arange(self._space.basis.shape[1])
        from . import _word_kernel

        compiled: Any = _word_kernel.explore
        compiled(
            *self._problem, np.frombuffer(bytearray(prefix), np.uint8), max_nodes, log,
            self._words, self._lengths, self._open, self._open_lengths, numbers,
            *self._space,
        )  # fmt: skip
        words = [
            self._words[row, : self._lengths[row]].reshape(-1, self.num_leads).astype(bool)
            for row in range(counts[NUM_WORDS])
        ]
        left = [
            self._open[row, : self._open_lengths[row]].tobytes() for row in range(counts[NUM_OPEN])
        ]
        return Piece(words, left, log[: counts[LOGGED]].tolist(), counts, depths)


def _arrays(map: PiecewiseAffineMap, boxes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return W1, the functions of z whose signs matter and (A, h1), the constants of the sides."""
    size, length = map.state_size, boxes.shape[1]
    planes = np.zeros((3 * size + map.num_units, size + 1))
    planes[: 2 * size : 2, :size] = -np.eye(size)
    planes[1 : 2 * size : 2, :size] = np.eye(size)
    planes[2 * size : -size] = np.column_stack([map.W2, map.h2])
    planes[-size:] = np.column_stack([map.A, map.h1])
    sides = np.stack([boxes[1], -boxes[0]], axis=2).reshape(length, 2 * size)
    return tuple(np.ascontiguousarray(x, np.float64) for x in (map.W1, planes, sides))


class _Space(NamedTuple):
    """The memory of `explore`; see there and in the modules it names."""

    maps: np.ndarray
    places: np.ndarray
    system: np.ndarray
    rows: np.ndarray
    ids: np.ndarray
    inside: np.ndarray
    vertices: np.ndarray
    basis: np.ndarray
    work: np.ndarray
    bits: np.ndarray
    forks: np.ndarray
    fork_rows: np.ndarray


def _space(boxes: np.ndarray, size: int, units: int, relaxed: float) -> _Space:
    """Return the memory; z_0 = P v + q with |v| <= 1 is its first place and its first rows."""
    length = boxes.shape[1] - 1
    most, room = 2 * size + length * (2 * size + units) + 2, 2 * length * units + 4
    half, middle = 0.5 * (boxes[1, 0] - boxes[0, 0]), 0.5 * (boxes[0, 0] + boxes[1, 0])
    maps, places = np.zeros((length + 1, size, size + 1)), np.zeros((length + 1, size, size + 2))
    maps[0, :, :size] = np.eye(size)
    places[0] = np.column_stack([np.diag(half), middle, np.abs(middle) + np.abs(half)])
    rows, ids = np.zeros((most, size + 1)), np.zeros(most, np.int64)
    rows[: 2 * size : 2, :size] = np.eye(size)
    rows[1 : 2 * size : 2, :size] = -np.eye(size)
    rows[: 2 * size, size] = 1.0 + max(relaxed, 0.0)
    ids[: 2 * size] = np.arange(2 * size)
    return _Space(
        maps, places, np.zeros((size + 2, size + 1)), rows, ids,
        np.zeros(most, bool), np.zeros((2, size + 1, size)), np.zeros((2, size), np.int64),
        np.zeros((3 + size, 2 * size)), np.zeros(length * units, np.uint8),
        np.zeros((room, HEAD + size), np.int64), np.zeros((room, size + 1)),
    )  # fmt: skip
