"""A run on disk: everything that the next update depends on, and everything noted until then."""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._arguments import checked_positive
from .._files import MAX_BYTES, read_arrays, write_arrays
from .._json import parse_json
from .._temporary import clear
from ._engine import one_update
from ._forcing_file import forcing_facts, forcing_from_facts


class Checkpoint:
    """A file that is replaced as a whole, so that a killed run finds the last complete one.

    The arrays of the model, then those of the observation model, are the first ones of the carry.
    """

    def __init__(self, path: str | os.PathLike, loop: Any, seconds: float):
        self.path = Path(path)
        if self.path.suffix not in (".npz", ".safetensors"):
            raise ValueError(
                f"checkpoint: expected a name ending in .npz or .safetensors, got {path}"
            )
        if not self.path.parent.is_dir():
            raise ValueError(f"checkpoint: the folder {self.path.parent} does not exist")
        clear(self.path.parent)
        self.fingerprint = _fingerprint(loop)
        self.seconds = checked_positive("checkpoint_seconds", seconds)
        self.saved = time.perf_counter()

    def save_sometimes(self, loop: Any) -> None:
        """Write where the last time is long ago."""
        if time.perf_counter() - self.saved > self.seconds:
            self.saved = time.perf_counter()  # also where it fails: not again at once
            self.save(loop)

    def save(self, loop: Any) -> None:
        """Write everything."""
        asked = loop.stopped or loop.unheard
        carry, forcing = loop.before if asked else (loop.carry, loop.recipe.forcing)
        leaves = jax.tree.leaves(eqx.filter(carry, eqx.is_array))
        arrays = {f"carry.{i}": _plain(leaf) for i, leaf in enumerate(leaves)}
        arrays |= {f"noted.{name}": x[: loop.done] for name, x in loop.noted._asdict().items()}
        facts = {"done": loop.done, "fingerprint": self.fingerprint, "asked": asked}
        if forcing is not loop.first_forcing:
            facts["forcing"] = forcing_facts(forcing)
        facts = json.dumps(facts)
        write_arrays(
            self.path, {"type": "checkpoint", "kind": "checkpoint", "facts": facts}, arrays
        )
        self.saved = time.perf_counter()

    def restore(self, loop: Any) -> None:
        """Go on from the file where there is one.

        **Raises:** `ValueError` where it belongs to another run, or is damaged.
        """
        if not self.path.exists():
            return
        header, arrays = read_arrays(self.path, max_bytes=max(MAX_BYTES, self.path.stat().st_size))
        try:
            facts = parse_json(header["facts"], MAX_BYTES)
            if facts["fingerprint"] != self.fingerprint:
                raise ValueError(
                    f"checkpoint: {self.path} belongs to another run (data, key, model or settings "
                    "differ); remove it, or name another file"
                )
            if "forcing" in facts:
                loop.change_forcing(forcing_from_facts(facts["forcing"]))
            self._fill(loop, arrays, int(facts["done"]))
            loop.unheard = bool(facts["asked"])  # who stopped it, or was interrupted, is asked
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(f"checkpoint: {self.path} is damaged") from error

    def _fill(self, loop: Any, arrays: dict, done: int) -> None:
        if done > loop.num_steps:
            raise ValueError(
                f"num_steps: expected at least {done}, which {self.path} has taken, got "
                f"{loop.num_steps}"
            )
        params, rest = eqx.partition(loop.carry, eqx.is_array)
        leaves, tree = jax.tree.flatten(params)
        found = [arrays[f"carry.{i}"] for i in range(len(leaves))]
        for old, new in zip(leaves, found):
            like = _plain(old)
            if like.shape != new.shape or like.dtype != new.dtype:
                raise ValueError(
                    f"checkpoint: {self.path} is damaged: unexpected {new.dtype} {new.shape}"
                )
        found = [_like(old, new) for old, new in zip(leaves, found)]
        loop.carry = eqx.combine(jax.tree.unflatten(tree, found), rest)
        for name, rows in loop.noted._asdict().items():
            new = arrays[f"noted.{name}"]
            if new.shape != rows[:done].shape:
                raise ValueError(f"checkpoint: {self.path} is damaged: unexpected {new.shape}")
            rows[:done] = new
        loop.done = done


def _fingerprint(loop: Any) -> str:
    """Return a hash of what the run depends on: data, key, first networks, and the update itself.

    The update is taken as JAX traces it: it knows every setting, those of the optimizer as well.
    """
    found = hashlib.sha256()
    for leaf in jax.tree.leaves((loop.series, loop.carry)):
        found.update(_plain(leaf).tobytes())
    found.update(np.asarray(jr.key_data(loop.key)).tobytes())
    params, rest = eqx.partition(loop.carry, eqx.is_array)

    def update(params, series, key):
        moved, seen, good = one_update(eqx.combine(params, rest), series, key, loop.recipe)
        return eqx.filter(moved, eqx.is_array), seen, good

    traced = jax.make_jaxpr(update)(params, loop.series, loop.key)
    for constant in _constants(traced):
        found.update(_plain(constant).tobytes())
    program = re.sub(r"0x[0-9a-f]+|\S*\.py:\d+", "", str(traced))  # addresses, source lines
    found.update(program.encode())
    return found.hexdigest()


def _constants(traced: Any) -> Iterator[Any]:
    """Yield the arrays that a program and all programs within it are closed over."""
    yield from getattr(traced, "consts", ())
    inner = getattr(traced, "jaxpr", traced)
    for equation in getattr(inner, "eqns", ()):
        for value in equation.params.values():
            for part in value if isinstance(value, list | tuple) else (value,):
                if hasattr(part, "eqns") or hasattr(part, "jaxpr"):
                    yield from _constants(part)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> np.ndarray:
    """Return what a file holds of an array: itself, or the numbers of random keys."""
    return np.asarray(jr.key_data(leaf) if _is_key(leaf) else leaf)


def _like(old: Any, new: np.ndarray) -> jax.Array:
    """Return the array that a file holds, as random keys where there were some."""
    if _is_key(old):
        return jr.wrap_key_data(jnp.asarray(new), impl=jr.key_impl(old))
    return jnp.asarray(new)
