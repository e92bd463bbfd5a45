"""The result of tracing a plane: curves, and what was checked about them."""

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from ..._results import BIFURCATION, RESULTS
from ..._tables import AbstractTabular, Table


@dataclasses.dataclass(frozen=True, eq=False)
class ParameterCurve:
    """One curve in a plane of parameters.

    **Fields:** `kind`: `BIFURCATION`; `period` of the cycle; `word`, its itinerary next to the
    curve; `unit`: (t, i) that is zero on a border-collision curve, else (-1, -1); `points`: (p, q)
    along the curve, exact to rounding but for the ends, which are exact to 1e-6 of the rectangle.
    """

    kind: BIFURCATION
    period: int
    word: Bool[np.ndarray, "time unit"]
    unit: tuple[int, int]
    points: Float[np.ndarray, "point 2"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ParameterCurves(AbstractTabular, Sequence[ParameterCurve]):
    """Curves in a plane of parameters, in the order in which they were met; reads like a list.

    On a grid every word was enumerated. Two neighbors differ where some word is a cycle at one of
    them only, or has another number of multipliers inside the unit circle; they are separated where
    for each such word a curve runs between them that explains it (flips and centers do not end a
    cycle). That all are separated says nothing about what lies between grid points: regions
    narrower than their distance may be missing.

    **Fields:**

    - `curves`: `ParameterCurve`.
    - `periods`: those enumerated; `resolution`: points of the grid along each axis.
    - `num_differing`, `num_separated`: pairs of neighbors (horizontal and vertical).
    - `num_undecided`: grid points at which a word lies on a switching boundary or is marginal
        within rounding; for this word they were not compared.
    - `result`: `RESULTS`; `notes`: facts to know, in words.
    """

    curves: tuple[ParameterCurve, ...]
    periods: tuple[int, ...]
    resolution: int
    num_differing: int = 0
    num_separated: int = 0
    num_undecided: int = 0
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    @property
    def share_separated(self) -> float:
        """Share of the differing neighbors that are separated; NaN where there are none."""
        return self.num_separated / self.num_differing if self.num_differing else float("nan")

    def __len__(self) -> int:
        return len(self.curves)

    def __getitem__(self, index):
        return self.curves[index]

    def _table(self) -> Table:
        counts = Counter((int(curve.kind), curve.period) for curve in self.curves)
        lines = [f"{len(self)} curves in a plane of parameters"]
        for (kind, period), number in sorted(counts.items()):
            lines.append(f"{BIFURCATION(kind).name.replace('_', ' ')}, period {period}: {number}")
        lines += self.result.lines()
        lines += [line for note in self.notes for line in textwrap.wrap(f"note: {note}", 100)]
        return Table(lines)
