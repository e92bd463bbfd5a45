"""Results in native files: arrays, and facts about them in the header, as their fields say.

The annotation of a field is its whole description. `Float[np.ndarray, "cycle time state"]` is an
array of this kind and rank, and all arrays of a result that share an axis are equally long along
it. Any other field is a fact, and goes into the header as JSON.
"""

import collections
import dataclasses
import enum
import functools
import json
import os
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from ._files import MAX_BYTES, one_line, read_arrays, write_arrays
from ._json import parse_json
from ._tables import AbstractTabular

_Result = TypeVar("_Result", bound="AbstractSaved")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class AbstractSaved(AbstractTabular):
    """A result that is written to `.npz` or `.safetensors` and read back without a loss.

    Subclasses are dataclasses. They name the `file_type` in the header, and state what the
    annotations do not tell: fields that older files lack (`file_later`), and of whole numbers in
    arrays the least value and the largest one, an axis' length plus a number (`file_bounds`).
    """

    file_type: ClassVar[str]
    file_arrays: ClassVar[tuple[str, ...]]
    file_later: ClassVar[tuple[str, ...]] = ()
    file_bounds: ClassVar[Mapping[str, tuple[int, str, int]]] = {}

    def __init_subclass__(cls):
        super().__init_subclass__()
        cls.file_arrays = tuple(n for n, kind in cls.__annotations__.items() if _is_array(kind))

    @classmethod
    def _arrays_along(cls, axis: str) -> list[str]:
        """Return the names of the arrays whose rows are along an axis."""
        return [name for name, axes in _axes_of(cls).items() if axes[0] == axis]

    @classmethod
    def _check_arrays(cls, arrays: Mapping[str, np.ndarray], path: str) -> None:
        """Refuse arrays that are not as annotated; an axis is as long as most arrays have it.

        **Raises:** `ValueError` naming the path and the array.
        """
        kinds, lengths = _kinds_of(cls), collections.defaultdict(collections.Counter)
        all_axes = {name: axes for name, axes in _axes_of(cls).items() if name in arrays}
        for name, axes in all_axes.items():
            array = arrays[name]
            fits = array.dtype.name in kinds[name].dtypes and array.dtype.kind in "biufc"
            if not fits or array.ndim != len(axes):
                raise _misfit(path, name, kinds[name].__name__, array)
            for axis, length in zip(axes, array.shape):
                lengths[axis][length] += 1
        sizes = {axis: counts.most_common(1)[0][0] for axis, counts in lengths.items()}
        sizes |= {axis: int(axis) for axis in sizes if axis.isdigit()}
        for name, axes in all_axes.items():
            if arrays[name].shape != tuple(sizes[axis] for axis in axes):
                where = ", ".join(f"{axis} = {sizes[axis]}" for axis in dict.fromkeys(axes))
                raise _misfit(path, name, f"{kinds[name].__name__} with {where}", arrays[name])
        for name, (low, axis, more) in cls.file_bounds.items():
            array, high = arrays[name], sizes[axis] + more
            if not ((array >= low) & (array <= high)).all():
                raise ValueError(f"{path}: {name}: expected {low} to {high} in every row")

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(getattr(self, name)) for name in self.file_arrays}

    def _facts(self) -> dict[str, Any]:
        """Return the other fields as JSON knows them; None stands for what is not there."""
        facts = {name: (kind, getattr(self, name)) for name, kind in _facts_of(type(self)).items()}
        return {name: _encoded(*fact) for name, fact in facts.items() if fact[1] is not None}

    def __eq__(self, other: object) -> bool:
        """Whether arrays and facts are the same, NaN the same as NaN; times and counts aside."""
        if not isinstance(other, AbstractSaved) or type(other) is not type(self):
            return NotImplemented
        pairs = zip(self._arrays().values(), other._arrays().values())
        facts = ({**one._facts(), "stats": None} for one in (self, other))
        texts = {json.dumps(one, sort_keys=True) for one in facts}
        return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs) and len(texts) == 1

    def __hash__(self) -> int:
        return hash((type(self), *(array.shape for array in self._arrays().values())))

    def save(self, path: str | os.PathLike) -> None:
        """Write everything to `.npz` or `.safetensors` (no pickle; atomic)."""
        header = {"type": self.file_type, "kind": self.file_type}
        header["facts"] = json.dumps(self._facts())
        write_arrays(path, header, self._arrays())

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
        given = {name: arrays[name] for name in cls.file_arrays if name in arrays}
        absent = [n for n in cls.file_arrays if n not in given and n not in cls.file_later]
        if absent:
            raise ValueError(f"{path}: the arrays {', '.join(absent)} are missing")
        cls._check_arrays(given, path)
        try:
            facts = parse_json(header["facts"], MAX_BYTES)
            fields = {
                name: _decoded(kind, facts[name])
                for name, kind in _facts_of(cls).items()
                if name in facts or name not in cls.file_later
            }
            return cls(**given, **fields)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{path}: the header of this file of type {cls.file_type} is damaged "
                f"({type(error).__name__}: {one_line(error)[:80]})"
            ) from error


def _misfit(path: str, name: str, wanted: str, array: np.ndarray) -> ValueError:
    return ValueError(f"{path}: {name}: expected {wanted}, got {array.dtype} {array.shape}")


# What annotations say


def _is_array(kind: Any) -> bool:
    return hasattr(kind, "dim_str")


@functools.cache
def _kinds_of(result: type[AbstractSaved]) -> dict[str, Any]:
    """Return the annotation of each field, without the None of what may not be there."""
    return {field.name: _present(field.type) for field in dataclasses.fields(result)}


def _present(kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one is not types.NoneType)
    return kind


@functools.cache
def _axes_of(result: type[AbstractSaved]) -> dict[str, tuple[str, ...]]:
    """Return the axes of each array, by name or, where their length is given, by number."""
    kinds = _kinds_of(result)
    return {name: tuple(kinds[name].dim_str.split()) for name in result.file_arrays}


@functools.cache
def _facts_of(result: type[AbstractSaved]) -> dict[str, Any]:
    return {name: kind for name, kind in _kinds_of(result).items() if not _is_array(kind)}


@functools.cache
def _parts_of(kind: Any) -> dict[str, Any] | None:
    """Return the annotations of a dataclass' or named tuple's fields, None of anything else."""
    whole = dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")
    return typing.get_type_hints(kind) if whole else None


def _is_listed(key: Any, inner: Any) -> bool:
    """Whether a mapping is a list of pairs in files: from names, whose order counts."""
    return key is str and inner is not Any


def _encoded(kind: Any, value: Any) -> Any:
    """Return a fact as JSON knows it: members by name, dataclasses and tuples as lists."""
    inner, parts = typing.get_args(kind), _parts_of(kind)
    if kind is Any:
        return _plain(value)
    if typing.get_origin(kind) is tuple:
        return [_encoded(inner[0], one) for one in value]
    if typing.get_origin(kind) is Mapping:
        pairs = [(key, _encoded(inner[1], one)) for key, one in value.items()]
        return [*map(list, pairs)] if _is_listed(*inner) else {str(k): one for k, one in pairs}
    if parts is not None:
        return [_encoded(part, getattr(value, name)) for name, part in parts.items()]
    return value.name if issubclass(kind, enum.Enum) else value


def _decoded(kind: Any, value: Any) -> Any:
    """Return the fact that `_encoded` wrote down.

    **Raises:** `KeyError`, `TypeError` or `ValueError` where it is of another kind.
    """
    inner, origin, parts = typing.get_args(kind), typing.get_origin(kind), _parts_of(kind)
    if kind is Any:
        return value
    if origin is Mapping and not _is_listed(*inner):
        return {inner[0](k): _decoded(inner[1], one) for k, one in _of(dict, value).items()}
    if origin is Mapping:
        return {_of(str, k): _decoded(inner[1], one) for k, one in _of(list, value)}
    if origin is tuple:
        return tuple(_decoded(inner[0], one) for one in _of(list, value))
    if parts is not None:
        pairs = zip(parts.values(), _of(list, value), strict=True)
        return kind(*(_decoded(part, one) for part, one in pairs))
    if issubclass(kind, enum.Enum):
        return kind[value]
    return float(value) if kind is float and type(value) is int else _of(kind, value)


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _plain(value: Any) -> Any:
    """Return `value` with NumPy arrays and scalars turned into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
