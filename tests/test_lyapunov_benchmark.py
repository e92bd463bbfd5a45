"""The compiled loops that plrjax is timed against find the same exponents."""

import pathlib
import sys

import jax.random as jr
import numpy as np
import pytest

import plrjax as plr

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import lyapunov_reference as reference


def model() -> plr.PLRNN:
    """A stable fixed point with all units on: its exponents are ln|eigenvalues of A + W|."""
    return plr.from_arrays(
        "plrnn", A=[0.5, 0.6, 0.2], W=np.triu(np.full((3, 3), 0.1), 1), h=[0.5, 0.5, 0.5]
    )


@pytest.mark.parametrize("interval", [1, 4])
def test_loops_find_the_exponents_of_a_fixed_point(interval):
    for name, run in reference.competitors(model(), interval).items():
        run.length = 500
        run()
        np.testing.assert_allclose(run.exponents(), np.log([0.6, 0.5, 0.2]), atol=1e-9), name


def test_loops_and_plrjax_agree_in_chaos():
    draw = np.random.default_rng([138, 3])
    A = draw.uniform(0.3, 0.6, 3)
    W = 4.0 * draw.standard_normal((3, 3)) / np.sqrt(3)
    np.fill_diagonal(W, 0.0)
    chaotic = plr.from_arrays("plrnn", A=A, W=W, h=draw.standard_normal(3))
    found = plr.lyapunov_spectrum(chaotic, np.full(3, 0.1), num_steps=5_000, key=jr.key(0))
    assert found.exponents[0] > 0.1
    for run in reference.competitors(chaotic).values():
        run.length = 200_000
        run()
        error = 3 * found.standard_error[0] + 3e-3
        assert abs(run.exponents()[0] - found.exponents[0]) < error
