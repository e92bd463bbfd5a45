"""Models from arrays and back: one table of kinds, for loaders, tests and users alike."""

import dataclasses
import typing
from typing import Any

import numpy as np

from .._dynamics import AbstractDynamics
from .._numerics import as_float64, as_real
from .._piecewise_affine import PiecewiseAffineMap
from ._plrnn import (
    PLRNN,
    AlmostLinearRNN,
    ClippedDendriticPLRNN,
    DendriticPLRNN,
    MeanCenteredPLRNN,
    ReluRNN,
    ThresholdPLRNN,
)
from ._shallow import ClippedShallowPLRNN, ShallowPLRNN
from ._smooth import GRU, LSTM, TanhRNN
from ._stacked import Stacked

_PLAIN = {"h": "M", "A": "M M", "W": "M M", "C": "M K"}
_DENDRITIC = {**_PLAIN, "alpha": "B", "thresholds": "B M"}
_SHALLOW = {"h1": "M", "h2": "H", "A": "M M", "W1": "M H", "W2": "H M", "C": "M K"}


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of model: its class, the shapes of its fields, and what may be left out.

    Shapes are written as lengths in letters, checked in this order; `A` may also be a vector, the
    diagonal. An empty shape is a scalar, "integer" a fixed integer. `foreign`: files of other
    programs may hold it under these names.
    """

    model: type[Any]
    shapes: dict[str, str]
    defaults: dict[str, object] = dataclasses.field(default_factory=lambda: {"C": None})
    foreign: bool = True

    @property
    def required(self) -> list[str]:
        """Fields that must be given, in the order of the class."""
        names = [field.name for field in dataclasses.fields(self.model)]
        return [name for name in names if name in self.shapes and name not in self.defaults]


KINDS: dict[str, Kind] = {
    "plrnn": Kind(PLRNN, _PLAIN),
    "mean-centered": Kind(MeanCenteredPLRNN, _PLAIN),
    "dendritic": Kind(DendriticPLRNN, _DENDRITIC),
    "clipped-dendritic": Kind(ClippedDendriticPLRNN, _DENDRITIC),
    "shallow": Kind(ShallowPLRNN, _SHALLOW),
    "clipped-shallow": Kind(ClippedShallowPLRNN, _SHALLOW),
    "almost-linear": Kind(AlmostLinearRNN, {**_PLAIN, "num_relu": "integer"}),
    "threshold": Kind(ThresholdPLRNN, _PLAIN),
    "relu-rnn": Kind(
        ReluRNN,
        {"b": "M", "W": "M M", "leak": "", "slope": "", "C": "M K"},
        {"C": None, "leak": 1.0, "slope": 0.0},
    ),
    "tanh-rnn": Kind(TanhRNN, {"b": "M", "W": "M M", "C": "M K"}),
    "gru": Kind(GRU, {"b_candidate": "H", "b": "3H", "W": "3H H", "C": "3H K"}),
    "lstm": Kind(LSTM, {"W": "4H H", "b": "4H", "C": "4H K"}),
    "piecewise-affine": Kind(
        PiecewiseAffineMap, {k: v for k, v in _SHALLOW.items() if k != "C"}, {}
    ),
}

STACKED = "stacked"
"""The kind of `Stacked`, which has its layers' kinds and arrays instead of fields of its own."""
MAX_LAYERS = 256
"""Most layers of one file."""


def register_model(kind: str, model: type[Any]) -> None:
    """Let `save`, `load`, `from_arrays` and the command line know a class of models by a name.

    The fields are those of the class: arrays whose shapes are the words of their jaxtyping
    annotations (equal words, equal lengths), floats, and integers from 0; a field `... | None` may
    be absent. Files are never asked which class they mean; this says it.

    **Arguments:** `kind`: the name in files; `model`: a subclass of `AbstractDynamics`.

    **Raises:** `ValueError` naming the argument or the field; for a name that is taken.

    **Example:** `plr.register_model("my-rnn", MyRNN)`
    """
    if not (isinstance(kind, str) and kind.replace("-", "").isalnum()) or kind == STACKED:
        raise ValueError(f"kind: expected letters, digits and hyphens, got {kind!r}")
    if not (isinstance(model, type) and issubclass(model, AbstractDynamics)):
        raise ValueError(f"model: expected a subclass of AbstractDynamics, got {model!r}")
    known = KINDS.get(kind)
    if known and (known.foreign or known.model.__qualname__ != model.__qualname__):
        raise ValueError(f"kind: {kind!r} is taken by {known.model.__name__}")
    hints = typing.get_type_hints(model)
    shapes, defaults = {}, {}
    for field in dataclasses.fields(model):
        shapes[field.name], optional = _shape_of(field.name, hints[field.name])
        defaults |= {field.name: None} if optional else {}
    KINDS[kind] = Kind(model, shapes, defaults, foreign=False)


def _shape_of(name: str, annotation: Any) -> tuple[str, bool]:
    """Return what `Kind.shapes` says of an annotated field, and whether it may be None."""
    parts = [one for one in typing.get_args(annotation) or (annotation,) if one is not type(None)]
    optional = type(None) in typing.get_args(annotation)
    shapes = {getattr(one, "dim_str", {int: "integer", float: ""}.get(one)) for one in parts}
    if len(shapes) != 1 or None in shapes:
        raise ValueError(
            f"{name}: expected a field annotated as an array such as Float[Array, 'state'], int or "
            f"float, got {annotation}"
        )
    return str(shapes.pop()), optional


def kind_named(kind: str) -> Kind:
    """Return the entry of the table of kinds, or say which kinds there are."""
    if kind not in KINDS:
        raise ValueError(
            f"kind: expected one of {', '.join(KINDS)} (register_model adds others), got {kind!r}"
        )
    return KINDS[kind]


def _length(token: str, sizes: dict[str, int]) -> int | str:
    """Return the length that a token such as "M" or "3H" stands for, or itself if unknown."""
    factor, letter = (int(token[0]), token[1:]) if token[0].isdigit() else (1, token)
    return factor * sizes[letter] if letter in sizes else token


def _checked(name: str, value, shape: str, sizes: dict[str, int]):
    """Return one field as a NumPy array of its own dtype, and note the lengths it fixes."""
    if shape == "integer":
        return _integer(name, value, sizes)
    array = as_real(name, value)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = as_float64(name, array)
    tokens = shape.split()
    if name == "A" and array.ndim == 1:
        tokens = tokens[:1]
    if len(tokens) == array.ndim:
        for token, length in zip(tokens, array.shape):
            if token.isalpha():
                sizes.setdefault(token, length)
    as_real(name, array, tuple(_length(token, sizes) for token in tokens))
    if 0 in array.shape and "M" in sizes and sizes["M"] == 0:
        raise ValueError(f"{name}: expected at least one state, got shape {array.shape}")
    return array


def _integer(name: str, value, sizes: dict[str, int]) -> int:
    """Return a fixed integer between 0 and the state size."""
    array = as_real(name, value)
    if array.ndim or array.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected an integer, got {value!r}")
    most = sizes.get("M", 2**31)
    if not 0 <= int(array) <= most:
        raise ValueError(f"{name}: expected 0 to {most} (the state size), got {int(array)}")
    return int(array)


def _check_names(kind: str, entry: Kind, given: set[str]) -> None:
    """Refuse fields that are missing or that this kind does not have."""
    missing = [name for name in entry.required if name not in given]
    if missing:
        raise ValueError(
            f"{missing[0]}: missing; {kind!r} needs {', '.join(entry.required)}, "
            f"got {', '.join(sorted(given)) or 'nothing'}"
        )
    unexpected = sorted(given - set(entry.shapes))
    if unexpected:
        raise ValueError(
            f"{unexpected[0]}: unexpected; {kind!r} has the fields {', '.join(entry.shapes)}"
        )


def from_arrays(kind: str, /, **arrays) -> Any:
    """Return the model of this kind with these arrays, which keep their own dtype.

    **Arguments:**

    - `kind`: "plrnn", "mean-centered", "threshold" (A, W, h), "dendritic", "clipped-dendritic"
        (and alpha, thresholds), "shallow", "clipped-shallow" (A, W1, W2, h1, h2), "almost-linear"
        (A, W, h, num_relu), "relu-rnn" (W, b, leak, slope), "tanh-rnn" (W, b), "gru" (W, b,
        b_candidate), "lstm" (W, b), "piecewise-affine" (A, W1, W2, h1, h2, in float64), "stacked".
    - `arrays`: the fields, by name; `C` (input matrix) may be left out. `A` is a vector (the
        diagonal) or a full matrix. Real and finite; the shapes are those of the model's class.
        For "stacked", `layers` lists the kinds, and the fields are called "0.W", "1.W", ...

    **Raises:** `ValueError` naming the argument, what was expected and what came.
    """
    arrays = {name: value for name, value in arrays.items() if value is not None}
    if kind == STACKED:
        return _stacked_from_arrays(arrays.pop("layers", None), arrays)
    entry = kind_named(kind)
    _check_names(kind, entry, set(arrays))
    sizes: dict[str, int] = {}
    checked = {
        name: _checked(name, arrays[name], shape, sizes)
        for name, shape in entry.shapes.items()
        if name in arrays
    }
    if entry.model is PiecewiseAffineMap:
        return PiecewiseAffineMap(*(checked[name] for name in entry.required))
    # The constructors draw at random; this fills the same fields from arrays instead.
    model = object.__new__(entry.model)
    for name in entry.shapes:
        default = entry.defaults.get(name)
        object.__setattr__(model, name, checked.get(name, default))
    return model


def split_layers(layers: Any, arrays: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (kind, arrays) of each layer of a stack, whose arrays are called "0.W", "1.W", ...

    **Raises:** `ValueError` naming `layers` unless it lists kinds, or an array of no layer.
    """
    known = isinstance(layers, list | tuple) and all(name in KINDS for name in map(str, layers))
    if not known or not 1 <= len(layers) <= MAX_LAYERS:
        raise ValueError(
            f"layers: expected 1 to {MAX_LAYERS} of the kinds {', '.join(KINDS)}, "
            f"got {str(layers)[:200]}"
        )
    split: list[tuple[str, dict[str, Any]]] = [(str(kind), {}) for kind in layers]
    numbers = {str(index): fields for index, (_, fields) in enumerate(split)}
    for name, array in arrays.items():
        number, _, field = name.partition(".")
        if number not in numbers:
            raise ValueError(
                f"{name}: unexpected; the arrays of the stack begin with 0. to {len(split) - 1}."
            )
        numbers[number][field] = array
    return split


def _stacked_from_arrays(layers: Any, arrays: dict[str, Any]) -> Stacked:
    """Return the stack of these kinds with these arrays."""
    models = []
    for index, (kind, fields) in enumerate(split_layers(layers, arrays)):
        try:
            models.append(from_arrays(kind, **fields))
        except ValueError as error:
            raise ValueError(f"{index}.{error}") from error
    return Stacked(models)


def kind_of(model: object) -> str:
    """Return the `from_arrays` name of a model.

    **Raises:** `ValueError` naming `model` if its class is not one of the kinds.
    """
    if type(model) is Stacked:
        return STACKED
    for kind, entry in KINDS.items():
        if type(model) is entry.model:
            return kind
    raise ValueError(
        f"model: expected one of {', '.join(KINDS)}, {STACKED}, got {type(model).__name__}"
    )


def layer_kinds(model: Stacked) -> list[str]:
    """Return the kinds of the layers of a stack.

    **Raises:** `ValueError` naming `model` for a layer of no kind, or more layers than a file has.
    """
    if len(model.layers) > MAX_LAYERS:
        raise ValueError(f"model: expected at most {MAX_LAYERS} layers, got {len(model.layers)}")
    return [kind_of(layer) for layer in model.layers]


def arrays_of(model: object) -> dict[str, np.ndarray]:
    """Return the fields of a model as NumPy arrays, such that
    `from_arrays(kind_of(model), **arrays_of(model))` is the model again (for a stack, with
    `layers=layer_kinds(model)`).
    """
    if isinstance(model, Stacked):
        layers = enumerate(map(arrays_of, model.layers))
        return {f"{i}.{name}": array for i, fields in layers for name, array in fields.items()}
    fields = {name: getattr(model, name) for name in KINDS[kind_of(model)].shapes}
    return {name: np.asarray(value) for name, value in fields.items() if value is not None}
