"""The command `plrjax cycles [FILE]`."""

import dataclasses
import re
from typing import Annotated, ClassVar, Literal

import tyro

from ._common import check_target
from ._many import AbstractNetworkAnalysis

_MAX_PERIOD = 10**4


def cycles_of(
    model, *, key, periods, solver, num_searches, proven=False, max_seconds=None, throw=True,
    progress=None,
):  # fmt: skip
    """Find cycles of a network, and prove existence and stability of each if asked for.

    **Raises:** `ValueError` in words of the command line, where a smooth network has no words.
    """
    from .. import RESULTS, AbstractPLRNN, Auto, certify, find_cycles, find_fixed_points

    options = {"key": key, "num_searches": num_searches, "max_seconds": max_seconds}
    options |= {"throw": throw, "progress": progress}
    if not isinstance(model, AbstractPLRNN):
        name = "--certify" if proven else None if isinstance(solver, Auto) else "--solver"
        if name is not None:
            raise ValueError(
                f"{name}: is for ReLU networks, whose cycles have words; this is a "
                f"{type(model).__name__}, whose cycles are found by damped Newton steps"
            )
        return find_fixed_points(model, periods, **options)
    found = find_cycles(model, periods, solver=solver, **options)
    return found if not proven or found.result is RESULTS.interrupted else certify(model, found)


@dataclasses.dataclass(frozen=True)
class Cycles(AbstractNetworkAnalysis):
    """Find the fixed points and k-cycles of a network, their stability, and how sure one can be.

    Those of tanh RNNs, GRUs and LSTMs are found by damped Newton steps from many starts.

    Exit codes: 0 finished, 1 failure, 2 bad input, 3 the budget ran out, 130 Ctrl-C, 143 SIGTERM;
    after the last three, what was found is printed and saved.
    """

    kernels: ClassVar[tuple[str, ...]] = ("plrjax.cycles.complete.words._orbit",)

    periods: Annotated[str, tyro.conf.arg(metavar="LIST")] = "1:10"
    """Periods to search: '3', '1,2,5', '1:10' (both ends included), '1:10,20'."""
    num_searches: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Walks and paths per period; by default the search stops when it saturates."""
    solver: Literal["auto", "scyfi", "path-following", "exhaustive", "complete"] = "auto"
    """scyfi: virtual-cycle walk; exhaustive: every word; complete: all cycles, by branch and bound
    in floating point; auto: by size."""
    certify: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Prove existence and stability of every cycle found, afterwards."""
    rigorous: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """The complete search, with a proof that the cycles found are all."""
    box: Annotated[float | None, tyro.conf.arg(metavar="R")] = None
    """With --solver complete: search |z| <= R only; by default where all cycles must be."""
    max_nodes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """With --solver complete: stop after so many nodes, with a partial result."""
    certificate: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """With --rigorous: write the proof to this .json file, for 'plrjax verify'."""
    checkpoint: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """With --solver complete: save the search to this .json file, and go on from it."""

    def prepare(self) -> None:
        parse_periods(self.periods)
        self._check_complete()

    def _check_complete(self) -> None:
        """Refuse options of the complete search without it, and others with it."""
        if self.rigorous and self.solver not in ("auto", "complete"):
            raise ValueError(f"--rigorous: is about --solver complete, got {self.solver}")
        if self.is_many:
            for name in ("certificate", "checkpoint"):
                if getattr(self, name) is not None:
                    raise ValueError(f"--{name}: is about one network, and many are given")
        if not self._is_complete:
            for name in ("box", "max_nodes", "checkpoint"):
                if getattr(self, name) is not None:
                    flag = "--" + name.replace("_", "-")
                    raise ValueError(f"{flag}: only meaningful with --solver complete")
            if self.workers != 1 and not self.is_many:
                raise ValueError(
                    "--workers: only meaningful with --solver complete, or for many networks"
                )
        if self.box is not None and not 0 < self.box <= 1e250:
            raise ValueError(f"--box: expected a positive number up to 1e250, got {self.box}")
        if self.certificate is not None and not self.rigorous:
            raise ValueError("--certificate: only meaningful with --rigorous")
        check_target("--certificate", self.certificate, (".json",))
        check_target("--checkpoint", self.checkpoint, (".json",))

    @property
    def _is_complete(self) -> bool:
        return self.rigorous or self.solver == "complete"

    def _solver(self):
        from .. import SCYFI, Auto, BranchAndBound, Exhaustive, PathFollowing

        if self._is_complete:
            return BranchAndBound(
                rigorous=self.rigorous,
                box=self.box,
                max_nodes=self.max_nodes,
                workers=1 if self.is_many else self.workers,
                certificate=self.certificate,
                checkpoint=self.checkpoint,
                model_file=self.file if self.certificate is not None else None,
            )
        solvers = {
            "auto": Auto,
            "scyfi": SCYFI,
            "path-following": PathFollowing,
            "exhaustive": Exhaustive,
        }
        return solvers[self.solver]()

    def analysis(self):
        arguments = {"periods": parse_periods(self.periods), "solver": self._solver()}
        arguments |= {"num_searches": self.num_searches, "proven": self.certify}
        return cycles_of, arguments

    def as_text(self, found) -> str:
        from ..cycles._table import of_search

        return of_search(found, self._reference()).text()

    def as_json(self, found) -> dict:
        reference = self._reference()
        return {
            "num_states": found.state_size,
            "num_units": found.num_units,
            "result": found.result.name,
            "coverage": found.coverage.name,
            "coverage_domain": found.coverage_domain,
            "coverage_by_period": {k: c.name for k, c in found.coverage_by_period.items()},
            "counts": found.counts(),
            "reference": reference and {"name": reference[0], "counts": reference[1]},
            "unseen": {k: dataclasses.asdict(u) for k, u in found.unseen.items()},
            "notes": list(found.notes),
            "cycles": [_cycle_facts(found, row) for row in range(len(found))],
        }

    def _reference(self) -> tuple[str, dict[int, int]] | None:
        """Return the system behind the embedded network, and its numbers of cycles."""
        from .._io import example_reference

        return example_reference() if self.file is None else None

    def draw(self, found, model, figure) -> None:
        from .. import plot

        plot.portrait(found, model, figure=figure)


def parse_periods(text: str) -> list[int]:
    """Return the sorted periods of '3', '1,2,5', '1:10' (both ends included) or '1:10,20'."""
    periods: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?::\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise ValueError(f"--periods: expected a list such as 1:10,20, got {text!r}")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if not 1 <= first <= last <= _MAX_PERIOD:
            raise ValueError(
                f"--periods: expected 1 <= first <= last <= {_MAX_PERIOD}, got {part.strip()!r}"
            )
        periods.update(range(first, last + 1))
    return sorted(periods)


def _cycle_facts(cycles, row: int) -> dict:
    from .._results import STABILITY, UNDECIDED_INDEX

    names = ("period", "verified", "valid", "hits", "margin")
    names += ("proven_existence", "proven_stability")
    numbers = {
        name: getattr(cycles, name)[row]
        for name in (*names, "residual", "error_bound", "condition")
    }
    index = int(cycles.index[row])
    return numbers | {
        "index": None if index == UNDECIDED_INDEX else index,
        "stability": STABILITY(int(cycles.stability[row])).name,
        "multipliers": [[m.real, m.imag] for m in cycles.multipliers[row].tolist()],
        "points": cycles.orbit(row),
        "regions": ["".join("01"[bit] for bit in region) for region in cycles.regions(row) * 1],
    }
