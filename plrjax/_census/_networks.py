"""Which networks a census takes: files, patterns, run folders, manifests, models in memory."""

import csv
import dataclasses
import glob
import hashlib
import io
import os
import pathlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._constant_input import with_input
from .._digests import code_digest, digest_of
from .._files import one_line, read_bytes
from .._io import RunFolder, describe, load
from .._many import networks_of
from ._record import RESERVED

MANIFESTS = (".csv", ".toml")
_MAX_MANIFEST = 1 << 26
"""Bytes; some 500,000 rows."""
_LOADED = ("kind", "num_relu", "index")
"""Columns of a manifest that `load` takes; all others are labels."""


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """One network of a census: where it is, or itself.

    **Fields:** `name`: in tables; `path`: its file, as workers anywhere find it, None where `model`
    is it; `options`: of `load`; `labels`: what else is known of it, by column; `identity`: of a
    model, what makes it the same one, as JSON knows it.
    """

    name: str
    path: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)
    model: Any = None
    identity: Any = None

    def get(self) -> Any:
        """Return the network.

        **Raises:** `OSError` or `ValueError` where its file cannot be read.
        """
        if self.path is None:
            return self.model
        options = dict(self.options)
        inputs = options.pop("inputs", None)
        return with_input(load(self.path, **options), inputs)

    def fact(self) -> list[Any]:
        """Return what identifies it, content included."""
        return [self.name, dict(self.options), dict(self.labels), self._digest()]

    def _digest(self) -> str:
        if self.path is None:
            return digest_of(self.model) if self.identity is None else code_digest(self.identity)
        try:
            with open(self.path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        except OSError:  # a row of the table will say why
            return "unreadable"


def networks_from(networks: Any, options: Mapping[str, Any] | None = None) -> list[Network]:
    """Return the networks of files, patterns, run folders, manifests and models, in order.

    **Arguments:** `options`: what `load` is to be told of files that no manifest describes.

    **Raises:** `ValueError` naming `networks` where there is none, or a pattern meets nothing.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    found = list(_each(networks, given))
    if not found:
        raise ValueError("networks: expected at least one, got none")
    return found


def _each(networks: Any, options: Mapping[str, Any]) -> Iterator[Network]:
    if isinstance(networks, RunFolder):
        yield from _of_run(networks)
    elif isinstance(networks, str | os.PathLike):
        yield from _of_path(os.fspath(networks), options)
    elif stack := networks_of(networks) if not isinstance(networks, list | tuple) else None:
        yield from (Network(f"{number}", model=one) for number, one in enumerate(stack))
    elif isinstance(networks, Iterable):
        for number, one in enumerate(networks):
            if isinstance(one, Network):
                yield one
            elif isinstance(one, str | os.PathLike | RunFolder):
                yield from _each(one, options)
            else:
                yield Network(f"{number}", model=one)
    else:
        yield Network("0", model=networks)


def _of_path(path: str, options: Mapping[str, Any]) -> Iterator[Network]:
    if path.startswith("@") or path.lower().endswith(MANIFESTS):
        yield from _of_manifest(pathlib.Path(path.removeprefix("@")))
    elif os.path.isdir(path) and not _is_run(path):
        raise ValueError(
            f"networks: {path} is no training run (it has no config.json); for the files in it "
            f"give a pattern, such as '{path}/*.npz'"
        )
    elif os.path.isdir(path):
        yield from _of_run(RunFolder(path))
    elif not os.path.exists(path) and glob.has_magic(path):
        found = sorted(glob.glob(path, recursive=True))
        if not found:
            raise ValueError(f"networks: no file matches {path}")
        for one in found:  # tables and folders among them are none of the networks
            if os.path.isfile(one) and not one.lower().endswith(MANIFESTS) or _is_run(one):
                yield from _of_path(one, options)
    else:
        yield from _of_file(path, options)


def _is_run(path: str) -> bool:
    return os.path.exists(os.path.join(path, "config.json"))


def _of_file(path: str, options: Mapping[str, Any]) -> Iterator[Network]:
    """Give the network of a file, or all of its snapshots where none is chosen."""
    chosen, place = options.get("index"), os.path.abspath(path)
    name = os.fsencode(path).decode(errors="backslashreplace")  # tables are UTF-8
    count = _num_snapshots(path) if chosen is None else None
    if count is None:
        yield Network(name if chosen is None else f"{name}[{chosen}]", place, options)
        return
    for index in range(count):
        labels = {"index": index}
        yield Network(f"{name}[{index}]", place, {**options, **labels}, labels)


def _num_snapshots(path: str) -> int | None:
    """Return how many networks a file holds side by side; None for one, or none that is known."""
    try:
        return describe(path)["snapshots"]
    except (OSError, ValueError):  # a row of the table will say why
        return None


def _of_run(run: RunFolder) -> Iterator[Network]:
    """Give the snapshots of a training run, or its network where it has none."""
    folder = run.path / "snapshots"
    for step in run.steps.tolist():
        path = os.path.abspath(folder / f"step_{step:09d}.npz")
        yield Network(f"{run.path}:{step}", path, {}, {"run": str(run.path), "step": step})
    if not len(run.steps):
        path, labels = os.path.abspath(run.path / "model.npz"), {"run": str(run.path)}
        if os.path.exists(path):
            yield Network(str(run.path), path, labels=labels)
        else:  # it was killed: the network of its checkpoint
            yield Network(str(run.path), labels=labels, model=run.model)


def _of_manifest(path: pathlib.Path) -> Iterator[Network]:
    """Give the rows of a table: `file`, what `load` takes, and labels.

    **Raises:** `ValueError` naming the path, the row, and what is wrong there.
    """
    if not path.is_file():
        raise ValueError(f"networks: {path}: no such file")
    try:
        text = read_bytes(path, _MAX_MANIFEST).decode("utf-8-sig")
        rows = _toml_rows(text) if path.suffix.lower() == ".toml" else _csv_rows(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise ValueError(f"{path}: not a manifest of networks: {one_line(error)}") from error
    for number, row in enumerate(rows, start=1):
        file = row.pop("file", None)
        if not (isinstance(file, str) and file):
            raise ValueError(f"{path}: network {number}: file: missing; it says where it is")
        options = {name: row.pop(name) for name in _LOADED if row.get(name, "") != ""}
        for name in ("num_relu", "index"):
            if name in options:
                options[name] = _whole(f"{path}: network {number}: {name}", options[name])
        labels = {str(name): value for name, value in row.items()}
        if taken := RESERVED & labels.keys():
            raise ValueError(f"{path}: {min(taken)}: the table of a census has such a column")
        for one in _of_file(str(path.parent / file), options):
            yield dataclasses.replace(one, labels={**labels, **one.labels})


def _csv_rows(text: str) -> list[dict[str, Any]]:
    rows = list(csv.DictReader(io.StringIO(text), strict=True))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row has other columns than the first line")
    return rows


def _toml_rows(text: str) -> list[dict[str, Any]]:
    """Return the tables `[[network]]`, with what stands above them in each."""
    found = tomllib.loads(text)
    rows = found.pop("network", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected tables [[network]]")
    rows = [{**found, **row} for row in rows]
    for row in rows:
        for name, value in row.items():
            if not isinstance(value, str | int | float):
                raise ValueError(f"{name}: expected a text or a number, got {value!r}")
    return rows


def _whole(place: str, value: Any) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise ValueError(f"{place}: expected an integer, got {value!r}") from error
