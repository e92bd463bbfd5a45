"""A folder that a job keeps its pieces in: whose they are is written there first, for good."""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from ._files import MAX_BYTES, create_bytes, read_bytes
from ._json import parse_json
from ._temporary import clear

_SHORT = 80
"""Letters of settings in a message."""


def claim_folder(
    folder: str | os.PathLike, argument: str, what: str, settings: Mapping[str, Any]
) -> str:
    """Make a folder the one of the job with these settings, and return the job's fingerprint.

    Of several processes that begin at once one writes `<what>.json`, and all others compare.

    **Arguments:** `argument`: its name in messages; `what`: what kind of job, such as "scan".

    **Raises:** `ValueError` where the folder holds another job of the kind, naming what differs.
    """
    place = pathlib.Path(folder)
    if place.exists() and not place.is_dir():
        raise ValueError(f"{argument}: expected a folder, got the file {folder}")
    place.mkdir(parents=True, exist_ok=True)
    clear(place)
    text = json.dumps(settings, indent=1, sort_keys=True)
    path = place / f"{what}.json"
    if path.exists() or not create_bytes(path, text.encode()):
        stored, wanted = read_settings(place, argument, what), json.loads(text)
        differing = [name for name in wanted if stored.get(name) != wanted[name]]
        if differing:
            name = differing[0]
            raise ValueError(
                f"{argument}: {place} holds another {what}, with other {', '.join(differing)} "
                f"({_difference(stored.get(name), wanted[name])}); take another folder"
            )
    return fingerprint(settings)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return what tells the job with these settings from others."""
    text = json.dumps(settings, indent=1, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_settings(place: pathlib.Path, argument: str, what: str) -> dict[str, Any]:
    """Return the settings of the job that a folder belongs to.

    **Raises:** `ValueError` where there are none, or damaged ones.
    """
    path = place / f"{what}.json"
    if not path.exists():
        raise ValueError(f"{argument}: expected the folder of a {what}, but {path} does not exist")
    try:
        found = parse_json(read_bytes(path, MAX_BYTES), MAX_BYTES)
    except ValueError as error:
        raise ValueError(f"{argument}: {path} is damaged: {error}") from error
    return found if isinstance(found, dict) else {}


def _difference(stored: Any, wanted: Any) -> str:
    """Return what differs; of two lists or tables, the first entries that do."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        name = next(n for n in {**wanted, **stored} if stored.get(n) != wanted.get(n))
        return f"{name}: {_difference(stored.get(name), wanted.get(name))}"
    both_short = len(json.dumps([stored, wanted])) < _SHORT
    if isinstance(stored, list) and isinstance(wanted, list) and not both_short:
        if len(stored) != len(wanted):
            return f"{len(stored)}, not {len(wanted)}"
        place = next(i for i, pair in enumerate(zip(stored, wanted)) if pair[0] != pair[1])
        return f"number {place}: {_difference(stored[place], wanted[place])}"
    return f"{_short(stored)}, not {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."
