"""Planes of maps, and which cycles they have by trying every word with exact solves in NumPy."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import plrjax as plr
from plrjax import PiecewiseAffineMap

_NEAR = 1e-8
"""Relative margins, determinants and distances from the unit circle below this are not decided."""


def normal_form(tau_left, delta_left, tau_right, delta_right, mu=1.0):
    """The two-dimensional border-collision normal form, switching at z_1 = 0."""
    left = np.array([[tau_left, 1.0], [-delta_left, 0.0]])
    right = np.array([[tau_right, 1.0], [-delta_right, 0.0]])
    return PiecewiseAffineMap(left, (right - left)[:, :1], [[1.0, 0.0]], [mu, 0.0], [0.0])


def random_plane(seed: int) -> plr.ParameterPlane:
    """A PLRNN of two units or a shallow network of one state, two of its entries as axes."""
    rng = np.random.default_rng(seed)
    size = 1 + seed % 2
    A, W = rng.uniform(-0.9, 0.9, size), 1.4 * rng.standard_normal((size, 2))
    h = rng.standard_normal(size)
    if size == 1:
        W2, h2 = rng.standard_normal((2, 1)), rng.standard_normal(2)
        model = plr.from_arrays("shallow", A=A, W1=W, W2=W2, h1=h, h2=h2)
        second = plr.Axis("W1", (0, 1), -3.0, 2.7, 2)
    else:
        model = plr.from_arrays("plrnn", A=A, W=W * (1 - np.eye(2)), h=h)
        second = plr.Axis("W", (0, 1), -3.0, 2.7, 2)
    return plr.ParameterPlane.from_axes(model, (plr.Axis("A", (0,), -1.5, 1.6, 2), second))


class Portraits(NamedTuple):
    """Per grid point numbers that are equal iff (with certainty, nearly) the cycles are.

    **Fields:** `counts`: of the numbers of cycles by period and multipliers inside; `words`: of
    the words with theirs; `decided`.
    """

    counts: np.ndarray
    words: np.ndarray
    decided: np.ndarray


def portraits(plane: plr.ParameterPlane, periods: Sequence[int], lines: np.ndarray) -> Portraits:
    """Return what every word of some periods is on a grid of the unit square."""
    places = np.stack(np.meshgrid(lines, lines, indexing="ij"), axis=-1).reshape(-1, 2)
    arrays, rng = plane.arrays(places), np.random.default_rng(0)
    draw = lambda *shape: rng.integers(1, 2**62, shape)
    counts, words = np.zeros((2, len(places)), np.int64)
    decided = np.ones(len(places), bool)
    with np.errstate(all="ignore"):
        for period in periods:
            weights = draw(plane.shape[0] + 1)
            for word in necklaces(plane.shape[1], period):
                exists, inside, known = _states(arrays, word)
                counts += np.where(exists, weights[inside], 0)
                words += np.where(exists, draw(plane.shape[0] + 1)[inside], 0)
                decided &= known
    shape = len(lines), len(lines)
    return Portraits(*(x.reshape(shape) for x in (counts, words, decided)))


def necklaces(units: int, period: int) -> Iterator[np.ndarray]:
    """Yield one rotation of every word of minimal period k."""
    for word in itertools.product(itertools.product((0, 1), repeat=units), repeat=period):
        turns = [word[shift:] + word[:shift] for shift in range(period)]
        if word == min(turns) and len(set(turns)) == period:
            yield np.array(word)


def _states(arrays: Any, word: np.ndarray):
    """Return where a word is a cycle, its multipliers inside, and where rounding is far."""
    A, W1, W2, h1, h2 = arrays
    eye = np.eye(A.shape[1])
    P, c = np.broadcast_to(eye, A.shape), np.zeros(h1.shape)
    apply = lambda matrix, vector: np.einsum("bij,bj->bi", matrix, vector)
    pieces = [(A + (W1 * on) @ W2, apply(W1 * on, h2) + h1) for on in word]
    for J, offset in pieces:
        P, c = J @ P, apply(J, c) + offset
    closing = np.linalg.det(eye - P)
    singular = np.abs(closing) < _NEAR
    z = apply(np.linalg.inv(np.where(singular[:, None, None], eye, eye - P)), c)
    margin = np.full(len(z), np.inf)
    for (J, offset), on in zip(pieces, word):
        size = apply(np.abs(W2), np.abs(z)) + np.abs(h2)
        y = np.where(on > 0, 1.0, -1.0) * (apply(W2, z) + h2)
        margin, z = np.minimum(margin, (y / size).min(axis=1)), apply(J, z) + offset
    moduli = np.abs(np.linalg.eigvals(P))
    exists = (margin > 0) & ~singular
    marginal = (np.abs(moduli - 1.0) < _NEAR).any(axis=1)
    known = ~singular & (np.abs(margin) > _NEAR) & ~(exists & marginal)
    return exists, (moduli < 1.0).sum(axis=1), known


class Verdict(NamedTuple):
    """Pairs of neighbors with other counts; those without a curve; those parted by one for nothing.

    A curve parts for nothing where it alone runs between two points with the same words (where only
    words change it is a persistence).
    """

    differing: int
    missed: list[tuple[int, int, int]]
    spurious: list[tuple[int, int, int]]


def judge(plane, curves, periods: Sequence[int], num: int) -> Verdict:
    """Compare curves with portraits on a grid that is beside round numbers."""
    lines = (np.arange(num) + 0.5) / num + 1e-5 * np.pi
    found = portraits(plane, periods, lines)
    crossings: dict[tuple[int, int, int], list[tuple[float, bool]]] = {}
    for curve in curves:
        for pair, place, sure in _crossings(
            (curve.points - plane.low) / (plane.high - plane.low), lines
        ):
            crossings.setdefault(pair, []).append((place, sure))
    differing, missed, spurious = 0, [], []
    for axis, i, j in itertools.product((0, 1), range(num), range(num - 1)):
        ends = ((i, j), (i, j + 1)) if axis == 0 else ((j, i), (j + 1, i))
        if not all(found.decided[end] for end in ends):
            continue
        here = crossings.get((axis, i, j), [])
        if found.counts[ends[0]] != found.counts[ends[1]]:
            differing += 1
            missed += [] if here else [(axis, i, j)]
        one = here and np.ptp([place for place, _ in here]) < 1e-6 and all(s for _, s in here)
        if one and found.words[ends[0]] == found.words[ends[1]]:
            spurious.append((axis, i, j))
    return Verdict(differing, missed, spurious)


def _crossings(points: np.ndarray, lines: np.ndarray):
    """Yield pairs (axis, line, from which point on it), where, and whether beyond chord errors."""
    for start, stop in itertools.pairwise(points):
        length = float(np.linalg.norm(stop - start))
        slack = 0.04 * length + 1e-5
        for axis in (0, 1):
            low, high = sorted((start[axis], stop[axis]))
            for i in range(*np.searchsorted(lines, (low - 1e-5, high + 1e-5)).tolist()):
                share = np.clip((lines[i] - start[axis]) / ((stop - start)[axis] or 1.0), 0.0, 1.0)
                place = float(start[1 - axis] + share * (stop - start)[1 - axis])
                reach = slack * length / max(abs((stop - start)[axis]), 1e-300)
                first, last = sorted((start[1 - axis], stop[1 - axis]))
                reached = max(place - reach, first - slack), min(place + reach, last + slack)
                cells = np.searchsorted(lines, reached) - 1
                for j in range(max(cells[0], 0), min(cells[1], len(lines) - 2) + 1):
                    yield (axis, i, j), place, bool(cells[0] == cells[1])
