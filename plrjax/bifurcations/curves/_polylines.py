"""Curves as polylines: where they run on each other, and between which grid points."""

import numpy as np
from jaxtyping import Bool, Float

_BULGE = 0.02
"""How far an arc that turns by 8 degrees is beside its chord, as a share of it (angle / 8)."""

_PARALLEL = 0.95
"""Cosine of the angle between a tangent and the chord of a curve that runs along it, at least."""

SLACK = 1e-5
"""Ends at corners are this exact (ten times `INSIDE`), as a share of the square."""


def chord_tolerance(points: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, " chord"]:
    """Return how far beside each chord the curve may be."""
    return _BULGE * np.linalg.norm(np.diff(points, axis=0), axis=1) + SLACK


def lie_on(curve: np.ndarray, places: np.ndarray, tangents: np.ndarray) -> bool:
    """Return whether all places are on a curve and run along it, as far as its chords tell."""
    chords = np.diff(curve, axis=0)
    lengths = np.maximum((chords**2).sum(axis=1), 1e-30)
    away = places[:, None] - curve[:-1]
    share = np.clip((away * chords).sum(axis=2) / lengths, 0.0, 1.0)
    gaps = np.linalg.norm(away - share[..., None] * chords, axis=2) - chord_tolerance(curve)
    nearest = gaps.argmin(axis=1)
    along = np.abs((chords[nearest] * tangents).sum(axis=1)) / np.sqrt(lengths[nearest])
    good = along >= _PARALLEL * np.linalg.norm(tangents, axis=1)
    return bool((good & (gaps.min(axis=1) <= 0.0)).all())


def crossed(
    points: Float[np.ndarray, "point 2"], lines: Float[np.ndarray, " line"]
) -> Bool[np.ndarray, "axis line line"]:
    """Return between which grid points and their next along each axis a polyline runs.

    A curve may be beside its chords: where it may pass a grid point on either side, both count.
    """
    count, spacing = len(lines), lines[1] - lines[0]
    nodes = (points - lines[0]) / spacing
    start, chord = nodes[:-1], np.diff(nodes, axis=0)
    slack = chord_tolerance(points) / spacing
    found = np.zeros((2, count, count), bool)
    for axis, other in ((0, 1), (1, 0)):
        ends = np.stack([nodes[:-1, other], nodes[1:, other]])
        first = np.ceil(ends.min(axis=0) - slack).astype(int).clip(0, count)
        last = np.floor(ends.max(axis=0) + slack).astype(int).clip(-1, count - 1)
        row = np.repeat(np.arange(len(chord)), np.maximum(last - first + 1, 0))
        line = first[row] + np.arange(len(row)) - np.searchsorted(row, row)
        rise = np.where(chord[row, other] == 0.0, 1e-300, chord[row, other])
        share = ((line - start[row, other]) / rise).clip(0.0, 1.0)
        place = start[row, axis] + share * chord[row, axis]
        # What is beside a chord by the slack is on the line this far away, or at the chord's end.
        reach = slack[row] * np.hypot(*chord[row].T) / np.abs(rise)
        sides = np.sort(nodes[[row, row + 1], axis], axis=0)
        low = np.floor(np.maximum(place - reach, sides[0] - slack[row])).astype(int)
        high = np.floor(np.minimum(place + reach, sides[1] + slack[row])).astype(int)
        for shift in range((high - low).max(initial=0) + 1):
            cell = np.minimum(low + shift, high)
            inside = (cell >= 0) & (cell < count - 1)
            where = (cell[inside], line[inside])
            found[axis][where if axis == 0 else where[::-1]] = True
    return found
