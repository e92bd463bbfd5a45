"""Curves of cycles through parameters, recomputed from their words, for plots."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .._numerics import quiet_floats
from ..bifurcations import AbstractParameterPath, Bifurcations
from ..bifurcations._continuation import CLOSE
from ..bifurcations._test_functions import candidates

_MOST_POINTS, _MOST_NODES, _LEAST_NODES = 8_000, 200, 6
"""Values of s on all segments together, and on each."""
_WIDEST = 30.0
"""Curves that reach this many times as far as their middle 80 % are cut off: they run away."""

Ends = dict[int, tuple[np.ndarray, np.ndarray]]


class Curve(NamedTuple):
    """A branch as long as its stability is constant; x is the step, or the path's parameter.

    Points t of the cycle are continuous in x.
    """

    branch: int
    stability: int
    x: Float[np.ndarray, " value"]
    states: Float[np.ndarray, "value time state"]


def positions(found: Bifurcations, interval, s) -> np.ndarray:
    """Return where on the x axis, `found.steps`, values of s of some intervals are."""
    low, high = found.stats.get("range", (0.0, 1.0))
    share = (np.asarray(s, float) - low) / (high - low)
    return (1.0 - share) * found.steps[interval] + share * found.steps[np.asarray(interval) + 1]


def segment_edges(found: Bifurcations) -> tuple[np.ndarray, np.ndarray]:
    """Return where on the x axis each segment begins and ends: at its events, if it has any."""
    edges = []
    for end, at in (("low", found.segment_first), ("high", found.segment_last)):
        x = positions(found, found.segment_interval, getattr(found, f"segment_{end}"))
        known = at >= 0
        x[known] = found.step[at[known]]
        edges.append(x)
    return edges[0], edges[1]


def curves_of(
    found: Bifurcations, paths: Sequence[AbstractParameterPath]
) -> tuple[list[Curve], Ends]:
    """Return all branches as curves, and the orbits at both ends of every segment."""
    nodes = _nodes(len(found.segment_low))
    states = _states(found, paths, nodes)
    low, high = segment_edges(found)
    near = 10 * CLOSE * float(np.abs(np.diff(found.steps)).max(initial=0.0))
    curves: list[Curve] = []
    for branch in found.branches:
        for row in branch.rows.tolist():
            x = (1.0 - nodes) * low[row] + nodes * high[row]
            one = Curve(branch.number, int(found.segment_stability[row]), x, states[row])
            last = curves[-1] if curves and curves[-1].branch == one.branch else None
            if last is None or abs(last.x[-1] - x[0]) > near:
                curves.append(one)
                continue
            one = one._replace(states=_in_phase(last.states[-1], one.states))
            if last.stability != one.stability:
                curves.append(one)
                continue
            curves[-1] = last._replace(
                x=np.concatenate([last.x, one.x]),
                states=np.concatenate([last.states, one.states]),
            )
    return curves, {row: (one[0], one[-1]) for row, one in states.items()}


def event_points(found: Bifurcations, ends: Ends, row: int) -> np.ndarray | None:
    """Return the orbit of an event's branch where it is, "time state"; None where none is known."""
    for at, last in ((found.segment_last, True), (found.segment_first, False)):
        rows = np.flatnonzero((at == row) & (found.segment_branch == found.branch[row]))
        if len(rows):
            return ends[int(rows[0])][last]
    return None


def shown_range(values: np.ndarray) -> tuple[float, float]:
    """Return a y range for curves that may run to infinity.

    It is that of all values, or a little more than that of the middle 80 %, if these are far less.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    first, last = (float(x) for x in np.quantile(values, (0.1, 0.9)))
    width = (last - first) or max(abs(last), 1.0)
    if high - low > _WIDEST * width:
        low, high = max(low, first - 0.75 * width), min(high, last + 0.75 * width)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _nodes(num_segments: int) -> Float[np.ndarray, " node"]:
    """Return places from 0 to 1, dense at both ends, where curves are steep."""
    count = np.clip(_MOST_POINTS // max(1, num_segments), _LEAST_NODES, _MOST_NODES)
    return 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, int(count)))


def _states(
    found: Bifurcations, paths: Sequence[AbstractParameterPath], nodes: np.ndarray
) -> dict[int, np.ndarray]:
    """Return the orbit of every segment at all nodes, "node time state"."""
    states: dict[int, np.ndarray] = {}
    order = np.stack([found.segment_interval, found.segment_period], axis=1)
    for interval, period in np.unique(order, axis=0).tolist():
        rows = np.flatnonzero((order == (interval, period)).all(axis=1))
        words = np.stack([found.regions(row) for row in rows.tolist()])
        s = found.segment_low[rows, None] * (1.0 - nodes) + found.segment_high[rows, None] * nodes
        flat = np.repeat(words, len(nodes), axis=0)
        points = candidates(paths[interval], flat, s.reshape(-1)).points
        for row, one in zip(rows.tolist(), points.reshape(*s.shape, *points.shape[1:])):
            states[row] = _with_infinite_ends(one)
    return states


def _with_infinite_ends(states: np.ndarray) -> np.ndarray:
    """Return states with those of singular ends at infinity, on the side where they came from."""
    for end, beside in ((0, 1), (-1, -2)):
        if not np.isfinite(states[end]).all():
            states[end] = np.copysign(np.inf, states[beside])
    return states


def _in_phase(last: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return orbits with their points in the order that goes on from the last orbit's."""
    turns = [np.roll(states[0], -turn, axis=0) for turn in range(len(last))]
    with quiet_floats():
        away = [np.nan_to_num(np.abs(one - last).sum(), nan=np.inf) for one in turns]
    return np.roll(states, -int(np.argmin(away)), axis=1)
