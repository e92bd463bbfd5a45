"""Training on a membrane potential step by step: losses, and the bifurcations each step crosses.

Full-batch gradient descent on one window is deterministic: the loss before update i is L(theta_i),
and the update runs along the straight line from theta_i to theta_{i+1}.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import optax
import scipy.stats
from jaxtyping import Bool, Float, Int
from scipy.stats.contingency import odds_ratio

import plrjax as plr
from plrjax.bifurcations import Decision
from plrjax.training import Snapshots

QUIET = plr.NoProgress()
LEVEL = 0.95
"""Of all intervals."""
Updates = Sequence[tuple[int, int]]
"""Pairs (run, update)."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The experiment.

    **Fields:** `num_starts`, networks drawn with jr.key(0), jr.key(1), ...; `num_steps`, updates
    (epochs) of each; `rate` of gradient descent; `length` of the window in steps of `stride`
    samples; `state_size`, `hidden_size`; `decay`, `gain`, factors on A and W1 of the first network,
    by which it forgets its initial state; `periods` followed; `num_controls`, steps without a jump
    drawn from each run, and matched to each jump; `ratio` that makes a jump.
    """

    num_starts: int = 20
    num_steps: int = 2_000
    rate: float = 0.01
    length: int = 60
    stride: int = 3
    state_size: int = 3
    hidden_size: int = 10
    decay: float = 0.9
    gain: float = 0.5
    periods: tuple[int, ...] = (1,)
    num_controls: int = 40
    num_matched: int = 5
    ratio: float = 3.0


QUICK = Settings(num_starts=4, num_steps=300, num_controls=5, num_matched=2)


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A run: `models` theta_0 ... theta_n and `losses` of theta_0 ... theta_{n-1}.

    **Fields:** `norms` of the gradient, as many as losses; `lengths` |theta_{i+1} - theta_i| of all
    updates; `diverged`, whether the loss or gradient of theta_n was not finite.
    """

    models: list
    losses: Float[np.ndarray, " network"]
    norms: Float[np.ndarray, " network"]
    lengths: Float[np.ndarray, " update"]
    diverged: bool

    def jumps(self, ratio: float) -> Int[np.ndarray, " jump"]:
        """Return the updates over which the loss grows by more than a factor and stays finite."""
        return np.flatnonzero(self.losses[1:] > ratio * self.losses[:-1])


@functools.cache
def membrane(settings: Settings) -> Float[np.ndarray, "time variable"]:
    """Return one window of V, n, h of the bursting neuron: a silence, then spikes."""
    series = plr.systems.simulate(plr.systems.bursting_neuron(), 4_000, key=jr.key(0))
    voltage = series.observations[:, 0]
    onset = np.flatnonzero((voltage[:-1] < -0.5) & (voltage[1:] >= -0.5))[1]
    first = onset - settings.length * settings.stride // 3
    rows = first + settings.stride * np.arange(settings.length + 1)
    return series.observations[rows].astype(np.float32)


def first_network(settings: Settings, seed: int) -> plr.ShallowPLRNN:
    """Return the network that training begins with."""
    model = plr.ShallowPLRNN(settings.state_size, settings.hidden_size, key=jr.key(seed))
    scaled = settings.decay * model.A, settings.gain * model.W1
    return eqx.tree_at(lambda m: (m.A, m.W1), model, scaled)


descent = functools.cache(optax.sgd)
"""One optimizer for each rate, so that all starts share one compiled program."""


def gradient_descent(settings: Settings, seed: int, alpha: float, callbacks: Sequence):
    """Train from one start by full-batch gradient descent; forcing of strength 0 is none."""
    return plr.fit(
        first_network(settings, seed),
        membrane(settings),
        key=jr.key(seed),
        forcing=plr.GeneralizedForcing(alpha) if alpha else plr.NoForcing(),
        optimizer=descent(settings.rate),
        num_steps=settings.num_steps,
        sequence_length=settings.length,
        batch_size=1,
        callbacks=callbacks,
        throw=False,
        progress=QUIET,
    )


def train(settings: Settings, seed: int, alpha: float) -> Trained:
    """Train from one start and keep every network."""
    kept = Snapshots(1)
    run = gradient_descent(settings, seed, alpha, [kept])
    norms = np.linalg.norm(run.gradient_norms.astype(float), axis=1)
    flat = np.array([parameters(model) for model in kept.models])
    lengths = np.linalg.norm(np.diff(flat, axis=0), axis=1)
    diverged = run.result is plr.RESULTS.not_finite
    return Trained(kept.models, run.losses.astype(float), norms, lengths, diverged)


def parameters(model: plr.AbstractDynamics) -> Float[np.ndarray, " parameter"]:
    """Return all parameters in one vector."""
    leaves = [np.ravel(leaf) for leaf in jax.tree.leaves(model)]
    return np.concatenate(leaves).astype(float)


def window_loss(model, data: Float[np.ndarray, "time variable"], alpha: float) -> float:
    """Return the loss of one window in float64, written out: z' = F((1 - alpha) z + alpha x)."""
    map, wanted = model.as_piecewise_affine(), data.astype(float)
    z, total = wanted[0], 0.0
    for observed in wanted[1:]:
        z = map.apply(z)
        total += np.mean((z - observed) ** 2)
        z = (1.0 - alpha) * z + alpha * observed
    return total / (len(wanted) - 1)


class Carried(NamedTuple):
    """What one update crosses: `events`, and how many of them change the `attractors`."""

    events: int
    attractors: int


def carried(found: plr.Bifurcations) -> Carried:
    """Return how many events there are, and in how many an attracting cycle is lost or gained."""
    return Carried(len(found), int((found.attractor != 0).sum()))


def crossed(models: Sequence, update: int, periods: Iterable[int]) -> Carried:
    """Return what the update from one network to the next crosses."""
    pair = list(models[update : update + 2])
    return carried(plr.detect_bifurcations(pair, periods, key=jr.key(update), progress=QUIET))


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Updates of all runs, one row each: run, update, whether the loss jumped, what it crosses."""

    run: Int[np.ndarray, " row"]
    update: Int[np.ndarray, " row"]
    length: Float[np.ndarray, " row"]
    events: Int[np.ndarray, " row"]
    attractors: Int[np.ndarray, " row"]

    def __len__(self) -> int:
        return len(self.run)

    def __getitem__(self, rows) -> "Sample":
        return Sample(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


def measured(settings: Settings, runs: Sequence[Trained], rows: Updates) -> Sample:
    """Follow the cycles along the updates named by (run, update)."""
    found = [crossed(runs[run].models, update, settings.periods) for run, update in rows]
    pairs = np.array(rows, int).reshape(-1, 2)
    lengths = np.array([runs[run].lengths[update] for run, update in rows], float)
    counts = np.array(found, int).reshape(-1, 2)
    return Sample(pairs[:, 0], pairs[:, 1], lengths, counts[:, 0], counts[:, 1])


def drawn_rows(settings: Settings, runs: Sequence[Trained]) -> Updates:
    """Return updates without a jump, as many at random from each run."""
    rows = []
    for number, run in enumerate(runs):
        quiet = quiet_updates(settings, run)
        draw = np.random.default_rng(number)
        picked = draw.choice(quiet, min(settings.num_controls, len(quiet)), replace=False)
        rows += [(number, int(update)) for update in np.sort(picked)]
    return rows


def matched_rows(settings: Settings, runs: Sequence[Trained], jumps: Sample) -> Updates:
    """Return, for each jump, the updates without one nearest to it in length, none twice."""
    pool = [(n, int(i)) for n, run in enumerate(runs) for i in quiet_updates(settings, run)]
    sizes = np.log([runs[n].lengths[i] for n, i in pool])
    free, rows = np.ones(len(pool), bool), []
    for length in np.sort(jumps.length)[::-1]:
        distance = np.where(free, np.abs(sizes - np.log(length)), np.inf)
        nearest = np.argsort(distance, kind="stable")[: min(settings.num_matched, int(free.sum()))]
        free[nearest] = False
        rows += [pool[place] for place in nearest]
    return rows


def quiet_updates(settings: Settings, run: Trained) -> Int[np.ndarray, " update"]:
    """Return the updates with a finite loss at both ends that are no jumps."""
    moving = np.flatnonzero(run.lengths[: max(len(run.losses) - 1, 0)] > 0)
    return np.setdiff1d(moving, run.jumps(settings.ratio))


class Share(NamedTuple):
    """So many of so many, and Wilson's interval."""

    hits: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        if not self.total:
            return 0.0, 1.0
        found = scipy.stats.binomtest(self.hits, self.total).proportion_ci(LEVEL, "wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        if not self.total:
            return "0/0"
        low, high = self.interval
        return f"{self.hits}/{self.total} = {self.hits / self.total:.0%} [{low:.0%}, {high:.0%}]"


class Comparison(NamedTuple):
    """Two shares, their odds ratio with its interval, and Fisher's one-sided p."""

    with_jump: Share
    without: Share
    ratio: float
    low: float
    high: float
    p: float


def share(having: Bool[np.ndarray, " row"]) -> Share:
    """Return the share of rows that have something."""
    return Share(int(np.sum(having)), len(having))


def compared(with_jump: Bool[np.ndarray, " row"], without: Bool[np.ndarray, " row"]) -> Comparison:
    """Compare the share of jumps that carry an event with that of other updates (Fisher 1935)."""
    shares = share(with_jump), share(without)
    if not all(one.total for one in shares) or not sum(one.hits for one in shares):
        return Comparison(*shares, np.nan, np.nan, np.nan, np.nan)
    table = np.array([[one.hits, one.total - one.hits] for one in shares])
    found = odds_ratio(table)
    low, high = found.confidence_interval(LEVEL)
    p = scipy.stats.hypergeom.sf(table[0, 0] - 1, table.sum(), table[:, 0].sum(), table[0].sum())
    return Comparison(*shares, float(found.statistic), float(low), float(high), float(p))


@dataclasses.dataclass(frozen=True, eq=False)
class Outlook:
    """What became of a run that looks ahead, or only watches.

    **Fields:** `decisions` of the callback; `loss`, median over the last tenth of the updates;
    `diverged`.
    """

    decisions: tuple[Decision, ...]
    loss: float
    diverged: bool

    @property
    def crossings(self) -> Share:
        """Of the stretches of updates kept, how many lose an attracting cycle."""
        return share(np.array([d.lost for d in self.decisions if d.choice != "tried again"], bool))

    @property
    def tries(self) -> int:
        """How many stretches were thrown away."""
        return sum(d.choice == "tried again" for d in self.decisions)


def looked_ahead(settings: Settings, seed: int, alpha: float, act: bool, tolerance: float):
    """Train with a look ahead of ten updates (epochs), acted upon or not."""
    ahead = plr.LookAhead(settings.periods, 10, key=jr.key(seed), act=act, tolerance=tolerance)
    run = gradient_descent(settings, seed, alpha, [ahead])
    late = run.losses[-max(1, len(run.losses) // 10) :].astype(float)
    return Outlook(
        tuple(ahead.decisions),
        float(np.median(late)) if len(late) else np.nan,
        run.result is plr.RESULTS.not_finite,
    )
