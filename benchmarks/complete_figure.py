"""The figure of the complete search: nodes, seconds, and the race against heuristics."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

UNITS = (("#0072B2", "o"), ("#009E73", "^"), ("#D55E00", "D"))
"""Color (Okabe and Ito 2008) and mark for each number of units."""
HEURISTICS = (("#CC79A7", "o"), ("#E69F00", "s"), ("#56B4E9", "^"))
"""The same for each heuristic: other colors, as they are no numbers of units."""


def plot(rows: list[Any], growths: list[Any], races: list[Any]) -> Figure:
    """Draw three panels from the results of `benchmarks.complete`."""
    figure = Figure(figsize=(8.7, 9.0), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    _nodes(figure.add_subplot(grid[0, 0]), rows, growths)
    _seconds(figure.add_subplot(grid[0, 1]), growths)
    _race(figure.add_subplot(grid[1, :]), races)
    return figure


def _name(axes, title: str, columns: int) -> None:
    """Put a title, and a legend under it, above the panel."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False,
                columnspacing=1.2, handletextpad=0.5, borderaxespad=0.2, title=title,
                title_fontsize=11, alignment="left")  # fmt: skip


def _nodes(axes, rows, growths) -> None:
    bits = np.array([0.0, 60.0])
    axes.plot(bits, 2.0**bits, "k:", lw=1, label="every itinerary")
    for (color, mark), found in zip(UNITS, growths):
        bits = [found.units * period for period in found.periods]
        axes.plot(bits, found.nodes, mark, ls="-", color=color, ms=4,
                  label=f"random, {found.name}")  # fmt: skip
    planes = [row for row in rows if row.name.startswith("2-D")]
    if planes:
        at = [row.units * row.longest for row in planes]
        axes.plot(at, [row.nodes for row in planes], "ks", ms=5, label="2-D, long cycles")
    axes.set(yscale="log", ylim=(20, 1e7), xlim=(0, 170))
    axes.set(xlabel="bits of the longest word, $M k$", ylabel="nodes, all periods up to $k$")
    _name(axes, "Nodes against $2^{M k}$", 2)
    axes.grid(alpha=0.25)


def _seconds(axes, growths) -> None:
    for (color, mark), found in zip(UNITS, growths):
        axes.plot(found.periods, found.seconds, mark, ls="-", color=color, ms=4,
                  label=f"{found.name}, complete")  # fmt: skip
        axes.plot(found.periods, found.enumerated, mark, ls="--", color=color, ms=5, mfc="white",
                  lw=1, label=f"{found.name}, enumerated")  # fmt: skip
    axes.set(yscale="log", xlabel="longest period $K$", ylabel="CPU seconds, all periods up to $K$")
    _name(axes, "Seconds against $K$", 2)
    axes.grid(alpha=0.25)


def _race(axes, races) -> None:
    """Draw marks for single runs; those of runs given up are hollow, at the limit."""
    if not races:
        return
    names = list(races[0].heuristics)
    for place, race in enumerate(races):
        axes.plot([place - 0.44, place + 0.44], [race.complete] * 2, "k-", lw=2,
                  label="complete, all periods" if place == 0 else None)  # fmt: skip
        for shift, ((color, mark), name) in enumerate(zip(HEURISTICS, names)):
            times = np.array(race.heuristics[name], float)
            spread = np.linspace(-0.11, 0.11, len(times)) if len(times) > 1 else np.zeros(1)
            at = place + 0.29 * (shift - 1) + spread
            lost = np.isnan(times)
            label = name if place == 0 else None
            axes.plot(at[~lost], times[~lost], mark, ms=6, mec="w", mew=0.6, color=color,
                      label=label)  # fmt: skip
            axes.plot(at[lost], np.full(lost.sum(), race.limit), mark, ms=5, mfc="w",
                      color=color)  # fmt: skip
    axes.plot([], [], "o", ms=5, mfc="none", color="0.3", label="hollow: given up, some missing")
    parts = [race.name.split(", ") for race in races]
    texts = [f"{p[0]}\n{p[-1]}\n{race.cycles} cycles" for p, race in zip(parts, races)]
    axes.set_xticks(range(len(races)), texts)
    axes.set(yscale="log", ylabel="CPU seconds until all $k$-cycles are known")
    _name(axes, "Complete against heuristics", 3)
    axes.grid(alpha=0.25, axis="y")
