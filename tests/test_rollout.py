"""Forced orbits, losses, gradients: the adjoint against automatic differentiation, and NumPy.

And what trials of different lengths, and values that are missing, do to windows and losses.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax import training as tr
from plrjax._trials import checked_trials
from plrjax.training._engine import Recipe, batch_loss
from plrjax.training._loss import Networks
from plrjax.training._rollout import rollout
from plrjax.training._windows import Windows, draw_windows, make_series

STEPS, LANES = 23, 4


@pytest.fixture
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
def test_adjoint_is_automatic_differentiation(double, kind, forced, cut):
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


def loss_of(forcing, model, observation, x, seen=None):
    """Return the loss that training would take of windows x, "time lane observation"."""
    recipe = Recipe(forcing, tr.default_optimizer(1), (), None, len(x) - 1, x.shape[1])
    schedule = forcing.schedule(forcing.init(), jr.key(0), jnp.zeros((), int), len(x) - 1)
    windows = Windows(jnp.asarray(x), None, None, None if seen is None else jnp.asarray(seen))
    return eqx.filter_jit(batch_loss)(Networks(model, observation), windows, recipe, schedule)


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
def test_loss_is_the_one_written_out(double, forcing, keep, observed):
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
def test_segments_are_the_masked_scan(double, interval):
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


def observations(name):
    """A model of 4 states, and what is seen of them: all, the first 3, or 3 mixtures."""
    model = exact(plr.ClippedShallowPLRNN(4, 10, key=jr.key(0)))
    make = {"all": tr.Identity(4), "some": tr.Identity(3, 4, key=jr.key(1))}
    made = make.get(name) or tr.Affine(3, 4, key=jr.key(1))
    return model, exact(made)


FORCINGS = {
    "none": tr.NoForcing(),
    "cut": tr.NoForcing(truncate=4),
    "sparse": tr.SparseForcing(3),
    "generalized": tr.GeneralizedForcing(0.3),
}


@pytest.mark.parametrize("name", ["all", "some", "affine"])
@pytest.mark.parametrize("forcing", FORCINGS)
def test_where_nothing_is_missing_nothing_changes(double, name, forcing):
    """Losses and gradients are those of the engine for whole series."""
    model, observation = observations(name)
    x = np.random.default_rng(0).normal(size=(14, 2, 4 if name == "all" else 3))
    both = [
        jax.value_and_grad(
            lambda nets, seen=seen: loss_of(FORCINGS[forcing], nets[0], nets[1], x, seen),
            allow_int=True,
        )(Networks(model, observation))
        for seen in (None, np.ones(x.shape, bool))
    ]
    for one, other in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def by_hand_where_seen(model, observation, x, seen, alpha):
    """Return the sum of squared errors of one window, forced by what was observed alone."""
    observe = lambda z: np.asarray(observation.observe(z))
    z, total = observation.initial_state(jnp.asarray(x[0])), 0.0
    for row, there in zip(x[1:], seen[1:]):
        z = np.asarray(model.step(z))
        total += np.square(observe(z) - row)[there].sum()
        if there.any():
            signal = np.asarray(observation.signal(jnp.where(there, row, observe(z))))
            forced = np.asarray(observation.forced)
            z = np.where(forced, (1 - alpha) * z + alpha * signal, z)
        z = jnp.asarray(z)
    return total


@pytest.mark.parametrize("name", ["all", "some", "affine"])
def test_what_is_missing_neither_counts_nor_forces(double, name):
    model, observation = observations(name)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(14, 2, 4 if name == "all" else 3))
    seen = rng.uniform(size=x.shape) < 0.6
    seen[5] = False
    seen[0] = True
    expected = sum(
        by_hand_where_seen(model, observation, x[:, i], seen[:, i], 0.3) for i in range(2)
    )
    for junk in (0.0, 1e3):
        given = np.where(seen, x, junk)
        found = loss_of(tr.GeneralizedForcing(0.3), model, observation, given, seen)
        assert np.isclose(found, expected / seen[1:].sum(), rtol=1e-10)


def test_windows_cross_neither_trials_nor_gaps():
    """Each value is the number of its row: every window holds rows that follow one another."""
    sizes = [30, 7, 50]
    rows = np.split(np.arange(87.0)[:, None], np.cumsum(sizes)[:-1])
    mask = [np.ones(size, bool) for size in sizes]
    mask[0][10:13], mask[2][20:24], mask[2][40] = False, False, False
    trials = checked_trials("x", rows, mask)
    series = make_series(trials, None, None, 5, 3, np.float32)
    assert series.starts.tolist() == [
        *range(10), *range(13, 25), 30, 31, *range(37, 52), *range(61, 77), *range(78, 82)
    ]  # fmt: skip
    windows = draw_windows(series, jr.key(0), 200, 5)
    assert windows.observations is not None and windows.seen is not None
    assert (np.diff(np.asarray(windows.observations)[..., 0], axis=0) == 1).all()
    assert np.asarray(windows.seen)[0].all()
    with pytest.raises(ValueError, match="sequence_length: expected at most 29, because the long"):
        make_series(trials, None, None, 30, 3, np.float32)


def test_missing_values_lie_between_their_neighbors():
    x = np.array([[0.0, np.nan], [np.nan, 1.0], [np.nan, 5.0], [3.0, np.nan]])
    trials = checked_trials("x", [x, x[::-1]])
    half = [[0.0, 1.0], [1.0, 1.0], [2.0, 5.0], [3.0, 5.0]]
    np.testing.assert_allclose(trials.values, half + half[::-1])
    np.testing.assert_array_equal(trials.seen, np.isfinite(np.concatenate([x, x[::-1]])))
    assert trials.note() == "50 % of all values are missing; 2 stretches between gaps in 2 trials"
    assert checked_trials("x", np.zeros((2, 3, 1))).note() is None


@pytest.mark.parametrize(
    "value, mask, message",
    [
        (np.zeros(3), None, r"x: expected shape \(time, variable\)"),
        ([np.zeros((3, 1)), np.zeros((3, 2))], None, "x: expected as many variables in every"),
        ([np.zeros((3, 1)), np.zeros(3)], None, r"x\[1\]: expected shape"),
        (np.full((3, 1), np.inf), None, "x: expected finite numbers, got 3 NaN or Inf"),
        (np.zeros((3, 1)), [1, 0, 1], "mask: expected True where x was observed"),
        (np.zeros((3, 2)), np.ones((3, 3), bool), "mask: expected shape"),
        ([np.zeros((3, 2))] * 2, [np.ones(3, bool)], "mask: expected one for each of 2 trials"),
        (np.zeros((3, 2)), np.array([[True, False]] * 3), "x: variable 1 is never observed"),
    ],
)
def test_refusals(value, mask, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        checked_trials("x", value, mask)
