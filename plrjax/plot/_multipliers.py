"""Floquet multipliers in the complex plane."""

import numpy as np

from ..cycles._cycle_set import CycleSet
from ._common import new_axes
from ._periods import STYLES, period_colors

_LINEAR_RADIUS = 2.0


def multipliers(cycle_set: CycleSet, ax=None):
    """Draw the Floquet multipliers in the complex plane, and return the matplotlib Axes.

    The disc of radius 2 is linear. Where a modulus is larger the plane outside that disc is
    compressed radially, logarithmically in the modulus, so that the largest one lies at twice the
    disc's radius; labelled rings mark powers of ten. Arguments (angles) are never changed. Color
    and marker are those of `cycles`.
    """
    ax = new_axes(2) if ax is None else ax
    values = cycle_set.multipliers
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max(initial=0.0))
    angle = np.linspace(0, 2 * np.pi, 361)
    ax.plot(np.cos(angle), np.sin(angle), color="black", lw=1.2, label="unit circle", zorder=1)
    colors = period_colors(cycle_set)
    for code, (marker, edge, _) in STYLES.items():
        rows, columns = np.nonzero((cycle_set.stability == code)[:, None] & ~np.isnan(values))
        chosen = _compressed(values[rows, columns], largest)
        if chosen.size:
            ax.scatter(
                np.real(chosen), np.imag(chosen), s=34, marker=marker, label=code.name, zorder=3,
                c=[colors[int(k)] for k in cycle_set.period[rows]], edgecolors=edge, linewidths=0.5,
            )  # fmt: skip
    _frame_plane(ax, largest)
    return ax


def _compressed(values: np.ndarray, largest: float) -> np.ndarray:
    """Return multipliers with the plane beyond the linear disc compressed radially."""
    moduli = np.minimum(np.abs(values), max(largest, _LINEAR_RADIUS))
    outside = moduli > _LINEAR_RADIUS
    if not outside.any():
        return values
    directions = np.exp(1j * np.angle(values))
    radii = np.where(outside, _outer_radius(np.maximum(moduli, _LINEAR_RADIUS), largest), moduli)
    return radii * directions


def _outer_radius(modulus, largest: float):
    span = np.log(largest / _LINEAR_RADIUS)
    return _LINEAR_RADIUS * (1 + np.log(modulus / _LINEAR_RADIUS) / span)


def _frame_plane(ax, largest: float) -> None:
    ax.axhline(0, color="0.85", lw=0.8, zorder=0)
    ax.axvline(0, color="0.85", lw=0.8, zorder=0)
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    if largest <= _LINEAR_RADIUS:
        limit = 1.15 * max(1.0, largest)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
        return
    ax.set_xlabel("real part (radius logarithmic beyond 2)")
    limit = 2.15 * _LINEAR_RADIUS
    ticks = np.arange(-2, 3)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=ticks, yticks=ticks)
    angle = np.linspace(0, 2 * np.pi, 361)
    for modulus, text in _rings(largest):
        radius = _LINEAR_RADIUS if modulus == _LINEAR_RADIUS else _outer_radius(modulus, largest)
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), color="0.6", lw=0.7, ls=":")
        ax.annotate(
            text, (0.7071 * radius, 0.7071 * radius), fontsize="small", color="0.35", zorder=5,
            ha="center", va="center", bbox=dict(fc="white", ec="none", pad=0.6),
        )  # fmt: skip


def _rings(largest: float) -> list[tuple[float, str]]:
    """Return the circles to draw outside: the edge of the linear disc and up to two decades."""
    last = int(np.floor(np.log10(largest)))
    step = max(1, (last + 1) // 2)
    decades = [d for d in range(step, last + 1, step) if 10.0**d > 2 * _LINEAR_RADIUS]
    return [(_LINEAR_RADIUS, "2")] + [(10.0**d, f"$10^{{{d}}}$") for d in decades[-2:]]
