"""What the parts of a report have found so far, for those that come after."""

import dataclasses

import numpy as np

from .._lyapunov import LyapunovSpectrum, SpectrumHistory
from .._results import ATTRACTOR, RESULTS
from ..attractors import AttractorSet, SymbolicDynamics
from ..bifurcations import Bifurcations
from ..cycles import CycleSet
from ..plot._orbits import Orbit
from ._section import Section
from ._subject import Starts

_OPEN = ATTRACTOR.undecided


@dataclasses.dataclass
class Findings:
    """Results by name; None for what was not found, or not yet."""

    starts: Starts | None = None
    attractors: AttractorSet | None = None
    cycles: CycleSet | None = None
    spectrum: LyapunovSpectrum | None = None
    words: SymbolicDynamics | None = None
    events: Bifurcations | None = None
    history: SpectrumHistory | None = None
    orbits: list[Orbit] = dataclasses.field(default_factory=list)
    interrupted: bool = False

    @property
    def cloud(self) -> np.ndarray | None:
        """All states drawn of attractors, together; None where there are none."""
        points = [one.points for one in self.orbits if len(one.points)]
        return np.concatenate(points) if points else None

    def ended(self, part: Section, result: RESULTS, why: str) -> None:
        """Note that a part was cut short, by its time limit (then why) or by Ctrl-C."""
        if result is RESULTS.interrupted:
            self.interrupted = True
            part.cut("interrupted")
        elif result is RESULTS.budget_exhausted:
            part.cut(why)

    @property
    def attractor_rows(self) -> list[int]:
        """Rows of the attractors that orbits stay on, the most frequent first."""
        table = self.attractors
        if table is None:
            return []
        gone = np.isin(table.kind, (ATTRACTOR.diverged, ATTRACTOR.undecided))
        return [row for row in range(len(table)) if not gone[row] and table.count[row]]

    @property
    def main_row(self) -> int | None:
        """The most frequent attractor."""
        return (self.attractor_rows or [None])[0]

    @property
    def moving_row(self) -> int | None:
        """The most frequent attractor that is no cycle, or else the most frequent."""
        rows, table = self.attractor_rows, self.attractors
        moving = [row for row in rows if table is not None and not table.period[row]]
        return (moving or rows or [None])[0]

    @property
    def undecided_state(self) -> tuple[np.ndarray, str] | None:
        """Where most orbits are undecided, one of their initial states, and what gives it."""
        table, starts = self.attractors, self.starts
        if table is None or starts is None:
            return None
        lanes = np.flatnonzero(np.isin(table.label, np.flatnonzero(table.kind == _OPEN)))
        if 2 * len(lanes) <= len(table.label):
            return None
        return starts.states[lanes[0]], f"state = states[{lanes[0]}]"

    def point(self, row: int) -> np.ndarray:
        """Return a state on an attractor."""
        assert self.attractors is not None
        return self.attractors.orbit(row)[-1]
