"""The options of `plrjax train DATA --out RUN`."""

import dataclasses
import os
import pathlib
from typing import Annotated, Any, Literal, TypeVar, get_args

import tyro

FAMILIES: dict[str, tuple[str, ...]] = {
    "plrnn": (),
    "mean-centered": (),
    "dendritic": ("num_bases",),
    "clipped-dendritic": ("num_bases",),
    "shallow": ("hidden_size",),
    "clipped-shallow": ("hidden_size",),
    "almost-linear": ("num_relu",),
    "threshold": (),
    "relu-rnn": (),
    "tanh-rnn": (),
    "gru": ("hidden_size",),
    "lstm": ("hidden_size",),
}
"""The size that each family has beside the number of states."""
SIZES = {"hidden_size": 50, "num_bases": 20, "num_relu": 2}
"""Sizes by default."""
GATED = {"gru": 1, "lstm": 2}
"""Families whose number of states is so many hidden sizes."""
_ENGINE = ("grid", "plot", "workers", "executor", "executor_options", "shard")
_ELSEWHERE = ("data", "test", "out", "json", "max_seconds", "checkpoint_seconds", *_ENGINE)
"""Options that are no settings of the run: it is the same without or with them."""
_FREE = ("json", "max_seconds", "checkpoint_seconds", "num_steps")
"""What may be given together with the folder of a run."""
_NUM_STEPS, _ALPHA, _EVALUATE_EVERY, _SNAPSHOT_EVERY = 25_000, 0.1, 1000, 500
"""Defaults of options that depend on others, or on the run."""
_Kind = Literal[
    "plrnn", "mean-centered", "dendritic", "clipped-dendritic", "shallow", "clipped-shallow",
    "almost-linear", "threshold", "relu-rnn", "tanh-rnn", "gru", "lstm",
]  # fmt: skip
_Forcing = Literal["none", "sparse", "generalized", "adaptive"]
_Observation = Literal["identity", "affine"]
_CHOICES = {"kind": _Kind, "forcing": _Forcing, "observation": _Observation}
_WHOLE = (
    "state_size", "hidden_size", "num_bases", "num_relu", "num_steps", "sequence_length",
    "batch_size", "evaluate_every", "exponents_every", "log_every",
    "rate_steps",
)  # fmt: skip
_POSITIVE = (
    "learning_rate", "last_learning_rate", "clip", "max_seconds", "checkpoint_seconds",
)  # fmt: skip
_Int = Annotated[int | None, tyro.conf.arg(metavar="INT")]
_Float = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]


_Options = TypeVar("_Options", bound="TrainOptions")


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """What `plrjax train` is told, and what can be refused before anything is read."""

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Time series, time x variable (.npy, .npz, .mat, .csv), or the folder of a run to go on."""
    out: Annotated[str | None, tyro.conf.arg(metavar="RUN")] = None
    """Folder of the run."""
    kind: _Kind = "clipped-shallow"
    """Family of the network."""
    state_size: _Int = None
    """Number of states; by default the number of variables (gru, lstm: see --hidden-size)."""
    hidden_size: _Int = None
    """Hidden units of the shallow families, or of a GRU or LSTM; by default 50."""
    num_bases: _Int = None
    """Bases of the dendritic families; by default 20."""
    num_relu: _Int = None
    """ReLU units of an almost-linear network; by default 2."""
    forcing: _Forcing = "generalized"
    """adaptive: generalized with an alpha that adapts."""
    interval: Annotated[str | None, tyro.conf.arg(metavar="INT|auto")] = None
    """Interval of sparse forcing in steps; by default auto, from the data's largest exponent."""
    alpha: _Float = None
    """Strength of generalized forcing, from 0 to 1; by default 0.1."""
    observation: _Observation = "identity"
    """identity: the first states are observed; affine: a linear readout of all of them."""
    num_steps: _Int = None
    """Updates to take; by default 25,000. More of them than before extend a run."""
    sequence_length: int = 200
    """Steps of a training window."""
    batch_size: int = 16
    """Windows of an update."""
    learning_rate: float = 5e-3
    """Learning rate of RAdam at first."""
    last_learning_rate: float = 5e-5
    """Learning rate at last; it falls exponentially."""
    rate_steps: _Int = None
    """Updates until the learning rate is at its last value, where it stays; by default --num-steps,
    or what it was where a run is extended."""
    clip: _Float = None
    """Largest norm of a gradient; by default none is clipped."""
    l2: float = 1e-5
    """Weight of the L2 penalty; 0 for none."""
    standardize: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Subtract the mean of DATA and divide by its standard deviation, also in TEST."""
    gaps: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """NaN and empty entries of DATA and TEST are missing values; more than 10 rows without any
    value are a gap, which no window crosses: put some between trials."""
    seed: int = 0
    """Seed of all random numbers."""
    test: Annotated[str | None, tyro.conf.arg(metavar="TEST")] = None
    """Held-out series: D_stsp, D_H and PE(20) of the network on it are noted."""
    evaluate_every: _Int = None
    """Updates from one evaluation on TEST to the next; by default 1000."""
    exponents_every: _Int = None
    """Updates from one Lyapunov spectrum (10 exponents at most) to the next; by default never."""
    snapshot_every: _Int = None
    """Updates from one saved network to the next, 0 for never; by default 500."""
    log_every: int = 100
    """Updates from one row of metrics.csv to the next."""
    checkpoint_seconds: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 30.0
    """From one checkpoint to the next: what a killed run loses at most."""
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Stop after this time; the run can go on later."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the outcome as JSON on stdout; everything else goes to stderr."""

    def of_folder(self: _Options) -> _Options:
        """Return the command that made a run."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name, default in defaults.items():
            if name not in (*_FREE, "data") and getattr(self, name) != default:
                raise ValueError(
                    f"{_flag(name)}: leave it out, {self.data} is a run and has its settings"
                )
        from .. import RunFolder

        folder = RunFolder(self.data)
        settings: Any = folder.setting("settings")
        test = folder.setting("test")
        known = {name for name in defaults if name not in _ELSEWHERE}
        if not isinstance(settings, dict) or set(settings) != known:
            odd = sorted(known ^ set(settings)) if isinstance(settings, dict) else ["settings"]
            raise ValueError(f"{folder.path / 'config.json'}: unexpected or missing: {odd}")
        if self.num_steps is not None:
            settings = {**settings, "num_steps": self.num_steps}
        settings = {**settings, "snapshot_every": settings["snapshot_every"] or 0}
        more: dict[str, Any] = {name: getattr(self, name) for name in _FREE if name in _ELSEWHERE}
        more["data"] = str(folder.setting("data", "path"))
        if os.path.isdir(more["data"]):
            raise ValueError(f"{folder.path / 'config.json'}: data.path is a folder")
        more["test"] = None if test is None else str(folder.setting("test", "path"))
        return type(self)(out=self.data, **(more | settings))

    def check(self) -> None:
        """Refuse what can be refused before anything is read."""
        from .._arguments import checked_positive, checked_whole

        if self.out is None:
            raise ValueError("--out: expected the folder of the run, such as --out run")
        if pathlib.Path(self.out).is_file():
            raise ValueError(f"--out: expected a folder, got the file {self.out}")
        for field in dataclasses.fields(self):
            value, flag = getattr(self, field.name), _flag(field.name)
            if field.name in _WHOLE and value is not None:
                checked_whole(flag, value, 1)
            elif field.name in _POSITIVE and value is not None:
                checked_positive(flag, value)
            elif field.name in _CHOICES and value not in get_args(_CHOICES[field.name]):
                choices = ", ".join(get_args(_CHOICES[field.name]))
                raise ValueError(f"{flag}: expected one of {choices}, got {value!r}")
        checked_whole("--seed", self.seed, 0, 2**32 - 1)
        if self.snapshot_every is not None:
            checked_whole("--snapshot-every", self.snapshot_every, 0)
        if self.l2 != 0:
            checked_positive("--l2", self.l2)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse options that mean nothing beside the others."""
        from .._arguments import checked_positive

        kept = FAMILIES[self.kind]
        for name in SIZES:
            if getattr(self, name) is not None and name not in kept:
                raise ValueError(f"{_flag(name)}: {self.kind} has none")
        if self.kind in GATED and self.state_size is not None:
            raise ValueError(f"--state-size: {self.kind} has --hidden-size instead")
        for name, forcing in (("interval", "sparse"), ("alpha", "generalized")):
            if getattr(self, name) is not None and self.forcing != forcing:
                raise ValueError(f"--{name}: only meaningful with --forcing {forcing}")
        interval = str(self.interval or "auto")
        if interval != "auto" and not (interval.isdecimal() and int(interval) > 0):
            raise ValueError(f"--interval: expected a positive integer or auto, got {interval!r}")
        if self.alpha and checked_positive("--alpha", self.alpha) > 1:
            raise ValueError(f"--alpha: expected a number from 0 to 1, got {self.alpha!r}")
        if self.evaluate_every is not None and self.test is None:
            raise ValueError("--evaluate-every: only meaningful together with --test")

    def size(self) -> dict[str, int]:
        """Return the size that the family has beside the number of states."""
        given = {name: getattr(self, name) for name in FAMILIES[self.kind]}
        return {name: SIZES[name] if n is None else n for name, n in given.items()}

    def resolved(self) -> dict[str, Any]:
        """Return the settings of the run, what was left to defaults as well."""
        found = {k: v for k, v in vars(self).items() if k not in _ELSEWHERE} | self.size()
        found["num_steps"] = self.num_steps or _NUM_STEPS
        found["rate_steps"] = self.rate_steps or found["num_steps"]
        if self.forcing == "sparse":
            found["interval"] = str(self.interval or "auto")
        if self.forcing == "generalized" and self.alpha is None:
            found["alpha"] = _ALPHA
        if self.test is not None and self.evaluate_every is None:
            found["evaluate_every"] = _EVALUATE_EVERY
        every = _SNAPSHOT_EVERY if self.snapshot_every is None else self.snapshot_every
        found["snapshot_every"] = every or None
        return found


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
