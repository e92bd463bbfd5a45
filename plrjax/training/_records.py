"""What training tells its callbacks, what they may ask for, and what a run returns."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .._action import Action as Action
from .._dynamics import AbstractDynamics
from .._numerics import as_real
from .._results import RESULTS
from ._forcing import AbstractForcing
from ._observation import AbstractObservation


class TrainingRecord(NamedTuple):
    """Where training is: what a callback is given.

    **Fields:** `step`, updates done; `model`, `observation_model`, `opt_state` now; `losses` and
    `gradient_norms` (one column per parameter array) of all updates until now; `forcing`, the
    strategy, and `forcing_state`.
    """

    step: int
    model: AbstractDynamics
    observation_model: AbstractObservation
    opt_state: Any
    losses: Float[np.ndarray, " update"]
    gradient_norms: Float[np.ndarray, "update leaf"]
    forcing: AbstractForcing
    forcing_state: Any


def checked_action(value: Any) -> Action:
    """Return what a callback asked for.

    **Raises:** `ValueError` naming the field.
    """
    if not isinstance(value, Action):
        raise ValueError(f"callbacks: expected None or an Action from a callback, got {value!r}")
    if not (value.forcing is None or isinstance(value.forcing, AbstractForcing)):
        raise ValueError(f"Action.forcing: expected a forcing, got {value.forcing!r}")
    if not (value.revert_to is None or isinstance(value.revert_to, TrainingRecord)):
        raise ValueError(f"Action.revert_to: expected a TrainingRecord, got {value.revert_to!r}")
    if value.update_scale is not None:
        as_real("Action.update_scale", value.update_scale, ())
    return value


Callback = Callable[[TrainingRecord], Any]
"""Called before the first update and after every `callback.every` of them (1 where it has no such
attribute); may return an `Action`."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TrainingRun:
    """A training run.

    **Fields:**

    - `model`, `observation_model`: the last finite ones.
    - `losses`: loss of each update (without regularizers), before it was taken.
    - `gradient_norms`: Euclidean norm of the gradient, a column for each of `parameters`.
    - `parameters`: names of the parameter arrays.
    - `forcing`: state of the forcing that each update used (alpha of adaptive forcing), else NaN.
    - `num_steps`: updates taken.
    - `seconds`: time spent in this call.
    - `record`: the last `TrainingRecord`.
    - `result`: whether training went well; `not_finite` where it diverged.
    - `notes`: facts to know, in words.
    """

    model: AbstractDynamics
    observation_model: AbstractObservation
    losses: Float[np.ndarray, " update"]
    gradient_norms: Float[np.ndarray, "update leaf"]
    parameters: tuple[str, ...]
    forcing: Float[np.ndarray, " update"]
    num_steps: int
    seconds: float
    record: TrainingRecord
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"{self.num_steps} updates of {type(self.model).__name__} in {self.seconds:.1f} s"]
        if len(self.losses):
            late = self.losses[-max(1, len(self.losses) // 20) :]
            lines.append(
                f"loss: {self.losses[0]:.4g} at first, {np.median(late):.4g} at last (median of "
                "the last 5 %)"
            )
        if self.result is not RESULTS.successful:
            lines.append(f"result: {self.result}")
        return "\n".join([*lines, *self.notes])

    __str__ = __repr__
