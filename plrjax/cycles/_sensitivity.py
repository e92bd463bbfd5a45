"""How cycles move with the parameters: the implicit function theorem, over the whole orbit."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from .._arguments import check_kind
from .._elimination import CyclicSystem
from .._host import on_host
from .._interrupts import reporting
from .._numerics import float64_scope, is_whole, quiet_floats
from .._parallel import one_thread_per_solve
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._progress import AbstractProgress
from ._cycle_set import CycleSet

_MOST_NUMBERS = 2**27
"""Most sensitivities of one cycle: 1 GiB, of which a few copies are needed."""

_TOLERANCE = 1e-8
"""The points may miss F(z_t) = z_{t+1} by this fraction of the sizes involved (`follow_path`)."""


class _Orbit(NamedTuple):
    """Points of one orbit, the regions they are mapped by, and the Jacobians there."""

    points: Float[np.ndarray, "time state"]
    regions: Bool[np.ndarray, "time unit"]
    jacobians: Float[np.ndarray, "time state state"]


@on_host()
def cycle_sensitivity(
    model: AbstractPLRNN, cycles: CycleSet, row: int | np.integer = 0, wrt: Callable | None = None
) -> Any:
    """Return dz*_t/dtheta of the points of one k-cycle with respect to the parameters.

    The points of a cycle solve z_{t+1} = F(z_t, theta), cyclic; by the implicit function theorem
    their derivatives solve dz_{t+1} - J_t dz_t = dF/dtheta(z_t), cyclic. For the first point this
    is dz*/dtheta = (I - P)^-1 [(dP/dtheta) z* + dc/dtheta], with F^k(z) = P z + c around it; but
    here no product of Jacobians is formed (multiple shooting). It grows without bound where a
    multiplier approaches +1, and jumps at a border collision: `itinerary_sensitivity` gives the
    limits of either side.

    **Arguments:**

    - `model`: the network, or the `PiecewiseAffineMap`, whose cycles these are.
    - `cycles`, `row`: the cycle is row `row` of the set.
    - `wrt`: picks parameters as in `equinox.tree_at`, for example `lambda model: model.A`; by
        default all floating-point arrays of the model.

    **Returns:** what `wrt` picks of the model (all of it by default, None at what is no parameter),
    each parameter replaced by a float64 array "time state *parameter", times in the order of
    `cycles.orbit(row)`.

    **Raises:** `ValueError` naming the argument; also for a marginal family (I - P singular), and
    for more sensitivities than fit in memory (`cycle_loss_gradient` needs them not).
    """
    theta, rest = _split(model, wrt)
    orbit = _orbit_of(model, cycles, row)
    return _picked(_sensitivity(theta, rest, orbit), wrt)


@on_host()
def itinerary_sensitivity(
    model: AbstractPLRNN, itinerary: Bool[np.ndarray, "time unit"], wrt: Callable | None = None
) -> Any:
    """Return dz_t/dtheta of the solution of a given itinerary, admissible or virtual.

    As `cycle_sensitivity`, but for the affine pieces F_D(z) = A z + W1 D (W2 z + h2) + h1 that the
    itinerary names, whatever regions the points are in. At a border collision the words of both
    sides have the same solution, and this gives its two one-sided derivatives.

    **Arguments:** `model`: is lowered to canonical form first; `itinerary`: boolean "time unit" in
    its units; `wrt`: picks parameters of the `PiecewiseAffineMap`, by default all.

    **Returns:** as `cycle_sensitivity`, for the arrays A (a full matrix), W1, W2, h1, h2; NaN where
    I - P is exactly singular.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    word = np.asarray(itinerary)
    if word.dtype != bool or word.ndim != 2 or word.shape[1] != map.num_units or not len(word):
        raise ValueError(
            f"itinerary: expected a boolean array time x {map.num_units}, "
            f"got {word.dtype} {word.shape}"
        )
    theta, rest = _split(map, wrt)
    J, c = map.affine_piece(word)
    with quiet_floats(), one_thread_per_solve():
        points = CyclicSystem(J[None]).solve(c[None])[0]
    return _picked(_sensitivity(theta, rest, _Orbit(points, word, J)), wrt)


def cycle_loss_gradient(
    model: AbstractPLRNN,
    cycles: CycleSet,
    row: int | np.integer,
    loss: Callable,
    wrt: Callable | None = None,
) -> Any:
    """Return dL/dtheta of a scalar function L(z_1, ..., z_k) of the points of one cycle.

    The adjoint of `cycle_sensitivity`: mu_{t-1} - J_t^T mu_t = dL/dz_t, cyclic, is solved once, and
    dL/dtheta = sum_t mu_t^T dF/dtheta(z_t). Memory and time are those of one backward pass.

    **Arguments:** as `cycle_sensitivity`, and `loss`: traceable by JAX, takes the points "time
    state" and returns a scalar.

    **Returns:** what `wrt` picks of the model, each parameter replaced by a float64 array of its
    shape.

    **Raises:** `ValueError` naming the argument; also for a marginal family.
    """
    if not callable(loss):
        raise ValueError(f"loss: expected a callable of the points, got {type(loss).__name__}")
    theta, rest = _split(model, wrt)
    points, regions, J = _orbit_of(model, cycles, row)
    with float64_scope(), one_thread_per_solve():
        slope = np.asarray(jax.grad(lambda z: jnp.asarray(loss(z), float))(jnp.asarray(points)))
        backward = CyclicSystem(J[None]).transposed()
        weights = backward.solve(slope[None, ::-1])[0, ::-1]
        gradient = _pulled_back(theta, rest, points, regions, weights)
        return _picked(jax.tree.map(np.asarray, gradient), wrt)


def sensitivity_norm(
    model: AbstractPLRNN,
    cycles: CycleSet,
    wrt: Callable | None = None,
    progress: AbstractProgress | None = None,
) -> Float[np.ndarray, " cycle"]:
    """Return the size of dz*/dtheta of every cycle: sqrt(mean_t |dz*_t/dtheta|_F^2).

    It bounds the gradient of any loss on the cycle: |d(mean_t l(z_t))/dtheta| is at most this times
    sqrt(mean_t |dl/dz_t|^2).

    **Arguments:** as `cycle_sensitivity`; `progress`: `NoProgress()`, or a `ProgressBar` (default:
    a bar after two seconds).

    **Returns:** one number per cycle, infinite for a marginal family (I - P singular).

    **Raises:** `ValueError` naming the argument.
    """
    theta, rest = _split(model, wrt)
    _check_set(model, cycles)
    norms = np.full(len(cycles), np.inf)
    with reporting(progress, "sensitivities") as report:
        for done, row in enumerate(np.flatnonzero(cycles.valid).tolist(), start=1):
            moved = _sensitivity(theta, rest, _orbit_of(model, cycles, row))
            total = sum(float(np.vdot(leaf, leaf)) for leaf in jax.tree.leaves(moved))
            norms[row] = np.sqrt(total / cycles.period[row])
            report.update(done / len(cycles))
    return norms


def _split(model: Any, wrt: Callable | None) -> tuple[Any, Any]:
    """Return the parameters in NumPy float64, None elsewhere, and the rest of the model."""
    lower(model)  # refuses what is not a network here, and parameters that are not real
    if wrt is None:
        chosen = jax.tree.map(eqx.is_inexact_array, model)
    else:
        _check_choice(model, wrt)
        none, all_of = (lambda x, to=to: jax.tree.map(lambda _: to, x) for to in (False, True))
        chosen = eqx.tree_at(wrt, none(model), replace_fn=all_of)
    theta, rest = eqx.partition(model, chosen)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), theta), rest


def _check_choice(model: Any, wrt: Callable) -> None:
    """Refuse what does not pick real numbers from the model."""
    if not callable(wrt):
        raise ValueError(f"wrt: expected a function of the model, got {wrt!r}")
    leaves = jax.tree.leaves(wrt(model))
    strange = [x for x in leaves if not (eqx.is_inexact_array(x) or isinstance(x, float))]
    if strange or not leaves:
        got = type(strange[0]).__name__ if strange else "nothing"
        raise ValueError(f"wrt: expected to pick parameters (floating-point arrays), got {got}")


def _picked(result: Any, wrt: Callable | None) -> Any:
    return result if wrt is None else wrt(result)


def _check_set(model: AbstractPLRNN, cycles: CycleSet) -> PiecewiseAffineMap:
    """Return the map in canonical form, refusing cycles that are not its own."""
    check_kind("cycles", cycles, CycleSet, "a CycleSet")
    map = lower(model)
    if (cycles.state_size, cycles.num_units) != (map.state_size, map.num_units):
        raise ValueError(
            f"cycles: expected cycles of {map.state_size} states and {map.num_units} units, "
            f"got {cycles.state_size} and {cycles.num_units}"
        )
    return map


def _orbit_of(model: AbstractPLRNN, cycles: CycleSet, row: int | np.integer) -> _Orbit:
    """Return the points, regions and Jacobians of one cycle."""
    map = _check_set(model, cycles)
    if not is_whole(row) or not -len(cycles) <= row < len(cycles):
        raise ValueError(f"row: expected one of the {len(cycles)} cycles, got {row!r}")
    if not cycles.valid[row]:
        raise ValueError(
            f"row: cycle {row} represents a marginal family (I - P is singular), "
            "which has no derivative"
        )
    points, regions = cycles.orbit(int(row)), cycles.regions(int(row))
    J, c = map.affine_piece(regions)
    defect = (J @ points[..., None])[..., 0] + c - np.roll(points, -1, axis=0)
    sizes = (np.abs(J) @ np.abs(points)[..., None])[..., 0] + np.abs(c) + np.abs(points)
    if np.abs(defect).max() > _TOLERANCE * sizes.max():
        raise ValueError(f"cycles: cycle {row} is none of this model: F(z_t) is not z_t+1")
    return _Orbit(points, regions, J)


def _sensitivity(theta: Any, rest: Any, orbit: _Orbit) -> Any:
    """Return dz_t/dtheta, "time state *parameter" for every parameter."""
    period, size = orbit.points.shape
    numbers = period * size * sum(map(np.size, jax.tree.leaves(theta)))
    if numbers > _MOST_NUMBERS:
        raise ValueError(
            f"wrt: expected at most {_MOST_NUMBERS} sensitivities (points times parameters), got "
            f"{numbers}; pick fewer parameters, or use cycle_loss_gradient"
        )
    # Periods are rounded up to powers of two, so that few programs are compiled.
    padding = ((0, (1 << (period - 1).bit_length()) - period), (0, 0))
    points, regions = (np.pad(part, padding, mode="edge") for part in orbit[:2])
    with float64_scope(), one_thread_per_solve(), quiet_floats():
        direct = jax.tree.map(np.asarray, _direct(theta, rest, points, regions))
        green = _green(orbit.jacobians)
        return jax.tree.map(
            lambda leaf: (green @ leaf[:period].reshape(period * size, -1)).reshape(
                leaf[:period].shape
            ),
            direct,
        )


def _green(J: Float[np.ndarray, "time state state"]) -> np.ndarray:
    """Return the matrix G with z = G b for z_{t+1} - J_t z_t = b_t, times and states flattened."""
    period, size, _ = J.shape
    units = np.eye(period * size).reshape(period * size, period, size)
    return CyclicSystem(J[None]).solve(units).reshape(len(units), -1).T


def _advance(model: Any, state: Any, region: Any) -> Any:
    """Return F(z), for a map that of the given region's affine piece.

    A network's own step has the derivatives of the region its state is in (relu'(0) = 0).
    """
    if isinstance(model, PiecewiseAffineMap):
        on = jnp.where(region, model.W2 @ state + model.h2, 0.0)
        return model.A @ state + model.W1 @ on + model.h1
    return model.step(state)


@eqx.filter_jit
def _direct(theta, rest, points, regions):
    """Return dF/dtheta(z_t), "time state *parameter"."""

    def step(parameters, state, region):
        return _advance(eqx.combine(parameters, rest), state, region)

    return jax.vmap(jax.jacrev(step), in_axes=(None, 0, 0))(theta, points, regions)


@eqx.filter_jit
def _pulled_back(theta, rest, points, regions, weights):
    """Return sum_t mu_t^T dF/dtheta(z_t)."""

    def steps(parameters):
        return jax.vmap(lambda *at: _advance(eqx.combine(parameters, rest), *at))(points, regions)

    return jax.vjp(steps, theta)[1](weights)[0]
