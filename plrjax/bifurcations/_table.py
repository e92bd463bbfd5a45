"""Events as a table, for people."""

import html
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from .._results import BIFURCATION, COLLISION, RESULTS, STABILITY

if TYPE_CHECKING:
    from ._events import Bifurcations

_MOST_ROWS = 40
"""A longer table is cut; `to_dataframe` has it all."""

_MOST_NOTES = 8

_HEAD = ("step", "interval", "s", "event", "period", "branch", "before", "after", "attractor")


def _rows(found: "Bifurcations") -> list[tuple[str, ...]]:
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


def _title(found: "Bifurcations") -> str:
    networks = len(found.steps)
    return (
        f"{len(found)} events on {found.num_branches} branches of cycles along {networks} networks"
    )


def _closing(found: "Bifurcations") -> list[str]:
    claims = "; ".join(f"period {k}: {c.name}" for k, c in found.coverage_by_period.items())
    lines = [
        f"coverage: {found.coverage.name} ({claims}). An event is listed only if one of its cycles "
        "was found; attractors that are no cycles are not followed."
    ]
    if len(found) > _MOST_ROWS:
        lines.append(f"{len(found) - _MOST_ROWS} more events: to_dataframe() has all")
    if found.result is not RESULTS.successful:
        lines.append(f"result: {found.result}. {found.result.message}")
    lines += [f"note: {note}" for note in found.notes[:_MOST_NOTES]]
    if len(found.notes) > _MOST_NOTES:
        lines.append(f"{len(found.notes) - _MOST_NOTES} more notes: see `notes`")
    return lines


def _padded(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if name == "event" else cell.rjust(width)
            for cell, width, name in zip(row, widths, _HEAD)
        ).rstrip()
        for row in rows
    ]


def as_text(found: "Bifurcations") -> str:
    """Return the table as text."""
    lines = [_title(found)]
    if len(found):
        lines += _padded([_HEAD, *_rows(found)])
    for line in _closing(found):
        lines += textwrap.wrap(line, 100)
    return "\n".join(lines)


def as_html(found: "Bifurcations") -> str:
    """Return the table as HTML."""
    cell = lambda tag, text: f"<{tag}>{html.escape(text)}</{tag}>"
    head = "".join(cell("th", text) for text in _HEAD)
    body = "".join(f"<tr>{''.join(cell('td', text) for text in row)}</tr>" for row in _rows(found))
    closing = "".join(cell("p", line) for line in [_title(found), *_closing(found)])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{closing}"


def stability_name(code: int | np.integer) -> str:
    """Return the name of a stability code; a dash where there is no cycle."""
    return "-" if code < 0 else STABILITY(int(code)).name
