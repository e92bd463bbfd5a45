"""All segments and events of cycles along one path: a graph, followed from every cycle known."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Bool

from .._results import BIFURCATION
from ._collision import Collision, Key, collision_at, family_end, key_of
from ._continuation import CLOSE, END, Start, march
from ._path import AbstractParameterPath

MOST_SEGMENTS = 20_000
"""Segments followed on one path, at most."""


@dataclasses.dataclass(eq=False)
class Segment:
    """A cycle as long as its word stays admissible: s from `low` to `high`.

    **Fields:** `path` it lies on; `ends`: why it ends below and above; `events`: the collision
    there, -1 for none; `turns`: (s, kind) where its stability changes in between, and `edge_turns`
    where it does within rounding at a network that the path shares with another.
    """

    path: AbstractParameterPath
    word: Bool[np.ndarray, "time unit"]
    key: Key
    low: float
    high: float
    ends: list[END]
    events: list[int]
    turns: list[tuple[float, BIFURCATION]]
    num_coarse: int = 0
    edge_turns: list[tuple[float, BIFURCATION]] = dataclasses.field(default_factory=list)

    @property
    def edges(self) -> list[float]:
        """Its ends and the turns of stability between."""
        return [self.low, *(s for s, _ in self.turns), self.high]

    def covers(self, s: float, slack: float) -> bool:
        """Return whether the cycle exists at s."""
        return self.low - slack <= s <= self.high + slack


@dataclasses.dataclass(frozen=True)
class _Task:
    """A cycle to follow: to both sides, or away from a collision only."""

    word: np.ndarray
    key: Key
    s: float
    sides: tuple[int, ...]
    zeros: tuple[tuple[int, int], ...] = ()
    event: int = -1


class Atlas:
    """Segments and collisions along a path; `follow` adds what is connected to given cycles."""

    def __init__(self, path: AbstractParameterPath, periods: Sequence[int]):
        self.path, self.periods = path, tuple(periods)
        self.segments: list[Segment] = []
        self.collisions: list[Collision] = []
        self.is_cut = False
        self.inside = (-np.inf, np.inf)  # what lies outside belongs to networks shared with others
        self.watch: Callable[[], None] = lambda: None  # called between rounds; may raise
        self._by_key: dict[Key, list[Segment]] = {}
        self._slack = CLOSE * path.span

    def follow(self, cycles: Iterable[tuple[np.ndarray, float]]) -> None:
        """Follow cycles, given as (word "time unit", s), and all that they meet, to their ends."""
        tasks = []
        for word, s in cycles:
            tasks.append(_Task(word, key_of(word), float(s), (-1, 1)))
        self._run(tasks)

    def enter(self, collisions: Iterable[Collision], above: bool) -> None:
        """Follow the cycles of collisions at an end of the path into it, from below or above."""
        side, s = (-1, self.path.stop) if above else (1, self.path.start)
        self._run(
            [
                _Task(member.word, member.key, s, (side,), member.zeros)
                for collision in collisions
                for member in collision.members
                if (member.before if above else member.after)
            ]
        )

    def double(self, segments: Iterable[tuple[np.ndarray, float]]) -> None:
        """Follow the doubled cycles of words at degenerate flips, given as (word, s)."""
        self._run([task for word, s in segments for task in self._doubled(word, s)])

    def close(self, low: float = -np.inf, high: float = np.inf) -> None:
        """Leave what happens below `low` and above `high` to networks shared with other paths."""
        self.inside = (max(low, self.inside[0]), min(high, self.inside[1]))

    @property
    def kept(self) -> list[Segment]:
        """Segments that are not rounding at a shared network."""
        low, high = self.inside
        return [one for one in self.segments if one.high > low and one.low < high]

    def dropped(self, above: bool) -> dict[Key, Segment]:
        """Return the segments that are rounding at the network above or below."""
        low, high = self.inside
        return {
            one.key: one for one in self.segments if (one.low >= high if above else one.high <= low)
        }

    def _run(self, tasks: list[_Task]) -> None:
        while tasks and not self.is_cut:
            self.watch()
            fresh = self._fresh(tasks)
            tasks = [task for segment in self._marched(fresh) for task in self._met(segment)]
            self.is_cut = len(self.segments) >= MOST_SEGMENTS

    def _fresh(self, tasks: Sequence[_Task]) -> list[_Task]:
        """Return the tasks that no segment covers yet, each once."""
        kept: list[_Task] = []
        for task in tasks:
            known = self._known(task)
            if known is not None:
                if task.event >= 0:
                    known.events[task.sides[0] < 0] = task.event
                continue
            twins = [
                one
                for one in kept
                if one.key == task.key and abs(one.s - task.s) <= 10 * self._slack
                and set(one.sides) & set(task.sides)
            ]  # fmt: skip
            if not twins:
                kept.append(task)
        return kept

    def _known(self, task: _Task) -> Segment | None:
        """Return the segment that a task would find again."""
        for segment in self._by_key.get(task.key, []):
            if len(task.sides) == 2 and segment.covers(task.s, self._slack):
                return segment
            if len(task.sides) == 1:
                side = task.sides[0]
                near = segment.high if side < 0 else segment.low
                away = segment.low if side < 0 else segment.high
                inside = (near - task.s) * side <= 10 * self._slack
                if inside and (away - task.s) * side > -self._slack:
                    return segment
        return None

    def _marched(self, tasks: Sequence[_Task]) -> list[Segment]:
        starts = [
            (number, Start(task.word, task.s, side, task.zeros))
            for number, task in enumerate(tasks)
            for side in task.sides
        ]
        found = march(self.path, [start for _, start in starts])
        made = []
        for number, task in enumerate(tasks):
            parts = {
                start.direction: stretch
                for (row, start), stretch in zip(starts, found)
                if row == number
            }
            segment = Segment(
                self.path,
                task.word,
                task.key,
                task.s,
                task.s,
                [END.border_collision] * 2,
                [task.event] * 2,
                [],
            )
            for side, stretch in parts.items():
                above = side > 0
                segment.ends[above] = stretch.end
                segment.events[above] = -1
                segment.turns += stretch.turns
                segment.num_coarse += stretch.num_coarse
                if above:
                    segment.high = max(stretch.s, task.s)
                else:
                    segment.low = min(stretch.s, task.s)
            segment.turns = _distinct(segment.turns, self._slack)
            if self._is_twin(segment, task):
                continue
            self.segments.append(segment)
            self._by_key.setdefault(task.key, []).append(segment)
            made.append((segment, parts))
        return [self._noted(segment, parts) for segment, parts in made]

    def _is_twin(self, segment: Segment, task: _Task) -> bool:
        """Return whether a segment is known, which was met from both ends in the same round."""
        for known in self._by_key.get(task.key, []):
            gaps = abs(known.low - segment.low), abs(known.high - segment.high)
            if max(gaps) <= 10 * self._slack:
                if task.event >= 0:
                    known.events[task.sides[0] < 0] = task.event
                return True
        return False

    def _noted(self, segment: Segment, parts: dict) -> Segment:
        """Link the segment's collisions, examining those not known yet."""
        for side, stretch in parts.items():
            if stretch.end is END.border_collision:
                above = side > 0
                segment.events[above] = self._collision(segment, stretch.s, stretch.unit)
        return segment

    def _collision(self, segment: Segment, s: float, unit: tuple[int, int]) -> int:
        """Return the number of the collision at which a segment ends."""
        for number, known in enumerate(self.collisions):
            if abs(known.s - s) <= 10 * self._slack and any(
                member.key == segment.key for member in known.members
            ):
                return number
        self.collisions.append(collision_at(self.path, s, segment.word, unit, self.periods))
        return len(self.collisions) - 1

    def _met(self, segment: Segment) -> list[_Task]:
        """Return the cycles that a segment meets at its ends and turns, still to be followed."""
        tasks = []
        for number in {event for event in segment.events if event >= 0}:
            tasks += self._tasks_of(number)
        for s, kind in segment.turns:
            doubled = 2 * len(segment.word)
            if kind is BIFURCATION.degenerate_flip and doubled in self.periods:
                tasks += self._doubled(segment.word, s)
        return tasks

    def _tasks_of(self, number: int) -> list[_Task]:
        collision = self.collisions[number]
        return [
            _Task(member.word, member.key, collision.s, (side,), member.zeros, number)
            for member in collision.members
            for side, there in ((-1, member.before), (1, member.after))
            if there
        ]

    def _doubled(self, word: np.ndarray, s: float) -> list[_Task]:
        """Return the cycles of twice the period that begin or end where a multiplier is -1.

        At s the orbits z* + a e, e the eigenvector of -1, are a family of cycles of twice the
        period, which ends where one of them touches a switching boundary.
        """
        found = family_end(self.path, word, s)
        if found is None:
            return []
        word, orbit, unit = found
        collision = collision_at(self.path, s, word, unit, (len(word),), orbit)
        if not collision.members:
            return []
        for number, known in enumerate(self.collisions):
            shared = {one.key for one in known.members} & {one.key for one in collision.members}
            if abs(known.s - s) <= 10 * self._slack and shared:
                return self._tasks_of(number)
        self.collisions.append(collision)
        return self._tasks_of(len(self.collisions) - 1)


def _distinct(turns: list[tuple[float, BIFURCATION]], slack: float):
    """Return turns in order, each once (one at the start is met on both sides)."""
    kept: list[tuple[float, BIFURCATION]] = []
    for s, kind in sorted(turns):
        if not (kept and kind is kept[-1][1] and s - kept[-1][0] <= slack):
            kept.append((s, kind))
    return kept
