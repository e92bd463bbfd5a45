"""Julia checkpoints of BSON.jl: numbers, texts and arrays by dotted name, nothing executed.

Formats: bsonspec.org, and BSON.jl, which writes arrays, structs, tuples and references among them
as documents with a "tag". Every length is checked before it is used.
"""

import math
import struct
from typing import Any

import numpy as np

MAX_ELEMENTS = 200_000
"""Each costs some 200 bytes of memory; networks have dozens."""
MAX_DEPTH = 64
"""Of documents in documents, and of references to references."""
MAX_CHARACTERS = 1 << 22
"""Of all names together."""

_DTYPES = {f"Float{n}": f"<f{n // 8}" for n in (16, 32, 64)}
_DTYPES |= {f"{kind}Int{n}": f"<{letter}{n // 8}" for n in (8, 16, 32, 64)
            for kind, letter in (("", "i"), ("U", "u"))}  # fmt: skip
_DTYPES["Bool"] = "?"
_NUMBERS = {1: "<d", 16: "<i", 18: "<q"}
_PLAIN = ("A", "W", "h", "C")
_DENDRITIC = ("A", "W", "h", "alpha", "thresholds'", "C")
_SHALLOW = ("A", "W1", "W2", "h1", "h2", "C")
_FIELDS = {
    "PLRNN": _PLAIN,
    "mcPLRNN": _PLAIN,
    "dendPLRNN": _DENDRITIC,
    "clippedDendPLRNN": _DENDRITIC,
    "shallowPLRNN": _SHALLOW,
    "clippedShallowPLRNN": _SHALLOW,
    "ALRNN": ("A", "W", "h", "P"),
    "DynaMix": ("experts.*.A", "experts.*.W", "experts.*.h", "gating", "N", "Experts", "P"),
}
"""Fields of structs, which the files do not name: GTF-shPLRNN, ALRNN-DSR, DynaMix-julia. A star
stands for the index within a list, an apostrophe for a transposition."""


def read_bson(data: bytes, max_bytes: int) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Return (arrays, settings) of a BSON.jl file; the arrays are views of `data`.

    **Raises:** `ValueError` for a damaged file, or one with more than plain values.
    """
    try:
        root = _Parser(data).document(0, len(data), 0)[0]
        if not isinstance(root, dict):
            raise ValueError("damaged: no document")
        backrefs = root.pop("_backrefs", [])
        walker = _Walker(backrefs if isinstance(backrefs, list) else [], max_bytes)
        walker.walk(root, "", 0)
    except (struct.error, IndexError) as error:
        raise ValueError(f"not a readable BSON file: cut off ({error})") from error
    except ValueError as error:
        raise ValueError(f"not a readable BSON file: {error}") from error
    return walker.arrays, walker.settings


class _Parser:
    """BSON to dictionaries, lists, numbers, texts and views of the bytes."""

    def __init__(self, data: bytes):
        self.data, self.view, self.count = data, memoryview(data), 0

    def document(self, start: int, end: int, depth: int) -> tuple[dict[str, Any], int]:
        """Return the document at `start` and the position after it."""
        (size,) = struct.unpack_from("<i", self.data, start)
        stop = start + size - 1
        if depth > MAX_DEPTH or size < 5 or stop >= end or self.data[stop]:
            raise ValueError(f"damaged: a document of {size} bytes at {start}, depth {depth}")
        found, position = {}, start + 4
        while position < stop:
            self.count += 1
            if self.count > MAX_ELEMENTS:
                raise ValueError(f"more than {MAX_ELEMENTS} values")
            ends = self.data.index(b"\0", position + 1, stop + 1)
            name = self.data[position + 1 : ends].decode(errors="replace")
            found[name], position = self.value(self.data[position], ends + 1, stop, depth)
        if position != stop:
            raise ValueError(f"damaged: a value reaches beyond its document at {stop}")
        return found, stop + 1

    def value(self, kind: int, start: int, stop: int, depth: int) -> tuple[Any, int]:
        """Return the value of this type at `start` and the position after it."""
        if kind in _NUMBERS:
            (number,) = struct.unpack_from(_NUMBERS[kind], self.data, start)
            return number, start + struct.calcsize(_NUMBERS[kind])
        if kind in (3, 4):
            found, after = self.document(start, stop, depth + 1)
            return list(found.values()) if kind == 4 else found, after
        if kind == 8:
            return bool(self.data[start]), start + 1
        if kind == 10:
            return None, start
        if kind not in (2, 5):
            raise ValueError(f"values of type {kind:#04x} are not supported")
        (size,) = struct.unpack_from("<i", self.data, start)
        first = start + 4 + (kind == 5)
        if not 0 <= size <= stop - first:
            raise ValueError(f"damaged: {size} bytes at {start}, {stop - first} are left")
        part = self.view[first : first + size]
        text = bytes(part[:-1]).decode(errors="replace") if kind == 2 else None
        return part if text is None else text, first + size


class _Walker:
    """Arrays and settings by dotted name; references are followed, a bounded number of times."""

    def __init__(self, backrefs: list, max_bytes: int):
        self.backrefs, self.max_bytes = backrefs, max_bytes
        self.arrays: dict[str, np.ndarray] = {}
        self.settings: dict[str, object] = {}
        self.count = self.characters = 0

    def followed(self, value: Any) -> Any:
        """Return what a reference refers to, any other value as it is."""
        for _ in range(MAX_DEPTH):
            if not (isinstance(value, dict) and value.get("tag") == "backref"):
                return value
            number = value.get("ref")
            if not isinstance(number, int) or not 1 <= number <= len(self.backrefs):
                raise ValueError(f"damaged: a reference to {number!r} of {len(self.backrefs)}")
            value = self.backrefs[number - 1]
        raise ValueError("damaged: references in a circle")

    def type_name(self, value: Any) -> str:
        """Return the last part of the name of a type, "?" if it has none."""
        value = self.followed(value)
        parts = value.get("name") if isinstance(value, dict) else None
        return str(parts[-1])[:80] if isinstance(parts, list) and parts else "?"

    def walk(self, value: Any, name: str, depth: int) -> None:
        """Note a value, and all that it holds, under a name."""
        self.count, self.characters = self.count + 1, self.characters + len(name)
        if self.count > MAX_ELEMENTS or self.characters > MAX_CHARACTERS or depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_ELEMENTS} values, too deep, or names too long")
        value = self.followed(value)
        tag = value.get("tag") if isinstance(value, dict) else None
        if isinstance(value, list) or tag == "tuple":
            self.items(value if isinstance(value, list) else value.get("data"), name, depth)
        elif tag in ("array", "struct"):
            self.tagged(tag, value, name, depth)
        elif tag is not None:
            self.settings[name] = str(value.get("name", tag))[:80]
        elif isinstance(value, dict):
            for key, each in value.items():
                self.walk(each, f"{name}.{key}" if name else key, depth + 1)
        elif not isinstance(value, memoryview):
            self.settings[name] = value

    def items(self, values: Any, name: str, depth: int) -> None:
        """Note the items of a list."""
        for index, each in enumerate(values if isinstance(values, list) else []):
            own = name.replace("*", str(index)) if "*" in name else f"{name}.{index}"
            self.walk(each, own, depth + 1)

    def tagged(self, tag: str, value: dict, name: str, depth: int) -> None:
        """Note an array, a number, or the fields of a struct."""
        kind, held = self.type_name(value.get("type")), self.followed(value.get("data"))
        if isinstance(held, memoryview):
            shape = value.get("size") if tag == "array" else []
            if kind not in _DTYPES:
                self.settings[name] = f"a {tag} of {kind}"
                return
            array = _array(name, held, np.dtype(_DTYPES[kind]), shape)
            turned = name.endswith("'")
            self.arrays[name.removesuffix("'")] = array.T if turned else array
        elif tag == "array":
            self.items(held, name, depth)
        elif isinstance(held, list):
            fields = _FIELDS.get(kind, ())
            if fields:
                self.settings[f"{name}.model_type"] = kind
            for index, each in enumerate(held):
                field = fields[index] if index < len(fields) else index
                self.walk(each, f"{name}.{field}", depth + 1)


def _array(name: str, data: memoryview, dtype: np.dtype, shape: Any) -> np.ndarray:
    """Return the array over exactly these bytes, first index fastest."""
    sizes = shape if isinstance(shape, list) else None
    if sizes is None or len(sizes) > 16 or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError(f"damaged: {name[:80]!r} has size {str(shape)[:80]}")
    if math.prod(sizes) * dtype.itemsize != len(data):
        raise ValueError(f"damaged: {name[:80]!r}, {sizes} of {dtype}, has {len(data)} bytes")
    if not len(data):
        return np.zeros(tuple(min(n, 1) for n in sizes), dtype)
    return np.frombuffer(data, dtype).reshape(sizes, order="F")
