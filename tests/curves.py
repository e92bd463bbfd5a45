"""What a curve of solutions is, checked against the map itself; and maps to follow."""

import numpy as np
from systems import QUIET

import plrjax as plr
from plrjax import PiecewiseAffineMap
from plrjax.cycles import PATH_END, Path


def skew(left: float, right: float, mu: float) -> PiecewiseAffineMap:
    """z' = left z + mu below 0 and right z + mu above."""
    return PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [mu], [0.0])


def shifted(map: PiecewiseAffineMap, offset: np.ndarray) -> PiecewiseAffineMap:
    return PiecewiseAffineMap(map.A, map.W1, map.W2, map.h1 + offset, map.h2)


def orbits(map: PiecewiseAffineMap, period: int) -> np.ndarray:
    """Return all solutions of F^k(z) = z by enumeration, as orbits of k states, all rotations."""
    divisors = [k for k in range(1, period + 1) if period % k == 0]
    cycles = plr.find_cycles(map, divisors, solver=plr.Exhaustive(plr.PlainLoop()), progress=QUIET)
    found = [
        np.roll(np.tile(cycles.orbit(row), (period // k, 1)), shift, axis=0)
        for row, k in enumerate(cycles.period.tolist())
        for shift in range(k)
    ]
    return np.array(found).reshape(-1, period, map.state_size)


def distance(points: np.ndarray, among: np.ndarray) -> float:
    """Return the largest distance of a solution to the nearest of some others, relative."""
    if not len(points):
        return 0.0
    gaps = np.abs(points[:, None] - among[None]).max(axis=(2, 3)).min(axis=1, initial=np.inf)
    return float((gaps / (1.0 + np.abs(points).max(axis=(1, 2)))).max())


def sample(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return s, states and itineraries at the middle of every piece, and far out on the rays."""
    s = list((path.s[1:] + path.s[:-1]) / 2)
    points = list((path.points[1:] + path.points[:-1]) / 2)
    cells = list(path.itineraries)
    for ray, end in zip(path.rays, (0, -1)):
        if ray is not None:
            s.append(path.s[end] + 5.0 * ray.sign)
            points.append(path.points[end] + 5.0 * ray.sign * ray.slope)
            cells.append(ray.itinerary)
    return np.array(s), np.array(points), np.array(cells)


def check_curve(map: PiecewiseAffineMap, d: np.ndarray, path: Path) -> None:
    """Assert what a curve is: solutions throughout, each piece in its cell, one unit per vertex."""
    s, points, cells = sample(path)
    every_s, every = np.append(path.s, s), np.concatenate([path.points, points])
    defect = np.roll(every, -1, axis=1) - map.apply(every) - every_s[:, None, None] * d
    sizes = 1.0 + np.abs(every).max(axis=(1, 2)) + np.abs(every_s)
    assert (np.abs(defect).max(axis=(1, 2)) <= 1e-11 * sizes).all()
    long = np.append(np.abs(np.diff(path.s)) > 1e-9, np.ones(len(s) - len(path.itineraries), bool))
    wrong = map.region_of(points[long]) != cells[long]
    assert np.abs(map.pre_activations(points[long]))[wrong].max(initial=0.0) <= 1e-14
    for j, (t, i) in enumerate(path.units.tolist()):
        if t >= 0:
            y = map.pre_activations(path.points[j, t])[i]
            assert abs(y) <= 1e-11 * (1.0 + np.abs(path.points[j]).max())
    assert (path.units == -1).all(axis=1).sum() == (2 if path.ends[0] is PATH_END.closed else 1)
    switched = np.not_equal(*pieces(path))
    inner = slice(path.rays[0] is None, len(path.s) - (path.rays[1] is None))
    for changed, (t, i) in zip(switched[inner], path.units[inner].tolist()):
        assert changed.any() == (t >= 0) and (t < 0 or changed[t, i])
        assert not np.delete(changed, max(t, 0), axis=0).any(), "at one time only"


def pieces(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the itineraries before and behind every vertex; where one is unknown, the other."""
    first = path.itineraries[0] if path.rays[0] is None else path.rays[0].itinerary
    last = path.itineraries[-1] if path.rays[1] is None else path.rays[1].itinerary
    shape = path.itineraries.shape[1:]
    cells = np.concatenate([first[None], path.itineraries.reshape(-1, *shape), last[None]])
    return cells[:-1], cells[1:]


def sign_of_determinant(map: PiecewiseAffineMap, cell: np.ndarray) -> int:
    P, _ = map.compose(cell)
    return int(np.sign(np.linalg.det(np.eye(map.state_size) - P)))


def check_signs(map: PiecewiseAffineMap, path: Path, s: float) -> None:
    """Assert that s turns back exactly where det(I - DF^k) changes sign, and indices alternate."""
    before, behind = pieces(path)
    turns = [
        j
        for j, (one, other) in enumerate(zip(before, behind))
        if sign_of_determinant(map, one) != sign_of_determinant(map, other)
    ]
    assert path.turning.tolist() == turns
    signs = [sign_of_determinant(map, cell) for cell in path.itineraries_at(s)]
    assert all(a == -b for a, b in zip(signs, signs[1:]))
    if path.ends[0] is PATH_END.closed:
        assert sum(signs) == 0


def doubled(map: PiecewiseAffineMap, factor: float) -> PiecewiseAffineMap:
    """The same map with a third of each unit in a copy, a third in one that faces the other way:
    relu(y) = (relu(y) + relu(y) + relu(-y) + y) / 3 + ..."""
    third = map.W1 / 3
    return PiecewiseAffineMap(
        map.A + third @ map.W2,
        np.concatenate([third, third / factor, third / factor], axis=1),
        np.concatenate([map.W2, factor * map.W2, -factor * map.W2]),
        map.h1 + third @ map.h2,
        np.concatenate([map.h2, factor * map.h2, -factor * map.h2]),
    )
