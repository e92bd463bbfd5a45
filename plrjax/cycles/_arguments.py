"""Checks of what users pass to `find_cycles`."""

from typing import Any

import numpy as np

from .._numerics import is_positive_whole


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
    if not items:
        raise ValueError("periods: expected at least one period, got none")
    return sorted({int(item) for item in items})


def check_budget(num_searches: Any, max_seconds: Any) -> None:
    """Refuse limits that are not positive."""
    if num_searches is not None:
        if not is_positive_whole(num_searches):
            raise ValueError(f"num_searches: expected a positive integer, got {num_searches!r}")
    number = isinstance(max_seconds, int | float | np.number)
    if max_seconds is not None and not (number and max_seconds > 0):
        raise ValueError(f"max_seconds: expected a positive number, got {max_seconds!r}")
