"""Callbacks of `fit` that only look: scores on held-out data, and networks kept on the host.

`fit` calls them between two compiled chunks of updates: a run with probes takes the same updates
bit for bit, and lasts longer by the time of the probes alone.
"""

import dataclasses
import inspect
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from .._arguments import checked_key, checked_whole
from .._dynamics import AbstractDynamics
from ..metrics import Evaluation, EvaluationSummary, evaluate, evaluate_many
from ._observation import AbstractObservation


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationHistory:
    """Scores on held-out data against training.

    **Fields:**

    - `steps`: training step of each record.
    - `state_space_divergence`, `power_spectrum_error`: medians over starting points.
    - `prediction_error`: PE(n).
    - `captured_share`: share of orbits on another attractor than the data's.
    """

    steps: Int[np.ndarray, " record"]
    state_space_divergence: Float[np.ndarray, " record"]
    power_spectrum_error: Float[np.ndarray, " record"]
    prediction_error: Float[np.ndarray, " record"]
    captured_share: Float[np.ndarray, " record"]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.steps)


class EvaluationProbe:
    """A callback that holds the network in training against held-out data (`metrics.evaluate`).

    Called with a record at any multiple of `every`; other records are passed over. Ctrl-C passes
    through, and the record begun is dropped.

    **Arguments:** `test` and the keywords of `metrics.evaluate` (`num_starts`, `num_steps`, ...),
    and

    - `key`: the same for every record, so that changes come from the network.
    - `every`: training steps between two evaluations.

    **Fields:** `steps`; `evaluations`, the `Evaluation` of each record; `history`, all as arrays.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(self, test: Any, *, key: PRNGKeyArray, every: int, **options: Any):
        taken = {"model", "test", "observation_model", "key"}
        allowed = [name for name in inspect.signature(evaluate).parameters if name not in taken]
        for name in options:
            if name not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}")
        self.every = checked_whole("every", every, 1)
        self.test, self.key, self.options = test, checked_key(key), options
        self.steps: list[int] = []
        self.evaluations: list[Evaluation] = []

    def __call__(self, record: Any) -> None:
        """Evaluate the networks of the record, where its step is a multiple of `every`."""
        if record.step % self.every == 0:
            evaluation = self.measure(record)
            self.steps.append(int(record.step))
            self.evaluations.append(evaluation)

    def measure(self, record: Any) -> Evaluation:
        """Return the evaluation of the networks of a record, without keeping it."""
        return evaluate(
            record.model,
            self.test,
            key=self.key,
            observation_model=record.observation_model,
            **self.options,
        )

    @property
    def history(self) -> EvaluationHistory:
        """What was seen until now, as arrays."""
        self._check_seen("history")
        rows = [(*one.median, one.captured_share) for one in self.evaluations]
        return EvaluationHistory(np.array(self.steps, np.int64), *np.array(rows, np.float64).T)

    def late(self, share: float = 0.5) -> EvaluationSummary:
        """Return median ± MAD over the late records, since the last one alone is a lottery.

        **Arguments:** `share` in (0, 1]: the last part of training, in steps.

        **Raises:** `ValueError` naming the argument, or where there is no record yet.
        """
        self._check_seen("late")
        return evaluate_many([self.evaluations[row] for row in late_rows(self.steps, share)])

    def _check_seen(self, name: str) -> None:
        if not self.evaluations:
            raise ValueError(f"{name}: no record yet; call the probe with a record first")


def late_rows(steps: Any, share: float = 0.5) -> list[int]:
    """Return the rows of steps that lie in the last part of training.

    **Raises:** `ValueError` for a share that is not in (0, 1].
    """
    number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
    if not (number and 0 < share <= 1):
        raise ValueError(f"share: expected a number in (0, 1], got {share!r}")
    first = (1 - share) * max(steps)
    return [row for row, step in enumerate(steps) if step >= first]


class Snapshots:
    """A callback that keeps the networks of a run on the host, as NumPy copies.

    **Arguments:** `every`: training steps between two snapshots.

    **Fields:** `steps`; `models` and `observation_models`, one for each.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(self, every: int):
        self.every = checked_whole("every", every, 1)
        self.steps: list[int] = []
        self.models: list[AbstractDynamics] = []
        self.observation_models: list[AbstractObservation] = []

    def __call__(self, record: Any) -> None:
        """Keep the networks of the record, where its step is a multiple of `every`."""
        if record.step % self.every:
            return
        model, observation = on_host((record.model, record.observation_model))
        self.steps.append(int(record.step))
        self.models.append(model)
        self.observation_models.append(observation)


def on_host(tree: Any) -> Any:
    """Return the same tree with NumPy copies of its arrays."""
    return jax.tree.map(lambda x: np.array(x) if eqx.is_array(x) else x, tree)
