"""Coexisting attractors of networks trained on Lorenz-63: who ends on the small one at the focus.

Run `python -m benchmarks.lorenz_audit SHARED_FOLDER`; it prints a row per snapshot of training.
"""

import argparse
import dataclasses
import pathlib
import time
from typing import Any

import jax.random as jr
import numpy as np
from jaxtyping import Bool, Float

import plrjax as plr
from plrjax.bifurcations import AttractorSet

NETWORK = "data/networks/lorenz63_clipped_shallow_gtf015.npz"
SERIES = "data/series/lorenz63_on0.05_train.npy"
NUM_STATES, NUM_TRANSIENT, NUM_STEPS = 256, 60_000, 8_192
EARLY = 2_000
"""Orbits on the small attractor so soon started in its basin; later ones leaked from the chaos."""
_SMALL = 0.5
"""An attractor that is narrower than this share of the widest one, in every state, is small."""
_ORBIT = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class Captures:
    """Which initial states ended on a small attractor.

    **Fields:** `table`, the attractors, one row each; `small`, which rows are small; `captured`,
    which initial states ended on one.
    """

    table: AttractorSet
    small: Bool[np.ndarray, " attractor"]
    captured: Bool[np.ndarray, " start"]

    @property
    def share(self) -> float:
        """Share of the initial states on small attractors."""
        return float(self.captured.mean())

    def says(self, small: bool) -> str:
        """Return kind, exponent and error of the small attractors, or of the others."""
        rows = np.flatnonzero(self.small == small)
        texts = [
            f"{self.table.name(row)} {self.table.lyapunov[row]:.5f}"
            f" +- {self.table.standard_error[row]:.5f} ({self.table.count[row]})"
            for row in rows
        ]
        return ", ".join(texts) or "none"


def captures(
    model: Any,
    states: Float[np.ndarray, "start state"],
    *,
    key: Any,
    num_transient: int = NUM_TRANSIENT,
    num_steps: int = NUM_STEPS,
) -> Captures:
    """Return which initial states are on a small attractor after `num_transient` steps.

    Attractors are told apart, and their kind is found, over the `num_steps` steps that follow.
    """
    table = plr.find_attractors(
        model, states, key=key, num_transient=num_transient, num_steps=num_steps
    )
    map = model.as_piecewise_affine()
    width = np.array([_width(map, table.orbit(row)) for row in range(len(table))])
    width = width.reshape(len(table), -1)
    with np.errstate(invalid="ignore"):
        small = (width < _SMALL * np.nanmax(width, axis=0, initial=0.0)).all(axis=1)
    captured = (table.label >= 0) & small[table.label]
    return Captures(table, small, captured)


def _width(map: plr.PiecewiseAffineMap, points: np.ndarray) -> Float[np.ndarray, " state"]:
    """Return the standard deviation of every state along an attractor; NaN where there is none."""
    if not len(points):
        return np.full(map.state_size, np.nan)
    orbit, state = np.empty((_ORBIT, map.state_size)), points[-1]
    for step in range(_ORBIT):
        orbit[step] = state = map.apply(state)
    return orbit.std(axis=0)


def initial_states(series: np.ndarray, seed: int = 0) -> Float[np.ndarray, "start state"]:
    """Return states drawn from the training data, without replacement."""
    rows = np.random.default_rng(seed).choice(len(series), NUM_STATES, replace=False)
    return np.asarray(series[rows], np.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=pathlib.Path, help="folder of the shared networks and data")
    parser.add_argument("--seed", type=int, default=0, help="of the initial states")
    arguments = parser.parse_args()
    path = arguments.shared / NETWORK
    states = initial_states(np.load(arguments.shared / SERIES), arguments.seed)
    epochs = np.load(path)["epoch"]
    print(
        f"epoch  after {EARLY}  after {NUM_TRANSIENT}  of {NUM_STATES}; lambda_1 +- error (states)"
    )
    for index, epoch in enumerate(epochs):
        begun = time.perf_counter()
        model = plr.load(path, kind="clipped-shallow", index=index)
        early = captures(model, states, key=jr.key(1), num_transient=EARLY)
        late = captures(model, states, key=jr.key(1))
        print(
            f"{epoch:5d}  {early.captured.sum():10d}  {late.captured.sum():11d}  "
            f"small: {late.says(True)}; else: {late.says(False)}; "
            f"{time.perf_counter() - begun:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
