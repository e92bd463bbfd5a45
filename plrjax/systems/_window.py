"""Where a divergence curve is straight: the rule that chooses the stretch to fit."""

import dataclasses

import numpy as np
from jaxtyping import Float

from ._divergence import Divergence

_NAT = 1.0
"""A stretch is judged over growth by this much: by a factor e."""
_SHARE = 0.8
"""Shallower stretches, as a share of the steepest, are flattened by noise or by alignment."""
_RANGE = 1.0 / 3.0
"""The fit covers this share of the way from its beginning to saturation."""
_BEND = 0.6
"""Least ratio of the slopes of the two halves of the fit."""
_ROOM = 2.0
"""Where neighbors do not part: nats below unrelated states that they must stay."""

Curve = Float[np.ndarray, " step"]


@dataclasses.dataclass(frozen=True)
class Fit:
    """A straight line through part of a divergence curve, or the `reason` why there is none.

    `first` and `last` are the steps it begins and ends at; `flat` where distances do not grow.
    """

    slope: float
    error: float
    first: int
    last: int
    flat: bool = False
    reason: str = ""


def no_fit(reason: str) -> Fit:
    """Return that there is no line, and why."""
    return Fit(np.nan, np.nan, 0, 0, reason=reason)


def fit_divergence(curve: Divergence, floor: float, begin: int, shortest: int) -> Fit:
    """Return the slope of the straight part of a divergence curve, nats per step.

    (1) Only steps from `begin` on count, and only after the last at which half of d^2 is noise
    (that has distances e^`floor`); the noise is subtracted. (2) Every stretch over which the curve
    rises by one nat (and of at least `shortest` steps) has a slope; noise flattens the beginning,
    saturation the end. (3) The fit begins at the earliest stretch whose slope is at least 80 % of
    the steepest, where distances are smallest, and ends a third of the way to saturation, at least
    one nat higher. (4) The slope of its second half must be at least 60 % of the first's:
    diffusion, ln d = (1/2) ln t, has 39 % over one nat. (5) It must end one nat below saturation.

    The error joins the jackknife over 16 stretches of the series with half the difference of the
    slopes of the two halves.
    """
    if begin + 2 * shortest >= len(curve.mean):
        return no_fit(
            f"neighbors are followed for {len(curve.mean) - 1} steps, and {begin + 2 * shortest} "
            f"are needed (the span of the delays, and two mean periods)"
        )
    clean = curve.without_noise(floor)
    mean = clean.mean
    lost = np.flatnonzero(np.isnan(np.vstack([mean, clean.without])).any(axis=0))
    begin_clean = max(begin, int(lost[-1]) + 1) if len(lost) else begin
    rises = _stretches(mean, begin_clean, shortest)
    if not rises:
        return _without_growth(curve, begin)
    steepest = max(slope for _, _, slope in rises)
    first, last, _ = next(rise for rise in rises if rise[2] >= _SHARE * steepest)
    goal = mean[first] + max(_NAT, _RANGE * (curve.saturation - mean[first]))
    reached = np.flatnonzero(mean[last:] >= goal)
    last += int(reached[0]) if len(reached) else 0
    slope, error = _line(clean, first, last)
    return Fit(slope, error, first, last, reason=_objection(clean, first, last))


def _objection(curve: Divergence, first: int, last: int) -> str:
    """Return why a stretch is not straight, or nothing."""
    early, late = _halves(curve.mean, first, last)
    if late < _BEND * early:
        return (
            f"distances grow, but not exponentially: by {early:.3g} nats per step at first, then "
            f"by {late:.3g}; noise drives them, or the series is too short for its dimension"
        )
    if curve.mean[last] > curve.saturation - _NAT:
        room = curve.saturation - curve.mean[first]
        return (
            f"there are only {room:.2g} nats between the smallest distances, or the noise, and "
            f"saturation"
        )
    return ""


def _stretches(mean: Curve, begin: int, shortest: int) -> list[tuple[int, int, float]]:
    """Return (first, last, slope) of all stretches over which the curve rises by one nat."""
    found = []
    if begin >= len(mean):
        return found
    for first in np.unique(np.linspace(begin, len(mean) - 1, 200).astype(int)).tolist():
        risen = np.flatnonzero(mean[first:] >= mean[first] + _NAT)
        if len(risen):
            last = first + max(int(risen[0]), shortest)
            if last < len(mean):
                found.append((first, last, _slope(mean, first, last)))
    return found


def _without_growth(curve: Divergence, begin: int) -> Fit:
    """Return the slope of a curve that stays where it is, or say that it is at the top already.

    The error is at least what the curve rises from end to end.
    """
    last = len(curve.mean) - 1
    room = curve.size - float(curve.mean[begin:].mean())
    if room < _ROOM:
        return no_fit(
            f"neighbors are soon only {room:.2g} nats closer than unrelated states: noise, or a "
            f"series too short for its dimension"
        )
    slope, error = _line(curve, begin, last)
    risen = abs(float(curve.mean[last] - curve.mean[begin])) / (last - begin)
    return Fit(slope, max(error, risen), begin, last, flat=True)


def _line(curve: Divergence, first: int, last: int) -> tuple[float, float]:
    """Return the slope of the least-squares line between two steps, and its error."""
    slopes = np.array([_slope(row, first, last) for row in curve.without])
    jackknife = np.sqrt((len(slopes) - 1) * slopes.var())
    early, late = _halves(curve.mean, first, last)
    return _slope(curve.mean, first, last), float(np.hypot(jackknife, 0.5 * (late - early)))


def _halves(mean: Curve, first: int, last: int) -> tuple[float, float]:
    """Return the slopes of the two halves of a stretch."""
    middle = (first + last) // 2
    return _slope(mean, first, middle), _slope(mean, middle, last)


def _slope(mean: Curve, first: int, last: int) -> float:
    """Return the least-squares slope between two steps, inclusive."""
    time = np.arange(last - first + 1) - 0.5 * (last - first)
    return float(time @ mean[first : last + 1] / (time @ time))
