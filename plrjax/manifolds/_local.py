"""The straight pieces of a manifold at the points of a cycle."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .._arguments import check_kind
from .._piecewise_affine import PiecewiseAffineMap
from ..cycles import CycleSet


class Local(NamedTuple):
    """A cycle and, at each of its points, the piece of the manifold whose orbits (to the cycle, or
    over one turn) keep to the cycle's word: point + t way, ends[0] < t < ends[1]."""

    orbit: Float[np.ndarray, "time state"]
    ways: Float[np.ndarray, "time state"]
    ends: Float[np.ndarray, "time 2"]
    multiplier: float


def local_of(map: PiecewiseAffineMap, cycle: Any, stable: bool, name: str = "cycle") -> Local:
    """Return the pieces at the cycle.

    **Raises:** `ValueError` naming the argument where the manifold is no curve, or the cycle is
    on a switching boundary.
    """
    J, values, vectors, chosen = _spectrum(map, cycle, stable, name)
    orbit, regions = cycle.orbit(0), cycle.regions(0)
    kind = "stable" if stable else "unstable"
    if len(chosen) != 1 or np.imag(values[chosen[0]]) or not np.isfinite(values).all():
        raise ValueError(
            f"{name}: expected one whose {kind} manifold is a curve, but {len(chosen)} of its "
            f"{len(values)} multipliers are {'inside' if stable else 'outside'} the unit circle"
        )
    value = float(np.real(values[chosen[0]]))
    if value == 0.0:
        raise ValueError(f"{name}: its stable multiplier is 0: what is mapped onto it is no curve")
    way = np.real(vectors[:, chosen[0]])
    ways, ends = [], []
    for time in range(len(J)):
        way = way / np.linalg.norm(way)
        ways.append(way)
        ends.append(_reach(map, orbit, J, regions, way, time))
        if 0.0 in ends[-1]:
            raise ValueError(
                f"{name}: it has a point on a switching boundary, which has no tangent"
            )
        way = J[time] @ way
    return Local(orbit, np.array(ways), np.array(ends), value)


def dimension_of(map: PiecewiseAffineMap, cycle: Any, stable: bool) -> int:
    """Return the dimension of a manifold of a cycle.

    **Raises:** `ValueError` naming `cycle` where that is not 1 or 2.
    """
    _, values, _, chosen = _spectrum(map, cycle, stable, "cycle")
    if len(chosen) not in (1, 2):
        kind, where = ("stable", "inside") if stable else ("unstable", "outside")
        raise ValueError(
            f"cycle: expected one whose {kind} manifold is a curve or a surface, but {len(chosen)} "
            f"of its {len(values)} multipliers are {where} the unit circle"
            + ("; plr.basin_boundary samples it" if stable and len(chosen) else "")
        )
    return len(chosen)


def _spectrum(map: PiecewiseAffineMap, cycle: Any, stable: bool, name: str):
    """Return the Jacobians of a cycle, multipliers, eigenvectors, and which are chosen."""
    check_kind(name, cycle, CycleSet, "a CycleSet of one row, such as cycles[0]")
    if len(cycle) != 1 or cycle.state_size != map.state_size or cycle.num_units != map.num_units:
        raise ValueError(
            f"{name}: expected one cycle of a map with {map.state_size} states and {map.num_units} "
            f"units, got {len(cycle)} of {cycle.state_size} and {cycle.num_units}"
        )
    J = map.affine_piece(cycle.regions(0))[0]
    product = np.eye(map.state_size)
    for one in J:
        product = one @ product
    values, vectors = np.linalg.eig(product)
    return J, values, vectors, np.flatnonzero((np.abs(values) < 1) == stable)


def _reach(map, orbit, J, regions, way, time: int) -> tuple[float, float]:
    """Return how far a line through a point of a cycle keeps the cycle's word, over two turns.

    One turn decides where the multiplier is positive; where it is negative sides are exchanged.
    """
    low, high = -np.inf, np.inf
    for turn in range(2 * len(J)):
        at = (time + turn) % len(J)
        y = map.W2 @ orbit[at] + map.h2
        slope = map.W2 @ way
        with np.errstate(divide="ignore", invalid="ignore"):
            zero = -y / slope
        rising = np.where(regions[at], slope > 0, slope < 0)
        low = max(low, float(zero[rising & (slope != 0)].max(initial=-np.inf)))
        high = min(high, float(zero[~rising & (slope != 0)].min(initial=np.inf)))
        way = J[at] @ way
    return min(low, 0.0), max(high, 0.0)
