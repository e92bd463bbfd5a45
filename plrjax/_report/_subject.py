"""What a report is about: a network, the run or the series that it comes from, data, and starts."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from .._arguments import checked_key
from .._constant_input import with_input
from .._dynamics import AbstractDynamics
from .._io import RunFolder, load, load_series
from .._numerics import as_real, float64_scope
from .._piecewise_affine import AbstractPLRNN, lower
from .._progress import AbstractProgress
from ..plot._orbits import simulate

_PROBES, _SETTLE = 256, 1_000
"""Orbits, and their steps, that tell where a network's attractors are."""
_FAR = 1e8
"""Orbits that go so many times as far as they began have left."""
_WIDER = 0.25
"""States are drawn from a box wider than what settled orbits and data fill, by this share."""
_EXACT = 2
"""Digits of the box's corners, which the page repeats."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network and what is known of it.

    **Fields:** `name`; `model`, under its constant input; `code`, lines of Python that load it;
    `key`; `run`, or None; `steps` and `models`, the series that `model` is the last of, or empty;
    `data`, rows in the units of the network, whole ones only, and `observation`, or None.
    """

    name: str
    model: AbstractDynamics
    code: tuple[str, ...]
    key: Any
    run: RunFolder | None = None
    steps: tuple[int, ...] = ()
    models: tuple[AbstractDynamics, ...] = ()
    data: Float[np.ndarray, "time variable"] | None = None
    observation: Any = None
    progress: AbstractProgress | None = None

    @property
    def is_piecewise_affine(self) -> bool:
        """Whether cycles have words here."""
        return isinstance(self.model, AbstractPLRNN)

    @property
    def plrnn(self) -> AbstractPLRNN:
        """The network, which is piecewise affine.

        **Raises:** `TypeError` where it is not.
        """
        if not isinstance(self.model, AbstractPLRNN):
            raise TypeError(f"expected a piecewise-affine network, got {type(self.model).__name__}")
        return self.model


def subject_of(
    given: Any, key: Any, data: Any = None, inputs: Any = None, name: str | None = None,
    code: Sequence[str] = (),
) -> Subject:  # fmt: skip
    """Return what a report is about.

    **Raises:** `ValueError` naming `model`, `data` or `key`.
    """
    key = checked_key(key)
    if isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        run = os.path.isdir(path) and os.path.exists(os.path.join(path, "config.json"))
        given, found = (RunFolder(path) if run else load(path)), path
        name, code = name or found, code or (f'model = plr.load("{path}")',)
    if isinstance(given, RunFolder):
        return _of_run(given, key, data, inputs, name)
    models = tuple(given) if isinstance(given, Sequence) else (given,)
    for model in models or (None,):
        if not isinstance(model, AbstractDynamics):
            raise ValueError(
                "model: expected a network, several in order, a RunFolder or a path, got "
                f"{type(model).__name__}"
            )
    last = with_input(models[-1], inputs)
    series = models if len(models) > 1 else ()
    if series and inputs is not None:
        series = tuple(with_input(model, inputs) for model in series)
    rows = _rows("data", data)
    if rows is not None and rows.shape[1] != last.state_size:
        raise ValueError(
            f"data: expected {last.state_size} variables, one for each state, got {rows.shape[1]}"
        )
    lines = tuple(code) or ("# model: the network",)
    if rows is not None:
        known = isinstance(data, str | os.PathLike)
        lines += (
            f"data = plr.load_series({os.fspath(data)!r})" if known else "# data: the series",
        )
    return Subject(
        name or type(last).__name__,
        last,
        lines + _input_lines(inputs),
        key,
        steps=tuple(range(len(series))),
        models=series,
        data=rows,
    )


def _of_run(run: RunFolder, key: Any, data: Any, inputs: Any, name: str | None) -> Subject:
    """Return a run, with its test data, or else those it was trained on, where they still are."""
    steps = tuple(run.steps.tolist())
    code = (f'run = plr.RunFolder("{run.path}")', "model = run.model")
    if data is None:
        paths = [run.config.get(part) for part in ("test", "data")]
        known = [x["path"] for x in paths if isinstance(x, dict) and os.path.isfile(str(x["path"]))]
        data = known[0] if known else None
    if data is not None:
        code += (f"data = run.in_units(plr.load_series({str(data)!r}))",)
        data = run.in_units(np.asarray(_rows("data", data)))
    code += _input_lines(inputs)
    return Subject(
        name or str(run.path), with_input(run.model, inputs), code, key, run, steps,
        tuple(with_input(run.snapshot(step), inputs) for step in steps), data,
        run.observation_model,
    )  # fmt: skip


def _input_lines(inputs: Any) -> tuple[str, ...]:
    """Return the line that puts a network under its constant input."""
    if inputs is None:
        return ()
    return (f"model = plr.with_inputs(model, {np.asarray(inputs).tolist()})",)


def _rows(name: str, data: Any) -> Float[np.ndarray, "time variable"] | None:
    """Return data as an array of whole rows."""
    if data is None:
        return None
    values = load_series(data, gaps=True) if isinstance(data, str | os.PathLike) else data
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise ValueError(f"{name}: expected a series, time x variable, got shape {values.shape}")
    values = values[np.isfinite(values).all(axis=1)]
    return as_real(name, values, values.shape).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Starts:
    """Initial states: rows of the data, then states drawn from a box; lines that draw the same."""

    states: Float[np.ndarray, "start state"]
    num_data: int
    low: Float[np.ndarray, " state"]
    high: Float[np.ndarray, " state"]
    code: tuple[str, ...]


def starts_of(subject: Subject, number: int) -> Starts:
    """Return half of the initial states from rows of the data, where there are any, and the others
    from a box around all that settled orbits (and data) fill."""
    size = subject.model.state_size
    encoded = data_states(subject, number // 2)
    low, high = _box(subject, encoded)
    drawn = number - len(encoded)
    with float64_scope():
        box = jr.uniform(subject.key, (drawn, size), dtype="float32", minval=low, maxval=high)
    states = np.concatenate([encoded, np.asarray(box, np.float64)])
    lines = [f"low, high = {_text(low)}, {_text(high)}"]
    lines += [
        f'states = jr.uniform(key, ({drawn}, {size}), dtype="float32", minval=np.array(low), '
        f"maxval=np.array(high))"
    ]
    if len(encoded):
        pick = f"np.arange({len(encoded)}) * len(data) // {len(encoded)}"
        rows = f"data[{pick}]"
        if subject.observation is not None:
            rows = f"jax.vmap(run.observation_model.initial_state)({rows})"
        lines += [f"rows = {rows}", "states = np.concatenate([rows, states])"]
    return Starts(states, len(encoded), low, high, tuple(lines))


def data_states(subject: Subject, number: int) -> Float[np.ndarray, "start state"]:
    """Return the states that rows of the data stand for, spread evenly over them."""
    size, data = subject.model.state_size, subject.data
    if data is None or not len(data):
        return np.zeros((0, size))
    rows = data[np.arange(number) * len(data) // number]
    if subject.observation is not None:
        with float64_scope():
            return np.asarray(jax.vmap(subject.observation.initial_state)(jnp.asarray(rows)))
    return rows


def _box(subject: Subject, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a box that holds all that settled, and more."""
    size = subject.model.state_size
    first = encoded if len(encoded) else np.asarray(jr.normal(subject.key, (_PROBES, size)))
    if not len(encoded) and isinstance(subject.model, AbstractPLRNN):
        map = lower(subject.model)
        scale = max(1.0, *(float(np.abs(h).max(initial=0.0)) for h in (map.h1, map.h2)))
        first = first * scale
    model = lower(subject.model) if subject.is_piecewise_affine else subject.model
    first = first.astype(np.float64)[:_PROBES]
    last = simulate(model, first, _SETTLE)[_SETTLE // 2 :].reshape(-1, size)
    settled = last[np.abs(last).max(axis=1) < _FAR * (1.0 + np.abs(first).max())]
    points = np.concatenate([settled, encoded]) if len(settled) or len(encoded) else first
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    half = np.maximum(half, 0.1 * max(float(half.max()), float(np.abs(middle).max()), 1e-3))
    return _outward(middle - (1 + _WIDER) * half, -1), _outward(middle + (1 + _WIDER) * half, 1)


def _outward(values: np.ndarray, way: int) -> np.ndarray:
    """Return corners with few digits; of many states, the same for all."""
    if len(values) > 6:
        values = np.full(len(values), (np.max if way > 0 else np.min)(values))
    unit = 10.0 ** (np.floor(np.log10(np.maximum(np.abs(values), 1e-300))) - _EXACT + 1)
    rounded = way * np.ceil(way * values / unit) * unit
    return np.array([float(f"{x:.{_EXACT}g}") for x in rounded])


def _text(values: np.ndarray) -> str:
    return repr(float(values[0])) if len(set(values.tolist())) == 1 else repr(values.tolist())
