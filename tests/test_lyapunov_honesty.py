"""Error bars and labels where averages are treacherous: rotation, few orbits, stale weights."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lyapunov_maps import henon

import plrjax as plr

QUIET = plr.NoProgress()


def spectrum(model, state, seed: int = 0, **options):
    options = {"progress": QUIET, "key": jr.key(seed)} | options
    return plr.lyapunov_spectrum(model, np.asarray(state, float), **options)


class Linear(plr.AbstractDynamics):
    """z' = W z."""

    W: np.ndarray

    @property
    def state_size(self) -> int:
        return len(self.W)

    def step(self, state, input=None):
        return jnp.asarray(self.W) @ state


class Scaled:
    """No module: equal to itself whatever its weight, as any Python object."""

    def __init__(self, weight):
        self.weight = weight

    def step(self, state):
        return self.weight * state


def focus(angle: float) -> Linear:
    """A stable focus with modulus .95 in skew coordinates: both exponents are ln .95."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    frame = np.array([[1.0, 0.6], [0.0, 0.5]])
    return Linear(0.95 * frame @ turn @ np.linalg.inv(frame))


@pytest.mark.parametrize("angle, orbits", [(1.0, 256), (0.05, 256), (1.0, 8), (0.3, 1)])
def test_errors_of_a_focus(angle, orbits):
    """Frames turn there for ever: the ends of the runs decide, and the errors say so."""
    off = []
    for seed in range(20):
        found = spectrum(focus(angle), [1.0, 1.0], seed, num_steps=2_000, num_orbits=orbits)
        off.append(np.abs(found.exponents - np.log(0.95)) / found.standard_error)
    assert np.mean(np.array(off) < 3.0) > 0.9 and np.max(off) < 6.0


def test_weights_that_change_unseen():
    """Methods of ordinary objects and closures are compiled anew; nothing stale is returned."""
    box, rates = Scaled(0.5), [0.5]
    options = {"num_steps": 50, "num_transient": 5, "num_orbits": 4}
    probe = plr.LyapunovProbe([1.0], key=jr.key(0), **options)
    for weight in (0.5, 0.25, 0.125):
        box.weight = rates[0] = weight
        assert np.allclose(spectrum(box.step, [1.0], **options).exponents, np.log(weight))
        closure = spectrum(lambda z: rates[0] * z, [1.0], **options)
        assert np.allclose(closure.exponents, np.log(weight))
        probe(SimpleNamespace(step=len(probe.steps), model=box.step))
    assert np.allclose(probe.history.exponents[:, 0], np.log([0.5, 0.25, 0.125]))
    norms = plr.gradient_norms(box.step, [1.0], num_steps=10, num_transient=0, key=jr.key(0))
    assert np.isclose(norms.state_slope().value, np.log(0.125))


def test_equal_orbits_do_not_count_as_many():
    with pytest.raises(ValueError, match="num_orbits: expected at most 1 with spread=0"):
        spectrum(henon, [0.1, 0.1], spread=0, num_orbits=2)
    found = spectrum(henon, [0.1, 0.1], spread=0, num_steps=2_000)
    assert found.num_orbits == 1
    assert abs(found.exponents[0] - 0.419241) < 4 * found.standard_error[0] < 0.05


def test_correlated_input():
    """One sequence with a long memory, one series of averages: 68 % within an error, not half."""
    model = plr.TanhRNN(5, key=jr.key(1), input_size=1)
    model = Driven(1.3 * np.asarray(model.W, float), np.asarray(model.C, float))
    draw = np.random.default_rng(0)
    inside, truth = [], None
    for seed in range(61):
        steps = 60_000 if truth is None else 2_000
        noise = draw.normal(size=steps + 200)
        s = np.zeros(steps + 200)
        for t in range(1, len(s)):
            s[t] = 0.95 * s[t - 1] + np.sqrt(1 - 0.95**2) * noise[t]
        found = spectrum(
            model, np.zeros(5), seed, inputs=s[:, None], num_transient=100, num_orbits=2
        )
        if truth is None:
            truth = found.exponents
        else:
            inside.append(np.abs(found.exponents - truth) < found.standard_error)
    assert 0.55 < np.mean(inside) < 0.85


class Driven(plr.AbstractDynamics):
    """z' = tanh(W z + C s)."""

    W: np.ndarray
    C: np.ndarray

    @property
    def state_size(self) -> int:
        return len(self.W)

    def step(self, state, input=None):
        assert input is not None
        return jnp.tanh(jnp.asarray(self.W) @ state + jnp.asarray(self.C) @ input)


def test_a_focus_beside_chaos_is_told_apart(shared):
    """A network trained on Lorenz-63: most orbits are chaotic, some fall into a stable focus."""
    path = shared / "data" / "networks" / "lorenz63_clipped_shallow_agtf.npz"
    model = plr.load(path, kind="clipped-shallow", index=-1)
    starts = np.random.default_rng(0).normal(size=(32, 3))
    found = spectrum(model, starts, num_steps=1_000, num_orbits=256)
    counts = np.bincount(found.attractor)
    assert len(counts) == 2 and counts[0] > 200 and 2 <= counts[1] <= 30
    assert found.exponents[0] > 0.005 > 0 > found.per_attractor()[1].exponents[0]


def test_many_equal_orbits_of_a_line_attractor():
    W = np.diag([1.0, *np.linspace(0.1, 0.9, 19)])
    found = spectrum(Linear(W), np.ones(20), num_steps=500, spread=0.5)
    assert len(found.per_attractor()) == 1 and abs(found.exponents[0]) < 1e-12


def test_slow_alignment_and_growth_are_said():
    """Lorenz in steps of .001: a transient of 1000 steps is a single time unit."""

    def lorenz(z):
        flow = lambda z: jnp.stack(
            [10 * (z[1] - z[0]), z[0] * (28 - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]]
        )
        half = flow(z + 0.0005 * flow(z))
        return z + 0.001 * half

    found = spectrum(lorenz, [1.0, 1.0, 20.0], num_steps=5_000, num_orbits=64)
    assert any("aligned" in note or "drift" in note for note in found.notes)
    assert (
        abs(found.in_units("nats", dt=0.001)[0][0] - 0.9056) < 4 * found.standard_error[0] / 0.001
    )
    growing = spectrum(Linear(np.diag([1.01, 0.5])), [1.0, 1.0], num_steps=5_000)
    assert any("keep growing" in note for note in growing.notes)


@pytest.mark.parametrize("rate", [1.02, 1.032, 1.0322])
def test_slow_divergence_is_said_in_words(rate):
    """States near 1e300: squares of averages overflow, and some orbits are lost."""
    model = Linear(np.diag([rate, 0.3]))
    found = spectrum(model, [1.0, 1.0], num_orbits=16, num_steps=20_000, throw=False)
    assert len(found.per_attractor()) == 1 and any("keep growing" in n for n in found.notes)
    np.testing.assert_allclose(found.exponents, np.log([rate, 0.3]), rtol=1e-9)
    assert (found.attractor == -1).sum() == (found.first_nonfinite >= 0).sum()


def test_bounded_orbits_beside_growing_ones_are_told_apart():
    """z_1 settles on +-5/9, and z_2' = 1.03 z_2 stays at 0 or grows to 1e256: three sorts."""
    clipped = lambda z: jnp.stack([jnp.sign(z[0]) * 0.5 + 0.1 * z[0], 1.03 * z[1]])
    found = spectrum(clipped, [[1, 0], [-1, 0], [1, 1], [-1, 1]], spread=0)
    assert found.attractor[0] != found.attractor[1] and len(found.per_attractor()) == 3


def test_saturated_units_keep_their_exponents():
    """tanh(25)' = 7.7e-22 is below 1 - tanh^2: exponents of a fixed point in logarithms."""
    W, b, z = np.array([[1.0, 0.5], [0.3, 0.8]]), np.array([25.0, 0.1]), np.zeros(2)
    for _ in range(500):
        z = np.tanh(W @ z + b)
    slopes = -2.0 * np.log(np.cosh(W @ z + b))
    first = np.log(np.abs(np.linalg.eigvals(np.exp(slopes)[:, None] * W)).max())
    total = slopes.sum() + np.log(abs(np.linalg.det(W)))
    model = plr.models.from_arrays("tanh-rnn", W=W, b=b)
    found = spectrum(model, [0.0, 0.0], num_steps=500, num_orbits=4)
    np.testing.assert_allclose(found.exponents, [first, total - first], rtol=1e-12)
    assert not found.notes


def test_a_wild_network_has_no_collapsed_direction():
    """The sum of all exponents is the mean of sum ln sech^2 + ln |det W|, in NumPy."""
    draw = np.random.default_rng(0)
    W, z = draw.normal(size=(20, 20)) * 12.0 / np.sqrt(20), draw.normal(size=20)
    model = plr.models.from_arrays("tanh-rnn", W=W, b=np.zeros(20))
    options = {"num_steps": 200, "num_transient": 1, "spread": 0}
    found = spectrum(model, z, **options)
    assert np.isfinite(found.exponents).all() and found.det_residual < 1e-10
    total = []
    for _ in range(202):
        x = W @ z
        total.append(-2.0 * np.log(np.cosh(x)).sum() + np.linalg.slogdet(W)[1])
        z = np.tanh(x)
    error = np.std(total) / np.sqrt(len(total))  # chaos: in NumPy it is another orbit
    assert abs(np.sum(found.exponents) - np.mean(total)) < 5 * error


def test_derivatives_of_gates_keep_their_digits():
    """sigmoid'(40) = e^-40, which s (1 - s) makes zero; here of c' = sigmoid(h) c at c = 1."""
    x = np.array([-40.0, -3.0, 0.0, 3.0, 40.0])
    one = lambda *rows: np.reshape(rows, (-1, 1)).astype(float)
    forget = plr.from_arrays("lstm", W=one(0, 1, 0, 0), b=np.zeros(4))
    unit = plr.from_arrays("tanh-rnn", W=one(1), b=np.zeros(1))
    with jax.enable_x64(True):
        forget, unit = jax.tree.map(jnp.asarray, (forget, unit))
        gate = lambda h: forget.step(jnp.stack([h, jnp.ones(())]))[1]
        slope = jax.vmap(jax.grad(gate))(x)
        np.testing.assert_allclose(slope, 0.25 / np.cosh(x / 2) ** 2, rtol=1e-13)
        curve = jax.vmap(jax.grad(jax.grad(lambda z: unit.step(z[None])[0])))(x[1:4])
    np.testing.assert_allclose(curve, -2 * np.tanh(x[1:4]) / np.cosh(x[1:4]) ** 2, atol=1e-13)


def test_exponents_that_are_no_numbers_are_lost_orbits():
    found = spectrum(lambda z: jnp.sin(1e160 * z), [0.3], num_steps=50, throw=False)
    assert found.result is plr.RESULTS.not_finite and (found.first_nonfinite >= 0).all()


def test_interval_longer_than_the_run():
    found = spectrum(henon, [0.1, 0.1], num_steps=4, qr_every=10, num_orbits=16)
    assert np.isfinite(found.standard_error).all() and found.num_steps == 4


def test_an_input_matrix_without_input_is_noted():
    found = spectrum(plr.GRU(3, key=jr.key(0), input_size=2), np.zeros(3), num_steps=100)
    assert any("without input" in note for note in found.notes)


@pytest.mark.parametrize(
    "step, message",
    [
        (lambda z: z if z[0] > 0 else -z, "model: expected a step that JAX can trace"),
        (lambda z: np.asarray(z), "model: expected a step that JAX can trace"),
        (lambda z, s: z, "model: expected a step that JAX can trace"),
        (lambda z: (z, z), "model: expected a map to states of shape"),
    ],
)
def test_steps_that_cannot_be_traced(step, message):
    with pytest.raises(ValueError, match=message):
        spectrum(step, [0.1, 0.1])


def test_more_misuse():
    cases: list[tuple[dict[str, Any], str]] = [
        ({"spread": -1}, "spread: expected a number of at least 0"),
        ({"num_transient": 10**18}, "num_transient: expected at most"),
        ({"inputs": 3}, "inputs: expected shape"),
        ({"inputs": np.zeros((3000, 0))}, "inputs: expected at least one number per row"),
        ({"inputs": [[1.0], [1.0, 2.0]]}, "inputs: expected a rectangular array"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            spectrum(henon, [0.1, 0.1], **options)
