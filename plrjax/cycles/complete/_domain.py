"""Where all cycles are: a box in closed form, or one that no cycle leaves, by a search far out.

Far out the map is nearly homogeneous. With z = u / s the largest point of a cycle is put on a facet
of a fixed box of u, and s is at most 1 / R: if no word of (u, s) closes up, every cycle of the
periods lies in |z| < R. One tree for each facet, which is put at the time where least is to be
searched: steps before it rule out far dynamics that contracts, steps after it what expands.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._exact import bounded, far_away, fingerprint
from ..._numerics import quiet_floats
from ..._piecewise_affine import PiecewiseAffineMap, Unrounded, balanced
from .._base import nodes_for
from .words._subtrees import Task, explore

EXPONENTS = (3, 6, 10, 14, 20)
"""Radii tried are 2^e times the size of what is added in the map."""

DEFAULT_EXPONENT = 10
"""The box where no radius could be proven."""

LATEST = 6
"""Latest time of the facet that is tried."""

CAPS = (300, 3_000, 30_000)
"""Nodes for each facet and time, in turn."""

FAR_NODES = 300_000
"""Nodes in total (for up to six states; fewer for more)."""


@dataclasses.dataclass
class Domain:
    """A box, and why there are no cycles outside: "bounded", one proof for each facet, or None.

    **Fields:** `nodes`: letters met in the search for it; `refuted`: some cycle seems to leave it.
    """

    box: np.ndarray
    everywhere: str | list[tuple[int, dict[str, list[int]]]] | None = None
    nodes: int = 0
    refuted: bool = False


def find_domain(
    map: PiecewiseAffineMap,
    periods: tuple[int, ...],
    box: np.ndarray | None,
    rigorous: bool,
    max_nodes: float | int = np.inf,
) -> Iterator[Domain]:
    """Yield what is known so far; the last one is the result (with `box`: in this box)."""
    closed = None if box is not None else closed_box(map)
    if closed is not None:
        yield Domain(closed, "bounded")
        return
    scaled, unit = balanced(map)
    boxes = [2.0**e * natural_scale(scaled) * np.stack([-unit, unit]) for e in EXPONENTS]
    default = boxes[EXPONENTS.index(DEFAULT_EXPONENT)] if box is None else box
    tried = [b for b in (boxes if box is None else [box]) if np.array_equal(b[0], -b[1])]
    for candidate in tried:
        if bounded(map.exactly(), candidate):
            yield Domain(candidate, "bounded")
            return
    nodes, hopeless = 0, set()
    for cap in CAPS if box is None else CAPS[:-1]:
        for number, candidate in enumerate(tried):
            if number in hopeless:
                continue
            before = nodes
            for found in far_search(map, periods, candidate, rigorous, cap):
                nodes = before + found.nodes
                if found.everywhere is not None:
                    yield dataclasses.replace(found, nodes=nodes)
                    return
                if found.refuted:
                    hopeless.add(number)
                yield Domain(default, None, nodes)
                if nodes >= min(max_nodes, nodes_for(map, FAR_NODES)):
                    return
    yield Domain(default, None, nodes)


def closed_box(map: PiecewiseAffineMap) -> np.ndarray | None:
    """Return -r, r with every bounded orbit in |z| <= r, for globally bounded maps; else None.

    r solves N r + b = r (see `bounded`, which checks it exactly), a little enlarged.
    """
    N, b = np.abs(map.A), np.abs(map.h1)
    for row in {tuple(row) for row in map.W2}:
        units = np.flatnonzero((map.W2 == row).all(axis=1))
        W1, h2 = map.W1[:, units], map.h2[units]
        total = W1.sum(axis=1)
        at_kinks = W1 @ np.maximum(h2[:, None] - h2[None, :], 0.0)
        cancels = np.abs(total) <= 1e-15 * np.abs(W1).sum(axis=1)
        b = b + np.where(cancels, np.abs(at_kinks).max(axis=1), np.abs(W1) @ np.abs(h2))
        N = N + np.where(cancels, 0.0, np.abs(W1).sum(axis=1))[:, None] * np.abs(row)
    if not np.isfinite(N).all() or np.abs(np.linalg.eigvals(N)).max() >= 1:
        return None
    size = float(b.max()) or 1.0
    r = np.linalg.solve(np.eye(len(b)) - N, b + 1e-9 * size) * (1 + 1e-12)
    box = np.stack([-r, r])
    return box if (r > 0).all() and bounded(map.exactly(), box) else None


def natural_scale(map: PiecewiseAffineMap) -> float:
    """Return a power of two of the size of the map's offsets and of its switching boundaries."""
    offsets = np.abs(map.h1) + np.abs(map.W1) @ np.abs(map.h2)
    norms = np.abs(map.W2).sum(axis=1)
    live = norms > 0
    with quiet_floats():
        size = max(offsets.max(initial=0.0), (np.abs(map.h2[live]) / norms[live]).max(initial=0.0))
    return float(2.0 ** np.round(np.log2(size))) if 1e-200 < size < 1e200 else 1.0


def far_search(
    map: PiecewiseAffineMap, periods: tuple[int, ...], box: np.ndarray, rigorous: bool, cap: int
) -> Iterator[Domain]:
    """Try to prove that no cycle leaves the box, with `cap` nodes for each facet and time.

    Yields after each piece of work; `everywhere` is the proof in the last one, if there is one.
    """
    _, bounds, facets = far_away(map.exactly(), box)
    far_map = PiecewiseAffineMap(
        *_far(map, box, False), unrounded=Unrounded(functools.partial(_far, map, box))
    )
    proofs: list[Any] = []
    nodes = 0
    for facet in facets:
        task = Task(far_map, bounds, periods, rigorous, (0, facet), map, box)
        objections = 0
        for time in range(min(LATEST, max(periods))):
            at_time = dataclasses.replace(task, facet=(time, facet))
            found, spent, objects = _facet_tree(at_time, cap)
            nodes, objections = nodes + spent, objections + objects
            yield Domain(box, None, nodes, objections > 1)
            if found is not None:
                proofs.append(found)
                break
            if objections > 1:
                return
        else:
            return
    yield Domain(box, proofs, nodes)


def _far(map: PiecewiseAffineMap, box: np.ndarray, exact: bool) -> tuple[np.ndarray, ...]:
    """Return the arrays of the map far away, in floats or exactly."""
    floats = (map.A, map.W1, map.W2, map.h1, map.h2)
    return tuple(far_away(map.exactly() if exact else floats, box)[0])


def _facet_tree(task: Task, cap: int) -> tuple[tuple[int, dict] | None, int, bool]:
    """Return the facet's time and its chunks (None: not proven), the nodes, and if it objects."""
    assert task.facet is not None
    first = explore(dataclasses.replace(task, rigorous=False), "", cap)
    nodes = first.nodes
    if first.open or first.objection or not task.rigorous:
        failed = bool(first.open or first.objection)
        return None if failed else (task.facet[0], {}), nodes, bool(first.objection)
    chunks: dict[str, list[int]] = {}
    frontier, left = [""], 4 * cap
    while frontier:
        prefix = frontier.pop()
        part = explore(task, prefix, min(left, 2_000))
        left -= part.nodes + 1
        nodes += part.nodes
        if part.objection or left <= 0:
            return None, nodes, bool(part.objection)
        chunks[prefix] = part.log
        frontier += part.open[::-1]
    return (task.facet[0], chunks), nodes, False


def fingerprint_of(map: PiecewiseAffineMap) -> str:
    """Return the hash of a map's arrays."""
    return fingerprint(*map.exactly())
