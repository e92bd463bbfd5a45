"""What happens exactly at a network that two paths share, from what was followed on both sides."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from .._results import BIFURCATION
from ._assemble import (
    Event,
    Where,
    collision_event,
    is_partner,
    linked,
    transcritical_event,
    turn_event,
)
from ._collision import Collision, Key, collision_between, is_singular
from ._continuation import END, is_center
from ._describe import TURNS
from ._nodes import ZONE, beginning, ending
from ._segments import Atlas, Segment
from ._test_functions import candidates, stability_functions

_EXACT = 1e-12
"""Places closer to a network than this share of a path are it."""


@dataclasses.dataclass(frozen=True)
class NodeEvent:
    """An event at a network: on the path below (`late` 0) or above it (1), and s there.

    **Fields:** `before`, `after`: the segments below and above; `collision`: for border collisions.
    """

    kind: BIFURCATION
    late: int
    s: float
    before: list[Segment]
    after: list[Segment]
    collision: Collision | None = None


@dataclasses.dataclass(frozen=True)
class Node:
    """A network between two paths: cycles that go through it as they are, and events.

    **Fields:** `intervals`: numbers of the paths; there may be some between that do not move.
    """

    intervals: tuple[int, int]
    passing: list[tuple[Segment, Segment]]
    events: list[NodeEvent]


class Nodes:
    """The networks between paths, looked at again where more has been followed."""

    def __init__(self):
        self._known: dict[int, tuple[tuple[int, int, bool], Node]] = {}

    def of(self, atlases: Sequence[Atlas], moving: Sequence[int], num_whole: int) -> list[Node]:
        """Return the networks between paths; those that do not move are filled with what passes.

        **Arguments:** `moving`: the numbers of the others, of which `num_whole` were followed to
        their ends.
        """
        found = []
        for place, pair in enumerate(zip(moving[:-1], moving[1:])):
            early, late = (atlases[number] for number in pair)
            state = len(early.segments), len(late.segments), place + 1 < num_whole
            if place not in self._known or self._known[place][0] != state:
                self._known[place] = state, _node_between(pair, early, late, state[2])
            found.append(self._known[place][1])
        through = {node.intervals[0]: [one for one, _ in pairs_of(node)] for node in found}
        for number in sorted(set(range(len(atlases))) - set(moving)):
            last = max(row for row in moving if row < number)
            there = through.get(last, list(ending(atlases[last]).values()))
            pairs = [(one, _copied(one, atlases[number])) for one in there]
            atlases[number].segments = [copy for _, copy in pairs]
            found.append(Node((last, number), pairs, []))
        return found


def _copied(segment: Segment, atlas: Atlas) -> Segment:
    """Return a cycle on a path that does not move."""
    path, ends = atlas.path, [END.path_end] * 2
    return Segment(path, segment.word, segment.key, path.start, path.stop, ends, [-1, -1], [])


def _node_between(pair: tuple[int, int], early: Atlas, late: Atlas, whole: bool) -> Node:
    """Return what happens at the network between two paths.

    **Arguments:** `whole`: whether the late path was followed to its end; otherwise the events at
    the network are left out.
    """
    _put_turns_aside(early)
    _put_turns_aside(late)
    below, above = ending(early), beginning(late)
    both = [(below[key], above[key]) for key in below if key in above]
    signs = _signs([one for one, _ in both], -1), _signs([one for _, one in both], 0)
    passing, events = [], []
    for row, (one, other) in enumerate(both):
        lower, upper = signs[0][row], signs[1][row]
        if lower[0] == upper[0]:  # of det(I - P): the cycle did not run through infinity
            one.ends[1] = other.ends[0] = END.path_end
            passing.append((one, other))
            events += _turns(one, other, lower[1:] * upper[1:] < 0)
            del below[one.key], above[one.key]
    return Node(pair, passing, events + _changes(early, late, below, above) if whole else [])


def _put_turns_aside(atlas: Atlas) -> None:
    """Leave turns of stability that lie at shared networks to these."""
    low, high = atlas.inside
    for segment in atlas.kept:
        turns = segment.turns
        segment.turns = [turn for turn in turns if low < turn[0] < high]
        segment.edge_turns += [turn for turn in turns if not low < turn[0] < high]


def _signs(segments: Sequence[Segment], piece: int) -> np.ndarray:
    """Return the signs of det(I - P), det(I + P) and of the pairs on the last or first piece.

    A function that rests at zero within rounding has the sign 0.
    """
    found = np.zeros((len(segments), 3))
    for period in sorted({len(one.word) for one in segments}):
        rows = [row for row, one in enumerate(segments) if len(one.word) == period]
        words = np.stack([segments[row].word for row in rows])
        s = np.array([_middle(segments[row].edges, piece) for row in rows])
        path = segments[rows[0]].path
        found[rows, 0] = candidates(path, words, s).closing.sign
        turning = stability_functions(path, words, s)
        for column, part in enumerate((turning.flip, turning.center)):
            found[rows, 1 + column] = np.where(turning.resting[column], 0.0, part.sign)
    return found


def _middle(edges: Sequence[float], piece: int) -> float:
    at = len(edges) - 2 if piece < 0 else 0
    return 0.5 * (edges[at] + edges[at + 1])


def _turns(one: Segment, other: Segment, turned: np.ndarray) -> list[NodeEvent]:
    """Return the changes of stability at a network of a cycle that goes on behind it."""
    found = []
    for kind in [kind for kind, has in zip(TURNS, turned) if has]:
        if kind is BIFURCATION.center and not is_center(one.path, one.word, one.path.stop):
            continue
        located = [s for s, own in one.edge_turns if own is kind and s > one.path.stop - _zone(one)]
        behind = [
            s for s, own in other.edge_turns if own is kind and s < other.path.start + _zone(other)
        ]
        place = _place(one.path, other.path, located, behind)
        found.append(NodeEvent(kind, *place, [one], [other]))
    return found


def _zone(segment: Segment) -> float:
    return ZONE * segment.path.span


def _place(early, late, located: Sequence[float], behind: Sequence[float]) -> tuple[int, float]:
    """Return on which of two paths, and where, an event at their shared network is.

    **Arguments:** `early`, `late`: the paths; `located`, `behind`: where it was found on them.
    """
    below = [s for s in located if s < early.stop - _EXACT * early.span]
    above = [s for s in behind if s > late.start + _EXACT * late.span]
    if below or not above:
        return 0, (below[0] if below else early.stop)
    return 1, above[0]


def _changes(early: Atlas, late: Atlas, below: dict[Key, Segment], above: dict[Key, Segment]):
    """Return the events at which cycles end or begin at a network."""
    found = []
    low, high = (early.path, early.path.stop), (late.path, late.path.start)
    tiny = late.dropped(above=False), early.dropped(above=True)
    open_there = [(one, 1) for one in below.values()] + [(one, 0) for one in above.values()]
    seen: set[int] = set()
    for segment, end in open_there:
        if id(segment) in seen:
            continue
        behind = tiny[1 - end].get(segment.key)
        reasons = {segment.ends[end]} | ({behind.ends[end]} if behind else set())
        if END.degenerate_transcritical in reasons or is_singular(
            (low, high)[not end], segment.word
        ):
            collision = None
            sides: list[list[Segment]] = [[segment], []] if end else [[], [segment]]
        else:
            force = END.border_collision in reasons
            collision = collision_between(low, high, segment.word, early.periods, ZONE, force)
            if collision is None:
                segment.ends[end] = max(reasons, key=lambda one: one is END.unresolved)
                continue
            sides = _sides(collision, below, above, seen, segment, end)
        seen |= {id(one) for side in sides for one in side}
        found.append(_changed(early, late, collision, sides))
    return found


def _sides(collision: Collision, below, above, seen: set[int], segment: Segment, end: int):
    """Return the segments below and above that meet at a collision, its own one among them."""
    before = [below[one.key] for one in collision.members if one.before and one.key in below]
    after = [above[one.key] for one in collision.members if one.after and one.key in above]
    own = before if end else after
    if segment not in own:
        own.append(segment)
    return [[one for one in side if id(one) not in seen] for side in (before, after)]


def _changed(early: Atlas, late: Atlas, collision: Collision | None, sides) -> NodeEvent:
    """Return the event at which segments end or begin, and note it as their end."""
    end = END.degenerate_transcritical if collision is None else END.border_collision
    kind = (
        BIFURCATION.degenerate_transcritical if collision is None else BIFURCATION.border_collision
    )
    located = [one.high for one in sides[0] if one.ends[1] is end]
    behind = [one.low for one in sides[1] if one.ends[0] is end]
    for side, above in ((sides[0], 1), (sides[1], 0)):
        for one in side:
            one.ends[above] = end
    place = _place(early.path, late.path, located, behind)
    return NodeEvent(kind, *place, sides[0], sides[1], collision)


def rows_of(node: Node, atlases: Sequence[Atlas]) -> list[Event]:
    """Return the events of a network as rows."""
    found = []
    place = lambda one: (node.intervals[one.late], atlases[node.intervals[one.late]].path, one.s)
    collisions = [one for one in node.events if one.collision is not None]
    used: set[int] = set()
    for event in node.events:
        where = Where(*place(event))
        if event.kind in TURNS:
            flip = event.kind is BIFURCATION.degenerate_flip
            doubled = [one for one in collisions if flip and _is_doubled(one, event.before[0])]
            used |= {id(one) for one in doubled}
            others = [part for one in doubled for part in _parts(one)]
            found.append(turn_event(where, event.kind, (event.before[0], event.after[0]), others))
        elif event.collision is None:
            segment = (event.before or event.after)[0]
            found.append(transcritical_event(where, segment, bool(event.before)))
    for event in [one for one in collisions if id(one) not in used]:
        where = Where(*place(event))
        assert event.collision is not None
        found.append(collision_event(where, event.collision, _parts(event)))
    return found


def _is_doubled(event: NodeEvent, segment: Segment) -> bool:
    assert event.collision is not None
    return is_partner(event.collision, segment)


def _parts(event: NodeEvent) -> list[tuple[Segment, bool, bool]]:
    return [(one, True, False) for one in event.before] + [
        (one, False, True) for one in event.after
    ]


def pairs_of(node: Node) -> list[tuple[Segment, Segment]]:
    """Return which segment below a network goes on as which one above it."""
    changed = [
        pair
        for event in node.events
        if event.collision is not None
        for pair in linked(_parts(event), event.collision)
    ]
    return node.passing + changed
