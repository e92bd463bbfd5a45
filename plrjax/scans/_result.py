"""The result of a scan: arrays over a grid that read like a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._results import COVERAGE, RESULTS
from .._saved import AbstractSaved
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

    file_type: ClassVar[str] = "scan"
    file_arrays: ClassVar[tuple[str, ...]] = ("numbers", "done")

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
        try:
            import xarray
        except ImportError as error:
            raise ImportError("to_xarray needs xarray: pip install 'plrjax[sweep]'") from error
        labels = [axis.label for axis in self.axes]
        coordinates: dict[str, Any] = {axis.label: axis.values for axis in self.axes}
        arrays = {}
        for name, dimensions in self.outputs.items():
            coordinates |= {d.name: np.array(d.values) for d in dimensions}
            arrays[name] = ([*labels, *(d.name for d in dimensions)], self[name])
        return xarray.Dataset(arrays, coordinates, {"result": self.result.name})

    def _facts(self):
        return {
            "axes": [list(axis) for axis in self.axes],
            "outputs": [
                [name, [[d.name, list(d.values)] for d in dimensions]]
                for name, dimensions in self.outputs.items()
            ],
            "result": self.result.name,
            "notes": list(self.notes),
            "stats": dict(self.stats),
        }

    @classmethod
    def _fields(cls, facts):
        axes = tuple(
            GridAxis(str(label), float(start), float(stop), int(num))
            for label, start, stop, num in facts["axes"]
        )
        if not axes or min(axis.num for axis in axes) < 1:
            raise ValueError("axes without values")
        outputs = {
            str(name): tuple(Dimension(str(n), tuple(map(float, v))) for n, v in dimensions)
            for name, dimensions in facts["outputs"]
        }
        return {
            "axes": axes,
            "outputs": outputs,
            "result": RESULTS[facts["result"]],
            "notes": tuple(map(str, facts["notes"])),
            "stats": dict(facts["stats"]),
        }

    @classmethod
    def _check_arrays(cls, arrays, path):
        numbers, done = arrays["numbers"], arrays["done"]
        fits = numbers.ndim == 2 and done.shape == numbers.shape[:1]
        if not fits or numbers.dtype != np.float64 or done.dtype != bool:
            raise ValueError(
                f"{path}: expected float64 rows and one flag each, got {numbers.dtype} "
                f"{numbers.shape} and {done.dtype} {done.shape}"
            )

    def __post_init__(self):
        wanted = (int(np.prod(self.shape)), sum(map(width_of, self.outputs.values())))
        if self.numbers.shape != wanted:
            raise ValueError(f"numbers: expected shape {wanted}, got {self.numbers.shape}")

    def __repr__(self) -> str:
        grid = " x ".join(str(num) for num in self.shape)
        missing = int(np.count_nonzero(~self.done))
        lines = [f"Scan of {grid} pixels" + (f", {missing} not done" if missing else "")]
        for axis in self.axes:
            lines.append(f"  {axis.label}: {axis.num} values from {axis.start:g} to {axis.stop:g}")
        lines += self._table()
        if self.coverage is not None:
            lines.append(f"coverage: {self.coverage}")
        if self.result is not RESULTS.successful:
            lines.append(f"{self.result}: {self.result.message}")
        return "\n".join([*lines, *(f"note: {text}" for text in self.notes)])

    __str__ = __repr__

    def _table(self) -> list[str]:
        """Return a line for each result, under titles."""
        rows = [row for name in self.outputs for row in self._rows(name)]
        width = max(len(label) for label, _ in rows)
        titles = ("least", "median", "largest", "not finite")
        title = " " * width + "".join(f"  {text:>11}" for text in titles)
        return [title, *(f"{label:>{width}}{cells}" for label, cells in rows)]

    def _rows(self, name: str) -> list[tuple[str, str]]:
        """Return the lines of one result; a result per period has one for each period."""
        dimensions, array = self.outputs[name], self[name].reshape(len(self.done), -1)[self.done]
        if len(dimensions) == 1 and dimensions[0].name == "period":
            pairs = zip(dimensions[0].values, array.T)
            return [_row(f"{name}, k={k:g}", column) for k, column in pairs]
        return [_row(name, array.ravel())]


def _row(label: str, numbers: np.ndarray) -> tuple[str, str]:
    """Return a label and the cells of its line."""
    finite = numbers[np.isfinite(numbers)]
    summary = [f(finite) for f in (np.min, np.median, np.max)] if finite.size else ["-"] * 3
    texts = [x if isinstance(x, str) else f"{x:.5g}" for x in summary]
    return label, "".join(f"  {text:>11}" for text in [*texts, str(numbers.size - finite.size)])


def width_of(dimensions: tuple[Dimension, ...]) -> int:
    """Return how many numbers a result has per pixel."""
    return int(np.prod([len(d.values) for d in dimensions], dtype=int))
