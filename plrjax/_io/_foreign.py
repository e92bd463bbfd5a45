"""Which kind of model is this, and which array is which: by names, and above all by shapes."""

import re
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

MODEL_NAMES = ("model", "modeltype", "architecture")
"""Settings that tell which model a file holds, as `short` writes them."""


def short(name: str) -> str:
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
        key = short(name)
        field = _ALIASES.get(key) or _ALIASES.get(key.lower() if len(key) > 2 else "")
        if field is None or array.dtype.kind not in "fiubV":
            continue
        if field in ("thresholds", "thetas") and (array.ndim < 2 or array.size == 1):
            continue  # a size called H, an angle called theta
        if field in source:
            exact = [short(each) == field for each in (source[field], name)]
            if exact[0] == exact[1]:
                raise ValueError(f"both {source[field]!r} and {name!r} look like the field {field}")
            name = source[field] if exact[0] else name  # a beside A is something else
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
        if short(name).lower() in {"clip", "cliprange", "clipping"} and _is_set(value):
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


_CONTINUOUS = re.compile(r"^cont|^ct[-_]|continuous|(?<![a-z])(neural)?[os]de(?![a-z])|flow", re.I)
"""In what programs call their models: those of continuous time."""


def check_no_flow(settings: dict) -> None:
    """Refuse a network that its file or `config.json` calls one of continuous time.

    **Raises:** `ValueError` naming the setting.
    """
    for name, value in settings.items():
        if isinstance(value, str) and short(name) in MODEL_NAMES and _CONTINUOUS.search(value):
            raise ValueError(
                f"{name}: {value[:80]!r} is a flow dz/dt = f(z), not a map z' = f(z); export "
                f"the map that takes one time step of it"
            )
