"""Words: exact identity of cycles."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plrjax.words import canonical, pack, primitive_period, unpack

itineraries = st.tuples(st.integers(1, 12), st.integers(1, 11)).flatmap(
    lambda shape: hnp.arrays(bool, shape)
)


@given(itineraries)
def test_packing_is_lossless(itinerary):
    assert np.array_equal(unpack(pack(itinerary), itinerary.shape[1]), itinerary)


@given(itineraries, st.integers(0, 11))
def test_rotations_have_one_canonical_word(itinerary, shift):
    rotated = np.roll(itinerary, shift, axis=0)
    assert np.array_equal(canonical(pack(itinerary)), canonical(pack(rotated)))


@given(itineraries, st.integers(1, 4))
def test_repetitions_have_the_word_of_their_root(itinerary, times):
    repeated = np.tile(itinerary, (times, 1))
    assert np.array_equal(canonical(pack(itinerary)), canonical(pack(repeated)))


@given(itineraries)
def test_canonical_word_is_a_least_primitive_rotation(itinerary):
    word = canonical(pack(itinerary))
    k = len(word)
    turns = [np.roll(word, -s, axis=0).tobytes() for s in range(k)]
    assert len(set(turns)) == k
    assert word.tobytes() == min(turns)
    assert primitive_period(word.tobytes(), k) == k


def test_words_that_rounding_would_merge_stay_apart():
    first = np.zeros((60, 3), bool)
    second = first.copy()
    first[7, 1] = second[8, 2] = True
    assert canonical(pack(first)).tobytes() != canonical(pack(second)).tobytes()
