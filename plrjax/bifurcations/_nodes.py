"""Networks shared by two paths: what goes on there, and what happens exactly there.

An event at a network, within rounding, may be seen from both paths, from one or from none. So what
either path says of itself that close to the network is put aside; the cycles that reach it from
below and those that leave it above are compared, and those that differ are explained by the map
around the orbits that they have there, along the first path below and along the second above.
"""

from collections.abc import Sequence

import numpy as np

from .._numerics import quiet_floats
from ._collision import Key, Place, collision_between
from ._continuation import CLOSE, multipliers_at
from ._path import AbstractParameterPath
from ._segments import Atlas, Segment
from ._test_functions import candidates

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


def spread(atlases: Sequence[Atlas]) -> None:
    """Follow cycles through the last shared network, and through others as far as anything is new.

    Those on a switching boundary there go on as what exists on either side of it; at a degenerate
    flip the cycles of twice the period are followed, too.
    """
    open_nodes = {len(atlases) - 2} if len(atlases) > 1 else set()
    while open_nodes:
        node = max(open_nodes)
        open_nodes.remove(node)
        early, late = atlases[node : node + 2]
        before = len(early.segments), len(late.segments)
        _join(early, late)
        if len(early.segments) > before[0]:
            open_nodes |= {node, max(node - 1, 0)}
        if len(late.segments) > before[1]:
            open_nodes |= {node, min(node + 1, len(atlases) - 2)}


def _join(early: Atlas, late: Atlas) -> None:
    """Follow what is known on one side of a shared network only on the other side."""
    below, above = ending(early), beginning(late)
    low, high = (early.path, early.path.stop), (late.path, late.path.start)
    up = [one.word for key, one in below.items() if key not in above]
    down = [one.word for key, one in above.items() if key not in below]
    for atlas, (path, s), words in ((late, high, up), (early, low, down)):
        plain, met = _sorted(words, low, high, atlas.periods)
        atlas.follow([(word, s) for word in plain])
        early.enter(met, above=True)
        late.enter(met, above=False)
        flips = [word for word in plain if 2 * len(word) in atlas.periods]
        near = [np.abs(1.0 + multipliers_at(path, word, s)).min() < _TURNING for word in flips]
        for side, (_, at) in ((early, low), (late, high)):
            side.double([(word, at) for word, turns in zip(flips, near) if turns])


def enter(atlas: Atlas, words: Sequence[np.ndarray], above: bool) -> None:
    """Follow cycles from the end of a path (its start, or its stop) into it."""
    s = atlas.path.stop if above else atlas.path.start
    plain, met = _sorted(words, (atlas.path, s), (atlas.path, s), atlas.periods)
    atlas.follow([(word, s) for word in plain])
    atlas.enter(met, above)


def _sorted(words: Sequence[np.ndarray], low: Place, high: Place, periods: Sequence[int]):
    """Return the words on no switching boundary, and what meets where the others are."""
    plain, met = [], []
    for word, near in zip(words, _near_boundaries(low[0], words, low[1])):
        found = collision_between(low, high, word, periods, ZONE) if near else None
        if found is None:
            plain.append(word)
        else:
            met.append(found)
    return plain, met


def _near_boundaries(path: AbstractParameterPath, words, s: float) -> np.ndarray:
    """Return which words may have a pre-activation that is zero at s."""
    near = np.zeros(len(words), bool)
    arrays, slope = path.arrays(np.array([s])), path.derivative(s)
    pushed = np.abs(arrays.W2[0]) @ np.abs(slope.h1[0]) + np.abs(slope.h2[0])
    moved = path.span * pushed.max(initial=0.0)
    for rows in _by_period(words):
        own = np.stack([words[row] for row in rows])
        places = np.full(len(rows), s)
        points, activations = candidates(path, own, places)[:2]
        with quiet_floats():
            forming = np.abs(points) @ np.abs(arrays.W2[0]).T + np.abs(arrays.h2[0]) + moved
            near[rows] = (np.abs(activations) <= _PERHAPS * forming).any(axis=(1, 2))
    return near


def _by_period(words: Sequence[np.ndarray]) -> list[list[int]]:
    periods = [len(word) for word in words]
    return [[row for row, k in enumerate(periods) if k == own] for own in sorted(set(periods))]


def ending(early: Atlas) -> dict[Key, Segment]:
    """Return the segments that reach the network above a path."""
    return {one.key: one for one in early.kept if one.high >= min(early.inside[1], early.path.stop)}


def beginning(late: Atlas) -> dict[Key, Segment]:
    """Return the segments that begin at the network below a path."""
    return {one.key: one for one in late.kept if one.low <= max(late.inside[0], late.path.start)}
