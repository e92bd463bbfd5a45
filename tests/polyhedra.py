"""Linear systems and inequalities in fractions, for `tie_oracle`."""

from fractions import Fraction

ZERO, ONE = Fraction(0), Fraction(1)


def feasible_range(constraints, functional, constant):
    """Return (low, high) of a functional where all constraints hold; None where none is met.

    A constraint (g, c, strict) says g.t + c > 0, or >= 0; infinite ends are None.
    """
    pivot = next((j for j, f in enumerate(functional) if f), None)
    if pivot is not None:
        constraints = [_substituted(c, functional, constant, pivot) for c in constraints]
    for j in range(len(functional)):
        if j != pivot:
            constraints = _eliminated(constraints, j)
    if any(c < 0 or (strict and c == 0) for g, c, strict in constraints if not any(g)):
        return None
    if pivot is None:
        return constant, constant
    return _interval([(g[pivot], c, strict) for g, c, strict in constraints if g[pivot]])


def _substituted(constraint, functional, constant, j):
    """Put u = functional + constant in the place of the j-th variable."""
    g, c, strict = constraint
    share = g[j] / functional[j]
    rest = [a - share * f for a, f in zip(g, functional)]
    rest[j] = share
    return tuple(rest), c - share * constant, strict


def _eliminated(constraints, j):
    """Eliminate the j-th variable (Fourier-Motzkin)."""
    keep = {_scaled(c) for c in constraints if c[0][j] == 0}
    below = [c for c in constraints if c[0][j] > 0]
    above = [c for c in constraints if c[0][j] < 0]
    for g, c, s in below:
        for h, d, r in above:
            both = tuple(a / g[j] - b / h[j] for a, b in zip(g, h))
            keep.add(_scaled((both, c / g[j] - d / h[j], s or r)))
    return list(keep)


def _scaled(constraint):
    g, c, strict = constraint
    size = max(map(abs, g), default=ZERO) or abs(c) or ONE
    return tuple(a / size for a in g), c / size, strict


def _interval(constraints):
    """Return the interval of one variable, or None where it is empty."""
    lows = [(-c / a, strict) for a, c, strict in constraints if a > 0]
    highs = [(-c / a, not strict) for a, c, strict in constraints if a < 0]
    low = max(lows, default=(None, False))
    high = min(highs, default=(None, True))
    if low[0] is not None and high[0] is not None:
        gap = high[0] - low[0]
        if gap < 0 or (gap == 0 and (low[1] or not high[1])):
            return None
    return low[0], high[0]


def is_point(interval):
    return interval is not None and interval[0] is not None and interval[0] == interval[1]


def kernel(matrix, right):
    """Return a solution of a linear system and a basis of its kernel, or None."""
    rows, size = [[*map(Fraction, row), Fraction(b)] for row, b in zip(matrix, right)], len(matrix)
    pivots = []
    for column in range(size):
        top = len(pivots)
        found = next((i for i in range(top, size) if rows[i][column]), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [x / rows[top][column] for x in rows[top]]
        for i in range(size):
            if i != top and rows[i][column]:
                rows[i] = [x - rows[i][column] * y for x, y in zip(rows[i], rows[top])]
        pivots.append(column)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    free = [j for j in range(size) if j not in pivots]
    start = [ZERO] * size
    basis = [[Fraction(int(i == j)) for i in range(size)] for j in free]
    for i, column in enumerate(pivots):
        start[column] = rows[i][-1]
        for direction, j in zip(basis, free):
            direction[column] = -rows[i][j]
    return start, basis


def adjugate(Q):
    """Return the adjugate and the determinant of an integer matrix of one to three rows."""
    size = len(Q)
    minors = [
        [_det([r[:j] + r[j + 1 :] for r in Q[:i] + Q[i + 1 :]]) for j in range(size)]
        for i in range(size)
    ]
    signed = [[(-1) ** (i + j) * minors[j][i] for j in range(size)] for i in range(size)]
    return signed, sum(Q[0][j] * signed[j][0] for j in range(size))


def _det(Q):
    if not Q:
        return 1
    if len(Q) == 2:
        return Q[0][0] * Q[1][1] - Q[0][1] * Q[1][0]
    return sum(
        (-1) ** j * x * _det([r[:j] + r[j + 1 :] for r in Q[1:]]) for j, x in enumerate(Q[0]) if x
    )
