"""The figure of the complete search: nodes, seconds, and the race against heuristics."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#009E73", "#D55E00")
"""One for each number of units, and for each heuristic (Okabe and Ito 2008)."""


def plot(rows: list[Any], growths: list[Any], races: list[Any]) -> Figure:
    """Draw three panels from the results of `benchmarks.complete`."""
    figure = Figure(figsize=(8.7, 9.0), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    _nodes(figure.add_subplot(grid[0, 0]), rows, growths)
    _seconds(figure.add_subplot(grid[0, 1]), growths)
    _race(figure.add_subplot(grid[1, :]), races)
    return figure


def _name(axes, title: str, rows: int, columns: int) -> None:
    """Put a title, and below it a legend of so many rows, above the panel."""
    axes.set_title(title, fontsize=11, loc="left", pad=6 + 15.5 * rows)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=columns, frameon=False,
                fontsize=9.5, columnspacing=1.0, handletextpad=0.5)  # fmt: skip


def _nodes(axes, rows, growths) -> None:
    bits = np.array([0.0, 60.0])
    axes.plot(bits, 2.0**bits, "k:", lw=1, label="every itinerary")
    for color, found in zip(COLORS, growths):
        bits = [found.units * period for period in found.periods]
        axes.plot(bits, found.nodes, ".-", color=color, label=f"random, {found.name}")
    planes = [row for row in rows if row.name.startswith("2-D")]
    if planes:
        at = [row.units * row.longest for row in planes]
        axes.plot(at, [row.nodes for row in planes], "ks", ms=4, label="2-D, long cycles")
    axes.set(yscale="log", ylim=(20, 1e7), xlim=(0, 170))
    axes.set(xlabel="bits of the longest word, $M k$", ylabel="nodes, all periods up to $k$")
    _name(axes, "Nodes against $2^{M k}$", 3, 2)
    axes.grid(alpha=0.25)


def _seconds(axes, growths) -> None:
    for color, found in zip(COLORS, growths):
        axes.plot(found.periods, found.seconds, ".-", color=color, label=f"{found.name}, complete")
        axes.plot(
            found.periods,
            found.enumerated,
            "x--",
            color=color,
            lw=1,
            label=f"{found.name}, enumerated",
        )
    axes.set(yscale="log", xlabel="longest period $K$", ylabel="CPU seconds, all periods up to $K$")
    _name(axes, "Seconds against $K$", 3, 2)
    axes.grid(alpha=0.25)


def _race(axes, races) -> None:
    """Draw dots for single runs; runs given up are crosses at the limit."""
    if not races:
        return
    names = list(races[0].heuristics)
    for place, race in enumerate(races):
        axes.plot([place - 0.4, place + 0.4], [race.complete] * 2, "k-", lw=2,
                  label="complete, all periods" if place == 0 else None)  # fmt: skip
        for shift, (color, name) in enumerate(zip(COLORS, names)):
            times = np.array(race.heuristics[name], float)
            spread = np.linspace(-0.07, 0.07, len(times)) if len(times) > 1 else np.zeros(1)
            at = place + 0.25 * (shift - 1) + spread
            lost = np.isnan(times)
            label = name if place == 0 else None
            axes.plot(at[~lost], times[~lost], "o", ms=4, color=color, label=label)
            axes.plot(at[lost], np.full(lost.sum(), race.limit), "x", ms=6, color=color)
    axes.plot([], [], "kx", label="given up, some missing")
    parts = [race.name.removeprefix("random ").split(", ") for race in races]
    texts = [f"{p[0]}\n{p[-1]}\n{race.cycles} cycles" for p, race in zip(parts, races)]
    axes.set_xticks(range(len(races)), texts)
    axes.set(yscale="log", ylabel="CPU seconds until all $k$-cycles are known")
    _name(axes, "Complete against heuristics", 2, 3)
    axes.grid(alpha=0.25, axis="y")
