"""Many maps at once: made as one by one; enumerated as one by one, and closed forms."""

import threading

import numpy as np
import pytest
from systems import LOZI, LOZI_PRIMES, QUIET, plrnn_map, random_plrnn, random_shallow, tent

import plrjax as plr
from plrjax._map_arrays import MapArrays
from plrjax.grid._count import admissible_maps, count_cycles, fits_grid
from plrjax.grid._words import allowed_transitions, necklaces, unpack_symbols
from plrjax.scans._axis import in_float64
from plrjax.scans._plane import Lowering, Plane
from plrjax.words import canonical, pack


def moebius_count(period: int, symbols: int) -> int:
    """Number of primitive necklaces: what is left of symbols^k after those of its divisors."""
    words = symbols**period
    words -= sum(d * moebius_count(d, symbols) for d in range(1, period) if period % d == 0)
    return words // period


@pytest.mark.parametrize("units, period", [(1, 1), (1, 12), (2, 6), (3, 4), (8, 2)])
def test_necklaces_are_the_words_of_cycle_sets(units, period):
    found = necklaces(period, units)
    assert len(found) == moebius_count(period, 1 << units)
    for symbols in found[:: max(1, len(found) // 40)]:
        packed = pack(unpack_symbols(symbols, units))
        np.testing.assert_array_equal(canonical(packed), packed)


def family(size: int, units: int):
    maps = [random_shallow(seed, size, units, 3.0) for seed in range(6)]
    if size == units > 1:
        maps += [random_plrnn(seed, size, 3.0) for seed in range(6)]
    return maps


@pytest.mark.parametrize("size, units, longest", [(1, 2, 3), (2, 2, 5), (3, 2, 3), (4, 2, 3)])
def test_counts_are_those_of_exhaustive_search(size, units, longest):
    maps = family(size, units)
    counts = count_cycles(MapArrays.stack(maps), range(1, longest + 1))
    assert sum(int(found.num.sum()) for found in counts.values()) > 5  # there is something
    for row, map in enumerate(maps):
        truth = plr.find_cycles(map, range(1, longest + 1), solver=plr.Exhaustive(), progress=QUIET)
        for k, found in counts.items():
            here = truth[truth.period == k]
            assert found.num_undecided[row] == 0
            assert found.num[row] == len(here)
            assert found.num_stable[row] == np.count_nonzero(here.stability == 0)


def test_exact_anchors():
    slopes = [2.0, 1.9]
    counts = count_cycles(MapArrays.stack([tent(slope) for slope in slopes]), [8, 9])
    assert counts[8].num[0] == 30 and counts[9].num[0] == 56
    lozi = count_cycles(MapArrays.stack([LOZI]), LOZI_PRIMES)
    for k, found in lozi.items():
        assert found.num[0] <= LOZI_PRIMES[k] <= found.num[0] + found.num_undecided[0]
        assert k > 12 or found.num_undecided[0] == 0  # the bound grows with the norms
    assert not any(c.num_stable.any() for c in lozi.values())


def plane_maps(num: int = 20):
    values = np.linspace(-0.9, 0.95, num)
    W = np.array([[0.0, -1.2], [1.1, 0.0]])
    return [plrnn_map(np.array([a, b]), W, [0.37, -0.98]) for a in values for b in values]


def test_words_have_examples_and_masks():
    maps = plane_maps()
    batch = MapArrays.stack(maps)
    counts = count_cycles(batch, range(1, 6))
    assert sum(len(found.words) for found in counts.values()) > 4
    for k, found in counts.items():
        total, stable = np.zeros(len(maps), int), np.zeros(len(maps), int)
        for word, example in zip(found.words, found.example):
            seen, calm, undecided = admissible_maps(batch, word)
            assert seen[example] and not (calm & ~seen).any() and not (undecided & seen).any()
            cycles = plr.cycles_of_itineraries(batch.at(int(example)), [word])
            np.testing.assert_array_equal(cycles.regions(0), word)
            total, stable = total + seen, stable + calm
        np.testing.assert_array_equal(total, found.num)
        np.testing.assert_array_equal(stable, found.num_stable)


def test_numbers_do_not_depend_on_the_order():
    batch = MapArrays.stack(plane_maps())
    order = np.random.default_rng(0).permutation(batch.num_maps)
    mixed = count_cycles(batch.pick(order), [1, 4])
    for k, found in count_cycles(batch, [1, 4]).items():
        for name in ("num", "num_stable", "num_undecided"):
            np.testing.assert_array_equal(getattr(found, name)[order], getattr(mixed[k], name))


def test_transitions_that_are_ruled_out_never_happen():
    draw = np.random.default_rng(5)
    maps = [random_plrnn(seed, 3, 2.0) for seed in range(8)]
    allowed = allowed_transitions(*MapArrays.stack(maps))
    assert not allowed.all()
    for row, map in enumerate(maps):
        states = 10 * draw.standard_normal((20_000, 3))
        now, later = (map.region_of(z) @ (1 << np.arange(3)) for z in (states, map.apply(states)))
        assert allowed[now, later, row].all()


def test_families_and_borders_are_undecided_not_counted():
    flip = plrnn_map(np.array([-1.0]), np.zeros((1, 1)), [1.0])  # every point has period 2
    center = plrnn_map(np.array([0.5]), np.zeros((1, 1)), [0.0])  # fixed point on the border
    runaway = plrnn_map(np.array([1.0]), np.zeros((1, 1)), [1.0])  # no cycle at all
    counts = count_cycles(MapArrays.stack([flip, center, runaway]), [1, 2])
    np.testing.assert_array_equal(counts[1].num, [1, 0, 0])
    np.testing.assert_array_equal(counts[2].num, 0)
    assert counts[2].num_undecided[0] == 1
    assert counts[1].num_undecided[1] == 2
    assert counts[1].num_undecided[2] == counts[2].num_undecided[2] == 0


def test_watch_sees_all_and_may_stop():
    batch = MapArrays.stack(plane_maps())
    shares = []
    count_cycles(batch, [1], watch=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) == 2
    before = threading.active_count()

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_cycles(batch, [1], watch=stop)
    assert threading.active_count() == before


def test_wrong_arguments():
    batch = MapArrays.stack([LOZI])
    assert fits_grid(2, 1, 18) and not fits_grid(2, 1, 19) and not fits_grid(2, 9, 1)
    with pytest.raises(ValueError, match="k H of at most 18"):
        count_cycles(batch, [19])
    with pytest.raises(ValueError, match="maps: expected networks of one shape"):
        MapArrays.stack([LOZI, tent(2.0)])
    with pytest.raises(ValueError, match="itinerary: expected a boolean array time x 1"):
        admissible_maps(batch, np.zeros((2, 2), bool))


@pytest.mark.parametrize("kind", ["relu-rnn", "clipped-dendritic", "shallow"])
def test_lowering_is_exact(kind):
    draw = np.random.default_rng(1)
    h, W = draw.standard_normal(2), draw.standard_normal((2, 2))
    if kind == "relu-rnn":
        model = plr.from_arrays(kind, W=W, b=h, leak=0.5, slope=0.1)
        axes = (plr.Axis("leak", (), 0.1, 0.9, 5), plr.Axis("slope", (), 0.0, 0.5, 4))
    elif kind == "shallow":
        model = plr.from_arrays(kind, A=[0.5, 0.6], W1=W, W2=W, h1=h, h2=h)
        axes = (plr.Axis("W1", (0, 1), -1, 1, 5), plr.Axis("h2", (0,), -1, 1, 4))
    else:
        model = plr.from_arrays(
            kind, A=[0.5, 0.6], W=W, h=h, alpha=[0.3, 0.4], thresholds=draw.standard_normal((2, 2))
        )
        axes = (plr.Axis("alpha", (0,), -1, 1, 5), plr.Axis("W", (0, 1), -1, 1, 4))
    plane = Plane(in_float64(model), axes)
    lowering = Lowering(plane)
    assert lowering.separable == (kind == "shallow")
    number = np.arange(plane.num_pixels)
    values = plane.pixels(number).values
    exact = MapArrays.stack([plane.at(row).as_piecewise_affine() for row in values])
    for made, wanted in zip(lowering.batch(number), exact):
        np.testing.assert_array_equal(made, wanted)
