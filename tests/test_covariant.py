"""Covariant vectors and gradient norms: their defining properties."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lyapunov_maps import TWO_CYCLE, Linear, henon
from systems import LOZI, QUIET

import plrjax as plr
from plrjax import covariant_vectors, cycle_exponents, gradient_norms, lyapunov_spectrum


@pytest.mark.parametrize(
    "step, exponents",
    [(henon, [0.4193, -1.6233]), (LOZI.step, [0.4704, -1.1635])],
    ids=["henon", "lozi"],
)
def test_covariant_vectors_map_to_covariant_vectors(step, exponents):
    found = covariant_vectors(step, np.array([0.1, 0.1]), num_steps=3_000, key=jr.key(0))
    with jax.enable_x64(True):
        states = jnp.asarray(found.states)
        moved = np.asarray(jax.vmap(step)(states))
        jacobians = np.asarray(jax.vmap(jax.jacfwd(step))(states))
    assert np.abs(moved[:-1] - found.states[1:]).max() < 1e-12
    images = jacobians[:-1] @ found.vectors[:-1] / np.exp(found.growth[:-1, None, :])
    assert np.abs(images - found.vectors[1:]).max() < 1e-10
    assert np.abs(np.linalg.norm(found.vectors, axis=1) - 1).max() < 1e-12
    assert found.exponents == pytest.approx(exponents, abs=0.02)


def test_angles():
    """The Lozi map is hyperbolic, Hénon's map has near tangencies."""
    angles = {}
    for name, step in (("henon", henon), ("lozi", LOZI.step)):
        found = covariant_vectors(step, np.array([0.1, 0.1]), num_steps=3_000, key=jr.key(0))
        angles[name] = found.angles()
        assert found.splitting_angles(1) == pytest.approx(found.angles(0, 1))
        assert ((angles[name] >= 0) & (angles[name] <= np.pi / 2)).all()
    assert angles["henon"].min() < 0.05 < 0.3 < angles["lozi"].min()


def test_covariant_vectors_of_a_linear_map_are_eigenvectors():
    draw = np.random.default_rng(0)
    frame = draw.standard_normal((12, 12))
    moduli = np.linspace(0.95, 0.4, 12)
    A = frame @ np.diag(moduli) @ np.linalg.inv(frame)
    found = covariant_vectors(Linear(A), np.ones(12), num_steps=20, num_exponents=11, key=jr.key(0))
    frame = frame / np.linalg.norm(frame, axis=0)
    cosines = np.abs(np.einsum("sv,tsv->tv", frame[:, :11], found.vectors))
    assert np.abs(cosines - 1).max() < 1e-8
    assert found.exponents == pytest.approx(np.log(moduli[:11]), abs=1e-8)


def test_collapsed_directions_have_no_vectors():
    A = np.array([[0.5, 1.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="^num_exponents: expected at most 1"):
        covariant_vectors(Linear(A), np.ones(2), num_steps=10, key=jr.key(0))
    with pytest.raises(ValueError, match="^num_steps: expected at most"):
        covariant_vectors(Linear(A), np.ones(2), num_steps=10**9, key=jr.key(0))


# Gradient norms


def test_chaotic_gradients_grow_at_the_first_exponent():
    norms = gradient_norms(LOZI, np.zeros(2), num_steps=400, num_orbits=200, key=jr.key(0))
    exponent = lyapunov_spectrum(LOZI, np.zeros(2), key=jr.key(1), progress=QUIET).exponents[0]
    for slope in (norms.state_slope(50), norms.parameter_slope(50)):
        assert abs(slope.value - exponent) < 3 * slope.standard_error
        assert slope.standard_error < 0.01
    assert norms.log_state.shape == (200, 400) and norms.log_parameter[:, -1].mean() > 150


def test_long_products_do_not_overflow():
    norms = gradient_norms(LOZI, np.zeros(2), num_steps=2_000, key=jr.key(0))
    assert norms.log_state[0, -1] > 709 and np.isfinite(norms.log_parameter).all()


def test_gradients_on_a_stable_cycle():
    """They fall at lambda_1, and the gradient of the loss stays bounded."""
    cycle = plr.find_cycles(TWO_CYCLE, 2, solver=plr.Exhaustive(), progress=QUIET)
    cycle = cycle[cycle.stability == plr.STABILITY.stable]
    exponent = cycle_exponents(cycle.multipliers, cycle.period)[0, 0]
    norms = gradient_norms(TWO_CYCLE, np.array([0.4, 0.15]), num_steps=400, key=jr.key(0))
    assert norms.state_slope(50).value == pytest.approx(exponent, abs=1e-3)
    late = norms.log_parameter[0, -20:]
    assert np.ptp(late[::2]) < 1e-10 and np.abs(late).max() < 5


def test_quasiperiodic_gradients_do_not_grow():
    """An invariant circle of z' = R z 3/(1 + 2|z|^2), R a rotation by the golden angle."""

    class Circle(plr.AbstractDynamics):
        R: np.ndarray

        @property
        def state_size(self) -> int:
            return 2

        def step(self, state, input=None):
            moved = jnp.asarray(self.R) @ state
            return moved * (3.0 / (1.0 + 2.0 * jnp.sum(moved * moved)))

    angle = np.pi * (np.sqrt(5) - 1)
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    norms, radial = (
        gradient_norms(
            Circle(R), np.array([1.0, 0.1]), num_steps=1_000, num_orbits=8, key=jr.key(0), loss=loss
        )
        for loss in (lambda z: z[0], None)
    )
    for slope in (norms.state_slope(100), radial.parameter_slope(100)):  # |z|^2 sees no phase
        assert abs(slope.value) <= 3 * slope.standard_error < 1e-10
    assert 1e-3 < norms.parameter_slope(100).value < 0.01  # it grows like T


@pytest.mark.parametrize("kind", ["plrnn", "lstm", "driven"])
def test_gradient_norms_are_those_of_automatic_differentiation(kind):
    inputs = None
    if kind == "plrnn":
        model = plr.PLRNN(3, key=jr.key(0))
    elif kind == "lstm":
        model = plr.LSTM(2, key=jr.key(0))
    else:
        model = plr.TanhRNN(3, input_size=2, key=jr.key(0))
        inputs = np.random.default_rng(0).standard_normal((12, 2))
    state = np.linspace(0.1, 0.9, model.state_size)
    loss = lambda z: jnp.sum(jnp.sin(z))
    norms = gradient_norms(
        model,
        state,
        loss=loss,
        num_steps=12,
        num_transient=0,
        spread=0.0,
        key=jr.key(0),
        inputs=inputs,
    )
    with jax.enable_x64(True):
        model = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), model)
        rows = None if inputs is None else jnp.asarray(inputs)
        move = lambda model, z, row: (model.step(z, row), None)
        last = lambda m, z: jax.lax.scan(lambda z, s: move(m, z, s), z, rows, length=12)[0]

        jacobian = jax.jit(jax.jacrev(last, argnums=1))(model, jnp.asarray(state))
        gradient = jax.jit(jax.grad(lambda m, z: loss(last(m, z))))(model, jnp.asarray(state))
        square = sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(gradient))
        norm = float(jnp.linalg.norm(jacobian, 2))
    assert norms.log_state[0, -1] == pytest.approx(np.log(norm), abs=1e-10)
    assert norms.log_parameter[0, -1] == pytest.approx(0.5 * np.log(square), abs=1e-10)


def test_misuse_and_maps_without_parameters():
    norms = gradient_norms(henon, np.array([0.1, 0.1]), num_steps=5, key=jr.key(0))
    assert np.isnan(norms.log_parameter).all() and np.isfinite(norms.log_state).all()
    with pytest.raises(RuntimeError, match="^gradient_norms: no orbit stayed finite"):
        gradient_norms(lambda z: 2.0 + z * z, np.ones(1), num_steps=5, key=jr.key(0))
