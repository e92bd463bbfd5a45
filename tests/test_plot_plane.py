"""Plots of scans: what is drawn is what was measured."""

from typing import Any, NamedTuple

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt

import plrjax as plr
import plrjax.plot
from plrjax.scans import Dimension, GridAxis


class Curve(NamedTuple):
    points: np.ndarray
    kind: plr.BIFURCATION
    period: int


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def by_hand(outputs: dict[str, Any], shape=(4, 3)) -> plr.ParameterScan:
    """Return a scan that holds the given arrays (grid x period, or grid)."""
    axes = tuple(GridAxis(f"A[{i}, {i}]", -1.0, 1.0, num) for i, num in enumerate(shape))
    columns, dimensions = [], {}
    for name, array in outputs.items():
        array = np.asarray(array, float)
        columns.append(array.reshape(int(np.prod(shape)), -1))
        trailing = array.shape[len(shape) :]
        names = ("point", "state") if name == "orbit" else ("period",)
        dimensions[name] = tuple(
            Dimension(n, tuple(map(float, range(1, num + 1)))) for n, num in zip(names, trailing)
        )
    done = np.ones(int(np.prod(shape)), bool)
    return plr.ParameterScan(np.concatenate(columns, axis=1), done, axes, dimensions)


def image_in(ax) -> Any:
    (image,) = ax.images
    return image


def image_of(ax) -> np.ndarray:
    return np.ma.filled(image_in(ax).get_array(), np.nan)


def lines_in(ax) -> list[Any]:
    return list(ax.lines)


def test_counts_have_a_color_each():
    counts = np.arange(24.0).reshape(4, 3, 2) % 4
    found = by_hand({"num_cycles": counts})
    ax = plrjax.plot.plane(found, "num_cycles")
    np.testing.assert_array_equal(image_of(ax), counts.sum(axis=2).T)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("A[0, 0]", "A[1, 1]")
    one = plrjax.plot.plane(found, "num_cycles", period=2)
    np.testing.assert_array_equal(image_of(one), counts[..., 1].T)
    assert image_in(one).norm.Ncmap == 4
    extent = ax.images[0].get_extent()
    np.testing.assert_allclose(extent, (-4 / 3, 4 / 3, -1.5, 1.5))  # pixels around their values


def test_norms_are_logarithmic_and_what_is_infinite_is_black():
    norms = np.geomspace(1e-3, 1e6, 12).reshape(4, 3)
    norms[0, 0], norms[1, 0] = np.inf, np.nan
    ax = plrjax.plot.plane(by_hand({"gradient_norm": norms}), "gradient_norm")
    image = image_in(ax)
    assert isinstance(image.norm, matplotlib.colors.LogNorm)
    assert image.norm.vmax == norms[3, 2]
    drawn = image.to_rgba(image.get_array())
    np.testing.assert_array_equal(drawn[0, 0], (0, 0, 0, 1))
    assert drawn[0, 1, 3] == 0.0  # no number: the gray of the Axes shows


def test_signed_numbers_are_white_at_zero():
    ax = plrjax.plot.plane(by_hand({"exponent": np.linspace(-2, 1, 12).reshape(4, 3)}), "exponent")
    assert image_in(ax).norm(0.0) == 0.5
    flat = plrjax.plot.plane(by_hand({"exponent": np.full((4, 3), -1.0)}), "exponent")
    assert type(image_in(flat).norm) is matplotlib.colors.Normalize


def test_curves_on_top():
    points = np.array([[-0.5, -0.5], [0.5, 0.7]])
    kinds = plr.BIFURCATION
    curves = [
        Curve(points, kinds.border_collision, 2),
        Curve(points + 0.1, kinds.border_collision, 1),
        Curve(points, kinds.degenerate_flip, 3),
    ]
    ax = plrjax.plot.plane(by_hand({"loss": np.ones((4, 3))}), "loss", curves)
    np.testing.assert_array_equal(np.transpose(lines_in(ax)[0].get_data()), points)
    assert len(ax.lines) == 3
    legend: Any = ax.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["border collision, k = 1, 2", "degenerate flip, k = 3"]


def test_diagram():
    orbit = np.random.default_rng(0).standard_normal((5, 4, 2))
    orbit[2, 1, 1] = np.inf
    values, states = np.linspace(-1, 1, 5), np.arange(10.0).reshape(5, 2)
    stable = np.array([True, True, False, False, True])
    found = by_hand({"orbit": orbit}, shape=(5,))
    ax = plrjax.plot.diagram(found, 1, [(values, states, stable)])
    dots = lines_in(ax)[0].get_ydata().reshape(5, 4)
    np.testing.assert_array_equal(np.isnan(dots), orbit[:, :, 1] == np.inf)
    lines = {line.get_label(): line for line in lines_in(ax)}
    np.testing.assert_array_equal(
        np.isnan(lines["stable"].get_ydata()), [False, False, True, True, False]
    )
    np.testing.assert_array_equal(
        np.isnan(lines["not stable"].get_ydata()), [True, False, False, False, False]
    )
    assert ax.get_ylabel() == "state $z_{2}$"


def test_all_results_of_a_scan():
    outputs = {"num_stable": np.ones((4, 3)), "loss": np.ones((4, 3)), "coverage": np.ones((4, 3))}
    figure = plrjax.plot.scan(by_hand(outputs))
    titles = [ax.get_ylabel() for ax in figure.axes]
    assert titles == ["A[1, 1]", "A[1, 1]", "number of stable cycles", "mean squared error"]
    line = {"orbit": np.ones((5, 4, 2)), "exponent": np.arange(5.0)}
    figure = plrjax.plot.scan(by_hand(line, shape=(5,)))
    assert [ax.get_xlabel() for ax in figure.axes] == ["A[0, 0]", "A[0, 0]"]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: plrjax.plot.plane(f, "absent"), "what: expected one of num_cycles"),
        (lambda f: plrjax.plot.plane(f, "num_cycles", period=9), "period: expected one of"),
        (lambda f: plrjax.plot.diagram(f), "scan: expected one over a single parameter"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(by_hand({"num_cycles": np.ones((4, 3, 2))}))
