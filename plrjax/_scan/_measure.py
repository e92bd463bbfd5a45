"""What a scan may measure at every pixel: the protocol."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._plane import Pixels, Plane

Tick = Callable[[float], None]
Program = Callable[[Pixels, Tick], dict[str, np.ndarray]]


class Dimension(NamedTuple):
    """An axis of a result beyond the pixels: its name, and the coordinates along it."""

    name: str
    values: tuple[float, ...]


class AbstractMeasure(abc.ABC):
    """Something to compute at every pixel: named arrays, each with a leading pixel axis."""

    @abc.abstractmethod
    def outputs(self, model: Any) -> dict[str, tuple[Dimension, ...]]:
        """Return the names of the results, and their axes beyond the pixels.

        **Raises:** `ValueError` where the model is none this measure can take.
        """

    @abc.abstractmethod
    def start(self, plane: Plane) -> Program:
        """Return the function that measures pixels; it is called once per tile.

        Its second argument is to be called with the share of the tile that is done.
        """

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return the settings as JSON knows them: scans of other settings are not resumed."""
