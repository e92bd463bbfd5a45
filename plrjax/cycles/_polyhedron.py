"""Small linear systems and inequalities in rationals."""

_MAX_INEQUALITIES = 4000
"""Inequalities that the elimination of variables may grow to."""

_SHARES = ((1, 2), (2, 5), (5, 8), (3, 11), (7, 13), (10, 17))
"""Where members of a family are taken, as shares of each interval: all of them cannot lie in the
same smaller affine space by accident."""

NUM_POINTS = len(_SHARES)
"""Numbers of `point` that give different points."""


class Undecided(Exception):
    """Too large to be decided in rationals."""


def rational(numerator: int, denominator: int = 1):
    """Return an exact fraction."""
    from flint import fmpq

    return fmpq(numerator, denominator)


def solutions(augmented, size: int):
    """Return a solution of a singular system and a basis of its kernel; None without solutions."""
    reduced, rank = augmented.rref()
    rows = reduced.tolist()
    leads = [next(j for j, x in enumerate(rows[i]) if x != 0) for i in range(rank)]
    if leads and leads[-1] == size:
        return None
    zero, one = rational(0), rational(1)
    center = [zero] * size
    for i, lead in enumerate(leads):
        center[lead] = rows[i][size]
    kernel = []
    for free in sorted(set(range(size)) - set(leads)):
        vector = [zero] * size
        vector[free] = one
        for i, lead in enumerate(leads):
            vector[lead] = -rows[i][free]
        kernel.append(vector)
    return center, kernel


def eliminate(wanted, count: int):
    """Eliminate variables (Fourier, Motzkin), last to first; None where nothing fulfils all.

    `wanted` are pairs of numbers (a, b), a x + b, and whether > 0 rather than >= 0 is wanted.
    """
    stages = []
    rows = _distinct(wanted)
    for last in range(count - 1, -1, -1):
        stages.append(rows)
        above = [r for r in rows if r[0][last] > 0]
        below = [r for r in rows if r[0][last] < 0]
        rest = [(_without(a, last), strict) for a, strict in rows if a[last] == 0]
        if len(above) * len(below) + len(rest) > _MAX_INEQUALITIES:
            raise Undecided
        for a, strict in above:
            for b, also in below:
                mixed = tuple(x * -b[last] + y * a[last] for x, y in zip(a, b))
                rest.append((_without(mixed, last), strict or also))
        rows = _distinct(rest)
    fulfilled = all(a[0] > 0 or (a[0] == 0 and not strict) for a, strict in rows)
    return stages[::-1] if fulfilled else None


def _without(numbers: tuple, place: int) -> tuple:
    return numbers[:place] + numbers[place + 1 :]


def _distinct(rows):
    """Return inequalities scaled to a largest slope of 1, each once, those that matter only."""
    best: dict[tuple, tuple] = {}
    for numbers, strict in rows:
        size = max((abs(x) for x in numbers[:-1]), default=rational(0)) or rational(1)
        scaled = tuple(x / size for x in numbers)
        slopes = scaled[:-1]
        known = best.get(slopes)
        if known is None or (scaled[-1], not strict) < (known[0][-1], not known[1]):
            best[slopes] = (scaled, strict)
    return list(best.values())


def point(stages, first: int) -> list:
    """Return a point in the relative interior of what the inequalities allow."""
    x: list = []
    for place, rows in enumerate(stages):
        share = rational(*_SHARES[(first + place * (first + 1)) % len(_SHARES)])
        low = high = None
        for numbers, _ in rows:
            slope = numbers[place]
            if slope == 0:
                continue
            value = -(sum(a * t for a, t in zip(numbers, x)) + numbers[-1]) / slope
            if slope > 0:
                low = value if low is None else max(low, value)
            else:
                high = value if high is None else min(high, value)
        if low is not None and high is not None:
            x.append(low + share * (high - low))
        elif low is not None:
            x.append(low + share)
        else:
            x.append(share if high is None else high - share)
    return x
