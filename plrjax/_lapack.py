"""BLAS and LAPACK inside compiled loops, on memory that is there already.

The routines are those of SciPy, by their addresses; numbers go in by address, too, and 64-bit
integers are read rightly by libraries of either kind (the machine is little-endian). Import this
module inside functions only.
"""

import llvmlite.binding
import numba
from numba.extending import get_cython_function_address

from ._compiled import inner
from ._numerics import ROUNDED


def _routine(module: str, name: str, num_arguments: int) -> numba.types.ExternalFunction:
    """Return a routine under a name of our own, which compiled code on disk finds again."""
    address = get_cython_function_address(f"scipy.linalg.{module}", name)
    llvmlite.binding.add_symbol(f"plrjax_{name}", address)
    kind = numba.types.void(*[numba.types.intp] * num_arguments)
    return numba.types.ExternalFunction(f"plrjax_{name}", kind)


_dgemm = _routine("cython_blas", "dgemm", 13)
_dgesv = _routine("cython_lapack", "dgesv", 8)


@inner(
    "void(f8[:,::1], f8[:,::1], f8[:,::1], UniTuple(i8, 3), UniTuple(b1, 2), f8, i8[::1], f8[::1])"
)
def multiply(left, right, out, sizes, turned, keep, ints, reals):
    """Write out <- keep out + L R for the leading blocks, with L or R read as their transposes.

    L is rows x middle and R is middle x columns, `sizes` = (rows, middle, columns); `turned` says
    which is stored transposed. `ints` and `reals` are room for the arguments.
    """
    ints[0] = sizes[2]
    ints[1] = sizes[0]
    ints[2] = sizes[1]
    ints[3] = right.shape[1]
    ints[4] = left.shape[1]
    ints[5] = out.shape[1]
    ints[6] = 84 if turned[1] else 78
    ints[7] = 84 if turned[0] else 78
    reals[0] = 1.0
    reals[1] = keep
    at = ints.ctypes.data
    one = reals.ctypes.data
    _dgemm(
        at + 48, at + 56, at, at + 8, at + 16, one, right.ctypes.data, at + 24,
        left.ctypes.data, at + 32, one + 8, out.ctypes.data, at + 40,
    )  # fmt: skip


@inner("b1(f8[:,::1], f8[::1], i8, i8[::1], i8[::1])")
def solve(product, right, size, pivots, ints):
    """Solve (1 - P) x = b in place of b, row j of `product` being column j of P; say if regular.

    It is not where a pivot is below `ROUNDED` of the largest entry of P, or of 1.
    """
    if size == 0:
        return True
    largest = 1.0
    for j in range(size):
        for i in range(size):
            x = -product[j, i]
            product[j, i] = x
            largest = max(largest, abs(x))
        product[j, j] += 1.0
    ints[0] = size
    ints[1] = 1
    ints[2] = product.shape[1]
    ints[3] = 0
    at = ints.ctypes.data
    _dgesv(
        at, at + 8, product.ctypes.data, at + 16, pivots.ctypes.data, right.ctypes.data, at,
        at + 24,
    )  # fmt: skip
    regular = (ints[3] & 0xFFFFFFFF) == 0
    for j in range(size):
        regular &= abs(product[j, j]) > ROUNDED * largest
    return regular
