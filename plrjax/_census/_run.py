"""The one user function: an analysis of many networks, on any executor, resumed from its files."""

import collections
import contextlib
import inspect
import math
import os
import time
from collections.abc import Collection
from typing import Any

import jax
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from .._arguments import check_kind, checked_key
from .._digests import fact_of
from .._executors import (
    ATTEMPTS,
    AbstractPieces,
    Attempts,
    at_once,
    check_executor,
    checked_shard,
    run_pieces,
)
from .._files import note_unless_written, one_line, os_error_text, plrjax_version
from .._job import deadline_of, job
from .._job_folder import claim_folder
from .._parcels import Shared, check_sendable, jax_settings
from .._progress import AbstractProgress
from .._temporary import temporary_folder
from ._networks import Network, networks_from
from ._record import ERROR
from ._result import Census, collected
from ._work import Analysis, CannotWrite, Store, Tile

_HERE_SECONDS, _AWAY_SECONDS = 10.0, 120.0
"""What a tile is to take: processes of this machine begin the next one at once, a cluster's
scheduler takes its time."""
_FIRST = 8
"""Networks of a cluster's first tiles, while it is not known how long one takes."""


def census(
    networks: Any,
    analysis: Any,
    *,
    key: PRNGKeyArray | None = None,
    executor: Any = None,
    out: str | os.PathLike | None = None,
    shard: tuple[int, int] | str | None = None,
    load_with: dict[str, Any] | None = None,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
    **arguments: Any,
) -> Census:
    """Analyze many networks, each as `analysis(network, key=..., **arguments)`, into one table.

    The result of a network depends on its place among the networks, not on the executor, the tiles
    or the order. A network that cannot be read or analyzed is a row with its error.

    **Main arguments:**

    - `networks`: files, patterns such as "nets/*.npz", folders of training runs (all snapshots),
        manifests (`.csv` with a column `file`, or `.toml` with tables `[[network]]`; `kind`,
        `num_relu` and `index` are for `load`, all else are labels), or networks in memory; one or
        several. A file that holds many snapshots gives all of them.
    - `analysis`: `find_cycles`, `lyapunov_spectrum`, `find_attractors`, `detect_bifurcations`, or a
        function of a network that returns a number or a dictionary of numbers and texts.
    - `key`: `jax.random.key(seed)`, folded by the network's number, where the analysis takes one.
    - `executor`: None: this process. A number: so many processes of this machine, each with its own
        device. Or an executor of the `concurrent.futures` protocol (executorlib, Dask's
        `client.get_executor()`, parsl, mpi4py), whose workers must see `out`.
    - `out`: a folder. Every network has its row and its result there as soon as it is analyzed, and
        the same call goes on with those that are missing or failed. At the end the table is there,
        as `table.csv` and, with pyarrow, `table.parquet`.

    **Other arguments:**

    - `shard`: `(i, n)`: every n-th network from the i-th on, i from 0; `"array"`: the share of this
        task of a Slurm job array.
    - `load_with`: what `load` is told of files, such as `{"kind": "clipped-shallow"}`; `inputs`
        among it is a constant input of all of them.
    - `max_seconds`: time limit of the whole; networks that are not done by then are missing.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).
    - `arguments`: of the analysis.

    **Returns:** a `Census`. Ctrl-C returns what was done, with `result == RESULTS.interrupted`.

    **Raises:** `ValueError` naming the argument; `OSError` where `out` cannot be written.

    **Example:** `plr.census("nets/*.npz", plr.find_cycles, key=key, periods=range(1, 11),
    executor=8, out="census")`.
    """
    begun, deadline = time.perf_counter(), deadline_of(max_seconds)
    check_executor(executor)
    check_kind("progress", progress, AbstractProgress, "NoProgress() or ProgressBar()")
    part = checked_shard(shard)
    if out is None and (shard is not None or executor is not None and not _is_count(executor)):
        raise ValueError("out: expected a folder that all workers see, got None")
    what = _analysis(analysis, arguments, key)
    for name, value in {"analysis": analysis, **arguments}.items():
        check_sendable(name, value, executor)
    listed = networks_from(networks, load_with)
    with contextlib.ExitStack() as stack:
        folder = out
        if out is None and executor is not None:
            folder = stack.enter_context(temporary_folder())
        store = _store(folder, analysis, arguments, what, listed)
        own = range(part[0], len(listed), part[1])
        tiles = _Tiles(what, listed, store, own, executor)
        with job(progress, "networks", deadline) as work:
            tiles.deadline = deadline if executor is None else None
            run_pieces(executor, tiles, work)
        store.end()
        found = collected(
            store, len(listed), own, result=work.result, seconds=time.perf_counter() - begun
        )
        if out is None and executor is not None:
            found = _in_memory(found)
    if out is not None and shard is None:
        found = with_tables(found)
    return found


def _is_count(executor: Any) -> bool:
    return isinstance(executor, int)


def _analysis(function: Any, arguments: dict[str, Any], key: Any) -> Analysis:
    """Return what is done to every network, its arguments checked by name.

    **Raises:** `ValueError` naming `analysis`, `key` or the argument.
    """
    if not callable(function):
        raise ValueError(f"analysis: expected a function of a network, got {function!r}")
    parameters = inspect.signature(function).parameters
    named = [one.name for one in parameters.values() if one.kind is not one.VAR_KEYWORD][1:]
    for name in arguments if len(named) == len(parameters) - 1 else ():
        if name not in named:
            known = ", ".join(n for n in named if n not in ("key", "max_seconds", "progress"))
            raise ValueError(f"{name}: expected an argument of the analysis ({known or 'none'})")
    for name in named:
        needed = parameters[name].default is inspect.Parameter.empty
        if needed and name not in arguments and not (name == "key" and key is not None):
            raise ValueError(f"{name}: missing; the analysis needs it")
    key = None if key is None else checked_key(key)
    return Analysis(function, arguments, frozenset(named), key)


def _store(
    folder: Any, function: Any, arguments: dict[str, Any], what: Analysis, listed: list[Network]
) -> Store:
    """Return where rows and results are kept; a folder belongs to one census.

    **Raises:** `ValueError` naming `out` and what differs.
    """
    if folder is None:
        return Store(None)
    settings = {
        "analysis": fact_of(function),
        "arguments": fact_of(arguments),
        "key": _key_fact(what.key),
        "networks": [network.fact() for network in listed],
        "jax": jax_settings(),
        "versions": {"plrjax": plrjax_version(), "jax": jax.__version__},
    }
    try:
        store = Store(os.path.abspath(folder), claim_folder(folder, "out", "census", settings))
        store.begin()
    except OSError as error:
        raise CannotWrite(f"out: {os_error_text(error)}") from error
    return store


def _key_fact(key: Any) -> list[Any] | None:
    return None if key is None else [np.asarray(jr.key_data(key)).tolist(), str(jr.key_impl(key))]


def _in_memory(found: Census) -> Census:
    """Return the same, with results that no longer need their files."""
    kept = Store(None)
    for row, number in ((row, row["number"]) for row in found.rows):
        kept.put(number, row, found[number])
    return collected(kept, len(found), result=found.result, seconds=found.seconds)


def with_tables(found: Census) -> Census:
    """Write the tables beside the rows."""
    import importlib.util

    folder = found.store.folder
    assert folder is not None
    notes = note_unless_written("table", lambda: found.save(folder / "table.csv"))
    if found.rows and all(map(importlib.util.find_spec, ("pandas", "pyarrow"))):
        notes += note_unless_written("table", lambda: found.save(folder / "table.parquet"))
    return collected(found.store, len(found), result=found.result, seconds=found.seconds,
                     notes=tuple(notes[:1]))  # fmt: skip


class _Tiles(AbstractPieces):
    """Networks that are not done, handed out in tiles that take some seconds to minutes."""

    def __init__(self, what: Analysis, listed: list[Network], store: Store, own: range, executor):
        self.analysis, self.listed, self.store = Shared(what), listed, store
        self.left = collections.deque(n for n in own if not store.is_done(n))
        self.total, self.finished = len(own), len(own) - len(self.left)
        self.deadline: float | None = None
        self.attempts = Attempts()
        self.seconds, self.measured, self.fruitless = 0.0, 0, 0
        self.alone = executor is None
        self.here = self.alone or _is_count(executor)
        self.at_once = at_once(executor)

    def take(self) -> Tile | None:
        """Return the next tile: as many networks as fit, fewer towards the end."""
        if not (self.left and self.attempts.may_begin(self.left[0])):
            return None
        count = min(self._size(), len(self.left))
        numbers = [self.left.popleft()]
        while len(numbers) < count and not self.attempts.is_suspect(self.left[0]):
            numbers.append(self.left.popleft())
        networks = tuple((number, self.listed[number]) for number in numbers)
        attempt = self.attempts.of(numbers[0])
        return Tile(self.analysis, networks, self.store, attempt, self.deadline)

    def _size(self) -> int:
        """Return how many networks the next tile is to have."""
        head = self.left[0]
        if self.alone or self.attempts.of(head) or self.attempts.is_suspect(head):
            return 1
        fair = math.ceil(len(self.left) / (2 * self.at_once))
        if not self.measured:
            return min(fair, 1 if self.here else _FIRST)
        target = _HERE_SECONDS if self.here else _AWAY_SECONDS
        return max(min(fair, int(target * self.measured / max(self.seconds, 1e-9))), 1)

    def done(self, piece: Tile, value: tuple[dict[int, float], set[int]]) -> None:
        """Count what was done, and hand out again what was not."""
        seconds, others = value
        self.seconds += sum(seconds.values())
        self.measured += len(seconds)
        self.fruitless = 0
        self._again(piece, RuntimeError("ended before it was done"), seconds.keys() | others)
        if others:  # another census works on the same folder: go on elsewhere
            self.left.rotate(-(len(self.left) // 2) - os.getpid() % max(len(self.left), 1))

    def failed(self, piece: Tile, error: BaseException) -> None:
        """Hand a tile out again whose worker died; a network that does it again is a row.

        **Raises:** `OSError` where results cannot be written; `RuntimeError` where no tile works.
        """
        if isinstance(error, CannotWrite):
            raise error
        self.fruitless += 1
        if self.fruitless > 2 * ATTEMPTS * self.at_once and not self.measured:
            text = f"executor: no piece of work could be done: {_text(error)}"
            raise RuntimeError(text) from error
        self._again(piece, error, set())

    def _again(self, tile: Tile, error: BaseException, done: Collection[int]) -> None:
        """Put back what is not done of a tile; give up the one at its head after some attempts."""
        left = [n for n, _ in tile.networks if not (n in done or self.store.is_done(n))]
        self.finished += len(tile.networks) - len(left)
        first, head = tile.networks[0][0], left[0] if left else None
        if head != first:
            self.attempts.ended(first)
        if head is None:
            return
        if self.attempts.failed(head, error):
            network = self.listed[head]
            row = {"number": head, "network": network.name, **network.labels}
            self.store.put(head, row | {ERROR: f"{_text(error)} ({ATTEMPTS} times)"}, None)
            self.finished, left = self.finished + 1, left[1:]
        self.left.extendleft(reversed(left))

    def share(self) -> tuple[float, str]:
        """Return how much is done, and a note."""
        return self.finished / max(self.total, 1), f"{self.finished} of {self.total} networks"


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
