"""The itinerary of an orbit as a sequence of letters, and the words in it."""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from .._job import Job
from .._map_arrays import MapArrays
from ._orbits import advance, record

_CHUNK = 8_192
"""Steps from one look at the clock to the next."""
_PARTS = 10
"""Parts of the orbit from which errors of entropies are made."""
MOST_LISTED = 1_000
"""Missing words that are listed; all are counted."""
_MOST_CANDIDATES = 2_000_000
"""With more candidates than this, missing words of a length are counted, not listed."""


def itinerary(
    arrays: MapArrays, start: Float[np.ndarray, " state"], num_transient: int, num_steps: int,
    job: Job,
) -> Iterator[UInt8[np.ndarray, "step byte"]]:  # fmt: skip
    """Yield the regions that an orbit visits after its transient, as far as there is time.

    **Raises:** `ValueError` naming `start` where the orbit does not stay finite.
    """
    state = advance(arrays, jnp.asarray(start)[:, None], num_transient)
    for low in range(0, num_steps, _CHUNK):
        job.check()
        job.update(low / num_steps)
        state, bits = record(arrays, state, _CHUNK)
        if not np.isfinite(np.asarray(state)).all():
            raise ValueError(
                "start: expected a state whose orbit stays finite, but this one's ends"
            )
        yield np.asarray(bits)[: num_steps - low, :, 0]


class Letters(NamedTuple):
    """An itinerary in letters: `regions` "region byte", the most visited first; `text`, an index
    into them per step."""

    regions: UInt8[np.ndarray, "region byte"]
    text: Int[np.ndarray, " step"]


def letters_of(bits: UInt8[np.ndarray, "step byte"]) -> Letters:
    """Return the regions visited, and when."""
    rows = np.ascontiguousarray(bits).view(np.dtype((np.void, max(1, bits.shape[1])))).ravel()
    _, first, text, count = np.unique(
        rows, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((np.arange(len(count)), -count))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return Letters(bits[first[order]], rank[text.ravel()])


class Words(NamedTuple):
    """The words of one length: the `text`, which one begins at each step; of each, how often and
    where `first` it was met, and the words one letter shorter that it begins and ends with."""

    text: Int[np.ndarray, " step"]
    number: Int[np.ndarray, " word"]
    first: Int[np.ndarray, " word"]
    head: Int[np.ndarray, " word"]
    tail: Int[np.ndarray, " word"]


def entropy_of(count: Int[np.ndarray, " word"]) -> float:
    """Return -sum p ln p of counts, with Miller's (1955) correction (words - 1) / (2 samples)."""
    share = count / count.sum()
    return float(-(share * np.log(share)).sum() + (len(count) - 1) / (2.0 * count.sum()))


def single_letters(text: Int[np.ndarray, " step"], number: int) -> Words:
    """Return the words of length 1; they begin and end with the empty word, number 0."""
    count = np.bincount(text, minlength=number)
    first = np.full(number, len(text))
    np.minimum.at(first, text, np.arange(len(text)))
    return Words(text, count, first, np.zeros(number, int), np.zeros(number, int))


def longer(words: Words) -> Words:
    """Return the words that are one letter longer."""
    pair = words.text[:-1] * len(words.number) + words.text[1:]
    _, first, text, count = np.unique(
        pair, return_index=True, return_inverse=True, return_counts=True
    )
    return Words(text, count, first, words.text[first], words.text[first + 1])


def entropy_in_parts(words: Words) -> Float[np.ndarray, " part"]:
    """Return the entropy of the word in each of several parts of the orbit."""
    parts = np.array_split(words.text, _PARTS)
    counts = (np.bincount(part) for part in parts)
    return np.array([entropy_of(count[count > 0]) for count in counts])


class Missing(NamedTuple):
    """Words that were not met though both words one letter shorter were, the likeliest first:
    `number` of all, and of those listed the `head`, the `tail` and how often each was expected."""

    number: int
    head: Int[np.ndarray, " missing"]
    tail: Int[np.ndarray, " missing"]
    expected: Float[np.ndarray, " missing"]


def missing_words(shorter: Words, words: Words) -> Missing:
    """Return the words of one length that were not met.

    A word a u b, where a u and u b were met, is expected N(a u) N(u b) / N(u) times where b depends
    on u only.
    """
    middle = max(1, int(shorter.head.max(initial=0)) + 1, int(shorter.tail.max(initial=0)) + 1)
    ends = np.bincount(shorter.tail, minlength=middle)
    begins = np.bincount(shorter.head, minlength=middle)
    candidates = int((ends * begins).sum())
    none = np.zeros(0, np.int64)
    if candidates > _MOST_CANDIDATES:
        return Missing(candidates - len(words.number), none, none, np.zeros(0))
    by_tail, by_head = (np.argsort(x, kind="stable") for x in (shorter.tail, shorter.head))
    low_head = np.cumsum(begins) - begins
    heads = np.repeat(by_tail, begins[shorter.tail[by_tail]])
    u = shorter.tail[heads]
    start = np.flatnonzero(np.r_[True, heads[1:] != heads[:-1]]) if len(heads) else none
    place = np.arange(len(heads)) - np.repeat(start, np.diff(np.r_[start, len(heads)]))
    tails = by_head[low_head[u] + place]
    size = len(shorter.number)
    absent = ~np.isin(heads * size + tails, words.head * size + words.tail)
    heads, tails, u = heads[absent], tails[absent], u[absent]
    around = np.bincount(shorter.tail, weights=shorter.number, minlength=middle)
    expected = shorter.number[heads] * shorter.number[tails] / around[u]
    order = np.argsort(-expected, kind="stable")[:MOST_LISTED]
    return Missing(len(heads), heads[order], tails[order], expected[order])
