"""Many small linear systems at once: batched elimination, and cyclic systems of multiple shooting.

Two layers: traceable JAX code with the batch axis last, for the search on the device, and
`CyclicSystem`, orthogonal elimination in NumPy float64, for verification on the host.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from ._numerics import ROUNDED


def _pick_pivot(system: Array) -> tuple[Array, Array]:
    """Return the row with the largest leading entry, per lane, and the other rows."""
    rows = system.shape[0]
    if rows == 1:
        return system[0], system[1:]
    if rows == 2:
        swap = jnp.abs(system[1, 0]) > jnp.abs(system[0, 0])
        return jnp.where(swap, system[1], system[0]), jnp.where(swap, system[0], system[1])[None]
    best = jnp.argmax(jnp.abs(system[:, 0]), axis=0)
    chosen = jnp.arange(rows)[:, None] == best[None]
    pivot = jnp.sum(jnp.where(chosen[:, None, :], system, 0.0), axis=0)
    return pivot, jnp.where(chosen[1:, None, :], system[0][None], system[1:])


def _eliminate(system: Array, count: int) -> tuple[list[Array], Array, Array]:
    """Eliminate the leading `count` unknowns of systems "row column lane" with partial pivoting.

    Returns the pivot rows (each without the columns before its own), the remaining rows, and the
    smallest ratio of a pivot to the largest entry of the system (at least 1, since these are I - P
    whose entries may all cancel), per lane.
    """
    pivots: list[Array] = []
    scale = jnp.maximum(jnp.max(jnp.abs(system[:, :count]), axis=(0, 1)), 1.0)
    quality = jnp.full_like(scale, jnp.inf)
    for _ in range(count):
        pivot, rest = _pick_pivot(system)
        quality = jnp.minimum(quality, jnp.abs(pivot[0]) / scale)
        factor = rest[:, 0] / pivot[0]
        system = rest[:, 1:] - factor[:, None, :] * pivot[None, 1:]
        pivots.append(pivot)
    return pivots, system, quality


def _back_substitute(pivots: list[Array], right: Array) -> Array:
    """Solve the triangular system of `pivots` for the right-hand side "row lane"."""
    solution: list[Array] = []
    for row in reversed(range(len(pivots))):
        total = right[row]
        for offset, known in enumerate(reversed(solution), start=1):
            total = total - pivots[row][offset] * known
        solution.append(total / pivots[row][0])
    return jnp.stack(solution[::-1])


def batched_solve(
    system: Float[Array, "size augmented lane"], *, unrolled: bool
) -> tuple[Float[Array, "size lane"], Bool[Array, " lane"]]:
    """Solve systems [S | b], lanes last; also return which are regular.

    `unrolled` eliminates in straight-line code (fast for small sizes); else LAPACK.
    """
    size = system.shape[0]
    if unrolled:
        pivots, _, quality = _eliminate(system, size)
        right = jnp.stack([row[-1] for row in pivots])
        return _back_substitute(pivots, right), quality > ROUNDED
    system = jnp.moveaxis(system, 2, 0)
    factors, order = jax.scipy.linalg.lu_factor(system[:, :, :size])
    solution = jax.scipy.linalg.lu_solve((factors, order), system[:, :, size:])[..., 0]
    diagonal = jnp.abs(jnp.diagonal(factors, axis1=1, axis2=2))
    scale = jnp.maximum(jnp.max(jnp.abs(system[:, :, :size]), axis=(1, 2)), 1.0)
    return solution.T, jnp.min(diagonal, axis=1) > ROUNDED * scale


def block_cyclic_solve(
    P: Float[Array, "segment state state lane"],
    c: Float[Array, "segment state lane"],
    *,
    unrolled: bool,
) -> tuple[Float[Array, "segment state lane"], Bool[Array, " lane"]]:
    """Solve z_{s+1} = P_s z_s + c_s (cyclic, S >= 2 segments) without forming long products.

    Block Gaussian elimination over the segments with partial pivoting inside each pair of block
    rows (Ascher, Mattheij, Russell 1995, ch. 7); large states go through LAPACK as one system.
    """
    if not unrolled:
        return _dense_cyclic_solve(P, c)
    segments, size, _, lanes = P.shape
    eye = jnp.broadcast_to(jnp.eye(size)[:, :, None], (size, size, lanes))
    zero = jnp.zeros((size, size, lanes))

    def forward(carry, piece):
        C, G, f, quality = carry
        Ps, cs = piece
        top = jnp.concatenate([G, C, zero, f[:, None]], axis=1)
        bottom = jnp.concatenate([-Ps, zero, eye, cs[:, None]], axis=1)
        pivots, rest, here = _eliminate(jnp.concatenate([top, bottom]), size)
        rows = [jnp.concatenate([jnp.zeros((i, lanes)), row]) for i, row in enumerate(pivots)]
        left = (rest[:, :size], rest[:, size : 2 * size], rest[:, 2 * size])
        return (*left, jnp.minimum(quality, here)), jnp.stack(rows)

    # Unknowns of one block row pair, in order: z_s (eliminated), z_0, z_{s+1}.
    start = (-P[0], eye, c[0], jnp.full(lanes, jnp.inf))
    (C, G, f, quality), stored = lax.scan(forward, start, (P[1:-1], c[1:-1]))
    top = jnp.concatenate([C, G, f[:, None]], axis=1)
    bottom = jnp.concatenate([eye, -P[-1], c[-1][:, None]], axis=1)
    ends, regular = batched_solve(jnp.concatenate([top, bottom]), unrolled=True)
    first, final = ends[:size], ends[size:]

    def backward(following, rows):
        right = (
            rows[:, 3 * size]
            - jnp.einsum("ijl,jl->il", rows[:, size : 2 * size], first)
            - jnp.einsum("ijl,jl->il", rows[:, 2 * size : 3 * size], following)
        )
        state = _back_substitute([rows[i, i:size] for i in range(size)], right)
        return state, state

    _, middle = lax.scan(backward, final, stored, reverse=True)
    solution = jnp.concatenate([first[None], middle, final[None]])
    return solution, regular & (quality > ROUNDED)


def _dense_cyclic_solve(P: Array, c: Array) -> tuple[Array, Array]:
    """Solve the cyclic system as one matrix of S blocks per side."""
    segments, size, _, lanes = P.shape
    eye = jnp.broadcast_to(jnp.eye(size)[:, :, None], (size, size, lanes))
    blocks = [[jnp.zeros((size, size, lanes))] * segments for _ in range(segments)]
    for s in range(segments):
        blocks[s][s] = -P[s]
        blocks[s][(s + 1) % segments] = eye
    matrix = jnp.concatenate([jnp.concatenate(row, axis=1) for row in blocks])
    system = jnp.concatenate([matrix, c.reshape(segments * size, 1, lanes)], axis=1)
    solution, regular = batched_solve(system, unrolled=False)
    return solution.reshape(segments, size, lanes), regular


def cyclic_matrix(jacobians: np.ndarray, sign: float = -1.0) -> np.ndarray:
    """Return the matrix of z_{t+1} - J_t z_t; its determinant is det(I - P).

    With `sign` 1 the last Jacobian is negated: det(I + P).
    """
    count, period, size, _ = jacobians.shape
    matrix = np.zeros((count, period, size, period, size))
    diagonal = np.arange(size)
    for t in range(period):
        matrix[:, t, diagonal, t, diagonal] = 1.0
    for t in range(period):
        factor = sign if t == period - 1 else -1.0
        matrix[:, (t + 1) % period, :, t, :] += factor * jacobians[:, t]
    return matrix.reshape(count, period * size, period * size)


def solve_rows(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve many systems for one right-hand side each; NaN where a matrix is exactly singular."""
    try:
        return np.linalg.solve(matrix, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        if len(matrix) == 1:
            return np.full_like(right, np.nan)
    half = len(matrix) // 2
    parts = [slice(None, half), slice(half, None)]
    return np.concatenate([solve_rows(matrix[part], right[part]) for part in parts])


class CyclicSystem:
    """The cyclic systems z_{t+1} - J_t z_t = b_t of many cycles: factor once, solve many.

    Orthogonal elimination of z_1 ... z_{k-2} in turn (Wright 1992, structured orthogonal
    factorization): backward stable, no product of Jacobians is ever formed, so the error does not
    grow with k.

    **Arguments:** `J`: Jacobians, "cycle time state state", NumPy float64.
    """

    def __init__(self, J: Float[np.ndarray, "cycle time state state"]):
        self.J = J
        count, period, size, _ = J.shape
        eye = np.broadcast_to(np.eye(size), (count, size, size))
        self._stages: list[tuple[np.ndarray, ...]] = []
        if period == 1:
            self._last = eye - J[:, 0]
            return
        carry_first, carry = -J[:, 0], eye
        for t in range(1, period - 1):
            Q, R = np.linalg.qr(np.concatenate([carry, -J[:, t]], axis=1), mode="complete")
            Qt = np.swapaxes(Q, 1, 2)
            first = Qt[:, :, :size] @ carry_first
            following = Qt[:, :, size:]
            self._stages.append((Qt, R[:, :size], first[:, :size], following[:, :size]))
            carry_first, carry = first[:, size:], following[:, size:]
        top = np.concatenate([carry_first, carry], axis=2)
        bottom = np.concatenate([eye, -J[:, -1]], axis=2)
        self._last = np.concatenate([top, bottom], axis=1)

    def solve(self, b: Float[np.ndarray, "cycle time state"]) -> np.ndarray:
        """Return z with z_{t+1} - J_t z_t = b_t; NaN where the system is exactly singular."""
        count, period, size = b.shape
        z = np.empty((count, period, size))
        if period == 1:
            z[:, 0] = solve_rows(self._last, b[:, 0])
            return z
        rest, kept = b[:, 0], []
        for t, (Qt, _, _, _) in enumerate(self._stages, start=1):
            turned = (Qt @ np.concatenate([rest, b[:, t]], axis=1)[..., None])[..., 0]
            kept.append(turned[:, :size])
            rest = turned[:, size:]
        ends = solve_rows(self._last, np.concatenate([rest, b[:, -1]], axis=1))
        z[:, 0], z[:, -1] = ends[:, :size], ends[:, size:]
        for t in range(period - 2, 0, -1):
            _, R, first, following = self._stages[t - 1]
            right = (
                kept[t - 1][..., None] - first @ z[:, 0, :, None] - following @ z[:, t + 1, :, None]
            )
            z[:, t] = solve_rows(R, right[..., 0])
        return z

    def transposed(self) -> "CyclicSystem":
        """Return the transposed system, as a cyclic system that runs backwards in time."""
        return CyclicSystem(np.ascontiguousarray(np.swapaxes(self.J[:, ::-1], 2, 3)))

    def inverse_norm(self, iterations: int = 4) -> Float[np.ndarray, " cycle"]:
        """Estimate the maximum norm of the inverse (Hager 1984; Higham 1988): a lower bound, as a
        rule within a factor of three.

        Where the system has a symmetry, gradients may miss what is singular: right-hand sides
        without any are tried as well.
        """
        count, period, size = self.J.shape[:3]
        backward = self.transposed()
        probe = np.full((count, period, size), 1.0 / (period * size))
        best = np.zeros(count)
        lanes = np.arange(count)
        for _ in range(iterations):
            image = backward.solve(probe[:, ::-1])[:, ::-1]
            norm = np.abs(image).sum(axis=(1, 2))
            best = np.where(np.isfinite(norm), np.maximum(best, norm), np.inf)
            gradient = self.solve(np.where(image >= 0, 1.0, -1.0))
            best = np.maximum(best, np.nan_to_num(np.abs(gradient).max(axis=(1, 2)), nan=np.inf))
            target = np.nan_to_num(np.abs(gradient)).reshape(count, -1).argmax(axis=1)
            probe = np.zeros((count, period * size))
            probe[lanes, target] = 1.0
            probe = probe.reshape(count, period, size)
        draw = np.random.default_rng(5)
        for _ in range(2):
            right = np.broadcast_to(draw.uniform(-1.0, 1.0, (period, size)), probe.shape)
            found = np.abs(self.solve(right)).max(axis=(1, 2)) / np.abs(right).max()
            best = np.maximum(best, np.nan_to_num(found, nan=np.inf))
        return best
