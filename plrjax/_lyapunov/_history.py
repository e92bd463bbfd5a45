"""Spectra of a network in training: a callback, and what it has seen."""

import dataclasses
import inspect
from typing import Any

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from .._arguments import checked_key, checked_whole
from .._progress import NoProgress
from .._results import RESULTS
from ._result import LyapunovSpectrum
from ._spectrum import lyapunov_spectrum


@dataclasses.dataclass(frozen=True, eq=False)
class SpectrumHistory:
    """Lyapunov exponents against training, nats per step.

    **Fields:**

    - `steps`: training step (or epoch) of each record.
    - `exponents`, `standard_error`: as in `LyapunovSpectrum`.
    - `mean`, `deviation`: mean and standard deviation over orbits, that is over the batch of input
        sequences of a driven network (Vogt et al. 2020).
    """

    steps: Int[np.ndarray, " record"]
    exponents: Float[np.ndarray, "record exponent"]
    standard_error: Float[np.ndarray, "record exponent"]
    mean: Float[np.ndarray, "record exponent"]
    deviation: Float[np.ndarray, "record exponent"]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.steps)


class LyapunovProbe:
    """A callback that computes the spectrum of the network in training, every so many steps.

    Called with a record that has a `step` and a `model`, at any multiple of `every`; other records
    are passed over. A network whose orbits are not finite is recorded as NaN, and training goes on.

    **Arguments:** `state` and the keywords of `lyapunov_spectrum` (`inputs`, `num_steps`, ...),
    and

    - `key`: the same for every record, so that changes come from the network.
    - `every`: training steps between two spectra.

    **Fields:** `spectra`, the `LyapunovSpectrum` of each record; `history`, all as arrays.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(self, state: Any, *, key: PRNGKeyArray, every: int = 1, **options: Any):
        known = list(inspect.signature(lyapunov_spectrum).parameters)
        taken = {"model", "state", "key", "throw"}
        for name in options:
            if name not in known or name in taken:
                allowed = ", ".join(n for n in known if n not in taken)
                raise ValueError(f"{name}: expected one of {allowed}")
        self.every = checked_whole("every", every, 1)
        self.state, self.key = state, checked_key(key)
        self.options: dict[str, Any] = {"progress": NoProgress()} | options
        self.steps: list[int] = []
        self.spectra: list[LyapunovSpectrum] = []

    def __call__(self, record: Any) -> None:
        """Compute the spectrum of `record.model`, where `record.step` is a multiple of `every`.

        **Raises:** `KeyboardInterrupt` on Ctrl-C; the record begun is dropped.
        """
        if record.step % self.every:
            return
        spectrum = lyapunov_spectrum(
            record.model, self.state, key=self.key, throw=False, **self.options
        )
        if spectrum.result is RESULTS.interrupted:
            raise KeyboardInterrupt
        self.steps.append(int(record.step))
        self.spectra.append(spectrum)

    @property
    def history(self) -> SpectrumHistory:
        """What was seen until now, as arrays."""
        if not self.spectra:
            raise ValueError("history: no record yet; call the probe with a record first")
        columns = ("exponents", "standard_error", "orbit_mean", "orbit_deviation")
        table = (np.stack([getattr(s, name) for s in self.spectra]) for name in columns)
        return SpectrumHistory(np.array(self.steps, np.int64), *table)
