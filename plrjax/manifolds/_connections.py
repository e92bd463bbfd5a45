"""Connecting orbits as results, searched for and verified."""

import dataclasses
import os
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from .. import _files
from .._piecewise_affine import AbstractPLRNN
from .._results import RESULTS
from .._saved import AbstractSaved
from .._tables import Table, plural
from ..cycles.proofs._certificate import checked
from ..words import unpack

CHAOS = "proven: some iterate has a horseshoe, topological entropy > 0 (chaos)"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Connections(AbstractSaved):
    """Orbits that come from one cycle and go to another, or to the same one.

    **Fields**, one row per orbit:

    - `paths`: from the point q on the straight piece of the unstable manifold at `source[0]` to
        that on the straight piece of the stable manifold at `target[phase]`; NaN beyond.
    - `steps` in between, `phase`.
    - `itinerary`: word of these steps, bit-packed, zero beyond (see `regions`).
    - `angle`: degrees between the unstable direction, carried along, and the stable space; the two
        manifolds cross there, unless it is 0.
    - `proven`: whether `certify` proved the orbit, and that it is transversal.

    and of the whole:

    - `source`, `target`: points of the two cycles; `source_word`, `target_word`: their words,
        bit-packed; `num_units`.
    - `num_pieces`, `num_steps`: straight pieces of the unstable manifold that were looked at, up to
        how many steps from the cycle.
    - `result`, `notes`.
    """

    file_type = "connections"
    file_bounds = {"steps": (0, "time", 0), "phase": (0, "target", -1)}

    paths: Float[np.ndarray, "orbit row state"]
    steps: Int[np.ndarray, " orbit"]
    phase: Int[np.ndarray, " orbit"]
    itinerary: UInt8[np.ndarray, "orbit time byte"]
    angle: Float[np.ndarray, " orbit"]
    proven: Bool[np.ndarray, " orbit"]
    source: Float[np.ndarray, "source state"]
    target: Float[np.ndarray, "target state"]
    source_word: UInt8[np.ndarray, "source byte"]
    target_word: UInt8[np.ndarray, "target byte"]
    num_units: int
    num_pieces: int
    num_steps: int
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def points(self) -> Float[np.ndarray, "orbit state"]:
        """The point q of each orbit."""
        return self.paths[:, 0]

    @property
    def homoclinic(self) -> bool:
        """Whether both cycles are the same one."""
        return np.array_equal(self.source_word, self.target_word)

    @property
    def horseshoe(self) -> bool:
        """Whether chaos is proven: a transversal homoclinic point, hence an invariant set of some
        iterate on which it is a full shift, and positive topological entropy (Smale 1967; without
        an inverse, Steinlein and Walther 1990)."""
        return self.homoclinic and bool(self.proven.any())

    def regions(self, row: int | np.integer) -> Bool[np.ndarray, "time unit"]:
        """Return the word of an orbit from one straight piece to the other."""
        return unpack(self.itinerary[row, : self.steps[row]], self.num_units)

    def _table(self) -> Table:
        names = [_name(self.source), _name(self.target)]
        kind = "homoclinic" if self.homoclinic else "heteroclinic"
        way = f"of a {names[0]}" if self.homoclinic else f"from a {names[0]} to a {names[1]}"
        title = f"{plural(len(self), f'{kind} orbit')} {way}"
        searched = (
            f"searched: {plural(self.num_pieces, 'straight piece')} of the unstable manifold, "
            f"up to {plural(self.num_steps, 'step')} from the cycle"
        )
        rows = [
            (str(row), str(self.steps[row]), f"{self.angle[row]:.4g}", "yes" if sure else "-",
             ", ".join(f"{x:.6g}" for x in self.points[row][:4]))
            for row, sure in enumerate(self.proven[:20])
        ]  # fmt: skip
        below = [f"{len(self) - 20} more are not shown"] if len(self) > 20 else []
        if self.horseshoe:
            below.append(CHAOS)
        below += [*self.result.lines(), *self.notes]
        if not rows:
            return Table([f"no {kind} orbit {way} found", searched], below=below)
        head = ("", "steps", "angle", "proven", "point")
        return Table([title, searched], head, rows, below)


@dataclasses.dataclass(frozen=True)
class VerifiedConnections:
    """What a certificate proves: connecting orbits of a map, each transversal.

    **Fields:** `orbits`: for each its words `source`, `transit` and `target`, the `point`, the
    `multipliers` outside the unit circle of both cycles, the `sine` of the angle, and whether it is
    `homoclinic`.
    """

    orbits: tuple[dict[str, Any], ...]

    @property
    def horseshoe(self) -> bool:
        """Whether one is homoclinic: some iterate has a horseshoe, the map positive entropy."""
        return any(orbit["homoclinic"] for orbit in self.orbits)

    def __str__(self) -> str:
        lines = []
        for orbit in self.orbits:
            kind = "homoclinic" if orbit["homoclinic"] else "heteroclinic"
            periods = " to ".join(str(len(orbit[name])) for name in ("source", "target"))
            lines.append(
                f"proven: a transversal {kind} orbit, periods {periods}, {len(orbit['transit'])} "
                f"steps in between, angle {np.degrees(np.arcsin(orbit['sine'])):.4g} degrees"
            )
        return "\n".join([*lines, CHAOS] if self.horseshoe else lines)


def verify_connections(
    model: AbstractPLRNN, certificate: str | os.PathLike, *, max_bytes: int = _files.MAX_BYTES
) -> VerifiedConnections:
    """Prove again, without the search, the connecting orbits of a certificate.

    **Arguments:** `model`: the network; `certificate`: a file that `connections(certificate=...)`
    wrote; `max_bytes`: most bytes of it.

    **Raises:** `ValueError` that says what is not proven.
    """
    from .. import _connection_checker as checker

    return VerifiedConnections(tuple(checked(checker.verify, model, certificate, max_bytes)[1]))


def _name(orbit: np.ndarray) -> str:
    return "fixed point" if len(orbit) == 1 else f"{len(orbit)}-cycle"
