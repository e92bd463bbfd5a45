"""What every model here shares: one dtype per step, the linear term, the input, random draws."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from .._dynamics import AbstractDynamics, checked_state
from .._numerics import as_float64
from .._piecewise_affine import fractions

Parameter = Float[Array | np.ndarray, "..."]
"""A parameter array: JAX in training, NumPy (in the file's dtype) from `from_arrays`."""


def common_dtype(arrays: list) -> jnp.dtype:
    """Return the floating dtype that holds every array; scalars do not widen it."""
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(float, *(a for a in arrays if jnp.ndim(a) > 0))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"state: expected real numbers, got dtype {dtype}")
    return dtype


def operands(model: AbstractDynamics, state, input) -> tuple[SimpleNamespace, Array]:
    """Return (p, z): the model's arrays and the state in one dtype, with `p.drive` = C s or 0.

    **Raises:** `ValueError` naming `state` or `input` if its shape does not fit the model.
    """
    arrays = {name: value for name, value in vars(model).items() if not isinstance(value, int)}
    arrays = {name: value for name, value in arrays.items() if value is not None}
    given = {"state": state} if input is None else {"state": state, "input": input}
    dtype = common_dtype([*arrays.values(), *map(jnp.asarray, given.values())])
    p = SimpleNamespace(**{name: jnp.asarray(value, dtype) for name, value in arrays.items()})
    z = checked_state(model, jnp.asarray(state, dtype))
    check_input(getattr(model, "C", None), input)
    p.drive = jnp.zeros((), dtype) if input is None else apply(p.C, jnp.asarray(input, dtype))
    return p, z


def check_input(matrix, input) -> None:
    """Refuse an input that the M x K matrix cannot take."""
    if input is None:
        return
    if matrix is None:
        raise ValueError("input: expected None, because this network has no input matrix C")
    if jnp.shape(input) != (matrix.shape[1],):
        raise ValueError(f"input: expected shape ({matrix.shape[1]},), got {jnp.shape(input)}")


def linear(A: Array, z: Array) -> Array:
    """Return A z for a full matrix, or for a diagonal stored as a vector."""
    return A * z if A.ndim == 1 else apply(A, z)


def apply(W: Array, z: Array) -> Array:
    """Return W z, written z W': a batch of states in rows then stays in rows, as one product."""
    return lax.dot_general(z, W, (((0,), (1,)), ((), ())))


def exact_operands(model: AbstractDynamics, input, exact: bool) -> SimpleNamespace:
    """Return the model's arrays, A as a full matrix, with `p.drive` = C s or 0, and `p.eye`.

    They are in NumPy float64 or, for `exact`, in Python's fractions; `p.eye` is of integers.
    """
    convert = lambda name, value: (
        fractions(as_float64(name, value)) if exact else as_float64(name, value)
    )
    arrays = {
        name: convert(name, value)[()]
        for name, value in vars(model).items()
        if value is not None and not isinstance(value, int)
    }
    p = SimpleNamespace(**arrays)
    if "A" in arrays and p.A.ndim == 1:
        p.A = np.diag(p.A)
    check_input(getattr(model, "C", None), input)
    p.drive = 0 if input is None else p.C @ convert("input", input)
    p.eye = np.eye(model.state_size, dtype=int)
    return p


def uniform(key: PRNGKeyArray, shape: tuple[int, ...], fan: int) -> Array:
    """Draw from U(-1/sqrt(fan), 1/sqrt(fan))."""
    bound = 1.0 / max(fan, 1) ** 0.5
    return jr.uniform(key, shape, minval=-bound, maxval=bound)


def positive_definite(key: PRNGKeyArray, size: int) -> Array:
    """Draw K/lambda_max(K), K = R'R/M + I, R ~ N(0, 1) (Talathi, Vartak 2016)."""
    R = jr.normal(key, (size, size))
    K = R.T @ R / size + jnp.eye(size)
    return K / jnp.linalg.norm(K, 2)


def input_matrix(key: PRNGKeyArray, rows: int, input_size: int | None) -> Array | None:
    """Draw the M x K input matrix C, or return None for an autonomous network."""
    if input_size is None:
        return None
    check_size("input_size", input_size)
    return uniform(key, (rows, input_size), input_size)


def check_size(name: str, value: int) -> None:
    """Refuse a size that is not a positive integer."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}: expected a positive integer, got {value!r}")
