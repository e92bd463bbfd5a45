"""The command line: `plrjax cycles | lyapunov | info [FILE]`, `plrjax train | evaluate`, `plrjax
bifurcations RUN`, `plrjax scan PLANE.TOML [FILE]`, and `plrjax verify CERTIFICATE [FILE]`."""

import contextlib
import io
import sys

import tyro

from ._bifurcations import Bifurcations as Bifurcations
from ._common import EXIT as EXIT
from ._common import complain
from ._cycles import Cycles as Cycles
from ._evaluate import Evaluate as Evaluate
from ._info import Info as Info
from ._lyapunov import Lyapunov as Lyapunov
from ._scan import Scan as Scan
from ._train import Train as Train
from ._verify import Verify as Verify

_COMMANDS = {
    "cycles": Cycles,
    "lyapunov": Lyapunov,
    "train": Train,
    "evaluate": Evaluate,
    "bifurcations": Bifurcations,
    "scan": Scan,
    "verify": Verify,
    "info": Info,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one line on stderr."""
    try:
        command = _parse(sys.argv[1:] if argv is None else argv)
        return int(command if isinstance(command, EXIT) else command.run())
    except KeyboardInterrupt:
        complain("interrupted")
        return int(EXIT.interrupted)
    except (ValueError, ImportError) as error:
        complain(error)
        return int(EXIT.bad_input)
    except OSError as error:
        complain(error)
        return int(EXIT.failure)
    except MemoryError as error:
        complain(f"not enough memory: {error}")
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
    complain(_unboxed(errors.getvalue()) or "the arguments could not be understood")
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
