"""From atlases of successive intervals to branches and events, as rows of arrays."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._numerics import EPS, quiet_floats
from .._results import BIFURCATION, COLLISION, STABILITY
from .._stability import classify, floquet_multipliers
from ._atlas import Atlas, Segment
from ._collision import Collision, Member
from ._functions import candidates, cyclic_matrix, pieces
from ._march import CLOSE, END, multipliers_at

NO_CYCLE = -1
"""Stability code where the branch does not exist on that side of an event."""


@dataclasses.dataclass
class Piece:
    """A segment between two turns of stability: a row of the table of segments."""

    interval: int
    segment: Segment
    low: float
    high: float
    stability: int
    branch: int = -1


@dataclasses.dataclass
class Event:
    """A row of the table of events, before it is written into arrays."""

    interval: int
    s: float
    kind: BIFURCATION
    subtype: COLLISION
    period: int
    segments: list[tuple[Segment, bool, bool]]
    main: tuple[Segment | None, Segment | None]
    unit: tuple[int, int] = (-1, -1)
    num_zero: int = 0
    error: float = 0.0
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def events_of(atlas: Atlas, interval: int) -> list[Event]:
    """Return the events of one interval in order."""
    found, used = [], set()
    for segment in atlas.segments:
        for s, kind in segment.turns:
            partners = _partners(atlas, s, segment) if kind is BIFURCATION.degenerate_flip else []
            used |= {number for number, _ in partners}
            others = [part for _, parts in partners for part in parts]
            found.append(
                Event(
                    interval, s, kind, COLLISION.none, len(segment.word),
                    [(segment, True, True), *others], (segment, segment),
                    error=_multiplier_error(atlas, segment, s, kind),
                )
            )  # fmt: skip
        for above in (False, True):
            if segment.ends[above] is END.degenerate_transcritical:
                found.append(_transcritical(atlas, interval, segment, above))
    for number, collision in enumerate(atlas.collisions):
        # A cycle that rests on a boundary within rounding leaves collisions without any segment.
        if number not in used and at_collision(atlas, number):
            found.append(_collision_event(atlas, interval, number, collision))
    return sorted(found, key=lambda event: (event.s, event.period))


def _partners(atlas: Atlas, s: float, segment: Segment):
    """Return the collisions in which doubled cycles begin or end at a degenerate flip."""
    found = []
    for number, collision in enumerate(atlas.collisions):
        lone = sum(one.before + one.after for one in collision.members) == 1
        doubled = len(collision.orbit) == 2 * len(segment.word)
        if lone and doubled and abs(collision.s - s) <= 100 * CLOSE * atlas.path.span:
            found.append((number, at_collision(atlas, number)))
    return found


def at_collision(atlas: Atlas, number: int) -> list[tuple[Segment, bool, bool]]:
    """Return the segments that end at a collision, with the sides on which they exist."""
    found = []
    for segment in atlas.segments:
        before, after = segment.events[1] == number, segment.events[0] == number
        if before or after:
            found.append((segment, before, after))
    return found


def _transcritical(atlas: Atlas, interval: int, segment: Segment, above: bool) -> Event:
    s = segment.high if above else segment.low
    main = (segment, None) if above else (None, segment)
    kind = BIFURCATION.degenerate_transcritical
    error = _multiplier_error(atlas, segment, s, kind)
    return Event(
        interval, s, kind, COLLISION.none, len(segment.word), [(segment, above, not above)], main,
        error=error,
    )  # fmt: skip


def _collision_event(atlas: Atlas, interval: int, number: int, collision: Collision) -> Event:
    there = at_collision(atlas, number)
    links = linked(there, collision.members)
    before = [segment for segment, early, _ in there if early]
    after = [segment for segment, _, late in there if late]
    if links:
        main = min(links, key=lambda pair: len(pair[0].word))
    else:
        least = _most_stable(atlas, before or after, collision.s)
        main = (least, None) if before else (None, least)
    one = main[0] or main[1]
    unit = collision.units[0]
    return Event(
        interval, collision.s, BIFURCATION.border_collision, _subtype(before, after),
        len(one.word) if one else collision.period, there, main, unit, len(collision.units),
        _unit_error(atlas, collision, one) if one else 0.0,
    )  # fmt: skip


def _most_stable(atlas: Atlas, there: Sequence[Segment], s: float) -> Segment | None:
    """Return the cycle of least period, and of these the one with the least multiplier at s."""
    size = lambda one: float(np.abs(multipliers_at(atlas.path, one.word, s)).max(initial=0.0))
    return min(there, key=lambda one: (len(one.word), size(one)), default=None)


def _subtype(before: Sequence[Segment], after: Sequence[Segment]) -> COLLISION:
    periods = {len(segment.word) for segment in [*before, *after]}
    if len(periods) == 1 and (len(before), len(after)) == (1, 1):
        return COLLISION.persistence
    if len(periods) == 1 and sorted((len(before), len(after))) == [0, 2]:
        return COLLISION.nonsmooth_fold
    return COLLISION.multiple


def linked(
    there: Sequence[tuple[Segment, bool, bool]], members: Sequence[Member]
) -> list[tuple[Segment, Segment]]:
    """Return which cycle goes on as which through a collision.

    Cycles of one period are paired by how few bits differ, compared from the time origin of the
    collision.
    """
    words = {member.key: member.word for member in members}
    pairs = []
    before = [segment for segment, early, _ in there if early]
    after = [segment for segment, _, late in there if late]
    for period in sorted({len(segment.word) for segment in before}):
        mine = [one for one in before if len(one.word) == period]
        others = [one for one in after if len(one.word) == period]
        costs = {
            (a, b): float(np.sum(words.get(x.key, x.word) != words.get(y.key, y.word)))
            for a, x in enumerate(mine)
            for b, y in enumerate(others)
        }
        while costs:
            a, b = min(costs, key=lambda pair: (costs[pair], pair))
            pairs.append((mine[a], others[b]))
            costs = {(c, d): cost for (c, d), cost in costs.items() if c != a and d != b}
    return pairs


def _unit_error(atlas: Atlas, collision: Collision, segment: Segment) -> float:
    """Return a first-order bound of the error of s: that of the pre-activation over its slope."""
    path, member = atlas.path, {one.key: one for one in collision.members}.get(segment.key)
    if member is None:
        return np.inf
    word = member.word
    at = np.array([collision.s])
    step = 1e-6 * path.span
    with quiet_floats():
        found, arrays = candidates(path, word[None], at), path.arrays(at)
        inverse = _inverse_norm(pieces(arrays, word[None])[0])
        size = np.abs(found.points).max() + np.abs(arrays.h1).max()
        t, i = member.zeros[0]
        row = np.abs(arrays.W2[0, i])
        error = 8 * EPS * (inverse * size * row.sum() + abs(arrays.h2[0, i]))
        shifted = np.clip([collision.s - step, collision.s + step], path.start, path.stop)
        y = candidates(path, np.stack([word, word]), shifted).activations[:, t, i]
        slope = abs(y[1] - y[0]) / (shifted[1] - shifted[0])
        return float(error / slope + 8 * EPS * path.span)


def _inverse_norm(jacobians: np.ndarray) -> float:
    matrix = cyclic_matrix(jacobians)[0]
    try:
        return float(np.abs(np.linalg.inv(matrix)).sum(axis=1).max())
    except np.linalg.LinAlgError:
        return np.inf


def _multiplier_error(atlas: Atlas, segment: Segment, s: float, kind: BIFURCATION) -> float:
    """Return a first-order bound of the error of s: that of the multiplier over its slope."""
    path = atlas.path
    step = 1e-6 * path.span
    low, high = max(s - step, path.start), min(s + step, path.stop)
    values, errors = floquet_multipliers(pieces(path.arrays(np.array([s])), segment.word[None])[0])
    row = int(np.argmin(np.abs(critical(values[0], kind))))
    near = [critical(multipliers_at(path, segment.word, at), kind) for at in (low, high)]
    slopes = [np.abs(one).min() / max(abs(at - s), EPS) for one, at in zip(near, (low, high))]
    with quiet_floats():
        return float(errors[0][row] / min(slopes) + 8 * EPS * path.span)


def critical(values: np.ndarray, kind: BIFURCATION) -> np.ndarray:
    """Return how far multipliers are from what the kind of event demands."""
    if kind is BIFURCATION.degenerate_transcritical:
        return values - 1.0
    if kind is BIFURCATION.degenerate_flip:
        return values + 1.0
    return np.where(np.imag(values) != 0, np.abs(values) - 1.0, np.inf)


def pieces_of(atlas: Atlas, interval: int) -> list[Piece]:
    """Return the segments of an interval, cut at their turns of stability."""
    found = []
    for segment in atlas.segments:
        edges = [segment.low, *(s for s, _ in segment.turns), segment.high]
        for low, high in zip(edges[:-1], edges[1:]):
            code = stability_at(atlas, segment.word, 0.5 * (low + high))
            found.append(Piece(interval, segment, low, high, code))
    return found


def stability_at(atlas: Atlas, word: np.ndarray, s: float) -> int:
    """Return the stability code of a word's cycle at s."""
    jacobians = pieces(atlas.path.arrays(np.array([s])), word[None])[0]
    code = int(classify(*floquet_multipliers(jacobians))[0])
    return code if np.isfinite(jacobians).all() else int(STABILITY.nonhyperbolic)
