"""The one door into a `CycleSet`: every itinerary is solved anew in block form and judged here."""

import enum
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._elimination import CyclicSystem
from .._numerics import EPS, ROUNDED, quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from ._exactly import MAX_UNKNOWNS

SAFETY = 1e3
"""A sign counts as known when its value exceeds this multiple of its error bound."""

REJECTION = 30.0
"""A sign counts as wrong when its value exceeds this multiple of its error bound."""

CLOSE = 1e-9
"""Undecided orbits are the same only if they agree to this fraction of their size."""

_CHUNK = 2**22


class VERDICT(enum.IntEnum):
    """What became of an itinerary."""

    virtual = 0  # the orbit of its solution visits other regions
    cycle = 1  # admissible, every sign beyond its error bound
    border = 2  # admissible within the error bound only
    marginal = 3  # I - P is singular to working precision: one member of a continuum
    on_border = 4  # admissible, some pre-activations are exactly 0: decided in rationals


class Examined(NamedTuple):
    """Solutions of k-step itineraries and what is known of them (one entry per itinerary)."""

    itineraries: Bool[np.ndarray, "cycle time unit"]
    points: Float[np.ndarray, "cycle time state"]
    verdict: Int[np.ndarray, " cycle"]
    error: Float[np.ndarray, "cycle state"]
    unit: Float[np.ndarray, "cycle state"]
    condition: Float[np.ndarray, " cycle"]


def examine(
    map: PiecewiseAffineMap, itineraries: Bool[np.ndarray, "cycle time unit"], *, polish: int = 0
) -> Examined:
    """Solve z_{t+1} = J_{D_t} z_t + c_{D_t} (cyclic) for each itinerary and judge it.

    With `polish` > 0, itineraries that are not their own are replaced by that of their solution,
    up to so many times: accurate Newton steps for walks whose products were not.
    """
    itineraries = np.asarray(itineraries, bool)
    period = itineraries.shape[1]
    rows = max(1, _CHUNK // (8 * period * map.state_size**2 + 1))
    pieces = [
        _examine_chunk(map, itineraries[low : low + rows], polish)
        for low in range(0, max(len(itineraries), 1), rows)
    ]
    return Examined(*(np.concatenate(parts) for parts in zip(*pieces)))


def _examine_chunk(map: PiecewiseAffineMap, D: np.ndarray, polish: int) -> Examined:
    with quiet_floats():
        D = _polished(map, D, polish)
        first = _judge(map, D)
        if D.shape[1] * map.state_size <= MAX_UNKNOWNS:  # rationals will decide the word as it is
            return first
        settled = _settle_borders(map, first)
        again = (settled != D).any(axis=(1, 2))
        if not again.any():
            return first
        second = _judge(map, settled[again])
        good = (second.verdict == VERDICT.border) & _same_points(first, again, second)
        rows = np.flatnonzero(again)[good]
        for whole, part in zip(first, second):
            whole[rows] = part[good]
        return first


def _polished(map: PiecewiseAffineMap, D: np.ndarray, times: int) -> np.ndarray:
    """Replace itineraries by those of their solutions until they are their own."""
    D = D.copy()
    open_rows = np.arange(len(D))
    for _ in range(times):
        if not open_rows.size:
            break
        J, c = map.affine_piece(D[open_rows])
        z = CyclicSystem(J).solve(c)
        visited = map.region_of(z)
        moved = (visited != D[open_rows]).any(axis=(1, 2)) & np.isfinite(z).all(axis=(1, 2))
        D[open_rows[moved]] = visited[moved]
        open_rows = open_rows[moved]
    return D


def _settle_borders(map: PiecewiseAffineMap, seen: Examined) -> np.ndarray:
    """Switch off the units whose sign is not known: a unit at its boundary is off.

    (Kept only where the settled word is undecided, too: on either side of a border collision there
    may be a cycle of its own.)
    """
    border = seen.verdict == VERDICT.border
    if not border.any():
        return seen.itineraries
    settled = seen.itineraries.copy()
    settled[border] &= _known_signs(map, seen.points[border], seen.error[border])
    return settled


def _same_points(first: Examined, rows: np.ndarray, second: Examined) -> np.ndarray:
    """Return where the settled word has the same orbit within the error of both."""
    distance = np.abs(first.points[rows] - second.points).max(axis=1)
    within = np.minimum(SAFETY * (first.error[rows] + second.error), CLOSE * second.unit)
    return (distance <= within).all(axis=1)


def _known_signs(
    map: PiecewiseAffineMap, z: np.ndarray, error: np.ndarray, safety: float = SAFETY
) -> np.ndarray:
    """Return which pre-activations exceed `safety` times their error bound.

    A unit that does not look at the state (a zero row of W2) has an exact pre-activation.
    """
    rows = np.abs(map.W2)
    rounding = 4 * EPS * (np.abs(z) @ rows.T + np.abs(map.h2))
    bound = safety * ((error @ rows.T)[:, None, :] + rounding)
    return (np.abs(map.pre_activations(z)) > bound) | ~rows.any(axis=1)


def _judge(map: PiecewiseAffineMap, D: np.ndarray) -> Examined:
    """Solve, refine once in equilibrated coordinates, bound the error by component, compare signs.

    State i is measured in units of the largest sum of absolute values that forms it, which is the
    size that rounding has there: a large state does not blur a small one, and where A and W1 D W2,
    or h1 and W1 D h2, cancel, the bound knows.
    """
    J, c = map.affine_piece(D)
    rough = CyclicSystem(J).solve(c)
    active = np.where(D, 1.0, 0.0)
    slopes = np.abs(map.A) + (np.abs(map.W1) * active[..., None, :]) @ np.abs(map.W2)
    offsets = np.abs(map.h1) + (active * np.abs(map.h2)) @ np.abs(map.W1).T
    forming = (slopes @ np.abs(rough)[..., None])[..., 0] + offsets + np.abs(rough)
    unit = _powers_of_two(forming.max(axis=1))
    J = J * unit[:, None, None, :] / unit[:, None, :, None]
    c = c / unit[:, None, :]
    system = CyclicSystem(J)
    z = system.solve(c)
    z = z + system.solve(c - _defect(J, z))
    inverse = system.inverse_norm()
    rounding = EPS * (4.0 + np.sqrt(map.state_size + map.num_units))
    error = 2.0 * inverse * (_largest(c - _defect(J, z)) + rounding)
    condition = inverse * (1.0 + np.abs(J).sum(axis=3).max(axis=(1, 2)))
    points, errors = z * unit[:, None, :], error[:, None] * unit
    clear = _known_signs(map, points, errors)
    wrong = (map.pre_activations(points) > 0) != D
    wrong &= _known_signs(map, points, errors, REJECTION)
    verdict = np.where(wrong.any(axis=(1, 2)), VERDICT.virtual, VERDICT.border)
    verdict[clear.all(axis=(1, 2)) & ~wrong.any(axis=(1, 2))] = VERDICT.cycle
    marginal = ~(condition < 1.0 / ROUNDED) | ~np.isfinite(points).all(axis=(1, 2))
    verdict[marginal] = VERDICT.marginal
    return Examined(D, points, verdict.astype(np.int8), errors, unit, condition)


def _powers_of_two(sizes: np.ndarray) -> np.ndarray:
    """Return the powers of two next to positive sizes (1 where there is none): exact units."""
    usable = np.isfinite(sizes) & (sizes > 1e-290) & (sizes < 1e290)
    return np.exp2(np.round(np.log2(np.where(usable, sizes, 1.0))))


def _defect(J: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return z_{t+1} - J_t z_t."""
    return np.roll(z, -1, axis=1) - (J @ z[..., None])[..., 0]


def _largest(values: np.ndarray) -> np.ndarray:
    """Return the maximum norm over everything but the first axis."""
    return np.abs(values).reshape(len(values), -1).max(axis=1, initial=0.0)
