"""The one door into a `CycleSet`: every itinerary is solved anew in block form and judged here."""

import enum
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._elimination import CyclicSystem
from .._numerics import EPS, quiet_floats
from .._piecewise_affine import PiecewiseAffineMap

SAFETY = 1e3
"""A sign counts as known when its value exceeds this multiple of its error bound."""

SINGULAR_CONDITION = 1.0 / (64.0 * EPS)
"""Condition number from which I - P counts as singular."""

_CHUNK = 2**22


class VERDICT(enum.IntEnum):
    """What became of an itinerary."""

    virtual = 0  # the orbit of its solution visits other regions
    cycle = 1  # admissible, every sign beyond its error bound
    border = 2  # admissible within the error bound only
    marginal = 3  # I - P is singular to working precision


class Examined(NamedTuple):
    """Solutions of k-step itineraries and what is known of them (one entry per itinerary)."""

    itineraries: Bool[np.ndarray, "cycle time unit"]
    points: Float[np.ndarray, "cycle time state"]
    verdict: Int[np.ndarray, " cycle"]
    residual: Float[np.ndarray, " cycle"]
    error_bound: Float[np.ndarray, " cycle"]
    condition: Float[np.ndarray, " cycle"]
    margin: Float[np.ndarray, " cycle"]


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
        settled = _settle_borders(map, first)
        again = (settled != D).any(axis=(1, 2))
        if not again.any():
            return first
        second = _judge(map, settled[again])
        good = np.isin(second.verdict, (VERDICT.cycle, VERDICT.border))
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
    """Switch off the units whose sign is not known: a unit at its boundary is off."""
    border = seen.verdict == VERDICT.border
    if not border.any():
        return seen.itineraries
    settled = seen.itineraries.copy()
    y = map.pre_activations(seen.points[border])
    unclear = np.abs(y) <= _tolerance(map, seen.points[border], seen.error_bound[border])
    settled[border] &= ~unclear
    return settled


def _tolerance(map: PiecewiseAffineMap, z: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return SAFETY times the error bound of every pre-activation."""
    rows = np.abs(map.W2)
    rounding = 4 * EPS * (np.abs(z) @ rows.T + np.abs(map.h2))
    return SAFETY * (rows.sum(axis=1) * error[:, None, None] + rounding)


def _judge(map: PiecewiseAffineMap, D: np.ndarray) -> Examined:
    """Solve, refine once, bound the error, compare signs."""
    J, c = map.affine_piece(D)
    system = CyclicSystem(J)
    z = system.solve(c)
    z = z + system.solve(c - _defect(J, z))
    scale = _largest(np.abs(J) @ np.abs(z)[..., None]) + _largest(c) + _largest(z)
    rounding = EPS * (4.0 + np.sqrt(map.state_size + map.num_units)) * scale
    inverse = system.inverse_norm()
    error = 2.0 * inverse * (_largest(c - _defect(J, z)) + rounding)
    norm = 1.0 + np.abs(J).sum(axis=3).max(axis=(1, 2))
    y = map.pre_activations(z)
    clear = np.abs(y) > _tolerance(map, z, error)
    signed = (y > 0) == D
    virtual = (~signed & clear).any(axis=(1, 2))
    verdict = np.where(virtual, VERDICT.virtual, VERDICT.border)
    verdict[clear.all(axis=(1, 2)) & ~virtual] = VERDICT.cycle
    condition = inverse * norm
    marginal = ~(condition < SINGULAR_CONDITION) | ~np.isfinite(z).all(axis=(1, 2))
    verdict[marginal] = VERDICT.marginal
    residual = _largest(map.apply(z) - np.roll(z, -1, axis=1))
    margin = map.margin(z).min(axis=1)
    return Examined(D, z, verdict.astype(np.int8), residual, error, condition, margin)


def _defect(J: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return z_{t+1} - J_t z_t."""
    return np.roll(z, -1, axis=1) - (J @ z[..., None])[..., 0]


def _largest(values: np.ndarray) -> np.ndarray:
    """Return the maximum norm over everything but the first axis."""
    return np.abs(values).reshape(len(values), -1).max(axis=1, initial=0.0)
