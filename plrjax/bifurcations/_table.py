"""Events as a table, for people."""

import textwrap

import numpy as np

from .._results import BIFURCATION, COLLISION, STABILITY
from .._tables import Table

_MOST_ROWS = 40
"""A longer table is cut; `to_dataframe` has it all."""

_MOST_NOTES = 8

_HEAD = ("step", "interval", "s", "event", "period", "branch", "before", "after", "attractor")


def _rows(found) -> list[tuple[str, ...]]:
    rows = []
    for row in range(min(len(found), _MOST_ROWS)):
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


def _closing(found) -> list[str]:
    claims = "; ".join(f"period {k}: {c.name}" for k, c in found.coverage_by_period.items())
    lines = [
        f"coverage: {found.coverage.name} ({claims}). An event is listed only if one of its cycles "
        "was found; attractors that are no cycles are not followed."
    ]
    if len(found) > _MOST_ROWS:
        lines.append(f"{len(found) - _MOST_ROWS} more events: to_dataframe() has all")
    lines += found.result.lines()
    lines += [f"note: {note}" for note in found.notes[:_MOST_NOTES]]
    if len(found.notes) > _MOST_NOTES:
        lines.append(f"{len(found.notes) - _MOST_NOTES} more notes: see `notes`")
    return lines


def table_of(found) -> Table:
    """Return a row per event."""
    title = f"{len(found)} events on {found.num_branches} branches of cycles"
    below = [text for line in _closing(found) for text in textwrap.wrap(line, 100)]
    return Table(
        [f"{title} along {len(found.steps)} networks"],
        _HEAD if len(found) else (),
        _rows(found),
        below,
        {_HEAD.index("event")},
    )


def stability_name(code: int | np.integer) -> str:
    """Return the name of a stability code; a dash where there is no cycle."""
    return "-" if code < 0 else STABILITY(int(code)).name
