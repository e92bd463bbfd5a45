"""`fit`: train a recurrent network on time series or on a task."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._arguments import check_kind, checked_key, checked_positive, checked_whole
from .._dynamics import AbstractDynamics
from .._parallel import AbstractProgress, ProgressBar
from .._results import RESULTS
from ._checkpoint import Checkpoint
from ._engine import CHUNK, Carry, Recipe, advance
from ._forcing import AbstractForcing, NoForcing
from ._loss import Networks
from ._observation import AbstractObservation, checked_observation
from ._records import Action, Callback, TrainingRecord, TrainingRun
from ._regularization import AbstractRegularizer
from ._windows import make_series

_SECONDS = 0.5
"""Aim for the duration of one call: between two calls Ctrl-C and the clock are heard."""


def default_optimizer(
    num_steps: int, first: float = 5e-3, last: float = 5e-5
) -> optax.GradientTransformation:
    """Return RAdam with a learning rate that decays exponentially over the run."""
    checked_whole("num_steps", num_steps, 1)
    first, last = checked_positive("first", first), checked_positive("last", last)
    return optax.radam(optax.exponential_decay(first, num_steps, last / first))


def fit(
    model: AbstractDynamics,
    observations: Any = None,
    *,
    key: Any,
    inputs: Any = None,
    targets: Any = None,
    loss: Callable | None = None,
    forcing: AbstractForcing | None = None,
    observation_model: AbstractObservation | None = None,
    optimizer: optax.GradientTransformation | None = None,
    regularizers: Iterable[AbstractRegularizer] = (),
    num_steps: int = 25_000,
    sequence_length: int = 200,
    batch_size: int = 16,
    callbacks: Sequence[Callback] = (),
    checkpoint: Any = None,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
) -> TrainingRun:
    """Train a network to forecast a time series, or to do a task.

    Each update draws windows of `sequence_length` steps with replacement, rolls the network out
    along them under the forcing, and takes one optimizer step on the mean squared error of
    O(z_t) against x_t plus the regularizers (Mikhaeil et al. 2022; Hess et al. 2023). With
    `targets` and `loss` the network learns a task from `inputs` instead, without forcing.
    Thousands of updates run in one compiled loop, in the dtype of the model.

    **Main arguments:**

    - `model`: the network to begin with.
    - `observations`: time series (time, variable), or several (sequence, time, variable).
    - `key`: `jax.random.key(seed)`; the same key gives the same run.
    - `forcing`: `SparseForcing(tau)`, `GeneralizedForcing(alpha)`, `AdaptiveForcing()`, ...;
        `NoForcing()` by default.
    - `num_steps`: updates to take.

    **Other arguments:**

    - `inputs`: external input beside the observations, as many rows.
    - `targets`, `loss`: a task: `loss(predicted, target)` is a scalar of two arrays (time,
        variable), the first O(output of the state).
    - `observation_model`: `Identity` or `Affine`; by default the identity of all states. For a task
        it reads out `model.output(z)`.
    - `optimizer`: any Optax transformation; by default RAdam with a rate from 5e-3 to 5e-5.
    - `regularizers`: `L2`, `ManifoldAttractor`, `ObservationCondition`, or your own.
    - `callbacks`: called as `callback(record)` before the first update and after every
        `callback.every` of them; may return an `Action`.
    - `checkpoint`: a file (.npz or .safetensors) that is written while training goes, and from
        which the same call goes on, to the same numbers bit for bit.
    - `max_seconds`: time limit; `throw`: raise where training diverges at once; `progress`.

    **Returns:** a `TrainingRun`. Ctrl-C returns what was trained until then. Training that diverges
    (loss or gradient not finite) ends with `RESULTS.not_finite` and the last finite model.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where the first update is not
    finite.
    """
    begun = time.perf_counter()
    carry, series, recipe = _prepared(
        model, observations, inputs, targets, loss, forcing, observation_model, optimizer,
        regularizers, num_steps, sequence_length, batch_size,
    )  # fmt: skip
    loop = _Loop(carry, series, recipe, checked_key(key), num_steps, list(callbacks), checkpoint)
    if max_seconds is not None:
        loop.deadline = begun + checked_positive("max_seconds", max_seconds)
    loop.report = ProgressBar() if progress is None else progress
    result = loop.run()
    run = loop.finished(result, time.perf_counter() - begun)
    if throw and result is RESULTS.not_finite and not run.num_steps:
        raise RuntimeError("fit: loss or gradient of the first update is not finite")
    return run


def _prepared(
    model, observations, inputs, targets, loss, forcing, observation_model, optimizer,
    regularizers, num_steps, sequence_length, batch_size,
) -> tuple:  # fmt: skip
    """Return the first carry, the data and the recipe, all checked."""
    check_kind("model", model, AbstractDynamics, "a network (an AbstractDynamics)")
    check_kind("forcing", forcing, AbstractForcing, "a forcing such as GeneralizedForcing(0.1)")
    checked_whole("num_steps", num_steps, 1)
    checked_whole("sequence_length", sequence_length, 1)
    checked_whole("batch_size", batch_size, 1)
    if (targets is None) != (loss is None):
        raise ValueError("loss: expected together with targets, and targets together with loss")
    if targets is not None and (inputs is None or forcing is not None or observations is not None):
        raise ValueError("targets: a task takes inputs, and neither observations nor forcing")
    model = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, model)
    weights = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    if not weights:
        raise ValueError("model: expected a network with parameters, got none")
    series = make_series(observations, inputs, targets, sequence_length, weights[0].dtype)
    if series.observations is not None:
        width = series.observations.shape[1]
        observation_model = checked_observation(observation_model, width, model.state_size)
    elif not isinstance(observation_model, AbstractObservation):
        raise ValueError(
            "observation_model: expected a readout for the task, such as Affine(num_outputs, "
            "output_size, key=key)"
        )
    nets = Networks(model, observation_model)
    nets = jax.tree.map(
        lambda x: x.astype(weights[0].dtype) if eqx.is_inexact_array(x) else x, nets
    )
    regularizers = tuple(regularizers)
    for one in regularizers:
        check_kind("regularizers", one, AbstractRegularizer, "regularizers such as L2(1e-5)")
    recipe = Recipe(
        NoForcing() if forcing is None else forcing,
        default_optimizer(num_steps) if optimizer is None else optimizer,
        regularizers, loss, sequence_length, batch_size,
    )  # fmt: skip
    state = recipe.optimizer.init(eqx.filter(nets, eqx.is_inexact_array))
    zero, one = jnp.zeros((), jnp.int32), jnp.ones((), weights[0].dtype)
    return Carry(nets, state, recipe.forcing.init(), zero, one), series, recipe


class _Loop:
    """The loop on the host: chunks of updates, callbacks between them, checkpoints."""

    def __init__(self, carry, series, recipe, key, num_steps, callbacks, checkpoint):
        self.carry, self.series, self.recipe, self.key = carry, series, recipe, key
        self.num_steps, self.callbacks = num_steps, callbacks
        self.losses: list[np.ndarray] = []
        self.norms: list[np.ndarray] = []
        self.forced: list[np.ndarray] = []
        self.notes: list[str] = []
        self.done, self.stopped, self.pace = 0, False, 64
        self.deadline: float | None = None
        self.report: AbstractProgress = ProgressBar()
        self.checkpoint = None if checkpoint is None else Checkpoint(checkpoint, self)
        self.periods = [checked_whole("every", getattr(c, "every", 1), 1) for c in callbacks]

    def run(self) -> RESULTS:
        self.report.open("training")
        try:
            if self.checkpoint is not None:
                self.checkpoint.restore(self)
            if not self.done:
                self._call_back()
            while self.done < self.num_steps and not self.stopped:
                if self.deadline is not None and time.perf_counter() > self.deadline:
                    return RESULTS.budget_exhausted
                if not self._chunk():
                    return RESULTS.not_finite
                self._call_back()
                if self.checkpoint is not None:
                    self.checkpoint.save_sometimes(self)
        except KeyboardInterrupt:
            return RESULTS.interrupted
        finally:
            self.report.close()
            if self.checkpoint is not None:
                self.checkpoint.save(self)
        return RESULTS.successful

    def _chunk(self) -> bool:
        """Take some updates; return False where one was not finite."""
        begun = time.perf_counter()
        ahead = [every - self.done % every for every in self.periods]
        count = min(self.pace, CHUNK, self.num_steps - self.done, *ahead)
        carry, notes, good = advance(
            self.carry, self.series, self.key, jnp.asarray(count, jnp.int32), self.recipe
        )
        good = int(good)
        self.carry, self.done = carry, self.done + good
        for kept, new in zip((self.losses, self.norms, self.forced), notes):
            kept.append(np.asarray(new)[:good])
        seconds = time.perf_counter() - begun
        self.pace = max(1, min(int(count * _SECONDS / max(seconds, 1e-6)), 8 * self.pace))
        if good < count:
            self.notes.append(
                f"loss or gradient of update {self.done + 1} was not finite: the model is the last "
                "finite one; lower the learning rate, clip gradients, or force more strongly"
            )
            return False
        self.report.update(self.done / self.num_steps, f"loss {float(notes.losses[good - 1]):.3g}")
        return True

    def record(self) -> TrainingRecord:
        join = lambda parts: np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return TrainingRecord(
            step=self.done,
            model=self.carry.nets.model,
            observation_model=self.carry.nets.observation,
            opt_state=self.carry.opt_state,
            losses=join(self.losses),
            gradient_norms=join(self.norms),
            forcing=self.recipe.forcing,
            forcing_state=self.carry.forcing_state,
        )

    def _call_back(self) -> None:
        for callback, every in zip(self.callbacks, self.periods):
            if self.done % every == 0:
                action = callback(self.record())
                if isinstance(action, Action):
                    self._act(action)

    def _act(self, action: Action) -> None:
        if action.revert_to is not None:
            record = action.revert_to
            nets = Networks(record.model, record.observation_model)
            self.carry = self.carry._replace(nets=nets, opt_state=record.opt_state)
        if action.update_scale is not None:
            scale = jnp.asarray(action.update_scale, self.carry.scale.dtype)
            self.carry = self.carry._replace(scale=scale)
        if action.forcing is not None:
            self.recipe = Recipe(**{**vars(self.recipe), "forcing": action.forcing})
            self.carry = self.carry._replace(forcing_state=action.forcing.init())
        self.stopped = self.stopped or action.stop

    def finished(self, result: RESULTS, seconds: float) -> TrainingRun:
        record = self.record()
        return TrainingRun(
            model=record.model,
            observation_model=record.observation_model,
            losses=record.losses,
            gradient_norms=record.gradient_norms,
            parameters=_names(self.carry.nets),
            forcing=np.concatenate(self.forced) if self.forced else np.zeros(0, np.float32),
            num_steps=self.done,
            seconds=seconds,
            record=record,
            result=result,
            notes=tuple(self.notes),
        )


def _names(nets: Networks) -> tuple[str, ...]:
    """Return names such as "model.A" of the trained arrays, in the order of their gradients."""
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(nets, eqx.is_inexact_array))
    return tuple(jax.tree_util.keystr(path).lstrip(".") for path, _ in leaves)
