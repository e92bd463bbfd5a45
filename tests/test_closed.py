"""The closed-cycle branch and bound: no cycle of a box is lost, whatever the map looks like."""

import itertools

import numpy as np
import pytest
from systems import LOZI, LOZI_PRIMES, QUIET, chaotic, clipped, random_plrnn, random_shallow, tent

import plrjax as plr
from plrjax import PiecewiseAffineMap
from plrjax.cycles import Catalog
from plrjax.cycles.complete.closed._intervals import Bounds, propagate
from plrjax.cycles.complete.closed._kernel import EMPTY, make_feasible, safe_bound
from plrjax.cycles.complete.closed._relaxation import cycle_system, relax, unit_states
from plrjax.cycles.complete.closed._search import ClosedSearch, scale

FOREVER = 1e6


def words_in(search):
    """Return the search's candidates as a set."""
    return {word.tobytes() for word in search.take_words()}


def identified(map, search):
    """Return a catalog of the search's candidates."""
    catalog, words = Catalog(map), search.take_words()
    if words:
        catalog.identify(np.stack(words))
    return catalog


def cycles_in_box(map, period, radius):
    """Return the words of all k-cycles with |z| <= radius that the branch and bound finds."""
    search = ClosedSearch(map, period, -radius, radius)
    search.step(FOREVER)
    assert search.done and search.num_open == search.num_unresolved == 0
    catalog = identified(map, search)
    assert not catalog.num_unexamined
    inside = [e for e in catalog.entries if np.abs(e.points).max() <= radius]
    return {entry.word.tobytes() for entry in inside if entry.period == period}


def enumerated(map, period):
    """Return (word, greatest |z|) of all k-cycles by trying all itineraries."""
    cycles = plr.find_cycles(map, [period], solver=plr.Exhaustive(), progress=QUIET)
    assert cycles.coverage is plr.COVERAGE.complete_in_floating_point
    words = [cycles.itinerary[row, :period].tobytes() for row in range(len(cycles))]
    return [(word, np.abs(cycles.orbit(row)).max()) for row, word in enumerate(words)]


def agrees_with_enumeration(map, period, radii=()):
    """Assert equal cycles in a box that just holds all of them, in half of it, and in others."""
    known = enumerated(map, period)
    widest = max((size for _, size in known), default=1.0)
    for radius in (1.0000001 * widest, 0.5 * widest, *radii):
        inside = {word for word, size in known if size <= radius}
        assert cycles_in_box(map, period, radius) == inside
    return len(known)


def drawn(seed):
    """A random map of one of three kinds, with two to five states."""
    draw = np.random.default_rng([seed, 77])
    size, gain = int(draw.integers(2, 6)), float(draw.uniform(0.8, 3.5))
    if seed % 3 == 0:
        return random_plrnn(seed, size, gain)
    if seed % 3 == 1:
        return random_shallow(seed, size, int(draw.integers(2, 7)), gain)
    return clipped(seed, size, int(draw.integers(1, 4)), gain)


def parallel_rows(map, draw):
    """One boundary twice with factor 1, -1, .5 or -2; another shifted."""
    W2, h2 = map.W2.copy(), map.h2.copy()
    i, j = draw.choice(len(h2), 2, replace=False)
    factor = draw.choice([1.0, -1.0, 0.5, -2.0])
    W2[j], h2[j] = factor * W2[i], factor * h2[i] + draw.choice([0.0, 0.3])
    return PiecewiseAffineMap(map.A, map.W1, W2, map.h1, h2)


def zero_row(map, draw):
    """A unit that does not look at the state."""
    W2 = map.W2.copy()
    W2[draw.integers(len(W2))] = 0.0
    return PiecewiseAffineMap(map.A, map.W1, W2, map.h1, map.h2)


def zero_column(map, draw):
    """A unit without effect."""
    W1 = map.W1.copy()
    W1[:, draw.integers(W1.shape[1])] = 0.0
    return PiecewiseAffineMap(map.A, W1, map.W2, map.h1, map.h2)


def other_state_units(map, draw):
    """States in units from 1e-6 to 1e6."""
    d = 10.0 ** draw.uniform(-6, 6, map.state_size)
    A, W1 = map.A * d[:, None] / d, map.W1 * d[:, None]
    return PiecewiseAffineMap(A, W1, map.W2 / d, map.h1 * d, map.h2)


def other_unit_units(map, draw):
    """Pre-activations in units of 1e6 or 1e-6."""
    f = draw.choice([1e-6, 1e6])
    return PiecewiseAffineMap(map.A, map.W1 / f, map.W2 * f, map.h1, map.h2 * f)


def small_or_large(map, draw):
    """Offsets times 1e6 or 1e-6."""
    f = draw.choice([1e-6, 1e6])
    return PiecewiseAffineMap(map.A, map.W1, map.W2, map.h1 * f, map.h2 * f)


CHANGES = (
    lambda map, draw: map,
    parallel_rows,
    zero_row,
    zero_column,
    other_state_units,
    other_unit_units,
    small_or_large,
)


def check_random_maps(seeds, bits):
    total = 0
    for seed in seeds:
        map = drawn(seed)
        if map.num_units > 1:
            map = CHANGES[seed % len(CHANGES)](map, np.random.default_rng([seed, 5]))
        for period in range(1, 7):
            if period * map.num_units <= bits:
                total += agrees_with_enumeration(map, period, (3.0,))
    return total


def test_random_maps_agree_with_enumeration():
    assert check_random_maps(range(21), 9) >= 5


@pytest.mark.slow
def test_many_random_maps_agree_with_enumeration():
    assert check_random_maps(range(21, 400), 18) >= 100


def test_published_counts_of_the_lozi_map():
    for period in (1, 2, 3, 4, 5, 6, 8):
        assert len(cycles_in_box(LOZI, period, 2.0)) == LOZI_PRIMES[period]


def test_tent_map():
    """z' = 1 - 2|z| has (2^k - sum over proper divisors) / k cycles of length k."""
    assert [len(cycles_in_box(tent(2.0), k, 1.0)) for k in range(1, 9)] == [
        2,
        1,
        2,
        3,
        6,
        9,
        18,
        30,
    ]


def test_cycles_on_the_rim_of_the_box_count():
    """The fixed points of the tent map of slope 2 are -1 and 1/3, its 2-cycle is -1/5, 3/5."""
    assert len(cycles_in_box(tent(2.0), 1, 1.0)) == 2
    assert len(cycles_in_box(tent(2.0), 1, 0.999)) == 1
    for upper, count in ((0.6, 1), (0.599, 0)):
        search = ClosedSearch(tent(2.0), 2, -0.2, upper)
        search.step(FOREVER)
        assert identified(tent(2.0), search).count(2) == count


def test_bounds_may_differ_by_state():
    """x' = -x/2 + relu(x) + 1, y' = y/2 + relu(x) + 2 has the fixed point (2, 8)."""
    map = PiecewiseAffineMap([-0.5, 0.5], [[1.0], [1.0]], [[1.0, 0.0]], [1.0, 2.0], [0.0])
    fixed = np.array([2.0, 8.0])
    assert np.array_equal(map.apply(fixed), fixed)
    for lower, upper, count in (([0, 0], [3, 9], 1), ([0, 0], [3, 7.9], 0), (fixed, fixed, 1)):
        search = ClosedSearch(map, 1, np.array(lower, float), np.array(upper, float))
        search.step(FOREVER)
        assert search.done and len(search.take_words()) == count


def test_a_line_of_fixed_points_comes_back():
    """z' = z for z_1 > 0: I - P is singular on a whole subregion."""
    map = PiecewiseAffineMap(np.zeros((2, 2)), np.eye(2), np.eye(2), [0.0, -1.0], [0.0, 0.0])
    search = ClosedSearch(map, 1, -2.0, 2.0)
    search.step(FOREVER)
    catalog = identified(map, search)
    assert catalog.num_singular >= 1 and catalog.count(1) >= 1


def test_a_line_of_two_cycles_comes_back():
    """(x, y) -> (y, x) where both are > 0: a 2-cycle wherever x != y, all of one word."""
    map = PiecewiseAffineMap(np.zeros((2, 2)), [[0.0, 1.0], [1.0, 0.0]], np.eye(2), [0, 0], [0, 0])
    search = ClosedSearch(map, 2, 0.5, 2.0)
    search.step(FOREVER)
    assert [word.tolist() for word in search.take_words()] == [[[True, True], [True, True]]]


def test_a_fixed_point_on_a_switching_boundary():
    """z' = -.5 z - 1.5 relu(z): the fixed point 0 is on the boundary, and all points > 0 return."""
    map = PiecewiseAffineMap([[-0.5]], [[-1.5]], [[1.0]], [0.0], [0.0])
    search = ClosedSearch(map, 1, -1.0, 1.0)
    search.step(FOREVER)
    catalog = identified(map, search)
    assert catalog.count(1) == 1 and np.abs(catalog.entries[0].points).max() <= 1e-15


@pytest.mark.parametrize("units", [0, 1])
def test_maps_without_curvature(units):
    """A linear map has one fixed point, with or without a unit that has no effect."""
    W1, W2 = np.zeros((2, units)), np.ones((units, 2))
    map = PiecewiseAffineMap([0.5, -0.5], W1, W2, [1.0, 3.0], np.zeros(units))
    for period in (1, 2, 3):
        search = ClosedSearch(map, period, -5.0, 5.0)
        search.step(FOREVER)
        assert len(search.take_words()) == 1 and search.done
    search = ClosedSearch(map, 1, -1.0, 1.0)
    search.step(FOREVER)
    assert search.take_words() == []


def test_what_overflows_is_not_called_resolved():
    """States in units of 1e-200 under a slope of 1e200: W1 in these units is beyond float64."""
    map = PiecewiseAffineMap(np.zeros((2, 2)), [[0.0], [1e300]], [[1e9, 0.0]], [1, 1], [0.0])
    search = ClosedSearch(map, 1, np.array([-1.0, -1e-200]), np.array([1.0, 1e-200]))
    search.step(FOREVER)
    assert search.num_unresolved > 0


CHAOS = chaotic(915)


def test_the_search_may_be_stopped_and_resumed_anywhere():
    whole = ClosedSearch(CHAOS, 6, -50.0, 50.0)
    whole.step(FOREVER)
    expected = words_in(whole)
    search, pieces = ClosedSearch(CHAOS, 6, -50.0, 50.0), 0
    while not search.done:
        for _ in range(30):
            search.step(0.0)
        search = ClosedSearch(CHAOS, 6, -50.0, 50.0, frontier=search.frontier())
        pieces += 1
        assert pieces < 1000
    assert pieces > 1 and len(expected) >= 8
    assert words_in(search) >= expected


def test_words_taken_are_not_given_again():
    search, seen = ClosedSearch(CHAOS, 6, -50.0, 50.0), set()
    while not search.done:
        search.step(0.0)
        fresh = words_in(search)
        assert not fresh & seen
        seen |= fresh
    assert not search.take_words() and len(search.frontier()["words"]) == 0
    assert len(search.frontier()["zl"]) == search.num_open == 0


def interrupted(search, monkeypatch, name, calls):
    """Step until done while every `calls`-th call of one of its functions raises Ctrl-C."""
    from plrjax.cycles.complete.closed import _search as _closed

    function, counter, hits = getattr(_closed, name), itertools.count(1), 0

    def strikes(*arguments):
        result = function(*arguments)
        if next(counter) % calls == 0:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(_closed, name, strikes)
    while not search.done:
        try:
            search.step(FOREVER)
        except KeyboardInterrupt:
            hits += 1
            assert search.num_open > 0
            assert len(search.frontier()["xl"]) == search.num_open
    monkeypatch.undo()
    return hits


@pytest.mark.parametrize("name", ["propagate", "tighten", "relax", "unit_states", "_halves"])
def test_ctrl_c_inside_a_step_loses_nothing(name, monkeypatch):
    whole = ClosedSearch(CHAOS, 6, -50.0, 50.0)
    whole.step(FOREVER)
    search = ClosedSearch(CHAOS, 6, -50.0, 50.0)
    assert interrupted(search, monkeypatch, name, 7) > 0
    assert words_in(search) >= words_in(whole)


def relaxed(map, period, radius, seed):
    """Return a random relaxation of a scaled map, at its first vertex after `make_feasible`."""
    scaled = scale(map, *(np.full(map.state_size, r) for r in (-radius, radius)))
    p, shape = scaled.parameters, (period, len(scaled.parameters.h2))
    zl = np.tile(-radius / scaled.unit, (period, 1))
    bounds = Bounds(zl, -zl, np.full(shape, -2.0), np.full(shape, 2.0))
    joint = np.ascontiguousarray(np.hstack([p.A, p.W1]))
    assert propagate(p, joint, -1, bounds, 1)
    guess = np.random.default_rng(seed).random(shape) < 0.5
    states = unit_states(bounds.xl, bounds.xu, guess)
    E, c = cycle_system(p, states)
    r, d = relax(p, states, scaled.aliased, -1, bounds, E, c, np.linalg.inv(E))
    return scaled, r, d, make_feasible(r, d, 1e-9, 1000)[0]


def test_safe_bounds_hold_at_true_cycles_whatever_the_multipliers():
    """Rows of the dictionary are spoilt on purpose: the bound of any row must still hold."""
    tested = 0
    for seed in range(12):
        map = drawn(3 * seed)
        cycles = plr.find_cycles(map, [1, 2], solver=plr.Exhaustive(), progress=QUIET)
        for orbit in [cycles.orbit(row) for row in range(len(cycles))]:
            scaled, r, d, status = relaxed(map, len(orbit), 1.5 * np.abs(orbit).max(), seed)
            assert status != EMPTY
            p, z, draw = scaled.parameters, orbit / scaled.unit, np.random.default_rng(seed)
            x = (z @ p.W2.T + p.h2).ravel()
            for spoil in (0.0, 1e-6, 0.3):
                d.T[:] += spoil * draw.standard_normal(d.T.shape)
                for v in r.x_rows[d.column[r.x_rows] < 0].tolist():
                    value = x[r.parts[v, 1]]
                    assert safe_bound(r, d, v, 1.0) >= value
                    assert -safe_bound(r, d, v, -1.0) <= value
                    tested += 1
    assert tested > 100


def test_scaling_and_merging_keep_the_map():
    """F(unit zeta) / unit, with merged units, at random points; and words expand back."""
    for seed in range(14):
        draw = np.random.default_rng(seed)
        map = CHANGES[seed % 7](random_shallow(seed, 3, 5, 1.5), draw)
        size = np.array([1.0, 30.0, 0.02])
        scaled = scale(map, -size, size)
        p, zeta = scaled.parameters, draw.uniform(-1, 1, (50, 3)) * size / scaled.unit
        x = zeta @ p.W2.T + p.h2
        assert np.abs(x).max() <= 1 and np.abs(zeta).max() <= 1
        image = zeta @ p.A.T + np.maximum(x, 0.0) @ p.W1.T + p.h1
        expected = map.apply(zeta * scaled.unit) / scaled.unit
        forming = (np.abs(p.A).sum(1) + np.abs(p.W1).sum(1) + np.abs(p.h1)).max()
        assert np.abs(image - expected).max() <= 1e-13 * forming * (1 + np.abs(map.W1).max())
        on = scaled.expand((x > 0)[:, None])[:, 0]
        assert np.array_equal(
            on[:, map.W2.any(1)], map.region_of(zeta * scaled.unit)[:, map.W2.any(1)]
        )


@pytest.mark.parametrize("period", [0, -1])
def test_a_period_below_one_is_refused(period):
    with pytest.raises(ValueError, match="period: expected an integer >= 1"):
        ClosedSearch(LOZI, period, -1.0, 1.0)


@pytest.mark.parametrize("lower, upper", [(-np.inf, 1.0), (1.0, -1.0), (np.nan, 1.0)])
def test_a_box_that_is_none_is_refused(lower, upper):
    with pytest.raises(ValueError, match="lower, upper: expected a finite box"):
        ClosedSearch(LOZI, 1, lower, upper)


def test_a_foreign_frontier_is_refused():
    frontier = ClosedSearch(LOZI, 2, -1.0, 1.0).frontier()
    for map, period, upper in ((tent(2.0), 2, 1.0), (LOZI, 3, 1.0), (LOZI, 2, 1.5)):
        with pytest.raises(ValueError, match="frontier: expected that of"):
            ClosedSearch(map, period, -1.0, upper, frontier=frontier)
