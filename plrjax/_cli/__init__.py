"""The command line: `plrjax cycles | lyapunov | info [FILE]`, `plrjax train | evaluate | report`,
`plrjax bifurcations RUN`, `plrjax scan PLANE.TOML [FILE]`, `plrjax verify CERTIFICATE [FILE]`."""

import contextlib
import gc
import importlib
import io
import os
import sys
import textwrap
import warnings

import tyro

from .. import __version__
from .._caches import enable_compilation_cache_by_environment
from .._interrupts import end_if_interrupted, take_signals, was_terminated
from .._plugins import import_plugins
from ._common import EXIT as EXIT
from ._common import complain, flush_streams, open_closed_streams, say

_COMMANDS = {
    "cycles": "Cycles",
    "lyapunov": "Lyapunov",
    "train": "Train",
    "evaluate": "Evaluate",
    "report": "Report",
    "bifurcations": "Bifurcations",
    "manifolds": "Manifolds",
    "scan": "Scan",
    "census": "Census",
    "verify": "Verify",
    "info": "Info",
    "convert": "Convert",
}
"""The class of each command, in the module of its name; none of them imports JAX."""

_NO_MEMORY = "RESOURCE_EXHAUSTED"
"""In errors of JAX."""

_OBJECTS_BEFORE_COLLECTION = 200_000
"""Imports and compilers make so many objects that Python's collector takes a fifth of the time, if
it looks after every 700 of them, as it does by default; what dies in between is some 20 MB."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one line on stderr.

    Without `argv` this is the whole process: compiled programs are kept on disk, and streams that
    are closed, or that nobody reads to the end, are no errors.
    """
    if argv is not None:
        return int(_run(argv, whole_process=False))
    open_closed_streams()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    take_signals()
    try:
        code = int(_run(sys.argv[1:], whole_process=True))
    finally:
        flush_streams()
    end_if_interrupted(code)
    gc.freeze()  # or the interpreter looks through all objects before it ends, for a second
    return code


def _run(argv: list[str], whole_process: bool) -> EXIT:
    try:
        command = _parse(argv)
        if isinstance(command, EXIT):
            return command
        if whole_process:
            enable_compilation_cache_by_environment()
            warnings.filterwarnings("ignore", "Error (read|writ)ing persistent compilation cache")
            warnings.showwarning = lambda message, *_, **__: complain(message)
        import_plugins()
        code = command.run()
        return EXIT.terminated if code is EXIT.interrupted and was_terminated() else code
    except KeyboardInterrupt:
        code = EXIT.terminated if was_terminated() else EXIT.interrupted
        complain(code.name)
        return code
    except (ValueError, ImportError) as error:
        complain(error)
        return EXIT.bad_input
    except OSError as error:
        complain(error)
        return EXIT.failure
    except MemoryError as error:
        complain(f"not enough memory: {error}")
        return EXIT.failure
    except (RuntimeError, AssertionError) as error:
        return _of_jax(error)


def _of_jax(error: Exception) -> EXIT:
    """Say in one line what JAX lacks, platform or memory, or where no worker works; raise all else
    again."""
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms and not _has_devices():
        complain(f"JAX_PLATFORMS={platforms}: JAX finds no such platform here; unset it, or cpu")
        return EXIT.bad_input
    if str(error).startswith("executor:"):
        complain(error)
        return EXIT.failure
    if _NO_MEMORY in str(error):
        complain(f"not enough memory: {str(error)[:200]}")
        return EXIT.failure
    raise error


def _has_devices() -> bool:
    import jax

    try:
        return bool(jax.devices())
    except (RuntimeError, AssertionError):  # the latter where the package of the platform is absent
        return False


def _parse(argv: list[str]):
    """Return the command, or the exit code of what ends here: help, version, errors."""
    first = argv[0] if argv else ""
    if first in ("-h", "--help", "--version"):
        say(f"plrjax {__version__}" if first == "--version" else _help())
        return EXIT.finished
    if first not in _COMMANDS:
        complain(f"expected one of {', '.join(_COMMANDS)}, got {first or 'nothing'}: plrjax --help")
        return EXIT.bad_input
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(_command(first), prog=f"plrjax {first}", args=argv[1:])
    except BrokenPipeError:  # of the help that it prints itself
        return EXIT.finished
    except SystemExit as stop:
        if not stop.code:
            return EXIT.finished
    complain(_unboxed(errors.getvalue()) or "the arguments could not be understood")
    return EXIT.bad_input


def _command(name: str) -> type:
    return getattr(importlib.import_module(f"._{name}", __name__), _COMMANDS[name])


def _help() -> str:
    """Return what `plrjax --help` prints: one sentence for each command."""
    lines = [
        "usage: plrjax [-h] [--version] COMMAND ...",
        "",
        "Dynamics of ReLU-based (piecewise-linear) recurrent networks.",
        "",
    ]
    for name in _COMMANDS:
        summary = (_command(name).__doc__ or "").partition("\n")[0]
        lines += textwrap.wrap(
            summary, 80, initial_indent=f"  {name:<14}", subsequent_indent=" " * 16
        )
    return "\n".join([*lines, "", "plrjax COMMAND --help says what a command takes."])


def _unboxed(text: str) -> str:
    """Return the message inside the box that tyro draws, without its title and its help text."""
    body = [line for line in text.splitlines() if not line.startswith(("╭", "╰"))]
    message = []
    for line in body:
        if "──" in line:
            break
        message.append(line.strip("│ "))
    return " ".join(" ".join(message).split())
