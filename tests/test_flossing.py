"""Gradient flossing: the penalty, its warning, and exponents that come to zero."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from lyapunov_maps import henon

import plrjax as plr

KEY = jr.key(0)


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def exponents(scale, **options):
    """Return two exponents of a scaled rotation, so that both are ln(scale)."""
    matrix = scale * jnp.array([[jnp.cos(1.0), -jnp.sin(1.0)], [jnp.sin(1.0), jnp.cos(1.0)]])
    defaults = {"num_steps": 12, "num_exponents": 2, "key": KEY}
    return plr.flossing_penalty(lambda z: matrix @ z, jnp.ones(2), **(defaults | options))


def test_penalty_in_closed_form(double):
    value, slope = jax.jit(jax.value_and_grad(exponents))(0.5)
    assert np.isclose(value, np.log(0.5) ** 2) and np.isclose(slope, 2.0 * np.log(0.5) / 0.5)
    target = jnp.asarray(np.log([0.5, 0.25]))
    found = jax.jit(lambda scale: exponents(scale, target=target))(0.5)
    assert np.isclose(found, np.log(2.0) ** 2 / 2)


def test_growth_over_the_window_is_warned_of(double):
    penalty = jax.jit(
        lambda z, **options: plr.flossing_penalty(
            henon, z, num_steps=40, num_exponents=1, key=KEY, **options
        ),
        static_argnames=("detach_state", "warn"),
    )
    state = jnp.array([0.1, 0.1])
    with pytest.warns(RuntimeWarning, match="lower num_steps, or give orbit= or detach_state"):
        penalty(state)
        jax.effects_barrier()
    orbit = plr.trajectory(plr.Dynamics(henon, 2), state, 39)
    for quiet in ({"detach_state": True}, {"orbit": orbit}, {"warn": False}):
        value = penalty(state, **quiet)
        jax.effects_barrier()
        assert np.isclose(value, penalty(state, warn=False))


def test_detached_and_forced_gradients_stay_small(double):
    """The full gradient of 60 chaotic steps is larger by orders of magnitude than either."""

    def penalty(a, **options):
        step = lambda z: jnp.stack([1.0 - a * z[0] ** 2 + z[1], 0.3 * z[0]])
        common = {"num_steps": 60, "num_exponents": 1, "key": KEY, "warn": False}
        return plr.flossing_penalty(step, jnp.array([0.1, 0.1]), **common, **options)

    slope = lambda **options: jax.jit(jax.grad(lambda a: penalty(a, **options)))(1.4)
    full = abs(slope())
    orbit = plr.trajectory(plr.Dynamics(henon, 2), jnp.array([0.1, 0.1]), 59)
    detached, forced = slope(detach_state=True), slope(orbit=orbit)
    assert np.isclose(detached, forced, rtol=1e-6)
    assert abs(detached) < 1e2 < 1e-3 * full


def test_forced_orbit_takes_jacobians_where_it_is_told(double):
    """Along any given points the product of Jacobians is that of NumPy."""
    points = np.asarray(jr.normal(jr.key(1), (30, 2)))
    found = plr.lyapunov_exponents(
        henon, jnp.zeros(2), num_steps=30, num_exponents=2, key=KEY, orbit=jnp.asarray(points)
    )
    total = sum(np.log(np.abs(np.linalg.det([[-2.8 * z[0], 1.0], [0.3, 0.0]]))) for z in points)
    product = np.eye(2)
    for z in points:
        product = np.array([[-2.8 * z[0], 1.0], [0.3, 0.0]]) @ product
    assert np.isclose(found.sum(), total / 30)
    assert abs(found[0] - np.log(np.linalg.norm(product, 2)) / 30) < 0.05


def test_flossing_brings_ten_exponents_of_80_units_to_zero(double):
    """Engelken (2023): window 55, AdamW 1e-3; judged by long orbits of other keys.

    Twelve are pulled, as the last of those pulled changes places with the first that is not.
    """
    size, count, pulled = 80, 10, 12
    model = plr.TanhRNN(size, key=KEY)
    weights = jr.normal(jr.key(1), (size, size)) / np.sqrt(size)
    model = eqx.tree_at(lambda m: (m.W, m.b), model, (weights, jnp.zeros(size)))
    optimizer = optax.adamw(optax.exponential_decay(1e-3, 300, 0.1))

    def loss(model, key):
        draws = jr.split(key)
        state = jax.lax.stop_gradient(plr.trajectory(model, jr.normal(draws[0], (size,)), 50)[-1])
        options = {"num_steps": 55, "num_exponents": pulled, "key": draws[1]}
        return plr.flossing_penalty(model.step, state, **options)

    @eqx.filter_jit
    @jax.numpy_dtype_promotion("standard")  # as Optax needs it
    def train(model, state, keys):
        def advance(carry, key):
            model, state = carry
            gradient = eqx.filter_grad(loss)(model, key)
            update, state = optimizer.update(gradient, state, model)
            return (eqx.apply_updates(model, update), state), None

        return jax.lax.scan(advance, (model, state), keys)[0]

    def spectrum(model):
        starts = jr.normal(jr.key(2), (8, size))
        return plr.lyapunov_spectrum(
            model, starts, num_steps=1000, num_exponents=count, num_orbits=8, key=jr.key(3)
        ).exponents

    assert np.abs(spectrum(model)).max() > 0.05
    model, _ = train(model, optimizer.init(model), jr.split(jr.key(4), 300))
    found = spectrum(model)
    assert np.abs(found).max() < 0.02, found


@pytest.mark.parametrize(
    "options, message",
    [
        ({"target": jnp.zeros(3)}, "target: expected one number or 2"),
        ({"orbit": jnp.zeros((5, 2))}, "orbit: expected 12 rows, one per step, got 5"),
        ({"num_exponents": 3}, "num_exponents: expected an integer"),
    ],
)
def test_misuse(options, message):
    with pytest.raises(ValueError, match=message):
        exponents(0.5, **options)
