"""What a row of a census says of a result: numbers and texts by column."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._lyapunov import LyapunovSpectrum
from .._results import ATTRACTOR, BIFURCATION, STABILITY
from .._saved import AbstractSaved
from ..attractors import AttractorSet
from ..bifurcations import Bifurcations
from ..cycles import CycleSet

_MAX_EXPONENTS = 10
"""Exponents with columns of their own, from the largest; the result's file holds all."""

ERROR = "error"
"""The column of what went wrong with a network."""
RESERVED = frozenset({"number", "network", "seconds", ERROR})
"""Columns that neither labels nor analyses can have."""

Record = dict[str, Any]


def record_of(found: Any) -> Record:
    """Return the columns of a result, or of what a user's function returned.

    **Raises:** `ValueError` for anything that is no row.
    """
    if isinstance(found, CycleSet):
        return _of_cycles(found)
    if isinstance(found, LyapunovSpectrum):
        return _of_spectrum(found)
    if isinstance(found, AttractorSet):
        return _of_attractors(found)
    if isinstance(found, Bifurcations):
        return _of_bifurcations(found)
    if isinstance(found, AbstractSaved):
        return {}
    if isinstance(found, Mapping):
        return {str(name): _plain(str(name), value) for name, value in found.items()}
    return {"value": _plain("value", found)}


def _plain(name: str, value: Any) -> Any:
    """Return a number or a text of Python."""
    if isinstance(value, str | None) or isinstance(value, bool | int | float):
        return value
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "biuf":
        raise ValueError(
            f"analysis: {name}: expected a number or a text, or a result such as those of "
            f"find_cycles, got {value!r}"
        )
    return array.item()


def _of_cycles(found: CycleSet) -> Record:
    stable = found.is_isolated & (found.stability == STABILITY.stable)
    counts = found.counts()
    row: Record = {f"cycles_{k}": count for k, count in counts.items()}
    row |= {f"stable_{k}": int(np.sum(stable & (found.period == k))) for k in counts}
    row |= {"cycles": sum(counts.values()), "stable": int(stable.sum())}
    return row | {"coverage": found.coverage.name, "result": found.result.name}


def _of_spectrum(found: LyapunovSpectrum) -> Record:
    row: Record = {}
    pairs = zip(found.exponents[:_MAX_EXPONENTS].tolist(), found.standard_error.tolist())
    for number, (exponent, error) in enumerate(pairs, start=1):
        row |= {f"exponent_{number}": exponent, f"error_{number}": error}
    row |= {"entropy_sum": float(found.entropy_sum), "kaplan_yorke": float(found.kaplan_yorke)}
    row |= {"attractors": len(found.attractor_exponents)}
    return row | {"result": found.result.name}


def _of_attractors(found: AttractorSet) -> Record:
    row: Record = {code.name: int(np.sum(found.kind == code)) for code in ATTRACTOR}
    return row | {"largest_exponent": _largest(found.lyapunov), "result": found.result.name}


def _of_bifurcations(found: Bifurcations) -> Record:
    row: Record = {code.name: int(np.sum(found.kind == code)) for code in BIFURCATION}
    return {"events": len(found.kind)} | row | {"result": found.result.name}


def _largest(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else float("nan")
