"""The traceable layer: closed forms, gradients three ways, precision, memory."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lyapunov_maps import henon, hidden_lozi, skew_tent

import plrjax as plr
from plrjax import lyapunov_exponents

WEIGHTS = np.random.default_rng(3).standard_normal((6, 6))


def rnn(gain, weights=WEIGHTS):
    return lambda z: jnp.tanh(gain * (jnp.asarray(weights, z.dtype) @ z))


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def test_henon(double):
    state = plr.trajectory(plr.Dynamics(henon, 2), jnp.array([0.1, 0.1]), 100)[-1]
    options: dict[str, Any] = dict(num_steps=20_001, num_exponents=2, key=jr.key(0))
    run = jax.jit(
        lambda z, q: lyapunov_exponents(henon, z, qr_every=q, **options), static_argnums=1
    )
    found = run(state, 1)
    assert found == pytest.approx([0.4193, -1.6233], abs=5e-3)
    assert abs(float(found.sum()) - np.log(0.3)) < 1e-12
    assert run(state, 4) == pytest.approx(np.asarray(found), abs=1e-9)


def test_order_of_a_driven_product(double):
    draw = np.random.default_rng(6)
    matrices = jnp.asarray(draw.standard_normal((3, 3, 3)))
    moduli = np.abs(np.linalg.eigvals(matrices[2] @ matrices[1] @ matrices[0]))
    step = lambda z, s: s.reshape(3, 3) @ z
    inputs = jnp.tile(matrices.reshape(3, 9), (2_000, 1))
    options: dict[str, Any] = dict(num_steps=6_000, num_exponents=3, key=jr.key(0))
    found = lyapunov_exponents(step, jnp.zeros(3), inputs=inputs, **options)
    assert np.abs(found - np.sort(np.log(moduli) / 3)[::-1]).max() < 1e-3  # no transient


def test_dead_units_do_not_trap_the_frame(double):
    model = hidden_lozi(100)
    options: dict[str, Any] = dict(num_steps=2_000, num_exponents=1, key=jr.key(0))
    found = lyapunov_exponents(model.step, jnp.zeros(100), **options)
    assert found[0] == pytest.approx(0.47, abs=0.03)


def test_reverse_is_forward_is_central_difference(double):
    def total(gain, state):
        found = lyapunov_exponents(
            rnn(gain),
            state,
            num_steps=23,
            num_exponents=3,
            key=jr.key(0),
            qr_every=2,
        )
        return jnp.dot(jnp.arange(1.0, 4.0), found)

    point = (jnp.asarray(0.8), 0.3 * jnp.arange(6.0))
    direction = (jnp.asarray(1.0), jnp.cos(jnp.arange(6.0)))
    gradient = jax.jit(jax.grad(total, argnums=(0, 1)))(*point)
    reverse = sum(float(jnp.vdot(g, d)) for g, d in zip(gradient, direction))
    _, forward = jax.jit(lambda p, d: jax.jvp(total, p, d))(point, direction)
    h = 1e-5
    ahead, behind = ([p + s * h * d for p, d in zip(point, direction)] for s in (1, -1))
    value = jax.jit(total)
    difference = (value(*ahead) - value(*behind)) / (2 * h)
    assert reverse == pytest.approx(float(forward), rel=1e-10)
    assert reverse == pytest.approx(float(difference), rel=1e-5)


def test_gradient_through_householder(double):
    """More than ten vectors take LAPACK's QR."""
    weights = np.random.default_rng(0).standard_normal((12, 12)) / 3.0
    options: dict[str, Any] = dict(num_steps=9, num_exponents=11, key=jr.key(0))
    last = jax.jit(lambda gain: lyapunov_exponents(rnn(gain, weights), jnp.ones(12), **options)[-1])
    h = 1e-5
    difference = (last(0.9 + h) - last(0.9 - h)) / (2 * h)
    assert float(jax.jit(jax.grad(last))(0.9)) == pytest.approx(float(difference), rel=1e-5)


def test_checkpoints_change_memory_not_values(double):
    def loss(gain, checkpoint):
        options: dict[str, Any] = dict(
            num_steps=2_500, num_exponents=3, key=jr.key(0), remat=checkpoint
        )
        return jnp.sum(lyapunov_exponents(rnn(gain), jnp.ones(6), **options) ** 2)

    memory, values = [], []
    for checkpoint in (False, True):
        compiled = jax.jit(jax.grad(loss), static_argnums=1).lower(0.2, checkpoint).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        memory.append(analysis.temp_size_in_bytes)
        values.append(float(compiled(0.2)))
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert memory[1] < memory[0] / 10


def test_it_computes_in_the_dtype_of_the_state():
    state = jnp.array([0.1, 0.1], jnp.float32)
    options: dict[str, Any] = dict(num_steps=3_000, num_exponents=2, key=jr.key(0))
    found = jax.jit(lambda z: lyapunov_exponents(henon, z, **options))(state)
    assert found.dtype == jnp.float32
    assert found == pytest.approx([0.42, -1.62], abs=0.02)


def test_it_can_be_vectorized_and_jitted():
    states = 0.1 + 0.01 * jnp.arange(4.0)[:, None]
    options: dict[str, Any] = dict(num_steps=500, num_exponents=1, key=jr.key(0))
    one = lambda z: lyapunov_exponents(skew_tent(0.3).step, z, **options)
    found = jax.jit(jax.vmap(one))(states)
    assert found.shape == (4, 1) and float(found.mean()) == pytest.approx(0.611, abs=0.05)


def test_collapsed_directions_are_minus_infinity():
    step = lambda z: jnp.array([0.5 * z[0] + z[1], 0.0 * z[1]])
    found = lyapunov_exponents(step, jnp.ones(2), num_steps=50, num_exponents=2, key=jr.key(0))
    assert found[0] == pytest.approx(np.log(0.5), abs=0.05) and np.isneginf(found[1])


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(step=3), "step: expected a callable"),
        (dict(step=lambda z: z[:1]), "step: expected a map to states"),
        (dict(state=jnp.zeros((2, 2))), "state: expected a vector"),
        (dict(state=jnp.zeros(2, int)), "state: expected a vector"),
        (dict(num_steps=0), "num_steps: expected an integer of at least 1"),
        (dict(num_exponents=3), "num_exponents: expected an integer of at least 1 and at most 2"),
        (dict(qr_every=0), "qr_every: expected"),
        (dict(key=None), "key: expected"),
        (dict(inputs=jnp.zeros((3, 1))), "inputs: expected 5 rows"),
        (dict(orbit=jnp.zeros((3, 2))), "orbit: expected 5 rows"),
        (dict(orbit=jnp.zeros((5, 3))), r"orbit: expected states of shape \(2,\)"),
    ],
    ids=lambda x: None if isinstance(x, dict) else x.split(":")[0],
)
def test_misuse(options, message):
    arguments: dict[str, Any] = dict(
        step=henon, state=jnp.zeros(2), num_steps=5, num_exponents=2, key=jr.key(0)
    )
    with pytest.raises(ValueError, match=f"^{message}"):
        inspect.unwrap(lyapunov_exponents)(**{**arguments, **options})
