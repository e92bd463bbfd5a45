"""Random paths, cut into several: what must not depend on the cuts."""

import numpy as np
from systems import QUIET

import plrjax as plr
from plrjax import PiecewiseAffineMap

WHOLE = ("kind", "subtype", "period", "num_before", "num_after", "attractor", "num_units_zero",
         "stability_before", "stability_after")  # fmt: skip
"""Attributes of an event that are compared as they are."""


def random_ends(draw):
    """Return the two maps that a path runs between: one or two states, one or two units."""
    size, units = draw.integers(1, 3, 2)
    one = lambda: PiecewiseAffineMap(
        np.diag(draw.uniform(-1.3, 1.3, size)),
        1.5 * draw.standard_normal((size, units)),
        draw.standard_normal((units, size)),
        draw.standard_normal(size),
        draw.standard_normal(units),
    )
    first, last = one(), one()
    if draw.random() < 0.3:  # a collision of everything: h passes through zero at s = .4
        last = PiecewiseAffineMap(last.A, last.W1, last.W2, -1.5 * first.h1, -1.5 * first.h2)
    return first, last


def between(first, last, s):
    """Return the map at s of the straight line between two."""
    mixed = ((1.0 - s) * getattr(first, n) + s * getattr(last, n) for n in "A W1 W2 h1 h2".split())
    return PiecewiseAffineMap(*mixed)


def detect(models, periods, **options):
    return plr.detect_bifurcations(models, periods, progress=QUIET, **options)


def random_cuts(draw, found):
    """Return where to cut: at random places, and at some events."""
    places = [0.0, 1.0, *draw.random(draw.integers(0, 3))]
    if len(found):
        places += draw.choice(found.s, min(len(found), draw.integers(1, 4)), replace=False).tolist()
    places = np.unique(places)
    return places[np.append(True, np.diff(places) > 1e-6)]


def cut_path(first, last, places):
    """Return the networks of a path at places, the two ends among them."""
    return [first, *(between(first, last, s) for s in places[1:-1]), last]


def rows_of(found, places=(0.0, 1.0)):
    """Return what events are, place first, each as a flat tuple."""
    places = np.asarray(places)
    low, high = places[found.interval], places[found.interval + 1]
    s = low + found.s * (high - low)
    rows = []
    for row in range(len(found)):
        whole = [int(getattr(found, name)[row]) for name in WHOLE]
        rows.append((float(s[row]), *whole, *found.unit[row].tolist(), row))
    return rows


def differences(whole, cut, places):
    """Return in words how the events of a cut path differ from those of the whole."""
    own, others = rows_of(whole), rows_of(cut, places)
    said, pairs = [], []
    for mine in own:
        near = [
            other for other in others
            if abs(other[0] - mine[0]) < 1e-9 and other[1:-1] == mine[1:-1]
        ]  # fmt: skip
        if near:
            others.remove(near[0])
            pairs.append((mine[-1], near[0][-1]))
        else:
            said.append(f"missing: {mine}")
    said += [f"too many: {other}" for other in others]
    for a, b in pairs:
        for name in ("multipliers_before", "multipliers_after"):
            one, other = (
                np.sort_complex(getattr(whole, name)[a]),
                np.sort_complex(getattr(cut, name)[b]),
            )
            if not np.allclose(one, other, rtol=1e-4, atol=1e-4, equal_nan=True):
                said.append(f"{name}: {one} and {other} at s = {whole.s[a]}")
    return said + ([] if said else _branches(whole, cut, pairs)) + _counts(whole, cut)


def _branches(whole, cut, pairs):
    """Return a difference where branches through the events are not the same, up to numbers."""
    seen = {}
    for a, b in pairs:
        sets = set(whole.participants[a].tolist()) - {-1}, set(cut.participants[b].tolist()) - {-1}
        for number in sets[0]:
            seen[number] = seen.get(number, sets[1]) & sets[1]
        if len(sets[0]) != len(sets[1]):
            return [f"participants: {sets}"]
        main = int(whole.branch[a])
        seen[main] = seen[main] & {int(cut.branch[b])}
    return [] if all(seen.values()) else [f"branches: {seen}"]


def _counts(whole, cut):
    said = [f"notes: {set(cut.notes)}"] if set(cut.notes) and not whole.notes else []
    if whole.num_branches != cut.num_branches:
        said.append(f"branches: {whole.num_branches} and {cut.num_branches}")
    return said
