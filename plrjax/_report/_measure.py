"""The parts about exponents and about words: how chaotic an attractor is, counted in two ways."""

import numpy as np

from .._lyapunov import LyapunovSpectrum, lyapunov_spectrum
from .._results import ATTRACTOR
from ..attractors import SymbolicDynamics, symbolic_dynamics
from ..cycles import CycleSet
from ..plot._lyapunov import convergence, spectrum
from ..plot._words import word_entropies, word_graph
from ._findings import Findings
from ._section import Cell, PageTable, Section, Skipped, draw, number
from ._subject import Subject

_ORBITS, _STEPS, _MOST = 64, 10_000, 20
"""Orbits and steps behind the exponents, and the most exponents."""
_SURE = 3.0
"""Standard errors by which an exponent is told from 0."""
_READ = 200_000
"""Steps of the orbit that is read as words."""
_MOST_NODES = 14
"""A graph of more regions is a table only."""


def exponents(subject: Subject, found: Findings, seconds: float) -> Section:
    """Return the Lyapunov spectrum of the main attractor."""
    size, row = subject.model.state_size, found.moving_row
    code = "state = np.zeros(model.state_size)"
    state = np.zeros(size)
    open_state = found.undecided_state
    if open_state is not None:
        state, code = open_state
    elif row is not None:
        state, code = found.point(row), f"state = found.orbit({row})[-1]"
    elif found.attractors is not None:
        raise Skipped("no orbit stays on an attractor")
    elif found.cycles is not None and len(found.cycles):
        state = found.cycles.orbit(0)[0] + 1e-3
        code = "state = cycles.orbit(0)[0] + 1e-3"
    number_of = min(size, _MOST)
    options = {"num_exponents": number_of, "num_orbits": _ORBITS, "num_steps": _STEPS}
    result = lyapunov_spectrum(
        subject.model, state, key=subject.key, max_seconds=seconds, throw=False,
        progress=subject.progress, **options,
    )  # fmt: skip
    if not np.isfinite(result.exponents).any():
        raise Skipped("orbits do not stay finite, and exponents are means along orbits")
    found.spectrum = result
    part = Section("exponents", "Lyapunov exponents")
    found.ended(part, result.result, "the time ran out; exponents are means over fewer steps")
    given = ", ".join(f"{name}={value}" for name, value in options.items())
    part.code = [code, f"spectrum = plr.lyapunov_spectrum(model, state, key=key, {given})"]
    part.code.append("print(spectrum)")
    if row is not None and row != found.main_row and open_state is None:
        part.facts["attractor"] = row
    _tell(part, result)
    return part


def _tell(part: Section, result: LyapunovSpectrum) -> None:
    values, errors = result.exponents, result.standard_error
    first, error = float(values[0]), float(errors[0])
    if first > _SURE * error:
        said = f"Chaotic: errors double in {result.prediction_time:.3g} steps"
    elif first < -_SURE * error:
        said = "Not chaotic: neighboring orbits approach each other"
    else:
        said = "Neutral: the largest exponent cannot be told from 0"
    where = f"On the attractor in row {part.facts['attractor']}: " if part.facts else ""
    part.sentences.append(f"{where}{said} (λ₁ = {first:.4g} ± {error:.1g} nats per step).")
    dimension = float(result.kaplan_yorke)
    part.facts |= {
        "kaplan_yorke": dimension, "entropy_sum": float(result.entropy_sum),
        "det_residual": float(result.det_residual), "num_steps": result.num_steps,
    }  # fmt: skip
    if dimension == dimension:
        part.sentences.append(f"Kaplan-Yorke dimension {dimension:.4g}.")
    rows = [
        [number(i), number(float(x), 5), number(float(e), 1)]
        for i, (x, e) in enumerate(zip(values, errors), start=1)
    ]
    caption = "Means over orbits on the attractor, nats per step, with standard errors."
    part.tables.append(PageTable("spectrum", caption, ["i", "λᵢ (nats per step)", "± error"], rows))
    part.sentences += [f"Note: {note}" for note in result.notes]
    part.pictures += [
        draw(
            lambda figure: spectrum(result, ax=figure.subplots()),
            f"Lyapunov exponents against their index; the largest is {first:.3g}",
            "The spectrum, with one standard error, over exponents of single orbits.",
            "plr.plot.spectrum(spectrum)",
            (4.4, 3.4),
        ),
        draw(
            lambda figure: convergence(result, ax=figure.subplots()),
            "Running means of the exponents less their final values, against time",
            "How the means converged; shaded: the standard error to expect for the first.",
            "plr.plot.convergence(spectrum)",
            (6.2, 3.4),
        ),
    ]


def words(subject: Subject, found: Findings, seconds: float) -> Section:
    """Return the symbolic dynamics of the main attractor."""
    if not subject.is_piecewise_affine:
        raise Skipped("a smooth network has no linear subregions to make words of")
    row = found.moving_row
    if row is None or found.attractors is None:
        raise Skipped("no orbit stays on an attractor")
    if ATTRACTOR(int(found.attractors.kind[row])) is ATTRACTOR.cycle:
        raise Skipped("the attractor is a cycle: its itinerary is its word, and its entropy is 0")
    result = symbolic_dynamics(
        subject.plrnn, found.point(row), num_steps=_READ, max_seconds=seconds,
        progress=subject.progress,
    )  # fmt: skip
    found.words = result
    part = Section("words", "Words: the regions an orbit visits")
    part.code = [
        f"words = plr.symbolic_dynamics(model, found.orbit({row})[-1], num_steps={_READ})",
        "print(words)",
    ]
    found.ended(part, result.result, "the time ran out; a shorter orbit was read")
    _tell_words(part, result, found)
    return part


def _tell_words(part: Section, result: SymbolicDynamics, found: Findings) -> None:
    source, target, count = result.transitions
    value, error, length = result.entropy
    part.sentences.append(
        f"In {len(result.text):,} steps the orbit visits {len(result)} linear subregions by "
        f"{len(count)} transitions."
    )
    part.facts |= {"num_regions": len(result), "num_transitions": len(count)}
    part.tables.append(_entropies(part, result, found))
    head = ["length", "words", "growth", "met once", "H (nats)", "rate", "± error", "missing"]
    rows = [
        [
            number(n + 1), number(int(result.num_words[n])), number(float(result.growth[n])),
            Cell(f"{100 * result.seen_once[n]:.2g} %", float(result.seen_once[n])),
            number(float(result.block_entropy[n])), number(float(result.rate[n])),
            number(float(result.rate_error[n]), 1), number(int(result.num_missing[n])),
        ]
        for n in range(len(result.num_words))
    ]  # fmt: skip
    caption = (
        "Words of each length: how many, how fast their number grows (nats per step), the share of "
        "the orbit in words met once, block entropy and its increase, and words not met though "
        "both words one letter shorter were."
    )
    part.tables.append(PageTable("words", caption, head, rows))
    if length > 1:
        absent, expected = result.missing(min(length, 3) if length > 2 else 2)
        part.facts["missing_words"] = [
            {"word": word.tolist(), "expected": float(x)} for word, x in zip(absent[:10], expected)
        ]
        if len(expected) and expected[0] >= 10:
            word = " ".join(map(str, absent[0].tolist()))
            part.sentences.append(
                f"Forbidden as far as this orbit tells: {word} (regions by number), which would be "
                f"met {expected[0]:,.0f} times if each letter depended on the one before only."
            )
    if len(result) <= _MOST_NODES:
        part.pictures.append(
            draw(
                lambda figure: word_graph(result, ax=figure.subplots()),
                f"Graph of {len(result)} regions and {len(count)} transitions between them",
                "Regions and transitions; numbers order them by visits, areas and widths tell how "
                "often. Patterns of active units are in report.json.",
                "plr.plot.word_graph(words)",
                (4.8, 4.4),
            )
        )
    part.facts["patterns"] = [
        "".join("01"[on] for on in result.pattern(region).tolist())
        for region in range(min(len(result), 50))
    ]
    part.pictures.append(
        draw(
            lambda figure: word_entropies(result, found.spectrum, ax=figure.subplots()),
            "Entropy rate and growth of the number of words against the length of words",
            "What longer words add: the entropy rate from counts falls towards the entropy of the "
            "itinerary, which is at most the sum of the positive exponents.",
            "plr.plot.word_entropies(words, spectrum)",
            (6.2, 3.4),
        )
    )


def _entropies(part: Section, result: SymbolicDynamics, found: Findings) -> PageTable:
    """Return all that bounds or estimates the entropy, in one table."""
    value, error, length = result.entropy
    rows = []
    if found.spectrum is not None:
        total = float(found.spectrum.entropy_sum)
        rows.append([Cell("sum of positive exponents"), number(total), number(None),
                     Cell("upper bound of the metric entropy (Ruelle)")])  # fmt: skip
    if length < 2:
        part.sentences.append(
            "So many regions are visited that words of two of them are too rare to count: this "
            "orbit tells nothing of the entropy."
        )
    else:
        rows.append([Cell(f"entropy rate of words of length {length}"), number(value),
                     number(error, 1), Cell("from above, of the itinerary's entropy")])  # fmt: skip
        part.sentences.append(
            f"Its itinerary has an entropy of at most about {value:.4g} ± {error:.1g} nats per "
            f"step, from words of length {length}."
        )
        growth = float(result.growth[length - 1])
        rows.append([Cell(f"growth of words at length {length}"), number(growth), number(None),
                     Cell("of the words met; tends to the topological entropy")])  # fmt: skip
    bound = None if found.cycles is None else entropy_bound(found.cycles)
    if bound is not None and found.cycles is not None:
        where = found.cycles.coverage_domain
        rows.append([Cell("complete search"), number(bound), number(None),
                     Cell(f"upper bound of the topological entropy, {where}")])  # fmt: skip
    return PageTable(
        "entropies", "Entropy, nats per step.", ["what", "value", "± error", "is"], rows
    )


def entropy_bound(cycles: CycleSet) -> float | None:
    """Return the least bound of the topological entropy that complete searches left."""
    bounds = cycles.stats.get("entropy_bound", {})
    return min(map(float, bounds.values()), default=None) if isinstance(bounds, dict) else None
