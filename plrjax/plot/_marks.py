"""How events of cycles are marked: a color and a marker for each kind."""

from typing import NamedTuple

import numpy as np

from .._results import BIFURCATION, COLLISION
from ..bifurcations import Bifurcations
from ._common import BLUE, GREEN, PINK, RED

_MOST_LINES, _MOST_LARGE = 60, 40
"""With more events, vertical lines mark lost and gained attractors only; markers shrink."""
_SIZES = {"*": 1.5, "D": 0.85}
"""Relative sizes at which markers look equally large."""


class Mark(NamedTuple):
    """How a kind of event is drawn and called."""

    name: str
    color: str
    marker: str


_COLLISIONS = {
    COLLISION.persistence: Mark("border collision: persistence", GREEN, "o"),
    COLLISION.nonsmooth_fold: Mark("border collision: fold", GREEN, "s"),
    COLLISION.multiple: Mark("border collision: multiple", GREEN, "*"),
}
_TURNS = {
    BIFURCATION.degenerate_transcritical: Mark("degenerate transcritical", PINK, "^"),
    BIFURCATION.degenerate_flip: Mark("degenerate flip", "#56B4E9", "D"),
    BIFURCATION.center: Mark("center", "black", "X"),
}


def mark_of(found: Bifurcations, row: int) -> Mark:
    """Return the mark of one event."""
    kind, subtype = BIFURCATION(int(found.kind[row])), COLLISION(int(found.subtype[row]))
    return _TURNS.get(kind) or _COLLISIONS.get(subtype) or Mark(kind.name, GREEN, "o")


def marks_of(found: Bifurcations) -> dict[Mark, np.ndarray]:
    """Return the rows of each kind of event that there is, in a fixed order."""
    marks = [mark_of(found, row) for row in range(len(found))]
    order = [*_COLLISIONS.values(), *_TURNS.values()]
    order += [mark for mark in dict.fromkeys(marks) if mark not in order]
    rows = {mark: [row for row, one in enumerate(marks) if one == mark] for mark in order}
    return {mark: np.array(own) for mark, own in rows.items() if own}


def size_of(mark: Mark, num_events: int) -> float:
    """Return the size of a marker among so many."""
    return (7.0 if num_events <= _MOST_LARGE else 5.0) * _SIZES.get(mark.marker, 1.0)


def draw_lines(ax, found: Bifurcations) -> None:
    """Draw vertical lines at events, strong where a stable cycle is lost or gained."""
    few = len(found) <= _MOST_LINES
    for mark, rows in marks_of(found).items() if few else ():
        _draw_upright(ax, found.step[rows[found.attractor[rows] == 0]], mark, lw=0.6, alpha=0.35)
    for mark, rows in _changes(found):
        _draw_upright(ax, found.step[rows], mark, lw=1.2, alpha=0.55 if few else 0.25)


def _draw_upright(ax, places: np.ndarray, mark: Mark, **style) -> None:
    """Draw lines over the whole height, which do not count for the range of the axes."""
    from matplotlib.collections import LineCollection

    ends = [[(x, 0.0), (x, 1.0)] for x in places.tolist()]
    where = ax.get_xaxis_transform()
    lines = LineCollection(ends, colors=mark.color, transform=where, zorder=0, **style)
    ax.add_collection(lines, autolim=False)


def draw_strip(ax, found: Bifurcations) -> None:
    """Draw one row of markers for each kind of event, and for stable cycles lost and gained."""
    lines = [*_changes(found), *marks_of(found).items()][::-1]
    for height, (mark, rows) in enumerate(lines):
        ax.plot(
            found.step[rows], np.full(len(rows), height), ls="", color=mark.color, label=mark.name,
            marker=mark.marker, ms=size_of(mark, len(found)), mew=0, alpha=0.85,
        )  # fmt: skip
    ax.set_yticks(range(len(lines)), [f"{mark.name} ({len(rows)})" for mark, rows in lines])
    ax.tick_params(axis="y", labelsize="small", length=0)
    ax.set_ylim(-0.6, max(len(lines), 1) - 0.4)
    ax.grid(axis="y", color="0.9", lw=0.6)
    ax.set_axisbelow(True)
    if not lines:
        ax.text(0.5, 0.5, "no events", transform=ax.transAxes, ha="center", va="center")


def _changes(found: Bifurcations) -> list[tuple[Mark, np.ndarray]]:
    pairs = [
        (Mark("stable cycle lost", RED, "v"), found.attractor < 0),
        (Mark("stable cycle gained", BLUE, "^"), found.attractor > 0),
    ]
    return [(mark, np.flatnonzero(there)) for mark, there in pairs if there.any()]
