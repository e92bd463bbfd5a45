"""The command `plrjax manifolds [FILE | RUN]`."""

import dataclasses
import pathlib
from typing import Annotated, Any

import tyro

from ._common import AbstractAnalysis, check_target, check_targets, numbers_of
from ._cycles import parse_periods


@dataclasses.dataclass(frozen=True)
class Manifolds(AbstractAnalysis):
    """Find what separates and what connects: stable and unstable manifolds of the saddles of a
    network, and homoclinic orbits, each proven where it can be (then chaos is proven).

    Exit codes: 0 finished, 1 failure, 2 bad input, 3 the time ran out, 130 Ctrl-C, 143 SIGTERM;
    after the last three, what was found is printed and saved.
    """

    periods: Annotated[str, tyro.conf.arg(metavar="LIST")] = "1"
    """Periods of the saddles: '3', '1,2,5', '1:10' (both ends included)."""
    low: Annotated[str | None, tyro.conf.arg(metavar="LIST")] = None
    """Lower corner of the box, one number or one for each state (write --low=-3); by default around
    all cycles."""
    high: Annotated[str | None, tyro.conf.arg(metavar="LIST")] = None
    """Upper corner of the box."""
    length: Annotated[float, tyro.conf.arg(metavar="FLOAT")] = 20.0
    """Arc length of each branch of an unstable manifold."""
    max_saddles: Annotated[int, tyro.conf.arg(metavar="INT")] = 8
    """Saddles at most, those of short period first."""
    certificate: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """Write the proof of the first proven homoclinic orbits to this .json file, for 'plrjax
    verify'."""
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Save each manifold and the orbits to files in this folder."""

    def prepare(self) -> None:
        check_target("--certificate", self.certificate, (".json",))
        if len(self.files) > 1:
            raise ValueError(f"FILE: expected one network, got {len(self.files)}")
        for name, one in (("workers", 1), ("executor", None), ("shard", None)):
            if getattr(self, name) != one:
                raise ValueError(f"--{name}: this command does one network, in this process")
        for name in ("low", "high"):
            numbers_of(getattr(self, name), f"--{name}")
        parse_periods(self.periods)

    def check_targets(self) -> None:
        check_targets(None, self.plot)
        if self.out is not None and pathlib.Path(self.out).is_file():
            raise ValueError(f"--out: expected a folder, {self.out} is a file")

    def compute(self, model, key) -> Any:
        from .. import find_cycles, manifolds

        periods = parse_periods(self.periods)
        cycles = find_cycles(model, periods, key=key, max_seconds=self.max_seconds)
        ends = {}
        for name in ("low", "high"):
            given = numbers_of(getattr(self, name), f"--{name}")
            ends[name] = given[0] if given is not None and len(given) == 1 else given
        try:
            found = manifolds.survey(
                model, cycles, **ends, length=self.length, max_saddles=self.max_saddles,
                max_seconds=self.max_seconds,
            )  # fmt: skip
        except ValueError as error:
            raise ValueError(f"--{error}".replace("_", "-", 1)) from error
        return found if self.certificate is None else self._certified(model, found)

    def _certified(self, model, found):
        """Write the certificate of the first saddle with a proven orbit."""
        from .. import connections

        proven = [
            row for row, one in enumerate(found.homoclinic) if one is not None and one.proven.any()
        ]
        note = "no certificate was written: no homoclinic orbit is proven"
        if proven:
            row = proven[0]
            connections(model, found.saddles[[row]], certificate=self.certificate)
            note = f"written: {self.certificate}, the homoclinic orbits of saddle {row}"
        return dataclasses.replace(found, notes=(*found.notes, note))

    def as_text(self, found) -> str:
        return str(found)

    def as_json(self, found) -> dict:
        parts = []
        for row, why in enumerate(found.why):
            orbits = found.homoclinic[row]
            parts.append(
                {
                    "period": found.saddles.period[row],
                    "points": found.saddles.orbit(row),
                    "multipliers": [[m.real, m.imag] for m in found.saddles.multipliers[row]],
                    "stable": _facts(found.stable[row]),
                    "unstable": _facts(found.unstable[row]),
                    "homoclinic": None if orbits is None else len(orbits),
                    "proven": None if orbits is None else orbits.proven.sum(),
                    "why": why,
                }
            )
        return {
            "result": found.result.name,
            "saddles": parts,
            "horseshoe": found.horseshoe,
            "low": found.box[0],
            "high": found.box[1],
            "notes": list(found.notes),
        }

    def draw(self, found, model, figure) -> None:
        from .. import plot

        figure.set_size_inches(7.4, 5.6)
        parts = [one for one in (*found.stable, *found.unstable) if one is not None]
        if not parts:
            figure.text(0.5, 0.5, "no saddle with a curve or a surface", ha="center")
            return
        surface = any(one.dimension == 2 for one in parts)
        ax = figure.add_subplot(projection="3d" if surface else None)
        plot.manifold(*found.found, ax=ax)


def _facts(one) -> dict | None:
    if one is None:
        return None
    return {"dimension": one.dimension, "pieces": len(one), "measure": one.measure}
