"""Which cycle of one network is which cycle of another."""

import dataclasses
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float, Int

from .._arguments import check_kind
from .._host import on_host
from .._results import _MessageEnum
from ..cycles import CycleSet
from ._collision import key_of
from ._continuation import END
from ._gather import branches_of
from ._path import as_path
from ._segments import Atlas, Segment


class LINK(_MessageEnum):
    """How it is known that two cycles are one."""

    continuation = 0, "Followed along the path from one to the other."
    word = 1, "Continuation ended on the way; both have the same word."
    distance = 2, "Continuation ended on the way; the nearest of its period and index."


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of cycles of two networks.

    **Fields:** `rows`: row of the first and of the second set; `link`: codes of `LINK`; `distance`:
    largest distance of points at the best rotation; `only_first`, `only_second`: rows without a
    partner.
    """

    rows: Int[np.ndarray, "pair 2"]
    link: Int[np.ndarray, " pair"]
    distance: Float[np.ndarray, " pair"]
    only_first: Int[np.ndarray, " first"]
    only_second: Int[np.ndarray, " second"]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.rows)


@on_host()
def match_cycles(path: Any, first: CycleSet, second: CycleSet) -> Matches:
    """Return which cycle at the start of a path is which one at its end.

    Cycles are followed along the path first: a branch that persists through border collisions is
    one cycle whatever its word. Where a branch could not be followed to the end, a cycle of the
    same word, then the nearest of the same period and index sign det(I - DF^k), takes its place;
    one that ended in an event has no partner.

    **Arguments:** `path`: a `LinearPath`, a `FunctionPath`, or two networks; `first`, `second`:
    cycles of the networks at its start and end.

    **Raises:** `ValueError` naming the argument.
    """
    path = as_path(path)
    for name, cycles in (("first", first), ("second", second)):
        check_kind(name, cycles, CycleSet, "a CycleSet")
    atlas = Atlas(path, sorted({*first.period.tolist(), *second.period.tolist()}))
    for cycles, s in ((first, path.start), (second, path.stop)):
        rows = np.flatnonzero(cycles.is_regular).tolist()
        atlas.follow([(cycles.regions(row), s) for row in rows])
    numbers = branches_of([atlas])
    at = [_at_end(atlas, cycles, s) for cycles, s in ((first, path.start), (second, path.stop))]
    owners = {numbers[id(segment)]: row for row, segment in at[1].items()}
    pairs = {
        row: (owners[numbers[id(segment)]], LINK.continuation)
        for row, segment in at[0].items()
        if numbers[id(segment)] in owners
    }
    lost = [_open_rows(atlas, numbers, ends, cycles) for ends, cycles in zip(at, (first, second))]
    left = [row for row in lost[0] if row not in pairs]
    taken = {other for other, _ in pairs.values()}
    right = [row for row in lost[1] if row not in taken]
    pairs |= _by_word(first, second, left, right)
    taken = {other for other, _ in pairs.values()}
    left = [row for row in left if row not in pairs]
    pairs |= _by_distance(first, second, left, [row for row in right if row not in taken])
    return _as_matches(pairs, first, second)


def _at_end(atlas: Atlas, cycles: CycleSet, s: float) -> dict[int, Segment]:
    """Return the segment of every row that was found again at an end of the path."""
    there = {segment.key: segment for segment in atlas.segments if s in (segment.low, segment.high)}
    keys = {row: key_of(cycles.regions(row)) for row in range(len(cycles))}
    return {row: there[key] for row, key in keys.items() if key in there}


def _open_rows(atlas: Atlas, numbers: dict[int, int], ends: dict[int, Segment], cycles: CycleSet):
    """Return the rows whose branch ends unresolved, or that could not be followed at all."""
    unresolved = {
        numbers[id(segment)] for segment in atlas.segments if END.unresolved in segment.ends
    }
    return [
        row for row in range(len(cycles)) if row not in ends or numbers[id(ends[row])] in unresolved
    ]


def _by_word(first: CycleSet, second: CycleSet, left: list[int], right: list[int]):
    words = {key_of(second.regions(row)): row for row in right}
    keys = {row: key_of(first.regions(row)) for row in left}
    return {row: (words[key], LINK.word) for row, key in keys.items() if key in words}


def _by_distance(first: CycleSet, second: CycleSet, left: list[int], right: list[int]):
    """Pair rows of one period and index so that the sum of distances is least."""
    pairs = {}
    kinds = {(int(first.period[row]), int(first.index[row])) for row in left}
    for period, index in sorted(kinds):
        rows = [r for r in left if (first.period[r], first.index[r]) == (period, index)]
        others = [r for r in right if (second.period[r], second.index[r]) == (period, index)]
        costs = [[distance(first.orbit(a), second.orbit(b)) for b in others] for a in rows]
        table = np.array(costs).reshape(len(rows), len(others))
        for a, b in zip(*scipy.optimize.linear_sum_assignment(table)):
            pairs[rows[a]] = (others[b], LINK.distance)
    return pairs


def distance(one: Float[np.ndarray, "time state"], other: Float[np.ndarray, "time state"]) -> float:
    """Return the largest distance of the points of two cycles, at the best rotation."""
    return min(
        float(np.linalg.norm(one - np.roll(other, shift, axis=0), axis=1).max())
        for shift in range(len(one))
    )


def _as_matches(pairs: dict, first: CycleSet, second: CycleSet) -> Matches:
    rows = np.array([(a, pairs[a][0]) for a in sorted(pairs)], int).reshape(-1, 2)
    return Matches(
        rows=rows,
        link=np.array([pairs[a][1] for a in sorted(pairs)], np.int8),
        distance=np.array(
            [distance(first.orbit(a), second.orbit(b)) for a, b in rows.tolist()], float
        ),
        only_first=np.setdiff1d(np.arange(len(first)), rows[:, 0]),
        only_second=np.setdiff1d(np.arange(len(second)), rows[:, 1]),
    )
