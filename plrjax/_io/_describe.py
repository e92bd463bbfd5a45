"""Say what a file holds, before or instead of loading it."""

import dataclasses
import os
from pathlib import Path

from .. import _files
from ..models import KINDS, STACKED, split_layers
from . import _foreign
from ._content import Content, located, read_content, size_of
from ._fitting import candidates, used_fields
from ._foreign_model import FLOW, formula, no_network
from ._layouts import Cell
from ._reading import Reading, read_fields
from ._series_facts import series_among
from ._snapshots import count_snapshots


@dataclasses.dataclass
class _Facts:
    """What the arrays are: kinds, kinds of layers, snapshots, our fields and their names."""

    kinds: list[str] = dataclasses.field(default_factory=list)
    layers: list[str] | None = None
    snapshots: int | None = None
    source: dict[str, str] = dataclasses.field(default_factory=dict)
    used: set[str] = dataclasses.field(default_factory=set)
    series: dict[str, dict] = dataclasses.field(default_factory=dict)
    problem: str | None = None
    maps: dict[str, str] = dataclasses.field(default_factory=dict)


def describe(path: str | os.PathLike, *, max_bytes: int = _files.MAX_BYTES) -> dict:
    """Return what a file holds, for a person to read: JSON values.

    Keys: `path`, `bytes`, `format`, `type`, `kind` (None if not told), `candidates` (kinds the
    arrays fit), `maps` (their formulas, of foreign arrays), `series` (time steps, variables, range
    and share of NaN of each array that is a time series, where there is no network), `layers` (the
    kind of each layer, None if nothing is stacked), `snapshots` (None if the arrays have no such
    axis), `arrays` (name to shape and dtype), `fields` (our field to name in the file), `ignored`
    (name to reason), `settings`, `header`, `problem` (None, or why `load` may refuse the file).

    **Arguments:** `path`: the file; `max_bytes`: most bytes of it, and of its arrays together.

    **Raises:** `FileNotFoundError`; `ValueError` for a file that cannot be read at all.
    """
    path = Path(path)
    try:
        content = read_content(path, max_bytes)
    except ValueError as error:
        raise located(path, error) from error
    facts = _Facts()
    try:
        (_tell_native if content.header else _tell_foreign)(facts, content)
    except ValueError as error:
        facts.problem = _files.one_line(error)
    kind = content.header.get("kind", facts.kinds[0] if len(facts.kinds) == 1 else None)
    is_model = content.header.get("type", "model") == "model"
    unused = set(content.arrays) - facts.used - set(facts.series) if is_model else set()
    return {
        "path": str(path),
        "bytes": size_of(path),
        "format": "plrjax" if content.header else path.suffix.lower() or "folder",
        "type": content.header.get("type", "series" if facts.series else None),
        "kind": kind,
        "candidates": facts.kinds,
        "maps": facts.maps,
        "series": facts.series,
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
        "problem": facts.problem,
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
        facts.snapshots = count_snapshots(fields, KINDS[kind].shapes)
    elif facts.kinds and not KINDS[facts.kinds[0]].foreign:
        _tell_fields(facts, content.arrays, {name: name for name in content.arrays})
    else:
        _tell_fields(facts, *_foreign.recognize(content.arrays))


def _tell_foreign(facts: _Facts, content: Content) -> None:
    """Note which kinds the arrays fit, and which of them belong to the network.

    **Raises:** `ValueError` where `load` refuses the arrays whatever the kind.
    """
    _foreign.check_no_clip(content.arrays, content.settings)
    _foreign.check_no_flow(content.settings)
    reading = read_fields(content.arrays, content.settings)
    try:
        facts.kinds = reading.kinds()
    except ValueError:
        facts.source = reading.source
        facts.used = set(reading.source.values())
        raise
    facts.maps = {kind: formula(kind) for kind in facts.kinds}
    facts.maps |= {"no map": FLOW} if "relu-rnn" in reading.named else {}
    module = reading.module
    if not facts.kinds and not reading.fields and module is None:
        facts.series = series_among(content.arrays)
        facts.problem = no_network(content.arrays, content.ignored, reading)
        return
    if module is None or not set(module.kinds) & set(facts.kinds):
        return _tell_reading(facts, reading)
    if reading.named:
        _tell_reading(facts, reading)
    else:
        facts.source = module.source
        facts.layers = [" or ".join(module.kinds)] * len(module.layers)
        facts.layers = facts.layers if len(module.layers) > 1 else None
    facts.used |= set(module.names)
    if isinstance(module, Cell) and module.needs_leak:
        facts.problem = "leak: the arrays do not tell it; pass leak= to load"


def _tell_reading(facts: _Facts, reading: Reading) -> None:
    """Note the fields that the kinds have, with the names behind those of several arrays."""
    wanted = set().union(*(used_fields(kind, reading.fields) for kind in facts.kinds))
    wanted = wanted if facts.kinds else set(reading.fields)
    source = {field: name for field, name in reading.source.items() if field in wanted}
    _tell_fields(facts, reading.fields, source)
    for name in source.values():
        facts.used |= set(reading.origins.get(name, ()))


def _tell_fields(facts: _Facts, fields: dict, source: dict[str, str]) -> None:
    """Note the arrays under our field names, and their snapshots if the kinds are known."""
    facts.source, facts.used = source, set(source.values())
    facts.kinds = facts.kinds or candidates(fields)
    if facts.kinds:
        facts.snapshots = count_snapshots(fields, KINDS[facts.kinds[0]].shapes)
