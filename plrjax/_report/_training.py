"""The parts about a run or a series of networks, and about how a network compares with data."""

import time

import jax
import numpy as np

from .._io._run_folder import TABLE
from .._lyapunov import LyapunovSpectrum, SpectrumHistory, lyapunov_spectrum
from .._numerics import float64_scope
from .._progress import NoProgress
from .._results import BIFURCATION, COLLISION
from ..bifurcations import Bifurcations, detect_bifurcations
from ..bifurcations._table import stability_name
from ..metrics import Scores, evaluate
from ..plot._bifurcations import bifurcations as draw_bifurcations
from ..plot._generated import power_spectra, time_series
from ..plot._orbits import simulate
from ._findings import Findings
from ._section import Cell, PageTable, Section, Skipped, draw, number
from ._subject import Subject, data_states

_MOST_SPECTRA, _ORBITS, _STEPS, _MOST = 25, 32, 2_000, 6
"""Networks of the series whose spectra are computed, orbits and steps behind each, exponents."""
_MOST_VALUES = 1_000_000
"""Numbers of the data that orbits are compared with: seconds."""
_MOST_EVENTS = 200
"""Events that the page lists."""
_DRAWN = 20_000
"""Rows of the data that are drawn."""
_SHARE = 0.6
"""Share of this part's time for events; the rest is for spectra."""
_PERIODS = (1, 2)
"""Cycles that are followed: others would take more than a page's time."""


def course(subject: Subject, found: Findings, seconds: float) -> Section:
    """Return what happened to cycles, exponents and loss from network to network."""
    if len(subject.models) < 2:
        what = "this run kept no snapshots" if subject.run else "it is a single network"
        raise Skipped(f"{what}; bifurcations are looked for between networks")
    part = Section("training", "How it came about" if subject.run else "From network to network")
    steps = np.array(subject.steps)
    events = None
    if subject.is_piecewise_affine:
        events = detect_bifurcations(
            list(subject.models), _PERIODS, key=subject.key, steps=steps,
            max_seconds=_SHARE * seconds, progress=subject.progress,
        )  # fmt: skip
        found.ended(part, events.result, "the time ran out before all networks had been followed")
        found.events = events
        given = "run" if subject.run else "models"
        part.code.append(f"events = plr.detect_bifurcations({given}, {_PERIODS}, key=key)")
        part.code.append("print(events)")
        if subject.run:
            part.code.append("models = [run.snapshot(step) for step in run.steps.tolist()]")
        _tell_events(part, events)
    if not found.interrupted:
        found.history = _history(subject, found, part, (1 - _SHARE) * seconds)
    _draw_course(part, subject, found)
    return part


def _tell_events(part: Section, events: Bifurcations) -> None:
    changing = np.flatnonzero(events.changes)
    lost, gained = (int(np.count_nonzero(events.attractor == way)) for way in (-1, 1))
    periods = ", ".join(map(str, _PERIODS))
    part.sentences.append(
        f"{len(events)} bifurcations of cycles of period {periods} along {len(events.steps)} "
        f"networks; {len(changing)} of them change stability or number of cycles, {lost} times a "
        f"stable cycle is lost and {gained} times one is gained. Coverage: "
        f"{events.coverage.name.replace('_', ' ')}."
    )
    head = ["step", "event", "period", "before", "after", "stable cycles"]
    rows = []
    for row in changing[:_MOST_EVENTS]:
        kind, subtype = BIFURCATION(int(events.kind[row])), COLLISION(int(events.subtype[row]))
        name = kind.name if subtype is COLLISION.none else f"{kind.name}, {subtype.name}"
        change, sides = (
            int(events.attractor[row]),
            (events.stability_before, events.stability_after),
        )
        rows.append(
            [
                number(float(events.step[row]), 6), Cell(name.replace("_", " ")),
                number(int(events.period[row])),
                *(Cell(stability_name(int(side[row]))) for side in sides),
                Cell(f"{change:+d}" if change else "", change),
            ]
        )  # fmt: skip
    more = len(changing) - len(rows)
    caption = "Bifurcations that change something" + (
        f"; {more} more are not listed." if more else "."
    )
    part.facts |= {"num_events": len(events), "num_changing": len(changing)}
    if rows:
        part.tables.append(PageTable("events", caption, head, rows))
    part.sentences += [f"Note: {note}" for note in events.notes[:5]]


def _history(
    subject: Subject, found: Findings, part: Section, seconds: float
) -> SpectrumHistory | None:
    """Return spectra of some of the networks, from where states settled at last."""
    rows = np.unique(np.linspace(0, len(subject.models) - 1, _MOST_SPECTRA).round().astype(int))
    state = np.zeros(subject.model.state_size)
    if found.moving_row is not None:
        state = found.point(found.moving_row)
    spectra: list[LyapunovSpectrum] = []
    end = time.perf_counter() + seconds
    for row in rows:
        left = end - time.perf_counter()
        if left <= 0:
            break
        one = lyapunov_spectrum(
            subject.models[row], state, key=subject.key, num_orbits=_ORBITS, num_steps=_STEPS,
            num_exponents=min(_MOST, len(state)), max_seconds=left, throw=False,
            progress=NoProgress(),
        )  # fmt: skip
        found.ended(part, one.result, "the time ran out before all spectra were computed")
        if found.interrupted:
            break
        spectra.append(one)
    if len(spectra) < len(rows) and not found.interrupted:
        part.cut(f"the time ran out after {len(spectra)} of {len(rows)} spectra")
    if not spectra:
        return None
    columns = ("exponents", "standard_error", "orbit_mean", "orbit_deviation")
    table = (np.stack([getattr(s, name) for s in spectra]) for name in columns)
    steps = np.array(subject.steps)[rows[: len(spectra)]]
    return SpectrumHistory(steps, *table)


def _draw_course(part: Section, subject: Subject, found: Findings) -> None:
    run = subject.run
    logged = run is not None and (run.path / TABLE).is_file()
    events = found.events
    if events is None:
        return
    tall = 7.0 + (2.5 if logged else 0.0) + (1.5 if found.history is not None else 0.0)
    part.pictures.append(
        draw(
            lambda figure: draw_bifurcations(
                events,
                list(subject.models),
                run=run if logged else None,
                spectra=found.history,
                figure=figure,
            ),  # fmt: skip
            "Events, branches, numbers of cycles, loss, gradient norm, and Lyapunov exponents "
            "against training steps",
            "Events of cycles, branches, numbers of cycles, and, as far as known, loss, gradient "
            "norm, D_stsp and exponents on one axis.",
            "plr.plot.bifurcations(events, models" + (", run=run)" if logged else ")"),
            (8.6, tall),
            wide=True,
        )
    )


def scores(subject: Subject, found: Findings, seconds: float) -> Section:
    """Return how orbits compare with data."""
    del seconds  # one pass over the data: seconds, whatever the network
    if subject.data is None:
        raise Skipped("no data were given (--data, or the TEST of a run)")
    data = subject.data[: _MOST_VALUES // subject.data.shape[1]]
    result = evaluate(subject.model, data, key=subject.key, observation_model=subject.observation)
    part = Section("scores", "Against the data")
    given = ", observation_model=run.observation_model" if subject.observation is not None else ""
    part.code = [f"print(plr.metrics.evaluate(model, data, key=key{given}))"]
    start, shown = "data[0]", "orbit"
    if subject.observation is not None:
        start = "run.observation_model.initial_state(data[0])"
        shown = "np.asarray(jax.vmap(run.observation_model.observe)(orbit))"
    part.code.append(f"orbit = plr.trajectory(model, {start}, len(data) - 1)")
    part.code.append(f"orbit = {shown}")
    part.sentences += result.verdict
    part.facts |= {"captured_share": result.captured_share, "num_nonfinite": result.num_nonfinite}
    rows = []
    names = ("D_stsp (nats)", "D_H", f"PE({result.prediction_steps})")
    for name, field in zip(names, Scores._fields):
        values = (getattr(x, field) for x in (result.median, result.deviation, result.floor))
        rows.append([Cell(name), *(number(float(x), 3) for x in values)])
    caption = f"{len(result.start)} orbits of {result.num_generated:,} steps against the data."
    head = ["score", "median", "MAD", "split-half"]
    part.tables.append(PageTable("scores", caption, head, rows))
    if len(data) < len(subject.data):
        part.sentences.append(
            f"Of {len(subject.data):,} rows the first {len(data):,} are compared."
        )
    _draw_scores(part, subject)
    return part


def _draw_scores(part: Section, subject: Subject) -> None:
    data = np.asarray(subject.data)[:_DRAWN]
    orbit = simulate(subject.model, data_states(subject, 1), len(data) - 1)[:, 0]
    orbit = np.concatenate([data_states(subject, 1), orbit])
    shown = orbit
    if subject.observation is not None:
        with float64_scope():
            shown = np.asarray(jax.vmap(subject.observation.observe)(orbit))
    if not np.isfinite(shown).all():
        return
    rows = min(3, data.shape[1])
    part.pictures.append(
        draw(
            lambda figure: time_series(
                data,
                shown,
                num_steps=min(1_000, len(data)),
                ax=np.atleast_1d(figure.subplots(rows, 1, sharex=True)),
            ),  # fmt: skip
            "Time series of the data and of an orbit of the network from the first row",
            "The data, and an orbit from their first row: chaos makes them part, not differ.",
            "plr.plot.time_series(data, orbit)",
            (6.2, 1.0 + 1.1 * rows),
        )
    )
    part.pictures.append(
        draw(
            lambda figure: power_spectra(
                data,
                shown,
                dimensions=list(range(rows)),
                ax=np.atleast_1d(figure.subplots(1, rows, sharex=True, sharey=True)),
            ),  # fmt: skip
            "Power spectra of the data and of the orbit",
            "Power spectra, as D_H compares them.",
            "plr.plot.power_spectra(data, orbit)",
            (2.0 + 2.2 * rows, 3.0),
        )
    )
