"""What a search spent on what, and what each solver brought."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Piece(NamedTuple):
    """Work between two entries of a course: by which solver, on which period, and what it brought.

    **Fields:** `end`: seconds after the search began at which it ended; `seconds` that it took;
    `news`: cycles that were new.
    """

    solver: str
    period: int
    end: float
    seconds: float
    news: int


class Course:
    """The course of a search: an entry whenever something new was found and when a solver ended."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.rows: list[tuple[str, int, float, int]] = []
        self.solver, self.period, self.cycles, self.before = "", 0, 0, 0

    @property
    def news(self) -> bool:
        """Whether the last solver found something new."""
        return self.cycles > self.before

    def begin(self, solver: str, periods: tuple[int, ...]) -> None:
        """Say who works from now on, and on which periods (named by the first)."""
        self.solver, self.period, self.before = solver, periods[0], self.cycles

    def enter(self, cycles: int, ended: bool = False) -> None:
        """Note how many cycles are known now."""
        if ended or cycles > self.cycles:
            seconds = time.perf_counter() - self.begun
            self.rows.append((self.solver, self.period, seconds, cycles))
            self.cycles = cycles

    def table(self) -> dict[str, list[Any]]:
        """Return the columns solver, period, seconds and cycles."""
        columns = list(zip(*self.rows)) or [()] * 4
        return dict(zip(("solver", "period", "seconds", "cycles"), map(list, columns)))


def pieces_of(table: Mapping[str, list[Any]]) -> Iterator[Piece]:
    """Return the pieces of work of a course, given by its columns."""
    before, known = 0.0, 0
    names = ("solver", "period", "seconds", "cycles")
    for solver, period, seconds, cycles in zip(*(table.get(name, ()) for name in names)):
        yield Piece(solver, period, seconds, seconds - before, cycles - known)
        before, known = seconds, cycles


def late_periods(table: Mapping[str, list[Any]]) -> list[int]:
    """Return the periods of which new cycles came in the second half of the time spent on them."""
    spent: dict[int, list[Piece]] = {}
    for piece in pieces_of(table):
        spent.setdefault(piece.period, []).append(piece)
    late = []
    for period, pieces in sorted(spent.items()):
        half, done, news = sum(piece.seconds for piece in pieces) / 2, 0.0, 0
        for piece in pieces:
            done += piece.seconds
            news += piece.news if done > half else 0
        late += [period] if news else []
    return late
