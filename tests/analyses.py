"""Analyses of networks that other processes can import."""

import os
import pathlib
import time

import numpy as np


def norm(model) -> float:
    """Return the norm of W."""
    return float(np.linalg.norm(model.W))


def with_key(model, *, key, scale=1.0):
    """Return columns that tell network and key apart."""
    import jax

    if norm(model) > 1e3:
        raise RuntimeError("too large")
    return {"norm": scale * norm(model), "draw": float(jax.random.uniform(key)), "kind": "plrnn"}


def deadly(model, *, folder):
    """End the process at the second network, the first time round or always."""
    place = pathlib.Path(folder)
    time.sleep(0.02)
    if norm(model) > 1e3 or (round(norm(model)) == 2 and not (place / "died").exists()):
        (place / "died").touch()
        os._exit(9)
    return norm(model)


def slow(model, *, seconds=0.5):
    """Take some time."""
    time.sleep(seconds)
    return {"norm": norm(model), "device": os.environ.get("CUDA_VISIBLE_DEVICES", "")}


def where(model):
    """Return the cores and the device of the worker."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return {"process": os.getpid(), "cores": str(cores), "device": device}


def dtype(model) -> str:
    """Return the dtype of W, whether JAX has float64, and of whose arrays the network is."""
    import jax

    has_float64 = getattr(jax.config, "jax_enable_x64")
    return f"{model.W.dtype} {has_float64} {type(model.W).__name__}"
