"""The checker of certificates: proves again, without the search, that a list of cycles is complete.

Inequalities are decided in ball arithmetic (python-flint), cycles in rationals. Proven is: these
are all k-cycles, for the periods and the box named, of F(z) = A z + W1 relu(W2 z + h2) + h1; and,
where `everywhere` says so, there are none outside the box.
"""

import json
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat

from ._exact import (
    Cycle,
    Degenerate,
    System,
    bounded,
    far_away,
    fingerprint,
    listed,
    rational,
    sealed,
    with_a_unit,
)

FORMAT = 1
LONGEST = 10_000
DEAD, OFF_EMPTY, ON_EMPTY, BOTH = range(4)
"""Records of a proof tree: the node, or its child with the next unit off, or on, is empty (with the
number of inequalities that say so, and these; or else it is a chunk); both children follow."""


class Refused(ValueError):
    """The certificate does not prove what it claims."""


class Tree:
    """A walk through all words whose orbits stay in a box, guided by the records of a proof.

    A node is a prefix of bits, time after time and unit after unit; its polytope holds the z_0
    whose orbits stay in the box and have these signs (on: > 0, off: <= 0). Every word of `length`
    letters is met but those behind a prefix whose polytope is proven empty; with `necklaces` only
    prefixes of least rotations (every primitive cyclic word has one). Inequality 2 M + i of time t
    is the sign of unit i; 2 j and 2 j + 1 are z_tj below its upper and above its lower bound. With
    `facet` = (t, b), b is the box of time t, and the last state is positive.
    """

    def __init__(self, system: System, box, length: int, chunks, leaf, necklaces=True, facet=None):
        self.system, self.length, self.chunks = system, length, dict(chunks)
        self.leaf, self.necklaces, self.facet = leaf, necklaces, facet
        size, self.units = system.size, system.num_units
        self.stride = 2 * size + self.units
        self.box = [box] * (length + 1)
        if facet:
            self.box[facet[0]] = facet[1]
        self.start = [[rational(x) for x in side] for side in self.box[0]]
        self.middle = [arb((a + b) / 2) for a, b in zip(*self.start)]
        self.radius = [arb((b - a) / 2) for a, b in zip(*self.start)]
        self.widths = self.box[0][1] - self.box[0][0]
        self.letters = [[0] * self.units for _ in range(length)]
        self.P = [arb_mat(system.identity)] * (length + 1)
        self.q = [arb_mat(size, 1)] * (length + 1)
        self.X: list[Any] = [(system.rows, system.offsets)] * (length + 1)
        self.pieces = [system.linear] * (length * (self.units + 1))

    def walk(self, pos: int = 0, period: int = 0, equal=True, prefix: str = "") -> None:
        """Meet every word: `leaf(word, P, q, is_primitive)` at the end of each prefix."""
        stack: list[tuple] = [(pos, period, equal, None, iter(self.chunk(prefix)))]
        while stack:
            pos, period, equal, bit, reader = stack.pop()
            alive = True
            while alive:
                if bit is not None:
                    pos, period, equal, bit = *self.append(pos, period, equal, bit), None
                    alive = bool(period) or pos < self.units
                    continue
                t, i = divmod(pos, self.units)
                barred = self.necklaces and equal and period and self.letters[t - period][i]
                kind, rows = self._record(reader)
                if kind == DEAD:
                    alive = not self.empty(rows, pos)
                    reader = iter(self.chunk(self._prefix(pos))) if alive else reader
                elif kind in (OFF_EMPTY, ON_EMPTY):
                    gone = int(kind == ON_EMPTY)
                    own = t * self.stride + 2 * self.system.size + i
                    if (gone or not barred) and not self.empty([*rows, own], pos, gone):
                        other = iter(self.chunk(self._prefix(pos) + str(gone)))
                        stack.append((pos, period, equal, gone, other))
                    bit, alive = 1 - gone, not (gone and barred)
                elif kind == BOTH:
                    bit = int(bool(barred))
                    if not barred:
                        stack.append((pos, period, equal, 1, reader))
                else:
                    raise Refused(f"unknown record {kind}")

    def append(self, pos: int, period: int, equal: bool, bit: int) -> tuple[int, int, bool]:
        """Go on by one bit; period 0 at the end of a letter: go no further."""
        t, i = divmod(pos, self.units)
        self.letters[t][i] = bit
        (J, c), (own, offset) = self.pieces[pos + t], self.system.units[i]
        self.pieces[pos + t + 1] = (J + own, c + offset) if bit else (J, c)
        equal = equal and (not period or bit == self.letters[t - period][i])
        if i + 1 < self.units:
            return pos + 1, period, equal
        n, period = t + 1, period if period and equal else t + 1
        J, c = self.pieces[pos + n]
        self.P[n], self.q[n] = J * self.P[t], J * self.q[t] + c
        if n < self.length:
            rows = self.system.rows
            self.X[n] = rows * self.P[n], rows * self.q[n] + self.system.offsets
        if not self.necklaces or n % period == 0:
            word = [tuple(letter) for letter in self.letters[:n]]
            self.leaf(word, self.P[n], self.q[n], period == n)
        return pos + 1, 0 if n == self.length else period, True

    def chunk(self, prefix: str) -> list[int]:
        if prefix not in self.chunks:
            raise Refused(f"not proven empty and not decided: prefix {prefix!r}")
        return self.chunks.pop(prefix)

    def _prefix(self, pos: int) -> str:
        return "".join(str(bit) for letter in self.letters for bit in letter)[:pos]

    @staticmethod
    def _record(reader) -> tuple[int, list[int]]:
        try:
            kind = next(reader)
            return kind, [next(reader) for _ in range(next(reader))] if kind != BOTH else []
        except StopIteration:
            raise Refused("a subtree ends before all its nodes are decided") from None

    def _rows(self, numbers: list[int], pos: int, gone: int | None, P, q, X, number) -> list:
        """Return (a, b) of a z_0 + b >= 0 for each number, from (P, q, X) at the times needed."""
        found, size = [], self.system.size
        for t, r in (divmod(n, self.stride) for n in numbers):
            at = t * self.units + max(r - 2 * size, 0)
            if t < 0 or at > pos or (r >= 2 * size and at == pos and gone is None):
                raise Refused("a proof uses an inequality that its node does not have")
            if r >= 2 * size:
                i = r - 2 * size
                sign = (gone if at == pos else self.letters[t][i]) or -1
                a, b = [X[t][0][i, j] for j in range(size)], X[t][1][i, 0]
            else:
                j, low = divmod(r, 2)
                sign = 1 if low else -1
                a = [P[t][j, k] for k in range(size)]
                b = q[t][j, 0] - number(self.box[t][1 - low][j])
            found.append(([sign * x for x in a], sign * b))
        return found

    @np.errstate(all="ignore")
    def empty(self, numbers: list[int], pos: int, gone: int | None = None) -> bool:
        """Return whether sum_r l_r (a_r z + b_r) < 0 on the whole start box for some l >= 0.

        The l come from floats and need not be exact: the inequality is what proves it.
        """
        if not numbers:
            return False
        rows = self._rows(numbers, pos, gone, self.P, self.q, self.X, arb)
        floats = np.array([[float(x.mid()) for x in a] for a, _ in rows]) * self.widths
        weights = _multipliers(floats)
        total = sum((w * b for w, (_, b) in zip(weights, rows)), arb(0))
        for j, (middle, radius) in enumerate(zip(self.middle, self.radius)):
            slope = sum((w * a[j] for w, (a, _) in zip(weights, rows)), arb(0))
            total += slope * middle + abs(slope) * radius
        sizes = np.abs(floats).sum(axis=1) + [abs(float(b.mid())) for _, b in rows]
        close = bool(abs(float(total.mid())) < 1e-9 * np.dot(weights, sizes))
        return bool(total < 0) or (close and self._touching(numbers, pos, gone, weights))

    def _touching(self, numbers: list[int], pos: int, gone: int | None, weights: list[float]):
        """Return whether the sum is <= 0, exactly, with l > 0 at a strict inequality."""
        used = [n for n, w in zip(numbers, weights) if w > 1e-9 * max(weights)]
        last = max(numbers) // self.stride
        P, q = [self.system.identity], [fmpq_mat(self.system.size, 1)]
        for letter in self.letters[:last]:
            J, c = self.system.piece(tuple(letter))
            P, q = [*P, J * P[-1]], [*q, J * q[-1] + c]
        W2, h2 = self.system.W2, self.system.h2
        X = [(W2 * a, W2 * b + h2) for a, b in zip(P, q)]
        rows = self._rows(used, pos, gone, P, q, X, rational)
        free = np.flatnonzero(self.widths)
        reduced, rank = fmpq_mat([[a[j] for a, _ in rows] for j in free]).rref()
        exact = [-reduced[i, len(rows) - 1] for i in range(rank)] + [fmpq(1)]
        if rank != len(rows) - 1 or any(x < 0 for x in exact):
            return False
        total = sum((w * b for w, (_, b) in zip(exact, rows)), fmpq(0))
        for j, (low, high) in enumerate(zip(*self.start)):
            slope = sum((w * a[j] for w, (a, _) in zip(exact, rows)), fmpq(0))
            total += max(slope * low, slope * high)
        size = self.system.size
        for weight, (t, r) in zip(exact, (divmod(n, self.stride) for n in used)):
            at = t * self.units + r - 2 * size
            on = r >= 2 * size and (gone if at == pos else self.letters[t][r - 2 * size])
            if weight > 0 and (on or (self.facet and r == 2 * size - 1)) and total <= 0:
                return True
        return False


def _multipliers(rows: np.ndarray) -> list[float]:
    """Return l >= 0 that cancel the rows, as well as floats can; the last one's is 1 / |row|."""
    sizes = np.sqrt((rows * rows).sum(axis=1))
    sizes[~((sizes > 0) & np.isfinite(sizes))] = 1.0
    unit = rows / sizes[:, None]
    try:
        weights = np.linalg.solve(unit[:-1].T, -unit[-1])
    except np.linalg.LinAlgError:
        unit[~np.isfinite(unit)] = 0.0
        weights = np.linalg.lstsq(unit[:-1].T, -unit[-1], rcond=None)[0] if len(rows) > 1 else []
    return [max(float(w), 0.0) / float(s) for w, s in zip([*weights, 1.0], sizes)]


def verify(text: str, A, W1, W2, h1, h2) -> dict[str, Any]:
    """Return what a certificate proves of a map, once all of it is proven again.

    **Raises:** `Refused` where anything in it is not proven, or is not as it was written.
    """
    try:
        data = json.loads(text)
        del data["SHA256"]
        if text != sealed(data) or data["format"] != FORMAT:
            raise Refused("the file was changed after it was written")
        arrays = with_a_unit(A, W1, W2, h1, h2)
        if data["model"] != fingerprint(*arrays):
            raise Refused("it was made for another model")
        periods = data["periods"]
        if not periods or any(type(k) is not int or not 0 < k <= LONGEST for k in periods):
            raise Refused(f"periods: expected integers from 1 to {LONGEST}")
        with ctx.workprec(128 + 4 * max(periods)), np.errstate(all="ignore"):
            return _verified(data, arrays)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise error if isinstance(error, Refused) else Refused(f"damaged: {error}") from error


def _verified(data: dict[str, Any], arrays: list[np.ndarray]) -> dict[str, Any]:
    system, box, periods = System(*arrays), np.array(data["box"], float), data["periods"]
    sound = box.shape == (2, system.size) and np.isfinite(box).all() and (box[0] < box[1]).all()
    if not sound or repr(box.tolist()) != repr(data["box"]):
        raise Refused("box: expected finite floats, lower and upper")
    cycles: dict[tuple, Cycle] = {}
    degenerate: set[int] = set()
    leaf = leaf_of(system, box, periods, cycles, degenerate)
    Tree(system, box, max(periods), data["tree"], leaf).walk()
    if data["cycles"] != listed(cycles.values()) or data["degenerate"] != sorted(degenerate):
        raise Refused("the cycles listed are not those of the proof")
    if data["everywhere"] == "bounded" and not bounded(arrays, box):
        raise Refused("everywhere: cycles outside the box are not excluded")
    if data["everywhere"] not in (None, "bounded"):
        check_radius(system, arrays, box, periods, data["everywhere"])
    return {name: data[name] for name in ("periods", "box", "everywhere", "degenerate", "cycles")}


def leaf_of(system: System, box, periods, cycles: dict, degenerate: set):
    """Return the function that enters the cycles of words met, and periods not decided."""
    lower, upper = ([rational(x) for x in side] for side in box)

    def leaf(word, P, q, is_primitive) -> None:
        if len(word) not in periods:
            return
        try:
            cycle = system.closed(word, P, q) if is_primitive else system.repeated(word, P)
        except Degenerate:
            degenerate.add(len(word))
            return
        if cycle and all(a <= x <= b for z in cycle.points for a, x, b in zip(lower, z, upper)):
            cycles[cycle.word] = cycle

    return leaf


def far_leaf_of(system: System, box, periods):
    """Return the function that objects to cycles that reach the box; P is of the map (u, s)."""
    bounds, size = [rational(x) for x in box[1]], system.size

    def leaf(word, P, q, is_primitive) -> None:
        if len(word) in periods:
            part = arb_mat([[P[i, j] for j in range(size)] for i in range(size)])
            try:
                cycle = system.closed(word, part, arb_mat([[P[i, size]] for i in range(size)]))
            except Degenerate:
                raise Refused("everywhere: a degenerate family may leave the box") from None
            if cycle and any(abs(x) >= b for z in cycle.points for x, b in zip(z, bounds)):
                raise Refused(f"everywhere: a {len(cycle.word)}-cycle leaves the box")

    return leaf


def check_radius(system: System, arrays, box, periods, proofs) -> None:
    """Check that every cycle of the periods lies in |z| < box: one tree for each facet."""
    if not (np.array_equal(box[0], -box[1]) and len(proofs) == 2 * system.size):
        raise Refused("everywhere: expected a box around 0 and a tree for each of its facets")
    far, bounds, facets = far_away(arrays, box)
    leaf, far_system = far_leaf_of(system, box, periods), System(*far)
    for facet, (time, chunks) in zip(facets, proofs):
        Tree(far_system, bounds, max(periods), chunks, leaf, False, (time, facet)).walk()
