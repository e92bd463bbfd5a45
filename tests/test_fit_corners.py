"""Training at its corners: what a stranger may hand it, and what may go wrong on the way."""

import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import plrjax as plr
from plrjax import training as tr

T = np.arange(300)
DATA = np.stack([np.cos(0.2 * T), np.sin(0.2 * T)], 1).astype(np.float32)
fit = inspect.unwrap(plr.fit)


def network():
    return plr.ClippedShallowPLRNN(2, 8, key=jr.key(1))


def train(**options) -> tr.TrainingRun:
    defaults: dict[str, Any] = {
        "key": jr.key(0), "num_steps": 60, "sequence_length": 20, "batch_size": 4,
        "forcing": plr.GeneralizedForcing(0.2), "progress": plr.NoProgress(),
    }  # fmt: skip
    return fit(network(), DATA, **(defaults | options))


def finite(run) -> bool:
    return all(np.isfinite(x).all() for x in jax.tree.leaves(eqx.filter(run.model, eqx.is_array)))


@pytest.mark.parametrize("num_steps", [11, 60])
def test_a_step_of_the_optimizer_that_is_not_finite_is_not_taken(num_steps):
    rate = lambda count: jnp.where(count == 10, jnp.inf, 1e-2)
    run = train(optimizer=optax.sgd(rate), num_steps=num_steps)
    assert run.result is plr.RESULTS.not_finite and run.num_steps == 10 and finite(run)


def test_a_run_that_diverged_is_resumed_where_it_did(tmp_path):
    """The file holds the last finite model, not an older one: the rerun diverges at once."""
    optimizer = optax.sgd(lambda count: jnp.where(count == 10, jnp.inf, 1e-2))
    runs = [train(optimizer=optimizer, checkpoint=tmp_path / "run.npz") for _ in range(2)]
    assert [run.num_steps for run in runs] == [10, 10]
    assert np.array_equal(runs[0].losses, runs[1].losses)
    for one, other in zip(*(jax.tree.leaves(run.model) for run in runs), strict=True):
        np.testing.assert_array_equal(one, other)


class Halver:
    """A callback that is not idempotent: it halves W1 at step 40."""

    every = 20

    def __call__(self, record):
        if record.step == 40:
            halved = eqx.tree_at(lambda m: m.W1, record.model, 0.5 * record.model.W1)
            return plr.training.Action(revert_to=record._replace(model=halved))
        return None


class Interrupt:
    """A callback that stops, or is interrupted, at one step."""

    every = 20

    def __init__(self, at, stop):
        self.at, self.stop, self.calls = at, stop, []

    def __call__(self, record):
        self.calls.append(record.step)
        if record.step != self.at:
            return None
        if self.stop:
            return plr.training.Action(stop=True)
        raise KeyboardInterrupt


@pytest.mark.parametrize("stop", [True, False])
def test_what_callbacks_did_before_a_break_is_done_once(tmp_path, stop):
    path, whole = tmp_path / "run.npz", train(callbacks=[Halver()])
    part = train(callbacks=[Halver(), Interrupt(40, stop)], checkpoint=path)
    assert part.num_steps == 40
    rest = train(callbacks=[Halver()], checkpoint=path)
    assert np.array_equal(rest.losses, whole.losses)
    for one, other in zip(jax.tree.leaves(rest.model), jax.tree.leaves(whole.model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_start_is_seen_once_after_a_stop_at_once(tmp_path):
    train(callbacks=[Interrupt(0, True)], checkpoint=tmp_path / "run.npz")
    looks = Interrupt(-1, True)
    train(callbacks=[looks], checkpoint=tmp_path / "run.npz")
    assert looks.calls == [0, 20, 40, 60]


def test_a_last_segment_of_one_step_may_not_spoil_the_loss():
    """x is 30 times the last: over 20 steps it leaves float32, in one step it does not."""
    unused = dict(W1=np.zeros((2, 1)), W2=np.zeros((1, 2)), h1=np.zeros(2), h2=np.zeros(1))
    fast = plr.from_arrays("shallow", A=np.diag([30.0, 1.0]), **unused)
    x = np.zeros((22, 2), np.float32)
    x[20:, 0] = 1.0
    run = fit(
        jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), fast), x, key=jr.key(0),
        forcing=plr.SparseForcing(20), num_steps=1, sequence_length=21, batch_size=1,
        progress=plr.NoProgress(),
    )  # fmt: skip
    assert np.isclose(run.losses[0], (29.0**2 + 1.0) / 42, rtol=1e-5)
    assert np.isfinite(run.gradient_norms).all() and run.gradient_norms.max() > 1e20


@pytest.mark.parametrize("forcing", [plr.GeneralizedForcing(0.1), plr.SparseForcing(1)])
def test_windows_of_one_step(forcing):
    assert finite(train(sequence_length=1, forcing=forcing, num_steps=5))


def test_jacobians_meet_the_inputs_that_act_there():
    """F(z, s) = z s / 2 has DF = s / 2; the largest of a batch is half the largest input."""
    seen = []

    def note(jacobians, model):
        jax.debug.callback(lambda value: seen.append(np.asarray(value)), jacobians)
        return jnp.asarray(2.0, jnp.float32)

    class Product(plr.AbstractDynamics):
        weight: jax.Array

        @property
        def state_size(self):
            return 1

        def step(self, state, input=None):
            return self.weight * state * jnp.asarray(input)

    x = np.arange(1.0, 7.0, dtype=np.float32)[:, None]
    fit(
        Product(jnp.asarray(0.5)), x, inputs=x, key=jr.key(0), num_steps=1, sequence_length=5,
        batch_size=1, forcing=plr.AdaptiveForcing(note, every=1), progress=plr.NoProgress(),
    )  # fmt: skip
    jax.effects_barrier()
    np.testing.assert_allclose(seen[0].ravel(), 0.5 * x[:5, 0])


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("column", [False, True])
def test_classes_stay_integers(several, column):
    """Targets (time,) or (time, 1), alone or in several sequences, are the same classes."""
    inputs = np.random.default_rng(0).normal(size=(3, 50, 2)).astype(np.float32)
    targets = (inputs[..., 0] > 0).astype(np.int64)
    given = (inputs, targets) if several else (inputs[0], targets[0])
    shapes = []

    def entropy(predicted, target):
        shapes.append((target.shape, target.dtype))
        classes = target[:, 0]
        return optax.softmax_cross_entropy_with_integer_labels(predicted, classes).mean()

    run = fit(
        plr.TanhRNN(4, key=jr.key(0), input_size=2), inputs=given[0], key=jr.key(1),
        targets=given[1][..., None] if column else given[1], loss=entropy, num_steps=5,
        sequence_length=10, observation_model=plr.training.Affine(2, 4, key=jr.key(2)),
        progress=plr.NoProgress(),
    )  # fmt: skip
    assert finite(run) and shapes[0] == ((10, 1), np.dtype("int32"))


def test_a_loss_closed_over_other_numbers_is_another_run(tmp_path):
    def weighted(w):
        return jax.jit(lambda p, q: jnp.mean((jnp.asarray(w) * (p - q)) ** 2))

    def task(loss):
        return fit(
            plr.TanhRNN(2, key=jr.key(0), input_size=2), inputs=DATA, targets=DATA, loss=loss,
            key=jr.key(1), num_steps=4, sequence_length=10, checkpoint=tmp_path / "run.npz",
            observation_model=plr.training.Affine(2, 2, key=jr.key(2)), progress=plr.NoProgress(),
        )  # fmt: skip

    task(weighted(np.ones((10, 1), np.float32)))
    task(weighted(np.ones((10, 1), np.float32)))
    with pytest.raises(ValueError, match="checkpoint: .* belongs to another run"):
        task(weighted(np.full((10, 1), 3.0, np.float32)))


def test_random_keys_in_the_optimizer_are_resumed(tmp_path):
    noisy = optax.chain(optax.add_noise(0.01, 0.5, jr.key(7)), optax.adam(1e-2))
    whole = train(optimizer=noisy)
    train(optimizer=noisy, checkpoint=tmp_path / "a.npz", callbacks=[Interrupt(20, True)])
    rest = train(optimizer=noisy, checkpoint=tmp_path / "a.npz")
    assert np.array_equal(rest.losses, whole.losses)


def test_optimizers_may_look_at_the_loss():
    plateau = optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau(patience=5))
    assert train(optimizer=plateau).losses[-10:].mean() < train(num_steps=1).losses[0]


def test_networks_with_other_constants_are_not_one_program():
    class Scaled(plr.AbstractDynamics):
        weight: jax.Array
        gain: float

        @property
        def state_size(self):
            return 2

        def step(self, state, input=None):
            return self.gain * jnp.tanh(self.weight * state)

    pair = [Scaled(jnp.ones(2), gain) for gain in (0.5, 0.9)]
    with pytest.raises(ValueError, match=r"models\[1\]: expected the type and shapes"):
        plr.fit_many(pair, DATA, keys=[jr.key(0)] * 2, num_steps=5, sequence_length=10)


class OwnPenalty(tr.AbstractRegularizer):
    weights: np.ndarray

    def __call__(self, model, observation):
        return jnp.sum(self.weights)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(observation_model=tr.Identity(1)), "observation_model: expected observe to return"),
        (dict(observation_model=tr.Affine(3, 2, key=jr.key(0))), "observation_model: "),
        (dict(observation_model=tr.Identity(2, 3, key=jr.key(0))), "observation_model: "),
        (dict(optimizer=optax.adam), "optimizer: expected an Optax transformation"),
        (dict(regularizers=plr.training.L2(1e-3)), "regularizers: expected a list"),
        (dict(callbacks=[3]), "callbacks: expected a list of functions"),
        (dict(callbacks=3), "callbacks: expected a list of functions"),
        (dict(regularizers=[plr.ManifoldAttractor(3, 1.0)]), "num_states: expected at most the 2"),
        (
            dict(regularizers=[OwnPenalty(np.ones(3))]),
            "forcing, regularizers: expected fields that are static",
        ),
        (dict(callbacks=[lambda record: {"stop": True}]), "callbacks: expected None or an Action"),
        (
            dict(callbacks=[lambda record: tr.Action(update_scale=np.nan)]),
            "Action.update_scale: ",
        ),
        (
            dict(callbacks=[lambda record: tr.Action(forcing=0.1)]),  # type: ignore[arg-type]
            "Action.forcing: expected a forcing",
        ),
    ],
)
def test_misuse_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        train(**options)


def test_fewer_updates_than_were_taken(tmp_path):
    rate = optax.adam(1e-2)
    train(checkpoint=tmp_path / "run.npz", optimizer=rate)
    with pytest.raises(ValueError, match="num_steps: expected at least 60"):
        train(checkpoint=tmp_path / "run.npz", optimizer=rate, num_steps=30)


def test_sizes_of_penalties_and_intervals():
    with pytest.raises(ValueError, match="num_states: expected"):
        inspect.unwrap(tr.ManifoldAttractor)(-1, 1.0)
    with pytest.raises(ValueError, match="num_updates: expected less than"):
        inspect.unwrap(tr.AnnealedForcing)(1, 3000, 10**6)
