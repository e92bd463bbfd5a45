"""Plots of basins of attraction."""

import numpy as np

from .._results import ATTRACTOR
from ..attractors import AttractorSet, Basins
from ._common import BLUE, GREEN, ORANGE, PINK, RED, new_axes

_COLORS = (BLUE, ORANGE, GREEN, PINK, "#56B4E9", "#F0E442", RED)
"""One per attractor, in turn; the last ones of Okabe and Ito's palette stand apart from these."""
_PALE = 0.5
"""Share of white in a basin's color, so that the attractor is seen on it."""
_MARKERS = "osD^vP*"


def basins(found: Basins, ax=None):
    """Draw basins of attraction, one color each, the attractors on top; return the Axes.

    Cycles are drawn as markers, fixed points larger, other attractors as a stretch of an orbit. The
    legend tells what each is and its share of the grid. Attractors are projected on the plane of
    the grid: with more than two states they need not lie in it.

    **Arguments:** `found`: what `basins` returned; `ax`: Axes to draw into, by default new ones.

    **Raises:** `ValueError` for anything else; `ImportError` without matplotlib.
    """
    if not isinstance(found, Basins):
        raise ValueError(f"found: expected Basins, got {type(found).__name__}")
    ax = new_axes() if ax is None else ax
    from matplotlib.colors import to_rgb

    table, x, y = found.attractors, found.x, found.y
    colors = np.array([to_rgb(color) for color in _colors(table)] + [(1.0, 1.0, 1.0)])
    pale = _PALE + (1 - _PALE) * colors  # the last row, white, is label -1
    ax.imshow(
        pale[found.image], origin="lower", extent=(*_edges(x), *_edges(y)), aspect="auto",
        interpolation="nearest", zorder=0,
    )  # fmt: skip
    xlim, ylim = ax.get_xlim(), ax.get_ylim()
    for row in range(len(table)):
        _draw_attractor(ax, table, row, found.axes, colors[row])
    ax.set(xlim=xlim, ylim=ylim)
    ax.set_xlabel(f"state $z_{{{found.axes[0] + 1}}}$")
    ax.set_ylabel(f"state $z_{{{found.axes[1] + 1}}}$")
    _legend(ax, table, colors, pale)
    return ax


def _colors(table: AttractorSet) -> list[str]:
    names, number = [], 0
    plain_ones = {ATTRACTOR.diverged: "0.25", ATTRACTOR.undecided: "0.62"}
    for row in range(len(table)):
        plain = plain_ones.get(ATTRACTOR(table.kind[row]))
        names.append(plain or _COLORS[number % len(_COLORS)])
        number += plain is None
    return names


def _edges(values: np.ndarray) -> tuple[float, float]:
    """Return the outer borders of pixels whose centers are given."""
    half = 0.5 * (values[1] - values[0])
    return float(values[0] - half), float(values[-1] + half)


def _draw_attractor(ax, table: AttractorSet, row: int, axes: tuple[int, int], color) -> None:
    points = table.orbit(row)[:, list(axes)].T
    if not points.shape[1]:
        return
    if table.kind[row] == ATTRACTOR.cycle:
        ax.scatter(
            *points, s=70 if table.period[row] == 1 else 30, marker=_MARKERS[row % len(_MARKERS)],
            color=[color], edgecolors="black", linewidths=0.8, zorder=3,
        )  # fmt: skip
    else:
        ax.plot(*points, ls="", marker=".", ms=2.5, color=0.6 * np.asarray(color), zorder=2)


def _legend(ax, table: AttractorSet, colors: np.ndarray, pale: np.ndarray) -> None:
    """Name the attractors: a patch of the basin's color, and on it the attractor's marker."""
    from matplotlib.lines import Line2D

    handles = []
    for row in range(min(len(table), 12)):
        cycle = table.kind[row] == ATTRACTOR.cycle
        drawn = len(table.orbit(row)) > 0
        marker = _MARKERS[row % len(_MARKERS)] if cycle else "." if drawn else ""
        handles.append(
            Line2D(
                [],
                [],
                color=pale[row],
                lw=9,
                solid_capstyle="butt",
                marker=marker,
                ms=6,
                mfc=colors[row] if cycle else 0.6 * colors[row],
                mec="black" if cycle else "none",
                label=f"{table.name(row)}, {100 * table.share[row]:.1f} %",
            )  # fmt: skip
        )
    more = len(table) - len(handles)
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize="small",
        title=f"{more} more are not named" if more else None,
    )  # fmt: skip
