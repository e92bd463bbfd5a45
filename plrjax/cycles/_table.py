"""How a `CycleSet` reads: a table per period, in text and in HTML."""

import html

import numpy as np

from .._results import COVERAGE, RESULTS, STABILITY

_ALWAYS = (STABILITY.stable, STABILITY.saddle, STABILITY.unstable, STABILITY.nonhyperbolic)
_MAX_ROWS = 60


def _kinds(cycles) -> dict[str, np.ndarray]:
    """Return which rows each column counts; the last ones are shown where there are any."""
    alone = cycles.is_isolated
    kinds = {code.name: alone & (cycles.stability == code) for code in STABILITY}
    kinds |= {"unverified": alone & ~cycles.verified, "continua": ~alone}
    always = {code.name for code in _ALWAYS} | {"unverified"}
    return {name: rows for name, rows in kinds.items() if name in always or rows.any()}


def _columns(cycles) -> tuple[str, ...]:
    return ("period", "cycles", *_kinds(cycles), "coverage", "missing mass")


def _rows(cycles) -> list[tuple[str, ...]]:
    rows, kinds = [], _kinds(cycles)
    for period, number in cycles.counts().items():
        here = cycles.period == period
        unseen = cycles.unseen.get(period)
        mass = "-" if unseen is None or np.isnan(unseen.missing_mass) else _mass(unseen)
        coverage = cycles.coverage_by_period.get(period)
        rows.append(
            (
                str(period),
                str(number),
                *(str(np.count_nonzero(here & rows)) for rows in kinds.values()),
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
    count = int(np.count_nonzero(cycles.is_isolated))
    sizes = f"{cycles.state_size} states and {cycles.num_units} units"
    return f"{count} cycle{'' if count == 1 else 's'} of a map with {sizes}"


def as_text(cycles, reference: tuple[str, dict[int, int]] | None = None) -> str:
    """Return the table as plain text, with the numbers of cycles of a reference system beside."""
    rows, left_out = _shown(_rows(cycles))
    columns = _columns(cycles)
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
    head = "".join(f"<th>{name}</th>" for name in _columns(cycles))
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    foot = "<br>".join(html.escape(text) for text in [left_out, *_footer(cycles)] if text)
    return (
        f"<p><b>{html.escape(_title(cycles))}</b></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{foot}</p>"
    )
