"""The functions g(p, q) of a word that are zero on curves in the unit square, and their zeros."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._elimination import cyclic_matrix, solve_rows
from .._numerics import quiet_floats
from .._results import BIFURCATION
from ._test_functions import Signed, is_on_circle, multipliers_of, pair_product
from .curves._plane import ParameterPlane

INSIDE = 1e-6
"""How far beside a curve, as a share of the square, it is asked whether the cycle exists."""

_DIFFERENCE = 1e-7
"""Step of central differences, as a share of the square."""


class Function(NamedTuple):
    """What is zero on a curve: of which word, which kind, and for a collision which (t, i)."""

    word: Bool[np.ndarray, "time unit"]
    kind: BIFURCATION
    unit: tuple[int, int]


class _Values(NamedTuple):
    """At several places: the function, relative to one of them, and the signs of the word."""

    value: np.ndarray
    wrong: np.ndarray


def evaluate(plane: ParameterPlane, function: Function, places: np.ndarray) -> _Values:
    """Return the function at places (in units of its size at the first), and wrong signs there.

    `wrong` "place time unit": pre-activations whose sign is not the word's.
    """
    word = function.word
    arrays = plane.arrays(places)
    words = np.broadcast_to(word, (len(places), *word.shape))
    with quiet_floats():
        jacobians, offsets = arrays.pieces(words)
        matrix = cyclic_matrix(jacobians)
        right = np.roll(offsets, 1, axis=1).reshape(len(places), -1)
        points = solve_rows(matrix, right).reshape(*offsets.shape)
        y = points @ np.swapaxes(arrays.W2, 1, 2) + arrays.h2[:, None]
        wrong = np.where(words, y <= 0, y > 0)
        if function.kind is BIFURCATION.border_collision:
            return _Values(y[:, function.unit[0], function.unit[1]], wrong)
        if function.kind is BIFURCATION.degenerate_transcritical:
            found = Signed(*np.linalg.slogdet(matrix))
        elif function.kind is BIFURCATION.degenerate_flip:
            found = Signed(*np.linalg.slogdet(cyclic_matrix(jacobians, 1.0)))
        else:
            found = Signed(*pair_product(multipliers_of(jacobians)))
        size = found.log.max()
        return _Values(found.sign * np.exp(found.log - size), wrong)


_STAR = _DIFFERENCE * np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def slope_at(plane: ParameterPlane, function: Function, place: np.ndarray):
    """Return value and gradient at a place, by central differences."""
    value = evaluate(plane, function, place + _STAR).value
    gradient = np.array([value[1] - value[2], value[3] - value[4]]) / (2 * _DIFFERENCE)
    return value[0], gradient


def is_regular(gradient: Float[np.ndarray, " 2"]) -> bool:
    """Return whether a gradient has a direction."""
    size = gradient @ gradient
    return bool(np.isfinite(size) and size > 0)


def along(gradient: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
    """Return the unit tangent of the curve on which a function with this gradient is zero."""
    return np.array([-gradient[1], gradient[0]]) / np.linalg.norm(gradient)


def corrected(
    plane: ParameterPlane, function: Function, place: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the nearest place on the curve by Newton's method, with the gradient last met.

    None where there is none closer than `reach`.
    """
    begun, last, gradient = place, np.inf, np.zeros(2)
    for _ in range(12):
        value, gradient = slope_at(plane, function, place)
        if not is_regular(gradient):
            return None
        move = -value * gradient / (gradient @ gradient)
        place = place + move
        moved = float(np.linalg.norm(move))
        if not np.linalg.norm(place - begun) <= reach:
            return None
        if moved < 1e-14 or (moved < 1e-11 and moved >= 0.5 * last):
            return place, gradient
        last = moved
    return (place, gradient) if last < 1e-9 else None


def inner_side(
    plane: ParameterPlane, function: Function, place: np.ndarray, gradient: np.ndarray
) -> float | None:
    """Return on which side of the gradient the cycle exists: +1, -1, 0 (both), None (neither)."""
    normal = gradient / np.linalg.norm(gradient)
    beside = place + INSIDE * np.array([normal, -normal])
    good = np.asarray(~evaluate(plane, function, beside).wrong.any(axis=(1, 2)))
    if good.all():
        return 0.0
    return None if not good.any() else (1.0 if good[0] else -1.0)


def wrong_at(
    plane: ParameterPlane,
    function: Function,
    place: np.ndarray,
    gradient: np.ndarray,
    side: float,
) -> tuple[int, int] | None:
    """Return the (t, i) whose sign is wrong just inside of a place on the curve, or None.

    (-1, -1) where a center's pair of multipliers is not on the unit circle, but real.
    """
    normal = gradient / np.linalg.norm(gradient)
    inside = place + (side if side else 1.0) * INSIDE * normal
    wrong = evaluate(plane, function, inside[None]).wrong[0]
    if not wrong.any():
        return None if _is_event(plane, function, place) else (-1, -1)
    t, i = np.argwhere(wrong)[0]
    return int(t), int(i)


def _is_event(plane: ParameterPlane, function: Function, place: np.ndarray) -> bool:
    """Return whether a zero of the function is one of its kind's events (of centers not all)."""
    if function.kind is not BIFURCATION.center:
        return True
    jacobians, _ = plane.arrays(place[None]).pieces(function.word[None])
    return is_on_circle(multipliers_of(jacobians)[0])
