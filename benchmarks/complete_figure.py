"""The figure of the complete search: nodes, seconds, and the race against heuristics."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#009E73", "#D55E00")
"""One for each number of units, and for each heuristic (Okabe and Ito 2008)."""


def plot(rows: list[Any], growths: list[Any], races: list[Any]) -> Figure:
    """Draw three panels from the results of `benchmarks.complete`."""
    figure = Figure(figsize=(11.5, 4.0), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    _nodes(panels[0], rows, growths)
    _seconds(panels[1], growths)
    _race(panels[2], races)
    return figure


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
    axes.set_title("nodes against $2^{M k}$", fontsize=10)
    axes.legend(fontsize=7.5, loc="upper right")
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
    axes.set_title("seconds against $K$", fontsize=10)
    axes.set_ylim(bottom=1e-3)
    axes.legend(fontsize=7.5, loc="lower right")
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
    axes.set_xticks(range(len(races)), texts, fontsize=7.5)
    axes.set(yscale="log", ylabel="CPU seconds until all $k$-cycles are known")
    axes.set_title("complete against heuristics", fontsize=10)
    low, high = axes.get_ylim()
    axes.set_ylim(low, 20 * high)
    axes.legend(fontsize=7.5, loc="upper left", ncols=2)
    axes.grid(alpha=0.25, axis="y")
