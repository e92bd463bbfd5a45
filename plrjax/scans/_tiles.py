"""A folder of finished tiles: one file each, and the settings they belong to."""

import hashlib
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from .._files import MAX_BYTES, create_bytes, read_arrays, read_bytes, write_arrays
from .._json import parse_json
from .._temporary import clear

_SETTINGS = "scan.json"
_TYPE = "scan-tile"


class TileFolder:
    """Tiles on disk. A tile of this scan that is there and can be read is done.

    **Raises:** `ValueError` where the folder holds tiles of another scan, naming what differs.
    """

    def __init__(self, folder: str | os.PathLike, settings: Mapping[str, Any]):
        self.folder = pathlib.Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"checkpoint: expected a folder, got the file {folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        clear(self.folder)
        text = json.dumps(settings, indent=1, sort_keys=True)
        self.scan = hashlib.sha256(text.encode()).hexdigest()[:16]
        path = self.folder / _SETTINGS
        if path.exists() or not create_bytes(path, text.encode()):
            self._check(path, json.loads(text))

    def _check(self, path: pathlib.Path, settings: dict) -> None:
        try:
            stored = parse_json(read_bytes(path), MAX_BYTES)
        except ValueError as error:
            raise ValueError(f"checkpoint: {path} is damaged: {error}") from error
        stored = stored if isinstance(stored, dict) else {}
        differing = [name for name in settings if stored.get(name) != settings[name]]
        if differing:
            name = differing[0]
            raise ValueError(
                f"checkpoint: {self.folder} holds another scan, with other {', '.join(differing)} "
                f"({_short(stored.get(name))}, not {_short(settings[name])}); take another folder"
            )

    def read(
        self, number: int, pixels: Int[np.ndarray, " pixel"], width: int
    ) -> Float[np.ndarray, "pixel column"] | None:
        """Return the numbers of a finished tile, or None where there is none that can be read."""
        path = self._path(number)
        if not path.exists():
            return None
        try:
            header, arrays = read_arrays(path)
            numbers = arrays["numbers"]
        except (ValueError, KeyError, OSError):
            return None  # computed again, and replaced
        own = np.array_equal(arrays.get("pixels", np.zeros(0)), pixels)
        fits = header.get("type") == _TYPE and header.get("scan") == self.scan and own
        whole = numbers.shape == (len(pixels), width) and numbers.dtype == np.float64
        return numbers if fits and whole else None

    def write(self, number: int, pixels: np.ndarray, numbers: np.ndarray) -> None:
        """Write a tile, atomically."""
        header = {"type": _TYPE, "kind": _TYPE, "scan": self.scan}
        write_arrays(self._path(number), header, {"pixels": pixels, "numbers": numbers})

    def _path(self, number: int) -> pathlib.Path:
        return self.folder / f"tile_{number:06d}.npz"


def digest_of(model: Any) -> str:
    """Return a fingerprint of the types, static fields and arrays of a model."""
    structure = re.sub(r"0x[0-9a-f]+", "", str(jax.tree.structure(model)))
    digest = hashlib.sha256(structure.encode())
    for leaf in jax.tree.leaves(model):
        array = np.asarray(leaf)
        text = repr(leaf) if array.dtype == object else f"{array.dtype} {array.shape}"
        digest.update(text.encode())
        digest.update(b"" if array.dtype == object else array.tobytes())
    return digest.hexdigest()[:16]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
