"""A folder of finished tiles: one file each, and the settings they belong to."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from .._files import read_arrays, write_arrays
from .._job_folder import claim_folder

_TYPE = "scan-tile"


class TileFolder:
    """Tiles on disk. A tile of this scan that is there and can be read is done.

    **Raises:** `ValueError` where the folder holds tiles of another scan, naming what differs.
    """

    def __init__(self, folder: str | os.PathLike, settings: Mapping[str, Any]):
        self.folder = pathlib.Path(folder)
        self.scan = claim_folder(folder, "checkpoint", "scan", settings)

    @classmethod
    def of(cls, folder: str, scan: str) -> "TileFolder":
        """Return the folder of a scan whose fingerprint is known."""
        found = cls.__new__(cls)
        found.folder, found.scan = pathlib.Path(folder), scan
        return found

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
