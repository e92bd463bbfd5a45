"""Small linear algebra against NumPy: elimination, cyclic systems, Gram-Schmidt, split spectra."""

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plrjax import STABILITY, _elimination
from plrjax._elimination import CyclicSystem
from plrjax._lyapunov._frames import separate_rows
from plrjax._numerics import EPS, float64_scope
from plrjax.cycles.proofs._spectrum_split import split_stability

batched_solve = jax.jit(_elimination.batched_solve, static_argnames="unrolled")
block_cyclic_solve = jax.jit(_elimination.block_cyclic_solve, static_argnames="unrolled")


def dense(J):
    """Return the matrix of z_{t+1} - J_t z_t (cyclic)."""
    period, size = J.shape[:2]
    matrix = np.zeros((period, size, period, size))
    for t in range(period):
        matrix[t, :, t, :] -= J[t]
        matrix[t, :, (t + 1) % period, :] += np.eye(size)
    return matrix.reshape(period * size, -1)


@pytest.mark.parametrize("unrolled", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_batched_solve_agrees_with_numpy(size, unrolled):
    draw = np.random.default_rng(size)
    S, b = draw.standard_normal((50, size, size)), draw.standard_normal((50, size))
    with float64_scope():
        system = jnp.asarray(np.concatenate([S, b[..., None]], axis=2).transpose(1, 2, 0))
        x, regular = batched_solve(system, unrolled=unrolled)
        x, regular = np.asarray(x).T, np.asarray(regular)
    expected = np.linalg.solve(S, b[..., None])[..., 0]
    error = np.abs(x - expected).max(axis=1)
    assert regular.all()
    assert (error <= 100 * EPS * np.linalg.cond(S) * np.abs(expected).max(axis=1)).all()


@pytest.mark.parametrize("unrolled", [True, False])
def test_singular_systems_are_marked(unrolled):
    S = np.stack([np.eye(3), np.ones((3, 3)), np.diag([1.0, 0.0, 2.0])])
    with float64_scope():
        system = jnp.asarray(np.concatenate([S, np.ones((3, 3, 1))], axis=2).transpose(1, 2, 0))
        _, regular = batched_solve(system, unrolled=unrolled)
        assert np.asarray(regular).tolist() == [True, False, False]


@pytest.mark.parametrize("unrolled", [True, False])
@pytest.mark.parametrize("segments", [2, 3, 8])
def test_block_cyclic_solve_agrees_with_dense(segments, unrolled):
    draw = np.random.default_rng(segments)
    lanes, size = 20, 3
    P = draw.standard_normal((lanes, segments, size, size))
    c = draw.standard_normal((lanes, segments, size))
    with float64_scope():
        Z, regular = block_cyclic_solve(
            jnp.asarray(P.transpose(1, 2, 3, 0)),
            jnp.asarray(c.transpose(1, 2, 0)),
            unrolled=unrolled,
        )
        Z = np.asarray(Z).transpose(2, 0, 1)
        assert np.asarray(regular).all()
    for lane in range(lanes):
        matrix = dense(P[lane])
        expected = np.linalg.solve(matrix, c[lane].reshape(-1)).reshape(segments, size)
        bound = 1e3 * EPS * np.linalg.cond(matrix) * np.abs(expected).max()
        assert np.abs(Z[lane] - expected).max() <= bound


@pytest.mark.parametrize("period", [1, 2, 3, 9])
def test_cyclic_system_agrees_with_dense(period):
    draw = np.random.default_rng(period)
    J = draw.standard_normal((30, period, 4, 4))
    b = draw.standard_normal((30, period, 4))
    system = CyclicSystem(J)
    z, adjoint = system.solve(b), system.transposed().solve(b[:, ::-1])[:, ::-1]
    norms = system.inverse_norm()
    for lane in range(30):
        matrix = dense(J[lane])
        bound = 1e3 * EPS * np.linalg.cond(matrix)
        right = b[lane].reshape(-1)
        for got, expected in (
            (z, np.linalg.solve(matrix, right)),
            (adjoint, np.linalg.solve(matrix.T, right)),
        ):
            assert np.abs(got[lane].reshape(-1) - expected).max() <= bound * np.abs(expected).max()
        true = np.abs(np.linalg.inv(matrix)).sum(axis=1).max()
        assert true / 3 <= norms[lane] <= true * (1 + 1e-6)


def test_error_does_not_grow_with_the_period():
    """z_{t+1} = ±2 z_t + 1: products reach 2^400, the solution stays accurate."""
    sign = np.random.default_rng(0).choice([-2.0, 2.0], size=(1, 400, 1, 1))
    z = CyclicSystem(sign).solve(np.ones((1, 400, 1)))
    defect = np.roll(z, -1, axis=1) - sign[..., 0] * z - 1.0
    assert np.abs(defect).max() <= 8 * EPS * np.abs(z).max()
    assert np.abs(z).max() < 10


def test_exactly_singular_cyclic_system_gives_nan_only_there():
    J = np.stack([np.ones((1, 1, 1)), np.full((1, 1, 1), 0.5)])
    z = CyclicSystem(J).solve(np.ones((2, 1, 1)))
    assert np.isnan(z[0]).all() and z[1, 0, 0] == 2.0


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


def test_splitting_agrees_with_eigenvalues_and_refuses_the_circle():
    draw, seen = np.random.default_rng(0), set()
    for size in (1, 2, 3, 5, 8, 30, 60):
        for gain in (0.3, 0.9, 1.5):
            for shift in (0.0, 3.0):
                P = gain * draw.standard_normal((size, size)) / np.sqrt(size)
                P += shift * np.eye(size)
                inside = (np.abs(np.linalg.eigvals(P)) < 1).sum()
                code = split_stability(flint.arb_mat(P.tolist()))
                expected = STABILITY.stable if inside == size else STABILITY.saddle
                assert code == (expected if inside else STABILITY.unstable)
                seen.add(code)
    assert len(seen) == 3
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    assert split_stability(flint.arb_mat(turn.tolist())) is None
    assert split_stability(flint.arb_mat(np.diag([1.0, 2.0]).tolist())) is None
    wide = flint.arb_mat([[flint.arb(0.9, 0.2), 0], [0, 0.5]])
    assert split_stability(wide) is None
