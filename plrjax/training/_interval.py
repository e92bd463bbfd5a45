"""The interval of sparse forcing from the predictability time of the network itself."""

from typing import Any

from jaxtyping import PRNGKeyArray

from .._arguments import checked_key, checked_whole
from .._lyapunov import lyapunov_spectrum
from .._progress import NoProgress
from .._results import RESULTS
from ._forcing import SparseForcing
from ._records import Action, TrainingRecord

_CHANGE = 1.25
"""Factor by which the predictability time must differ from the interval to replace it."""


class AutoInterval:
    """A callback of `fit` that sets the interval of sparse forcing to ln 2 / lambda_1 of the model.

    The predictability time of the network in training (Mikhaeil et al. 2022), measured every so
    many updates; as long as the network is not chaotic, or its orbits are not finite, the interval
    stays as it is. Each new interval compiles the loop once more, so changes below 25 % are passed
    over.

    **Arguments:** `state`: where orbits start, such as the observations; `key`; `every`: updates
    between two measurements; `shortest`, `longest`: bounds of the interval; `num_steps`,
    `num_orbits`: of `lyapunov_spectrum`.

    **Fields:** `steps`, `intervals`: when which interval was set.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(
        self,
        state: Any,
        *,
        key: PRNGKeyArray,
        every: int = 2_000,
        shortest: int = 2,
        longest: int = 200,
        num_steps: int = 2_000,
        num_orbits: int = 8,
    ):
        self.state, self.key = state, checked_key(key)
        self.every = checked_whole("every", every, 1)
        self.shortest = checked_whole("shortest", shortest, 1)
        self.longest = checked_whole("longest", longest, self.shortest)
        self.num_steps = checked_whole("num_steps", num_steps, 1)
        self.num_orbits = checked_whole("num_orbits", num_orbits, 1)
        self.steps: list[int] = []
        self.intervals: list[int] = []

    def __call__(self, record: TrainingRecord) -> Action | None:
        """Return the forcing with the new interval, or None where it stays.

        **Raises:** `ValueError` for another forcing than `SparseForcing`; `KeyboardInterrupt`.
        """
        if not isinstance(record.forcing, SparseForcing):
            raise ValueError(f"forcing: AutoInterval expects SparseForcing, got {record.forcing!r}")
        spectrum = lyapunov_spectrum(
            record.model, self.state, key=self.key, num_steps=self.num_steps, num_exponents=1,
            num_orbits=self.num_orbits, num_transient=200, throw=False, progress=NoProgress(),
        )  # fmt: skip
        if spectrum.result is RESULTS.interrupted:
            raise KeyboardInterrupt
        wanted, interval = spectrum.prediction_time, record.forcing.interval
        if not wanted < float("inf"):
            return None
        wanted = min(max(round(wanted), self.shortest), self.longest)
        if isinstance(interval, int):
            wanted = min(wanted, 2 * interval)
        if isinstance(interval, int) and max(wanted / interval, interval / wanted) < _CHANGE:
            return None
        self.steps.append(record.step)
        self.intervals.append(wanted)
        return Action(forcing=SparseForcing(wanted))
