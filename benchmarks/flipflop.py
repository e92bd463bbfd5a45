"""Three bits that a GRU and an LSTM learn to hold: their fixed points, and those that Adam finds.

Run `python -m benchmarks.flipflop`; `--help` lists the options. Networks are trained (Sussillo,
Barak 2013), searched without input by `find_fixed_points`, and by Adam on |F(z) - z|^2 / 2 from
as many states of the same orbits, as is common.
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import plrjax as plr
from plrjax import STABILITY

BITS = 3
_PULSES = 0.1
"""Chance of a pulse on each channel at each step."""
_ADAM_STEPS, _ADAM_RATE = 5000, 1e-2
"""Of the descent on the speed, with a rate that falls to a hundredth."""


def task(steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pulses of +1 and -1, and the last one on each channel."""
    rng = np.random.default_rng(seed)
    pulses = rng.choice([-1.0, 1.0], (steps, BITS)) * (rng.uniform(size=(steps, BITS)) < _PULSES)
    pulses[0] = rng.choice([-1.0, 1.0], BITS)
    held = pulses.copy()
    for row in range(1, steps):
        held[row] = np.where(pulses[row] == 0, held[row - 1], pulses[row])
    return pulses.astype(np.float32), held.astype(np.float32)


def trained(kind, hidden: int, updates: int, seed: int) -> plr.TrainingRun:
    """Train a network and its readout on the task."""
    keys = jr.split(jr.key(seed), 3)
    pulses, held = task(20_000, seed)
    return plr.fit(
        kind(hidden, key=keys[0], input_size=BITS),
        inputs=pulses,
        targets=held,
        loss=lambda predicted, target: jnp.mean((predicted[20:] - target[20:]) ** 2),
        observation_model=plr.training.Affine(BITS, hidden, key=keys[1]),
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3)),
        sequence_length=100,
        batch_size=32,
        num_steps=updates,
        key=keys[2],
    )


def by_adam(model, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where Adam ends that descends |F(z) - z|^2 / 2, and the largest entries there."""
    with jax.enable_x64(True):
        wrong = jax.vmap(lambda z: model.step(z) - z)
        speed = lambda z: jnp.sum(wrong(z) ** 2) / 2
        optimizer = optax.adam(optax.exponential_decay(_ADAM_RATE, _ADAM_STEPS, 0.01))

        @jax.jit
        def descend(z):
            def one(carry, _):
                z, state = carry
                change, state = optimizer.update(jax.grad(speed)(z), state)
                return (optax.apply_updates(z, change), state), None

            (z, _), _ = jax.lax.scan(one, (z, optimizer.init(z)), length=_ADAM_STEPS)
            return z

        found = descend(jnp.asarray(starts, jnp.float64))
        return np.asarray(found), np.asarray(jnp.abs(wrong(found)).max(axis=1))


def visited(model, count: int, seed: int) -> np.ndarray:
    """Return states of the network at its task."""
    pulses, _ = task(2000, seed + 1)
    orbit = np.asarray(plr.trajectory(model, np.zeros(model.state_size), len(pulses), pulses))
    return orbit[np.random.default_rng(seed).integers(100, len(orbit), count)].astype(float)


def apart(points: np.ndarray) -> int:
    """Return how many points are further than 1e-3 from each other."""
    kept: list[np.ndarray] = []
    for point in points:
        if not kept or np.abs(np.stack(kept) - point).max(axis=1).min() > 1e-3:
            kept.append(point)
    return len(kept)


def draw(path: str, panels: list[tuple[str, plr.TrainingRun, plr.CycleSet]]) -> None:
    """Draw the fixed points of each network as its readout shows them, over its states at work."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(9.6, 4.8), layout="constrained")
    for number, (name, run, found) in enumerate(panels):
        B, b = (np.asarray(getattr(run.observation_model, name)) for name in "Bb")
        size = found.state_size // (1 + isinstance(run.model, plr.LSTM))  # (h, c)
        shown = lambda z, B=B, b=b, size=size: np.asarray(z)[:, :size] @ B.T + b
        ax = figure.add_subplot(1, len(panels), number + 1, projection="3d")
        states = visited(run.model, 3000, 5)
        ax.plot(*shown(states).T, ls="", marker=".", ms=1.5, color="0.7", label="at its task")
        for code, marker, color in (
            (STABILITY.saddle, "^", "#d55e00"),
            (STABILITY.stable, "o", "#0072b2"),
        ):
            points = found.points[found.stability == code, 0]
            label = f"{len(points)} {code.name}"
            ax.scatter(*shown(points).T, marker=marker, color=color, s=36, label=label)
        ax.set_title(f"{name}, {found.state_size} states: {len(found)} fixed points")
        for axis, text in zip("xyz", ("first bit", "second bit", "third bit")):
            getattr(ax, f"set_{axis}label")(text)
            getattr(ax, f"set_{axis}ticks")([-1, 0, 1])
        ax.set_box_aspect(None, zoom=0.86)
        ax.legend(loc="upper left", bbox_to_anchor=(-0.1, 0.98))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", help="draw the fixed points to this file")
    parser.add_argument("--hidden", type=int, default=24)
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--starts", type=int, default=1024)
    options = parser.parse_args()
    print("| network | loss | method | stable | saddles | largest residual | index sum | s |")
    print("|---|---|---|---|---|---|---|---|")
    panels = []
    for kind in (plr.GRU, plr.LSTM):
        run = trained(kind, options.hidden, options.updates, options.seed)
        model = plr.with_inputs(run.model, np.zeros(BITS))
        model = jax.tree.map(lambda x: np.asarray(x, float) if eqx.is_array(x) else x, model)
        states = visited(run.model, options.starts, options.seed)
        head = f"| {kind.__name__} | {run.losses[-100:].mean():.1e} "
        begun = time.perf_counter()
        found = plr.find_fixed_points(model, key=jr.key(0), states=states)
        seconds = time.perf_counter() - begun
        panels.append((kind.__name__, run, found))
        count = lambda code: int(np.count_nonzero(found.stability == code))
        print(
            f"{head}| find_fixed_points | {count(STABILITY.stable)} | {count(STABILITY.saddle)} "
            f"| {found.residual.max():.1e} | {found.index_sum(1)} | {seconds:.1f} |", flush=True,
        )  # fmt: skip
        begun = time.perf_counter()
        points, wrong = by_adam(model, states)
        seconds = time.perf_counter() - begun
        for limit in (1e-4, 1e-10):
            good = points[wrong < limit]
            stable = [
                z for z in good if np.abs(np.linalg.eigvals(plr.jacobian(model, z))).max() < 1
            ]
            print(
                f"{head}| Adam, residual < {limit:.0e} | {apart(np.array(stable))} "
                f"| {apart(good) - apart(np.array(stable))} "
                f"| {wrong[wrong < limit].max(initial=0):.1e} | | {seconds:.1f} |", flush=True,
            )  # fmt: skip
    if options.figure is not None:
        draw(options.figure, panels)


if __name__ == "__main__":
    main()
