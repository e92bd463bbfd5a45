"""Load time series: arrays and tables, T x N."""

import array
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .. import _files
from .._arguments import checked_whole
from .._decoded import parse_npy
from .._trials import checked_trials
from ._content import located, read_matlab
from ._hdf5 import read_hdf5

_TABLES = (".csv", ".tsv", ".txt", ".dat")
_HDF5 = (".h5", ".hdf5", ".jld2")
_MISSING = ("", "nan", "na", "n/a", "null", "none")
"""What tables write where a value is missing."""
_LONGEST_LINE = 1 << 20
"""Most characters of one line of a table."""


def load_series(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    standardize: bool = False,
    name: str | None = None,
    gaps: bool = False,
    mask: Any = None,
    max_bytes: int = _files.MAX_BYTES,
) -> Any:
    """Return the time series that a file holds, (time, variable), or a list of those of several.

    float32 stays float32; all else becomes float64. A single axis is one variable.

    **Arguments:**

    - `path`: `.npy`; `.npz`, MATLAB `.mat` or HDF5 (`.h5`, `.hdf5`, `.jld2`) with a single array,
        or several and a `name`; a table `.csv`, `.tsv`, `.txt` or `.dat`, with or without a line of
        names, separated by commas, semicolons, tabs or spaces (lines that begin with # are passed
        over). A list of paths is a list of trials.
    - `standardize`: subtract the mean of each variable and divide by its standard deviation, of all
        trials together.
    - `name`: which array.
    - `gaps`: take NaN, and empty entries of a table, for values that are missing (NaN).
    - `mask`: True where a value was observed, of the same shape or one per row, for a list of paths
        a list; all other values become NaN.
    - `max_bytes`: most bytes of the file, and of its numbers together in memory.

    **Raises:** `FileNotFoundError`; `ValueError` starting with the path for a file that is damaged,
    too large or of another kind; for entries that are no real, finite numbers, fewer than two time
    steps, more variables than time steps (transposed?), and constant variables; `ImportError`
    naming the extra that HDF5 needs.
    """
    several = not isinstance(path, str | os.PathLike)
    paths = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]
    if not paths:
        raise ValueError("path: expected at least one file, got none")
    trials = [_read_checked(one, name, gaps, max_bytes) for one in paths]
    if mask is not None:
        trials = _masked(trials, mask, several)
    if len({trial.shape[1] for trial in trials}) > 1:
        odd = next(row for row, x in enumerate(trials) if x.shape[1] != trials[0].shape[1])
        raise ValueError(
            f"{paths[odd]}: expected {trials[0].shape[1]} variables, as {paths[0]} has, got "
            f"{trials[odd].shape[1]}"
        )
    _refuse_constant(paths[0], np.concatenate(trials))
    if standardize:
        wide = np.concatenate(trials).astype(np.float64)
        mean, deviation = np.nanmean(wide, axis=0), np.nanstd(wide, axis=0)
        trials = [((x.astype(np.float64) - mean) / deviation).astype(x.dtype) for x in trials]
    return trials if several else trials[0]


def _read_checked(
    path: Path, name: str | None, gaps: bool, max_bytes: int
) -> Float[np.ndarray, "time variable"]:
    try:
        return _checked(_read(path, name, gaps, max_bytes), gaps)
    except ValueError as error:
        raise located(path, error) from error


def _masked(trials: list[np.ndarray], mask: Any, several: bool) -> list[np.ndarray]:
    """Return the trials with NaN where the mask is False."""
    found = checked_trials("mask", trials, mask if several else [mask])
    torn = np.where(found.seen, np.concatenate(trials), np.nan).astype(trials[0].dtype)
    return np.split(torn, found.ends[:-1])


def _refuse_constant(path: Path, values: np.ndarray) -> None:
    """Refuse variables that never change, or are never observed."""
    seen = ~np.isnan(values)
    least = np.where(seen, values, np.inf).min(axis=0)
    flat = np.flatnonzero(least >= np.where(seen, values, -np.inf).max(axis=0))
    if len(flat):
        columns = ", ".join(f"[:, {column}]" for column in flat[:10])
        kind = "is" if len(flat) == 1 else "are"
        raise ValueError(f"{path}: {columns} {kind} constant; leave out")


def _read(path: Path, name: str | None, gaps: bool, max_bytes: int) -> np.ndarray:
    """Return the array of a file, by its suffix."""
    checked_whole("max_bytes", max_bytes, 1)
    _files.existing_file(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        header, arrays = _files.read_arrays(path, max_bytes)
        if header:
            raise ValueError(f"holds a {header.get('type')!r} of plrjax, not a series")
        return _chosen(arrays, {}, name)
    if suffix == ".mat":
        return _chosen(*read_matlab(_files.read_bytes(path, max_bytes), max_bytes), name)
    if suffix in _HDF5:
        data = _files.read_bytes(path, max_bytes)
        return _chosen(*read_hdf5(data, max_bytes, columns=suffix == ".jld2"), name)
    if suffix != ".npy" and suffix not in _TABLES:
        known = ", ".join((".npy", ".npz", ".mat", *_HDF5, *_TABLES))
        raise ValueError(f"unknown kind of series {path.suffix!r}; known are {known}")
    if name is not None:
        raise ValueError(f"name: a {suffix} file holds a single array, got {name!r}")
    if suffix == ".npy":
        return parse_npy("array", _files.read_bytes(path, max_bytes))
    return _read_table(path, gaps, max_bytes)


def _chosen(arrays: dict[str, np.ndarray], ignored: dict[str, str], name: str | None) -> np.ndarray:
    """Return the array of that name, or the only one."""
    listed = ", ".join(f"{key} {value.shape}" for key, value in list(arrays.items())[:20]) or "none"
    if name in ignored:
        raise ValueError(f"name: {name!r} is {ignored[name]}")
    if name is not None and name not in arrays:
        raise ValueError(f"name: no array {name!r}; there are {listed}")
    if name is None and len(arrays) != 1:
        raise ValueError(f"name: needed to choose one array; there are {listed}")
    return arrays[next(iter(arrays)) if name is None else name]


def _checked(values: np.ndarray, gaps: bool) -> Float[np.ndarray, "time variable"]:
    """Return "time variable" in native float32 or float64, or say what is wrong."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"expected real numbers, got dtype {values.dtype}")
    kept = values.dtype.kind == "f" and values.dtype.itemsize == 4
    values = np.ascontiguousarray(values, np.float32 if kept else np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise ValueError(f"expected time x variables, got {values.ndim} axes, {values.shape}")
    steps, variables = values.shape
    if variables > steps:
        raise ValueError(
            f"expected time x variables, got {steps} x {variables}: fewer time steps than "
            f"variables; transposed?"
        )
    if steps < 2 or variables == 0:
        raise ValueError(f"expected at least two time steps of a variable, got {values.shape}")
    wrong = np.argwhere(np.isinf(values) if gaps else ~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise ValueError(
            f"[{row}, {column}] is {values[row, column]}, the first of {len(wrong)} values that "
            f"are not finite" + ("" if gaps else "; for missing ones, gaps=True")
        )
    return values


def _read_table(path: Path, gaps: bool, max_bytes: int) -> np.ndarray:
    """Return the numbers of a table."""
    if path.stat().st_size > max_bytes:
        raise ValueError(f"{path.stat().st_size} bytes exceed the limit {max_bytes=}")
    numbers, width, separator, first = array.array("d"), 0, None, 0
    for line, text in _lines(path):
        if not first:
            first, separator = line, _separator(text)
        fields = [field.strip(" \t\"'") for field in text.split(separator)]
        if width == 0 and line == first and not any(map(_is_number, filter(None, fields))):
            _check_names(fields, line)
            width = len(fields)
            continue
        if width and len(fields) != width:
            raise ValueError(f"line {line}: expected {width} values, got {len(fields)}")
        width = len(fields)
        numbers.extend(_numbers(fields, line, gaps))
        if numbers.itemsize * len(numbers) > max_bytes:
            raise ValueError(f"line {line}: the numbers exceed the limit {max_bytes=}")
    if not numbers:
        raise ValueError("no numbers in the table")
    return np.frombuffer(numbers, np.float64).reshape(-1, width)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of all lines that are not empty and no comments."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            number = 0
            while text := file.readline(_LONGEST_LINE):
                number += 1
                if len(text) == _LONGEST_LINE:
                    raise ValueError(f"line {number}: longer than {_LONGEST_LINE} characters")
                text = text.strip(" \r\n")
                if text.strip() and not text.lstrip().startswith("#"):
                    yield number, text
    except UnicodeDecodeError as error:
        raise ValueError(f"not a text in UTF-8 ({error.reason})") from error


def _separator(text: str) -> str | None:
    """Return what separates the values of a line; None stands for spaces."""
    return next((mark for mark in "\t;," if mark in text), None)


def _check_names(names: list[str], line: int) -> None:
    if "" in names:
        raise ValueError(
            f"line {line}: name {names.index('') + 1} of {len(names)} is empty; if this is a row "
            f"index, save the table without it"
        )


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _numbers(fields: list[str], line: int, gaps: bool) -> list[float]:
    """Return the numbers of one line, all of them finite, or NaN where gaps are allowed."""
    missing = [gaps and field.lower() in _MISSING for field in fields]
    found: list[Any] = [
        math.nan if gap else float(field) if _is_number(field) else None
        for field, gap in zip(fields, missing)
    ]
    for place, (field, value) in enumerate(zip(fields, found), start=1):
        if not missing[place - 1] and (value is None or not math.isfinite(value)):
            got = "empty" if not field else f"{field[:40]!r}, not a finite number"
            hint = "; write decimal points, not commas" if "," in field else ""
            raise ValueError(f"line {line}: value {place} of {len(fields)} is {got}{hint}")
    return found
