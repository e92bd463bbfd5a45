"""The tiles of one scan: measured one by one, kept, and put together."""

import dataclasses
import functools
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from .._digests import digest_of
from .._executors import Numbered, run_pieces
from .._files import note_unless_written
from .._job import Job, job
from .._numerics import quiet_floats
from .._parcels import Shared
from .._results import COVERAGE, RESULTS
from ._axis import Axis
from ._measure import AbstractMeasure, Program
from ._plane import Plane
from ._result import GridAxis, ParameterScan, width_of
from ._tiles import TileFolder


class Run:
    """One call: the tiles, what is done, and the time."""

    def __init__(self, plane: Plane, measures, outputs, side: int, folder):
        self.plane, self.measures, self.outputs, self.folder = plane, measures, outputs, folder
        self.tiles, self.side = plane.tiles(side), side
        self.width = sum(map(width_of, outputs.values()))
        self.numbers = np.full((plane.num_pixels, self.width), np.nan)
        self.done = np.zeros(plane.num_pixels, bool)
        self.begun = time.perf_counter()
        self.measured = 0
        self.trouble: list[str] = []

    def measure(
        self, shard: tuple[int, int], executor: Any, progress: Any, deadline: float | None
    ) -> RESULTS:
        """Measure the tiles of the shard that are missing; on Ctrl-C or at the limit stop."""
        own = range(shard[0], len(self.tiles), shard[1])
        with job(progress, "scan", deadline) as work:
            if executor is not None:
                run_pieces(executor, self._away(own), work)
                return work.result
            for place, number in enumerate(own):
                if not self.load(number):
                    self.measure_tile(number, work, place, len(own))
                work.update((place + 1) / len(own), f"{self.measured} tiles measured")
        return work.result

    def _away(self, own: range) -> Numbered:
        """Return the tiles of a share that are missing, for an executor."""
        assert self.folder is not None
        recipe = Recipe(
            self.plane.model, self.plane.axes, self.plane.key, tuple(self.measures), self.outputs,
            self.side, os.path.abspath(self.folder.folder), self.folder.scan,
        )  # fmt: skip
        shared = Shared(recipe)
        left = [number for number in own if not self.load(number)]
        piece = lambda number, attempt: _Tile(shared, number, attempt)
        return Numbered(left, len(own), "tile", piece, self._keep)

    def _keep(self, number: int, trouble: list[str]) -> None:
        """Read a tile that a worker measured."""
        self.trouble += trouble
        self.measured += self.load(number)

    @functools.cached_property
    def _programs(self) -> list[Program]:
        return [measure.start(self.plane) for measure in self.measures]

    def load(self, number: int) -> bool:
        """Take a finished tile from the folder, if it is there."""
        pixels = self.tiles[number]
        found = None if self.folder is None else self.folder.read(number, pixels, self.width)
        if found is not None:
            self.numbers[pixels], self.done[pixels] = found, True
        return found is not None

    def measure_tile(self, number: int, work: Job, place: int = 0, count: int = 1) -> None:
        """Measure a tile, and keep it."""
        pixels, columns = self.plane.pixels(self.tiles[number]), {}
        for index, program in enumerate(self._programs):

            def tick(share: float, index=index) -> None:
                work.check()
                within = (index + share) / len(self._programs)
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
                self.load(number)
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


def settings_of(plane: Plane, measures: Sequence[AbstractMeasure], side: int) -> dict[str, Any]:
    """Return what makes two scans the same, as JSON."""
    data = None if plane.key is None else np.asarray(jax.random.key_data(plane.key)).tolist()
    return {
        "model": digest_of(plane.model),
        "axes": [[a.label, a.start, a.stop, a.num] for a in plane.axes],
        "measures": [measure.facts() for measure in measures],
        "tile": side,
        "key": data,
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """What a worker needs to measure tiles of a scan.

    **Fields:** `folder`, `scan`: where tiles are kept, and the scan's fingerprint.
    """

    model: Any
    axes: tuple[Axis, ...]
    key: Any
    measures: tuple[AbstractMeasure, ...]
    outputs: Any
    side: int
    folder: str
    scan: str

    @functools.cached_property
    def run(self) -> Run:
        """The scan in this process: its programs are compiled once."""
        folder = TileFolder.of(self.folder, self.scan)
        plane = Plane(self.model, self.axes, self.key)
        return Run(plane, self.measures, self.outputs, self.side, folder)


@dataclasses.dataclass(frozen=True, eq=False)
class _Tile:
    """One tile, for a worker."""

    shared: Shared
    number: int
    attempt: int = 0

    def __call__(self) -> list[str]:
        """Measure the tile unless it is there; return what went wrong with its file."""
        run = self.shared.value.run
        run.trouble = []
        if not run.load(self.number):
            run.measure_tile(self.number, Job())
        return run.trouble
