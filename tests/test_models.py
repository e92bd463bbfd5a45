"""Models: step against lowering and known maps, construction from arrays, and bad arguments."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plrjax import PiecewiseAffineMap, models

PIECEWISE = [
    "plrnn",
    "mean-centered",
    "dendritic",
    "clipped-dendritic",
    "shallow",
    "clipped-shallow",
    "almost-linear",
    "threshold",
    "relu-rnn",
]
SMOOTH = ["tanh-rnn", "gru", "lstm"]
SIZES = {
    "dendritic": (3, 2),
    "clipped-dendritic": (3, 2),
    "shallow": (3, 5),
    "clipped-shallow": (3, 5),
    "almost-linear": (3, 2),
}


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def random_arrays(kind, rng, dtype=np.float64, *, M=3, H=4, B=2, K=2, full=False, with_C=True):
    """Draw arrays for one kind, every entry N(0, 1)."""
    sizes = {"M": M, "H": H, "B": B, "K": K, "3H": 3 * H, "4H": 4 * H}
    arrays = {}
    for name, shape in models.KINDS[kind].shapes.items():
        dims = shape.split()
        if shape == "integer":
            arrays[name] = int(rng.integers(0, M + 1))
        elif name != "C" or with_C:
            dims = dims[:1] if name == "A" and not full else dims
            arrays[name] = rng.normal(size=[sizes[d] for d in dims]).astype(dtype)
    return arrays


def rounding_scale(lowered, z):
    """Return sum of moduli of all terms of F(z), and the number of roundings per entry."""
    moduli = [np.abs(a) for a in (lowered.A, lowered.W1, lowered.W2, lowered.h1, lowered.h2)]
    A, W1, W2, h1, h2 = moduli
    terms = 4 * (lowered.state_size + lowered.num_units + 8)
    return terms * (A @ np.abs(z) + W1 @ (W2 @ np.abs(z) + h2) + h1)


@pytest.mark.parametrize("kind", PIECEWISE)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    M=st.sampled_from([1, 3]),
    full=st.booleans(),
    with_input=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_step_equals_lowering(kind, seed, M, full, with_input, dtype):
    rng = np.random.default_rng(seed)
    arrays = random_arrays(kind, rng, dtype, M=M, full=full, with_C=with_input)
    z = (3 * rng.normal(size=M)).astype(dtype)
    s = rng.normal(size=2).astype(dtype) if with_input else None
    model = models.from_arrays(kind, **arrays)
    with jax.enable_x64(dtype is np.float64):
        stepped = model.step(z, s)
        assert stepped.dtype == dtype
    lowered = model.as_piecewise_affine(s)
    drive_scale = 0 if s is None else 20 * np.abs(arrays["C"]) @ np.abs(s) * (1 + M)
    bound = np.finfo(dtype).eps * (rounding_scale(lowered, z) + 1 + np.sum(drive_scale))
    assert np.all(np.abs(np.asarray(stepped, np.float64) - lowered.apply(z)) <= bound)


@pytest.mark.parametrize("kind", PIECEWISE)
@pytest.mark.parametrize("full", [False, True])
def test_jacobian_of_lowering_is_jacobian_of_step(kind, full):
    rng = np.random.default_rng(7)
    for _ in range(3):
        model = models.from_arrays(kind, **random_arrays(kind, rng, full=full))
        z, s = 2 * rng.normal(size=3), rng.normal(size=2)
        lowered = model.as_piecewise_affine(s)
        assert lowered.margin(z[None]) > 1e-6  # a generic state, or the two sides may differ
        J, _ = lowered.affine_piece(lowered.region_of(z))
        with jax.enable_x64(True):
            stepped = np.asarray(jax.jacfwd(lambda x: model.step(x, s))(jnp.asarray(z)))
        scale = np.abs(lowered.A) + np.abs(lowered.W1) @ np.abs(lowered.W2)
        terms = 4 * (3 + lowered.num_units)
        assert np.all(np.abs(stepped - J) <= terms * np.finfo(float).eps * scale)


def test_tent_and_lozi_maps():
    tent = models.from_arrays("plrnn", A=[2.0], W=[[-4.0]], h=[1.0])
    x = np.linspace(-1, 1, 9)[:, None]
    assert np.array_equal(tent.as_piecewise_affine().apply(x), 1 - 2 * np.abs(x))
    a, b = 1.7, 0.5
    arrays = dict(A=[[0, 1], [b, 0]], W1=[[-a, -a], [0, 0]], W2=[[1, 0], [-1, 0]])
    lozi = models.from_arrays("shallow", **arrays, h1=[1, 0], h2=[0, 0])
    z = np.random.default_rng(0).normal(size=2)
    with jax.enable_x64(True):
        expected = [1 - a * abs(z[0]) + z[1], b * z[0]]
        assert np.allclose(lozi.step(z), expected, rtol=0, atol=8 * np.finfo(float).eps * 4)


def test_two_cycle_in_closed_form():
    # Two-dimensional skew map with a known 2-cycle: J_L on z_1 <= 0, J_R on z_1 > 0.
    J_left, J_right = np.array([[0, 0.8], [-0.4, 0.2]]), np.array([[-1.5, 0.8], [0.5, 0.2]])
    W = np.zeros((2, 2))
    W[:, 0] = (J_right - J_left)[:, 0]
    model = models.from_arrays("plrnn", A=J_left, W=W, h=[0.214, 0.0])
    F = model.as_piecewise_affine()
    right = np.array([0.39668293, 0.15006098])
    left = np.array([-0.26097561, 0.22835366])
    assert np.allclose(F.apply(right), left, atol=2e-8)  # the reference has eight digits
    assert np.allclose(F.apply(left), right, atol=2e-8)


def test_relu_derivative_is_zero_at_zero():
    model = models.from_arrays("plrnn", A=[0.5], W=[[2.0]], h=[0.0])
    assert jax.jacfwd(model.step)(jnp.zeros(1)) == 0.5
    assert not model.as_piecewise_affine().region_of(np.zeros(1)).any()


def test_leaky_relu_rnn_against_jax():
    rng = np.random.default_rng(1)
    W, b, z = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    model = models.from_arrays("relu-rnn", W=W, b=b, leak=0.3, slope=0.1)
    with jax.enable_x64(True):
        y = jax.nn.leaky_relu(jnp.asarray(W @ z + b), 0.1)
        assert np.allclose(model.step(z), 0.7 * z + 0.3 * y, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("with_input", [False, True])
def test_gru_and_lstm_against_equinox(with_input):
    K, H, key = 2, 4, jr.key(3)
    s = jnp.array([0.3, -1.2]) if with_input else None
    fed = jnp.zeros(K) if s is None else s
    gru = eqx.nn.GRUCell(K, H, key=key)
    ours = models.from_arrays(
        "gru", W=gru.weight_hh, b=gru.bias, b_candidate=gru.bias_n, C=gru.weight_ih
    )
    h, c = jr.normal(key, (2, H))
    assert np.allclose(ours.step(h, s), gru(fed, h), rtol=0, atol=1e-6)
    lstm = eqx.nn.LSTMCell(K, H, key=key)
    ours = models.from_arrays("lstm", W=lstm.weight_hh, b=lstm.bias, C=lstm.weight_ih)
    expected = jnp.concatenate(lstm(fed, (h, c)))
    assert np.allclose(ours.step(jnp.concatenate([h, c]), s), expected, rtol=0, atol=1e-6)
    assert ours.state_size == 2 * H


def construct(kind, **kwargs):
    """Draw a model of a kind at random."""
    return models.KINDS[kind].model(*SIZES.get(kind, (3,)), key=jr.key(0), **kwargs)


@pytest.mark.parametrize("kind", PIECEWISE + SMOOTH)
@pytest.mark.parametrize("x64", [False, True])
def test_constructors(kind, x64):
    with jax.enable_x64(x64):
        model = construct(kind, input_size=2)
        assert models.kind_of(model) == kind
        z = jnp.linspace(-1.0, 1.0, model.state_size)
        stepped = eqx.filter_jit(model.step)(z, jnp.ones(2))
        assert stepped.shape == z.shape and stepped.dtype == z.dtype
        again = models.from_arrays(kind, **models.arrays_of(model))
        assert np.array_equal(again.step(z, jnp.ones(2)), model.step(z, jnp.ones(2)))
        leaves = zip(*map(jax.tree.leaves, (model, construct(kind, input_size=2))), strict=True)
        assert all(np.array_equal(a, b) for a, b in leaves)  # the key decides
        assert construct(kind).C is None


def test_initialization_scales():
    model = models.ClippedShallowPLRNN(30, 400, key=jr.key(1))
    assert np.all((np.asarray(model.A) > 0) & (np.asarray(model.A) <= 1))
    for array, bound in ((model.W1, 400**-0.5), (model.W2, 30**-0.5), (model.h2, 400**-0.5)):
        largest = np.abs(array).max()
        assert 0.9 * bound < largest <= bound
    assert not np.any(model.h1)
    plrnn = models.PLRNN(20, key=jr.key(2))
    joint = np.diag(plrnn.A) + np.asarray(plrnn.W)
    assert not np.any(np.diag(plrnn.W))
    assert abs(np.linalg.eigvalsh(joint).max() - 1) < 1e-5
    bases = models.DendriticPLRNN(4, 300, key=jr.key(3), data_range=(-2.0, 1.0))
    assert bases.thresholds.shape == (300, 4)
    assert bases.thresholds.min() >= -2 and bases.thresholds.max() <= 1


@pytest.mark.parametrize("kind", PIECEWISE + SMOOTH)
def test_arrays_keep_dtype_and_mixtures_work(kind):
    rng = np.random.default_rng(5)
    arrays = random_arrays(kind, rng, np.float64)
    first = next(name for name in arrays if np.ndim(arrays[name]))
    arrays[first] = np.round(arrays[first] * 3).astype(np.int64)
    model = models.from_arrays(kind, **arrays)
    assert getattr(model, first).dtype == np.int64
    z = np.linspace(-1, 1, model.state_size)
    with jax.enable_x64(False):
        assert model.step(z).dtype == np.float32
    with jax.enable_x64(True):
        assert model.step(z.astype(np.float32)).dtype == np.float64
        assert model.step(np.zeros(model.state_size, np.int32)).dtype == np.float64
    if kind in PIECEWISE:
        assert model.as_piecewise_affine().A.dtype == np.float64


def test_float32_and_integers_are_promoted_exactly():
    A = np.array([0.1, 0.7], np.float32)
    W = np.array([[0, 2], [-3, 0]], np.int16)
    lowered = models.from_arrays("plrnn", A=A, W=W, h=[True, False]).as_piecewise_affine()
    assert np.array_equal(np.diag(lowered.A), A.astype(np.float64))
    assert np.array_equal(lowered.W1, W) and np.array_equal(lowered.h1, [1, 0])


def one_line_error(name, function, *args, **kwargs):
    """Check that a call raises a one-line ValueError that starts with the argument's name."""
    with pytest.raises(ValueError) as caught:
        function(*args, **kwargs)
    text = str(caught.value)
    assert text.startswith(f"{name}: ") and "\n" not in text, text


BAD_VALUES = {
    "shape": lambda a: np.zeros((*a.shape, 2)),
    "nan": lambda a: np.full(a.shape, np.nan),
    "inf": lambda a: np.full(a.shape, np.inf),
    "complex": lambda a: a.astype(np.complex128),
    "object": lambda a: a.astype(object),
    "string": lambda a: a.astype(str),
    "ragged": lambda a: [[1.0, 2.0], [3.0]],
    "text": lambda a: "hello",
}


@pytest.mark.parametrize("kind", PIECEWISE + SMOOTH)
@pytest.mark.parametrize("bad", BAD_VALUES)
def test_bad_arrays_are_named(kind, bad):
    arrays = random_arrays(kind, np.random.default_rng(2))
    for name, value in arrays.items():
        changed = {**arrays, name: BAD_VALUES[bad](np.asarray(value))}
        one_line_error(name, models.from_arrays, kind, **changed)


@pytest.mark.parametrize("kind", PIECEWISE + SMOOTH)
def test_wrong_lengths_missing_and_unexpected_fields(kind):
    arrays = random_arrays(kind, np.random.default_rng(2))
    for name in models.KINDS[kind].required:
        rest = {key: value for key, value in arrays.items() if key != name}
        one_line_error(name, models.from_arrays, kind, **rest)
    one_line_error("q", models.from_arrays, kind, **arrays, q=1)
    longer = {**arrays, "C": np.zeros((99, 2))}
    one_line_error("C", models.from_arrays, kind, **longer)
    with pytest.raises(ValueError, match="kind: expected one of plrnn, mean-centered"):
        models.from_arrays("nope", **arrays)


@pytest.mark.parametrize("kind", PIECEWISE + SMOOTH)
def test_bad_inputs_and_states(kind):
    model = models.from_arrays(kind, **random_arrays(kind, np.random.default_rng(2)))
    z, without = np.zeros(model.state_size), construct(kind)
    one_line_error("input", model.step, z, np.zeros(3))
    one_line_error("input", without.step, np.zeros(without.state_size), np.zeros(2))
    one_line_error("state", model.step, np.zeros(model.state_size + 1))
    if kind in PIECEWISE:
        one_line_error("input", model.as_piecewise_affine, np.zeros(3))
        one_line_error("input", without.as_piecewise_affine, np.zeros(2))
        one_line_error("input", model.as_piecewise_affine, np.full(2, np.nan))


def test_bad_sizes():
    key = jr.key(0)
    one_line_error("state_size", models.PLRNN, 0, key=key)
    one_line_error("hidden_size", models.ShallowPLRNN, 3, 0, key=key)
    one_line_error("hidden_size", models.LSTM, True, key=key)
    one_line_error("input_size", models.ReluRNN, 3, key=key, input_size=0)
    one_line_error("num_relu", models.AlmostLinearRNN, 3, 4, key=key)
    one_line_error("num_bases", models.DendriticPLRNN, 3, 0, key=key)
    one_line_error("data_range", models.DendriticPLRNN, 3, 2, key=key, data_range=(1, 1))
    arrays = random_arrays("almost-linear", np.random.default_rng(0))
    for bad in (4, -1, 1.5, [1]):
        one_line_error(
            "num_relu", models.from_arrays, "almost-linear", **{**arrays, "num_relu": bad}
        )
    one_line_error("h", models.from_arrays, "plrnn", A=[], W=np.zeros((0, 0)), h=[])


def test_kind_of_and_map():
    with pytest.raises(ValueError, match="model: expected one of"):
        models.kind_of(3)
    F = models.from_arrays("plrnn", A=[0.5], W=[[1]], h=[0]).as_piecewise_affine()
    assert models.kind_of(F) == "piecewise-affine"
    again = models.from_arrays("piecewise-affine", **models.arrays_of(F))
    assert isinstance(again, PiecewiseAffineMap) and np.array_equal(again.A, F.A)
