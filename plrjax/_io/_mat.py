"""MATLAB 5 `.mat` files: the numeric arrays, and nothing else.

Format: MathWorks, "MAT-File Level 5 File Format". A reader of our own, because every length must
be checked before it is used: files may be truncated or damaged.
"""

import math
import zlib

import numpy as np

_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
_OTHER = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "opaque"}
_MATRIX, _COMPRESSED = 14, 15
_TOO_LARGE = "uncompressed arrays exceed the size limit: {} bytes are left of max_bytes"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_mat(data: bytes, max_bytes: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (arrays, ignored) of a MATLAB 5 file; `ignored` says why a variable was left out.

    **Raises:** `ValueError` for a damaged or truncated file, one that is too large, or another
    version of the format.
    """
    order = _byte_order(data)
    arrays: dict[str, np.ndarray] = {}
    ignored: dict[str, str] = {}
    position, budget = 128, max_bytes
    while position < len(data):
        kind, body, position = _element(data, position, order, pad=False)
        if kind == _COMPRESSED:
            content = _inflate(body, order, budget)
            kind, body, _ = _element(content, 0, order, pad=False)
        if kind != _MATRIX:
            raise ValueError(f"damaged: expected a matrix, got element type {kind}")
        name, value = _matrix(body, order, budget)
        budget -= len(name) if isinstance(value, str) else value.nbytes
        if isinstance(value, str):
            ignored[name] = value
        else:
            arrays[name] = value
    return arrays, ignored


def _byte_order(data: bytes) -> str:
    """Return "<" or ">" after checking the 128-byte header."""
    if data[:8] == _HDF5 or data[512:520] == _HDF5:
        raise ValueError("a MATLAB 7.3 (HDF5) file; save it again with save(name, ..., '-v7')")
    mark = data[126:128]
    if len(data) < 128 or mark not in (b"IM", b"MI"):
        raise ValueError("not a MATLAB 5 file; save it again with save(name, ..., '-v7')")
    order = "<" if mark == b"IM" else ">"
    version = int.from_bytes(data[124:126], "little" if order == "<" else "big")
    if version != 0x0100:
        raise ValueError(f"MATLAB file version {version:#06x} is not supported, only 0x0100")
    return order


def _element(data, start: int, order: str, *, pad: bool = True) -> tuple[int, memoryview, int]:
    """Return (type, body, position after it) of the element at `start`."""
    view = memoryview(data)
    if start + 8 > len(view):
        raise ValueError("truncated: an element's tag is cut off")
    kind, size = (int(word) for word in np.frombuffer(view, f"{order}u4", 2, start))
    first, after = start + 8, start + 8 + size
    if kind >> 16:  # small element: size and type in one word, up to four bytes of data
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise ValueError("damaged: a small element of more than four bytes")
        return kind, view[start + 4 : start + 4 + size], start + 8
    if after > len(view):
        raise ValueError(f"truncated: an element of {size} bytes, {len(view) - first} are left")
    return kind, view[first:after], after + (-size % 8 if pad else 0)


def _inflate(body: memoryview, order: str, budget: int) -> bytes:
    """Decompress one element no further than its tag says, of at most `budget` bytes."""
    engine = zlib.decompressobj()
    try:
        tag = engine.decompress(body, 8)
        size = int(np.frombuffer(tag, f"{order}u4")[1]) if len(tag) == 8 else 0
        if size > budget:
            raise ValueError(_TOO_LARGE.format(budget))
        content = tag + engine.decompress(engine.unconsumed_tail, size + 1)
    except zlib.error as error:
        raise ValueError(f"damaged: {error}") from error
    if len(content) > 8 + size:
        raise ValueError(f"damaged: a compressed element holds more than the {size} bytes declared")
    if not engine.eof:
        raise ValueError("truncated: a compressed element is cut off")
    return content


def _matrix(body: memoryview, order: str, budget: int) -> tuple[str, np.ndarray | str]:
    """Return (name, array), or (name, reason) for a variable that is not a numeric array."""
    parts, position = [], 0
    for _ in range(3):
        kind, part, position = _element(body, position, order)
        parts.append(_numbers(kind, part, order))
    flags, dims, name = parts
    if len(flags) < 1 or dims.dtype.kind != "i" or not 1 <= len(dims) <= 16 or dims.min() < 0:
        raise ValueError("damaged: the description of a matrix makes no sense")
    label = name.tobytes().decode("ascii", "replace")
    number, is_complex = int(flags[0]) & 0xFF, bool(int(flags[0]) & 0x800)
    if number not in _CLASSES:
        return label, f"a MATLAB {_OTHER.get(number, f'class {number}')}, not a numeric array"
    shape = tuple(int(length) for length in dims)
    width = 16 if is_complex else np.dtype(_CLASSES[number]).itemsize
    if math.prod(shape) * width > budget:
        raise ValueError(_TOO_LARGE.format(budget))
    values = _values(body, position, order, is_complex)
    if math.prod(shape) != values.size:
        raise ValueError(f"damaged: {label[:80]!r} has shape {shape} and {values.size} values")
    # Integers are stored in the narrowest type that holds them
    if is_complex:
        return label, values.reshape(shape, order="F")
    return label, values.astype(_CLASSES[number]).reshape(shape, order="F")


def _values(body: memoryview, position: int, order: str, is_complex: bool) -> np.ndarray:
    """Return the values of a numeric matrix, flat."""
    kind, part, position = _element(body, position, order)
    real = _numbers(kind, part, order)
    if not is_complex:
        return real
    kind, part, position = _element(body, position, order)
    imaginary = _numbers(kind, part, order)
    if imaginary.shape != real.shape:
        raise ValueError("damaged: real and imaginary parts differ in length")
    result = np.empty(real.shape, np.complex128)
    result.real, result.imag = real, imaginary
    return result


def _numbers(kind: int, part: memoryview, order: str) -> np.ndarray:
    """Return the numbers of one data element."""
    if kind not in _STORED:
        raise ValueError(f"damaged: element type {kind} where numbers were expected")
    dtype = np.dtype(order + _STORED[kind])
    if len(part) % dtype.itemsize:
        raise ValueError("damaged: an element's size is not a multiple of its item size")
    if not len(part):
        return np.zeros(0, dtype)
    return np.frombuffer(part, dtype)
