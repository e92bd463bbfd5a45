"""The part about fixed points and cycles: how many, of which stability, and whether all."""

import numpy as np

from .._results import COVERAGE, STABILITY
from .._tables import plural
from ..cycles import CycleSet, certify, find_cycles, find_fixed_points
from ..cycles._table import mass_text
from ..plot._multipliers import multipliers
from ..plot._periods import cycles_per_period
from ._findings import Findings
from ._section import Cell, PageTable, Section, draw, number
from ._subject import Subject

_MOST_ROWS = 200
"""Cycles that the page lists."""
_MOST_POINTS = 5_000
"""States of orbits that a cycle's points are compared with."""
_PROOF_SHARE = 0.2
"""Share of this part's time that is kept for proofs."""
_ON = 0.02
"""A cycle is on an attractor where an orbit passes all its points by this share of its width."""


def cycles(subject: Subject, found: Findings, seconds: float, periods: list[int]) -> Section:
    """Return all cycles found, and what is proven of them."""
    part = Section("cycles", "Fixed points and cycles")
    options = {"key": subject.key, "max_seconds": (1 - _PROOF_SHARE) * seconds, "throw": False}
    options["progress"] = subject.progress
    text = _periods(periods)
    if subject.is_piecewise_affine:
        cycle_set = find_cycles(subject.plrnn, periods, **options)
        part.code = [f"cycles = plr.find_cycles(model, {text}, key=key)", "print(cycles)"]
    else:
        cycle_set = find_fixed_points(subject.model, periods, **options)
        part.code = [f"cycles = plr.find_fixed_points(model, {text}, key=key)", "print(cycles)"]
    found.cycles = cycle_set
    found.ended(part, cycle_set.result, "the time ran out before the search had settled")
    if not found.interrupted and subject.is_piecewise_affine and len(cycle_set):
        cycle_set = certify(
            subject.plrnn, cycle_set, max_seconds=_PROOF_SHARE * seconds, progress=subject.progress
        )
        part.code.append("proven = plr.certify(model, cycles)")
        found.ended(part, cycle_set.result, "the time ran out before all were proven")
        found.cycles = cycle_set
    _fill(part, cycle_set, found)
    return part


def _periods(periods: list[int]) -> str:
    whole = periods == list(range(periods[0], periods[-1] + 1)) and len(periods) > 1
    return f"range({periods[0]}, {periods[-1] + 1})" if whole else repr(periods)


def _fill(part: Section, cycles: CycleSet, found: Findings) -> None:
    part.sentences.append(_summary(cycles))
    part.sentences.append(_claim(cycles))
    proven = int(np.count_nonzero(cycles.proven_existence))
    if proven:
        stable = int(np.count_nonzero(cycles.proven_stability))
        part.sentences.append(
            f"Existence is proven in ball arithmetic for {proven} of {len(cycles)}, stability for "
            f"{stable}."
        )
    part.sentences += [f"Note: {note}" for note in cycles.notes]
    part.facts |= {"coverage": cycles.coverage.name, "coverage_domain": cycles.coverage_domain}
    part.tables.append(_by_period(cycles))
    if not len(cycles):
        return
    part.tables.append(_listed(cycles, found))
    part.pictures.append(
        draw(
            lambda figure: multipliers(cycles, ax=figure.subplots()),
            f"Floquet multipliers of {plural(len(cycles), 'cycle')} in the complex plane",
            "Floquet multipliers; inside the circle directions contract. Color tells the period "
            "and the marker stability, as in state space.",
            "plr.plot.multipliers(cycles)",
            (4.4, 4.0),
        )
    )
    if len(cycles.counts()) > 1:
        part.pictures.append(
            draw(
                lambda figure: cycles_per_period(cycles, ax=figure.subplots()),
                "Bars: number of cycles of each period, by stability",
                "Cycles of each minimal period.",
                "plr.plot.cycles_per_period(cycles)",
                (4.4, 3.2),
            )
        )


def _summary(cycles: CycleSet) -> str:
    alone = cycles.is_isolated
    fixed = int(np.count_nonzero(alone & (cycles.period == 1)))
    longer = int(np.count_nonzero(alone & (cycles.period > 1)))
    kinds = [
        f"{count} {code.name}"
        for code in STABILITY
        if (count := int(np.count_nonzero(alone & (cycles.stability == code))))
    ]
    text = plural(fixed, "fixed point") + (
        f" and {plural(longer, 'longer cycle')}" if longer else ""
    )
    searched = list(cycles.coverage_by_period)
    until = f", up to period {max(searched)}" if searched and max(searched) > 1 else ""
    return f"{text} found{until}" + (f": {', '.join(kinds)}." if kinds else ".")


def _claim(cycles: CycleSet) -> str:
    coverage = cycles.coverage
    where = f", over {cycles.coverage_domain}" if coverage > COVERAGE.saturated else ""
    return f"Coverage: {coverage.name.replace('_', ' ')}{where}. {coverage.message}"


def _by_period(cycles: CycleSet) -> PageTable:
    head = ["period", "cycles", *(code.name for code in STABILITY), "coverage", "missing mass"]
    rows = []
    for period, count in cycles.counts().items():
        here = cycles.is_isolated & (cycles.period == period)
        kinds = [int(np.count_nonzero(here & (cycles.stability == code))) for code in STABILITY]
        unseen, claim = cycles.unseen.get(period), cycles.coverage_by_period.get(period)
        value = None if unseen is None else float(unseen.missing_mass)
        mass = number(None) if value is None or value != value else Cell(mass_text(unseen), value)
        name = "-" if claim is None else claim.name.replace("_", " ")
        rows.append([*map(number, (period, count, *kinds)), Cell(name), mass])
    caption = (
        "Cycles by minimal period; missing mass: Good and Turing's estimate of what is unseen."
    )
    return PageTable("by_period", caption, head, rows)


def _listed(cycles: CycleSet, found: Findings) -> PageTable:
    head = [
        "period",
        "stability",
        "largest multiplier",
        "modulus",
        "margin",
        "proven",
        "near orbits",
    ]
    head += [f"z{i + 1}" for i in range(min(4, cycles.state_size))]
    near = _distances(cycles, found)
    rows = []
    for row in range(min(len(cycles), _MOST_ROWS)):
        value = complex(cycles.multipliers[row, 0])
        text = (
            "-"
            if value != value
            else f"{value.real:.4g}"
            + (f" {'+' if value.imag > 0 else '−'} {abs(value.imag):.4g}i" if value.imag else "")
        )
        proven = (
            "yes"
            if cycles.proven_stability[row]
            else ("exists" if cycles.proven_existence[row] else "no")
        )
        rows.append(
            [
                number(int(cycles.period[row])), Cell(STABILITY(int(cycles.stability[row])).name),
                Cell(text), number(abs(value)), number(float(cycles.margin[row]), 2), Cell(proven),
                Cell("-") if near is None else Cell(_place(near[row]), float(near[row])),
                *(number(float(x)) for x in cycles.points[row, 0, :4]),
            ]
        )  # fmt: skip
    more = len(cycles) - len(rows)
    caption = (
        "Each cycle: its largest Floquet multiplier, its distance to the nearest switching "
        "boundary, whether existence and stability are proven, how far it is from where orbits go, "
        "in widths of the attractor, and its first point."
    )
    return PageTable(
        "cycles", caption + (f" {more} more are not listed." if more else ""), head, rows
    )


def _place(distance: float) -> str:
    return "on them" if distance <= _ON else f"{distance:.2g} widths off"


def _distances(cycles: CycleSet, found: Findings) -> np.ndarray | None:
    """Return how far each cycle is from the attractors' orbits, in widths of all of them: the
    distance of its farthest point to the nearest state drawn."""
    cloud = found.cloud
    if cloud is None:
        return None
    if len(cloud) > _MOST_POINTS:  # at random: every n-th would miss bands that follow in turn
        cloud = cloud[np.random.default_rng(0).permutation(len(cloud))[:_MOST_POINTS]]
    width = max(float(np.ptp(cloud, axis=0).max()), 1e-12 + 1e-9 * float(np.abs(cloud).max()))
    far = []
    for row in range(min(len(cycles), _MOST_ROWS)):
        orbit = cycles.orbit(row)
        gaps = [np.abs(cloud - point).max(axis=1).min() for point in orbit]
        far.append(max(gaps) / width)
    return np.array(far)
