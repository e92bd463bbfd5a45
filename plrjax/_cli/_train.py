"""The command `plrjax train DATA --out RUN`."""

import dataclasses
import os
from typing import Annotated

import tyro

from ._common import EXIT
from ._engine import check_engine
from ._engine_options import EngineOptions
from ._train_options import TrainOptions


@dataclasses.dataclass(frozen=True)
class Train(EngineOptions, TrainOptions):
    """Train a network on a time series, into a folder from which the same command goes on.

    RUN holds config.json, metrics.csv, snapshots, model.npz and observation.npz. A run that was
    killed or interrupted goes on by the same command, or by `plrjax train RUN`, and ends with the
    same numbers, bit for bit; `plrjax train RUN --num-steps MORE` extends it. Exit codes: 0
    finished, 1 failure (loss or gradient not finite; the last finite network is saved), 2 bad
    input, 3 the time limit ran out, 130 Ctrl-C, 143 SIGTERM.

    With --grid, all combinations of the options in a .toml file (seed = [0, 1, 2]) are trained,
    each in a folder of RUN, and their last rows are one table; see --workers and --executor.
    """

    grid: Annotated[str | None, tyro.conf.arg(metavar="GRID.TOML")] = None
    """Train one run for each combination of these options."""
    plot: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """With --grid: draw the table to this .png, .pdf or .svg file (extra 'plot')."""

    def run(self) -> EXIT:
        check_engine(self)
        if self.grid is not None:
            self.check()
            from ._grid import train_grid

            return train_grid(self)
        for name in ("workers", "executor", "shard", "plot"):
            if getattr(self, name) not in (None, 1):
                raise ValueError(f"--{name}: only meaningful with --grid")
        if os.path.isdir(self.data):
            return self.of_folder().run()
        self.check()
        from ._training import train

        return train(self)
