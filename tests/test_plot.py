"""Plots say what the cycles are: labels, counts, positions; no window, no global state."""

import builtins
import importlib.util
import io
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt

import plrjax.plot
from plrjax import COVERAGE, STABILITY, PiecewiseAffineMap
from plrjax.cycles import CycleSet
from plrjax.plot import _orbits, _periods, _view
from plrjax.words import pack


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def lozi() -> PiecewiseAffineMap:
    """x' = 1 - 1.7 |x| + y, y' = x / 2."""
    return PiecewiseAffineMap([[1.7, 1], [0.5, 0]], [[-3.4], [0]], [[1.0, 0]], [1, 0], [0])


def tent() -> PiecewiseAffineMap:
    return PiecewiseAffineMap([[2.0]], [[-4.0]], [[1.0]], [1.0], [0.0])


def random_map(size: int, seed: int = 0) -> PiecewiseAffineMap:
    rng = np.random.default_rng(seed)
    A, W1, W2 = (rng.normal(0, 0.4, (size, size)) for _ in range(3))
    return PiecewiseAffineMap(A, W1, W2, rng.normal(size=size), rng.normal(size=size))


def by_hand(model: PiecewiseAffineMap, words: list[str]) -> CycleSet:
    """Build the set of the cycles of one-unit-per-character words '0', '01', ... by (I - P) z = c.

    Each character switches every unit of one step on or off.
    """
    size, longest, number = model.state_size, max(map(len, words), default=1), len(words)
    points = np.full((number, longest, size), np.nan)
    itinerary = np.zeros((number, longest, -(-model.num_units // 8)), np.uint8)
    multipliers = np.zeros((number, size), complex)
    for row, word in enumerate(words):
        regions = np.array([[char == "1"] * model.num_units for char in word])
        P, c = model.compose(regions)
        points[row, 0] = np.linalg.solve(np.eye(size) - P, c)
        for t in range(1, len(word)):
            J, offset = model.affine_piece(regions[t - 1])
            points[row, t] = J @ points[row, t - 1] + offset
        itinerary[row, : len(word)] = pack(regions)
        values = np.linalg.eigvals(P)
        multipliers[row] = values[np.argsort(-np.abs(values))]
    moduli = np.abs(multipliers)
    stable, unstable = (moduli < 1).all(axis=1), (moduli > 1).all(axis=1)
    stability = np.where(stable, STABILITY.stable, STABILITY.saddle)
    stability = np.where(unstable, STABILITY.unstable, stability).astype(np.int8)
    period = np.array([len(word) for word in words], np.int32)
    ones = np.ones(number)
    return CycleSet(
        points=points,
        period=period,
        multipliers=multipliers,
        stability=stability,
        index=np.ones(number, np.int8),
        itinerary=itinerary,
        residual=1e-16 * ones,
        error_bound=1e-15 * ones,
        condition=10.0 * ones,
        margin=0.1 * ones,
        hits=np.ones(number, np.int32),
        verified=np.ones(number, bool),
        valid=np.ones(number, bool),
        num_units=model.num_units,
        coverage_by_period={k: COVERAGE.saturated for k in {*period.tolist(), 3}},
    )


def labels(ax) -> list[str]:
    return ax.get_legend_handles_labels()[1]


def scattered(ax) -> dict[str, np.ndarray]:
    return {c.get_label(): np.asarray(c.get_offsets()) for c in ax.collections if c.get_label()}


def test_cycles_are_drawn_at_their_points_over_an_orbit():
    model = lozi()
    found = by_hand(model, ["0", "1", "01"])
    ax = plrjax.plot.cycles(found, model)
    assert labels(ax) == ["simulated orbit", "saddle", "switching boundary"]
    drawn = scattered(ax)["saddle"]
    expected = np.concatenate([found.orbit(row) for row in (2, 0, 1)])  # short ones on top
    np.testing.assert_allclose(drawn, expected)
    assert "z_{1}" in ax.get_xlabel() and "z_{2}" in ax.get_ylabel()
    swapped = scattered(plrjax.plot.cycles(found, axes=(1, 0)))["saddle"]
    np.testing.assert_allclose(swapped, expected[:, ::-1])


def test_boundaries_lie_where_the_unit_switches_and_leave_the_view_alone():
    model = PiecewiseAffineMap(
        0.5 * np.eye(2), 0.3 * np.eye(2), [[1.0, 2.0], [1.0, 2.0]], [1, 1], [-3.0, -3.0]
    )
    found = by_hand(model, ["0"])
    bare = plrjax.plot.cycles(found)
    drawn = plrjax.plot.cycles(found, model, orbit=found.points[0])
    lines: list[Any] = [line for line in drawn.lines if line.get_label() == "switching boundary"]
    assert len(lines) == 1, "equal boundaries are drawn once"
    for x, y in (lines[0].get_xy1(), lines[0].get_xy2()):
        assert x + 2 * y == pytest.approx(3.0)
    assert drawn.get_xlim() == bare.get_xlim()


def test_stability_is_told_by_the_marker_and_the_period_by_the_color():
    styles = _periods.STYLES
    assert set(styles) == set(STABILITY)
    for column in (0, 2):
        assert len({style[column] for style in styles.values()}) == len(STABILITY)
    found = by_hand(lozi(), ["0", "1", "01"])
    colors = _periods.period_colors(found)
    assert list(colors) == [1, 2] and colors[1] != colors[2]
    ax = plrjax.plot.cycles(found)
    scatter: Any = ax.collections[0]
    assert scatter.get_label() == "saddle"
    points, drawn = np.asarray(scatter.get_offsets()), scatter.get_facecolors()
    for row in range(len(found)):
        for point in found.orbit(row):
            at = int(np.linalg.norm(points - point, axis=1).argmin())
            assert tuple(drawn[at]) == pytest.approx(colors[int(found.period[row])])
    drawn_legend: Any = ax.get_legend()
    named = [text.get_text() for text in drawn_legend.get_texts()]
    assert named == ["saddle", "period 1", "period 2"]


def test_lightness_rises_with_the_period():
    """So periods are told apart without color, too."""
    found = by_hand(tent(), ["0", "01", "001", "0001"])
    light = [np.dot(c[:3], [0.299, 0.587, 0.114]) for c in found_colors(found)]
    assert np.all(np.diff(light) > 0.05)


def found_colors(found: CycleSet) -> list:
    return list(_periods.period_colors(found).values())


def test_three_states_make_a_3d_plot():
    model = random_map(4)
    found = by_hand(model, ["0", "01"])
    ax = plrjax.plot.cycles(found, model, axes=(0, 3, 1))
    assert ax.name == "3d" and "z_{4}" in ax.get_ylabel()
    assert "switching boundary" not in labels(ax)
    with pytest.raises(ValueError, match="ax: three states"):
        plrjax.plot.cycles(found, axes=(0, 1, 2), ax=plt.figure().add_subplot())


def test_one_state_is_drawn_as_its_return_map():
    model = tent()
    ax = plrjax.plot.cycles(by_hand(model, ["0", "1", "01"]), model)
    z, successor = scattered(ax)["unstable"].T
    np.testing.assert_allclose(successor, model.apply(z[:, None])[:, 0], atol=1e-12)


def test_misuse_names_the_argument():
    found = by_hand(lozi(), ["0"])
    for axes in [(0, 2), (0,), (0, 0), (-1, 0)]:
        with pytest.raises(ValueError, match="axes: expected"):
            plrjax.plot.cycles(found, axes=axes)
    with pytest.raises(ValueError, match="orbit: expected shape"):
        plrjax.plot.cycles(found, orbit=np.zeros((5, 3)))
    with pytest.raises(ValueError, match="model: expected 2 states"):
        plrjax.plot.cycles(found, random_map(3))


def test_small_multipliers_stay_where_they_are():
    found = by_hand(random_map(3), ["0", "1"])
    drawn = np.concatenate(list(scattered(plrjax.plot.multipliers(found)).values()))
    values = found.multipliers.ravel()
    np.testing.assert_allclose(np.sort(drawn @ [1, 1j]), np.sort(values), atol=1e-12)


def test_huge_multipliers_keep_their_angle_and_order_and_stay_in_view():
    found = by_hand(random_map(3), ["0", "1"])
    found.multipliers[:] = [[1e200j, -50.0, 1.5], [np.inf, 1e-3, np.nan]]
    ax = plrjax.plot.multipliers(found)
    drawn = np.concatenate(list(scattered(ax).values())) @ [1, 1j]
    assert drawn.size == 5 and np.abs(drawn).max() <= 4.0 + 1e-12 < ax.get_xlim()[1]
    top, left, inside = drawn[[0, 1, 2]]
    assert top == pytest.approx(4j) and inside == 1.5
    assert left.imag == pytest.approx(0, abs=1e-12) and 2 < -left.real < 4
    assert "logarithmic" in ax.get_xlabel()


def test_bars_count_cycles_of_each_period():
    found = by_hand(lozi(), ["0", "1", "01"])
    ax = plrjax.plot.cycles_per_period(found)
    bars: list[Any] = list(ax.patches)
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in bars}
    assert heights == {1: 2, 2: 1, 3: 0} and labels(ax) == ["saddle"]
    assert ax.get_legend() is None, "one stability needs no legend"


@pytest.mark.parametrize("make, words", [(lozi, ["0", "01"]), (tent, ["0", "01"]), (lozi, [])])
def test_portrait_has_three_panels_and_can_be_saved(make, words):
    model = make()
    figure = plrjax.plot.portrait(by_hand(model, words), model, figure=plrjax.plot.bare_figure())
    assert len(figure.axes) == 3 and not plt.get_fignums()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=40)
    assert image.getvalue().startswith(b"\x89PNG")


def test_portrait_of_three_states_is_3d():
    model = random_map(3)
    assert plrjax.plot.portrait(by_hand(model, ["0", "1"]), model).axes[0].name == "3d"


def test_orbits_that_escape_are_not_drawn():
    model = PiecewiseAffineMap(2.0 * np.eye(2), np.zeros((2, 1)), [[1.0, 0.0]], [1, 1], [0])
    ax = plrjax.plot.cycles(by_hand(model, ["0"]), model)
    assert "simulated orbit" not in labels(ax)


def test_missing_matplotlib_names_the_extra(monkeypatch):
    real = builtins.__import__

    def no_matplotlib(name, *rest, **options):
        assert not name.startswith("matplotlib"), "imported before the check"
        return real(name, *rest, **options)

    found = by_hand(lozi(), ["0"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    for draw in (plrjax.plot.cycles, plrjax.plot.multipliers, plrjax.plot.portrait):
        with pytest.raises(ImportError, match=r"pip install 'plrjax\[plot\]'"):
            draw(found)


def test_distant_cycles_are_arrows_and_do_not_set_the_axes():
    model = lozi()
    found = by_hand(model, ["0", "1", "01"])
    found.points[0] += 1_000.0
    orbit = simulated(model, 500)
    ax: Any = plrjax.plot.cycles(found, orbit=orbit)
    assert max(map(abs, (*ax.get_xlim(), *ax.get_ylim()))) < 10
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named[-1].startswith("1 cycle farther out\nperiod 1: (")
    arrows = [one for one in ax.texts if getattr(one, "arrow_patch", None) is not None]
    assert len(arrows) == 1
    tip = np.asarray(arrows[0].xy)
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    assert ((tip >= low - 1e-9) & (tip <= high + 1e-9)).all() and (np.abs(tip - high) < 1e-9).any()


def simulated(model, steps: int) -> np.ndarray:
    states = [np.array([0.1, 0.1])]
    for _ in range(steps):
        states.append(model.apply(states[-1]))
    return np.array(states[50:])


def test_of_many_states_principal_components_are_drawn():
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((300, 5)) * [5.0, 3.0, 1.0, 0.1, 0.1]
    view = _view.view_of(None, 5, wide)
    share = np.sort(np.linalg.eigvalsh(np.cov(wide.T)))[::-1]
    assert view.labels[0] == f"PC 1 ({100 * share[0] / share.sum():.0f} %)"
    np.testing.assert_allclose(view.of(wide).var(axis=0, ddof=1), share[:3], rtol=1e-10)
    flat = _view.view_of("pca", 5, wide)
    np.testing.assert_allclose(np.abs(flat.of(wide)), np.abs(view.of(wide)[:, :2]))
    one = _view.view_of(None, 5, np.ones((10, 5)))
    assert one.labels[0] == "state $z_{1}$", "one point has no components"


def test_orbits_that_reach_differently_far_are_told_apart():
    """Two tents side by side, on [0, 1] and on [3, 3.3], each with an invariant interval."""
    nodes = np.array([0.5, 1.0, 3.0, 3.15])
    slopes = np.array([1.9, -1.9, 1.5, 1.9, -1.9])
    model = PiecewiseAffineMap([[1.9]], [np.diff(slopes)], np.ones((4, 1)), [0.0], -nodes)
    import jax.random as jr

    found = plrjax.find_cycles(model, [1, 2, 3], key=jr.key(0))
    orbits = _orbits.simulated_orbits(found, model)
    ends = sorted((one.points.min(), one.points.max()) for one in orbits)
    np.testing.assert_allclose(ends, [(0.095, 0.95), (3.0285, 3.285)], atol=2e-3)
    assert len({one.color for one in orbits}) == 2
    assert all(one.label.startswith("orbits from ") for one in orbits)


def test_attractors_are_drawn_with_their_shares():
    import jax.random as jr

    model = lozi()
    table = plrjax.find_attractors(model, np.full((8, 2), 0.1), key=jr.key(0))
    ax: Any = plrjax.plot.cycles(by_hand(model, ["0", "1"]), model, attractors=table)
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named[0] == "chaotic, 100.0 % of states"
    with pytest.raises(ValueError, match="attractors: expected those of 3 states, got 2"):
        plrjax.plot.cycles(by_hand(random_map(3), ["0"]), attractors=table)


def test_orbits_of_small_steps_are_lines():
    turn = np.linspace(0, 20, 2_000)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    assert _orbits.is_smooth(circle)
    assert not _orbits.is_smooth(simulated(lozi(), 2_000))
