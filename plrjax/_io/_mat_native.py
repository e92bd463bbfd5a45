"""Models in MATLAB 5 files that MATLAB opens as they are, and that come back bit for bit."""

import io
import json
import math
import os
import re

import numpy as np

from .. import _files

HEADER = "plrjax_header"
"""The variable with the header, JSON in bytes: MATLAB's names begin with a letter."""
_DESCRIPTION = b"MATLAB 5.0 MAT-file, written by plrjax".ljust(116)
"""Instead of a date, so that equal models are equal files."""


def write_mat(path: str | os.PathLike, header: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as variables of their own, vectors as columns, and the header beside them.

    **Raises:** `ValueError` for a name or dtype that MATLAB does not have; `FileNotFoundError` if
    the folder does not exist.
    """
    import scipy.io

    for name, array in arrays.items():
        if not re.fullmatch(r"[A-Za-z]\w{0,62}", name, re.ASCII) or name == HEADER:
            raise ValueError(f"{path}: {name!r} cannot be the name of a variable of MATLAB; "
                             f"save to .npz or .safetensors")  # fmt: skip
        if array.dtype.kind not in "fiu" or str(array.dtype) == "float16" or array.ndim > 2:
            raise ValueError(f"{path}: {name}: MATLAB has no {array.ndim}-d {array.dtype} here; "
                             f"save to .npz or .safetensors")  # fmt: skip
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    told = {"format": _files.FORMAT, **header, "version": _files.plrjax_version(), "shape": shapes}
    text = json.dumps(told, ensure_ascii=False, sort_keys=True)
    variables = {HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables, oned_as="column")
    data = buffer.getvalue()
    _files.write_bytes(path, _DESCRIPTION + data[len(_DESCRIPTION) :])


def split_header(arrays: dict[str, np.ndarray], max_bytes: int) -> tuple[dict, dict]:
    """Return (header, arrays in the shapes it tells); the header of other programs' files is {}.

    **Raises:** `ValueError` if the header is damaged, or does not fit the arrays.
    """
    if HEADER not in arrays:
        return {}, arrays
    held = {name: array for name, array in arrays.items() if name != HEADER}
    header = _files.parse_header(arrays[HEADER].tobytes(), max_bytes)
    shapes = header.get("shape")
    if not isinstance(shapes, dict) or set(shapes) != set(held):
        raise ValueError("the header does not fit the arrays")
    for name, shape in shapes.items():
        whole = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
        if not whole or len(shape) > 2 or math.prod(shape) != held[name].size:
            raise ValueError(f"{name}: the header says shape {str(shape)[:80]}")
        held[name] = held[name].reshape(shape)
    return header, held
