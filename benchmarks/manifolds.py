"""Times and sizes of manifolds, and preimages against enumeration of regions.

Run `python -m benchmarks.manifolds [--quick]`: a curve of the Lozi map to arc length 100 for each
branch, a mesh of 10^5 polygons in three dimensions, 1,000 states on a boundary in 20 dimensions,
homoclinic orbits with proofs, and all preimages of 1,000 random states against enumeration.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from typing import Any

import jax.random as jr
import numpy as np

import plrjax as plr

QUIET = plr.NoProgress()
LOZI = plr.PiecewiseAffineMap([[1.7, 1], [0.5, 0]], [[-3.4], [0]], [[1, 0]], [1, 0], [0])
"""x' = 1 - 1.7 |x| + y, y' = .5 x."""


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.process_time()
    return call(), time.process_time() - begun


def leaning(states: int, units: int) -> plr.PiecewiseAffineMap:
    """z_1' = 1.8 clip(z_1) + ..., the others lean on it and on random units: two attractors."""
    draw = np.random.default_rng(states)
    A = np.zeros((states, states))
    A[1:, 1:] = 0.4 * np.linalg.qr(draw.standard_normal((states - 1, states - 1)))[0]
    W2 = draw.standard_normal((units, states)) / np.sqrt(states)
    W1 = 0.15 * draw.standard_normal((states, units)) / np.sqrt(units)
    W2[:2], W1[:, :2] = 0.0, 0.0
    W2[:2, 0], W1[0, :2] = 1.0, [1.8, -1.8]
    h2 = np.r_[0.5, -0.5, draw.standard_normal(units - 2)]
    return plr.PiecewiseAffineMap(A, W1, W2, np.r_[-0.9, np.zeros(states - 1)], h2)


def folding() -> plr.PiecewiseAffineMap:
    """Three states, 0 with two multipliers outside the unit circle, five boundaries around it."""
    draw = np.random.default_rng(3)
    turn = np.linalg.qr(draw.standard_normal((3, 3)))[0]
    W1, W2 = 0.4 * draw.standard_normal((3, 5)), draw.standard_normal((5, 3))
    A = turn @ np.diag([1.4, -1.25, 0.4]) @ turn.T
    return plr.PiecewiseAffineMap(A, W1, W2, np.zeros(3), -1 - draw.random(5))


def saddle_of(map, outside: int = 1) -> plr.CycleSet:
    found = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    number = (np.abs(found.multipliers) > 1).sum(axis=1)
    rows = np.flatnonzero((found.stability == plr.STABILITY.saddle) & (number == outside))
    nearest = np.abs(found.points[rows, 0]).max(axis=1).argmin()
    return found[[int(rows[nearest])]]


def preimages_against_regions(count: int) -> tuple[int, int, float]:
    """Return how many states were tried, how many preimages they have, and the largest difference
    between search and enumeration; fails where one misses what the other finds."""
    worst, total, tried = 0.0, 0, 0
    sizes = [(2, 16), (2, 8), (3, 12), (4, 14), (5, 10), (6, 16)]
    for states, units in sizes:
        draw = np.random.default_rng(states + 100 * units)
        A, W1 = np.diag(draw.uniform(-0.5, 0.5, states)), draw.standard_normal((states, units))
        W2, h1 = draw.standard_normal((units, states)), draw.standard_normal(states)
        map = plr.PiecewiseAffineMap(A, W1, W2, h1, draw.standard_normal(units))
        patterns = np.array(list(itertools.product([False, True], repeat=units)))
        J = map.A + np.einsum("mh,ch,hn->cmn", map.W1, patterns.astype(float), map.W2)
        inverse = np.linalg.inv(J)
        offset = map.h1 + (patterns * map.h2) @ map.W1.T
        order = lambda points: points[np.lexsort(np.round(points, 6).T)]
        for target in map.apply(2 * draw.standard_normal((-(-count // len(sizes)), states))):
            z = np.einsum("cmn,cn->cm", inverse, target - offset)
            own = ((z @ map.W2.T + map.h2 > 0) == patterns).all(axis=1)
            found = plr.preimages(map, target, progress=QUIET)
            assert len(found) == own.sum(), (states, units, target)
            worst = max(worst, float(np.abs(order(found.points[:, 0]) - order(z[own])).max()))
            total, tried = total + len(found), tried + 1
    return tried, total, worst


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything a tenth as large")
    share = 0.1 if parser.parse_args(arguments).quick else 1.0

    saddle = saddle_of(LOZI)
    length = 100 * share
    plr.unstable_manifold(LOZI, saddle, length=1, progress=QUIET)
    curve, spent = timed(lambda: plr.unstable_manifold(LOZI, saddle, length=length, progress=QUIET))
    print(f"Lozi, {len(curve)} pieces, arc length {curve.measure:.6g}: {spent:.2f} CPU s")

    found, spent = timed(lambda: plr.connections(LOZI, saddle, certify=True, progress=QUIET))
    print(f"Lozi, {len(found)} homoclinic orbits, {found.proven.sum()} proven: {spent:.2f} CPU s")

    map, most = folding(), int(100_000 * share)
    box = {"low": -20, "high": 20, "length": 1e9, "progress": QUIET}
    plr.unstable_manifold(map, saddle_of(map, 2), max_pieces=10, **box)
    mesh, spent = timed(
        lambda: plr.unstable_manifold(map, saddle_of(map, 2), max_pieces=most, **box)
    )
    print(f"M=3, {len(mesh)} polygons, area {mesh.measure:.4g}: {spent:.2f} CPU s")

    map, points = leaning(20, 60), int(1_000 * share)
    known = plr.basin_sizes(map, low=-0.4, high=0.4, key=jr.key(0), progress=QUIET)
    plr.basin_boundary(map, known, key=jr.key(1), num_points=points, progress=QUIET)
    edge, spent = timed(
        lambda: plr.basin_boundary(map, known, key=jr.key(0), num_points=points, progress=QUIET)
    )
    print(f"M=20, H=60, {len(edge)} states on the boundary: {spent:.2f} CPU s\n{edge}")

    (tried, total, worst), spent = timed(lambda: preimages_against_regions(int(1_000 * share)))
    print(f"preimages of {tried} states: all {total}, within {worst:.1e}: {spent:.1f} CPU s")


if __name__ == "__main__":
    main()
