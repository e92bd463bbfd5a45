"""Cycles of one-parameter families of small maps by brute force, in NumPy, without the engine."""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""(A, W1, W2, h1, h2) of F(z) = A z + W1 relu(W2 z + h2) + h1."""


@dataclasses.dataclass(frozen=True, eq=False)
class WordsOnGrid:
    """What every word does at every value of the parameter.

    **Fields:** `words`: boolean "time unit", one for each primitive rotation class, the least of
    its rotations; `admissible`: its solution visits its own regions (a unit at 0 is off);
    `unstable`: number of multipliers outside the unit circle, -1 where it is not admissible;
    `distance`: least Euclidean distance of a point to a switching boundary, negative where a point
    is on the wrong side, NaN where I - P is singular.
    """

    grid: np.ndarray
    words: list[np.ndarray]
    admissible: np.ndarray
    unstable: np.ndarray
    distance: np.ndarray


class Change(NamedTuple):
    """Between grid values j and j + 1 a word "appears", "vanishes" or changes "stability"."""

    j: int
    word: int
    what: str


def rotation_classes(num_units: int, period: int) -> list[np.ndarray]:
    """Return the least rotation of every primitive word of length `period`."""
    regions = list(itertools.product([False, True], repeat=num_units))
    classes = []
    for word in itertools.product(range(len(regions)), repeat=period):
        if all(word < word[shift:] + word[:shift] for shift in range(1, period)):
            classes.append(np.array([regions[letter] for letter in word], bool))
    return classes


def words_on_grid(family, grid, periods) -> WordsOnGrid:
    """Solve (I - P) z = c for every word and every value s of the grid; `family(s)` -> `Arrays`."""
    grid = np.asarray(grid, float)
    stacked = [np.stack(parts) for parts in zip(*map(family, grid))]
    A, W1, W2, h1, h2 = (np.asarray(part, float) for part in stacked)
    num_units = h2.shape[1]
    pieces = {}
    for region in itertools.product([False, True], repeat=num_units):
        mask = np.array(region, float)
        pieces[region] = A + (W1 * mask) @ W2, ((W1 * mask) @ h2[:, :, None])[..., 0] + h1
    words = [word for period in periods for word in rotation_classes(num_units, period)]
    columns = [_one_word([pieces[tuple(r)] for r in word.tolist()], word, W2, h2) for word in words]
    admissible, unstable, distance = (np.stack(parts, axis=1) for parts in zip(*columns))
    return WordsOnGrid(grid, words, admissible, unstable, distance)


def _one_word(pieces, word, W2, h2):
    """Return admissibility, number of unstable multipliers and distance along the grid."""
    P, c = pieces[0]
    for J, offset in pieces[1:]:
        P, c = J @ P, (J @ c[..., None])[..., 0] + offset
    z = _solve(np.eye(P.shape[1]) - P, c)
    inside, distance = np.isfinite(z).all(axis=1), np.full(len(z), np.inf)
    lengths = np.linalg.norm(W2, axis=2)
    lengths = np.where(lengths > 0, lengths, 1.0)
    for region, (J, offset) in zip(word, pieces):
        y = (W2 @ z[..., None])[..., 0] + h2
        inside &= ((y > 0) == region).all(axis=1)
        distance = np.minimum(distance, (np.where(region, y, -y) / lengths).min(axis=1))
        z = (J @ z[..., None])[..., 0] + offset
    unstable = np.full(len(z), -1)
    moduli = np.abs(np.linalg.eigvals(P[inside]))
    unstable[inside] = (moduli > 1).sum(axis=1)
    return inside, unstable, distance


def _solve(matrices, right):
    """Solve small systems, NaN where a matrix is singular."""
    singular = np.linalg.det(matrices) == 0
    matrices = np.where(singular[:, None, None], np.eye(matrices.shape[1]), matrices)
    z = np.linalg.solve(matrices, right[..., None])[..., 0]
    return np.where(singular[:, None], np.nan, z)


def changes(found: WordsOnGrid) -> list[Change]:
    """Return where a word appears, vanishes, or changes its number of unstable multipliers."""
    before, after = found.admissible[:-1], found.admissible[1:]
    kinds = {
        "appears": ~before & after,
        "vanishes": before & ~after,
        "stability": before & after & (found.unstable[:-1] != found.unstable[1:]),
    }
    events = [
        Change(j, word, what) for what, at in kinds.items() for j, word in np.argwhere(at).tolist()
    ]
    return sorted(events)
