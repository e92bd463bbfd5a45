"""Maps with known cycles, and random ones, for the tests."""

import json
import pathlib

import numpy as np

import plrjax as plr
from plrjax import PiecewiseAffineMap

QUIET = plr.NoProgress()


class PressesCtrlC(plr.NoProgress):
    """Interrupts a search after so many updates; shares of work must stay in [0, 1]."""

    def __init__(self, after):
        self.left = after

    def update(self, share, note=""):
        assert 0 <= share <= 1
        self.left -= 1
        if self.left <= 0:
            raise KeyboardInterrupt


LOZI = PiecewiseAffineMap(
    [[1.7, 1.0], [0.5, 0.0]], [[-3.4], [0.0]], [[1.0, 0.0]], [1.0, 0.0], [0.0]
)
"""Lozi map x' = 1 - 1.7 |x| + y, y' = .5 x with |x| = 2 relu(x) - x (Lozi 1978)."""

LOZI_PRIMES = {1: 2, 2: 1, 3: 0, 4: 1, 5: 0, 6: 4, 7: 4, 8: 7, 12: 32, 17: 282}


def tent(slope: float) -> PiecewiseAffineMap:
    """The tent map z' = 1 + slope z below 0 and 1 - slope z above."""
    return PiecewiseAffineMap([[slope]], [[-2.0 * slope]], [[1.0]], [1.0], [0.0])


def plrnn_map(A, W, h) -> PiecewiseAffineMap:
    """z' = A z + W relu(z) + h."""
    h = np.asarray(h, float)
    return PiecewiseAffineMap(A, W, np.eye(h.size), h, np.zeros(h.size))


SIXTEEN = dict(
    A=np.array([0.8377689000000008, 0.96461297]),
    W=np.array([[0.0, -0.6437499999999996], [0.52505308, 0.0]]),
    h=np.array([0.37298253000000087, -0.97931491]),
)
"""2-D PLRNN with one fixed point and two 16-cycles (public test suite of SCYFI, MIT)."""

EIGHTY = dict(
    A=np.array([0.9777689, 0.96461297]),
    W=np.array([[0.0, -0.14375], [0.52505308, 0.0]]),
    h=np.array([0.37298253, -0.779314909999999]),
)
"""2-D PLRNN with one fixed point and two 80-cycles (public test suite of SCYFI, MIT)."""


def random_plrnn(seed: int, size: int, gain: float) -> PiecewiseAffineMap:
    """A random PLRNN: A uniform in [-.5, .5], W Gaussian with spectral radius about `gain`."""
    draw = np.random.default_rng([seed, size])
    W = gain * draw.standard_normal((size, size)) / np.sqrt(size)
    np.fill_diagonal(W, 0.0)
    return plrnn_map(draw.uniform(-0.5, 0.5, size), W, draw.standard_normal(size))


def random_shallow(seed: int, size: int, hidden: int, gain: float) -> PiecewiseAffineMap:
    """A random shallow PLRNN."""
    draw = np.random.default_rng([seed, size, hidden])
    scale = gain / np.sqrt(size)
    return PiecewiseAffineMap(
        draw.uniform(-0.7, 0.7, size),
        scale * draw.standard_normal((size, hidden)),
        draw.standard_normal((hidden, size)),
        draw.standard_normal(size),
        draw.standard_normal(hidden),
    )


def planted(seed: int, size: int, gain: float) -> PiecewiseAffineMap:
    """A = .5 I, Gaussian W of the given gain, and h such that a Gaussian point is a fixed point.

    Without planting, large networks with gain above one usually have no fixed point at all.
    """
    draw = np.random.default_rng([seed, size])
    W = gain * draw.standard_normal((size, size)) / np.sqrt(size)
    np.fill_diagonal(W, 0.0)
    z = draw.standard_normal(size)
    return plrnn_map(np.full(size, 0.5), W, 0.5 * z - W @ np.maximum(z, 0.0))


def chaotic(seed: int) -> PiecewiseAffineMap:
    """A random PLRNN with three units; seeds 592, 868 and 915 give lambda_1 from .1 to .2."""
    draw = np.random.default_rng([seed, 3, 1])
    W = 3.0 * draw.standard_normal((3, 3)) / np.sqrt(3.0)
    np.fill_diagonal(W, 0.0)
    return plrnn_map(draw.uniform(-0.3, 0.9, 3), W, draw.standard_normal(3))


def clipped(seed: int, size: int, hidden: int, gain: float = 3.0) -> PiecewiseAffineMap:
    """A random clipped shallow PLRNN with max |A| < 1: every orbit is bounded."""
    draw = np.random.default_rng([seed, size, hidden])
    return plr.from_arrays(
        "clipped-shallow",
        A=draw.uniform(-0.8, 0.8, size),
        W1=gain * draw.standard_normal((size, hidden)) / np.sqrt(hidden),
        W2=draw.standard_normal((hidden, size)),
        h1=draw.standard_normal(size),
        h2=2.0 * draw.standard_normal(hidden),
    ).as_piecewise_affine()


def public_systems(shared: pathlib.Path) -> list[dict]:
    """Return the systems of the SCYFI test suites: name, map, counts per period, max_period."""
    content = json.loads((shared / "cases" / "scyfi_public.json").read_text())
    systems = content["systems"] if isinstance(content, dict) else content
    return [{**system, "map": _public_map(system)} for system in systems]


def _public_map(system: dict) -> PiecewiseAffineMap:
    arrays = {name: np.array(value) for name, value in system.items() if name in _FIELDS}
    kinds = {"plrnn": "plrnn", "shallow": "shallow", "clipped": "clipped-shallow"}
    if system["model"] == "alrnn":
        model = plr.from_arrays("almost-linear", **arrays, num_relu=system["num_relus"])
    else:
        model = plr.from_arrays(kinds[system["model"]], **arrays)
    return model.as_piecewise_affine()


_FIELDS = ("A", "W", "h", "W1", "W2", "h1", "h2")


def words_of(cycles: plr.CycleSet) -> set[tuple[int, bytes]]:
    """Return the identities of all cycles."""
    return {(int(k), cycles.itinerary[row, :k].tobytes()) for row, k in enumerate(cycles.period)}


def check_cycles(map: PiecewiseAffineMap, cycles: plr.CycleSet) -> None:
    """Assert the defining property of every verified row: F^k z = z, minimal period, itinerary."""
    for row in np.flatnonzero(cycles.verified).tolist():
        orbit, regions = cycles.orbit(row), cycles.regions(row)
        scale = np.abs(orbit).max() + np.abs(map.h1).max()
        defect = np.abs(map.apply(orbit) - np.roll(orbit, -1, axis=0)).max()
        assert defect <= 1e3 * np.finfo(float).eps * scale * (1 + np.abs(map.W1).max())
        assert np.array_equal(map.region_of(orbit), regions)
        k = len(orbit)
        for shorter in range(1, k):
            if k % shorter == 0:
                assert not np.array_equal(regions, np.roll(regions, shorter, axis=0))
