"""The arrays of `torch.nn.RNN`, `GRU`, `LSTM` and their cells, by the names of a state_dict."""

import dataclasses
import re

import numpy as np

from .._dynamics import AbstractDynamics
from .._numerics import as_real
from ..models import MAX_LAYERS, Stacked, from_arrays

_NAME = re.compile(
    r"(?P<prefix>(?:.*[./])?)(?P<array>(?:weight|bias)_(?:ih|hh|hr))"
    r"(?:_l(?P<layer>0|[1-9]\d{0,5})(?P<reverse>_reverse)?)?"
)
_KINDS = {1: ("tanh-rnn", "relu-rnn"), 3: ("gru",), 4: ("lstm",)}
"""Kinds by the number of gates stacked in weight_hh; the two of `RNN` have the same arrays."""
MODULE_KINDS = frozenset(kind for kinds in _KINDS.values() for kind in kinds)
_BIASES = ("bias_ih", "bias_hh")


@dataclasses.dataclass(frozen=True)
class TorchModule:
    """A recurrent module: per layer, the name in the file of "weight_ih", "weight_hh", ...

    Without `kinds`, `problem` says why there is no such model here.
    """

    layers: tuple[dict[str, str], ...]
    kinds: tuple[str, ...]
    problem: str | None = None

    @property
    def names(self) -> list[str]:
        """The names of its arrays in the file."""
        return [name for layer in self.layers for name in layer.values()]

    @property
    def source(self) -> dict[str, str]:
        """Our fields, and the names they come from; "1.W" is W of the second layer."""
        found = {}
        for index, layer in enumerate(self.layers):
            start = f"{index}." if len(self.layers) > 1 else ""
            found |= {f"{start}W": layer["weight_hh"], f"{start}C": layer["weight_ih"]}
            if "bias_ih" in layer:
                found[f"{start}b"] = f"{layer['bias_ih']} + {layer['bias_hh']}"
                if self.kinds == _KINDS[3]:
                    found[f"{start}b_candidate"] = layer["bias_hh"]
        return found

    def model(self, arrays: dict[str, np.ndarray], kind: str) -> AbstractDynamics:
        """Return the network of this kind, a `Stacked` one if the module has several layers."""
        layers = [
            _layer({array: arrays[name] for array, name in names.items()}, kind)
            for names in self.layers
        ]
        return layers[0] if len(layers) == 1 else Stacked(layers)


def find_module(arrays: dict[str, np.ndarray]) -> TorchModule | None:
    """Return the recurrent module among the arrays, or None if no name is that of one."""
    matches = {name: match for name in arrays if (match := _NAME.fullmatch(name))}
    if not matches:
        return None
    try:
        layers = _layers(matches)
        return TorchModule(layers, _KINDS[_num_gates(layers, arrays)])
    except ValueError as error:
        return TorchModule((), (), str(error))


def _layers(matches: dict[str, re.Match]) -> tuple[dict[str, str], ...]:
    """Return the arrays of each layer, refusing what is not one plain stack of layers.

    **Raises:** `ValueError` for bidirectional modules, projections, several modules in one file,
    and missing arrays.
    """
    for name, match in matches.items():
        if match["reverse"]:
            raise ValueError(
                f"{name}: expected a network that runs forward in time, got a bidirectional one, "
                f"which reads the whole input at once and is no map of a state"
            )
        if match["array"].endswith("hr"):
            raise ValueError(f"{name}: expected an LSTM without projections, got proj_size > 0")
    prefixes = sorted({match["prefix"] for match in matches.values()})
    if len(prefixes) > 1:
        listed = ", ".join(f"{prefix}weight_hh_l0" for prefix in prefixes[:5])
        raise ValueError(
            f"kind: expected one recurrent module of torch.nn, got {len(prefixes)} ({listed}); "
            f"save the state_dict of one of them"
        )
    layers: dict[int, dict[str, str]] = {}
    for name, match in matches.items():
        arrays = layers.setdefault(int(match["layer"] or 0), {})  # a cell has no number
        if match["array"] in arrays:
            raise ValueError(f"kind: both {arrays[match['array']]!r} and {name!r}; keep one")
        arrays[match["array"]] = name
    if len(layers) > MAX_LAYERS:
        raise ValueError(f"kind: expected at most {MAX_LAYERS} layers, got {len(layers)}")
    biased = any(array in layer for layer in layers.values() for array in _BIASES)
    for index in range(len(layers)):
        for array in ("weight_ih", "weight_hh", *(_BIASES if biased else ())):
            if array not in layers.get(index, {}):
                number = f"_l{index}" if any(match["layer"] for match in matches.values()) else ""
                raise ValueError(f"{prefixes[0]}{array}{number}: missing")
    return tuple(layers[index] for index in sorted(layers))


def _num_gates(layers: tuple[dict[str, str], ...], arrays: dict[str, np.ndarray]) -> int:
    """Return the number of gates, the same in all layers, after a check of all shapes.

    **Raises:** `ValueError` naming the array that does not fit.
    """
    name = layers[0]["weight_hh"]
    shape = arrays[name].shape
    if len(shape) != 2 or 0 in shape or shape[0] not in [n * shape[1] for n in _KINDS]:
        raise ValueError(f"{name}: expected shape H x H, 3H x H or 4H x H, got {shape}")
    rows, size = shape
    inputs: int | str = "K"
    for layer in layers:
        shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, size)}
        for array, name in layer.items():
            as_real(name, arrays[name], shapes.get(array, (rows,)))
            if arrays[name].dtype.kind in "iub":
                raise ValueError(
                    f"{name}: expected floating-point numbers, got dtype {arrays[name].dtype}"
                )
        inputs = size
    return rows // size


def _layer(arrays: dict[str, np.ndarray], kind: str) -> AbstractDynamics:
    """Return one layer; the biases are added, but for the candidate's of a GRU.

    torch's GRU is n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h, which is our
    n + u (h - n) with u = z; the gates have our order, r, z, n there and i, f, g, o in an LSTM.
    """
    W = arrays["weight_hh"]
    zero = np.zeros(len(W), W.dtype)
    given, recurrent = (arrays.get(name, zero) for name in _BIASES)
    fields = {"W": W, "C": arrays["weight_ih"]}
    if kind == "gru":
        first = 2 * W.shape[1]
        fields["b_candidate"] = recurrent[first:]
        recurrent = np.concatenate([recurrent[:first], np.zeros_like(recurrent[first:])])
    with np.errstate(over="ignore"):  # `from_arrays` refuses what is not finite
        fields["b"] = given + recurrent
    return from_arrays(kind, **fields)
