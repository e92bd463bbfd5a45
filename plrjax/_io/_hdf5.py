"""HDF5 files through h5py: MATLAB 7.3, Julia JLD2, Keras, arrays of any program.

Only numbers in hard-linked datasets are read. Links to elsewhere, external storage, virtual
datasets, references and compound values are never followed, and sizes are checked beforehand.
"""

import io
import math
import zlib
from typing import Any

import numpy as np

from .._arguments import require

MAX_OBJECTS = 10_000
MAX_DEPTH = 16
MAX_CHARACTERS = 1 << 22
"""Of all names together."""
MAX_CHUNKS = 1 << 20

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SKIPPED = ("_types", "#refs#", "#subsystem#")
"""Groups of JLD2 and MATLAB that hold no variables."""
_DEFLATE, _FILTERS = 1, {1, 2, 3}
"""Filters that can be bounded: deflate, shuffle, checksums."""
_FAULTS = (OSError, RuntimeError, KeyError, TypeError, IndexError, OverflowError, zlib.error)


def is_hdf5(data: bytes) -> bool:
    """Return whether these are the bytes of an HDF5 file, behind MATLAB's 512 bytes or not."""
    return data[:8] == _SIGNATURE or data[512:520] == _SIGNATURE


def read_hdf5(
    data: bytes, max_bytes: int, *, columns: bool
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (arrays, ignored); `ignored` says why a value was left out.

    **Arguments:** `max_bytes`: most bytes of all arrays together; `columns`: the first index varies
    fastest, as in what MATLAB and Julia write.

    **Raises:** `ValueError` for a damaged file, or one that is too large; `ImportError` naming the
    extra if h5py is missing.
    """
    h5py: Any = require("h5py", "hdf5", "reading HDF5")
    if not is_hdf5(data):
        raise ValueError("not an HDF5 file")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            reader = _Reader(h5py, max_bytes, columns)
            reader.seen.add(h5py.h5o.get_info(file.id).addr)
            reader.group(file, "", 0)
    except _FAULTS as error:
        raise ValueError(f"not a readable HDF5 file: {error}") from error
    return reader.arrays, reader.ignored


class _Reader:
    """The walk through one file, with what it has found and may still take."""

    def __init__(self, h5py: Any, max_bytes: int, columns: bool):
        self.h5py, self.budget, self.columns = h5py, max_bytes, columns
        self.arrays: dict[str, np.ndarray] = {}
        self.ignored: dict[str, str] = {}
        self.seen: set[Any] = set()
        self.count = self.characters = 0

    def group(self, group: Any, prefix: str, depth: int) -> None:
        """Read all datasets of a group and of those in it, none of them twice."""
        if depth > MAX_DEPTH or self.count + len(group) > MAX_OBJECTS:
            raise ValueError(f"more than {MAX_OBJECTS} objects, or {MAX_DEPTH} groups in groups")
        for key in group:
            name = f"{prefix}{key}"
            self.count, self.characters = self.count + 1, self.characters + len(name)
            if self.count > MAX_OBJECTS or self.characters > MAX_CHARACTERS:
                raise ValueError(f"more than {MAX_OBJECTS} objects, or names too long")
            if not isinstance(group.get(key, getlink=True), self.h5py.HardLink):
                self.ignored[name] = "a link to elsewhere, which is never followed"
                continue
            if key in _SKIPPED and not prefix:
                continue
            item = group[key]
            place = self.h5py.h5o.get_info(item.id).addr
            if place in self.seen:
                self.ignored[name] = "another name of what is read already"
                continue
            self.seen.add(place)
            if isinstance(item, self.h5py.Group):
                if "MATLAB_sparse" in item.attrs:
                    self.ignored[name] = "a sparse matrix"
                else:
                    self.group(item, f"{name}/", depth + 1)
            elif isinstance(item, self.h5py.Dataset):
                self.dataset(item, name)

    def dataset(self, dataset: Any, name: str) -> None:
        """Read one dataset, or note why not."""
        reason = self.refusal(dataset)
        if reason is not None:
            self.ignored[name] = reason
            return
        self.take(name, dataset.shape, dataset.dtype.itemsize)
        if "MATLAB_empty" in dataset.attrs:
            array = np.zeros((0, 0), dataset.dtype)
        elif dataset.size == 0:
            array = np.zeros(dataset.shape, dataset.dtype)
        else:
            self.check_chunks(dataset, name)
            array = np.asarray(dataset[()])
        self.budget -= array.nbytes
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        self.arrays[name] = array.T if self.columns else array

    def refusal(self, dataset: Any) -> str | None:
        """Return why a dataset holds no numbers that are read, None if it does."""
        h5t, kind = self.h5py.h5t, dataset.id.get_type().get_class()
        if kind not in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
            names = {h5t.COMPOUND: "a struct", h5t.REFERENCE: "references", h5t.STRING: "text"}
            return f"{names.get(kind, 'a type of its own')}, not a numeric array"
        if dataset.shape is None:
            return "empty"
        if dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8:
            return f"numbers of dtype {dataset.dtype}"
        words = self.matlab_class(dataset)
        if words in ("char", "cell", "struct", "function_handle"):
            return f"a MATLAB {words}, not a numeric array"
        plist = dataset.id.get_create_plist()
        if plist.get_layout() == self.h5py.h5d.VIRTUAL or plist.get_external_count():
            return "numbers in other files, which are never opened"
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        if not set(filters) <= _FILTERS or filters.count(_DEFLATE) > 1:
            return f"compressed by another method than deflate (filters {filters})"
        return None

    def matlab_class(self, dataset: Any) -> str:
        """Return the class that MATLAB notes beside a variable, "" if it does not."""
        if "MATLAB_class" not in dataset.attrs:
            return ""
        held = self.h5py.h5a.open(dataset.id, b"MATLAB_class")
        if held.get_type().get_class() != self.h5py.h5t.STRING or held.get_storage_size() > 64:
            return ""
        value = dataset.attrs["MATLAB_class"]
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def take(self, name: str, shape: tuple[int, ...], itemsize: int) -> None:
        """Refuse an array larger than what is left."""
        size = math.prod(shape) * itemsize
        if len(shape) > 16 or size > self.budget:
            raise ValueError(f"{name[:80]}: {size} bytes exceed what is left of max_bytes")

    def check_chunks(self, dataset: Any, name: str) -> None:
        """Refuse chunks that hold more than they declare: the library does not bound them."""
        if dataset.chunks is None:
            return
        self.take(name, dataset.chunks, dataset.dtype.itemsize)
        most = math.prod(dataset.chunks) * dataset.dtype.itemsize + 4  # a checksum
        plist = dataset.id.get_create_plist()
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        places: list[Any] = []
        dataset.id.chunk_iter(lambda info: places.append(info) or len(places) > MAX_CHUNKS or None)
        for info in places if _DEFLATE in filters else ():
            self.take(name, (info.size,), 1)
            mask, raw = dataset.id.read_direct_chunk(info.chunk_offset)
            if mask >> filters.index(_DEFLATE) & 1:
                continue  # stored as it is
            if len(zlib.decompressobj().decompress(raw, most + 1)) > most:
                raise ValueError(f"{name[:80]}: a chunk holds more than it declares")
