"""Floquet multipliers against closed forms and direct eigenvalues."""

import numpy as np
import pytest
from systems import LOZI, random_plrnn, tent

import plrjax as plr
from plrjax import STABILITY

EPS = float(np.finfo(float).eps)


def product(J):
    P = np.eye(J.shape[-1])
    for step in J:
        P = step @ P
    return P


@pytest.mark.parametrize("size, period", [(1, 1), (2, 1), (5, 1), (2, 4), (3, 6), (6, 3)])
def test_multipliers_are_eigenvalues_of_the_product(size, period):
    J = np.random.default_rng(size + period).standard_normal((40, period, size, size))
    multipliers, errors = plr.floquet_multipliers(J)
    for row in range(40):
        P = product(J[row])
        expected = np.linalg.eigvals(P)
        bound = 1e4 * EPS * np.linalg.cond(np.linalg.eig(P)[1]) * np.abs(P).max()
        distance = np.abs(multipliers[row][:, None] - expected[None])
        assert distance.min(axis=1).max() <= max(bound, errors[row].max())
        assert distance.min(axis=0).max() <= max(bound, errors[row].max())


def test_small_multipliers_of_long_cycles_are_not_lost():
    """diag(3, 1/3) turned by a fixed frame: P has entries 3^200, its small eigenvalue is 3^-200."""
    frame = np.linalg.qr(np.random.default_rng(3).standard_normal((2, 2)))[0]
    J = np.broadcast_to(frame @ np.diag([3.0, 1 / 3]) @ frame.T, (1, 200, 2, 2))
    multipliers, _ = plr.floquet_multipliers(J)
    assert np.allclose(np.log(np.abs(multipliers[0])) / 200, [np.log(3), -np.log(3)], rtol=1e-12)


def test_complex_pairs_keep_their_angle():
    turn, k = 0.3, 50
    c, s = np.cos(turn), np.sin(turn)
    J = np.broadcast_to(0.99 * np.array([[c, -s], [s, c]]), (1, k, 2, 2))
    multipliers, _ = plr.floquet_multipliers(J)
    expected = 0.99**k * np.exp(1j * np.array([turn * k, -turn * k]))
    assert np.abs(np.sort_complex(multipliers[0]) - np.sort_complex(expected)).max() < 1e-13


def test_lozi_multipliers_multiply_to_the_determinant():
    """det DF = -b exactly, so the product of the multipliers of a k-cycle is (-b)^k."""
    cycles = plr.find_cycles(LOZI, range(1, 13), solver=plr.Exhaustive())
    expected = (-0.5) ** cycles.period.astype(float)
    assert np.allclose(cycles.multipliers.prod(axis=1), expected, rtol=1e-9)


def test_tent_multipliers_are_plus_or_minus_a_power_of_two():
    cycles = plr.find_cycles(tent(2.0), range(1, 11), solver=plr.Exhaustive())
    ones = np.array([cycles.regions(row).sum() for row in range(len(cycles))])
    expected = (-1.0) ** ones * 2.0 ** cycles.period.astype(float)
    assert np.array_equal(np.real(cycles.multipliers[:, 0]), expected)
    assert np.array_equal(cycles.index, np.where(expected > 1, -1, 1))
    assert (cycles.stability == STABILITY.unstable).all()


def test_singular_jacobians_give_zero_multipliers():
    J = np.zeros((1, 5, 3, 3))
    J[:, :, 0, 0] = 0.9
    multipliers, _ = plr.floquet_multipliers(J)
    assert np.allclose(np.abs(multipliers[0]), [0.9**5, 0, 0], atol=1e-15)


@pytest.mark.parametrize(
    "moduli, name",
    [
        ([0.5, 0.2], "stable"),
        ([1.5, 0.2], "saddle"),
        ([1.5, 1.2], "unstable"),
        ([1.0, 0.2], "nonhyperbolic"),
    ],
)
def test_classification(moduli, name):
    code = plr.classify(np.array([moduli], complex), np.full((1, 2), 1e-14))
    assert STABILITY(int(code[0])).name == name


def test_index_is_the_sign_of_the_determinant():
    for seed in range(20):
        J = np.random.default_rng(seed).standard_normal((1, 3, 4, 4))
        index = plr.cycle_index(*plr.floquet_multipliers(J))
        assert index[0] == np.sign(np.linalg.det(np.eye(4) - product(J[0])))


def test_closed_form_two_cycle():
    """2-D system of the public SCYFI notebooks at a_l = 0: points and multiplier moduli."""
    left, right = np.array([[0.0, 0.8], [-0.4, 0.2]]), np.array([[-1.5, 0.8], [0.5, 0.2]])
    map = plr.PiecewiseAffineMap(left, (right - left)[:, :1], [[1.0, 0.0]], [0.214, 0.0], [0.0])
    cycles = plr.find_cycles(map, 2, solver=plr.Exhaustive())
    assert len(cycles) == 1
    points = cycles.orbit(0)[np.argsort(-cycles.orbit(0)[:, 0])]
    expected = [[0.39668293, 0.15006098], [-0.26097561, 0.22835366]]
    assert np.abs(points - expected).max() < 5e-9
    P = left @ right
    assert np.allclose(
        np.sort(np.abs(cycles.multipliers[0])), np.sort(np.abs(np.linalg.eigvals(P)))
    )
    assert np.allclose(np.sort(np.abs(cycles.multipliers[0])), [0.417, 0.537], atol=5e-4)


def test_index_sum_is_the_degree():
    """1 - s|z| goes to -infinity on both sides, so z - F^k(z) has degree 0 for every k."""
    for slope in (1.9, 2.0):
        cycles = plr.find_cycles(tent(slope), range(1, 13), solver=plr.Exhaustive())
        assert [cycles.index_sum(k) for k in range(1, 13)] == [0] * 12


def test_index_sum_of_contracting_networks_is_one():
    for seed in range(5):
        map = random_plrnn(seed, 4, 0.4)
        assert plr.find_cycles(map, 1, solver=plr.Exhaustive()).index_sum(1) == 1
