"""Which orbits without a cycle share an attractor, and whether it is chaotic or quasi-periodic."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._lyapunov._attractors import tell_apart
from .._lyapunov._statistics import standard_error
from .._numerics import EPS, ROUNDED
from .._results import ATTRACTOR

NUM_BLOCKS = 64
"""Blocks in which an orbit is measured."""
GROUPS = 16
"""Averages of one orbit's states from which its own error is made."""
_FEWEST = 3
"""Fewest of them that are compared with the others."""
_DIFFERENT = 6.0
"""Parts of an orbit differ where they are this many standard errors apart ..."""
_MOVED = 0.01
"""... and this share of the orbit's own spread: still on the way, or between two attractors."""
MANY = 8
"""From so many orbits on one is odd that is alone on its attractor ..."""
_ODD = 10.0
"""... or this many times as far from the others' median as they usually are."""
_SURE = 3.0
"""Standard errors by which a chaotic attractor's exponent is positive."""
_BOUNDED = float(np.log(100.0))
"""A tangent vector whose ln varies by less over the whole run did not grow: along invariant circles
the factors are far below a hundred, while growth by noise or by a weak exponent goes on."""


class Blocks(NamedTuple):
    """Means along every orbit: ln growth of a tangent vector per step, z, z squared; ends of z."""

    growth: Float[np.ndarray, "block lane"]
    mean: Float[np.ndarray, "group lane state"]
    square: Float[np.ndarray, "group lane state"]
    ends: Float[np.ndarray, "group lane end"]

    def of(self, lanes: np.ndarray) -> "Blocks":
        """Return the blocks of some lanes."""
        return Blocks(*(array[:, lanes] for array in self))


class Regime(NamedTuple):
    """Exponent, standard error and kind of the attractor of some lanes."""

    lyapunov: float
    error: float
    kind: ATTRACTOR


def _changes(groups: np.ndarray, allowed: np.ndarray) -> Bool[np.ndarray, " lane"]:
    """Return whether averages, "group lane state", move farther than allowed, "lane state".

    The parts before and after every group are compared that leaves a few on both sides.
    """
    found = np.zeros(groups.shape[1], bool)
    for split in range(_FEWEST, GROUPS - _FEWEST + 1):
        parts = groups[:split], groups[split:]
        within = sum(len(part) * part.var(axis=0) for part in parts) / (GROUPS - 2)
        error = np.sqrt(within * sum(1.0 / len(part) for part in parts))
        off = np.abs(parts[0].mean(axis=0) - parts[1].mean(axis=0))
        found |= ((off > _DIFFERENT * error) & (off > allowed)).any(axis=1)
    return found


def moved(blocks: Blocks) -> Bool[np.ndarray, " lane"]:
    """Return which orbits have not settled: mean, spread or extremes change along the orbit."""
    middle = blocks.mean.mean(axis=0)
    spread = blocks.square - 2 * middle * blocks.mean + middle**2
    variance = np.maximum(spread.mean(axis=0), 0.0)
    rounding = np.sqrt(EPS) * (np.abs(middle) + 1.0)
    allowed = _MOVED * np.sqrt(variance) + rounding
    found = _changes(blocks.mean, allowed) | _changes(spread, _MOVED * variance + rounding)
    return found | _changes(blocks.ends, np.tile(allowed, 2))


def odd(blocks: Blocks, label: Int[np.ndarray, " lane"]) -> Bool[np.ndarray, " lane"]:
    """Return which lanes are unlike the others of their group, or alone.

    An orbit that changed attractors while it was measured is one, and may have joined two groups.
    """
    means = blocks.growth.mean(axis=0)[:, None], blocks.mean.mean(axis=0)
    features = np.concatenate(means, axis=1)
    found = np.zeros(len(label), bool)
    for group in range(label.max(initial=-1) + 1):
        here = np.flatnonzero(label == group)
        off = np.abs(features[here] - np.median(features[here], axis=0))
        usual = np.median(off, axis=0) + np.sqrt(EPS) * np.abs(features[here]).max(axis=0)
        found[here] = (off > _ODD * usual).any(axis=1) if len(here) >= MANY else len(here) == 1
    return found & (len(label) >= MANY)


def _extremes(blocks: Blocks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return "lane end": extremes over the run, how they differ between its halves, and widths."""
    half, size = len(blocks.ends) // 2, blocks.mean.shape[2]
    parts = blocks.ends[:half], blocks.ends[half:]
    low, high = (
        np.stack([end(part[..., side], axis=0) for part in parts])
        for end, side in ((np.min, np.s_[:size]), (np.max, np.s_[size:]))
    )
    far = np.concatenate([low.min(axis=0), high.max(axis=0)], axis=1)
    change = np.concatenate([np.ptp(low, axis=0), np.ptp(high, axis=0)], axis=1)
    return far, change, np.tile(far[:, size:] - far[:, :size], 2)


def unseen(blocks: Blocks) -> Bool[np.ndarray, " lane"]:
    """Return which lanes reach farther in one half of the run than in the other, by 2 % of their
    width: of a torus, not all was seen."""
    far, change, width = _extremes(blocks)
    return (change > 2 * _MOVED * width + np.sqrt(EPS) * (np.abs(far) + 1.0)).any(axis=1)


def vague(blocks: Blocks, label: Int[np.ndarray, " lane"]) -> Bool[np.ndarray, " lane"]:
    """Return which lanes may be on another attractor than the others of their group.

    Their extremes are unlike the median lane's, while over both halves of the run they are alike:
    six times as much, and 1 % of the width. Where extremes still grow, nothing is to be said.
    """
    far, change, width = _extremes(blocks)
    found = np.zeros(len(label), bool)
    for group in range(label.max(initial=-1) + 1):
        here = np.flatnonzero(label == group)
        off = np.abs(far[here] - np.median(far[here], axis=0))
        usual = change[here] + np.median(change[here], axis=0)
        rounding = np.sqrt(EPS) * (np.abs(far[here]) + 1.0)
        found[here] = (off > _DIFFERENT * usual + _MOVED * width[here] + rounding).any(axis=1)
    return found


def grouped(blocks: Blocks, num_steps: int) -> tuple[Int[np.ndarray, " lane"], bool]:
    """Label lanes by the attractor they share, 0 for the most frequent one; say if a continuum.

    Told apart by exponent and occupancy: time averages of z and of (z - center)^2, and the
    least and largest z_i of long stretches.
    """
    center = blocks.mean.mean(axis=(0, 1))
    spread = blocks.square - 2 * center * blocks.mean + center**2
    occupancy = np.concatenate([blocks.mean, spread], axis=2)
    growth = blocks.growth.reshape(GROUPS, -1, blocks.growth.shape[1]).mean(axis=1)
    alive = np.ones(growth.shape[1], bool)
    return tell_apart(growth[:, :, None], occupancy, alive, num_steps, 0, blocks.ends)


def regime(
    growth: Float[np.ndarray, "block lane"], num_steps: int | Int[np.ndarray, " lane"]
) -> Regime:
    """Return what the growth of tangent vectors says about the attractor of these lanes.

    Chaotic: lambda_1 exceeds three standard errors and what one orbit's ln growth swings by over
    the run, in both halves of the run alike, and in the later half vectors grow a hundredfold.
    Quasi-periodic: lambda_1 is 0 within these, and both amount to no more than a bounded factor
    over the whole run: no exponent, only fluctuations, whose mean decays as 1/T. Else undecided.
    The error covers the drift from half to half.
    """
    value, half = float(growth.mean()), len(growth) // 2
    block = num_steps / len(growth)
    path = np.cumsum(growth - growth.mean(axis=0), axis=0)
    swing = float(np.median((path.max(axis=0) - path.min(axis=0)) * block))
    steps = float(np.median(num_steps))
    error = float(standard_error(growth[:, :, None])[0])
    error = float(np.hypot(error, swing / steps / np.sqrt(growth.shape[1]))) + ROUNDED
    late = growth[half:].mean(axis=0)
    drift = abs(float(growth[:half].mean() - late.mean()))
    error = float(np.hypot(error, 0.5 * drift if drift > 2 * _SURE * error else 0.0))
    limit = max(_SURE * error, swing / steps)
    bounded = max(swing, _SURE * error * steps) < _BOUNDED
    grows = float(np.median(late * 0.5 * num_steps)) > _BOUNDED and late.mean() > limit
    if value > limit and grows:
        kind = ATTRACTOR.chaotic
    elif abs(value) <= limit and bounded:
        kind = ATTRACTOR.quasiperiodic
    else:
        kind = ATTRACTOR.undecided
    return Regime(value, error, kind)
