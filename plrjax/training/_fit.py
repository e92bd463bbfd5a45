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
    settings = _Settings(
        mask, inputs, targets, loss, forcing, observation_model, optimizer, regularizers,
        sequence_length, batch_size, longest_gap,
    )  # fmt: skip
    carry, series, recipe, notes = _prepared(model, observations, num_steps, settings)
    key, own = checked_key(key), _listed(callbacks)
    loop = Loop(carry, series, recipe, key, num_steps, own, checkpoint, checkpoint_seconds)
    loop.notes += notes
    run_loops([loop], progress, deadline_of(max_seconds))
    return _finished(loop, begun, throw)


@on_host()
def fit_many(
    models: Sequence[AbstractDynamics],
    observations: Any = None,
    *,
    keys: Any,
    callbacks: Sequence[Sequence[Callback]] | None = None,
    checkpoints: Sequence[Any] | None = None,
    checkpoint_seconds: float | int = 30.0,
    together: bool | None = None,
    num_steps: int = 25_000,
    max_seconds: float | int | None = None,
    throw: bool = True,
    progress: AbstractProgress | None = None,
    **settings: Any,
) -> list[TrainingRun]:
    """Train several networks of one architecture on the same data, as `fit` does each of them.

    **Arguments:**

    - `models`: the networks to begin with, of the same shapes.
    - `observations`, `num_steps`, `checkpoint_seconds`, `max_seconds` (for all together), `throw`,
        `progress` and other `settings`: as in `fit`.
    - `keys`: one for each network.
    - `callbacks`, `checkpoints`: for each network its callbacks, and its file.
    - `together`: all runs as one program (`jax.vmap`), else one after the other. By default
        together on accelerators: small networks leave most of one idle. On a CPU there is nothing
        to gain. Numbers agree up to rounding.

    **Returns:** the runs, in the order of the networks. One that diverges does not stop the others.

    **Raises:** `ValueError` naming the argument; `RuntimeError` where the first update of every
    run is not finite.
    """
    begun, models = time.perf_counter(), list(models)
    keys = [checked_key(key) for key in keys]
    rows = [("keys", keys), ("callbacks", callbacks), ("checkpoints", checkpoints)]
    if checkpoints is not None and len(set(map(str, checkpoints))) < len(checkpoints):
        raise ValueError("checkpoints: expected another file for each network")
    for name, given in rows:
        if given is not None and len(given) != len(models):
            raise ValueError(
                f"{name}: expected one for each of {len(models)} networks, got {len(given)}"
            )
    if not models:
        raise ValueError("models: expected at least one network, got none")
    known = [field.name for field in dataclasses.fields(_Settings)]
    for name in settings:
        if name not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}")
    first, series, recipe, notes = _prepared(
        models[0], observations, num_steps, _Settings(**settings)
    )
    loops = []
    for row, model in enumerate(models):
        carry = _first_carry(model, first.nets.observation, recipe)
        if _kind(carry) != _kind(first):
            raise ValueError(f"models[{row}]: expected the type and shapes of models[0]")
        own = [] if callbacks is None else _listed(callbacks[row])
        file = None if checkpoints is None else checkpoints[row]
        loop = Loop(carry, series, recipe, keys[row], num_steps, own, file, checkpoint_seconds)
        loop.notes += notes
        loops.append(loop)
    deadline = deadline_of(max_seconds)
    side_by_side = jax.default_backend() != "cpu" if together is None else together
    for group in [loops] if side_by_side else [[loop] for loop in loops]:
        if deadline is not None and time.perf_counter() > deadline:
            group[0].result = RESULTS.budget_exhausted
            continue
        run_loops(group, progress, deadline)
        if group[0].result is RESULTS.interrupted:
            break
    failed = [loop.result is RESULTS.not_finite and not loop.done for loop in loops]
    return [_finished(loop, begun, throw and all(failed)) for loop in loops]


def _listed(callbacks: Any) -> list[Callback]:
    """Return the callbacks.

    **Raises:** `ValueError` for something else than several functions.
    """
    if not isinstance(callbacks, Iterable) or not all(map(callable, found := list(callbacks))):
        raise ValueError(f"callbacks: expected a list of functions of a record, got {callbacks!r}")
    return found


def _finished(loop: Loop, begun: float, throw: bool) -> TrainingRun:
    run = loop.finished(time.perf_counter() - begun)
    if throw and run.result is RESULTS.not_finite and not run.num_steps:
        raise RuntimeError("fit: loss or gradient of the first update is not finite")
    return run


def _kind(carry: Carry) -> Any:
    """Return what runs must share to be one program."""
    arrays, rest = eqx.partition(carry, eqx.is_array)
    kinds = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(arrays)]
    return kinds, jax.tree.structure(carry), jax.tree.leaves(rest)


_STEP_BYTES = 16
"""Kept of each update, at least: loss, norms of gradients, scale."""


@dataclasses.dataclass(frozen=True)
class _Settings:
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


def _prepared(
    model: Any, observations: Any, num_steps: Any, settings: _Settings
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
    return _first_carry(model, observation_model, recipe), series, recipe, notes


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


def _first_carry(model: AbstractDynamics, observation_model: Any, recipe: Recipe) -> Carry:
    """Return what the first update is handed."""
    model, dtype = _on_device(model)
    cast = lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x
    nets = jax.tree.map(cast, Networks(model, observation_model))
    array = lambda x: jnp.asarray(x) if isinstance(x, bool | int | float | np.ndarray) else x
    states = recipe.optimizer.init(eqx.filter(nets, eqx.is_inexact_array)), recipe.forcing.init()
    zero, one = jnp.zeros((), jnp.int32), jnp.ones((), dtype)
    opt_state, forcing_state = jax.tree.map(array, states)
    return Carry(nets, opt_state, forcing_state, zero, one)
