"""`fit`: train a recurrent network on time series or on a task."""

import dataclasses
import functools
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
from .._host import on_host
from .._job import deadline_of
from .._memory import check_memory
from .._progress import AbstractProgress
from .._results import RESULTS
from .._trials import LONGEST_GAP, Trials, checked_trials
from ._engine import Carry, Recipe
from ._forcing import AbstractForcing, NoForcing
from ._loop import Loop, run_loops
from ._loss import Networks
from ._observation import AbstractObservation, check_readout, checked_observation
from ._records import Callback, TrainingRun
from ._regularization import AbstractRegularizer
from ._windows import Series, make_series


@functools.lru_cache(maxsize=64)
def _with_value(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer that may be told the loss; the same one for the same one."""
    return optax.with_extra_args_support(optimizer)


@functools.cache
def default_optimizer(
    num_steps: int, first: float = 5e-3, last: float = 5e-5
) -> optax.GradientTransformationExtraArgs:
    """Return RAdam whose learning rate decays exponentially over so many steps, then stays."""
    checked_whole("num_steps", num_steps, 1)
    first, last = checked_positive("first", first), checked_positive("last", last)
    rate = optax.exponential_decay(first, num_steps, last / first, end_value=last)
    return _with_value(optax.radam(rate))


@on_host("fit_many trains several networks")
def fit(
    model: AbstractDynamics,
    observations: Any = None,
    *,
    key: Any,
    mask: Any = None,
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
    longest_gap: int = LONGEST_GAP,
    callbacks: Sequence[Callback] = (),
    checkpoint: Any = None,
    checkpoint_seconds: float | int = 30.0,
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
    - `observations`: time series (time, variable), or several: (sequence, time, variable), or a
        list of series of different lengths. NaN is a value that is missing.
    - `key`: `jax.random.key(seed)`; the same key gives the same run.
    - `forcing`: `SparseForcing(tau)`, `GeneralizedForcing(alpha)`, `AdaptiveForcing()`, ...;
        `NoForcing()` by default.
    - `num_steps`: updates to take.

    **Other arguments:**

    - `mask`: True where a value was observed, of the shape of `observations`, or one per row.
        Missing values are not in the loss and do not force: there the network's own prediction
        stands for them. Windows start where something was observed.
    - `longest_gap`: rows in a row without any value that a window may hold; what is longer is a
        gap, which no window crosses.
    - `inputs`: external input beside the observations, as many rows.
    - `targets`, `loss`: a task: `loss(predicted, target)` is a scalar of two arrays (time,
        variable), the first O(output of the state).
    - `observation_model`: `Identity` or `Affine`; by default the identity of all states. For a task
        it reads out `model.output(z)`.
    - `optimizer`: any Optax transformation; by default RAdam with a rate from 5e-3 to 5e-5.
    - `regularizers`: `L2`, `ManifoldAttractor`, `ObservationCondition`, or your own.
    - `callbacks`: called as `callback(record)` before the first update and after every
        `callback.every` of them; may return an `Action`.
    - `checkpoint`: a file (.npz or .safetensors) that is written while training goes, every
        `checkpoint_seconds` and at the end, and from which the same call goes on, to the same
        numbers bit for bit. With more `num_steps` and the same optimizer it goes further.
    - `max_seconds`: time limit; `throw`: raise where training diverges at once; `progress`.

    **Returns:** a `TrainingRun`. Ctrl-C returns what was trained until then. Training that diverges
    (loss or gradient not finite) ends with `RESULTS.not_finite` and the last finite model.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where the first update is not
    finite.
    """
    begun = time.perf_counter()
    settings = Settings(
        mask, inputs, targets, loss, forcing, observation_model, optimizer, regularizers,
        sequence_length, batch_size, longest_gap,
    )  # fmt: skip
    carry, series, recipe, notes = prepared(model, observations, num_steps, settings)
    key, own = checked_key(key), listed(callbacks)
    loop = Loop(carry, series, recipe, key, num_steps, own, checkpoint, checkpoint_seconds)
    loop.notes += notes
    run_loops([loop], progress, deadline_of(max_seconds))
    run = loop.finished(time.perf_counter() - begun)
    if throw:
        check_begun(run)
    return run


def listed(callbacks: Any) -> list[Callback]:
    """Return the callbacks.

    **Raises:** `ValueError` for something else than several functions.
    """
    if not isinstance(callbacks, Iterable) or not all(map(callable, found := list(callbacks))):
        raise ValueError(f"callbacks: expected a list of functions of a record, got {callbacks!r}")
    return found


def check_begun(run: TrainingRun) -> None:
    """Refuse a run that got nowhere.

    **Raises:** `RuntimeError` where the first update was not finite.
    """
    if run.result is RESULTS.not_finite and not run.num_steps:
        raise RuntimeError("fit: loss or gradient of the first update is not finite")


_STEP_BYTES = 16
"""Kept of each update, at least: loss, norms of gradients, scale."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `fit` takes for one network as for many; not yet checked."""

    mask: Any = None
    inputs: Any = None
    targets: Any = None
    loss: Any = None
    forcing: Any = None
    observation_model: Any = None
    optimizer: Any = None
    regularizers: Any = ()
    sequence_length: Any = 200
    batch_size: Any = 16
    longest_gap: Any = LONGEST_GAP


def prepared(
    model: Any, observations: Any, num_steps: Any, settings: Settings
) -> tuple[Carry, Series, Recipe, list[str]]:
    """Return the first carry, the data, the recipe, all checked, and notes on the data."""
    s, forcing, optimizer = settings, settings.forcing, settings.optimizer
    check_kind("forcing", forcing, AbstractForcing, "a forcing such as GeneralizedForcing(0.1)")
    checked_whole("num_steps", num_steps, 1)
    checked_whole("sequence_length", s.sequence_length, 1)
    checked_whole("batch_size", s.batch_size, 1)
    check_memory("num_steps", num_steps, _STEP_BYTES * num_steps)
    if (s.targets is None) != (s.loss is None):
        raise ValueError("loss: expected together with targets, and targets together with loss")
    series_given = forcing is not None or observations is not None
    if s.targets is not None and (s.inputs is None or series_given):
        raise ValueError("targets: a task takes inputs, and neither observations nor forcing")
    model, dtype = _on_device(model)
    windows = 2 * 4 * int(s.batch_size) * int(s.sequence_length) * model.state_size
    check_memory("batch_size", f"{s.batch_size} windows of {s.sequence_length} steps", windows)
    checked_whole("longest_gap", s.longest_gap, 0)
    if s.mask is not None and observations is None:
        raise ValueError("mask: expected together with observations")
    trials = None if observations is None else checked_trials("observations", observations, s.mask)
    series = make_series(trials, s.inputs, s.targets, s.sequence_length, s.longest_gap, dtype)
    observation_model = s.observation_model
    if series.observations is not None:
        width = series.observations.shape[1]
        observation_model = checked_observation(observation_model, width, model.state_size)
    elif not isinstance(observation_model, AbstractObservation):
        raise ValueError(
            "observation_model: expected a readout for the task, such as Affine(num_outputs, "
            "output_size, key=key)"
        )
    else:
        check_readout(observation_model, model)
    if not isinstance(s.regularizers, Iterable):
        raise ValueError(
            f"regularizers: expected a list, such as [L2(1e-5)], got {s.regularizers!r}"
        )
    regularizers = tuple(s.regularizers)
    for one in regularizers:
        check_kind("regularizers", one, AbstractRegularizer, "regularizers such as L2(1e-5)")
    forcing, notes = _prepared_forcing(forcing, trials, s.longest_gap)
    optimizer = default_optimizer(num_steps) if optimizer is None else optimizer
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise ValueError(
            f"optimizer: expected an Optax transformation, such as optax.adam(1e-3), got "
            f"{optimizer!r}"
        )
    optimizer = _with_value(optimizer)
    recipe = Recipe(forcing, optimizer, regularizers, s.loss, s.sequence_length, s.batch_size)
    try:
        hash((forcing, regularizers))
    except TypeError as error:
        raise ValueError(
            "forcing, regularizers: expected fields that are static (eqx.field(static=True)), "
            "such as numbers; arrays cannot be part of a compiled update"
        ) from error
    return first_carry(model, observation_model, recipe), series, recipe, notes


def _prepared_forcing(
    forcing: AbstractForcing | None, trials: Trials | None, longest_gap: int
) -> tuple[AbstractForcing, list[str]]:
    """Return the forcing as the observations settle it, and what is to be said of them."""
    rows = [] if trials is None else list(trials.stretches(longest_gap))
    stretches = [] if trials is None else [trials.values[first:last] for first, last in rows]
    forcing, notes = (NoForcing() if forcing is None else forcing).prepared(
        sorted(stretches, key=len, reverse=True)
    )
    missing = None if trials is None else trials.note(longest_gap)
    return forcing, ([] if missing is None else [missing]) + notes


def _on_device(model: AbstractDynamics) -> tuple[AbstractDynamics, Any]:
    """Return the network with JAX arrays, and its dtype.

    **Raises:** `ValueError` for anything that has no parameters.
    """
    check_kind("model", model, AbstractDynamics, "a network (an AbstractDynamics)")
    model = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, model)
    weights = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    if not weights:
        raise ValueError("model: expected a network with parameters, got none")
    return model, jax.dtypes.canonicalize_dtype(weights[0].dtype)


def first_carry(model: AbstractDynamics, observation_model: Any, recipe: Recipe) -> Carry:
    """Return what the first update is handed."""
    model, dtype = _on_device(model)
    cast = lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x
    nets = jax.tree.map(cast, Networks(model, observation_model))
    array = lambda x: jnp.asarray(x) if isinstance(x, bool | int | float | np.ndarray) else x
    states = recipe.optimizer.init(eqx.filter(nets, eqx.is_inexact_array)), recipe.forcing.init()
    zero, one = jnp.zeros((), jnp.int32), jnp.ones((), dtype)
    opt_state, forcing_state = jax.tree.map(array, states)
    return Carry(nets, opt_state, forcing_state, zero, one)
