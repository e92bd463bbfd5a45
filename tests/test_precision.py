"""Orbits and Jacobians in the precision of what is given, whatever the global JAX setting."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from systems import LOZI

import plrjax as plr


def shallow(dtype) -> plr.ShallowPLRNN:
    draw = np.random.default_rng(0)
    shapes = {"A": (3,), "W1": (3, 5), "W2": (5, 3), "h1": (3,), "h2": (5,)}
    arrays = {name: draw.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    return plr.models.from_arrays("shallow", **arrays)


@pytest.mark.parametrize("zero", [np.zeros(2), jnp.zeros(2, jnp.float32)])
def test_chaotic_orbits_are_followed_in_float64(either_precision, zero):
    """After 60 steps float32 has no digit left: errors grow by a factor of 1.6 each."""
    orbit = plr.trajectory(LOZI, zero, 60)
    expected = [np.zeros(2)]
    for _ in range(60):
        expected.append(LOZI.apply(expected[-1]))
    assert orbit.dtype == np.float64 and orbit[-1:].mean().dtype == np.float64
    np.testing.assert_allclose(orbit[:40], expected[:40], atol=1e-6)
    assert plr.jacobian(LOZI, zero).dtype == np.float64


def test_jacobians_to_the_last_digit(either_precision):
    model, z = shallow(np.float64), np.array([0.3, -0.7, 1.1])
    on = model.W2 @ z + model.h2 > 0
    expected = np.diag(model.A) + model.W1 @ (on[:, None] * model.W2)
    found = plr.jacobian(model, z)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_narrow_networks_stay_narrow(either_precision):
    for model in (shallow(np.float32), plr.ReluRNN(3, key=jr.key(0), leak=0.3)):
        wide = [np.asarray(leaf).dtype == np.float64 for leaf in jax.tree.leaves(vars(model))[:1]]
        z = np.zeros(3, np.float64 if wide[0] else np.float32)
        assert plr.trajectory(model, z, 3).dtype == z.dtype
        assert plr.trajectory(model, np.zeros(3), 3).dtype == np.float64
        assert plr.jacobian(model, z).dtype == z.dtype


def test_traced_orbits_stay_in_the_precision_of_the_trace():
    rate = lambda a: plr.trajectory(plr.Dynamics(lambda z: a * z, 1), np.ones(1), 3).sum()
    with jax.enable_x64(False):
        for function in (jax.grad(rate), jax.jit(jax.grad(rate))):
            assert function(0.5) == 1 + 2 * 0.5 + 3 * 0.25  # of 1 + a + a^2 + a^3
        start = jax.grad(lambda z: plr.trajectory(LOZI, z, 1)[-1].sum())(jnp.ones(2))
        np.testing.assert_allclose(start, LOZI.affine_piece(LOZI.region_of(np.ones(2)))[0].sum(0))
