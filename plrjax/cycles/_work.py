"""What a search spent on what, and what each solver brought."""

import time
from typing import Any

from ._base import AbstractCycleSolver


class Work:
    """The course of a search: cycles known after so many seconds, and the solver at work.

    A row is kept whenever something new was found and when a solver ended.
    """

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.rows: list[tuple[str, int, float, int]] = []
        self.solver, self.period, self.cycles, self.before = "", 0, 0, 0

    @property
    def news(self) -> bool:
        """Whether the last solver found something new."""
        return self.cycles > self.before

    def begin(self, solver: AbstractCycleSolver, periods: tuple[int, ...]) -> None:
        """Say who works from now on, and on which periods (named by the first)."""
        self.solver, self.period, self.before = solver.name, periods[0], self.cycles

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
