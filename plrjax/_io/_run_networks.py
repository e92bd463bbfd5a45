"""The networks that a run begins with, and those that its checkpoint holds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._dynamics import AbstractDynamics
from .._files import read_arrays
from ..models import KINDS
from ..training import AbstractObservation, Affine, Identity


def first_networks(
    kind: str, sizes: Mapping[str, int], observation: str, num_observed: int, keys: Any, **more: Any
) -> tuple[AbstractDynamics, AbstractObservation]:
    """Return the network and the observation model that a run begins with.

    **Arguments:** `kind` and `sizes` of the network, in the order of its class; `observation`:
    "identity" or "affine"; `keys`: one for each of the two; `more`: other arguments of the class.
    """
    model = KINDS[kind].model(*sizes.values(), key=keys[0], **more)
    observe = {"identity": Identity, "affine": Affine}[observation]
    return model, observe(num_observed, model.state_size, key=keys[1])


def checkpointed_networks(
    path: Path, setting: Callable[..., Any]
) -> tuple[AbstractDynamics, AbstractObservation]:
    """Return the networks in the checkpoint of a run, whose settings tell their kinds and sizes.

    **Raises:** `ValueError` starting with the path where they do not fit.
    """
    sizes = dict(setting("networks"))
    kind, shape = sizes.pop("kind", None), setting("data", "shape")
    try:
        like = first_networks(
            kind, sizes, setting("settings", "observation"), shape[-1], jr.split(jr.key(0))
        )
        filled, rest = eqx.partition(like, eqx.is_array)
        old, tree = jax.tree.flatten(filled)
        arrays = read_arrays(path)[1]
        new = [arrays[f"carry.{number}"] for number in range(len(old))]
        if [x.shape for x in old] != [x.shape for x in new]:
            raise ValueError("shapes")
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"{path}: does not fit the settings of the run ({error})") from error
    return eqx.combine(jax.tree.unflatten(tree, [jnp.asarray(x) for x in new]), rest)
