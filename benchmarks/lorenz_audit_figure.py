"""The figure of the Lorenz audit: foci, circles, locked cycles, captured orbits."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

import plrjax as plr
from benchmarks.lorenz_circles import Families, Focus, focus_turn
from plrjax.attractors._attractor_set import wilson
from plrjax.bifurcations._test_functions import multipliers_of
from plrjax.plot._bifurcations import counts_of
from plrjax.plot._common import BLUE, GREEN, ORANGE, PINK, RED

TONGUE = 62
"""Period of the cycles drawn from birth to death."""
SNAPSHOT = 1
"""Number of the snapshot that is drawn: its left focus and a circle around it are both stable."""
_NODES = 12
_ORBIT, _TRANSIENT = 12_000, 2_000
_GREY = "0.55"


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """What the figure shows.

    **Fields:** `models`, `epochs`: the snapshots; `left`, `right`: the foci; `families`: circles
    around the left one; `cycles`: those followed; `rows`: captures of every training.
    """

    models: Sequence[Any]
    epochs: np.ndarray
    left: Focus
    right: Focus
    families: Families
    cycles: plr.Bifurcations
    rows: dict[str, list[dict]]

    def place(self, interval, s) -> np.ndarray:
        """Return the epoch at places of the path."""
        return self.epochs[interval] + s * (self.epochs[interval + 1] - self.epochs[interval])


def draw(path: pathlib.Path, audit: Audit) -> None:
    """Draw the figure into a file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 8.6), layout="constrained")
    axes = figure.subplots(3, 2, gridspec_kw={"width_ratios": (1.9, 1.0)})
    _draw_moduli(axes[0, 0], audit)
    _draw_turns(axes[1, 0], audit)
    _draw_captures(axes[2, 0], audit)
    _draw_states(axes[0, 1], audit, near=False)
    _draw_states(axes[1, 1], audit, near=True)
    _draw_tongue(axes[2, 1], audit)
    for ax in axes[:, 0]:
        ax.set_xlim(audit.epochs[0] - 60, audit.epochs[-1] + 60)
    figure.savefig(path, dpi=95)


def _draw_moduli(ax, audit: Audit) -> None:
    """Draw the modulus of the complex pair along the path, and its border collisions."""
    ax.axhline(1.0, color="black", lw=0.8)
    for name, focus, color in (("left", audit.left, BLUE), ("right", audit.right, ORANGE)):
        found, x, y = focus.found, [], []
        for row in found.branch_of(focus.branch).rows.tolist():
            s = np.linspace(found.segment_low[row], found.segment_high[row], _NODES)
            i = int(found.segment_interval[row])
            words = np.repeat(found.regions(row)[None], _NODES, axis=0)
            x.append(audit.place(np.full(_NODES, i), s))
            y.append(_pair(multipliers_of(focus.paths[i].arrays(s).pieces(words)[0])))
        ax.plot(np.concatenate(x), np.concatenate(y), color=color, lw=1.4, label=f"{name} focus")
        own = np.flatnonzero(found.branch == focus.branch)
        for rows, marker, size in (
            (own[found.attractor[own] == 0], "o", 4),
            (own[found.attractor[own] > 0], "^", 8),
            (own[found.attractor[own] < 0], "v", 8),
        ):
            ends = _pair(found.multipliers_before[rows]), _pair(found.multipliers_after[rows])
            height = ends[1] if size == 4 else np.ones(len(rows))
            ax.plot(found.step[rows], height, ls="", marker=marker, color=color, ms=size, mec="w",
                    mew=0.5, zorder=4)  # fmt: skip
    for marker, size, text in (
        ("o", 4, "border collision"),
        ("^", 7, "focus becomes stable in one"),
        ("v", 7, "focus becomes unstable in one"),
    ):
        ax.plot([], [], ls="", marker=marker, color=_GREY, ms=size, label=text)
    ax.set_ylabel("modulus of the complex pair")
    ax.set_title("Foci: the pair jumps over the unit circle at border collisions", fontsize=10)
    ax.legend(fontsize="small", ncols=2, loc="lower right")


def _pair(multipliers: np.ndarray) -> Float[np.ndarray, " row"]:
    """Return the modulus of the complex pair of each row."""
    return np.where(np.imag(multipliers) > 0, np.abs(multipliers), 0.0).max(axis=1, initial=0.0)


def _draw_turns(ax, audit: Audit) -> None:
    """Draw steps per turn of focus and circles along the path, and where cycles were followed."""
    families = audit.families
    x = audit.place(families.outer.interval, families.outer.s)
    ax.plot(x, focus_turn(audit.left, families.outer), color=_GREY, lw=1.0, label="focus itself")
    for one, color, marker, name in (
        (families.outer, BLUE, ".", "outer attracting circle"),
        (families.inner, GREEN, ".", "inner attracting circle"),
        (families.edge, RED, "x", "repelling circle"),
    ):
        rows = one.small
        if name.startswith("inner"):
            rows = rows & ~np.isclose(families.outer.turn, one.turn, rtol=1e-4)
        ax.plot(audit.place(one.interval, one.s)[rows], one.turn[rows], ls="", marker=marker,
                color=color, ms=4, label=name)  # fmt: skip
    cycles, first = audit.cycles, True
    for period, interval in sorted(set(zip(cycles.period.tolist(), cycles.interval.tolist()))):
        own = (cycles.period == period) & (cycles.interval == interval)
        at = float(cycles.step[own].mean())
        ax.plot(at, period, "s", mfc="none", mec="black", ms=8,
                label="locked: period (events)" if first else None)  # fmt: skip
        box = dict(fc="white", ec="none", pad=0.5, alpha=0.8)
        ax.annotate(f"{period} ({own.sum()})", (at, period), fontsize=7, xytext=(7, -3),
                    textcoords="offset points", bbox=box, zorder=5)  # fmt: skip
        first = False
    ax.set_ylim(53, 73)
    ax.set_ylabel("steps per turn")
    ax.set_title("Around the left focus: a locked circle holds cycles", fontsize=10)
    ax.legend(fontsize="small", ncols=2, loc="upper right")


def _draw_captures(ax, audit: Audit) -> None:
    """Draw the share of initial states on a small attractor, with Wilson's intervals."""
    for name, column, color, marker, text in (
        ("gtf015", "late", BLUE, "o", "after 60,000 steps"),
        ("gtf015", "early", ORANGE, "s", "after 2,000 steps"),
        ("agtf", "late", PINK, "^", "after 60,000 steps, adaptive forcing"),
    ):
        count = np.array([row[column] for row in audit.rows[name]])
        epochs, total = np.array([row["epoch"] for row in audit.rows[name]]), 256
        share, limits = 100 * count / total, 100 * wilson(count, total).T
        ax.errorbar(epochs, share, yerr=np.abs(limits - share), color=color, marker=marker, ms=5,
                    lw=1.0, capsize=3, label=text)  # fmt: skip
    ax.set_ylim(0, None)
    ax.set_ylabel("captured, % of 256 states")
    ax.set_xlabel("epoch of training (straight lines between snapshots)")
    ax.set_title("Orbits that end on a small attractor, 95 % intervals", fontsize=10)
    ax.legend(fontsize="small")


def _draw_states(ax, audit: Audit, near: bool) -> None:
    """Draw a snapshot in the plane of its first and third state."""
    map = audit.models[SNAPSHOT].as_piecewise_affine()
    points, _ = audit.left.pieces(np.array([SNAPSHOT]), np.zeros(1))
    chaos = _orbit(map, points[0] + np.array([2.0, 1.0, 0.5]))
    families, drawn = audit.families, ((BLUE, "attracting circle"), (RED, "repelling circle"))
    if not near:
        ax.plot(chaos[:, 0], chaos[:, 2], ",", color=_GREY, alpha=0.5)
    for one, (color, name) in zip((families.outer, families.edge), drawn):
        row = np.flatnonzero((one.interval == SNAPSHOT) & (one.s == 0.0))[0]
        steps = 400 if name.startswith("rep") else 3_000
        orbit = _orbit(map, one.states[row], 0, steps)
        ax.plot(orbit[:, 0], orbit[:, 2], ".", ms=1.6, color=color)
        ax.plot([], [], "o", ms=4, color=color, label=name)
    ax.plot(points[0, 0], points[0, 2], "k+", ms=8, label="stable focus")
    ax.set_xlabel("$z_1$")
    ax.set_ylabel("$z_3$")
    ax.set_title(f"Epoch {audit.epochs[SNAPSHOT]}{', near the left focus' if near else ''}",
                 fontsize=10)  # fmt: skip
    if near:
        ax.set_ylim(points[0, 2] - 0.45, points[0, 2] + 0.62)
        ax.legend(fontsize="small", loc="upper center", ncols=2)


def _orbit(map: plr.PiecewiseAffineMap, state: np.ndarray, skip: int = _TRANSIENT, steps=_ORBIT):
    """Return the states that follow."""
    orbit = np.empty((skip + steps, len(state)))
    for time in range(len(orbit)):
        orbit[time] = state = map.apply(state)
    return orbit[skip:]


def _draw_tongue(ax, audit: Audit) -> None:
    """Draw the number of cycles from the birth of the first to the death of the last."""
    cycles = audit.cycles
    interval = cycles.interval[cycles.period == TONGUE].max()
    events = (cycles.period == TONGUE) & (cycles.interval == interval)
    edges, numbers = counts_of(cycles)
    for code, color, style in (("stable", BLUE, "-"), ("saddle", ORANGE, "--")):
        values = numbers[plr.STABILITY[code]]
        ax.step(edges, np.append(values, values[-1]), where="post", color=color, ls=style,
                label=f"{code} {TONGUE}-cycles")  # fmt: skip
    for subtype, marker, height, text in (
        (plr.COLLISION.nonsmooth_fold, "s", -0.35, "folds"),
        (plr.COLLISION.persistence, "o", -0.7, "persistence"),
    ):
        rows = events & (cycles.subtype == subtype)
        ax.plot(cycles.step[rows], np.full(rows.sum(), height), marker, color=GREEN, ms=4,
                label=f"{text} ({rows.sum()})")  # fmt: skip
    low, high = cycles.step[events].min(), cycles.step[events].max()
    ax.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    ax.set_ylim(-1, None)
    ax.set_xlabel("epoch")
    ax.set_ylabel("cycles")
    ax.set_title(f"The {TONGUE}-cycles, from fold to fold", fontsize=10)
    ax.legend(fontsize="x-small")
