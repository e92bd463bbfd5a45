"""The virtual-cycle walk on a CPU: one walk at a time, candidates as in `_candidates`, compiled.

Walk i starts where `_walk` starts it, so the same walks are made, whoever makes them. Import this
module inside functions only: it is compiled.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8, UInt64

from ..._compiled import compiled, inlined, inner
from ._candidates import evaluate
from ._loop_rooms import KRYLOV, Green, Net, Room
from ._walk import CAPPED, CONVERGED, LOOPED, RUNNING, SINGULAR


class Starts(NamedTuple):
    """A `SeedTable`, and the seed of its walks."""

    regions: UInt8[np.ndarray, "row unit"]
    starts: Int[np.ndarray, "kind start"]
    counts: UInt64[np.ndarray, " kind"]
    seed: UInt64[np.ndarray, "1"]


class Ended(NamedTuple):
    """How walks ended: status, steps, the mark and the itinerary of the end.

    That of a walk that met a singular system is the itinerary it has no cycle of.
    """

    status: Int[np.ndarray, " walk"]
    steps: Int[np.ndarray, " walk"]
    marks: UInt64[np.ndarray, " walk"]
    words: UInt8[np.ndarray, "walk time unit"]


class Desk(NamedTuple):
    """Room for one walk: the itinerary of its next step, and the marks of all so far."""

    next: UInt8[np.ndarray, "time unit"]
    marks: UInt64[np.ndarray, " step"]


@inner("u8(u8)")
def _mix(x):
    """Return the splitmix64 finalizer of a counter (Steele, Lea, Flood 2014)."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inlined
def _begin(table: Starts, index: int, word: UInt8[np.ndarray, "time unit"]) -> None:
    """Write the start itinerary of a walk."""
    kind = index % len(table.counts)
    draw = _mix(table.seed[0] + np.uint64(index))
    pick = ((draw >> np.uint64(32)) * table.counts[kind]) >> np.uint64(32)
    first = table.starts[kind, pick]
    for t in range(word.shape[0]):
        for u in range(word.shape[1]):
            word[t, u] = table.regions[first + t, u]


@compiled()
def walk(
    net: Net,
    green: Green,
    room: Room,
    table: Starts,
    desk: Desk,
    ended: Ended,
    first: int,
    way: int,
    along: bool,
) -> int:
    """Make the walks from number `first` on, one for each place of `ended`, solving in one `way`.

    `along`: the next word is read along the virtual cycle, not along the orbit (`evaluate`).
    With `KRYLOV` returns how many iterations GMRES took in all.
    """
    iterations = 0
    for place in range(len(ended.status)):
        word = ended.words[place]
        _begin(table, first + place, word)
        status, steps, mark = RUNNING, 0, np.uint64(0)
        while status == RUNNING:
            regular = evaluate(net, green, room, word, desk.next, way, along)
            iterations += room.used[0] if way == KRYLOV else 0
            steps += 1
            if not regular:
                status = SINGULAR
                break
            mark = room.mark[0]
            same, known = True, False
            for t in range(word.shape[0]):
                for u in range(word.shape[1]):
                    same &= word[t, u] == desk.next[t, u]
                    word[t, u] = desk.next[t, u]
            for step in range(steps - 1):
                known |= desk.marks[step] == mark
            desk.marks[steps - 1] = mark
            if same:
                status = CONVERGED
            elif known:
                status = LOOPED
            elif steps == len(desk.marks):
                status = CAPPED
        ended.status[place] = status
        ended.steps[place] = steps
        ended.marks[place] = mark
    return iterations
