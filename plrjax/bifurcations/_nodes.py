"""Networks shared by two paths: what goes on there, and what happens exactly there.

An event at a network, within rounding, may be seen from both paths, from one or from none. So what
either path says of itself that close to the network is put aside; the cycles that reach it from
below and those that leave it above are compared, and those that differ are explained by the map
around the orbits that they have there, along the first path below and along the second above.
"""

from collections.abc import Sequence

import numpy as np

from .._numerics import quiet_floats
from ._atlas import Atlas, Segment
from ._collision import Key, Place, collision_between
from ._functions import candidates
from ._march import CLOSE, multipliers_at
from ._path import AbstractParameterPath

ZONE = 10 * CLOSE
"""What happens closer to a network than this share of a path happens at it."""

_PERHAPS = 1e-4
"""Pre-activations below this fraction of the terms that form them may be zero at a network."""

_TURNING = 1e-6
"""A multiplier this close to -1 at a network may pass it there."""


def divide(early: Atlas, late: Atlas) -> None:
    """Put aside what lies at the network between two paths within rounding."""
    early.close(high=early.path.stop - ZONE * early.path.span)
    late.close(low=late.path.start + ZONE * late.path.span)


def carry(early: Atlas, late: Atlas) -> None:
    """Follow the cycles that reach the end of a path into the next one.

    Those on a switching boundary there go on as what exists behind it; at a degenerate flip the
    cycles of twice the period that exist behind it are followed, too.
    """
    words = [one.word for one in ending(early).values()]
    start, flips = late.path.start, []
    plain = _enter(late, words, (early.path, early.path.stop), (late.path, start), above=False)
    for word in [words[row] for row in plain]:
        if 2 * len(word) in late.periods:
            if np.abs(1.0 + multipliers_at(late.path, word, start)).min() < _TURNING:
                flips.append((word, start))
    late.double(flips)


def enter(atlas: Atlas, words: Sequence[np.ndarray], above: bool) -> None:
    """Follow cycles from the end of a path (its start, or its stop) into it."""
    place = atlas.path, atlas.path.stop if above else atlas.path.start
    _enter(atlas, words, place, place, above)


def _enter(atlas: Atlas, words: Sequence[np.ndarray], low: Place, high: Place, above: bool):
    """Follow cycles from an end of a path; return the rows of those on no switching boundary."""
    s = atlas.path.stop if above else atlas.path.start
    plain, met = [], []
    near = _near_boundaries(atlas.path, words, s)
    for row, word in enumerate(words):
        found = None
        if near[row]:
            found = collision_between(low, high, word, atlas.periods, ZONE)
        if found is None:
            plain.append(row)
        else:
            met.append(found)
    atlas.follow([(words[row], s) for row in plain])
    atlas.enter(met, above)
    return plain


def _near_boundaries(path: AbstractParameterPath, words, s: float) -> np.ndarray:
    """Return which words may have a pre-activation that is zero at s."""
    near = np.zeros(len(words), bool)
    for rows in _by_period(words):
        own = np.stack([words[row] for row in rows])
        places = np.full(len(rows), s)
        points, activations = candidates(path, own, places)[:2]
        arrays = path.arrays(places[:1])
        with quiet_floats():
            forming = np.abs(points) @ np.abs(arrays.W2[0]).T + np.abs(arrays.h2[0])
            near[rows] = (np.abs(activations) <= _PERHAPS * forming).any(axis=(1, 2))
    return near


def _by_period(words: Sequence[np.ndarray]) -> list[list[int]]:
    periods = [len(word) for word in words]
    return [[row for row, k in enumerate(periods) if k == own] for own in sorted(set(periods))]


def ending(early: Atlas) -> dict[Key, Segment]:
    """Return the segments that reach the network above a path."""
    return {one.key: one for one in early.kept if one.high >= early.inside[1]}


def beginning(late: Atlas) -> dict[Key, Segment]:
    """Return the segments that begin at the network below a path."""
    return {one.key: one for one in late.kept if one.low <= late.inside[0]}
