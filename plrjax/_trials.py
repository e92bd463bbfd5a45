"""Series as experiments give them: trials of different lengths, with values that are missing."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ._numerics import as_real

LONGEST_GAP = 10
"""Rows without any value in a row that a window may hold, by default; more are a gap."""


class Trials(NamedTuple):
    """Trials, one after the other.

    **Fields:** `values`: missing ones are interpolated between their neighbors in time, in the same
    trial; `seen`: which ones were observed; `ends`: the row after each trial.
    """

    values: Float[np.ndarray, "row variable"]
    seen: Bool[np.ndarray, "row variable"]
    ends: Int[np.ndarray, " trial"]

    @property
    def starts(self) -> Int[np.ndarray, " trial"]:
        """The first row of each trial."""
        return np.concatenate([[0], self.ends[:-1]])

    def stretches(self, longest_gap: int = LONGEST_GAP) -> Iterator[tuple[int, int]]:
        """Yield (first row, row after the last one) of what lies between gaps, trial by trial.

        Both ends are observed. A gap is more than `longest_gap` rows in a row without any value.
        """
        some = np.asarray(self.seen.any(axis=1))
        for start, end in zip(self.starts.tolist(), self.ends.tolist()):
            rows = start + np.flatnonzero(some[start:end])
            cuts = np.flatnonzero(np.diff(rows) > longest_gap + 1)
            for part in np.split(rows, cuts + 1):
                if len(part):
                    yield int(part[0]), int(part[-1]) + 1

    def note(self, longest_gap: int = LONGEST_GAP) -> str | None:
        """Return how much is missing, in words; None where nothing is."""
        if self.seen.all():
            return None
        share, parts = 100 * (1 - self.seen.mean()), sum(1 for _ in self.stretches(longest_gap))
        trials = f"{len(self.ends)} trial{'' if len(self.ends) == 1 else 's'}"
        plural = "stretch" if parts == 1 else "stretches"
        return f"{share:.3g} % of all values are missing; {parts} {plural} between gaps in {trials}"


def is_several(value: Any) -> bool:
    """Return whether these are several trials: (trial, time, variable), or a list of arrays."""
    if isinstance(value, list | tuple) and value:
        return np.ndim(value[0]) == 2
    return np.ndim(value) == 3


def checked_trials(name: str, value: Any, mask: Any = None) -> Trials:
    """Return the trials of one series (time, variable), of an array of them, or of a list of them.

    **Arguments:** `mask`: True where a value was observed, of the same shape, or one number per
    row; NaN is missing as well.

    **Raises:** `ValueError` naming the argument.
    """
    arrays = list(value) if is_several(value) else [value]
    masks: list[Any] = [None] * len(arrays)
    if mask is not None:
        masks = list(mask) if is_several(value) else [mask]
        if len(masks) != len(arrays):
            raise ValueError(
                f"mask: expected one for each of {len(arrays)} trials, got {len(masks)}"
            )
    found = [
        _one_trial(f"{name}[{row}]" if len(arrays) > 1 else name, array, own)
        for row, (array, own) in enumerate(zip(arrays, masks))
    ]
    widths = {values.shape[1] for values, _ in found}
    if len(widths) > 1:
        raise ValueError(f"{name}: expected as many variables in every trial, got {sorted(widths)}")
    values, seen = (np.concatenate(parts) for parts in zip(*found))
    never = np.flatnonzero(~seen.any(axis=0))
    if len(never):
        raise ValueError(f"{name}: variable {never[0]} is never observed; leave it out")
    return Trials(values, seen, np.cumsum([len(part) for part, _ in found]))


def _one_trial(name: str, value: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the filled values of one trial, and which ones were observed."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected a rectangular array of numbers ({error})") from error
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name}: expected shape (time, variable), got {array.shape}")
    if array.dtype.kind != "f":
        array = as_real(name, array).astype(np.float64)
    seen = ~np.isnan(array)
    if mask is not None:
        seen &= _checked_mask(name, mask, array.shape)
    as_real(name, np.where(seen, array, 0.0))  # infinite ones are refused
    return _filled(array, seen), seen


def _checked_mask(name: str, mask: Any, shape: tuple[int, int]) -> np.ndarray:
    given = np.asarray(mask)
    if given.dtype.kind != "b":
        raise ValueError(f"mask: expected True where {name} was observed, got {given.dtype}")
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or given.shape[0] != shape[0] or given.shape[1] not in (1, shape[1]):
        raise ValueError(f"mask: expected shape {shape} or ({shape[0]},), got {np.shape(mask)}")
    return given


def _filled(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the values, with missing ones interpolated; 0 where a variable has none at all."""
    if seen.all():
        return values
    found, times = np.where(seen, values, 0.0).astype(values.dtype), np.arange(len(values))
    for column in range(values.shape[1]):
        known = np.flatnonzero(seen[:, column])
        if 0 < len(known) < len(values):
            found[:, column] = np.interp(times, known, values[known, column])
    return found
