"""Starts of walks from what is known: itineraries of two cycles, glued to one of another length."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt64

from .._base import KnownCycle
from .._seeding import SeedTable
from ._newton_step import unit_marks

_SPARE = 3
"""Words drawn for each one wanted: many come out the same up to a rotation, or are known."""


def glued_words(
    cycles: Sequence[KnownCycle], period: int, count: int, generator: np.random.Generator
) -> SeedTable:
    """Return up to `count` words of k letters, each c letters of one cycle and k - c of another.

    Words that are known, and rotations of one another, are left out.
    """
    drawn = np.concatenate([cycle.itinerary for cycle in cycles])
    drawn = drawn[_glued(cycles, period, _SPARE * count, generator)]
    names = _names(drawn)
    known = [cycle.itinerary for cycle in cycles if not period % len(cycle.points)]
    repeated = [np.tile(word, (period // len(word), 1)) for word in known]
    taken = _names(np.stack(repeated)) if repeated else np.zeros(0, np.uint64)
    _, first = np.unique(names, return_index=True)
    first = np.sort(first[~np.isin(names[first], taken)])[:count]
    starts = period * np.arange(len(first))[:, None]
    return SeedTable(drawn[first].reshape(-1, drawn.shape[2]), starts, np.ones(len(first), int))


def _glued(
    cycles: Sequence[KnownCycle], period: int, count: int, generator: np.random.Generator
) -> Int[np.ndarray, "start time"]:
    """Return rows of all cycles, one behind the other: pieces of two that follow one another.

    Both begin at random, every time of every cycle as likely as the others, and are repeated where
    they are shorter. Such a pseudo-orbit jumps twice; where the jumps are small an orbit is near.
    """
    lengths = np.array([len(cycle.points) for cycle in cycles])
    first, cycle = np.cumsum(lengths) - lengths, np.repeat(np.arange(len(cycles)), lengths)
    pairs = generator.integers(lengths.sum(), size=(2, count, 1))
    cut, t = generator.integers(1, max(period, 2), size=(count, 1)), np.arange(period)
    begin, length = first[cycle[pairs]], lengths[cycle[pairs]]
    left, right = begin + (pairs - begin + np.stack([t + 0 * cut, t - cut])) % length
    return np.where(t < cut, left, right)


def _names(words: Bool[np.ndarray, "word time unit"]) -> UInt64[np.ndarray, " word"]:
    """Return names of words that all their rotations share (random numbers: see `unit_marks`)."""
    count, period, units = words.shape
    marks, draw = unit_marks(1, units)
    letters = np.zeros((count, period), np.uint64)
    for unit in range(units):
        letters += np.where(words[:, :, unit], marks[0, unit], np.uint64(0))
    weights = draw.integers(0, 2**63, period, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    turned = np.lib.stride_tricks.sliding_window_view(np.hstack([letters, letters]), period, 1)
    return np.stack([_mixed(turned[:, s]) @ weights for s in range(period)]).min(axis=0)


def _mixed(letters: UInt64[np.ndarray, "word time"]) -> UInt64[np.ndarray, "word time"]:
    """Return letters whose bits depend on all of their bits, as sums are weighted afterwards."""
    letters = (letters ^ (letters >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return letters ^ (letters >> np.uint64(29))
