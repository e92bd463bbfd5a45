"""Loss, gradient norm, events and stable fixed points of two runs from one start."""

from collections.abc import Sequence
from typing import Any

import numpy as np

import plrjax as plr
from benchmarks.loss_jumps_task import Settings, Trained, membrane, window_loss
from plrjax import BIFURCATION, COLLISION, STABILITY

KINDS = {
    (BIFURCATION.border_collision, COLLISION.persistence): ("persistence", "#999999", "|", ":"),
    (BIFURCATION.border_collision, COLLISION.nonsmooth_fold): (
        "nonsmooth fold", "#D55E00", "v", "-"),
    (BIFURCATION.border_collision, COLLISION.multiple): (
        "multiple collision", "#E69F00", "s", "--"),
    (BIFURCATION.degenerate_transcritical, COLLISION.none): ("transcritical", "#56B4E9", "D", "-."),
    (BIFURCATION.degenerate_flip, COLLISION.none): ("flip", "#0072B2", "^", (0, (8, 2))),
    (BIFURCATION.center, COLLISION.none): ("center", "#009E73", "o", (0, (5, 1, 1, 1, 1, 1))),
}  # fmt: skip
"""Name, color, mark on a tick, and dash of each kind of event (colors of Okabe and Ito 2008: told
apart by color-blind readers)."""
RUNS: tuple[tuple[str, str, Any, float], ...] = (
    ("no forcing", "black", "-", 1.2),
    ("forcing .1", "#CC79A7", (0, (6, 1.5)), 3.5),
)
"""Name, color and dash of each run, and its width where dashes would flicker: the first lies on the
second."""
JUMP = "#F0E442"
ABOVE: dict = dict(loc="lower left", bbox_to_anchor=(-0.01, 0.97), frameon=False)
"""Legends stand above their panels, where no data are."""
NUM_POINTS = 401
"""Networks between two updates at which the loss is drawn."""

Pair = tuple[Trained, plr.Bifurcations]


def plot(settings: Settings, pairs: Sequence[Pair]):
    """Draw both runs, and the loss along the first two jumps of the first; return the figure."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8.7, 9.8), layout="constrained")
    grid = figure.add_gridspec(6, 2, height_ratios=(1.5, 1.1, 0.85, 0.75, 0.12, 1.6))
    rows = [figure.add_subplot(grid[0, :])]
    rows += [figure.add_subplot(grid[row, :], sharex=rows[0]) for row in (1, 2, 3)]
    for (name, color, line, width), (run, found) in zip(RUNS, pairs):
        updates = np.arange(len(run.losses))
        rows[0].semilogy(updates, run.losses, ls=line, color=color, lw=1.2, label=name)
        rows[1].semilogy(updates, run.norms, ls=line, color=color, lw=1.0)
        stable = num_stable(found, len(run.losses))
        rows[3].step(updates, stable, where="post", color=color, lw=width, zorder=3 - width / 9)
    jumps = pairs[0][0].jumps(settings.ratio)
    for axes in rows:
        for jump in jumps:
            first = axes is rows[0] and jump == jumps[0]
            axes.axvspan(jump, jump + 1, color=JUMP, alpha=0.9, lw=1.5, zorder=0,
                         label="the loss jumps" if first else None)  # fmt: skip
        axes.tick_params(labelbottom=axes is rows[-1])
    event_rows(rows[2], [found for _, found in pairs])
    rows[0].set_ylabel("loss")
    rows[1].set_ylabel("gradient norm")
    rows[3].set(ylabel="stable\nfixed points", xlabel="epochs (updates)")
    rows[3].set_xlim(0, max(len(run.losses) for run, _ in pairs))
    rows[3].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    rows[0].legend(ncols=3, **ABOVE)
    shown = [figure.add_subplot(grid[5, column]) for column in range(len(jumps[:2]))]
    for axes, jump in zip(shown, jumps):
        along(axes, settings, pairs[0], int(jump))
    for axes in (rows[0], *shown):
        plain_numbers(axes.yaxis)
    shared_legend(figure.add_subplot(grid[4, :]), shown)
    figure.align_ylabels([rows[0], rows[1], rows[3]])
    return figure


def shared_legend(axes, panels) -> None:
    """Draw the legend of panels once, in Axes of its own."""
    pairs = [zip(*reversed(panel.get_legend_handles_labels())) for panel in panels]
    named = dict(pair for each in pairs for pair in each)
    axes.axis("off")
    if named:
        axes.legend(named.values(), named, loc="center", ncols=len(named), frameon=False)


def plain_numbers(axis) -> None:
    """Label a logarithmic axis of about a decade with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def num_stable(found: plr.Bifurcations, count: int) -> np.ndarray:
    """Return the number of stable cycles of every network."""
    alive = [list(found.alive_at(network).values()) for network in range(count)]
    return np.array([int((found.segment_stability[a] == STABILITY.stable).sum()) for a in alive])


def kind_of(found: plr.Bifurcations, row: int) -> tuple[str, str, str, Any]:
    """Return name, color, mark and dash of an event."""
    return KINDS[BIFURCATION(int(found.kind[row])), COLLISION(int(found.subtype[row]))]


def event_rows(axes, runs: Sequence[plr.Bifurcations]) -> None:
    """Draw every event as a tick, one row for each run; longer where an attractor is concerned."""
    seen = {}
    for place, found in enumerate(runs):
        for row in np.argsort(found.attractor != 0, kind="stable").tolist():
            name, color, mark, _ = kind_of(found, row)
            changes = found.attractor[row] != 0
            half, width = (0.42, 1.6) if changes else (0.18, 0.7)
            axes.vlines(found.step[row], -place - half, -place + half, color=color, lw=width)
            if mark != "|":
                axes.plot(found.step[row], -place + half, mark, color=color, ms=5)
            seen[name] = dict(color=color, marker=mark, ms=9 if mark == "|" else 6)
    for name, style in seen.items():
        axes.plot([], [], ls="", mew=1.6, label=name, **style)
    axes.plot([], [], color="black", ls="", marker="|", ms=14, mew=1.6,
              label="long: attractor lost or gained")  # fmt: skip
    axes.set(yticks=[0, -1], ylim=(-1.6, 0.7))
    axes.set_yticklabels([f"events,\n{name}" for name, *_ in RUNS])
    axes.legend(ncols=3, **ABOVE)


def along(axes, settings: Settings, pair: Pair, jump: int) -> None:
    """Draw the loss along the straight lines of the update that jumps, and of its neighbors."""
    run, found = pair
    data = membrane(settings)
    for update in range(jump - 1, jump + 2):
        if update + 1 >= len(run.losses):
            break
        path = plr.LinearPath(run.models[update], run.models[update + 1])
        s = np.linspace(0.0, 1.0, NUM_POINTS)
        losses = [window_loss(path.map(x), data, 0.0) for x in s]
        axes.semilogy(update + s, losses, color="black", lw=1.4, zorder=2)
        axes.plot([update, update + 1], [losses[0], losses[-1]], "o", color="black", ms=5,
                  label="networks of the training")  # fmt: skip
        for row in np.flatnonzero(found.interval == update).tolist():
            changes = found.attractor[row] != 0
            name, color, _, dash = kind_of(found, row)
            axes.axvline(update + found.s[row], color=color, zorder=1, ls=dash,
                         lw=2.0 if changes else 1.2, label=name)  # fmt: skip
    axes.axvspan(jump, jump + 1, color=JUMP, alpha=0.35, lw=0, zorder=0)
    axes.set_xticks(range(jump - 1, jump + 3))
    axes.set_xlabel(f"epochs: the updates around {jump}")
    axes.set_ylabel("loss along the step")
