"""The evaluation protocol: orbits from many starting points, held against test data."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from .._arguments import checked_key, checked_whole
from .._host import on_host
from .._memory import check_memory
from .._numerics import as_real, quiet_floats
from .._trials import LONGEST_GAP
from ._evaluation import Evaluation, Scores
from ._power import checked_smoothing, fewest_rows, power_spectrum_error
from ._prediction import mean_squared_error
from ._rollout import Simulator, generated, make_simulator
from ._series import Series, split_half
from ._shown import checked_test
from ._state_space import checked_method, state_space_divergence

_QUIET = 0.5
"""An orbit that in the end moves less than this share of the data in all dimensions is captured."""
_PARTS = 4
"""Its end is the last of so many parts, and is held against the quietest of the data's parts, since
data may rest as well."""
_MEDIANS, _OFFSET = 3.0, 0.5
"""So is one whose D_stsp exceeds so many medians plus this offset (scores of equally good orbits
differ by less: on Lorenz-63 by a factor of two, .06 of it noise)."""


@on_host()
def evaluate(
    model: Any,
    test: Any,
    *,
    key: Any = None,
    mask: Any = None,
    num_starts: int = 16,
    observation_model: Any = None,
    generate: float | int = 1.25,
    drop: float | int = 0.25,
    num_steps: int = 20,
    method: str = "auto",
    bins: int = 30,
    smoothing: float | int = 20,
    longest_gap: int = LONGEST_GAP,
) -> Evaluation:
    """Hold a model against test data: D_stsp, D_H and PE(n), from many starting points.

    Orbits of `generate` T steps start from rows spread evenly over the T x N test data; the first
    `drop` T steps are left out, and D_stsp and D_H of what remains, against all test data, are
    listed per orbit (the protocol of Hess et al. 2023, which takes one start). A trained network
    often has a second attractor that captures a few per cent of the orbits: one orbit is a lottery.

    **Main arguments:**

    - `model`: an `AbstractDynamics`, or a callable `step(state)`, traceable by JAX; run in the
        dtype of its parameters (a bare step in float64).
    - `test`: test data, T x N, or several trials: (trial, time, variable), or a list of series of
        different lengths. NaN is a value that is missing.
    - `key`: for the samples of the mixture (N >= 6); by default `jax.random.key(0)`.
    - `num_starts`: number of orbits.
    - `observation_model`: an object with `initial_state(observation) -> state` and
        `observe(state) -> observation`, each for one vector and traceable; None: the state is the
        observation.

    **Other arguments:** `mask`, True where a value was observed; `longest_gap`, as in `fit`. Of
    data with gaps T is the number of rows at least half of whose values were observed: orbits start
    there, and D_stsp is against them; D_H is against the longest stretch between gaps, and missing
    values are interpolated in both; PE(n) is within stretches, against what was observed.
    `generate` and `drop`, in units of T; `num_steps`, the n of PE(n); `method`
    and `bins` of `state_space_divergence`; `smoothing` of `power_spectrum_error`.

    **Returns:** an `Evaluation`; orbits that ran away are NaN there, and counted.

    **Raises:** `ValueError` naming the argument.
    """
    key = jr.key(0) if key is None else checked_key(key)
    num_starts = checked_whole("num_starts", num_starts, 1)
    num_steps = checked_whole("num_steps", num_steps, 1)
    method, bins = checked_method(method), checked_whole("bins", bins, 2)
    least = fewest_rows(checked_smoothing(smoothing))
    shown = checked_test(test, mask, max(2 * least, num_steps + 1), num_starts, longest_gap)
    data, series = shown.values[shown.rows], shown.longest
    dropped, kept = _lengths(generate, drop, len(data), least)
    steps_bytes = 8 * num_starts * kept * data.shape[1]
    check_memory("generate", f"{generate} times {len(data)} rows", steps_bytes)
    simulator = _observed(model, observation_model, data.shape[1])
    places = np.arange(num_starts, dtype=np.int64) * len(data) // num_starts
    orbits, steps = _orbits(simulator, data[places], dropped, kept)
    divergence = _divergence(key, method, bins)
    power = lambda true, orbit: power_spectrum_error(true, orbit, smoothing)
    distances = np.array([divergence(row)(data, orbit) for row, orbit in enumerate(orbits)])
    moves = _relative_deviation(orbits, series)
    return Evaluation(
        start=shown.rows[places],
        state_space_divergence=distances,
        power_spectrum_error=np.array([power(series, orbit) for orbit in orbits]),
        first_nonfinite=np.where(steps < dropped + kept, steps + 1, -1),
        relative_deviation=moves,
        captured=_captured(distances, moves) & (steps == dropped + kept),
        prediction_error=mean_squared_error(simulator, *shown.pairs(num_steps), num_steps),
        prediction_steps=num_steps,
        floor=Scores(split_half(divergence(num_starts), data), split_half(power, series), np.nan),
        num_generated=kept,
        num_observed=len(data),
        dimension=data.shape[1],
        variance=float(np.nanvar(np.where(shown.seen, shown.values, np.nan), axis=0).mean()),
    )


def _lengths(generate: Any, drop: Any, length: int, least: int) -> tuple[int, int]:
    """Return the steps left out and the steps kept of each orbit."""
    all_of_it, left_out = (
        float(as_real(name, value, ())) for name, value in (("generate", generate), ("drop", drop))
    )
    if left_out < 0:
        raise ValueError(f"drop: expected a number of at least 0, got {drop!r}")
    dropped = round(left_out * length)
    kept = round(all_of_it * length) - dropped
    if kept < least:
        raise ValueError(
            f"generate: expected at least {least} steps after those dropped ({dropped}), got "
            f"{generate!r} times {length} rows of test data"
        )
    return dropped, kept


def _observed(model: Any, observation_model: Any, dimension: int) -> Simulator:
    """Return the simulator of a model seen through an observation model."""
    encode = getattr(observation_model, "initial_state", None)
    decode = getattr(observation_model, "observe", None)
    wrong = isinstance(observation_model, type) or not (callable(encode) and callable(decode))
    if observation_model is not None and wrong:
        raise ValueError(
            "observation_model: expected an object with initial_state(observation) and "
            f"observe(state), got {observation_model!r}"
        )
    names = ("observation_model.initial_state", "observation_model.observe")
    return make_simulator(model, dimension, encode, decode, names)


def _orbits(
    simulator: Simulator, firsts: Float[np.ndarray, "start dimension"], dropped: int, kept: int
) -> tuple[Float[np.ndarray, "start time dimension"], Int[np.ndarray, " start"]]:
    """Return the orbits in the model's dtype, and the number of finite steps of each."""
    with simulator.scope():
        rows = jnp.asarray(firsts, simulator.dtype)
        orbits, steps = generated(simulator, rows, dropped, kept)
        return np.moveaxis(np.asarray(orbits), 1, 0), np.asarray(steps, np.int64)


def _divergence(
    key: PRNGKeyArray, method: str, bins: int
) -> Callable[[int], Callable[[Any, Any], float]]:
    """Return D_stsp with a sample of its own for each index."""

    def indexed(index: int) -> Callable[[Any, Any], float]:
        own = jr.fold_in(key, index)
        return lambda true, orbit: state_space_divergence(
            true, orbit, method=method, bins=bins, key=own
        )

    return indexed


def _relative_deviation(orbits: np.ndarray, data: Series) -> Float[np.ndarray, "start dimension"]:
    """Return how much orbits move at their ends, over how much the data move at least."""
    length = len(data) // _PARTS
    parts = data[: _PARTS * length].reshape(_PARTS, length, -1)
    with quiet_floats():
        moves = np.array([orbit[-length:].astype(np.float64).std(axis=0) for orbit in orbits])
        return moves / parts.std(axis=1).min(axis=0)


def _captured(
    distances: Float[np.ndarray, " start"], moves: Float[np.ndarray, "start dimension"]
) -> Bool[np.ndarray, " start"]:
    """Return which orbits are on another attractor (meaningless for those not finite)."""
    known = distances[~np.isnan(distances)]
    limit = _MEDIANS * np.median(known) + _OFFSET if len(known) else np.inf
    quiet = (moves < _QUIET).all(axis=1)
    return quiet | (distances > limit) | np.isnan(distances)
