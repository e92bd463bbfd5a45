"""Lyapunov spectra of LSTMs and GRUs in training against validation loss (Vogt et al. 2020).

Run `python -m benchmarks.readout [figure.png] [--quick] [--out FILE.npz]`; `--help` says more.
"""

import argparse
import dataclasses

from benchmarks import timing

if __name__ == "__main__":
    MACHINE = timing.single_thread()

import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from benchmarks.readout_task import QUICK, Settings, train_group

PUBLISHED = {(4, 4): 0.46, (15, 15): 0.61}
"""Spearman's rho of 110 LSTMs at (epoch of the exponent, epoch of the loss)."""

PUBLISHED_RANGE = (-0.492, 0.138)
"""Their lambda_1, bits per step."""

BIT = np.log(2.0)
RESAMPLES, LEVEL = 4000, 0.95
COLORS = {"LSTM": ("#0072B2", "o"), "GRU": ("#D55E00", "^")}
"""Color (Okabe and Ito 2008: told apart by color-blind readers) and marker of each cell."""


@dataclasses.dataclass(frozen=True, eq=False)
class Readout:
    """One row per run.

    **Fields:** `cell`, `size`, `gain`, `rate` of the run; `loss`, validation loss before training
    and after every epoch, nats per character; `records`, the epochs at which spectra were measured;
    `mean` and `deviation` of every exponent over the input sequences, nats per step, NaN beyond the
    size of the state; `compared`, the early and the late epoch.
    """

    cell: np.ndarray
    size: Int[np.ndarray, " run"]
    gain: Float[np.ndarray, " run"]
    rate: Float[np.ndarray, " run"]
    loss: Float[np.ndarray, "run epoch"]
    records: Int[np.ndarray, " record"]
    mean: Float[np.ndarray, "run record exponent"]
    deviation: Float[np.ndarray, "run record exponent"]
    compared: Int[np.ndarray, " two"]

    def largest(self, epoch: int) -> Float[np.ndarray, " run"]:
        """Return lambda_1 at one of the records, nats per step."""
        return self.mean[:, list(self.records).index(epoch), 0]


class Correlation(NamedTuple):
    """Spearman's rho and its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:5.2f} [{self.low:5.2f}, {self.high:5.2f}]"


def run(settings: Settings) -> Readout:
    """Train and probe every network; print a line after each group of equal cell and size."""
    pairs, groups = list(itertools.product(settings.cells, settings.sizes)), []
    for kind, size in pairs:
        begun = time.perf_counter()
        groups.append(train_group(settings, kind, size))
        taken, count = time.perf_counter() - begun, len(groups[-1].history)
        print(f"{kind} H={size}: {count} runs, {taken:.0f} s", flush=True)
    grid = list(itertools.product(pairs, settings.gains, settings.rates))
    histories = [history for group in groups for history in group.history]
    return Readout(
        cell=np.array([kind for (kind, _), _, _ in grid]),
        size=np.array([size for (_, size), _, _ in grid]),
        gain=np.array([gain for _, gain, _ in grid]),
        rate=np.array([rate for _, _, rate in grid]),
        loss=np.concatenate([group.loss for group in groups]).astype(float),
        records=np.array(settings.records),
        mean=_padded([history.mean for history in histories]),
        deviation=_padded([history.deviation for history in histories]),
        compared=np.array([settings.early, settings.late]),
    )


def _padded(tables: list[np.ndarray]) -> np.ndarray:
    """Stack "record exponent" tables, NaN beyond the exponents that a network has."""
    widest = max(table.shape[1] for table in tables)
    pad = lambda table: np.pad(
        table, ((0, 0), (0, widest - table.shape[1])), constant_values=np.nan
    )
    return np.stack([pad(table) for table in tables])


def rank_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Spearman's rho of each row, NaN where one of the two is constant."""
    a, b = (scipy.stats.rankdata(rows, axis=1) - (rows.shape[1] + 1) / 2 for rows in (x, y))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))


def spearman(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Correlation:
    """Return Spearman's rho and percentiles of its bootstrap over runs, NaN for too few."""
    value = rank_correlations(x[None], y[None])[0] if len(x) > 2 else np.nan
    if np.isnan(value):
        return Correlation(np.nan, np.nan, np.nan)
    rows = np.random.default_rng(seed).integers(len(x), size=(RESAMPLES, len(x)))
    draws = rank_correlations(x[rows], y[rows])
    low, high = np.nanquantile(draws, [(1.0 - LEVEL) / 2, (1.0 + LEVEL) / 2])
    return Correlation(float(value), float(low), float(high))


def within_groups(result: Readout, values: np.ndarray) -> np.ndarray:
    """Return the rank of every run among those of its cell and size, from 0 to 1."""
    ranks = np.empty(len(values))
    for kind, size in set(zip(result.cell, result.size)):
        here = (result.cell == kind) & (result.size == size)
        ranks[here] = (scipy.stats.rankdata(values[here]) - 0.5) / here.sum()
    return ranks


def correlations(
    result: Readout, at: int, until: int, measure: Callable = np.abs
) -> dict[str, Correlation]:
    """Correlate a measure of lambda_1 at one epoch with the loss at another, in parts of the runs.

    "within" are ranks among the runs of equal cell and size, "not chaotic" those of negative
    lambda_1.
    """
    first, loss = result.largest(at), result.loss[:, until]
    x, everything = measure(first), np.ones(len(loss), bool)
    parts = {"all": everything, **{str(k): result.cell == k for k in dict.fromkeys(result.cell)}}
    parts["not chaotic"] = first < 0
    found = {name: spearman(x[here], loss[here]) for name, here in parts.items()}
    found["within"] = spearman(within_groups(result, x), within_groups(result, loss))
    return found


def report(result: Readout) -> None:
    """Print the correlations and where the exponents lie; see README.md of this folder."""
    early, late = map(int, result.compared)
    for measure, symbol in ((np.abs, "|lambda_1|"), (np.positive, "lambda_1")):
        print(f"\nSpearman({symbol}, validation loss) and its 95 % bootstrap interval over runs")
        for at, until in ((0, late), (early, early), (early, late), (late, late)):
            found = correlations(result, at, until, measure)
            if not at:
                print("epochs of both" + "".join(f"{name:>21s}" for name in found), "  published")
            published = PUBLISHED.get((at, until)) if measure is np.abs else None
            values = "".join(f"{str(value):>21s}" for value in found.values())
            print(f"{at:7d}{until:7d}{values}{'' if published is None else f'{published:12.2f}'}")
    print(f"\nSpearman of what was chosen for a run and its validation loss at epoch {late}")
    for name in ("gain", "rate", "size"):
        print(f"{name:>14s}{str(spearman(getattr(result, name), result.loss[:, late])):>21s}")
    low, high = PUBLISHED_RANGE
    print(f"\nlambda_1, bits per step (published: {low:.3f} to {high:.3f}), and loss, bits")
    names = ("least", "median", "largest", "chaotic", "median loss", "least loss")
    print("epoch" + "".join(f"{name:>13s}" for name in names))
    for epoch in result.records:
        first, loss = result.largest(epoch) / BIT, result.loss[:, epoch] / BIT
        spread = "".join(f"{value:13.3f}" for value in np.quantile(first, [0.0, 0.5, 1.0]))
        losses = f"{np.median(loss):13.3f}{loss.min():13.3f}"
        print(f"{epoch:5d}{spread}{np.mean(first > 0):13.0%}{losses}")


def scatter(axes, result: Readout, epoch: int) -> None:
    """Draw |lambda_1| against the loss at one epoch, chaotic runs with open markers."""
    found = correlations(result, epoch, epoch)
    for kind in dict.fromkeys(result.cell):
        color, marker = COLORS[kind]
        axes.plot([], [], marker, color=color, label=f"{kind}: {found[kind]}")
        for chaotic in (False, True):
            here = (result.cell == kind) & ((result.largest(epoch) > 0) == chaotic)
            x, y = np.abs(result.largest(epoch)[here]) / BIT, result.loss[here, epoch] / BIT
            fill = "none" if chaotic else color
            axes.plot(x, y, marker, ms=5, mec=color, mfc=fill, alpha=0.8)
    label = r"open: chaotic, $\lambda_1 > 0$"
    axes.plot([], [], "s", mec="gray", mfc="none", label=label)
    axes.set_title(rf"epoch {epoch}: Spearman($|\lambda_1|$, loss) {found['all']}", fontsize=9)
    axes.set_xlabel(r"$|\lambda_1|$, bits per step")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.25)


def spectra(axes, result: Readout, run: int) -> None:
    """Draw mean and standard deviation over input sequences of every exponent, over training."""
    for epoch, color in zip((0, *result.compared), ("#999999", "#E69F00", "#000000")):
        record = list(result.records).index(epoch)
        mean, spread = (part[run, record] / BIT for part in (result.mean, result.deviation))
        known = np.flatnonzero(np.isfinite(mean))
        axes.plot(known + 1, mean[known], color=color, lw=1.2, label=f"epoch {epoch}")
        low, high = mean[known] - spread[known], mean[known] + spread[known]
        axes.fill_between(known + 1, low, high, color=color, alpha=0.35, lw=0)
    axes.axhline(0.0, color="gray", lw=0.6)
    loss = result.loss[run, result.compared[1]] / BIT
    name = f"{result.cell[run]} H={result.size[run]}, gain {result.gain[run]:g}"
    axes.set_title(f"{name}: loss {loss:.2f} bits", fontsize=9)
    axes.set_xlabel("exponent $i$")
    axes.grid(alpha=0.25)


def chosen(result: Readout) -> list[int]:
    """Return runs of the first cell, largest size and middle rate: least, middle, largest gain."""
    rates, gains = np.unique(result.rate), np.unique(result.gain)
    here = (result.cell == result.cell[0]) & (result.size == result.size.max())
    here &= result.rate == rates[len(rates) // 2]
    wanted = (gains[0], gains[len(gains) // 2], gains[-1])
    return [int(np.flatnonzero(here & (result.gain == gain))[0]) for gain in wanted]


def plot(result: Readout):
    """Draw the correlation early and late, and spectra of three runs; return the figure."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure = Figure(figsize=(9, 6.6), layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=(1.25, 1.0))
    place = lambda row, first, width, like: figure.add_subplot(
        grid[row, first : first + width], sharex=like, sharey=like
    )
    above = [place(0, 0, 3, None)]
    above.append(place(0, 3, 3, above[0]))
    below = [place(1, 0, 2, None)]
    below += [place(1, 2, 2, below[0]), place(1, 4, 2, below[0])]
    for axes, epoch in zip(above, result.compared):
        scatter(axes, result, epoch)
    for axes, run in zip(below, chosen(result)):
        spectra(axes, result, run)
    above[0].set(yscale="log", ylabel="validation loss, bits per character")
    above[0].set_yticks([2, 2.5, 3, 4, 5, 6, 8, 10])
    above[0].yaxis.set_major_formatter(ScalarFormatter())
    above[0].yaxis.set_minor_formatter(NullFormatter())
    below[0].set_ylabel(r"$\lambda_i$, bits per step, mean $\pm$ std" + "\nover input sequences")
    below[0].set(xlim=(0, result.size.max() + 0.5), ylim=(-1.6, 0.6))
    below[0].legend(fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readout", description=__doc__)
    parser.add_argument("output", nargs="?", help="PNG file to write")
    parser.add_argument("--quick", action="store_true", help="few small runs, less text")
    parser.add_argument("--out", help="NPZ file for all arrays of the result")
    options = parser.parse_args()
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    result = run(QUICK if options.quick else Settings())
    report(result)
    if options.out:
        np.savez(options.out, **vars(result))
    if options.output:
        plot(result).savefig(options.output, dpi=90, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
