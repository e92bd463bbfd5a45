"""Tracing one curve g(p, q) = 0 of a word's cycle through the unit square."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._numerics import quiet_floats
from .._results import BIFURCATION
from ._functions import (
    Signed,
    cyclic_matrix,
    multipliers_of,
    pair_product,
    pieces,
    solve_rows,
)
from ._plane import ParameterPlane

LEAST = 1e-5
"""Steps are not halved below this share of the square."""

INSIDE = 1e-6
"""How far beside a curve, as a share of the square, it is asked whether the cycle exists."""

_BESIDE_CORNER = 1e-4
"""How far along a curve from a corner it is looked for, as a share of the square."""

_DIFFERENCE = 1e-7
"""Step of central differences, as a share of the square."""

_SAME = 1e-3
"""Places closer to a known curve of one kind than this, along it, are on it."""

MOST_POINTS = 5_000


class Function(NamedTuple):
    """What is zero on a curve: of which word, which kind, and for a collision which (t, i)."""

    word: Bool[np.ndarray, "time unit"]
    kind: BIFURCATION
    unit: tuple[int, int]


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
    known: list[tuple[BIFURCATION, np.ndarray]] = dataclasses.field(default_factory=list)

    def is_known(self, function: Function, place: np.ndarray) -> bool:
        """Return whether a curve of that kind runs through a place, in the same direction."""
        tangent = _tangent(self.plane, function, place)
        for kind, places in self.known:
            if kind is function.kind and len(places) > 1 and tangent is not None:
                if _runs_through(places, place, tangent):
                    return True
        return False


def _runs_through(places: np.ndarray, place: np.ndarray, tangent: np.ndarray) -> bool:
    chords = np.diff(places, axis=0)
    lengths = np.maximum((chords**2).sum(axis=1), 1e-30)
    share = np.clip(((place - places[:-1]) * chords).sum(axis=1) / lengths, 0.0, 1.0)
    gaps = np.linalg.norm(place - places[:-1] - share[:, None] * chords, axis=1)
    nearest = int(np.argmin(gaps))
    along = abs(chords[nearest] @ tangent) / np.sqrt(lengths[nearest])
    return bool(gaps[nearest] < _SAME and along > 0.98)


class _Values(NamedTuple):
    """At several places: the function, relative to one of them, and the signs of the word."""

    value: np.ndarray
    wrong: np.ndarray


def _evaluate(plane: ParameterPlane, function: Function, places: np.ndarray) -> _Values:
    """Return the function at places (in units of its size at the first), and wrong signs there.

    `wrong` "place time unit": pre-activations whose sign is not the word's.
    """
    word = function.word
    arrays = plane.arrays(places)
    words = np.broadcast_to(word, (len(places), *word.shape))
    with quiet_floats():
        jacobians, offsets = pieces(arrays, words)
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


def _slope(plane: ParameterPlane, function: Function, place: np.ndarray):
    """Return value and gradient at a place, by central differences."""
    value = _evaluate(plane, function, place + _STAR).value
    gradient = np.array([value[1] - value[2], value[3] - value[4]]) / (2 * _DIFFERENCE)
    return value[0], gradient


def _tangent(plane: ParameterPlane, function: Function, place: np.ndarray) -> np.ndarray | None:
    _, gradient = _slope(plane, function, place)
    size = np.linalg.norm(gradient)
    if not (np.isfinite(size) and size > 0):
        return None
    return np.array([-gradient[1], gradient[0]]) / size


def _corrected(plane: ParameterPlane, function: Function, place: np.ndarray, reach: float):
    """Return the nearest place on the curve by Newton's method, or None beyond `reach`."""
    begun, last = place, np.inf
    for _ in range(12):
        value, gradient = _slope(plane, function, place)
        size = gradient @ gradient
        if not (np.isfinite(size) and size > 0):
            return None
        move = -value * gradient / size
        place = place + move
        moved = float(np.linalg.norm(move))
        if np.linalg.norm(place - begun) > reach:
            return None
        if moved < 1e-14 or (moved < 1e-11 and moved >= 0.5 * last):
            return place
        last = moved
    return place if last < 1e-9 else None


def trace(tracing: Tracing, function: Function, place: np.ndarray) -> Traced | None:
    """Trace a curve from a place on it to both sides, and note it as known.

    It ends at the edge of the square, where it closes, and at corners, where another sign of the
    word turns wrong: the function behind that is returned with the corner.
    """
    plane = tracing.plane
    found = _begin(plane, function, np.asarray(place, np.float64))
    if found is None:
        return None
    start, side = found
    legs, corners = [], []
    for direction in (-1.0, 1.0):
        leg, corner, closed = _leg(tracing, function, start, side, direction)
        legs.append(leg)
        corners += corner
        if closed:
            legs = [np.zeros((0, 2)), leg]
            break
    places = np.concatenate([legs[0][::-1], start[None], legs[1]])
    tracing.known.append((function.kind, places))
    return Traced(places, corners)


def _begin(plane: ParameterPlane, function: Function, place: np.ndarray):
    """Return a place on the curve next to which the cycle exists, and on which side.

    At a corner that is a little way along the curve, one way or the other.
    """
    start = _corrected(plane, function, place, 0.01)
    tangent = None if start is None else _tangent(plane, function, start)
    if start is None or tangent is None:
        return None
    for shift in (0.0, _BESIDE_CORNER, -_BESIDE_CORNER):
        there = _corrected(plane, function, start + shift * tangent, 0.01)
        if there is not None:
            side = _inner_side(plane, function, there)
            if side is not None:
                return there, side
    return None


def _inner_side(plane: ParameterPlane, function: Function, place: np.ndarray) -> float | None:
    """Return on which side of the gradient the cycle exists: +1, -1, 0 (both), None (neither)."""
    _, gradient = _slope(plane, function, place)
    normal = gradient / np.linalg.norm(gradient)
    beside = place + INSIDE * np.array([normal, -normal])
    good = np.asarray(~_evaluate(plane, function, beside).wrong.any(axis=(1, 2)))
    if good.all():
        return 0.0
    return None if not good.any() else (1.0 if good[0] else -1.0)


def _leg(tracing: Tracing, function: Function, start: np.ndarray, side: float, direction: float):
    """Return the places of one side of a curve, its corner, and whether it closed."""
    plane, step = tracing.plane, tracing.step
    here = start
    heading = _tangent(plane, function, start)
    if heading is None:
        return np.zeros((0, 2)), [], False
    heading = direction * heading
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
    place = _corrected(plane, function, here + step * heading, 0.3 * step)
    if place is None:
        return None
    tangent = _tangent(plane, function, place)
    if tangent is None:
        return None
    turned = tangent if tangent @ heading > 0 else -tangent
    if turned @ heading < 0.95:
        return None
    return place, turned, _wrong_at(plane, function, place, side)


def _wrong_at(plane: ParameterPlane, function: Function, place: np.ndarray, side: float):
    """Return the (t, i) whose sign is wrong just inside of a place on the curve, or None."""
    _, gradient = _slope(plane, function, place)
    normal = gradient / np.linalg.norm(gradient)
    inside = place + (side if side else 1.0) * INSIDE * normal
    wrong = _evaluate(plane, function, inside[None]).wrong[0]
    if not wrong.any():
        return None
    t, i = np.argwhere(wrong)[0]
    return int(t), int(i)


def _corner(plane: ParameterPlane, function: Function, good, bad, side: float, unit):
    """Return the last good and first bad place on the curve, by bisection, and what is wrong."""
    while float(np.linalg.norm(bad - good)) > 0.1 * INSIDE:
        reach = float(np.linalg.norm(bad - good))
        middle = _corrected(plane, function, 0.5 * (good + bad), reach)
        if middle is None:
            break
        wrong = _wrong_at(plane, function, middle, side)
        if wrong is None:
            good = middle
        else:
            bad, unit = middle, wrong
    return good, bad, unit


def _behind(plane: ParameterPlane, function: Function, unit: tuple[int, int], good, bad):
    """Return the function whose curve bounds the region behind a corner, with a place on it."""
    if function.kind in (BIFURCATION.degenerate_flip, BIFURCATION.center):
        return []
    closing = Function(function.word, BIFURCATION.degenerate_transcritical, (-1, -1))
    away = (bad - good) / max(float(np.linalg.norm(bad - good)), 1e-30)
    around = np.array([good - 3 * INSIDE * away, bad + 3 * INSIDE * away])
    signs = _evaluate(plane, closing, around).value
    if signs[0] * signs[1] < 0:
        return [(closing, good)]
    return [(Function(function.word, BIFURCATION.border_collision, unit), good)]


def _at_edge(plane: ParameterPlane, function: Function, inside: np.ndarray, outside: np.ndarray):
    """Return where the curve leaves the square."""
    while (reach := float(np.linalg.norm(outside - inside))) > 1e-13:
        middle = _corrected(plane, function, 0.5 * (inside + outside), reach)
        if (
            middle is None
            or min(np.abs(middle - inside).max(), np.abs(middle - outside).max()) == 0.0
        ):
            break
        if (middle < 0.0).any() or (middle > 1.0).any():
            outside = middle
        else:
            inside = middle
    return np.clip(inside, 0.0, 1.0)
