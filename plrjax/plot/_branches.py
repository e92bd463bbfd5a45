"""The bifurcation diagram of cycles in one parameter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .._map_arrays import MapArrays
from .._numerics import is_positive_whole, quiet_floats
from .._results import STABILITY
from ..bifurcations import AbstractParameterPath, Bifurcations
from ..bifurcations._path import as_path
from ._common import STABILITY_COLORS, legend, new_axes
from ._curves import Curve, Ends, curves_of, event_points, shown_range
from ._marks import draw_lines, marks_of, size_of

LINES = {
    STABILITY.stable: "-",
    STABILITY.saddle: "--",
    STABILITY.unstable: ":",
    STABILITY.nonhyperbolic: "-.",
    STABILITY.undecided: (0, (1, 4)),
}
_NUM_TRANSIENT, _NUM_POINTS, _NUM_STARTS = 1_000, 100, 3
"""Steps before an orbit is drawn, points drawn of it, and orbits at each value."""
_CHUNK = 2**22
"""Numbers held in the arrays of one batch of networks, at most."""
_FAR = 1e6
"""An orbit that gets so many times as far as the cycles has escaped."""


def branches(
    found: Bifurcations, path: Any, coordinate: int | None = 0, ax=None, orbit: Any = None
):
    """Draw the bifurcation diagram of cycles along one path, and return the Axes.

    Stable cycles are solid, saddles dashed, unstable ones dotted; a k-cycle has k lines, in order
    of time. Events are marked on the branch that goes through them; a cycle that runs to infinity
    is marked at the edge. Vertical lines are strong where a stable cycle is lost or gained.

    **Arguments:**

    - `found`: what `detect_bifurcations` returned for `path`.
    - `path`: the `LinearPath`, the `FunctionPath` or the pair of networks.
    - `coordinate`: which state is drawn; None for the Euclidean norm of the state.
    - `ax`: Axes to draw into, by default new ones.
    - `orbit`: draws the attractors' orbits behind, as dots, at so many values of s: 100 points
        after 1000 steps, from 3 states within the range of the cycles; or the values of s and the
        points to draw there, arrays "value" and "value point".

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    way = _checked_path(found, path)
    check_coordinate(coordinate, way.shape[0])
    curves, ends = curves_of(found, [way])
    dots = _checked_dots(orbit)
    if is_positive_whole(orbit):
        s = np.linspace(way.start, way.stop, orbit)
        dots = s, observed(simulated(way, s, _starts(curves, way.shape[0])), coordinate)
    ax = new_axes(size=(9.0, 4.8)) if ax is None else ax
    if dots is not None:
        _draw_dots(ax, found, way, dots)
    draw_curves(ax, curves, coordinate)
    _fit_range(ax, curves, coordinate, dots)
    draw_events(ax, found, ends, coordinate)
    draw_lines(ax, found)
    ax.set_xlim(found.steps[0], found.steps[-1])
    ax.set_xlabel("parameter $s$")
    ax.set_ylabel(name_of(coordinate))
    legend(ax)
    return ax


def branch_curves(found: Bifurcations, path: Any) -> list[tuple[np.ndarray, ...]]:
    """Return the branches along one path as `diagram` takes them.

    **Returns:** triples (values of s "value", states "value state", stable "value"), one for each
    point of a cycle and each stretch of constant stability; NaN where a cycle is at infinity.
    """
    way = _checked_path(found, path)
    triples = []
    for curve in curves_of(found, [way])[0]:
        stable = np.full(len(curve.x), curve.stability == STABILITY.stable)
        share = (curve.x - found.steps[0]) / (found.steps[1] - found.steps[0])
        states = np.where(np.isfinite(curve.states), curve.states, np.nan)
        s = way.start + share * way.span
        triples += [(s, states[:, t], stable) for t in range(states.shape[1])]
    return triples


def observed(states: np.ndarray, coordinate: int | None) -> np.ndarray:
    """Return one coordinate of states along the last axis, or their Euclidean norm."""
    if coordinate is not None:
        return states[..., coordinate]
    with quiet_floats():
        return np.sqrt((states**2).sum(axis=-1))


def name_of(coordinate: int | None) -> str:
    """Return the label of the axis."""
    return r"norm $\|z\|$" if coordinate is None else f"state $z_{{{coordinate + 1}}}$"


def draw_curves(ax, curves: Sequence[Curve], coordinate: int | None) -> None:
    """Draw branches, one line object for each kind of stability."""
    for code, style in LINES.items():
        x, y = [np.zeros(0)], [np.zeros(0)]
        for curve in curves:
            if curve.stability == code:
                for one in observed(curve.states, coordinate).T:
                    x += [curve.x, [np.nan]]
                    y += [one, [np.nan]]
        if len(x) > 1:
            ax.plot(
                np.concatenate(x), np.concatenate(y), color=STABILITY_COLORS[code], ls=style,
                lw=1.8 if code == STABILITY.stable else 1.3, label=code.name, zorder=2,
            )  # fmt: skip


def draw_events(ax, found: Bifurcations, ends: Ends, coordinate: int | None) -> list:
    """Draw a marker at each point of the cycle that an event is about, within the y range.

    Returns the line object of each kind of event.
    """
    (low, high), lines = ax.get_ylim(), []
    for mark, rows in marks_of(found).items():
        x, y = [], []
        for row in rows.tolist():
            points = event_points(found, ends, row)
            if points is not None:
                y += np.clip(observed(points, coordinate), low, high).tolist()
                x += [found.step[row]] * len(points)
        if x:
            lines += ax.plot(
                x, y, ls="", marker=mark.marker, color=mark.color, mec="white", mew=0.6,
                ms=size_of(mark, len(found)), label=mark.name, zorder=4, clip_on=False,
            )  # fmt: skip
    return lines


def simulated(
    path: AbstractParameterPath,
    s: Float[np.ndarray, " value"],
    starts: Float[np.ndarray, "start state"],
) -> Float[np.ndarray, "value point state"]:
    """Return the last points of orbits at many values of s; NaN where an orbit escapes."""
    states, units = path.shape
    rows = max(1, _CHUNK // (states * (states + 2 * units)))
    parts = [_orbits(path.arrays(s[low : low + rows]), starts) for low in range(0, len(s), rows)]
    return np.concatenate(parts)


def _orbits(arrays: MapArrays, starts: np.ndarray) -> np.ndarray:
    turned = [np.ascontiguousarray(np.swapaxes(x, 1, 2)) for x in arrays[:3]]
    A, W1, W2 = turned
    h1, h2 = arrays.h1[:, None], arrays.h2[:, None]
    z = np.broadcast_to(starts, (len(A), *starts.shape))
    far = _FAR * (1.0 + np.abs(starts).max())
    kept = []
    with quiet_floats():
        for t in range(_NUM_TRANSIENT + _NUM_POINTS):
            z = z @ A + np.maximum(z @ W2 + h2, 0.0) @ W1 + h1
            if t >= _NUM_TRANSIENT:
                kept.append(z)
        points = np.stack(kept, axis=2)
        lost = ~(np.abs(points).max(axis=(2, 3)) < far)
    points[lost] = np.nan
    return points.reshape(len(A), -1, starts.shape[1])


def _starts(curves: Sequence[Curve], size: int) -> Float[np.ndarray, "start state"]:
    """Return the origin, and states within the range of the middle 80 % of the cycles' points."""
    points = np.concatenate([np.zeros((1, size)), *(c.states.reshape(-1, size) for c in curves)])
    points = points[np.isfinite(points).all(axis=1)]
    low, high = np.quantile(points, (0.1, 0.9), axis=0)
    shares = (0.5 + np.outer(np.arange(1, _NUM_STARTS), np.sqrt(np.arange(2.0, size + 2)))) % 1.0
    return np.concatenate([np.zeros((1, size)), low + shares * (high - low)])


def _draw_dots(ax, found: Bifurcations, path: AbstractParameterPath, dots) -> None:
    s, points = dots
    share = (s - path.start) / path.span
    x = (1.0 - share) * found.steps[0] + share * found.steps[1]
    ax.plot(
        np.repeat(x, points.shape[1]), points.reshape(-1), ls="", marker=",", color="0.55",
        zorder=1, rasterized=True,
    )  # fmt: skip
    ax.plot([], [], ls="", marker=".", color="0.55", label="orbits")


def _fit_range(ax, curves: Sequence[Curve], coordinate: int | None, dots) -> None:
    values = [observed(curve.states, coordinate).reshape(-1) for curve in curves]
    if dots is not None:
        values.append(dots[1].reshape(-1))
    ax.set_ylim(*shown_range(np.concatenate([np.zeros(0), *values])))


def _checked_dots(orbit: Any):
    """Return given orbits as arrays; None where they are to be simulated, or there are none."""
    if orbit is None or is_positive_whole(orbit):
        return None
    fits = isinstance(orbit, tuple | list) and len(orbit) == 2
    s, points = (np.asarray(x, np.float64) for x in orbit) if fits else (np.zeros(0),) * 2
    if not fits or s.ndim != 1 or points.ndim != 2 or len(points) != len(s):
        raise ValueError(
            "orbit: expected a number of values of s, or a pair of arrays 'value', 'value point', "
            f"got {orbit!r}"
        )
    return s, points


def check_found(found: Any) -> None:
    """Refuse anything but the result of `detect_bifurcations`."""
    if not isinstance(found, Bifurcations):
        raise ValueError(f"found: expected Bifurcations, got {type(found).__name__}")


def check_coordinate(coordinate: Any, size: int) -> None:
    """Refuse a state that there is not."""
    whole = is_positive_whole(coordinate) or (coordinate == 0 and coordinate is not False)
    if not (coordinate is None or (whole and coordinate < size)):
        raise ValueError(
            f"coordinate: expected a state from 0 to {size - 1}, or None for the norm, got "
            f"{coordinate!r}"
        )


def _checked_path(found: Any, path: Any) -> AbstractParameterPath:
    """Return the path that events are of."""
    way = as_path(path)
    check_found(found)
    if len(found.steps) != 2:
        raise ValueError(f"found: expected events along one path, got {len(found.steps)} networks")
    if found.num_units != way.shape[1]:
        raise ValueError(
            f"path: expected {found.num_units} ReLU units as in found, got {way.shape[1]}"
        )
    return way
