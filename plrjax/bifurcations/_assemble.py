"""From atlases of successive intervals to branches and events, as rows of arrays."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._elimination import cyclic_matrix
from .._numerics import EPS, quiet_floats
from .._results import BIFURCATION, COLLISION, STABILITY
from .._stability import classify, floquet_multipliers
from ..words import least_rotation, pack
from ._collision import Collision
from ._continuation import CLOSE, END, multipliers_at
from ._path import AbstractParameterPath
from ._segments import Atlas, Segment
from ._test_functions import candidates

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


class Where(NamedTuple):
    """Number and path of an interval, and s on it."""

    interval: int
    path: AbstractParameterPath
    s: float

    def on(self, segment: Segment) -> float:
        """Return where that is for a segment: at its path's end for one of the next interval."""
        path, own = segment.path, self.path
        if path is own:
            return self.s
        return path.stop if self.s - own.start < own.stop - self.s else path.start


@dataclasses.dataclass
class Event:
    """A row of the table of events, before it is written into arrays.

    **Fields:** `segments` that meet, with the sides on which they exist; `main`: the branch that
    goes through it, before and after.
    """

    where: Where
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
    """Return the events of one interval, without those at networks that it shares with others."""
    found, used = [], set()
    low, high = atlas.inside
    there = [number for number, one in enumerate(atlas.collisions) if low < one.s < high]
    met = {number: at_collision(atlas, number) for number in there}
    for segment in atlas.kept:
        for s, kind in segment.turns:
            numbers = [
                number for number in there
                if kind is BIFURCATION.degenerate_flip
                and abs(atlas.collisions[number].s - s) <= 100 * CLOSE * atlas.path.span
                and is_partner(atlas.collisions[number], segment)
            ]  # fmt: skip
            used |= set(numbers)
            others = [part for number in numbers for part in met[number]]
            where = Where(interval, atlas.path, s)
            found.append(turn_event(where, kind, (segment, segment), others))
        for above in (False, True):
            s = segment.high if above else segment.low
            if segment.ends[above] is END.degenerate_transcritical and low < s < high:
                found.append(transcritical_event(Where(interval, atlas.path, s), segment, above))
    for number in there:
        # A cycle that rests on a boundary within rounding leaves collisions without any segment.
        if number not in used and met[number]:
            where = Where(interval, atlas.path, atlas.collisions[number].s)
            found.append(collision_event(where, atlas.collisions[number], met[number]))
    return found


def is_partner(collision: Collision, segment: Segment) -> bool:
    """Return whether cycles of twice a segment's period begin or end at a collision, alone."""
    lone = sum(one.before + one.after for one in collision.members) == 1
    return lone and len(collision.orbit) == 2 * len(segment.word)


def at_collision(atlas: Atlas, number: int) -> list[tuple[Segment, bool, bool]]:
    """Return the segments that end at a collision, with the sides on which they exist."""
    found = []
    for segment in atlas.kept:
        before, after = segment.events[1] == number, segment.events[0] == number
        if before or after:
            found.append((segment, before, after))
    return found


def turn_event(
    where: Where,
    kind: BIFURCATION,
    main: tuple[Segment, Segment],
    others: Sequence[tuple[Segment, bool, bool]],
) -> Event:
    """Return the event at which a cycle's stability changes, with doubled cycles that end there."""
    one, other = main
    own = [(one, True, True)] if one is other else [(one, True, False), (other, False, True)]
    return Event(
        where, kind, COLLISION.none, len(one.word), [*own, *others], main,
        error=_multiplier_error(one, where.on(one), kind),
    )  # fmt: skip


def transcritical_event(where: Where, segment: Segment, above: bool) -> Event:
    """Return the event at which a cycle comes from infinity, or (`above`) goes there."""
    main = (segment, None) if above else (None, segment)
    kind = BIFURCATION.degenerate_transcritical
    return Event(
        where, kind, COLLISION.none, len(segment.word), [(segment, above, not above)], main,
        error=_multiplier_error(segment, where.on(segment), kind),
    )  # fmt: skip


def collision_event(
    where: Where, collision: Collision, there: list[tuple[Segment, bool, bool]]
) -> Event:
    """Return the event at which cycles meet on switching boundaries."""
    links = linked(there, collision)
    before = [segment for segment, early, _ in there if early]
    after = [segment for segment, _, late in there if late]
    if links:
        main = min(links, key=lambda pair: len(pair[0].word))
    else:
        least = _most_stable(before or after, where)
        main = (least, None) if before else (None, least)
    one = main[0] or main[1]
    assert one is not None
    return Event(
        where, BIFURCATION.border_collision, _subtype(before, after), len(one.word), there, main,
        _own_unit(collision, one), len(collision.units), _unit_error(collision, one, where.on(one)),
    )  # fmt: skip


def _most_stable(there: Sequence[Segment], where: Where) -> Segment | None:
    """Return the cycle of least period, and of these the one with the least multiplier at s."""

    def size(one: Segment) -> float:
        return float(np.abs(multipliers_at(one.path, one.word, where.on(one))).max(initial=0.0))

    return min(there, key=lambda one: (len(one.word), size(one)), default=None)


def _subtype(before: Sequence[Segment], after: Sequence[Segment]) -> COLLISION:
    periods = {len(segment.word) for segment in [*before, *after]}
    if len(periods) == 1 and (len(before), len(after)) == (1, 1):
        return COLLISION.persistence
    if len(periods) == 1 and sorted((len(before), len(after))) == [0, 2]:
        return COLLISION.nonsmooth_fold
    return COLLISION.multiple


def linked(
    there: Sequence[tuple[Segment, bool, bool]], collision: Collision
) -> list[tuple[Segment, Segment]]:
    """Return which cycle goes on as which through a collision.

    Cycles of one period are paired by how few bits differ, compared from the time origin of the
    collision.
    """
    words = {member.key: member.word for member in collision.members}
    pairs = []
    before = sorted((one for one, early, _ in there if early), key=lambda one: one.key)
    after = sorted((one for one, _, late in there if late), key=lambda one: one.key)
    for period in sorted({len(segment.word) for segment in before}):
        mine = [one for one in before if len(one.word) == period]
        others = [one for one in after if len(one.word) == period]
        costs = {
            (a, b): _difference(
                words.get(x.key, x.word), words.get(y.key, y.word), collision.period
            )
            for a, x in enumerate(mine)
            for b, y in enumerate(others)
        }
        while costs:
            a, b = min(costs, key=lambda pair: (costs[pair], pair))
            pairs.append((mine[a], others[b]))
            costs = {(c, d): cost for (c, d), cost in costs.items() if c != a and d != b}
    return pairs


def _difference(word: np.ndarray, other: np.ndarray, period: int) -> int:
    """Return how many bits differ at least, among rotations that leave the orbit where it is."""
    turned = (np.roll(other, shift, axis=0) for shift in range(0, len(other), period))
    return min(int(np.sum(word != one)) for one in turned)


def _own_unit(collision: Collision, segment: Segment) -> tuple[int, int]:
    """Return the first (t, i) that is zero, counted from where the segment's least word begins."""
    words = {member.key: member.word for member in collision.members}
    word = words.get(segment.key)
    if word is None:
        return collision.units[0]
    length = len(word)
    origin = least_rotation(pack(word).tobytes(), length)
    repeats = range(0, length, collision.period)
    return min(((t + shift - origin) % length, i) for t, i in collision.units for shift in repeats)


def _unit_error(collision: Collision, segment: Segment, s: float) -> float:
    """Return a first-order bound of the error of s: that of the pre-activation over its slope."""
    path, member = segment.path, {one.key: one for one in collision.members}.get(segment.key)
    if member is None:
        return np.inf
    word = member.word
    at = np.array([s])
    step = 1e-6 * path.span
    with quiet_floats():
        found, arrays = candidates(path, word[None], at), path.arrays(at)
        inverse = _inverse_norm(arrays.pieces(word[None])[0])
        size = np.abs(found.points).max() + np.abs(arrays.h1).max()
        t, i = member.zeros[0]
        row = np.abs(arrays.W2[0, i])
        error = 8 * EPS * (inverse * size * row.sum() + abs(arrays.h2[0, i]))
        shifted = np.clip([s - step, s + step], path.start, path.stop)
        y = candidates(path, np.stack([word, word]), shifted).activations[:, t, i]
        slope = abs(y[1] - y[0]) / (shifted[1] - shifted[0])
        return float(error / slope + 8 * EPS * path.span)


def _inverse_norm(jacobians: np.ndarray) -> float:
    matrix = cyclic_matrix(jacobians)[0]
    try:
        return float(np.abs(np.linalg.inv(matrix)).sum(axis=1).max())
    except np.linalg.LinAlgError:
        return np.inf


def _multiplier_error(segment: Segment, s: float, kind: BIFURCATION) -> float:
    """Return a first-order bound of the error of s: that of the multiplier over its slope."""
    path = segment.path
    step = 1e-6 * path.span
    low, high = max(s - step, path.start), min(s + step, path.stop)
    values, errors = floquet_multipliers(path.arrays(np.array([s])).pieces(segment.word[None])[0])
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
    for segment in atlas.kept:
        edges = segment.edges
        for low, high in zip(edges[:-1], edges[1:]):
            code = stability_at(segment.path, segment.word, 0.5 * (low + high))
            found.append(Piece(interval, segment, low, high, code))
    return found


def stability_at(path: AbstractParameterPath, word: np.ndarray, s: float) -> int:
    """Return the stability code of a word's cycle at s."""
    jacobians = path.arrays(np.array([s])).pieces(word[None])[0]
    code = int(classify(*floquet_multipliers(jacobians))[0])
    return code if np.isfinite(jacobians).all() else int(STABILITY.nonhyperbolic)
