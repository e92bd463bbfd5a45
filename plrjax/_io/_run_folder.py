"""A training run on disk: its settings, its table, its networks along the way."""

import functools
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from .._arguments import is_whole, require
from .._dynamics import AbstractDynamics
from .._files import FORMAT, MAX_BYTES, one_line, read_arrays, read_bytes, write_bytes
from .._json import parse_json
from .._numerics import as_real
from ..training import AbstractObservation
from ._load import load
from ._observation_file import load_observation
from ._run_networks import checkpointed_networks
from ._run_table import read_table

CONFIG, TABLE, CHECKPOINT = "config.json", "metrics.csv", "checkpoint.npz"
MODEL, OBSERVATION, SNAPSHOTS = "model.npz", "observation.npz", "snapshots"
_MAX_CONFIG = 1 << 24


class RunFolder:
    """A training run as `plrjax train --out` leaves it, read when asked for; nothing is unpickled.

    The folder holds `config.json` (everything that repeats the run), `metrics.csv` (a row for each
    logged step), `snapshots/step_000001000.npz` and `snapshots/observation_000001000.npz`,
    `model.npz` and `observation.npz` (where training ended) and `checkpoint.npz`.

    **Arguments:** `path`: the folder.

    **Raises:** `ValueError` naming the path and what is wrong with it.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not (self.path / CONFIG).is_file():
            what = "it has no config.json" if self.path.is_dir() else "there is no such folder"
            raise ValueError(f"{path}: expected the folder of a training run, but {what}")

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """Everything that repeats the run: versions, data, networks, settings."""
        path = self.path / CONFIG
        try:
            found = parse_json(read_bytes(path, _MAX_CONFIG), MAX_BYTES)
        except ValueError as error:
            raise ValueError(f"{path}: damaged ({one_line(error)})") from error
        if not isinstance(found, dict) or found.get("type") != "run":
            raise ValueError(f"{path}: expected the settings of a run, with type 'run'")
        if not isinstance(found.get("format"), int) or found["format"] > FORMAT:
            raise ValueError(
                f"{path}: expected format {FORMAT} at most, got {found.get('format')!r}: upgrade "
                "plrjax"
            )
        return found

    def setting(self, *names: str) -> Any:
        """Return an entry of the settings, such as `setting("data", "path")`.

        **Raises:** `ValueError` where there is none.
        """
        found: Any = self.config
        for name in names:
            if not isinstance(found, dict) or name not in found:
                raise ValueError(f"{self.path / CONFIG}: {'.'.join(names)} is missing")
            found = found[name]
        return found

    def in_units(self, values: Float[np.ndarray, "time variable"]) -> np.ndarray:
        """Return a series in the units of the run: standardized as its data were, if they were.

        **Raises:** `ValueError` for other numbers of variables.
        """
        shape = self.setting("data", "shape")
        width = shape[-1] if isinstance(shape, list) and shape else 0
        if values.shape[1] != width:
            raise ValueError(
                f"values: expected {width} variables, as the run was trained on, got "
                f"{values.shape[1]}"
            )
        scale = self.setting("standardization")
        if scale is None:
            return values
        try:
            mean, deviation = (
                as_real(name, np.array(scale[name], np.float64), (width,))
                for name in ("mean", "deviation")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path / CONFIG}: standardization is damaged") from error
        return ((values.astype(np.float64) - mean) / deviation).astype(values.dtype)

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        """Columns of the table by name: "step", "loss", ...; NaN where nothing was measured."""
        return read_table(self.path / TABLE).arrays()

    def to_dataframe(self):
        """Return the table as a pandas DataFrame with one row per logged step (extra `sweep`)."""
        pandas = require("pandas", "sweep", "to_dataframe")
        return pandas.DataFrame(self.metrics)

    @property
    def steps(self) -> Int[np.ndarray, " snapshot"]:
        """Training steps of all snapshots, in order."""
        folder = self.path / SNAPSHOTS
        names = os.listdir(folder) if folder.is_dir() else []
        pattern = re.compile(r"step_(\d{9,18})\.npz")
        found = [int(match[1]) for match in map(pattern.fullmatch, names) if match]
        return np.array(sorted(found), np.int64)

    def snapshot(self, step: int) -> AbstractDynamics:
        """Return the network at one of the `steps`."""
        self._check_step(step)
        return _network(self.path / SNAPSHOTS / snapshot_name("step", step))

    def snapshot_observation(self, step: int) -> AbstractObservation:
        """Return the observation model at one of the `steps`."""
        self._check_step(step)
        return _observation(self.path / SNAPSHOTS / snapshot_name("observation", step))

    @property
    def model(self) -> AbstractDynamics:
        """The network where training ended, or of the checkpoint where it did not."""
        return self._networks[0]

    @property
    def observation_model(self) -> AbstractObservation:
        """The observation model that belongs to `model`."""
        return self._networks[1]

    @property
    def _networks(self) -> tuple[AbstractDynamics, AbstractObservation]:
        if (self.path / MODEL).is_file():
            return _network(self.path / MODEL), _observation(self.path / OBSERVATION)
        path = self.path / CHECKPOINT
        if not path.is_file():
            raise ValueError(f"{self.path}: expected {MODEL} or {CHECKPOINT}; did training begin?")
        return checkpointed_networks(path, self.setting)

    @property
    def num_steps(self) -> int:
        """Updates that are behind the checkpoint; 0 where there is none."""
        path = self.path / CHECKPOINT
        if not path.exists():
            return 0
        header, _ = read_arrays(path)
        try:
            return int(parse_json(header["facts"], MAX_BYTES)["done"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path}: damaged, or no checkpoint; remove it") from error

    def _check_step(self, step: int) -> None:
        steps = self.steps.tolist()
        if step not in steps:
            between = f"{len(steps)} from {steps[0]} to {steps[-1]}" if steps else "no snapshots"
            raise ValueError(
                f"step: expected one of the steps of {self.path} ({between}), got {step!r}"
            )

    def __repr__(self) -> str:
        return (
            f"RunFolder({str(self.path)!r}): {self.num_steps} updates, {len(self.steps)} snapshots"
        )


def snapshot_name(what: str, step: int) -> str:
    """Return the name of a file in the folder of snapshots."""
    return f"{what}_{step:09d}.npz"


def _network(path: Path) -> AbstractDynamics:
    _check_there(path)
    found = load(path)
    if not isinstance(found, AbstractDynamics):
        raise ValueError(f"{path}: expected a network, got a {type(found).__name__}")
    return found


def _observation(path: Path) -> AbstractObservation:
    _check_there(path)
    return load_observation(path)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; did the run end, or was it interrupted, yet?")


def open_run(path: str | os.PathLike, config: dict[str, Any]) -> RunFolder:
    """Make the folder of a run, or return the one of the same run.

    Runs are the same where `data`, `test` (but for where the files are) and `settings` are, but for
    a larger `num_steps`, which extends a run. Where nothing has been logged yet, other settings
    replace the old ones.

    **Arguments:** `config`: JSON values; `type` and `format` are added.

    **Raises:** `ValueError` for a folder that holds something else, or another run, naming what
    differs.
    """
    path, config = Path(path), json.loads(json.dumps(config))
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path}: expected a folder, got a file")
    if (path / CONFIG).exists():
        folder = RunFolder(path)
        differing = _differences(folder.config, config)
        extended = not differing and folder.config["settings"] != config["settings"]
        if not (differing or extended):
            return folder
        if not extended and ((path / TABLE).exists() or folder.num_steps):
            raise ValueError(
                f"{path}: holds another run: {'; '.join(differing)}; name another folder, or leave "
                "the settings as they are"
            )
        if not extended:
            (path / CHECKPOINT).unlink(missing_ok=True)
    elif path.is_dir() and any(not name.startswith(".") for name in os.listdir(path)):
        raise ValueError(f"{path}: expected a new folder or a run, but it holds other files")
    path.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, "type": "run", **config}, indent=1, allow_nan=False)
    write_bytes(path / CONFIG, (text + "\n").encode())
    return RunFolder(path)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what differs between the settings of two runs, in words."""
    found = []
    for part in ("data", "test"):
        one, other = old.get(part), new.get(part)
        hashes = [
            entry.get("sha256") if isinstance(entry, dict) else None for entry in (one, other)
        ]
        if hashes[0] != hashes[1]:
            found.append(f"{part} {'is another file' if all(hashes) else 'is given once only'}")
    one, other = old.get("settings"), new.get("settings", {})
    if not isinstance(one, dict):
        return [*found, "it has no settings"]
    for name in sorted(one.keys() | other.keys()):
        if name == "num_steps" and is_whole(one.get(name)) and one[name] <= other.get(name, 0):
            continue
        if one.get(name) != other.get(name):
            found.append(f"{name} is {one.get(name)} there, {other.get(name)} here")
    return found
