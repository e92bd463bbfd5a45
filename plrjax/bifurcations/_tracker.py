"""A callback that follows cycles through training."""

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from .._arguments import check_kind, checked_key, checked_periods, checked_whole
from .._piecewise_affine import AbstractPLRNN
from ._detect import Search, Tracer
from ._events import Bifurcations
from ._gather import PerNetwork
from ._path import LinearPath


class BifurcationTracker:
    """A callback of `fit` that locates bifurcations between its records as training goes.

    From record to record the parameters run along a straight line, which with `every=1` is the
    step that the optimizer took. What it costs is the time of `detect_bifurcations`.

    **Arguments:**

    - `periods`: which cycles to follow.
    - `every`: training steps between two records.
    - `key`, `search`: as in `detect_bifurcations`.

    **Fields:** `steps` of the records; `models`, as NumPy copies; `bifurcations`, the result.

    **Raises:** `ValueError` naming the argument, or for a network that is not piecewise affine.
    """

    def __init__(
        self,
        periods: int | Iterable[int],
        every: int = 1,
        *,
        key: PRNGKeyArray | None = None,
        search: Search | None = None,
    ):
        self.every = checked_whole("every", every, 1)
        search = Search() if search is None else search
        check_kind("search", search, Search, "a Search(...)")
        self._tracer = Tracer(
            checked_periods(periods), search, None if key is None else checked_key(key)
        )
        self.steps: list[int] = []
        self.models: list[AbstractPLRNN] = []
        self._losses, self._norms = np.zeros(0), np.zeros(0)

    def __call__(self, record: Any) -> None:
        """Follow the cycles to the network of the record, if its step is a multiple of `every`."""
        self._losses = np.array(record.losses, np.float64)
        self._norms = np.linalg.norm(np.array(record.gradient_norms, np.float64), axis=1)
        if record.step % self.every:
            return
        model = piecewise(record.model)
        if self.models:
            self._tracer.advance(LinearPath(self.models[-1], model))
        self.steps.append(int(record.step))
        self.models.append(model)

    @property
    def bifurcations(self) -> Bifurcations:
        """Events and branches until now, with the loss and gradient norm of every record.

        The loss of a network is that of the update taken from it; the last one has none yet.
        """
        if len(self.models) < 2:
            raise ValueError("bifurcations: expected at least two records, got less")
        at = [
            np.array([values[step] if step < len(values) else np.nan for step in self.steps])
            for values in (self._losses, self._norms)
        ]
        steps = np.array(self.steps, np.float64)
        return self._tracer.found(PerNetwork(steps, *at))


def piecewise(model: Any) -> AbstractPLRNN:
    """Return a network on the host, or say that it has no linear subregions."""
    if not isinstance(model, AbstractPLRNN):
        raise ValueError(
            f"model: expected a piecewise-affine network in training, got {type(model).__name__}"
        )
    return jax.tree.map(lambda x: np.array(x) if eqx.is_array(x) else x, model)
