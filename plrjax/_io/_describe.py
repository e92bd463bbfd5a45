"""Say what a file holds, before or instead of loading it."""

import dataclasses
import os
from pathlib import Path

from .. import _files
from ..models import KINDS, STACKED, split_layers
from . import _foreign
from ._load import Content, located, read_content
from ._reading import read_fields


@dataclasses.dataclass
class _Facts:
    """What the arrays are: kinds, kinds of layers, snapshots, our fields and their names."""

    kinds: list[str] = dataclasses.field(default_factory=list)
    layers: list[str] | None = None
    snapshots: int | None = None
    source: dict[str, str] = dataclasses.field(default_factory=dict)
    used: set[str] = dataclasses.field(default_factory=set)


def describe(path: str | os.PathLike, *, max_bytes: int = _files.MAX_BYTES) -> dict:
    """Return what a file holds, for a person to read: JSON values.

    Keys: `path`, `bytes`, `format`, `type`, `kind` (None if not told), `candidates` (kinds the
    arrays fit), `layers` (the kind of each layer, None if nothing is stacked), `snapshots` (None if
    the arrays have no such axis), `arrays` (name to shape and dtype), `fields` (our field to name
    in the file), `ignored` (name to reason), `settings`, `header`, `problem` (None, or why `load`
    may refuse the file).

    **Arguments:** `path`: the file; `max_bytes`: most bytes of it, and of its arrays together.

    **Raises:** `FileNotFoundError`; `ValueError` for a file that cannot be read at all.
    """
    path = Path(path)
    try:
        content = read_content(path, max_bytes)
    except ValueError as error:
        raise located(path, error) from error
    facts, problem = _Facts(), None
    try:
        (_tell_native if content.header else _tell_foreign)(facts, content)
    except ValueError as error:
        problem = _files.one_line(error)
    kind = content.header.get("kind", facts.kinds[0] if len(facts.kinds) == 1 else None)
    is_model = content.header.get("type", "model") == "model"
    unused = set(content.arrays) - facts.used if is_model else set()
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "format": "plrjax" if content.header else path.suffix.lower(),
        "type": content.header.get("type"),
        "kind": kind,
        "candidates": facts.kinds,
        "layers": facts.layers,
        "snapshots": facts.snapshots,
        "arrays": {
            name: {"shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in content.arrays.items()
        },
        "fields": facts.source,
        "ignored": {
            **content.ignored,
            **{name: "not a field of any kind" for name in sorted(unused)},
        },
        "settings": content.settings,
        "header": content.header,
        "problem": problem,
    }


def _tell_native(facts: _Facts, content: Content) -> None:
    """Note what the header says, and which arrays belong to it.

    **Raises:** `ValueError` where the arrays contradict each other or the header.
    """
    kind = content.header.get("kind")
    facts.kinds = [name for name in (*KINDS, STACKED) if name == kind]
    _foreign.check_no_clip(content.arrays, content.settings)
    if kind == STACKED:
        layers = split_layers(content.header.get("layers"), content.arrays)
        facts.layers = [kind for kind, _ in layers]
        facts.source = {name: name for name in sorted(content.arrays)}
        facts.used = set(facts.source)
        kind, fields = layers[0]
        facts.snapshots = _foreign.count_snapshots(fields, KINDS[kind].shapes)
    elif facts.kinds and not KINDS[facts.kinds[0]].foreign:
        _tell_fields(facts, content.arrays, {name: name for name in content.arrays})
    else:
        _tell_fields(facts, *_foreign.recognize(content.arrays))


def _tell_foreign(facts: _Facts, content: Content) -> None:
    """Note which kinds the arrays fit, and which of them belong to the network.

    **Raises:** `ValueError` where `load` refuses the arrays whatever the kind.
    """
    _foreign.check_no_clip(content.arrays, content.settings)
    reading = read_fields(content.arrays)
    facts.kinds = reading.kinds()
    module = reading.module
    if module is None or not set(module.kinds) & set(facts.kinds):
        return _tell_fields(facts, reading.fields, reading.source)
    if reading.named:
        _tell_fields(facts, reading.fields, reading.source)
    else:
        facts.source = module.source
        facts.layers = [" or ".join(module.kinds)] * len(module.layers)
        facts.layers = facts.layers if len(module.layers) > 1 else None
    facts.used |= set(module.names)


def _tell_fields(facts: _Facts, fields: dict, source: dict[str, str]) -> None:
    """Note the arrays under our field names, and their snapshots if the kinds are known."""
    facts.source, facts.used = source, set(source.values())
    facts.kinds = facts.kinds or _foreign.candidates(fields)
    if facts.kinds:
        facts.snapshots = _foreign.count_snapshots(fields, KINDS[facts.kinds[0]].shapes)
