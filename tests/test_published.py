"""Published systems: every cycle the reference implementations list, and none beside."""

import itertools
import json

import jax.random as jr
import numpy as np
import pytest
from command import main
from systems import QUIET, check_cycles, public_systems

import plrjax as plr
from plrjax import COVERAGE


def check_system(system: dict, seed: int) -> None:
    """Search all orders up to the system's top one and compare with the published cycles."""
    cycles = plr.find_cycles(
        system["map"], range(1, system["max_period"] + 1), key=jr.key(seed), progress=QUIET
    )
    expected = {int(k): count for k, count in system["counts"].items()}
    found = {k: count for k, count in cycles.counts().items() if count}
    assert found == expected, f"{system['name']}, key {seed}"
    assert cycles.verified.all()
    assert cycles.coverage >= COVERAGE.saturated
    for order, listed in system["cycles"].items():
        here = cycles[cycles.period == int(order)]
        for cycle in listed:
            distance = np.abs(here.points[:, : int(order)] - cycle["z1"]).max(axis=2).min(axis=1)
            row = int(distance.argmin())
            assert distance[row] < 1e-6 * (1 + np.abs(cycle["z1"]).max())
            modulus = np.abs(here.multipliers[row]).max()
            assert modulus == pytest.approx(cycle["max_abs_multiplier"], rel=1e-6)
    check_cycles(system["map"], cycles)


def test_public_systems(shared):
    for system in public_systems(shared):
        check_system(system, 0)


@pytest.mark.slow
def test_public_systems_with_twenty_keys(shared):
    for system in public_systems(shared):
        for seed in range(20):
            check_system(system, seed)


def test_multistable_snapshots(shared):
    """150 snapshots of a shallow PLRNN (M=8, H=10): 478 fixed points, 1/3/5 in 32/72/46 of them."""
    path = shared / "data" / "networks" / "for_LE_multistable.mat"
    counts = []
    for snapshot in range(150):
        model = plr.load(path, kind="shallow", index=snapshot)
        cycles = plr.find_cycles(model, 1, solver=plr.Exhaustive(), progress=QUIET)
        assert cycles.index_sum(1) == 1
        assert cycles.verified.all()
        counts.append(len(cycles))
    values, number = np.unique(counts, return_counts=True)
    assert values.tolist() == [1, 3, 5] and number.tolist() == [32, 72, 46]
    assert sum(counts) == 478
    assert counts[0] == 5


def test_almost_linear_network_trained_on_lorenz(shared):
    """Two ReLU units of twenty: complete to order 11, searched to order 20."""
    path = shared / "data" / "networks" / "alrnn_lorenz_m20_p2.pt"
    model = plr.load(path, num_relu=2)
    cycles = plr.find_cycles(model, range(1, 21), key=jr.key(0), progress=QUIET)
    check_cycles(model.as_piecewise_affine(), cycles)
    assert cycles.verified.all()
    assert cycles.counts()[1] == 4
    complete = COVERAGE.complete_in_floating_point
    assert all(cycles.coverage_by_period[k] is complete for k in range(1, 12))
    walked = plr.find_cycles(model, [1, 2], key=jr.key(1), solver=plr.SCYFI(), progress=QUIET)
    assert np.array_equal(walked.points, cycles[cycles.period <= 2].points[:, :1])


def henon_cycles(period: int) -> int:
    """Return how many cycles of a minimal period the Henon map has (Biham and Wenzel 1989).

    The flow dx_t/dtau = s_t (1.4 - x_t^2 + .3 x_{t-1} - x_{t+1}) ends on the cycle of the signs s
    where there is one, and runs away elsewhere.
    """
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=period)))
    x, defect = signs / 2, signs
    for _ in range(6000):
        defect = 1.4 - x**2 + 0.3 * np.roll(x, 1, 1) - np.roll(x, -1, 1)
        x = np.clip(x + 0.05 * signs * defect, -10, 10)
    closed = signs[np.abs(defect).max(axis=1) < 1e-6]
    turns = range(1, period)
    prime = [s for s in closed if not any(np.array_equal(s, np.roll(s, t)) for t in turns)]
    assert len(prime) % period == 0
    return len(prime) // period


def test_embedded_network_has_the_cycles_of_the_map_it_learned():
    model, periods = plr.example_network(), range(1, 9)
    found = plr.find_cycles(model, periods, solver=plr.BranchAndBound(), progress=QUIET)
    assert found.coverage is COVERAGE.complete_in_floating_point
    assert found.coverage_domain == "all of R^M"
    assert found.counts() == {k: henon_cycles(k) for k in periods}
    check_cycles(model.as_piecewise_affine(), found)


def test_reference_of_the_embedded_network_is_that_of_the_literature(capsys):
    """Galias 2001; he leaves out the fixed point that lies off the attractor."""
    assert main(["cycles", "--periods", "1", "--solver", "exhaustive", "--json"]) == 0
    reference = json.loads(capsys.readouterr().out)["reference"]
    counts = {int(k): number for k, number in reference["counts"].items()}
    assert reference["name"] == "Henon map" and list(counts) == list(range(1, 14))
    assert list(counts.values()) == [2, 1, 0, 1, 0, 2, 4, 7, 6, 10, 14, 19, 32]
    assert [counts[k] for k in range(1, 9)] == [henon_cycles(k) for k in range(1, 9)]
