"""Tables of trained networks: the scores of published protocols, sweeps and baselines.

Run `python -m benchmarks.reconstruction TABLE ... [--seeds 3] [--train X.npy --test Y.npy]`, each
TABLE one of `benchmarks.protocols.PROTOCOLS`; `--help` says more.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import timing

if __name__ == "__main__":
    timing.single_thread()

import jax.random as jr
import numpy as np

import plrjax as plr
from benchmarks.protocols import PROTOCOLS, Protocol, keys_of

LATE = 5
"""Checkpoints per run, the last of them at the end and the others in the last fifth."""
SIMULATED, PERFECT = 100_000, 8
EXPONENT_STEPS, EXPONENT_ORBITS = 50_000, 16


@dataclasses.dataclass(frozen=True)
class Data:
    """Series to learn from, and to be held against."""

    train: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class Row:
    """One run."""

    protocol: str
    seed: int
    seconds: float
    late: list[plr.metrics.Evaluation]
    curve: list[tuple[int, plr.metrics.Evaluation]]
    exponents: list[float]
    error: float


def simulated() -> Data:
    """Return Lorenz-63 with 5 % noise, and another orbit of it without, in the same units."""
    system = plr.systems.lorenz63()
    learn = plr.systems.simulate(system, SIMULATED, key=jr.key(0), noise=0.05)
    other = plr.systems.simulate(system, SIMULATED, key=jr.key(1), standardize=False)
    return Data(learn.observations, learn.to_units(other.observations))


def train(protocol: Protocol, data: Data, seed: int, early: int = 0) -> Row:
    """Train one network and hold late checkpoints, and some `early` ones, against the test data."""
    keys = keys_of(seed)
    series = data.train.astype(np.float32)
    model: Any = protocol.network(keys[0])
    observation: Any = None
    if protocol.observation is not None:
        observation = protocol.observation(series.shape[1], model.state_size, keys[1])
    every = max(1, protocol.num_steps // (5 * LATE))
    kept = _Kept(every, protocol.num_steps, early)
    begun = time.process_time()
    run = plr.fit(
        model, series, key=keys[2], forcing=protocol.forcing, observation_model=observation,
        optimizer=protocol.optimizer(), regularizers=[plr.training.L2(1e-5)],
        num_steps=protocol.num_steps,
        sequence_length=protocol.sequence_length, batch_size=protocol.batch_size,
        callbacks=[kept], progress=plr.NoProgress(),
    )  # fmt: skip
    seconds = time.process_time() - begun
    nets = kept.nets or [(run.num_steps, run.model, run.observation_model)]
    curve = [(n, plr.metrics.evaluate(m, data.test, observation_model=o)) for n, m, o in nets]
    late = [one for _, one in curve[-LATE:]]
    exponents, error = _exponents(*nets[-1][1:], data)
    return Row(protocol.name, seed, seconds, late, curve, exponents, error)


class _Kept:
    """A callback that keeps the late networks, and `early` ones evenly spread over the rest."""

    def __init__(self, every: int, num_steps: int, early: int):
        self.every, self.nets = every, []
        late = range(num_steps - (LATE - 1) * every, num_steps + 1, every)
        before = np.linspace(every, num_steps - LATE * every, early) // every * every
        self.steps = {*late, *before.astype(int).tolist()}

    def __call__(self, record) -> None:
        if record.step in self.steps:
            self.nets.append((record.step, record.model, record.observation_model))


def _exponents(model: Any, observation: Any, data: Data) -> tuple[list[float], float]:
    """Return the spectrum of the attractor that most orbits reach, and the error of lambda_1."""
    rows = np.linspace(0, len(data.test) - 1, EXPONENT_ORBITS).astype(int)
    starts = np.stack([observation.initial_state(data.test[row]) for row in rows])
    found = plr.lyapunov_spectrum(
        model, starts, num_steps=EXPONENT_STEPS, num_exponents=min(3, model.state_size),
        key=jr.key(0), num_orbits=EXPONENT_ORBITS, progress=plr.NoProgress(), throw=False,
    )  # fmt: skip
    return [float(x) for x in found.exponents], float(found.standard_error[0])


def line(row: Row) -> str:
    """Return one run as a line."""
    one = plr.metrics.evaluate_many([row.late])
    spread = [late.median.state_space_divergence for late in row.late]
    captured = 100 * one.captured_share.mean()
    return (
        f"{row.protocol:22s} {row.seed:4d} {one.median.state_space_divergence:8.3f} "
        f"[{np.nanmin(spread):.2f}, {np.nanmax(spread):.2f}] "
        f"{one.median.power_spectrum_error:7.3f} "
        f"{one.median.prediction_error:10.2e} {row.exponents[0]:8.5f} +- {row.error:.0e} "
        f"{row.exponents[-1]:8.3f} {captured:7.1f} {row.seconds:8.1f}"
    )


HEAD = (
    f"{'run':22s} {'seed':>4s} {'D_stsp':>8s} {'checkpoints':>12s} {'D_H':>7s} {'PE(20)':>10s} "
    f"{'lambda_1':>17s} {'last':>8s} {'other %':>7s} {'CPU s':>8s}"
)


def report(rows: list[Row]) -> dict:
    """Print medians over the seeds of one protocol, and return everything as plain numbers."""
    summary = plr.metrics.evaluate_many([row.late for row in rows])
    print(f"  -> {rows[0].protocol}: median of {len(rows)}\n{summary}\n", flush=True)
    return {
        "protocol": rows[0].protocol,
        "median": summary.median._asdict(),
        "deviation": summary.deviation._asdict(),
        "floor": summary.floor._asdict(),
        "seeds": [row.seed for row in rows],
        "runs": {
            name: np.asarray(getattr(summary, name)).tolist()
            for name in ("state_space_divergence", "power_spectrum_error", "prediction_error")
        },
        "captured_share": summary.captured_share.tolist(),
        "exponents": [row.exponents for row in rows],
        "curves": [[(step, *one.median) for step, one in row.curve] for row in rows],
        "seconds": [row.seconds for row in rows],
    }


def main() -> None:
    """Train all runs of the tables asked for, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", choices=list(PROTOCOLS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--early", type=int, default=0, help="earlier checkpoints to score")
    parser.add_argument("--train", help=".npy file (time, variable); by default simulated")
    parser.add_argument("--test", help="the same, without noise")
    parser.add_argument("--out", help="write all numbers to this JSON file")
    given = parser.parse_args()
    if (given.train is None) != (given.test is None):
        parser.error("--train and --test go together")
    files = (given.train, given.test)
    data = simulated() if None in files else Data(*(np.load(f, allow_pickle=False) for f in files))
    if given.tables != ["ecg"]:
        print(perfect(data), flush=True)
    found = []
    for table in given.tables:
        print(f"{table}\n{HEAD}", flush=True)
        for protocol in PROTOCOLS[table]:
            rows = []
            for seed in range(given.first_seed, given.first_seed + given.seeds):
                rows.append(train(protocol, data, seed, given.early))
                print(line(rows[-1]), flush=True)
            found.append(report(rows))
            if given.out is not None:
                Path(given.out).write_text(json.dumps(found, indent=1))


def perfect(data: Data) -> str:
    """Return the scores of Lorenz-63 itself: other orbits, with the moments of the test data."""
    mean, deviation, size = data.test.mean(axis=0), data.test.std(axis=0), len(data.test)
    scores = []
    for seed in range(PERFECT):
        series = plr.systems.simulate(plr.systems.lorenz63(), size, key=jr.key(100 + seed))
        orbit = np.asarray(series.observations) * deviation + mean
        scores.append(
            (
                plr.metrics.state_space_divergence(data.test, orbit),
                plr.metrics.power_spectrum_error(data.test, orbit),
            )
        )
    (low, low_h), (middle, middle_h), (high, high_h) = np.quantile(scores, (0, 0.5, 1), axis=0)
    return (
        f"a perfect model, {PERFECT} orbits: D_stsp {middle:.3f} ({low:.3f} to {high:.3f}), "
        f"D_H {middle_h:.3f} ({low_h:.3f} to {high_h:.3f})"
    )


if __name__ == "__main__":
    main()
