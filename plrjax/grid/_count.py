"""Cycles of many small maps of one shape: every word, once per rotation class, maps side by side.

A scan over parameters asks the same question of 10^5 maps of a few units: how many k-cycles, how
many of them stable. All words are tried in one compiled loop; its lanes are maps that lie close to
each other in parameter space, so that most words are dismissed for all of them after two steps.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from .._map_arrays import MapArrays
from .._numerics import float64_scope, quiet_floats
from .._parallel import num_threads
from .._stability import floquet_multipliers
from ._kernel import (
    CODE,
    CODED,
    COUNTED,
    MAX_TIME,
    Tables,
    compiled,
    num_parts,
    tables_of,
    words_of,
)
from ._words import necklaces, unpack_symbols

LANES = 256
"""Maps in one compiled call: their tables stay in the second-level cache."""
MAX_BITS = MAX_TIME
"""Largest k H: 2^18 itineraries, 14,532 rotation classes for one unit."""
MAX_UNITS = 8
_CLOSED_FORM = 3
"""Up to this many states the kernel decides stability itself (Jury's conditions)."""


@dataclasses.dataclass(frozen=True, eq=False)
class GridCounts:
    """What enumeration says about the k-cycles of each map.

    **Fields:**

    - `period`: k, minimal.
    - `num`: number of k-cycles whose signs are decided beyond rounding.
    - `num_stable`: number of those with all multipliers inside the unit circle.
    - `num_undecided`: words whose signs drown in rounding, or with singular I - P and a solution:
        where it is 0 nothing is missing, up to rounding.
    - `words`: itineraries that some map has, least rotations.
    - `example`: index of one map that has it, for each of `words`.
    """

    period: int
    num: Int[np.ndarray, " map"]
    num_stable: Int[np.ndarray, " map"]
    num_undecided: Int[np.ndarray, " map"]
    words: Bool[np.ndarray, "word time unit"]
    example: Int[np.ndarray, " word"]


def fits_grid(state_size: int, num_units: int, period: int) -> bool:
    """Return whether `count_cycles` takes maps of this shape."""
    return 1 <= num_units <= MAX_UNITS and period * num_units <= MAX_BITS and state_size >= 1


def count_cycles(
    batch: MapArrays,
    periods: Iterable[int],
    *,
    lanes: int = LANES,
    watch: Callable[[float], None] | None = None,
) -> dict[int, GridCounts]:
    """Count the cycles of every map by trying every word of each period.

    The word w has the candidate z_1 = (I - P)^-1 c with F_w(z) = P z + c; it is a cycle iff its
    orbit's itinerary is w (Eisenmann et al. 2023). Signs are compared with a first-order bound of
    the rounding, from the defect of the orbit, |(I - P)^-1| and the products of Jacobians. Float64;
    blocks of maps run on all cores. Order the maps such that neighbors in the batch are neighbors
    in parameter space.

    **Arguments:** `lanes`: maps side by side; `watch`: called with the share done, from the calling
    thread; what it raises ends the count.

    **Raises:** `ValueError` for k H > 18, more than 8 units, or none.
    """
    wanted = list(periods)
    for period in wanted:
        _check_size(batch, period)
    starts = range(0, batch.num_maps, lanes)
    rows = [np.arange(low, min(low + lanes, batch.num_maps)) for low in starts]
    parts = num_parts(max(wanted, default=1), batch.num_units)
    compiled("count", batch.num_units, batch.state_size, lanes, parts)
    found: list[dict[int, _Block]] = []
    with concurrent.futures.ThreadPoolExecutor(num_threads()) as pool:
        futures = [pool.submit(_count_block, batch.pick(r), wanted, parts, lanes) for r in rows]
        try:
            for number, future in enumerate(futures, start=1):
                found.append(future.result())
                if watch is not None:
                    watch(number / len(futures))
        finally:
            for future in futures:
                future.cancel()
    return {k: _merged(k, batch.num_units, rows, [block[k] for block in found]) for k in wanted}


def admissible_maps(
    batch: MapArrays, itinerary: Bool[np.ndarray, "time unit"], *, lanes: int = LANES
) -> tuple[Bool[np.ndarray, " map"], Bool[np.ndarray, " map"], Bool[np.ndarray, " map"]]:
    """Return, for one itinerary, which maps have it as a cycle, as a stable one, or undecided.

    **Raises:** `ValueError` for an itinerary of another number of units, or too long.
    """
    word = np.asarray(itinerary)
    if word.dtype != bool or word.ndim != 2 or word.shape[1] != batch.num_units or not len(word):
        raise ValueError(
            f"itinerary: expected a boolean array time x {batch.num_units}, "
            f"got {word.dtype} {word.shape}"
        )
    code = word_codes(batch, word[None], lanes=lanes)[0]
    stable = code == CODE.stable
    return stable | (code == CODE.admissible), stable, code == CODE.undecided


def word_codes(
    batch: MapArrays, words: Bool[np.ndarray, "word time unit"], *, lanes: int = LANES
) -> Int[np.ndarray, "word map"]:
    """Return `CODE` of each word of one period at each map.

    **Raises:** `ValueError` for words too long.
    """
    _check_size(batch, words.shape[1])
    symbols = (words @ (1 << np.arange(batch.num_units))).astype(np.int32)
    codes = [np.zeros((len(words), 0), np.int8)]
    for low in range(0, batch.num_maps, lanes):
        part = batch.pick(slice(low, low + lanes))
        codes.append(_codes(part, _padded(part, lanes), symbols))
    return np.concatenate(codes, axis=1)


class _Block(NamedTuple):
    """Counts of one block for one period, the symbols of the words seen and a map for each."""

    num: np.ndarray
    stable: np.ndarray
    undecided: np.ndarray
    symbols: np.ndarray
    example: np.ndarray


def _check_size(batch: MapArrays, period: int) -> None:
    if not fits_grid(batch.state_size, batch.num_units, period):
        raise ValueError(
            f"batch: expected 1 to {MAX_UNITS} units and k H of at most {MAX_BITS}, "
            f"got H = {batch.num_units}, k = {period}"
        )


def _padded(batch: MapArrays, lanes: int) -> Tables:
    """Return the kernel's tables of a block, its last map repeated to fill the lanes."""
    rows = np.minimum(np.arange(lanes), batch.num_maps - 1)
    with quiet_floats():
        return tables_of(*batch.pick(rows))


def _count_block(batch: MapArrays, periods: list[int], parts: int, lanes: int) -> dict[int, _Block]:
    """Count the cycles of one block of maps."""
    tables = _padded(batch, lanes)
    return {k: _count_period(batch, tables, k, parts) for k in periods}


def _count_period(batch: MapArrays, tables: Tables, period: int, parts: int) -> _Block:
    """Try every word of one period whose transitions the block's maps may make."""
    size, units, lanes = batch.state_size, batch.num_units, tables.rows.shape[-1]
    symbols = necklaces(period, units)
    if tables.allowed.size:
        allowed = tables.allowed.any(axis=-1)
        symbols = symbols[allowed[symbols, np.roll(symbols, -1, axis=1)].all(axis=1)]
    run = compiled("count", units, size, lanes, parts)
    totals, first = np.zeros((3, lanes), np.int32), np.zeros(0, np.int32)
    with float64_scope():
        for low in range(0, len(symbols), COUNTED):
            here = symbols[low : low + COUNTED]
            words = words_of(_filled(here, COUNTED), units, parts)
            found = run(tables, words, np.int32(period), np.int32(len(here)))
            counts, lane = map(np.asarray, found)
            totals, first = totals + counts, np.append(first, lane[: len(here)])
    num, stable, undecided = np.asarray(totals)[:, : batch.num_maps]
    seen = np.flatnonzero(first >= 0)
    example = np.minimum(first[seen], batch.num_maps - 1)
    if size > _CLOSED_FORM and len(seen):
        stable = _stable_by_multipliers(batch, tables, symbols[seen])
    return _Block(num, stable, undecided, symbols[seen], example)


def _filled(symbols: np.ndarray, count: int) -> np.ndarray:
    """Return words with rows of zeros added up to `count`."""
    return np.concatenate([symbols, np.zeros((count - len(symbols), symbols.shape[1]), np.int32)])


def _codes(batch: MapArrays, tables: Tables, symbols: np.ndarray) -> np.ndarray:
    """Return `CODE` of each word and map."""
    period, units, size = symbols.shape[1], batch.num_units, batch.state_size
    parts = num_parts(period, units)
    run = compiled("codes", units, size, tables.rows.shape[-1], parts)
    found = []
    with float64_scope():
        for low in range(0, len(symbols), CODED):
            here = symbols[low : low + CODED]
            words = words_of(_filled(here, CODED), units, parts)
            codes = run(tables, words, np.int32(period), np.int32(len(here)))
            found.append(np.asarray(codes)[: len(here), : batch.num_maps])
    codes = np.concatenate(found)
    if size > _CLOSED_FORM:
        word, lane = np.nonzero(codes == CODE.admissible)
        inside = _inside(batch, symbols[word], lane)
        codes[word[inside], lane[inside]] = CODE.stable
    return codes


def _stable_by_multipliers(batch: MapArrays, tables: Tables, symbols: np.ndarray) -> np.ndarray:
    """Count stable cycles from the eigenvalues of the few admissible words."""
    codes = _codes(batch, tables, symbols)
    return np.count_nonzero(codes == CODE.stable, axis=0).astype(np.int32)


def _inside(batch: MapArrays, symbols: np.ndarray, lane: np.ndarray) -> np.ndarray:
    """Return whether all multipliers of a word at a map lie inside the unit circle."""
    mask = unpack_symbols(symbols, batch.num_units).astype(np.float64)
    scaled = batch.W1[lane][:, None] * mask[:, :, None, :]
    jacobians = batch.A[lane][:, None] + scaled @ batch.W2[lane][:, None]
    return np.all(np.abs(floquet_multipliers(jacobians)[0]) < 1.0, axis=1)


def _merged(period: int, units: int, rows: list[np.ndarray], blocks: list[_Block]) -> GridCounts:
    """Put blocks together; of the maps that have a word, the first is its example."""
    join = lambda name, empty: np.concatenate([empty, *(getattr(b, name) for b in blocks)])
    whole = np.zeros(0, np.int32)
    symbols = join("symbols", np.zeros((0, period), np.int32))
    example = np.concatenate([np.zeros(0, np.int64), *(r[b.example] for r, b in zip(rows, blocks))])
    kept, first = np.unique(symbols, axis=0, return_index=True)
    num, stable, undecided = (join(name, whole) for name in ("num", "stable", "undecided"))
    return GridCounts(period, num, stable, undecided, unpack_symbols(kept, units), example[first])
