"""Milliseconds per gradient step: plrjax against the same step in eager PyTorch, on one core.

Both run whole updates in float32: draw windows, loss, gradient, RAdam. Run
`python -m benchmarks.training`; `--help` lists more.
"""

import argparse
import dataclasses
import functools
import importlib.util
import json
import statistics
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from benchmarks import timing

FACTS = timing.single_thread() if __name__ == "__main__" else {}

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

import plrjax as plr
from plrjax import training as tr
from plrjax._trials import LONGEST_GAP, checked_trials
from plrjax.training import _loss
from plrjax.training._engine import Carry, Recipe, advance
from plrjax.training._loss import Networks, forecast_loss
from plrjax.training._rollout import rollout
from plrjax.training._windows import Series, Windows, draw_windows, make_series

_HEAD = (
    "task | plrjax, ms | torch, ms | torch / plrjax | range | torch in segments / plrjax | range | "
    "adjoint / autodiff | range | noise"
)
_NO_TORCH = "PyTorch is not installed: its columns are empty"


@dataclasses.dataclass(frozen=True)
class Task:
    """A network and how it is trained; `hidden_size` 0 for a PLRNN without hidden layer."""

    state_size: int
    hidden_size: int
    batch_size: int
    sequence_length: int
    forcing: tr.AbstractForcing
    affine: bool = False


TASKS = {
    "plrnn-stf": Task(30, 0, 32, 100, tr.SparseForcing(16)),
    "shallow-gtf": Task(3, 50, 16, 200, tr.GeneralizedForcing(0.1)),
    "shallow-stf": Task(3, 50, 16, 200, tr.SparseForcing(16)),
    "ecg-gtf": Task(5, 250, 16, 200, tr.GeneralizedForcing(0.3), affine=True),
}


@dataclasses.dataclass(frozen=True)
class Rate:
    """A learning rate that starts at `first` and is multiplied by `factor` at each update."""

    first: float = 5e-3
    last: float = 5e-5
    num_steps: int = 25_000

    @property
    def factor(self) -> float:
        """Quotient of two successive rates."""
        return (self.last / self.first) ** (1.0 / self.num_steps)


RATE = Rate()


@functools.cache
def series_of(size: int, rows: int = 2_000) -> Any:
    """Return a standardized chaotic series of so many variables."""
    system = plr.systems.lorenz63() if size < 4 else plr.systems.lorenz96(size)
    return plr.systems.simulate(system, rows, key=jr.key(0), num_transient=1_000).observations


def prepare(task: Task) -> tuple[Carry, Series, Recipe]:
    """Return what `fit` hands to its compiled loop."""
    keys, size = jr.split(jr.key(1)), task.state_size
    if task.hidden_size:
        model = plr.ClippedShallowPLRNN(size, task.hidden_size, key=keys[0])
    else:
        model = plr.PLRNN(size, key=keys[0])
    observation = tr.Affine(size, size, key=keys[1]) if task.affine else tr.Identity(size)
    optimizer = tr.default_optimizer(RATE.num_steps, RATE.first, RATE.last)
    length = task.sequence_length
    recipe = Recipe(task.forcing, optimizer, (tr.L2(1e-5),), None, length, task.batch_size)
    trials = checked_trials("series", series_of(size))
    series = make_series(trials, None, None, length, LONGEST_GAP, jnp.float32)
    nets = Networks(model, observation)
    state = optimizer.init(eqx.filter(nets, eqx.is_inexact_array))
    zero, one = jnp.zeros((), jnp.int32), jnp.ones((), jnp.float32)
    return Carry(nets, state, task.forcing.init(), zero, one), series, recipe


class Compiled:
    """A training run of plrjax on its way; one call takes some updates."""

    def __init__(self, task: Task, updates: int):
        self.carry, self.series, self.recipe = prepare(task)
        self.updates, self.last = updates, jnp.nan

    def __call__(self) -> None:
        count = jnp.asarray(self.updates, jnp.int32)
        self.carry, notes, good = advance(self.carry, self.series, jr.key(2), count, self.recipe)
        if int(good) < self.updates:
            raise RuntimeError("an update of plrjax was not finite")
        self.last = float(notes.losses[self.updates - 1])


def forecast(nets: Networks, windows: Windows, recipe: Recipe, adjoint: bool) -> Any:
    """Return the loss of `fit`, differentiated by the adjoint recursion or automatically."""
    update = jnp.zeros((), jnp.int32)
    schedule = recipe.forcing.schedule((), jr.key(0), update, recipe.sequence_length)
    chosen = lambda *rows, **options: rollout(*rows, **options | {"adjoint": adjoint})
    with mock.patch.object(_loss, "rollout", side_effect=chosen) as called:
        found = forecast_loss(nets, windows, recipe.forcing, schedule)
    called.assert_called_once()
    return found


def gradients(carry: Carry, series: Series, recipe: Recipe) -> dict[str, Callable]:
    """Return the compiled gradient by the adjoint recursion, and by automatic differentiation."""
    windows = draw_windows(series, jr.key(3), recipe.batch_size, recipe.sequence_length)
    params, rest = eqx.partition(carry.nets, eqx.is_inexact_array)

    def compiled(adjoint: bool) -> Callable:
        loss = lambda p, w: forecast(eqx.combine(p, rest), w, recipe, adjoint)
        program = jax.jit(jax.value_and_grad(loss)).lower(params, windows).compile()
        return lambda: program(params, windows)

    return {"adjoint": compiled(True), "autodiff": compiled(False)}


def competitors(task: Task, ours: Compiled) -> dict[str, Any]:
    """Return the programs in PyTorch, none where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    from benchmarks import training_reference as reference

    reference.torch.set_num_threads(1)
    ways = {"torch": False} | ({"torch in segments": True} if task.forcing.segment else {})
    given = (ours.carry.nets, ours.series, ours.recipe, RATE)
    return {name: reference.EagerTorch(*given, segments=way) for name, way in ways.items()}


def ratios(slow: timing.Timing, fast: timing.Timing, share: float = 1.0) -> list[float]:
    """Return median, least and largest ratio of paired samples, multiplied by `share`."""
    pairs = [share * a / b for a, b in zip(slow.process, fast.process)]
    return [statistics.median(pairs), min(pairs), max(pairs)]


def measure(task: Task, *, repeats: int = 9, updates: int = 50, seconds: float = 0.2) -> dict:
    """Measure one task: milliseconds per update, and [median, least, largest] of each ratio."""
    ours = Compiled(task, updates)
    theirs = competitors(task, ours)
    timed = timing.alternate({"plrjax": ours, **theirs}, repeats=repeats, min_seconds=seconds)
    for run in theirs.values():
        run.check()
    found: dict[str, Any] = {"plrjax, ms": 1e3 * timed["plrjax"].best / updates}
    for name in theirs:
        found[f"{name}, ms"] = 1e3 * timed[name].best
        found[f"{name} / plrjax"] = ratios(timed[name], timed["plrjax"], updates)
    if not task.forcing.segment:
        timed |= timing.alternate(
            gradients(*prepare(task)), repeats=repeats, min_seconds=seconds / 2
        )
        found["adjoint / autodiff"] = ratios(timed["adjoint"], timed["autodiff"])
    return found | {"loss": ours.last, "noise": max(x.spread for x in timed.values())}


def line(name: str, found: dict) -> str:
    """Return one line of the table."""
    cells = [name] + [f"{found[k]:.3g}" if k in found else "-" for k in ("plrjax, ms", "torch, ms")]
    for key in ("torch / plrjax", "torch in segments / plrjax", "adjoint / autodiff"):
        median, least, largest = found.get(key, (None, None, None))
        missing = median is None
        cells += ["-", "-"] if missing else [f"{median:.2f}", f"{least:.2f} to {largest:.2f}"]
    return " | ".join([*cells, f"{found['noise']:.2f}"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--task", default=",".join(TASKS), help="names, separated by commas")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", help="file for the numbers")
    options = parser.parse_args(arguments)
    print(f"core {FACTS.get('core')}, settings in time: {FACTS.get('in_time')}")
    if importlib.util.find_spec("torch") is None:
        print(_NO_TORCH)
    print(_HEAD)
    table = {}
    for name in options.task.split(","):
        table[name] = measure(TASKS[name], repeats=options.repeats)
        print(line(name, table[name]), flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"facts": FACTS, "tasks": table}, file, indent=1)


if __name__ == "__main__":
    main()
