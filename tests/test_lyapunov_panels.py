"""More vectors than one panel: Gram-Schmidt panel by panel against Householder's QR."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax._lyapunov._frames import separate_rows
from plrjax._numerics import EPS, float64_scope


def pushed(vectors: int, nats: float) -> np.ndarray:
    """Vectors as a Jacobian leaves them, all nearly parallel to the first: R_ii fall by `nats`."""
    draw = np.random.default_rng([vectors, round(nats)])
    R = np.triu(0.3 * draw.standard_normal((vectors, vectors)), 1) + np.eye(vectors)
    R = np.exp(-np.linspace(0.0, nats, vectors))[:, None] * R
    return (np.linalg.qr(draw.standard_normal((vectors, vectors)))[0] @ R).T[None]


@pytest.mark.parametrize("vectors, nats", [(65, 8.0), (150, 2.0), (150, 10.0), (150, 14.0)])
def test_panels_find_the_factors_of_householder(vectors, nats):
    """R_ii to eps times their rounding, and a frame as orthonormal as its strain says."""
    rows = pushed(vectors, nats)
    with float64_scope():
        found = separate_rows(jnp.asarray(rows))
    exact = np.abs(np.diagonal(np.linalg.qr(rows[0].T, mode="r")))
    error = np.abs(np.asarray(found.lengths)[:, 0] / exact - 1.0)
    frame, strain = np.asarray(found.frames)[0], float(found.strain[0])
    off = np.abs(frame @ frame.T - np.eye(vectors)).max()
    assert (error < 150 * EPS * np.asarray(found.rounding)[:, 0] + off**2).all()
    assert strain < 1.0 and off < 0.02 * strain + 150 * EPS


def test_a_panel_too_uneven_is_strained():
    """Where a frame is orthonormal to less than .01 the steps must be repeated."""
    with float64_scope():
        found = separate_rows(jnp.asarray(pushed(150, 22.0)))
    frame = np.asarray(found.frames)[0]
    assert np.abs(frame @ frame.T - np.eye(150)).max() > 0.01
    assert float(found.strain[0]) > 1.0


def test_panels_of_a_linear_map():
    """All exponents of z' = diag(d) z are ln|d|."""
    size = 96
    factors = np.exp(-np.linspace(0.0, 3.0, size))

    def step(z):
        return jnp.asarray(factors) * z

    found = plr.lyapunov_spectrum(
        step, np.ones(size), key=jr.key(0), num_steps=300, num_transient=2_500, num_orbits=1,
        spread=0, progress=plr.NoProgress(),
    )  # fmt: skip
    slack = 1e-9 + 5.0 * found.standard_error
    assert (np.abs(found.exponents - np.log(factors)) < slack).all()
