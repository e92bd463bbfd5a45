"""Which kind of model is this, and which array is which: by names, and above all by shapes."""

import unicodedata

import numpy as np

from ..models import KINDS

# Spellings found in published repositories, after dropping prefixes, underscores and subscripts.
_ALIASES = {
    "A": "A",
    "a": "A",
    "W": "W",
    "w": "W",
    "h": "h",
    "W1": "W1",
    "w1": "W1",
    "W2": "W2",
    "w2": "W2",
    "h1": "h1",
    "H1": "h1",
    "h2": "h2",
    "H2": "h2",
    "C": "C",
    "b": "b",
    "alpha": "alpha",
    "alphas": "alpha",
    "α": "alpha",
    "thresholds": "thresholds",
    "H": "thresholds",
    "theta": "thetas",
    "thetas": "thetas",
    "θ": "thetas",
    "AW": "AW",
    "leak": "leak",
    "slope": "slope",
    "numrelu": "num_relu",
    "bcandidate": "b_candidate",
}


def _short(name: str) -> str:
    """Return the last part of a dotted name without underscores and typographic subscripts."""
    text = unicodedata.normalize("NFKC", name).replace("/", ".").rsplit(".", 1)[-1]
    return text.replace("_", "")


def recognize(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (fields, source): the arrays under our field names, and the names they came from.

    Conventions undone here: `AW` holds A on its diagonal and W beside it; `thetas` (M x B) are
    added to the state where our `thresholds` (B x M) are subtracted (public dendPLRNN code).

    **Raises:** `ValueError` if two arrays claim the same field.
    """
    source: dict[str, str] = {}
    for name, array in arrays.items():
        short = _short(name)
        field = _ALIASES.get(short) or _ALIASES.get(short.lower() if len(short) > 2 else "")
        if field is None or array.dtype.kind not in "fiubV":
            continue
        if field in ("thresholds", "thetas") and (array.ndim < 2 or array.size == 1):
            continue  # a size called H, an angle called theta
        if field in source:
            raise ValueError(f"both {source[field]!r} and {name!r} look like the field {field}")
        source[field] = name
    fields = {field: arrays[name] for field, name in source.items()}
    if "AW" in fields and "A" not in fields and "W" not in fields:
        joint, origin = fields.pop("AW"), source.pop("AW")
        if joint.ndim >= 2 and joint.shape[-1] == joint.shape[-2]:
            eye = np.eye(joint.shape[-1], dtype=bool)
            fields["A"] = np.diagonal(joint, axis1=-2, axis2=-1)
            fields["W"] = np.where(eye, np.zeros((), joint.dtype), joint)
            source.update(A=origin, W=origin)
    if "thetas" in fields and "thresholds" not in fields and fields["thetas"].ndim >= 2:
        fields["thresholds"] = -np.swapaxes(fields.pop("thetas"), -1, -2)
        source["thresholds"] = source.pop("thetas")
    known = {name for entry in KINDS.values() if entry.foreign for name in entry.shapes}
    kept = {field: array for field, array in fields.items() if field in known}
    return kept, {field: source[field] for field in kept}


def check_no_clip(arrays: dict, settings: dict) -> None:
    """Refuse a network whose step ends in a clip: that map has no piecewise-affine form here."""
    for name, value in {**settings, **arrays}.items():
        if _short(name).lower() in {"clip", "cliprange", "clipping"} and _is_set(value):
            raise ValueError(
                f"{name}: the state is clipped after each step, which has no form here; "
                f"export the network without clipping"
            )


def _is_set(value) -> bool:
    """Return whether a setting is neither empty, nor zero, nor infinite."""
    if value is None or isinstance(value, str):
        return str(value).lower() not in ("", "none", "null", "inf", "false")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        return True
    return bool((np.isfinite(array) & (array != 0)).any())


def foreign_to(kind: str, fields: dict[str, np.ndarray]) -> list[str]:
    """Return the fields that a kind does not have, though they shape the map."""
    indecisive = {"b", "C"}  # may also belong to an observation model
    return sorted(set(fields) - set(KINDS[kind].shapes) - indecisive)


def candidates(fields: dict[str, np.ndarray]) -> list[str]:
    """Return the kinds that these fields may belong to (`num_relu` may be told by the caller)."""
    found = []
    for kind, entry in KINDS.items():
        complete = entry.foreign and set(entry.required) - {"num_relu"} <= set(fields)
        if complete and not foreign_to(kind, fields) and _gates_fit(entry.shapes, fields):
            found.append(kind)
    return [kind for kind in found if kind != "piecewise-affine"]


def _gates_fit(shapes: dict[str, str], fields: dict[str, np.ndarray]) -> bool:
    """Return whether W has as many stacked gates as the kind (1 for plain networks)."""
    if "W" not in shapes:
        return True
    gates = int(shapes["W"][0]) if shapes["W"][0].isdigit() else 1
    shape = fields["W"].shape
    return len(shape) >= 2 and shape[-2] == gates * shape[-1]


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
