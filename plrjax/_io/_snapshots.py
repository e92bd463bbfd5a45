"""Fields of one network: chosen among snapshots, and brought into our shapes and order."""

import numpy as np

from ..models import KINDS


def _vector_rank(array: np.ndarray) -> int:
    """Return the number of axes of a vector field, not counting those of a row or column."""
    return array.ndim - 1 if array.ndim == 2 and min(array.shape) == 1 else array.ndim


def count_snapshots(fields: dict[str, np.ndarray], shapes: dict[str, str]) -> int | None:
    """Return the length N of the leading snapshot axis, None if no array has one.

    **Raises:** `ValueError` if the arrays disagree.
    """
    votes: dict[str, int] = {}
    for name, shape in shapes.items():
        rank = len(shape.split())
        if name not in fields or shape == "integer":
            continue
        array = fields[name]
        have = _vector_rank(array) if rank == 1 else array.ndim
        if rank == 0 and array.size == 1:
            continue
        if have == rank + 1:
            votes[name] = array.shape[0]
        elif name == "A" and array.ndim == 2 and array.shape[0] != array.shape[1]:
            if min(array.shape) != 1:  # else a row or a column
                votes[name] = array.shape[0]
    if len(set(votes.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in votes.items())
        raise ValueError(f"the arrays hold different numbers of snapshots ({listed})")
    return next(iter(votes.values()), None)


def _is_stacked(name: str, fields: dict, shapes: dict[str, str], count: int) -> bool:
    """Return whether the field has the snapshot axis."""
    if name not in shapes:
        return False
    array, rank = fields[name], len(shapes[name].split())
    if array.shape[:1] != (count,) or shapes[name] == "integer":
        return False
    if name != "A":
        return array.ndim == rank + 1 and not (rank == 0 and array.size == 1 and count != 1)
    if array.ndim != 2 or array.shape[1] != count:
        return array.ndim >= 2
    # N x M with N = M: snapshots of a diagonal, or one full matrix for all?
    others = [
        _is_stacked(other, fields, shapes, count)
        for other in fields
        if other in shapes and other not in ("A", "num_relu", "C", "leak", "slope")
    ]
    diagonal = not (array * ~np.eye(count, dtype=bool)).any()
    if all(others) != diagonal:
        return all(others)
    raise ValueError(
        f"A: shape {array.shape} may be {count} diagonals or one matrix for all {count} snapshots; "
        f"store A with a snapshot axis, {count} x M x M"
    )


def select_snapshot(
    fields: dict[str, np.ndarray], shapes: dict[str, str], index: int | np.integer | None
) -> dict[str, np.ndarray]:
    """Return the fields of one snapshot; negative indices count from the last.

    **Raises:** `ValueError` naming `index` if it is needed and missing, or out of range.
    """
    count = count_snapshots(fields, shapes)
    if index is not None and (isinstance(index, bool) or not isinstance(index, int | np.integer)):
        raise ValueError(f"index: expected an integer, got {index!r}")
    if count is None:
        if index not in (None, 0, -1):
            raise ValueError(f"index: the file holds a single network, got {index}")
        return fields
    if index is None and count != 1:
        raise ValueError(
            f"index: the file holds {count} snapshots; pass index=0 to {count - 1}, or index=-1 "
            f"for the last"
        )
    index = index or 0
    if not -count <= index < count:
        raise ValueError(f"index: expected {-count} to {count - 1}, got {index}")
    return {
        name: array[index] if _is_stacked(name, fields, shapes, count) else array
        for name, array in fields.items()
    }


def arrange(fields: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Return one snapshot's fields in our shapes: rows to vectors, layers and axes in order.

    The number of states M comes from A. In shallow networks `W1` and `h1` are taken to belong to
    one layer, `W2` and `h2` to the other, whatever the names; the layer whose offset has length H
    is the inner one (ours is W2 H x M, h2), and matrices are transposed where needed. If M = H
    shapes decide nothing, and the names are trusted. A `C` that does not fit is left out.
    """
    shapes = KINDS[kind].shapes
    result = {name: _reduced(fields[name], shapes[name]) for name in shapes if name in fields}
    if {"A", "W1", "W2", "h1", "h2"} <= set(result):
        size = result["A"].shape[-1]
        if len(result["h2"]) == size != len(result["h1"]):
            result["h1"], result["h2"] = result["h2"], result["h1"]
            result["W1"], result["W2"] = result["W2"], result["W1"]
        units = len(result["h2"])
        for name, wanted in (("W1", (size, units)), ("W2", (units, size))):
            if result[name].shape == wanted[::-1]:
                result[name] = result[name].T if size != units else result[name]
    if {"alpha", "thresholds", "h"} <= set(result):
        wanted = (len(result["alpha"]), len(result["h"]))
        if result["thresholds"].shape == wanted[::-1] != wanted:
            result["thresholds"] = result["thresholds"].T
    states = result.get("h", result.get("h1", result.get("b")))
    if "C" in result and (states is None or result["C"].shape[:-1] != states.shape):
        del result["C"]
    return result


def _reduced(array: np.ndarray, shape: str) -> np.ndarray:
    """Drop axes of length one, which make a matrix of a vector or an array of a scalar."""
    rank = len(shape.split())
    if shape == "integer":
        whole = array.size == 1 and float(array.reshape(())).is_integer()
        return array.reshape(()).astype(np.int64) if whole else array
    if array.size == 1 and rank == 0:
        return array.reshape(())
    if array.ndim == 0:
        return array.reshape((1,) * rank)
    flat = rank == 1 or (shape == "M M" and array.ndim == 2 and 1 in array.shape != (1, 1))
    return array.reshape(-1) if flat and _vector_rank(array) == 1 else array
