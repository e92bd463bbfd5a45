"""The one user function: any measure over a grid of parameters, in tiles that can be resumed."""

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import PRNGKeyArray

from .._arguments import check_kind, checked_key, checked_whole
from .._dynamics import AbstractDynamics
from .._executors import check_executor, checked_shard
from .._host import on_host
from .._job import deadline_of
from .._memory import check_memory
from .._parcels import check_sendable
from .._progress import AbstractProgress
from .._results import RESULTS
from .._temporary import temporary_folder
from ._axis import Axis, in_float64
from ._measure import AbstractMeasure, Dimension, as_measure
from ._measuring import Run, settings_of
from ._plane import Plane
from ._result import ParameterScan, width_of
from ._tiles import TileFolder

DEFAULT_TILE = 32
_PIXEL_BYTES = 64
"""Of a pixel without its measures: number, values, place in a tile, whether it is done."""


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
    executor: Any = None,
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
    - `executor`: a number of processes of this machine, each with its own device, or an executor of
        the `concurrent.futures` protocol whose workers must see `checkpoint`.
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
    part = checked_shard(shard)
    check_kind("progress", progress, AbstractProgress, "NoProgress() or ProgressBar()")
    deadline = deadline_of(max_seconds)
    outputs = _all_outputs(chosen, plane)
    columns = sum(map(width_of, outputs.values()))
    check_memory("measures", columns, 8 * columns * math.prod(plane.shape))
    check_executor(executor)
    for one in (*chosen, *plane.axes):
        check_sendable("measures" if one in chosen else "axes", one, executor)
    if checkpoint is None and executor is not None and not isinstance(executor, int):
        raise ValueError("checkpoint: expected a folder that all workers see, got None")
    with contextlib.ExitStack() as stack:
        if checkpoint is None and executor is not None:
            checkpoint = stack.enter_context(temporary_folder())
        folder = None
        if checkpoint is not None:
            folder = TileFolder(checkpoint, settings_of(plane, chosen, side))
        run = Run(plane, chosen, outputs, side, folder)
        scan = run.collect(run.measure(part, executor, progress, deadline))
    if throw and scan.result is RESULTS.not_finite:
        raise RuntimeError("scan_parameters: nothing finite was measured at any pixel")
    return scan


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
