"""Results in native files: arrays, and facts about them in the header."""

import abc
import json
import os
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from ._files import MAX_BYTES, one_line, read_arrays, write_arrays
from ._json import parse_json

_KINDS = {"notes": list, "stats": dict, "coverage_domain": str, "result": str}
_Result = TypeVar("_Result", bound="AbstractSaved")


def check_rows(arrays: Mapping, kinds: Mapping[str, tuple[str, int]], count: int, path: str):
    """Refuse arrays of another number of rows, kind of dtype ("f", "i", ...) or rank.

    **Raises:** `ValueError` naming the path and the array.
    """
    for name, (kind, rank) in kinds.items():
        array = arrays[name]
        if array.dtype.kind != kind or array.ndim != rank or len(array) != count:
            raise ValueError(
                f"{path}: {name}: expected {count} rows of kind {kind!r} and rank {rank}, "
                f"got {array.dtype} {array.shape}"
            )


def _check_facts(facts: Any) -> None:
    """Refuse facts that all results have, where they are of another kind.

    **Raises:** `TypeError`.
    """
    for name, kind in _KINDS.items():
        if not isinstance(facts.get(name, kind()), kind):
            raise TypeError(name)
    if not all(isinstance(note, str) for note in facts.get("notes", [])):
        raise TypeError("notes")


class AbstractSaved(abc.ABC):
    """A result that is written to `.npz` or `.safetensors` and read back without a loss.

    Subclasses are dataclasses. They name the `file_type` in the header, the fields that are
    `file_arrays`, and turn all other fields into JSON and back.
    """

    file_type: ClassVar[str]
    file_arrays: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def _facts(self) -> dict[str, Any]:
        """Return the other fields as JSON knows them."""

    @classmethod
    @abc.abstractmethod
    def _fields(cls, facts: dict[str, Any]) -> dict[str, Any]:
        """Return the other fields from what `_facts` returned."""

    @classmethod
    @abc.abstractmethod
    def _check_arrays(cls, arrays: Mapping, path: str) -> None:
        """Refuse arrays of another kind, rank or length."""

    def save(self, path: str | os.PathLike) -> None:
        """Write everything to `.npz` or `.safetensors` (no pickle; atomic)."""
        header = {"type": self.file_type, "kind": self.file_type}
        header["facts"] = json.dumps(self._facts())
        write_arrays(path, header, {name: getattr(self, name) for name in self.file_arrays})

    @classmethod
    def load(cls: type[_Result], path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> _Result:
        """Read a file written by `save`.

        **Arguments:** `path`: the file; `max_bytes`: most bytes of it, and of its arrays together.

        **Raises:** `ValueError` where the file is damaged or holds something else.
        """
        header, arrays = read_arrays(path, max_bytes)
        return cls.from_parts(header, arrays, os.fspath(path))

    @classmethod
    def from_parts(cls: type[_Result], header: Mapping, arrays: Mapping, path: str) -> _Result:
        """Rebuild the result from a native file's header and arrays.

        **Raises:** `ValueError` where the file is damaged or holds something else.
        """
        kind = header.get("type")
        if kind != cls.file_type:
            raise ValueError(f"{path}: expected a file of type {cls.file_type}, got {kind!r}")
        absent = [name for name in cls.file_arrays if name not in arrays]
        if absent:
            raise ValueError(f"{path}: the arrays {', '.join(absent)} are missing")
        cls._check_arrays(arrays, path)
        try:
            facts = parse_json(header["facts"], MAX_BYTES)
            _check_facts(facts)
            fields = cls._fields(facts)
            return cls(**{name: arrays[name] for name in cls.file_arrays}, **fields)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{path}: the header of this file of type {cls.file_type} is damaged "
                f"({type(error).__name__}: {one_line(error)[:80]})"
            ) from error
