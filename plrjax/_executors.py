"""Pieces of work on any executor of the `concurrent.futures` protocol (PEP 3148)."""

import abc
import collections
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from typing import Any

from ._arguments import is_whole
from ._files import one_line
from ._job import Job
from ._pool import ProcessPool

_POLL_SECONDS = 0.2
"""From one look at the clock, and at Ctrl-C, to the next."""
_ARRAY = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
_UNKNOWN = 16
"""Pieces that an executor which does not say how many it runs at once is taken to run."""
ATTEMPTS = 3
"""How often a piece of work is begun whose worker dies."""
_AHEAD = 2
"""Pieces in flight for each that runs: the next one waits where the last one ends."""

Piece = Callable[[], Any]
"""What a worker does: it can be pickled, and called without arguments."""


class AbstractPieces(abc.ABC):
    """Where pieces of work come from, and what becomes of them."""

    @abc.abstractmethod
    def take(self) -> Piece | None:
        """Return the next piece, or None where none is left for now."""

    @abc.abstractmethod
    def done(self, piece: Any, value: Any) -> None:
        """Take note of a piece that was done, and of what it returned."""

    @abc.abstractmethod
    def failed(self, piece: Any, error: BaseException) -> None:
        """Take note of a piece that was not done; what is not to be tried again is raised."""

    @abc.abstractmethod
    def share(self) -> tuple[float, str]:
        """Return how much is done, and a note."""


class Attempts:
    """How often pieces were begun, by a name, and which must run alone.

    Where a process dies, the standard library's pool gives up all that is in flight, and does not
    say whose fault it was: each of them is begun again with nothing beside it.
    """

    def __init__(self):
        self._flying: set[int] = set()
        self._suspects: set[int] = set()
        self._failures: collections.Counter[int] = collections.Counter()

    def may_begin(self, name: int) -> bool:
        """Whether a piece may begin now; if so, it does."""
        if self._flying and (name in self._suspects or self._flying & self._suspects):
            return False
        self._flying.add(name)
        return True

    def ended(self, name: int) -> None:
        """A piece is no longer in flight."""
        self._flying.discard(name)
        self._suspects.discard(name)

    def is_suspect(self, name: int) -> bool:
        """Whether a piece is to run alone."""
        return name in self._suspects

    def failed(self, name: int, error: BaseException | None = None) -> bool:
        """Count a failure of what has ended, and return whether to give it up."""
        alone = name in self._suspects
        self.ended(name)
        if isinstance(error, BrokenExecutor):
            self._suspects.add(name)
        self._failures[name] += alone or not isinstance(error, BrokenExecutor)
        return self._failures[name] >= ATTEMPTS

    def of(self, name: int) -> int:
        """Return how often a piece has failed."""
        return self._failures[name]


class Numbered(AbstractPieces):
    """Pieces with numbers, in order; one whose worker dies, or that fails, is tried three times.

    **Arguments:** `left`: their numbers; `total`: how many there are with those done before;
    `piece`: makes one of its number and of how often it failed, with a field `number`; `what`: what
    one is called; `keep`: called with the number and the value of each.
    """

    def __init__(
        self,
        left: Iterable[int],
        total: int,
        what: str,
        piece: Callable[[int, int], Piece],
        keep: Callable[[int, Any], None],
    ):
        self.left, self.total = collections.deque(left), total
        self.finished = total - len(self.left)
        self._what, self._piece, self._keep = what, piece, keep
        self._attempts = Attempts()

    def take(self) -> Piece | None:
        """Return the next piece, or None where none is left for now."""
        if not (self.left and self._attempts.may_begin(self.left[0])):
            return None
        number = self.left.popleft()
        return self._piece(number, self._attempts.of(number))

    def done(self, piece: Any, value: Any) -> None:
        """Keep what a piece returned."""
        self._attempts.ended(piece.number)
        self._keep(piece.number, value)
        self.finished += 1

    def failed(self, piece: Any, error: BaseException) -> None:
        """Try a piece again, but for one that was asked for something wrong.

        **Raises:** `ValueError` where it did; `RuntimeError` after the third time.
        """
        if isinstance(error, ValueError):
            raise error
        if self._attempts.failed(piece.number, error):
            reason = f"{type(error).__name__}: {one_line(error)}"
            text = f"executor: {self._what} {piece.number} ({ATTEMPTS} times): {reason}"
            raise RuntimeError(text) from error
        self.left.append(piece.number)

    def share(self) -> tuple[float, str]:
        """Return how much is done, and a note."""
        return self.finished / max(self.total, 1), f"{self.finished} of {self.total}"


@contextlib.contextmanager
def _opened(executor: Any) -> Iterator[Any]:
    """Give an executor; a number makes a pool of processes. What the caller gave stays open."""
    if isinstance(executor, int):
        with ProcessPool(executor) as pool:
            yield pool
    else:
        yield executor


def at_once(executor: Any) -> int:
    """Return how many pieces an executor runs at once, or is taken to."""
    if executor is None or isinstance(executor, int):
        return executor or 1
    count = getattr(executor, "_max_workers", None)
    return count if isinstance(count, int) and count > 0 else _UNKNOWN


def check_executor(executor: Any) -> None:
    """Refuse what is neither a number of processes nor an executor.

    **Raises:** `ValueError` naming `executor`.
    """
    whole = isinstance(executor, int) and not isinstance(executor, bool) and executor > 0
    given = isinstance(executor, Executor) or callable(getattr(executor, "submit", None))
    if executor is not None and (isinstance(executor, type) or not (whole or given)):
        raise ValueError(
            "executor: expected a number of processes, or an executor with `submit` as in "
            f"concurrent.futures, got {executor!r}"
        )


def run_pieces(executor: Any, pieces: AbstractPieces, work: Job) -> None:
    """Do pieces of work until none is left, a bounded number in flight; Ctrl-C cancels the rest.

    Without an executor they are done here, one after the other.
    """
    if executor is None:
        while (piece := pieces.take()) is not None:
            work.check()
            pieces.done(piece, piece())
            work.update(*pieces.share())
        return
    flying: dict[Future, Piece] = {}
    most = _AHEAD * at_once(executor)
    with _opened(executor) as pool:
        try:
            while True:
                work.check()
                while len(flying) < most and (piece := pieces.take()) is not None:
                    flying[pool.submit(piece)] = piece
                if not flying:
                    return
                for future in wait(flying, _POLL_SECONDS, FIRST_COMPLETED).done:
                    _land(future, flying.pop(future), pieces)
                work.update(*pieces.share())
        finally:
            for future in flying:
                future.cancel()


def _land(future: Future, piece: Piece, pieces: AbstractPieces) -> None:
    """Hand on what became of a piece."""
    if future.cancelled():
        pieces.failed(piece, RuntimeError("the executor cancelled it"))
    elif (error := future.exception()) is not None:
        pieces.failed(piece, error)
    else:
        pieces.done(piece, future.result())


def checked_shard(shard: Any) -> tuple[int, int]:
    """Return (i, n), from the job array where that is asked for."""
    if shard is None:
        return 0, 1
    if isinstance(shard, str) and shard == "array":
        if not all(os.environ.get(name, "").isdigit() for name in _ARRAY):
            raise ValueError(
                f"shard: expected a Slurm job array, but {', '.join(_ARRAY)} are unset"
            )
        task, least, count = (int(os.environ[name]) for name in _ARRAY)
        step = os.environ.get("SLURM_ARRAY_TASK_STEP", "1")
        shard = ((task - least) // max(int(step) if step.isdigit() else 1, 1), count)
        if shard[0] >= count:
            raise ValueError(
                f"shard: expected a job array of evenly spaced numbers, such as 0-63, got {count} "
                f"from {least} on, {task} among them"
            )
    pair = tuple(shard) if isinstance(shard, tuple | list) else ()
    if len(pair) != 2 or not all(map(is_whole, pair)) or not 0 <= pair[0] < pair[1]:
        raise ValueError(f"shard: expected (i, n) with 0 <= i < n, or 'array', got {shard!r}")
    return int(pair[0]), int(pair[1])
