"""Commands that analyze one network, or many: then they make a census."""

import abc
import dataclasses
import functools
import glob
import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from .._json import plain
from ._common import (
    EXIT,
    OUT_SUFFIXES,
    PLOT_SUFFIXES,
    AbstractAnalysis,
    check_target,
    complain,
    exit_code,
    key_of,
    numbers_of,
    save_plot,
    say,
)
from ._engine import check_engine, engine_of, shard_of

_WORDS = {"networks": "FILE", "load_with": "FILE", "out": "--out", "shard": "--shard"}
"""Arguments of the library, in words of the command line."""


@dataclasses.dataclass(frozen=True)
class AbstractNetworkAnalysis(AbstractAnalysis):
    """A command about one network, or about many in one table."""

    @abc.abstractmethod
    def analysis(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Return the function that analyzes a network, which other processes can import, and its
        arguments, without what all of them take."""

    def compute(self, model, key) -> Any:
        function, arguments = self.analysis()
        return function(model, key=key, max_seconds=self.max_seconds, throw=False, **arguments)

    @property
    def is_many(self) -> bool:
        """Whether this is about many networks, or about one in a folder of results."""
        engine = self.executor is not None or self.shard is not None
        folder = self.out is not None and (
            os.path.isdir(self.out) or not pathlib.Path(self.out).suffix
        )
        return engine or folder or len(self.files) > 1 or any(map(_is_several, self.files))

    def run(self) -> EXIT:
        check_engine(self)
        if not self.is_many:
            return super().run()
        self.prepare()
        return _run(self)


def _is_several(file: str) -> bool:
    """Whether a FILE stands for several networks: a pattern, a table of networks."""
    table = file.startswith("@") or file.lower().endswith((".csv", ".toml"))
    return table or not os.path.exists(file) and glob.has_magic(file)


def _run(command: AbstractNetworkAnalysis) -> EXIT:
    """Analyze all networks, print the table, and keep it in the folder."""
    if not command.files:
        raise ValueError("FILE: expected networks, such as 'nets/*.npz'")
    if command.out is not None and pathlib.Path(command.out).suffix in OUT_SUFFIXES:
        raise ValueError(f"--out: expected a folder for many networks, got {command.out}")
    check_target("--plot", command.plot, PLOT_SUFFIXES)
    from .. import census

    function, arguments = command.analysis()
    options = {"kind": command.kind, "num_relu": command.num_relu, "index": command.index}
    options |= {"inputs": numbers_of(command.input, "--input"), "leak": command.leak}
    try:
        with engine_of(command, command.out) as executor:
            found = census(
                list(command.files),
                function,
                key=key_of(command.seed),
                executor=executor,
                out=command.out,
                shard=shard_of(command),
                load_with=options,
                max_seconds=command.max_seconds,
                **arguments,
            )
    except ValueError as error:
        raise ValueError(in_words(str(error))) from error
    except OSError as error:
        complain(in_words(str(error)))
        return EXIT.failure
    return tell(found, command)


def in_words(text: str) -> str:
    """Return a message of the library in words of the command line."""
    name, colon, rest = text.partition(":")
    return _WORDS.get(name, name) + colon + rest


def tell(found, command) -> EXIT:
    """Print a census, draw it, and return the exit code."""
    from .._files import NOT_WRITTEN

    say(str(found), sys.stderr if command.json else sys.stdout)
    if command.json:
        facts = {"num_networks": len(found), "result": found.result.name}
        say(json.dumps(plain(facts | {"rows": list(found.rows)}), allow_nan=False))
    code = exit_code(found.result)
    if code != EXIT.finished:
        complain(found.result.message)
    if found.num_failed:
        complain(f"{found.num_failed} of {len(found)} networks failed; see the column error")
        code = EXIT.failure if code == EXIT.finished else code
    try:
        if command.plot is not None and found.rows:
            save_plot(functools.partial(_draw, found), command.plot)
    except OSError as error:
        complain(error)
        code = EXIT.failure
    return EXIT.failure if any(NOT_WRITTEN in note for note in found.notes) else code


def _draw(found, figure) -> None:
    from .. import plot

    plot.census(found, figure=figure)
