"""Fixed points and short cycles along the 150 snapshots of a published multistable network.

Run `python -m benchmarks.multistable SHARED_FOLDER [figure.png]`; it follows all fixed points from
snapshot to snapshot (every word is tried along the whole path), compares their numbers with
complete enumeration at each snapshot, asks of every end of a segment why it is there, and searches
for longer cycles. `--help` says more.
"""

import argparse
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax.random as jr
import numpy as np
from jaxtyping import Int
from scipy.io import loadmat

import plrjax as plr

NETWORKS = "data/networks/for_LE_multistable.mat"
LONGER = (2, 3, 4)
EVERY = 10
"""Snapshots from one search for longer cycles to the next."""
QUIET = plr.NoProgress()


def load(path: pathlib.Path) -> list[Any]:
    """Return the networks of all snapshots."""
    count = len(loadmat(path)["W1"])
    return [plr.load(path, kind="shallow", index=index) for index in range(count)]


def enumerated(models: Sequence[Any], rows: Sequence[int]) -> Int[np.ndarray, " row"]:
    """Return the number of fixed points of some snapshots, by complete enumeration."""
    solver = plr.Exhaustive()
    return np.array(
        [len(plr.find_cycles(models[n], [1], solver=solver, progress=QUIET)) for n in rows]
    )


def numbers_alive(found: plr.Bifurcations) -> Int[np.ndarray, " network"]:
    """Return the number of branches that exist at each snapshot."""
    return np.array([len(found.alive_at(n)) for n in range(len(found.steps))])


def ends(found: plr.Bifurcations) -> dict[str, int]:
    """Count the ends of all segments: at events, at snapshots, elsewhere.

    An end at a snapshot inside the path is `lost` unless its branch goes on behind it;
    `unexplained` ends have no event, and a note each.
    """
    low, high = found.stats["range"]
    counts: dict[str, int] = dict.fromkeys(("events", "outer", "linked", "lost", "unexplained"), 0)
    for row in range(len(found.segment_low)):
        number, branch = int(found.segment_interval[row]), int(found.segment_branch[row])
        for at, place, edge, beside in (
            (found.segment_first[row], found.segment_low[row], low, number - 1),
            (found.segment_last[row], found.segment_high[row], high, number + 1),
        ):
            if at >= 0:
                counts["events"] += 1
            elif at == -1 and place == edge:
                outer = not 0 <= beside < len(found.steps) - 1
                there = (found.segment_interval == beside) & (found.segment_branch == branch)
                other = found.segment_high if beside < number else found.segment_low
                linked = (there & (other == (high if beside < number else low))).any()
                counts["outer" if outer else "linked" if linked else "lost"] += 1
            else:
                counts["unexplained"] += 1
    return counts


def longer(models: Sequence[Any]) -> plr.Bifurcations:
    """Return the events of longer cycles that a search finds at some of the snapshots."""
    search = plr.bifurcations.Search(every=EVERY)
    return plr.detect_bifurcations(
        models, LONGER, key=jr.key(0), search=search, progress=plr.ProgressBar()
    )


def draw(path: pathlib.Path, found: plr.Bifurcations, models: Sequence[Any]) -> None:
    """Draw branches and events into a file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 7.0), layout="constrained")
    plr.plot.bifurcations(found, models, figure=figure)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Print what was found and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=pathlib.Path, help="folder of the shared networks and data")
    parser.add_argument("figure", type=pathlib.Path, nargs="?", help="where to draw")
    parser.add_argument("--fixed-points-only", action="store_true", help="no longer cycles")
    arguments = parser.parse_args()
    models = load(arguments.shared / NETWORKS)
    begun = time.process_time()
    found = plr.detect_bifurcations(models, [1], progress=QUIET)
    print(f"{found}\n{time.process_time() - begun:.1f} CPU s")
    alive, wanted = numbers_alive(found), enumerated(models, range(len(models)))
    values, count = np.unique(alive, return_counts=True)
    print(f"fixed points: {dict(zip(values.tolist(), count.tolist()))} (number: snapshots)")
    print(f"snapshots where enumeration disagrees: {np.flatnonzero(alive != wanted).tolist()}")
    print(f"ends of segments: {ends(found)}; notes: {len(found.notes)}")
    lost = [(b.number, b.born, b.lost) for b in found.branches]
    print(f"branches (number, born in event, lost in event; -1 is an end of the path): {lost}")
    if arguments.figure is not None:
        draw(arguments.figure, found, models)
    if not arguments.fixed_points_only:
        begun = time.process_time()
        cycles = longer(models)
        print(f"{cycles}\n{time.process_time() - begun:.1f} CPU s, periods {LONGER}")


if __name__ == "__main__":
    main()
