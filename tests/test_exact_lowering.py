"""Proofs concern the network, not the nearest floats of its canonical form."""

from fractions import Fraction
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest

import plrjax as plr

SINGULAR = plr.from_arrays(
    "mean-centered",
    A=[-0.5, 0, -0.5],
    W=[[2, -2, -0.5], [1, -2, 1.5], [-2, -1, -2]],
    h=[-0.5, 0.5, 0.5],
)
"""det(I - J_D) = 0 for D = (1, 1, 0), with 1/3; with the nearest float it is not."""


MAP = SINGULAR.as_piecewise_affine()
FLOATS = plr.PiecewiseAffineMap(MAP.A, MAP.W1, MAP.W2, MAP.h1, MAP.h2)


def drawn(*shape):
    return np.round(np.random.default_rng(list(shape)).normal(size=shape), 1)


ALPHA, SHIFTS, W, C, S = drawn(2), drawn(2, 3), drawn(3, 3), drawn(3, 2), np.array([0.1, 0.7])


def exact(array) -> Any:
    return [exact(x) for x in array] if np.ndim(array) else Fraction(float(array))


def relu(x):
    return max(x, Fraction(0))


def times(matrix, vector):
    return [sum(a * x for a, x in zip(row, vector)) for row in exact(matrix)]


def mean_centered(z):
    mean = sum(z) / len(z)
    return times(W, [relu(x - mean) for x in z])


def dendritic(z, clipped):
    sums = [
        sum(
            a * (relu(x - b) - (relu(x) if clipped else 0))
            for a, b in zip(exact(ALPHA), exact(column))
        )
        for x, column in zip(z, SHIFTS.T)
    ]
    return times(W, sums)


def almost_linear(z):
    return times(W, [z[0], relu(z[1]), relu(z[2])])


def with_linear_part(term):
    """z -> A z + term(z) + h + C s, with A = .1, .2, .3 and h = .3, .2, .1."""

    def step(z):
        parts = zip(exact([0.1, 0.2, 0.3]), z, term(z), exact([0.3, 0.2, 0.1]), times(C, exact(S)))
        return [a * x + y + h + c for a, x, y, h, c in parts]

    return step


def leaky(z):
    leak, slope = Fraction(0.1), Fraction(0.3)
    y = [a + b + c for a, b, c in zip(times(W, z), exact([0.3, 0.2, 0.1]), times(C, exact(S)))]
    return [(1 - leak) * x + leak * (v if v > 0 else slope * v) for x, v in zip(z, y)]


def thresholds(z):
    """A z + W relu(z - h) + C s: h is within, not added."""
    bent = times(W, [relu(x - h) for x, h in zip(z, exact([0.3, 0.2, 0.1]))])
    return [
        a * x + y + c for a, x, y, c in zip(exact([0.1, 0.2, 0.3]), z, bent, times(C, exact(S)))
    ]


COMMON = {"A": [0.1, 0.2, 0.3], "W": W, "h": [0.3, 0.2, 0.1], "C": C}
BASES = {"alpha": ALPHA, "thresholds": SHIFTS}
NETWORKS = {
    "mean-centered": (COMMON, with_linear_part(mean_centered)),
    "dendritic": (COMMON | BASES, with_linear_part(lambda z: dendritic(z, False))),
    "clipped-dendritic": (COMMON | BASES, with_linear_part(lambda z: dendritic(z, True))),
    "almost-linear": (COMMON | {"num_relu": 2}, with_linear_part(almost_linear)),
    "threshold": (COMMON, thresholds),
    "relu-rnn": ({"W": W, "b": COMMON["h"], "leak": 0.1, "slope": 0.3, "C": C}, leaky),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_is_the_network_itself(name):
    arrays, step = NETWORKS[name]
    map = plr.from_arrays(name, **arrays).as_piecewise_affine(S)
    A, W1, W2, h1, h2 = (exact_or_float(x) for x in map.exactly())
    assert any(x.dtype == object for x in map.exactly())
    for z in exact(drawn(5, 3)):
        units = [relu(y + h) for y, h in zip(times_exact(W2, z), h2)]
        image = [a + b + h for a, b, h in zip(times_exact(A, z), times_exact(W1, units), h1)]
        assert image == step(z)


def exact_or_float(array):
    return np.vectorize(Fraction, [object])(array)


def times_exact(matrix, vector):
    return [sum(a * x for a, x in zip(row, vector)) for row in matrix]


def test_where_nothing_is_rounded_they_are_floats():
    for map in (
        plr.PLRNN(3, key=jr.key(0)).as_piecewise_affine(),
        plr.ClippedShallowPLRNN(2, 5, key=jr.key(0)).as_piecewise_affine(),
        plr.PiecewiseAffineMap([0.1], [[0.3]], [[1.0]], [1.0], [0.0]),
    ):
        assert [x.dtype for x in map.exactly()] == [np.float64] * 5


def test_floats_that_were_changed_stand_for_themselves():
    assert MAP.exactly()[2].dtype == object
    W2 = MAP.W2.copy()
    W2[0, 0] = np.nextafter(W2[0, 0], 1)
    changed = eqx.tree_at(lambda m: m.W2, MAP, W2)
    assert changed.exactly()[2].dtype == np.float64


def test_maps_of_one_shape_share_programs():
    traces = []

    @eqx.filter_jit
    def total(map):
        traces.append(1)
        return map.A.sum() + map.W2.sum()

    for h in ([0.0, 0, 0], [1.0, 0, 0]):
        other = eqx.tree_at(lambda m: m.h, SINGULAR, np.array(h))
        total(eqx.filter(other.as_piecewise_affine(), eqx.is_array))
    assert len(traces) == 1


def test_a_fixed_point_that_only_the_rounded_map_has():
    word = np.array([[True, True, False]])
    rounded = plr.cycles_of_itineraries(FLOATS, [word])
    assert len(rounded) == 1 and np.abs(rounded.points).max() > 1e15
    assert plr.certify(FLOATS, rounded, progress=plr.NoProgress()).proven_existence.all()
    assert not len(plr.cycles_of_itineraries(SINGULAR, [word]))
    proven = plr.certify(SINGULAR, rounded, progress=plr.NoProgress())
    assert not proven.proven_existence.any() and not proven.verified.any()
    found = plr.find_cycles(SINGULAR, [1, 2], key=jr.key(0), progress=plr.NoProgress())
    assert found.counts() == {1: 1, 2: 1}


def test_a_certificate_is_of_the_network(tmp_path):
    solver = plr.BranchAndBound(rigorous=True, certificate=tmp_path / "c.json")
    found = plr.find_cycles(SINGULAR, [1, 2, 3], solver=solver, progress=plr.NoProgress())
    assert found.coverage == plr.COVERAGE.certified
    proven = plr.verify(SINGULAR, tmp_path / "c.json")
    assert proven.counts() == found.counts() == {1: 1, 2: 1, 3: 0}
    with pytest.raises(ValueError, match="another model"):
        plr.verify(FLOATS, tmp_path / "c.json")
