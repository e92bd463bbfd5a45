"""Invariant circles around a focus along a path of networks, and the cycles that they lock onto.

A circle whose orbit turns once in T steps holds cycles of k steps where T = k along a whole piece
of the path (a tongue): they are sought where T(s) passes an integer, and followed from there.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

import plrjax as plr
from plrjax._map_arrays import MapArrays
from plrjax._parallel import one_thread_per_solve
from plrjax.bifurcations._gather import PerNetwork, gathered
from plrjax.bifurcations._segments import Atlas
from plrjax.bifurcations._test_functions import candidates
from plrjax.cycles._catalog import REJECTED, Catalog
from plrjax.words import unpack

START, INSIDE = 0.4, 0.02
"""Distances from the focus at which orbits begin: the first is in a circle's basin at all ten
snapshots, the second inside all circles that have been seen."""
NUM_TRANSIENT, NUM_STEPS = 12_000, 8_192
POLISH = 30
_WIDE = 0.6
"""An orbit that gets so far from the focus is not on the small attractor."""
_NARROW = 1e-3
"""An orbit that stays so near has ended on the focus."""
_EDGE_ROUNDS, _EDGE_STEPS, _EDGE_TRANSIENT, _EDGE_MEASURED = 36, 3_000, 1_000, 2_000
"""Bisections to the repelling circle, steps that decide each, and the orbit measured on it."""
_PHASES = 24
"""Places on an orbit from which words are cut."""


Measure = Callable[[Int[np.ndarray, " lane"], Float[np.ndarray, " lane"]], "Circles"]


def linear_paths(models: Sequence[Any]) -> list[plr.LinearPath]:
    """Return the straight lines from network to network."""
    return [plr.LinearPath(early, late) for early, late in zip(models[:-1], models[1:])]


@dataclasses.dataclass(frozen=True)
class Focus:
    """A fixed point with a complex pair, followed along a sequence of networks.

    **Fields:** `found`: its events; `paths`: of all intervals; `branch`: its number.
    """

    found: plr.Bifurcations
    paths: Sequence[plr.LinearPath]
    branch: int

    def pieces(self, interval: Int[np.ndarray, " lane"], s: Float[np.ndarray, " lane"]):
        """Return points "lane state" and Jacobians "lane state state" at places of the path."""
        found, points, jacobians = self.found, [], []
        for i, at in zip(interval.tolist(), s.tolist()):
            near = (found.segment_branch == self.branch) & (found.segment_interval == i)
            near &= (found.segment_low <= at) & (at <= found.segment_high)
            word = found.regions(int(np.flatnonzero(near)[0]))[None]
            points.append(candidates(self.paths[i], word, np.array([at])).points[0, 0])
            jacobians.append(self.paths[i].arrays(np.array([at])).pieces(word)[0][0, 0])
        return np.stack(points), np.stack(jacobians)

    def multipliers(self, interval, s) -> Complex[np.ndarray, "lane state"]:
        """Return the multipliers at places of the path, by decreasing modulus."""
        values = np.linalg.eigvals(self.pieces(interval, s)[1]).astype(complex)
        return np.take_along_axis(values, np.argsort(-np.abs(values), axis=1), axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Circles:
    """What orbits that begin near a focus settle on, at places of the path.

    **Fields:** `interval`, `s`: the places; `turn`: steps per turn, NaN where the orbit left;
    `least`, `most`: distances from the focus, within which it stays; `states`: its last state.
    """

    interval: Int[np.ndarray, " lane"]
    s: Float[np.ndarray, " lane"]
    turn: Float[np.ndarray, " lane"]
    least: Float[np.ndarray, " lane"]
    most: Float[np.ndarray, " lane"]
    states: Float[np.ndarray, "lane state"]

    @property
    def small(self) -> Bool[np.ndarray, " lane"]:
        """Whether the orbit is on a small attractor that is not the focus itself."""
        return (self.most < _WIDE) & (self.most > _NARROW)


def circles(focus: Focus, interval, s, start: float = START) -> Circles:
    """Return what an orbit settles on that begins at a distance `start` from the focus.

    The mean angle per step is a weighted Birkhoff average, which converges faster than any power
    on a quasi-periodic orbit (Das, Saiki, Sander, Yorke 2017).
    """
    points, jacobians = focus.pieces(interval, s)
    right, left = _plane(jacobians)
    arrays = _stacked(focus.paths, interval, s)
    tilt = np.real(right)
    states = points + start * tilt / np.linalg.norm(tilt, axis=1)[:, None]
    for _ in range(NUM_TRANSIENT):
        states = _step(arrays, states)
    return _measured(arrays, interval, s, points, left, states, NUM_STEPS)


def _measured(arrays, interval, s, points, left, states, num_steps: int) -> Circles:
    """Return turn and distances of orbits over the steps that follow."""
    x = (np.arange(num_steps) + 0.5) / num_steps
    weights = np.exp(-1.0 / (x * (1.0 - x)))
    place = ((states - points) * left).sum(axis=1)
    mean, least, most = np.zeros(len(s)), np.full(len(s), np.inf), np.zeros(len(s))
    for weight in weights / weights.sum():
        states = _step(arrays, states)
        now = ((states - points) * left).sum(axis=1)
        mean += weight * np.angle(now * np.conj(place))
        place, away = now, np.linalg.norm(states - points, axis=1)
        least, most = np.fmin(least, away), np.fmax(most, away)
    turn = np.where(most < _WIDE, 2.0 * np.pi / np.abs(mean), np.nan)
    return Circles(interval, s, turn, least, most, states)


def _plane(jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return right and left eigenvectors of the complex pair, "lane state"."""
    sides = []
    for matrix in (jacobians, np.swapaxes(jacobians, 1, 2)):
        values, vectors = np.linalg.eig(matrix)
        row = np.argmax(np.imag(values), axis=1)
        sides.append(vectors[np.arange(len(row)), :, row])
    return sides[0], sides[1]


def _stacked(paths: Sequence[plr.LinearPath], interval, s) -> MapArrays:
    """Return the canonical arrays of every lane."""
    parts = [paths[i].arrays(np.array([at])) for i, at in zip(interval.tolist(), s.tolist())]
    return MapArrays(*(np.concatenate(part) for part in zip(*parts)))


def _step(arrays: MapArrays, states: np.ndarray) -> np.ndarray:
    column = states[:, :, None]
    y = np.maximum((arrays.W2 @ column)[:, :, 0] + arrays.h2, 0.0)
    return (arrays.A @ column + arrays.W1 @ y[:, :, None])[:, :, 0] + arrays.h1


def resonances(measure: Measure, grid: Circles, turns: int = 1, rounds: int = 12) -> Circles | None:
    """Return places where a circle turns `turns` times in a whole number of steps, if any.

    **Arguments:** `measure`: what gave the grid, a function of interval and s; `rounds`: steps to
    each place, in turn by linear interpolation and bisection.
    """
    value = turns * grid.turn
    rows, wanted = [], []
    for row in range(len(value) - 1):
        if grid.small[row : row + 2].all() and grid.interval[row] == grid.interval[row + 1]:
            a, b = sorted(value[row : row + 2])
            inside = range(int(np.ceil(a)), int(np.floor(b)) + 1)
            fresh = [k for k in inside if np.gcd(k, turns) == 1]
            rows, wanted = rows + [row] * len(fresh), wanted + fresh
    if not rows:
        return None
    low, k = np.array(rows), np.array(wanted)
    s, gap = (np.stack([x[low], x[low + 1]]) for x in (grid.s, turns * grid.turn))
    gap = gap - k
    best = None
    for number in range(rounds):
        share = 0.5 if number % 2 else np.clip(gap[0] / (gap[0] - gap[1]), 0.02, 0.98)
        best = measure(grid.interval[low], (1.0 - share) * s[0] + share * s[1])
        new = np.where(best.small, turns * best.turn - k, gap[1])
        first = np.sign(new) == np.sign(gap[0])
        s = np.stack([np.where(first, best.s, s[0]), np.where(first, s[1], best.s)])
        gap = np.stack([np.where(first, new, gap[0]), np.where(first, gap[1], new)])
    return best


def cycles_at(path: plr.LinearPath, s: float, state: np.ndarray, period: int) -> list[np.ndarray]:
    """Return words of the k-cycles that Newton steps reach from stretches of an orbit."""
    map = path.map(s)
    orbit = np.empty((_PHASES + 2 * period, len(state)))
    for time in range(len(orbit)):
        orbit[time] = state = map.apply(state)
    regions = map.region_of(orbit)
    shifts = np.linspace(0, period, _PHASES).astype(int)
    catalog = Catalog(map)
    numbers = catalog.identify(np.stack([regions[t : t + period] for t in shifts]), polish=POLISH)
    kept = [catalog.entries[n] for n in sorted({*numbers.tolist()} - {REJECTED})]
    return [unpack(one.word, map.num_units) for one in kept if one.period == period]


def followed(
    paths: Sequence[plr.LinearPath], seeds: Sequence[tuple[int, float, np.ndarray]], steps
) -> plr.Bifurcations:
    """Follow cycles, given as (interval, s, word), over all intervals, forward and back."""
    periods = sorted({len(word) for _, _, word in seeds})
    atlases = [Atlas(path, periods) for path in paths]
    with one_thread_per_solve():
        for interval, s, word in seeds:
            atlases[interval].follow([(word, s)])
        for early, late in zip(atlases[:-1], atlases[1:]):
            late.follow([(one.word, 0.0) for one in early.segments if one.high == early.path.stop])
        for early, late in list(zip(atlases[:-1], atlases[1:]))[::-1]:
            early.follow([(one.word, 1.0) for one in late.segments if one.low == late.path.start])
        for early, late in zip(atlases[:-1], atlases[1:]):
            late.follow([(one.word, 0.0) for one in early.segments if one.high == early.path.stop])
    nothing = np.full(len(paths) + 1, np.nan)
    return gathered(
        atlases,
        [],
        dict.fromkeys(periods, plr.COVERAGE.partial),
        plr.RESULTS.successful,
        [],
        PerNetwork(np.asarray(steps, float), nothing, nothing),
    )


def edges(focus: Focus, interval, s, start: float = START) -> Circles:
    """Return the repelling circle between a stable focus and the attractor at `start`.

    The distance at which orbits begin is bisected between those that fall to the focus and those
    that do not; the orbit of the last one stays near the circle long enough to measure its turn.
    """
    points, jacobians = focus.pieces(interval, s)
    right, left = _plane(jacobians)
    arrays, tilt = _stacked(focus.paths, interval, s), np.real(right)
    tilt = tilt / np.linalg.norm(tilt, axis=1)[:, None]
    low, high = np.zeros(len(s)), np.full(len(s), start)
    for _ in range(_EDGE_ROUNDS):
        middle = 0.5 * (low + high)
        states = points + middle[:, None] * tilt
        for _ in range(_EDGE_STEPS):
            states = _step(arrays, states)
        falls = np.linalg.norm(states - points, axis=1) < 0.5 * middle
        low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    states = points + high[:, None] * tilt
    for _ in range(_EDGE_TRANSIENT):
        states = _step(arrays, states)
    return _measured(arrays, interval, s, points, left, states, _EDGE_MEASURED)


class Families(NamedTuple):
    """Circles on a grid of places: from far and from near the focus, and the repelling one.

    Where `outer` and `inner` are the same circle, so are their turns; `edge` has the places alone
    where the focus is stable and a circle attracts.
    """

    outer: Circles
    inner: Circles
    edge: Circles


def families(focus: Focus, num_places: int) -> Families:
    """Return the circles around a focus at `num_places` equal steps of each interval."""
    count = len(focus.paths)
    interval = np.repeat(np.arange(count), num_places + 1)
    s = np.tile(np.linspace(0.0, 1.0, num_places + 1), count)
    outer, inner = circles(focus, interval, s), circles(focus, interval, s, INSIDE)
    both = outer.small & (np.abs(focus.multipliers(interval, s)[:, 0]) < 1.0)
    return Families(outer, inner, edges(focus, interval[both], s[both]))


def focus_turn(focus: Focus, places: Circles) -> Float[np.ndarray, " lane"]:
    """Return the steps per turn of the linear map at the focus."""
    angles = np.angle(focus.multipliers(places.interval, places.s)).max(axis=1)
    return 2.0 * np.pi / angles


def seeds_of(focus: Focus, found: Families) -> list[tuple[int, float, np.ndarray]]:
    """Print where attracting circles turn once in k steps; return the k-cycles found there."""
    seeds = []
    for start, grid in ((START, found.outer), (INSIDE, found.inner)):
        measure = functools.partial(circles, focus, start=start)
        met = resonances(measure, grid)
        if met is None:
            continue
        for row in np.flatnonzero(met.small):
            i, s, period = int(met.interval[row]), float(met.s[row]), round(float(met.turn[row]))
            words = cycles_at(focus.paths[i], s, met.states[row], period)
            seeds += [(i, s, word) for word in words]
            print(f"  interval {i}, s = {s:.5f}: {met.turn[row]:.5f} steps per turn, "
                  f"{len(words)} {period}-cycles found")  # fmt: skip
    return seeds
