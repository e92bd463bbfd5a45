"""The command line: `plrjax cycles [FILE]` and `plrjax info [FILE]`."""

import contextlib
import dataclasses
import enum
import io
import json
import math
import os
import pathlib
import re
import sys
from typing import Annotated, Any, Literal

import numpy as np
import tyro

_OUT_SUFFIXES = (".npz", ".safetensors")
_PLOT_SUFFIXES = (".png", ".pdf", ".svg")
_MAX_PERIOD = 10**4
_EMBEDDED = "the embedded example network"


class EXIT(enum.IntEnum):
    """What the process returns to the shell."""

    finished = 0
    failure = 1
    bad_input = 2
    budget_exhausted = 3
    interrupted = 130


@dataclasses.dataclass(frozen=True)
class Cycles:
    """Find the fixed points and k-cycles of a network, their stability, and how sure one can be.

    Exit codes: 0 finished, 1 failure, 2 bad input, 3 the budget ran out, 130 Ctrl-C; in the last
    two cases what was found is printed and saved.
    """

    file: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FILE]")] = None
    """Network file (see README for the formats); without it, the embedded example."""
    periods: Annotated[str, tyro.conf.arg(metavar="LIST")] = "1:10"
    """Periods to search: '3', '1,2,5', '1:10' (both ends included), '1:10,20'."""
    seed: int = 0
    """Seed of the search; the same seed gives the same cycles."""
    num_searches: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Walks and paths per period; by default the search stops when it saturates."""
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Stop after this time; results may then differ from run to run."""
    solver: Literal["auto", "scyfi", "paths", "exhaustive"] = "auto"
    """scyfi: virtual-cycle walk; paths: path following; exhaustive: every word; auto: by size."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Model family, where the file does not say: plrnn, shallow, clipped-shallow, ..."""
    num_relu: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of ReLU units of an almost-linear network."""
    index: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Which snapshot, where the file holds several."""
    out: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """Save the cycles to this .npz or .safetensors file."""
    plot: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """Draw the cycles to this .png, .pdf or .svg file (extra 'plot')."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as JSON on stdout; everything else goes to stderr."""

    def run(self) -> EXIT:
        periods = parse_periods(self.periods)
        key = _key(self.seed)
        _check_target("--out", self.out, _OUT_SUFFIXES)
        _check_target("--plot", self.plot, _PLOT_SUFFIXES)
        if self.plot is not None:
            from . import plot

            plot.require_matplotlib()
        model = self._load()
        cycles = self._search(model, periods, key)
        if self.json:
            _print(str(cycles), sys.stderr)
            _print(json.dumps(as_json(cycles, self.file, self.seed), allow_nan=False))
        else:
            _print(str(cycles))
        return self._finish(cycles, model)

    def _load(self):
        from . import example_network, load

        if self.file is None:
            for option in ("kind", "num_relu", "index"):
                if getattr(self, option) is not None:
                    flag = "--" + option.replace("_", "-")
                    raise ValueError(f"{flag}: only meaningful together with FILE")
            _print(f"plrjax: no FILE given, using {_EMBEDDED}", sys.stderr)
            return example_network()
        with _readable(self.file):
            return load(self.file, kind=self.kind, num_relu=self.num_relu, index=self.index)

    def _search(self, model, periods, key):
        from . import SCYFI, Auto, Exhaustive, PathFollowing, find_cycles

        solvers = {
            "auto": Auto,
            "scyfi": SCYFI,
            "paths": PathFollowing,
            "exhaustive": Exhaustive,
        }
        return find_cycles(
            model,
            periods,
            key=key,
            solver=solvers[self.solver](),
            num_searches=self.num_searches,
            max_seconds=self.max_seconds,
            throw=False,
        )

    def _finish(self, cycles, model) -> EXIT:
        """Save what was found and translate the outcome; a failed search writes nothing."""
        from ._results import RESULTS

        codes = {
            RESULTS.successful: EXIT.finished,
            RESULTS.budget_exhausted: EXIT.budget_exhausted,
            RESULTS.interrupted: EXIT.interrupted,
        }
        code = codes.get(cycles.result, EXIT.failure)
        if code != EXIT.finished:
            _complain(cycles.result.message)
        if code == EXIT.failure:
            return code
        if self.out is not None:
            cycles.save(self.out)
        if self.plot is not None:
            save_plot(cycles, model, self.plot)
        return code


@dataclasses.dataclass(frozen=True)
class Info:
    """Say what a file holds: the model, its shapes, where it came from."""

    file: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FILE]")] = None
    """Network or cycles file; without it, the embedded example."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the description as JSON."""

    def run(self) -> EXIT:
        from ._io import describe
        from ._io._example import EXAMPLE

        with _readable(self.file):
            facts = _plain(describe(EXAMPLE if self.file is None else self.file))
        if self.file is None:
            facts["path"] = _EMBEDDED
        _print(json.dumps(facts, allow_nan=False) if self.json else _listing(facts))
        return EXIT.finished


_COMMANDS = {"cycles": Cycles, "info": Info}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one line on stderr."""
    try:
        command = _parse(sys.argv[1:] if argv is None else argv)
        return int(command if isinstance(command, EXIT) else command.run())
    except KeyboardInterrupt:
        _complain("interrupted")
        return int(EXIT.interrupted)
    except (ValueError, ImportError) as error:
        _complain(error)
        return int(EXIT.bad_input)
    except OSError as error:
        _complain(error)
        return int(EXIT.failure)


def _parse(argv: list[str]):
    """Return the command, or the exit code of `--help` and of arguments that do not parse."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.extras.subcommand_cli_from_dict(
                _COMMANDS,
                args=argv,
                prog="plrjax",
                description="Dynamics of ReLU-based (piecewise-linear) recurrent networks.",
            )
    except SystemExit as stop:
        if not stop.code:
            return EXIT.finished
    _complain(_unboxed(errors.getvalue()) or "the arguments could not be understood")
    return EXIT.bad_input


def _unboxed(text: str) -> str:
    """Return the message inside the box that tyro draws, without its title and its help text."""
    body = [line for line in text.splitlines() if not line.startswith(("╭", "╰"))]
    message = []
    for line in body:
        if "──" in line:
            break
        message.append(line.strip("│ "))
    return " ".join(" ".join(message).split())


@contextlib.contextmanager
def _readable(file: str | None):
    """Turn a file that cannot be opened into bad input."""
    try:
        yield
    except OSError as error:
        reason = f"{file}: {error.strerror}" if error.strerror else str(error)
        raise ValueError(f"FILE: {reason}") from error


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


def _key(seed: int):
    """Return the JAX key of a seed (32 bits, the width that every configuration accepts)."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"--seed: expected an integer from 0 to 2**32 - 1, got {seed}")
    import jax

    return jax.random.key(np.uint32(seed))


def _check_target(option: str, target: str | None, suffixes: tuple[str, ...]) -> None:
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


def save_plot(cycles, model, target: str) -> None:
    """Draw the portrait and put it in place only when it is complete."""
    from . import plot
    from ._files import write_bytes

    image = io.BytesIO()
    figure = plot.portrait(cycles, model, figure=plot.bare_figure())
    figure.savefig(image, dpi=150, format=pathlib.Path(target).suffix[1:])
    write_bytes(target, image.getvalue())


def as_json(cycles, source: str | None, seed: int) -> dict:
    """Return the machine-readable result: facts of the search, then one entry per cycle."""
    facts = {
        "network": source or "embedded example",
        "seed": seed,
        "num_states": cycles.state_size,
        "num_units": cycles.num_units,
        "result": cycles.result.name,
        "coverage": cycles.coverage.name,
        "coverage_domain": cycles.coverage_domain,
        "coverage_by_period": {k: c.name for k, c in cycles.coverage_by_period.items()},
        "counts": cycles.counts(),
        "unseen": {k: dataclasses.asdict(u) for k, u in cycles.unseen.items()},
        "notes": list(cycles.notes),
        "cycles": [_cycle_facts(cycles, row) for row in range(len(cycles))],
    }
    return _plain(facts)


def _cycle_facts(cycles, row: int) -> dict:
    from ._results import STABILITY

    names = ("period", "index", "verified", "valid", "hits", "margin")
    numbers = {
        name: getattr(cycles, name)[row]
        for name in (*names, "residual", "error_bound", "condition")
    }
    return numbers | {
        "stability": STABILITY(int(cycles.stability[row])).name,
        "multipliers": [[m.real, m.imag] for m in cycles.multipliers[row].tolist()],
        "points": cycles.orbit(row),
        "regions": ["".join("01"[bit] for bit in region) for region in cycles.regions(row) * 1],
    }


def _plain(value) -> Any:
    """Return `value` as strict JSON knows it: lists, text keys, null for NaN and infinities."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def _listing(facts: dict) -> str:
    """Return a description as aligned lines, without what is empty."""
    provenance = (facts.get("header") or {}).get("provenance")
    facts = {**facts, "header": None, "provenance": provenance}
    if facts.get("type") not in (None, "model"):
        facts["ignored"] = None
    if isinstance(facts.get("arrays"), dict):
        facts["arrays"] = {
            name: " x ".join(map(str, array["shape"])) + " " + array["dtype"]
            for name, array in sorted(facts["arrays"].items())
        }
    shown = {key: value for key, value in facts.items() if value not in (None, [], {})}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{key.ljust(width)}  {_inline(value)}" for key, value in shown.items())


def _inline(value) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_inline(entry)}" for key, entry in value.items())
    return ", ".join(map(_inline, value)) if isinstance(value, list) else str(value)


def _complain(message) -> None:
    _print("plrjax: " + " ".join(str(message).split()), sys.stderr)


def _print(text: str, stream=None) -> None:
    """Print a line; a reader that has gone away (`| head`) must not keep files from being saved."""
    stream = sys.stdout if stream is None else stream
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
