"""Words: itineraries as exact byte strings, their least rotation, their primitive root.

Two cycles of one map are the same where the words of their itineraries are.
"""

import numpy as np
from jaxtyping import Bool, UInt8


def pack(itineraries: Bool[np.ndarray, "*batch unit"]) -> UInt8[np.ndarray, "*batch byte"]:
    """Return activation patterns as bits, eight units to a byte, little bit order.

    This is how `CycleSet.itinerary` is stored; the last byte is filled up with zeros.

    ```python
    plr.words.pack(np.array([[True, False, True], [False, False, True]]))  # [[5], [4]]
    ```
    """
    return np.packbits(np.asarray(itineraries, bool), axis=-1, bitorder="little")


def unpack(
    packed: UInt8[np.ndarray, "*batch byte"], num_units: int
) -> Bool[np.ndarray, "*batch unit"]:
    """Return the activation patterns of bytes made by `pack`, of the given number of units.

    ```python
    plr.words.unpack(np.array([5], np.uint8), 3)  # [True, False, True]
    ```
    """
    return np.unpackbits(packed, axis=-1, count=num_units, bitorder="little").astype(bool)


def primitive_period(word: bytes, period: int) -> int:
    """Return the length d of the shortest v with word = v ... v; `period` is the word's length.

    Lengths count steps, of `len(word) / period` bytes each; d divides `period`.

    ```python
    plr.words.primitive_period(b"abab", 4)  # 2
    ```
    """
    width = len(word) // period
    for divisor in range(1, period // 2 + 1):
        if period % divisor == 0 and word[: divisor * width] * (period // divisor) == word:
            return divisor
    return period


def least_rotation(word: bytes, period: int) -> int:
    """Return the first shift by s steps that makes word[s:] + word[:s] least in byte order.

    ```python
    plr.words.least_rotation(b"cab", 3)  # 1
    ```
    """
    width = len(word) // period
    doubled = word + word
    return min(range(period), key=lambda shift: doubled[shift * width : (shift + period) * width])


def canonical(packed: UInt8[np.ndarray, "time byte"]) -> UInt8[np.ndarray, "root byte"]:
    """Return the identity of the cycle behind an itinerary: least rotation of its primitive root.

    The result is shorter than the argument where that one repeats itself.

    ```python
    plr.words.canonical(np.array([[5], [4], [5], [4]], np.uint8))  # [[4], [5]]
    ```
    """
    text = np.ascontiguousarray(packed).tobytes()
    period = packed.shape[0]
    if packed.shape[1] == 0:
        return packed[:1]
    root = primitive_period(text, period)
    shift = least_rotation(text[: root * packed.shape[1]], root)
    return np.roll(packed[:root], -shift, axis=0)
