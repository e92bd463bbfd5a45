"""Threshold-linear flows against an enumeration of supports, eigenvalues, and simulation."""

import functools
import itertools
from typing import Any, cast

import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax import STABILITY

EPSILON, DELTA = 0.25, 0.5


def ctln(edges: Any, size: int) -> plr.ThresholdLinearFlow:
    """W_ij = -1 + eps where j -> i, else -1 - delta; b = 1 (Morrison, Curto et al. 2016)."""
    W = np.full((size, size), -1.0 - DELTA)
    for source, target in edges:
        W[target, source] = -1.0 + EPSILON
    np.fill_diagonal(W, 0.0)
    return plr.ThresholdLinearFlow(W, np.ones(size))


def enumerated(flow) -> dict[tuple[int, ...], bool]:
    """Return supports of fixed points, and whether each is stable: one linear system for each."""
    found, everyone = {}, range(flow.state_size)
    for count in range(flow.state_size + 1):
        for support in map(list, itertools.combinations(everyone, count)):
            x = np.zeros(flow.state_size)
            inner = np.eye(count) - flow.W[np.ix_(support, support)]
            x[support] = np.linalg.solve(inner, flow.b[support])
            others = np.setdiff1d(everyone, support)
            if (x[support] > 0).all() and (flow.W[others] @ x + flow.b[others] <= 0).all():
                found[tuple(support)] = bool((np.linalg.eigvals(-inner).real < 0).all())
    return found


def found_by(flow) -> tuple[plr.CycleSet, dict[tuple[int, ...], bool]]:
    found = plr.find_fixed_points(flow, key=jr.key(0), progress=plr.NoProgress())
    stable = (found.stability == STABILITY.stable).tolist()
    return found, dict(zip(plr.cycles.supports(found), stable))


@functools.cache
def digraphs(size: int) -> list[tuple[tuple[int, int], ...]]:
    """Return a digraph of each isomorphism class."""
    pairs, known = list(itertools.permutations(range(size), 2)), set()
    for bits in itertools.product([0, 1], repeat=len(pairs)):
        edges = [pair for pair, bit in zip(pairs, bits) if bit]
        renamed = (
            tuple(sorted((p[a], p[b]) for a, b in edges))
            for p in itertools.permutations(range(size))
        )
        known.add(min(renamed))
    return sorted(known)


@pytest.mark.parametrize("size, count", [(1, 1), (2, 3), (3, 16), (4, 218)])
def test_supports_of_all_digraphs(size, count):
    graphs = digraphs(size)
    assert len(graphs) == count
    for edges in graphs:
        flow = ctln(edges, size)
        found, by_support = found_by(flow)
        assert by_support == enumerated(flow), edges
        assert found.coverage is plr.COVERAGE.complete_in_floating_point
        for point in found.points[:, 0]:
            np.testing.assert_allclose(flow.velocity(point), 0.0, atol=1e-14)


def test_published_examples():
    """The 3-cycle has one fixed point, unstable, and a limit cycle; a clique a stable one."""
    cycle = ctln([(0, 1), (1, 2), (2, 0)], 3)
    found, by_support = found_by(cycle)
    assert by_support == {(0, 1, 2): False} and found.stability[0] == STABILITY.saddle
    orbit = cycle.simulate([0.3, 0.2, 0.1], np.linspace(0.0, 200.0, 2001))[1000:]
    assert np.ptp(orbit, axis=0).min() > 0.1, "it goes on turning"
    _, clique = found_by(ctln([(0, 1), (1, 0)], 3))
    assert clique == {(0, 1): True, (2,): True, (0, 1, 2): False}
    expected = np.exp(np.linalg.eigvals(cycle.W - np.eye(3)))
    np.testing.assert_allclose(
        np.sort_complex(found.multipliers[0]), np.sort_complex(expected), rtol=1e-12
    )


def test_stability_is_that_of_the_flow():
    """W has eigenvalues 3i and -3i: the map [W x + b]+ is thrown off, the flow spirals in."""
    flow = plr.ThresholdLinearFlow([[0.0, -3.0], [3.0, 0.0]], [4.0, 1.0])
    found, by_support = found_by(flow)
    assert by_support == {(0, 1): True}
    np.testing.assert_allclose(found.points[0, 0], [0.1, 1.3], rtol=1e-14)
    expected = np.exp([-1 - 3j, -1 + 3j])
    np.testing.assert_allclose(
        np.sort_complex(found.multipliers[0]), np.sort_complex(expected), rtol=1e-13
    )
    end = flow.simulate([2.0, 0.0], [0.0, 40.0])[-1]
    np.testing.assert_allclose(end, [0.1, 1.3], atol=1e-8)


def test_a_file_says_what_it_is_when_asked(tmp_path):
    flow = ctln([(0, 1), (1, 2), (2, 0)], 3)
    np.savez(tmp_path / "flow.npz", W=flow.W, b=flow.b)
    loaded = plr.load(tmp_path / "flow.npz", kind="threshold-linear-flow")
    np.testing.assert_array_equal(loaded.W, flow.W)
    assert found_by(loaded)[1] == {(0, 1, 2): False}


def test_wrong_arguments():
    flow = ctln([], 2)
    for call, message in (
        (lambda: plr.ThresholdLinearFlow([[1.0]], [1.0, 2.0]), "W: expected shape 2 x 2"),
        (lambda: plr.find_fixed_points(flow, 2, key=jr.key(0)), "periods: expected 1 for a flow"),
        (lambda: plr.find_fixed_points(flow, key=jr.key(0), inputs=[1.0]), "inputs: expected None"),
        (lambda: flow.simulate([0.0, 0.0], [1.0, 0.0]), "times: expected two increasing"),
        (
            lambda: plr.find_cycles(cast(Any, flow), 1, key=jr.key(0)),
            "model: expected a piecewise-affine",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
