"""The command `plrjax evaluate RUN --data TEST`."""

import dataclasses
from typing import Annotated

import tyro

from ._common import EXIT


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Hold the network of a run against held-out data: D_stsp, D_H, PE(n), with floors.

    Beside the network where training ended, late snapshots are evaluated where there are any, and
    their median ± MAD is printed: a single checkpoint is a lottery. Exit codes: 0 finished, 1
    failure, 2 bad input, 130 Ctrl-C, 143 SIGTERM.
    """

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a run, as `plrjax train --out` leaves it."""
    data: Annotated[str | None, tyro.conf.arg(metavar="TEST")] = None
    """Held-out series in the units of the training data; by default the TEST of the run."""
    num_starts: int = 16
    """Orbits, from as many rows of TEST."""
    num_steps: int = 20
    """The n of PE(n)."""
    late: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """So many last snapshots; by default those of the second half of training."""
    seed: int = 0
    """Seed of the random numbers in D_stsp of six variables and more."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the scores as JSON on stdout; everything else goes to stderr."""

    def run(self) -> EXIT:
        from .._arguments import checked_whole

        checked_whole("--num-starts", self.num_starts, 1)
        checked_whole("--num-steps", self.num_steps, 1)
        if self.late is not None:
            checked_whole("--late", self.late, 0)
        from ._evaluation import evaluate_run

        return evaluate_run(**vars(self))
