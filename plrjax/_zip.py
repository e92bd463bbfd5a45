"""Zip archives in memory, decompressed no further than they declare."""

import io
import zipfile
import zlib
from collections.abc import Sequence

MOST_ENTRIES = 100_000
"""Each costs some 1000 bytes of memory, and 76 of the file."""
_DIRECTORY = b"PK\x01\x02"
"""Begins what the directory says of one entry."""
_LOCAL_BYTES = 30
"""Of what stands before the content of an entry, at least."""
_CHUNK = 1 << 20
"""Bytes decompressed at once: what is taken beside the content itself."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""bzip2 and LZMA expand in blocks that cannot be bounded."""
_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
)


def read_zip(data: bytes, max_bytes: int) -> dict[str, bytearray]:
    """Return the entries of a zip archive, of at most `max_bytes` uncompressed in total.

    **Raises:** `ValueError` for an archive that is damaged, too large or oddly compressed, and for
    entries that share a name or bytes, or hold more or less than they declare.
    """
    try:
        if data.count(_DIRECTORY) > MOST_ENTRIES:
            raise ValueError(f"more than {MOST_ENTRIES} entries")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check(entries, len(data), max_bytes)
            return {entry.filename: _content(archive, entry) for entry in entries}
    except _BAD_ZIP as error:
        text = str(error) or type(error).__name__
        raise ValueError(f"not a readable zip archive: {text}") from error


def _check(entries: Sequence[zipfile.ZipInfo], size: int, max_bytes: int) -> None:
    """Refuse what the directory says of the entries, before any of them is read."""
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise ValueError(f"{total} bytes uncompressed exceed the limit max_bytes={max_bytes}")
    if any(entry.compress_type not in _METHODS for entry in entries):
        raise ValueError("compressed by another method than deflate")
    if len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("two entries have the same name")
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    starts = [entry.header_offset for entry in ordered] + [size]
    for entry, after in zip(ordered, starts[1:]):
        if entry.header_offset + _LOCAL_BYTES + entry.compress_size > after:
            raise ValueError(f"{entry.filename[:80]!r} overlaps what follows")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytearray:
    """Return what an entry holds, and refuse more or less than it declares."""
    declared, content = entry.file_size, bytearray()
    entry.file_size += 1  # without a word, zipfile drops what is beyond
    with archive.open(entry) as file:
        while part := file.read(min(_CHUNK, declared + 1 - len(content))):
            content += part
    if len(content) != declared:
        more = "more" if len(content) > declared else "less"
        raise ValueError(f"{entry.filename[:80]!r} holds {more} than the {declared} bytes declared")
    return content
