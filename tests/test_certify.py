"""Proofs of single cycles: held against closed forms and against fractions solved here."""

from fractions import Fraction

import jax.random as jr
import numpy as np
import pytest
from exact_words import (
    certified,
    check_bounds,
    composed,
    enumerated,
    exact_orbit,
    exact_stability,
    set_of,
)
from systems import (
    EIGHTY,
    LOZI,
    LOZI_PRIMES,
    QUIET,
    SIXTEEN,
    chaotic,
    planted,
    plrnn_map,
    tent,
    words_of,
)

import plrjax as plr
from plrjax import STABILITY, PiecewiseAffineMap
from plrjax.words import canonical, pack


@pytest.mark.parametrize("slope", [1.25, 1.75, 2.0])
def test_tent_map(slope):
    found = enumerated(tent(slope), range(1, 7))
    proven = certified(tent(slope), found)
    assert words_of(proven) == words_of(found) and len(found) > 3
    assert proven.proven_existence.all() and proven.proven_stability.all()
    assert (proven.stability == STABILITY.unstable).all()
    assert (np.abs(proven.multipliers[:, 0]) == slope ** proven.period.astype(float)).all()
    points = sorted(proven.points[proven.period == 1, 0, 0])
    assert points == pytest.approx([1 / (1 - slope), 1 / (1 + slope)], rel=1e-15)
    check_bounds(tent(slope), proven)


def test_lozi_map():
    found = enumerated(LOZI, range(1, 13))
    proven = certified(LOZI, found)
    assert proven.proven_existence.all() and (proven.stability == STABILITY.saddle).all()
    assert proven.proven_stability.all() and not proven.notes
    assert {k: n for k, n in proven.counts().items() if k in LOZI_PRIMES} == {
        k: n for k, n in LOZI_PRIMES.items() if k <= 12
    }
    check_bounds(LOZI, proven[:20])


@pytest.mark.parametrize("system, period", [(SIXTEEN, 16), (EIGHTY, 80)], ids=["16", "80"])
def test_public_systems(system, period):
    """There are two k-cycles: a stable one, which an orbit finds, and maybe nearby, a saddle."""
    map, z = plrnn_map(**system), np.zeros(2)
    for _ in range(5_000):
        z = map.apply(z)
    word = []
    for _ in range(period):
        word.append(map.region_of(z))
        z = map.apply(z)
    words = [np.array(word)] + [np.array(word) for _ in range(2 * period)]
    for bit in range(2 * period):
        words[1 + bit].reshape(-1)[bit] ^= True
    proven = certified(map, set_of(map, words))
    assert proven.proven_existence[0] and proven.stability[0] == STABILITY.stable
    others = np.flatnonzero(proven.proven_existence[1:]) + 1
    saddles = {canonical(pack(words[row])).tobytes() for row in others}
    assert len(saddles) == 1 if period == 16 else len(saddles) <= 1
    assert (proven.stability[others] == STABILITY.saddle).all()
    assert proven.proven_stability[[0, *others]].all()
    assert np.array_equal(proven.verified, proven.proven_existence)
    check_bounds(map, proven)


def drawn(seed, scale=1.0):
    """Return a small map and words, some of them of cycles; ties happen for two in three seeds."""
    draw = np.random.default_rng([seed, 7])
    size, units = int(draw.integers(1, 4)), int(draw.integers(1, 4))

    def numbers(*shape):
        if seed % 3 == 2:
            return draw.standard_normal(shape)
        return draw.integers(-3, 4, shape) / (1 + seed % 3)

    map = PiecewiseAffineMap(
        numbers(size, size),
        numbers(size, units) * scale,
        numbers(units, size) / scale,
        numbers(size) * scale,
        numbers(units),
    )
    words = [draw.random((int(draw.integers(1, 4)), units)) < 0.5 for _ in range(6)]
    found = enumerated(map, [1, 2, 3] if units < 3 else [1, 2])
    return map, words + [found.regions(row) for row in range(len(found))]


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-6])
def test_proofs_are_those_of_fractions(scale):
    existing = refuted = settled = 0
    for seed in range(60 if scale == 1.0 else 20):
        map, words = drawn(seed, scale)
        proven = certified(map, set_of(map, words))
        check_bounds(map, proven)
        for row, word in enumerate(words):
            true = exact_orbit(map, word)
            assert proven.proven_existence[row] == (true is not None)
            refuted += int(not proven.verified[row])
            if true is None:
                assert not proven.proven_stability[row]
                continue
            existing += 1
            known = exact_stability(composed(map, word)[0])
            code = proven.stability[row]
            assert proven.verified[row]
            if proven.proven_stability[row]:
                settled += 1
                assert code == known if known is not None else code in (
                    STABILITY.saddle, STABILITY.nonhyperbolic,
                )  # fmt: skip
                values = np.linalg.eigvals(map.compose(word)[0])
                gap = np.abs(np.sort(np.abs(values)) - np.sort(np.abs(proven.multipliers[row])))
                assert (gap <= 1e-4 * (1 + np.abs(values).max())).all()
    assert existing > 20 and refuted > 20 and settled == existing


def linear(A, h):
    """A map whose one unit is on and does nothing."""
    size = len(h)
    return PiecewiseAffineMap(A, np.zeros((size, 1)), np.zeros((1, size)), h, [1.0])


@pytest.mark.parametrize(
    "map, word",
    [
        (tent(1.0), [[1]]),
        (linear([[0.0, -1.0], [1.0, 0.0]], [1.0, 1.0]), [[1]]),
        (linear([[1.5, -1.0], [1.0, 0.0]], [1.0, 0.0]), [[1]]),
        (linear(np.kron(np.eye(2), [[1.5, -1.0], [1.0, 0.0]]), [1.0, 0.0, 0.0, 1.0]), [[1]]),
        (linear(np.diag([0.5, -1.0, 3.0]), [1.0, 1.0, 1.0]), [[1]]),
    ],
    ids=["flip", "quarter turn", "center", "two centers", "flip of a saddle"],
)
def test_modulus_one_is_proven_as_such(map, word):
    proven = certified(map, set_of(map, [np.array(word)]))
    assert proven.proven_existence.all() and proven.proven_stability.all()
    assert proven.stability[0] == STABILITY.nonhyperbolic
    assert np.isclose(np.abs(proven.multipliers[0]), 1.0, atol=1e-15).any()


@pytest.mark.parametrize("step, kind", [(-1, STABILITY.stable), (1, STABILITY.unstable)])
def test_moduli_next_to_one_are_told_from_it(step, kind):
    """det P = 1 -+ 2^-52 is the square of the modulus of a complex pair."""
    map = linear([[1.5, -1.0 - step * 2.0**-52], [1.0, 0.0]], [1.0, 0.0])
    found = enumerated(map, 1)
    assert found.stability[0] == STABILITY.nonhyperbolic
    proven = certified(map, found)
    assert proven.proven_stability[0] and proven.stability[0] == kind
    small = linear([[1.0 + step * 2.0**-53 * (1 if step < 0 else 2)]], [1.0])
    assert certified(small, set_of(small, [[[1]]])).stability[0] == kind


@pytest.mark.parametrize(
    "map, word",
    [
        (tent(1.0), [[0], [1]]),
        (PiecewiseAffineMap([[0.5]], [[-1.5]], [[1.0]], [0.0], [0.0]), [[0]]),
        (plrnn_map([0.5, 0.25], [[0, 1], [1, 0]], [1.0, -2.0]), [[1, 0]]),
    ],
    ids=["two-cycle of a flip", "fixed point at the kink", "one of two units"],
)
def test_points_on_the_border_are_not_proven(map, word):
    proven = certified(map, set_of(map, [word]))
    assert not proven.proven_existence.any() and not proven.proven_stability.any()
    assert not proven.verified[0] and "exactly on a switching boundary" in proven.notes[0]


def test_marginal_family_is_not_proven():
    """z' = z below 0: every point there is a fixed point."""
    map = PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [0.0], [0.0])
    found = enumerated(map, 1)
    family = np.flatnonzero(~np.isfinite(found.condition))
    assert family.size == 1
    proven = certified(map, found)
    assert not proven.proven_existence[family].any() and not proven.verified[family].any()
    assert any("I - P is singular" in note for note in proven.notes)
    assert np.array_equal(proven.points[family], found.points[family])


def test_singular_word_without_solution_is_refuted():
    map = PiecewiseAffineMap([[1.0]], [[-0.5]], [[1.0]], [1.0], [0.0])
    proven = certified(map, set_of(map, [[[0]], [[1]]]))
    assert proven.proven_existence.tolist() == proven.verified.tolist() == [False, True]
    assert "row 0: no cycle" in proven.notes[0]


def test_defective_multipliers():
    """Nilpotent part: 0 is a double eigenvalue with one eigenvector."""
    map = linear([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 2.0]], [1.0, 2.0, 3.0])
    proven = certified(map, set_of(map, [[[1]]]))
    assert proven.proven_stability[0] and proven.stability[0] == STABILITY.saddle
    assert proven.multipliers[0].tolist() == [2.0, 0.0, 0.0]


def test_units_that_do_not_look_at_the_state():
    """Their sign is that of h2; at h2 = 0 they are off."""
    map = PiecewiseAffineMap([[0.5]], [[1.0, 2.0, 4.0]], np.zeros((3, 1)), [1.0], [1.0, 0.0, -1.0])
    proven = certified(map, set_of(map, [[[1, 0, 0]], [[1, 1, 0]], [[0, 0, 0]], [[1, 0, 1]]]))
    assert proven.proven_existence.tolist() == [True, False, False, False]
    assert not proven.verified[1:].any() and proven.points[0, 0, 0] == 4.0


def test_map_without_units():
    map = PiecewiseAffineMap([[0.5]], np.zeros((1, 0)), np.zeros((0, 1)), [1.0], np.zeros(0))
    proven = certified(map, enumerated(map, [1, 2]))
    assert proven.proven_existence.tolist() == [True] and proven.orbit(0).tolist() == [[2.0]]


def test_altered_words_are_refuted_and_altered_points_restored():
    map = chaotic(592)
    found = plr.find_cycles(map, range(1, 6), key=jr.key(1), num_searches=64, progress=QUIET)
    true, words = certified(map, found), words_of(found)
    assert true.proven_existence.all() and len(found) > 3
    altered = 0
    for row in range(len(found)):
        for unit in range(map.num_units):
            word = found.regions(row)
            word[0, unit] ^= True
            root = canonical(pack(word))
            if len(root) < len(word) or (len(root), root.tobytes()) in words:
                continue
            proven = certified(map, set_of(map, [word]))
            assert (exact_orbit(map, word) is None) == (not proven.proven_existence[0])
            altered += not proven.verified[0]
    assert altered > 3
    again = certified(map, set_of(map, [found.regions(row) for row in range(len(found))]))
    for name in ("error_bound", "residual", "margin", "stability", "index"):
        assert np.array_equal(getattr(again, name), getattr(true, name))
    for row in range(len(found)):
        assert np.array_equal(again.orbit(row), true.orbit(row))
        assert np.allclose(true.orbit(row), found.orbit(row), rtol=0, atol=1e-9)


def test_repeated_word_is_no_cycle_of_its_length():
    twice = [[1], [1]]
    proven = certified(tent(1.5), set_of(tent(1.5), [twice]))
    assert not proven.verified[0] and "repeats" in proven.notes[0]


def test_long_cycle_needs_more_bits_than_rationals_may_have():
    """Tent map of slope 2: 1 + z doubles below 0 and z_1 = 1 - 2 z_k, so z_k is known."""
    map = tent(2.0)
    word = np.zeros((1500, 1), bool)
    word[-1] = True
    proven = certified(map, set_of(map, [word]))
    assert proven.proven_existence[0] and proven.stability[0] == STABILITY.unstable
    true = Fraction(2**1500 - 1, 2**1500 + 1)
    assert abs(Fraction(proven.orbit(0)[-1, 0]) - true) <= Fraction(proven.error_bound[0])
    check_bounds(map, proven)


def planted_cycle(seed, period=10, size=100, units=100, decay=0.3):
    """W1 of least norm that takes random points to each other in turn."""
    draw = np.random.default_rng(seed)
    Z = draw.standard_normal((size, period))
    A = np.diag(draw.uniform(-decay, decay, size))
    W2, h2 = draw.standard_normal((units, size)) / np.sqrt(size), draw.standard_normal(units)
    features = np.maximum(W2 @ Z + h2[:, None], 0.0)
    W1 = (np.roll(Z, -1, axis=1) - A @ Z) @ np.linalg.pinv(features)
    map = PiecewiseAffineMap(A, W1, W2, np.zeros(size), h2)
    return map, map.region_of(Z.T), Z.T


@pytest.mark.parametrize("seed", [0, 1])
def test_large_networks(seed):
    map, word, points = planted_cycle(seed)
    proven = certified(map, set_of(map, [word]))
    assert proven.proven_existence[0] and proven.proven_stability[0]
    assert np.allclose(proven.orbit(0), points, atol=1e-9)
    moduli = np.abs(np.linalg.eigvals(map.compose(word)[0]))
    assert proven.stability[0] == plr.classify(moduli[None] + 0j, np.zeros((1, 100)))[0]
    assert np.allclose(np.abs(proven.multipliers[0, :20]), np.sort(moduli)[::-1][:20], atol=1e-6)


@pytest.mark.parametrize("gain", [0.5, 1.0, 3.0])
def test_planted_fixed_points_of_large_networks(gain):
    size = 80
    map, draw = planted(3, size, gain), np.random.default_rng([3, size])
    draw.standard_normal((size, size))
    z = draw.standard_normal(size)
    proven = certified(map, set_of(map, [map.region_of(z)[None]]))
    assert proven.proven_existence[0] and proven.proven_stability[0]
    assert np.allclose(proven.orbit(0), z, atol=1e-9)
    P, _ = map.affine_piece(map.region_of(z))
    moduli = np.abs(np.linalg.eigvals(P))
    assert proven.stability[0] == plr.classify(moduli[None] + 0j, np.zeros((1, size)))[0]
    assert proven.index[0] == np.sign(np.linalg.det(np.eye(size) - P))
