"""The command `plrjax scan PLANE.TOML [FILE]`."""

import dataclasses
import pathlib
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._common import EMBEDDED, EXIT, AbstractAnalysis, read_toml, readable, say
from ._cycles import parse_periods
from ._engine import check_engine, engine_of, shard_of

if TYPE_CHECKING:
    import numpy

_KNOWN = ("axis", "measures", "network", "state", "targets", "tile")
_STEPS = {"exponent": 2_000, "loss": 500, "gradient": 500, "orbit": 100}


@dataclasses.dataclass(frozen=True)
class Scan(AbstractAnalysis):
    """Measure cycles, exponents or gradients over a grid of one or two parameters.

    PLANE.TOML holds one or two tables `[[axis]]` (where = "A", index = [0, 0], start, stop and num)
    and `measures`, a list of "cycles:1:8" (periods), "exponent:2000", "loss:500", "gradient:500"
    and "orbit:100" (steps). Optional: `network` (a file), `state` (where orbits start, default 0),
    `targets` (a .npy series; default: the orbit of the network as it is), `tile`.

    The same command with the same --checkpoint goes on where it was stopped. Exit codes: 0
    finished, 1 failure (nothing finite), 2 bad input, 3 the budget ran out, or tiles of other
    shards are missing, 130 Ctrl-C, 143 SIGTERM; after the last three, what was measured is
    printed and saved.
    """

    files: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PLANE.TOML [FILE]")
    ] = ()
    """What to scan and what to measure; network file, else the one that PLANE.TOML names, or the
    embedded example."""
    checkpoint: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Keep finished tiles here, and go on with those that are missing."""

    @property
    def network(self) -> str | None:
        """The network's file, where one is given."""
        return self.files[1] if len(self.files) > 1 else None

    def prepare(self) -> None:
        check_engine(self)
        if len(self.files) > 2:
            raise ValueError(f"FILE: expected one network at most, got {len(self.files) - 1}")
        for name in ("shard", "executor"):
            if getattr(self, name) is not None and self.checkpoint is None:
                if not str(self.executor).startswith("processes:"):
                    raise ValueError(f"--{name}: needs --checkpoint")
        self._plan()

    def compute(self, model, key):
        from .. import scan_parameters

        plan = self._plan()
        try:
            with engine_of(self, self.checkpoint) as executor:
                return scan_parameters(
                    model,
                    _axes(plan),
                    _measures(plan, model, pathlib.Path(self._plane()).parent),
                    key=key,
                    checkpoint=self.checkpoint,
                    shard=shard_of(self),
                    executor=executor,
                    max_seconds=self.max_seconds,
                    throw=False,
                    **({"tile": plan["tile"]} if "tile" in plan else {}),
                )
        except ValueError as error:
            raise ValueError(re.sub("^(shard|checkpoint):", r"--\1:", str(error))) from error

    def as_text(self, found) -> str:
        return str(found)

    def as_json(self, found) -> dict:
        coverage = found.coverage
        return {
            "network": self._network_path() or "embedded example",
            "plane": self.file,
            "result": found.result.name,
            "coverage": None if coverage is None else coverage.name,
            "axes": [axis._asdict() for axis in found.axes],
            "pixels": len(found.done),
            "pixels_done": int(found.done.sum()),
            "values": found.values,
            "notes": list(found.notes),
            "stats": found.stats,
        }

    def draw(self, found, model, figure) -> None:
        from .. import plot

        plot.scan(found, figure=figure)

    def _finish(self, found, model) -> EXIT:
        code = super()._finish(found, model)
        return EXIT.budget_exhausted if code == EXIT.finished and not found.done.all() else code

    def _load(self):
        from .. import example_network, load

        path = self._network_path()
        if path is None:
            say(f"plrjax: no FILE given, using {EMBEDDED}", sys.stderr)
            return example_network()
        with readable(path):
            options = {name: getattr(self, name) for name in ("kind", "num_relu", "index", "leak")}
            return load(path, **options)

    def _network_path(self) -> str | None:
        """Return the network's file; one that PLANE.TOML names is relative to it."""
        named = self._plan().get("network")
        if self.network is not None or named is None:
            return self.network
        return str(pathlib.Path(self._plane()).parent / str(named))

    def _plane(self) -> str:
        if self.file is None:
            raise ValueError("PLANE.TOML: missing; it says what to scan (see plrjax scan --help)")
        return self.file

    def _plan(self) -> dict[str, Any]:
        """Return the content of PLANE.TOML."""
        path = self._plane()
        plan = read_toml(path, "PLANE.TOML")
        unknown = sorted(set(plan) - set(_KNOWN))
        if unknown:
            raise ValueError(f"{path}: {unknown[0]}: unknown; expected {', '.join(_KNOWN)}")
        for name in ("axis", "measures"):
            if not (isinstance(plan.get(name), list) and plan[name]):
                raise ValueError(f"{path}: {name}: missing (see plrjax scan --help)")
        try:
            _check(plan)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return plan


def _check(plan: dict[str, Any]) -> None:
    """Refuse entries of PLANE.TOML of another kind than is expected.

    **Raises:** `ValueError` naming the entry.
    """
    from .._arguments import checked_whole
    from .._numerics import as_real

    _axes(plan)
    for text in plan["measures"]:
        _parts(text)
    checked_whole("tile", plan.get("tile", 1), 1)
    for name in ("network", "targets"):
        if not isinstance(plan.get(name, ""), str):
            raise ValueError(f"{name}: expected the name of a file, got {plan[name]!r}")
    if "state" in plan:
        as_real("state", plan["state"], ("states",))


def _axes(plan: dict[str, Any]) -> list:
    """Return the axes of PLANE.TOML."""
    from .. import Axis
    from .._arguments import checked_whole
    from .._numerics import is_number

    axes = []
    for number, table in enumerate(plan["axis"]):
        wanted = {"where", "index", "start", "stop", "num"}
        if not isinstance(table, dict) or set(table) != wanted:
            raise ValueError(f"axis: expected {', '.join(sorted(wanted))} in table {number + 1}")
        index = table["index"]
        if not isinstance(table["where"], str):
            raise ValueError(f"axis: where: expected a name, got {table['where']!r}")
        index = tuple(index) if isinstance(index, list) else (index,)
        try:
            for end in ("start", "stop"):
                if not is_number(table[end]):
                    raise ValueError(f"{end}: expected a finite number, got {table[end]!r}")
            checked_whole("num", table["num"], 1)
            axes.append(Axis(table["where"], index, table["start"], table["stop"], table["num"]))
        except ValueError as error:
            raise ValueError(f"axis: table {number + 1}: {error}") from error
    return axes


def _parts(text: Any) -> tuple[str, str]:
    """Return name and settings of a measure such as "cycles:1:8", checked."""
    name, _, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if name == "cycles":
        parse_periods(rest or "1:8")
        return name, rest or "1:8"
    if name not in _STEPS or not re.fullmatch(r"\d{0,9}", rest) or rest == "0":
        known = ", ".join(["cycles:1:8", *(f"{n}:{steps}" for n, steps in _STEPS.items())])
        raise ValueError(f"measures: expected {known}, got {text!r}")
    return name, rest or str(_STEPS[name])


def _measures(plan: dict[str, Any], model: Any, folder: pathlib.Path) -> list:
    """Return the measures of PLANE.TOML."""
    import numpy as np

    from .. import AttractorOrbit, CycleCounts, GradientNorm, LargestExponent, OrbitLoss

    state = np.asarray(plan.get("state", np.zeros(model.state_size)), float)
    made = []
    for name, rest in map(_parts, plan["measures"]):
        if name == "cycles":
            made.append(CycleCounts(parse_periods(rest)))
        elif name == "exponent":
            made.append(LargestExponent(state, int(rest)))
        elif name == "orbit":
            made.append(AttractorOrbit(state, num_points=int(rest)))
        else:
            kind = OrbitLoss if name == "loss" else GradientNorm
            made.append(kind(_targets(plan, model, folder, state, int(rest)), state))
    return made


def _targets(
    plan, model, folder: pathlib.Path, state: "numpy.ndarray", steps: int
) -> "numpy.ndarray":
    """Return the series to compare with: from a file, or the orbit of the network as it is."""
    import numpy as np

    if "targets" in plan:
        from .._decoded import parse_npy
        from .._files import read_bytes
        from .._numerics import as_real

        path = folder / str(plan["targets"])
        with readable(str(path), "targets"):
            series = parse_npy("targets", read_bytes(path))
        if series.ndim != 2 or len(series) < steps:
            raise ValueError(f"targets: expected at least {steps} rows, got {series.shape}")
        return as_real("targets", series[:steps])
    from .. import trajectory
    from .._numerics import float64_scope

    with float64_scope():
        return np.asarray(trajectory(model, state, steps))[1:]
