"""Cycles in state space, over the orbits that they organize."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arguments import check_kind
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._results import STABILITY
from .._tables import plural
from ..attractors import AttractorSet
from ..cycles._cycle_set import CycleSet
from ._common import new_axes, new_figure
from ._multipliers import multipliers
from ._orbits import ORBIT_COLORS, Orbit, attractor_orbits, is_smooth, simulated_orbits
from ._periods import NEUTRAL, STYLES, cycles_per_period, period_colors
from ._view import Frame, View, frame_of, view_of

_MOST_JOINED = 12
"""The points of a cycle are joined by lines while no more cycles have a period above 1."""
_MOST_PERIODS = 12
"""With more periods the legend names the first, the middle one and the last."""
_MOST_FAR = 12
"""Arrows to cycles out of view; the legend says where the first four are."""


def cycles(cycle_set: CycleSet, model=None, axes=None, orbit=None, ax=None, attractors=None):
    """Draw cycles in state space over orbits of the network, and return the matplotlib Axes.

    Color tells the period and the marker stability; short cycles are drawn larger and on top. The
    points of a cycle are joined by thin lines while no more than 12 cycles have a period above 1.
    The axes are those of the orbits and of cycles on or near them; cycles far away are arrows at
    the rim, and listed. A map with one state is drawn as its return map, z_t against z_{t+1}.

    **Arguments:**

    - `cycle_set`: what `find_cycles` returned, or a selection of it.
    - `model`: the network; adds simulated orbits (where they reach differently far, each in its
        color) and, with two states, the switching boundaries.
    - `axes`: the states to draw, two of them or three (a 3-D plot), or "pca": the first two
        principal components of the orbits; by default all of up to three states, of more the
        first three components.
    - `orbit`: an orbit to draw in place of simulated ones, one row per step.
    - `ax`: Axes to draw into (3-D ones for three states); by default a new figure.
    - `attractors`: an `AttractorSet` to draw in place of simulated orbits, with shares.

    **Raises:** `ValueError` for axes the state space does not have; `ImportError` without
    matplotlib.
    """
    size = cycle_set.state_size
    if isinstance(model, AbstractPLRNN):
        model = lower(model)
    if model is not None and model.state_size != size:
        raise ValueError(f"model: expected {size} states, got {model.state_size}")
    orbits = _checked_orbits(cycle_set, model, orbit, attractors)
    points = cycle_set.points[~np.isnan(cycle_set.points).any(axis=-1)]
    view = view_of(axes, size, np.concatenate([o.points for o in orbits] or [points]))
    dimensions = max(2, view.matrix.shape[1])
    ax = new_axes(dimensions, (8.6, 4.8)) if ax is None else ax
    if dimensions == 3 and ax.name != "3d":
        raise ValueError("ax: three states need 3-D Axes (projection='3d')")
    return draw_state_space(ax, cycle_set, model, orbits, view)


def draw_state_space(ax, cycle_set: CycleSet, model, orbits: Sequence[Orbit], view: View):
    """Draw orbits and cycles as a view has them, with a legend beside, and return the Axes."""
    clouds = [_coordinates(one.points, view) for one in orbits]
    loops = [_coordinates(cycle_set.orbit(row), view, True) for row in range(len(cycle_set))]
    frame = frame_of([*clouds, *_stable(cycle_set, loops)] if clouds else [], loops)
    for number, (one, cloud) in enumerate(zip(orbits, clouds)):
        style = dict(lw=0.5) if is_smooth(cloud) else dict(ls="", marker=".", ms=1.6, mew=0)
        style |= dict(color=one.color, rasterized=True, zorder=1 - 0.01 * number)
        ax.plot(*cloud.T, label=one.label, **style)
    _draw_cycles(ax, cycle_set, loops, frame)
    for letter, low, high in zip("xyz", frame.low, frame.high):
        getattr(ax, f"set_{letter}lim")(low, high)
    _draw_far(ax, loops, frame)
    if isinstance(model, PiecewiseAffineMap) and cycle_set.state_size == 2 == view.matrix.shape[1]:
        _draw_boundaries(ax, model, view)
    _label(ax, view)
    _explain(ax, cycle_set, [one.label for one in orbits], loops, frame)
    return ax


def portrait(cycle_set: CycleSet, model=None, axes=None, figure=None, attractors=None):
    """Draw state space, Floquet multipliers and numbers of cycles side by side; return the figure.

    **Arguments:** as `cycles`; `figure`: one to draw into, by default a new one.
    """
    figure = new_figure(11.0, 6.0) if figure is None else figure
    grid = figure.add_gridspec(2, 2, width_ratios=[1.75, 1], height_ratios=[1.45, 1])
    flat = cycle_set.state_size < 3 or isinstance(axes, str) or axes is not None and len(axes) == 2
    state_space = figure.add_subplot(grid[:, 0], projection=None if flat else "3d")
    drawn = cycles(cycle_set, model, axes=axes, ax=state_space, attractors=attractors)
    drawn.set_title("cycles in state space")
    plane = figure.add_subplot(grid[0, 1])
    multipliers(cycle_set, ax=plane).set_title("Floquet multipliers")
    bars = figure.add_subplot(grid[1, 1])
    cycles_per_period(cycle_set, ax=bars).set_title("cycles per period")
    return figure


def _checked_orbits(cycle_set: CycleSet, model, orbit, attractors) -> list[Orbit]:
    """Return the orbits to draw: given, of attractors, or simulated."""
    check_kind("attractors", attractors, AttractorSet, "an AttractorSet")
    size = cycle_set.state_size
    if attractors is not None:
        if attractors.states.shape[1] != size:
            have = attractors.states.shape[1]
            raise ValueError(f"attractors: expected those of {size} states, got {have}")
        return attractor_orbits(attractors, model)
    if orbit is None:
        return [] if model is None else simulated_orbits(cycle_set, model)
    points = np.asarray(orbit, float)
    if points.ndim != 2 or points.shape[1] != size:
        raise ValueError(f"orbit: expected shape time x {size}, got {points.shape}")
    return [Orbit(points, "simulated orbit", ORBIT_COLORS[0])]


def _coordinates(orbit: np.ndarray, view: View, closed: bool = False) -> np.ndarray:
    """Return points as drawn; one state is drawn against its successor."""
    if orbit.shape[1] > 1:
        return view.of(orbit)
    if closed:
        return np.column_stack([orbit, np.roll(orbit, -1, axis=0)])
    return np.column_stack([orbit[:-1], orbit[1:]])


def _stable(cycle_set: CycleSet, loops: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [loop for loop, code in zip(loops, cycle_set.stability) if code == STABILITY.stable]


def _draw_cycles(ax, cycle_set: CycleSet, loops: Sequence[np.ndarray], frame: Frame) -> None:
    joined = 0 < np.count_nonzero(cycle_set.period[frame.near] > 1) <= _MOST_JOINED
    colors = period_colors(cycle_set)
    for code, (marker, edge, _) in STYLES.items():
        rows = np.flatnonzero((cycle_set.stability == code) & frame.near)
        if not len(rows):
            continue
        rows = rows[np.argsort(-cycle_set.period[rows], kind="stable")]
        own = [loops[row] for row in rows]
        periods = np.repeat(cycle_set.period[rows], [len(loop) for loop in own])
        for row, loop in zip(rows, own) if joined else ():
            color = colors[int(cycle_set.period[row])]
            ax.plot(*np.concatenate([loop, loop[:1]]).T, color=color, lw=0.8, alpha=0.5, zorder=2)
        ax.scatter(
            *np.concatenate(own).T, s=26 + 70 / periods, marker=marker, label=code.name,
            c=[colors[int(k)] for k in periods], edgecolors=edge, linewidths=0.5, zorder=4,
        )  # fmt: skip


def _draw_far(ax, loops: Sequence[np.ndarray], frame: Frame) -> None:
    """Draw an arrow at the rim towards each cycle that is out of view."""
    for row in np.flatnonzero(~frame.near)[:_MOST_FAR]:
        place, way = frame.rim(_nearest(loops[row], frame))
        tail, head = (frame.middle + x * frame.half for x in (0.97 * place - 0.09 * way, place))
        if len(tail) == 3:
            ax.quiver(*tail, *(head - tail), color=NEUTRAL, lw=1.2, arrow_length_ratio=0.5)
        else:
            style = dict(arrowstyle="-|>", color=NEUTRAL, lw=1.2, shrinkA=0, shrinkB=0)
            ax.annotate("", head, tail, arrowprops=style, zorder=3, annotation_clip=False)


def _nearest(loop: np.ndarray, frame: Frame) -> np.ndarray:
    """Return the point of a cycle that is the least far outside."""
    return loop[np.abs((loop - frame.middle) / frame.half).max(axis=1).argmin()]


def _far_text(cycle_set: CycleSet, loops: Sequence[np.ndarray], frame: Frame) -> str:
    """Return how many cycles are out of view, and where the first ones are."""
    rows = np.flatnonzero(~frame.near)
    lines = [f"{plural(len(rows), 'cycle')} farther out"]
    for row in rows[:4]:
        place = ", ".join(f"{x:.3g}" for x in _nearest(loops[row], frame))
        lines.append(f"period {cycle_set.period[row]}: ({place})")
    return "\n".join([*lines, "..."] if len(rows) > 4 else lines)


def _explain(ax, cycle_set: CycleSet, orbits: Sequence[str], loops, frame: Frame) -> None:
    """Draw a legend beside: orbits, the marker of each stability, the color of a period, arrows."""
    from matplotlib.lines import Line2D

    dot = lambda label, **style: Line2D([], [], ls="", label=label, **style)
    handles = []
    for drawn, label in zip(*ax.get_legend_handles_labels()):
        if label in STABILITY.__members__:
            marker, edge, _ = STYLES[STABILITY[label]]
            drawn = dot(label, marker=marker, mec=edge, mew=0.5, ms=8, color=NEUTRAL)
        elif label in orbits:
            drawn = dot(label, marker=".", ms=9, color=drawn.get_color())
        handles.append(drawn)
    colors = list(period_colors(cycle_set).items())
    if len(colors) > _MOST_PERIODS:
        colors = [colors[0], colors[len(colors) // 2], colors[-1]]
    for period, color in colors:
        handles.append(dot(f"period {period}", marker="o", ms=7, mew=0, color=color))
    if not frame.near.all():
        text = _far_text(cycle_set, loops, frame)
        handles.append(dot(text, marker=r"$\rightarrow$", ms=10, color=NEUTRAL))
    if handles:
        place: dict[str, Any] = dict(
            loc="upper left", bbox_to_anchor=(1.15 if ax.name == "3d" else 1.02, 1.0)
        )
        ax.legend(handles=handles, fontsize="small", frameon=False, **place)


def _draw_boundaries(ax, model: PiecewiseAffineMap, view: View) -> None:
    """Draw the lines W2_i z + h2_i = 0 across the present view."""
    xlim, ylim = ax.get_xlim(), ax.get_ylim()
    normals, offsets = model.W2 @ view.matrix, model.W2 @ view.center + model.h2
    lines = {(*normal, offset) for normal, offset in zip(normals.tolist(), offsets.tolist())}
    label = "switching boundary"
    for a, b, offset in sorted(lines):
        squared = a * a + b * b
        if squared == 0:
            continue
        foot = (-offset * a / squared, -offset * b / squared)
        style = dict(color="0.88", lw=0.8, zorder=0)
        ax.axline(foot, (foot[0] - b, foot[1] + a), label=label, **style)
        label = None
    ax.set_xlim(xlim)
    ax.set_ylim(ylim)


def _label(ax, view: View) -> None:
    if view.matrix.shape[1] == 1:
        ax.set_xlabel("state $z_t$")
        ax.set_ylabel("next state $z_{t+1}$")
        return
    for letter, text in zip("xyz", view.labels):
        getattr(ax, f"set_{letter}label")(text)
