"""The table of a training run: one row for each logged step, as comma-separated values."""

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._files import read_bytes, write_bytes

FIXED = ("step", "loss", "gradient_norm", "alpha")
"""Columns of every run; those of its probes come behind."""


_MAX_TABLE = 1 << 26
"""Bytes; some 500,000 rows, and of short cells twenty times as much in memory."""


class RunTable:
    """Rows of texts by step, so that rows read back are written again as they were.

    **Arguments:** `columns`: names, the first of them "step".
    """

    def __init__(self, columns: Sequence[str]):
        self.columns = tuple(columns)
        self.rows: dict[int, tuple[str, ...]] = {}

    def put(self, step: int, cells: dict[str, float]) -> None:
        """Set the row of a step; columns that were not measured stay empty."""
        texts = (repr(float(cells[name])) if name in cells else "" for name in self.columns[1:])
        self.rows[step] = (str(step), *texts)

    def cut(self, last: int) -> None:
        """Drop the rows of later steps."""
        self.rows = {step: row for step, row in self.rows.items() if step <= last}

    def write(self, path: str | os.PathLike) -> None:
        """Replace the file as a whole."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows[step] for step in sorted(self.rows))
        write_bytes(path, text.getvalue().encode())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the columns: int64 steps, float64 else, NaN where nothing was measured."""
        rows = [self.rows[step] for step in sorted(self.rows)]
        columns = list(zip(*rows)) or [()] * len(self.columns)
        numbers = {
            name: np.array([float(text or "nan") for text in column], np.float64)
            for name, column in zip(self.columns, columns)
        }
        return numbers | {"step": np.array([int(row[0]) for row in rows], np.int64)}


def read_table(path: str | os.PathLike) -> RunTable:
    """Return the table of a file.

    **Raises:** `ValueError` naming the path, the line, and what is wrong there.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the run has logged nothing yet")
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(path, _MAX_TABLE).decode()), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a table of comma-separated values ({error})") from error
    columns = rows[0] if rows else []
    if tuple(columns[: len(FIXED)]) != FIXED or len(set(columns)) < len(columns):
        raise ValueError(f"{path}: line 1: expected the columns {', '.join(FIXED)}, got {columns}")
    table, last = RunTable(columns), -1
    for line, row in enumerate(rows[1:], start=2):
        step = _checked_row(f"{path}: line {line}", row, len(columns))
        if step <= last:
            raise ValueError(f"{path}: line {line}: step {step} after step {last}")
        table.rows[step], last = tuple(row), step
    return table


def _checked_row(place: str, row: list[str], width: int) -> int:
    """Return the step of a row of numbers and empty cells."""
    if len(row) != width:
        raise ValueError(f"{place}: expected {width} cells, got {len(row)}")
    if not (row[0].isascii() and row[0].isdigit() and len(row[0]) <= 18):
        raise ValueError(f"{place}: expected a step, got {row[0][:40]!r}")
    for text in row[1:]:
        try:
            math.isfinite(float(text or "nan"))
        except ValueError as error:
            raise ValueError(f"{place}: expected a number, got {text[:40]!r}") from error
    return int(row[0])
