"""All 2H exponents of an LSTM, one orbit, QR at each step: plrjax against an eager PyTorch loop.

Times are of whole calls of `lyapunov_spectrum` with two numbers of steps: the slope is the time of
a step, the rest the fixed cost (frames, pilot, audits), without what compiles in the first call.
"""

import importlib
import importlib.util

import jax.random as jr
import numpy as np

import plrjax as plr
from benchmarks import timing

SIZES = {64: 400, 128: 120, 256: 30}
"""Numbers of units H, and steps of the shorter run: about half a second each."""
HEAD = (
    "LSTM, H | exponents | lambda_1 | torch, ms per step | plrjax, ms per step | ratio | "
    "fixed, s | first call, s | noise"
)
_LONGER = 4
"""Steps of the longer run over those of the shorter."""
_GAIN = 4.0
"""Of the recurrent weights: exponents about zero, spread over 8 nats."""


def network(size: int) -> plr.LSTM:
    """Return the LSTM with that many units."""
    draw = np.random.default_rng([size, 1])
    W = _GAIN * draw.standard_normal((4 * size, size)) / np.sqrt(size)
    return plr.from_arrays("lstm", W=W, b=draw.standard_normal(4 * size))


class EagerTorch:
    """One orbit in PyTorch: the frame pushed by the derivatives of the gates, then `linalg.qr`."""

    def __init__(self, model: plr.LSTM):
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
        self.torch, self.length, self.steps = torch, 1, 0
        self.W, self.b = (torch.tensor(np.asarray(x, np.float64)) for x in (model.W, model.b))
        size = model.state_size
        self.h, self.c = torch.full((2, size // 2), 0.1, dtype=torch.float64)
        draw = np.random.default_rng(1)
        self.frame = torch.linalg.qr(torch.tensor(draw.standard_normal((size, size))))[0]
        self.sums = torch.zeros(size, dtype=torch.float64)

    def __call__(self) -> None:
        torch = self.torch
        for _ in range(self.length):
            self.frame, R = torch.linalg.qr(self.push())
            self.sums = self.sums + torch.log(torch.abs(torch.diagonal(R)))
        self.steps += self.length

    def push(self):
        """Move the state; return J Q."""
        torch, c = self.torch, self.c
        i, f, g, o = (self.W @ self.h + self.b).chunk(4)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        upper, lower = self.frame.chunk(2)
        di, df, dg, do = (self.W @ upper).chunk(4)
        column = lambda x: x[:, None]
        dc = column(f) * lower + column(c * f * (1 - f)) * df
        dc = dc + column(g * i * (1 - i)) * di + column(i * (1 - g * g)) * dg
        self.c = f * c + i * g
        t = torch.tanh(self.c)
        self.h = o * t
        dh = column(t * o * (1 - o)) * do + column(o * (1 - t * t)) * dc
        return torch.cat([dh, dc])

    def exponents(self) -> np.ndarray:
        """Return the means until now."""
        return np.sort(self.sums.numpy() / self.steps)[::-1]


def row(size: int, repeats: int) -> str:
    """Measure one size and return its line of the table."""
    model, steps = network(size), SIZES[size]
    start, found = np.full(2 * size, 0.1), {}

    def spectrum(count: int) -> None:
        options = {"num_steps": count, "num_transient": 0, "num_orbits": 1, "spread": 0}
        options |= {"qr_every": 1, "progress": plr.NoProgress(), "key": jr.key(0)}
        found[count] = plr.lyapunov_spectrum(model, start, **options)

    first = timing.first_call(lambda: spectrum(steps))
    runs = {"short": lambda: spectrum(steps), "long": lambda: spectrum(_LONGER * steps)}
    if importlib.util.find_spec("torch") is not None:
        runs["torch"] = loop = EagerTorch(model)
        loop.length = _LONGER * steps
        loop()
        check(loop.exponents(), found[steps].exponents)
    timed = timing.alternate(runs, repeats=repeats, min_seconds=0.0)
    per_step = (timed["long"].best - timed["short"].best) / ((_LONGER - 1) * steps)
    fixed = timed["short"].best - per_step * steps
    eager = timed["torch"].best / (_LONGER * steps) if "torch" in timed else None
    cells = [str(size), str(2 * size), f"{found[_LONGER * steps].exponents[0]:.3f}"]
    cells += ["not installed" if eager is None else f"{1e3 * eager:.3g}", f"{1e3 * per_step:.3g}"]
    cells += ["-" if eager is None else f"{eager / per_step:.2f}", f"{fixed:.2f}"]
    noise = max(t.spread for t in timed.values())
    return " | ".join([*cells, f"{first - timed['short'].best:.1f}", f"{noise:.2f}"])


def check(loop: np.ndarray, found: np.ndarray) -> None:
    """Refuse to compare programs that do not find the same sum of exponents, within 2 percent."""
    if abs(loop.sum() - found.sum()) > 0.02 * abs(found.sum()):
        raise RuntimeError(
            f"the loop's exponents add up to {loop.sum():.4g}, not {found.sum():.4g}"
        )
