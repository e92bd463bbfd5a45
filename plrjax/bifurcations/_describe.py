"""Multipliers, stability and numbers of cycles on both sides of an event."""

import numpy as np

from .._results import BIFURCATION, STABILITY
from .._stability import classify
from ._assemble import NO_CYCLE, Event, critical, stability_at
from ._continuation import CLOSE, multipliers_at
from ._segments import Segment

TURNS = (BIFURCATION.degenerate_flip, BIFURCATION.center)
"""Events at which a cycle goes on with another stability."""


def describe(event: Event) -> None:
    """Find multipliers and stability on both sides of an event."""
    size = event.where.path.shape[0]
    turn = event.kind is not BIFURCATION.border_collision
    facts = event.facts
    for side, one in zip(("before", "after"), event.main):
        facts[f"multipliers_{side}"] = np.full(size, np.nan, complex)
        facts[f"stability_{side}"] = NO_CYCLE
        if one is None:
            continue
        s = event.where.on(one)
        at = _beside(one, s, side) if turn else s
        facts[f"multipliers_{side}"] = multipliers_at(one.path, one.word, at)
        facts[f"stability_{side}"] = _stability_beside(one, s, side, event.kind)
    stable = {}
    for side, place in (("before", 1), ("after", 2)):
        codes = [
            _stability_beside(one, event.where.on(one), side, event.kind)
            for one in (part[0] for part in event.segments if part[place])
        ]
        facts[f"num_{side}"] = len(codes)
        stable[side] = codes.count(STABILITY.stable)
    facts["attractor"] = stable["after"] - stable["before"]


def _beside(segment: Segment, s: float, side: str) -> float:
    """Return a place of the segment next to s: 1e-6 of the path away, or half its next turn."""
    edges, span = np.array(segment.edges), segment.path.span
    if side == "before":
        room = s - max(edges[edges < s - CLOSE * span], default=segment.low)
        return s - min(1e-6 * span, 0.5 * room)
    room = min(edges[edges > s + CLOSE * span], default=segment.high) - s
    return s + min(1e-6 * span, 0.5 * room)


def _stability_beside(segment: Segment, s: float, side: str, kind: BIFURCATION) -> int:
    """Return the stability of a segment on its piece next to s."""
    edges = np.array(segment.edges)
    slack = CLOSE * segment.path.span
    low = max(edges[edges < s - slack], default=segment.low)
    high = min(edges[edges > s + slack], default=segment.high)
    near, far = (low, high) if side == "before" else (high, low)
    if abs(near - s) <= slack < abs(far - s) and kind in TURNS:
        return _stability_beyond(segment, s, far, kind)
    return stability_at(segment.path, segment.word, 0.5 * (near + s))


def _stability_beyond(segment: Segment, s: float, inner: float, kind: BIFURCATION) -> int:
    """Return the stability behind a turn at the end of the path, where multipliers go on.

    The multiplier that is -1 there, or the pair of modulus 1, is inside of the unit circle on one
    side and outside on the other.
    """
    values = multipliers_at(segment.path, segment.word, s)
    turning = np.argsort(np.abs(critical(values, kind)))[: 1 + (kind is BIFURCATION.center)]
    others = np.delete(values, turning)
    beside = multipliers_at(segment.path, segment.word, s + 1e-6 * (inner - s))
    outside = int((np.abs(beside) > 1).sum() - (np.abs(others) > 1).sum())
    values[turning] *= 0.5 if outside else 2.0
    return int(classify(values[None], np.zeros((1, len(values))))[0])
