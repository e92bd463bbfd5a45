"""Error bars where growth rates remember: intermittency, slow noise, lattices, hyperchaos."""

import time

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lyapunov_maps import henon, lorenz

import plrjax as plr
from plrjax._lyapunov._statistics import remembers, standard_error


def slow_noise(memory: float, orbits: int, runs: int) -> np.ndarray:
    """Block means of x' = a x + noise, a = exp(-1/memory): 128 blocks of 20 steps, mean 0."""
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(2_560 + 500, runs * orbits))
    x, now = np.zeros_like(noise), np.zeros(runs * orbits)
    for t, kick in enumerate(noise):
        x[t] = now = np.exp(-1.0 / memory) * now + kick
    return x[500:].reshape(128, 20, runs, orbits).mean(axis=1)


def rms(z) -> float:
    return float(np.sqrt(np.mean(np.square(z))))


@pytest.mark.parametrize("memory, orbits", [(0.1, 1), (10, 1), (100, 1), (100, 8), (500, 8)])
def test_slow_noise(memory, orbits):
    """With a memory of 100 steps of 2,560 a single orbit was 2.1 of its errors off (rms)."""
    series = slow_noise(memory, orbits, 200)
    z = [series[:, i].mean() / standard_error(series[:, i, :, None])[0] for i in range(200)]
    assert 0.8 < rms(z) < 1.3 and 0.6 < np.mean(np.abs(z) < 1) < 0.8
    assert np.mean(np.abs(z) < 2) > 0.88


def test_memory_of_much_of_a_run_is_said():
    """Five correlation times in all: the error bar itself is uncertain, and the result says so."""
    series = slow_noise(500, 1, 100)
    z = [series[:, i].mean() / standard_error(series[:, i, :, None])[0] for i in range(100)]
    assert rms(z) < 1.8  # it was 4.2
    assert np.mean([remembers(series[:, i, :, None]) for i in range(100)]) > 0.9
    calm = slow_noise(0.1, 1, 100)
    assert np.mean([remembers(calm[:, i, :, None]) for i in range(100)]) < 0.05


def test_blocks_longer_than_the_correlation_time():
    """AR(1) noise with correlation time 20: the errors of independent steps are 4 times less."""
    draw = np.random.default_rng(0)
    noise, series = draw.standard_normal((4_096, 8, 1)), np.zeros((4_096, 8, 1))
    for t in range(1, 4_096):
        series[t] = 0.9 * series[t - 1] + noise[t]
    truth = 10.0 / np.sqrt(4_096 * 8)
    assert standard_error(series)[0] == pytest.approx(truth, rel=0.35)
    assert standard_error(series[:, :1])[0] == pytest.approx(truth * np.sqrt(8), rel=0.6)


def intermittent(x):
    """The logistic map below its window of period 3, r = 1 + sqrt 8 - 2.3e-4."""
    return 3.8282 * x * (1.0 - x)


def lattice(x):
    """Fifty logistic maps x' = 4 x (1 - x) on a ring, coupled by .4."""
    moved = 4.0 * x * (1.0 - x)
    return 0.6 * moved + 0.2 * (jnp.roll(moved, 1) + jnp.roll(moved, -1))


def neutral(x):
    """x' = x + x^1.7 mod 1 (Pomeau, Manneville 1980): correlations decay like t^-.43."""
    x = jnp.abs(x)
    return jnp.mod(x + x**1.7, 1.0)


def hyperchaotic(s):
    """An RK4 step, dt = .02, of Roessler's second flow (1979)."""

    def flow(s):
        x, y, z, w = s
        return jnp.stack([-y - z, x + 0.25 * y + w, 3.0 + x * z, 0.05 * w - 0.5 * z])

    a = flow(s)
    b = flow(s + 0.01 * a)
    c = flow(s + 0.01 * b)
    return s + 0.02 / 6.0 * (a + 2.0 * b + 2.0 * c + flow(s + 0.02 * c))


def deviations(step, state, keys: int, seed: int, truth=None, **options) -> np.ndarray:
    """Return (lambda_1 - truth) / error of many keys; their own mean where no truth is known."""
    found = []
    for number in range(seed, seed + keys):
        options = {"spread": 1e-3, "num_exponents": 1, "progress": plr.NoProgress()} | options
        one = plr.lyapunov_spectrum(step, state, key=jr.key(number), **options)
        found.append((one.exponents[0], one.standard_error[0]))
    value, error = np.array(found).T
    return (value - (value.mean() if truth is None else truth)) / error


def test_intermittent_logistic_map():
    """lambda = .2586(2), from 60 million steps of other keys."""
    z = deviations(intermittent, [0.3], 24, 0, truth=0.2586, num_steps=4_000, num_orbits=64)
    assert 0.6 < rms(z) < 1.4 and np.max(np.abs(z)) < 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "step, state, options, most",
    [
        (intermittent, [0.3], {"num_orbits": 8}, 1.2),
        (neutral, [0.3], {"num_orbits": 8}, 1.6),
        (lattice, np.random.default_rng(0).uniform(0.1, 0.9, 50), {"num_orbits": 1}, 1.2),
        (hyperchaotic, [-10.0, -6.0, 0.0, 10.1], {"num_orbits": 4, "num_transient": 4_000}, 1.2),
        (henon, [0.1, 0.1], {"num_orbits": 1}, 1.2),
        (lorenz, [1.0, 1.0, 20.0], {"num_orbits": 1}, 1.2),
    ],
)
def test_errors_of_400_keys(step, state, options, most):
    z = deviations(step, np.asarray(state), 400, 1_000, num_steps=20_000, **options)
    assert rms(z) < most and np.mean(np.abs(z) < 2) > 0.85


@pytest.mark.parametrize("step, state", [(henon, [0.1, 0.1]), (lattice, np.linspace(0.2, 0.8, 50))])
def test_the_clock_changes_no_number(step, state, monkeypatch):
    """How many steps are taken in one call goes by the clock; exponents and errors do not."""
    call = {"key": jr.key(0), "num_steps": 6_000, "num_orbits": 3, "progress": plr.NoProgress()}
    quick = plr.lyapunov_spectrum(step, np.asarray(state), **call)
    clock, real = [0.0], time.perf_counter

    def slow():
        clock[0] += 3.0
        return real() + clock[0]

    monkeypatch.setattr(time, "perf_counter", slow)
    late = plr.lyapunov_spectrum(step, np.asarray(state), **call)
    np.testing.assert_array_equal(late.exponents, quick.exponents)
    np.testing.assert_array_equal(late.standard_error, quick.standard_error)
