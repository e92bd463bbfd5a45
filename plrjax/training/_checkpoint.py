"""A run on disk: everything that the next update depends on, and everything noted until then."""

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._files import read_arrays, write_arrays
from ._engine import one_update
from ._forcing import forcing_facts, forcing_from_facts

_SECONDS = 30.0
"""Time between two checkpoints."""


class Checkpoint:
    """A file that is replaced as a whole, so that a killed run finds the last complete one."""

    def __init__(self, path: str | os.PathLike, loop: Any):
        self.path = Path(path)
        if self.path.suffix not in (".npz", ".safetensors"):
            raise ValueError(
                f"checkpoint: expected a name ending in .npz or .safetensors, got {path}"
            )
        if not self.path.parent.is_dir():
            raise ValueError(f"checkpoint: the folder {self.path.parent} does not exist")
        self.fingerprint = _fingerprint(loop)
        self.saved = time.perf_counter()

    def save_sometimes(self, loop: Any) -> None:
        """Write where the last time is long ago."""
        if time.perf_counter() - self.saved > _SECONDS:
            self.save(loop)

    def save(self, loop: Any) -> None:
        """Write everything."""
        leaves = jax.tree.leaves(eqx.filter(loop.carry, eqx.is_array))
        arrays = {f"carry.{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        arrays |= {f"noted.{name}": x[: loop.done] for name, x in loop.noted._asdict().items()}
        asked = loop.stopped or loop.unheard
        facts = {"done": loop.done, "fingerprint": self.fingerprint, "asked": asked}
        if loop.recipe.forcing is not loop.first_forcing:
            facts["forcing"] = forcing_facts(loop.recipe.forcing)
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
        header, arrays = read_arrays(self.path)
        try:
            facts = json.loads(header["facts"])
            if facts["fingerprint"] != self.fingerprint:
                raise ValueError(
                    f"checkpoint: {self.path} belongs to another run (data, key, model or settings "
                    "differ); remove it, or name another file"
                )
            if "forcing" in facts:
                loop.change_forcing(forcing_from_facts(facts["forcing"]))
            self._fill(loop, arrays, int(facts["done"]))
            asked = bool(facts["asked"])
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"checkpoint: {self.path} is damaged") from error
        if asked:  # whoever stopped the run, or was interrupted, is asked again
            loop.call_back()

    def _fill(self, loop: Any, arrays: dict, done: int) -> None:
        params, rest = eqx.partition(loop.carry, eqx.is_array)
        leaves, tree = jax.tree.flatten(params)
        found = [arrays[f"carry.{i}"] for i in range(len(leaves))]
        for old, new in zip(leaves, found):
            if old.shape != new.shape or old.dtype != new.dtype:
                raise ValueError(
                    f"checkpoint: {self.path} is damaged: unexpected {new.dtype} {new.shape}"
                )
        loop.carry = eqx.combine(jax.tree.unflatten(tree, map(jnp.asarray, found)), rest)
        for name, rows in loop.noted._asdict().items():
            rows[:done] = arrays[f"noted.{name}"]
        loop.done = done


def _fingerprint(loop: Any) -> str:
    """Return a hash of what the run depends on: data, key, first networks, and the update itself.

    The update is taken as JAX traces it: it knows every setting, those of the optimizer as well.
    """
    found = hashlib.sha256()
    for leaf in jax.tree.leaves((loop.series, loop.carry)):
        found.update(np.asarray(leaf).tobytes())
    found.update(np.asarray(jr.key_data(loop.key)).tobytes())
    params, rest = eqx.partition(loop.carry, eqx.is_array)

    def update(params, series, key):
        moved, seen, good = one_update(eqx.combine(params, rest), series, key, loop.recipe)
        return eqx.filter(moved, eqx.is_array), seen, good

    traced = jax.make_jaxpr(update)(params, loop.series, loop.key)
    for constant in traced.consts:
        found.update(np.asarray(constant).tobytes())
    program = re.sub(r"0x[0-9a-f]+|\S*\.py:\d+", "", str(traced))  # addresses, source lines
    found.update(program.encode())
    return found.hexdigest()
