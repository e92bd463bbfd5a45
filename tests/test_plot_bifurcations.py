"""Plots of bifurcations: what is drawn is the closed form, and what was found."""

import dataclasses
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt

import plrjax as plr
from plrjax import BIFURCATION, RESULTS, STABILITY, plot
from plrjax import training as tr
from plrjax.plot._bifurcations import counts_of
from plrjax.plot._branches import simulated
from plrjax.plot._curves import curves_of, event_points, shown_range

QUIET = plr.NoProgress()


def skew_tent(a_r: float) -> plr.PiecewiseAffineMap:
    """z' = .2 z + 1 below 0 and a_r z + 1 above."""
    return plr.PiecewiseAffineMap([[0.2]], [[a_r - 0.2]], [[1.0]], [1.0], [0.0])


PATH = plr.FunctionPath(skew_tent, -2.0, 2.0)
TENT = plr.detect_bifurcations(PATH, [1, 2], progress=QUIET)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def sequence(count: int = 5) -> list[plr.PiecewiseAffineMap]:
    """Networks along the skew tent's path, not evenly."""
    return [skew_tent(a) for a in np.linspace(-1.0, 1.0, count) ** 3 * 2.0]


def line(ax, label: str) -> Any:
    (found,) = [x for x in ax.lines if str(x.get_label()) == label]
    return found


def dots_of(ax) -> Any:
    (found,) = [x for x in ax.lines if x.get_marker() == ","]
    return found


def drawn(*arguments, **options) -> list[Any]:
    """Return the Axes of the panels."""
    return plot.bifurcations(*arguments, **options).axes


def pieces(curve) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the parts of a line between its gaps."""
    x, y = (np.asarray(v, float) for v in curve.get_data())
    cuts = np.flatnonzero(np.isnan(x))
    parts = [(a[a == a], b[a == a]) for a, b in zip(np.split(x, cuts), np.split(y, cuts))]
    return [(a, b) for a, b in parts if len(a)]


def test_branches_of_the_skew_tent_are_the_closed_form():
    ax = plot.branches(TENT, PATH)
    fixed = lambda a: 1.0 / (1.0 - a)
    (right,) = [(x, y) for x, y in pieces(line(ax, "stable")) if x.max() > 0]
    inside = x = right[0][1:-1]
    np.testing.assert_allclose(right[1][1:-1], fixed(x), rtol=1e-9)
    assert inside.min() > -1 and inside.max() < 1 and not np.isfinite(right[1][-1])
    ((x, y),) = pieces(line(ax, "unstable"))
    np.testing.assert_allclose(y, fixed(x), rtol=1e-12)
    np.testing.assert_allclose(x[[0, -1]], [-2, -1], atol=1e-12)
    doubled = [(x, y) for x, y in pieces(line(ax, "stable")) if x.max() < 0]
    low = lambda a: (1 + a) / (1 - 0.2 * a)
    wanted = [low, lambda a: 0.2 * low(a) + 1]
    for (x, y), point in zip(sorted(doubled, key=lambda part: part[1][0]), wanted, strict=True):
        np.testing.assert_allclose(y, point(x), rtol=1e-12, atol=1e-12)


def test_events_are_marked_where_they_are():
    ax: Any = plot.branches(TENT, PATH)
    flip, away = line(ax, "degenerate flip"), line(ax, "degenerate transcritical")
    np.testing.assert_allclose(np.array(flip.get_data()).ravel(), [-1, 0.5], atol=1e-12)
    np.testing.assert_allclose(away.get_xdata(), 1, atol=1e-12)
    assert away.get_ydata() == ax.get_ylim()[1] < 100
    assert flip.get_marker() != away.get_marker() and flip.get_color() != away.get_color()
    widths = {
        segment[0][0]: lines.get_linewidth()[0]
        for lines in ax.collections
        for segment in lines.get_segments()
    }
    assert widths.keys() == set(TENT.step) and widths[TENT.step[1]] > widths[TENT.step[0]]


def test_branches_for_a_diagram():
    triples = plot.branch_curves(TENT, PATH)
    assert [bool(stable[0]) for _, _, stable in triples] == [False, True, True, True]
    s, states, _ = triples[1]
    assert s[0] == pytest.approx(-1) and s[-1] == pytest.approx(1)
    np.testing.assert_allclose(states[1:-1, 0], 1 / (1 - s[1:-1]), rtol=1e-9)


def test_orbits_lie_on_the_stable_cycles():
    ax = plot.branches(TENT, PATH, orbit=21)
    x, y = dots_of(ax).get_data()
    settled = (x > -0.99) & (x < 0.95)
    np.testing.assert_allclose(y[settled], 1 / (1 - x[settled]), rtol=1e-9)
    assert np.isnan(y[x > 1.05]).all() and len(x) == 21 * 300
    s, points = np.array([-1.5, 0.5]), np.array([[0.1, 0.2, 0.3]] * 2)
    dots = dots_of(plot.branches(TENT, PATH, orbit=(s, points)))
    assert np.array_equal(dots.get_data(), [s.repeat(3), points.ravel()])


def test_orbits_are_those_of_the_map():
    draw = np.random.default_rng(0)
    normal = lambda *shape: draw.normal(size=shape)
    ends = [
        plr.PiecewiseAffineMap([0.4, a], 0.3 * normal(2, 3), normal(3, 2), normal(2), normal(3))
        for a in (0.1, 0.2)
    ]
    path = plr.LinearPath(*ends)
    state = np.array([0.3, -0.2])
    points = simulated(path, np.array([0.25, 0.75]), state[None])
    for s, own in zip((0.25, 0.75), points):
        z = state
        for _ in range(1001):
            z = path.map(s).apply(z)
        np.testing.assert_allclose(own[0], z, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(path.map(s).apply(own[:-1]), own[1:], atol=1e-12)


def test_numbers_of_cycles_are_those_alive_at_each_network():
    models = sequence()
    found = plr.detect_bifurcations(models, [1, 2], progress=QUIET)
    edges, numbers = counts_of(found)
    assert set(found.steps) <= set(edges)
    for network, step in enumerate(found.steps[:-1]):
        alive = [found.segment_stability[row] for row in found.alive_at(network).values()]
        at = np.flatnonzero(edges == step)[0]
        assert {k: int(v[at]) for k, v in numbers.items() if v[at]} == {
            STABILITY(code): alive.count(code) for code in set(alive)
        }
    flip = np.searchsorted(edges, found.step[found.kind == BIFURCATION.degenerate_flip][0])
    assert numbers[STABILITY.unstable][flip - 1 : flip + 1].tolist() == [1, 0]


def test_branches_go_on_through_networks():
    models = sequence(9)
    found = plr.detect_bifurcations(models, [1, 2], progress=QUIET)
    paths = [plr.LinearPath(a, b) for a, b in zip(models[:-1], models[1:])]
    curves, ends = curves_of(found, paths)
    assert sorted((c.branch, c.stability) for c in curves) == [(0, 0), (0, 2), (1, 0)]
    slopes = np.array([2.0 * u**3 for u in np.linspace(-1, 1, 9)])
    for curve in curves:
        assert (np.diff(curve.x) >= 0).all()
        a = np.interp(curve.x, found.steps, slopes)
        low = (1 + a) / (1 - 0.2 * a)
        keep = np.isfinite(curve.states).all(axis=(1, 2)) & (np.abs(curve.states) < 1e3).all((1, 2))
        if curve.branch == 0:
            wanted = 1 / (1 - a[keep])
            np.testing.assert_allclose(curve.states[keep, 0, 0], wanted, rtol=1e-6)
        else:
            together = np.sort(curve.states[:, :, 0], axis=1)
            np.testing.assert_allclose(together, np.stack([low, 1 + 0.2 * low], axis=1), atol=1e-9)
            assert (np.abs(np.diff(curve.states[:, :, 0], axis=0)) < 0.5).all()
    for row in range(len(found)):
        points = event_points(found, ends, row)
        assert points is not None and points.shape == (found.period[row], 1)


def test_panels_share_one_axis():
    models = sequence()
    losses, norms = np.geomspace(1, 0.1, 5), np.arange(1.0, 6.0)
    steps = np.array([0, 10, 30, 40, 100])
    found = plr.detect_bifurcations(
        models, [1, 2], steps=steps, losses=losses, gradient_norms=norms, progress=QUIET
    )
    panels = drawn(found, models, coordinate=None)
    strip, branch, counts, loss, norm = panels
    assert len({ax.get_xlim() for ax in panels}) == 1
    assert norm.get_xlabel() == "training step" and branch.get_ylabel() == r"norm $\|z\|$"
    np.testing.assert_array_equal(line(strip, "degenerate flip").get_xdata(), found.step[:1])
    lost = line(strip, "stable cycle lost").get_xdata()
    np.testing.assert_array_equal(lost, found.step[found.attractor < 0])
    for ax, values in ((loss, losses), (norm, norms)):
        (curve,) = [x for x in ax.lines if len(np.unique(x.get_xdata())) > 1]
        np.testing.assert_array_equal(curve.get_data(), [steps, values])
    assert [text.get_text() for text in branch.get_legend().get_texts()] == ["stable", "unstable"]


def _networks(steps):
    """Return what a result has one number of for each network."""
    return {"steps": steps, "losses": steps * np.nan, "gradient_norms": steps * np.nan}


def test_what_was_not_reached_is_not_drawn():
    steps = np.array([0.0, 1.0, 5.0, 6.0])
    cut = _networks(steps) | {"result": RESULTS.budget_exhausted}
    strip, counts = drawn(dataclasses.replace(TENT, **cut))
    assert line(counts, "stable").get_xdata()[-1] == 1
    (shade,) = [patch for patch in counts.patches if patch.get_label() == "not reached"]
    assert shade.get_extents().x1 > shade.get_extents().x0
    none = plr.detect_bifurcations([skew_tent(3.0)] * 2, 1, progress=QUIET)
    drawn(dataclasses.replace(none, **cut))


def test_the_loss_of_a_run_is_drawn():
    model, identity = plr.ClippedShallowPLRNN(1, 4, key=jr.key(0)), tr.Identity(1)
    losses = np.geomspace(1.0, 0.1, 8, dtype=np.float32)
    norms = np.full((8, 5), 0.5, np.float32)
    record = tr.TrainingRecord(8, model, identity, (), losses, norms, tr.NoForcing(), jnp.nan)
    names = ("model.A", "model.W1", "model.W2", "model.h1", "model.h2")
    run = tr.TrainingRun(model, identity, losses, norms, names, losses * np.nan, 8, 0.1, record)
    strip, counts, loss, norm = drawn(TENT, run=run)
    assert any(np.array_equal(x.get_ydata(), losses.astype(float)) for x in loss.lines)


def test_nothing_found_and_nothing_lost():
    still = skew_tent(0.5)
    found = plr.detect_bifurcations([still, still], 1, progress=QUIET)
    strip = drawn(found, [still, still])[0]
    assert not len(found) and "no events" in [text.get_text() for text in strip.texts]
    far = skew_tent(3.0)
    empty = plr.detect_bifurcations([far, far], 1, progress=QUIET)
    assert not empty.num_branches
    plot.bifurcations(empty, [far, far])
    plot.branches(empty, (far, far), orbit=3)
    some = TENT[TENT.kind == BIFURCATION.degenerate_flip]
    plot.branches(some, PATH)
    assert line(drawn(some)[0], "degenerate flip").get_xdata() == TENT.step[:1]


def test_the_range_leaves_out_what_runs_away_only():
    values = np.linspace(0, 1, 101)
    assert shown_range(np.append(values, [np.nan, np.inf])) == shown_range(values)
    assert shown_range(np.append(values, 9.0))[1] > 9
    assert 1 < shown_range(np.append(values, 1e9))[1] < 3
    assert shown_range(np.zeros(0)) == (0, 1) and shown_range(np.full(3, 2.0)) == (1.5, 2.5)


@pytest.mark.parametrize(
    "draw, named",
    [
        (lambda: plot.bifurcations(TENT, [skew_tent(0.0)] * 3), "models"),
        (lambda: plot.bifurcations(TENT, 7), "models"),
        (lambda: plot.bifurcations(TENT, PATH, coordinate=1), "coordinate"),
        (lambda: plot.bifurcations(TENT, PATH, coordinate=True), "coordinate"),
        (lambda: plot.bifurcations(TENT, run="run"), "run"),
        (lambda: plot.branches(TENT, PATH, coordinate=-1), "coordinate"),
        (lambda: plot.branches(TENT, PATH, orbit=0), "orbit"),
        (lambda: plot.branches(TENT, PATH, orbit=([1.0], [2.0])), "orbit"),
        (lambda: plot.branches(TENT, skew_tent(0.0)), "path"),
        (lambda: plot.branches(dataclasses.replace(TENT, num_units=3), PATH), "path"),
        (
            lambda: plot.branches(dataclasses.replace(TENT, **_networks(np.arange(4.0))), PATH),
            "found",
        ),
    ],
)
def test_wrong_arguments_are_named(draw, named):
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        draw()
