"""Tracing one curve g(p, q) = 0 of a word's cycle through the unit square."""

import dataclasses

import numpy as np
from jaxtyping import Float

from ..._results import BIFURCATION
from .._zeros import (
    INSIDE,
    Function,
    along,
    corrected,
    evaluate,
    inner_side,
    is_regular,
    slope_at,
    wrong_at,
)
from ._plane import ParameterPlane
from ._polylines import SLACK, lie_on

LEAST = 1e-5
"""Steps are not halved below this share of the square."""

_BESIDE_CORNER = 1e-4
"""How far along a curve from a corner it is looked for, as a share of the square."""

_STRAIGHT = 0.99
"""Cosine of the most that a curve turns in one step: 8 degrees."""

_NEAR = 0.01
"""Places given are on the curve, or at a corner from which it is closer than this."""

MOST_POINTS = 5_000
"""A curve on which so many steps were taken ends: it does not close, and hardly gets on."""


@dataclasses.dataclass
class Traced:
    """A curve in the unit square, and the other functions that are zero at its ends."""

    places: Float[np.ndarray, "point 2"]
    corners: list[tuple[Function, np.ndarray]]


@dataclasses.dataclass
class Tracing:
    """The plane, the longest step, and all curves traced until now."""

    plane: ParameterPlane
    step: float
    known: list[tuple[Function, np.ndarray]] = dataclasses.field(default_factory=list)

    def is_known(self, function: Function, place: np.ndarray) -> bool:
        """Return whether a curve of that kind runs through a place, in the same direction."""
        _, gradient = slope_at(self.plane, function, place)
        if not is_regular(gradient):
            return False
        return self._knows(function, place[None], along(gradient)[None])

    def has_curve(self, function: Function, places: Float[np.ndarray, "point 2"]) -> bool:
        """Return whether a curve lies on another one as a whole: that of a partner's word."""
        return self._knows(function, places, np.gradient(places, axis=0))

    def _knows(self, function: Function, places: np.ndarray, tangents: np.ndarray) -> bool:
        middle = len(places) // 2
        some = slice(middle, middle + 1)
        for known, others in self.known:
            if known.kind is not function.kind or not lie_on(others, places[some], tangents[some]):
                continue
            if lie_on(others, places, tangents) and self._is_zero(known, places[middle]):
                return True
        return False

    def _is_zero(self, function: Function, place: np.ndarray) -> bool:
        value, gradient = slope_at(self.plane, function, place)
        return bool(abs(value) <= SLACK * np.linalg.norm(gradient))


def trace(tracing: Tracing, function: Function, place: np.ndarray) -> Traced | None:
    """Trace a curve from a place on it to both sides, and note it as known.

    It ends at the edge of the square, where it closes, and at corners, where another sign of the
    word turns wrong: the function behind that is returned with the corner. None where no such cycle
    is found next to the place, or the curve is known.
    """
    plane = tracing.plane
    found = _begin(plane, function, np.asarray(place, np.float64))
    if found is None:
        return None
    start, tangent, side = found
    if tracing.is_known(function, start):
        return None
    legs, corners = [], []
    for direction in (-1.0, 1.0):
        leg, corner, closed = _leg(tracing, function, start, direction * tangent, side)
        legs.append(leg)
        corners += corner
        if closed:
            legs = [np.zeros((0, 2)), leg]
            break
    places = np.concatenate([legs[0][::-1], start[None], legs[1]])
    if len(places) < 2:
        return None
    tracing.known.append((function, places))
    return Traced(places, corners)


def _begin(plane: ParameterPlane, function: Function, place: np.ndarray):
    """Return a place on the curve next to which the cycle exists, the tangent, and which side.

    At a corner that is a little way along the curve, one way or the other.
    """
    start = corrected(plane, function, place, _NEAR)
    if start is None:
        return None
    for shift in (0.0, _BESIDE_CORNER, -_BESIDE_CORNER):
        there = corrected(plane, function, start[0] + shift * along(start[1]), _NEAR)
        if there is not None:
            side = inner_side(plane, function, *there)
            if side is not None:
                return there[0], along(there[1]), side
    return None


def _leg(tracing: Tracing, function: Function, start: np.ndarray, heading: np.ndarray, side: float):
    """Return the places of one side of a curve, its corner, and whether it closed."""
    plane, step = tracing.plane, tracing.step
    here = start
    places: list[np.ndarray] = []
    while len(places) < MOST_POINTS:
        found = _next(plane, function, here, heading, side, step)
        if found is None:
            if step <= LEAST:
                break
            step = max(0.5 * step, LEAST)
            continue
        place, turned, wrong = found
        if wrong is not None:
            good, bad, unit = _corner(plane, function, here, place, side, wrong)
            places.append(good)
            return np.array(places), _behind(plane, function, unit, good, bad), False
        outside = (place < 0.0).any() or (place > 1.0).any()
        if outside:
            places.append(_at_edge(plane, function, here, place))
            return np.array(places), [], False
        places.append(place)
        if len(places) > 3 and np.linalg.norm(place - start) < 0.7 * step:
            places.append(start)
            return np.array(places), [], True
        here, heading = place, turned
        step = min(1.5 * step, tracing.step)
    return np.array(places).reshape(-1, 2), [], False


def _next(plane: ParameterPlane, function: Function, here, heading, side: float, step: float):
    """Return the next place, the tangent there, and the (t, i) with a wrong sign; None: too far."""
    found = corrected(plane, function, here + step * heading, 0.3 * step)
    if found is None:
        return None
    tangent = along(found[1])
    turned = tangent if tangent @ heading > 0 else -tangent
    if turned @ heading < _STRAIGHT:
        return None
    return found[0], turned, wrong_at(plane, function, *found, side)


def _corner(plane: ParameterPlane, function: Function, good, bad, side: float, unit):
    """Return the last good and first bad place on the curve, by bisection, and what is wrong."""
    while float(np.linalg.norm(bad - good)) > 0.1 * INSIDE:
        reach = float(np.linalg.norm(bad - good))
        middle = corrected(plane, function, 0.5 * (good + bad), reach)
        if middle is None:
            break
        wrong = wrong_at(plane, function, *middle, side)
        if wrong is None:
            good = middle[0]
        else:
            bad, unit = middle[0], wrong
    return good, bad, unit


def _behind(plane: ParameterPlane, function: Function, unit: tuple[int, int], good, bad):
    """Return the function whose curve bounds the region behind a corner, with a place on it."""
    if function.kind in (BIFURCATION.degenerate_flip, BIFURCATION.center):
        return []
    behind = Function(function.word, BIFURCATION.border_collision, unit)
    if function.kind is BIFURCATION.degenerate_transcritical:
        return [(behind, good)]
    closing = Function(function.word, BIFURCATION.degenerate_transcritical, (-1, -1))
    away = (bad - good) / max(float(np.linalg.norm(bad - good)), 1e-30)
    around = np.array([good - 3 * INSIDE * away, bad + 3 * INSIDE * away])
    signs = evaluate(plane, closing, around).value
    return [(closing if signs[0] * signs[1] < 0 else behind, good)]


def _at_edge(plane: ParameterPlane, function: Function, inside: np.ndarray, outside: np.ndarray):
    """Return where the curve leaves the square."""
    while (reach := float(np.linalg.norm(outside - inside))) > 1e-13:
        found = corrected(plane, function, 0.5 * (inside + outside), reach)
        if found is None:
            break
        middle = found[0]
        if min(np.abs(middle - inside).max(), np.abs(middle - outside).max()) == 0.0:
            break
        if (middle < 0.0).any() or (middle > 1.0).any():
            outside = middle
        else:
            inside = middle
    return np.clip(inside, 0.0, 1.0)
