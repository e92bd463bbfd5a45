"""Orbits to draw behind cycles: simulated ones, told apart by how far they reach."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from .._dynamics import AbstractDynamics
from .._numerics import float64_scope, quiet_floats
from .._piecewise_affine import PiecewiseAffineMap
from .._results import ATTRACTOR
from ..attractors import AttractorSet
from ..cycles._cycle_set import CycleSet
from ._common import GREEN, ORANGE, PINK

ORBIT_COLORS = ("0.62", "#56B4E9", GREEN, PINK, ORANGE)
"""The most frequent orbit is gray; the others are the light ones of Okabe and Ito's palette."""
_NUM_STARTS, _TRANSIENT, _WATCHED, NUM_DRAWN = 8, 2_000, 4_000, 20_000
"""Cycles from which three orbits each start; steps before, steps watched, steps drawn."""
_SAME = 0.1
"""Orbits are drawn as one where all least and largest states agree to this share of the width."""
_SMALL_STEP = 0.1
"""Nine of ten steps are smaller than this share of the width where an orbit is drawn as a line."""
_POINT = 1e-9
"""An orbit that moves by a smaller share of what counts as far stands still."""
_CHUNK = 1_000


class Orbit(NamedTuple):
    """Points of an orbit, and how it is drawn and called."""

    points: Float[np.ndarray, "time state"]
    label: str
    color: str


def simulate(
    model: AbstractDynamics, states: Float[np.ndarray, "lane state"], num_steps: int
) -> Float[np.ndarray, "time lane state"]:
    """Return orbits from several states side by side, without the states themselves, in float64."""
    with float64_scope(), quiet_floats():
        if not isinstance(model, PiecewiseAffineMap):
            step, both = jax.vmap(model.step), lambda z: (z, z)
            scan = jax.jit(lambda z: jax.lax.scan(lambda z, _: both(step(z)), z, length=num_steps))
            return np.asarray(scan(np.asarray(states, np.float64))[1])
        A, W1, W2 = model.A.T, model.W1.T, model.W2.T
        orbit, z = np.empty((num_steps, *states.shape)), states
        for t in range(num_steps):
            orbit[t] = z = z @ A + np.maximum(z @ W2 + model.h2, 0.0) @ W1 + model.h1
        return orbit


def simulated_orbits(cycle_set: CycleSet, model: AbstractDynamics) -> list[Orbit]:
    """Return where orbits from beside the cycles settle, the most frequent first.

    They start off the weakest unstable cycles first, by 1 and 20 % of the extent of all, and from
    the origin. Orbits that reach equally far in all states are drawn as one; that is no proof that
    they share an attractor.
    """
    starts, far = _starts(cycle_set)
    last = starts
    for _ in range(_TRANSIENT // _CHUNK):
        last = simulate(model, last, _CHUNK)[-1]
        last = last[np.abs(last).max(axis=1) < far]  # also where it is NaN
    if not len(last):
        return []
    low, high = last, last
    for _ in range(_WATCHED // _CHUNK):
        part = simulate(model, last, _CHUNK)
        last = part[-1]
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    # What has escaped is not drawn, and what stands still is a cycle's marker.
    kept = (np.abs(last).max(axis=1) < far) & ((high - low).max(axis=1) > _POINT * far)
    if not kept.any():
        return []
    groups = _groups(np.concatenate([low, high], axis=1)[kept], (high - low)[kept])
    first = last[kept][[group[0] for group in groups]]
    drawn = simulate(model, first, NUM_DRAWN)
    total = len(kept)
    labels = [f"orbits from {len(group)} of {total} starts" for group in groups]
    labels = labels if len(groups) > 1 else ["simulated orbit"]
    triples = zip(drawn.swapaxes(0, 1), labels, ORBIT_COLORS)
    return [Orbit(*triple) for triple in triples]


def is_smooth(points: Float[np.ndarray, "time axis"]) -> bool:
    """Return whether an orbit moves in small steps, as samples of a flow do: it is then a line."""
    if len(points) < 3:
        return False
    steps = np.abs(np.diff(points, axis=0)).max(axis=1)
    return bool(np.quantile(steps, 0.9) < _SMALL_STEP * np.ptp(points, axis=0).max())


def _starts(cycle_set: CycleSet) -> tuple[np.ndarray, float]:
    """Return initial states, and how far away an orbit has escaped."""
    size = cycle_set.state_size
    points = cycle_set.points[~np.isnan(cycle_set.points).any(axis=-1)]
    if not len(points):
        return np.zeros((1, size)), 1e3
    largest = np.nan_to_num(np.abs(cycle_set.multipliers).max(axis=1), nan=np.inf)
    order = np.lexsort((largest, largest <= 1.0))[:_NUM_STARTS]
    scale = float(np.ptp(points, axis=0).max()) or float(np.abs(points).max()) or 1.0
    way = np.cos(np.arange(size))
    offsets = scale * np.array([0.01, 0.2, -0.2])[:, None] * way
    beside = (cycle_set.points[order, 0][:, None] + offsets).reshape(-1, size)
    far = 1e3 * (scale + float(np.abs(points).max(initial=1.0)))
    return np.concatenate([beside, np.zeros((1, size))]), far


def _groups(ends: np.ndarray, widths: np.ndarray) -> list[np.ndarray]:
    """Return which orbits reach equally far, the largest group first."""
    width = np.tile(widths.max(axis=1), (2 * widths.shape[1], 1)).T
    near = 1e-6 * (1.0 + np.abs(ends).max(axis=1))[:, None]
    left, groups = np.arange(len(ends)), []
    while len(left):
        off = np.abs(ends[left] - ends[left[0]])
        same = (off <= _SAME * np.maximum(width[left], width[left[0]]) + near[left]).all(axis=1)
        groups.append(left[same])
        left = left[~same]
    return sorted(groups, key=len, reverse=True)[: len(ORBIT_COLORS)]


def attractor_orbits(found: AttractorSet, model: AbstractDynamics | None) -> list[Orbit]:
    """Return an orbit on each attractor, with its share; a longer one where there is a `model`."""
    rows = [row for row in range(len(found)) if len(found.orbit(row))][: len(ORBIT_COLORS)]
    orbits = []
    for row, color in zip(rows, ORBIT_COLORS):
        points = found.orbit(row)
        if model is not None and found.kind[row] != ATTRACTOR.cycle:
            points = simulate(model, points[-1:], NUM_DRAWN)[:, 0]
        label = f"{found.name(row)}, {100 * found.share[row]:.1f} % of states"
        orbits.append(Orbit(points, label, color))
    return orbits
