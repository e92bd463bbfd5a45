"""The command `plrjax census status|collect FOLDER`."""

import dataclasses
from typing import Annotated, Literal

import tyro

from ._common import EXIT, PLOT_SUFFIXES, check_target, say

_MAX_FAILURES = 10


@dataclasses.dataclass(frozen=True)
class Census:
    """Say how far the census in a folder is, or put its table together.

    `plrjax cycles` and `plrjax lyapunov` make one of many networks with --out FOLDER. status: how
    many networks are done, failed, missing; collect: print the table, and write table.csv and,
    with pyarrow, table.parquet into the folder. Exit codes: 0 all are done, 1 some failed, 2 bad
    input, 3 some are missing.
    """

    action: Annotated[Literal["status", "collect"], tyro.conf.Positional]
    """What to do."""
    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """The folder that --out named."""
    plot: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """With collect: draw the table to this .png, .pdf or .svg file (extra 'plot')."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """With collect: print the rows as JSON on stdout; everything else goes to stderr."""

    def run(self) -> EXIT:
        """Read the folder."""
        check_target("--plot", self.plot, PLOT_SUFFIXES)
        from .._census import Census as Found
        from .._census import with_tables
        from ._many import tell

        try:
            found = Found.load(self.folder)
        except ValueError as error:
            raise ValueError(str(error).replace("folder:", "FOLDER:", 1)) from error
        missing = len(found) - len(found.rows)
        if self.action == "collect":
            code = tell(with_tables(found), self)
        else:
            code = EXIT.failure if found.num_failed else EXIT.finished
            done = len(found.rows) - found.num_failed
            say(f"{len(found)} networks: {done} done, {found.num_failed} failed, {missing} missing")
            failed = [row for row in found.rows if "error" in row]
            for row in failed[:_MAX_FAILURES]:
                say(f"  {row['network']}: {row['error']}")
            if len(failed) > _MAX_FAILURES:
                say(f"  ... and {len(failed) - _MAX_FAILURES} more")
        return EXIT.budget_exhausted if missing and code == EXIT.finished else code
