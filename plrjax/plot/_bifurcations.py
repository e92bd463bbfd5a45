"""Bifurcations along a sequence of networks, or through training, on one axis."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._io import RunFolder
from .._results import RESULTS, STABILITY
from .._tables import plural
from ..bifurcations import AbstractParameterPath, Bifurcations
from ..bifurcations._continuation import CLOSE
from ..bifurcations._detect import _paths
from ..training import TrainingRun
from ._branches import (
    LINES,
    check_coordinate,
    check_found,
    draw_curves,
    draw_events,
    name_of,
    observed,
)
from ._common import BLUE, STABILITY_COLORS, legend, new_figure
from ._curves import curves_of, segment_edges, shown_range
from ._marks import draw_lines, draw_strip, marks_of
from ._training import (
    _draw_losses,
    _draw_norms,
    _plain_ticks,
    _set_scale,
    checked_history,
    draw_exponents,
)

_NAMES = {"gradient_norm": "gradient norm", "D_stsp": r"$D_\mathrm{stsp}$ (nats)"}


def bifurcations(
    found: Bifurcations,
    models: Any = None,
    run: Any = None,
    coordinate: int | None = 0,
    spectra: Any = None,
    figure=None,
):
    """Draw events, branches of cycles, numbers of cycles and the loss on one axis; return a figure.

    The x axis is the training step (`found.steps`; for a path, its parameter). The first panel
    tells the events, a row for each kind, and where stable cycles are lost and gained; vertical
    lines repeat them in all panels. Branches are solid where the cycle is stable, dashed for a
    saddle, dotted where it is unstable; a k-cycle has k lines. Numbers of cycles are those of the
    branches found, at every x.

    **Arguments:**

    - `found`: what `detect_bifurcations` returned.
    - `models`: the networks (or the path) that it was given; adds the panel of branches.
    - `run`: the `TrainingRun` or `RunFolder` that the networks are of; adds loss and gradient norm,
        and D_stsp where the folder has it. Without it loss and norm are drawn at the networks,
        where `found` knows them.
    - `coordinate`: which state is drawn; None for the Euclidean norm of the state.
    - `spectra`: a `SpectrumHistory` or a `LyapunovProbe`; adds exponents with standard errors.
    - `figure`: one to draw into; by default a new one.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    check_found(found)
    panels = [lambda ax: draw_strip(ax, found)]
    if models is not None:
        panels.append(_branch_panel(found, _checked_paths(found, models), coordinate))
    panels += [lambda ax: _draw_counts(ax, found), *_loss_panels(found, run)]
    history = checked_history(spectra)
    if history is not None:
        panels.append(lambda ax: draw_exponents(ax, history, None))
    heights = [0.35 + 0.12 * (len(marks_of(found)) + 2), *[1.5 if models is not None else 1.0]]
    heights = (heights + [1.0] * len(panels))[: len(panels)]
    if figure is None:
        figure = new_figure(9.5, 1.0 + 1.75 * sum(heights))
    rows = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for ax, draw in zip(rows, panels):
        draw(ax)
        draw_lines(ax, found)
        _shade_unreached(ax, found)
        if ax is not rows[0]:
            legend(ax)
        _plain_ticks(ax)
    rows[0].set_title(_title(found), fontsize="medium")
    _finish_axis(rows[-1], found, run)
    figure.align_ylabels(list(rows[1:]))
    return figure


def last_step(found: Bifurcations) -> float:
    """Return the step up to which cycles were followed; a search that was cut short ends early."""
    if found.result is RESULTS.successful:
        return float(found.steps[-1])
    return float(found.steps[found.segment_interval.max(initial=-1) + 1])


def _shade_unreached(ax, found: Bifurcations) -> None:
    last = last_step(found)
    if last < found.steps[-1]:
        ax.axvspan(last, found.steps[-1], color="0.92", lw=0, zorder=0, label="not reached")


def _title(found: Bifurcations) -> str:
    branches = "branch" if found.num_branches == 1 else "branches"
    coverage = found.coverage.name.replace("_", " ")
    return f"{plural(len(found), 'event')} on {found.num_branches} {branches}; coverage: {coverage}"


def _finish_axis(ax, found: Bifurcations, run: Any) -> None:
    steps = found.steps
    ax.set_xlim(steps[0] - 0.01 * np.ptp(steps), steps[-1] + 0.01 * np.ptp(steps))
    counted = np.array_equal(steps, np.arange(float(len(steps)))) and len(steps) > 2
    plain = "number of the network" if counted else "parameter $s$"
    trained = run is not None or (len(steps) > 2 and not counted)
    ax.set_xlabel("training step" if trained else plain)


def _branch_panel(
    found: Bifurcations, paths: list[AbstractParameterPath], coordinate: int | None
) -> Callable:
    check_coordinate(coordinate, paths[0].shape[0])
    curves, ends = curves_of(found, paths)
    values = [observed(curve.states, coordinate).reshape(-1) for curve in curves]
    limits = shown_range(np.concatenate([np.zeros(0), *values]))

    def draw(ax):
        draw_curves(ax, curves, coordinate)
        ax.set_ylim(*limits)
        for line in draw_events(ax, found, ends, coordinate):
            line.set_label(None)  # the first panel has the names
        ax.set_ylabel(name_of(coordinate))

    return draw


def counts_of(found: Bifurcations) -> tuple[np.ndarray, dict[STABILITY, np.ndarray]]:
    """Return edges on the x axis and, of each stability, the number of cycles from edge to edge."""
    low, high = segment_edges(found)
    near = 10 * CLOSE * float(np.abs(np.diff(found.steps)).max(initial=0.0))
    every = np.sort(np.concatenate([low, high, found.steps]))
    edges = every[np.concatenate([[True], np.diff(every) > near])]
    first, last = (np.searchsorted(edges, x + near, "right") - 1 for x in (low, high))
    numbers = {}
    for code in LINES:
        own = found.segment_stability == code
        change = np.bincount(first[own], minlength=len(edges)).astype(int)
        change -= np.bincount(last[own], minlength=len(edges))
        numbers[code] = np.cumsum(change)[:-1]
    return edges, numbers


def _draw_counts(ax, found: Bifurcations) -> None:
    from matplotlib.ticker import MaxNLocator

    edges, numbers = counts_of(found)
    edges = edges[edges <= last_step(found)]
    most = 1
    for code, values in numbers.items():
        if values.any():
            known = values[: max(0, len(edges) - 1)]
            ax.step(
                edges, np.append(known, known[-1:]), where="post", color=STABILITY_COLORS[code],
                ls=LINES[code], lw=1.4, label=code.name,
            )  # fmt: skip
            most = max(most, int(values.max()))
    ax.set_ylim(-0.05 * most, 1.1 * most)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    ax.set_ylabel("cycles")


def _loss_panels(found: Bifurcations, run: Any) -> list[Callable]:
    """Return the panels of loss and gradient norm that there are numbers for."""
    if isinstance(run, TrainingRun):
        if not len(run.losses):
            raise ValueError("run: expected at least one update, got none")
        return [lambda ax: _draw_losses(ax, run), lambda ax: _draw_norms(ax, run, False)]
    if isinstance(run, RunFolder):
        table = run.metrics
        names = [name for name in ("loss", "gradient_norm", "D_stsp") if name in table]
        columns = {name: (table["step"], table[name]) for name in names}
    elif run is None:
        columns = {
            "loss": (found.steps, found.losses),
            "gradient_norm": (found.steps, found.gradient_norms),
        }
    else:
        raise ValueError(f"run: expected a TrainingRun or a RunFolder, got {type(run).__name__}")
    return [
        _column_panel(_NAMES.get(name, name), x, values)
        for name, (x, values) in columns.items()
        if np.isfinite(values).any()
    ]


def _column_panel(name: str, x: np.ndarray, values: np.ndarray) -> Callable:
    known = np.isfinite(values)

    def draw(ax):
        _set_scale(ax, values)
        marker = "." if np.count_nonzero(known) < 100 else ""
        ax.plot(x[known], values[known], color=BLUE, lw=1.2, marker=marker)
        ax.set_ylabel(name)

    return draw


def _checked_paths(found: Bifurcations, models: Any) -> list[AbstractParameterPath]:
    """Return the path of each interval, and refuse networks that events are not of."""
    paths = _paths(models)[0]
    if len(paths) != len(found.steps) - 1:
        raise ValueError(
            f"models: expected the {len(found.steps)} networks of found, got {len(paths) + 1}"
        )
    if paths[0].shape[1] != found.num_units and len(found.segment_low):
        raise ValueError(
            f"models: expected {found.num_units} ReLU units as in found, got {paths[0].shape[1]}"
        )
    return paths
