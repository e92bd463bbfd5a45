"""What every command shares: exit codes, streams, files, and the way of an analysis."""

import abc
import contextlib
import dataclasses
import enum
import functools
import io
import json
import math
import os
import pathlib
import re
import sys
import tomllib
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import tyro

from .._caches import compile_beside
from .._json import plain
from ._engine_options import EngineOptions

OUT_SUFFIXES = (".npz", ".safetensors")
PLOT_SUFFIXES = (".png", ".pdf", ".svg")
_MOST_BYTES = 1 << 20
"""Of a file that a person writes."""
EMBEDDED = "the embedded example network"


class EXIT(enum.IntEnum):
    """What the process returns to the shell."""

    finished = 0
    failure = 1
    bad_input = 2
    budget_exhausted = 3
    interrupted = 130
    terminated = 143


@dataclasses.dataclass(frozen=True)
class AbstractAnalysis(EngineOptions, abc.ABC):
    """A command that loads a network, computes one result, prints it, and saves and draws it."""

    kernels: ClassVar[tuple[str, ...]] = ()
    """Modules of compiled loops that are worth compiling while JAX is imported."""

    files: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[FILE ...]")
    ] = ()
    """Network file (see README for the formats), or the folder of a training run; without it, the
    embedded example. Many networks: several of them, patterns such as 'nets/*.npz', or tables of
    networks (@nets.csv, @nets.toml)."""
    seed: int = 0
    """Seed of all random numbers; the same seed gives the same result."""
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Stop after this time; results may then differ from run to run."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Model family, where the file does not say: plrnn, shallow, clipped-shallow, ..."""
    num_relu: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of ReLU units of an almost-linear network."""
    index: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Which snapshot, where the file holds several."""
    leak: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Leak of a ReLU network, where the file does not say."""
    input: Annotated[str | None, tyro.conf.arg(metavar="LIST")] = None
    """Constant input of the network, such as '0.5,1' (write --input=-1,0 for a leading minus)."""
    out: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """Save the result to this .npz or .safetensors file; of many networks, keep results and table
    in this folder, and go on there with what is missing."""
    plot: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """Draw the result to this .png, .pdf or .svg file (extra 'plot')."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as JSON on stdout; everything else goes to stderr."""

    @property
    def file(self) -> str | None:
        """The one file, or None."""
        return self.files[0] if self.files else None

    @abc.abstractmethod
    def prepare(self) -> None:
        """Check what can be checked before the network is loaded."""

    def check_targets(self) -> None:
        """Refuse, before any work, what could not be written."""
        check_targets(self.out, self.plot)

    @abc.abstractmethod
    def compute(self, model, key) -> Any:
        """Return the result: it prints, saves itself, and has a `result` of RESULTS."""

    @abc.abstractmethod
    def as_text(self, found) -> str:
        """Return the result for a person to read."""

    @abc.abstractmethod
    def as_json(self, found) -> dict:
        """Return the result in plain numbers and texts."""

    @abc.abstractmethod
    def draw(self, found, model, figure) -> None:
        """Draw the result into an empty figure."""

    def run(self) -> EXIT:
        self.prepare()
        self.check_targets()
        for module in self.kernels:
            compile_beside(module)
        key = key_of(self.seed)
        model = self._load()
        found = self.compute(model, key)
        text = self.as_text(found)
        if self.json:
            say(text, sys.stderr)
            facts = {"network": self.file or "embedded example", "seed": self.seed}
            say(json.dumps(plain(facts | self.as_json(found)), allow_nan=False))
        else:
            say(text)
        return self._finish(found, model)

    def _load(self):
        from .. import example_network, load

        if self.file is None:
            for option in ("kind", "num_relu", "index", "leak", "input"):
                if getattr(self, option) is not None:
                    flag = "--" + option.replace("_", "-")
                    raise ValueError(f"{flag}: only meaningful together with FILE")
            say(f"plrjax: no FILE given, using {EMBEDDED}", sys.stderr)
            return example_network()
        if is_run(self.file):
            return under_input(self._of_run(self.file), self.input)
        with readable(self.file):
            options = {name: getattr(self, name) for name in ("kind", "num_relu", "index", "leak")}
            model = load(self.file, **options)
        return under_input(model, self.input)

    def _of_run(self, file: str):
        """Return the network of a run, or one of its snapshots, and say which."""
        from .. import RunFolder

        for option in ("kind", "num_relu", "leak"):
            if getattr(self, option) is not None:
                flag = "--" + option.replace("_", "-")
                raise ValueError(f"{flag}: leave it out, {file} is a run and has its own networks")
        run = RunFolder(file)
        steps = run.steps.tolist()
        if self.index is None:
            more = f"; all {len(steps)} snapshots: --out FOLDER" if steps else ""
            say(f"plrjax: {file}: the network after {run.num_steps} updates{more}", sys.stderr)
            return run.model
        if not -len(steps) <= self.index < len(steps):
            most = f"0 to {len(steps) - 1}" if steps else "none, the run has no snapshots"
            raise ValueError(f"--index: expected {most}, got {self.index}")
        return run.snapshot(steps[self.index])

    def _finish(self, found, model) -> EXIT:
        return finish(found, self.out, self.plot, lambda figure: self.draw(found, model, figure))


def is_run(path: str) -> bool:
    """Whether a path is the folder of a training run, not of a network of another program."""
    model = os.path.join(path, "model.safetensors")
    return os.path.isdir(path) and not os.path.exists(model)


def numbers_of(text: str | None, option: str) -> list[float] | None:
    """Return the numbers of a list such as '0.1,0,-2'; None where there is none.

    **Raises:** `ValueError` naming the option.
    """
    try:
        found = None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option}: expected numbers such as 0.1,0,-2, got {text!r}") from error
    if found is not None and not all(map(math.isfinite, found)):
        raise ValueError(f"{option}: expected finite numbers, got {text!r}")
    return found


def under_input(model, text: str | None):
    """Return the network under the constant input of --input."""
    from .. import with_inputs

    try:
        return with_inputs(model, numbers_of(text, "--input"))
    except ValueError as error:
        raise ValueError(str(error).replace("inputs:", "--input:", 1)) from error


def exit_code(result) -> EXIT:
    """Return what the shell is told of an outcome."""
    from .._results import RESULTS

    codes = {
        RESULTS.successful: EXIT.finished,
        RESULTS.budget_exhausted: EXIT.budget_exhausted,
        RESULTS.interrupted: EXIT.interrupted,
    }
    return codes.get(result, EXIT.failure)


def finish(found, out: str | None, plot: str | None, draw: Callable[[Any], None]) -> EXIT:
    """Save what was found and translate the outcome; a failure writes nothing."""
    from .._files import NOT_WRITTEN

    code = exit_code(found.result)
    if code != EXIT.finished:
        complain(found.result.message)
    if code == EXIT.failure:
        return code
    for target, write in ((out, found.save), (plot, functools.partial(save_plot, draw))):
        try:
            if target is not None:
                write(target)
        except OSError as error:
            complain(error)
            code = EXIT.failure
    return EXIT.failure if any(NOT_WRITTEN in note for note in found.notes) else code


def save_plot(draw: Callable[[Any], None], target: str) -> None:
    """Draw, and put the file in place only when it is complete."""
    from .. import plot
    from .._files import write_bytes

    image, figure = io.BytesIO(), plot.bare_figure()
    draw(figure)
    figure.savefig(image, dpi=150, format=pathlib.Path(target).suffix[1:])
    write_bytes(target, image.getvalue())


@contextlib.contextmanager
def readable(file: str | None, option: str = "FILE"):
    """Turn a file that cannot be opened into bad input."""
    try:
        yield
    except OSError as error:
        reason = f"{file}: {error.strerror}" if error.strerror else str(error)
        raise ValueError(f"{option}: {reason}") from error


def read_toml(path: str, option: str) -> dict[str, Any]:
    """Return what a .toml file holds that a person wrote.

    **Raises:** `ValueError` naming the option, or the path and what is wrong there.
    """
    from .._files import one_line, read_bytes

    with readable(path, option):
        data = read_bytes(path, _MOST_BYTES)
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{option}: {path}: {one_line(error)}") from error


def key_of(seed: int):
    """Return the JAX key of a seed (32 bits, the width that every configuration accepts)."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"--seed: expected an integer from 0 to 2**32 - 1, got {seed}")
    import jax
    import numpy as np

    return jax.random.key(np.uint32(seed))


def check_targets(out: str | None, plot: str | None) -> None:
    """Refuse, before any work, files that could not be written, and plots without matplotlib."""
    check_target("--out", out, OUT_SUFFIXES)
    check_target("--plot", plot, PLOT_SUFFIXES)
    if plot is not None:
        from ..plot import require_matplotlib

        require_matplotlib()


def check_target(option: str, target: str | None, suffixes: tuple[str, ...]) -> None:
    """Refuse, before any work, a file that could not be written afterwards."""
    if target is None:
        return
    path = pathlib.Path(target)
    if path.suffix not in suffixes:
        raise ValueError(f"{option}: expected a name ending in {', '.join(suffixes)}, got {target}")
    if path.is_dir():
        raise ValueError(f"{option}: {target} is a folder")
    if not path.parent.is_dir():
        raise ValueError(f"{option}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{option}: the folder {path.parent} is not writable")


_CALL = re.compile(r"load\((?:'[^']*'|path), ([^)]*)\)")
"""The call that resolves an ambiguous file, in words of the library."""


def _in_options(call: re.Match) -> str:
    """Return the options that stand for the arguments of a call."""
    pairs = [part.strip().split("=") for part in call[1].split(",")]
    options = [(name.replace("_", "-"), value.strip("'")) for name, value in pairs]
    return " ".join(f"--{k}{'=' if v.startswith('-') else ' '}{v}" for k, v in options)


def complain(message) -> None:
    text = _CALL.sub(_in_options, str(message))
    if isinstance(message, OSError):
        from .._files import os_error_text

        text = os_error_text(message)
    say("plrjax: " + " ".join(text.split()).removeprefix("plrjax: "), sys.stderr)


def say(text: str, stream=None) -> None:
    """Print a line; a reader that has gone away (`| head`) must not keep files from being saved.

    Nor must messages that nobody can get; a result that cannot be written is an error.
    """
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
            raise
        _to_nowhere(stream)


def open_closed_streams() -> None:
    """Give the process the standard streams that it was started without (`2>&-`), to nowhere.

    What an encoding does not have is written with backslashes, in the help texts too.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams() -> None:
    """Write out what is left, now: when the interpreter ends, failing would be told at length."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _to_nowhere(stream)


def _to_nowhere(stream) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
