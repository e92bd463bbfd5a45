"""Straight pieces under a piecewise-affine map: cut at its boundaries, mapped, mapped back."""

import numpy as np
from jaxtyping import Bool, Float, Int

from .._piecewise_affine import PiecewiseAffineMap
from ._cells import Cells

_CHUNK = 2**22
"""Numbers held in the arrays of one batch of segments, at most."""


def cut_at(
    map: PiecewiseAffineMap, ends: Float[np.ndarray, "segment end state"]
) -> tuple[Float[np.ndarray, "piece end state"], Int[np.ndarray, " piece"]]:
    """Return the pieces of segments between switching boundaries, in their order, and which segment
    each is of."""
    y = ends @ map.W2.T + map.h2
    first, last = y[:, 0], y[:, 1]
    crossed = (first < 0) & (last > 0) | (first > 0) & (last < 0)
    place = np.full(crossed.shape, np.inf)
    place[crossed] = first[crossed] / (first[crossed] - last[crossed])
    place = np.sort(place, axis=1)[:, : int(crossed.sum(axis=1).max(initial=0))]
    column = np.ones((len(ends), 1))
    edges = np.concatenate([0 * column, np.minimum(place, 1.0), column], axis=1)
    shares = np.stack([edges[:, :-1], edges[:, 1:]], axis=2)
    begin, way = ends[:, :1, :], ends[:, 1:, :] - ends[:, :1, :]
    pieces = begin[:, None] + shares[..., None] * way[:, None]
    pieces[:, -1, 1] = ends[:, 1]
    kept = shares[:, :, 1] > shares[:, :, 0]
    if place.shape[1]:  # the last piece of a segment ends where the segment does, exactly
        rows, columns = np.arange(len(ends)), place.shape[1] - np.isinf(place).sum(axis=1)
        pieces[rows, columns, 1] = ends[:, 1]
        kept &= np.arange(kept.shape[1]) <= columns[:, None]
    return pieces[kept], np.nonzero(kept)[0]


def images(
    map: PiecewiseAffineMap, ends: Float[np.ndarray, "segment end state"]
) -> Float[np.ndarray, "piece end state"]:
    """Return the images of segments, straight pieces in their order."""
    pieces, _ = cut_at(map, ends)
    return mapped(map, pieces, map.pre_activations(pieces.mean(axis=1)) > 0)


def mapped(
    map: PiecewiseAffineMap,
    pieces: Float[np.ndarray, "piece end state"],
    regions: Bool[np.ndarray, "piece unit"],
) -> Float[np.ndarray, "piece end state"]:
    """Return the images of pieces by the affine maps of linear subregions."""
    active = np.where(regions[:, None], map.pre_activations(pieces), 0.0)
    return pieces @ map.A.T + active @ map.W1.T + map.h1


def inside(
    ends: Float[np.ndarray, "segment end state"],
    low: Float[np.ndarray, " state"],
    high: Float[np.ndarray, " state"],
) -> Float[np.ndarray, "part end state"]:
    """Return the parts of segments that lie in a box."""
    slack = np.concatenate([ends - low, high - ends], axis=2)
    return _between(ends, *_interval(slack[:, 0], slack[:, 1]))[0]


def _interval(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where along segments all of several values, linear in between, are not negative."""
    change = first - last
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = first / change
    low = np.where(change < 0, zero, 0.0).max(axis=-1, initial=0.0)
    high = np.where(change > 0, zero, 1.0).min(axis=-1, initial=1.0)
    never = ((change == 0) & (first < 0)).any(axis=-1)
    return low, np.where(never, -1.0, high)


def _between(ends, low, high) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of segments from one share to another, and which segments have one."""
    kept = high > low
    begin, way = ends[kept, :1], ends[kept, 1:] - ends[kept, :1]
    shares = np.stack([low[kept], high[kept]], axis=1)[..., None]
    return begin + shares * way, kept


def preimages_of(
    cells: Cells,
    inverse: Float[np.ndarray, "cell state state"],
    map: PiecewiseAffineMap,
    ends: Float[np.ndarray, "segment end state"],
    low: Float[np.ndarray, " state"],
    high: Float[np.ndarray, " state"],
) -> tuple[
    Float[np.ndarray, "piece end state"], Int[np.ndarray, " piece"], Int[np.ndarray, " piece"]
]:
    """Return all preimages of segments in the cells and the box; of each piece the number of its
    cell and of its segment."""
    found, where, source = [], [], []
    rows = max(1, _CHUNK // max(1, len(cells.J) * (map.num_units + map.state_size)))
    sign = np.where(cells.patterns, 1.0, -1.0)
    for at in range(0, len(ends), rows):
        part = ends[at : at + rows]
        back = np.einsum("cmn,scen->scem", inverse, part[:, None] - cells.offset[:, None])
        y = sign[:, None] * (back @ map.W2.T + map.h2)
        slack = np.concatenate([y, back - low, high - back], axis=3)
        first, last = _interval(slack[:, :, 0], slack[:, :, 1])
        flat = back.reshape(-1, 2, map.state_size)
        pieces, kept = _between(flat, first.ravel(), last.ravel())
        segment, cell = np.divmod(np.flatnonzero(kept), len(cells.J))
        found.append(pieces)
        where.append(cell)
        source.append(segment + at)
    return np.concatenate(found), np.concatenate(where), np.concatenate(source)
