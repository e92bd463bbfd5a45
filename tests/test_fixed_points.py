"""Fixed points and cycles of smooth networks: closed forms, other solvers, indices, slow points."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.optimize

import plrjax as plr
from plrjax import RESULTS, STABILITY

QUIET = plr.NoProgress()


def brentq(function, low: float, high: float) -> float:
    found = scipy.optimize.root_scalar(function, bracket=(low, high), xtol=1e-15, rtol=1e-14)
    return float(found.root)


def find(model, periods: Any = 1, seed: Any = 0, **options: Any) -> Any:
    return plr.find_fixed_points(model, periods, key=jr.key(seed), progress=QUIET, **options)


def tanh_of(weight) -> plr.TanhRNN:
    W = np.atleast_2d(np.asarray(weight, float))
    return plr.from_arrays("tanh-rnn", W=W, b=np.zeros(len(W)))


def henon(z):
    return jnp.stack([1.0 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]])


def test_a_pitchfork_and_a_flip():
    """z = tanh(w z) has one root to w = 1 and three beyond; w < -1 has a 2-cycle."""
    root = brentq(lambda z: np.tanh(2 * z) - z, 0.1, 1.0)
    slope = 2 * (1 - root**2)
    found = find(tanh_of(2.0))
    np.testing.assert_allclose(found.points[:, 0, 0], [-root, 0, root], atol=1e-14)
    np.testing.assert_allclose(found.multipliers[:, 0].real, [slope, 2, slope], atol=1e-13)
    assert found.stability.tolist() == [STABILITY.stable, STABILITY.unstable, STABILITY.stable]
    assert found.index_sum(1) == found.degree[1] == 1 and len(found.notes) == 1
    below = find(tanh_of(0.5))
    assert len(below) == 1 and abs(below.points[0, 0, 0]) < 1e-14
    flipped = find(tanh_of(-2.0), [1, 2])
    assert flipped.counts() == {1: 1, 2: 1}
    np.testing.assert_allclose(flipped.orbit(1)[:, 0], [-root, root], atol=1e-14)
    np.testing.assert_allclose(flipped.multipliers[:, 0].real, [-2, slope**2], atol=1e-13)
    assert flipped.index_sum(2) == 1


def test_cycles_of_the_henon_map():
    """Numbers of prime cycles as in Biham, Wenzel (1989); the fixed points in closed form."""
    found = find(plr.Dynamics(henon, 2), range(1, 8))
    assert list(found.counts().values()) == [2, 1, 0, 1, 0, 2, 4]
    x = (-0.7 + np.array([-1, 1]) * np.sqrt(0.49 + 5.6)) / 2.8
    np.testing.assert_allclose(found.points[:2, 0], np.stack([x, 0.3 * x], 1), rtol=1e-14)
    for row in range(len(found)):
        determinant = np.prod(found.multipliers[row])
        assert determinant.real == pytest.approx((-0.3) ** found.period[row], rel=1e-6)
    assert (found.residual < 1e-13).all() and found.verified.all() and not found.degree


@pytest.mark.parametrize("kind, seed", [("gru", 0), ("gru", 2), ("lstm", 3), ("tanh-rnn", 5)])
def test_nothing_that_another_solver_finds_is_missing(kind, seed):
    """SciPy's hybrid method from 200 starts; the indices of all fixed points add up to 1."""
    rng, shapes = np.random.default_rng(seed), {"W": (9, 3), "b": (9,), "b_candidate": (3,)}
    if kind != "gru":
        rows = {"lstm": 12, "tanh-rnn": 3}[kind]
        shapes = {"W": (rows, 3), "b": (rows,)}
    scale = {"W": 2.5}
    draws = {n: scale.get(n, 0.3) * rng.standard_normal(shape) for n, shape in shapes.items()}
    model = plr.from_arrays(kind, **draws)
    found = find(model)
    assert len(found) >= 3 and found.index_sum(1) == 1 and found.verified.all()
    size = model.state_size
    with jax.enable_x64(True):
        step = jax.jit(lambda z: model.step(z))
        wrong = lambda z: np.asarray(step(z)) - z
        starts = rng.uniform(-1.5, 1.5, (200, size))
        met = [scipy.optimize.root(wrong, start, tol=1e-13).x for start in starts]
        roots = [z for z in met if np.abs(wrong(z)).max() < 1e-14]
    if kind == "gru":  # a mean of itself and a tanh; far out its gates saturate to rounding
        roots = [z for z in roots if np.abs(z).max() <= 1]
    away = [np.abs(found.points[:, 0] - z).max(axis=1).min() for z in roots]
    assert len(roots) > 20 and np.max(away) < 1e-8
    assert (found.residual < 1e-13).all()


def test_a_constant_input_moves_the_fixed_points():
    model = plr.from_arrays("tanh-rnn", W=[[0.5]], b=[0.1], C=[[1.0, 2.0]])
    for found, drive in zip(find(model, inputs=[[0.0, 0.0], [1.0, -0.2]]), (0.1, 0.7)):
        root = brentq(lambda z: np.tanh(0.5 * z + drive) - z, -2, 2)
        np.testing.assert_allclose(found.points[0, 0], [root], atol=1e-14)
    with pytest.raises(ValueError, match="inputs: .*expected shape"):
        find(model, inputs=[1.0])
    with pytest.raises(ValueError, match="inputs: .*no input matrix"):
        find(tanh_of(2.0), inputs=[1.0])


def test_slow_points_are_told_apart():
    """z + z^2 + .01 has no fixed point, and its least speed, .01, at 0."""
    passing = plr.Dynamics(lambda z: z + z**2 + 0.01, 1)
    found = find(passing, states=np.linspace(-0.4, 0.1, 20)[:, None])
    points, speed = found.slow_points()
    assert len(found) == 0 and len(points) == 1 and "1 slow point" in str(found)
    assert abs(points[0, 0]) < 1e-6 and speed[0] == pytest.approx(0.01)


def test_a_line_of_fixed_points_is_a_continuum():
    found = find(plr.Dynamics(lambda z: z * jnp.array([1.0, 0.5]), 2))
    assert not found.is_isolated.any() and len(found) > 1 and found.counts() == {1: 0}
    assert (found.stability == STABILITY.nonhyperbolic).all() and not found.verified.any()
    np.testing.assert_allclose(found.points[:, 0, 1], 0.0, atol=1e-12)


def test_relu_networks_are_searched_by_their_words():
    model = plr.from_arrays("plrnn", A=[0.5], W=[[-2.0]], h=[1.0])
    found = find(model, [1, 2])
    assert found.num_units == 1 and found.counts()[1] == 1
    with pytest.raises(ValueError, match="states: goes with smooth networks"):
        find(model, states=np.zeros((1, 1)))


def test_saved_drawn_and_repeated(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    found = find(tanh_of([[2.0, -1.0], [1.0, 2.0]]), [1, 2])
    found.save(tmp_path / "found.npz")
    again, same = plr.load(tmp_path / "found.npz"), find(tanh_of([[2.0, -1.0], [1.0, 2.0]]), [1, 2])
    np.testing.assert_array_equal(again.points, found.points)
    np.testing.assert_array_equal(same.points, found.points)
    assert str(again) == str(found) and "of a map with 2 states\n" in str(found)
    plr.plot.cycles(found)
    plr.plot.multipliers(found)
    plt.close("all")


def test_limits_and_wrong_arguments():
    late = find(tanh_of(2.0), max_seconds=1e-9)
    assert late.result is RESULTS.budget_exhausted and len(late) == 0
    few = find(tanh_of(2.0), num_searches=16)
    assert few.coverage is plr.COVERAGE.partial and len(few) == 3
    away = plr.Dynamics(lambda z: jnp.exp(z + 1e4), 1)
    assert find(away, throw=False).result is RESULTS.not_finite
    with pytest.raises(RuntimeError, match="no start stays finite"):
        find(away)
    for change, message in (
        ({"states": np.zeros(3)}, "states: expected rows of 1"),
        ({"periods": 0}, "periods"),
        ({"num_searches": 0}, "num_searches"),
        ({"model": 3}, "model: expected a network"),
    ):
        with pytest.raises(ValueError, match=message):
            find(**({"model": tanh_of(2.0)} | change))


def test_many_networks_are_one_table():
    found = find([tanh_of(0.5), tanh_of(2.0)])
    assert [len(one) for one in found] == [1, 3] and "2 networks" in str(found)
    census = plr.census([tanh_of(0.5), tanh_of(2.0)], plr.find_fixed_points, key=jr.key(0))
    assert [row["cycles_1"] for row in census.rows] == [1, 3]
