"""Load and save models: native files, and the files of other programs."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import _files
from .._arguments import checked_whole
from .._dynamics import AbstractDynamics
from .._host import on_host
from .._lyapunov import LyapunovSpectrum
from .._saved import AbstractSaved
from ..attractors import AttractorSet
from ..bifurcations import Bifurcations
from ..cycles import CycleSet
from ..models import (
    KINDS,
    STACKED,
    Stacked,
    arrays_of,
    from_arrays,
    kind_named,
    kind_of,
    layer_kinds,
    split_layers,
)
from ..scans import ParameterScan
from . import _foreign
from ._mat import read_mat
from ._reading import Reading, read_fields
from ._torch_zip import read_torch

UNSUPPORTED = {
    ".bson": "Julia BSON",
    ".jld2": "Julia JLD2",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".pkl": "Python pickle (never read: it can execute code)",
}


@dataclasses.dataclass(frozen=True)
class Content:
    """What a file holds: the native header ({} if foreign), arrays, settings, what was skipped."""

    header: dict
    arrays: dict[str, np.ndarray]
    settings: dict[str, object]
    ignored: dict[str, str]


def _read_native(path: Path, max_bytes: int) -> Content:
    header, arrays = _files.read_arrays(path, max_bytes)
    return Content(header, arrays, {}, {})


def _read_matlab(path: Path, max_bytes: int) -> Content:
    arrays, ignored = read_mat(_files.read_bytes(path, max_bytes), max_bytes)
    return Content({}, arrays, {}, ignored)


def _read_torch(path: Path, max_bytes: int) -> Content:
    arrays, settings = read_torch(_files.read_bytes(path, max_bytes), max_bytes)
    return Content({}, arrays, settings, {})


READERS: dict[str, Callable[[Path, int], Content]] = {
    ".npz": _read_native,
    ".safetensors": _read_native,
    ".mat": _read_matlab,
    ".pt": _read_torch,
    ".pth": _read_torch,
}


_readers: dict[str, Callable[[Path], AbstractDynamics]] = {}
"""Readers of users."""


def register_reader(suffix: str, reader: Callable[[Path], AbstractDynamics]) -> None:
    """Let `load` and the command line read files of another kind, told by their suffix.

    **Arguments:** `suffix`, such as ".h5"; `reader`: a function of the path that returns the model,
    and raises `ValueError` for a file that it cannot read.

    **Raises:** `ValueError` naming the argument, and for a suffix that is read already.
    """
    if not (isinstance(suffix, str) and suffix.startswith(".") and suffix == suffix.lower()):
        raise ValueError(f"suffix: expected lower case such as '.h5', got {suffix!r}")
    if suffix in READERS:
        raise ValueError(f"suffix: {suffix} files are read already")
    if not callable(reader):
        raise ValueError(f"reader: expected a function of the path, got {reader!r}")
    _readers[suffix] = reader


def _model(header: dict, arrays: dict, kind: str | None, num_relu, index) -> AbstractDynamics:
    """Return the model of a native file."""
    stored = header.get("kind")
    if kind not in (None, stored):
        raise ValueError(f"kind: the file says {stored!r}, got {kind!r}")
    if stored == STACKED:
        return _stack(header, arrays, num_relu, index)
    shapes = kind_named(str(stored)).shapes
    if num_relu is not None and not _agrees(arrays.get("num_relu"), num_relu):
        raise ValueError(f"num_relu: the file says {arrays.get('num_relu')}, got {num_relu}")
    return from_arrays(str(stored), **_foreign.select_snapshot(arrays, shapes, index))


def _stack(header: dict, arrays: dict, num_relu, index) -> Stacked:
    """Return the stack of a native file, whose header lists the kinds of its layers."""
    if num_relu is not None:
        raise ValueError(f"num_relu: the file holds a stack, which says it itself; got {num_relu}")
    chosen = {}
    for number, (kind, fields) in enumerate(split_layers(header.get("layers"), arrays)):
        fields = _foreign.select_snapshot(fields, KINDS[kind].shapes, index)
        chosen |= {f"{number}.{name}": array for name, array in fields.items()}
    return from_arrays(STACKED, layers=header["layers"], **chosen)


def _agrees(stored, num_relu: int) -> bool:
    """Return whether the number in the file is the one the caller gave."""
    return np.array_equal(np.ravel(stored), [num_relu])


def _result(what: str, kind: type[AbstractSaved]) -> Callable:
    """Return the loader of one kind of result, which is called `what` in messages."""

    def loaded(header: dict, arrays: dict, kind_given, num_relu, index) -> AbstractSaved:
        given = (("kind", kind_given), ("num_relu", num_relu), ("index", index))
        for name, value in given:
            if value is not None:
                raise ValueError(f"{name}: the file holds {what}, not a network; got {value!r}")
        return kind.from_parts(header, arrays, "file")

    return loaded


LOADERS: dict[str, Callable] = {
    "model": _model,
    "cycles": _result("cycles", CycleSet),
    "spectrum": _result("a spectrum", LyapunovSpectrum),
    "scan": _result("a scan", ParameterScan),
    "bifurcations": _result("bifurcations", Bifurcations),
    "attractors": _result("attractors", AttractorSet),
}
"""Loader of each `type` of native file: called as loader(header, arrays, kind, num_relu, index)."""


def read_content(path: Path, max_bytes: int) -> Content:
    """Read any known file; every error but a missing file is a `ValueError` naming the path."""
    checked_whole("max_bytes", max_bytes, 1)
    _files.existing_file(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = f"known are {', '.join(READERS)}"
        if path.suffix.lower() in UNSUPPORTED:
            what = UNSUPPORTED[path.suffix.lower()]
            raise ValueError(f"{path}: {what} files are not supported by this version; {known}")
        raise ValueError(f"{path}: unknown kind of file {path.suffix!r}; {known}")
    return reader(path, max_bytes)


def located(path: Path, error: ValueError) -> ValueError:
    """Return the error on one line that starts with the path."""
    text = _files.one_line(error)
    return ValueError(text if text.startswith(f"{path}: ") else f"{path}: {text}")


def load(
    path: str | os.PathLike,
    *,
    kind: str | None = None,
    num_relu: int | None = None,
    index: int | np.integer | None = None,
    max_bytes: int = _files.MAX_BYTES,
) -> Any:
    """Return the model (or other result) that a file holds.

    **Arguments:**

    - `path`: a plrjax file (`.npz`, `.safetensors`), or one of another program: `.npz`,
        `.safetensors` or MATLAB 5 `.mat` with named arrays, PyTorch `.pt`/`.pth` with a
        state_dict. Nothing in the file is executed. The arrays of a `torch.nn` `RNN`, `GRU` or
        `LSTM` are known by their names (`weight_hh_l0`); several layers make a `Stacked`.
    - `kind`: the `from_arrays` name, needed where the arrays do not tell (a shallow and a clipped
        shallow PLRNN have the same ones, and so have an `nn.RNN` with tanh and one with relu).
    - `num_relu`: number of ReLU units of an almost-linear RNN, which its arrays do not tell.
    - `index`: which snapshot, where the arrays have a leading snapshot axis; -1 is the last.
    - `max_bytes`: most bytes of the file, and of its arrays together once decompressed.

    Arrays are told apart by their names and then by their shapes: `describe(path)` shows how.

    **Raises:** `FileNotFoundError`; `ValueError` starting with the path for a file that is damaged,
    unsupported or ambiguous, then with the call that resolves it.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in _readers:
            return _read_by_user(path, kind=kind, num_relu=num_relu, index=index)
        content = read_content(path, max_bytes)
        if not content.header:
            return _load_foreign(path, content, kind, num_relu, index)
        what = content.header.get("type")
        if not isinstance(what, str) or what not in LOADERS:
            raise ValueError(f"holds a {what!r}; load reads {', '.join(LOADERS)}")
        return LOADERS[what](content.header, content.arrays, kind, num_relu, index)
    except ValueError as error:
        raise located(path, error) from error


def _read_by_user(path: Path, **options) -> AbstractDynamics:
    """Return the model that a registered reader reads, which takes no options."""
    given = next((name for name, value in options.items() if value is not None), None)
    if given is not None:
        raise ValueError(f"{given}: the reader of {path.suffix} files takes none")
    _files.existing_file(path)
    model = _readers[path.suffix.lower()](path)
    if not isinstance(model, AbstractDynamics):
        raise ValueError(f"the reader of {path.suffix} returned a {type(model).__name__}, no model")
    return model


def _load_foreign(path: Path, content: Content, kind, num_relu, index) -> AbstractDynamics:
    """Return the model of a file without our header."""
    _foreign.check_no_clip(content.arrays, content.settings)
    reading = read_fields(content.arrays)
    fields = reading.fields
    if num_relu is not None:
        if kind not in (None, "almost-linear"):
            raise ValueError(f"num_relu: {kind!r} has none, got {num_relu}")
        if "num_relu" in fields and not _agrees(fields["num_relu"], num_relu):
            raise ValueError(f"num_relu: the file says {fields['num_relu']}, got {num_relu}")
        kind, fields = "almost-linear", {**fields, "num_relu": np.asarray(num_relu)}
    if kind is None:
        kind = _inferred(path, content, reading, index)
    kind_named(kind)
    module = reading.module_of(kind)
    if module is not None:
        _foreign.select_snapshot({}, {}, index)
        return module.model(content.arrays, kind)
    if reading.conflict is not None:
        raise ValueError(reading.conflict)
    extra = _foreign.foreign_to(kind, fields)
    if extra:
        raise ValueError(f"{extra[0]}: the file holds it, but {kind!r} has no such field")
    if kind == "almost-linear" and "num_relu" not in fields:
        raise ValueError("num_relu: needed for 'almost-linear', e.g. load(path, num_relu=2)")
    fields = _foreign.select_snapshot(fields, KINDS[kind].shapes, index)
    return from_arrays(kind, **_foreign.arrange(fields, kind))


def _inferred(path: Path, content: Content, reading: Reading, index: int | None) -> str:
    """Return the only kind that fits, or say what was found and which call resolves it."""
    kinds = reading.kinds()
    if len(kinds) == 1:
        return kinds[0]
    listed = ", ".join(f"{name} {a.shape}" for name, a in list(content.arrays.items())[:20])
    if not kinds:
        raise ValueError(
            f"kind: no kind of network has these arrays: {listed or 'none'}; rename them to the "
            f"fields of from_arrays, or pass them to it"
        )
    named = reading.named
    count = _foreign.count_snapshots(reading.fields, KINDS[named[0]].shapes) if named else None
    chosen = f", index={-1 if index is None else index}" if count not in (None, 1) else ""
    raise ValueError(
        f"kind: the arrays ({listed}) fit {' or '.join(kinds)}; say which, e.g. "
        f"load({path.name!r}, kind={kinds[0]!r}{chosen})"
        + (" or num_relu= for almost-linear" if "almost-linear" in kinds else "")
    )


@on_host()
def save(path: str | os.PathLike, model: AbstractDynamics, *, provenance=None) -> None:
    """Write a model to `.npz` or `.safetensors`, atomically; `load` returns it bit for bit.

    **Arguments:** `provenance`: JSON values, kept in the header: where the model comes from.

    **Raises:** `ValueError` for another suffix, or a model that is not one of the kinds;
    `FileNotFoundError` if the folder does not exist.
    """
    header = {"type": "model", "kind": kind_of(model), "provenance": provenance}
    if isinstance(model, Stacked):
        header["layers"] = layer_kinds(model)
    _files.write_arrays(path, header, arrays_of(model))
