"""Networks as other programs lay them out: Keras, leaky cells, low rank, mixtures of experts."""

import dataclasses
import re

import numpy as np

from .. import _files
from .._dynamics import AbstractDynamics
from ..models import from_arrays

_KERAS = re.compile(r"(?P<prefix>(?:.*[./])?)(?P<array>kernel|recurrent_kernel|bias)(?::0)?")
_KERAS_3 = re.compile(r"(?P<prefix>.*cell/)vars/(?P<number>[012])")
_LEAKY = re.compile(r"(?P<prefix>(?:.*[./])?)(?P<array>(?:input2h|h2h)[./](?:weight|bias))")
_EXPERT = re.compile(r"(?P<prefix>(?:.*[./])?)experts?[._/](?P<number>\d{1,4})[./](?P<field>.+)")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A recurrent cell under our field names and in our orientation; it reads as `TorchModule`.

    Without `kinds`, `problem` says why there is no such model here. `needs_leak`: the arrays do not
    tell the leak, without which there is no map.
    """

    fields: dict[str, np.ndarray]
    source: dict[str, str]
    names: list[str]
    kinds: tuple[str, ...]
    problem: str | None = None
    needs_leak: bool = False

    @property
    def layers(self) -> tuple[dict[str, str], ...]:
        """The name of the recurrent matrix, of the only layer."""
        return ({"weight_hh": self.source.get("W", self.names[0])},)

    def model(self, arrays: dict[str, np.ndarray], kind: str) -> AbstractDynamics:
        """Return the network of this kind."""
        return from_arrays(kind, **self.fields)


def find_cell(arrays: dict[str, np.ndarray]) -> Cell | None:
    """Return the cell of Keras, or of input2h and h2h, None if no name is that of one."""
    keras = _grouped(arrays, _keras_names(arrays), "recurrent_kernel")
    leaky = _grouped(arrays, _matches(arrays, _LEAKY), "h2h.weight")
    for groups, read in ((keras, _keras), (leaky, _leaky)):
        if not groups:
            continue
        names = [name for group in groups.values() for name in group.values()]
        if len(groups) > 1:
            listed = ", ".join(sorted(names)[:8])
            problem = f"kind: expected one recurrent cell, got {len(groups)} ({listed}); keep one"
            return Cell({}, {}, names, (), problem)
        try:
            return read(arrays, next(iter(groups.values())))
        except ValueError as error:
            return Cell({}, {}, names, (), str(error))
    return None


def _matches(arrays: dict[str, np.ndarray], pattern: re.Pattern) -> dict[str, tuple[str, str]]:
    """Return the prefix and the name of the array, for each name that is one of these."""
    found = {name: match for name in arrays if (match := pattern.fullmatch(name))}
    return {name: (m["prefix"], m["array"].replace("/", ".")) for name, m in found.items()}


def _keras_names(arrays: dict[str, np.ndarray]) -> dict[str, tuple[str, str]]:
    """Return the names of Keras 2, and those of Keras 3, which are numbers."""
    numbers = ("kernel", "recurrent_kernel", "bias")
    found = {name: match for name in arrays if (match := _KERAS_3.fullmatch(name))}
    new = {name: (m["prefix"], numbers[int(m["number"])]) for name, m in found.items()}
    return _matches(arrays, _KERAS) | new


def _grouped(arrays: dict, names: dict[str, tuple[str, str]], needed: str) -> dict[str, dict]:
    """Return, per prefix that has the needed array, array to name in the file."""
    groups: dict[str, dict[str, str]] = {}
    for name, (prefix, array) in names.items():
        groups.setdefault(prefix, {})[array] = name
    return {prefix: group for prefix, group in groups.items() if needed in group}


def _matrix(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if arrays[name].ndim != 2 or arrays[name].dtype.kind != "f":
        what = f"shape {arrays[name].shape}, dtype {arrays[name].dtype}"
        raise ValueError(f"{name}: expected a matrix of floating-point numbers, got {what}")
    return arrays[name]


def _keras(arrays: dict[str, np.ndarray], names: dict[str, str]) -> Cell:
    """Return the cell of SimpleRNN, LSTM or GRU: h' = f(x kernel + h recurrent_kernel + bias).

    The gates of an LSTM are in our order, i, f, g, o; those of a GRU are u, r, n there.

    **Raises:** `ValueError` for shapes that do not fit, and a GRU whose reset gate acts before.
    """
    W = _matrix(arrays, names["recurrent_kernel"]).T
    gates = {1: ("tanh-rnn", "relu-rnn"), 3: ("gru",), 4: ("lstm",)}
    size = W.shape[1]
    if size == 0 or W.shape[0] % size or W.shape[0] // size not in gates:
        got = f"{names['recurrent_kernel']}: expected shape (H, H), (H, 3H) or (H, 4H), got"
        raise ValueError(f"{got} {W.shape[::-1]}")
    fields, bias = {"W": W}, arrays[names["bias"]] if "bias" in names else None
    source = {"W": names["recurrent_kernel"]}
    if "kernel" in names:
        fields["C"], source["C"] = _matrix(arrays, names["kernel"]).T, names["kernel"]
    kinds = gates[W.shape[0] // size]
    if kinds == ("gru",):
        if bias is None or bias.shape != (2, 3 * size):
            raise ValueError(
                f"{names.get('bias', names['recurrent_kernel'])}: expected a GRU with "
                f"reset_after=True and a bias of shape (2, {3 * size}); with reset_after=False the "
                f"reset gate acts before the product, which has no form here"
            )
        order = np.r_[size : 2 * size, :size, 2 * size : 3 * size]
        fields = {name: array[order] for name, array in fields.items()}
        given, recurrent = bias[0][order], bias[1][order].copy()
        fields["b_candidate"], recurrent[2 * size :] = recurrent[2 * size :].copy(), 0
        source["b_candidate"] = names["bias"]
        with np.errstate(over="ignore"):  # `from_arrays` refuses what is not finite
            bias = given + recurrent
    fields["b"] = np.zeros(len(W), W.dtype) if bias is None else bias
    source |= {} if bias is None else {"b": names["bias"]}
    return Cell(fields, source, list(names.values()), kinds)


def _leaky(arrays: dict[str, np.ndarray], names: dict[str, str]) -> Cell:
    """Return h' = (1 - leak) h + leak relu(W_in x + b + W h + b'), the leak in the file or not."""
    W = _matrix(arrays, names["h2h.weight"])
    fields, source = {"W": W, "b": np.zeros(len(W), W.dtype)}, {"W": names["h2h.weight"]}
    if "input2h.weight" in names:
        fields["C"] = _matrix(arrays, names["input2h.weight"])
        source["C"] = names["input2h.weight"]
    biases = [names[name] for name in ("input2h.bias", "h2h.bias") if name in names]
    for name in biases:
        if arrays[name].shape != (len(W),):
            raise ValueError(f"{name}: expected shape ({len(W)},), got {arrays[name].shape}")
        with np.errstate(over="ignore"):
            fields["b"] = fields["b"] + arrays[name]
        source["b"] = " + ".join(biases)
    told = [name for name in arrays if re.split(r"[./]", name)[-1] in ("leak", "alpha")]
    told = [name for name in told if arrays[name].size == 1 and arrays[name].dtype.kind == "f"]
    if len(told) == 1:
        fields["leak"], source["leak"] = arrays[told[0]].reshape(()), told[0]
    names_read = [*names.values(), *(told if len(told) == 1 else [])]
    return Cell(fields, source, names_read, ("relu-rnn",), needs_leak="leak" not in fields)


def low_rank(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]] | None:
    """Return (W, names of m and n), W = m n', where the file holds one m and one n; else None.

    Both are M x R; n may also be R x M where R is another number.
    """
    pair = {}
    for letter in "mn":
        names = [name for name in arrays if re.split(r"[./]", name)[-1] == letter]
        names = [name for name in names if arrays[name].ndim == 2]
        if len(names) != 1 or arrays[names[0]].dtype.kind != "f":
            return None
        pair[letter] = names[0]
    m, n = arrays[pair["m"]], arrays[pair["n"]]
    n = n.T if n.shape == m.shape else n
    if n.shape != m.shape[::-1] or len(m) ** 2 * m.itemsize > _files.MAX_BYTES:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # `from_arrays` refuses what is not finite
        return m @ n, [pair["m"], pair["n"]]


def stacked_experts(
    arrays: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], int | None, dict[str, list[str]]]:
    """Return (arrays, number of experts, origins): experts.0.A, ... as one array experts.A.

    `origins` lists the names behind each new one. Without experts, nothing changes.

    **Raises:** `ValueError` if an expert lacks an array, or has one of another shape.
    """
    found: dict[str, dict[int, str]] = {}
    for name in arrays:
        if match := _EXPERT.fullmatch(name):
            joint = f"{match['prefix']}experts.{match['field']}"
            found.setdefault(joint, {})[int(match["number"])] = name
    if not found:
        return arrays, None, {}
    count = 1 + max(max(numbers) for numbers in found.values())
    taken = {name for numbers in found.values() for name in numbers.values()}
    result = {name: array for name, array in arrays.items() if name not in taken}
    for joint, numbers in found.items():
        if sorted(numbers) != list(range(count)):
            raise ValueError(f"{joint}: expected {count}, one per expert, got {len(numbers)}")
        parts = [arrays[numbers[number]] for number in range(count)]
        if any(part.shape != parts[0].shape or part.dtype != parts[0].dtype for part in parts):
            raise ValueError(f"{joint}: expected one shape for all {count} experts")
        result[joint] = np.stack(parts)
    return result, count, {joint: list(numbers.values()) for joint, numbers in found.items()}
