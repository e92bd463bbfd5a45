"""Plots of cycles."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._dynamics import AbstractDynamics, trajectory
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._results import STABILITY
from ..cycles._cycle_set import CycleSet
from ._common import legend, new_axes, new_figure

_STYLES = {
    STABILITY.stable: ("o", "black", "oo"),
    STABILITY.saddle: ("^", "white", ""),
    STABILITY.unstable: ("s", "white", "xx"),
    STABILITY.nonhyperbolic: ("D", "white", ".."),
    STABILITY.undecided: ("X", "white", "--"),
}
"""Marker, its edge, and hatching of bars. Color tells the period."""
_NEUTRAL = "0.45"
_ORBIT_COLOR = "0.62"
_ORBIT_LABEL = "simulated orbit"
_LINEAR_RADIUS = 2.0


def cycles(cycle_set: CycleSet, model=None, axes=(0, 1), orbit=None, ax=None):
    """Draw cycles in state space over a simulated orbit, and return the matplotlib Axes.

    Color tells the period and the marker stability; short cycles are drawn larger and on top. The
    points of a cycle are joined by thin lines while no more than 12 cycles have a period above 1. A
    map with one state is drawn as its return map, z_t against z_{t+1}.

    **Arguments:**

    - `cycle_set`: what `find_cycles` returned, or a selection of it.
    - `model`: the network; adds a simulated orbit and, with two states, the switching boundaries.
    - `axes`: the states to draw, two of them or three (a 3-D plot).
    - `orbit`: an orbit to draw in place of a simulated one, one row per step.
    - `ax`: Axes to draw into (3-D ones for three states); by default a new figure.

    **Raises:** `ValueError` for axes the state space does not have; `ImportError` without
    matplotlib.
    """
    size = cycle_set.state_size
    axes = _checked_axes(axes, size)
    if isinstance(model, AbstractPLRNN):
        model = lower(model)
    if model is not None and model.state_size != size:
        raise ValueError(f"model: expected {size} states, got {model.state_size}")
    ax = new_axes(len(axes)) if ax is None else ax
    if len(axes) == 3 and ax.name != "3d":
        raise ValueError("ax: three states need 3-D Axes (projection='3d')")
    if orbit is None and model is not None:
        orbit = simulated_orbit(cycle_set, model)
    if orbit is not None:
        _draw_orbit(ax, _checked_orbit(orbit, size), axes)
    _draw_cycles(ax, cycle_set, axes)
    if isinstance(model, PiecewiseAffineMap) and size == 2 and len(axes) == 2:
        _draw_boundaries(ax, model, axes)
    _label_states(ax, axes, size)
    _explain(ax, cycle_set)
    return ax


def multipliers(cycle_set: CycleSet, ax=None):
    """Draw the Floquet multipliers in the complex plane, and return the matplotlib Axes.

    The disc of radius 2 is linear. Where a modulus is larger the plane outside that disc is
    compressed radially, logarithmically in the modulus, so that the largest one lies at twice the
    disc's radius; labelled rings mark powers of ten. Arguments (angles) are never changed. Color
    and marker are those of `cycles`.
    """
    ax = new_axes(2) if ax is None else ax
    values = cycle_set.multipliers
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max(initial=0.0))
    angle = np.linspace(0, 2 * np.pi, 361)
    ax.plot(np.cos(angle), np.sin(angle), color="black", lw=1.2, label="unit circle", zorder=1)
    colors = period_colors(cycle_set)
    for code, (marker, edge, _) in _STYLES.items():
        rows, columns = np.nonzero((cycle_set.stability == code)[:, None] & ~np.isnan(values))
        chosen = _compressed(values[rows, columns], largest)
        if chosen.size:
            ax.scatter(
                np.real(chosen), np.imag(chosen), s=34, marker=marker, label=code.name, zorder=3,
                c=[colors[int(k)] for k in cycle_set.period[rows]], edgecolors=edge, linewidths=0.5,
            )  # fmt: skip
    _frame_plane(ax, largest)
    return ax


def cycles_per_period(cycle_set: CycleSet, ax=None):
    """Draw the number of cycles per minimal period, stacked by stability; return the Axes."""
    from matplotlib.ticker import MaxNLocator

    ax = new_axes(2) if ax is None else ax
    periods = np.array(list(cycle_set.counts()), int)
    bottom = np.zeros(len(periods), int)
    colors = period_colors(cycle_set)
    for code, (_, _, hatch) in _STYLES.items():
        here = cycle_set.period[cycle_set.is_isolated & (cycle_set.stability == code)]
        height = np.array([np.count_nonzero(here == k) for k in periods], int)
        if height.any():
            ax.bar(
                periods, height, bottom=bottom, width=0.8, hatch=hatch, edgecolor="white",
                color=[colors.get(int(k), _NEUTRAL) for k in periods], linewidth=0.5,
                label=code.name,
            )  # fmt: skip
        bottom += height
    if len(periods):
        ax.set_xlim(periods.min() - 0.7, periods.max() + 0.7)
    ax.set_ylim(0, max(1.0, 1.08 * bottom.max(initial=0)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("minimal period (steps)")
    ax.set_ylabel("number of cycles")
    if np.unique(cycle_set.stability).size > 1:
        drawn: Any = legend(ax)
        for handle in drawn.legend_handles:
            handle.set_facecolor(_NEUTRAL)
    return ax


def period_colors(cycle_set: CycleSet) -> dict[int, tuple[float, float, float, float]]:
    """Return a color per period, from dark to light as periods grow.

    The map rises in lightness, so that it reads without color too.
    """
    from matplotlib import colormaps

    periods = np.unique(cycle_set.period).tolist()
    places = np.linspace(0.0, 0.9, max(len(periods), 2))  # the lightest colors are hard to see
    return {period: colormaps["plasma"](place) for period, place in zip(periods, places)}


def portrait(cycle_set: CycleSet, model=None, axes=None, figure=None):
    """Draw the three plots side by side, and return the figure.

    **Arguments:** as `cycles`; `axes` defaults to the first three states (two where there are no
    more), `figure` to a new one.
    """
    if axes is None:
        axes = tuple(range(min(3, max(2, cycle_set.state_size))))
    figure = new_figure(11.0, 6.0) if figure is None else figure
    grid = figure.add_gridspec(2, 2, width_ratios=[1.75, 1], height_ratios=[1.45, 1])
    projection = "3d" if len(axes) == 3 else None
    state_space = figure.add_subplot(grid[:, 0], projection=projection)
    cycles(cycle_set, model, axes=axes, ax=state_space).set_title("cycles in state space")
    plane = figure.add_subplot(grid[0, 1])
    multipliers(cycle_set, ax=plane).set_title("Floquet multipliers")
    bars = figure.add_subplot(grid[1, 1])
    cycles_per_period(cycle_set, ax=bars).set_title("cycles per period")
    return figure


def simulated_orbit(
    cycle_set: CycleSet, model: AbstractDynamics, num_steps: int = 20_000
) -> Float[np.ndarray, "time state"] | None:
    """Return an orbit that leaves one of the cycles, or None where all that were tried escape.

    The weakest unstable cycle comes first: an orbit that starts beside it (off by 1 % of the
    extent of all cycles) winds from there onto the attractor, in view.
    """
    size = cycle_set.state_size
    points = cycle_set.points[~np.isnan(cycle_set.points).any(axis=-1)]
    starts, scale = [np.zeros(size)], 1.0
    if len(points):
        largest = np.nan_to_num(np.abs(cycle_set.multipliers).max(axis=1), nan=np.inf)
        order = np.lexsort((largest, largest <= 1.0))[:8]
        starts = [cycle_set.points[row, 0] for row in order]
        scale = float(np.ptp(points, axis=0).max()) or float(np.abs(points).max()) or 1.0
    far = 1e3 * (scale + float(np.abs(points).max(initial=1.0)))
    for start in starts:
        orbit = _bounded_orbit(
            model, start + 0.01 * scale * np.cos(np.arange(size)), num_steps, far
        )
        if orbit is not None:
            return orbit
    return None


def _bounded_orbit(model: AbstractDynamics, state, num_steps: int, far: float):
    if not isinstance(model, PiecewiseAffineMap):
        orbit = np.asarray(trajectory(model, state, num_steps))
        return orbit if np.abs(orbit).max() < far else None
    A, W1, W2, h1, h2 = model.A, model.W1, model.W2, model.h1, model.h2
    orbit = np.empty((num_steps + 1, len(state)))
    orbit[0] = z = state
    for t in range(num_steps):
        orbit[t + 1] = z = A @ z + W1 @ np.maximum(W2 @ z + h2, 0.0) + h1
        if not np.abs(z).max() < far:
            return None
    return orbit


def _checked_axes(axes, size: int) -> tuple[int, ...]:
    chosen = tuple(int(axis) for axis in axes)
    if size == 1:
        return (0, 1)
    fits = len(chosen) in (2, 3) and len(set(chosen)) == len(chosen)
    if not fits or not all(0 <= axis < size for axis in chosen):
        raise ValueError(
            f"axes: expected two or three different states from 0 to {size - 1}, got {chosen}"
        )
    return chosen


def _checked_orbit(orbit, size: int) -> np.ndarray:
    orbit = np.asarray(orbit, float)
    if orbit.ndim != 2 or orbit.shape[1] != size:
        raise ValueError(f"orbit: expected shape time x {size}, got {orbit.shape}")
    return orbit


def _coordinates(orbit: np.ndarray, axes: tuple[int, ...], closed: bool = False) -> np.ndarray:
    """Return the columns to draw; one state is drawn against its successor."""
    if orbit.shape[1] > 1:
        return orbit[:, list(axes)]
    if closed:
        return np.column_stack([orbit, np.roll(orbit, -1, axis=0)])
    return np.column_stack([orbit[:-1], orbit[1:]])


def _draw_orbit(ax, orbit: np.ndarray, axes: tuple[int, ...]) -> None:
    columns = _coordinates(orbit, axes).T
    style = dict(ls="", marker=".", ms=1.6, mew=0, color=_ORBIT_COLOR, rasterized=True)
    ax.plot(*columns, label=_ORBIT_LABEL, zorder=1, **style)


def _draw_cycles(ax, cycle_set: CycleSet, axes: tuple[int, ...]) -> None:
    joined = 0 < np.count_nonzero(cycle_set.period > 1) <= 12
    colors = period_colors(cycle_set)
    for code, (marker, edge, _) in _STYLES.items():
        rows = np.flatnonzero(cycle_set.stability == code)
        if not len(rows):
            continue
        rows = rows[np.argsort(-cycle_set.period[rows], kind="stable")]
        orbits = [_coordinates(cycle_set.orbit(int(row)), axes, closed=True) for row in rows]
        periods = np.repeat(cycle_set.period[rows], [len(orbit) for orbit in orbits])
        if joined:
            for row, orbit in zip(rows, orbits):
                loop = np.concatenate([orbit, orbit[:1]]).T
                color = colors[int(cycle_set.period[row])]
                ax.plot(*loop, color=color, lw=0.8, alpha=0.5, zorder=2)
        ax.scatter(
            *np.concatenate(orbits).T, s=26 + 70 / periods, marker=marker, label=code.name,
            c=[colors[int(k)] for k in periods], edgecolors=edge, linewidths=0.5, zorder=4,
        )  # fmt: skip


def _explain(ax, cycle_set: CycleSet) -> None:
    """Draw a legend: what is drawn in gray, the marker of each stability, the color of a period."""
    from matplotlib.lines import Line2D

    handles = []
    for drawn, label in zip(*ax.get_legend_handles_labels()):
        if label in STABILITY.__members__:
            marker, edge, _ = _STYLES[STABILITY[label]]
            dot: dict[str, Any] = dict(marker=marker, ls="", mec=edge, mew=0.5, ms=8)
            drawn = Line2D([], [], color=_NEUTRAL, label=label, **dot)
        elif label == _ORBIT_LABEL:
            drawn = Line2D([], [], color=_ORBIT_COLOR, label=label, marker=".", ls="", ms=7)
        handles.append(drawn)
    colors = list(period_colors(cycle_set).items())
    if len(colors) > 12:
        colors = [colors[0], colors[len(colors) // 2], colors[-1]]
    for period, color in colors:
        handles.append(
            Line2D([], [], marker="o", ls="", ms=7, mew=0, color=color, label=f"period {period}")
        )
    if handles:
        ax.legend(handles=handles, fontsize="small", framealpha=0.9)


def _draw_boundaries(ax, model: PiecewiseAffineMap, axes: tuple[int, ...]) -> None:
    """Draw the lines W2_i z + h2_i = 0 across the present view."""
    xlim, ylim = ax.get_xlim(), ax.get_ylim()
    normals = model.W2[:, list(axes)]
    lines = {(*normal, offset) for normal, offset in zip(normals.tolist(), model.h2.tolist())}
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


def _label_states(ax, axes: tuple[int, ...], size: int) -> None:
    if size == 1:
        ax.set_xlabel("state $z_t$")
        ax.set_ylabel("next state $z_{t+1}$")
        return
    for name, axis in zip("xyz", axes):
        getattr(ax, f"set_{name}label")(f"state $z_{{{axis + 1}}}$")


def _compressed(values: np.ndarray, largest: float) -> np.ndarray:
    """Return multipliers with the plane beyond the linear disc compressed radially."""
    moduli = np.minimum(np.abs(values), max(largest, _LINEAR_RADIUS))
    outside = moduli > _LINEAR_RADIUS
    if not outside.any():
        return values
    directions = np.exp(1j * np.angle(values))
    radii = np.where(outside, _outer_radius(np.maximum(moduli, _LINEAR_RADIUS), largest), moduli)
    return radii * directions


def _outer_radius(modulus, largest: float):
    span = np.log(largest / _LINEAR_RADIUS)
    return _LINEAR_RADIUS * (1 + np.log(modulus / _LINEAR_RADIUS) / span)


def _frame_plane(ax, largest: float) -> None:
    ax.axhline(0, color="0.85", lw=0.8, zorder=0)
    ax.axvline(0, color="0.85", lw=0.8, zorder=0)
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    if largest <= _LINEAR_RADIUS:
        limit = 1.15 * max(1.0, largest)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
        return
    ax.set_xlabel("real part (radius logarithmic beyond 2)")
    limit = 2.15 * _LINEAR_RADIUS
    ticks = np.arange(-2, 3)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=ticks, yticks=ticks)
    angle = np.linspace(0, 2 * np.pi, 361)
    for modulus, text in _rings(largest):
        radius = _LINEAR_RADIUS if modulus == _LINEAR_RADIUS else _outer_radius(modulus, largest)
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), color="0.6", lw=0.7, ls=":")
        ax.annotate(
            text, (0.7071 * radius, 0.7071 * radius), fontsize="small", color="0.35", zorder=5,
            ha="center", va="center", bbox=dict(fc="white", ec="none", pad=0.6),
        )  # fmt: skip


def _rings(largest: float) -> list[tuple[float, str]]:
    """Return the circles to draw outside: the edge of the linear disc and up to two decades."""
    last = int(np.floor(np.log10(largest)))
    step = max(1, (last + 1) // 2)
    decades = [d for d in range(step, last + 1, step) if 10.0**d > 2 * _LINEAR_RADIUS]
    return [(_LINEAR_RADIUS, "2")] + [(10.0**d, f"$10^{{{d}}}$") for d in decades[-2:]]
