"""The part about attractors: what orbits settle on, and how often."""

import numpy as np

from .._dynamics import jacobian
from .._piecewise_affine import lower
from .._results import ATTRACTOR
from ..attractors import AttractorSet, find_attractors
from ..attractors._attractor_set import wilson
from ..plot._orbits import attractor_orbits
from ._findings import Findings
from ._section import Cell, PageTable, Section, Skipped, number
from ._subject import Starts, Subject, starts_of

_STARTS, _FEW = 1_024, 256
LONGEST = 1_024
"""Longest cycle that is recognized: where a flow was learned, cycles have hundreds of steps."""
_MANY_STATES = 64
"""With more states, fewer initial states are followed."""


def attractors(subject: Subject, found: Findings, seconds: float) -> Section:
    """Return what initial states settle on."""
    if not subject.is_piecewise_affine:
        raise Skipped(
            "attractors are told apart by words, which smooth networks do not have; stable fixed "
            "points and the spectrum are below"
        )
    many = subject.model.state_size > _MANY_STATES
    starts = starts_of(subject, _FEW if many else _STARTS)
    table = find_attractors(
        subject.plrnn, starts.states, key=subject.key, max_period=LONGEST, max_seconds=seconds,
        progress=subject.progress,
    )  # fmt: skip
    found.starts, found.attractors = starts, table
    part = Section("attractors", "What it settles on")
    part.code = [
        *starts.code,
        f"found = plr.find_attractors(model, states, key=key, max_period={LONGEST})",
        "print(found)",
    ]
    found.ended(
        part, table.result, "the time ran out before all orbits had settled or were measured"
    )
    found.orbits = attractor_orbits(table, lower(subject.model))
    _fill(part, table, starts, subject.model)
    return part


def _fill(part: Section, table: AttractorSet, starts: Starts, model) -> None:
    groups = [("data", slice(0, starts.num_data)), ("box", slice(starts.num_data, None))]
    groups = [(name, table.label[where]) for name, where in groups if len(table.label[where])]
    head = ["row", "attractor", "period", "λ₁ (nats per step)", "± error"]
    head += [x for name, _ in groups for x in (f"share of {name}", f"95 % of {name}")]
    columns = []
    for name, label in groups:
        counts = np.array([np.count_nonzero(label == row) for row in range(len(table))])
        ends = wilson(counts, len(label))
        columns.append([_share(*pair, len(label)) for pair in zip(counts.tolist(), ends)])
        part.facts[f"num_states_{name}"] = len(label)
    rows = []
    for row in range(len(table)):
        period = int(table.period[row])
        cells = [
            number(row),
            Cell(table.name(row)),
            number(period or None),
            number(float(table.lyapunov[row])),
        ]
        cells.append(number(float(table.standard_error[row]), 1))
        rows.append([*cells, *(cell for column in columns for cell in column[row])])
    part.tables.append(PageTable("attractors", _caption(starts), head, rows))
    part.sentences += _sentences(table, groups, model)
    ends = (starts.low.tolist(), starts.high.tolist())
    part.facts["box"] = [x[0] if len(set(x)) == 1 else x for x in ends]
    part.sentences += [f"Note: {note}" for note in table.notes]


def _share(count: int, ends: np.ndarray, total: int) -> tuple[Cell, Cell]:
    low, high = (100 * float(x) for x in ends)
    share = 100 * count / max(total, 1)
    return Cell(f"{share:.1f} %", share), Cell(f"{low:.1f} to {high:.1f} %", [low, high])


def _caption(starts: Starts) -> str:
    pairs = zip(starts.low.tolist(), starts.high.tolist())
    ranges = list(dict.fromkeys(f"[{low:g}, {high:g}]" for low, high in pairs))
    box = f"{len(starts.states) - starts.num_data:,} states drawn from the box {' × '.join(ranges)}"
    if len(ranges) == 1 and len(starts.low) > 1:
        box += f" in each of {len(starts.low)} states"
    data = f"{starts.num_data:,} rows of the data, spread evenly, and " if starts.num_data else ""
    return f"Where orbits end from {data}{box}, with Wilson's intervals."


def _sentences(table: AttractorSet, groups, model) -> list[str]:
    """Return what is to be said of the attractors, most frequent first."""
    real = ~np.isin(table.kind, (ATTRACTOR.diverged, ATTRACTOR.undecided))
    name, label = groups[0]
    where = {"data": "states of the data", "box": "states drawn from the box"}[name]
    counts = np.array([np.count_nonzero(label == row) for row in range(len(table))])
    ends = 100 * wilson(counts, len(label))
    said = []
    for row in np.flatnonzero(counts).tolist():
        text = f"{100 * counts[row] / len(label):.1f} % ({ends[row, 0]:.1f} to {ends[row, 1]:.1f})"
        said.append(f"{text} {_fate(table, row, model)}")
    many = int(real.sum())
    met = {0: "No attractor was", 1: "One attractor was"}.get(many, f"{many} attractors were")
    total = f"{met} met. Of {len(label):,} {where}, "
    return [total + "; ".join(said[:5]) + ("; ..." if len(said) > 5 else "") + "."]


def _fate(table: AttractorSet, row: int, model) -> str:
    """Return what becomes of the states of one row."""
    kind = ATTRACTOR(int(table.kind[row]))
    if kind in (ATTRACTOR.diverged, ATTRACTOR.undecided):
        return "diverge" if kind is ATTRACTOR.diverged else "are undecided"
    if kind is not ATTRACTOR.cycle:
        return f"go to a {table.name(row)} attractor (row {row})"
    if table.period[row] > 1:
        return f"go to a stable {table.name(row)} (row {row})"
    turning = np.linalg.eigvals(np.asarray(jacobian(model, table.orbit(row)[0])))
    focus = np.abs(turning[np.abs(turning).argmax()].imag) > 0
    return f"go to a stable fixed point (row {row})" + (", a focus" if focus else "")
