"""The command `plrjax bifurcations RUN` or `plrjax bifurcations A B ...`."""

import dataclasses
import json
import os
import sys
from typing import Annotated, Any

import tyro

from .._json import plain
from ._common import EXIT, check_targets, finish, key_of, readable, say, under_input
from ._cycles import parse_periods

_ARGUMENT = "NETWORKS"


@dataclasses.dataclass(frozen=True)
class Bifurcations:
    """Follow fixed points and cycles from network to network; name what happens to them, and where.

    Networks are the snapshots of a run, files in order, or all snapshots of one file. Between two
    of them the parameters run along a straight line. Exit codes: 0 finished, 1 failure, 2 bad
    input, 3 the time ran out, 130 Ctrl-C, 143 SIGTERM; after the last three,
    what was found is printed and saved.
    """

    networks: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN | FILE FILE ...")
    ] = ()
    """Folder of a run with snapshots, or network files of one kind and shape, in order."""
    periods: Annotated[str, tyro.conf.arg(metavar="LIST")] = "1:4"
    """Periods to follow: '3', '1,2,5', '1:4' (both ends included), '1:4,8'."""
    snapshots: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take all snapshots of the one file given."""
    seed: int = 0
    """Seed of all random numbers; the same seed gives the same result."""
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Stop after this time; what was found until then is printed and saved."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Model family, where the files do not say: plrnn, shallow, clipped-shallow, ..."""
    num_relu: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of ReLU units of almost-linear networks."""
    input: Annotated[str | None, tyro.conf.arg(metavar="LIST")] = None
    """Constant input of all networks, such as '0.5,1'."""
    out: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """Save the result to this .npz or .safetensors file."""
    plot: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """Draw the result to this .png, .pdf or .svg file (extra 'plot')."""
    all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print all events, also those at which a cycle goes on as it was, under another word."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as JSON on stdout; everything else goes to stderr."""

    def run(self) -> EXIT:
        periods, key = parse_periods(self.periods), key_of(self.seed)
        check_targets(self.out, self.plot)
        from .. import detect_bifurcations
        from ..bifurcations._table import table_of

        models, run = self._load()
        models = [under_input(model, self.input) for model in models]
        rows = {} if run is None else _rows_of(run)
        found = detect_bifurcations(models, periods, key=key, max_seconds=self.max_seconds, **rows)
        say(table_of(found, self.all).text(), sys.stderr if self.json else None)
        if self.json:
            facts = {"networks": list(self.networks), "seed": self.seed}
            say(json.dumps(plain(facts | _facts(found)), allow_nan=False))
        return finish(found, self.out, self.plot, lambda figure: _draw(figure, found, models, run))

    def _load(self) -> tuple[list, Any]:
        """Return the networks, and the folder of the run if they are one's."""
        if not self.networks:
            raise ValueError(
                f"{_ARGUMENT}: expected the folder of a run or network files, got none"
            )
        folders = [name for name in self.networks if os.path.isdir(name)]
        if not folders:
            return self._of_files(), None
        if len(self.networks) > 1:
            raise ValueError(
                f"{_ARGUMENT}: expected one folder of a run or network files, got "
                f"{len(self.networks)} names and the folder {folders[0]}"
            )
        return self._of_run(folders[0])

    def _of_run(self, name: str) -> tuple[list, Any]:
        from .. import RunFolder

        for option in ("kind", "num_relu", "snapshots"):
            if getattr(self, option) not in (None, False):
                flag = "--" + option.replace("_", "-")
                raise ValueError(f"{flag}: leave it out, {name} is a run and has its own networks")
        run = RunFolder(name)
        steps = run.steps.tolist()
        if len(steps) < 2:
            raise ValueError(
                f"{_ARGUMENT}: expected a run with two snapshots at least, but {name} has "
                f"{len(steps)}; see --snapshot-every of plrjax train"
            )
        names = [f"{name}, step {step}" for step in steps]
        return _checked([run.snapshot(step) for step in steps], names), run

    def _of_files(self) -> list:
        from .. import load

        if self.snapshots:
            return self._of_snapshots()
        if len(self.networks) < 2:
            raise ValueError(
                f"{_ARGUMENT}: expected two networks at least, got {''.join(self.networks)} only; "
                "a file with several snapshots needs --snapshots"
            )
        models = []
        for name in self.networks:
            with readable(name, _ARGUMENT):
                models.append(load(name, kind=self.kind, num_relu=self.num_relu))
        return _checked(models, list(self.networks))

    def _of_snapshots(self) -> list:
        """Return all networks of one file."""
        from .. import describe, load

        if len(self.networks) > 1:
            raise ValueError(f"--snapshots: expected one file, got {len(self.networks)}")
        name = "".join(self.networks)
        with readable(name, _ARGUMENT):
            count = describe(name)["snapshots"]
            if count is None or count < 2:
                raise ValueError(
                    f"--snapshots: expected a file with two snapshots at least, but {name} has "
                    f"{count or 'none'}"
                )
            options = {"kind": self.kind, "num_relu": self.num_relu}
            models = [load(name, index=index, **options) for index in range(count)]
        return _checked(models, [f"{name}, snapshot {index}" for index in range(count)])


def _checked(models: list, names: list[str]) -> list:
    """Return networks that paths can run between, or say which one does not fit."""
    from .. import AbstractPLRNN, LinearPath

    for model, name in zip(models, names):
        if not isinstance(model, AbstractPLRNN):
            raise ValueError(
                f"{_ARGUMENT}: {name}: expected a piecewise-affine network, got a "
                f"{type(model).__name__}"
            )
    for row in range(1, len(models)):
        try:
            LinearPath(models[row - 1], models[row])
        except ValueError as error:
            why = str(error).removeprefix("last: ").replace("like first", "like it")
            raise ValueError(
                f"{_ARGUMENT}: {names[row]} does not go with {names[row - 1]}: {why}"
            ) from error
    return models


def _rows_of(run: Any) -> dict[str, Any]:
    """Return the steps of a run's snapshots, and what its table knows there."""
    import numpy as np

    from .._io._run_folder import TABLE

    steps = run.steps
    rows: dict[str, Any] = {"steps": steps}
    if not (run.path / TABLE).is_file():
        return rows
    table = run.metrics
    for name, column in (("losses", "loss"), ("gradient_norms", "gradient_norm")):
        known = dict(zip(table["step"].tolist(), table[column].tolist()))
        rows[name] = np.array([known.get(step, np.nan) for step in steps.tolist()])
    return rows


def _draw(figure: Any, found: Any, models: list, run: Any) -> None:
    from .. import plot
    from .._io._run_folder import TABLE

    logged = run is not None and (run.path / TABLE).is_file()
    figure.set_size_inches(11, 10 if logged else 7.5)
    plot.bifurcations(found, models, run=run if logged else None, figure=figure)


def _facts(found: Any) -> dict[str, Any]:
    """Return the result in plain numbers and texts."""
    return {
        "steps": found.steps,
        "result": found.result.name,
        "coverage": found.coverage.name,
        "coverage_by_period": {k: c.name for k, c in found.coverage_by_period.items()},
        "notes": list(found.notes),
        "branches": [
            {"number": one.number, "period": one.period, "born": one.born, "lost": one.lost}
            for one in found.branches
        ],
        "events": [_event_facts(found, row) for row in range(len(found))],
    }


def _event_facts(found: Any, row: int) -> dict[str, Any]:
    from .._results import BIFURCATION, COLLISION, STABILITY

    names = (
        "interval", "s", "s_error", "period", "branch", "num_before", "num_after", "attractor",
        "unit", "step", "loss_before", "loss_after", "gradient_norm_before", "gradient_norm_after",
    )  # fmt: skip
    facts = {name: getattr(found, name)[row] for name in names}
    facts["kind"] = BIFURCATION(int(found.kind[row])).name
    facts["subtype"] = COLLISION(int(found.subtype[row])).name
    facts["participants"] = [n for n in found.participants[row].tolist() if n >= 0]
    for side in ("before", "after"):
        code = int(getattr(found, f"stability_{side}")[row])
        facts[f"stability_{side}"] = None if code < 0 else STABILITY(code).name
        values = getattr(found, f"multipliers_{side}")[row].tolist()
        facts[f"multipliers_{side}"] = None if code < 0 else [[m.real, m.imag] for m in values]
    return facts
