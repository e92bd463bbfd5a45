"""Training protocols as data: which network, which forcing, how long."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.random as jr
import optax

import plrjax as plr


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One row of a table.

    **Fields:** `name`; `network`, key -> network; `forcing`; `num_steps`; `rates`, first and last
    learning rate;
    `observation`, (variables, states, key) -> observation model; `sequence_length`; `clip`, largest
    norm of a gradient; `batch_size`.
    """

    name: str
    network: Callable[[Any], plr.AbstractDynamics]
    forcing: Any
    num_steps: int
    rates: tuple[float, float] = (5e-3, 5e-5)
    observation: Callable | None = None
    sequence_length: int = 200
    batch_size: int = 16
    clip: float | None = None

    def optimizer(self) -> optax.GradientTransformation:
        """Return RAdam with an exponentially decaying rate, behind the clipping."""
        first, last = self.rates
        steps = optax.radam(optax.exponential_decay(first, self.num_steps, last / first))
        return (
            steps if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), steps)
        )


def shallow(size: int, units: int) -> Callable:
    """Return key -> clipped shallow PLRNN."""
    return lambda key: plr.ClippedShallowPLRNN(size, units, key=key)


LORENZ = shallow(3, 50)
PUBLISHED = (1e-3, 1e-6)
GTF, ADAPTIVE = plr.GeneralizedForcing(0.1), plr.AdaptiveForcing()
INTERVALS = (1, 5, 10, 16, 30, 46, 77, 120, 200)
ALPHAS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
AHEAD = 77
"""Predictability time ln 2 / lambda_1 of Lorenz-63 in steps of .01."""


def _smooth(name: str, network: Callable, size: int) -> list[Protocol]:
    affine = lambda variables, states, key: plr.training.Affine(variables, states, key=key)
    kinds = {
        "STF(77)": (plr.SparseForcing(AHEAD), None),
        "STF(30)": (plr.SparseForcing(30), None),
        "BPTT clipped": (plr.NoForcing(), 1.0),
    }
    return [
        Protocol(f"{name} {kind}", network, forcing, 10_000, observation=affine, clip=clip)
        for kind, (forcing, clip) in kinds.items()
    ]


PROTOCOLS: dict[str, list[Protocol]] = {
    "smoke": [Protocol("smoke GTF .1", LORENZ, GTF, 10_000)],
    "standard": [
        Protocol("standard GTF .1", LORENZ, GTF, 25_000),
        Protocol("standard adaptive", LORENZ, ADAPTIVE, 25_000),
    ],
    "published": [
        Protocol("published GTF .1", LORENZ, GTF, 250_000, PUBLISHED),
        Protocol("published adaptive", LORENZ, ADAPTIVE, 250_000, PUBLISHED),
        Protocol("published STF(16)", LORENZ, plr.SparseForcing(16), 250_000, PUBLISHED),
    ],
    "intervals": [
        Protocol(f"STF({tau})", LORENZ, plr.SparseForcing(tau), 25_000) for tau in INTERVALS
    ],
    "alphas": [
        Protocol(f"GTF({alpha:g})", LORENZ, plr.GeneralizedForcing(alpha), 25_000)
        for alpha in ALPHAS
    ],
    "baselines": [
        Protocol("BPTT clipped", LORENZ, plr.NoForcing(), 25_000, clip=1.0),
        Protocol("BPTT, windows of 30", LORENZ, plr.NoForcing(), 25_000, sequence_length=30),
        Protocol("BPTT truncated to 30", LORENZ, plr.NoForcing(truncate=30), 25_000),
        Protocol("random tau, mean 30", LORENZ, plr.RandomForcing(30), 25_000),
        Protocol("tau annealed 1 to 77", LORENZ, plr.AnnealedForcing(1, AHEAD, 20_000), 25_000),
    ],
    "smooth": [
        *_smooth("LSTM", lambda key: plr.LSTM(25, key=key), 50),
        *_smooth("tanh RNN", lambda key: plr.TanhRNN(50, key=key), 50),
    ],
    "ecg": [
        Protocol(
            "ECG GTF .3",
            shallow(5, 250),
            plr.GeneralizedForcing(0.3),
            250_000,
            PUBLISHED,
            observation=lambda variables, states, key: plr.training.Affine(
                variables, states, key=key
            ),
        )  # fmt: skip
    ],
}
"""Tables: Lorenz-63 but for "ecg"."""


def keys_of(seed: int) -> Any:
    """Return the keys of network, observation model, and training."""
    return jr.split(jr.key(seed), 3)
