"""Compiled: convex polygons through the linear subregions of a map, forwards or backwards."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .._compiled import compiled, inner

MOST = 64
"""Corners of one polygon, at most; one that gets more while it is cut is left out and counted."""


class Passage(NamedTuple):
    """Subregions as (before z + start): where sign (W2 z + h2) >= 0 and z is in the box, the part
    that is kept becomes after z + end."""

    before: Float[np.ndarray, "cell state state"]
    start: Float[np.ndarray, "cell state"]
    after: Float[np.ndarray, "cell state state"]
    end: Float[np.ndarray, "cell state"]
    sign: Float[np.ndarray, "cell unit"]
    W2: Float[np.ndarray, "unit state"]
    h2: Float[np.ndarray, " unit"]
    box: Float[np.ndarray, "2 state"]
    thin: float


class Desk(NamedTuple):
    """Room for two polygons and the slack at their corners, and for what comes out."""

    one: Float[np.ndarray, "corner state"]
    other: Float[np.ndarray, "corner state"]
    slack: Float[np.ndarray, " corner"]
    corners: Float[np.ndarray, "out state"]
    sizes: Int[np.ndarray, " piece"]
    cells: Int[np.ndarray, " piece"]
    sources: Int[np.ndarray, " piece"]
    counts: Int[np.ndarray, " 3"]


@inner()
def _moved(
    J: Float[np.ndarray, "state state"],
    c: Float[np.ndarray, " state"],
    z: Float[np.ndarray, " state"],
    out: Float[np.ndarray, " state"],
) -> None:
    size = len(c)
    for i in range(size):
        total = c[i]
        for j in range(size):
            total += J[i, j] * z[j]
        out[i] = total


@inner()
def _cut(
    polygon: Float[np.ndarray, "corner state"],
    slack: Float[np.ndarray, " corner"],
    count: int,
    out: Float[np.ndarray, "corner state"],
) -> int:
    """Write the part of a convex polygon with slack >= 0; return its number of corners."""
    size, found = polygon.shape[1], 0
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        x, y = slack[i], slack[j]
        if x >= 0.0:
            for m in range(size):
                out[found, m] = polygon[i, m]
            found += 1
        if (x > 0.0 and y < 0.0) or (x < 0.0 and y > 0.0):
            share = x / (x - y)
            for m in range(size):
                out[found, m] = polygon[i, m] + share * (polygon[j, m] - polygon[i, m])
            found += 1
        if found + 2 > len(out):
            return -1
    return found


@inner()
def _clipped(through: Passage, cell: int, desk: Desk, count: int) -> int:
    """Cut the polygon in `one` to a subregion and the box; return its corners, 0 of none, or -1
    where there is no room. The result is in `one`."""
    W2, h2, sign, box, thin = through.W2, through.h2, through.sign, through.box, through.thin
    one, other, slack = desk.one, desk.other, desk.slack
    units, size = W2.shape
    for r in range(units + 2 * size):
        low, high = np.inf, -np.inf
        for i in range(count):
            if r < units:
                value = h2[r]
                for m in range(size):
                    value += W2[r, m] * one[i, m]
                value *= sign[cell, r]
            elif r < units + size:
                value = one[i, r - units] - box[0, r - units]
            else:
                value = box[1, r - units - size] - one[i, r - units - size]
            slack[i] = value
            low, high = min(low, value), max(high, value)
        if high <= thin:
            return 0
        if low < 0.0:
            count = _cut(one, slack, count, other)
            if count < 3:
                return min(count, 0)
            for i in range(count):
                for m in range(size):
                    one[i, m] = other[i, m]
    return count


@inner()
def _extent(polygon: Float[np.ndarray, "corner state"], count: int) -> float:
    """Return the largest distance of a corner from the first edge's line, squared."""
    size, widest, length = polygon.shape[1], 0.0, 0.0
    far = 1
    for i in range(1, count):
        total = 0.0
        for m in range(size):
            total += (polygon[i, m] - polygon[0, m]) ** 2
        if total > length:
            length, far = total, i
    for i in range(1, count):
        dot, total = 0.0, 0.0
        for m in range(size):
            dot += (polygon[i, m] - polygon[0, m]) * (polygon[far, m] - polygon[0, m])
            total += (polygon[i, m] - polygon[0, m]) ** 2
        widest = max(widest, total - dot * dot / max(length, 1e-300))
    return widest


@compiled()
def through_cells(
    corners: Float[np.ndarray, "corner state"],
    first: Int[np.ndarray, " polygon"],
    begin: int,
    through: Passage,
    desk: Desk,
) -> int:
    """Lead polygons (corners `first[p]` to `first[p + 1]`) through all subregions, from number
    `begin` on; return the number to go on with, once there may be no room for one more.

    `counts` of the desk: polygons and corners that came out, and those left out.
    """
    before, start, after, end = through.before, through.start, through.after, through.end
    one, other, out, sizes = desk.one, desk.other, desk.corners, desk.sizes
    pieces, used, lost = 0, 0, 0
    cells, size = start.shape
    for p in range(begin, len(first) - 1):
        if pieces + cells > len(sizes) or used + cells * len(one) > len(out):
            desk.counts[0], desk.counts[1], desk.counts[2] = pieces, used, lost
            return p
        for c in range(cells):
            count = first[p + 1] - first[p]
            for i in range(count):
                _moved(before[c], start[c], corners[first[p] + i], one[i])
            count = _clipped(through, c, desk, count)
            if count < 0:
                lost += 1
            if count < 3 or _extent(one, count) < through.thin**2:
                continue
            for i in range(count):
                _moved(after[c], end[c], one[i], other[i])
                for m in range(size):
                    out[used + i, m] = other[i, m]
            sizes[pieces], desk.cells[pieces], desk.sources[pieces] = count, c, p
            pieces += 1
            used += count
    desk.counts[0], desk.counts[1], desk.counts[2] = pieces, used, lost
    return len(first) - 1
