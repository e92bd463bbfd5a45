"""PyTorch's file of a state_dict, written without PyTorch: a zip of raw numbers and one pickle.

Format: torch.serialization, version 3. The pickle is spelled out opcode by opcode; nothing is
pickled here.
"""

import io
import struct
import zipfile
from typing import Any

import numpy as np

from .._dynamics import AbstractDynamics
from ..models import GRU, LSTM, ReluRNN, Stacked, TanhRNN, arrays_of

_STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
}
_DATE = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip knows: the same network makes the same file."""


def state_dict_of(model: AbstractDynamics) -> dict[str, np.ndarray]:
    """Return the arrays under the names that PyTorch gives them, ours where it has no such module.

    A network without inputs gets one that does nothing, since `torch.nn` knows none without.
    """
    layers: list[Any] = list(model.layers) if isinstance(model, Stacked) else [model]
    alike = len({(type(layer), np.shape(layer.W)[:1]) for layer in layers if _is_torch(layer)}) == 1
    if not (alike and all(map(_is_torch, layers))):
        return arrays_of(model)
    found = {}
    for number, layer in enumerate(layers):
        W, b = np.asarray(layer.W), np.asarray(layer.b)
        recurrent = np.zeros_like(b)
        if isinstance(layer, GRU):
            recurrent[-len(layer.b_candidate) :] = layer.b_candidate
        C = np.zeros((len(W), 1), W.dtype) if layer.C is None else np.asarray(layer.C)
        arrays = {"weight_ih": C, "weight_hh": W, "bias_ih": b, "bias_hh": recurrent}
        found |= {f"{name}_l{number}": array for name, array in arrays.items()}
    return found


def _is_torch(layer: AbstractDynamics) -> bool:
    plain = isinstance(layer, ReluRNN) and float(layer.leak) == 1 and float(layer.slope) == 0
    return plain or isinstance(layer, GRU | LSTM | TanhRNN)


def torch_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Return the file of a state_dict with these arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:

        def put(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", _DATE), data)

        put("data.pkl", _pickle(arrays))
        put("byteorder", b"little")
        for number, array in enumerate(arrays.values()):
            put(f"data/{number}", array.astype(array.dtype.newbyteorder("<")).tobytes())
        put("version", b"3\n")
    return buffer.getvalue()


def _pickle(arrays: dict[str, np.ndarray]) -> bytes:
    """Return an OrderedDict of tensors, whose numbers are elsewhere, in protocol 2."""
    items = [_text(name) + _tensor(str(n), a) for n, (name, a) in enumerate(arrays.items())]
    return b"\x80\x02" + _EMPTY + b"(" + b"".join(items) + b"u."


_EMPTY = b"ccollections\nOrderedDict\n)R"


def _tensor(number: str, array: np.ndarray) -> bytes:
    if array.dtype.name not in _STORAGES:
        raise ValueError(f"dtype {array.dtype} has no storage in this format")
    strides = np.empty(array.shape, np.uint8).strides  # of items, since one is a byte long
    storage = f"ctorch\n{_STORAGES[array.dtype.name]}\n".encode()
    place = b"(" + _text("storage") + storage + _text(number) + _text("cpu") + _int(array.size)
    shape = _tuple(array.shape) + _tuple(strides)
    rebuilt = b"(" + place + b"tQ" + _int(0) + shape + b"\x89" + _EMPTY + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + rebuilt + b"R"


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _tuple(values) -> bytes:
    return b"(" + b"".join(map(_int, values)) + b"t"
