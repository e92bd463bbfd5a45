"""Plots of exponents and gradients: what is drawn is what was computed."""

import io
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from systems import LOZI

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt

import plrjax as plr
import plrjax.plot

KEY = jr.key(0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def lozi() -> plr.LyapunovSpectrum:
    return plr.lyapunov_spectrum(LOZI, [0.1, 0.1], num_steps=1000, num_transient=200, key=KEY)


def history() -> plr.SpectrumHistory:
    mean = np.arange(6.0).reshape(3, 2) - 3.0
    return plr.SpectrumHistory(np.array([0, 5, 10]), mean + 1.0, mean * 0 + 0.1, mean, mean**2)


def line(ax, label: str) -> Any:
    (found,) = [x for x in ax.lines if str(x.get_label()).startswith(label)]
    return found


def test_spectrum_is_drawn_in_its_unit(lozi):
    for unit, dt, scale in (("nats", None, 1.0), ("bits", 0.1, 1.0 / np.log(2.0) / 0.1)):
        ax = plrjax.plot.spectrum(lozi, unit, dt)
        (container,) = ax.containers
        np.testing.assert_allclose(container[0].get_ydata(), lozi.exponents * scale)
        orbits = np.sort(line(ax, "single orbits").get_ydata())
        np.testing.assert_allclose(orbits, np.sort(lozi.per_orbit[:64].ravel() * scale))
        assert unit in ax.get_ylabel()


def test_minus_infinity_is_marked():
    model = plr.Dynamics(lambda z: np.array([0.5, 0.0]) * z, 2)
    found = plr.lyapunov_spectrum(model, [1.0, 1.0], num_steps=50, num_transient=10, key=KEY)
    assert list(line(plrjax.plot.spectrum(found), r"$-\infty$").get_xdata()) == [2]


def test_convergence_ends_at_zero(lozi):
    ax = plrjax.plot.convergence(lozi, exponents=[1])
    y = line(ax, r"$\lambda_{2}$").get_ydata()
    np.testing.assert_allclose(y, lozi.running[:, 1] - lozi.exponents[1])
    assert abs(y[-1]) < lozi.standard_error[1]


@pytest.mark.parametrize("band, middle", [("deviation", 0.0), ("standard_error", 1.0)])
def test_history(band, middle):
    ax = plrjax.plot.spectrum_history(history(), exponents=[1], band=band)
    drawn = line(ax, r"$\lambda_{2}$")
    np.testing.assert_array_equal(drawn.get_xdata(), [0, 5, 10])
    np.testing.assert_array_equal(drawn.get_ydata(), np.array([-2.0, 0.0, 2.0]) + middle)


def test_gradient_norms_are_powers_of_ten():
    norms = plr.gradient_norms(LOZI, [0.1, 0.1], num_steps=50, num_orbits=5, key=KEY)
    ax = plrjax.plot.gradient_norms(norms, exponent=0.47)
    drawn = line(ax, r"$|\partial z_T").get_ydata()
    np.testing.assert_allclose(drawn, np.median(norms.log_state, axis=0) / np.log(10.0))
    guide = line(ax, "slope")
    x, y = guide.get_xdata(), guide.get_ydata()
    assert np.isclose((y[-1] - y[0]) / (x[-1] - x[0]), 0.47 / np.log(10.0))


def test_angles_are_a_density():
    vectors = plr.covariant_vectors(LOZI, [0.1, 0.1], num_steps=2000, num_transient=200, key=KEY)
    ax = plrjax.plot.angles(vectors)
    patch: Any = ax.patches[0]
    values, edges, _ = patch.get_data()
    assert np.isclose((values * np.diff(edges)).sum(), 1.0)
    outside = edges[1:] < np.degrees(vectors.angles()).min()
    assert outside.any() and not values[outside].any()
    plrjax.plot.angles(vectors, ax=ax, name="again")
    assert ax.patches[0].get_edgecolor() != ax.patches[1].get_edgecolor()


def test_both_panels_can_be_saved(lozi):
    figure = plrjax.plot.lyapunov(lozi, figure=plrjax.plot.bare_figure())
    assert len(figure.axes) == 2
    figure.savefig(io.BytesIO(), format="svg")


def test_misuse(lozi):
    for call, message in (
        (lambda: plrjax.plot.spectrum(lozi, "bans"), "unit: expected"),
        (lambda: plrjax.plot.convergence(lozi, exponents=[2]), "exponents: expected indices"),
        (lambda: plrjax.plot.spectrum_history(history(), exponents=[]), "exponents: expected"),
        (lambda: plrjax.plot.spectrum_history(history(), band="wide"), "band: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
