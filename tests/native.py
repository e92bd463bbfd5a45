"""Native `.npz` files as any program can write them: NumPy's archive, with a header in JSON."""

import json
import os
from typing import Any

import numpy as np

_HEADER = "__plrjax__"


def read_native(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays."""
    with np.load(path) as file:
        arrays = dict(file)
    return json.loads(arrays.pop(_HEADER).tobytes()), arrays


def write_native(path: str | os.PathLike, header: dict, arrays: dict[str, Any]) -> None:
    """Write arrays and a header, to which the format and the dtypes are added."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    dtypes = {name: array.dtype.name for name, array in arrays.items()}
    text = json.dumps({"format": 1, **header, "version": "0.1.0", "dtype": dtypes})
    entries: dict[str, Any] = {_HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    np.savez(path, **entries)
