"""Do loss jumps in training coincide with bifurcations (Eisenmann et al. 2023)?

Run `python -m benchmarks.loss_jumps [figure.png] [--look-ahead] [--quick]`; `--help` says more.
"""

import argparse
import dataclasses

from benchmarks import timing

if __name__ == "__main__":
    MACHINE = timing.single_thread()

import time
from collections.abc import Sequence

import jax.random as jr
import numpy as np

import plrjax as plr
from benchmarks.loss_jumps_figure import plot
from benchmarks.loss_jumps_task import (
    QUICK,
    QUIET,
    Comparison,
    Outlook,
    Sample,
    Settings,
    Share,
    Trained,
    compared,
    drawn_rows,
    looked_ahead,
    matched_rows,
    measured,
    train,
)

FORCED = 0.1
"""Strength of the forcing in the smooth runs."""
LOOKED = 0.05
"""Strength of the forcing in the runs that look ahead."""
NUM_LOOKED, EPOCHS_LOOKED = 6, 1_000
SHOWN = 18
"""Start in the figure: chosen, because it jumps and recovers."""
SHOWN_STEPS = 700


@dataclasses.dataclass(frozen=True, eq=False)
class Association:
    """All runs of one strength of forcing: jumps, steps drawn from the others, and matched ones."""

    runs: Sequence[Trained]
    jumps: Sample
    drawn: Sample
    matched: Sample

    @property
    def first_jumps(self) -> Sample:
        """The first jump of each run, as jumps of one run are not independent."""
        return self.jumps[np.unique(self.jumps.run, return_index=True)[1]]


def associate(settings: Settings, alpha: float) -> Association:
    """Train from all starts, and follow the cycles along jumps and steps to compare them with."""
    runs = []
    for seed in range(settings.num_starts):
        runs.append(train(settings, seed, alpha))
        run = runs[-1]
        ended = "diverged" if run.diverged else f"loss {run.losses[-1]:.3f}"
        jumps = ", ".join(map(str, run.jumps(settings.ratio)))
        print(f"alpha={alpha:g} start {seed}: {len(run.losses)} updates, {ended}; jumps: {jumps}",
              flush=True)  # fmt: skip
    rows = [(n, int(i)) for n, run in enumerate(runs) for i in run.jumps(settings.ratio)]
    begun = time.perf_counter()
    jumps = measured(settings, runs, rows)
    drawn = measured(settings, runs, drawn_rows(settings, runs))
    matched = measured(settings, runs, matched_rows(settings, runs, jumps))
    count, seconds = len(jumps) + len(drawn) + len(matched), time.perf_counter() - begun
    print(f"cycles followed along {count} updates in {seconds:.0f} s", flush=True)
    return Association(runs, jumps, drawn, matched)


def comparisons(found: Association) -> list[tuple[str, Comparison]]:
    """Return the rows of the table: two definitions of an event, three of what to compare."""
    sets = [
        ("jumps, steps at random", found.jumps, found.drawn),
        ("first jumps, steps at random", found.first_jumps, found.drawn),
        ("jumps, steps as long", found.jumps, found.matched),
    ]
    rows = []
    for event in ("attractors", "events"):
        for name, jumps, others in sets:
            having = getattr(jumps, event) > 0, getattr(others, event) > 0
            rows.append((f"{event}: {name}", compared(*having)))
    return rows


def report(found: Association) -> None:
    """Print what each jump crosses, and the shares of updates that cross an event."""
    print("\nstart update loss before, after; events; of these with an attractor lost or gained")
    for run, update, _, events, attractors in zip(*vars(found.jumps).values()):
        before, after = found.runs[run].losses[update : update + 2]
        print(f"{run:5d}{update:7d}{before:12.3f}{after:12.4g}{events:8d}{attractors:5d}")
    print(
        f"\n{'event: updates compared':44s}{'with a jump':32s}{'without':32s}odds ratio, Fisher's p"
    )
    for name, one in comparisons(found):
        ratio = f"{one.ratio:.3g} [{one.low:.3g}, {one.high:.3g}], {one.p:.1e}"
        print(f"{name:44s}{str(one.with_jump):32s}{str(one.without):32s}{ratio}")
    middle = [np.median(x.length) for x in (found.jumps, found.drawn, found.matched) if len(x)]
    print("median length of an update, same order:", " ".join(f"{x:.2g}" for x in middle))


def report_forced(settings: Settings, found: Association) -> None:
    """Print what forced training does from the same starts."""
    having = Share(int((found.drawn.attractors > 0).sum()), len(found.drawn))
    events = Share(int((found.drawn.events > 0).sum()), len(found.drawn))
    updates = sum(len(run.losses) for run in found.runs)
    losses = [run.losses[-1] for run in found.runs]
    print(f"\nalpha={FORCED:g}: {len(found.jumps)} jumps in {updates} updates of "
          f"{settings.num_starts} starts, {sum(run.diverged for run in found.runs)} diverged, "
          f"final loss {np.median(losses):.3f}")  # fmt: skip
    print(
        f"steps at random that cross an event: {events}; that lose or gain an attractor: {having}"
    )


def shown(settings: Settings, seed: int, alpha: float) -> tuple[Trained, plr.Bifurcations]:
    """Train from one start, and follow the cycles along every update."""
    run = train(dataclasses.replace(settings, num_steps=SHOWN_STEPS), seed, alpha)
    last = len(run.losses)
    found = plr.detect_bifurcations(
        run.models[:last], settings.periods, key=jr.key(seed), losses=run.losses,
        gradient_norms=run.norms, progress=QUIET,
    )  # fmt: skip
    print(f"\nalpha={alpha:g}, start {seed}, every update:")
    print(found[(found.attractor != 0) | np.isin(found.interval, run.jumps(settings.ratio))])
    return run, found


def look_ahead(settings: Settings, tolerance: float) -> list[tuple[Outlook, Outlook]]:
    """Return pairs of runs from the same start: one acts on what lies ahead, one only watches."""
    pairs = []
    print(f"\nlook-ahead, alpha={LOOKED:g}, {settings.num_steps} updates, tolerance {tolerance:g}")
    print(f"{'start':>5s}{'attractors lost, watching':>34s}{'acting':>30s}{'thrown away':>13s}"
          f"{'loss, watching':>16s}{'acting':>8s}")  # fmt: skip
    for seed in range(settings.num_starts):
        watch, act = (
            looked_ahead(settings, seed, LOOKED, acting, tolerance) for acting in (False, True)
        )
        pairs.append((watch, act))
        print(f"{seed:5d}{str(watch.crossings):>34s}{str(act.crossings):>30s}{act.tries:13d}"
              f"{watch.loss:16.4f}{act.loss:8.4f}", flush=True)  # fmt: skip
    total = [
        Share(sum(p[i].crossings.hits for p in pairs), sum(p[i].crossings.total for p in pairs))
        for i in (0, 1)
    ]
    print(f"  all{str(total[0]):>34s}{str(total[1]):>30s}{sum(p[1].tries for p in pairs):13d}"
          f"{np.median([p[0].loss for p in pairs]):16.4f}"
          f"{np.median([p[1].loss for p in pairs]):8.4f}")  # fmt: skip
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loss_jumps", description=__doc__)
    parser.add_argument("output", nargs="?", help="PNG file to write")
    parser.add_argument("--look-ahead", action="store_true", help="only the runs that look ahead")
    parser.add_argument("--tolerance", type=float, default=1.0, help="of the runs that look ahead")
    parser.add_argument("--figure-only", action="store_true", help="no table")
    parser.add_argument("--quick", action="store_true", help="few short runs")
    parser.add_argument("--periods", type=int, default=1, help="follow periods up to this one")
    options = parser.parse_args()
    print(f"pinned to core {MACHINE['core']}; one thread from the start: {MACHINE['in_time']}")
    settings = QUICK if options.quick else Settings()
    periods = tuple(range(1, options.periods + 1))
    settings = dataclasses.replace(settings, periods=periods)
    if options.look_ahead:
        count, epochs = (2, 100) if options.quick else (NUM_LOOKED, EPOCHS_LOOKED)
        look_ahead(
            dataclasses.replace(settings, num_starts=count, num_steps=epochs), options.tolerance
        )
        return
    if not options.figure_only:
        report(associate(settings, 0.0))
        report_forced(settings, associate(settings, FORCED))
    if options.output:
        pairs = [shown(settings, SHOWN, alpha) for alpha in (0.0, FORCED)]
        plot(settings, pairs).savefig(options.output, dpi=96, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
