"""Branches through all intervals, and everything as arrays."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .._results import COVERAGE, RESULTS
from ..words import canonical, pack
from ._assemble import Event, Piece, at_collision, events_of, linked, pieces_of
from ._continuation import END
from ._describe import describe
from ._events import Bifurcations
from ._node_events import Node, pairs_of, rows_of
from ._nodes import ZONE
from ._segments import Atlas, Segment

_UNRESOLVED = -2


class _Union:
    """Which segments are one branch."""

    def __init__(self):
        self.parent: dict[int, int] = {}

    def root(self, item: int) -> int:
        while self.parent.setdefault(item, item) != item:
            item = self.parent[item]
        return item

    def join(self, one: int, other: int) -> None:
        self.parent[self.root(other)] = self.root(one)


class PerNetwork(NamedTuple):
    """One number for each network."""

    steps: Float[np.ndarray, " network"]
    losses: Float[np.ndarray, " network"]
    gradient_norms: Float[np.ndarray, " network"]


def gathered(
    atlases: Sequence[Atlas],
    nodes: Sequence[Node],
    coverage: dict[int, COVERAGE],
    result: RESULTS,
    notes: Sequence[str],
    known: PerNetwork,
    seconds: float = 0.0,
) -> Bifurcations:
    """Return the result of all intervals; `nodes` lie between them."""
    events = [event for i, atlas in enumerate(atlases) for event in events_of(atlas, i)]
    for node in nodes:
        events += rows_of(node, atlases)
    events.sort(key=lambda event: (event.where.interval, event.where.s, event.period))
    pieces = [piece for i, atlas in enumerate(atlases) for piece in pieces_of(atlas, i)]
    numbers = branches_of(atlases, nodes)
    for event in events:
        describe(event)
    notes = [*notes, *_reasons(atlases, numbers)]
    columns = _event_columns(events, numbers, atlases, known)
    columns |= _segment_columns(pieces, events, numbers, atlases)
    span = (atlases[0].path.start, atlases[0].path.stop) if atlases else (0.0, 1.0)
    stats = {"seconds": seconds, "segments": len(pieces), "range": list(span)}
    return Bifurcations(
        **columns,
        **known._asdict(),
        num_units=atlases[0].path.shape[1] if atlases else 0,
        coverage_by_period=coverage,
        result=result,
        stats=stats,
        notes=tuple(notes),
    )


def branches_of(atlases: Sequence[Atlas], nodes: Sequence[Node] = ()) -> dict[int, int]:
    """Return the branch of every segment (by `id`), numbered by first appearance."""
    union = _Union()
    for atlas in atlases:
        for segment in atlas.kept:
            union.root(id(segment))
        for number, collision in enumerate(atlas.collisions):
            for a, b in linked(at_collision(atlas, number), collision):
                union.join(id(a), id(b))
    for node in nodes:
        for one, other in pairs_of(node):
            union.join(id(one), id(other))
    order = [
        (number, segment.low, segment.key, id(segment))
        for number, atlas in enumerate(atlases)
        for segment in atlas.kept
    ]
    numbers: dict[int, int] = {}
    for *_, item in sorted(order, key=lambda row: row[:3]):
        numbers.setdefault(union.root(item), len(numbers))
    return {item: numbers[union.root(item)] for item in list(union.parent)}


def _reasons(atlases: Sequence[Atlas], numbers: dict[int, int]) -> list[str]:
    """Return, in words, why branches end without an event, and what was not decided."""
    notes = []
    for i, atlas in enumerate(atlases):
        for segment in atlas.kept:
            for above in (False, True):
                if segment.ends[above] is END.unresolved:
                    s = segment.high if above else segment.low
                    notes.append(
                        f"interval {i}: branch {numbers[id(segment)]} (period "
                        f"{len(segment.word)}) could not be followed beyond s = {s:.6g}: on a "
                        "switching boundary within rounding, or singular to working precision"
                    )
        coarse = sum(segment.num_coarse for segment in atlas.kept)
        if coarse:
            notes.append(
                f"interval {i}: {coarse} panels were accepted before their series had converged; "
                "pairs of events close together may be missing there"
            )
        for collision in atlas.collisions:
            if not collision.complete:
                notes.append(
                    f"interval {i}: at s = {collision.s:.6g} too many units are zero, or their "
                    "slopes too small, to decide on all cycles that may meet there"
                )
        if atlas.is_cut:
            notes.append(f"interval {i}: the limit of segments was reached; events are missing")
    return notes


def _event_columns(events, numbers, atlases, known: PerNetwork) -> dict[str, Any]:
    count = len(events)
    interval = np.array([event.where.interval for event in events], np.int32)
    meeting = [sorted({numbers[id(part[0])] for part in event.segments}) for event in events]
    widest = max(map(len, meeting), default=0)
    participants = np.full((count, widest), -1, np.int32)
    for row, own in enumerate(meeting):
        participants[row, : len(own)] = own
    size = atlases[0].path.shape[0] if atlases else 0
    s = np.array([event.where.s for event in events], float)
    start = np.array([atlases[i].path.start for i in interval], float)
    span = np.array([atlases[i].path.span for i in interval], float)
    share = (s - start) / span
    steps, losses, norms = known
    step = steps[interval] + share * (steps[interval + 1] - steps[interval])
    take = lambda name, dtype: np.array([event.facts[name] for event in events], dtype)
    complex_rows = lambda name: take(name, complex).reshape(count, size)
    return {
        "interval": interval,
        "s": s,
        "s_error": np.array([event.error for event in events], float),
        "kind": np.array([event.kind for event in events], np.int8),
        "subtype": np.array([event.subtype for event in events], np.int8),
        "period": np.array([event.period for event in events], np.int32),
        "branch": np.array([numbers[id(_main(event))] for event in events], np.int32),
        "participants": participants,
        "num_before": take("num_before", np.int32),
        "num_after": take("num_after", np.int32),
        "attractor": take("attractor", np.int32),
        "unit": np.array([event.unit for event in events], np.int32).reshape(count, 2),
        "num_units_zero": np.array([event.num_zero for event in events], np.int32),
        "multipliers_before": complex_rows("multipliers_before"),
        "multipliers_after": complex_rows("multipliers_after"),
        "stability_before": take("stability_before", np.int8),
        "stability_after": take("stability_after", np.int8),
        "step": step,
        "loss_before": losses[interval],
        "loss_after": losses[interval + 1],
        "gradient_norm_before": norms[interval],
        "gradient_norm_after": norms[interval + 1],
    }


def _main(event: Event) -> Segment:
    found = event.main[0] or event.main[1]
    assert found is not None
    return found


def _segment_columns(pieces, events, numbers, atlases) -> dict[str, Any]:
    longest = max((len(piece.segment.word) for piece in pieces), default=1)
    width = -(-atlases[0].path.shape[1] // 8) if atlases else 0
    packed = np.zeros((len(pieces), longest, width), np.uint8)
    for row, piece in enumerate(pieces):
        packed[row, : len(piece.segment.word)] = canonical(pack(piece.segment.word))
    rows: dict[int, list[tuple[float, int]]] = {}
    for number, event in enumerate(events):
        for one in {id(part[0]): part[0] for part in event.segments}.values():
            rows.setdefault(id(one), []).append((event.where.on(one), number))
    ends = [
        [_end_of(piece, atlases[piece.interval].inside, rows, low) for piece in pieces]
        for low in (True, False)
    ]
    column = lambda name: np.array([getattr(piece, name) for piece in pieces])
    return {
        "segment_branch": np.array([numbers[id(piece.segment)] for piece in pieces], np.int32),
        "segment_interval": column("interval").astype(np.int32),
        "segment_low": column("low").astype(float),
        "segment_high": column("high").astype(float),
        "segment_period": np.array([len(piece.segment.word) for piece in pieces], np.int32),
        "segment_stability": column("stability").astype(np.int8),
        "segment_itinerary": packed,
        "segment_first": np.array(ends[0], np.int32),
        "segment_last": np.array(ends[1], np.int32),
    }


def _end_of(piece: Piece, inside: tuple[float, float], rows, low: bool) -> int:
    """Return the row of the event at an end of a piece, -1 at a network, -2 if there is none.

    **Arguments:** `inside`: between the networks that the path shares with others; `rows`: (s, row)
    of the events that a segment (by `id`) takes part in.
    """
    s, segment = (piece.low if low else piece.high), piece.segment
    end = segment.ends[not low]
    near = [(abs(at - s), row) for at, row in rows.get(id(segment), [])]
    whole = s == (segment.low if low else segment.high)
    if whole and not inside[0] < s < inside[1]:
        near = [one for one in near if one[0] <= ZONE * segment.path.span]
        return min(near)[1] if near else (_UNRESOLVED if end is END.unresolved else -1)
    if whole and end in (END.path_end, END.unresolved):
        return -1 if end is END.path_end else _UNRESOLVED
    return min(near)[1] if near else _UNRESOLVED
