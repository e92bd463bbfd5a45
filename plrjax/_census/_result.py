"""The table of a census, and the results behind its rows."""

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from .._arguments import require
from .._files import write_bytes
from .._io import load
from .._job_folder import fingerprint, read_settings
from .._results import RESULTS
from .._tables import AbstractTabular, Table, plural
from ._record import ERROR, Record
from ._work import Store

_MAX_ROWS = 40
"""Networks that a printed table shows; of more it shows the first half and the last."""
_MAX_NAME = 40
"""Letters of a name that are shown: the last ones tell networks of one folder apart."""
TABLE_SUFFIXES = (".csv", ".parquet")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Census(AbstractTabular, Sequence):
    """One row for each network that was analyzed; prints as one table.

    Indexing gives the result of one network, read from its file where there is one; None of a
    network that failed, or is not done, and of functions that return numbers.

    **Fields:** `rows`: columns by name, in the order of the networks: "number", "network", labels,
    what was found (of cycles "cycles_1", "stable_1", ..., "coverage"; of a spectrum "exponent_1",
    "error_1", ...), "seconds", and "error" where it failed; `num_networks`: how many there are;
    `result`: how the census ended; `seconds`: that this call took; `notes`: facts to know, in
    words.
    """

    rows: tuple[Record, ...]
    num_networks: int
    store: Store
    result: RESULTS = RESULTS.successful
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "Census":
        """Return what the folder of a census holds by now.

        **Raises:** `ValueError` where it is the folder of none.
        """
        place = pathlib.Path(os.path.abspath(folder))
        settings = read_settings(place, "folder", "census")
        try:
            count = len(settings["networks"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"folder: {place / 'census.json'} is damaged") from error
        return collected(Store(str(place), fingerprint(settings)), count)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns; those that only some rows have at their places."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        last = [name for name in ("result", "seconds", ERROR) if name in names]
        return (*(name for name in names if name not in last), *last)

    @property
    def table(self):
        """All rows as a pandas DataFrame (extra `sweep`)."""
        pandas = require("pandas", "sweep", "table")
        return pandas.DataFrame(list(self.rows), columns=list(self.columns))

    @property
    def num_failed(self) -> int:
        """How many networks could not be analyzed."""
        return sum(ERROR in row for row in self.rows)

    def save(self, path: str | os.PathLike) -> None:
        """Write the table to `.csv` or `.parquet` (extra `sweep`), atomically."""
        suffix = pathlib.Path(path).suffix
        if suffix == ".parquet":
            require("pyarrow", "sweep", "save")
            write_bytes(path, _of_one_type(self.table).to_parquet(index=False))
            return
        if suffix not in TABLE_SUFFIXES:
            raise ValueError(f"{path}: expected a name ending in {', '.join(TABLE_SUFFIXES)}")
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(path, text.getvalue().encode(errors="backslashreplace"))

    def __len__(self) -> int:
        return self.num_networks

    def __getitem__(self, index) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if self.store.folder is None:
            return self.store.found(place)
        path = self.store.result_path(place)
        return load(path) if self.store.is_done(place) and path.exists() else None

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def _table(self) -> Table:
        count = plural(self.num_networks, "network")
        done = "" if len(self.rows) == self.num_networks else f", {len(self.rows)} analyzed"
        failed = f", {self.num_failed} failed" if self.num_failed else ""
        head, cells = _shown(self.rows, self.columns)
        half = _MAX_ROWS // 2
        if len(cells) > _MAX_ROWS:
            cells = [*cells[:half], ("...",) + ("",) * (len(head) - 1), *cells[-half:]]
        none = bool(self.rows) and self.num_failed == len(self.rows)
        first = [f"the first one's error: {_reason(self.rows[0])}"] if none else []
        below = [*first, *self.notes, *self.result.lines()]
        left = {place for place, name in enumerate(head) if name in ("network", ERROR)}
        return Table([f"{count}{done}{failed}, {self.seconds:.1f} s"], head, cells, below, left)


def _of_one_type(table: Any) -> Any:
    """Return a table whose columns with texts hold texts only, as files of columns need it."""
    table = table.copy()
    for name in table.columns:
        column = table[name]
        if any(isinstance(value, str) for value in column):
            text = lambda value: value if value is None or value != value else str(value)
            table[name] = column.map(text)
    return table


def collected(store: Store, count: int, own: range | None = None, **more: Any) -> Census:
    """Return the census of all rows that are there, or of those of one share."""
    asked = range(count) if own is None else own
    rows = tuple(row for number in asked if (row := store.row(number)) is not None)
    notes = [] if own is None or len(own) == count else [f"a share of {len(own)} networks"]
    if missing := len(asked) - len(rows):
        notes = [f"{missing} of {plural(count, 'network')} not done: call again with the same out"]
    return Census(rows, count, store, notes=(*notes, *more.pop("notes", ())), **more)


def _shown(rows: Sequence[Record], columns: Sequence[str]) -> tuple[list[str], list[tuple]]:
    """Return the columns for people, and their cells: exponents with errors, stable ones as one."""
    hidden = {"number", "seconds", "index", "run"}
    if all(row.get("result", "successful") == "successful" for row in rows):
        hidden.add("result")
    names = [n for n in columns if not n.startswith(("stable_", "error_")) and n not in hidden]
    place = _common_folder([str(row["network"]) for row in rows])
    cells = [tuple(_cell(row, name, place) for name in names) for row in rows]
    return [name.replace("cycles_", "k=").replace("_", " ") for name in names], cells


def _common_folder(names: Sequence[str]) -> str:
    """Return the folder that all names begin with, which need not be shown."""
    start = os.path.commonprefix([name.rpartition("/")[0] + "/" for name in names])
    return start[: start.rfind("/") + 1]


def _cell(row: Record, name: str, place: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, float):
        error = row.get(name.replace("exponent_", "error_")) if "exponent_" in name else None
        return f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.1g}"
    if name == "network":
        text = str(value).removeprefix(place)
        return text if len(text) <= _MAX_NAME else "..." + text[3 - _MAX_NAME :]
    text = str(value).replace("_", " ") if name != ERROR else _reason(row)
    return text if len(text) <= 2 * _MAX_NAME else text[: 2 * _MAX_NAME - 3] + "..."


def _reason(row: Record) -> str:
    """Return what went wrong with a network, without its name, which stands beside."""
    text = str(row[ERROR]).removeprefix("ValueError: ")
    name = os.path.basename(str(row["network"]).partition("[")[0])
    before, colon, after = text.partition(f"{name}: ")
    return after if colon and not before.rstrip("/").count(" ") else text
