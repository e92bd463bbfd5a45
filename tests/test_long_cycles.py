"""Long unstable cycles: accuracy does not depend on the period."""

import functools
from fractions import Fraction

import flint
import numpy as np
import pytest
from systems import LOZI, tent

import plrjax as plr
from plrjax.words import canonical, pack


def random_primitive_words(period: int, count: int) -> np.ndarray:
    """Return seeded random words of one unit; a repetition among them would be an error."""
    words = np.random.default_rng(period).random((count, period, 1)) < 0.5
    for divisor in range(1, period):
        if period % divisor == 0:
            repeated = (words == np.roll(words, divisor, axis=1)).all(axis=(1, 2))
            assert not repeated.any()
    return words


def exact_tent_orbit(word: np.ndarray) -> list[Fraction]:
    """Return the points of a word of z' = 1 - 2|z| as exact fractions."""
    slope, offset = Fraction(1), Fraction(0)
    for on in word:
        sign = -2 if on else 2
        slope, offset = sign * slope, sign * offset + 1
    points = [offset / (1 - slope)]
    for on in word[:-1]:
        points.append((-2 if on else 2) * points[-1] + 1)
    return points


@pytest.mark.parametrize("period", [60, 160, 320])
def test_every_word_of_the_full_tent_map_is_a_cycle(period):
    """All 1,000 words verified; points of 100 of them within 1e-12 of the exact rationals."""
    map, words = tent(2.0), random_primitive_words(period, 1000)
    cycles = plr.cycles_of_itineraries(map, words)
    assert len(cycles) == 1000 and cycles.verified.all()
    assert (cycles.period == period).all()
    assert (np.abs(cycles.multipliers[:, 0]) == 2.0**period).all()
    for row in range(0, 1000, 10):
        exact = exact_tent_orbit(cycles.regions(row)[:, 0])
        error = max(
            abs(float(Fraction(float(z)) - x)) for z, x in zip(cycles.orbit(row)[:, 0], exact)
        )
        assert error <= 1e-12
        assert error <= cycles.error_bound[row]


def simulated_itineraries(map, period: int, count: int) -> np.ndarray:
    """Return itineraries of orbits on the attractor."""
    z = 0.1 * np.random.default_rng(period).standard_normal((count, map.state_size))
    for _ in range(200):
        z = map.apply(z)
    itineraries = np.empty((count, period, map.num_units), bool)
    for t in range(period):
        itineraries[:, t] = map.region_of(z)
        z = map.apply(z)
    return itineraries


class BallMap:
    """A map of one unit in 1200-bit ball arithmetic: z -> J z + c where the unit is off, and on."""

    def __init__(self, map):
        self.size, (unit,) = map.state_size, range(map.num_units)
        A, W1, self.W2 = _balls(map.A), _balls(map.W1), _balls(map.W2)
        self.h2 = flint.arb(float(map.h2[unit]))
        h1 = _balls(map.h1[:, None])
        self.J, self.c = (A, A + W1 * self.W2), (h1, h1 + W1 * self.h2)

    def least_signed_pre_activation(self, word: np.ndarray):
        """Return an enclosure of min over time of ±(W2 z + h2) on the candidate of a word."""
        P, q = _balls(np.eye(self.size)), _balls(np.zeros((self.size, 1)))
        for on in word[:, 0].tolist():
            P, q = self.J[on] * P, self.J[on] * q + self.c[on]
        z = (_balls(np.eye(self.size)) - P).solve(q)
        signed = []
        for on in word[:, 0].tolist():
            y = (self.W2 * z)[0, 0] + self.h2
            signed.append(y if on else -y)
            z = self.J[on] * z + self.c[on]
        return functools.reduce(lambda a, b: a.min(b), signed)


def _balls(matrix) -> flint.arb_mat:
    return flint.arb_mat([[flint.arb(float(x)) for x in row] for row in np.atleast_2d(matrix)])


@pytest.mark.parametrize("period", [60, 80, 160])
@pytest.mark.parametrize("name", ["lozi", "tent-1.9"])
def test_itineraries_of_orbits_are_judged_right(name, period):
    """At least 99 % of the admissible words verified, none accepted falsely (ball arithmetic)."""
    map = {"lozi": LOZI, "tent-1.9": tent(1.9)}[name]
    words = simulated_itineraries(map, period, 1000)
    cycles = plr.cycles_of_itineraries(map, words)
    known = {cycles.itinerary[i, :k].tobytes() for i, k in enumerate(cycles.period)}
    assert cycles.verified.all()
    verified = np.array([canonical(pack(word)).tobytes() in known for word in words])
    precision, flint.ctx.prec = flint.ctx.prec, 1200
    try:
        exact = BallMap(map)
        least = [exact.least_signed_pre_activation(word) for word in words]
    finally:
        flint.ctx.prec = precision
    admissible = np.array([bool(value > 0) for value in least])
    assert all(bool(value > 0) or bool(value < 0) for value in least)
    assert not (verified & ~admissible).any()
    assert admissible.sum() > 300
    assert (verified & admissible).sum() >= 0.99 * admissible.sum()


def test_search_finds_long_unstable_cycles():
    """60-cycles of the tent map: hits are verified, where plain products fail."""
    import jax.random as jr
    from systems import QUIET, check_cycles

    map = tent(2.0)
    cycles = plr.find_cycles(
        map, 60, key=jr.key(0), solver=plr.SCYFI(), num_searches=500, progress=QUIET
    )
    assert cycles.stats["segments"][60] >= 2
    assert cycles.stats["converged"][60] > 300
    assert len(cycles) > 100
    # Binary orbits of slope 2 end on 0 after 53 steps, so some walks find cycles that pass it
    # closer than rounding tells: rationals decide these.
    assert cycles.verified.all() and cycles.error_bound.max() < 1e-12
    check_cycles(map, cycles)
    for row in range(0, len(cycles), 20):
        exact = exact_tent_orbit(cycles.regions(row)[:, 0])
        assert abs(float(exact[0]) - cycles.points[row, 0, 0]) < 1e-12
