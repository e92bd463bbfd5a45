"""Events as a table, for people."""

import textwrap

import numpy as np

from .._results import BIFURCATION, COLLISION, STABILITY
from .._tables import Table, plural

_MOST_ROWS = 40
"""A longer table is cut; `to_dataframe` has it all."""

_MOST_NOTES = 8

_HEAD = ("step", "interval", "s", "event", "period", "branch", "before", "after", "attractor")


def _rows(found, shown: np.ndarray) -> list[tuple[str, ...]]:
    rows = []
    for row in shown:
        kind, subtype = BIFURCATION(int(found.kind[row])), COLLISION(int(found.subtype[row]))
        name = kind.name if subtype is COLLISION.none else f"{kind.name}, {subtype.name}"
        change = int(found.attractor[row])
        rows.append(
            (
                f"{found.step[row]:.7g}",
                str(found.interval[row]),
                f"{found.s[row]:.12g}",
                name.replace("_", " "),
                str(found.period[row]),
                str(found.branch[row]),
                stability_name(found.stability_before[row]),
                stability_name(found.stability_after[row]),
                "" if not change else f"{change:+d}",
            )
        )
    return rows


def _closing(found, shown: np.ndarray, listed: int) -> list[str]:
    claims = "; ".join(f"period {k}: {c.name}" for k, c in found.coverage_by_period.items())
    lines = [
        f"coverage: {found.coverage.name} ({claims}). An event is listed only if one of its cycles "
        "was found; attractors that are no cycles are not followed."
    ]
    if listed > len(shown):
        lines.append(f"{listed - len(shown)} more events: to_dataframe() has all")
    if len(found) > listed:
        lines.append(
            f"{plural(len(found) - listed, 'border collision')} not listed, at which a cycle goes "
            "on as it was, under another word (--all; to_dataframe())"
        )
    lines += found.result.lines()
    lines += [f"note: {note}" for note in found.notes[:_MOST_NOTES]]
    if len(found.notes) > _MOST_NOTES:
        lines.append(f"{len(found.notes) - _MOST_NOTES} more notes: see `notes`")
    return lines


def table_of(found, everything: bool = False) -> Table:
    """Return a row per event that changes something, or per event."""
    rows = np.flatnonzero(found.changes | everything)
    shown = rows if everything else rows[:_MOST_ROWS]
    title = f"{len(found)} events on {found.num_branches} branches of cycles"
    below = [
        text for line in _closing(found, shown, len(rows)) for text in textwrap.wrap(line, 100)
    ]
    return Table(
        [f"{title} along {len(found.steps)} networks"],
        _HEAD if len(shown) else (),
        _rows(found, shown),
        below,
        {_HEAD.index("event")},
    )


def stability_name(code: int | np.integer) -> str:
    """Return the name of a stability code; a dash where there is no cycle."""
    return "-" if code < 0 else STABILITY(int(code)).name
