"""How a `CycleSet` reads: a table per period, in text and in HTML."""

import html

import numpy as np

from .._results import COVERAGE, RESULTS, STABILITY

_COLUMNS = (
    "period",
    "cycles",
    "stable",
    "saddle",
    "unstable",
    "nonhyperbolic",
    "unverified",
    "coverage",
    "missing mass",
)
_MAX_ROWS = 60


def _rows(cycles) -> list[tuple[str, ...]]:
    rows = []
    for period, number in cycles.counts().items():
        here = cycles.period == period
        stability = [str(np.count_nonzero(here & (cycles.stability == code))) for code in STABILITY]
        unseen = cycles.unseen.get(period)
        mass = "-" if unseen is None or np.isnan(unseen.missing_mass) else _mass(unseen)
        coverage = cycles.coverage_by_period.get(period)
        rows.append(
            (
                str(period),
                str(number),
                *stability,
                str(np.count_nonzero(here & ~cycles.verified)),
                "-" if coverage is None else coverage.name.replace("_", " "),
                mass,
            )
        )
    return rows


def _mass(unseen) -> str:
    """Return the Good-Turing estimate, or its 95 % bound where there are no singletons."""
    if unseen.missing_mass > 0:
        return f"{100 * unseen.missing_mass:.2g} %"
    return f"< {300 / max(unseen.quiet_draws, 1):.2g} %" if unseen.quiet_draws >= 6 else "-"


def _shown(rows: list[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], str]:
    """Leave out empty periods where the table is long, and say so."""
    if len(rows) <= _MAX_ROWS:
        return rows, ""
    kept = [row for row in rows if row[1] != "0"]
    return kept, f"{len(rows) - len(kept)} periods without cycles are not shown"


def _footer(cycles) -> list[str]:
    lines = []
    if cycles.result != RESULTS.successful:
        lines.append(f"result: {cycles.result}. {cycles.result.message}")
    if cycles.coverage_by_period:
        weakest = cycles.coverage
        where = f", over {cycles.coverage_domain}" if weakest > COVERAGE.saturated else ""
        lines.append(f"coverage: {str(weakest).replace('_', ' ')}{where}. {weakest.message}")
    lines.extend(_proven(cycles))
    lines.extend(cycles.notes)
    return lines


def _proven(cycles) -> list[str]:
    """Say for how many cycles `certify` proved what."""
    existing = int(np.count_nonzero(cycles.proven_existence))
    settled = int(np.count_nonzero(cycles.proven_stability))
    if not existing:
        return []
    all = f"of {len(cycles)} cycle{'' if len(cycles) == 1 else 's'}"
    if settled == existing:
        return [f"existence and stability proven for {existing} {all}"]
    return [f"existence proven for {existing} {all}, stability for {settled}"]


def _title(cycles) -> str:
    plural = "" if len(cycles) == 1 else "s"
    sizes = f"{cycles.state_size} states and {cycles.num_units} units"
    return f"{len(cycles)} cycle{plural} of a map with {sizes}"


def as_text(cycles, reference: tuple[str, dict[int, int]] | None = None) -> str:
    """Return the table as plain text, with the numbers of cycles of a reference system beside."""
    rows, left_out = _shown(_rows(cycles))
    columns = _COLUMNS
    if reference is not None:
        name, counts = reference
        columns = (*columns[:2], name, *columns[2:])
        rows = [(*row[:2], str(counts.get(int(row[0]), "-")), *row[2:]) for row in rows]
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells):
        return "  ".join(
            cell.ljust(width) if name == "coverage" else cell.rjust(width)
            for cell, width, name in zip(cells, widths, columns)
        ).rstrip()

    lines = [_title(cycles)]
    if rows:
        lines += [line(columns), *map(line, rows)]
    if left_out:
        lines.append(left_out)
    return "\n".join(lines + _footer(cycles))


def as_html(cycles) -> str:
    """Return the table as HTML for notebooks."""
    rows, left_out = _shown(_rows(cycles))
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    foot = "<br>".join(html.escape(text) for text in [left_out, *_footer(cycles)] if text)
    return (
        f"<p><b>{html.escape(_title(cycles))}</b></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{foot}</p>"
    )
