"""From a catalog's entries to the per-cycle fields of a `CycleSet`."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from .._results import STABILITY, UNDECIDED_INDEX
from .._stability import classify, cycle_index, floquet_multipliers
from ..words import unpack
from ._catalog import Entry
from ._exactly import Rationals
from ._on_border import judged
from ._verify import VERDICT


def row_arrays(
    map: PiecewiseAffineMap,
    scaled: PiecewiseAffineMap,
    unit: Float[np.ndarray, " state"],
    entries: list[Entry],
) -> dict[str, Any]:
    """Return the per-cycle fields of a `CycleSet` for entries sorted by period and word.

    `map` is the map as the user gave it, `scaled` the one searched, with states in units `unit`.
    """
    longest = max((entry.period for entry in entries), default=0)
    count = len(entries)
    points = np.full((count, longest, map.state_size), np.nan)
    itinerary = np.zeros((count, longest, (map.num_units + 7) // 8), np.uint8)
    for row, entry in enumerate(entries):
        points[row, : entry.period] = entry.points * unit
        itinerary[row, : entry.period] = entry.word[:, : itinerary.shape[2]]
    period = np.array([entry.period for entry in entries], np.int32)
    residual, margin = _residuals_and_margins(map, points, period)
    multipliers, errors = _multipliers(scaled, entries, period)
    verdict = np.array([entry.verdict for entry in entries], int)
    stability, index = classify(multipliers, errors), cycle_index(multipliers, errors)
    stability[verdict == VERDICT.marginal] = STABILITY.nonhyperbolic
    index[verdict == VERDICT.marginal] = UNDECIDED_INDEX
    _judge_ties(scaled, entries, multipliers, stability, index)
    return {
        "points": points,
        "period": period,
        "multipliers": multipliers,
        "stability": stability,
        "index": index,
        "itinerary": itinerary,
        "residual": residual,
        "error_bound": np.array([np.max(entry.error * unit) for entry in entries], float),
        "condition": np.array([entry.condition for entry in entries], float),
        "margin": margin,
        "hits": np.array([entry.hits for entry in entries], np.int32),
        "verified": np.isin(verdict, (VERDICT.cycle, VERDICT.on_border)),
        "valid": np.isfinite(points[:, :1]).all(axis=(1, 2)) & (verdict != VERDICT.marginal),
    }


def _judge_ties(map, entries, multipliers, stability, index) -> None:
    """Write what is known of cycles on a boundary, or too close to one: no multipliers there."""
    exact = Rationals(map)
    for row, entry in enumerate(entries):
        if entry.verdict == VERDICT.border:
            stability[row], index[row] = STABILITY.undecided, UNDECIDED_INDEX
        elif entry.verdict == VERDICT.on_border:
            word = unpack(entry.word, map.num_units)
            found = judged(exact.system, word, entry.zero)
            if isinstance(found, np.ndarray):
                J, _ = map.affine_piece(found[None])
                multipliers[row], errors = floquet_multipliers(J)
                stability[row] = classify(multipliers[row : row + 1], errors)[0]
                index[row] = cycle_index(multipliers[row : row + 1], errors)[0]
                continue
            stability[row], index[row] = found
        else:
            continue
        multipliers[row] = np.nan


def _residuals_and_margins(
    map: PiecewiseAffineMap, points: np.ndarray, period: np.ndarray
) -> tuple[Float[np.ndarray, " cycle"], Float[np.ndarray, " cycle"]]:
    """Return max_t |F(z_t) - z_{t+1}| and the least margin of padded orbits, in bounded batches."""
    residual, margin = np.zeros(len(points)), np.zeros(len(points))
    step = max(1, int(2**22 // (points[:1].size + points.shape[1] * map.num_units + 1)))
    times = np.arange(points.shape[1])
    for low in range(0, len(points), step):
        orbits, length = points[low : low + step], period[low : low + step, None]
        following = np.take_along_axis(orbits, ((times + 1) % length)[..., None], axis=1)
        with quiet_floats():
            wrong = np.abs(map.apply(orbits) - following).max(axis=2, initial=0.0)
            distance = map.margin(orbits)
        residual[low : low + step] = np.where(times < length, wrong, 0.0).max(axis=1)
        margin[low : low + step] = np.where(times < length, distance, np.inf).min(axis=1)
    return residual, margin


def _multipliers(
    map: PiecewiseAffineMap, entries: list[Entry], period: np.ndarray
) -> tuple[np.ndarray, Float[np.ndarray, "cycle state"]]:
    """Return Floquet multipliers and error bounds, period by period in bounded batches."""
    values = np.zeros((len(entries), map.state_size), complex)
    errors = np.zeros((len(entries), map.state_size))
    for k in np.unique(period):
        rows = np.flatnonzero(period == k)
        step = max(1, int(2**22 // (k * map.state_size**2)))
        for low in range(0, len(rows), step):
            part = rows[low : low + step]
            words = np.stack([unpack(entries[row].word, map.num_units) for row in part])
            values[part], errors[part] = floquet_multipliers(map.affine_piece(words)[0])
    return values, errors
