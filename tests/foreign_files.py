"""Writers of files of other programs, for tests."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy


def _element(kind, name, data):
    return bytes([kind]) + name.encode() + b"\0" + data


def bson_document(items):
    """Return the BSON of a dictionary, or of a list as one."""
    pairs = items.items() if isinstance(items, dict) else enumerate(items)
    body = b"".join(_bson_value(str(name), value) for name, value in pairs)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _bson_value(name, value):
    if value is None:
        return _element(10, name, b"")
    if isinstance(value, bool):
        return _element(8, name, bytes([value]))
    if isinstance(value, int):
        return _element(18, name, struct.pack("<q", value))
    if isinstance(value, float):
        return _element(1, name, struct.pack("<d", value))
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return _element(2, name, struct.pack("<i", len(text)) + text)
    if isinstance(value, bytes):
        return _element(5, name, struct.pack("<i", len(value)) + b"\0" + value)
    if isinstance(value, np.ndarray):
        value = julia_array(value)
    return _element(4 if isinstance(value, list) else 3, name, bson_document(value))


def julia_type(*names):
    """Return a type as BSON.jl writes it."""
    return {"tag": "datatype", "params": [], "name": list(names)}


def julia_array(array):
    """Return an array as BSON.jl writes it."""
    name = {"f4": "Float32", "f8": "Float64", "i8": "Int64"}[array.dtype.str[1:]]
    held = {"tag": "array", "type": julia_type("Core", name), "size": list(array.shape)}
    return {**held, "data": array.tobytes(order="F")}


def julia_struct(name, *fields):
    """Return a struct as BSON.jl writes it: its fields have no names."""
    return {"tag": "struct", "type": julia_type("Main", "GTF", name), "data": list(fields)}


def write_bson(path, arrays):
    """Write a shallow PLRNN as GTF-shPLRNN does, with a reference to a shared matrix."""
    fields = [arrays[name] for name in ("A", "W1", "W2", "h1", "h2")]
    fields[1] = {"tag": "backref", "ref": 1}
    model = {"tag": "tuple", "data": [julia_struct("shallowPLRNN", *fields, None), {"loss": 0.5}]}
    path.write_bytes(bson_document({"model": model, "_backrefs": [arrays["W1"]]}))


def write_hdf5(path, arrays, columns=False, **options):
    """Write HDF5, `columns` as Julia and MATLAB do."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            array = np.asarray(array)
            kept = options if array.ndim else {}
            file.create_dataset(f"net/{name}", data=array.T if columns else array, **kept)
        file["note"] = "text"


def write_compressed_hdf5(path, arrays):
    """Write HDF5 in compressed chunks with checksums."""
    write_hdf5(path, arrays, compression="gzip", shuffle=True, fletcher32=True, chunks=True)


def write_jld2(path, arrays):
    """Write what Julia would."""
    write_hdf5(path, arrays, columns=True)


def write_matlab_73(path, arrays):
    """Write a MATLAB 7.3 file: HDF5 behind 512 bytes, vectors as columns, classes as attributes."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in {**arrays, "note": np.array([[72], [105]], np.uint16)}.items():
            column = array[:, None] if array.ndim == 1 else array
            file.create_dataset(name, data=column.T, compression="gzip")
            words = {"f4": b"single", "f8": b"double", "u2": b"char"}[array.dtype.str[1:]]
            file[name].attrs["MATLAB_class"] = np.bytes_(words)
    data = bytearray(path.read_bytes())
    data[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(data)


def write_folder(path, arrays, **config):
    """Write a pretrained model: config.json and model.safetensors."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    safetensors.numpy.save_file(kept, path / "model.safetensors")
