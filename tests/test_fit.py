"""Training: it learns, repeats itself bit for bit, survives kills, and says when it diverges."""

import inspect
import os
import signal
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from systems import PressesCtrlC

import plrjax as plr
from plrjax import training as tr

KEY = jr.key(0)
QUIET = plr.NoProgress()
ADAM = optax.adam(1e-2)


def circle(num_steps: int = 400) -> np.ndarray:
    """A sampled rotation that never repeats itself."""
    t = 0.2 * np.arange(num_steps)
    return np.stack([np.cos(t), np.sin(t)], axis=1).astype(np.float32)


def network() -> plr.ClippedShallowPLRNN:
    return plr.ClippedShallowPLRNN(2, 8, key=jr.key(1))


def train(**options) -> tr.TrainingRun:
    defaults = {
        "key": KEY, "num_steps": 60, "sequence_length": 20, "batch_size": 4, "progress": QUIET,
        "forcing": tr.GeneralizedForcing(0.2), "optimizer": ADAM,
    }  # fmt: skip
    return tr.fit(network(), circle(), **(defaults | options))


def same(one, other) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def test_loss_falls_and_everything_is_noted():
    run = train(num_steps=400)
    assert run.result is plr.RESULTS.successful and run.num_steps == 400
    assert run.losses.shape == (400,) and run.losses[-20:].mean() < 0.2 * run.losses[:20].mean()
    assert run.parameters == ("model.A", "model.W1", "model.W2", "model.h1", "model.h2")
    assert run.gradient_norms.shape == (400, 5) and (run.gradient_norms > 0).all()
    assert run.gradient_norms.dtype == run.losses.dtype == np.float32 and "400 updates" in str(run)


def test_a_linear_system_is_learned_exactly(either_precision):
    """x' = A x with a rotation A is within the model class: the loss goes to zero."""
    angle = 0.3
    A = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = np.stack([np.linalg.matrix_power(A, t) @ [1.0, 0.0] for t in range(200)])
    unused = {"W1": np.zeros((2, 1)), "W2": np.zeros((1, 2)), "h1": np.zeros(2), "h2": np.zeros(1)}
    model = plr.from_arrays("shallow", A=np.zeros((2, 2)), **unused)
    model = jax.tree.map(jnp.asarray, model)
    rate = optax.adam(optax.exponential_decay(0.05, 600, 1e-3))
    run = tr.fit(
        model, x, key=KEY, forcing=tr.SparseForcing(1), num_steps=600, sequence_length=10,
        optimizer=rate, progress=QUIET,
    )  # fmt: skip
    np.testing.assert_allclose(plr.jacobian(run.model, jnp.zeros(2)), A, atol=1e-4)


def test_same_key_same_run_whatever_the_chunks():
    """Callbacks cut the run into other chunks; not a bit changes."""
    seen = []

    class Every:
        every = 7

        def __call__(self, record):
            seen.append(record.step)

    run, again, other = train(), train(callbacks=[Every()]), train(key=jr.key(5))
    assert seen == list(range(0, 60, 7))
    assert same(run.model, again.model) and np.array_equal(run.losses, again.losses)
    assert not same(run.model, other.model)


@pytest.mark.parametrize(
    "forcing",
    [
        tr.NoForcing(),
        tr.NoForcing(truncate=5),
        tr.SparseForcing(6),
        tr.RandomForcing(6),
        tr.AnnealedForcing(2, 10, 40),
        tr.AdaptiveForcing(every=2),
    ],
)
def test_every_forcing_learns(forcing):
    run = train(forcing=forcing, num_steps=300)
    assert run.losses[-20:].mean() < 0.5 * run.losses[:20].mean()
    assert np.isfinite(run.forcing).all() == isinstance(forcing, tr.AdaptiveForcing)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_resumed_bit_for_bit(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    forcing = tr.AdaptiveForcing(every=3)
    whole = train(forcing=forcing)

    class Stop:
        every = 25

        def __call__(self, record):
            return tr.Action(stop=record.step == 25)

    part = train(forcing=forcing, checkpoint=path, callbacks=[Stop()])
    assert part.num_steps == 25
    again = train(forcing=forcing, checkpoint=path, callbacks=[Stop()])
    assert again.num_steps == 25 and same(part.model, again.model)
    rest = train(forcing=forcing, checkpoint=path)
    assert rest.num_steps == 60 and same(whole.model, rest.model)
    for name in ("losses", "gradient_norms", "forcing"):
        assert np.array_equal(getattr(whole, name), getattr(rest, name)), name
    with pytest.raises(ValueError, match="checkpoint: .* belongs to another run"):
        train(forcing=forcing, checkpoint=path, key=jr.key(1))


SCRIPT = """
import sys, time
import jax.random as jr, numpy as np, plrjax as plr
from plrjax import training as tr
t = np.arange(400)
x = np.stack([np.cos(.2 * t), np.sin(.2 * t)], 1).astype(np.float32)
class Slow:
    every = 20
    def __call__(self, record):
        print(record.step, flush=True)
        if record.step >= 700 and sys.argv[3] == "waits":
            time.sleep(600)
tr._loop.Checkpoint.save_sometimes = lambda self, loop: self.save(loop)
run = tr.fit(plr.ClippedShallowPLRNN(2, 8, key=jr.key(1)), x, key=jr.key(0), num_steps=1000,
             sequence_length=30, batch_size=4, forcing=tr.GeneralizedForcing(.2),
             callbacks=[Slow()], checkpoint=sys.argv[1], progress=plr.NoProgress())
plr.save(sys.argv[2], run.model)
"""


def test_killed_and_run_again(tmp_path):
    """Kill -9 in the middle: the same command ends with the model of a whole run, bit for bit."""
    saved = tmp_path / "model.npz"

    def start(how: str) -> subprocess.Popen:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "run.npz"), str(saved), how]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})

    killed = start("waits")
    assert killed.stdout is not None
    for line in killed.stdout:
        if int(line) >= 400:
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL and not saved.exists()
    again = start("goes on")
    steps = [int(line) for line in again.communicate()[0].split()]
    assert again.returncode == 0
    assert 380 <= steps[0] < 1000 and steps[-1] == 1000
    whole = tr.fit(
        network(), circle(), key=KEY, num_steps=1000, sequence_length=30, batch_size=4,
        forcing=tr.GeneralizedForcing(0.2), progress=QUIET,
    )  # fmt: skip
    assert same(plr.load(saved), whole.model)


def test_divergence_keeps_the_last_finite_model():
    run = train(forcing=tr.NoForcing(), optimizer=optax.sgd(50.0), sequence_length=200)
    assert run.result is plr.RESULTS.not_finite and 0 < run.num_steps < 60
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.model))
    assert f"update {run.num_steps + 1} was not finite" in run.notes[0]
    assert len(run.losses) == run.num_steps and np.isfinite(run.losses).all()
    bad = eqx.tree_at(lambda m: m.A, network(), jnp.full(2, 1e30))
    with pytest.raises(RuntimeError, match="first update is not finite"):
        tr.fit(bad, circle(), key=KEY, num_steps=5, progress=QUIET)


def test_ctrl_c_keeps_what_was_trained(tmp_path):
    path = tmp_path / "run.npz"
    part = train(num_steps=10_000, progress=PressesCtrlC(after=3), checkpoint=path)
    assert part.result is plr.RESULTS.interrupted and 0 < part.num_steps < 10_000
    assert len(part.losses) == part.num_steps and path.exists()


def test_time_limit():
    part = train(num_steps=10**9, max_seconds=1.0)
    assert part.result is plr.RESULTS.budget_exhausted and 0 < part.num_steps < 10**9


def test_actions():
    """Revert, scale and another forcing, at given steps."""
    kept = {}

    class Acts:
        every = 10

        def __call__(self, record):
            kept[record.step] = record
            if record.step == 20:
                return tr.Action(update_scale=0.0)
            if record.step == 30:
                return tr.Action(revert_to=kept[10], update_scale=1.0)
            if record.step == 40:
                return tr.Action(forcing=tr.SparseForcing(4))
            return tr.Action(stop=True) if record.step == 50 else None

    run = train(callbacks=[Acts()])
    assert run.num_steps == 50 and isinstance(run.record.forcing, tr.SparseForcing)
    assert same(kept[20].model, kept[30].model)
    assert not same(kept[10].model, kept[20].model) and not same(kept[40].model, kept[10].model)


def test_spectra_during_training():
    probe = plr.LyapunovProbe(
        circle()[0], key=KEY, every=30, num_steps=200, num_transient=50, num_orbits=8
    )
    run = train(callbacks=[probe])
    assert list(probe.history.steps) == [0, 30, 60]
    last = plr.lyapunov_spectrum(
        run.model, circle()[0], key=KEY, num_steps=200, num_transient=50, num_orbits=8
    )
    assert np.array_equal(last.exponents, probe.history.exponents[-1])


def test_inputs_drive_the_network():
    """x' = x/2 + s: without its input the network cannot forecast."""
    s = np.random.default_rng(0).normal(size=(500, 1)).astype(np.float32)
    x = np.zeros((500, 1), np.float32)
    for t in range(499):
        x[t + 1] = 0.5 * x[t] + s[t]
    options = {"key": KEY, "num_steps": 500, "sequence_length": 20, "progress": QUIET}
    options |= {"optimizer": ADAM}
    driven = plr.ClippedShallowPLRNN(1, 4, key=KEY, input_size=1)
    blind = plr.ClippedShallowPLRNN(1, 4, key=KEY)
    losses = [
        tr.fit(model, x, inputs=given, forcing=tr.SparseForcing(2), **options).losses[-50:].mean()
        for model, given in ((driven, s), (blind, None))
    ]
    assert losses[0] < 0.01 < 0.5 < losses[1]


@pytest.mark.parametrize("make", [plr.LSTM, plr.GRU, plr.TanhRNN])
def test_networks_learn_a_task(make):
    """Say what the input was two steps ago, sequences of their own axis."""
    inputs = np.sign(np.random.default_rng(0).normal(size=(40, 30, 1))).astype(np.float32)
    targets = np.roll(inputs, 2, axis=1)
    model = make(8, key=KEY, input_size=1)

    def loss(predicted, target):
        return jnp.mean((predicted[2:] - target[2:]) ** 2)

    run = tr.fit(
        model, inputs=inputs, targets=targets, loss=loss, sequence_length=30, key=KEY,
        observation_model=tr.Affine(1, 8, key=KEY), num_steps=800, progress=QUIET,
        optimizer=optax.adam(1e-2),
    )  # fmt: skip
    assert run.losses[-20:].mean() < 0.1 < 0.5 < run.losses[0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_steps": 0}, "num_steps: expected an integer of at least 1"),
        (
            {"sequence_length": 400},
            "sequence_length: expected at most 399, because the longest",
        ),
        ({"batch_size": 2.5}, "batch_size: expected an integer"),
        ({"forcing": 0.1}, "forcing: expected a forcing such as"),
        ({"regularizers": [3]}, "regularizers: expected"),
        ({"loss": abs}, "loss: expected together with targets"),
        ({"inputs": np.zeros((5, 1))}, "inputs: expected 1 sequences of 400 rows"),
        ({"key": None}, "key: expected one JAX random key"),
        ({"checkpoint": "run.txt"}, "checkpoint: expected a name ending in"),
        ({"checkpoint": "nowhere/run.npz"}, "checkpoint: the folder nowhere does not exist"),
        ({"max_seconds": -1}, "max_seconds: expected a positive number"),
    ],
)
def test_misuse(options, message):
    given = {"key": KEY, "num_steps": 60, "sequence_length": 20, "progress": QUIET}
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(tr.fit)(network(), circle(), **(given | options))


def test_more_misuse():
    fit = lambda model, x, **options: tr.fit(model, x, key=KEY, progress=QUIET, **options)
    holes = circle()
    holes[7, 1] = np.inf
    for call, message in (
        (lambda: fit(network(), holes), "observations: expected finite numbers, got 1 NaN or Inf"),
        (lambda: fit(network(), circle()[:, :1]), "observation_model: expected one, because 1"),
        (lambda: fit(network(), np.zeros(5)), "observations: expected shape"),
        (lambda: fit(network(), None), "observations: expected a time series"),
        (lambda: tr.Identity(2, 3), "key: expected a key for L"),
        (lambda: tr.GeneralizedForcing(1.5), "alpha: expected a number from 0 to 1"),
        (lambda: tr.SparseForcing(0), "interval: expected an integer of at least 1"),
        (lambda: tr.L2(0.0), "weight: expected a positive number"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
