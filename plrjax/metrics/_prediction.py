"""PE(n): how far off a model is, n steps after it was put on the data."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from .._arguments import checked_whole
from .._numerics import quiet_floats
from ._rollout import Simulator, make_simulator, predicted
from ._series import checked_series


def prediction_error(
    model: Any,
    observations: Any,
    num_steps: int = 20,
    *,
    encode: Any = None,
    decode: Any = None,
    batch_size: int = 8_192,
) -> float:
    """Return PE(n), the mean over t and dimensions of (x_{t+n} - decode(F^n(encode(x_t))))^2.

    Every t with t + n inside the data counts once (Koppe et al. 2019). The model runs in the dtype
    of its parameters, as in training, whatever JAX's global setting, a bare step in float64; errors
    are squared and summed in float64. In squared units of the data.

    **Main arguments:**

    - `model`: an `AbstractDynamics`, or a callable `step(state)`, traceable by JAX.
    - `observations`: the data, T x N.
    - `num_steps`: n, the steps predicted ahead.

    **Other arguments:**

    - `encode`: traceable, observation (N,) to state (M,); None: the state is the observation.
    - `decode`: traceable, state (M,) to observation (N,); None: the observation is the state.
    - `batch_size`: predictions made at a time.

    **Returns:** NaN where a prediction is not finite.

    **Raises:** `ValueError` naming the argument.
    """
    num_steps = checked_whole("num_steps", num_steps, 1)
    batch_size = checked_whole("batch_size", batch_size, 1)
    data = checked_series("observations", observations, num_steps + 1)
    simulator = make_simulator(model, data.shape[1], encode, decode, ("encode", "decode"))
    seen = np.ones_like(data[num_steps:], bool)
    return mean_squared_error(
        simulator, data[:-num_steps], data[num_steps:], seen, num_steps, batch_size
    )


def mean_squared_error(
    simulator: Simulator,
    starts: Float[np.ndarray, "start dimension"],
    targets: Float[np.ndarray, "start dimension"],
    seen: Bool[np.ndarray, "start dimension"],
    num_steps: int,
    batch_size: int = 8_192,
) -> float:
    """Return PE(n) of a simulator against the targets that were observed.

    Batches are of one size, so that they compile once.
    """
    if not len(starts):  # no two rows so far apart were observed in one stretch
        return float("nan")
    num_batches = math.ceil(len(starts) / batch_size)
    size, total = math.ceil(len(starts) / num_batches), 0.0
    for first in range(0, len(starts), size):
        rows = np.minimum(np.arange(first, first + size), len(starts) - 1)
        with simulator.scope():
            batch = jnp.asarray(starts[rows], simulator.dtype)
            ahead = np.asarray(predicted(simulator, batch, num_steps), np.float64)
        wanted, there = targets[first : first + size], seen[first : first + size]
        with quiet_floats():
            total += float(np.square(ahead[: len(wanted)] - wanted)[there].sum())
    return total / seen.sum() if math.isfinite(total) else float("nan")
