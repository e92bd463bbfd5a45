"""Plots of scans: planes of two parameters, and bifurcation diagrams over one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._results import BIFURCATION
from ..scans import ParameterScan
from ._common import BLUE, GREEN, ORANGE, PINK, RED, legend, new_axes, new_figure

_KINDS = {
    BIFURCATION.border_collision: (RED, "-"),
    BIFURCATION.degenerate_transcritical: (ORANGE, "--"),
    BIFURCATION.degenerate_flip: (PINK, "-."),
    BIFURCATION.center: (GREEN, ":"),
}
_TITLES = {
    "num_cycles": "number of cycles",
    "num_stable_cycles": "number of stable cycles",
    "num_stable": "number of stable cycles",
    "num_undecided": "words not decided",
    "exponent": r"largest exponent $\lambda_1$ (nats per step)",
    "loss": "mean squared error",
    "gradient_norm": r"gradient norm $|\partial L/\partial\theta|$",
}
_COUNTS = ("num_cycles", "num_stable_cycles", "num_stable", "num_undecided")
_BEYOND = "black"
_MOST_COLORS = 10
"""Larger counts share the last color."""
_LOG_RANGE = 100.0
"""Positive numbers that range over more than this factor are drawn on a logarithmic scale."""


def plane(
    scan: ParameterScan,
    what: str,
    curves: Sequence[Any] | None = None,
    period: int | None = None,
    ax=None,
):
    """Draw one result of a scan over two parameters as an image, and return the Axes.

    Counts have one color each, losses and gradient norms a logarithmic scale, signed numbers one
    that is white at 0. Pixels without a number are gray, infinite ones black.

    **Arguments:**

    - `what`: name of the result, such as "num_stable".
    - `curves`: bifurcation curves to draw on top: objects with `points` (N x 2, in values of the
        two axes), `kind` (`BIFURCATION`) and `period`.
    - `period`: which one, of a result per period; by default their sum.
    - `ax`: Axes to draw into.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    if len(scan.axes) != 2:
        raise ValueError("scan: expected one over two parameters; `diagram` draws one over one")
    image, title = _chosen(scan, what, period)
    ax = new_axes() if ax is None else ax
    from matplotlib.patheffects import withStroke

    x, y = scan.axes
    settings, ticks = _coloring(what, image)
    drawn = ax.imshow(
        np.ma.masked_invalid(np.where(np.isposinf(image), np.finfo(float).max, image)).T,
        origin="lower", extent=(*_edges(x.values), *_edges(y.values)), aspect="auto",
        interpolation="nearest", zorder=0, **settings,
    )  # fmt: skip
    ax.set_facecolor("0.85")
    bar = ax.figure.colorbar(drawn, ax=ax, label=title, **ticks)
    if "ticks" in ticks:
        bar.ax.minorticks_off()
    xlim, ylim = ax.get_xlim(), ax.get_ylim()
    for curve_kind, group in _by_kind(curves or ()):
        color, line = _KINDS[curve_kind]
        periods = sorted({int(curve.period) for curve in group})
        label = f"{curve_kind.name.replace('_', ' ')}, k = {', '.join(map(str, periods))}"
        for curve in group:
            ax.plot(
                *np.asarray(curve.points).T, color=color, ls=line, lw=1.6, label=label, zorder=3,
                path_effects=[withStroke(linewidth=3.0, foreground="white")],
            )  # fmt: skip
            label = None
    ax.set(xlim=xlim, ylim=ylim, xlabel=x.label, ylabel=y.label)
    legend(ax, above=True)
    return ax


def diagram(
    scan: ParameterScan,
    state: int = 0,
    branches: Sequence[tuple[Any, Any, Any]] | None = None,
    ax=None,
):
    """Draw the bifurcation diagram of a scan over one parameter, and return the Axes.

    The points of `AttractorOrbit` lie behind, branches of cycles on top: solid where stable, dashed
    elsewhere.

    **Arguments:**

    - `state`: which state to draw, from 0.
    - `branches`: triples (values, states, stable): N parameter values, the state there (N, or
        N x M of which `state` is drawn), and whether it is stable (N).
    - `ax`: Axes to draw into.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    if len(scan.axes) != 1:
        raise ValueError("scan: expected one over a single parameter; `plane` draws one over two")
    if "orbit" not in scan.outputs and not branches:
        raise ValueError("scan: it has no AttractorOrbit, and there are no branches to draw")
    ax = new_axes() if ax is None else ax
    if "orbit" in scan.outputs:
        orbit = scan["orbit"]
        if not 0 <= state < orbit.shape[2]:
            raise ValueError(f"state: expected 0 to {orbit.shape[2] - 1}, got {state}")
        points = np.where(np.isfinite(orbit[:, :, state]), orbit[:, :, state], np.nan)
        values = np.repeat(scan.axes[0].values, orbit.shape[1])
        ax.plot(
            values,
            points.ravel(),
            ls="",
            marker=".",
            ms=1.2,
            mew=0,
            color="0.35",
            rasterized=True,
            zorder=1,
        )
        ax.plot([], [], ls="", marker=".", color="0.35", label="attractor")
    for values, states, stable in branches or ():
        _draw_branch(ax, np.asarray(values), np.asarray(states), np.asarray(stable), state)
    ax.set(xlabel=scan.axes[0].label, ylabel=f"state $z_{{{state + 1}}}$")
    ax.set_xlim(scan.axes[0].start, scan.axes[0].stop)
    legend(ax)
    return ax


def scan(found: ParameterScan, figure=None):
    """Draw all results of a scan side by side, and return the figure.

    **Arguments:** `figure`: one to draw into.
    """
    figure = new_figure() if figure is None else figure
    names = [name for name in found.outputs if name != "coverage"]
    if len(found.axes) == 2:
        names = [name for name in names if name not in ("orbit", "num_stable_cycles")]
    if "num_undecided" in names and not np.nansum(found["num_undecided"]):
        names.remove("num_undecided")
    columns = min(3, max(len(names), 1))
    rows = -(-max(len(names), 1) // columns)
    figure.set_size_inches(4.6 * columns, 3.8 * rows)
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for name, ax in zip(names, panels):
        if len(found.axes) == 2:
            plane(found, name, ax=ax)
        elif name == "orbit":
            diagram(found, ax=ax)
        else:
            _draw_line(ax, found, name)
    for ax in panels[len(names) :]:
        ax.set_axis_off()
    return figure


def _chosen(scan: ParameterScan, what: str, period: int | None) -> tuple[np.ndarray, str]:
    """Return the image of one result over the grid, and what to call it."""
    if what not in scan.outputs:
        raise ValueError(f"what: expected one of {', '.join(scan.outputs)}, got {what!r}")
    dimensions, array = scan.outputs[what], scan[what]
    title = _TITLES.get(what, what)
    if not dimensions:
        return array, title
    if [d.name for d in dimensions] != ["period"]:
        raise ValueError(f"what: {what!r} is no single number per pixel")
    periods = [int(k) for k in dimensions[0].values]
    if period is None:
        return array.sum(axis=-1), f"{title}, k = {_range_text(periods)}"
    if period not in periods:
        raise ValueError(f"period: expected one of {periods}, got {period}")
    return array[..., periods.index(period)], f"{title}, k = {period}"


def _range_text(periods: list[int]) -> str:
    whole = periods == list(range(periods[0], periods[-1] + 1)) and len(periods) > 1
    return f"{periods[0]} to {periods[-1]}" if whole else ", ".join(map(str, periods))


def _coloring(what: str, image: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the colors of an image, and the ticks of its color bar."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, TwoSlopeNorm

    finite = image[np.isfinite(image)]
    if what in _COUNTS:
        most = int(min(finite.max(initial=0), _MOST_COLORS))
        names = colormaps["viridis"](np.linspace(0.0, 1.0, most + 1))
        names = np.concatenate([[[1.0, 1.0, 1.0, 1.0]], names[1:]])
        names = ListedColormap(names).with_extremes(over=names[-1])
        norm = BoundaryNorm(np.arange(most + 2) - 0.5, most + 1)
        more = finite.max(initial=0) > most
        return {"cmap": names, "norm": norm}, {
            "ticks": np.arange(most + 1), "extend": "max" if more else "neither",
        }  # fmt: skip
    extend = {"extend": "max"} if np.isposinf(image).any() else {}
    if finite.size and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min():
        shades = colormaps["viridis"].with_extremes(over=_BEYOND)
        return {"cmap": shades, "norm": LogNorm(finite.min(), finite.max())}, extend
    if finite.size and finite.min() < 0 < finite.max():
        norm = TwoSlopeNorm(0.0, finite.min(), finite.max())
        return {"cmap": colormaps["RdBu_r"].with_extremes(over=_BEYOND), "norm": norm}, extend
    shades = colormaps["viridis"].with_extremes(over=_BEYOND)
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    return {"cmap": shades, "vmin": low, "vmax": high}, extend


def _edges(values: np.ndarray) -> tuple[float, float]:
    """Return the outer borders of pixels whose centers are given."""
    half = 0.5 * (values[1] - values[0]) if len(values) > 1 else 0.5
    return float(values[0] - half), float(values[-1] + half)


def _by_kind(curves: Sequence[Any]):
    """Return the curves of each kind of bifurcation that occurs."""
    groups = [(kind, [c for c in curves if BIFURCATION(c.kind) is kind]) for kind in _KINDS]
    return [(kind, group) for kind, group in groups if group]


def _draw_branch(ax, values, states, stable, state: int) -> None:
    """Draw a branch; a piece between two points is solid where both are stable."""
    line = states[:, state] if states.ndim == 2 else states
    solid = stable.astype(bool)
    both = solid[1:] & solid[:-1]
    dashed = np.append(~both, False) | np.append(False, ~both) | ~solid
    known = {handle.get_label() for handle in ax.lines}
    for shown, style, text in ((solid, "-", "stable"), (dashed, "--", "not stable")):
        if shown.any():
            label = None if text in known else text
            color = BLUE if text == "stable" else RED
            part = np.where(shown, line, np.nan)
            ax.plot(values, part, color=color, ls=style, lw=1.3, zorder=3, label=label)


def _draw_line(ax, found: ParameterScan, name: str) -> None:
    """Draw a result over one parameter."""
    image, title = _chosen(found, name, None)
    finite = image[np.isfinite(image)]
    style = {"drawstyle": "steps-mid"} if name in _COUNTS else {}
    ax.plot(found.axes[0].values, np.where(np.isfinite(image), image, np.nan), color=BLUE, **style)
    if finite.size and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min():
        ax.set_yscale("log")
    ax.set(xlabel=found.axes[0].label, ylabel=title)
