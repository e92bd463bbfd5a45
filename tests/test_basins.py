"""Attractors and basins against maps whose basin borders are known in closed form."""

import inspect
import io
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from systems import EIGHTY, LOZI, QUIET, PressesCtrlC, plrnn_map, words_of

import plrjax as plr
from plrjax import ATTRACTOR, PiecewiseAffineMap
from plrjax.attractors._attractor_set import wilson
from plrjax.attractors._capture import make_trap, tail_periods
from plrjax.attractors._kinds import GROUPS, NUM_BLOCKS, Blocks, grouped, moved, odd, regime

KEY = jr.key(0)
TENT = PiecewiseAffineMap([[2.0]], [[-2.5]], [[1.0]], [1.0], [0.0])
"""z' = 2 z + 1 below 0, 1 - z / 2 above. The repelling fixed point -1 and its preimage 4 bound the
basin of 2/3; everything else diverges."""

BISTABLE = PiecewiseAffineMap([[0.3]], [[1.4, -1.4, -1.3]], [[1.0]] * 3, [-0.7], [0.5, -0.5, -2.0])
"""Slopes .3, 1.7, .3 and -1, meeting at -.5, .5 and 2: fixed points -1, 0 and 1. The repelling one
and its preimage 3.3 bound the basin of 1; all else ends on -1."""


def turned(map: PiecewiseAffineMap, angle: float, contraction: float) -> PiecewiseAffineMap:
    """Return the product of a map of u_1 with u_2' = contraction u_2, written in turned axes."""
    c, s = np.cos(angle), np.sin(angle)
    R = np.array([[c, -s], [s, c]])
    W1 = R[:, :1] @ map.W1
    return PiecewiseAffineMap(
        R @ np.diag([map.A[0, 0], contraction]) @ R.T,
        W1,
        map.W2 @ R[:, :1].T,
        R[:, 0] * map.h1[0],
        map.h2,
    )


def saturated(radius: float, angle: float) -> PiecewiseAffineMap:
    """A rotation by `angle`, stretched by `radius` and clipped to [-1, 1] in both states."""
    c, s = radius * np.cos(angle), radius * np.sin(angle)
    R, eye = np.array([[c, -s], [s, c]]), np.eye(2)
    W1, W2 = np.hstack([eye, -eye]), np.vstack([R, R])
    return PiecewiseAffineMap(np.zeros((2, 2)), W1, W2, [-1.0, -1.0], [1.0, 1.0, -1.0, -1.0])


def find(map, states, **options) -> plr.AttractorSet:
    return plr.find_attractors(map, states, key=KEY, progress=QUIET, **options)


def uniform(low, high, count, size=2) -> np.ndarray:
    return np.random.default_rng(1).uniform(low, high, (count, size))


def kinds(found: plr.AttractorSet) -> list[ATTRACTOR]:
    return [ATTRACTOR(code) for code in found.kind]


def test_basin_bounded_by_a_repelling_point_and_its_preimage():
    states = uniform(-3, 6, 2000, 1)
    found = find(TENT, states)
    assert kinds(found) == [ATTRACTOR.cycle, ATTRACTOR.diverged]
    np.testing.assert_allclose(found.orbit(0), [[2 / 3]])
    inside = (states[:, 0] > -1) & (states[:, 0] < 4)
    np.testing.assert_array_equal(found.label == 0, inside)
    assert np.isclose(found.lyapunov[0], np.log(0.5)) and found.standard_error[0] == 0


def test_bistable_map_on_the_line():
    states = np.concatenate([uniform(-4, 6, 2000, 1), [[1e-9], [-1e-9], [3.3 - 1e-9], [3.4]]])
    found = find(BISTABLE, states)
    assert kinds(found) == [ATTRACTOR.cycle] * 2
    ends = np.array([found.orbit(row)[0, 0] for row in found.label])
    upper = (states[:, 0] > 0) & (states[:, 0] < 3.3)
    np.testing.assert_allclose(ends, np.where(upper, 1.0, -1.0))


def test_basins_bounded_by_the_stable_manifold_of_a_saddle():
    """In turned axes the borders are the lines u_1 = 0 and u_1 = 3.3."""
    angle = 0.4
    map = turned(BISTABLE, angle, 0.5)
    found = plr.basins(map, low=(-6, -5), high=(6, 5), num=(61, 40), key=KEY, progress=QUIET)
    x, y = np.meshgrid(found.x, found.y)
    u = np.cos(angle) * x + np.sin(angle) * y
    upper = (u > 0) & (u < 3.3)
    assert found.image.shape == (40, 61)
    row = int(found.image[upper][0])
    np.testing.assert_array_equal(found.image == row, upper)
    np.testing.assert_allclose(found.attractors.orbit(row), [[np.cos(angle), np.sin(angle)]])
    assert "61 x 40" in repr(found)


def test_basins_in_a_plane_of_a_larger_space():
    """Three states; the first does not move the others, and a slice is taken at z_2 = .7."""
    A = np.diag([0.3, 0.5, 0.2])
    W1, W2 = np.zeros((3, 3)), np.zeros((3, 3))
    W1[0], W2[:, 0] = BISTABLE.W1[0], 1.0
    map = PiecewiseAffineMap(A, W1, W2, [-0.7, 0.0, 0.1], BISTABLE.h2)
    found = plr.basins(
        map, low=-2, high=2, num=6, axes=(2, 0), state=[9.0, 0.7, 9.0], key=KEY, progress=QUIET
    )
    assert (found.attractors.states[:, 1] == 0.7).all()
    upper = np.broadcast_to((found.y > 0)[:, None], (6, 6))
    assert len(set(found.image[upper])) == len(set(found.image[~upper])) == 1
    again = plr.Basins(found.attractors, (2, 0))
    np.testing.assert_array_equal(again.image, found.image)
    with pytest.raises(ValueError, match="expected initial states on a grid"):
        plr.Basins(found.attractors, (0, 1))


def test_sizes_by_sampling():
    found = plr.basin_sizes(BISTABLE, low=-5.0, high=5.0, num_samples=3000, key=KEY, progress=QUIET)
    row = int(np.flatnonzero(found.points[:, 0, 0] > 0)[0])
    low, high = found.interval[row]
    assert low < 0.33 < high and high - low < 0.04
    fewer = plr.basin_sizes(BISTABLE, low=-5.0, high=5.0, num_samples=10, key=KEY, progress=QUIET)
    np.testing.assert_array_equal(fewer.states, found.states[:10])
    drawn = plr.basin_sizes(
        BISTABLE,
        sampler=lambda key, n: np.asarray(jr.uniform(key, (n, 1))) + 0.5,
        num_samples=50,
        key=KEY,
        progress=QUIET,
    )
    assert len(drawn) == 1 and drawn.share[0] == 1.0
    assert drawn.interval[0, 0] > 0.9


def test_cycle_is_the_one_of_its_word():
    map = plrnn_map(**EIGHTY)
    found = find(map, uniform(-1, 1, 16))
    known = plr.cycles_of_itineraries(map, [found.regions(0)])
    assert found.period[0] == 80 and words_of(known) == {(80, found.itinerary[0].tobytes())}
    np.testing.assert_allclose(found.orbit(0), known.orbit(0))
    exponent = plr.cycle_exponents(known.multipliers, known.period)[0, 0]
    assert found.lyapunov[0] == exponent and found.name(0) == "80-cycle"


def test_known_cycles_that_capture_nothing_are_listed():
    known = plr.find_cycles(BISTABLE, 1, solver=plr.Exhaustive(), progress=QUIET)
    found = find(BISTABLE, uniform(0.1, 3, 20, 1), cycles=known)
    assert found.count.tolist() == [20, 0] and found.interval[1, 0] == 0 < found.interval[1, 1]


def test_symmetric_cycles_are_told_apart():
    """The square's quarter turn maps the map onto itself, and one 113-cycle onto three others."""
    found = find(saturated(1.05, 1.0), uniform(-1, 1, 64))
    assert found.period.tolist() == [113] * 4
    assert len({found.itinerary[row].tobytes() for row in range(4)}) == 4


def test_chaos_and_divergence():
    found = find(LOZI, uniform(-2, 2, 128))
    assert kinds(found) == [ATTRACTOR.chaotic, ATTRACTOR.diverged]
    assert abs(found.lyapunov[0] - 0.4703) < 4 * found.standard_error[0] + 5e-4
    assert found.count.sum() == 128 and np.isnan(found.lyapunov[1])


def test_invariant_circle():
    found = find(saturated(1.1, 0.27), uniform(-1, 1, 32), num_steps=8192)
    assert kinds(found) == [ATTRACTOR.quasiperiodic]
    assert abs(found.lyapunov[0]) < 3 * found.standard_error[0] + 1e-4


def test_neutral_rotation_is_not_chaotic():
    found = find(saturated(1.0, 1.0), uniform(-0.5, 0.5, 32), num_steps=1024)
    assert kinds(found) == [ATTRACTOR.quasiperiodic]


def threshold_network(leak: float) -> plr.ReluRNN:
    """Five units that inhibit each other, less along edges i -> i + 1 and i -> i + 2 (mod 5)."""
    W = np.full((5, 5), -1.12) + 1.12 * np.eye(5)
    for i in range(5):
        W[[(i + 1) % 5, (i + 2) % 5], i] = -0.9
    return plr.models.from_arrays("relu-rnn", W=W, b=np.ones(5), leak=leak)


TORI = np.array(
    [
        [0.158395, 0.132336, 0.306504, 1.99509e-5, 0.398626],
        [0.0440826, 0.282242, 0.398162, 0.238812, 0.0288782],
    ]
)


@pytest.mark.parametrize("num_steps", [10_000, pytest.param(40_000, marks=pytest.mark.slow)])
def test_two_tori_with_nearly_equal_averages(num_steps):
    """Time averages differ by .003, exponents by nothing, the largest activities by a tenth."""
    found = find(threshold_network(0.01), TORI, num_transient=0, num_steps=num_steps)
    assert kinds(found) == [ATTRACTOR.quasiperiodic] * 2
    largest, states, W = np.zeros(2), TORI.T, threshold_network(0.01).W
    for _ in range(30_000):
        states = 0.99 * states + 0.01 * np.maximum(W @ states + 1.0, 0.0)
        largest = np.maximum(largest, states.max(axis=0))
    np.testing.assert_allclose(largest, [0.4366, 0.3996], atol=1e-4)


@pytest.mark.parametrize("num_steps", [1_024, 4_096])
def test_short_runs_do_not_merge_the_two_tori(num_steps):
    """One torus is seen after some 8,000 steps: less is not enough to call them one."""
    found = find(threshold_network(0.01), TORI, num_transient=20_000, num_steps=num_steps)
    assert found.label[0] != found.label[1] or kinds(found) == [ATTRACTOR.undecided]


@pytest.mark.parametrize("num_transient", [0, 500, 2_000])
def test_slow_transients_are_not_chaotic(num_transient):
    """The way onto a torus: lambda_1 was called .00022 +- .00005; in the end it is 0."""
    states = [[0.15, 0.2, 0.17, 0.19, 0.21], [0.15, 0.1, 0.16, 0.25, 0.28]]
    found = find(threshold_network(0.05), states, num_transient=num_transient)
    assert ATTRACTOR.chaotic not in kinds(found)


@pytest.mark.parametrize("share", [1e-3, 0.05])
def test_a_switch_beside_a_tent_has_two_attractors(share):
    """z_1 settles at 3/2 or -3/2, from both sides up to one bit; the tent is moved by share z_1."""
    slope, side = 1.4, np.where(np.arange(24) % 2, 1.0, -1.0)
    W1 = [[1.5, -1.5, 0.0], [0.0, 0.0, -2 * slope]]
    W2 = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    map = PiecewiseAffineMap([[0.5, 0.0], [share, slope]], W1, W2, [-0.75, 1.0], [0.5, -0.5, 0.0])
    start = np.random.default_rng(3).uniform([0.6, -0.3], [2.0, 0.9], (24, 2))
    found = find(map, start * np.stack([side, np.ones(24)], axis=1))
    assert kinds(found) == [ATTRACTOR.chaotic] * 2 and found.count.tolist() == [12, 12]
    assert len(set(zip(found.label.tolist(), side.tolist()))) == 2


def test_mirror_images_that_nearly_touch():
    """An odd map: tents of slope s on both sides of a steep line. Two bands, apart by little."""
    for slope in (1.1, 1.3, 1.5):
        steep = (1.6 - slope * 0.95) / 0.05
        W1 = np.array([[slope - steep, -2 * slope, steep - slope, 2 * slope], [0.0] * 4])
        W2 = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
        A = [[steep, 0.0], [0.3, 0.5]]
        map = PiecewiseAffineMap(A, W1, W2, [0.0, 0.0], [-0.05, -1.0, -0.05, -1.0])
        states = uniform(-2, 2, 8)
        found = find(map, states)
        assert kinds(found) == [ATTRACTOR.chaotic] * 2
        assert len(set(zip(found.label, np.sign(found.states[:, 0])))) >= 2
        assert np.sign(found.orbit(0)[:, 0]).sum() == -np.sign(found.orbit(1)[:, 0]).sum()


def test_weakly_stable_long_cycles_are_not_called_anything_else():
    found = find(saturated(1.3, 0.7), uniform(-1, 1, 16))
    assert kinds(found) == [ATTRACTOR.undecided] and found.lyapunov[0] < 0
    assert "Raise" in repr(found)
    longer = find(saturated(1.3, 0.7), uniform(-1, 1, 16), max_period=512)
    assert longer.period.tolist() == [428]
    assert abs(longer.lyapunov[0] - found.lyapunov[0]) < 4 * found.standard_error[0] + 1e-5


def test_coexisting_chaos_and_fixed_point():
    """Where z_2 ends on 1, relu(z_1 + 50 (z_2 - 1)) folds z_1 (slopes .9 and -1.7); on -1 never."""
    W1, W2 = np.zeros((2, 4)), np.zeros((4, 2))
    W1[1, :3], W2[:3, 1] = BISTABLE.W1[0], 1.0
    W1[0, 3], W2[3] = -2.6, [1.0, 50.0]
    map = PiecewiseAffineMap([0.9, 0.3], W1, W2, [1.0, -0.7], [*BISTABLE.h2, -50.0])
    found = find(map, uniform(-2, 2, 64))
    assert set(kinds(found)) == {ATTRACTOR.chaotic, ATTRACTOR.cycle}
    fixed = int(np.flatnonzero(found.kind == ATTRACTOR.cycle)[0])
    np.testing.assert_allclose(found.orbit(fixed), [[10.0, -1.0]])
    np.testing.assert_array_equal(found.label == fixed, found.states[:, 1] < 0)
    np.testing.assert_allclose(found.orbit(1 - fixed)[:, 1], 1.0)


def test_lanes_do_not_depend_on_each_other(either_precision):
    states = uniform(-1, 1, 50)
    map = saturated(1.05, 1.0)
    whole, parts = (find(map, states, batch_size=size) for size in (64, 16))
    np.testing.assert_array_equal(whole.label, parts.label)
    np.testing.assert_array_equal(whole.itinerary, parts.itinerary)
    chaos = [find(LOZI, 0.1 * states, batch_size=size, num_steps=1024) for size in (16, 64)]
    other = plr.find_attractors(LOZI, 0.1 * states, key=jr.key(7), num_steps=1024, progress=QUIET)
    for found in (*chaos, other):
        assert found.count.tolist() == [50] and found.states.dtype == np.float64
        assert abs(found.lyapunov[0] - 0.4703) < 4 * found.standard_error[0] + 5e-4
    again = find(LOZI, 0.1 * states, batch_size=16, num_steps=1024)
    np.testing.assert_array_equal(again.lyapunov, chaos[0].lyapunov)


def test_trap_holds_no_state_that_leaves():
    """Inside the ellipsoid orbits keep to the word for good; its boundary touches a border."""
    map = plrnn_map(**EIGHTY)
    found = find(map, uniform(-1, 1, 4))
    cycles = plr.cycles_of_itineraries(map, [found.regions(0)])
    trap = make_trap(map, cycles, 0)
    directions = np.random.default_rng(0).standard_normal((400, 2))
    norms = np.sqrt(np.einsum("li,ij,lj->l", directions, trap.form, directions))
    edge = trap.points[0] + 0.999 * np.sqrt(trap.level) * directions / norms[:, None]
    zero = np.zeros(400, int)
    assert trap.holds(map, edge, zero).all()
    assert not trap.holds(map, trap.points[0] + 2 * (edge - trap.points[0]), zero).any()
    states = edge
    for _ in range(10):
        for region in cycles.regions(0):
            assert (map.region_of(states) == region).all()
            states = map.apply(states)


def test_no_units_and_no_steps():
    linear = PiecewiseAffineMap([[0.5]], np.zeros((1, 0)), np.zeros((0, 1)), [1.0], [])
    found = find(linear, [[0.0], [5.0]], num_transient=100)
    assert found.period.tolist() == [1] and np.isclose(found.points[0, 0, 0], 2.0)
    assert find(linear, [[2.0]], num_transient=0).count.tolist() == [1]


def test_periods_of_tails():
    rows = np.arange(40)[:, None, None]
    tail = np.concatenate([rows % 3, rows % 5, 0 * rows, rows], axis=2).astype(np.uint8)
    assert tail_periods(tail, 20).tolist() == [3, 5, 1, 0]
    assert tail_periods(tail, 4).tolist() == [3, 0, 1, 0]


def made_blocks(change: int) -> Blocks:
    """Twenty orbits on one noisy attractor; number 3 changes to a quiet one after some blocks."""
    draw = np.random.default_rng(0)
    z = draw.standard_normal((NUM_BLOCKS, 20, 2))
    growth = 0.1 + 0.05 * draw.standard_normal((NUM_BLOCKS, 20))
    z[change:, 3] = 2.0 + 0.01 * z[change:, 3]
    growth[change:, 3] = 1e-4 * growth[change:, 3]
    mean, square = (x.reshape(GROUPS, -1, 20, 2).mean(axis=1) for x in (z, z**2 + 1.0))
    parts = z.reshape(GROUPS, -1, 20, 2)
    ends = np.concatenate([parts.min(axis=1), parts.max(axis=1)], axis=2)
    return Blocks(growth, mean, square, ends)


@pytest.mark.parametrize("change", [14, 32, 50])
def test_orbits_that_change_attractors_are_noticed(change):
    assert np.flatnonzero(moved(made_blocks(change))).tolist() == [3]


@pytest.mark.parametrize("change", [4, 60])
def test_late_and_early_changes_are_odd_at_least(change):
    blocks = made_blocks(change)
    label, _ = grouped(blocks, 4096)
    flagged = moved(blocks) | odd(blocks, label)
    assert set(np.flatnonzero(flagged)) <= {3}
    assert change == 60 or flagged[3]


def test_regimes_of_growth():
    draw = np.random.default_rng(0)
    steps = np.arange(1, NUM_BLOCKS + 1)[:, None] * 64.0 + 10.0 * np.arange(8)
    circle = np.diff(np.sin(steps), axis=0, prepend=0.0) / 64
    noise = 0.01 * draw.standard_normal((NUM_BLOCKS, 8))
    for growth, kind in (
        (circle, ATTRACTOR.quasiperiodic),
        (circle - 0.01, ATTRACTOR.undecided),
        (noise + 0.05, ATTRACTOR.chaotic),
        (noise - 0.05, ATTRACTOR.undecided),
        (noise, ATTRACTOR.undecided),  # an error too large to call it zero
        (0.001 + circle, ATTRACTOR.undecided),  # e^4 in all: not yet chaos
        (1.0 / steps, ATTRACTOR.undecided),  # growth like t: the later half shows it
    ):
        assert regime(growth, 64 * NUM_BLOCKS).kind is kind


def test_wilson_interval():
    """10 of 100: (.0552, .1744) (Newcombe 1998, method 3, to four digits)."""
    found = wilson(np.array([10, 0, 100]), 100)
    np.testing.assert_allclose(found[0], [0.0552, 0.1744], atol=5e-5)
    assert found[1, 0] == 0 and found[2, 1] == 1
    np.testing.assert_array_equal(wilson(np.array([0]), 0), [[0.0, 1.0]])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files(tmp_path, suffix):
    found = find(BISTABLE, uniform(-4, 6, 20, 1), num_transient=200)
    path = tmp_path / f"found{suffix}"
    found.save(path)
    back = plr.load(path)
    assert isinstance(back, plr.AttractorSet)
    for name in plr.AttractorSet.file_arrays:
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))
    assert repr(back) == repr(found) and back.result is plr.RESULTS.successful
    with pytest.raises(ValueError, match="expected a file of type attractors"):
        plr.AttractorSet.from_parts({"type": "cycles"}, {}, "here")


def test_ctrl_c_keeps_what_is_settled():
    states = uniform(-4, 6, 64, 1)
    found = find(BISTABLE, states, batch_size=16, num_transient=100)
    part = plr.find_attractors(
        BISTABLE, states, key=KEY, batch_size=16, num_transient=100, progress=PressesCtrlC(3)
    )
    assert part.result is plr.RESULTS.interrupted and "interrupted" in repr(part)
    done = part.label >= 0
    assert 0 < done.sum() < 64 and part.count.sum() == done.sum()
    first, second = (f.points[f.label[done], 0, 0] for f in (part, found))
    np.testing.assert_array_equal(first, second)


def misuse(**changes: Any):
    options = dict(states=[[0.0]], key=KEY) | changes
    return inspect.unwrap(plr.find_attractors)(options.pop("model", TENT), **options)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(model="tent"), "model: expected a piecewise-affine network"),
        (dict(states=[[0.0, 1.0]]), "states: expected initial states, one row of 1"),
        (dict(states=[0.0]), "states: expected"),
        (dict(states=np.zeros((0, 1))), "states: expected"),
        (dict(states=[[np.nan]]), "states: expected finite"),
        (dict(key=3), "key: expected"),
        (dict(num_transient=-1), "num_transient: expected"),
        (dict(num_steps=10), "num_steps: expected an integer of at least 64"),
        (dict(max_period=0), "max_period: expected"),
        (dict(batch_size=0.5), "batch_size: expected"),
        (dict(bound=-1.0), "bound: expected"),
        (dict(cycles=[1]), "cycles: expected a CycleSet"),
    ],
)
def test_misuse(changes, message):
    with pytest.raises(ValueError, match=message):
        misuse(**changes)


def test_misuse_of_grids_and_samples():
    map = turned(BISTABLE, 0.0, 0.5)
    known = plr.find_cycles(BISTABLE, 1, solver=plr.Exhaustive(), progress=QUIET)
    grid = dict(low=0, high=1, key=KEY)
    basins, basin_sizes = inspect.unwrap(plr.basins), inspect.unwrap(plr.basin_sizes)
    for call, message in (
        (lambda: basins(map, **{**grid, "high": 0}), "high: expected numbers above low"),
        (lambda: basins(map, **{**grid, "low": [0, 0, 0]}), "low: expected shape 2"),
        (lambda: basins(map, **grid, axes=(0, 0)), "axes: expected two different"),
        (lambda: basins(map, **grid, num=1), "num: expected"),
        (lambda: basins(map, **grid, num=(2, 3, 4)), "num: expected one or two"),
        (lambda: basins(map, **grid, state=[0.0]), "state: expected shape 2"),
        (lambda: basin_sizes(map, key=KEY), "sampler: expected either"),
        (lambda: basin_sizes(map, key=KEY, low=0), "high: expected a number"),
        (lambda: basin_sizes(map, key=KEY, sampler=3), "sampler: expected a function"),
        (lambda: find(map, [[0.0, 0.0]], cycles=known), "cycles: expected cycles of a map"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    found = plr.basins(LOZI, low=-2, high=2, num=12, key=KEY, num_steps=256, progress=QUIET)
    figure = plr.plot.bare_figure()
    ax = plr.plot.basins(found, ax=figure.subplots())
    image: Any = ax.images[0]
    drawn: Any = ax.get_legend()
    assert image.get_array().shape == (12, 12, 3)
    names = [text.get_text() for text in drawn.get_texts()]
    assert names[0].split(",")[0] in ("chaotic", "diverged") and len(names) == 2
    left, right = ax.get_xlim()
    assert left < -2 < 2 < right
    figure.savefig(io.BytesIO(), format="png")
    with pytest.raises(ValueError, match="found: expected Basins"):
        inspect.unwrap(plr.plot.basins)(found.attractors)


def test_small_attractor_beside_chaos(shared):
    """A network trained on Lorenz-63: an invariant circle around one focus, and chaos."""
    if not (shared / "data" / "networks").is_dir():
        pytest.skip("the shared networks are not here")
    path = shared / "data/networks/lorenz63_clipped_shallow_gtf015.npz"
    model = plr.load(path, kind="clipped-shallow", index=3)
    data = np.load(shared / "data/series/lorenz63_on0.05_train.npy")
    states = np.asarray(data[:: len(data) // 63], np.float64)
    found = find(model, states, num_transient=10_000, num_steps=8192)
    assert kinds(found) == [ATTRACTOR.chaotic, ATTRACTOR.quasiperiodic]
    assert abs(found.lyapunov[0] - 0.009) < 5e-4 and abs(found.lyapunov[1]) < 2e-4
    assert found.orbit(1).std(axis=0).max() < 0.5
