"""What probes cost a training run beyond their own time.

Run `python -m benchmarks.probes [figure.png] [--updates N]`: pairs of runs with and without a
spectrum every 100 updates, in alternation.
"""

import argparse
import statistics
import time
from typing import Any

from benchmarks import timing

if __name__ == "__main__":
    timing.single_thread()

import jax.random as jr
import numpy as np

import plrjax as plr

EVERY = 100


class Timed:
    """A callback, and the CPU seconds it took."""

    def __init__(self, callback: Any):
        self.callback, self.every, self.seconds = callback, callback.every, 0.0

    def __call__(self, record) -> Any:
        begun = time.process_time()
        found = self.callback(record)
        self.seconds += time.process_time() - begun
        return found


def spectra(data: np.ndarray) -> plr.LyapunovProbe:
    """Return the probe: three exponents of four orbits."""
    return plr.LyapunovProbe(
        data[:4], key=jr.key(2), every=EVERY, num_steps=1_000, num_transient=200, num_orbits=4
    )


def run(
    data: np.ndarray, num_steps: int, callbacks: list, optimizer: Any
) -> tuple[plr.TrainingRun, float]:
    """Train, and return the CPU seconds of it all."""
    model = plr.ClippedShallowPLRNN(3, 50, key=jr.key(0))
    begun = time.process_time()
    found = plr.fit(
        model, data, key=jr.key(1), forcing=plr.GeneralizedForcing(0.1), num_steps=num_steps,
        regularizers=[plr.training.L2(1e-5)], callbacks=callbacks, optimizer=optimizer,
        progress=plr.NoProgress(),
    )  # fmt: skip
    return found, time.process_time() - begun


def main() -> None:
    """Print the overhead of each pair, and draw the last run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", help="draw the run with its spectra to this file")
    parser.add_argument("--updates", type=int, default=4_000)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    series = plr.systems.simulate(plr.systems.lorenz63(), 50_000, key=jr.key(0), noise=0.05)
    data = series.observations.astype(np.float32)
    optimizer = plr.default_optimizer(given.updates)
    run(data, EVERY, [spectra(data)], optimizer)  # compiles everything
    overheads, watched, probe = [], None, spectra(data)
    for _ in range(given.pairs):
        _, without = run(data, given.updates, [], optimizer)
        probe = spectra(data)
        timed = Timed(probe)
        watched, seconds = run(data, given.updates, [timed], optimizer)
        overheads.append((seconds - timed.seconds) / without - 1.0)
        print(
            f"without {without:.2f} s; with {seconds:.2f} s, of which {timed.seconds:.2f} s in "
            f"{len(probe.steps)} spectra; training itself {100 * overheads[-1]:+.1f} %",
            flush=True,
        )
    print(f"median overhead of training itself: {100 * statistics.median(overheads):+.1f} %")
    if given.figure is not None and watched is not None:
        plr.plot.training(watched, spectra=probe).savefig(given.figure, dpi=150)


if __name__ == "__main__":
    main()
