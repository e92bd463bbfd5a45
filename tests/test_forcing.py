"""Forcing: estimates against values by hand and NumPy, intervals from data and from the network."""

import inspect

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import plrjax as plr
from plrjax import training as tr

JACOBIANS = np.array(
    [  # time, lane, 2 x 2
        [[[3.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [0.0, 0.0]]],
        [[[1.0, 0.0], [0.0, 4.0]], [[0.0, -2.0], [5.0, 0.0]]],
    ]
)


def test_estimators_by_hand():
    """Norms are 3, 4 in lane 0 and 2, 5 in lane 1; means have norms 2.5 and 2.5."""
    J = jnp.asarray(JACOBIANS)
    assert np.isclose(tr.product_bound(J), np.sqrt(12.0), rtol=1e-6)
    assert np.isclose(tr.mean_jacobian(J), 2.5, rtol=1e-6)
    assert np.isclose(tr.largest_jacobian(J), 5.0, rtol=1e-6)


def test_parameter_bound_by_hand():
    given = dict(A=np.array([0.5, -0.9]), h1=np.zeros(2), h2=np.zeros(3))
    W1, W2 = np.array([[3.0, 0, 0], [0, 4.0, 0]]), np.array([[1.0, 0], [0, 2.0], [0, 0]])
    shallow = plr.from_arrays("clipped-shallow", W1=W1, W2=W2, **given)
    assert np.isclose(tr.parameter_bound(None, shallow), 0.9 + 4.0 * 2.0, rtol=1e-6)
    W = np.array([[0.0, 2.0], [-1.0, 0.0]])
    full = plr.from_arrays("plrnn", A=np.diag([0.5, 0.25]), W=W, h=np.zeros(2))
    assert np.isclose(tr.parameter_bound(None, full), 0.5 + 2.0, rtol=1e-6)
    with pytest.raises(ValueError, match="estimator: .* field A, got TanhRNN"):
        tr.parameter_bound(None, plr.TanhRNN(2, key=jr.key(0)))


def test_parameter_bound_bounds_every_jacobian():
    model = plr.ClippedShallowPLRNN(4, 9, key=jr.key(0))
    states = 3 * jr.normal(jr.key(1), (200, 4))
    norms = np.linalg.norm(jax.vmap(model.jacobian)(states), 2, axis=(-2, -1))
    assert norms.max() <= float(tr.parameter_bound(None, model))


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float64,
        st.integers(1, 11).map(lambda size: (4, size, size)),
        elements=st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-6),
    )
)
def test_spectral_norms_are_those_of_numpy(matrices):
    with jax.enable_x64(True):
        norm = jax.jit(jax.vmap(lambda one: tr.largest_jacobian(one[None, None])))
        found = np.asarray(norm(matrices))
    np.testing.assert_allclose(found, np.linalg.norm(matrices, 2, axis=(-2, -1)), rtol=3e-6)


@pytest.mark.parametrize("start, expected", [(0.1, 2 / 3), (1.0, 0.999 + 0.001 * 2 / 3)])
def test_alpha_jumps_up_and_decays(start, expected):
    """N = 3: the estimate is 1 - 1/3, taken at once where it is larger, else approached."""
    forcing = tr.AdaptiveForcing(lambda jacobians, model: jnp.asarray(3.0), start=start)
    found = forcing.update(forcing.init(), plr.example_network(), jnp.asarray(JACOBIANS))
    assert np.isclose(float(found), expected, rtol=1e-6)


def test_alpha_is_never_negative():
    forcing = tr.AdaptiveForcing(lambda jacobians, model: jnp.asarray(0.5), start=0.0)
    found = forcing.update(forcing.init(), plr.example_network(), jnp.asarray(JACOBIANS))
    assert float(found) == 0.0


@pytest.mark.parametrize("kind", ["clipped-shallow", "shallow", "plrnn", "tanh-rnn"])
@pytest.mark.parametrize("full", [False, True])
def test_jacobians_are_derivatives(kind, full):
    make = {
        "clipped-shallow": lambda k: plr.ClippedShallowPLRNN(3, 7, key=k, input_size=2),
        "shallow": lambda k: plr.ShallowPLRNN(3, 7, key=k, input_size=2),
        "plrnn": lambda k: plr.PLRNN(3, key=k, input_size=2),
        "tanh-rnn": lambda k: plr.TanhRNN(3, key=k, input_size=2),
    }
    with jax.enable_x64(True):
        model = make[kind](jr.key(0))
        if full and kind != "tanh-rnn":
            object.__setattr__(model, "A", jr.normal(jr.key(5), (3, 3)))
        z, s = jr.normal(jr.key(1), (3,)), jr.normal(jr.key(2), (2,))
        expected = np.stack([np.asarray(slope(model, z, s, axis)) for axis in range(3)], axis=1)
        np.testing.assert_allclose(model.jacobian(z, s), expected, atol=1e-7)
        np.testing.assert_array_equal(plr.jacobian(model, z, s), model.jacobian(z, s))


def slope(model, z, s, axis, h=1e-6):
    """Return the central difference quotient along one axis."""
    step = h * jnp.eye(3)[axis]
    return (model.step(z + step, s) - model.step(z - step, s)) / (2 * h)


def test_interval_of_the_observations():
    """ln 2 / lambda_1 of Lorenz-63 in steps of .01 is 76.6; the estimate is good to 15 %."""
    series = plr.systems.simulate(plr.systems.lorenz63(), 30_000, key=jr.key(0), noise=0.01)
    found, notes = plr.SparseForcing("auto").prepared([series.observations])
    assert isinstance(found, tr.SparseForcing) and isinstance(found.interval, int)
    assert abs(found.interval / 76.6 - 1) < 0.15
    assert found.segment == found.interval and not notes


def test_without_chaos_a_stand_in_is_taken_and_said():
    """cos .2 t falls below 1 - 1/e after acos(.632) / .2 = 4.4 steps."""
    t = np.arange(2000)
    circle = np.stack([np.cos(0.2 * t), np.sin(0.2 * t)], 1)
    for rows, said in ((circle, "no positive exponent"), (circle[:50], "at least 100")):
        found, (note,) = plr.SparseForcing("auto").prepared([rows])
        assert isinstance(found, tr.SparseForcing) and found.interval == 5
        assert said in note and "taken are 5 steps" in note and "an exponent of 0.139" in note
    with pytest.raises(ValueError, match="interval: expected a positive integer or 'auto'"):
        inspect.unwrap(plr.SparseForcing)("often")
    with pytest.raises(ValueError, match="interval: 'auto' needs observations"):
        plr.SparseForcing("auto").prepared([])
    with pytest.raises(ValueError, match="interval: .* settled by fit"):
        plr.SparseForcing("auto").schedule((), jr.key(0), jnp.zeros((), jnp.int32), 5)


def record_of(model, forcing, step=0):
    empty = np.zeros(0, np.float32)
    identity = tr.Identity(model.state_size)
    return tr.TrainingRecord(step, model, identity, (), empty, empty[:, None], forcing, ())


def test_interval_of_the_network(shared):
    """A network that reconstructs Lorenz-63: errors double in about 77 steps."""
    path = shared / "data" / "networks" / "lorenz63_clipped_shallow_agtf.npz"
    network = plr.load(path, kind="clipped-shallow", index=-1)
    probe = plr.AutoInterval(np.zeros(3) + 0.1, key=jr.key(0), every=10)
    action = probe(record_of(network, plr.SparseForcing(50), step=10))
    assert action is not None and isinstance(action.forcing, tr.SparseForcing)
    interval = action.forcing.interval
    assert isinstance(interval, int) and abs(interval / 77 - 1) < 0.25
    assert probe.steps == [10] and probe.intervals == [interval]
    slow = probe(record_of(network, plr.SparseForcing(5)))
    assert slow is not None and slow.forcing == plr.SparseForcing(10)  # doubled at most
    assert probe(record_of(network, action.forcing)) is None
    calm = plr.ClippedShallowPLRNN(3, 5, key=jr.key(0))
    assert probe(record_of(calm, plr.SparseForcing(5))) is None
    with pytest.raises(ValueError, match="forcing: AutoInterval expects SparseForcing"):
        probe(record_of(calm, plr.GeneralizedForcing(0.1)))


@pytest.mark.parametrize(
    "forcing",
    [
        tr.NoForcing(truncate=3),
        tr.SparseForcing(4),
        tr.RandomForcing(5),
        tr.AnnealedForcing(1, 9, 100),
        tr.GeneralizedForcing(0.25),
        tr.AdaptiveForcing(tr.mean_jacobian, every=3, decay=0.9, start=0.5),
    ],
)
def test_forcings_in_checkpoints(tmp_path, forcing):
    """A run goes on with the forcing that a callback had asked for."""
    asked = trained_with(forcing, tmp_path / "run.npz", num_steps=3)
    again = trained_with(None, tmp_path / "run.npz", num_steps=5)
    assert asked.record.forcing == again.record.forcing == forcing
    assert again.num_steps == 5 and np.array_equal(again.losses[:3], asked.losses)


def trained_with(forcing, path, num_steps):
    """Train with a checkpoint and a callback that asks for a forcing after the first update."""
    ask = lambda record: tr.Action(forcing=forcing) if record.step == 1 else None
    x = np.sin(0.3 * np.arange(60.0, dtype=np.float32))[:, None]
    return plr.fit(
        plr.ClippedShallowPLRNN(1, 2, key=jr.key(0)), x, key=jr.key(1), num_steps=num_steps,
        sequence_length=10, batch_size=2, optimizer=optax.adam(1e-3), checkpoint=path,
        callbacks=[] if forcing is None else [ask], progress=plr.NoProgress(),
    )  # fmt: skip


def test_a_forcing_that_no_file_holds(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(ValueError, match="checkpoint: .* estimator to a function, which a file"):
        trained_with(tr.AdaptiveForcing(lambda jacobians, model: jnp.asarray(2.0)), path, 3)

    class Own(tr.GeneralizedForcing):
        def __init__(self, alpha: float):
            super().__init__(alpha)

    with pytest.raises(ValueError, match="checkpoint: .* to Own, which a file cannot hold"):
        trained_with(Own(0.1), path, 3)
