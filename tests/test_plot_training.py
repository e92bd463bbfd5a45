"""Plots of training runs and generated orbits: what is drawn is what was found."""

import dataclasses
import io
import types
from typing import Any

import numpy as np
import pytest
import scipy.ndimage

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt

import plrjax as plr
from plrjax import metrics, plot
from plrjax import training as tr

KEY = jr.key(0)
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def wave(rows: int = 600, phase: float = 0.0, columns: int = 3) -> np.ndarray:
    t = 0.11 * np.arange(rows)[:, None]
    return np.sin(t * np.sqrt(1.0 + np.arange(columns)) + phase) + 0.1 * np.cos(5 * t)


@pytest.fixture
def run() -> tr.TrainingRun:
    model, identity = plr.ClippedShallowPLRNN(3, 4, key=KEY), tr.Identity(3)
    losses = np.geomspace(1.0, 0.1, 8, dtype=np.float32)
    norms = RNG.uniform(0.1, 1.0, (8, 5)).astype(np.float32)
    forcing = np.linspace(1.0, 0.5, 8, dtype=np.float32)
    record = tr.TrainingRecord(8, model, identity, (), losses, norms, tr.AdaptiveForcing(), 0.5)
    names = ("model.A", "model.W1", "model.W2", "model.h1", "model.h2")
    return tr.TrainingRun(model, identity, losses, norms, names, forcing, 8, 0.1, record)


def probe() -> plr.LyapunovProbe:
    """Return a probe that has seen three spectra, the last one with an exponent of -inf."""
    found: Any = plr.LyapunovProbe(np.zeros(3), key=KEY)
    for step, lowest in ((0, -3.0), (4, -2.0), (8, -np.inf)):
        values = np.array([0.5 + 0.123 * step, 0.0, lowest])
        error = np.where(np.isfinite(values), [0.02, 0.0, 0.1], np.nan)
        fields = dict(exponents=values, standard_error=error, orbit_mean=values + 1.0)
        found.steps.append(step)
        found.spectra.append(types.SimpleNamespace(**fields, orbit_deviation=2.0 * error))
    return found


def longer(run: tr.TrainingRun, losses, **changes) -> tr.TrainingRun:
    """Return the run with other losses, and as many updates of the rest."""
    losses = np.asarray(losses)
    number, width = len(losses), len(run.parameters)
    changes = {"forcing": np.full(number, np.nan, np.float32)} | changes
    norms = np.abs(losses)[:, None] * np.arange(1.0, width + 1)
    return dataclasses.replace(
        run, losses=losses, gradient_norms=norms, num_steps=number, **changes
    )


def evaluation() -> metrics.Evaluation:
    rotation = jnp.array([[0.8, -0.6], [0.6, 0.8]])
    turns = np.array([0.6435 * np.arange(400)])
    test = np.concatenate([np.cos(turns), np.sin(turns)]).T
    return metrics.evaluate(lambda z: rotation @ z, test, num_starts=4, smoothing=2)


def line(ax, label: str) -> Any:
    (found,) = [x for x in ax.lines if str(x.get_label()).startswith(label)]
    return found


def curve(ax, number: int = 0) -> Any:
    return ax.lines[number]


def labels(ax) -> list[str]:
    return ax.get_legend_handles_labels()[1]


def draw(figure) -> None:
    figure.savefig(io.BytesIO(), format="pdf")


def test_short_run_is_drawn_update_by_update(run):
    figure = plot.training(run)
    loss, norm, forcing = figure.axes
    for ax, values in (
        (loss, run.losses),
        (norm, np.sqrt(np.square(run.gradient_norms).sum(axis=1))),
        (forcing, run.forcing),
    ):
        x, y = curve(ax).get_data()
        np.testing.assert_array_equal(x, np.arange(8))
        np.testing.assert_allclose(y, values, rtol=1e-6)
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log", "linear"]
    assert forcing.get_xlabel() == "updates" and not loss.get_xlabel()
    draw(figure)


def test_exponents_share_the_axis_of_updates(run):
    for spectra in (probe(), probe().history):
        ax = plot.training(run, spectra, exponents=[0]).axes[-1]
        first = line(ax, r"$\lambda_{1}$, at last $1.48 \pm 0.02$")
        np.testing.assert_array_equal(first.get_xdata(), [0, 4, 8])
        np.testing.assert_array_equal(first.get_ydata(), [0.5, 0.992, 1.484])
        (band,) = ax.collections
        box = band.get_datalim(ax.transData)
        np.testing.assert_allclose((box.y0, box.y1), (0.48, 1.504))
        assert list(curve(ax).get_ydata()) == [0, 0]
    figure = plot.training(run, probe())
    assert r"$\lambda_{2}$, at last $0$" in labels(figure.axes[-1])
    assert r"$\lambda_{3}$, at last $-\infty$" in labels(figure.axes[-1])
    draw(figure)


def test_evaluations_in_the_order_of_steps_with_their_floor(run):
    one = evaluation()
    lost = dataclasses.replace(one, state_space_divergence=np.full(4, np.nan))
    figure = plot.training(run, evaluations=[(8, lost), (4, one), (0, one)])
    ax = figure.axes[-1]
    x, y = line(ax, "median").get_data()
    median = one.median.state_space_divergence
    np.testing.assert_array_equal(x, [0, 4, 8])
    np.testing.assert_array_equal(y, [median, median, np.nan])
    single = line(ax, "single orbits").get_ydata()
    np.testing.assert_array_equal(single[:4], one.state_space_divergence)
    assert np.isnan(single[8:]).all() and list(line(ax, "not finite").get_xdata()) == [8]
    floor = one.floor.state_space_divergence
    assert list(line(ax, "floor of the data").get_ydata()) == [floor, floor]
    draw(figure)


def test_running_median_and_parameters(run):
    losses = np.exp(RNG.normal(size=1000))
    norm = plot.training(longer(run, losses), per_parameter=True).axes[1]
    x, y = line(norm, "A").get_data()
    for place in (0, len(x) // 2, len(x) - 1):
        reach = min(10, x[place])
        around = losses[x[place] - reach : x[place] + reach + 1]
        assert y[place] == pytest.approx(np.median(around))
    np.testing.assert_allclose(line(norm, "h1").get_ydata(), 4.0 * y)
    total = line(norm, "all parameters").get_ydata()
    np.testing.assert_allclose(total, np.sqrt(np.square(np.arange(1, 6)).sum()) * y)


def test_single_update(run):
    once = dataclasses.replace(
        run, losses=run.losses[:1], gradient_norms=run.gradient_norms[:1],
        forcing=run.forcing[:1], num_steps=1,
    )  # fmt: skip
    figure = plot.training(once)
    assert curve(figure.axes[0]).get_data() == ([0], [run.losses[0]])
    assert curve(figure.axes[0]).get_marker() == "."
    draw(figure)


@pytest.mark.parametrize("number", [60, 300])
def test_updates_that_are_not_finite_are_marked(run, number):
    losses = np.ones(number)
    losses[[3, 4]] = np.nan, np.inf
    figure = plot.training(longer(run, losses))
    for ax in figure.axes:
        assert list(line(ax, "not finite").get_xdata()) == [3, 4]
        assert np.isnan(curve(ax).get_ydata()[[3, 4]]).all()
    draw(figure)


def test_nothing_finite_at_all(run):
    figure = plot.training(longer(run, np.full(200, np.nan)))
    assert len(line(figure.axes[0], "not finite").get_xdata()) == 200
    draw(figure)


def test_divergence_ends_all_panels(run):
    ended = longer(run, np.geomspace(1.0, 1e30, 150), result=plr.RESULTS.not_finite)
    figure = plot.training(ended)
    for ax in figure.axes:
        assert list(curve(ax, -1).get_xdata()) == [150, 150] and ax.get_xlim()[1] > 150
    assert "diverged after 150 updates" in labels(figure.axes[0])
    assert not any("diverged" in text for text in labels(plot.training(run).axes[0]))
    draw(figure)


def test_negative_losses_are_drawn_linearly(run):
    figure = plot.training(longer(run, np.linspace(1.0, -1.0, 200)))
    assert [ax.get_yscale() for ax in figure.axes] == ["linear", "log"]


def test_long_runs_are_drawn_with_few_points_and_keep_their_peaks(run):
    losses = np.exp(RNG.normal(size=250_000))
    losses[[123_456, 200_001]] = 1e4, 1e-4
    losses[50_000:50_010] = np.nan
    long = longer(run, losses, forcing=np.linspace(1, 0, len(losses)))
    file = io.BytesIO()
    figure = plot.training(long, per_parameter=True)
    figure.savefig(file, format="pdf")
    assert file.tell() < 300_000
    x, y = line(figure.axes[0], "single updates").get_data()
    assert len(x) <= 2002 and (x[0], x[-1]) == (0, len(losses) - 1)
    np.testing.assert_array_equal(y, losses[x])
    assert {123_456, 200_001} <= set(x)
    for part in np.array_split(np.arange(len(losses)), 1000)[::50]:
        drawn = y[(x >= part[0]) & (x <= part[-1])]
        least, greatest = np.nanmin(losses[part]), np.nanmax(losses[part])
        assert (np.nanmin(drawn), np.nanmax(drawn)) == (least, greatest)
    (marked,) = line(figure.axes[0], "not finite").get_xdata()
    assert marked == 50_000


def test_attractor_panels_have_equal_limits():
    true, generated = wave(), 1.15 * wave(500, 1.0)
    for axes, names in ((None, "xyz"), ((2, 0), "xy")):
        left, right = plot.attractor(true, generated, axes)
        columns = [0, 1, 2] if axes is None else list(axes)
        for ax, series in ((left, true), (right, generated)):
            drawn = curve(ax).get_data_3d() if axes is None else curve(ax).get_data()
            assert len(ax.lines) == 1
            np.testing.assert_array_equal(np.transpose(drawn), series[:, columns])
        for name, column in zip(names, columns):
            limits = getattr(left, f"get_{name}lim")()
            assert limits == getattr(right, f"get_{name}lim")()
            assert limits[0] < min(true[:, column].min(), generated[:, column].min())
            assert limits[1] > max(true[:, column].max(), generated[:, column].max())
            assert str(column + 1) in getattr(right, f"get_{name}label")()
        draw(left.figure)


def test_attractors_over_each_other_differ_without_color():
    ax = plt.figure().add_subplot()
    (found,) = plot.attractor(wave(), wave(), (0, 1), ax=ax, num_steps=100)
    true, generated = found.lines
    assert found is ax and labels(ax) == ["true", "generated"]
    assert true.get_linestyle() != generated.get_linestyle() and len(true.get_xdata()) == 100
    ax = plt.figure().add_subplot()
    plot.attractor(wave(), wave(), (0, 1), ax=ax, points=True)
    true, generated = ax.lines
    assert true.get_linestyle() == generated.get_linestyle() == "None"
    assert true.get_marker() != generated.get_marker()


def test_orbit_that_runs_away_leaves_the_data_in_view():
    true, generated = wave(), wave(100)
    generated[50:75] *= 1e9
    generated[75] = np.nan
    left, right = plot.attractor(true, generated)
    assert "33 % outside, not finite after 75 steps" in right.get_title()
    assert np.ptp(left.get_xlim()) < 2 * np.ptp(true[:, 0])
    drawn = np.transpose(curve(right).get_data_3d())
    np.testing.assert_array_equal(drawn[:50], generated[:50])
    assert np.isnan(drawn[50:]).all()
    draw(left.figure)
    _, right = plot.attractor(true, np.full((9, 3), np.nan))
    assert "not finite after 0 steps" in right.get_title()


def test_time_series():
    true, generated = wave(300), wave(300, 0.3)
    generated[80:, 1] = np.inf
    panels = plot.time_series(true, generated, num_steps=100, dt=0.5, dimensions=(2, 0))
    for ax, column in zip(panels, (2, 0), strict=True):
        for name, series in (("true", true), ("generated", generated)):
            x, y = line(ax, name).get_data()
            np.testing.assert_array_equal(x, 0.5 * np.arange(100))
            expected = series[:100, column].copy()
            expected[80:] = np.nan if name == "generated" else expected[80:]
            np.testing.assert_array_equal(y, expected)
    assert panels[-1].get_xlabel() == "time"
    assert len(plot.time_series(wave(columns=5), wave(columns=5))) == 3
    draw(panels[0].figure)


def spectrum(series, smoothing):
    """Return the power of a series without its mean, smoothed over frequencies, of sum 1."""
    power = np.abs(np.fft.rfft(series - series.mean())) ** 2
    power[0] = 0.0
    if smoothing:
        power = scipy.ndimage.gaussian_filter1d(power, smoothing, mode="reflect", truncate=4.0)
    return power / power.sum()


def test_spectra_are_those_that_are_compared():
    true, generated = wave(700), wave(600, 0.5) + 0.2 * RNG.normal(size=(600, 3))
    panels = plot.power_spectra(true, generated, dt=0.1, smoothing=3)
    errors = []
    for column, ax in enumerate(panels):
        roots = []
        for name, series in (("true", true), ("generated", generated)):
            x, y = line(ax, name).get_data()
            power = spectrum(series[:600, column], 3.0)
            np.testing.assert_allclose(y, power[1:], rtol=1e-9)
            np.testing.assert_allclose(x, np.arange(1, 301) / 60.0)
            roots.append(np.sqrt(power))
        errors.append(np.sqrt(0.5 * np.square(roots[0] - roots[1]).sum()))
        assert f"$D_H$ = {errors[-1]:.3g}" in ax.get_title()
    whole = metrics.power_spectrum_error(true, generated, 3)
    assert np.mean(errors) == pytest.approx(whole, rel=1e-12)
    assert "time unit" in panels[0].get_xlabel()
    draw(panels[0].figure)


def test_spectra_of_orbits_without_one():
    generated = wave()
    generated[:, 1] = 0.5
    panels = plot.power_spectra(wave(), generated)
    assert labels(panels[0]) == ["true", "generated"] and labels(panels[1]) == ["true"]
    assert "1, generated stands still" in panels[1].get_title()
    generated[3] = np.nan
    panels = plot.power_spectra(wave(), generated, dimensions=1)
    assert labels(panels[0]) == ["true"] and "not finite" in panels[0].get_title()
    draw(panels[0].figure)


def test_long_spectra_keep_their_peaks():
    true = RNG.normal(size=(30_000, 1))
    (ax,) = plot.power_spectra(true, true[:20_000], smoothing=0)
    x, y = line(ax, "true").get_data()
    power = spectrum(true[:20_000, 0], 0)[1:]
    assert len(x) <= 2002
    assert y.max() == pytest.approx(power.max(), rel=1e-9)
    assert y.min() == pytest.approx(power.min(), rel=1e-9)


def test_many_dimensions_fill_a_grid():
    panels = plot.power_spectra(wave(columns=9), wave(columns=9), dimensions=[8, 1, 2, 3])
    assert len(panels) == len(panels[0].figure.axes) == 4
    assert [bool(ax.get_xlabel()) for ax in panels] == [False, True, True, True]
    assert len(plot.power_spectra(wave(columns=9), wave(columns=9))) == 6
    draw(panels[0].figure)


def test_given_figures_and_axes_are_used(run):
    figure = plot.bare_figure()
    assert plot.training(run, figure=figure) is figure and len(figure.axes) == 3
    for function in (plot.time_series, plot.power_spectra):
        given = plt.figure().subplots(3, 1)
        assert list(function(wave(), wave(), ax=given)) == list(given)


def test_events_of_cycles_stand_below_a_run(run):
    tent = lambda a: plr.PiecewiseAffineMap([[0.2]], [[a - 0.2]], [[1.0]], [1.0], [0.0])
    found = plr.detect_bifurcations(
        [tent(-2.0), tent(2.0)], 1, steps=[0, 4], progress=plr.NoProgress()
    )
    figure = plot.training(run, bifurcations=found)
    events = figure.axes[-1]
    places = np.sort(np.concatenate([np.ravel(line.get_xdata()) for line in events.lines]))
    assert np.allclose(places, [1.0, 1.0, 3.0, 3.0])
    assert "degenerate flip (1)" in [text.get_text() for text in events.get_yticklabels()]
    draw(figure)
    with pytest.raises(ValueError, match="bifurcations: expected a BifurcationTracker or"):
        plot.training(run, bifurcations=[1])


def test_misuse_of_runs(run):
    one = evaluation()
    other = dataclasses.replace(one, num_observed=7)
    unused = plr.LyapunovProbe(np.zeros(3), key=KEY)
    empty = longer(run, np.zeros(0))
    cases: Any = (
        ((3,), "run: expected a TrainingRun, got int"),
        ((empty,), "run: expected at least one update"),
        ((run, "spectrum"), "spectra: expected a LyapunovProbe or a SpectrumHistory, got str"),
        ((run, unused), "spectra: expected a LyapunovProbe that was called"),
        (
            (run, None, one),
            r"evaluations: expected an EvaluationProbe or pairs \(step, Evaluation\)",
        ),
        ((run, None, [one]), "evaluations: expected an EvaluationProbe or pairs"),
        ((run, None, [(0, one), (1, other)]), "evaluations: expected the same test data"),
        ((run, probe(), None, False, [3]), "exponents: expected indices"),
    )
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            plot.training(*arguments)


def test_misuse_of_orbits():
    x, flat = wave(), wave()
    flat[:, 2] = 1.0
    one, two = plt.figure().add_subplot(), plt.figure().subplots(2, 1)
    for call, message in (
        (lambda: plot.attractor(x, x[:, :2]), "generated: expected 3 columns, got shape"),
        (lambda: plot.attractor(x[:, 0], x), "true: expected a series of shape"),
        (lambda: plot.attractor(x[:, :1], x[:, :1]), "true: expected at least two columns"),
        (lambda: plot.attractor(x * np.nan, x), "true: expected finite numbers"),
        (lambda: plot.attractor(x, x, (0, 3)), "axes: expected different columns from 0 to 2"),
        (lambda: plot.attractor(x, x, (0, 0)), "axes: expected different columns"),
        (lambda: plot.attractor(x, x, "xy"), "axes: expected different columns"),
        (lambda: plot.attractor(x, x, (0,)), "axes: expected two or three columns"),
        (lambda: plot.attractor(x, x, ax=one), "ax: expected 3-D Axes for 3 columns"),
        (lambda: plot.attractor(x, x, (0, 1), ax=[1]), "ax: expected 1 or 2 Axes"),
        (lambda: plot.attractor(x, x, num_steps=1), "num_steps: expected an integer"),
        (lambda: plot.time_series(x, x, dt=0), "dt: expected a positive number, got 0"),
        (lambda: plot.time_series(x, x, dimensions=[]), "dimensions: expected different"),
        (lambda: plot.time_series(x, x, ax=two), "ax: expected 3 Axes"),
        (lambda: plot.power_spectra(x, x[:, :1]), "generated: expected 3 columns"),
        (lambda: plot.power_spectra(x, x, dt=-1.0), "dt: expected a positive number"),
        (lambda: plot.power_spectra(x, x, dimensions=5), "dimensions: expected different"),
        (lambda: plot.power_spectra(flat, x), "true: .* column 2 is constant"),
        (lambda: plot.power_spectra(x, x[:30]), "generated: expected at least 40 rows"),
        (lambda: plot.power_spectra(x, x, smoothing=-1), "smoothing: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
