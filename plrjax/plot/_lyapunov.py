"""Plots of Lyapunov exponents, of their convergence and history, and of gradient norms."""

from collections.abc import Sequence

import numpy as np

from .._lyapunov import CovariantVectors, GradientNorms, LyapunovSpectrum, SpectrumHistory
from .._lyapunov._result import unit_size
from ._common import BLUE, GREEN, ORANGE, PINK, RED, legend, new_axes, new_figure

_COLORS = (BLUE, ORANGE, GREEN, RED, PINK, "#56B4E9")
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
_LN_10 = float(np.log(10.0))


def spectrum(
    spectrum: LyapunovSpectrum, unit: str = "nats", dt: float | int | None = None, ax=None
):
    """Draw exponents against their index with error bars, over those of single orbits.

    Error bars are one standard error of the pooled mean. Exponents of -inf are marked on the lower
    edge. Returns the matplotlib Axes.

    **Arguments:** `unit` and `dt` as in `LyapunovSpectrum.in_units`; `ax`: Axes to draw into.

    **Raises:** `ValueError` for another unit; `ImportError` without matplotlib.
    """
    values, errors = spectrum.in_units(unit, dt)
    scale = 1.0 / unit_size(unit, dt)
    ax = new_axes() if ax is None else ax
    index, finite = np.arange(1, len(values) + 1), np.isfinite(values)
    ax.axhline(0, color="0.6", lw=0.8, zorder=0)
    orbits = spectrum.per_orbit[spectrum.attractor == 0][:64] * scale
    if 1 < len(orbits):
        ax.plot(
            np.broadcast_to(index, orbits.shape)[np.isfinite(orbits)],
            orbits[np.isfinite(orbits)],
            ls="", marker="_", ms=7, mew=0.6, color="0.72", zorder=1, label="single orbits",
        )  # fmt: skip
    ax.errorbar(
        index[finite], values[finite], yerr=np.nan_to_num(errors[finite]), fmt="o", ms=4, lw=1.2,
        capsize=3, color=BLUE, zorder=3, label="mean ± standard error",
    )  # fmt: skip
    lost = index[np.isneginf(values)]
    if len(lost):
        ax.plot(
            lost, np.full(len(lost), 0.02), transform=ax.get_xaxis_transform(), ls="", marker="v",
            color=RED, label=r"$-\infty$",
        )  # fmt: skip
    _whole_ticks(ax.xaxis)
    ax.set_xlim(0.4, len(values) + 0.6)
    ax.set(xlabel="index $i$", ylabel=rf"Lyapunov exponent $\lambda_i$ ({_unit_text(unit, dt)})")
    legend(ax, above=True)
    return ax


def convergence(spectrum: LyapunovSpectrum, exponents: Sequence[int] | None = None, ax=None):
    """Draw means over the first t steps minus the final exponents, against t; return the Axes.

    The shaded region is the standard error to expect at t, that at the end times sqrt(T/t), for
    the first exponent drawn.

    **Arguments:** `exponents`: which to draw, from 0; by default the first six that are finite.

    **Raises:** `ValueError` for exponents that were not computed; `ImportError` without matplotlib.
    """
    count = len(spectrum.exponents)
    if exponents is None:
        exponents = [i for i in range(count) if np.isfinite(spectrum.exponents[i])][:6]
    if any(not 0 <= i < count for i in exponents):
        raise ValueError(f"exponents: expected indices from 0 to {count - 1}, got {exponents}")
    ax = new_axes() if ax is None else ax
    steps = spectrum.block_steps * np.arange(1, len(spectrum.running) + 1)
    ax.axhline(0, color="0.6", lw=0.8, zorder=0)
    if len(steps) and len(exponents):
        error = spectrum.standard_error[exponents[0]] * np.sqrt(spectrum.num_steps / steps)
        ax.fill_between(steps, -error, error, color=_COLORS[0], alpha=0.15, lw=0)
        ax.set_xscale("log")
    for place, i in enumerate(exponents):
        value, error = spectrum.exponents[i], spectrum.standard_error[i]
        ax.plot(
            steps, spectrum.running[:, i] - value, color=_COLORS[place % 6], lw=1.2,
            ls=_LINES[place % 6], label=rf"$\lambda_{{{i + 1}}}$ = {value:.5g} ± {error:.1g}",
        )  # fmt: skip
    ax.set(xlabel="steps $t$ along each orbit", ylabel="mean up to $t$, less the final (nats)")
    legend(ax)
    return ax


def lyapunov(
    found: LyapunovSpectrum, unit: str = "nats", dt: float | int | None = None, figure=None
):
    """Draw spectrum and convergence side by side, and return the figure.

    **Arguments:** `unit` and `dt` as in `spectrum`, for the left side; `figure`: one to draw into.
    """
    figure = new_figure(12.0, 4.5) if figure is None else figure
    left, right = figure.subplots(1, 2)
    text = "" if np.isnan(found.kaplan_yorke) else f" (dimension {found.kaplan_yorke:.4g})"
    spectrum(found, unit, dt, ax=left).set_title("Lyapunov spectrum" + text, pad=24)
    convergence(found, ax=right).set_title("convergence", pad=24)
    return figure


def spectrum_history(
    history: SpectrumHistory, exponents: Sequence[int] | None = None, band: str = "deviation",
    ax=None,
):  # fmt: skip
    """Draw exponents against training steps, each with a band, and return the Axes.

    **Arguments:**

    - `exponents`: which to draw, from 0; by default all.
    - `band`: "deviation", means over orbits or input sequences and their standard deviation (Vogt
        et al. 2020), or "standard_error", the exponents and their standard errors.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    if band not in ("deviation", "standard_error"):
        raise ValueError(f"band: expected 'deviation' or 'standard_error', got {band!r}")
    middle = history.mean if band == "deviation" else history.exponents
    width, count = getattr(history, band), middle.shape[1]
    chosen = list(range(count)) if exponents is None else list(exponents)
    if not chosen or any(not 0 <= i < count for i in chosen):
        raise ValueError(f"exponents: expected indices from 0 to {count - 1}, got {exponents}")
    ax = new_axes() if ax is None else ax
    ax.axhline(0, color="0.6", lw=0.8, zorder=0)
    colors = _ramp(len(chosen))
    for place, i in enumerate(chosen):
        low, high = middle[:, i] - width[:, i], middle[:, i] + width[:, i]
        ax.fill_between(history.steps, low, high, color=colors[place], alpha=0.2, lw=0)
        label = (
            rf"$\lambda_{{{i + 1}}}$" if place in (0, len(chosen) - 1) or len(chosen) < 7 else None
        )
        ax.plot(history.steps, middle[:, i], color=colors[place], lw=1.2, label=label, marker=".")
    _whole_ticks(ax.xaxis)
    ax.set(xlabel="training step", ylabel="Lyapunov exponents (nats per step)")
    legend(ax)
    return ax


def gradient_norms(norms: GradientNorms, exponent: float | None = None, ax=None):
    """Draw |dz_T/dz_1| and |dL_T/dtheta| against T, in powers of ten, and return the Axes.

    Lines are medians over orbits, bands hold the middle 80 %. The slope that a first Lyapunov
    exponent predicts is drawn below, where one is given.

    **Arguments:** `exponent`: lambda_1, nats per step.

    **Raises:** `ImportError` without matplotlib.
    """
    ax = new_axes() if ax is None else ax
    rows = (
        (norms.log_state, BLUE, "-", r"$|\partial z_T/\partial z_1|$"),
        (norms.log_parameter, ORANGE, "-.", r"$|\partial L_T/\partial\theta|$"),
    )
    for logs, color, line, label in rows:
        if np.isnan(logs).all():
            continue
        low, middle, high = np.percentile(logs / _LN_10, [10, 50, 90], axis=0)
        ax.plot(norms.steps, middle, color=color, ls=line, label=label, zorder=3)
        if len(logs) > 1:
            ax.fill_between(norms.steps, low, high, color=color, alpha=0.2, lw=0)
    if exponent is not None:
        low, high = ax.get_ylim()
        line = exponent * (norms.steps - norms.steps[0]) / _LN_10
        line = line + np.median(norms.log_state[:, 0]) / _LN_10 - 0.08 * (high - low)
        label = rf"slope $\lambda_1$ = {round(exponent, 12):.4g}"
        ax.plot(norms.steps, line, color="black", ls="--", lw=1.0, label=label, zorder=4)
    ax.set(xlabel="steps $T$", ylabel=r"$\log_{10}$ of the norm")
    legend(ax)
    return ax


def angles(
    vectors: CovariantVectors,
    pairs: Sequence[tuple[int, int]] | None = None,
    name: str = "",
    ax=None,
):
    """Draw the distribution of angles between covariant Lyapunov vectors, and return the Axes.

    **Arguments:** `pairs`: which vectors, from 0; by default neighbors, up to six pairs; `name`:
    what to call them in the legend, where several are drawn into the same Axes.

    **Raises:** `ValueError` for vectors that were not computed; `ImportError` without matplotlib.
    """
    if pairs is None:
        pairs = [(i, i + 1) for i in range(min(6, vectors.vectors.shape[2] - 1))]
    found = [vectors.angles(*pair) for pair in pairs]
    ax = new_axes() if ax is None else ax
    edges = np.linspace(0.0, 90.0, 61)
    first = len(ax.patches)
    for place, (pair, values) in enumerate(zip(pairs, found), start=first):
        density, _ = np.histogram(np.degrees(values), edges, density=True)
        names = ", ".join(rf"$v_{{{i + 1}}}$" for i in pair)
        ax.stairs(
            density, edges, color=_COLORS[place % 6], ls=_LINES[place % 6], lw=1.4,
            label=f"{name} {names}: least {np.degrees(values).min():.2g}°".lstrip(),
        )  # fmt: skip
    ax.set(xlim=(0, 90), xlabel="angle (degrees)", ylabel="density (per degree)")
    ax.set_ylim(bottom=0)
    legend(ax)
    return ax


def _unit_text(unit: str, dt: float | int | None) -> str:
    return f"{unit} per {'step' if dt is None else 'time unit'}"


def _whole_ticks(axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _ramp(count: int):
    """Return colors from dark to light, readable without color vision."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.0, 0.85, count))
