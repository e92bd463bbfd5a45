"""Misuse: one line that names the argument, what was expected and what came."""

import inspect
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from systems import LOZI, QUIET, random_plrnn

import plrjax as plr

# What users call: without the annotation checks that the test run wraps around every function.
find_cycles = inspect.unwrap(plr.find_cycles)
cycles_of_itineraries = inspect.unwrap(plr.cycles_of_itineraries)

NETWORK = random_plrnn(3, 8, 1.5)
"""With period 3 too many words to try them all: Auto walks and follows paths, which takes keys."""


@pytest.mark.parametrize(
    "periods", [0, -1, [1, 0], [], 1.5, ["a"], [True], None, range(0)], ids=repr
)
def test_periods(periods):
    with pytest.raises(ValueError, match="^periods: expected .*got") as error:
        find_cycles(LOZI, periods, key=jr.key(0))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", [0, "seed", np.arange(3), None], ids=repr)
def test_key(key):
    with pytest.raises(ValueError, match="^key: expected .*got"):
        find_cycles(LOZI, 1, key=key)


def test_old_style_keys_are_taken():
    old = jr.PRNGKey(0)
    cycles = find_cycles(NETWORK, 3, key=old, num_searches=50, progress=QUIET)
    new = find_cycles(NETWORK, 3, key=jr.key(0), num_searches=50, progress=QUIET)
    assert cycles.stats["solver"] == {3: "SCYFI + PathFollowing"}
    assert np.array_equal(cycles.points, new.points, equal_nan=True)


@pytest.mark.parametrize("number", [0, -5, 1.5, True], ids=repr)
def test_num_searches(number):
    with pytest.raises(ValueError, match="^num_searches: expected a positive integer, got"):
        find_cycles(LOZI, 1, key=jr.key(0), num_searches=number)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")], ids=repr)
def test_max_seconds(seconds):
    with pytest.raises(ValueError, match="^max_seconds: expected a positive number, got"):
        find_cycles(LOZI, 1, key=jr.key(0), max_seconds=seconds)


@pytest.mark.parametrize(
    "model", [None, 3, np.eye(2), "network.mat"], ids=lambda m: type(m).__name__
)
def test_model(model):
    with pytest.raises(ValueError, match="^model: expected a piecewise-affine network"):
        find_cycles(model, 1, key=jr.key(0))


def test_smooth_networks_have_no_linear_subregions():
    with pytest.raises(
        ValueError, match="^model: expected a piecewise-affine network .*got TanhRNN"
    ):
        find_cycles(plr.TanhRNN(3, key=jr.key(0)), 1, key=jr.key(0))


@pytest.mark.parametrize("name", ["max_steps", "min_searches", "max_searches", "lanes"])
def test_solver_settings(name):
    settings: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match=f"^{name}: expected a positive integer, got -1"):
        plr.SCYFI(**settings)


ARRAYS = dict(A=np.eye(2), W1=np.ones((2, 3)), W2=np.ones((3, 2)), h1=np.zeros(2), h2=np.zeros(3))


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(
    "spoil, word",
    [
        (lambda x: x * np.nan, "finite"),
        (lambda x: np.where(x == x, np.inf, x), "finite"),
        (lambda x: x.astype(complex), "real"),
        (lambda x: x.astype(object), "real"),
        (lambda x: x.astype(str), "real"),
        (lambda x: np.concatenate([x, x, x]), "shape"),
        (lambda x: x[None], "shape"),
    ],
    ids=["nan", "inf", "complex", "object", "string", "long", "rank"],
)
def test_map_arrays(name, spoil, word):
    arrays: dict[str, Any] = {**ARRAYS, name: spoil(ARRAYS[name])}
    with pytest.raises(ValueError, match=rf"^\w+: expected .*{word}") as error:
        plr.PiecewiseAffineMap(**arrays)
    if word != "shape":
        assert str(error.value).startswith(f"{name}:")
    assert "\n" not in str(error.value)


def test_float32_and_integers_are_promoted_exactly():
    map = plr.PiecewiseAffineMap(
        np.array([0.1, 0.2], np.float32),
        np.ones((2, 1), int),
        np.ones((1, 2), np.int8),
        [0, 1],
        [0],
    )
    assert map.A.dtype == np.float64 and map.A[0, 0] == float(np.float32(0.1))
    with pytest.raises(ValueError, match="^h1: int64 values do not fit float64 exactly"):
        plr.PiecewiseAffineMap([0.5], [[1]], [[1]], [2**53 + 1], [0])


def test_itineraries():
    with pytest.raises(ValueError, match="^itineraries: expected boolean arrays time x 1, got"):
        cycles_of_itineraries(LOZI, [np.zeros((3, 2), bool)])
    with pytest.raises(ValueError, match="^itineraries: "):
        cycles_of_itineraries(LOZI, [np.zeros((3, 1))])


def test_missing_pandas_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    cycles = find_cycles(LOZI, 1, solver=plr.Exhaustive())
    with pytest.raises(ImportError, match=r"plrjax\[sweep\]"):
        cycles.to_dataframe()


def test_settings_of_the_caller_are_left_alone():
    before = dict(jax.config.values)
    find_cycles(NETWORK, [1, 3], key=jr.key(0), num_searches=50, progress=QUIET)
    assert dict(jax.config.values) == before


def test_debugging_settings_of_the_caller_do_no_harm():
    """Lanes without a solution hold NaN on purpose."""
    map = plr.PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [0.0], [0.0])
    with jax.debug_nans(True):
        cycles = find_cycles(map, 1, key=jr.key(0), solver=plr.SCYFI(), progress=QUIET)
    assert len(cycles) == 1


@pytest.mark.parametrize("solver, got", [("auto", "'auto'"), (plr.PathFollowing, "the class Path")])
def test_solver_of_another_kind(solver, got):
    find = inspect.unwrap(plr.find_cycles)
    with pytest.raises(ValueError, match=f"^solver: expected a solver such as Auto.., got {got}"):
        find(LOZI, 1, key=jr.key(0), solver=solver)
    with pytest.raises(ValueError, match="^seeding: expected a seeding"):
        find(LOZI, 1, key=jr.key(0), seeding=solver)
