"""What files hold, by their suffix: arrays, settings, and what was skipped."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import _files
from .._arguments import checked_whole
from .._decoded import parse_npy
from .._json import parse_json
from ._bson import read_bson
from ._hdf5 import is_hdf5, read_hdf5
from ._mat import read_mat
from ._mat_native import split_header
from ._torch_zip import read_torch

FOLDER = ("config.json", "model.safetensors")
"""Files of a pretrained model."""
UNSUPPORTED = {".pkl": "Python pickle (never read: it can execute code)"}
_MAX_CONFIG = 1 << 20
"""Bytes; a person writes it."""


@dataclasses.dataclass(frozen=True)
class Content:
    """What a file holds: the native header ({} if foreign), arrays, settings, what was skipped."""

    header: dict
    arrays: dict[str, np.ndarray]
    settings: dict[str, object] = dataclasses.field(default_factory=dict)
    ignored: dict[str, str] = dataclasses.field(default_factory=dict)


def _read_native(path: Path, max_bytes: int) -> Content:
    header, arrays = _files.read_arrays(path, max_bytes)
    beside = path.suffix.lower() == ".safetensors" and not header
    return Content(header, arrays, _config_beside(path) if beside else {})


def _read_npy(path: Path, max_bytes: int) -> Content:
    return Content({}, {"array": parse_npy("array", _files.read_bytes(path, max_bytes))})


def _read_matlab(path: Path, max_bytes: int) -> Content:
    arrays, ignored = read_matlab(_files.read_bytes(path, max_bytes), max_bytes)
    header, arrays = split_header(arrays, max_bytes)
    return Content(header, arrays, {}, ignored)


def read_matlab(data: bytes, max_bytes: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (arrays, ignored) of a MATLAB file, of version 5 or 7.3."""
    if is_hdf5(data):
        return read_hdf5(data, max_bytes, columns=True)
    return read_mat(data, max_bytes)


def _read_hdf5(path: Path, max_bytes: int) -> Content:
    data, julia = _files.read_bytes(path, max_bytes), path.suffix.lower() == ".jld2"
    arrays, ignored = read_hdf5(data, max_bytes, columns=julia)
    return Content({}, arrays, _config_beside(path) if julia else {}, ignored)


def _read_torch(path: Path, max_bytes: int) -> Content:
    return Content({}, *read_torch(_files.read_bytes(path, max_bytes), max_bytes))


def _read_julia(path: Path, max_bytes: int) -> Content:
    return Content({}, *read_bson(_files.read_bytes(path, max_bytes), max_bytes))


def _read_folder(path: Path, max_bytes: int) -> Content:
    config, network = (path / name for name in FOLDER)
    if not (config.is_file() and network.is_file()):
        raise ValueError(f"{path}: expected a file, got a folder without {' and '.join(FOLDER)}")
    header, arrays = _files.read_arrays(network, max_bytes)
    return Content(header, arrays, {} if header else _config(config))


def _config_beside(path: Path) -> dict[str, object]:
    """Return the settings in a .json of the same name, {} if there is none."""
    beside = path.with_suffix(".json")
    return _config(beside) if beside.is_file() else {}


def _config(path: Path) -> dict[str, object]:
    """Return the settings that a configuration lists: those that are numbers and texts."""
    try:
        table = parse_json(_files.read_bytes(path, _MAX_CONFIG), _files.MAX_BYTES)
    except ValueError as error:
        raise ValueError(f"{path.name}: {_files.one_line(error)}") from error
    if not isinstance(table, dict):
        raise ValueError(f"{path.name}: expected a table, got a {type(table).__name__}")
    return {name: value for name, value in table.items() if not isinstance(value, dict | list)}


READERS: dict[str, Callable[[Path, int], Content]] = {
    ".npz": _read_native,
    ".safetensors": _read_native,
    ".mat": _read_matlab,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bson": _read_julia,
    ".jld2": _read_hdf5,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".npy": _read_npy,
}


def read_content(path: Path, max_bytes: int) -> Content:
    """Read any known file; every error but a missing file is a `ValueError` naming the path."""
    checked_whole("max_bytes", max_bytes, 1)
    if path.is_dir():
        return _read_folder(path, max_bytes)
    _files.existing_file(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = f"known are {', '.join(READERS)}"
        if path.suffix.lower() in UNSUPPORTED:
            what = UNSUPPORTED[path.suffix.lower()]
            raise ValueError(f"{path}: {what} files are not supported by this version; {known}")
        raise ValueError(f"{path}: unknown kind of file {path.suffix!r}; {known}")
    return reader(path, max_bytes)


def size_of(path: str | os.PathLike) -> int:
    """Return the bytes of a file, or of those of a pretrained model."""
    path = Path(path)
    files = [path / name for name in FOLDER] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def located(path: Path, error: ValueError) -> ValueError:
    """Return the error on one line that starts with the path."""
    text = _files.one_line(error)
    return ValueError(text if text.startswith(f"{path}: ") else f"{path}: {text}")
