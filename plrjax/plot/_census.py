"""The picture of a census: what was found, network by network."""

from typing import Any

import numpy as np

from .._census import Census
from ._common import legend, new_figure

_MAX_PANELS = 6
_NO_CYCLE = "0.93"
_FEW = 8
"""Up to so many cycles have one color each."""


def census(found: Census, figure=None):
    """Draw a census, one network beside the other, and return the matplotlib Figure.

    Of cycles: how many there are of each period, and how many of these are stable. Of spectra: the
    exponents with twice their standard errors. Of other functions: each column of numbers. Networks
    that failed, or are not done, leave a gap.

    **Arguments:** `found`: what `census` returned; `figure`: to draw into, by default a new one.

    **Raises:** `ValueError` where no row holds numbers; `ImportError` without matplotlib.
    """
    figure = new_figure() if figure is None else figure
    names = found.columns
    if any(name.startswith("cycles_") for name in names):
        _draw_cycles(found, figure)
    elif "exponent_1" in names:
        _draw_exponents(found, figure)
    else:
        _draw_columns(found, figure)
    return figure


def _column(found: Census, name: str) -> np.ndarray:
    """Return a column by number of the network, NaN where there is nothing."""
    values = np.full(len(found), np.nan)
    for row in found.rows:
        if isinstance(value := row.get(name), int | float):
            values[row["number"]] = value
    return values


def _draw_cycles(found: Census, figure) -> None:
    from matplotlib.ticker import ScalarFormatter

    periods = [int(n.removeprefix("cycles_")) for n in found.columns if n.startswith("cycles_")]
    figure.set_size_inches(8, 5)
    panels: Any = figure.subplots(2, 1, sharex=True)
    largest = max(2.0, *(np.nanmax(_column(found, f"cycles_{k}")) for k in periods))
    look = _coloring(largest)
    image = None
    for ax, what, title in zip(panels, ("cycles", "stable"), ("all cycles", "stable ones")):
        counts = np.stack([_column(found, f"{what}_{k}") for k in periods])
        shown = np.ma.masked_invalid(np.where(counts == 0, np.nan, counts))
        edges = np.arange(len(found) + 1) - 0.5
        rows = np.arange(len(periods) + 1) - 0.5
        ax.set_facecolor(_NO_CYCLE)
        image = ax.pcolormesh(edges, rows, shown, **look)
        for number in np.flatnonzero(np.isnan(counts).all(axis=0)):
            ax.axvspan(number - 0.5, number + 0.5, color="white")
        ax.set_yticks(range(len(periods)), [str(k) for k in periods])
        ax.set_ylabel("period")
        ax.set_title(title, fontsize="medium", loc="left")
    panels[-1].set_xlabel(_label(found))
    bar = figure.colorbar(image, ax=panels, label="cycles (grey: none)")
    every = range(1, _FEW + 1) if largest <= _FEW else (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    bar.set_ticks([n for n in every if n <= largest])
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter(ScalarFormatter())


def _coloring(largest: float) -> dict[str, Any]:
    """Return a color for each number of cycles where they are few, and else a logarithmic scale."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm

    if largest > _FEW:
        return {"norm": LogNorm(1, largest), "cmap": "viridis_r"}
    number = int(largest)
    names = ListedColormap(colormaps["viridis_r"](np.linspace(0.0, 1.0, number)))
    return {"norm": BoundaryNorm(np.arange(number + 1) + 0.5, number), "cmap": names}


def _draw_exponents(found: Census, figure) -> None:
    count = sum(name.startswith("exponent_") for name in found.columns)
    ax = figure.subplots()
    places = np.arange(len(found))
    for number in range(1, count + 1):
        values, errors = (_column(found, f"{what}_{number}") for what in ("exponent", "error"))
        finite = np.isfinite(values)
        ax.errorbar(places[finite], values[finite], 2 * errors[finite], fmt=".", markersize=4,
                    color=f"C{(number - 1) % 10}", label=f"exponent {number}")  # fmt: skip
    ax.axhline(0.0, color="0.6", linewidth=0.8)
    ax.set_xlabel(_label(found))
    ax.set_ylabel("Lyapunov exponent (nats per step)")
    legend(ax)


def _draw_columns(found: Census, figure) -> None:
    known = {"number", "seconds", *(n for row in found.rows for n in ("network", "error"))}
    numbers = {n: _column(found, n) for n in found.columns if n not in known}
    drawn = [(n, values) for n, values in numbers.items() if np.isfinite(values).any()]
    if not drawn:
        raise ValueError("found: expected numbers in its rows, got none")
    drawn = drawn[:_MAX_PANELS]
    figure.set_size_inches(7, 1.2 + 1.6 * len(drawn))
    panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (name, values) in zip(panels, drawn):
        ax.plot(values, ".", color="C0")
        ax.set_ylabel(name.replace("_", " "))
    panels[-1].set_xlabel(_label(found))


def _label(found: Census) -> str:
    return f"network ({found.num_failed} failed)" if found.num_failed else "network"
