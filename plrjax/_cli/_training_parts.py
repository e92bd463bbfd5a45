"""From options of `plrjax train` to networks, forcing, optimizer, and what is measured.

`options` is always a `TrainOptions`.
"""

import hashlib
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import NoProgress, lyapunov_spectrum
from .._io import (
    Measure,
    evaluation_cells,
    evaluation_columns,
    exponent_columns,
    first_networks,
    load_series,
)
from .._results import RESULTS
from ..training import (
    AdaptiveForcing,
    EvaluationProbe,
    GeneralizedForcing,
    NoForcing,
    SparseForcing,
    default_optimizer,
)
from ._common import readable
from ._train_options import GATED

_NUM_ORBITS, _NUM_STEPS, MAX_EXPONENTS = 16, 2_000, 10
"""Orbits and steps behind the exponents in the table, and the most of them."""


def read_series(option: str, path: str, gaps: bool) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a series, and its facts for the settings of the run."""
    with readable(path, option):
        values = load_series(path, gaps=gaps)
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {
        "path": str(pathlib.Path(path).resolve()),
        "sha256": found,
        "shape": list(values.shape),
    }
    return values, facts


def standardization(values: np.ndarray) -> dict[str, list[float]]:
    """Return mean and standard deviation of each variable."""
    wide = values.astype(np.float64)
    mean, deviation = np.nanmean(wide, axis=0), np.nanstd(wide, axis=0)
    return {"mean": mean.tolist(), "deviation": deviation.tolist()}


def state_size(options: Any, num_observed: int) -> int:
    """Return the number of states of the network, and refuse too few for the observations."""
    if options.kind in GATED:
        size = GATED[options.kind] * options.size()["hidden_size"]
        option = "--hidden-size"
    else:
        size = num_observed if options.state_size is None else options.state_size
        option = "--state-size"
    if options.observation == "identity" and size < num_observed:
        raise ValueError(
            f"{option}: {size} states cannot be the {num_observed} variables of DATA; more states, "
            "or --observation affine"
        )
    if options.kind == "almost-linear" and options.size()["num_relu"] > size:
        raise ValueError(f"--num-relu: expected at most {size}, the number of states")
    return size


def networks(options: Any, data: np.ndarray, keys) -> tuple[Any, Any]:
    """Return the first network and observation model."""
    num_observed, size = data.shape[1], state_size(options, data.shape[1])
    more = {}
    if "num_bases" in options.size() and options.observation == "identity":
        more["data_range"] = (np.nanmin(data), np.nanmax(data))
    sizes = {} if options.kind in GATED else {"state_size": size}
    sizes |= options.size()
    return first_networks(options.kind, sizes, options.observation, num_observed, keys, **more)


def forcing_of(options: Any) -> Any:
    """Return the forcing."""
    if options.forcing == "sparse":
        return SparseForcing(_interval(options.resolved()["interval"]))
    if options.forcing == "generalized":
        return GeneralizedForcing(options.resolved()["alpha"])
    return NoForcing() if options.forcing == "none" else AdaptiveForcing()


def _interval(text: str) -> Any:
    return text if text == "auto" else int(text)


def optimizer_of(options: Any) -> Any:
    """Return RAdam with a falling rate, behind a clip where there is one."""
    steps = options.resolved()["rate_steps"]
    radam = default_optimizer(steps, options.learning_rate, options.last_learning_rate)
    if options.clip is None:
        return radam
    return optax.chain(optax.clip_by_global_norm(options.clip), radam)


def measures_of(options: Any, data: np.ndarray, test: np.ndarray | None, key) -> list:
    """Return what is measured beside the loss."""
    found = []
    if options.exponents_every is not None:
        size = state_size(options, data.shape[1])
        found.append(_exponents(options.exponents_every, size, data, key))
    if test is not None:
        found.append(_evaluations(options.resolved()["evaluate_every"], test, key))
    return found


def _evaluations(every: int, test: np.ndarray, key):
    probe = EvaluationProbe(test, key=key, every=every)
    cells = lambda record: evaluation_cells(probe.measure(record))
    return Measure(every, evaluation_columns(20), cells)


def _exponents(every: int, size: int, data: np.ndarray, key):
    """Return the measure of exponents along orbits that start at rows of the data."""
    whole = data[np.isfinite(data).all(axis=1)]
    rows = whole[np.arange(_NUM_ORBITS) * len(whole) // _NUM_ORBITS]
    count = min(size, MAX_EXPONENTS)

    def cells(record):
        dtype = jax.tree.leaves(record.model)[0].dtype
        states = jax.vmap(record.observation_model.initial_state)(jnp.asarray(rows, dtype))
        spectrum = lyapunov_spectrum(
            record.model, np.asarray(states), key=key, num_steps=_NUM_STEPS, throw=False,
            num_exponents=count, num_orbits=_NUM_ORBITS, progress=NoProgress(),
        )  # fmt: skip
        if spectrum.result is RESULTS.interrupted:
            raise KeyboardInterrupt
        return spectrum.exponents.tolist()

    return Measure(every, exponent_columns(count), cells)
