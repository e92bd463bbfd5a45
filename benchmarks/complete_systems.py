"""Networks of the benchmark of the complete search, drawn from named seeds, and published ones."""

import functools
import json
import pathlib
from typing import NamedTuple

import numpy as np

import plrjax as plr
from benchmarks.systems import systems_by_period
from plrjax import PiecewiseAffineMap

PUBLISHED = "cases/scyfi_public.json"
NAMES = {16: "16_cycle_2D", 31: "31_cycle_2D", 65: "65_cycle_2D", 80: "80_cycle_2D"}


class System(NamedTuple):
    """A network, the longest period sought, and a box (half its width) where everywhere is hard."""

    name: str
    map: PiecewiseAffineMap
    longest: int
    box: float | None = None


def plrnn(A, W, h) -> PiecewiseAffineMap:
    """Return z' = A z + W relu(z) + h."""
    return PiecewiseAffineMap(A, W, np.eye(len(h)), h, np.zeros(len(h)))


def published(shared: pathlib.Path, name: str) -> PiecewiseAffineMap:
    """Return a PLRNN of SCYFI's test suites (Eisenmann et al. 2023)."""
    systems = json.loads((shared / PUBLISHED).read_text())
    systems = systems["systems"] if isinstance(systems, dict) else systems
    found = next(each for each in systems if each["name"] == f"plrnn_{name}")
    return plrnn(*(np.array(found[part], float) for part in ("A", "W", "h")))


def rotation(period: int) -> PiecewiseAffineMap:
    """Return a 2-D network of `benchmarks.systems` whose attractor has this period."""
    A, W, h = systems_by_period(period, 1)[period][0]
    return plrnn(A, W, h)


def random_plrnn(size: int, gain: float, seed: int) -> PiecewiseAffineMap:
    """Return A ~ U(-.3, .9), W ~ N(0, gain^2 / M) off the diagonal, h ~ N(0, 1)."""
    draw = np.random.default_rng([seed, size, 1])
    W = gain * draw.standard_normal((size, size)) / np.sqrt(size)
    np.fill_diagonal(W, 0.0)
    return plrnn(draw.uniform(-0.3, 0.9, size), W, draw.standard_normal(size))


@functools.cache
def lorenz() -> np.ndarray:
    """Return a standardized orbit of Lorenz-63, 20,000 steps of .01 without noise."""
    import jax.random as jr

    series = plr.systems.simulate(plr.systems.lorenz63(), 20_000, key=jr.key(0))
    orbit = np.asarray(series.observations, float)
    return (orbit - orbit.mean(axis=0)) / orbit.std(axis=0)


def fitted(hidden: int, seed: int = 0) -> PiecewiseAffineMap:
    """Return a shallow PLRNN fitted to one step of Lorenz-63.

    Rows of W2 are Gaussian, with boundaries through points of the orbit; A, W1, h1 solve the
    ridge regression.
    """
    draw, orbit = np.random.default_rng([seed, 3, hidden]), lorenz()
    W2 = draw.standard_normal((hidden, 3))
    h2 = -(W2 * orbit[draw.integers(0, len(orbit), hidden)]).sum(axis=1)
    features = np.c_[orbit[:-1], np.maximum(orbit[:-1] @ W2.T + h2, 0.0), np.ones(len(orbit) - 1)]
    gram = features.T @ features + 1e-3 * np.eye(features.shape[1])
    found = np.linalg.solve(gram, features.T @ orbit[1:])
    return PiecewiseAffineMap(found[:3].T, found[3:-1].T, W2, found[-1], h2)


def shallow(size: int, hidden: int, gain: float, seed: int) -> PiecewiseAffineMap:
    """Return a random shallow PLRNN."""
    draw = np.random.default_rng([seed, size, hidden, 2])
    W1 = gain * draw.standard_normal((size, hidden)) / np.sqrt(hidden)
    W2, A = draw.standard_normal((hidden, size)), draw.uniform(-0.7, 0.7, size)
    return PiecewiseAffineMap(
        A, W1, W2, draw.standard_normal(size), 2.0 * draw.standard_normal(hidden)
    )


def clipped(hidden: int, gain: float, seed: int, size: int) -> PiecewiseAffineMap:
    """Return a random clipped shallow PLRNN, whose orbits are all bounded."""
    draw = np.random.default_rng([seed, size, hidden])
    arrays = dict(
        W1=gain * draw.standard_normal((size, hidden)) / np.sqrt(hidden),
        W2=draw.standard_normal((hidden, size)) / np.sqrt(size),
        h2=2.0 * draw.standard_normal(hidden),
        A=draw.uniform(-0.3, 0.9, size),
        h1=0.3 * draw.standard_normal(size),
    )
    return plr.from_arrays("clipped-shallow", **arrays).as_piecewise_affine()


def drawn(kind: str, size: int, gain: float, seed: int, **counts: int) -> PiecewiseAffineMap:
    """Return a random network of a kind whose arrays are A, W, h and more."""
    draw = np.random.default_rng([seed, size, 3])
    arrays = dict(
        A=draw.uniform(-0.6, 0.6, size),
        W=gain * draw.standard_normal((size, size)) / np.sqrt(size),
        h=draw.standard_normal(size),
    )
    if kind == "dendritic":
        bases = counts.pop("bases")
        arrays["W"] /= bases
        arrays["alpha"] = draw.standard_normal(bases)
        arrays["thresholds"] = draw.standard_normal((bases, size))
    return plr.from_arrays(kind, **arrays, **counts).as_piecewise_affine()


def table_systems(shared: pathlib.Path | None) -> list[System]:
    """Return the systems of the table; without the folder `shared`, those that need no file."""
    planes = [] if shared is None else [
        System(f"2-D, {k}-cycles", published(shared, name), k) for k, name in NAMES.items()
    ]  # fmt: skip
    ten = [] if shared is None else [System("10-D", published(shared, "10_cycle_10D"), 6, 3.0)]
    return [
        *planes[:2],
        System("2-D, 20- and 21-cycles", rotation(40), 40),
        *planes[2:],
        System("random M=3", random_plrnn(3, 3.0, 783), 20),
        System("random M=4", random_plrnn(4, 3.0, 95), 14),
        System("random M=5", random_plrnn(5, 2.5, 1), 10),
        System("random M=6", random_plrnn(6, 2.5, 17), 6),
        System("Lorenz H=50", fitted(50), 2, 4.0),
        System("Lorenz H=50", fitted(50), 4, 4.0),
        System("Lorenz H=100", fitted(100), 2, 4.0),
        *ten,
    ]  # fmt: skip


def own_systems() -> list[System]:
    """Return two networks of each of five kinds, seeds 0 and 1."""
    return [
        system
        for seed in (0, 1)
        for system in (
            System(f"PLRNN M=3, seed {seed}", random_plrnn(3, 2.0, seed), 12),
            System(f"shallow M=2 H=6, seed {seed}", shallow(2, 6, 3.0, seed), 8),
            System(f"clipped M=3 H=4, seed {seed}", clipped(4, 6.0, seed, 3), 6),
            System(
                f"almost-linear M=5 P=2, seed {seed}",
                drawn("almost-linear", 5, 1.5, seed, num_relu=2), 12,
            ),
            System(
                f"dendritic M=2 B=3, seed {seed}", drawn("dendritic", 2, 3.0, seed, bases=3), 8
            ),
        )
    ]  # fmt: skip
