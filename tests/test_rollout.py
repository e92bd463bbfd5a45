"""Forced orbits and their gradients: the adjoint against automatic differentiation, and NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax import training as tr
from plrjax.training._engine import Recipe, batch_loss
from plrjax.training._loss import Networks
from plrjax.training._rollout import rollout
from plrjax.training._windows import Windows

STEPS, LANES = 23, 4


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def exact(tree):
    """Return a network in float64."""
    return jax.tree.map(lambda x: jnp.asarray(x, float) if eqx.is_inexact_array(x) else x, tree)


def network(kind: str):
    key = jr.key(0)
    if kind == "shallow":
        return exact(plr.ClippedShallowPLRNN(3, 10, key=key))
    if kind == "plrnn":
        return exact(plr.PLRNN(6, key=key, input_size=2))
    return exact(plr.LSTM(4, key=key, input_size=2))


def arguments(kind: str, forced: str, cut: bool):
    model = network(kind)
    size, keys = model.state_size, jr.split(jr.key(1), 5)
    start = jr.normal(keys[0], (LANES, size), float)
    signals = jr.normal(keys[1], (STEPS, LANES, size), float)
    keep = jr.uniform(keys[2], (STEPS, 1 if forced == "all" else size), float)
    inputs = None if kind == "shallow" else jr.normal(keys[3], (STEPS, LANES, 2), float)
    flow = (jnp.arange(STEPS) % 5 != 0).astype(float) if cut else None
    if forced == "none":
        signals, keep = None, None
    return (model, start, signals, keep, inputs), flow


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("forced", ["none", "all", "some"])
@pytest.mark.parametrize("kind", ["shallow", "plrnn", "lstm"])
def test_adjoint_is_automatic_differentiation(kind, forced, cut):
    given, flow = arguments(kind, forced, cut)
    weights = jr.normal(jr.key(2), (STEPS, LANES, given[0].state_size), float)

    def total(given, adjoint):
        found = rollout(*given, num_steps=STEPS, flow=flow, adjoint=adjoint)
        return jnp.sum(weights * jnp.sin(found))

    both = eqx.filter_jit(lambda g: [eqx.filter_value_and_grad(total)(g, a) for a in (True, False)])
    (value, gradient), (plain, expected) = both(given)
    assert np.isclose(value, plain, rtol=1e-13)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11 * np.abs(other).max())


def by_hand(model, observation, x, keep):
    """Return the loss of one lane, step by step (theory: predictions count before forcing)."""
    z, total = np.asarray(observation.initial_state(jnp.asarray(x[0]))), 0.0
    for t in range(1, len(x)):
        z = np.asarray(model.step(jnp.asarray(z)))
        total += np.sum((np.asarray(observation.observe(jnp.asarray(z))) - x[t]) ** 2)
        signal = np.asarray(observation.signal(jnp.asarray(x[t])))
        pulled = keep[t - 1] * z + (1 - keep[t - 1]) * signal
        z = np.where(observation.forced, pulled, z)
    return total / (len(x) - 1) / x.shape[1]


def loss_of(forcing, model, observation, x):
    """Return the loss that training would take of windows x, "time lane observation"."""
    recipe = Recipe(forcing, tr.default_optimizer(1), (), None, len(x) - 1, x.shape[1])
    schedule = forcing.schedule(forcing.init(), jr.key(0), jnp.zeros((), int), len(x) - 1)
    windows = Windows(jnp.asarray(x), None, None)
    found = eqx.filter_jit(batch_loss)(Networks(model, observation), windows, recipe, schedule)
    return float(found)


@pytest.mark.parametrize("observed", ["all", "some", "affine"])
@pytest.mark.parametrize(
    "forcing, keep",
    [
        (tr.NoForcing(), np.ones(17)),
        (tr.GeneralizedForcing(0.3), np.full(17, 0.7)),
        (tr.SparseForcing(5), (np.arange(1, 18) % 5 != 0).astype(float)),
        (tr.SparseForcing(1), np.zeros(17)),
        (tr.AdaptiveForcing(start=0.25), np.full(17, 0.75)),
        (tr.AnnealedForcing(4, 8, 10), (np.arange(1, 18) % 4 != 0).astype(float)),
    ],
)
def test_loss_is_the_one_written_out(forcing, keep, observed):
    x = np.random.default_rng(0).normal(size=(18, 2, 3))
    if observed == "all":
        model, observation = network("shallow"), tr.Identity(3)
    elif observed == "some":
        model = exact(plr.ClippedShallowPLRNN(5, 10, key=jr.key(0)))
        observation = exact(tr.Identity(3, 5, key=jr.key(1)))
    else:
        model = exact(plr.ClippedShallowPLRNN(4, 10, key=jr.key(0)))
        observation = exact(tr.Affine(3, 4, key=jr.key(1)))
    expected = np.mean([by_hand(model, observation, x[:, i], keep) for i in range(2)])
    assert np.isclose(loss_of(forcing, model, observation, x), expected, rtol=1e-12)


@pytest.mark.parametrize("interval", [1, 4, 7, 30, 200])
def test_segments_are_the_masked_scan(interval):
    """Loss and gradient, to 1e-12; 30 steps, also where the interval does not divide them."""
    model, observation = network("shallow"), tr.Identity(3)
    x = jr.normal(jr.key(3), (31, 5, 3), float)

    sparse = tr.SparseForcing(interval)
    masked = tr.SparseForcing(interval)
    object.__setattr__(masked, "segment", None)

    def loss(model, forcing):
        recipe = Recipe(forcing, tr.default_optimizer(1), (), None, 30, 5)
        schedule = forcing.schedule((), jr.key(0), jnp.zeros((), int), 30)
        windows = Windows(x, None, None)
        return batch_loss(Networks(model, observation), windows, recipe, schedule)

    take = eqx.filter_jit(eqx.filter_value_and_grad(loss))
    one, other = take(model, sparse), take(model, masked)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(b).max())
