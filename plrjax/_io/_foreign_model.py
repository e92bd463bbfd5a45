"""The network that foreign arrays are, or what keeps them from being one, and what resolves it."""

import dataclasses
import math
import re
from typing import Any

import numpy as np

from .._dynamics import AbstractDynamics
from .._flow import ThresholdLinearFlow
from ..models import KINDS, arrays_of, from_arrays, kind_named, kind_of
from . import _foreign
from ._fitting import is_complete, left_out, misfit
from ._layouts import Cell
from ._reading import Reading, read_fields
from ._series_facts import series_among
from ._snapshots import arrange, count_snapshots, select_snapshot

FLOW_KIND = "threshold-linear-flow"
FLOW = (
    "a flow dx/dt = -x + relu(W x + b) may have these arrays, too, and is no map: "
    f"kind={FLOW_KIND!r}; its Euler steps of length dt are relu-rnn with leak=dt"
)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the caller asks for; `call` is the beginning of the call, for messages."""

    call: str
    kind: str | None = None
    num_relu: int | None = None
    index: int | np.integer | None = None
    leak: float | None = None


def agrees(stored, given) -> bool:
    """Return whether the number in the file is the one the caller gave."""
    return np.array_equal(np.ravel(stored), [given])


def formula(kind: str) -> str:
    """Return the map of a kind, as its class says it."""
    first = (KINDS[kind].model.__doc__ or kind).splitlines()[0]
    return re.split(r" \((?=[A-Z][a-z])", first)[0].rstrip(".:")  # without the source


def model_of(
    arrays: dict[str, np.ndarray], settings: dict, ignored: dict[str, str], asked: Asked
) -> Any:
    """Return the network of a file or mapping without our header.

    **Raises:** `ValueError` naming the array or the argument, with the call that resolves it.
    """
    if asked.kind == FLOW_KIND:
        return _flow(arrays)
    _foreign.check_no_clip(arrays, settings)
    _foreign.check_no_flow(settings)
    reading = read_fields(arrays, settings)
    kind, fields = _with_given(reading, asked)
    if kind is None:
        kind = _inferred(arrays, ignored, reading, asked)
    kind_named(kind)
    module = reading.module_of(kind)
    if module is not None:
        select_snapshot({}, {}, asked.index)
        if isinstance(module, Cell) and module.needs_leak and asked.leak is None:
            raise ValueError(
                f"leak: the arrays are those of h' = (1 - leak) h + leak relu(W_in x + b + W h + "
                f"b'), and do not tell it; e.g. {asked.call}, leak=0.1)"
            )
        return _leaking(module.model(arrays, kind), asked.leak)
    if reading.conflict is not None:
        raise ValueError(reading.conflict)
    extra = left_out(kind, fields)
    if extra:
        raise ValueError(f"{extra[0]}: the file holds it, but {kind!r} has no such field")
    if kind == "almost-linear" and "num_relu" not in fields:
        raise ValueError("num_relu: needed for 'almost-linear', e.g. load(path, num_relu=2)")
    if reading.experts is not None and asked.index is None:
        raise ValueError(
            f"index: a mixture of {reading.experts} experts, whose weights follow from a context, "
            f"is no map of the state; choose one of them, e.g. {asked.call}, index=0)"
        )
    problem = misfit(kind, fields) if is_complete(kind, fields) else None
    if problem is not None:
        raise ValueError(problem)
    own = {name: array for name, array in fields.items() if name in KINDS[kind].shapes}
    own = arrange(select_snapshot(own, KINDS[kind].shapes, asked.index), kind)
    return _leaking(from_arrays(kind, **own), asked.leak)


def _with_given(reading: Reading, asked: Asked) -> tuple[str | None, dict[str, np.ndarray]]:
    """Return the kind and the fields with what the caller tells: `num_relu`, and so `leak`.

    **Raises:** `ValueError` if that contradicts the file.
    """
    kind, fields = asked.kind, reading.fields
    if asked.num_relu is not None:
        if kind not in (None, "almost-linear"):
            raise ValueError(f"num_relu: {kind!r} has none, got {asked.num_relu}")
        if "num_relu" in fields and not agrees(fields["num_relu"], asked.num_relu):
            said = f"the file says {fields['num_relu']}, got {asked.num_relu}"
            raise ValueError(f"num_relu: {said}")
        kind, fields = "almost-linear", {**fields, "num_relu": np.asarray(asked.num_relu)}
    if asked.leak is not None:
        if kind not in (None, "relu-rnn"):
            raise ValueError(f"leak: {kind!r} has none, got {asked.leak}")
        if not (isinstance(asked.leak, int | float | np.number) and math.isfinite(asked.leak)):
            raise ValueError(f"leak: expected a finite number, got {asked.leak!r}")
        cell = reading.module.fields if isinstance(reading.module, Cell) else {}
        stored = {**cell, **fields}.get("leak")
        if stored is not None and not agrees(stored, asked.leak):
            raise ValueError(f"leak: the file says {stored}, got {asked.leak}")
        kind = "relu-rnn"
    return kind, fields


def _leaking(model: AbstractDynamics, leak: float | None) -> AbstractDynamics:
    """Return the model with this leak, if one is given."""
    if leak is None:
        return model
    if kind_of(model) != "relu-rnn":
        raise ValueError(f"leak: expected a single layer, got {leak} for a stack")
    return from_arrays("relu-rnn", **{**arrays_of(model), "leak": np.float64(leak)})


def _flow(arrays: dict[str, np.ndarray]) -> ThresholdLinearFlow:
    """Return the flow whose W and b these are."""
    for name in ("W", "b"):
        if name not in arrays:
            raise ValueError(f"{name}: missing; {FLOW_KIND!r} is dx/dt = -x + relu(W x + b)")
    return ThresholdLinearFlow(arrays["W"], arrays["b"].reshape(-1))


def _inferred(arrays: dict, ignored: dict[str, str], reading: Reading, asked: Asked) -> str:
    """Return the only kind that fits, or say what was found and which call resolves it."""
    kinds = reading.kinds()
    if len(kinds) == 1:
        return kinds[0]
    listed = ", ".join(f"{name} {a.shape}" for name, a in list(arrays.items())[:20])
    if not kinds:
        raise ValueError(no_network(arrays, ignored, reading))
    named = reading.named
    count = count_snapshots(reading.fields, KINDS[named[0]].shapes) if named else None
    index = -1 if asked.index is None else asked.index
    chosen = f", index={index}" if count not in (None, 1) else ""
    maps = "; ".join(f"{kind}: {formula(kind)}" for kind in kinds)
    raise ValueError(
        f"kind: the arrays ({listed}) fit {' or '.join(kinds)}; say which, e.g. "
        f"{asked.call}, kind={kinds[0]!r}{chosen})"
        + (" or num_relu= for almost-linear" if "almost-linear" in kinds else "")
        + f". Their maps differ: {maps}"
        + (f". Beware: {FLOW}" if "relu-rnn" in named else "")
    )


def no_network(arrays: dict, ignored: dict[str, str], reading: Reading) -> str:
    """Return what is there instead of a network."""
    series = {} if reading.fields or reading.module else series_among(arrays)
    if series:
        name, facts = next(iter(series.items()))
        return (
            f"{name}: a time series of {facts['time_steps']} rows (time steps) and "
            f"{facts['variables']} columns (variables), no network; load_series reads it"
        )
    listed = ", ".join(f"{name} {a.shape}" for name, a in list(arrays.items())[:20])
    skipped = "; ".join(f"{name[:80]} is {why}" for name, why in list(ignored.items())[:5])
    return (
        f"kind: no kind of network has these arrays: {listed or 'none'}"
        + (f" (left out: {skipped})" if skipped else "")
        + "; rename them to the fields of from_arrays, or pass them to it"
    )
