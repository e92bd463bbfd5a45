"""Stacked layers: against composition by hand, block structure, dtypes, errors, exponents."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from systems import QUIET

import plrjax as plr
from plrjax import models

EPS = float(np.finfo(float).eps)
SIZES = {"M": 3, "H": 2, "3H": 6, "4H": 8, "B": 2}
CHAINS = [
    ("lstm",),
    ("tanh-rnn", "gru"),
    ("lstm", "lstm"),
    ("gru", "lstm", "tanh-rnn"),
    ("plrnn", "lstm", "clipped-shallow"),
    ("relu-rnn", "almost-linear", "dendritic", "lstm"),
]


def draw_layer(kind, rng, input_size, dtype):
    """Draw one layer, every entry N(0, 1/2)."""
    arrays, sizes = {}, {**SIZES, "K": input_size}
    for name, shape in models.KINDS[kind].shapes.items():
        dims = [sizes[d] for d in shape.split() if d != "integer"]
        arrays[name] = (0.5 * rng.normal(size=dims)).astype(dtype)
    if kind == "almost-linear":
        arrays["num_relu"] = np.array(2)
    return models.from_arrays(kind, **arrays)


def draw_stack(kinds, seed=0, input_size=2, dtype: Any = np.float64):
    """Draw the layers of a stack; LSTMs and GRUs show two numbers, the others three."""
    rng, layers = np.random.default_rng(seed), []
    for kind in kinds:
        layers.append(draw_layer(kind, rng, input_size, dtype))
        input_size = 2 if kind in ("lstm", "gru") else 3
    return layers


def stacked(*layers) -> Any:
    """Stack layers; states and inputs may be NumPy arrays."""
    return plr.Stacked(layers)


def composed(layers, state, signal) -> tuple[np.ndarray, Any]:
    """Advance the layers one by one, as `torch.nn.LSTM` does: new outputs drive at once."""
    states = np.split(state, np.cumsum([layer.state_size for layer in layers])[:-1])
    new = []
    for layer, z in zip(layers, states):
        new.append(layer.step(z, signal))
        signal = new[-1][:2] if isinstance(layer, plr.LSTM) else new[-1]
    return np.concatenate(new), signal


@pytest.mark.parametrize("kinds", CHAINS, ids="+".join)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_step_is_the_composition_of_the_layers(kinds, dtype):
    layers = draw_stack(kinds, dtype=dtype)
    stack, rng = stacked(*layers), np.random.default_rng(1)
    assert stack.state_size == sum(layer.state_size for layer in layers)
    with jax.enable_x64(dtype is np.float64):
        for driven in (True, False):
            state = rng.normal(size=stack.state_size).astype(dtype)
            signal = rng.normal(size=2).astype(dtype) if driven else None
            new, shown = composed(layers, state, signal)
            moved = stack.step(state, signal)
            assert moved.dtype == dtype and np.array_equal(moved, new)
            assert np.array_equal(stack.output(moved), shown)
            compiled = eqx.filter_jit(stack.step)(state, signal)
            scale = 1 + np.abs(moved)
            assert np.all(np.abs(compiled - moved) <= 100 * np.finfo(dtype).eps * scale)


def test_two_lstms_against_the_equations():
    """Written out in NumPy for c' = f c + i g, h' = o tanh(c'), the second fed with h' of now."""
    first, second = layers = draw_stack(["lstm", "lstm"], seed=5)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))

    def cell(layer, h, c, s):
        i, f, g, o = np.split(layer.W @ h + layer.C @ s + layer.b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    z = np.random.default_rng(2).normal(size=8)
    inputs = np.random.default_rng(3).normal(size=(20, 2))
    with jax.enable_x64(True):
        orbit = plr.trajectory(plr.Stacked(layers), jnp.asarray(z), 20, jnp.asarray(inputs))
        orbit = np.asarray(orbit)
    h1, c1, h2, c2 = np.split(z, 4)
    for row, s in zip(orbit[1:], inputs):
        h1, c1 = cell(first, h1, c1, s)
        h2, c2 = cell(second, h2, c2, h1)
        assert np.abs(row - np.concatenate([h1, c1, h2, c2])).max() < 1e3 * EPS


@pytest.mark.parametrize("kinds", CHAINS, ids="+".join)
def test_jacobian_is_block_lower_triangular(kinds):
    layers, rng = draw_stack(kinds), np.random.default_rng(1)
    stack, s = plr.Stacked(layers), np.random.default_rng(2).normal(size=2)
    z = rng.normal(size=stack.state_size)
    ends = np.cumsum([0, *(layer.state_size for layer in layers)])
    blocks = [slice(*pair) for pair in itertools.pairwise(ends)]
    with jax.enable_x64(True):
        jacobian = eqx.filter_jit(plr.jacobian)  # operation by operation it compiles far longer
        shown = eqx.filter_jit(lambda layer, z, s: layer.output(layer.step(z, s)))
        J = np.asarray(jacobian(stack, jnp.asarray(z), jnp.asarray(s)))
        signal = jnp.asarray(s)
        for layer, block in zip(layers, blocks):
            own = np.asarray(jacobian(layer, jnp.asarray(z[block]), signal))
            assert np.abs(J[block, block] - own).max() <= 100 * EPS * (1 + np.abs(own).max())
            assert not J[block, block.stop :].any()
            assert block.start == 0 or J[block, : block.start].any()
            signal = shown(layer, jnp.asarray(z[block]), signal)


def test_output_of_each_network():
    z = np.arange(6, dtype=np.float32)
    lstm, plrnn = plr.LSTM(3, key=jr.key(0)), plr.PLRNN(6, key=jr.key(0))
    assert np.array_equal(lstm.output(z), z[:3])
    assert np.array_equal(plrnn.output(z), z)
    assert np.array_equal(plr.Dynamics(lambda z: z, 6).output(z), z)
    for model in (lstm, plrnn, plr.Stacked([plrnn])):
        with pytest.raises(ValueError, match=r"^state: expected shape \(6,\), got \(5,\)"):
            model.output(z[:5])
        with pytest.raises(ValueError, match=r"^state: expected shape \(6,\), got \(5,\)"):
            model.step(z[:5])


def test_stacks_within_a_stack_are_unpacked():
    layers = draw_stack(("gru", "lstm", "tanh-rnn"))
    nested = plr.Stacked([plr.Stacked(layers[:2]), layers[2]])
    assert nested.layers == tuple(layers)
    assert [type(layer) for layer in plr.Stacked(iter(layers)).layers] == list(map(type, layers))


def test_dtypes_of_mixtures():
    """The state takes the dtype that holds every layer, the state and the input."""
    narrow, wide = (draw_stack(["lstm", "gru"], dtype=d) for d in (np.float32, np.float64))
    mixed, z = stacked(narrow[0], wide[1]), np.zeros(6, np.float32)
    with jax.enable_x64(False):
        assert mixed.step(z, np.zeros(2)).dtype == np.float32
    with jax.enable_x64(True):
        assert mixed.step(z).dtype == np.float64
        narrow = stacked(*narrow)
        assert narrow.step(z, np.zeros(2, np.float32)).dtype == np.float32
        assert narrow.step(z, np.zeros(2)).dtype == np.float64
        assert narrow.step(np.zeros(6, int), np.zeros(2, np.float32)).dtype == np.float32
        assert plr.trajectory(narrow, jnp.asarray(z), 3).dtype == np.float32
        # the layers' own promotion is strict here, the stack hands them what they need
        tent = models.from_arrays("plrnn", A=[2.0], W=[[-4.0]], h=[1.0]).as_piecewise_affine()
        user = plr.Dynamics(lambda z, s: jnp.tanh(z + s.sum()), 2)
        stack = stacked(tent, user)
        assert stack.step(np.zeros(3, np.float32)).dtype == np.float64
        np.testing.assert_allclose(stack.step(np.full(3, 0.25)), [0.5, *2 * [np.tanh(0.75)]])
    with pytest.raises(ValueError, match="state: expected real numbers"):
        mixed.step(z * 1j)


def test_transformations(getkey):
    def build(key):
        first, second = jr.split(key, 2)
        return plr.Stacked(
            [plr.LSTM(3, input_size=2, key=first), plr.TanhRNN(4, input_size=3, key=second)]
        )

    @eqx.filter_jit
    def shown(model, z, s):
        return model.output(model.step(z, s)).sum()

    keys, z, s = jr.split(getkey(), 5), jr.normal(getkey(), (5, 10)), jr.normal(getkey(), (5, 2))
    ensemble = eqx.filter_jit(eqx.filter_vmap(build))(keys)
    every = eqx.filter_vmap(shown)(ensemble, z, s)
    np.testing.assert_allclose(every[3], shown(build(keys[3]), z[3], s[3]), atol=1e-5)
    slope = eqx.filter_grad(shown)(build(keys[3]), z[3], s[3])
    assert all(np.any(leaf) for leaf in jax.tree.leaves(slope.layers[0]))


LSTM3, GRU5 = plr.LSTM(3, key=jr.key(0), input_size=2), plr.GRU(4, key=jr.key(0), input_size=5)
RNN4 = plr.TanhRNN(4, key=jr.key(0), input_size=3)
MAP3 = models.from_arrays("plrnn", A=np.ones(3), W=np.ones((3, 3)), h=np.ones(3))
DRIVEN = (
    r"layers\[1\]: expected input_size 3, the size of the output of layers\[0\]; its step says: "
)
WRONG = [
    (LSTM3, "layers: expected a sequence of networks, got LSTM"),
    ("lstm", "layers: expected a sequence of networks, got str"),
    ([], "layers: expected at least one network, got none"),
    ([LSTM3, int], r"layers\[1\]: expected a network \(AbstractDynamics\), got type"),
    # the state of an LSTM of 3 units has 6 numbers, its output 3
    ([LSTM3, GRU5], DRIVEN + r"input: expected shape \(5,\), got \(3,\)"),
    ([LSTM3, RNN4, MAP3], r"layers\[2\]: expected input_size 4, .*no input matrix C"),
    ([LSTM3, MAP3.as_piecewise_affine()], DRIVEN + ".*autonomous"),
    ([LSTM3, plr.Dynamics(lambda z: z, 2)], DRIVEN + ".*positional argument"),
    (
        [LSTM3, plr.Dynamics(lambda z, s: s, 2)],
        r"layers\[1\]: expected a step to shape \(2,\), got",
    ),
]


@pytest.mark.parametrize("layers, match", WRONG)
def test_wrong_wiring_fails_at_once(layers, match):
    with pytest.raises(ValueError, match=f"^{match}") as caught:
        plr.Stacked(layers)
    assert "\n" not in str(caught.value)


def test_wrong_inputs_and_other_functions():
    stack = stacked(*draw_stack(["lstm", "gru"]))
    with pytest.raises(ValueError, match=r"^input: expected shape \(2,\), got \(3,\)"):
        stack.step(np.zeros(6), np.zeros(3))
    with pytest.raises(ValueError, match="^model: expected a piecewise-affine network.* Stacked"):
        plr.CycleCounts(1).outputs(stack)


def test_from_arrays():
    layers = draw_stack(CHAINS[-1])
    stack = stacked(*layers)
    arrays = models.arrays_of(stack)
    assert models.kind_of(stack) == "stacked" and models.layer_kinds(stack) == list(CHAINS[-1])
    again = plr.from_arrays("stacked", layers=CHAINS[-1], **arrays)
    z = np.linspace(-1, 1, stack.state_size)
    assert np.array_equal(again.step(z, np.ones(2)), stack.step(z, np.ones(2)))
    for match, change in {
        r"layers: expected 1 to 256 of the kinds plrnn, .*, got None": {"layers": None},
        r"layers: expected 1 to 256 of the kinds": {"layers": ["lstm"] * 257},
        r"layers: .* got \['stacked'\]": {"layers": ["stacked"]},
        r"4.W: unexpected; the arrays of the stack begin with 0. to 3.": {"4.W": np.ones(1)},
        r"W: unexpected": {"W": np.ones(1)},
        r"00.W: unexpected": {"00.W": np.ones(1)},
        r"3.q: unexpected; 'lstm' has": {"3.q": np.ones(1)},
        r"2.alpha: expected finite": {"2.alpha": np.full(2, np.nan)},
        r"3.b: missing": {"3.b": None},
        r"layers\[3\]: expected input_size 3": {"3.C": None},
    }.items():
        with pytest.raises(ValueError, match=f"^{match}"):
            plr.from_arrays("stacked", **{"layers": CHAINS[-1], **arrays, **change})
    with pytest.raises(ValueError, match="^model: expected one of .*, stacked, got Dynamics"):
        models.layer_kinds(plr.Stacked([plr.Dynamics(lambda z: z, 2)]))
    with pytest.raises(ValueError, match="^model: expected at most 256 layers, got 300"):
        many = [plr.TanhRNN(1, key=jr.key(0), input_size=1)] * 300
        models.layer_kinds(plr.Stacked(many))


def test_exponents_of_driven_lstms():
    """Two layers, 2 H1 + 2 H2 exponents, against QR of explicit Jacobians in NumPy."""
    rng = np.random.default_rng(3)
    layers = [
        models.from_arrays(
            "lstm",
            W=rng.normal(size=(8, 2)) / 2**0.5,
            b=rng.normal(size=8) / 2,
            C=rng.normal(size=(8, num_inputs)),
        )
        for num_inputs in (1, 2)
    ]
    stack, inputs = plr.Stacked(layers), rng.normal(size=(3_000, 1))
    found = plr.lyapunov_spectrum(
        stack,
        np.zeros(8),
        key=jr.key(0),
        inputs=inputs,
        num_transient=1_000,
        num_orbits=1,
        spread=0.0,
        qr_every=1,
        progress=QUIET,
    )
    with jax.enable_x64(True):
        orbit = plr.trajectory(stack, jnp.zeros(8), len(inputs), jnp.asarray(inputs))
        jacobians = jax.jit(jax.vmap(jax.jacfwd(stack.step)))(orbit[:-1], jnp.asarray(inputs))
    frame, logs = np.linalg.qr(rng.normal(size=(8, 8)))[0], []
    for J in np.asarray(jacobians):
        frame, R = np.linalg.qr(J @ frame)
        logs.append(np.log(np.abs(np.diag(R))))
    want = np.mean(logs[2_000:], axis=0)
    assert found.num_steps == 1_000 and found.exponents.shape == (8,)
    assert np.diff(want).max() < -0.02, "frames align within the transients"
    assert np.abs(found.exponents - want).max() < 1e-8
