"""Load and save models: native files, and the files of other programs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import _files
from .._dynamics import AbstractDynamics
from .._host import on_host
from .._lyapunov import LyapunovSpectrum
from .._saved import AbstractSaved
from ..attractors import AttractorSet, SymbolicDynamics
from ..bifurcations import Bifurcations
from ..cycles import CycleSet
from ..manifolds import BasinBoundary, Connections, Manifold
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
from ._content import READERS, located, read_content
from ._foreign_model import Asked, agrees, model_of
from ._mat_native import write_mat
from ._snapshots import select_snapshot
from ._torch_write import state_dict_of, torch_bytes

_readers: dict[str, Callable[[Path], AbstractDynamics]] = {}
"""Readers of users."""


def register_reader(suffix: str, reader: Callable[[Path], AbstractDynamics]) -> None:
    """Let `load` and the command line read files of another kind, told by their suffix.

    **Arguments:** `suffix`, such as ".odd"; `reader`: a function of the path that returns the
    model, and raises `ValueError` for a file that it cannot read.

    **Raises:** `ValueError` naming the argument, and for a suffix that is read already.
    """
    if not (isinstance(suffix, str) and suffix.startswith(".") and suffix == suffix.lower()):
        raise ValueError(f"suffix: expected lower case such as '.odd', got {suffix!r}")
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
    if num_relu is not None and not agrees(arrays.get("num_relu"), num_relu):
        raise ValueError(f"num_relu: the file says {arrays.get('num_relu')}, got {num_relu}")
    return from_arrays(str(stored), **select_snapshot(arrays, shapes, index))


def _stack(header: dict, arrays: dict, num_relu, index) -> Stacked:
    """Return the stack of a native file, whose header lists the kinds of its layers."""
    if num_relu is not None:
        raise ValueError(f"num_relu: the file holds a stack, which says it itself; got {num_relu}")
    chosen = {}
    for number, (kind, fields) in enumerate(split_layers(header.get("layers"), arrays)):
        fields = select_snapshot(fields, KINDS[kind].shapes, index)
        chosen |= {f"{number}.{name}": array for name, array in fields.items()}
    return from_arrays(STACKED, layers=header["layers"], **chosen)


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
    "symbolic dynamics": _result("symbolic dynamics", SymbolicDynamics),
    "manifold": _result("a manifold", Manifold),
    "connections": _result("connections", Connections),
    "basin boundary": _result("a basin boundary", BasinBoundary),
}
"""Loader of each `type` of native file: called as loader(header, arrays, kind, num_relu, index)."""


def load(
    path: str | os.PathLike,
    *,
    kind: str | None = None,
    num_relu: int | None = None,
    index: int | np.integer | None = None,
    leak: float | None = None,
    max_bytes: int = _files.MAX_BYTES,
) -> Any:
    """Return the model (or other result) that a file holds.

    **Arguments:**

    - `path`: a plrjax file (`.npz`, `.safetensors`), or one of another program: `.npz`,
        `.safetensors`, MATLAB `.mat` or HDF5 `.h5`/`.hdf5`/`.jld2` with named arrays, PyTorch
        `.pt`/`.pth` with a state_dict, Julia `.bson`, or a folder with `config.json` and
        `model.safetensors`. Nothing in the file is executed. The arrays of a `torch.nn` `RNN`,
        `GRU`, `LSTM` or of their cells, of Keras (`recurrent_kernel`) and of leaky cells (`h2h`)
        are known by their names; several layers make a `Stacked`. Arrays that no kind has a use for
        are left out.
    - `kind`: the `from_arrays` name, needed where the arrays do not tell (a shallow and a clipped
        shallow PLRNN have the same ones, and so have an `nn.RNN` with tanh and one with relu).
    - `num_relu`: number of ReLU units of an almost-linear RNN, which its arrays do not tell.
    - `index`: which snapshot, where the arrays have a leading snapshot axis; -1 is the last. Which
        expert of a mixture.
    - `leak`: of z' = (1 - leak) z + leak relu(W z + C s + b), which its arrays do not tell.
    - `max_bytes`: most bytes of the file, and of its arrays together once decompressed.

    Arrays are told apart by their names and then by their shapes: `describe(path)` shows how.

    **Raises:** `FileNotFoundError`; `ValueError` starting with the path for a file that is damaged,
    unsupported or ambiguous, then with the call that resolves it; `ImportError` naming the extra
    that HDF5 needs.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in _readers:
            return _read_by_user(path, kind=kind, num_relu=num_relu, index=index, leak=leak)
        content = read_content(path, max_bytes)
        if not content.header:
            asked = Asked(f"load({path.name!r}", kind, num_relu, index, leak)
            return model_of(content.arrays, content.settings, content.ignored, asked)
        if leak is not None:
            raise ValueError(f"leak: a file of plrjax says it itself, got {leak}")
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


@on_host()
def save(path: str | os.PathLike, model: AbstractDynamics, *, provenance=None) -> None:
    """Write a model to `.npz`, `.safetensors`, `.mat` or `.pt`, atomically; `load` returns it bit
    for bit, from `.pt` where it is told the kind.

    PyTorch's `load_state_dict` of an `nn.RNN`, `GRU` or `LSTM` takes a `.pt` or `.pth` file of such
    a network.

    **Arguments:** `provenance`: JSON values, kept in the header: where the model comes from.

    **Raises:** `ValueError` for another suffix, a model that is not one of the kinds, or one that
    MATLAB cannot hold (stacks, half precision); `FileNotFoundError` if the folder does not exist.
    """
    if Path(path).suffix in (".pt", ".pth"):
        _files.write_bytes(path, torch_bytes(state_dict_of(model)))
        return
    header = {"type": "model", "kind": kind_of(model), "provenance": provenance}
    if isinstance(model, Stacked):
        header["layers"] = layer_kinds(model)
    write = write_mat if Path(path).suffix == ".mat" else _files.write_arrays
    write(path, header, arrays_of(model))
