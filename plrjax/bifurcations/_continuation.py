"""From a cycle to the next event along a path, many cycles at once."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool

from .._numerics import EPS, ROUNDED, quiet_floats
from .._results import BIFURCATION, _MessageEnum
from ._chebyshev import POINTS, Series, roots_of, series_of, value_at
from ._path import AbstractParameterPath
from ._test_functions import (
    Signed,
    activation_errors,
    candidates,
    is_on_circle,
    multipliers_of,
    stability_functions,
)

LEAST_STEP = 1e-7
"""Panels are not halved below this fraction of the path: what has not converged there is said."""


_RTOL: Any = 8 * EPS
_PERHAPS = 1e-6
"""Pre-activations below this fraction of all terms are asked whether they rest at zero."""

MOST_COARSE = 20
"""Panels of one cycle accepted coarsely after which none is halved any more: a rough path."""

CLOSE = 1e-9
"""Events closer than this fraction of the path are one."""


class END(_MessageEnum):
    """Why a cycle was followed no further."""

    path_end = 0, "The path ends here; the cycle goes on."
    border_collision = 1, "A point of the cycle reached a switching boundary."
    degenerate_transcritical = 2, "A multiplier reached +1: the cycle runs to infinity."
    unresolved = (
        3,
        "The cycle lies on a switching boundary within rounding, or its equations are singular to "
        "working precision, so that it could not be followed.",
    )


class Start(NamedTuple):
    """A cycle to follow: its word, from where, in which direction of s.

    **Fields:** `zeros`: pairs (t, i) whose pre-activation is zero at s, where it starts from a
    border collision.
    """

    word: Bool[np.ndarray, "time unit"]
    s: float
    direction: int
    zeros: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass
class Stretch:
    """What a cycle did from its start on: where it ended and why, and turns of stability between.

    **Fields:** `unit`: (t, i) that reached zero at a border collision; `turns`: pairs (s, kind);
    `num_coarse`: panels accepted though their series had not converged.
    """

    s: float
    end: END = END.path_end
    unit: tuple[int, int] = (-1, -1)
    turns: list[tuple[float, BIFURCATION]] = dataclasses.field(default_factory=list)
    num_coarse: int = 0


def march(path: AbstractParameterPath, starts: Sequence[Start]) -> list[Stretch]:
    """Follow each cycle from its start to its first border collision or transcritical, or the end.

    Panels are halved until the test functions' Chebyshev series converge; the first root of any is
    refined on the function itself. Degenerate flips and centers on the way do not end a cycle.
    """
    found: list[Stretch] = [Stretch(start.s) for start in starts]
    for period in sorted({len(start.word) for start in starts}):
        rows = [row for row, start in enumerate(starts) if len(start.word) == period]
        lanes = [_Lane(path, starts[row], found[row]) for row in rows]
        while live := [lane for lane in lanes if not lane.done]:
            _advance(path, live)
    return found


class _Lane:
    """One cycle on its way."""

    def __init__(self, path: AbstractParameterPath, start: Start, stretch: Stretch):
        self.start, self.stretch = start, stretch
        self.limit = path.stop if start.direction > 0 else path.start
        self.here, self.least = start.s, LEAST_STEP * path.span
        self.step = abs(self.limit - start.s)
        self.done = self.step <= CLOSE * 1e-3 * path.span

    @property
    def panel(self) -> tuple[float, float]:
        rest = abs(self.limit - self.here)
        step = rest if self.step >= 0.999 * rest else self.step
        return self.here, self.here + self.start.direction * step

    def nodes(self) -> np.ndarray:
        a, b = self.panel
        return 0.5 * (a + b) + 0.5 * (b - a) * POINTS

    def halve(self) -> bool:
        """Halve the panel; return whether that was possible."""
        a, b = self.panel
        if self.stretch.num_coarse >= MOST_COARSE or abs(b - a) < 2 * self.least:
            # Where nothing converges (a path that is not smooth) panels grow, or it would not end.
            self.stretch.num_coarse += 1
            self.least *= 2.0
            return False
        self.step = 0.5 * abs(b - a)
        return True

    def finish(self, s: float, end: END, unit: tuple[int, int] = (-1, -1)) -> None:
        self.stretch.s, self.stretch.end, self.stretch.unit, self.done = float(s), end, unit, True


class _Panel(NamedTuple):
    """Test functions of one lane on its panel: y_{t,i} det(I - P) and det(I - P)."""

    activations: Series
    closing: Series


def scaled(values: Signed) -> np.ndarray:
    """Return numbers divided by the largest along the last axis."""
    with quiet_floats():
        top = values.log.max(axis=-1, keepdims=True)
        return np.where(np.isfinite(top), values.sign * np.exp(values.log - top), np.nan)


def activation_values(path: AbstractParameterPath, words: np.ndarray, s: np.ndarray):
    """Return det(I - P) y_{t,i} "lane time unit node" and det(I - P) "lane node", scaled by lane.

    **Arguments:** `words` "lane time unit", `s` "lane node".
    """
    lanes, nodes = s.shape
    flat = np.repeat(words, nodes, axis=0)
    found = candidates(path, flat, s.reshape(-1))
    arrays = path.arrays(s.reshape(-1))
    closing = scaled(Signed(*(x.reshape(lanes, nodes) for x in found.closing)))
    with quiet_floats():
        forming = np.abs(found.points) @ np.swapaxes(np.abs(arrays.W2), 1, 2)
        forming += np.abs(arrays.h2)[:, None]
        y = np.where(np.abs(found.activations) <= ROUNDED * forming, 0.0, found.activations)
        small = np.abs(y) <= _PERHAPS * forming.max(axis=(1, 2), keepdims=True)
    y, small = (np.moveaxis(x.reshape(lanes, nodes, *words.shape[1:]), 1, -1) for x in (y, small))
    still = np.asarray(small.all(axis=-1))
    rows = np.flatnonzero(still.any(axis=(1, 2)))
    if rows.size:
        y[rows] = _rested(path, words[rows], s[rows], found.points, rows, y[rows])
    return y * closing[:, None, None, :], closing


def _rested(path: AbstractParameterPath, words, s, points, rows, y) -> np.ndarray:
    """Return pre-activations with those put to zero that are rounding on their whole panel."""
    lanes, nodes = s.shape
    own = points.reshape(-1, nodes, *points.shape[1:])[rows].reshape(-1, *points.shape[1:])
    arrays = path.arrays(s.reshape(-1))
    bound = activation_errors(arrays, np.repeat(words, nodes, axis=0), own)
    bound = np.moveaxis(bound.reshape(lanes, nodes, *words.shape[1:]), 1, -1)
    with quiet_floats():
        resting = (np.abs(y) <= bound).all(axis=-1)
    return np.where(resting[..., None], 0.0, y)


def _advance(path: AbstractParameterPath, lanes: list[_Lane]) -> None:
    """Take every lane over its panel, or halve that."""
    words = np.stack([lane.start.word for lane in lanes])
    s = np.stack([lane.nodes() for lane in lanes])
    values, closing = activation_values(path, words, s)
    for row, lane in enumerate(lanes):
        if lane.here == lane.start.s:
            for t, i in lane.start.zeros:
                values[row, t, i] /= POINTS + 1.0
    whole = series_of(values), series_of(closing)
    panels = [_Panel(*(Series(*(x[row] for x in part)) for part in whole)) for row in range(len(s))]
    ready = [
        (row, lane)
        for row, lane in enumerate(lanes)
        if (panels[row].activations.converged.all() and panels[row].closing.converged)
        or not lane.halve()
    ]
    if not ready:
        return
    rows = [row for row, _ in ready]
    turning = _turning(path, words[rows], s[rows])
    for place, (row, lane) in enumerate(ready):
        own = Series(*(x[place] for x in turning))
        if own.converged.all() or not lane.halve():
            _settle(path, lane, panels[row], own)


def _turning(path: AbstractParameterPath, words: np.ndarray, s: np.ndarray) -> Series:
    """Return the series of det(I + P) and of the product over pairs, "lane 2 term".

    One that is zero within rounding on a whole panel (a multiplier rests at -1) has no turn there.
    """
    lanes, nodes = s.shape
    found = stability_functions(path, np.repeat(words, nodes, axis=0), s.reshape(-1))
    values = []
    for part, resting in zip((found.flip, found.center), found.resting):
        still = resting.reshape(lanes, nodes).all(axis=1, keepdims=True)
        own = scaled(Signed(*(x.reshape(lanes, nodes) for x in part)))
        values.append(np.where(still, 1.0, own))
    return series_of(np.stack(values, axis=1))


def _settle(path: AbstractParameterPath, lane: _Lane, panel: _Panel, turning: Series) -> None:
    """Find the first event of a lane on its panel, and the turns before it."""
    a, b = lane.panel
    if not _starts_admissible(lane, panel):
        lane.finish(a, END.unresolved)
        return
    event = _first_event(path, lane, panel)
    last = b if event is None else event[0]
    for which, kind in ((0, BIFURCATION.degenerate_flip), (1, BIFURCATION.center)):
        if turning.sign[which] == 0:
            for root in _turns(path, lane, turning.coefficients[which], kind):
                if (root - a) * (last - root) >= 0:
                    lane.stretch.turns.append((root, kind))
    if event is not None:
        lane.finish(*event)
    elif b == lane.limit:
        lane.finish(b, END.path_end)
    else:
        lane.here, lane.step = b, 2.0 * abs(b - a)


def _starts_admissible(lane: _Lane, panel: _Panel) -> bool:
    """Return whether all signs are the word's, just behind the start of the panel."""
    x = -1.0 + 1e-6
    closing = value_at(panel.closing.coefficients, x)
    found = value_at(panel.activations.coefficients, x) * np.sign(closing)
    sizes = np.abs(panel.activations.coefficients).max(axis=-1)
    wrong = np.where(lane.start.word, found < 0, found > 0) & (np.abs(found) > 1e-9 * sizes)
    return not wrong.any()


def _first_event(path: AbstractParameterPath, lane: _Lane, panel: _Panel):
    """Return (s, end, unit) of the first root of a pre-activation or of det(I - P), or None."""
    roots: list[tuple[float, tuple[int, int] | None]] = []
    for t, i in np.argwhere(panel.activations.sign == 0).tolist():
        roots += [(x, (t, i)) for x in roots_of(panel.activations.coefficients[t, i])]
    if panel.closing.sign == 0:
        roots += [(x, None) for x in roots_of(panel.closing.coefficients)]
    for x, unit in sorted(roots, key=lambda item: item[0]):
        s = _refined(path, lane, x, _event_function(path, lane.start.word, unit))
        if s is None or _known(path, lane, unit, s):
            continue
        if unit is None:
            return s, END.degenerate_transcritical, (-1, -1)
        return s, END.border_collision, unit
    return None


def _known(path: AbstractParameterPath, lane: _Lane, unit: tuple[int, int] | None, s: float):
    """Return whether a root is the collision that the lane came from."""
    return unit in lane.start.zeros and abs(s - lane.start.s) <= CLOSE * path.span


def _event_function(path: AbstractParameterPath, word: np.ndarray, unit: tuple[int, int] | None):
    """Return the function of s whose root is wanted."""

    def value(s: float) -> float:
        found = candidates(path, word[None], np.array([s]))
        if unit is not None:
            return float(found.activations[0, unit[0], unit[1]])
        return float(found.closing.sign[0] * np.exp(np.minimum(found.closing.log[0], 700.0)))

    return value


def _turns(path: AbstractParameterPath, lane: _Lane, coefficients: np.ndarray, kind: BIFURCATION):
    """Return where multipliers reach -1, or a complex pair the unit circle, on a panel."""
    word = lane.start.word

    def value(s: float) -> float:
        found = stability_functions(path, word[None], np.array([s]))
        part = found.flip if kind is BIFURCATION.degenerate_flip else found.center
        return float(part.sign[0] * np.exp(np.minimum(part.log[0], 700.0)))

    found = []
    for x in roots_of(coefficients):
        s = _refined(path, lane, x, value)
        if s is None or (lane.start.zeros and abs(s - lane.start.s) <= CLOSE * path.span):
            continue
        if kind is BIFURCATION.degenerate_flip or is_center(path, word, s):
            found.append(s)
    return found


def is_center(path: AbstractParameterPath, word: np.ndarray, s: float) -> bool:
    """Return whether a complex pair (not two real multipliers m, 1/m) is on the unit circle."""
    return is_on_circle(multipliers_at(path, word, s))


def _refined(
    path: AbstractParameterPath, lane: _Lane, x: float, function: Callable[[float], float]
) -> float | None:
    """Return the root near a place of the panel, on the function itself; None if none is there."""
    a, b = lane.panel
    half = 0.5 * abs(b - a)
    center = 0.5 * (a + b) + 0.5 * (b - a) * x
    least = 8 * EPS * max(abs(path.start), abs(path.stop))
    for width in (1e-9, 1e-6, 1e-4, 2e-3):
        reach = max(width * half, least)
        low, high = max(center - reach, path.start), min(center + reach, path.stop)
        values = function(low), function(high)
        if values[0] == 0.0 or values[1] == 0.0:
            return low if values[0] == 0.0 else high
        if np.isfinite(values).all() and values[0] * values[1] < 0:
            found: Any = scipy.optimize.brentq(
                function, low, high, xtol=4 * EPS * path.span, rtol=_RTOL
            )
            return float(found) if abs(function(found)) <= max(map(abs, values)) else None
    return None


def multipliers_at(path: AbstractParameterPath, word: np.ndarray, s: float) -> np.ndarray:
    """Return the multipliers of a word at s, by decreasing modulus."""
    return multipliers_of(path.arrays(np.array([s])).pieces(word[None])[0])[0]
