"""What a worker does: analyze networks one after the other, and write each result at once."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax.random as jr

from .._files import MAX_BYTES, one_line, os_error_text, read_bytes, write_bytes
from .._json import parse_json
from .._parcels import Shared
from .._progress import NoProgress
from .._results import RESULTS
from .._saved import AbstractSaved
from .._temporary import clear, clear_again
from ._networks import Network
from ._record import ERROR, RESERVED, Record, record_of

ROWS, RESULT_FILES = "rows", "results"


class Store:
    """Rows and results of a census, in memory or in a folder.

    A network is done once its row is there; the result's file is written before.

    **Raises:** `CannotWrite` where the folder does not take them.
    """

    def __init__(self, folder: str | None, job: str = ""):
        self.folder = None if folder is None else pathlib.Path(folder)
        self.job = job
        self._rows: dict[int, Record] = {}
        self._found: dict[int, Any] = {}

    def begin(self) -> None:
        """Make the folders, and delete what writers left there that are gone."""
        if self.folder is not None:
            for place in (self.folder / ROWS, self.folder / RESULT_FILES):
                place.mkdir(exist_ok=True)
                clear(place)

    def end(self) -> None:
        """Delete what writers left there that have died since the beginning."""
        if self.folder is not None:
            for place in (self.folder / ROWS, self.folder / RESULT_FILES):
                clear_again(place)

    def __reduce__(self):
        """What workers get: where things are, not what was read of them."""
        return Store, (self.folder and str(self.folder), self.job)

    def row(self, number: int) -> Record | None:
        """Return a network's row; None where there is none that can be read."""
        if self.folder is None or number in self._rows:
            return self._rows.get(number)
        path = self._row_path(number)
        if not path.exists():
            return None
        try:
            found = parse_json(read_bytes(path), MAX_BYTES)
        except (OSError, ValueError):
            return None  # analyzed again, and replaced
        if not isinstance(found, dict) or found.get("census") != self.job:
            return None
        found = found.get("row")
        if not isinstance(found, dict):
            return None
        if ERROR not in found:  # what failed may be analyzed again
            self._rows[number] = found
        return found

    def is_done(self, number: int) -> bool:
        """Whether a network was analyzed, without trouble."""
        row = self.row(number)
        return row is not None and ERROR not in row

    def put(self, number: int, row: Record, found: Any) -> None:
        """Keep what was found of a network."""
        if self.folder is None:
            self._rows[number] = row
            self._found[number] = found if isinstance(found, AbstractSaved) else None
            return
        try:
            if isinstance(found, AbstractSaved):
                found.save(self.result_path(number))
            text = json.dumps({"census": self.job, "row": row}, indent=0)
            write_bytes(self._row_path(number), text.encode())
        except OSError as error:
            raise CannotWrite(f"out: {os_error_text(error)}") from error

    def found(self, number: int) -> Any:
        """Return what was kept in memory of a network, or None."""
        return self._found.get(number)

    def result_path(self, number: int) -> pathlib.Path:
        """Return where a network's result is."""
        assert self.folder is not None
        return self.folder / RESULT_FILES / f"{number:06d}.npz"

    def _row_path(self, number: int) -> pathlib.Path:
        assert self.folder is not None
        return self.folder / ROWS / f"{number:06d}.json"


class CannotWrite(OSError):
    """The folder of a census does not take its files."""


class Unfinished(Exception):
    """The time, or Ctrl-C, ended the analysis of a network, which is not kept."""


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """What is done to every network: a function, its arguments, and its key, or None."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    accepts: frozenset[str]
    key: Any = None

    def of(self, number: int, network: Network, deadline: float | None) -> tuple[Record, Any]:
        """Return the row and the result of a network; trouble is a row, too.

        **Raises:** `Unfinished`; `KeyboardInterrupt`.
        """
        begun, found = time.perf_counter(), None
        row: Record = {"number": number, "network": network.name, **network.labels}
        try:
            found = self.function(network.get(), **self._given(number, deadline))
            record = record_of(found)
            if taken := (RESERVED | network.labels.keys()) & record.keys():
                raise ValueError(f"analysis: {min(taken)}: the table has such a column already")
        except (Exception, SystemExit) as error:  # any: a network's trouble ends no census
            if deadline is not None and time.perf_counter() > deadline:
                raise Unfinished from error
            record = {ERROR: f"{type(error).__name__}: {one_line(error)}"}
        self._check_whole(found, deadline)
        return row | record | {"seconds": round(time.perf_counter() - begun, 4)}, found

    def _given(self, number: int, deadline: float | None) -> dict[str, Any]:
        """Return all arguments, those among them that the function does not know left out."""
        offered: dict[str, Any] = {"progress": NoProgress(), "throw": False}
        if self.key is not None:
            offered["key"] = jr.fold_in(self.key, number)
        if deadline is not None:
            offered["max_seconds"] = max(deadline - time.perf_counter(), 1e-3)
        given = {name: one for name, one in offered.items() if name in self.accepts}
        return given | dict(self.arguments)

    def _check_whole(self, found: Any, deadline: float | None) -> None:
        result = getattr(found, "result", None)
        late = deadline is not None and time.perf_counter() > deadline
        if result is RESULTS.interrupted or late and result is RESULTS.budget_exhausted:
            raise Unfinished


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """Networks that one worker analyzes, in order, and where they are kept.

    **Fields:** `analysis`: an `Analysis`, shared by all tiles; `attempt`: how often it was tried
    before; `deadline`: of what runs in the process that asks for it.
    """

    analysis: Shared
    networks: tuple[tuple[int, Network], ...]
    store: Store
    attempt: int = 0
    deadline: float | None = None

    def __call__(self) -> tuple[dict[int, float], set[int]]:
        """Analyze what is not done; return seconds by number, and numbers that others did."""
        analysis: Analysis = self.analysis.value
        done: dict[int, float] = {}
        others: set[int] = set()
        for number, network in self.networks:
            if self.store.is_done(number):
                others.add(number)
                continue
            begun = time.perf_counter()
            try:
                row, found = analysis.of(number, network, self.deadline)
            except Unfinished:
                break
            if self.store.is_done(number):
                others.add(number)
                if ERROR in row:
                    continue
            self.store.put(number, row, found)
            done[number] = time.perf_counter() - begun
        return done, others
