"""The Henon benchmark: cycles of the map, and how far those of a network agree with them."""

import functools
from types import SimpleNamespace

import jax.random as jr
import numpy as np

import plrjax as plr
from benchmarks import henon

NUMBERS = {1: 2, 2: 1, 4: 1, 5: 0, 7: 4}


@functools.cache
def orbits_of_the_map(period: int) -> np.ndarray:
    return henon.map_cycles(period)


def test_cycles_of_the_map_are_closed_and_as_many_as_known():
    for period, number in NUMBERS.items():
        orbits = orbits_of_the_map(period)
        assert len(orbits) == number
        assert np.abs(henon.defect(orbits)).max(initial=0.0) < 1e-12


def test_equal_numbers_are_told_from_equal_cycles():
    far = {1: np.array([0.01, 0.2]), 2: np.array([0.03]), 3: np.array([]), 4: np.array([1.5])}
    counts = {1: 2, 2: 1, 3: 0, 4: 1}
    found = SimpleNamespace(counts=lambda: counts)
    assert henon.agreement(found, counts | {4: 2}) == 3  # pyright: ignore[reportArgumentType]
    assert henon.agreement(found, counts) == henon.LONGEST  # pyright: ignore[reportArgumentType]
    assert henon.pairs_up_to(far, counts, counts) == 3
    assert henon.pairs_up_to(far, counts | {2: 2}, counts) == 1  # one of the network's is left over


def test_embedded_network_has_the_cycles_of_the_map_one_by_one():
    data = plr.systems.simulate(
        plr.systems.henon(a=henon.A, b=henon.B), henon.NUM_POINTS, key=jr.key(henon.DATA_SEED)
    )
    found = plr.find_cycles(plr.example_network(), NUMBERS, solver=plr.BranchAndBound())
    assert found.counts() == NUMBERS
    far = henon.distances(found, {k: orbits_of_the_map(k) for k in NUMBERS}, data)
    # in float64 the data are another orbit, with slightly other units
    assert far[1].max() < 0.35  # off the attractor, where there were no data
    assert max(apart.max(initial=0.0) for k, apart in far.items() if k > 1) < 0.15
