"""Where walks start: windows of itineraries cut from one table of regions."""

import abc
import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from .._elimination import solve_rows
from .._numerics import quiet_floats
from .._piecewise_affine import PiecewiseAffineMap, structure_of

_BURN_IN = 300
_HUGE = 1e120

_RENORMALIZED = 4
"""Steps after which tangent vectors of a simulation get length 1 again: none grows by 1e70 each."""

_SCALE_WORK = 2**29
"""Operations, about, that the natural scale is worth: its order of size is all that counts."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Simulated orbits of a map, from initial points at the map's own scale.

    **Fields:** `states`: the orbits; an orbit that runs away is restarted at a new point;
    `regions`: their activation patterns; `growth`: largest mean log growth of a tangent vector
    over the orbits (per step, nats), an estimate of the top Lyapunov exponent;
    `scale`: typical size of the states.
    """

    states: Float[np.ndarray, "orbit time state"]
    regions: Bool[np.ndarray, "orbit time unit"]
    growth: float
    scale: float

    @functools.cached_property
    def rows(self) -> Bool[np.ndarray, "row unit"]:
        """The regions of all orbits, one behind the other: row = orbit * time + t."""
        return self.regions.reshape(-1, self.regions.shape[2])


def natural_scale(map: PiecewiseAffineMap, generator: np.random.Generator) -> float:
    """Return the typical size of the map's states: the median of its (virtual) fixed points."""
    count = int(np.clip(_SCALE_WORK // map.state_size**3, 4, 256))
    J, c = map.affine_piece(generator.random((count, map.num_units)) < 0.5)
    with quiet_floats():
        points = solve_rows(np.eye(map.state_size) - J, c)
        sizes = np.abs(points[np.isfinite(points).all(axis=1)]).max(axis=1, initial=0.0)
        rows = np.linalg.norm(map.W2, axis=1)
        switching = np.abs(map.h2[rows > 0]) / rows[rows > 0]
    sizes = np.concatenate([sizes, np.abs(map.h1), switching])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(sizes)) if sizes.size else 1.0


def simulate(
    map: PiecewiseAffineMap, num_orbits: int, num_steps: int, generator: np.random.Generator
) -> Sample:
    """Simulate orbits from Gaussian initial points in growing boxes around the natural scale."""
    with quiet_floats():
        scale = natural_scale(map, generator)

    def fresh(count: int) -> np.ndarray:
        box = min(scale, 1e300) * 10.0 ** generator.uniform(-1.0, 1.0, (count, 1))
        return box * generator.standard_normal((count, map.state_size))

    read, push = _applied(map)
    regions = np.empty((num_steps, num_orbits, map.num_units), bool)
    states = np.empty((num_steps, num_orbits, map.state_size))
    both = np.concatenate([fresh(num_orbits), generator.standard_normal(states.shape[1:])])
    z, v = both[:num_orbits], both[num_orbits:]
    growth, steps = np.zeros(num_orbits), np.zeros(num_orbits)
    largest = _HUGE * max(scale, 1.0)
    with quiet_floats():
        for t in range(num_steps):
            states[t] = z
            y = read(both)
            y[:num_orbits] += map.h2
            np.greater(y[:num_orbits], 0.0, out=regions[t])
            outputs = np.where(regions[t], y.reshape(2, *regions[t].shape), 0.0)
            both[:] = push(both, outputs.reshape(y.shape))
            z += map.h1
            if t % _RENORMALIZED == _RENORMALIZED - 1:
                growth, steps = _renormalized(v, growth, steps, t)
            if not max(z.max(), -z.min()) < largest:
                lost = ~(np.abs(z).max(axis=1) < largest)
                z[lost] = fresh(int(lost.sum()))
                growth[lost] = steps[lost] = 0.0
    long = steps >= min(100, num_steps - 50)
    rate = float((growth[long] / np.maximum(steps[long], 1)).max()) if long.any() else 0.0
    order = lambda rows: np.ascontiguousarray(np.swapaxes(rows, 0, 1))
    return Sample(order(states), order(regions), rate, scale)


def _renormalized(
    v: np.ndarray, growth: np.ndarray, steps: np.ndarray, t: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give tangent vectors length 1; return log growth and steps, counted from step 50 on."""
    norm = np.linalg.norm(v, axis=1)
    alive = (norm > 0) & (norm < np.inf)
    if t >= 50:
        growth = growth + np.where(alive, np.log(np.where(alive, norm, 1.0)), 0.0)
        steps = steps + _RENORMALIZED
    v[:] = np.where(alive[:, None], v / np.where(alive, norm, 1.0)[:, None], 1.0)
    return growth, steps


def _applied(map: PiecewiseAffineMap) -> tuple[Callable, Callable]:
    """Return z -> W2 z and (z, y) -> A z + W1 y, without products by diagonal A or W2 = 1."""
    diagonal, plain = structure_of(map)
    a, A, W1, W2 = np.diag(map.A), map.A.T, map.W1.T, map.W2.T
    read = (lambda z: z.copy()) if plain else (lambda z: z @ W2)
    return read, (lambda z, y: z * a + y @ W1) if diagonal else (lambda z, y: z @ A + y @ W1)


@dataclasses.dataclass(frozen=True)
class SeedTable:
    """Starts of walks as data: walk i of kind i mod K takes the k rows from one of `starts[kind]`.

    **Fields:** `regions`: rows of activation patterns; `starts`: first rows that a window of k
    rows may begin at, padded; `counts`: how many of them each kind has.
    """

    regions: Bool[np.ndarray, "row unit"]
    starts: Int[np.ndarray, "kind start"]
    counts: Int[np.ndarray, " kind"]


class AbstractSeeding(abc.ABC):
    """A strategy for the itineraries that walks start from."""

    @abc.abstractmethod
    def rows(
        self, sample: Sample, period: int, generator: np.random.Generator
    ) -> tuple[Bool[np.ndarray, "row unit"], Int[np.ndarray, " start"]]:
        """Return rows of regions, and the rows at which a window of `period` rows may start."""

    def parts(self) -> tuple["AbstractSeeding", ...]:
        """Return the strategies to be used in turn (itself, unless it is a mixture)."""
        return (self,)


def _windows(sample: Sample, period: int, first: int, last: int) -> np.ndarray:
    """Return the flat rows orbit * time + t for t in [first, last] that leave room for a window."""
    orbits, time = sample.regions.shape[:2]
    last = max(min(last, time - period), 0)
    first = min(first, last)
    return (np.arange(orbits)[:, None] * time + np.arange(first, last + 1)).reshape(-1)


@dataclasses.dataclass(frozen=True)
class TransientItineraries(AbstractSeeding):
    """Itineraries of simulated points after 0 to `burn_in` steps: best for few, long cycles."""

    burn_in: int = _BURN_IN

    def rows(self, sample, period, generator):
        return sample.rows, _windows(sample, period, 0, self.burn_in)


@dataclasses.dataclass(frozen=True)
class FlippedItineraries(AbstractSeeding):
    """The same with each bit flipped with `probability`: best in chaos."""

    probability: float = 0.02
    burn_in: int = _BURN_IN

    def __post_init__(self):
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability: expected a number in [0, 1], got {self.probability!r}")

    def rows(self, sample, period, generator):
        rows = sample.rows.copy()
        if self.probability > 0:
            gaps = generator.geometric(
                self.probability, int(1.1 * self.probability * rows.size) + 99
            )
            places = np.cumsum(gaps) - 1
            rows.reshape(-1)[places[places < rows.size]] ^= True
        return rows, _windows(sample, period, 0, self.burn_in)


@dataclasses.dataclass(frozen=True)
class RegionPool(AbstractSeeding):
    """Independent draws from the regions that simulated orbits visit."""

    def rows(self, sample, period, generator):
        order = generator.permutation(len(sample.rows))
        return sample.rows[order], np.arange(max(len(order) - period + 1, 1))


@dataclasses.dataclass(frozen=True)
class CloseReturns(AbstractSeeding):
    """Itineraries of orbit pieces that nearly close after k steps, the closest `share` of them."""

    share: float = 0.05

    def __post_init__(self):
        if not 0 < self.share <= 1:
            raise ValueError(f"share: expected a number in (0, 1], got {self.share!r}")

    def rows(self, sample, period, generator):
        starts = _windows(sample, period, 0, sample.regions.shape[1])
        states = sample.states.reshape(-1, sample.states.shape[2])
        ends = np.minimum(starts + period, len(states) - 1)
        with quiet_floats():
            gap = np.linalg.norm(states[ends] - states[starts], axis=1)
            gap = gap / (np.linalg.norm(states[starts], axis=1) + sample.scale)
        keep = max(1, int(self.share * len(starts)))
        return sample.rows, starts[np.sort(np.argpartition(gap, keep - 1)[:keep])]


@dataclasses.dataclass(frozen=True)
class UniformItineraries(AbstractSeeding):
    """Fair coin flips, as the published algorithm starts (Eisenmann et al. 2023)."""

    def rows(self, sample, period, generator):
        count, units = sample.rows.shape
        bytes = np.frombuffer(generator.bytes(-(-count * units // 8)), np.uint8)
        rows = np.unpackbits(bytes, count=count * units).reshape(count, units).view(bool)
        return rows, np.arange(max(count - period + 1, 1))


@dataclasses.dataclass(frozen=True)
class MixtureSeeding(AbstractSeeding):
    """Several strategies in turn, walk by walk."""

    strategies: tuple[AbstractSeeding, ...]

    def __post_init__(self):
        if not self.strategies:
            raise ValueError("strategies: expected at least one seeding, got none")

    def rows(self, sample, period, generator):
        return self.strategies[0].rows(sample, period, generator)

    def parts(self):
        return self.strategies


def default_seeding(map: PiecewiseAffineMap, period: int) -> MixtureSeeding:
    """Return the mixture measured to be best; fair coin flips only where words are short.

    Close returns reach few long cycles soonest, flipped itineraries and independent regions reach
    all cycles of chaotic maps, and no single kind wins everywhere.
    """
    short = period * map.num_units <= 64
    last = UniformItineraries() if short else FlippedItineraries(probability=0.1)
    close, flipped = CloseReturns(), FlippedItineraries()
    return MixtureSeeding((close, flipped, RegionPool(), close, TransientItineraries(), last))


def generator_of(key: PRNGKeyArray, *indices: int) -> np.random.Generator:
    """Return a NumPy generator determined by a JAX key and indices folded into it."""
    words = np.asarray(_folded(key, np.array(indices, np.uint32))).astype(np.uint32).reshape(-1)
    return np.random.default_rng(words.tolist())


@jax.jit
def _folded(key: PRNGKeyArray, indices: UInt32[Array, " index"]):
    """Return the data of a key with indices folded into it, one after the other."""
    for index in indices:
        key = jr.fold_in(key, index)
    return jr.key_data(key)


def seed_table(
    seeding: AbstractSeeding, sample: Sample, period: int, generator: np.random.Generator
) -> SeedTable:
    """Return the rows and starts of every part of a strategy, one behind the other."""
    blocks: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for part in seeding.parts():
        if id(part) not in known:
            known[id(part)] = part.rows(sample, period, generator)
        rows, begin = known[id(part)]
        place = next((i for i, block in enumerate(blocks) if block is rows), len(blocks))
        if place == len(blocks):
            blocks.append(rows)
        starts.append(begin + sum(map(len, blocks[:place])))
    width = len(sample.rows)
    padded = np.stack([np.resize(begin, width) for begin in starts])
    counts = np.array([len(begin) for begin in starts])
    return SeedTable(np.concatenate(blocks), padded, counts)
