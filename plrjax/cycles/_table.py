"""How a `CycleSet` reads: a search's result by periods, a selection row by row."""

import numpy as np

from .._results import COVERAGE, STABILITY
from .._tables import Table, plural

_MAX_ROWS = 60
_MAX_STATES = 4


def _kinds(cycles) -> dict[str, np.ndarray]:
    """Return which rows each column counts; the last ones are shown where there are any."""
    alone = cycles.is_isolated
    kinds = {code.name: alone & (cycles.stability == code) for code in STABILITY}
    kinds |= {"unverified": alone & ~cycles.verified, "continua": ~alone}
    always = {"stable", "saddle", "unstable", "nonhyperbolic", "unverified"}
    return {name: rows for name, rows in kinds.items() if name in always or rows.any()}


def _rows(cycles) -> list[tuple[str, ...]]:
    rows, kinds = [], _kinds(cycles)
    for period, number in cycles.counts().items():
        here = cycles.period == period
        unseen = cycles.unseen.get(period)
        mass = "-" if unseen is None or np.isnan(unseen.missing_mass) else mass_text(unseen)
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


def mass_text(unseen) -> str:
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
    lines = cycles.result.lines()
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
    all = f"of {plural(len(cycles), 'cycle')}"
    if settled == existing:
        return [f"existence and stability proven for {existing} {all}"]
    return [f"existence proven for {existing} {all}, stability for {settled}"]


def _map(cycles) -> str:
    units = f" and {cycles.num_units} units" if cycles.num_units else ""
    return f"of a map with {cycles.state_size} states{units}"


def row_of(cycles) -> dict[str, str]:
    """Return a row of a table of many networks: cycles by period, how many are stable, coverage."""
    counts = cycles.counts()
    row = {f"k={k}": str(number) for k, number in counts.items()}
    row |= {"cycles": str(sum(counts.values()))}
    row |= {"stable": str(np.count_nonzero(_kinds(cycles)["stable"]))}
    row |= {"coverage": str(cycles.coverage).replace("_", " ")}
    return row | cycles.result.cells()


def of_search(cycles, reference: tuple[str, dict[int, int]] | None = None) -> Table:
    """Return a row per period, with the numbers of cycles of a reference system beside."""
    rows, left_out = _shown(_rows(cycles))
    columns = ("period", "cycles", *_kinds(cycles), "coverage", "missing mass")
    if reference is not None:
        name, counts = reference
        columns = (*columns[:2], name, *columns[2:])
        rows = [(*row[:2], str(counts.get(int(row[0]), "-")), *row[2:]) for row in rows]
    title = f"{plural(int(np.count_nonzero(cycles.is_isolated)), 'cycle')} {_map(cycles)}"
    below = [*([left_out] if left_out else []), *_footer(cycles)]
    return Table([title], columns if rows else (), rows, below, {columns.index("coverage")})


def of_rows(cycles) -> Table:
    """Return a row per cycle selected from a search's result."""
    title = f"{len(cycles)} of {plural(cycles.selected_from, 'row')}: cycles {_map(cycles)}"
    rows = [_row(cycles, row) for row in range(min(len(cycles), _MAX_ROWS))]
    more = len(cycles) - len(rows)
    below = [f"{plural(more, 'more row')} not shown: to_dataframe() has all"] if more else []
    head = ("period", "stability", "largest multiplier", "first point") if rows else ()
    return Table([title], head, rows, below, {1, 3})


def _row(cycles, row: int) -> tuple[str, ...]:
    stability = STABILITY(cycles.stability[row]).name
    if not cycles.is_isolated[row]:
        stability += ", of a continuum"
    elif not cycles.verified[row]:
        stability += ", unverified"
    states = [f"{x:.6g}" for x in cycles.points[row, 0, :_MAX_STATES]]
    rest = ["..."] if cycles.state_size > _MAX_STATES else []
    point = f"({', '.join([*states, *rest])})"
    return str(cycles.period[row]), stability, _multiplier(cycles.multipliers[row, 0]), point


def _multiplier(value: complex) -> str:
    if np.isnan(value):
        return "-"
    turning = f"{value.imag:+.4g}i" if value.imag else ""
    return f"{value.real:.6g}{turning}"
