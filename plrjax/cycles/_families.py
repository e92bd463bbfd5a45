"""Continua of k-cycles around shorter cycles whose multipliers are roots of unity."""

import numpy as np

from .._numerics import EPS
from .._piecewise_affine import PiecewiseAffineMap
from ..words import unpack
from ._catalog import Entry, exact_entry
from ._exactly import MAX_UNKNOWNS, Rationals
from ._polyhedron import Undecided
from ._verify import VERDICT

_COARSE = 0.03
"""Multipliers farther than this from a root of unity are none."""


def continua_around(
    map: PiecewiseAffineMap, entries: list[Entry], arrays: dict[str, np.ndarray], wanted: list[int]
) -> tuple[list[Entry], dict[int, str]]:
    """Return a member of each continuum of k-cycles with the itinerary v v ... v of a shorter one.

    The points of such a continuum have their mean over F_v^m in it, too, which is a cycle of word
    v: known, whoever searched. Returned are further notes by period, for what is not decided.
    """
    exact, found, notes = Rationals(map), [], {}
    known = {(entry.period, entry.word.tobytes()) for entry in entries}
    for row, entry in enumerate(entries):
        for k in wanted:
            times = k // entry.period
            if k % entry.period or times < 2 or not _may_surround(entry, arrays, row, times):
                continue
            word = np.tile(unpack(entry.word, map.num_units), (times, 1))
            try:
                member = exact.decide(word)
            except Undecided:
                notes[k] = (
                    f"period {k}: a {entry.period}-cycle has a multiplier that is a root of unity "
                    f"of order {times}, up to rounding: a continuum of {k}-cycles may surround it"
                )
                continue
            if member is not None:
                more = exact_entry(member, np.inf)
                if (k, more.word.tobytes()) not in known:
                    found.append(more)
    return found, notes


def _may_surround(entry: Entry, arrays: dict[str, np.ndarray], row: int, times: int) -> bool:
    """Return whether a multiplier may be a root of unity of this order; beside ties always.

    An n-fold one may be off by the n-th root of rounding: so coarsely it is looked where rationals
    decide.
    """
    if entry.verdict == VERDICT.on_border:
        return True
    values = arrays["multipliers"][row]
    near = 1e3 * EPS * entry.period
    if times * entry.period * len(values) <= MAX_UNKNOWNS:
        near = min(near ** (1 / len(values)), _COARSE)
    on_circle = (np.abs(np.abs(values) - 1.0) < near) & (np.abs(values - 1.0) > near)
    return bool((np.abs(values[on_circle] ** times - 1.0) < 10 * near * times).any())
