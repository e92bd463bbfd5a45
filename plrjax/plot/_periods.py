"""How periods and stability of cycles are told by color and marker, and how many there are."""

from typing import Any

import numpy as np

from .._results import STABILITY
from ..cycles._cycle_set import CycleSet
from ._common import legend, new_axes

STYLES = {
    STABILITY.stable: ("o", "black", "oo"),
    STABILITY.saddle: ("^", "white", ""),
    STABILITY.unstable: ("s", "white", "xx"),
    STABILITY.nonhyperbolic: ("D", "white", ".."),
    STABILITY.undecided: ("X", "white", "--"),
}
"""Marker, its edge, and hatching of bars. Color tells the period."""
NEUTRAL = "0.45"


def cycles_per_period(cycle_set: CycleSet, ax=None):
    """Draw the number of cycles per minimal period, stacked by stability; return the Axes."""
    from matplotlib.ticker import MaxNLocator

    ax = new_axes(2) if ax is None else ax
    periods = np.array(list(cycle_set.counts()), int)
    bottom = np.zeros(len(periods), int)
    colors = period_colors(cycle_set)
    for code, (_, _, hatch) in STYLES.items():
        here = cycle_set.period[cycle_set.is_isolated & (cycle_set.stability == code)]
        height = np.array([np.count_nonzero(here == k) for k in periods], int)
        if height.any():
            ax.bar(
                periods, height, bottom=bottom, width=0.8, hatch=hatch, edgecolor="white",
                color=[colors.get(int(k), NEUTRAL) for k in periods], linewidth=0.5,
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
            handle.set_facecolor(NEUTRAL)
    return ax


def period_colors(cycle_set: CycleSet) -> dict[int, tuple[float, float, float, float]]:
    """Return a color per period, from dark to light as periods grow.

    The map rises in lightness, so that it reads without color too.
    """
    from matplotlib import colormaps

    periods = np.unique(cycle_set.period).tolist()
    places = np.linspace(0.0, 0.9, max(len(periods), 2))  # the lightest colors are hard to see
    return {period: colormaps["plasma"](place) for period, place in zip(periods, places)}
