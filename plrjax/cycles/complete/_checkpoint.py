"""Complete searches on disk: to go on where one was stopped."""

import os
from typing import Any

import numpy as np

from ... import _files
from ..._checker import sealed
from ..._json import parse_json
from ...words import unpack
from ._domain import Domain
from ._stages import CompleteSearch

FORMAT = 1
_MAX_MEMORY = 8 * _files.MAX_BYTES
"""Long searches leave hundreds of megabytes; what the parts of such a text weigh is a bound."""


def save(search: CompleteSearch, path: str | os.PathLike) -> None:
    """Write down what is known, atomically."""
    _files.write_bytes(path, sealed(_contents(search)).encode())


def restored(search: CompleteSearch, path: str | os.PathLike) -> None:
    """Put a new search where a saved one was.

    **Raises:** `ValueError` for a file that is not a checkpoint of the same search.
    """
    text = _files.read_bytes(path)
    try:
        data = parse_json(text, _MAX_MEMORY)
        del data["SHA256"]
        intact = text == sealed(data).encode() and data["checkpoint"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{os.fspath(path)}: not a checkpoint: {error}") from error
    if not intact:
        raise ValueError(f"{os.fspath(path)}: not a checkpoint, or changed after it was written")
    try:
        differing = _difference(search, data["search"])
        if differing is None:
            _fill(search, data)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"{os.fspath(path)}: a damaged checkpoint: {error}") from error
    if differing is not None:
        raise ValueError(f"{os.fspath(path)}: checkpoint of another search: {differing}")


def _difference(search: CompleteSearch, stored: dict[str, Any]) -> str | None:
    """Return what tells a saved search from this one, or None."""
    for name, value in _identity(search).items():
        if stored.get(name) != value:
            return f"{name} is {str(stored.get(name))[:80]!r}, expected {str(value)[:80]!r}"
    return None


def _identity(search: CompleteSearch) -> dict[str, Any]:
    """Return what must agree."""
    options = search.options
    box = None if options.box is None else options.box_of(search.map).tolist()
    return {"model": search.fingerprint, "periods": list(search.periods), "box": box,
            "rigorous": options.rigorous, "method": options.method,
            "proof": options.keeps_proof}  # fmt: skip


def _contents(search: CompleteSearch) -> dict[str, Any]:
    domain = search.domain
    units = search.map.num_units
    closed = search.closed
    running = closed is not None and not closed.done
    return {
        "checkpoint": FORMAT,
        "search": _identity(search),
        "domain": domain and {"box": domain.box.tolist(), "everywhere": domain.everywhere,
                              "nodes": domain.nodes},
        "method": search.method,
        "finished": sorted(search.finished),
        "stage": list(search.stage),
        "frontier": search.frontier,
        "chunks": {prefix: chunk.tolist() for prefix, chunk in search.chunks.items()},
        "words": [_text(word, units) for catalog in search.catalogs.values()
                  for word in (entry.word for entry in catalog.entries)],
        "unexamined": {str(k): c.num_unexamined for k, c in search.catalogs.items()},
        "exact": [list(word) for word in search.exact],
        "degenerate": sorted(search.degenerate),
        "count": dict(search.count),
        "closed": closed and running and {
            name: value.tolist() for name, value in closed.frontier().items()
        },
    }  # fmt: skip


def _text(packed: np.ndarray, units: int) -> list[str]:
    return ["".join("01"[bit] for bit in letter) for letter in unpack(packed, units) * 1]


def _bits(word: list[str]) -> np.ndarray:
    return np.array([[bit == "1" for bit in letter] for letter in word], bool)


def _fill(search: CompleteSearch, data: dict[str, Any]) -> None:
    known = data["domain"]
    if known is not None:
        everywhere = known["everywhere"]
        if isinstance(everywhere, list):
            everywhere = [(time, chunks) for time, chunks in everywhere]
        search.domain = Domain(np.array(known["box"]), everywhere, known["nodes"])
    search.method = data["method"]
    search.finished = set(data["finished"])
    search.stage = tuple(data["stage"])
    search.frontier = [(prefix, weight) for prefix, weight in data["frontier"]]
    search.chunks = {p: np.array(chunk, np.int32) for p, chunk in data["chunks"].items()}
    search.enter_words([_bits(word) for word in data["words"]])
    search.enter_exactly([_bits(word) for word in data["exact"]])
    for k, number in data["unexamined"].items():
        search.catalogs[int(k)].num_unexamined = number
    search.degenerate = set(data["degenerate"])
    search.count.update(data["count"])
    if data["closed"]:
        search.closed_frontier = _arrays(data["closed"])


def _arrays(lists: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of a closed search's frontier."""
    kinds = {"guess": bool, "words": bool, "counts": int}
    return {name: np.array(values, kinds.get(name, float)) for name, values in lists.items()}
