"""Progress on the host, and one program over several local devices."""

import abc
import contextlib
import functools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from threadpoolctl import ThreadpoolController
from tqdm import tqdm


def device_mesh(devices: Sequence[Any] | None) -> Mesh:
    """Return a one-dimensional mesh over the given devices (None: the default device alone)."""
    if devices is None:
        devices = jax.devices()[:1]
    if not devices:
        raise ValueError("devices: expected at least one device, got an empty sequence")
    return Mesh(np.array(devices), ("lanes",))


def over_devices(function: Callable, mesh: Mesh, num_shared: int, num_split: int) -> Callable:
    """Compile `function(*shared, *split)` to run once per device, without communication.

    The last `num_split` arguments, and all results, carry one leading entry per device. A loop
    inside then ends on each device by itself (`shard_map`: no collective in its condition).
    """
    spec = PartitionSpec("lanes")

    def local(*arguments):
        split = jax.tree.map(lambda x: x[0], arguments[num_shared:])
        result = function(*arguments[:num_shared], *split)
        return jax.tree.map(lambda x: x[None], result)

    mapped = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(PartitionSpec(),) * num_shared + (spec,) * num_split,
        out_specs=spec,
        check_vma=False,
    )
    return jax.jit(mapped)


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


@contextlib.contextmanager
def one_thread_per_solve():
    """Keep LAPACK to one thread inside: its threads slow many small systems down manyfold."""
    with _thread_pools().limit(limits=1, user_api="blas"):
        yield


def split_over(mesh: Mesh, tree: Any) -> Any:
    """Put arrays with one leading entry per device where `over_devices` wants them."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec("lanes")))


def shared_by(mesh: Mesh, tree: Any) -> Any:
    """Put arrays on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


class AbstractProgress(abc.ABC):
    """Told how far a computation is: `open`, then `update` many times, then `close`."""

    @abc.abstractmethod
    def open(self, label: str) -> None:
        """A computation begins."""

    @abc.abstractmethod
    def update(self, share: float, note: str = "") -> None:
        """The given share in [0, 1] is done."""

    @abc.abstractmethod
    def close(self) -> None:
        """The computation ended."""


class NoProgress(AbstractProgress):
    """Says nothing."""

    def open(self, label):
        """Say nothing."""

    def update(self, share, note=""):
        """Say nothing."""

    def close(self):
        """Say nothing."""


class ProgressBar(AbstractProgress):
    """A bar on standard error with counts and time left, shown once `delay` seconds have passed."""

    def __init__(self, delay: float = 2.0):
        self.delay = delay
        self._bar = None
        self._begun = self._shown = 0.0

    def open(self, label):
        self._begun = time.monotonic()
        self._bar = tqdm(
            total=100.0,
            desc=label,
            delay=self.delay,
            file=sys.stderr,
            leave=False,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )

    def update(self, share, note=""):
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(max(0.0, 100.0 * min(share, 1.0) - self._bar.n))
            now = time.monotonic()
            if now - self._begun > self.delay and now - self._shown > 0.5:
                self._shown = now
                self._bar.refresh()

    def close(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None
