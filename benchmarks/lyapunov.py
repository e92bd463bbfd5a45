"""Nanoseconds per step of one orbit with all exponents: plrjax's pooled orbits against numba loops.

Those follow chaotic PLRNNs z' = A z + W relu(z) + h in float64, tangent frames included; a second
table is of LSTMs, one orbit each, against PyTorch (where it is installed). Run
`python -m benchmarks.lyapunov`; `--memory` measures the gradient instead; `--help` lists more.
"""

import argparse
import importlib.util

from benchmarks import timing

FACTS = timing.single_thread() if __name__ == "__main__" else {}

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import plrjax as plr
from benchmarks import lyapunov_lstm as lstm
from benchmarks import lyapunov_reference as reference
from plrjax._lyapunov._plan import make_plan
from plrjax._lyapunov._runner import Runner
from plrjax._numerics import float64_scope
from plrjax._parallel import one_thread_per_solve

_NETWORKS = {2: (375, 3.0, 0.0), 3: (138, 4.0, 0.0), 10: (21, 4.0, 4.0)}
_LARGE = {50: (0, 2.5, 6.0), 100: (0, 3.0, 10.0)}
"""Seed, gain and inhibition of networks that were chosen because they are chaotic and bounded."""
_SAMPLE = 0.15
"""Seconds of one sample, about."""
_LONGEST = 10**6
"""Longer than any interval chosen."""
_HEAD = (
    "M | lambda_1 | orbits | tau | loop, QR each | loop, tau | plrjax, QR each | plrjax, tau | "
    "ratio QR each | loop QR each / plrjax tau | ratio tau | noise | eager torch / plrjax"
)


def network(size: int) -> plr.PLRNN:
    """Return the chaotic PLRNN of that size."""
    seed, gain, inhibition = (_NETWORKS | _LARGE)[size]
    draw = np.random.default_rng([seed, size])
    A = draw.uniform(0.3, 0.6, size)
    W = gain * draw.standard_normal((size, size)) / np.sqrt(size) - inhibition / size
    np.fill_diagonal(W, 0.0)
    return plr.from_arrays("plrnn", A=A, W=W, h=draw.standard_normal(size))


class TooLong(Exception):
    """Growth varied more than in the pilot; holds the interval that a run would go on with."""


class Pooled:
    """plrjax's orbits on their way, past both transients."""

    def __init__(self, model: plr.PLRNN, interval: int):
        options = {"key": jr.key(0), "inputs": None, "num_steps": 1, "num_exponents": None}
        options |= {"num_transient": 500, "num_orbits": None, "spread": 1e-3}
        self.plan = make_plan(model, np.full(model.state_size, 0.1), **options)
        self.runner = Runner(self.plan)
        self.runner.begin()
        self.runner.pilot()
        self.runner.interval = min(interval, self.runner.longest)
        self.runner.advance(500)
        self.interval, self.length, self.steps, self.sum = self.runner.interval, 1, 0, 0.0

    def __call__(self) -> None:
        """Measure for a while."""
        sums = self.runner.call(self.interval, self.length, 1)
        if sums is None:
            raise TooLong(self.runner.interval)
        self.sum = self.sum + np.asarray(sums.logs)[0]
        self.steps += self.interval * self.length

    def exponents(self) -> np.ndarray:
        """Return the means until now."""
        return np.sort((self.sum / self.steps).mean(axis=1))[::-1]


def lengthen(run, seconds: float) -> None:
    """Make one call of a competitor last that long."""
    run()
    while timing.measure(run, repeats=2, min_seconds=0.0).best < seconds / 2:
        run.length *= 2


def row(size: int, repeats: int) -> str:
    """Measure one size and return its line; again where the interval had to be shortened."""
    interval = _LONGEST
    while True:
        try:
            return measured(size, repeats, interval)
        except TooLong as error:
            interval = error.args[0]


def measured(size: int, repeats: int, interval: int) -> str:
    """Measure one size with that interval at most."""
    model = network(size)
    loops = reference.competitors(model)
    ours = {"qr1": Pooled(model, 1), "auto": Pooled(model, interval)}
    tau = ours["auto"].interval
    for name, run in reference.competitors(model, tau).items():
        loops[f"{name}@{tau}"] = run
    if importlib.util.find_spec("torch") is not None:
        loops["torch@1"] = reference.EagerTorch(model)
    for run in (*loops.values(), *ours.values()):
        lengthen(run, _SAMPLE)
    timed = timing.alternate({**loops, **ours}, repeats=repeats, min_seconds=0.0)
    check(loops, ours)
    orbits = ours["qr1"].plan.num_orbits
    per_step = {k: timed[k].best / (run.interval * run.length) for k, run in loops.items()}
    single = min(v for k, v in per_step.items() if "@" not in k)
    rare = min(v for k, v in per_step.items() if k.endswith(f"@{tau}") and "torch" not in k)
    pooled = {k: timed[k].best / (run.interval * run.length * orbits) for k, run in ours.items()}
    noise = max(t.spread for t in timed.values())
    first = ours["auto"].exponents()[0]
    numbers = [single, rare, pooled["qr1"], pooled["auto"]]
    ratios = [single / pooled["qr1"], single / pooled["auto"], rare / pooled["auto"]]
    cells = [f"{1e9 * x:.3g}" for x in numbers] + [f"{x:.2f}" for x in (*ratios, noise)]
    eager = per_step.get("torch@1")
    cells.append("not installed" if eager is None else f"{eager / pooled['qr1']:.0f}")
    return " | ".join([str(size), f"{first:.3f}", str(orbits), str(tau), *cells])


def check(loops: dict, ours: dict) -> None:
    """Refuse to compare programs that do not find the same first exponent and sum."""
    truth = ours["auto"].exponents()
    for name, run in {**loops, **ours}.items():
        found = run.exponents()
        slack = 5.0 / np.sqrt(run.steps * (1 if name in loops else ours["auto"].plan.num_orbits))
        if abs(found[0] - truth[0]) > slack + 0.02 or abs(found.sum() - truth.sum()) > 10 * slack:
            raise RuntimeError(
                f"{name} finds {found[0]:.4f} (sum {found.sum():.3f}), not {truth[0]:.4f}"
            )


def memory(size: int = 20, num_steps: int = 2_000) -> None:
    """Print memory and time of the gradient with and without checkpoints."""
    weights = 1.2 * np.random.default_rng(0).standard_normal((size, size)) / np.sqrt(size)

    def loss(W, checkpoint):
        step = lambda z: jnp.tanh(W @ z)
        options = {"num_steps": num_steps, "num_exponents": size, "key": jr.key(0)}
        found = plr.lyapunov_exponents(step, jnp.full(size, 0.1), remat=checkpoint, **options)
        return jnp.mean(found**2)

    with jax.enable_x64(True):
        W, runs, bytes_ = jnp.asarray(weights), {}, {}
        for name, flag in (("checkpointed", True), ("plain", False)):
            compiled = jax.jit(jax.grad(lambda W, flag=flag: loss(W, flag))).lower(W).compile()
            bytes_[name] = compiled.memory_analysis().temp_size_in_bytes
            runs[name] = lambda compiled=compiled: compiled(W)
        timed = timing.alternate(runs, repeats=5)
    share = bytes_["checkpointed"] / bytes_["plain"]
    slower = timing.ratio(timed["checkpointed"], timed["plain"])
    plain, kept = (bytes_[name] / 2**20 for name in ("plain", "checkpointed"))
    print(f"gradient at M={size}, T={num_steps}: {plain:.1f} MiB without checkpoints,")
    print(f"{kept:.2f} MiB with: a share of {share:.3f}, {slower:.2f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="2,3,10,50,100", help="numbers of states of PLRNNs")
    parser.add_argument("--lstm", default="64,128,256", help="numbers of units of LSTMs")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", action="store_true", help="the gradient's memory instead")
    options = parser.parse_args()
    if options.memory:
        memory()
        return
    print(f"core {FACTS['core']}, settings in time: {FACTS['in_time']}; nanoseconds per step")
    print(_HEAD)
    with float64_scope(), one_thread_per_solve():
        for size in filter(None, options.size.split(",")):
            print(row(int(size), options.repeats), flush=True)
    print(lstm.HEAD)
    for size in filter(None, options.lstm.split(",")):
        print(lstm.row(int(size), options.repeats), flush=True)


if __name__ == "__main__":
    main()
