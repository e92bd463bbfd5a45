"""Files that declare one size and hold another, written by hand."""

import functools
import io
import json
import struct
import zipfile
import zlib

import numpy as np

MEBI = 1 << 20


def npy(array) -> bytes:
    """Return the bytes of a `.npy` file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def lying_zip(name: str, content: bytes, declared: int) -> bytes:
    """Return an archive of one deflated entry that declares another size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    data = buffer.getvalue()
    return data.replace(struct.pack("<I", len(content)), struct.pack("<I", declared))


def doubled_zip(name: str) -> bytes:
    """Return an archive with two entries of one name."""
    data = lying_zip("1" + name, b"", 0)
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("2" + name, b"")
    return buffer.getvalue().replace(b"2" + name.encode(), b"1" + name.encode())


def overlapping_zip() -> bytes:
    """Return an archive whose second entry is read from the place of the first."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", npy(np.ones(4)))
        archive.writestr("b.npy", npy(np.ones(4)))
    data = bytearray(buffer.getvalue())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(data).replace(b"b.npy", b"a.npz")


def matlab(body: bytes, compressed: bool = True) -> bytes:
    """Return a MATLAB 5 file of one element."""
    packed = zlib.compress(body) if compressed else body
    tag = struct.pack("<II", 15, len(packed)) if compressed else b""
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + tag + packed


def narrow_matrix(count: int) -> bytes:
    """Return a matrix of doubles that are stored as bytes: eight times as large in memory."""
    flags, dims = struct.pack("<IIII", 6, 8, 6, 0), struct.pack("<IIii", 5, 8, count, 1)
    content = flags + dims + struct.pack("<II", 1, 0) + struct.pack("<II", 2, count) + bytes(count)
    return struct.pack("<II", 14, len(content)) + content


def header_zip(text: bytes) -> bytes:
    """Return a native file with this header."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__plrjax__.npy", npy(np.frombuffer(text, np.uint8)))
    return buffer.getvalue()


def tensors(header: dict | bytes, body: bytes = b"") -> bytes:
    """Return a safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


SMALL = MEBI
"""The limit that bombs are read under."""


@functools.cache
def bombs() -> dict[str, bytes]:
    """Return files that must be refused, by name; the smallest ones hold 64 MiB."""
    zeros = bytes(64 * MEBI)
    lists = b"[" + b"[]," * (4 * MEBI) + b"[]]"
    entry = {"dtype": "F64", "shape": [1 << 40], "data_offsets": [0, 8]}
    return {
        "lies.npz": lying_zip("A.npy", zeros, 100),
        "large.npz": lying_zip("A.npy", zeros, len(zeros)),
        "twice.npz": doubled_zip("A.npy"),
        "overlap.npz": overlapping_zip(),
        "lists.npz": header_zip(lists),
        "lies.pt": lying_zip("archive/data.pkl", zeros, 100),
        "lies.mat": matlab(struct.pack("<II", 14, 100) + zeros),
        "large.mat": matlab(struct.pack("<II", 14, len(zeros)) + zeros),
        "narrow.mat": matlab(narrow_matrix(MEBI // 2)),
        "lists.safetensors": tensors(b'{"__metadata__":' + lists[: MEBI // 2] + b"}"),
        "shape.safetensors": tensors({"A": entry}, bytes(8)),
        "header.safetensors": struct.pack("<Q", 1 << 62) + b"{}",
    }
