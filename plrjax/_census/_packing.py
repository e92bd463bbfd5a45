"""What goes to other processes: arrays as NumPy's, so that no setting of JAX changes them there."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_SETTINGS = ("jax_enable_x64", "jax_threefry_partitionable", "jax_default_matmul_precision")


class Packed(NamedTuple):
    """An array of JAX on its way."""

    array: np.ndarray


def jax_config() -> dict[str, Any]:
    """Return the settings of JAX that numbers depend on."""
    return {name: getattr(jax.config, name) for name in _SETTINGS}


def packed(tree: Any) -> Any:
    """Return a tree whose JAX arrays are packed; keys stay as they are."""
    pack = lambda leaf: Packed(np.asarray(leaf)) if _is_numbers(leaf) else leaf
    return jax.tree.map(pack, tree)


def unpacked(tree: Any) -> Any:
    """Return the tree that `packed` was given."""
    unpack = lambda leaf: jnp.asarray(leaf.array) if isinstance(leaf, Packed) else leaf
    return jax.tree.map(unpack, tree, is_leaf=lambda leaf: isinstance(leaf, Packed))


def _is_numbers(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
