"""Plots of what a search spent on what, and what that brought."""

import numpy as np

from ..cycles._cycle_set import CycleSet
from ..cycles._work import Piece, pieces_of
from ._common import BLUE, GREEN, ORANGE, PINK, RED, legend, new_axes

_COLORS = (BLUE, ORANGE, GREEN, RED, PINK, "0.45")


def course(cycles: CycleSet, ax=None):
    """Draw the cycles known against the seconds spent, colored by solver; return the Axes.

    A step up is what a solver found, a level stretch what it cost to find nothing; the legend has
    the seconds of each solver and how many cycles it was the first to find. Where a curve still
    climbs at its end, more is to be found.

    **Arguments:** `cycles`: what `find_cycles` returned; `ax`: Axes to draw into.

    **Raises:** `ValueError` for cycles of no search; `ImportError` without matplotlib.
    """
    pieces = list(pieces_of(cycles.stats.get("work", {})))
    if not pieces:
        raise ValueError("cycles: expected the result of find_cycles, got one without its course")
    ax = new_axes() if ax is None else ax
    colors = {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(cycles.effort())}
    for name, (seconds, news) in cycles.effort().items():
        label = f"{name}: {seconds:.2g} s, {news} new"
        ax.plot([], [], color=colors[name], lw=3, label=label)
    known = 0
    for piece in pieces:
        _draw(ax, piece, known, colors[piece.solver])
        known += piece.news
    _mark_periods(ax, pieces)
    ax.set(xlabel="seconds", ylabel="cycles known", xlim=(0, None), ylim=(0, None))
    legend(ax)
    return ax


def _draw(ax, piece: Piece, known: int, color) -> None:
    """Draw one piece of work: level while it goes on, and up at its end."""
    begin = piece.end - piece.seconds
    ax.plot([begin, piece.end], [known, known], color=color, lw=2, solid_capstyle="butt")
    ax.plot([piece.end] * 2, [known, known + piece.news], color=color, lw=2)


def _mark_periods(ax, pieces: list[Piece]) -> None:
    """Name the periods along the upper edge, where there is room."""
    total = pieces[-1].end
    begin = np.array([piece.end - piece.seconds for piece in pieces])
    period = np.array([piece.period for piece in pieces])
    last = -np.inf
    for row in np.flatnonzero(np.diff(period, prepend=-1)):
        if begin[row] - last < total / 30:
            continue
        last = begin[row]
        ax.axvline(last, color="0.85", lw=0.6, zorder=0)
        ax.annotate(
            str(period[row]), (last, 1.0), xycoords=ax.get_xaxis_transform(), fontsize="x-small",
            color="0.4", ha="left", va="bottom",
        )  # fmt: skip
    ax.set_title("period searched", fontsize="x-small", color="0.4", loc="left", pad=12)
