"""How many cycles there are at every pixel."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._arguments import checked_periods
from .._piecewise_affine import lower
from .._progress import NoProgress
from .._results import COVERAGE, STABILITY
from ..cycles import find_cycles
from ..grid._count import count_cycles, fits_grid
from ._measure import AbstractMeasure, Dimension, Program, Tick
from ._plane import Lowering, Pixels, Plane

_LONGEST = 15
"""Longer words of a chaotic map are often left undecided by enumeration side by side: its error
bound grows with the norms of the Jacobians."""


@dataclasses.dataclass(frozen=True, init=False)
class CycleCounts(AbstractMeasure):
    """Numbers of cycles: `num_cycles` and `num_stable_cycles` per period, `num_stable` in all.

    Where k H <= 18 and k <= 15 every itinerary is tried, maps side by side; else `find_cycles`
    searches pixel by pixel, with a key folded by the pixel. `coverage` says what "all" may claim
    (`COVERAGE`), and `num_undecided` how many words are neither cycles nor virtual beyond rounding
    (most often those of families of cycles); such pixels claim no completeness.

    **Raises:** `ValueError` for periods that are not positive integers.
    """

    periods: tuple[int, ...]

    def __init__(self, periods: int | Iterable[int]):
        object.__setattr__(self, "periods", tuple(checked_periods(periods)))

    def outputs(self, model: Any) -> dict[str, tuple[Dimension, ...]]:
        lower(model)
        along = (Dimension("period", self.periods),)
        return {
            "num_cycles": along,
            "num_stable_cycles": along,
            "num_stable": (),
            "num_undecided": (),
            "coverage": (),
        }

    def enumerated(self, model: Any) -> list[int]:
        """Return the periods of which every itinerary is tried."""
        map = lower(model)
        fits = lambda k: k <= _LONGEST and fits_grid(map.state_size, map.num_units, k)
        return [k for k in self.periods if fits(k)]

    def start(self, plane: Plane) -> Program:
        lowering = Lowering(plane)
        short = self.enumerated(plane.model)
        long = [k for k in self.periods if k not in short]
        if long and plane.key is None:
            raise ValueError(f"key: needed to search for cycles of period {long[0]}, got None")

        def run(pixels: Pixels, tick: Tick) -> dict[str, np.ndarray]:
            shape = (len(pixels.number), len(self.periods))
            numbers, stable = np.zeros(shape), np.zeros(shape)
            undecided = np.zeros(shape[0])
            coverage = np.full(shape[0], int(COVERAGE.complete_in_floating_point))
            if short:
                counts = count_cycles(lowering.batch(pixels.number), short, watch=tick)
                for k, found in counts.items():
                    column = self.periods.index(k)
                    numbers[:, column], stable[:, column] = found.num, found.num_stable
                    undecided += found.num_undecided
                coverage[undecided > 0] = int(COVERAGE.partial)
            for row in range(shape[0]) if long else ():
                here = self._searched(plane, pixels, row, long, numbers[row], stable[row])
                coverage[row] = min(coverage[row], int(here))
                tick((row + 1) / shape[0])
            return {
                "num_cycles": numbers,
                "num_stable_cycles": stable,
                "num_stable": stable.sum(axis=1),
                "num_undecided": undecided,
                "coverage": coverage,
            }

        return run

    def _searched(self, plane: Plane, pixels: Pixels, row: int, long, numbers, stable) -> COVERAGE:
        """Search one pixel for long cycles, fill its counts, and return the coverage."""
        found = find_cycles(
            plane.at(pixels.values[row]),
            long,
            key=plane.key_of(int(pixels.number[row])),
            throw=False,
            progress=NoProgress(),
        )
        for k in long:
            here, column = found.valid & (found.period == k), self.periods.index(k)
            numbers[column] = np.count_nonzero(here)
            stable[column] = np.count_nonzero(here & (found.stability == STABILITY.stable))
        return found.coverage

    def facts(self):
        return {"measure": "CycleCounts", "periods": list(self.periods)}
