"""What no metric tells of networks trained on Lorenz-63: attractors, foci, locked cycles.

Run `python -m benchmarks.lorenz_audit SHARED_FOLDER [figure.png]`; it prints who ends on the small
attractor at each snapshot of training, the events of all fixed points, and the cycles on the
invariant circle around the left focus. `--help` says more.
"""

import argparse
import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax.random as jr
import numpy as np
from jaxtyping import Bool, Float

import plrjax as plr
from benchmarks.lorenz_audit_figure import Audit, draw
from benchmarks.lorenz_circles import (
    Families,
    Focus,
    families,
    followed,
    linear_paths,
    seeds_of,
)
from plrjax._parallel import one_thread_per_solve
from plrjax.attractors import AttractorSet

NETWORKS = {
    "gtf015": "data/networks/lorenz63_clipped_shallow_gtf015.npz",
    "agtf": "data/networks/lorenz63_clipped_shallow_agtf.npz",
}
SERIES = "data/series/lorenz63_on0.05_train.npy"
NUM_STATES, NUM_TRANSIENT, NUM_STEPS = 256, 60_000, 8_192
EARLY = 2_000
"""Orbits on the small attractor so soon started in its basin; later ones leaked from the chaos."""
_SMALL = 0.5
"""An attractor that is narrower than this share of the widest one, in every state, is small."""
_ORBIT = 20_000
GRID = 16
"""Places between two snapshots at which the circle is looked for."""
_SADDLE = -1.5
"""The third fixed point, a saddle, lies below; the foci above."""
QUIET = plr.NoProgress()


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


def load(path: pathlib.Path) -> tuple[list[Any], np.ndarray]:
    """Return the networks of a training and their epochs."""
    epochs = np.load(path)["epoch"]
    kind = "clipped-shallow"
    return [plr.load(path, kind=kind, index=index) for index in range(len(epochs))], epochs


def survey(name: str, models: Sequence[Any], epochs: np.ndarray, states: np.ndarray) -> list[dict]:
    """Print and return who ends on a small attractor at every snapshot."""
    print(
        f"{name}: captured after {EARLY} and after {NUM_TRANSIENT} steps, of {len(states)}; "
        "lambda_1 +- error (states)"
    )
    rows = []
    for epoch, model in zip(epochs.tolist(), models):
        begun = time.process_time()
        early = captures(model, states, key=jr.key(1), num_transient=EARLY)
        late = captures(model, states, key=jr.key(1))
        row = {
            "epoch": epoch,
            "early": int(early.captured.sum()),
            "late": int(late.captured.sum()),
            "small": late.says(True),
            "else": late.says(False),
            "left": sum(
                int(late.table.count[n])
                for n in np.flatnonzero(late.small)
                if late.table.orbit(n)[:, 0].mean() < 0
            ),
        }
        rows.append(row)
        print(
            f"{epoch:5d}  {row['early']:3d}  {row['late']:3d} ({row['left']} left)  "
            f"small: {row['small']}; else: {row['else']}; "
            f"{time.process_time() - begun:.1f} CPU s",
            flush=True,
        )
    return rows


def fixed_points(models: Sequence[Any], epochs: np.ndarray) -> plr.Bifurcations:
    """Return the events of all fixed points found at the snapshots."""
    return plr.detect_bifurcations(models, [1], key=jr.key(0), steps=epochs, progress=QUIET)


def foci(found: plr.Bifurcations, models: Sequence[Any]) -> tuple[Focus, Focus]:
    """Return the left and the right focus, among the fixed points of the first network."""
    paths = linear_paths(models)
    chosen = {}
    for branch in found.alive_at(0):
        one = Focus(found, paths, branch)
        point, _ = one.pieces(np.zeros(1, int), np.zeros(1))
        pair = one.multipliers(np.zeros(1, int), np.zeros(1))[0, 0].imag != 0
        if pair and point[0, 2] > _SADDLE:
            chosen.setdefault(bool(point[0, 0] > 0), one)
    return chosen[False], chosen[True]


def print_tongues(found: plr.Bifurcations) -> None:
    """Print, for every period and interval, where the first cycle is born and the last one dies."""
    folds = found.subtype == plr.COLLISION.nonsmooth_fold
    for period in sorted(set(found.period.tolist())):
        for interval in sorted(set(found.interval[found.period == period].tolist())):
            own = np.flatnonzero((found.period == period) & (found.interval == interval))
            edges = own[folds[own]]
            print(
                f"  period {period}, interval {interval}: {len(own)} events, {len(edges)} folds "
                f"(births {int((found.num_after[edges] == 2).sum())}), "
                f"s = {found.s[own].min():.10f} to {found.s[own].max():.10f}, "
                f"{len(set(found.branch[own].tolist()))} branches in events"
            )


def kept_captures(folder: pathlib.Path | None, trainings: dict, states: np.ndarray) -> dict:
    """Return captures, from a file in a folder if it is there; else find and write them."""
    place = None if folder is None else folder / "captures.json"
    if place is not None and place.exists():
        return json.loads(place.read_text())
    rows = {name: survey(name, *both, states=states) for name, both in trainings.items()}
    if place is not None:
        place.write_text(json.dumps(rows, indent=1))
    return rows


def kept_cycles(folder: pathlib.Path | None, focus: Focus, circles: Families, epochs):
    """Return the cycles on the circles, from a file if it is there; else find and write them."""
    place = None if folder is None else folder / "cycles.npz"
    if place is not None and place.exists():
        return plr.Bifurcations.load(place)
    found = followed(focus.paths, seeds_of(focus, circles), epochs)
    if place is not None:
        found.save(place)
    return found


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=pathlib.Path, help="folder of the shared networks and data")
    parser.add_argument("figure", type=pathlib.Path, nargs="?", help="where to draw")
    parser.add_argument("--seed", type=int, default=0, help="of the initial states")
    parser.add_argument("--keep", type=pathlib.Path, help="folder of results to write, and reuse")
    arguments = parser.parse_args()
    states = initial_states(np.load(arguments.shared / SERIES), arguments.seed)
    trainings = {name: load(arguments.shared / place) for name, place in NETWORKS.items()}
    rows = kept_captures(arguments.keep, trainings, states)
    events = {name: fixed_points(*training) for name, training in trainings.items()}
    for name, found in events.items():
        alive = [len(found.alive_at(number)) for number in range(len(found.steps))]
        print(f"\n{name}: {found}\nfixed points at the snapshots: {alive}")
    models, epochs = trainings["gtf015"]
    left, right = foci(events["gtf015"], models)
    print(f"\nleft focus: branch {left.branch}; right focus: branch {right.branch}")
    with one_thread_per_solve():
        begun = time.process_time()
        around = families(left, GRID)
        cycles = kept_cycles(arguments.keep, left, around, epochs)
        print_tongues(cycles)
        print(f"{time.process_time() - begun:.0f} CPU s\n{cycles}")
    if arguments.figure is not None:
        draw(arguments.figure, Audit(models, epochs, left, right, around, cycles, rows))


if __name__ == "__main__":
    main()
