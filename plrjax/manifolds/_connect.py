"""Homoclinic and heteroclinic points: where an unstable manifold meets a stable one."""

import dataclasses
import os
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .. import _files
from .._arguments import checked_whole
from .._host import on_host
from .._job import Job, deadline_of, job
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._progress import AbstractProgress
from .._tables import plural
from ..cycles import CycleSet
from ..words import pack, unpack
from ._connections import Connections
from ._local import Local, local_of
from ._segments import cut_at, mapped

_LONGEST = 10_000
"""Turns around the target after which an orbit that has not come close does not get there."""
_FAR = 1e6
"""Times its cycle's size: how far a straight branch without an end is looked at."""
_NEAR = 1e-3
"""Share of the room to the nearest boundary below which an orbit in the stable space is there."""


@on_host()
def connections(
    model: AbstractPLRNN,
    source: CycleSet,
    target: CycleSet | None = None,
    *,
    max_steps: int = 30,
    max_orbits: int = 20,
    max_segments: int = 200_000,
    certify: bool = False,
    certificate: str | os.PathLike | None = None,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> Connections:
    """Find homoclinic points of a cycle, or heteroclinic points between two cycles.

    Every orbit to a cycle ends on the straight piece of its stable manifold, so images of the
    unstable manifold are cut with this piece only; both cycles have one multiplier outside the unit
    circle, in any number of states. A proof is for good: q solves a linear equation along the word.

    ```python
    found = plr.connections(model, saddle, certify=True)
    print(found.horseshoe)  # True: chaos is proven
    ```

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `source`, `target`: `CycleSet`s of one row; without `target`, the same cycle.
    - `max_steps`: how often the piece at the source is mapped.
    - `max_orbits`: the search ends with so many, those of fewest steps.
    - `max_segments`, `max_seconds`: limits; notes say which one ended the search.
    - `certify`: prove each orbit in ball arithmetic.
    - `certificate`: write the proven ones to this file, for `plr.verify_connections` and
        `plrjax verify`; implies `certify`.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** `Connections`. Ctrl-C returns what was found by then.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    begin = local_of(map, source, stable=False, name="source")
    other = source if target is None else target
    end = _Target(map, local_of(map, other, stable=False, name="target"), other.regions(0))
    limits = [
        checked_whole(name, value, 1)
        for name, value in (("max_steps", max_steps), ("max_orbits", max_orbits),
                            ("max_segments", max_segments))
    ]  # fmt: skip
    search = _Search(map, begin, end, limits[1])
    with job(progress, "connecting orbits", deadline_of(max_seconds)) as task:
        search.run(limits[0], limits[2], task)
    found = _result(map, source, other, search, task.result)
    if certify or certificate is not None:
        found = _certified(map, found, certificate)
    return found


class _Target:
    """The straight pieces of the stable manifold: l (z - point) = 0, as long as orbits keep the
    word of the cycle."""

    def __init__(self, map: PiecewiseAffineMap, local: Local, regions: np.ndarray):
        self.map, self.local, self.regions = map, local, regions
        self.J = map.affine_piece(regions)[0]
        self.period, size = len(regions), map.state_size
        self.left, self.stable = [], []
        for phase in range(self.period):
            product = np.eye(size)
            for turn in range(self.period):
                product = self.J[(phase + turn) % self.period] @ product
            values, vectors = np.linalg.eig(product.T)
            l = np.real(vectors[:, np.abs(values).argmax()])
            self.left.append(l / np.linalg.norm(l))
            v = local.ways[phase]
            self.stable.append(np.eye(size) - np.outer(v, l) / (l @ v))

    def reached(
        self, z: Float[np.ndarray, "point state"], phase: int
    ) -> Bool[np.ndarray, " point"]:
        """Return which points of the stable space at a phase stay with the word."""
        w = (z - self.local.orbit[phase]) @ self.stable[phase].T
        alive, done = np.ones(len(w), bool), np.zeros(len(w), bool)
        margin = np.abs(self.map.pre_activations(self.local.orbit)).min(axis=1)
        for turn in range(_LONGEST * self.period):
            at = (phase + turn) % self.period
            move = w @ self.map.W2.T
            y = move + self.map.pre_activations(self.local.orbit[at])
            alive &= done | ((y > 0) == self.regions[at]).all(axis=1)
            done |= alive & (np.abs(move).max(axis=1, initial=0.0) < _NEAR * margin[at])
            if (done | ~alive).all():
                break
            w = w @ self.J[at].T @ self.stable[(at + 1) % self.period].T
        return alive & done


class _Found(NamedTuple):
    """An orbit, and the words of its steps."""

    path: Float[np.ndarray, "row state"]
    word: Bool[np.ndarray, "time unit"]
    phase: int
    angle: float


class _Search:
    """Images of the unstable manifold, step by step, each piece with its parent."""

    def __init__(self, map: PiecewiseAffineMap, begin: Local, end: _Target, max_orbits: int):
        self.map, self.begin, self.end, self.max_orbits = map, begin, end, max_orbits
        self.found: list[_Found] = []
        self.parents: list[np.ndarray] = []
        self.patterns: list[np.ndarray] = []
        self.num_pieces, self.num_steps, self.note = 0, 0, None
        flips = begin.multiplier < 0
        growth = begin.multiplier ** (2 if flips else 1)
        pieces, straight = [], []
        far = _FAR * max(1.0, float(np.abs(begin.orbit).max()))
        for side in (1,) if flips else (0, 1):
            reach = begin.ends[0, side]
            first, last = (reach / growth, reach) if np.isfinite(reach) else (1 / far, far)
            sign = np.sign(reach) if np.isinf(reach) else 1.0
            straight.append(bool(np.isinf(reach)))
            pieces.append(begin.orbit[0] + sign * np.array([[first], [last]]) * begin.ways[0])
        self.pieces, self.straight = np.array(pieces), np.array(straight)

    def run(self, max_steps: int, max_segments: int, task: Job) -> None:
        """Map on and look, until enough orbits are found or a limit is reached."""
        for step in range(max_steps + 1):
            task.check()
            task.update(step / max_steps, plural(len(self.found), "orbit"))
            self._cross()
            self.num_steps = step
            if len(self.found) >= self.max_orbits:
                self.found = self.found[: self.max_orbits]
                self.note = f"max_orbits={self.max_orbits} ended the search"
                return
            if len(self.pieces) > max_segments:
                self.note = f"max_segments={max_segments} ended the search after {step} steps"
                return
            if step == max_steps or not len(self.pieces):
                return
            if step == 0:
                self.pieces = self.pieces[~self.straight]
            parts, source = cut_at(self.map, self.pieces)
            region = self.map.pre_activations(parts.mean(axis=1)) > 0
            image = mapped(self.map, parts, region)
            kept = np.isfinite(image).all(axis=(1, 2))
            self.pieces = image[kept]
            self.parents.append(source[kept])
            self.patterns.append(region[kept])

    def _cross(self) -> None:
        """Find where the newest pieces meet the straight pieces of the target."""
        self.num_pieces += len(self.pieces)
        for phase in range(self.end.period):
            side = (self.pieces - self.end.local.orbit[phase]) @ self.end.left[phase]
            rows = np.flatnonzero((side[:, 0] < 0) != (side[:, 1] < 0))
            if self.patterns:  # else it was there a step earlier
                before = (phase - 1) % self.end.period
                rows = rows[(self.patterns[-1][rows] != self.end.regions[before]).any(axis=1)]
            share = side[rows, 0] / (side[rows, 0] - side[rows, 1])
            a, b = self.pieces[rows, 0], self.pieces[rows, 1]
            there = self.end.reached(a + share[:, None] * (b - a), phase)
            for row in rows[there]:
                self._enter(int(row), phase)

    def _enter(self, row: int, phase: int) -> None:
        """Follow a piece back to its word, and solve for the point at the source."""
        letters = []
        for parent, patterns in zip(reversed(self.parents), reversed(self.patterns)):
            letters.append(patterns[row])
            row = int(parent[row])
        word = np.array(letters[::-1], bool).reshape(-1, self.map.num_units)
        a, b = [self.begin.orbit[0]], [self.begin.ways[0]]
        if len(word):
            J, offset = self.map.affine_piece(word)
            for one, c in zip(J, offset):
                a.append(one @ a[-1] + c)
                b.append(one @ b[-1])
        l = self.end.left[phase]
        start = -(l @ (a[-1] - self.end.local.orbit[phase])) / (l @ b[-1])
        path = np.array(a) + start * np.array(b)
        sine = min(1.0, abs(float(l @ b[-1])) / float(np.linalg.norm(b[-1])))
        self.found.append(_Found(path, word, phase, float(np.degrees(np.arcsin(sine)))))


def _result(map, source: CycleSet, target: CycleSet, search: _Search, result) -> Connections:
    found = sorted(search.found, key=lambda one: len(one.word))
    longest = max((len(one.word) for one in found), default=0)
    width = (map.num_units + 7) // 8
    paths = np.full((len(found), longest + 1, map.state_size), np.nan)
    itinerary = np.zeros((len(found), longest, width), np.uint8)
    for row, one in enumerate(found):
        itinerary[row, : len(one.word)] = pack(one.word)
        paths[row, : len(one.path)] = one.path
    return Connections(
        paths,
        np.array([len(one.word) for one in found], int),
        np.array([one.phase for one in found], int),
        itinerary,
        np.array([one.angle for one in found], float),
        np.zeros(len(found), bool),
        source.orbit(0), target.orbit(0), pack(source.regions(0)), pack(target.regions(0)),
        map.num_units, search.num_pieces, search.num_steps, result,
        () if search.note is None else (search.note,),
    )  # fmt: skip


def _certified(map: PiecewiseAffineMap, found: Connections, path: Any) -> Connections:
    """Prove what can be proven, and write it down."""
    from .. import _connection_checker as checker
    from .._exact import fingerprint, sealed, with_a_unit

    arrays = with_a_unit(*map.exactly())
    letters = lambda word: [tuple(int(x) for x in row) or (0,) for row in word]
    words = [unpack(word, found.num_units) for word in (found.source_word, found.target_word)]
    proven, orbits, notes = np.zeros(len(found), bool), [], list(found.notes)
    for row in range(len(found)):
        target = np.roll(words[1], -int(found.phase[row]), axis=0)
        orbit = checker.Connection(*(letters(w) for w in (words[0], target, found.regions(row))))
        try:
            orbits.append(checker.prove(arrays, orbit))
            proven[row] = True
        except checker.Refused as error:
            notes.append(f"orbit {row} is not proven: {error}")
    if path is not None and orbits:
        data = {"format": checker.FORMAT, "kind": checker.KIND, "model": fingerprint(*arrays)}
        _files.write_bytes(path, sealed(data | {"orbits": orbits}).encode())
    elif path is not None:
        notes.append("no certificate was written: nothing is proven")
    return dataclasses.replace(found, proven=proven, notes=tuple(notes))
