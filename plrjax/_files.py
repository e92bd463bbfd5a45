"""Files of named arrays under a header: atomic writes, bounded reads, nothing executed."""

import contextlib
import importlib.metadata
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy

from ._decoded import dtype_named, parse_npy, read_safetensors
from ._json import parse_json
from ._temporary import part_of
from ._zip import read_zip

FORMAT = 1
HEADER = "__plrjax__"
SUFFIXES = (".npz", ".safetensors")
MAX_BYTES = 1 << 30
"""Largest total of declared array bytes that is read without being asked for more (`max_bytes`)."""

NOT_WRITTEN = "could not be written"
"""In all notes about files that are missing."""


def one_line(error: BaseException) -> str:
    """Return the text of an error on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def plrjax_version() -> str:
    """Return the installed version of plrjax."""
    try:
        return importlib.metadata.version("plrjax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


# Writing


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a file atomically: a temporary file in the same folder, fsync, rename.

    **Raises:** `FileNotFoundError` if the folder does not exist; `OSError` with the path where it
    cannot be written. After any failure the old file, if there was one, is untouched and no
    temporary file is left.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise ValueError(f"{path}: expected a file name, got a folder")
    temporary = part_of(path)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # it could not even be created
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = error.strerror or one_line(error)
            raise OSError(error.errno, reason, str(path)) from error
        raise
    _sync_folder(path.parent)


def note_unless_written(what: str, write: Callable[[], None]) -> list[str]:
    """Write, and return a note where that fails: a computation goes on without its files."""
    try:
        write()
    except OSError as error:
        return [f"{what} {NOT_WRITTEN} ({os_error_text(error)})"]
    return []


def os_error_text(error: OSError) -> str:
    """Return the path and the reason."""
    reason = error.strerror or one_line(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"


def create_bytes(path: str | os.PathLike, data: bytes) -> bool:
    """Write a file whole unless there is one; return whether it was written, atomically.

    Of several processes that try at once, exactly one writes.
    """
    path = Path(path)
    part = part_of(path)
    write_bytes(part, data)
    try:
        _link(part, path, data)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _link(part: Path, path: Path, data: bytes) -> None:
    """Give a file its name unless that is taken; a file system without hard links writes it."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        with open(path, "xb") as file:
            file.write(data)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system can sync a folder."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_arrays(path: str | os.PathLike, header: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays and a header to `.npz` or `.safetensors`, atomically and reproducibly.

    **Arguments:**

    - `header`: JSON values: `type`, `kind`, `provenance` and what else the caller needs;
        `format`, `version` and `dtype` (name to dtype) are added.
    - `arrays`: numbers of any dtype NumPy has up to 64 bits, bfloat16, complex64 and complex128.

    **Raises:** `ValueError` for another suffix or dtype; `FileNotFoundError` for a missing folder.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a name ending in .npz or .safetensors")
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        wide = array.dtype.kind in "f" and array.dtype.itemsize > 8 or array.dtype.itemsize > 16
        if (array.dtype.kind not in "fiubc" or wide) and str(array.dtype) != "bfloat16":
            raise ValueError(f"{path}: {name}: cannot store dtype {array.dtype}")
        if name == HEADER or not name:
            raise ValueError(f"{path}: {name!r} cannot be the name of an array")
    dtypes = {name: array.dtype.name for name, array in arrays.items()}
    header = {"format": FORMAT, **header, "version": plrjax_version(), "dtype": dtypes}
    text = json.dumps(header, ensure_ascii=False, sort_keys=True)
    pair_complex = path.suffix == ".safetensors"
    stored = {name: _plain(array, pair_complex) for name, array in arrays.items()}
    write_bytes(path, (_npz if path.suffix == ".npz" else _safetensors)(text, stored))


def _plain(array: np.ndarray, pair_complex: bool) -> np.ndarray:
    """Return little-endian C-ordered numbers: complex as pairs if asked, bfloat16 as uint16."""
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    array = np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype.kind == "c" and pair_complex:
        part = "<f4" if array.dtype.itemsize == 8 else "<f8"
        return np.stack([np.real(array), np.imag(array)], axis=-1).astype(part)
    return array.view("<u2") if str(array.dtype) == "bfloat16" else array


def _npz(text: str, arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    entries = {HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in entries.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()


def _safetensors(text: str, arrays: dict[str, np.ndarray]) -> bytes:
    return safetensors.numpy.save(arrays, metadata={HEADER: text})


# Reading


def existing_file(path: str | os.PathLike) -> Path:
    """Return the path of a file that exists, refusing folders."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a file, got a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    return path


def read_bytes(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file that is not larger than `max_bytes`.

    **Raises:** `FileNotFoundError` for a missing file; `ValueError` for a folder, an empty file or
    one that is too large.
    """
    path = existing_file(path)
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path}: the file is empty")
    if size > max_bytes:
        raise ValueError(f"{path}: {size} bytes exceed the limit {max_bytes=}")
    return path.read_bytes()


def read_arrays(
    path: str | os.PathLike, max_bytes: int = MAX_BYTES
) -> tuple[dict, dict[str, np.ndarray]]:
    """Return (header, arrays) of a `.npz` or `.safetensors` file.

    The header of a file that plrjax did not write is {}.
    Declared sizes are checked before anything is allocated, nothing is unpickled, and bytes left
    over or missing are errors.

    **Arguments:** `path`: the file; `max_bytes`: most bytes of it, and of its arrays together.

    **Raises:** `FileNotFoundError`; `ValueError` starting with the path for a file that is damaged,
    too large, of another format or written by a newer plrjax.
    """
    path = existing_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a name ending in .npz or .safetensors")
    is_npz = path.suffix.lower() == ".npz"
    data = read_bytes(path, max_bytes)
    try:
        text, arrays = (_read_npz if is_npz else _read_safetensors)(data, max_bytes)
        header = {} if text is None else parse_header(text, max_bytes)
        return header, _restored(header, arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error


def _read_npz(data: bytes, max_bytes: int) -> tuple[bytes | None, dict[str, np.ndarray]]:
    arrays = {}
    for name, content in read_zip(data, max_bytes).items():
        if name.endswith(".npy"):
            arrays[name.removesuffix(".npy")] = parse_npy(name, content)
    header = arrays.pop(HEADER, None)
    return None if header is None else header.tobytes(), arrays


def _read_safetensors(data: bytes, max_bytes: int) -> tuple[str | None, dict[str, np.ndarray]]:
    metadata, arrays = read_safetensors(data, max_bytes)
    return metadata.get(HEADER), arrays


def parse_header(text: bytes | str, max_bytes: int) -> dict:
    """Return the header of a native file, refusing those of a newer plrjax."""
    try:
        header = parse_json(text, max_bytes)
    except ValueError as error:
        raise ValueError(f"the header is damaged ({one_line(error)})") from error
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ValueError("the header is damaged (no format number)")
    if header["format"] > FORMAT:
        raise ValueError(
            f"written by a newer plrjax (format {header['format']}, version "
            f"{header.get('version')}); this version reads format {FORMAT}: upgrade plrjax"
        )
    return header


def _restored(header: dict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays in the dtypes noted in the header (pairs to complex, uint16 to bfloat16)."""
    dtypes = header.get("dtype", {})
    if not isinstance(dtypes, dict):
        raise ValueError("the header is damaged (dtype)")
    if header and set(dtypes) != set(arrays):
        odd = sorted(set(dtypes) ^ set(arrays))
        raise ValueError(f"the header does not fit the arrays ({', '.join(odd)[:200]})")
    result = {}
    for name, array in arrays.items():
        want = dtype_named(str(dtypes.get(name, array.dtype)))
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        if want.kind == "c" and native.dtype.kind == "f" and native.shape[-1:] == (2,):
            native = np.ascontiguousarray(native).view(want)[..., 0]
        elif str(want) == "bfloat16" and native.dtype == np.uint16:
            native = native.view(want)
        elif native.dtype != want.newbyteorder("="):
            raise ValueError(f"{name}: the header says {want}, the array is {array.dtype}")
        result[name] = native
    return result
