"""Plots of training runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from .._lyapunov import LyapunovProbe, SpectrumHistory
from .._numerics import is_whole, quiet_floats
from .._results import RESULTS
from .._tables import plural
from ..bifurcations import Bifurcations, BifurcationTracker
from ..metrics import Evaluation
from ..training import EvaluationProbe, TrainingRun
from ._common import BLUE, RED, legend, new_figure
from ._lyapunov import _COLORS, _LINES, spectrum_history
from ._marks import draw_lines, draw_strip, marks_of

_BINS = 1000
"""A longer curve is drawn by the least and the greatest value in each of so many parts of it."""
_MOST_DIGITS = 6
"""Decimals of an exponent, however small its error."""
_MEDIANS, _SHARE, _FEW = 400, 50, 100
"""Running medians at so many places, each over one so-manieth of the updates; none for few."""


def training(
    run: Any,
    spectra: Any = None,
    evaluations: Any = None,
    per_parameter: bool = False,
    exponents: Sequence[int] | None = None,
    bifurcations: Any = None,
    figure=None,
):
    """Draw loss, gradient and forcing, exponents and D_stsp against updates; return the figure.

    Panels share the x axis, the number of updates taken: the loss at 0 is that of the first
    network, as are an exponent and an evaluation at 0. Thin lines are single updates (of long runs,
    the extremes of 1000 parts, so that no peak is lost), thick ones running medians over 2 % of the
    run. Updates that are not finite are marked on the upper edge; where a run diverged, a dotted
    line ends all panels. Logarithmic axes become linear where there are negative values.

    **Arguments:**

    - `run`: what `training.fit` returned.
    - `spectra`: a `LyapunovProbe` or its `SpectrumHistory`; adds exponents ± standard errors, the
        last ones in numbers.
    - `evaluations`: an `EvaluationProbe`, or pairs (step, `Evaluation`) on the same test data; adds
        D_stsp: medians over starting points, those of single orbits, and the floor of the data.
    - `per_parameter`: draw running medians of each parameter's gradient norm, too.
    - `exponents`: which exponents to draw, from 0; by default all.
    - `bifurcations`: a `BifurcationTracker` or its `Bifurcations`; adds their events, a row for
        each kind, and vertical lines where stable cycles are lost or gained.
    - `figure`: one to draw into; by default a new one.

    The panel of the forcing (alpha of adaptive forcing) is there if the run has noted any.

    **Raises:** `ValueError` naming the argument; `ImportError` without matplotlib.
    """
    if not isinstance(run, TrainingRun):
        raise ValueError(f"run: expected a TrainingRun, got {type(run).__name__}")
    if not len(run.losses):
        raise ValueError("run: expected at least one update, got none")
    history, scores = checked_history(spectra), _checked_evaluations(evaluations)
    panels = [lambda ax: _draw_losses(ax, run), lambda ax: _draw_norms(ax, run, per_parameter)]
    if np.isfinite(run.forcing).any():
        panels.append(lambda ax: _draw_forcing(ax, run.forcing))
    if history is not None:
        panels.append(lambda ax: draw_exponents(ax, history, exponents))
    if scores:
        panels.append(lambda ax: _draw_scores(ax, scores))
    events = _checked_events(bifurcations)
    heights = [1.0] * len(panels)
    if events is not None:
        panels.append(lambda ax: draw_strip(ax, events))
        heights.append(0.2 + 0.12 * (len(marks_of(events)) + 2))
    if figure is None:
        figure = new_figure(9.5, 0.6 + 1.75 * len(panels))
    rows = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for ax, draw in zip(rows, panels):
        draw(ax)
        if events is not None:
            draw_lines(ax, events)
        if run.result is RESULTS.not_finite:
            text = f"diverged after {plural(run.num_steps, 'update')}" if ax is rows[0] else None
            ax.axvline(run.num_steps, color=RED, ls=":", lw=1.4, label=text)
        ax.set_xlabel("updates" if ax is rows[-1] else "")
        ax.margins(x=0.01)
        if events is None or ax is not rows[-1]:  # its rows have their names on the axis
            legend(ax)
        _plain_ticks(ax)
    _count_updates(rows[-1].xaxis)
    figure.align_ylabels(list(rows if events is None else rows[:-1]))
    return figure


def _draw_losses(ax, run: TrainingRun) -> None:
    values = np.asarray(run.losses, np.float64)
    _draw_curve(ax, values)
    ax.set_ylabel("loss")


def _draw_norms(ax, run: TrainingRun, per_parameter: bool) -> None:
    norms = np.asarray(run.gradient_norms, np.float64)
    with quiet_floats():
        total = np.hypot.reduce(norms, axis=1)
    _draw_curve(ax, total, "all parameters" if per_parameter else "")
    for place, (name, column) in enumerate(zip(run.parameters, norms.T if per_parameter else ())):
        at, middle = _running_median(column)
        line = _LINES[(place + 1 + place // len(_COLORS)) % len(_LINES)]
        color = _COLORS[1:][place % (len(_COLORS) - 1)]
        ax.plot(at, middle, color=color, ls=line, lw=0.9, label=name.removeprefix("model."))
    ax.set_ylabel("gradient norm")


def _draw_forcing(ax, forcing: np.ndarray) -> None:
    values = np.asarray(forcing, np.float64)
    shown = _extremes(values)
    ax.plot(shown, values[shown], color=BLUE, lw=1.4, marker="." if len(values) < _FEW else "")
    finite = values[np.isfinite(values)]
    if finite.min() >= 0:
        ax.set_ylim(0, 1.08 * finite.max() or 1.0)
    ax.set_ylabel(r"forcing $\alpha$")


def draw_exponents(ax, history: SpectrumHistory, exponents: Sequence[int] | None) -> None:
    """Draw exponents with their standard errors; the legend tells the last ones, at most six."""
    spectrum_history(history, exponents, band="standard_error", ax=ax)
    chosen = range(history.exponents.shape[1]) if exponents is None else exponents
    for i, curve in zip(chosen, ax.lines[1:]):
        if not curve.get_label().startswith("_"):
            last = _with_error(history.exponents[-1, i], history.standard_error[-1, i])
            curve.set_label(rf"$\lambda_{{{i + 1}}}$, at last ${last}$")
    ax.set_ylabel(r"exponents $\lambda_i$" + "\n(nats per step)")


def _with_error(value: float, error: float) -> str:
    """Return a number with the digits that its error leaves, for mathematical text."""
    if not np.isfinite(value):
        return "-\\infty" if value == -np.inf else "\\mathrm{nan}"
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3g}"
    digits = min(max(0, -int(np.floor(np.log10(error)))), _MOST_DIGITS)
    shown = f"{error:.{digits}f}" if error >= 0.5 * 10.0**-digits else f"{error:.0e}"
    return f"{value:.{digits}f} \\pm {shown}"


def _draw_scores(ax, scores: list[tuple[int, Evaluation]]) -> None:
    steps = np.array([step for step, _ in scores])
    middle = np.array([one.median.state_space_divergence for _, one in scores])
    single = [one.state_space_divergence for _, one in scores]
    floor = float(np.median([one.floor.state_space_divergence for _, one in scores]))
    every = np.concatenate([*single, [floor]])
    _set_scale(ax, every)
    ax.plot(
        np.repeat(steps, [len(x) for x in single]), every[:-1], ls="", marker="_", ms=5, mew=0.7,
        color="0.5", label="single orbits", zorder=1,
    )  # fmt: skip
    ax.plot(steps, middle, color=BLUE, lw=1.2, marker="o", ms=3.5, label="median")
    ax.axhline(floor, color="black", ls="--", lw=1.0, label=f"floor of the data: {floor:.2g}")
    _mark_lost(ax, steps[~np.isfinite(middle)])
    ax.set_ylabel(r"$D_\mathrm{stsp}$ (nats)")


def _draw_curve(ax, values: Float[np.ndarray, " update"], name: str = "") -> None:
    """Draw values of single updates and their running median."""
    _set_scale(ax, values)
    shown, few = _extremes(values), len(values) < _FEW
    style = dict(lw=1.0, marker=".") if few else dict(lw=0.6, alpha=0.35)
    ax.plot(shown, np.where(np.isfinite(values), values, np.nan)[shown], color=BLUE, **style,
            label=name if few else "single updates")  # fmt: skip
    if not few:
        at, middle = _running_median(values)
        text = f"{name}, running median" if name else f"running median ({_window(values)} updates)"
        ax.plot(at, middle, color=BLUE, lw=1.5, label=text)
    lost = np.flatnonzero(~np.isfinite(values))
    _mark_lost(ax, np.unique(lost // -(-len(values) // _BINS)) * -(-len(values) // _BINS))


def _window(values: np.ndarray) -> int:
    return len(values) // _SHARE | 1


def _running_median(values: Float[np.ndarray, " update"]):
    """Return places and medians of the finite values around them; windows shrink at the start."""
    places = np.unique(np.linspace(0, len(values) - 1, _MEDIANS).astype(int))
    middle = np.full(len(places), np.nan)
    for row, place in enumerate(places):
        reach = min(_window(values) // 2, place)
        around = values[place - reach : place + reach + 1]
        around = around[np.isfinite(around)]
        middle[row] = np.median(around) if len(around) else np.nan
    return places, middle


def _extremes(values: np.ndarray, edges: np.ndarray | None = None) -> Int[np.ndarray, " shown"]:
    """Return where the least and the greatest finite values between successive edges are."""
    if edges is None:
        edges = np.unique(np.linspace(0, len(values), _BINS + 1).astype(int))
    finite = np.isfinite(values)
    low, high = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
    parts = list(zip(edges[:-1], edges[1:]))
    ends = {int(edges[0]), int(edges[-1]) - 1}
    least = {int(a + low[a:b].argmin()) for a, b in parts}
    return np.array(sorted(ends | least | {int(a + high[a:b].argmax()) for a, b in parts}), int)


def _set_scale(ax, values: np.ndarray) -> None:
    """Make the y axis logarithmic, unless values are negative or none is positive."""
    finite = values[np.isfinite(values)]
    if (finite > 0).any() and not (finite < 0).any():
        ax.set_yscale("log")


def _plain_ticks(ax) -> None:
    """Label a logarithmic y axis of less than two decades with plain numbers."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    low, high = ax.get_ylim()
    if ax.get_yscale() == "log" and high < 100 * low:
        within = LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(4)
        ax.yaxis.set_major_locator(within)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.4g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())


def _count_updates(axis) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _mark_lost(ax, places: np.ndarray) -> None:
    if len(places):
        ax.plot(
            places, np.full(len(places), 0.95), transform=ax.get_xaxis_transform(), ls="",
            marker="x", ms=4, color=RED, label="not finite", clip_on=False,
        )  # fmt: skip


def checked_history(spectra: Any) -> SpectrumHistory | None:
    if isinstance(spectra, LyapunovProbe):
        spectra = spectra.history if spectra.spectra else None
        if spectra is None:
            raise ValueError("spectra: expected a LyapunovProbe that was called, got no record")
    if not (spectra is None or isinstance(spectra, SpectrumHistory)):
        kind = type(spectra).__name__
        raise ValueError(f"spectra: expected a LyapunovProbe or a SpectrumHistory, got {kind}")
    return spectra


def _checked_events(events: Any) -> Bifurcations | None:
    if isinstance(events, BifurcationTracker):
        events = events.bifurcations
    if not (events is None or isinstance(events, Bifurcations)):
        kind = type(events).__name__
        raise ValueError(f"bifurcations: expected a BifurcationTracker or Bifurcations, got {kind}")
    return events


def _checked_evaluations(evaluations: Any) -> list[tuple[int, Evaluation]]:
    """Return pairs in the order of their steps."""
    if isinstance(evaluations, EvaluationProbe):
        evaluations = list(zip(evaluations.steps, evaluations.evaluations))
    pairs = [] if evaluations is None else evaluations
    fits = isinstance(pairs, Sequence) and all(
        isinstance(pair, Sequence)
        and len(pair) == 2
        and is_whole(pair[0])
        and isinstance(pair[1], Evaluation)
        for pair in pairs
    )
    if not fits:
        raise ValueError(
            "evaluations: expected an EvaluationProbe or pairs (step, Evaluation), got "
            f"{evaluations!r}"
        )
    data = {(one.num_observed, one.dimension) for _, one in pairs}
    if len(data) > 1:
        raise ValueError(f"evaluations: expected the same test data in all, got {sorted(data)}")
    return sorted(pairs, key=lambda pair: pair[0])
