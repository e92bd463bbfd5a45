"""The complete search against exhaustive enumeration, closed forms, and maps made to break it."""

import itertools

import jax.random as jr
import numpy as np
import pytest
from systems import (
    EIGHTY,
    LOZI,
    LOZI_PRIMES,
    QUIET,
    SIXTEEN,
    PressesCtrlC,
    check_cycles,
    clipped,
    plrnn_map,
    random_plrnn,
    random_shallow,
    tent,
    words_of,
)

import plrjax as plr
from plrjax import PiecewiseAffineMap

COMPLETE = plr.COVERAGE.complete_in_floating_point
CERTIFIED = plr.COVERAGE.certified


def complete(map, longest, **options):
    solver = plr.BranchAndBound(**options)
    return plr.find_cycles(map, range(1, longest + 1), solver=solver, progress=QUIET)


def exhaustive(map, longest):
    return plr.find_cycles(map, range(1, longest + 1), solver=plr.Exhaustive(), progress=QUIET)


def draw(seed, *size):
    return np.random.default_rng([seed, *size])


def almost_linear(seed, size, num_relu, gain):
    rng = draw(seed, size, num_relu, 7)
    W = gain * rng.standard_normal((size, size)) / np.sqrt(size)
    arrays = dict(A=rng.uniform(-0.6, 0.6, size), W=W, h=rng.standard_normal(size))
    return plr.from_arrays("almost-linear", **arrays, num_relu=num_relu).as_piecewise_affine()


def dendritic(seed, size, bases, gain):
    rng = draw(seed, size, bases, 9)
    arrays = dict(
        A=rng.uniform(-0.6, 0.6, size),
        W=gain * rng.standard_normal((size, size)) / np.sqrt(size) / bases,
        h=rng.standard_normal(size),
        alpha=rng.standard_normal(bases),
        thresholds=rng.standard_normal((bases, size)),
    )
    return plr.from_arrays("dendritic", **arrays).as_piecewise_affine()


def drawn(seed: int) -> PiecewiseAffineMap:
    """A random network of one of five kinds, with two to five states and a gain from .8 to 4."""
    size, gain = 2 + seed % 4, (0.8, 1.5, 2.5, 4.0)[(seed // 5) % 4]
    return (
        random_plrnn(seed, size, gain),
        random_shallow(seed, size, size + 1, gain),
        clipped(seed, size, max(1, size // 2 + 1), gain),
        almost_linear(seed, size, max(1, size - 1), gain),
        dendritic(seed, min(size, 3), 2, gain),
    )[seed % 5]


def assert_same(seed, bits, **options):
    map = drawn(seed)
    longest = min(12, bits // map.num_units)
    want, found = exhaustive(map, longest), complete(map, longest, **options)
    assert words_of(found) == words_of(want), f"seed {seed}, {map.num_units} units, to {longest}"
    assert found.coverage == (CERTIFIED if options.get("rigorous") else COMPLETE)
    assert found.coverage_domain == "all of R^M"
    assert found.stats["unproved"][longest] == 0
    check_cycles(map, found)


@pytest.mark.parametrize("seed", range(40))
def test_finds_what_exhaustive_enumeration_finds(seed):
    assert_same(seed, 12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40, 240))
def test_finds_what_exhaustive_enumeration_finds_in_many_systems(seed):
    assert_same(seed, 22 if seed % 20 == 0 else 18 if seed % 4 == 0 else 15)


@pytest.mark.parametrize("seed", range(10))
def test_rigorous_search_proves_every_pruning(seed):
    assert_same(seed, 10, rigorous=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 50))
def test_rigorous_search_proves_every_pruning_in_many_systems(seed):
    assert_same(seed, 14, rigorous=True)


@pytest.mark.parametrize("rigorous", [False, True])
def test_one_fixed_point_and_two_16_cycles(rigorous):
    found = complete(plrnn_map(**SIXTEEN), 16, rigorous=rigorous)
    assert {k: n for k, n in found.counts().items() if n} == {1: 1, 16: 2}
    assert found.coverage == (CERTIFIED if rigorous else COMPLETE)
    assert found.coverage_domain == "all of R^M"
    assert max(found.stats["nodes"].values()) < 3_000


def test_two_80_cycles_among_2_to_160_words():
    found = complete(plrnn_map(**EIGHTY), 80)
    assert {k: n for k, n in found.counts().items() if n} == {1: 1, 80: 2}
    assert found.coverage == COMPLETE and found.coverage_domain == "all of R^M"


def test_counts_of_the_lozi_map():
    found = complete(LOZI, 17)
    assert {k: found.counts()[k] for k in LOZI_PRIMES} == LOZI_PRIMES


@pytest.mark.parametrize("rigorous", [False, True])
def test_full_tent_map_has_all_2_to_k_points(rigorous):
    found = complete(tent(2.0), 9, rigorous=rigorous)
    for k in range(1, 10):
        points = sum(d * found.counts()[d] for d in range(1, k + 1) if k % d == 0)
        assert points == 2**k
    bound = found.stats["entropy_bound"][9] if not rigorous else np.log(2)
    assert np.log(2) - 1e-9 <= bound < np.log(2) + 1e-9
    assert found.coverage == (CERTIFIED if rigorous else COMPLETE)


def test_entropy_bound_lies_above_the_entropy_of_a_tent_map():
    """The topological entropy of a tent map of slope s > 1 is log s."""
    found = complete(tent(1.5), 14)
    assert np.log(1.5) <= found.stats["entropy_bound"][14] < np.log(2.0)


# where cycles are


def test_radius_is_not_proven_where_a_cycle_lies_outside():
    map = plrnn_map(**SIXTEEN)
    inside = complete(map, 16)
    largest = max(np.abs(inside.orbit(row)).max() for row in range(len(inside)))
    for bound, domain in ((1.05 * largest, "all of R^M"), (0.95 * largest, "the box |z| <= ")):
        found = complete(map, 16, box=bound, rigorous=True)
        assert found.coverage_domain.startswith(domain)
        assert found.coverage == CERTIFIED
        kept = [np.abs(inside.orbit(row)).max() <= bound for row in range(len(inside))]
        assert words_of(found) == words_of(inside[np.array(kept)])


def test_globally_bounded_maps_have_a_box_in_closed_form():
    for seed in range(5):
        map = clipped(seed, 3, 4)
        found = complete(map, 2, rigorous=True)
        assert found.coverage == CERTIFIED and found.coverage_domain == "all of R^M"
        assert words_of(found) == words_of(exhaustive(map, 2))


def test_box_may_be_given_by_its_bounds():
    """The tent map takes [.25, .75] to [-.5, .5]; of its cycles only 1/3 stays."""
    found = complete(tent(2.0), 3, box=([0.25], [0.75]), rigorous=True)
    assert found.coverage == CERTIFIED and found.coverage_domain == "the box [0.25, 0.75]"
    assert found.counts() == {1: 1, 2: 0, 3: 0}
    assert found.points[0, 0, 0] == pytest.approx(1 / 3)
    assert any("not excluded" in note for note in found.notes)


def test_closed_search_agrees_with_words():
    for seed in range(4):
        map = random_shallow(seed, 3, 6, 1.5)
        words = complete(map, 3, method="words", box=50.0)
        closed = complete(map, 3, method="closed", box=50.0)
        inside = [np.abs(c.orbit(0)).max() <= 50 for c in words]
        assert words_of(words[np.array(inside, bool)]) == words_of(closed)
        assert closed.coverage == COMPLETE
        assert "closed" in closed.stats["solver"][3]


# maps made to break it


ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])
MARGINAL = {
    "multiplier 1": PiecewiseAffineMap([[1.0]], [[-1.5]], [[1.0]], [0.0], [0.0]),
    "multiplier -1": PiecewiseAffineMap([[-1.0]], [[0.4]], [[1.0]], [-0.5], [0.0]),
    "a line of fixed points": plrnn_map([[1.0, 0.0], [0.0, 0.5]], np.zeros((2, 2)), [0.0, 1.0]),
    "everything fixed": plrnn_map(np.eye(2), np.zeros((2, 2)), np.zeros(2)),
    "a quarter turn": plrnn_map(ROTATION, np.zeros((2, 2)), [0.3, 0.1]),
    "tent of slope 1": tent(1.0),
}


@pytest.mark.parametrize("name", MARGINAL)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_marginal_maps_are_never_called_certified(name, scale):
    """In period four each of these has a word with a continuum of solutions."""
    map = MARGINAL[name]
    map = PiecewiseAffineMap(map.A, map.W1, map.W2, scale * map.h1, scale * map.h2)
    found = complete(map, 4, rigorous=True)
    assert found.coverage_by_period[4] < CERTIFIED
    assert any("continuum of solutions" in note for note in found.notes)


def test_translation_has_no_cycle_and_that_is_certified_in_a_box():
    """z' = z + 1/4 below 0 and 1/4 - z/2 above: all of I - P = 0 is harmless, nothing solves it."""
    map = PiecewiseAffineMap([[1.0]], [[-1.5]], [[1.0]], [0.25], [0.0])
    found = complete(map, 5, rigorous=True)
    assert found.coverage == CERTIFIED
    assert found.counts() == {1: 1, 2: 0, 3: 0, 4: 0, 5: 0}


def test_fixed_point_at_infinity_is_not_excluded():
    """z' = z + 1 + relu(z) has no cycle, but nothing in R^1 can be bounded away from infinity."""
    map = PiecewiseAffineMap([[1.0]], [[1.0]], [[1.0]], [1.0], [0.0])
    found = complete(map, 3, rigorous=True)
    assert len(found) == 0
    assert words_of(found) == words_of(exhaustive(map, 3))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("seed", range(5))
def test_scaled_parameters(seed, scale):
    """z -> c z turns a map into another one with the same words."""
    map = drawn(seed)
    longest = 12 // map.num_units
    scaled = PiecewiseAffineMap(map.A, map.W1, map.W2, scale * map.h1, scale * map.h2)
    found = complete(scaled, longest, rigorous=True)
    assert words_of(found) == words_of(exhaustive(map, longest))
    assert found.coverage == CERTIFIED and found.coverage_domain == "all of R^M"


def altered(seed):
    """Maps with equal and opposite rows in W2, zero columns of W1, and units that never change."""
    map = random_shallow(seed, 2, 4, 1.5)
    A, W1, W2, h1, h2 = (np.array(x) for x in (map.A, map.W1, map.W2, map.h1, map.h2))
    W2[1], h2[1] = W2[0], h2[0]
    yield PiecewiseAffineMap(A, W1, W2, h1, h2)
    W2[1], h2[1] = -W2[0], -h2[0]
    yield PiecewiseAffineMap(A, W1, W2, h1, h2)
    W1[:, 2] = 0.0
    yield PiecewiseAffineMap(A, W1, W2, h1, h2)
    W2[3], h2[3] = 0.0, -1.0
    yield PiecewiseAffineMap(A, W1, W2, h1, h2)
    W2[3], h2[3] = 0.0, 1.0
    yield PiecewiseAffineMap(A, W1, W2, h1, h2)
    W2[:], h2[:] = 0.0, 0.0
    yield PiecewiseAffineMap(A, W1, W2, h1, h2)


@pytest.mark.parametrize("rigorous", [False, True])
def test_equal_rows_zero_columns_and_dead_units(rigorous):
    for seed, map in itertools.chain(*(zip([s] * 6, altered(s)) for s in range(2))):
        found = complete(map, 3, rigorous=rigorous)
        assert words_of(found) == words_of(exhaustive(map, 3)), seed
        assert found.coverage == (CERTIFIED if rigorous else COMPLETE)


@pytest.mark.parametrize("rigorous", [False, True])
def test_many_boundaries_through_one_point(rigorous):
    """At the origin of a clipped network as many boundaries meet as it has hidden units."""
    for seed in range(3):
        map = clipped(seed, 2, 7)
        found = complete(map, 1, rigorous=rigorous)
        assert words_of(found) == words_of(exhaustive(map, 1))
        assert found.coverage == (CERTIFIED if rigorous else COMPLETE)
        assert found.stats["nodes"][1] < 500 and found.stats["unproved"][1] == 0


def test_multipliers_beyond_the_range_of_doubles(tmp_path):
    found = complete(tent(1e200), 2, rigorous=True, certificate=tmp_path / "c.json")
    assert plr.verify(tent(1e200), tmp_path / "c.json").counts() == found.counts()


def test_a_linear_map_has_its_fixed_point_only():
    map = PiecewiseAffineMap(
        [[0.5, 0.2], [0.1, -2.0]], np.zeros((2, 0)), np.zeros((0, 2)), [1, 1], []
    )
    found = complete(map, 4, rigorous=True)
    assert found.counts() == {1: 1, 2: 0, 3: 0, 4: 0}
    assert found.coverage == CERTIFIED and found.coverage_domain == "all of R^M"


# limits, interruption, resumption


def test_limit_on_nodes_leaves_a_partial_result_that_says_so():
    map = random_plrnn(0, 4, 3.0)
    found = complete(map, 12, max_nodes=4_000)
    assert found.result == plr.RESULTS.budget_exhausted
    assert found.coverage == plr.COVERAGE.partial
    assert any("ran out" in note for note in found.notes)
    assert found.stats["open"][12] > 0 or found.stats["nodes"][12] >= 4_000


@pytest.mark.parametrize("rigorous", [False, True])
def test_interrupted_search_goes_on_from_its_checkpoint(rigorous, tmp_path):
    map, longest = random_plrnn(1, 4, 2.0), 6 if rigorous else 12
    whole = complete(map, longest, rigorous=rigorous)
    file = tmp_path / "search.json"
    stopped, partial = whole, 0
    for pieces in itertools.count(3, 9):
        stopped = plr.find_cycles(
            map,
            range(1, longest + 1),
            solver=plr.BranchAndBound(rigorous=rigorous, checkpoint=file),
            progress=PressesCtrlC(pieces),
        )
        if stopped.result == plr.RESULTS.successful:
            break
        assert stopped.result == plr.RESULTS.interrupted
        partial += stopped.coverage == plr.COVERAGE.partial
    assert partial
    assert words_of(stopped) == words_of(whole)
    assert stopped.coverage == whole.coverage
    assert stopped.coverage_domain == whole.coverage_domain


def test_checkpoint_of_another_search_is_refused(tmp_path):
    file = tmp_path / "search.json"
    complete(LOZI, 4, checkpoint=file)
    with pytest.raises(ValueError, match="checkpoint of another search: model"):
        complete(tent(2.0), 4, checkpoint=file)
    with pytest.raises(ValueError, match="checkpoint of another search: periods"):
        complete(LOZI, 5, checkpoint=file)
    file.write_text(file.read_text().replace("words", "Words", 1))
    with pytest.raises(ValueError, match="not a checkpoint"):
        complete(LOZI, 4, checkpoint=file)


@pytest.mark.slow
def test_several_processes_find_the_same():
    map = random_plrnn(1, 4, 3.0)
    one, two = complete(map, 6, rigorous=True), complete(map, 6, rigorous=True, workers=2)
    assert words_of(one) == words_of(two)
    assert two.coverage == CERTIFIED


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(method="walk"), "method: expected one of"),
        (dict(method="closed", rigorous=True), "method: 'closed' gives no proof"),
        (dict(certificate="c.json"), "certificate: expected rigorous=True"),
        (dict(max_nodes=0), "max_nodes: expected an integer"),
        (dict(max_memory=-1), "max_memory: expected a positive number"),
        (dict(workers=0), "workers: expected an integer"),
        (dict(box=-1.0), "box: expected a positive number"),
        (dict(box=[[1.0], [0.0]]), "box: expected a positive number"),
        (dict(box="large"), "box: expected a positive number"),
        (dict(box=1e308), "box: expected a positive number"),
    ],
)
def test_wrong_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        complete(tent(2.0), 2, **options)


# the default


def test_default_is_complete_where_it_can_be():
    found = plr.find_cycles(plrnn_map(**SIXTEEN), range(1, 17), key=jr.key(0), progress=QUIET)
    assert {k: n for k, n in found.counts().items() if n} == {1: 1, 16: 2}
    assert found.coverage == COMPLETE
    assert found.stats["solver"][16] == "BranchAndBound (words)"
