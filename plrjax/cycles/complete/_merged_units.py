"""Units with one switching boundary, taken as one."""

import dataclasses
from fractions import Fraction

import numpy as np
from jaxtyping import Bool

from ..._piecewise_affine import PiecewiseAffineMap


@dataclasses.dataclass(frozen=True, eq=False)
class MergedUnits:
    """A map with its leading units only (to rounding), and what the others follow.

    **Fields:** `follows`: see `parallel_units`; `leads`: numbers of the units that were kept.
    """

    map: PiecewiseAffineMap
    follows: list[list[int]]
    leads: list[int]

    def expand(self, letters: Bool[np.ndarray, "*batch lead"]) -> Bool[np.ndarray, "*batch unit"]:
        """Return the regions of all units from those of the leads."""
        columns = {lead: j for j, lead in enumerate(self.leads)}
        regions = np.zeros((*letters.shape[:-1], len(self.follows)), bool)
        for i, (lead, same) in enumerate(self.follows):
            regions[..., i] = same if lead < 0 else letters[..., columns[lead]] == same
        return regions


def parallel_units(W2: np.ndarray, h2: np.ndarray) -> list[list[int]]:
    """Return [j, same] for every unit: it is on where unit j is (or is not); [-1, on]: always.

    The rows (W2, h2) of both are exactly parallel; j is the first of them.
    """
    first: dict[tuple, tuple[int, bool]] = {}
    follows = []
    for i, row in enumerate(np.c_[W2, h2]):
        exact = [Fraction(float(x)) for x in row]
        pivot = next((x for x in exact[:-1] if x), None)
        if pivot is None:
            follows.append([-1, int(row[-1] > 0)])
            continue
        lead, ahead = first.setdefault(tuple(x / pivot for x in exact), (i, pivot > 0))
        follows.append([lead, int(ahead == (pivot > 0))])
    if not first:
        follows[0] = [0, 1]
    return follows


def merge_units(map: PiecewiseAffineMap, follows: list[list[int]] | None = None) -> MergedUnits:
    """Return a map without the units that follow others; by default none does.

    relu(c x) = c relu(x) for c > 0, and relu(-x) = relu(x) - x.
    """
    follows = [[i, 1] for i in range(map.num_units)] if follows is None else follows
    leads = [i for i, (lead, _) in enumerate(follows) if lead == i]
    place = {lead: j for j, lead in enumerate(leads)}
    A, h1, W1 = map.A.copy(), map.h1.copy(), map.W1[:, leads].copy()
    W2, h2 = map.W2[leads], map.h2[leads]
    for i, (lead, same) in enumerate(follows):
        if lead < 0:
            h1 += same * map.W1[:, i] * map.h2[i]
        elif lead != i:
            j = place[lead]
            pivot = np.abs(W2[j]).argmax()
            weight = map.W1[:, i] * np.abs(map.W2[i, pivot] / W2[j, pivot])
            W1[:, j] += weight
            if not same:
                A -= np.outer(weight, W2[j])
                h1 -= weight * h2[j]
    return MergedUnits(PiecewiseAffineMap(A, W1, W2, h1, h2), follows, leads)
