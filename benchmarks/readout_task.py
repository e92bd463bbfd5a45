"""Next-character prediction on CPython's documentation: text, networks, epochs of training.

The runs of a group (same cell and size) are stacked along the first axis of every array.
"""

import dataclasses
import itertools
from pydoc_data.topics import topics
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

import plrjax as plr

ALPHABET = ' abcdefghijklmnopqrstuvwxyz.,"_'
CHARACTERS = len(ALPHABET) + 1
"""The last number stands for every other character."""

OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
"""Without the learning rate, which is an array of each run."""

_moments = jax.jit(jax.vmap(OPTIMIZER.init))


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is trained, and where the exponents are measured.

    Every cell, size, gain and learning rate is a run. `early` and `late` are the epochs compared,
    `late` the last one; spectra are measured at `records`, along `sequences` stretches of the
    validation text.
    """

    cells: tuple[str, ...] = ("LSTM", "GRU")
    sizes: tuple[int, ...] = (16, 24, 32)
    gains: tuple[float, ...] = (0.25, 1.0, 2.0, 4.0, 8.0, 16.0)
    rates: tuple[float, ...] = (1e-3, 4e-3, 1.6e-2)
    early: int = 4
    late: int = 15
    records: tuple[int, ...] = (0, 1, 2, 4, 8, 15)
    characters: int = 320_000
    validation: float = 0.1
    streams: int = 32
    window: int = 64
    sequences: int = 10
    num_steps: int = 1000
    num_transient: int = 100
    seed: int = 0


QUICK = Settings(
    sizes=(12,),
    gains=(0.25, 2.0, 16.0),
    rates=(4e-3, 1.6e-2),
    early=1,
    late=3,
    records=(0, 1, 3),
    characters=60_000,
    num_steps=200,
)


class Windows(NamedTuple):
    """Text cut into streams side by side and these into windows, and what follows each character.

    States are carried from one window to the next, gradients are not.
    """

    characters: Int[Array | np.ndarray, "window time stream"]
    following: Int[Array | np.ndarray, "window time stream"]


class Network(eqx.Module):
    """A recurrent cell on one-hot characters, and logits V h + d of the next one."""

    cell: plr.AbstractDynamics
    V: Float[Array, "character hidden"]
    d: Float[Array, " character"]

    def logits(self, state):
        """Return the logits from a state, which begins with h."""
        return self.V @ state[: self.V.shape[1]] + self.d


class Runs(NamedTuple):
    """Networks in training, their Adam moments and learning rates."""

    network: Network
    moments: optax.OptState
    rate: Float[Array, "*run"]


def read_text(length: int) -> Int[np.ndarray, " time"]:
    """Return the first characters of Python's help topics as numbers.

    Every line counts once: topics quote each other, and validation text must not have been seen.
    """
    every = (line.strip() for name in sorted(topics) for line in topics[name].splitlines())
    text = " ".join(" ".join(dict.fromkeys(every)).lower().split())
    if len(text) < length:
        raise ValueError(f"length: expected at most the {len(text)} of this Python, got {length}")
    number = {sign: place for place, sign in enumerate(ALPHABET)}
    return np.array([number.get(sign, len(ALPHABET)) for sign in text[:length]], np.int32)


def cut(text: Int[np.ndarray, " time"], streams: int, window: int) -> Windows:
    """Return contiguous text as windows of that many steps; what does not fill one is left out."""
    count = (len(text) - 1) // (streams * window)
    used = streams * window * count
    shape = lambda part: part.reshape(streams, count, window).transpose(1, 2, 0)
    return Windows(shape(text[:used]), shape(text[1 : used + 1]))


def draw_network(kind: str, size: int, gain: float, key: PRNGKeyArray) -> Network:
    """Draw a `plrjax.LSTM` or `plrjax.GRU` with recurrent weights times `gain`, and a readout."""
    cell = getattr(plr, kind)(size, key=jr.fold_in(key, 0), input_size=CHARACTERS)
    cell = eqx.tree_at(lambda c: c.W, cell, gain * cell.W)
    bound = size**-0.5
    V = jr.uniform(jr.fold_in(key, 1), (CHARACTERS, size), minval=-bound, maxval=bound)
    return Network(cell, V, jnp.zeros(CHARACTERS))


def begin(networks: list[Network], rates: list[float]) -> Runs:
    """Return the runs of a group before training."""
    stacked = jax.tree.map(lambda *arrays: jnp.asarray(np.stack(arrays)), *networks)
    return Runs(stacked, _moments(stacked), jnp.array(rates))


def single_cell(runs: Runs, run: int) -> plr.AbstractDynamics:
    """Return the recurrent cell of one run."""
    return jax.tree.map(lambda array: np.asarray(array)[run], runs.network.cell)


def cross_entropy(network: Network, states, characters, following) -> tuple[Array, Array]:
    """Return nats per character over one window of all streams, and the states after it."""

    def advance(states, signs):
        states = jax.vmap(network.cell.step)(states, jax.nn.one_hot(signs, CHARACTERS))
        return states, states

    states, path = lax.scan(advance, states, characters)
    logits = jax.vmap(jax.vmap(network.logits))(path)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, following)
    return losses.mean(), states


def _at_rest(network: Network, windows: Windows) -> Array:
    return jnp.zeros((windows.characters.shape[-1], network.cell.state_size), network.V.dtype)


def _one_epoch(run: Runs, windows: Windows) -> Runs:
    def update(carry, window):
        (network, moments, rate), states = carry
        differentiate = jax.grad(cross_entropy, has_aux=True)
        gradient, states = differentiate(network, states, *window)
        with jax.numpy_dtype_promotion("standard"):  # Adam raises a float to its integer count
            direction, moments = OPTIMIZER.update(gradient, moments)
        network = jax.tree.map(lambda value, along: value - rate * along, network, direction)
        return (Runs(network, moments, rate), states), None

    return lax.scan(update, (run, _at_rest(run.network, windows)), windows)[0][0]


@jax.jit
def train_epoch(runs: Runs, windows: Windows) -> Runs:
    """Train every run once through the text.

    Run after run inside one program, which one CPU core does sooner than side by side (`vmap`).
    """
    return lax.map(lambda run: _one_epoch(run, windows), runs)


@jax.jit
def validate(runs: Runs, windows: Windows) -> Float[Array, " run"]:
    """Return the nats per character of every run on a text."""

    def one(network):
        def advance(states, window):
            loss, states = cross_entropy(network, states, *window)
            return states, loss

        return lax.scan(advance, _at_rest(network, windows), windows)[1].mean()

    return lax.map(one, runs.network)


class Record(NamedTuple):
    """What a `plrjax.LyapunovProbe` is called with."""

    step: int
    model: plr.AbstractDynamics


class Group(NamedTuple):
    """Validation losses "run epoch" and histories of the exponents of runs of one cell and size."""

    loss: Float[np.ndarray, "run epoch"]
    history: list[plr.SpectrumHistory]


def train_group(settings: Settings, kind: str, size: int) -> Group:
    """Train all gains and learning rates of one cell and size, and probe them on the way."""
    text = read_text(settings.characters)
    split = round(len(text) * (1.0 - settings.validation))
    train, held_out = (
        cut(part, settings.streams, settings.window) for part in (text[:split], text[split:])
    )
    grid = list(itertools.product(settings.gains, settings.rates))
    key = jr.fold_in(jr.fold_in(jr.key(settings.seed), settings.cells.index(kind)), size)
    networks = [
        draw_network(kind, size, gain, jr.fold_in(key, run)) for run, (gain, _) in enumerate(grid)
    ]
    runs = begin(networks, [rate for _, rate in grid])
    probes = [_probe(settings, networks[0].cell.state_size, text[split:]) for _ in grid]
    losses = []
    for epoch in range(settings.late + 1):
        runs = train_epoch(runs, train) if epoch else runs
        losses.append(np.asarray(validate(runs, held_out)))
        if epoch in settings.records:
            for run, probe in enumerate(probes):
                probe(Record(epoch, single_cell(runs, run)))
    return Group(np.stack(losses, axis=1), [probe.history for probe in probes])


def _probe(settings: Settings, state_size: int, text) -> plr.LyapunovProbe:
    """Return a probe that drives a network at rest by stretches of a text."""
    length = 2 * settings.num_transient + settings.num_steps
    stretches = text[: settings.sequences * length].reshape(settings.sequences, length)
    return plr.LyapunovProbe(
        np.zeros(state_size),
        key=jr.key(settings.seed),
        inputs=np.eye(CHARACTERS)[stretches],
        num_steps=settings.num_steps,
        num_transient=settings.num_transient,
        spread=0,
    )
