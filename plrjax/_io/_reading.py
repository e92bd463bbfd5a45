"""What a file without our header may hold: a network by its fields' names, or one of torch.nn."""

import dataclasses

import numpy as np

from .._piecewise_affine import AbstractPLRNN
from ..models import KINDS
from ._foreign import candidates, recognize
from ._torch_module import MODULE_KINDS, TorchModule, find_module


@dataclasses.dataclass(frozen=True)
class Reading:
    """Arrays under our field names, the kinds these fit, and the module of torch.nn beside them.

    `conflict` says why the names contradict each other; then there are no fields.
    """

    fields: dict[str, np.ndarray]
    source: dict[str, str]
    named: list[str]
    conflict: str | None
    module: TorchModule | None

    def kinds(self) -> list[str]:
        """Return all kinds that fit; fields that tell a single PLRNN outweigh a module.

        **Raises:** `ValueError` if the names contradict each other, two networks of one kind are
        in the file, or all it has is a module that has no form here.
        """
        if self.conflict is not None:
            raise ValueError(self.conflict)
        single = len(self.named) == 1 and issubclass(KINDS[self.named[0]].model, AbstractPLRNN)
        if self.module is None or single:
            return self.named
        if self.module.problem is not None and not self.named:
            raise ValueError(self.module.problem)
        for kind in self.module.kinds:
            self._check_single(kind, self.module)
        return [*self.named, *self.module.kinds]

    def module_of(self, kind: str) -> TorchModule | None:
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

    def _check_single(self, kind: str, module: TorchModule) -> None:
        """Refuse a file with two networks of one kind, one by fields and one of torch.nn."""
        if kind in self.named:
            both = f"{self.source['W']!r} and {module.layers[0]['weight_hh']!r}"
            raise ValueError(f"kind: both {both} belong to a network of kind {kind!r}; keep one")


def read_fields(arrays: dict[str, np.ndarray]) -> Reading:
    """Return what the arrays of a file may be."""
    module = find_module(arrays)
    try:
        fields, source = recognize(arrays)
    except ValueError as error:
        return Reading({}, {}, [], str(error), module)
    return Reading(fields, source, candidates(fields), None, module)
