"""Which cycles there are on a grid of a plane, and which curves run between its points.

A grid point's state for a word is the number of multipliers inside the unit circle, where the word
is a cycle there. Between neighbors whose states differ there is a curve.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ..._results import BIFURCATION
from ...grid._count import CODE, count_cycles, word_codes
from .._test_functions import multipliers_of
from ._plane import ParameterPlane

ABSENT, UNDECIDED = -1, -2
"""States of a word that is no cycle, and of one of which rounding does not tell."""

EXISTENCE, STABILITY = 0, 1
"""What differs between neighbors: whether the cycle exists, or its multipliers inside."""

EXPLAINS = {
    BIFURCATION.border_collision: [EXISTENCE, STABILITY],
    BIFURCATION.degenerate_transcritical: [EXISTENCE, STABILITY],
    BIFURCATION.degenerate_flip: [STABILITY],
    BIFURCATION.center: [STABILITY],
}
"""What a curve between two points may explain: a cycle that vanished may come back changed."""

_EDGES = 1.1e-4, 1.0 - 2.3e-4
"""First and last grid line: beside the edges of the rectangle and, as the two margins are not the
same, beside its center lines. Those are often round numbers, at which parameters are degenerate."""

_MARGINAL = 1e-7
"""A modulus this close to 1 is not told from 1: rounding moves double multipliers by its root."""

_MANY = 64
"""Words asked for at once: as many as the kernel takes."""


class PlaneGrid:
    """A grid of maps in the unit square of a plane."""

    def __init__(self, plane: ParameterPlane, resolution: int):
        self.lines: Float[np.ndarray, " line"] = np.linspace(*_EDGES, resolution)
        places = np.stack(np.meshgrid(self.lines, self.lines, indexing="ij"), axis=-1)
        self._batch = plane.arrays(places.reshape(-1, 2))

    def words(
        self, periods: Sequence[int]
    ) -> tuple[list[np.ndarray], Bool[np.ndarray, "line line"]]:
        """Return the words "time unit" of all cycles there, and where any was not decided."""
        counts = count_cycles(self._batch, periods).values()
        undecided = np.sum([count.num_undecided for count in counts], axis=0) > 0
        shape = len(self.lines), len(self.lines)
        return [word for count in counts for word in count.words], undecided.reshape(shape)

    def states(self, words: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield each word "time unit" with its states "line line", those of a period together."""
        for low in range(0, len(words), _MANY):
            part = words[low : low + _MANY]
            for period in sorted({len(word) for word in part}):
                own = np.stack([word for word in part if len(word) == period])
                for word, codes in zip(own, word_codes(self._batch, own)):
                    yield word, self._states(word, codes).reshape(len(self.lines), -1)

    def _states(self, word: np.ndarray, codes: np.ndarray) -> Int[np.ndarray, " map"]:
        states = np.full(len(codes), ABSENT)
        states[codes == CODE.undecided] = UNDECIDED
        rows = np.flatnonzero((codes == CODE.admissible) | (codes == CODE.stable))
        words = np.broadcast_to(word, (len(rows), *word.shape))
        moduli = np.abs(multipliers_of(self._batch.pick(rows).pieces(words)[0]))
        near = (np.abs(moduli - 1.0) < _MARGINAL).any(axis=1)
        states[rows] = np.where(near, UNDECIDED, (moduli < 1.0).sum(axis=1))
        return states


def differing(states: Int[np.ndarray, "line line"]) -> Bool[np.ndarray, "what axis line line"]:
    """Return between which points and their next along each axis a word's states differ."""
    found = np.zeros((2, 2, *states.shape), bool)
    for axis in (0, 1):
        turned, out = np.moveaxis(states, axis, 0), np.moveaxis(found, axis + 2, 2)
        first, second = turned[:-1], turned[1:]
        known = (first != second) & (first != UNDECIDED) & (second != UNDECIDED)
        absent = (first == ABSENT) | (second == ABSENT)
        out[EXISTENCE, axis, :-1] = known & absent
        out[STABILITY, axis, :-1] = known & ~absent
    return found
