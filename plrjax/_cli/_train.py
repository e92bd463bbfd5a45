"""The command `plrjax train DATA --out RUN`."""

import dataclasses
import os

from ._common import EXIT
from ._train_options import TrainOptions


@dataclasses.dataclass(frozen=True)
class Train(TrainOptions):
    """Train a network on a time series, into a folder from which the same command goes on.

    RUN holds config.json, metrics.csv, snapshots, model.npz and observation.npz. A run that was
    killed or interrupted goes on by the same command, or by `plrjax train RUN`, and ends with the
    same numbers, bit for bit; `plrjax train RUN --num-steps MORE` extends it. Exit codes: 0
    finished, 1 failure (loss or gradient not finite; the last finite network is saved), 2 bad
    input, 3 the time limit ran out, 130 Ctrl-C, 143 SIGTERM.
    """

    def run(self) -> EXIT:
        if os.path.isdir(self.data):
            return self.of_folder().run()
        self.check()
        from ._training import train

        return train(self)
