"""Plots of what a trained network generates, beside the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arguments import checked_positive, checked_whole
from .._numerics import is_whole
from ..metrics import power_spectrum_error
from ..metrics._power import _centered, _spectra, checked_smoothing, fewest_rows
from ..metrics._series import checked_pair
from ._common import BLUE, ORANGE, legend, new_figure
from ._training import _BINS, _extremes

_BEYOND = 0.25
"""Panels of attractors end at most so many extents of the data beyond the data."""
_DECADES = 8.0
"""Spectra are drawn down to so many decades below the highest peak: D_H does not see the rest."""
_TRUE = dict(color=BLUE, ls="-")
_GENERATED = dict(color=ORANGE, ls="--")


def attractor(
    true: Any,
    generated: Any,
    axes: Any = None,
    ax: Any = None,
    points: bool = False,
    num_steps: int = 10_000,
):
    """Draw a true and a generated orbit in state space, and return the Axes as an array.

    By default two panels of equal limits stand side by side. They end at most a quarter of the
    data's extent beyond the data. What lies outside is left out, and the title or legend says which
    share that is, and when an orbit was not finite any more.

    **Arguments:**

    - `true`, `generated`: orbits (time, variable), any number of rows.
    - `axes`: the columns to draw, two of them or three (3-D); by default the first three.
    - `ax`: two Axes, one for each, or one Axes for both; by default a new figure.
    - `points`: draw points, as suits maps, in place of lines, as suit flows.
    - `num_steps`: rows to draw at most, from the first.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    data, orbit = _checked_orbits(true, generated, checked_whole("num_steps", num_steps, 2))
    columns = data.shape[1]
    if columns < 2:
        raise ValueError("true: expected at least two columns (see plr.systems.embed), got 1")
    axes = _checked_columns("axes", range(min(3, columns)) if axes is None else axes, columns)
    if len(axes) not in (2, 3):
        raise ValueError(f"axes: expected two or three columns, got {axes}")
    projection = "3d" if len(axes) == 3 else None
    found = _panels(ax, (1, 2), (9.0, 4.4), (1, 2), subplot_kw={"projection": projection})
    if len(axes) == 3 and ax is None:
        for place in found:
            place.set_box_aspect(None, zoom=0.92)  # labels of 3-D Axes have no room of their own
    if any((one.name == "3d") != (len(axes) == 3) for one in found):
        raise ValueError(f"ax: expected {len(axes)}-D Axes for {len(axes)} columns, got {ax!r}")
    limits = _limits(data[:, axes], orbit[:, axes])
    both = ((found[0], data, _TRUE, "true"), (found[-1], orbit, _GENERATED, "generated"))
    for place, series, style, name in both:
        rows, text = _inside(series[:, axes], limits)
        if points:
            style = style | dict(ls="", marker="o" if name == "true" else "x", ms=1.2, mew=0.4)
        elif len(found) == 2:
            style = style | dict(ls="-")
        place.plot(*rows.T, lw=0.6, alpha=0.85, label=name + text, **style)
        if len(found) == 2:
            place.set_title(name + text)
    for place in found:
        for letter, column, (low, high) in zip("xyz", axes, limits):
            place.set(**{f"{letter}lim": (low, high), f"{letter}label": _variable(column)})
    drawn = legend(found[0]) if len(found) == 1 else None
    for handle in drawn.legend_handles if drawn and points else []:
        handle.set_markersize(5)
    return found


def time_series(
    true: Any,
    generated: Any,
    num_steps: int = 500,
    dt: float | int | None = None,
    dimensions: Any = None,
    ax: Any = None,
):
    """Draw a true and a generated series against time, one panel each; return the Axes as an array.

    **Arguments:**

    - `true`, `generated`: series (time, variable) that begin at the same time.
    - `num_steps`: rows to draw, from the first.
    - `dt`: duration of a step; by default time is counted in steps.
    - `dimensions`: the columns to draw, from 0; by default the first three.
    - `ax`: as many Axes as columns to draw; by default a new figure.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    data, orbit = _checked_orbits(true, generated, checked_whole("num_steps", num_steps, 2))
    step = 1.0 if dt is None else checked_positive("dt", dt)
    chosen = range(min(3, data.shape[1])) if dimensions is None else dimensions
    chosen = _checked_columns("dimensions", chosen, data.shape[1])
    number = len(chosen)
    size = (8.0, 0.7 + 1.3 * number)
    found = _panels(ax, (number,), size, (number, 1), sharex=True)
    for place, column in zip(found, chosen):
        for series, style, name in ((data, _TRUE, "true"), (orbit, _GENERATED, "generated")):
            values = series[:, column]
            place.plot(step * np.arange(len(values)), values, lw=1.2, label=name, **style)
        place.set_ylabel(_variable(column))
        place.margins(x=0.01)
    found[-1].set_xlabel("step" if dt is None else "time")
    found[0].legend(
        fontsize="small", ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False
    )
    return found


def power_spectra(
    true: Any,
    generated: Any,
    dt: float | int | None = None,
    dimensions: Any = None,
    smoothing: float | int = 20,
    ax: Any = None,
):
    """Draw the power spectra that D_H compares, a panel per dimension; return the Axes as an array.

    They are those of `metrics.power_spectrum_error`: z-scored, smoothed, of sum 1. Titles give the
    D_H of each dimension. Both axes are logarithmic (frequency 0 is left out); of long spectra the
    extremes of 1000 frequency bands are drawn.

    **Arguments:**

    - `true`, `generated`: series (time, variable); of the longer one, the first rows are taken.
    - `dt`: duration of a step; by default frequencies are in cycles per step.
    - `dimensions`: the columns to draw, from 0; by default the first six.
    - `smoothing`: as in `metrics.power_spectrum_error`.
    - `ax`: as many Axes as columns to draw; by default a new figure.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    smoothing = checked_smoothing(smoothing)
    step = 1.0 if dt is None else checked_positive("dt", dt)
    data, orbit = checked_pair(true, generated, fewest_rows(smoothing))
    length = min(len(data), len(np.asarray(generated)))
    chosen = range(min(6, data.shape[1])) if dimensions is None else dimensions
    chosen = _checked_columns("dimensions", chosen, data.shape[1])
    for column in chosen:
        if not np.ptp(data[:length, column]):
            raise ValueError(f"true: expected columns that vary, column {column} is constant")
    wide = min(3, len(chosen))
    high = -(-len(chosen) // wide)
    size = (2.0 + 3.2 * wide, 0.6 + 2.9 * high)
    found = _panels(ax, (len(chosen),), size, (high, wide), sharex=True, sharey=True)
    for place, column in zip(found, chosen):
        pair = (data[:length, [column]], None if orbit is None else orbit[:length, [column]])
        text = _draw_spectra(place, *pair, step, smoothing)
        place.set_title(f"{_variable(column)}: {text}", fontsize="medium")
    for number, place in enumerate(found):
        if ax is not None or number + wide >= len(found):
            place.set_xlabel(f"frequency (cycles per {'step' if dt is None else 'time unit'})")
            place.tick_params(labelbottom=True)
        low, high = place.get_ylim()
        place.set_ylim(bottom=max(low, high * 10.0**-_DECADES))
        place.set_ylabel("" if number % wide else "share of power per bin")
    legend(found[wide - 1])
    return found


def _draw_spectra(ax, data: np.ndarray, orbit: Any, step: float, smoothing: float) -> str:
    """Draw the spectra of one dimension, and return what D_H says of them."""
    text = "generated is not finite"
    if orbit is not None:
        error = power_spectrum_error(data, orbit, smoothing)
        text = f"$D_H$ = {error:.3g}"
        if error == 1.0:
            orbit, text = None, text + ", generated stands still"
    frequencies = np.fft.rfftfreq(len(data), step)
    edges = np.unique(np.geomspace(1, len(frequencies), _BINS + 1).round().astype(int))
    for series, style, name in ((data, _TRUE, "true"), (orbit, _GENERATED, "generated")):
        if series is not None:
            power = _spectra(_centered(series)[0], smoothing)[:, 0]
            shown = _extremes(power, edges)
            ax.plot(frequencies[shown], power[shown], lw=1.2, label=name, **style)
    ax.set(xscale="log", yscale="log")
    return text


def _limits(data: np.ndarray, orbit: np.ndarray) -> list[tuple[float, float]]:
    """Return the limits of each axis: all of the data, and of the orbit what is not far away."""
    low, high = data.min(axis=0), data.max(axis=0)
    extent = np.where(high > low, high - low, 1.0)
    far = _BEYOND * extent
    near = np.where((orbit >= low - far) & (orbit <= high + far), orbit, np.nan)
    low, high = np.fmin(low, np.fmin.reduce(near)), np.fmax(high, np.fmax.reduce(near))
    return [(float(a), float(b)) for a, b in zip(low - 0.04 * extent, high + 0.04 * extent)]


def _inside(rows: np.ndarray, limits: list[tuple[float, float]]) -> tuple[np.ndarray, str]:
    """Return the rows with those outside NaN, and what to say of them and of others not finite."""
    low, high = np.transpose(limits)
    finite = np.isfinite(rows).all(axis=1)
    kept = ((rows >= low) & (rows <= high)).all(axis=1)
    facts = []
    if not kept[finite].all():
        facts.append(f"{100 * (1 - kept[finite].mean()):.2g} % outside")
    if not finite.all():
        facts.append(f"not finite after {int(finite.sum())} steps")
    return np.where(kept[:, None], rows, np.nan), f" ({', '.join(facts)})" if facts else ""


def _panels(ax: Any, numbers: Sequence[int], size, grid: tuple[int, int], **options):
    """Return the Axes given, as many as one of the numbers, or those of a new figure (the last)."""
    if ax is None:
        found = new_figure(*size).subplots(*grid, squeeze=False, **options).ravel()
        for spare in found[numbers[-1] :]:
            spare.remove()
        return found[: numbers[-1]]
    found = np.ravel(np.array(ax, dtype=object))
    if len(found) not in numbers or not all(hasattr(one, "plot") for one in found):
        wanted = " or ".join(map(str, numbers))
        raise ValueError(f"ax: expected {wanted} Axes, got {ax!r}")
    return found


def _variable(column: int) -> str:
    return f"$x_{{{column + 1}}}$"


def _checked_columns(name: str, value: Any, columns: int) -> list[int]:
    """Return different columns of a series."""
    chosen = list(value) if isinstance(value, Sequence | range | np.ndarray) else [value]
    whole = all(is_whole(column) and 0 <= column < columns for column in chosen)
    if not chosen or not whole or len(set(chosen)) < len(chosen):
        raise ValueError(f"{name}: expected different columns from 0 to {columns - 1}, got {value}")
    return [int(column) for column in chosen]


def _checked_orbits(true: Any, generated: Any, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first rows of both series; one generated is NaN from where it is not finite."""
    data, orbit = checked_pair(true, generated, 2)
    if orbit is None:
        orbit = np.array(generated, np.float64)
        orbit[int(np.isfinite(orbit).all(axis=1).argmin()) :] = np.nan
    return data[:num_steps], orbit[:num_steps]
