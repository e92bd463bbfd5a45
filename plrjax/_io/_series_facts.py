"""What can be said of an array that looks like a time series."""

import numpy as np


def series_among(arrays: dict[str, np.ndarray]) -> dict[str, dict]:
    """Return facts of the arrays that are longer than wide, time x variable, of real numbers.

    They are `time_steps`, `variables`, `minimum` and `maximum` (None if nothing is finite), and
    `nan_share`.
    """
    return {
        name: _facts(array)
        for name, array in arrays.items()
        if array.ndim == 2 and array.dtype.kind == "f" and array.shape[0] > array.shape[1] > 0
    }


def _facts(array: np.ndarray) -> dict:
    finite = np.isfinite(array)
    some = bool(finite.any())
    return {
        "time_steps": array.shape[0],
        "variables": array.shape[1],
        "minimum": float(array.min(where=finite, initial=np.inf)) if some else None,
        "maximum": float(array.max(where=finite, initial=-np.inf)) if some else None,
        "nan_share": float(np.isnan(array).mean()),
    }
