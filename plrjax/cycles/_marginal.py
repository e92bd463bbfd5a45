"""Words whose system I - P is singular: families of cycles (lines, planes) or none at all."""

import numpy as np
import scipy
from jaxtyping import Float

from .._elimination import cyclic_matrix
from .._numerics import EPS
from .._piecewise_affine import Itinerary, PiecewiseAffineMap

_MAX_UNKNOWNS = 600


class NotExamined(Exception):
    """It is not known whether a singular word has cycles."""


def marginal_family(
    map: PiecewiseAffineMap, itinerary: Itinerary
) -> Float[np.ndarray, "time state"] | None:
    """Return the points of one member of the family of cycles of a singular word, or None.

    The cycles of the word solve a singular linear system; its solutions, if any, form an affine
    space, and the family is the part of it inside the word's linear subregions. A linear program
    (HiGHS) finds the member farthest from the switching boundaries. None where the system has no
    solution, or none inside.

    **Raises:** `NotExamined` where there are too many unknowns, where the system may as well be
    regular, or where the linear program fails.
    """
    period, size = itinerary.shape[0], map.state_size
    if period * size > _MAX_UNKNOWNS:
        raise NotExamined(f"{period * size} unknowns")
    jacobians, offsets = map.affine_piece(itinerary)
    matrix = cyclic_matrix(jacobians[None])[0]
    right = np.roll(offsets, 1, axis=0).reshape(-1)
    left, values, right_vectors = np.linalg.svd(matrix)
    largest = max(values[0], 1.0)
    rank = int((values > 1e-10 * largest).sum())
    if (values[rank:] > 8 * EPS * len(matrix) * largest).any():
        raise NotExamined("nearly, but not exactly singular")
    center = right_vectors[:rank].T @ ((left[:, :rank].T @ right) / values[:rank])
    sizes = [np.abs(x).max(initial=0.0) for x in (center, right, map.h2)]
    scale = max(sizes) or 1.0
    if np.abs(matrix @ center - right).max(initial=0.0) > 1e-8 * scale:
        return None
    basis = right_vectors[rank:].T
    offset = _most_interior(map, itinerary, center, basis, scale)
    return None if offset is None else (center + basis @ offset).reshape(period, size)


def _most_interior(
    map: PiecewiseAffineMap,
    itinerary: np.ndarray,
    center: np.ndarray,
    basis: np.ndarray,
    scale: float,
) -> np.ndarray | None:
    """Maximize the least signed pre-activation over center + span(basis); None if negative."""
    period, size = itinerary.shape[0], map.state_size
    sign = np.where(itinerary, 1.0, -1.0).reshape(-1)
    rows = (map.W2 @ basis.reshape(period, size, -1)).reshape(sign.size, -1)
    y = sign * map.pre_activations(center.reshape(period, size)).reshape(-1)
    slopes = sign[:, None] * rows
    # Variables: coordinates along the basis in units of `scale`, then the slack in the same unit.
    answer = scipy.optimize.linprog(
        np.append(np.zeros(basis.shape[1]), -1.0),
        A_ub=np.hstack([-slopes, np.ones((sign.size, 1))]),
        b_ub=y / scale,
        bounds=[(-1e3, 1e3)] * basis.shape[1] + [(-1.0, 1.0)],
        method="highs",
    )
    if answer.status == 2 or (answer.status == 0 and answer.x[-1] < -1e-9):
        return None
    if answer.status != 0:
        raise NotExamined(answer.message)
    return answer.x[:-1] * scale
