"""Kernels of searches against straightforward NumPy: Newton steps in every layout, enumeration."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from systems import random_plrnn, random_shallow

import plrjax as plr
from plrjax._numerics import EPS, float64_scope
from plrjax.cycles._solver._newton_step import make_layout, newton_step, parameters_of
from plrjax.cycles._solver._schur import Workspace, enumerate_branch, root_branch, split


def reference(map, D, segments):
    """Return the solution of (I - P) z = c, and the itinerary of the true orbits through it.

    The orbits start anew, on the affine orbit of the word, at the first step of every segment.
    """
    P, c = map.compose(D)
    first = virtual = states = np.linalg.solve(np.eye(map.state_size) - P, c)
    period = len(D)
    lengths = [period // segments + (s < period % segments) for s in range(segments)]
    starts = np.cumsum([0, *lengths])[:-1]
    itinerary = []
    for t in range(period):
        states = virtual if t in starts else states
        itinerary.append(map.region_of(states))
        J, offset = map.affine_piece(D[t])
        states, virtual = map.apply(states), J @ virtual + offset
    return first, np.array(itinerary), np.linalg.cond(np.eye(map.state_size) - P)


def to_columns(D, layout):
    """Return itineraries "lane time unit" in the kernel's order "row unit column"."""
    lanes, period, units = D.shape
    out = np.zeros((layout.rows, units, layout.segments, lanes), bool)
    begin = 0
    for s in range(layout.segments):
        length = period // layout.segments + (s < period % layout.segments)
        out[:length, :, s] = D[:, begin : begin + length].transpose(1, 2, 0)
        begin += length
    return out.reshape(layout.rows, units, -1)


def from_columns(columns, layout, period):
    lanes = layout.lanes
    blocks = columns.reshape(layout.rows, layout.num_units, layout.segments, lanes)
    parts = []
    for s in range(layout.segments):
        length = period // layout.segments + (s < period % layout.segments)
        parts.append(blocks[:length, :, s])
    return np.concatenate(parts).transpose(2, 0, 1)


MAPS = {
    "plrnn-1": random_plrnn(0, 1, 0.7),
    "plrnn-2": random_plrnn(1, 2, 0.7),
    "plrnn-5": random_plrnn(2, 5, 0.7),
    "plrnn-20": random_plrnn(3, 20, 0.5),
    "shallow": random_shallow(4, 3, 7, 0.4),
    "full": plr.PiecewiseAffineMap(
        [[0.5, 0.2], [-0.1, 0.3]], [[0.3], [-0.4]], [[1.0, -1.0]], [0.1, 0.2], [0.3]
    ),
    "reflected": random_plrnn(5, 3, 0.6).rebase(np.array([True, False, True])),
}


@pytest.mark.parametrize("period, segments", [(1, 1), (5, 1), (8, 2), (16, 4), (23, 4)])
@pytest.mark.parametrize("name", MAPS)
def test_step_agrees_with_numpy(name, segments, period):
    map = MAPS[name]
    layout = make_layout(map, period, lanes=16)
    layout = dataclasses.replace(layout, segments=segments, rows=-(-period // segments))
    D = np.random.default_rng(period).random((16, period, map.num_units)) < 0.5
    with float64_scope():
        columns = jnp.asarray(to_columns(D, layout))
        run = jax.jit(newton_step, static_argnums=1)
        step = run(parameters_of(map, layout), layout, columns, jnp.asarray(period))
        first = np.asarray(step.anchors)[:, :16].T
        found = from_columns(np.asarray(step.itinerary), layout, period)
        assert np.asarray(step.regular).all()
    for lane in range(16):
        z, itinerary, condition = reference(map, D[lane], segments)
        bound = 1e4 * EPS * condition * (np.abs(z).max() + 1)
        assert np.abs(first[lane] - z).max() <= bound
        assert np.array_equal(found[lane], itinerary)


def test_hash_tells_itineraries_apart():
    map = MAPS["plrnn-5"]
    layout = make_layout(map, 8, lanes=64)
    D = np.random.default_rng(1).random((64, 8, 5)) < 0.5
    with float64_scope():
        p = parameters_of(map, layout)
        step = newton_step(p, layout, jnp.asarray(to_columns(D, layout)), jnp.asarray(8))
        marks = np.asarray(step.hash)
        found = from_columns(np.asarray(step.itinerary), layout, 8)
    by_word = {}
    for lane in range(64):
        by_word.setdefault(found[lane].tobytes(), set()).add(int(marks[lane]))
    assert all(len(values) == 1 for values in by_word.values())
    assert len({next(iter(v)) for v in by_word.values()}) == len(by_word)


def test_singular_candidates_are_marked():
    map = plr.PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [0.3], [0.0])
    layout = make_layout(map, 1, lanes=8)
    D = np.array([[[False]], [[True]]] * 4)
    with float64_scope():
        p = parameters_of(map, layout)
        step = newton_step(p, layout, jnp.asarray(to_columns(D, layout)), jnp.asarray(1))
        assert np.asarray(step.regular).tolist() == [False, True] * 4


@pytest.mark.parametrize("name", ["plrnn-20", "shallow", "near-integrators"])
def test_gmres_agrees_with_numpy(name):
    integrators = random_plrnn(7, 20, 0.3)
    A = np.where(np.arange(20) < 10, 1 - np.geomspace(1e-3, 1e-1, 20), np.diag(integrators.A))
    slow = plr.PiecewiseAffineMap(A, 0.1 * integrators.W1, np.eye(20), integrators.h1, np.zeros(20))
    map = {**MAPS, "near-integrators": slow}[name]
    layout = dataclasses.replace(make_layout(map, 6, lanes=16), krylov=True)
    D = np.random.default_rng(2).random((16, 6, map.num_units)) < 0.5
    with float64_scope():
        run = jax.jit(newton_step, static_argnums=1)
        columns = jnp.asarray(to_columns(D, layout))
        step = run(parameters_of(map, layout), layout, columns, jnp.asarray(6))
        first = np.asarray(step.anchors).T
        assert np.asarray(step.regular).all()
    for lane in range(16):
        z, _, condition = reference(map, D[lane], 1)
        assert np.abs(first[lane] - z).max() <= 1e-8 * condition * np.abs(z).max()


def test_gmres_falls_back_to_a_direct_solve():
    """Twenty well-separated expanding directions and few iterations are not enough for GMRES."""
    from plrjax.cycles._solver import _krylov

    map = plr.PiecewiseAffineMap(
        np.random.default_rng(0).standard_normal((90, 90)) * 0.4,
        np.zeros((90, 1)),
        np.ones((1, 90)),
        np.ones(90),
        [0.0],
    )
    layout = dataclasses.replace(make_layout(map, 4, lanes=8), krylov=True)
    D = np.zeros((8, 4, 1), bool)
    with float64_scope():
        p, period = parameters_of(map, layout), jnp.asarray(4)
        P = np.linalg.matrix_power(map.A, 4)
        c = map.compose(D[0])[1]
        _, done = _krylov.gmres(lambda v: jnp.asarray(P) @ v, jnp.asarray(c)[:, None], jnp.ones(90))
        assert not np.asarray(done).any()
        run = jax.jit(newton_step, static_argnums=1)
        step = run(p, layout, jnp.asarray(to_columns(D, layout)), period)
        z = np.asarray(step.anchors)[:, 0]
    system = np.eye(90) - P
    expected = np.linalg.solve(system, c)
    assert np.abs(z - expected).max() <= 1e4 * EPS * np.linalg.cond(system) * np.abs(expected).max()


def test_large_states_use_gmres_from_period_four_on():
    map = random_plrnn(0, 100, 0.3)
    assert not make_layout(map, 3).krylov and make_layout(map, 4).krylov
    assert not make_layout(random_plrnn(0, 99, 0.3), 4).krylov


def sign_patterns(B, c):
    """Return all patterns of y = B relu(y) + c, one system at a time."""
    found = set()
    for bits in itertools.product([False, True], repeat=len(c)):
        D = np.array(bits)
        y = np.linalg.solve(np.eye(len(c)) - B * D, c)
        if np.array_equal(y > 0, D):
            found.add(bits)
    return found


@pytest.mark.parametrize("unknowns", [1, 2, 5, 8])
def test_schur_complements_find_every_sign_pattern(unknowns):
    for seed in range(10):
        draw = np.random.default_rng([seed, unknowns])
        B = 1.5 * draw.standard_normal((unknowns, unknowns)) / np.sqrt(unknowns)
        c = draw.standard_normal(unknowns)
        branches, scale = [root_branch(B, c)], np.abs(c).max()
        for _ in range(min(seed % 3, unknowns)):
            branches = [child for branch in branches for child in split(branch)[0]]
        leaves = [enumerate_branch(branch, scale, Workspace()) for branch in branches]
        assert not any(leaf.suspects for leaf in leaves)
        found = {tuple(p) for leaf in leaves for p in leaf.patterns.tolist()}
        assert found == sign_patterns(B, c)


def test_small_pivots_are_suspects():
    """I - B D has an exactly zero leading pivot although the whole system is regular."""
    B = np.array([[0.0, 2.0, 0.0], [3.0, 1.0, 0.0], [0.5, 0.0, 1.0]])
    assert enumerate_branch(root_branch(B, np.array([-1.0, 0.7, 0.3])), 1.0, Workspace()).suspects
