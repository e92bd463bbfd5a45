"""What a file without our header may hold: a network by its fields' names, or a known module."""

import dataclasses

import numpy as np

from .._piecewise_affine import AbstractPLRNN
from ..models import KINDS
from ._fitting import candidates, shape_problem
from ._foreign import MODEL_NAMES, recognize, short
from ._layouts import Cell, find_cell, low_rank, stacked_experts
from ._torch_module import MODULE_KINDS, TorchModule, find_module

_TOLD = {
    "mcplrnn": "mean-centered",
    "dendplrnn": "dendritic",
    "dendriticplrnn": "dendritic",
    "clippeddendplrnn": "clipped-dendritic",
    "clippeddendriticplrnn": "clipped-dendritic",
    "shallowplrnn": "shallow",
    "shplrnn": "shallow",
    "clippedshallowplrnn": "clipped-shallow",
    "clippedshplrnn": "clipped-shallow",
    "alrnn": "almost-linear",
    "almostlinearrnn": "almost-linear",
}
"""Kinds by what other programs call them, in lower-case letters."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """Arrays under our field names, the kinds these fit, and the module of a program beside them.

    `told`: the kind that the file names. `conflict` says why the names contradict each other; then
    there are no fields. `experts`: how many networks a mixture has, along the first axis of the
    fields; `origins` are the names behind a field's.
    """

    fields: dict[str, np.ndarray]
    source: dict[str, str]
    named: list[str]
    conflict: str | None
    module: TorchModule | Cell | None
    told: str | None = None
    experts: int | None = None
    origins: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def kinds(self) -> list[str]:
        """Return all kinds that fit; fields that tell a single PLRNN outweigh a module.

        **Raises:** `ValueError` if the names contradict each other, two networks of one kind are
        in the file, shapes do not fit, or all it has is a module that has no form here.
        """
        if self.conflict is not None:
            raise ValueError(self.conflict)
        single = len(self.named) == 1 and issubclass(KINDS[self.named[0]].model, AbstractPLRNN)
        if self.module is None and not self.named:
            problem = shape_problem(self.fields)
            if problem is not None:
                raise ValueError(problem)
        if self.module is None or single:
            return [self.told] if self.told in self.named else self.named
        if self.module.problem is not None and not self.named:
            raise ValueError(self.module.problem)
        for kind in self.module.kinds:
            self._check_single(kind, self.module)
        found = [*self.named, *self.module.kinds]
        return [self.told] if self.told in found else found

    def module_of(self, kind: str) -> TorchModule | Cell | None:
        """Return the module if it is what a load of this kind means, None if the fields are.

        **Raises:** `ValueError` if the file holds both, or a module of another kind only.
        """
        if self.module is None or kind not in MODULE_KINDS:
            return None
        if kind in self.module.kinds:
            self._check_single(kind, self.module)
            return self.module
        if kind in self.named:
            return None
        fits = f"kind: the arrays fit {' or '.join(self.module.kinds)}, got {kind!r}"
        raise ValueError(self.module.problem or fits)

    def _check_single(self, kind: str, module: TorchModule | Cell) -> None:
        """Refuse a file with two networks of one kind, one by fields and one of a module."""
        if kind in self.named:
            both = f"{self.source['W']!r} and {module.layers[0]['weight_hh']!r}"
            raise ValueError(f"kind: both {both} belong to a network of kind {kind!r}; keep one")


def read_fields(arrays: dict[str, np.ndarray], settings: dict[str, object]) -> Reading:
    """Return what the arrays of a file may be, which its settings help to tell."""
    module, told = find_module(arrays) or find_cell(arrays), _told_kind(settings)
    try:
        arrays, experts, origins = stacked_experts(arrays)
        fields, source = recognize(arrays)
    except ValueError as error:
        return Reading({}, {}, [], str(error), module)
    factors = low_rank(arrays) if "W" not in fields else None
    if factors is not None:
        fields["W"], names = factors
        source["W"] = f"{names[0]} {names[1]}'"
        origins = {**origins, source["W"]: names}
    relus = _number_of_relus(settings)
    if relus is not None and (experts or told == "almost-linear") and "num_relu" not in fields:
        source["num_relu"], number = relus
        fields["num_relu"] = np.asarray(number)
    return Reading(fields, source, candidates(fields), None, module, told, experts, origins)


def _told_kind(settings: dict[str, object]) -> str | None:
    """Return the kind that a setting names, None if none does."""
    for name, value in settings.items():
        if isinstance(value, str) and short(name) in MODEL_NAMES:
            letters = "".join(filter(str.isalnum, value[:80].lower()))
            plain = {kind.replace("-", ""): kind for kind, entry in KINDS.items() if entry.foreign}
            if letters in plain or letters in _TOLD:
                return plain.get(letters) or _TOLD[letters]
    return None


def _number_of_relus(settings: dict[str, object]) -> tuple[str, int] | None:
    """Return (name, number) of the setting that tells how many states are rectified."""
    for name, value in settings.items():
        if short(name) in ("P", "numrelu", "pwlunits") and type(value) is int:
            return name, value
    return None
