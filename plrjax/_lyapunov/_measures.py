"""Numbers that follow from exponents."""

import numpy as np
from jaxtyping import Array, Complex, Float

from .._host import on_host
from .._numerics import is_whole


@on_host()
def kaplan_yorke_dimension(exponents: Float[np.ndarray | Array, " exponent"]) -> float:
    """Return the Kaplan-Yorke (Lyapunov) dimension j + (lambda_1 + ... + lambda_j)/|lambda_{j+1}|.

    j is the largest number for which the sum of the j largest exponents is not negative (Kaplan,
    Yorke 1979). The number of exponents where even their whole sum is not negative; 0 where
    lambda_1 < 0. Units do not matter.

    **Raises:** `ValueError` for anything but a vector of real numbers that are not +inf; NaN gives
    NaN.
    """
    values = np.asarray(exponents, np.float64)
    if values.ndim != 1 or np.isposinf(values).any():
        raise ValueError(
            f"exponents: expected a vector of exponents below +inf, got shape {values.shape}"
        )
    if np.isnan(values).any():
        return float("nan")
    values = np.sort(values)[::-1]
    sums = np.cumsum(values)
    j = int(np.count_nonzero(np.logical_and.accumulate(sums >= 0)))
    if j in (0, len(values)):
        return float(j)
    return float(j + sums[j - 1] / -values[j])


@on_host()
def cycle_exponents(
    multipliers: Complex[np.ndarray | Array, "*cycle state"]
    | Float[np.ndarray | Array, "*cycle state"],
    period,
) -> Float[np.ndarray, "*cycle state"]:
    """Return the Lyapunov exponents of cycles, ln|m_i| / k, nats per step, largest first.

    **Arguments:** Floquet multipliers m (eigenvalues of DF^k), of one cycle or one row per cycle,
    and the period k, an integer or one per cycle: `cycle_exponents(cycles.multipliers,
    cycles.period)`. A multiplier 0 gives -inf.

    **Raises:** `ValueError` for periods that are not positive integers or do not fit.
    """
    moduli = np.abs(np.asarray(multipliers)).astype(np.float64)
    periods = np.asarray(period)
    whole = is_whole(period) if periods.ndim == 0 else periods.dtype.kind in "iu"
    fits = periods.ndim == 0 or periods.shape == moduli.shape[:-1]
    if not whole or not fits or (periods < 1).any() or moduli.ndim == 0:
        raise ValueError(
            f"period: expected positive integers, one per row of multipliers {moduli.shape}, "
            f"got {period!r}"
        )
    with np.errstate(divide="ignore"):
        logs = np.log(moduli) / (periods[..., None] if periods.ndim else periods)
    return np.sort(logs, axis=-1)[..., ::-1]
