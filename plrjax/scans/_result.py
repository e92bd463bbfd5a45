"""The result of a scan: arrays over a grid that read like a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._arguments import require
from .._results import COVERAGE, RESULTS
from .._saved import AbstractSaved
from .._tables import Table
from ._measure import Dimension


class GridAxis(NamedTuple):
    """One axis of a scan, as the result remembers it: label, first and last value, their number."""

    label: str
    start: float
    stop: float
    num: int

    @property
    def values(self) -> Float[np.ndarray, " value"]:
        """The values, in order."""
        return np.linspace(self.start, self.stop, self.num)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ParameterScan(AbstractSaved):
    """What was measured over a grid of parameters.

    `scan["num_stable"]` is an array over the grid, the first axis first.

    **Fields:**

    - `numbers`: all results, a row per pixel (row-major); NaN where not done.
    - `done`: which pixels are done.
    - `axes`: label, start, stop and num of each axis.
    - `outputs`: names of the results, and their axes beyond the grid, in the order of `numbers`.
    - `result`: whether the computation went well.
    - `notes`: facts to know, in words.
    - `stats`: seconds, tiles.
    """

    file_type = "scan"

    numbers: Float[np.ndarray, "pixel column"]
    done: Bool[np.ndarray, " pixel"]
    axes: tuple[GridAxis, ...]
    outputs: Mapping[str, tuple[Dimension, ...]]
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()
    stats: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(axis.num for axis in self.axes)

    @property
    def values(self) -> dict[str, np.ndarray]:
        """The results by name, each an array over the grid and its own axes."""
        return {name: self[name] for name in self.outputs}

    @property
    def coverage(self) -> COVERAGE | None:
        """The weakest coverage of the cycle counts of all pixels; None where none were counted."""
        if "coverage" not in self.outputs:
            return None
        return COVERAGE.partial if not self.done.all() else COVERAGE(int(self["coverage"].min()))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.outputs:
            raise KeyError(f"{name!r}: the scan holds {', '.join(self.outputs)}")
        low = 0
        for other, dimensions in self.outputs.items():
            high = low + width_of(dimensions)
            if other == name:
                lengths = [len(d.values) for d in dimensions]
                return self.numbers[:, low:high].reshape(*self.shape, *lengths)
            low = high
        raise AssertionError

    def to_xarray(self):
        """Return an xarray Dataset with the axes as coordinates (extra `sweep`)."""
        xarray = require("xarray", "sweep", "to_xarray")
        labels = [axis.label for axis in self.axes]
        coordinates: dict[str, Any] = {axis.label: axis.values for axis in self.axes}
        arrays = {}
        for name, dimensions in self.outputs.items():
            coordinates |= {d.name: np.array(d.values) for d in dimensions}
            arrays[name] = ([*labels, *(d.name for d in dimensions)], self[name])
        return xarray.Dataset(arrays, coordinates, {"result": self.result.name})

    def __post_init__(self):
        wanted = (int(np.prod(self.shape)), sum(map(width_of, self.outputs.values())))
        if self.numbers.shape != wanted or not self.axes or min(self.shape) < 1:
            raise ValueError(f"numbers: expected shape {wanted}, got {self.numbers.shape}")

    def _table(self) -> Table:
        grid = " x ".join(str(num) for num in self.shape)
        missing = int(np.count_nonzero(~self.done))
        above = [f"Scan of {grid} pixels" + (f", {missing} not done" if missing else "")]
        for axis in self.axes:
            above.append(f"  {axis.label}: {axis.num} values from {axis.start:g} to {axis.stop:g}")
        below = [] if self.coverage is None else [f"coverage: {self.coverage}"]
        if self.result is not RESULTS.successful:
            below.append(f"{self.result}: {self.result.message}")
        below += [f"note: {text}" for text in self.notes]
        rows = [row for name in self.outputs for row in self._rows(name)]
        head = ("", "least", "median", "largest", "not finite")
        return Table(above, head, rows, below, least=(0, 11, 11, 11, 11))

    def _rows(self, name: str) -> list[tuple[str, ...]]:
        """Return the lines of one result; a result per period has one for each period."""
        dimensions, array = self.outputs[name], self[name].reshape(len(self.done), -1)[self.done]
        if len(dimensions) == 1 and dimensions[0].name == "period":
            pairs = zip(dimensions[0].values, array.T)
            return [_row(f"{name}, k={k:g}", column) for k, column in pairs]
        return [_row(name, array.ravel())]


def _row(label: str, numbers: np.ndarray) -> tuple[str, ...]:
    """Return a label and the cells of its line."""
    finite = numbers[np.isfinite(numbers)]
    summary = [f"{f(finite):.5g}" if finite.size else "-" for f in (np.min, np.median, np.max)]
    return label, *summary, str(numbers.size - finite.size)


def width_of(dimensions: tuple[Dimension, ...]) -> int:
    """Return how many numbers a result has per pixel."""
    return int(np.prod([len(d.values) for d in dimensions], dtype=int))
