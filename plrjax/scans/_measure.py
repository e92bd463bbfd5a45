"""What a scan may measure at every pixel: the protocol."""

import abc
import inspect
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from .._digests import code_digest, plain_function
from .._numerics import float64_scope
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


class FunctionMeasure(AbstractMeasure):
    """A function of the network as a measure: one number, or several by name, per pixel.

    It is called pixel by pixel with the network, and with a key if it has a second argument. A scan
    is resumed where its code and what it closes over (numbers, texts, arrays, functions) are the
    same; what depends on other things is a class, whose `facts` say them.

    **Raises:** `ValueError` where it returns anything else.
    """

    def __init__(self, function: Callable):
        self.function = function
        self.name = plain_function(function).__name__.strip("<>")
        given = inspect.signature(function).parameters.values()
        positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        open_ones = [one for one in given if one.default is one.empty and one.kind in positional]
        self.takes_key = len(open_ones) > 1

    def _at(self, model: Any, key: Any) -> dict[str, float]:
        with float64_scope():
            found = self.function(model, key) if self.takes_key else self.function(model)
        named = found if isinstance(found, dict) else {self.name: found}
        for name, value in named.items():
            if np.ndim(value) or np.asarray(value).dtype.kind not in "fiub":
                raise ValueError(f"measures: {self.name}: {name}: expected a number, got {value!r}")
        return {str(name): float(value) for name, value in named.items()}

    def outputs(self, model):
        return dict.fromkeys(self._at(model, jax.random.key(0)), ())

    def start(self, plane):
        if self.takes_key and plane.key is None:
            raise ValueError(f"key: needed by {self.name}, got None")

        def run(pixels: Pixels, tick: Tick) -> dict[str, np.ndarray]:
            rows = []
            for place, number in enumerate(pixels.number.tolist()):
                key = plane.key_of(number) if self.takes_key else None
                rows.append(self._at(plane.at(pixels.values[place]), key))
                tick((place + 1) / len(pixels.number))
            return {name: np.array([row[name] for row in rows]) for name in rows[0]}

        return run

    def facts(self):
        return {"measure": self.name, "code": code_digest(self.function)}


def as_measure(measure: Any) -> AbstractMeasure:
    """Return a measure, from itself or from a function of the network.

    **Raises:** `ValueError` naming `measures`.
    """
    if isinstance(measure, AbstractMeasure):
        return measure
    if isinstance(plain_function(measure), types.FunctionType):
        return FunctionMeasure(measure)
    raise ValueError(
        "measures: expected measures such as CycleCounts([1, 2]), or functions of the network, got "
        f"{measure!r}"
    )
