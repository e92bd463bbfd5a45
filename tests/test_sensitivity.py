"""Sensitivity of cycles: finite differences, behavior at bifurcations, autodiff along orbits."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from path_oracle import words_on_grid
from systems import EIGHTY, LOZI, QUIET, tent

import plrjax as plr
from plrjax import models
from plrjax.cycles import (
    cycle_loss_gradient,
    cycle_sensitivity,
    itinerary_sensitivity,
    sensitivity_norm,
)

EPS = np.finfo(float).eps
ARRAYS = ("A", "W1", "W2", "h1", "h2")
SIZES = {
    "plrnn": {"M": 3},
    "mean-centered": {"M": 3},
    "dendritic": {"M": 1, "B": 3},
    "clipped-dendritic": {"M": 1, "B": 2},
    "shallow": {"M": 2, "H": 3},
    "clipped-shallow": {"M": 2, "H": 1},
    "almost-linear": {"M": 3},
    "threshold": {"M": 3},
    "relu-rnn": {"M": 3},
    "piecewise-affine": {"M": 2, "H": 3},
}


def draw_model(kind, seed):
    """Draw a model with Gaussian weights."""
    draw = np.random.default_rng([seed, 5])
    sizes = {**SIZES[kind], "K": 2}
    arrays = {}
    for name, shape in models.KINDS[kind].shapes.items():
        if shape == "integer":
            arrays[name] = 2
        elif shape:
            arrays[name] = draw.standard_normal([sizes[letter] for letter in shape.split()])
    if "A" in arrays:
        arrays["A"] = np.diag(arrays["A"]) * 0.4
    if kind.startswith("clipped"):  # bounded, so that cycles want larger weights
        arrays |= {name: 4 * arrays[name] for name in ("W", "W1") if name in arrays}
    if kind == "relu-rnn":
        arrays |= {"leak": np.array(0.8), "slope": np.array(-0.6)}
    return plr.from_arrays(kind, **arrays)


def solve(map, word):
    """Return the solution of a word from its composed map."""
    P, c = map.compose(word)
    z, points = np.linalg.solve(np.eye(len(c)) - P, c), []
    for J, offset in zip(*map.affine_piece(word)):
        points.append(z)
        z = J @ z + offset
    return np.array(points)


def found_cycle(kind, period, most=np.inf):
    """Return a network with a well-conditioned k-cycle off the boundaries, and the cycle.

    `most` bounds the moduli of its multipliers.
    """
    number = 200
    drawn = [draw_model(kind, seed) for seed in range(number)]
    maps = [model.as_piecewise_affine() for model in drawn]
    family = lambda s: tuple(getattr(maps[int(s)], name) for name in ARRAYS)
    found = words_on_grid(family, range(number), [period])
    for at, index in np.argwhere(found.admissible & (found.distance > 1e-2)):
        if most < 1 and found.unstable[at, index]:
            continue
        cycles = plr.cycles_of_itineraries(drawn[at], [found.words[index]])
        if cycles.condition[0] < 300 and np.abs(cycles.multipliers).max() < most:
            return drawn[at], cycles
    raise AssertionError(f"no {period}-cycle of a {kind} network in {len(maps)} draws")


def differences(model, leaves, points_of):
    """Return central differences "time state *leaf" for every leaf, with the step eps^(1/3)."""
    parts, structure = jax.tree.flatten(leaves)
    rest = eqx.filter(model, eqx.is_inexact_array, inverse=True)
    step, result = EPS ** (1 / 3), []
    for number, leaf in enumerate(parts):
        slopes = []
        for at in np.ndindex(leaf.shape):
            ends = []
            for sign in (1, -1):
                moved = leaf.copy()
                moved[at] += sign * step
                changed = [*parts[:number], moved, *parts[number + 1 :]]
                other = eqx.combine(jax.tree.unflatten(structure, changed), rest)
                ends.append(points_of(other))
            slopes.append((ends[0] - ends[1]) / (2 * step))
        result.append(np.stack(slopes, axis=-1).reshape(*slopes[0].shape, *leaf.shape))
    return jax.tree.unflatten(structure, result)


def assert_slopes(exact, differences):
    """Compare with central differences: their error is (step times sensitivity)^2, relative."""
    pairs = list(zip(jax.tree.leaves(exact), jax.tree.leaves(differences), strict=True))
    scale = 1 + max(np.abs(leaf).max() for leaf, _ in pairs)
    for leaf, approximate in pairs:
        assert isinstance(leaf, np.ndarray) and leaf.dtype == np.float64
        assert np.abs(leaf - approximate).max() <= 30 * EPS ** (2 / 3) * scale**3


@pytest.mark.parametrize("period", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", SIZES)
def test_sensitivity_is_that_of_finite_differences(kind, period):
    model, cycles = found_cycle(kind, period)
    word = cycles.regions(0)
    leaves = eqx.filter(model, eqx.is_inexact_array)
    moved = cycle_sensitivity(model, cycles)
    assert jax.tree.structure(moved) == jax.tree.structure(leaves)
    assert_slopes(moved, differences(model, leaves, lambda m: solve(m.as_piecewise_affine(), word)))
    map = model.as_piecewise_affine()
    of_word = itinerary_sensitivity(model, word)
    assert_slopes(of_word, differences(map, map, lambda m: solve(m, word)))
    if kind == "piecewise-affine":
        for one, other in zip(jax.tree.leaves(of_word), jax.tree.leaves(moved)):
            assert np.allclose(one, other, rtol=1e4 * EPS * cycles.condition[0], atol=1e4 * EPS)


@pytest.mark.parametrize("kind", ["dendritic", "almost-linear", "relu-rnn"])
def test_loss_gradient_and_norm_are_contractions_of_the_sensitivity(kind):
    model, cycles = found_cycle(kind, 3)
    z = cycles.orbit(0)
    moved = cycle_sensitivity(model, cycles)
    gradient = cycle_loss_gradient(model, cycles, 0, lambda z: jnp.sum(jnp.sin(z)) + z[1, 0] ** 2)
    slope = np.cos(z)
    slope[1, 0] += 2 * z[1, 0]
    tolerance = {"rtol": 1e4 * EPS * cycles.condition[0], "atol": 1e4 * EPS}
    assert jax.tree.structure(moved) == jax.tree.structure(gradient)
    for leaf, part in zip(jax.tree.leaves(moved), jax.tree.leaves(gradient)):
        assert part.dtype == np.float64 and part.shape == leaf.shape[2:]
        assert np.allclose(np.tensordot(slope, leaf, axes=2), part, **tolerance)
    total = sum((leaf**2).sum() for leaf in jax.tree.leaves(moved))
    assert np.isclose(sensitivity_norm(model, cycles)[0], np.sqrt(total / 3), **tolerance)


def test_wrt_picks_parameters():
    model, cycles = found_cycle("plrnn", 2)
    everything = cycle_sensitivity(model, cycles)
    A, h = cycle_sensitivity(model, cycles, wrt=lambda model: (model.A, model.h))
    assert np.allclose(A, everything.A) and np.allclose(h, everything.h)
    loss = lambda z: jnp.sum(z)
    W = cycle_loss_gradient(model, cycles, 0, loss, wrt=lambda model: model.W)
    assert np.allclose(W, cycle_loss_gradient(model, cycles, 0, loss).W)
    word = cycles.regions(0)
    h1 = itinerary_sensitivity(model, word, wrt=lambda map: map.h1)
    assert np.allclose(h1, h)
    norm = sensitivity_norm(model, cycles, wrt=lambda model: model.h)
    assert np.isclose(norm[0], np.linalg.norm(h) / np.sqrt(2))


def test_scalar_parameters_can_be_picked():
    model = plr.ReluRNN(2, key=jax.random.key(1), leak=0.5, slope=0.1)
    cycles = plr.cycles_of_itineraries(
        model, [np.array([word]) for word in itertools.product([False, True], repeat=2)]
    )
    leak, slope = cycle_sensitivity(model, cycles, wrt=lambda model: (model.leak, model.slope))
    assert leak.shape == slope.shape == (1, 2)
    assert np.abs(leak).max() <= 100 * EPS, "a fixed point does not depend on the leak"


def test_float32_networks_and_any_global_precision(either_precision):
    arrays = {"A": [0.5, 0.3], "W": [[0, -1], [1, 0]], "h": [1, -1]}
    model = plr.from_arrays("plrnn", **{n: jnp.asarray(a, jnp.float32) for n, a in arrays.items()})
    words = [np.array([word]) for word in itertools.product([False, True], repeat=2)]
    cycles = plr.cycles_of_itineraries(model, words)
    word, exact = cycles.regions(0), model.as_piecewise_affine()
    h = cycle_sensitivity(model, cycles, wrt=lambda model: model.h)
    J = exact.affine_piece(word)[0][0]
    assert h.dtype == np.float64
    assert np.allclose(h[0], np.linalg.inv(np.eye(2) - J), rtol=1e3 * EPS * cycles.condition[0])
    norm = sensitivity_norm(model, cycles, progress=QUIET)
    assert np.isfinite(norm).all() and norm.dtype == np.float64


def test_long_cycle():
    model = plr.from_arrays("plrnn", **EIGHTY)
    A, W, h = EIGHTY.values()
    orbit = [np.array([0.3, -0.2])]
    for _ in range(40_000):
        orbit.append(A * orbit[-1] + W @ np.maximum(orbit[-1], 0) + h)
    cycles = plr.cycles_of_itineraries(model, [np.array(orbit[-80:]) > 0])
    assert cycles.period.tolist() == [80] and cycles.verified.all()
    h = cycle_sensitivity(model, cycles, wrt=lambda model: model.h)
    regions, step = cycles.regions(0), 1e-3  # the points are linear in h
    up = plr.from_arrays("plrnn", **{**EIGHTY, "h": EIGHTY["h"] + [step, 0]})
    slope = (solve(up.as_piecewise_affine(), regions) - cycles.orbit(0)) / step
    assert np.allclose(h[:, :, 0], slope, rtol=1e-8, atol=1e-8 * np.abs(h).max())


STEPS = np.logspace(-2, -6, 9)


def fitted_slope(steps, values):
    return np.polyfit(np.log(steps), np.log(values), 1)[0]


def skew_tent(left, right):
    """z' = a_l z + 1 for z <= 0 and a_r z + 1 above, with a_r - a_l as its one weight."""
    return plr.PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [1.0], [0.0])


def with_eigenvalue(seed, sign):
    """Return (A, W, h, word): J of the word has the simple eigenvalue `sign`.

    For +1 the fixed point lies in the word's region for all small distances from the bifurcation.
    """
    draw = np.random.default_rng([seed, 3])
    A, W = np.diag(draw.uniform(-0.5, 0.5, 3)), draw.standard_normal((3, 3))
    h, word = draw.standard_normal(3), draw.random(3) < 0.6
    values, vectors = np.linalg.eig(A + W * word)
    real = np.flatnonzero((np.imag(values) == 0) & (sign * np.real(values) > 0.3))
    if not (real.size and word.any()):
        return None
    root = np.abs(values[real[0]])
    A, W = A / root, W / root
    if sign < 0:
        point = np.linalg.solve(np.eye(3) - A - W * word, h)
    else:
        left = np.real(np.linalg.inv(vectors)[real[0]])
        point = np.real(vectors[:, real[0]]) * (left @ h)
    good = ((point > 0.1) == word).all() and ((point < -0.1) == ~word).all()
    return (A, W, h, word) if good else None


def bifurcating(sign):
    """Return the first few random systems with the eigenvalue."""
    drawn = (with_eigenvalue(seed, sign) for seed in range(2_000))
    return list(itertools.islice((system for system in drawn if system is not None), 3))


def along_the_path(system, steps):
    """Return |z*| and |dz*/dtheta| of the fixed point of (A, W) scaled by 1 - eps."""
    A, W, h, word = system
    sizes, norms = [], []
    for eps in steps:
        model = plr.from_arrays("plrnn", A=(1 - eps) * A, W=(1 - eps) * W, h=h)
        cycles = plr.cycles_of_itineraries(model, [word[None]])
        assert len(cycles) == 1, "the cycle is admissible all along"
        sizes.append(np.linalg.norm(cycles.orbit(0)))
        norms.append(sensitivity_norm(model, cycles, progress=QUIET)[0])
    return np.array(sizes), np.array(norms)


def test_degenerate_transcritical_of_the_skew_tent():
    sizes, norms = [], []
    for eps in STEPS:
        map = skew_tent(0.2, 1 - eps)
        cycles = plr.cycles_of_itineraries(map, [np.array([[True]])])
        sizes.append(cycles.orbit(0)[0, 0])
        slope = cycle_sensitivity(map, cycles, wrt=lambda map: map.W1)[0, 0, 0, 0]
        assert np.isclose(slope, eps**-2, rtol=1e-8)
        norms.append(sensitivity_norm(map, cycles)[0])
    assert abs(fitted_slope(STEPS, sizes) + 1) < 0.02
    assert abs(fitted_slope(STEPS, norms) + 2) < 0.02


@pytest.mark.parametrize("number", range(3))
def test_gradient_diverges_at_a_degenerate_transcritical(number):
    sizes, norms = along_the_path(bifurcating(+1)[number], STEPS)
    assert abs(fitted_slope(STEPS, sizes) + 1) < 0.02
    assert abs(fitted_slope(STEPS, norms) + 2) < 0.02


@pytest.mark.parametrize("number", range(3))
def test_gradient_stays_finite_at_a_degenerate_flip(number):
    system = bifurcating(-1)[number]
    _, norms = along_the_path(system, [*STEPS, 0.0])
    assert np.isfinite(norms).all()
    changes = np.abs(norms - norms[-1])[:-1] / norms[-1]
    assert changes[-1] < 1e-4
    assert abs(fitted_slope(STEPS, changes) - 1) < 0.1, "the norm is smooth through the flip"


def colliding(distance):
    """Return a map with a 2-cycle whose first point is at `distance` from the boundary z_1 = 0."""
    A = np.array([0.3, -0.4])
    z = np.array([[distance, 0.9], [0.8, -0.5]])
    r = np.maximum(z, 0.0)
    first = np.array([0.7, -0.6])  # the column of the colliding unit
    W, h = np.zeros((2, 2)), np.zeros(2)
    W[:, 0] = first
    for i in range(2):
        left = np.array([[r[0, 1], 1.0], [r[1, 1], 1.0]])
        right = z[::-1, i] - A[i] * z[:, i] - first[i] * r[:, 0]
        W[i, 1], h[i] = np.linalg.solve(left, right)
    return plr.PiecewiseAffineMap(A, W, np.eye(2), h, np.zeros(2)), z


SIDES = [np.array([[on, True], [True, False]]) for on in (False, True)]


def test_gradient_of_the_colliding_column_vanishes_linearly():
    distances, ratios = np.logspace(-1, -9, 9), []
    A, W = np.array([0.3, -0.4]), np.array([[0.7, -0.3], [-0.6, 0.5]])
    for distance in distances:
        z = np.array([distance, 0.9])
        h = z - A * z - W @ z
        model = plr.from_arrays("plrnn", A=A, W=W, h=h)
        cycles = plr.cycles_of_itineraries(model, [np.ones((1, 2), bool)])
        moved = cycle_sensitivity(model, cycles, wrt=lambda model: model.W)
        ratios.append(np.linalg.norm(moved[..., 0]) / distance)
        assert np.linalg.norm(moved[..., 1]) > 0.1
    assert np.allclose(ratios, ratios[0], rtol=1e-5)
    off = plr.from_arrays("plrnn", A=A, W=W, h=np.array([-0.01, 0.9]) * (1 - A) - 0.9 * W[:, 1])
    cycles = plr.cycles_of_itineraries(off, [np.array([[False, True]])])
    assert (cycle_sensitivity(off, cycles, wrt=lambda model: model.W)[..., 0] == 0).all()


def test_one_sided_derivatives_at_a_border_collision():
    map, z = colliding(0.0)
    draw, names = np.random.default_rng(1), ARRAYS
    direction = {name: draw.standard_normal(getattr(map, name).shape) for name in names}

    def moved_by(s):
        return plr.PiecewiseAffineMap(*(getattr(map, n) + s * direction[n] for n in names))

    slopes = []
    for word in SIDES:
        assert np.allclose(solve(map, word), z, atol=100 * EPS), "one solution for both words"
        parts = itinerary_sensitivity(map, word)
        slope = np.zeros((2, 2))
        for name, part in direction.items():
            slope += np.tensordot(getattr(parts, name), part, axes=part.ndim)
        y = map.W2[0] @ slope[0] + direction["W2"][0] @ z[0] + direction["h2"][0]
        side = np.sign(y) if word[0, 0] else -np.sign(y)  # where the word is admissible
        step = side * EPS ** (1 / 3)
        near, far = moved_by(step), moved_by(2 * step)
        cycles = plr.cycles_of_itineraries(near, [word])
        assert len(cycles) == 1
        assert not len(plr.cycles_of_itineraries(moved_by(-step), [word]))
        one_sided = (-3 * z + 4 * solve(near, word) - solve(far, word)) / (2 * step)
        scale = 1 + np.abs(slope).max()
        assert np.abs(one_sided - slope).max() <= 100 * EPS ** (2 / 3) * scale**3
        inside = cycle_sensitivity(near, cycles, wrt=lambda map: map.h1)
        start = np.argmin(np.abs(cycles.orbit(0)[:, 0]))
        assert np.allclose(np.roll(inside, -start, axis=0), parts.h1, atol=1e4 * abs(step))
        slopes.append(slope)
    assert np.abs(slopes[0] - slopes[1]).max() > 0.1


def planar(left):
    """The 2-D map with a stable 2-cycle of theory.md, section 3, as a shallow PLRNN."""
    return plr.from_arrays(
        "shallow",
        A=[[left, 0.8], [-0.4, 0.2]],
        W1=[[-1.5 - left], [0.9]],
        W2=[[1.0, 0.0]],
        h1=[0.214, 0.0],
        h2=[0.0],
    )


def ending(model, start, num_steps):
    """Return the last state of an orbit."""
    return plr.trajectory(model, jnp.asarray(start), num_steps)[-1]


@pytest.mark.parametrize("case", ["planar", "clipped-shallow", "plrnn"])
def test_autodiff_along_an_orbit_ends_in_the_closed_form(case):
    if case == "planar":
        model = planar(0.0)
        cycles = plr.cycles_of_itineraries(model, [np.array([[False], [True]])])
        known = [[0.39668293, 0.15006098], [-0.26097561, 0.22835366]]
        assert np.allclose(np.sort(cycles.orbit(0), axis=0), np.sort(known, axis=0), atol=5e-9)
    else:
        model, cycles = found_cycle(case, 3, most=0.9)
    weights, start = np.array([1.0, -0.7, 0.4])[: model.state_size], cycles.orbit(0)[0] + 1e-3
    theta, rest = eqx.partition(model, eqx.is_inexact_array)
    with jax.enable_x64(True):
        theta = jax.tree.map(jnp.asarray, theta)
        last = np.asarray(ending(eqx.combine(theta, rest), start, 2000))
        loss = lambda theta: ending(eqx.combine(theta, rest), start, 2000) @ weights
        unrolled = jax.tree.map(np.asarray, jax.jit(jax.grad(loss))(theta))
    phase = int(np.argmin(np.abs(cycles.orbit(0) - last).sum(axis=1)))
    assert np.abs(cycles.orbit(0)[phase] - last).max() < 1e-12
    closed = cycle_loss_gradient(model, cycles, 0, lambda z: z[phase] @ weights)
    largest = max(np.abs(exact).max() for exact in jax.tree.leaves(closed))
    pairs = zip(jax.tree.leaves(unrolled), jax.tree.leaves(closed), strict=True)
    for autodiff, exact in pairs:
        assert np.abs(autodiff - exact).max() <= 1e-8 * min(largest, np.abs(exact).max() + EPS)


def test_marginal_families_have_no_derivative():
    flat = plr.PiecewiseAffineMap([[-1.0]], [[0.0]], [[1.0]], [1.0], [0.0])
    cycles = plr.find_cycles(flat, [1, 2], solver=plr.Exhaustive(), progress=QUIET)
    marginal = np.flatnonzero(~cycles.valid)
    assert marginal.size
    norms = sensitivity_norm(flat, cycles)
    assert np.isinf(norms[marginal]).all() and np.isfinite(norms[cycles.valid]).all()
    with pytest.raises(ValueError, match="row: .*marginal"):
        cycle_sensitivity(flat, cycles, int(marginal[0]))
    word = np.array([[True], [True]])
    assert np.isnan(itinerary_sensitivity(flat, word, wrt=lambda map: map.h1)).all()


def test_bad_arguments_are_named():
    cycles = plr.cycles_of_itineraries(LOZI, [np.array([[True]]), np.array([[False]])])
    for row in (2, -3):
        with pytest.raises(ValueError, match="row: expected one of the 2 cycles"):
            cycle_sensitivity(LOZI, cycles, row)
    with pytest.raises(ValueError, match="cycles: expected cycles of 1 states and 1 units"):
        cycle_sensitivity(tent(2.0), cycles)
    other = plr.PiecewiseAffineMap(LOZI.A, LOZI.W1, LOZI.W2, LOZI.h1 + 1e-6, LOZI.h2)
    with pytest.raises(ValueError, match="cycles: cycle 0 is none of this model"):
        cycle_loss_gradient(other, cycles, 0, jnp.sum)
    with pytest.raises(ValueError, match="wrt: expected to pick parameters .* got int"):
        cycle_sensitivity(LOZI, cycles, wrt=lambda map: map.state_size)
    with pytest.raises(ValueError, match="wrt: expected to pick parameters .* got nothing"):
        cycle_sensitivity(LOZI, cycles, wrt=lambda map: ())
    for word in (np.ones((0, 1), bool), np.ones((2, 3), bool)):
        with pytest.raises(ValueError, match="itinerary: expected a boolean array time x 1"):
            itinerary_sensitivity(LOZI, word)
