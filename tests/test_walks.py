"""Newton steps in every layout, and the walks made of them, against straightforward NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from systems import QUIET, random_plrnn, random_shallow, words_of

import plrjax as plr
from plrjax import PiecewiseAffineMap, _memory
from plrjax._numerics import EPS, float64_scope
from plrjax.cycles import _seeding as seeding
from plrjax.cycles._solver import _krylov, _loop_walks
from plrjax.cycles._solver import _loop_rooms as rooms
from plrjax.cycles._solver._loop_walks import LaneWalks, LoopWalks
from plrjax.cycles._solver._newton_step import make_layout, newton_step, parameters_of
from plrjax.cycles._solver._walk import CONVERGED, SINGULAR

WAYS = ANY, DIRECT, BY_MAPS, KRYLOV, FEW_UNITS = rooms.WAYS
KINDS = ("units are states", "shallow", "few units", "full A", "clipped")


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
    "full": PiecewiseAffineMap(
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
    map = PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [0.3], [0.0])
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
    slow = PiecewiseAffineMap(A, 0.1 * integrators.W1, np.eye(20), integrators.h1, np.zeros(20))
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
    map = PiecewiseAffineMap(
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


def drawn(kind: str, size: int, seed: int) -> PiecewiseAffineMap:
    """Return a random contraction, nearly, of one kind."""
    draw = np.random.default_rng(seed)
    if kind == "units are states":
        return random_plrnn(seed, size, 1.0)
    if kind == "shallow":  # gain low enough for walks to converge
        return random_shallow(seed, size, 2 * size + 1, 0.3)
    A, units = 0.5 * draw.standard_normal((size, size)) / np.sqrt(size), size
    W2, h2 = np.eye(size), np.zeros(size)
    if kind == "few units":
        units = int(draw.integers(1, 4))
        W2, h2 = draw.standard_normal((units, size)), draw.standard_normal(units)
    elif kind == "clipped":
        A, half = np.diag(draw.uniform(0.2, 0.9, size)), draw.standard_normal((size, size))
        W2 = np.concatenate([half, half]) / np.sqrt(size)
        units, h2 = 2 * size, np.concatenate([draw.standard_normal(size), np.zeros(size)])
    W1 = 0.6 * draw.standard_normal((size, units)) / np.sqrt(units)
    return PiecewiseAffineMap(A, W1, W2, draw.standard_normal(size), h2)


def one_step(map: PiecewiseAffineMap, word: np.ndarray, way: int, along: bool = False):
    """Return z_1, the itinerary of the orbit, and how a walk of one step from a word ended."""
    engine = LoopWalks(map, len(word), max_steps=1)
    start = np.zeros((1, 1), int), np.ones(1, int)
    engine.begin(seeding.SeedTable(word, *start), 0, 0, 1)
    room, desk = engine.desks[0]
    ended = engine._blank(1)
    engine.loop.walk(engine.net, engine.green, room, engine.table, desk, ended, 0, way, along)
    return room.z, ended.words[0].astype(bool), ended.status[0]


def solved(map: PiecewiseAffineMap, word: np.ndarray):
    """Return z_1 of a word's candidate and the itinerary of the orbit through it, plainly."""
    P, c = map.compose(word)
    z = first = np.linalg.solve(np.eye(map.state_size) - P, c)
    seen = []
    for _ in word:
        seen.append(map.region_of(z))
        z = map.apply(z)
    return first, np.array(seen)


@given(
    kind=st.sampled_from(KINDS),
    size=st.integers(1, 24),
    period=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_every_way_solves_for_the_candidate(kind, size, period, seed, share):
    map = drawn(kind, size, seed)
    word = np.random.default_rng(seed).random((period, map.num_units)) < share
    z, seen = solved(map, word)
    few = rooms.green_of(map, rooms.net_of(map, period), period).b.size
    for way in WAYS:
        if way == FEW_UNITS and not (few and word.sum() <= size):
            continue
        ours, visited, _ = one_step(map, word, way)
        scale = np.abs(z).max() + np.abs(map.h1).max()
        assert np.abs(ours - z).max() <= (1e-6 if way == KRYLOV else 1e-9) * scale
        unclear = np.abs(map.pre_activations(z)).min() < 1e-6 * scale
        assert unclear or np.array_equal(visited, seen)


def test_where_gmres_stalls_a_candidate_is_solved_directly():
    """A cyclic shift: no vector of the Krylov space helps before the last."""
    size = 90
    W = 0.9 * np.roll(np.eye(size), 1, axis=1)
    h = np.random.default_rng(0).uniform(0.5, 1.0, size)
    map = PiecewiseAffineMap(np.zeros(size), W, np.eye(size), h, np.zeros(size))
    z, _, status = one_step(map, np.ones((1, size), bool), KRYLOV)
    assert status == CONVERGED
    np.testing.assert_allclose(z, np.linalg.solve(np.eye(size) - W, h), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_signs_along_the_virtual_cycle(kind):
    """Each state is pushed on by the affine piece of its own letter, whatever its signs are."""
    map, draw, differ = drawn(kind, 12, 2), np.random.default_rng(4), 0
    few = rooms.green_of(map, rooms.net_of(map, 4), 4).b.size
    for _ in range(10):
        word = draw.random((4, map.num_units)) < 0.5
        for way in (ANY, DIRECT, BY_MAPS, KRYLOV, FEW_UNITS):
            if way == FEW_UNITS and not (few and word.sum() <= map.state_size):
                continue
            z, seen, _ = one_step(map, word, way, along=True)
            signs = []
            for region in word:
                J, c = map.affine_piece(region)
                signs.append(map.pre_activations(z) > 0)
                z = J @ z + c
            assert np.array_equal(seen, signs)
        differ += not np.array_equal(seen, one_step(map, word, DIRECT)[1])
    assert differ  # else nothing was tried that the orbit does not do as well


@pytest.mark.parametrize("kind", ["units are states", "full A"])
def test_a_cycle_at_the_origin_is_reached(kind):
    """Without offsets all states are zero, and all pre-activations: no system is singular."""
    drawn_map = drawn(kind, 12, 0)
    arrays = drawn_map.A, drawn_map.W1, drawn_map.W2, np.zeros(12), np.zeros(12)
    map = PiecewiseAffineMap(*arrays)
    for way in (ANY, DIRECT, BY_MAPS, KRYLOV):
        z, seen, status = one_step(map, np.zeros((2, 12), bool), way)
        assert status == CONVERGED and not z.any() and not seen.any()


def test_a_singular_system_ends_a_walk():
    """Every point is a fixed point where all units are on: z' = .5 z + .5 relu(z)."""
    map = PiecewiseAffineMap(np.full(12, 0.5), 0.5 * np.eye(12), np.eye(12), np.zeros(12), [0] * 12)
    for way in (DIRECT, BY_MAPS, KRYLOV):
        assert one_step(map, np.ones((3, 12), bool), way)[2] == SINGULAR


@pytest.mark.parametrize(
    "kind, size, seed", [("units are states", 12, 1), ("shallow", 12, 3), ("clipped", 9, 1)]
)
def test_the_walks_are_those_of_the_lanes(kind, size, seed):
    """The same walks converge, to the same itineraries."""
    map, period = drawn(kind, size, seed), 4
    draw = np.random.default_rng(3)
    sample = seeding.simulate(map, 4, 400, draw)
    table = seeding.seed_table(seeding.default_seeding(map, period), sample, period, draw)
    ends = []
    layout = make_layout(map, period, lanes=32)
    for walks in (
        LoopWalks(map, period, 24),
        LaneWalks(map, layout, period, 24, None),
    ):
        walks.begin(table, 11, 0, 200)
        found = {}
        while not walks.over:
            ended = walks.advance()
            rows = np.flatnonzero(ended.status == CONVERGED)
            words = ended.words(rows)
            found |= {int(w): word.tobytes() for w, word in zip(ended.walks[rows], words)}
        ends.append(found)
    assert len(ends[0]) > 50
    assert ends[0] == ends[1]


def test_threads_change_nothing(monkeypatch):
    map = random_plrnn(4, 14, 1.6)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(_loop_walks, "num_threads", lambda threads=threads: threads)
        options = {"key": jr.key(0), "solver": plr.SCYFI(), "num_searches": 700, "progress": QUIET}
        found.append(plr.find_cycles(map, [1, 2, 3], **options))
    assert found[0].stats["lanes"] == {1: 1, 2: 1, 3: 1} and found[1].stats["lanes"][1] == 3
    assert words_of(found[0]) == words_of(found[1]) and len(found[0])
    assert found[0].stats["candidates"] == found[1].stats["candidates"]
    assert found[0].stats["first_found"] == found[1].stats["first_found"]


def test_walks_too_large_for_the_machine_are_refused(monkeypatch):
    monkeypatch.setattr(_memory, "machine_bytes", lambda: 10_000)
    with pytest.raises(ValueError, match="model: walks of 30 states .* would take"):
        LoopWalks(random_plrnn(0, 30, 0.5), 2, 24)
