"""The one user function: any measure over a grid of parameters, in tiles that can be resumed."""

import functools
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from .._arguments import check_kind, checked_key, checked_whole
from .._dynamics import AbstractDynamics
from .._files import note_unless_written
from .._host import on_host
from .._job import Job, deadline_of, job
from .._memory import check_memory
from .._numerics import is_whole, quiet_floats
from .._progress import AbstractProgress
from .._results import COVERAGE, RESULTS
from ._axis import Axis, in_float64
from ._measure import AbstractMeasure, Dimension, as_measure
from ._plane import Plane
from ._result import GridAxis, ParameterScan, width_of
from ._tiles import TileFolder, digest_of

DEFAULT_TILE = 32
_PIXEL_BYTES = 64
"""Of a pixel without its measures: number, values, place in a tile, whether it is done."""
_ARRAY = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")


@on_host()
def scan_parameters(
    model: AbstractDynamics,
    axes: Axis | Sequence[Axis],
    measures: AbstractMeasure | Callable | Sequence[AbstractMeasure | Callable],
    *,
    key: PRNGKeyArray | None = None,
    checkpoint: str | os.PathLike | None = None,
    tile: int = DEFAULT_TILE,
    shard: tuple[int, int] | str | None = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> ParameterScan:
    """Measure something at every point of a grid of one or two parameters.

    Everything is computed in float64. The same key gives the same numbers whatever the tiles and
    shards.

    **Main arguments:**

    - `model`: a network; measures say which kinds they take.
    - `axes`: one `Axis` or two.
    - `measures`: `CycleCounts`, `LargestExponent`, `GradientNorm`, ..., one or several; or
        functions of the network, `f(model)` or `f(model, key)`, that return a number or a
        dictionary of numbers.
    - `key`: `jax.random.key(seed)`, folded by the pixel; may be left out where nothing is random.

    **Other arguments:**

    - `checkpoint`: a folder. Every tile is written there when it is finished; the same call again
        goes on with the tiles that are missing.
    - `tile`: side of a tile in pixels (its square along a single axis).
    - `shard`: `(i, n)`: measure every n-th tile from the i-th on, i from 0; processes that share
        a checkpoint folder split a scan so. `"array"`: the task's number in a Slurm job array.
    - `max_seconds`: time limit; what is done by then is kept.
    - `throw`: raise where nothing finite was measured, instead of saying so in `result`.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `ParameterScan`, with NaN where tiles are not done; tiles that other shards have
    finished are in it. Ctrl-C returns what was done, with `result == RESULTS.interrupted`.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where nothing finite came out.
    """
    plane = Plane(_checked_model(model), _checked_axes(axes), _optional_key(key))
    check_memory("axes", plane.shape, _PIXEL_BYTES * math.prod(plane.shape))
    chosen = _checked_measures(measures, plane)
    side = checked_whole("tile", tile, 1)
    part = _checked_shard(shard)
    check_kind("progress", progress, AbstractProgress, "NoProgress() or ProgressBar()")
    deadline = deadline_of(max_seconds)
    outputs = _all_outputs(chosen, plane)
    columns = sum(map(width_of, outputs.values()))
    check_memory("measures", columns, 8 * columns * math.prod(plane.shape))
    folder = None
    if checkpoint is not None:
        folder = TileFolder(checkpoint, _settings(plane, chosen, side))
    run = _Run(plane, chosen, outputs, side, folder)
    result = run.measure(part, progress, deadline)
    scan = run.collect(result)
    if throw and scan.result is RESULTS.not_finite:
        raise RuntimeError("scan_parameters: nothing finite was measured at any pixel")
    return scan


class _Run:
    """One call: the tiles, what is done, and the time."""

    def __init__(self, plane: Plane, measures, outputs, side: int, folder):
        self.plane, self.measures, self.outputs, self.folder = plane, measures, outputs, folder
        self.tiles = plane.tiles(side)
        self.width = sum(map(width_of, outputs.values()))
        self.numbers = np.full((plane.num_pixels, self.width), np.nan)
        self.done = np.zeros(plane.num_pixels, bool)
        self.begun = time.perf_counter()
        self.measured = 0
        self.trouble: list[str] = []

    def measure(
        self, shard: tuple[int, int], progress: AbstractProgress | None, deadline: float | None
    ) -> RESULTS:
        """Measure the tiles of the shard that are missing; on Ctrl-C or at the limit stop."""
        own = range(shard[0], len(self.tiles), shard[1])
        with job(progress, "scan", deadline) as work:
            programs = [measure.start(self.plane) for measure in self.measures]
            for place, number in enumerate(own):
                if not self._load(number):
                    self._measure_tile(number, programs, work, place, len(own))
                work.update((place + 1) / len(own), f"{self.measured} tiles measured")
        return work.result

    def _load(self, number: int) -> bool:
        """Take a finished tile from the folder, if it is there."""
        pixels = self.tiles[number]
        found = None if self.folder is None else self.folder.read(number, pixels, self.width)
        if found is not None:
            self.numbers[pixels], self.done[pixels] = found, True
        return found is not None

    def _measure_tile(self, number: int, programs, work: Job, place: int, count: int) -> None:
        pixels, columns = self.plane.pixels(self.tiles[number]), {}
        for index, program in enumerate(programs):

            def tick(share: float, index=index) -> None:
                work.check()
                within = (index + share) / len(programs)
                work.update((place + within) / count, f"{self.measured} tiles measured")

            tick(0.0)
            columns |= program(pixels, tick)
        rows = len(pixels.number)
        found = np.concatenate(
            [np.asarray(columns[name], float).reshape(rows, -1) for name in self.outputs], axis=1
        )
        if self.folder is not None:
            write = functools.partial(self.folder.write, number, pixels.number, found)
            self.trouble += note_unless_written("tiles", write)
        self.numbers[pixels.number], self.done[pixels.number] = found, True
        self.measured += 1

    def collect(self, result: RESULTS) -> ParameterScan:
        """Put everything together, the tiles of other shards included."""
        for number, pixels in enumerate(self.tiles):
            if not self.done[pixels[0]]:
                self._load(number)
        ready = self.done.any()
        if result is RESULTS.successful and ready and not np.isfinite(self.numbers).any():
            result = RESULTS.not_finite
        axes = tuple(GridAxis(a.label, a.start, a.stop, a.num) for a in self.plane.axes)
        stats = {
            "seconds": time.perf_counter() - self.begun,
            "tiles": len(self.tiles),
            "tiles_measured": self.measured,
            "backend": jax.default_backend(),
        }
        scan = ParameterScan(self.numbers, self.done, axes, self.outputs, result, (), stats)
        notes = (*self.trouble[:1], *_notes(scan, len(self.tiles), self._missing()))
        return ParameterScan(self.numbers, self.done, axes, self.outputs, result, notes, stats)

    def _missing(self) -> int:
        return sum(not self.done[pixels[0]] for pixels in self.tiles)


def _notes(scan: ParameterScan, tiles: int, missing: int) -> Iterable[str]:
    if missing:
        yield f"{missing} of {tiles} tiles are missing: call again, or wait for the other shards"
    for name in scan.outputs:
        array = scan[name].reshape(len(scan.done), -1)[scan.done]
        with quiet_floats():
            bad = np.count_nonzero(~np.isfinite(array).all(axis=1))
        if bad:
            yield f"{name}: not finite at {bad} of {len(array)} pixels"
    if "coverage" in scan.outputs:
        partial = np.count_nonzero(scan["coverage"] == COVERAGE.partial)
        if partial:
            yield f"cycle counts may be incomplete at {partial} pixels (coverage partial)"


def _settings(plane: Plane, measures: Sequence[AbstractMeasure], side: int) -> dict[str, Any]:
    """Return what makes two scans the same, as JSON."""
    data = None if plane.key is None else np.asarray(jax.random.key_data(plane.key)).tolist()
    return {
        "model": digest_of(plane.model),
        "axes": [[a.label, a.start, a.stop, a.num] for a in plane.axes],
        "measures": [measure.facts() for measure in measures],
        "tile": side,
        "key": data,
    }


def _checked_model(model: Any) -> Any:
    if not isinstance(model, AbstractDynamics):
        raise ValueError(f"model: expected a network, got {type(model).__name__}")
    return in_float64(model)


def _checked_axes(axes: Axis | Sequence[Axis]) -> tuple[Axis, ...]:
    chosen = (axes,) if isinstance(axes, Axis) else tuple(axes)
    if len(chosen) not in (1, 2) or not all(isinstance(axis, Axis) for axis in chosen):
        raise ValueError(f"axes: expected one Axis or two, got {axes!r}")
    if len({axis.label for axis in chosen}) < len(chosen):
        raise ValueError(f"axes: both are {chosen[0].label}")
    return chosen


def _optional_key(key: Any):
    return None if key is None else checked_key(key)


def _checked_measures(measures: Any, plane: Plane) -> list[AbstractMeasure]:
    listed = measures if isinstance(measures, Sequence) else [measures]
    chosen = [as_measure(measure) for measure in listed]
    if not chosen:
        raise ValueError("measures: expected at least one, such as CycleCounts([1, 2])")
    plane.at([axis.start for axis in plane.axes])
    return chosen


def _all_outputs(measures: list[AbstractMeasure], plane: Plane) -> dict[str, tuple[Dimension, ...]]:
    outputs: dict[str, tuple[Dimension, ...]] = {}
    for measure in measures:
        for name, dimensions in measure.outputs(plane.model).items():
            if name in outputs:
                raise ValueError(f"measures: two of them measure {name!r}")
            outputs[name] = dimensions
    return outputs


def _checked_shard(shard: Any) -> tuple[int, int]:
    """Return (i, n), from the job array where that is asked for."""
    if shard is None:
        return 0, 1
    if isinstance(shard, str) and shard == "array":
        if not all(os.environ.get(name, "").isdigit() for name in _ARRAY):
            raise ValueError(
                f"shard: expected a Slurm job array, but {', '.join(_ARRAY)} are unset"
            )
        task, least, count = (int(os.environ[name]) for name in _ARRAY)
        step = os.environ.get("SLURM_ARRAY_TASK_STEP", "1")
        shard = ((task - least) // max(int(step) if step.isdigit() else 1, 1), count)
    pair = tuple(shard) if isinstance(shard, tuple | list) else ()
    if len(pair) != 2 or not all(map(is_whole, pair)) or not 0 <= pair[0] < pair[1]:
        raise ValueError(f"shard: expected (i, n) with 0 <= i < n, or 'array', got {shard!r}")
    return int(pair[0]), int(pair[1])
