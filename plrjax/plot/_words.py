"""Plots of symbolic dynamics: the graph of regions, and the entropy of their words."""

import numpy as np

from .._arguments import check_kind
from .._lyapunov import LyapunovSpectrum
from ..attractors import SymbolicDynamics
from ._common import BLUE, ORANGE, RED, legend, new_axes

_MOST_NODES = 24
"""Of more regions the most visited are drawn."""
_NODE, _EDGE = 1_400.0, 5.0
"""Area of a node that is always visited, and width of an edge that is always taken (points)."""
_LOOP = 0.12
"""Radius of a loop; the regions' circle has 1."""


def word_graph(found: SymbolicDynamics, ax=None):
    """Draw the regions that an orbit visits and the transitions between them; return the Axes.

    Regions are numbered by how often they are visited, and stand on a circle in this order; areas
    and widths of arrows tell how often. A loop beside a region is an orbit that stays there. Of
    more than 24 regions, the 24 most visited are drawn, and the title says so.

    **Raises:** `ValueError` for anything else; `ImportError` without matplotlib.
    """
    check_kind("found", found, SymbolicDynamics, "SymbolicDynamics")
    ax = new_axes(size=(5.6, 5.2)) if ax is None else ax
    number = min(len(found), _MOST_NODES)
    angle = np.pi / 2 - 2 * np.pi * np.arange(number) / max(number, 1)
    place = np.column_stack([np.cos(angle), np.sin(angle)]) * (number > 1)
    share = found.visits / max(1, found.visits.sum())
    area = np.maximum(_NODE * share[:number], 140.0 if number <= 15 else 110.0)
    source, target, count = found.transitions
    for a, b, times in zip(source.tolist(), target.tolist(), count.tolist()):
        if max(a, b) < number:
            width = max(0.5, _EDGE * np.sqrt(times / count.sum()))
            _draw_edge(ax, place, area, a, b, width)
    ax.scatter(*place.T, s=area, color=BLUE, edgecolors="white", linewidths=0.8, zorder=3)
    for region, point in enumerate(place):
        size = 8 if number <= 15 else 7
        ax.annotate(str(region), point, color="white", ha="center", va="center", fontsize=size,
                    zorder=4)  # fmt: skip
    ax.set(xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal")
    ax.set_axis_off()
    if number < len(found):
        ax.set_title(f"the {number} most visited of {len(found)} regions", fontsize="medium")
    return ax


def _draw_edge(ax, place: np.ndarray, area: np.ndarray, a: int, b: int, width: float) -> None:
    """Draw a curved arrow, or a ring outside the circle for an orbit that stays."""
    style = dict(arrowstyle="-|>", color="0.45", lw=width, mutation_scale=7 + 1.5 * width)
    style |= dict(connectionstyle="arc3,rad=0.15")
    reach = 0.5 * np.sqrt(area)
    if a == b:
        from matplotlib.patches import Circle

        way = place[a] if place[a].any() else np.array([0.0, 1.0])
        ax.add_patch(
            Circle(place[a] + _LOOP * way, _LOOP, fill=False, ec="0.45", lw=width, zorder=2)
        )
        return
    style |= dict(shrinkA=reach[a], shrinkB=reach[b])
    ax.annotate("", place[b], place[a], arrowprops=style, zorder=2)


def word_entropies(found: SymbolicDynamics, spectrum: LyapunovSpectrum | None = None, ax=None):
    """Draw what a longer word adds, entropy and numbers, against its length; return the Axes.

    Lengths of which more than 1 % of the orbit is in words met once are drawn open: they
    underestimate. The dashed line is the sum of the positive exponents of a `spectrum`.

    **Raises:** `ValueError` for anything else; `ImportError` without matplotlib.
    """
    from matplotlib.ticker import MaxNLocator

    check_kind("found", found, SymbolicDynamics, "SymbolicDynamics")
    check_kind("spectrum", spectrum, LyapunovSpectrum, "a LyapunovSpectrum")
    ax = new_axes() if ax is None else ax
    length = np.arange(1, len(found.num_words) + 1)[1:]
    growth, rate, error = found.growth[1:], found.rate[1:], found.rate_error[1:]
    known = length <= found.entropy[2]
    ax.plot(length, growth, color=ORANGE, marker="s", ms=4, lw=1.0, ls="--",
            label="growth of words")  # fmt: skip
    ax.errorbar(length, rate, yerr=error, color=BLUE, lw=1.2, capsize=2)
    for which, fill in ((known, BLUE), (~known, "white")):
        if which.any():
            text = "entropy rate" + ("" if fill == BLUE else ", too few data")
            ax.plot(length[which], rate[which], ls="", marker="o", ms=5, mfc=fill, mec=BLUE,
                    label=text, zorder=3)  # fmt: skip
    if spectrum is not None:
        total = spectrum.entropy_sum
        ax.axhline(total, color=RED, ls=":", lw=1.4, label=f"positive exponents: {total:.3g}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    ax.set(xlabel="length of words (steps)", ylabel="nats per step")
    legend(ax)
    return ax
