"""One long computation: its progress, its time limit, Ctrl-C, and how it ended."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from ._arguments import checked_positive
from ._interrupts import reporting
from ._progress import AbstractProgress, NoProgress
from ._results import RESULTS


class OutOfTime(Exception):
    """The time limit of a computation ran out; `job` catches it."""


class Job:
    """What a computation tells while it goes on.

    **Fields:** `report`: whom it tells; `deadline`: when it must end, on the clock
    `time.perf_counter`, or None; `result`: how it ended.
    """

    def __init__(self, deadline: float | None = None):
        self.report: AbstractProgress = NoProgress()
        self.deadline, self.result = deadline, RESULTS.successful

    def update(self, share: float, note: str = "") -> None:
        """Say how far it is, and end here where Ctrl-C was pressed."""
        self.report.update(share, note)

    def check(self) -> None:
        """End here where the time is over; asked before each piece of work.

        **Raises:** `OutOfTime`.
        """
        if self.deadline is not None and time.perf_counter() > self.deadline:
            raise OutOfTime


def deadline_of(max_seconds: Any) -> float | None:
    """Return when a computation that begins now must end; None for never.

    **Raises:** `ValueError` naming `max_seconds`.
    """
    if max_seconds is None:
        return None
    return time.perf_counter() + checked_positive("max_seconds", max_seconds)


@contextlib.contextmanager
def job(
    progress: AbstractProgress | None, label: str, deadline: float | None = None
) -> Iterator[Job]:
    """Run the block as one computation, which Ctrl-C and the deadline end, wherever it is.

    What is done by then must be found in variables of the block; `result` says how it ended.
    """
    found = Job(deadline)
    try:
        with reporting(progress, label) as found.report:
            yield found
    except KeyboardInterrupt:
        found.result = RESULTS.interrupted
    except OutOfTime:
        found.result = RESULTS.budget_exhausted
