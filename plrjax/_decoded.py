"""Arrays from the bytes of `.npy` entries and safetensors files, as views that are read-only."""

import math
import re
from typing import Any, TypeGuard

import numpy as np

from ._json import parse_json

_LONGEST_HEADER = 1 << 16
"""Bytes of a header in front of one `.npy` array; NumPy itself reads 10,000."""
_WIDEST = 1 << 20
"""Bytes of one number or text: NumPy allocates one of them even for an empty array."""
_SAFETENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "bfloat16",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
    "BOOL": "?",
    "C64": "<c8",
}


def parse_npy(name: str, content: bytes | bytearray) -> np.ndarray:
    """Return the array of one `.npy` entry, a view of its bytes (NEP 1, versions 1 to 3)."""
    if content[:6] != b"\x93NUMPY" or len(content) < 12 or content[6] not in (1, 2, 3):
        raise ValueError(f"{name}: not an array")
    start = 10 if content[6] == 1 else 12
    end = start + int.from_bytes(content[8:start], "little")
    if end - start > _LONGEST_HEADER:
        raise ValueError(f"{name}: not an array (a header of {end - start} bytes)")
    view = memoryview(content).toreadonly()
    text = bytes(view[start:end]).decode("latin-1")
    descr = re.search(r"'descr': *'([<>|=][biufcOSUVmM]\d{0,9})'", text)
    order = re.search(r"'fortran_order': *(True|False)", text)
    shape = re.search(r"'shape': *\(([\d, ]{0,400})\)", text)
    if not (descr and order and shape):
        raise ValueError(f"{name}: not an array of plain numbers")
    if descr[1][1] == "O":
        raise ValueError(f"{name}: holds Python objects, which are never unpickled")
    if descr[1][1] == "V":
        raise ValueError(f"{name}: holds raw or structured bytes, expected numbers")
    dims = tuple(int(part) for part in shape[1].split(",") if part.strip())
    array = _from_bytes(
        name, view[end:], dtype_named(descr[1]), dims if order[1] == "False" else dims[::-1]
    )
    return array if order[1] == "False" else array.T


def _from_bytes(name: str, data, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array over exactly these bytes."""
    fits = len(shape) <= 16 and max(shape, default=0) < 1 << 31 and 0 < dtype.itemsize < _WIDEST
    if not fits or math.prod(shape) * dtype.itemsize != len(data):
        told = str(shape)[:80]
        raise ValueError(f"{name[:80]}: shape {told} of {dtype} does not fit {len(data)} bytes")
    if not data:
        return np.zeros(shape, dtype)  # np.frombuffer refuses empty buffers
    return np.frombuffer(data, dtype).reshape(shape)


def read_safetensors(data: bytes, max_bytes: int) -> tuple[dict, dict[str, np.ndarray]]:
    """Return (metadata, arrays) of a safetensors file; the arrays are views of its bytes.

    A reader of our own, because the package's copies all arrays, and bounds no header.

    **Raises:** `ValueError` for a damaged file: every byte must belong to exactly one array.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    try:
        if not 8 < start <= len(data):
            raise ValueError("the header is cut off")
        entries = parse_json(data[8:start], max_bytes)
        if not isinstance(entries, dict):
            raise ValueError("the header is no table")
        metadata = entries.pop("__metadata__", {})
        if not isinstance(metadata, dict):
            raise ValueError("the metadata are no table")
        parts = sorted((_part(name, entry) for name, entry in entries.items()), key=lambda x: x[2:])
    except ValueError as error:
        raise ValueError(f"not a readable safetensors file: {error}") from error
    body, position, arrays = memoryview(data)[start:], 0, {}
    for name, about, first, last in parts:
        if first != position or last > len(body):
            raise ValueError(f"not a readable safetensors file: {name}: bytes {first} to {last}")
        arrays[name] = _from_bytes(name, body[first:last], *about)
        position = last
    if position != len(body):
        raise ValueError(f"not a readable safetensors file: {len(body) - position} bytes left over")
    return metadata, arrays


def _part(name: str, entry: Any) -> tuple[str, tuple[np.dtype, tuple[int, ...]], int, int]:
    """Return the name, dtype and shape, and bytes from and to, of one array."""
    entry = entry if isinstance(entry, dict) else {}
    kind, shape, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (_are_sizes(shape) and _are_sizes(place) and len(place) == 2 and place[0] <= place[1]):
        raise ValueError(f"{name[:80]}: expected dtype, shape and data_offsets")
    if not isinstance(kind, str) or kind not in _SAFETENSORS:
        raise ValueError(f"{name[:80]}: unknown dtype {str(kind)[:40]!r}")
    return name, (dtype_named(_SAFETENSORS[kind]), tuple(shape)), place[0], place[1]


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    """Return whether this is a list of integers that are not negative."""
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)


def dtype_named(name: str) -> np.dtype:
    """Return a dtype by name; bfloat16 is not among NumPy's own."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    try:
        return np.dtype(name if re.fullmatch(r"[<>|=]?\??[A-Za-z]*\d*", name) else "unknown")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"unknown dtype {name[:40]!r}") from error
