"""What `plrjax train --grid GRID.TOML` does: one run for each combination of options."""

import dataclasses
import functools
import hashlib
import itertools
import os
from typing import Any, get_args, get_type_hints

from .. import NoProgress, census
from .._census import Network
from .._results import RESULTS
from ._common import EXIT, read_toml, readable
from ._engine import engine_of, shard_of
from ._many import in_words, tell
from ._train_options import TrainOptions
from ._training import trained

_MOST_CELLS = 100_000
"""Runs of one grid; each is a folder."""
_FIXED = ("data", "test", "out", "json", "max_seconds", "checkpoint_seconds")
"""Options that are the same for all runs."""


class Outcome(dict):
    """The last row of a run's table, and how the run ended."""

    result = RESULTS.successful


def train_cell(options: TrainOptions, *, max_seconds: float | None = None) -> Outcome:
    """Train one run of a grid, or go on with it, and return the last row of its table.

    Where another process trains it, which works on the same grid, this one waits.
    """
    chosen = dataclasses.replace(options, max_seconds=max_seconds)
    chosen.check()
    try:
        folder, run = trained(
            chosen, NoProgress(), -1.0 if max_seconds is None else float(max_seconds)
        )
    except TimeoutError:
        late = Outcome()
        late.result = RESULTS.interrupted
        return late
    metrics = folder.metrics
    last = {k: float(column[-1]) for k, column in metrics.items() if len(metrics["step"])}
    found = Outcome({"updates": run.num_steps, **last, "result": run.result.name})
    found.result = run.result
    return found


def train_grid(command) -> EXIT:
    """Train all runs, each in its folder of --out, and print their last rows as one table."""
    base = TrainOptions(
        **{f.name: getattr(command, f.name) for f in dataclasses.fields(TrainOptions)}
    )
    cells = _cells(command.grid, base)
    try:
        with engine_of(command, command.out) as executor:
            found = census(
                cells,
                train_cell,
                executor=executor,
                out=command.out,
                shard=shard_of(command),
                max_seconds=command.max_seconds,
            )
    except ValueError as error:
        raise ValueError(in_words(str(error))) from error
    return tell(found, command)


def _cells(path: str, base: TrainOptions) -> list[Network]:
    """Return all combinations, the last option of the file varying fastest.

    **Raises:** `ValueError` naming the path, the option, and what is wrong with it.
    """
    found = read_toml(path, "--grid")
    lists = {name.replace("-", "_"): values for name, values in found.items()}
    known = [f.name for f in dataclasses.fields(TrainOptions) if f.name not in _FIXED]
    for name, values in lists.items():
        if name not in known:
            options = ", ".join(one.replace("_", "-") for one in known)
            raise ValueError(f"--grid: {path}: {name}: expected an option of training: {options}")
        if not isinstance(values, list) or not values or not all(map(_is_plain, values)):
            raise ValueError(f"--grid: {path}: {name}: expected a list of numbers or words")
    count = 1
    for values in lists.values():
        count *= len(values)
    if not lists or count > _MOST_CELLS:
        raise ValueError(
            f"--grid: {path}: expected 1 to {_MOST_CELLS} runs, got {count * bool(lists)}"
        )
    cells = [_cell(base, dict(zip(lists, one))) for one in itertools.product(*lists.values())]
    if len({cell.name for cell in cells}) < count:
        raise ValueError(f"--grid: {path}: expected each value of an option once")
    return cells


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and "/" not in str(value)


def _cell(base: TrainOptions, chosen: dict[str, Any]) -> Network:
    """Return the run of one combination, in a folder that is called after it."""
    name = ",".join(f"{key.replace('_', '-')}={value}" for key, value in chosen.items())
    place = os.path.join(os.path.abspath(str(base.out)), name)
    files = {"out": place, "data": os.path.abspath(base.data)}
    files |= {"test": base.test and os.path.abspath(base.test)}
    options = dataclasses.replace(base, **_typed(chosen), **files, max_seconds=None, json=False)
    identity = [options.resolved(), *map(_content, (base.data, base.test))]
    return Network(name, labels=chosen, model=options, identity=identity)


@functools.cache
def _content(path: str | None) -> str | None:
    """Return a hash of the file of a series."""
    if path is None:
        return None
    with readable(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _typed(chosen: dict[str, Any]) -> dict[str, Any]:
    """Return whole numbers as floats where the option is one: 1 stands for 1.0."""
    hints = get_type_hints(TrainOptions)
    is_float = lambda name: float in (hints[name], *get_args(hints[name]))
    return {k: float(v) if type(v) is int and is_float(k) else v for k, v in chosen.items()}
