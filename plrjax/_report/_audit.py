"""The part that asks what scores do not show."""

import numpy as np

from .._results import ATTRACTOR, STABILITY
from ..attractors import AttractorSet, find_attractors
from ..cycles import CycleSet
from ..systems import estimate_exponent
from ._find_attractors import LONGEST
from ._findings import Findings
from ._section import Cell, PageTable, Section, Skipped
from ._subject import Subject

_SURE = 3.0
_MOST_ROWS = 20_000
"""Rows of the data whose exponent is estimated."""
_FEW, _LATER_SECONDS = 256, 15.0
"""States that are followed ten times as long, and the limit for it."""
_NEAR = 0.02
"""A multiplier so near the unit circle may change sides in the next updates."""


def audit(subject: Subject, found: Findings, seconds: float) -> Section:
    """Return what a score over a few orbits would miss."""
    part = Section("audit", "What scores do not show")
    rows: list[tuple[str, str, str]] = []
    rows += _captured(subject, found)
    rows += _later(subject, found, min(seconds, _LATER_SECONDS))
    rows += _stable_points(subject, found)
    rows += _exponents(subject, found)
    rows += _almost(found)
    rows += _completeness(found)
    if not rows:
        raise Skipped("there is nothing to audit: the parts above found nothing")
    part.tables.append(
        PageTable(
            "checks", "Each row: a way in which a network may be wrong while its scores are good.",
            ["check", "outcome", "seen"],
            [[Cell(name), Cell(outcome), Cell(text)] for name, outcome, text in rows],
        )
    )  # fmt: skip
    bad = [f"{name}: {text}" for name, outcome, text in rows if outcome == "look"]
    part.sentences += [f"Worth a look: {text}." for text in bad] or ["Nothing stands out."]
    return part


def _captured(subject: Subject, found: Findings) -> list[tuple[str, str, str]]:
    table, starts = found.attractors, found.starts
    if table is None or starts is None:
        return []
    label = table.label[: starts.num_data] if starts.num_data else table.label
    where = "states of the data" if starts.num_data else "states of the box"
    main = found.main_row
    if main is None:
        return [("second attractors", "look", "no orbit stays on an attractor")]
    kept = label[label >= 0]
    if found.undecided_state is not None:
        return []
    rows = [row for row in np.unique(kept).tolist() if row != main]
    if not rows:
        return [("second attractors", "fine", f"all {len(kept):,} {where} go to the same one")]
    away = int(np.count_nonzero(kept != main))
    places = "; ".join(_place(found, row) for row in rows[:4])
    text = (
        f"{away:,} of {len(kept):,} {where} ({100 * away / len(kept):.1f} %) do not end on the "
        f"most frequent one, {table.name(main)}: {places}"
    )
    return [("second attractors", "look", text)]


def _place(found: Findings, row: int) -> str:
    """Return what a row of the attractors is, how wide it is, and what it winds around."""
    table, cycles, main = found.attractors, found.cycles, found.main_row
    assert table is not None and main is not None
    if table.kind[row] in (ATTRACTOR.diverged, ATTRACTOR.undecided):
        return "some diverge" if table.kind[row] == ATTRACTOR.diverged else "some are undecided"
    text, points = f"row {row}, {table.name(row)}", table.orbit(row)
    low, high = points.min(axis=0), points.max(axis=0)
    width = float((high - low).max() / max(np.ptp(table.orbit(main), axis=0).max(), 1e-300))
    if table.period[row] or not 0 < width < 1:
        return text
    text += f", {100 * width:.2g} % as wide"
    fixed = [] if cycles is None else cycles.points[cycles.period == 1, 0]
    for point in fixed:
        if ((point >= low) & (point <= high)).all():
            text += f", around the fixed point ({', '.join(f'{x:.3g}' for x in point[:4])})"
    return text


def _later(subject: Subject, found: Findings, seconds: float) -> list[tuple[str, str, str]]:
    """Return whether more states have left chaos after ten times as many steps."""
    table, starts, main = found.attractors, found.starts, found.main_row
    if table is None or starts is None or main is None or table.period[main]:
        return []
    if len(found.attractor_rows) < 2 or seconds < 1.0:
        return []
    number = starts.num_data or len(starts.states)
    chosen = np.arange(0, number, max(1, number // _FEW))
    states, label = starts.states[chosen], table.label[chosen]
    late = find_attractors(
        subject.plrnn, states, key=subject.key, max_period=LONGEST,
        num_transient=10 * table.num_transient,
        max_seconds=seconds, progress=subject.progress,
    )  # fmt: skip
    chaotic = late.count[late.kind == table.kind[main]].sum() / max(1, late.count.sum())
    before = float(np.isin(label, np.flatnonzero(table.kind == table.kind[main])).mean())
    grows = chaotic < before - 0.02
    text = (
        f"of {len(states)} states {100 * before:.1f} % are on a {table.name(main)} attractor after "
        f"{table.num_transient:,} steps, {100 * chaotic:.1f} % after {10 * table.num_transient:,}"
    )
    return [("shares later", "look" if grows else "note", text)]


def _stable_points(subject: Subject, found: Findings) -> list[tuple[str, str, str]]:
    """Return whether there are stable cycles where the data move, which pass by them."""
    cycles, starts = found.cycles, found.starts
    if cycles is None or starts is None or not starts.num_data or subject.data is None:
        return []
    states = starts.states[: starts.num_data]
    low, high = states.min(axis=0), states.max(axis=0)
    rows = np.flatnonzero(cycles.stability == STABILITY.stable).tolist()
    inside = [r for r in rows if ((cycles.orbit(r) >= low) & (cycles.orbit(r) <= high)).all()]
    name = "stable cycles within the data"
    if not inside:
        return [(name, "fine", "none of the cycles found is stable within the range of the data")]
    periods = ", ".join(sorted({str(int(cycles.period[r])) for r in inside}, key=int))
    text = f"{len(inside)} (of period {periods}), where the data only pass by"
    table = found.attractors
    if table is not None and cycles.num_units:
        words = {_word(table, row) for row in np.flatnonzero(table.count).tolist()}
        caught = sum(_word(cycles, row) in words for row in inside)
        text += f"; {caught} of them captured some of the {len(table.label):,} states followed"
    return [(name, "look", text)]


def _word(result: AttractorSet | CycleSet, row: int) -> bytes:
    """Return the word of a cycle."""
    return result.itinerary[row, : result.period[row]].tobytes()


def _exponents(subject: Subject, found: Findings) -> list[tuple[str, str, str]]:
    spectrum, rows = found.spectrum, []
    if spectrum is None:
        return rows
    values, errors = spectrum.exponents, spectrum.standard_error
    if subject.data is not None:
        rows += _against_data(subject, float(values[0]), float(errors[0]))
    if len(values) > 1 and values[0] > -_SURE * errors[0]:
        near = int(np.argmin(np.abs(values)))
        zero = abs(values[near]) <= _SURE * errors[near] + 1e-3 * abs(values[0])
        text = f"nearest to 0: λ{near + 1} = {values[near]:.2g} ± {errors[near]:.1g}"
        text += "; a network of a flow has one at 0"
        rows.append(("a vanishing exponent", "fine" if zero else "note", text))
    if len(values) > 1 and np.isfinite(values[-1]):
        text = f"{values[-1]:.4g} ± {errors[-1]:.1g}: no score sees it; compare with the system's, "
        rows.append((f"contraction, λ{len(values)}", "note", text + "where it is known"))
    return rows


def _against_data(subject: Subject, value: float, error: float) -> list[tuple[str, str, str]]:
    """Return the largest exponent beside that of the data."""
    data = np.asarray(subject.data)[:_MOST_ROWS]
    try:
        estimate = estimate_exponent(data, throw=False)
    except ValueError as problem:
        return [
            ("largest exponent", "unknown", f"none could be estimated from the data ({problem})")
        ]
    if np.isnan(estimate.exponent):
        return [("largest exponent", "unknown", "the data do not show one")]
    gap = abs(value - estimate.exponent)
    spread = float(np.hypot(error, estimate.standard_error))
    alike = gap <= _SURE * spread + 0.15 * abs(estimate.exponent)
    text = (
        f"network {value:.3g} ± {error:.1g}, data {estimate.exponent:.3g} ± "
        f"{estimate.standard_error:.1g} (an estimate, often some per cent high)"
    )
    return [("largest exponent", "fine" if alike else "look", text)]


def _almost(found: Findings) -> list[tuple[str, str, str]]:
    cycles = found.cycles
    if cycles is None or not len(cycles):
        return []
    moduli = np.abs(cycles.multipliers).max(axis=1)
    near = np.flatnonzero(np.abs(moduli - 1.0) < _NEAR)
    if not len(near):
        return [("cycles about to change", "fine", "no multiplier is near the unit circle")]
    row = near[np.abs(moduli[near] - 1.0).argmin()]
    text = (
        f"{len(near)} with a largest multiplier within {_NEAR:g} of the unit circle; the nearest, "
        f"of period {int(cycles.period[row])}, has modulus {moduli[row]:.6f}"
    )
    return [("cycles about to change", "note", text)]


def _completeness(found: Findings) -> list[tuple[str, str, str]]:
    cycles, table = found.cycles, found.attractors
    rows = []
    if cycles is not None and cycles.coverage_by_period:
        name = cycles.coverage.name.replace("_", " ")
        proven = cycles.coverage.name.startswith(("complete", "certified"))
        rows.append(("are these all cycles?", "fine" if proven else "note", f"coverage: {name}"))
    if table is not None:
        open_rows = table.count[table.kind == ATTRACTOR.undecided].sum()
        if open_rows:
            rows.append(("undecided orbits", "look", f"{int(open_rows)} still moved"))
    return rows
