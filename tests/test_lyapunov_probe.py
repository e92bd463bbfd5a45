"""Spectra of driven networks over a batch of inputs, and during training."""

import inspect
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import stdtrit
from systems import PressesCtrlC

import plrjax as plr

KEY = jr.key(0)
INPUTS = np.asarray(jr.normal(jr.key(9), (10, 420, 2)))


def record(step: int):
    return SimpleNamespace(step=step, model=plr.LSTM(3, key=jr.key(step), input_size=2))


def probe(**options) -> plr.LyapunovProbe:
    defaults = {"key": KEY, "inputs": INPUTS, "num_transient": 10}
    return plr.LyapunovProbe(np.zeros(6), **(defaults | options))


def reference(model, inputs) -> np.ndarray:
    """Return the exponents of one driven orbit by QR of explicit Jacobians (NumPy)."""
    orbit = plr.trajectory(model, jnp.zeros(6), len(inputs), jnp.asarray(inputs, float))
    jacobians = jax.vmap(lambda z, s: plr.jacobian(model, z, s))(
        orbit[:-1], jnp.asarray(inputs, float)
    )
    Q, logs = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0], []
    for J in np.asarray(jacobians):
        Q, R = np.linalg.qr(J @ Q)
        logs.append(np.log(np.abs(np.diag(R))))
    return np.mean(logs[1000:], axis=0)


def test_mean_and_deviation_over_input_sequences():
    inputs, model = np.asarray(jr.normal(jr.key(8), (3, 1200, 2))), record(0).model
    watch = probe(inputs=inputs, num_transient=500)
    watch(record(0))
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda x: jnp.asarray(x, float), model)
        each = np.array([reference(exact, rows) for rows in inputs])
    assert np.allclose(watch.history.mean[0], each.mean(axis=0), atol=1e-9)
    assert np.allclose(watch.history.deviation[0], each.std(axis=0, ddof=1), atol=1e-9)


def test_every_sequence_is_a_system_of_its_own():
    """Sequences of very different kinds are not attractors of one system."""
    quiet, loud = np.zeros((5, 420, 2)), 5.0 * INPUTS[:5]
    model = record(0).model
    found = plr.lyapunov_spectrum(
        model, np.zeros(6), inputs=np.concatenate([quiet, loud]), num_transient=10, key=KEY
    )
    assert (found.attractor == 0).all() and len(found.per_attractor()) == 1
    assert np.allclose(found.exponents, np.sort(found.per_orbit.mean(axis=0))[::-1])
    deviation = found.per_orbit.std(axis=0, ddof=1)
    assert np.allclose(found.orbit_deviation, deviation)
    student = stdtrit(9, 0.8413447460685429)  # ten samples: 68 % lie within so many deviations
    assert np.allclose(found.standard_error, student * deviation / np.sqrt(10), rtol=1e-2)


def test_records_between_are_passed_over():
    watch = probe(every=5)
    for step in range(12):
        watch(record(step))
    assert list(watch.history.steps) == [0, 5, 10] == watch.steps
    assert len(watch.history) == 3 and watch.history.exponents.shape == (3, 6)
    assert not np.allclose(watch.history.mean[0], watch.history.mean[1])


def test_networks_that_escape_do_not_stop_training():
    watch = plr.LyapunovProbe([0.1], key=KEY, num_steps=500, num_transient=100)
    for step, growth in enumerate([0.5, 2.0, 0.25]):
        watch(SimpleNamespace(step=step, model=plr.Dynamics(lambda z: growth * z + z**3, 1)))
    assert np.allclose(watch.history.exponents[[0, 2], 0], np.log([0.5, 0.25]))
    assert np.isnan(watch.history.exponents[1, 0]) and np.isnan(watch.history.mean[1, 0])
    assert watch.spectra[1].result is plr.RESULTS.not_finite


def test_interrupt_reaches_the_training_loop():
    watch = probe(progress=PressesCtrlC(after=1))
    with pytest.raises(KeyboardInterrupt):
        watch(record(0))
    assert not watch.steps


@pytest.mark.parametrize(
    "options, message",
    [
        ({"every": 0}, "every: expected an integer of at least 1, got 0"),
        ({"interval": 3}, "interval: expected one of inputs, num_steps"),
        ({"throw": True}, "throw: expected one of"),
        ({"key": jr.split(KEY)}, "key: expected one JAX random key"),
    ],
)
def test_misuse(options, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(plr.LyapunovProbe.__init__)(
            plr.LyapunovProbe.__new__(plr.LyapunovProbe), 0.0, **({"key": KEY} | options)
        )


def test_no_history_without_a_record():
    with pytest.raises(ValueError, match="no record yet"):
        _ = probe().history
