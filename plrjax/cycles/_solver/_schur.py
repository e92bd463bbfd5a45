"""Every sign pattern of y = B relu(y) + c, by recursive Schur complements.

All k-cycles of F solve that system with N = k H unknowns, the pre-activations y_t = W2 z_t + h2:
B is block circulant with blocks W2 A^m (I - A^k)^-1 W1, m = (t - j - 1) mod k. A unit that is off
drops out; a unit that is on is eliminated. Systems of all patterns are carried side by side, lanes
last, and share their common eliminations, so a pattern costs a few multiplications.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..._numerics import quiet_floats
from ..._piecewise_affine import PiecewiseAffineMap, Region

BATCH_BITS = 15
"""Number of units whose patterns are carried side by side."""

SMALL_PIVOT = 2e-7
"""A pivot below this fraction of the largest number that formed its system is not trusted: rounding
may be 1e-9 of it. Its patterns are tried one by one instead."""

_WATCHED_PIVOT = 0.05
"""Only pivots below this let a system grow enough to be worth following."""

_LOOSE = 1e-7


class ReducedSystem(NamedTuple):
    """y = B relu(y) + c for k-cycles, and the region whose reflection made I - A^k regular."""

    B: Float[np.ndarray, "unknown unknown"]
    c: Float[np.ndarray, " unknown"]
    reference: Bool[np.ndarray, " unit"]
    period: int
    scale: float


def reduced_system(map: PiecewiseAffineMap, period: int) -> ReducedSystem | None:
    """Return the reduced system of k-cycles, or None where no reference region makes it regular."""
    reference = regular_reference(map, period)
    return None if reference is None else reduced_system_at(map, period, reference)


def regular_reference(map: PiecewiseAffineMap, period: int) -> Region | None:
    """Return a region whose Jacobian J leaves I - J^k well conditioned, or None.

    Where I - A^k is singular the map is rewritten with units reflected (relu(y) = y + relu(-y)),
    so that A is the Jacobian of another region.
    """
    draws = np.random.default_rng(11).random((6, map.num_units)) < 0.5
    references = [np.zeros(map.num_units, bool), np.ones(map.num_units, bool), *draws]
    for reference in references:
        with quiet_floats():
            power = np.linalg.matrix_power(map.affine_piece(reference)[0], period)
            closing = np.eye(map.state_size) - power
            if np.isfinite(closing).all() and _amplification(closing, power) < 1e8:
                return reference
    return None


def reduced_system_at(map: PiecewiseAffineMap, period: int, reference: Region) -> ReducedSystem:
    """Return the reduced system of k-cycles with the units of a regular reference reflected."""
    based = map.rebase(reference) if reference.any() else map
    with quiet_floats():
        closing = np.eye(map.state_size) - np.linalg.matrix_power(based.A, period)
        return _assemble(based, period, closing, reference)


def _amplification(closing: np.ndarray, power: np.ndarray) -> float:
    """Return |(I - A^k)^-1| (1 + |A^k|): large where the entries of I - A^k cancel, too."""
    if np.linalg.det(closing) == 0.0:
        return np.inf
    return float(np.linalg.norm(np.linalg.inv(closing)) * (1.0 + np.linalg.norm(power)))


def _assemble(based, period, closing, reference) -> ReducedSystem:
    right = np.linalg.solve(closing, based.W1)
    units = based.num_units
    B = np.empty((period, units, period, units))
    for lag in range(period):
        block = based.W2 @ right
        for t in range(period):
            B[t, :, (t - lag - 1) % period, :] = block
        right = based.A @ right
    center = np.linalg.solve(np.eye(based.state_size) - based.A, based.h1)
    c = np.tile(based.W2 @ center + based.h2, period)
    forming = np.abs(np.linalg.inv(np.eye(based.state_size) - based.A)) @ np.abs(based.h1)
    sizes = np.abs(based.W2) @ forming + np.abs(based.h2)  # of what may cancel, not of what is left
    scale = float(sizes.max(initial=0.0)) or 1.0
    return ReducedSystem(B.reshape(period * units, -1), c, reference, period, scale)


class Branch(NamedTuple):
    """A system reduced to its first r unknowns, the rest decided: rows to check and their bits.

    The right-hand side is column 0, so that the last unknown can be cut off by a slice.
    """

    system: Float[np.ndarray, "row column"]
    rows: tuple[Float[np.ndarray, " column"], ...]
    pivots: tuple[float, ...]
    bits: tuple[bool, ...]
    peak: float


class Leaves(NamedTuple):
    """Patterns that pass all signs, and prefixes (last units first) with a pivot not trusted."""

    patterns: Bool[np.ndarray, "pattern unknown"]
    suspects: list[tuple[bool, ...]]


def root_branch(B: np.ndarray, c: np.ndarray) -> Branch:
    """Return the branch in which nothing is decided."""
    peak = max(1.0, float(np.abs(B).max(initial=0.0)))
    return Branch(np.concatenate([c[:, None], B], axis=1), (), (), (), peak)


def split(branch: Branch) -> tuple[list[Branch], list[tuple[bool, ...]]]:
    """Decide the last open unknown: return the children, and suspect prefixes."""
    system = branch.system
    row = system[-1, :-1]
    pivot = 1.0 - system[-1, -1]
    kept = system[:-1, :-1]
    rows = (*branch.rows, row)
    peak = branch.peak
    children = [Branch(kept, rows, (*branch.pivots, 1.0), (*branch.bits, False), peak)]
    bits = (*branch.bits, True)
    if abs(pivot) < SMALL_PIVOT * peak:
        return children, [bits]
    added = np.outer(system[:-1, -1] / pivot, row)
    peak = max(peak, float(np.abs(added[:, 1:]).max(initial=0.0)))
    return [*children, Branch(kept + added, rows, (*branch.pivots, pivot), bits, peak)], []


class Workspace:
    """Buffers of the lane systems, kept between batches (fresh memory costs more than the work)."""

    def __init__(self):
        self._buffers: dict[tuple[int, ...], np.ndarray] = {}

    def buffer(self, *shape: int) -> np.ndarray:
        """Return an uninitialized array that is valid until the next batch."""
        if shape not in self._buffers:
            self._buffers[shape] = np.empty(shape)
        return self._buffers[shape]


def enumerate_branch(branch: Branch, scale: float, workspace: Workspace) -> Leaves:
    """Return the patterns below a branch whose solution has the pattern's signs.

    `scale` is the size of the right-hand side; signs are judged loosely (1e-7 of the terms), so the
    result is a superset up to rounding, to be verified.
    """
    with quiet_floats():
        levels, bad = _eliminate_all(branch.system, branch.peak, workspace)
        suspects = [
            (*branch.bits, *_lane_bits(lane, depth)) for depth, lanes in bad for lane in lanes
        ]
        lanes, values, poisoned = _check_open(levels, scale)
        lanes, values = lanes[~poisoned], values[:, ~poisoned]
        survivors, values = _check_decided(branch, lanes, values, scale)
    opened = len(branch.system)
    patterns = np.empty((len(survivors), opened + len(branch.bits)), bool)
    for unknown in range(opened):
        patterns[:, unknown] = (survivors >> (opened - 1 - unknown)) & 1
    for depth, bit in enumerate(branch.bits):
        patterns[:, -1 - depth] = bit
    return Leaves(patterns, suspects)


def _lane_bits(lane: int, depth: int) -> tuple[bool, ...]:
    """Return the bits of a lane in the order they were decided."""
    return tuple(bool((lane >> level) & 1) for level in range(depth))


def _eliminate_all(system: np.ndarray, peak: float, workspace: Workspace):
    """Eliminate unknowns last to first in all lanes; lane bit j is the j-th decision.

    Returns (row, pivot) of every level, each over the lanes of the level, and the lanes with small
    pivots as (number of decisions, lanes).
    """
    S = system[:, :, None]
    peaks = np.array([peak])
    levels, bad = [], []
    for last in range(len(system) - 1, -1, -1):
        pivot = 1.0 - S[last, -1]
        lanes = len(pivot)
        row = S[last, :-1]
        small = np.abs(pivot) < SMALL_PIVOT * peaks
        if small.any():
            bad.append((len(levels) + 1, (np.flatnonzero(small) + lanes).tolist()))
            pivot[small] = np.nan
        levels.append((row, pivot))
        if last:
            peaks = np.concatenate([peaks, _grown_peaks(S[:last, -1], row, pivot, peaks)])
            grown = workspace.buffer(last, last + 1, 2 * lanes)
            off, on = grown[:, :, :lanes], grown[:, :, lanes:]
            off[...] = S[:last, :-1]
            np.multiply((S[:last, -1] / pivot)[:, None], row[None], out=on)
            on += S[:last, :-1]
            S = grown
    return levels, bad


def _grown_peaks(
    column: np.ndarray, row: np.ndarray, pivot: np.ndarray, peaks: np.ndarray
) -> np.ndarray:
    """Return the largest number in each lane's system after its elimination (small pivots only)."""
    grown = peaks.copy()
    watched = np.flatnonzero(np.abs(pivot) < _WATCHED_PIVOT)
    if watched.size:
        factor = np.abs(column[:, watched]).max(axis=0) / np.abs(pivot[watched])
        added = factor * np.abs(row[1:, watched]).max(axis=0)
        grown[watched] = np.fmax(grown[watched], added)
    return grown


def _check_open(levels, scale: float):
    """Back-substitute lane by lane, dropping lanes at the first wrong sign.

    Returns the surviving lanes, their values relu(y) of the open unknowns, and which of them passed
    through a suspect pivot (NaN).
    """
    loose = _LOOSE * scale
    depth = len(levels)
    lanes, values = np.zeros(1, int), np.empty((0, 1))
    for unknown, (row, pivot) in enumerate(reversed(levels)):
        half = len(pivot)
        if unknown == 0:
            on = row[0] / pivot
            off_lanes = np.flatnonzero(~(row[0] > loose))
            on_lanes = np.flatnonzero(~(on < -loose))
            lanes = np.concatenate([off_lanes, on_lanes + half])
            values = np.concatenate([np.zeros(len(off_lanes)), on[on_lanes]])[None]
            continue
        parent = lanes & (half - 1)
        chosen = (lanes >> (depth - 1 - unknown)) & 1 == 1
        value = row[0][parent]
        size = np.full(len(value), scale)
        for column in range(unknown):
            term = row[1 + column][parent] * values[column]
            value += term
            size += np.abs(term)
        value = np.where(chosen, value / pivot[parent], value)
        signed = np.where(chosen, -value, value)
        keep = ~(signed > _LOOSE * size)
        lanes, values = lanes[keep], values[:, keep]
        values = np.concatenate([values, np.where(chosen, value, 0.0)[keep][None]])
    return lanes, values, np.isnan(values).any(axis=0)


def _check_decided(branch: Branch, lanes: np.ndarray, values: np.ndarray, scale: float):
    """Check the signs of the unknowns that were decided above the branch."""
    for row, pivot, bit in zip(
        reversed(branch.rows), reversed(branch.pivots), reversed(branch.bits)
    ):
        total = (row[1:] @ values + row[0]) / pivot
        loose = _LOOSE * (scale + np.abs(row[1:]) @ values)
        keep = ~(total < -loose) if bit else ~(total > loose)
        lanes, values, total = lanes[keep], values[:, keep], total[keep]
        values = np.concatenate([values, (total if bit else np.zeros_like(total))[None]])
    return lanes, values
