"""The same analysis of many networks of one family, one after the other, in one call."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from ._arguments import checked_key
from ._job import deadline_of, job
from ._progress import AbstractProgress, NoProgress
from ._results import RESULTS
from ._tables import AbstractTabular, Table, plural


@runtime_checkable
class HasRow(Protocol):
    """A result that a table of many shows as a row."""

    def _row(self) -> dict[str, str]: ...


_Result = TypeVar("_Result", bound=HasRow)

_MAX_ROWS = 40
"""Networks that a printed table shows; of more it shows the first half and the last."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Results(AbstractTabular, Sequence, Generic[_Result]):
    """What an analysis found of each of many networks, in their order; prints as one table.

    Indexing gives the result of one network, a slice `Results` of some.

    **Fields:** `each`: the results; those of the first networks only where `result` is not
    `successful`; `num_networks`: how many there were to analyze; `seconds`: that all took.
    """

    each: tuple[_Result, ...]
    num_networks: int
    result: RESULTS = RESULTS.successful
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, index):
        if isinstance(index, slice):
            each = self.each[index]
            return dataclasses.replace(self, each=each, num_networks=len(each))
        return self.each[index]

    def __iter__(self) -> Iterator[_Result]:
        return iter(self.each)

    def _table(self) -> Table:
        rows = {number: one._row() for number, one in enumerate(self.each)}
        head = ("network", *dict.fromkeys(name for row in rows.values() for name in row))
        lines = [(str(n), *(row.get(name, "") for name in head[1:])) for n, row in rows.items()]
        half = _MAX_ROWS // 2
        if len(lines) > _MAX_ROWS:
            lines = [*lines[:half], ("...",) + ("",) * (len(head) - 1), *lines[-half:]]
        count = plural(self.num_networks, "network")
        done = "" if len(self) == self.num_networks else f", {len(self)} analyzed"
        return Table([f"{count}{done}, {self.seconds:.1f} s"], head, lines, self.result.lines())


def networks_of(model: Any) -> list[Any] | None:
    """Return the networks of a list, or of a stack along a leading axis; None for one network.

    A stack is a model whose h (or h1, or b) is not a vector, as `equinox.filter_vmap` makes them.

    **Raises:** `ValueError` for a list without networks.
    """
    if isinstance(model, list | tuple):
        if not model:
            raise ValueError("model: expected networks, got an empty list")
        return list(model)
    shifts = (getattr(model, name, None) for name in ("h", "h1", "b"))
    shift = next((array for array in shifts if array is not None), None)
    if not isinstance(model, eqx.Module) or shift is None or np.ndim(shift) != 2:
        return None
    arrays, rest = eqx.partition(model, eqx.is_array)
    take = lambda i: eqx.combine(jax.tree.map(lambda array: array[i], arrays), rest)
    return [take(i) for i in range(len(shift))]


def each_of(
    networks: Sequence[Any],
    analyze: Callable[..., _Result],
    *,
    key: PRNGKeyArray | None,
    max_seconds: float | int | None,
    progress: AbstractProgress | None,
) -> Results[_Result]:
    """Call `analyze(network, key=..., max_seconds=..., ...)` for one network after the other.

    Network i has the key with i folded in, whatever the others are. Ctrl-C and the time limit
    keep what is done.

    **Raises:** `ValueError` naming `key` or `max_seconds`.
    """
    key = None if key is None else checked_key(key)
    begun, deadline, done = time.perf_counter(), deadline_of(max_seconds), []
    with job(progress, "networks", deadline) as work:
        for number, network in enumerate(networks):
            work.check()
            work.update(number / len(networks), f"network {number + 1} of {len(networks)}")
            left = None if deadline is None else max(deadline - time.perf_counter(), 1e-3)
            folded = None if key is None else jr.fold_in(key, number)
            done.append(analyze(network, key=folded, max_seconds=left, progress=NoProgress()))
    seconds = time.perf_counter() - begun
    return Results(tuple(done), len(networks), work.result, seconds)
