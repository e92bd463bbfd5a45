"""All segments and events of cycles along one path: a graph, followed from every cycle known."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from .._numerics import quiet_floats
from .._results import BIFURCATION
from ._collision import SINGULAR, Collision, Key, collision_at, key_of
from ._functions import candidates, cyclic_matrix, pieces
from ._march import CLOSE, END, Start, march
from ._path import AbstractParameterPath

MOST_SEGMENTS = 20_000
"""Segments followed on one path, at most."""

_FLAT = 1e-12
"""A pre-activation that changes by less than this along a unit null vector does not change."""


@dataclasses.dataclass(eq=False)
class Segment:
    """A cycle as long as its word stays admissible: s from `low` to `high`.

    **Fields:** `ends`: why it ends below and above; `events`: the collision there, -1 for none;
    `turns`: (s, kind) where its stability changes in between.
    """

    word: Bool[np.ndarray, "time unit"]
    key: Key
    low: float
    high: float
    ends: list[END]
    events: list[int]
    turns: list[tuple[float, BIFURCATION]]
    num_coarse: int = 0

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
        self.watch: Callable[[], None] = lambda: None  # called between rounds; may raise
        self._by_key: dict[Key, list[Segment]] = {}
        self._slack = CLOSE * path.span

    def follow(self, cycles: Iterable[tuple[np.ndarray, float]]) -> None:
        """Follow cycles, given as (word "time unit", s), and all that they meet, to their ends."""
        tasks = []
        for word, s in cycles:
            tasks.append(_Task(word, key_of(word), float(s), (-1, 1)))
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
                tasks += self._doubled(segment, s)
        return tasks

    def _tasks_of(self, number: int) -> list[_Task]:
        collision = self.collisions[number]
        return [
            _Task(member.word, member.key, collision.s, (side,), member.zeros, number)
            for member in collision.members
            for side, there in ((-1, member.before), (1, member.after))
            if there
        ]

    def _doubled(self, segment: Segment, s: float) -> list[_Task]:
        """Return the cycles of twice the period that begin or end where a multiplier is -1.

        At s the orbits z* + a e, e the eigenvector of -1, are a family of cycles of twice the
        period, which ends where one of them touches a switching boundary.
        """
        found = family_end(self.path, segment.word, s)
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


def family_end(
    path: AbstractParameterPath, word: Bool[np.ndarray, "time unit"], s: float
) -> tuple[np.ndarray, Float[np.ndarray, "doubled state"], tuple[int, int]] | None:
    """Return where the family of doubled cycles at a degenerate flip ends on a switching boundary.

    The family runs along the null vector of the doubled word's cyclic system, and on behind a
    boundary where the system there is singular, too.

    **Returns:** the word behind the last boundary, the orbit on it, and the (t, i) that is zero;
    None where no boundary limits the family.
    """
    at = np.array([s])
    arrays = path.arrays(at)
    word = np.tile(word, (2, 1))
    orbit = np.tile(candidates(path, word[: len(word) // 2][None], at).points[0], (2, 1))
    unit: tuple[int, int] | None = None
    for _ in range(word.size):
        _, sizes, rows = np.linalg.svd(cyclic_matrix(pieces(arrays, word[None])[0])[0])
        if sizes[-1] * SINGULAR > sizes[0]:
            break
        tilts = rows[-1].reshape(orbit.shape)
        rate = tilts @ arrays.W2[0].T
        y = orbit @ arrays.W2[0].T + arrays.h2[0]
        if unit is not None:
            if abs(rate[unit]) <= _FLAT * np.abs(rate).max():
                return None
            if (rate[unit] > 0) != word[unit]:
                tilts, rate = -tilts, -rate
            y[unit] = 0.0
        with quiet_floats():
            reach = np.where((rate * y < 0) & (np.abs(rate) > _FLAT), -y / rate, np.inf)
        if not np.isfinite(reach).any():
            return None
        t, i = np.unravel_index(np.argmin(reach), reach.shape)
        unit = (int(t), int(i))
        orbit = orbit + reach[unit] * tilts
        word = word.copy()
        word[unit] = ~word[unit]
    return None if unit is None else (word, orbit, unit)
