"""Observation models in native files, beside the networks they belong to."""

import os

import numpy as np

from .._files import read_arrays, write_arrays
from .._numerics import as_real
from ..training import AbstractObservation, Affine, Identity

FILE_TYPE = "observation"


def save_observation(path: str | os.PathLike, observation: AbstractObservation) -> None:
    """Write an observation model to `.npz` or `.safetensors`, atomically.

    **Raises:** `ValueError` for another suffix, or one that is neither `Identity` nor `Affine`.
    """
    if type(observation) is Identity:
        kind, sizes = "identity", (observation.num_observed, observation.state_size)
        arrays = {"sizes": np.array(sizes, np.int64)}
        if observation.L is not None:
            arrays["L"] = np.asarray(observation.L)
    elif type(observation) is Affine:
        kind = "affine"
        arrays = {"B": np.asarray(observation.B), "b": np.asarray(observation.b)}
    else:
        raise ValueError(
            f"observation_model: expected Identity or Affine, got {type(observation).__name__}"
        )
    write_arrays(path, {"type": FILE_TYPE, "kind": kind}, arrays)


def load_observation(path: str | os.PathLike) -> AbstractObservation:
    """Return the observation model that `save_observation` wrote, bit for bit.

    **Raises:** `FileNotFoundError`; `ValueError` starting with the path for a file that is damaged
    or holds something else.
    """
    header, arrays = read_arrays(path)
    kinds = {"identity": _identity, "affine": _affine}
    if header.get("type") != FILE_TYPE or header.get("kind") not in kinds:
        raise ValueError(
            f"{path}: expected an observation model, got type {header.get('type')!r}, kind "
            f"{header.get('kind')!r}"
        )
    try:
        return kinds[header["kind"]](arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _identity(arrays: dict[str, np.ndarray]) -> Identity:
    sizes = as_real("sizes", _given(arrays, "sizes"), (2,))
    num_observed, state_size = (int(size) for size in sizes)
    if sizes.dtype.kind != "i" or not 1 <= num_observed <= state_size:
        raise ValueError(f"sizes: expected 1 <= observed <= states, got {sizes.tolist()}")
    shape = (state_size - num_observed, num_observed)
    L = as_real("L", _given(arrays, "L"), shape) if shape[0] else None
    return _filled(Identity, num_observed=num_observed, state_size=state_size, L=L)


def _affine(arrays: dict[str, np.ndarray]) -> Affine:
    B = as_real("B", _given(arrays, "B"), ("observed", "states"))
    if 0 in B.shape:
        raise ValueError(f"B: expected at least one row and column, got shape {B.shape}")
    return _filled(Affine, B=B, b=as_real("b", _given(arrays, "b"), (len(B),)))


def _given(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"{name}: missing; there are {', '.join(arrays) or 'no arrays'}")
    return arrays[name]


def _filled(cls, **fields):
    """Return an observation model with these fields; its constructor would draw at random."""
    found = object.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(found, name, value)
    return found
