"""Exact rational enumeration of small maps: what is verified is true, nothing true is missing."""

import itertools

import flint
import jax.random as jr
import numpy as np
import pytest
from systems import QUIET

import plrjax as plr
from plrjax.words import canonical, pack


def rational(matrix):
    """Return floats as an exact matrix."""
    rows = np.atleast_2d(np.asarray(matrix, float))
    entries = [flint.fmpq(*float(x).as_integer_ratio()) for x in rows.ravel()]
    return flint.fmpq_mat(len(rows), rows.shape[1], entries)


def exact_words(map, period):
    """Return the canonical words of all k-cycles strictly inside their subregions."""
    A, W1, W2 = rational(map.A), rational(map.W1), rational(map.W2)
    h1, h2 = rational(map.h1[:, None]), rational(map.h2[:, None])
    eye = rational(np.eye(map.state_size))
    pieces = {}
    for bits in itertools.product([False, True], repeat=map.num_units):
        mask = rational(np.diag(np.array(bits, float)))
        pieces[bits] = (A + W1 * mask * W2, W1 * mask * h2 + h1)
    found = set()
    for word in itertools.product(pieces, repeat=period):
        packed = pack(np.array(word, bool))
        if not np.array_equal(canonical(packed), packed):
            continue
        P, c = eye, rational(np.zeros((map.state_size, 1)))
        for bits in word:
            P, c = pieces[bits][0] * P, pieces[bits][0] * c + pieces[bits][1]
        if (eye - P).det() == 0:
            continue
        if strictly_inside(word, pieces, (eye - P).solve(c), W2, h2):
            found.add((period, packed.tobytes()))
    return found


def strictly_inside(word, pieces, z, W2, h2):
    for bits in word:
        y = W2 * z + h2
        if any(y[i, 0] == 0 or (y[i, 0] > 0) != bit for i, bit in enumerate(bits)):
            return False
        z = pieces[bits][0] * z + pieces[bits][1]
    return True


def random_map(seed):
    """A map with small integer, half-integer or Gaussian parameters: exact ties happen."""
    draw = np.random.default_rng(seed)
    size, units = int(draw.integers(1, 4)), int(draw.integers(1, 4))

    def numbers(*shape):
        if seed % 3 == 2:
            return draw.standard_normal(shape)
        return draw.integers(-3, 4, shape) / (1 + seed % 3)

    parts = numbers(size, size), numbers(size, units), numbers(units, size)
    return plr.PiecewiseAffineMap(*parts, numbers(size), numbers(units))


@pytest.mark.parametrize("solver", ["schur", "plain", "scyfi"])
def test_verified_cycles_are_the_exact_ones(solver):
    solvers = {
        "schur": plr.Exhaustive(),
        "plain": plr.Exhaustive(plr.PlainLoop()),
        "scyfi": plr.SCYFI(lanes=128, min_searches=512),
    }
    total = missed = 0
    for seed in range(15 if solver == "scyfi" else 60):
        map = random_map(seed)
        periods = [k for k in range(1, 4) if k * map.num_units <= 6]
        cycles = plr.find_cycles(
            map, periods, key=jr.key(seed), solver=solvers[solver], progress=QUIET
        )
        verified = {
            (int(k), cycles.itinerary[row, :k].tobytes())
            for row, k in enumerate(cycles.period)
            if cycles.verified[row] and cycles.margin[row] > 0
        }
        exact = set().union(*(exact_words(map, k) for k in periods))
        assert verified <= exact, f"seed {seed}: a cycle that is none"
        total, missed = total + len(exact), missed + len(exact - verified)
    assert total > (10 if solver == "scyfi" else 60)
    assert missed == 0 if solver != "scyfi" else missed <= 0.05 * total
