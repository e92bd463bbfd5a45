"""Random maps full of ties, and what a search says about them that is not true."""

import collections

import jax.random as jr
import numpy as np
from local_maps import LocalMap, has_unit_modulus, moduli, polynomial
from systems import QUIET
from tie_oracle import Exact

import plrjax as plr
from plrjax import COVERAGE, STABILITY, UNDECIDED_INDEX

LONGEST = 4


def random_map(seed):
    """Return a map of small halves and many zeros, about half of them with a planted tie."""
    draw = np.random.default_rng(seed)
    sizes = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (2, 3), (3, 1), (3, 2), (3, 3)]
    shares = [0.14, 0.16, 0.24, 0.24, 0.04, 0.04, 0.07, 0.06, 0.01]
    M, H = sizes[draw.choice(len(sizes), p=shares)]

    def halves(*shape, zeros=0.35, most=6):
        values = draw.integers(-most, most + 1, shape) / 2.0
        return np.where(draw.random(shape) < zeros, 0.0, values)

    most = draw.choice([2, 3, 6])
    A, W1, W2 = halves(M, M, most=most), halves(M, H, most=most), halves(H, M)
    h1, h2 = halves(M, zeros=0.5), halves(H, zeros=0.5)
    if H > 1 and draw.random() < 0.15:
        W2[1], h2[1] = W2[0] * draw.choice([1.0, -1.0, 0.5]), h2[0] * draw.choice([1.0, -1.0])
    if draw.random() < 0.55:
        A, h1, h2 = _planted(draw, A, W1, W2, h1, h2)
    return plr.PiecewiseAffineMap(A, W1, W2, h1, h2)


def _planted(draw, A, W1, W2, h1, h2):
    """Change A, h1 and h2 such that simple points are a cycle, some of them on boundaries."""
    M, H = W1.shape
    k = int(draw.integers(1, min(LONGEST, M + 1) + 1))
    corner = draw.integers(-2, 3, M) / 2.0
    frame = np.eye(M)[draw.permutation(M)] * draw.choice([-1.0, 1.0], (M, 1))
    points = np.vstack([corner, corner + frame])[:k]
    for i in range(H):
        if draw.random() < 0.6:
            h2[i] = -W2[i] @ points[draw.integers(k)]
    after = np.roll(points, -1, axis=0) - np.maximum(points @ W2.T + h2, 0.0) @ W1.T
    steps = points[1:] - points[0]
    for step, image in zip(steps, after[1:] - after[0]):
        j = int(np.abs(step).argmax())
        A[:, j] = image * step[j]
    return A, after[0] - A @ points[0], h2


def found_in(map, seed=0):
    """Search for all cycles of periods 1 to 4."""
    return plr.find_cycles(map, range(1, LONGEST + 1), key=jr.key(seed), progress=QUIET)


class Check:
    """Compares what was found with the truth; `wrong` are sentences, `shares` are counts."""

    def __init__(self, map, found):
        self.map, self.found, self.truth = map, found, Exact(map, LONGEST)
        self.wrong: list[tuple[str, int, str]] = []
        self.shares: collections.Counter = collections.Counter()
        for k in range(1, LONGEST + 1):
            complete = self._existence(k)
            self._coverage(k, complete)
            self._sums(k)

    def _say(self, kind, k, text=""):
        self.wrong.append((kind, k, text))

    def _existence(self, k):
        """Match rows and cycles of one period; return whether nothing is missing."""
        found, cycles = self.found, self.truth.cycles[k]
        rows = np.flatnonzero((found.period == k) & found.is_isolated).tolist()
        self.shares["cycles"] += len(cycles)
        if found.counts().get(k) != len(cycles):
            self._say("count", k, f"{found.counts().get(k)} counted, {len(cycles)} true")
        for cycle in cycles:
            near = [row for row in rows if _is_same(found.orbit(row), cycle)]
            if len(near) != 1:
                self._say("missing" if not near else "twice", k, f"{_text(cycle)}")
                continue
            rows.remove(near[0])
            self._row(k, near[0], cycle)
        for row in rows:
            self._say("no cycle", k, f"row {row}: {found.orbit(row).tolist()}")
        members = np.flatnonzero((found.period == k) & ~found.is_isolated).tolist()
        for row in members:
            if not self._is_member(k, found.orbit(row)):
                self._say("no continuum", k, f"row {row}: {found.orbit(row).tolist()}")
        continuum = self.truth.has_continuum(k)
        self.shares["continua"] += continuum
        if continuum and not members:
            words = [f.word for f in self.truth.families[k] if f.whole_period]
            self._say("missing continuum", k, f"words {words}")
        return not any(kind.startswith("missing") and p == k for kind, p, _ in self.wrong)

    def _is_member(self, k, points):
        """Return whether points are a cycle of minimal period k in a continuum."""
        size = 1e-7 * (1.0 + np.abs(points).max())
        distance = np.abs(points[:, None] - points).max(axis=2) + np.eye(k)
        step = np.stack([_step(self.map, z) for z in points])
        if distance.min() < size or np.abs(step - np.roll(points, -1, axis=0)).max() > size:
            return False
        return any(
            _is_near(self.truth, np.roll(points, d, axis=0), family, size)
            for family in self.truth.families[k]
            if family.whole_period
            for d in range(k)
        )

    def _coverage(self, k, complete):
        covered = self.found.coverage_by_period[k] >= COVERAGE.complete_in_floating_point
        if covered and not complete:
            self._say("covered", k)
        self.shares["periods"] += 1
        self.shares["not covered"] += not covered
        notes = [n for n in self.found.notes if n.startswith(f"period {k}:")]
        if complete and any("something is missing" in note for note in notes):
            self._say("note", k, " ".join(notes))

    def _sums(self, k):
        truth, known = self.truth.index_sum(k), self.found.index_sum(k)
        if truth is None:
            return
        self.shares["sums"] += 1
        self.shares["no sum"] += known is None
        if known is not None and known != truth:
            self._say("index sum", k, f"{known}, true {truth}")
        if self.found.degree.get(k, truth) != truth:
            self._say("degree", k, f"{self.found.degree[k]}, true {truth}")

    def _row(self, k, row, cycle):
        """Check what is said about one cycle."""
        views = [LocalMap(self.truth, (*cycle[t:], *cycle[:t])) for t in range(k)]
        local = next((view for view in views if view.is_linear), views[0])
        self._index(k, row, local)
        if local.is_kinked and not local.is_linear:
            self.shares["on a boundary"] += 1
            if not np.isnan(self.found.multipliers[row]).all():
                self._say("multipliers on a boundary", k, _text(cycle))
            self._stability_of_ties(k, row, cycle, local)
            return
        if not (local.is_kinked and np.isnan(self.found.multipliers[row]).all()):
            self._smooth(k, row, cycle, local)

    def _index(self, k, row, local):
        index, kinked = int(self.found.index[row]), local.is_kinked
        if index == UNDECIDED_INDEX:
            self.shares["index undecided" if kinked else "smooth index undecided"] += 1
        elif index != local.index():
            self._say("index", k, f"row {row}: {index}, true {local.index()}")

    def _smooth(self, k, row, cycle, local):
        """Check the multipliers and the stability of a cycle around which F^k is linear."""
        P, code = local.pieces[0][0], int(self.found.stability[row])
        poly, known = np.array(polynomial(P), float), self.found.multipliers[row]
        self.shares["smooth"] += 1
        if np.isnan(known).any():
            self._say("no multipliers though linear", k, f"row {row}: {code=} {_text(cycle)}")
            return
        if not np.allclose(np.poly(known), poly, rtol=1e-7, atol=1e-7 * np.abs(poly).max()):
            self._say("multipliers", k, f"row {row}: {known} {_text(cycle)}")
        if code == STABILITY.undecided:
            self.shares["smooth undecided"] += 1
        elif code != _code(P):
            self._say("stability", k, f"row {row}: {STABILITY(code)}, true {STABILITY(_code(P))}")

    def _stability_of_ties(self, k, row, cycle, local):
        code = int(self.found.stability[row])
        if self.map.state_size == 1:
            true = line_stability(*local.slopes())
            if code != true and not (true == STABILITY.undecided and code == 3):
                self._say("stability of a tie", k, f"{STABILITY(code)}, true {STABILITY(true)}")
        elif code == STABILITY.undecided:
            self.shares["stability undecided"] += 1
        elif code == STABILITY.stable:
            grown = largest_growth(local)
            if grown > -10.0:
                self._say("not seen to be stable", k, f"row {row}: {_text(cycle)} {grown}")
        elif code == STABILITY.unstable:
            grown = largest_growth(local)
            if grown < 10.0:
                self._say("not seen to be unstable", k, f"row {row}: {_text(cycle)} {grown}")
        else:
            self._say("stability of a tie", k, f"row {row}: {STABILITY(code)} {_text(cycle)}")


def line_stability(left, right):
    """Return the stability of 0 under v -> left v for v < 0, right v for v > 0."""
    if left < 0 and right < 0:
        rate = left * right
    else:
        rate = max(left, right)
    if rate == 1:
        return STABILITY.undecided
    return STABILITY.stable if rate < 1 else STABILITY.unstable


def largest_growth(local, steps=4000, bound=30.0):
    """Return the largest log of |G^n(v)| / |v| of many directions, n large or the log beyond it.

    Directions are random, or eigenvectors of pieces of G, G^2 and G^3 in whose cones they lie.
    """
    draw = np.random.default_rng(0)
    own = [_own_directions(local.repeated(times)) for times in (1, 2, 3)]
    V = np.concatenate([draw.standard_normal((400, local.size)), *own])
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    grown = np.zeros(len(V))
    for _ in range(steps):
        V = local.ahead(V)
        size = np.linalg.norm(V, axis=1)
        with np.errstate(divide="ignore"):
            grown += np.log(size)
        V /= np.where(size > 0, size, 1.0)[:, None]
        if grown.max() > bound:
            return grown.max()
        going = grown > -bound
        if not going.any():
            return -bound
        V, grown = V[going], grown[going]
    return grown.max()


def _own_directions(local):
    """Return real eigenvectors of the pieces of G that lie in the closure of their cones."""
    found = [np.zeros((0, local.size)), np.eye(local.size), -np.eye(local.size)]
    for P, cone in local.pieces:
        values, vectors = np.linalg.eig(np.array(P, float))
        cone = np.array(cone, float).reshape(-1, local.size)
        for value, v in zip(values, vectors.T):
            if abs(value.imag) < 1e-9:
                both = np.stack([v.real, -v.real])
                found.append(both[(both @ cone.T > -1e-9).all(axis=1)])
    return np.concatenate(found)


def _code(P):
    """Return the stability that eigenvalues tell."""
    if has_unit_modulus(P):
        return STABILITY.nonhyperbolic
    sizes = moduli(P)
    if (sizes < 1).all():
        return STABILITY.stable
    return STABILITY.unstable if (sizes > 1).all() else STABILITY.saddle


def _is_same(points, cycle):
    """Return whether two cycles are the same, from whichever point on."""
    true = np.array(cycle, float)
    size = 1e-7 * (1.0 + np.abs(true).max())
    return any(np.abs(np.roll(points, d, 0) - true).max() <= size for d in range(len(true)))


def _is_near(truth, points, family, size):
    """Return whether points have a word, up to a small distance."""
    for z, letter in zip(points, family.word):
        y = np.array(truth.W2, float).reshape(-1, truth.size) @ z + np.array(truth.h2, float)
        sign = np.where(np.array(truth.patterns[letter], bool), 1.0, -1.0)
        if (sign * y < -10 * size).any():
            return False
    return True


def _step(map, z):
    return map.A @ z + map.W1 @ np.maximum(map.W2 @ z + map.h2, 0.0) + map.h1


def _text(cycle):
    return str([[str(x) for x in z] for z in cycle])


def source(map):
    """Return a line of Python that builds a map."""
    fields = (getattr(map, name).tolist() for name in ("A", "W1", "W2", "h1", "h2"))
    M, H = map.W1.shape
    texts = [repr(x) for x in fields]
    if not H:
        texts[1], texts[2] = f"np.zeros(({M}, 0))", f"np.zeros((0, {M}))"
    return f"P({', '.join(texts)})"
