"""Checks of what users pass to `find_cycles`."""

from typing import Any

import numpy as np

from .._memory import check_memory
from .._numerics import is_number, is_positive_whole

LONGEST = 100_000
"""Orbits of 2 k steps are simulated first: some 20 seconds at this period, which nothing cuts."""
_SEARCH_BYTES = 16
"""What is kept of each search: its steps, whether it converged, and copies of both."""


def checked_periods(periods: Any) -> list[int]:
    """Return sorted distinct positive integers."""
    values = [periods] if isinstance(periods, int | np.integer) else periods
    try:
        items = list(values)
    except TypeError:
        raise ValueError(
            f"periods: expected a positive integer or several, got {type(periods).__name__}"
        ) from None
    for item in items:
        if not is_positive_whole(item):
            raise ValueError(f"periods: expected positive integers, got {item!r}")
        if item > LONGEST:
            raise ValueError(
                f"periods: expected at most {LONGEST}, got {str(item)[:40]}: orbits of twice as "
                "many steps come before any search"
            )
    if not items:
        raise ValueError("periods: expected at least one period, got none")
    return sorted({int(item) for item in items})


def check_budget(num_searches: Any, max_seconds: Any) -> None:
    """Refuse limits that are not positive."""
    if num_searches is not None:
        if not is_positive_whole(num_searches):
            raise ValueError(f"num_searches: expected a positive integer, got {num_searches!r}")
        check_memory("num_searches", num_searches, _SEARCH_BYTES * int(num_searches))
    if max_seconds is not None and not (is_number(max_seconds) and max_seconds > 0):
        raise ValueError(f"max_seconds: expected a positive number, got {max_seconds!r}")
