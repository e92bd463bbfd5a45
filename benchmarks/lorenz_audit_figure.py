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
_LABELS: dict[tuple[int, int], tuple[float, float, str]] = {
    **{(period, 0): (440, period, "right") for period in (58, 59, 60, 61)},
    (62, 0): (1000, 60.3, "left"),
    **{(period, 2): (1910, 1.4 * period - 22.2, "left") for period in (62, 63, 64)},
    (61, 3): (2410, 59.2, "center"),
    (61, 5): (3170, 59.0, "center"),
}
"""Where locked circles are named, by period and interval: places that curves leave free."""


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

    figure = Figure(figsize=(8.7, 13.6), layout="constrained")
    grid = figure.add_gridspec(4, 6, height_ratios=(1.05, 1.55, 1.0, 1.15))
    rows = [figure.add_subplot(grid[row, :]) for row in range(3)]
    for ax, panel in zip(rows, (_draw_moduli, _draw_turns, _draw_captures)):
        panel(ax, audit)
        ax.set_xlim(audit.epochs[0] - 420, audit.epochs[-1] + 80)  # labels stand on the left
        ax.set_xticks(audit.epochs)
    places = [figure.add_subplot(grid[3, 2 * column : 2 * column + 2]) for column in range(3)]
    _draw_states(places[0], audit, near=False)
    _draw_states(places[1], audit, near=True)
    _draw_tongue(places[2], audit)
    figure.savefig(path, dpi=96)


def _headed(ax, title: str, columns: int = 3) -> None:
    """Draw a legend under a title, both above the Axes, where no data are."""
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, frameon=False,
              columnspacing=1.4, handletextpad=0.5, title=title, title_fontsize=11,
              alignment="left", borderaxespad=0.0)  # fmt: skip


def _below(ax, title: str) -> None:
    """Put a title above the Axes, and a legend below."""
    ax.set_title(title, fontsize=11, loc="left")
    ax.legend(loc="upper left", bbox_to_anchor=(-0.08, -0.22), frameon=False, handletextpad=0.5)


def _draw_moduli(ax, audit: Audit) -> None:
    """Draw the modulus of the complex pair along the path, and its border collisions."""
    ax.axhline(1.0, color="black", lw=0.8)
    drawn = (("left", audit.left, BLUE, "-"), ("right", audit.right, ORANGE, "--"))
    for name, focus, color, line in drawn:
        found, x, y = focus.found, [], []
        for row in found.branch_of(focus.branch).rows.tolist():
            s = np.linspace(found.segment_low[row], found.segment_high[row], _NODES)
            i = int(found.segment_interval[row])
            words = np.repeat(found.regions(row)[None], _NODES, axis=0)
            x.append(audit.place(np.full(_NODES, i), s))
            y.append(_pair(multipliers_of(focus.paths[i].arrays(s).pieces(words)[0])))
        ax.plot(np.concatenate(x), np.concatenate(y), line, color=color, lw=1.6,
                label=f"{name} focus")  # fmt: skip
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
    _headed(ax, "Foci: the pair jumps over the unit circle at border collisions")


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
        (families.inner, GREEN, "+", "inner attracting circle"),
        (families.edge, RED, "x", "repelling circle"),
    ):
        rows = one.small
        if name.startswith("inner"):
            rows = rows & ~np.isclose(families.outer.turn, one.turn, rtol=1e-4)
        ax.plot(audit.place(one.interval, one.s)[rows], one.turn[rows], ls="", marker=marker,
                color=color, ms=5, label=name)  # fmt: skip
    cycles, marks = audit.cycles, []
    for period, interval in sorted(set(zip(cycles.period.tolist(), cycles.interval.tolist()))):
        own = (cycles.period == period) & (cycles.interval == interval)
        at = float(cycles.step[own].mean())
        marks.append((at, period))
        *place, side = _LABELS.get((period, interval), (at + 100, period - 1.5, "left"))
        end = {"left": 0.0, "center": 0.5, "right": 1.0}[side], 0.5
        line = dict(arrowstyle="-", color="0.35", lw=0.7, shrinkA=2, shrinkB=5, relpos=end)
        ax.annotate(f"{period} ({own.sum()})", marks[-1], place, fontsize=9, arrowprops=line,
                    ha=side, va="center")  # fmt: skip
    ax.plot(*np.transpose(marks), "s", mfc="none", mec="black", ms=8,
            label="locked circle: period (events)")  # fmt: skip
    ax.set_ylim(53, 75)
    ax.set_ylabel("steps per turn")
    ax.locator_params(axis="y", integer=True)
    _headed(ax, "Around the left focus: a locked circle holds cycles")


def _draw_captures(ax, audit: Audit) -> None:
    """Draw the share of initial states on a small attractor, with Wilson's intervals."""
    for name, column, color, marker, text, aside in (
        ("gtf015", "late", BLUE, "o-", "after 60,000 steps", 0.0),
        ("gtf015", "early", ORANGE, "s--", "after 2,000 steps", -30.0),
        ("agtf", "late", PINK, "^:", "after 60,000 steps, adaptive forcing", 30.0),
    ):  # moved aside, so that no interval hides another one
        count = np.array([row[column] for row in audit.rows[name]])
        epochs, total = np.array([row["epoch"] for row in audit.rows[name]]), 256
        share, limits = 100 * count / total, 100 * wilson(count, total).T
        ax.errorbar(epochs + aside, share, np.abs(limits - share), fmt=marker, color=color, ms=5,
                    lw=1.2, capsize=3, label=text)  # fmt: skip
    ax.set_ylim(-1, None)
    ax.set_ylabel("captured, % of 256 states")
    ax.set_xlabel("epoch of training (straight lines between snapshots)")
    _headed(ax, "Orbits that end on a small attractor, 95 % intervals")


def _draw_states(ax, audit: Audit, near: bool) -> None:
    """Draw a snapshot in the plane of its first and third state."""
    map = audit.models[SNAPSHOT].as_piecewise_affine()
    points, _ = audit.left.pieces(np.array([SNAPSHOT]), np.zeros(1))
    chaos = _orbit(map, points[0] + np.array([2.0, 1.0, 0.5]))
    families = audit.families
    if not near:
        ax.plot(chaos[:, 0], chaos[:, 2], ",", color=_GREY)
        ax.plot([], [], ".", ms=4, color=_GREY, label="chaotic attractor")
    for one, color, mark, name, steps in (
        (families.outer, BLUE, "-", "attracting circle", 3_000),
        (families.edge, RED, ".", "repelling circle", 400),
    ):  # the first has so many points that they look like a line
        row = np.flatnonzero((one.interval == SNAPSHOT) & (one.s == 0.0))[0]
        orbit = _orbit(map, one.states[row], 0, steps)
        ax.plot(orbit[:, 0], orbit[:, 2], ".", ms=1.6, color=color)
        ax.plot([], [], mark, ms=6, lw=2, color=color, label=name)
    ax.plot(points[0, 0], points[0, 2], "k+", ms=9, mew=1.4, label="stable focus", zorder=4)
    ax.set_xlabel("$z_1$")
    ax.set_ylabel("$z_3$")
    _below(ax, f"Epoch {audit.epochs[SNAPSHOT]}{', left focus' if near else ''}")


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
    ax.locator_params(axis="x", nbins=4, integer=True)
    _below(ax, f"The {TONGUE}-cycles, fold to fold")
