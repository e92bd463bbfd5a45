"""Float64 scope, argument checks and tolerances."""

import contextlib

import numpy as np

EPS = float(np.finfo(np.float64).eps)

ROUNDED = 64 * EPS
"""A sum below this fraction of its terms counts as zero, such a pivot as singular: rounding."""


@contextlib.contextmanager
def float64_scope():
    """Compute in float64 inside, whatever the caller's global JAX settings.

    Lanes without a solution hold NaN on purpose and broadcasting is meant as NumPy's, so the
    caller's checks for NaN, promotion and transfers are off inside, too.
    """
    import jax

    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.transfer_guard("allow"))
        stack.enter_context(jax.debug_nans(False))
        stack.enter_context(jax.debug_infs(False))
        yield


def as_real(name: str, value, shape: tuple[int | str, ...] | None = None) -> np.ndarray:
    """Return `value` as a real, finite NumPy array of its own dtype, checked against `shape`.

    Entries of `shape` are lengths, or letters that stand for any length.

    **Raises:** `ValueError` naming the argument, what was expected and what came.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected a rectangular array of numbers ({error})") from error
    except TypeError as error:  # of JAX
        raise ValueError(
            f"{name}: expected an array of numbers, got what JAX traces or has deleted; call this "
            "outside of jit, vmap and grad"
        ) from error
    if array.dtype.kind not in "fiub" and not str(array.dtype) == "bfloat16":
        raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            isinstance(want, str) or want == have for want, have in zip(shape, array.shape)
        )
        if not fits:
            wanted = " x ".join(map(str, shape)) or "a scalar"
            raise ValueError(f"{name}: expected shape {wanted}, got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"{name}: expected finite numbers, got {bad} NaN or Inf of {array.size}")
    return array


def as_float64(name: str, value, shape: tuple[int | str, ...] | None = None) -> np.ndarray:
    """Return `value` as a contiguous float64 array; promotion from float32 and integers is exact.

    **Raises:** `ValueError` as `as_real`, and for numbers that float64 cannot hold exactly.
    """
    array = as_real(name, value, shape)
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array, np.float64).reshape(array.shape)
    exact = array.dtype.kind != "f" or array.dtype.itemsize <= 8
    if not exact or (array.dtype.kind in "iu" and array.dtype.itemsize == 8):
        if not np.array_equal(result.astype(array.dtype), array):
            raise ValueError(f"{name}: {array.dtype} values do not fit float64 exactly")
    return result


def is_whole(value) -> bool:
    """Return whether a value is an integer (a bool is not)."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value) -> bool:
    """Return whether a value is a number that a float can hold, or infinite (a bool is not)."""
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return False
    try:
        return not np.isnan(float(value))
    except (TypeError, OverflowError):  # complex numbers, integers of 400 digits
        return False


def is_positive_whole(value) -> bool:
    """Return whether a value is an integer of at least one."""
    return is_whole(value) and value >= 1


@contextlib.contextmanager
def quiet_floats():
    """Silence NumPy's floating-point warnings where non-finite lanes are masked afterwards."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        yield
