"""Test systems of the scaling figure: 2-D networks with an attracting k-cycle, random networks."""

from typing import NamedTuple

import numpy as np

LARGEST_STATE = 1e6
"""Orbits beyond it are taken to diverge."""


class Network(NamedTuple):
    """A PLRNN z' = A z + W relu(z) + h with diagonal A."""

    A: np.ndarray
    W: np.ndarray
    h: np.ndarray


def family(num_points: int = 4000) -> Network:
    """Return a stack of 2-D networks: A and W12 fixed, W21 in [.4, 1.4], two offsets h.

    Varying W21 sweeps the rotation number of the attracting cycle.
    """
    W = np.zeros((2, num_points, 2, 2))
    W[..., 0, 1], W[..., 1, 0] = -0.14375, np.linspace(0.4, 1.4, num_points)
    h = np.empty((2, num_points, 2))
    h[0], h[1] = (0.37298253, -0.97931491), (0.37298253, -0.77931491)
    A = np.broadcast_to([0.9777689, 0.96461297], h.shape)
    return Network(A.reshape(-1, 2), W.reshape(-1, 2, 2), h.reshape(-1, 2))


def random_plane(lowest: float, gain: float, num_points: int = 10_000) -> Network:
    """Return a stack of random 2-D networks: A ~ U(lowest, .99), W ~ N(0, gain^2), h ~ N(0, 1)."""
    rng = np.random.default_rng(0)
    A = rng.uniform(lowest, 0.99, (num_points, 2))
    W = np.zeros((num_points, 2, 2))
    W[:, 0, 1], W[:, 1, 0] = gain * rng.standard_normal((2, num_points))
    return Network(A, W, rng.standard_normal((num_points, 2)))


def attracting_period(stack: Network, longest: int, num_transient: int = 5000) -> np.ndarray:
    """Simulate a stack of networks from 0; return each attractor's period, 0 if above `longest`.

    An orbit that has not settled, or that diverges, also counts as 0.
    """
    A, W, h = stack

    def step(z):
        return A * z + (W @ np.maximum(z, 0.0)[..., None])[..., 0] + h

    with np.errstate(over="ignore", invalid="ignore"):
        z = np.zeros_like(h)
        for _ in range(num_transient):
            z = step(z)
        anchor, period = z, np.zeros(len(h), int)
        size = np.abs(anchor).max(axis=1)
        for t in range(1, longest + 1):
            z = step(z)
            again = np.abs(z - anchor).max(axis=1) < 1e-9 * (1.0 + size)
            period = np.where(again & (period == 0), t, period)
    return np.where(size < LARGEST_STATE, period, 0)


def systems_by_period(longest: int = 50, per_period: int = 3) -> dict[int, list[Network]]:
    """Return up to `per_period` 2-D networks with an attracting k-cycle for every k that occurs.

    The family comes first; random networks fill the periods it lacks.
    """
    chosen: dict[int, list[Network]] = {k: [] for k in range(1, longest + 1)}
    for stack in (family(), random_plane(0.5, 1.0), random_plane(-0.99, 2.0)):
        period = attracting_period(stack, longest)
        for k, networks in chosen.items():
            rows = np.flatnonzero(period == k)
            room = min(per_period - len(networks), len(rows))
            for index in np.linspace(0, len(rows) - 1, room).astype(int):
                networks.append(Network(*(part[rows[index]] for part in stack)))
    return {k: networks for k, networks in chosen.items() if networks}


def random_network(size: int, gain: float, seed: int) -> Network:
    """Return A ~ U(.2, .9), off-diagonal W ~ N(0, gain^2 / M), h ~ N(0, 1)."""
    rng = np.random.default_rng([seed, size])
    W = rng.standard_normal((size, size)) * gain / np.sqrt(size)
    np.fill_diagonal(W, 0.0)
    return Network(rng.uniform(0.2, 0.9, size), W, rng.standard_normal(size))


def num_fixed_points(network: Network, chunk: int = 1024) -> int:
    """Count the fixed points by solving in every one of the 2^M linear subregions."""
    A, W, h = network
    size, count = len(h), 0
    for first in range(0, 2**size, chunk):
        number = np.arange(first, min(first + chunk, 2**size))
        region = (number[:, None] >> np.arange(size)) & 1
        systems = np.eye(size) - np.diag(A) - W * region[:, None, :]
        z = np.linalg.solve(systems, np.broadcast_to(h[:, None], (len(number), size, 1)))
        count += int(((z[..., 0] > 0) == region).all(axis=1).sum())
    return count


def mean_largest_eigenvalue(network: Network, num_regions: int = 256) -> float:
    """Return the mean over random linear subregions of the largest |eigenvalue| of the Jacobian."""
    region = np.random.default_rng(0).random((num_regions, len(network.h))) < 0.5
    jacobians = np.diag(network.A) + network.W * region[:, None, :]
    return float(np.abs(np.linalg.eigvals(jacobians)).max(axis=-1).mean())
