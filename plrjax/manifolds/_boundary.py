"""Basin boundaries: states on them, the saddles that hold them, and how far others are."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from .._arguments import check_kind, checked_key, checked_whole
from .._host import on_host
from .._job import deadline_of, job
from .._numerics import as_float64, float64_scope
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower, with_a_unit
from .._progress import AbstractProgress
from .._results import RESULTS
from .._saved import AbstractSaved
from .._tables import Table
from ..attractors import AttractorSet
from ..attractors._labels import Labels
from ..cycles._seeding import generator_of
from ._boundary_ways import Search


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class BasinBoundary(AbstractSaved):
    """States on the boundary of basins, to rounding, each from a pair with different attractors.

    **Fields**, one row per state:

    - `points`: the state; `sides`: rows of the attractors on both sides.
    - `normal`: unit normal of the boundary there, towards the second side.
    - `saddle`: row in `saddles` of the cycle that the orbit along the boundary comes to; -1 where
        it came to none within the rounds.
    - `states`, `distance`: where the search began, and how far that is: an upper bound of the
        distance of `states` to the boundary, and where `distance_to_boundary` made it, a least one
        nearby.

    and of the whole:

    - `saddles`: points of the saddles, NaN beyond their period; `period`; `multiplier`, the one
        outside the unit circle; `share`: of all states on the boundary that came to a cycle or not.
    - `names`: of the attractors; `num_tried`: pairs that were tried; `result`, `notes`.
    """

    file_type = "basin boundary"
    file_bounds = {"saddle": (-1, "saddle", -1), "period": (1, "time", 0)}

    points: Float[np.ndarray, "point state"]
    sides: Int[np.ndarray, "point 2"]
    normal: Float[np.ndarray, "point state"]
    saddle: Int[np.ndarray, " point"]
    states: Float[np.ndarray, "point state"]
    distance: Float[np.ndarray, " point"]
    saddles: Float[np.ndarray, "saddle time state"]
    period: Int[np.ndarray, " saddle"]
    multiplier: Float[np.ndarray, " saddle"]
    names: tuple[str, ...]
    num_tried: int
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    @property
    def share(self) -> Float[np.ndarray, " saddle"]:
        """Share of the states that came to each saddle."""
        return np.bincount(self.saddle[self.saddle >= 0], minlength=len(self.period)) / max(
            1, len(self)
        )

    def _table(self) -> Table:
        title = f"{len(self)} states on basin boundaries, of {self.num_tried} pairs"
        rows = []
        for number in np.argsort(-self.share):
            here = self.saddle == number
            pairs = sorted({tuple(sorted(pair)) for pair in self.sides[here].tolist()})
            between = ", ".join(f"{self.names[a]} ({a}) | {self.names[b]} ({b})" for a, b in pairs)
            period = int(self.period[number])
            rows.append((
                "fixed point" if period == 1 else f"{period}-cycle",
                f"{self.multiplier[number]:.6g}", f"{100 * self.share[number]:.1f} %", between,
                ", ".join(f"{x:.4g}" for x in self.saddles[number, 0][:4]),
            ))  # fmt: skip
        lost = int((self.saddle < 0).sum())
        below = [f"{lost} came to no cycle with one multiplier outside the unit circle"]
        head = ("saddle", "multiplier", "share", "between", "first point")
        below = [*(below if lost else []), *self.result.lines(), *self.notes]
        return Table([title], head, rows, below)


@on_host()
def basin_boundary(
    model: AbstractPLRNN,
    attractors: AttractorSet,
    *,
    key: PRNGKeyArray,
    num_points: int = 100,
    num_steps: int | None = None,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> BasinBoundary:
    """Find states on the basin boundary, and the saddles whose stable manifolds it is.

    Pairs of states with different attractors are drawn and bisected to rounding. Each is followed
    along the boundary, bisected again where it leaves it (edge tracking: Skufca, Yorke, Eckhardt
    2006), until its word repeats and is that of a verified saddle. In any number of states.

    ```python
    found = plr.basin_sizes(model, low=-3, high=3, key=key)
    print(plr.basin_boundary(model, found, key=key))
    ```

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `attractors`: what `find_attractors`, `basin_sizes` or `basins(...).attractors` returned.
    - `key`: `jax.random.key(seed)`, for the pairs.
    - `num_points`: pairs to draw.
    - `num_steps`: steps after which a state must be on an attractor; by default twice those that
        `attractors` took.
    - `max_seconds`: time limit. `progress`: `NoProgress()`, or a `ProgressBar`.

    **Returns:** a `BasinBoundary`. Ctrl-C returns what is finished by then.

    **Raises:** `ValueError` naming the argument.
    """
    num_points = checked_whole("num_points", num_points, 1)
    map, labels = _prepared(model, attractors, num_steps)
    draw = generator_of(checked_key(key))
    first, second = _pairs(attractors, num_points, draw)
    with float64_scope(), job(progress, "basin boundary", deadline_of(max_seconds)) as task:
        search = Search(map, labels, first, second, task)
        search.run()
    return _collected(search, attractors, task.result)


@on_host()
def distance_to_boundary(
    model: AbstractPLRNN,
    attractors: AttractorSet,
    states: Any,
    *,
    key: PRNGKeyArray,
    num_rays: int = 8,
    num_steps: int | None = None,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> BasinBoundary:
    """Find how far states are from the boundary of the basin they are in, at most.

    From each state rays go to others with another attractor, and are bisected; nearer crossings
    are then looked for along the normal of the boundary (led back by adjoints from where orbits
    leave it), and towards random states that are not farther away. The true distance is not larger;
    a nearer piece of the boundary that no ray met is not found.

    **Arguments:** as in `basin_boundary`; `states`: one row each, such as points of an attractor;
    `num_rays`: rays from each state.

    **Returns:** a `BasinBoundary` with one row per state: `points`, `distance`, `normal`, `saddle`.

    **Raises:** `ValueError` naming the argument.
    """
    map, labels = _prepared(model, attractors, num_steps)
    states = as_float64("states", states)
    if states.ndim != 2 or states.shape[1] != map.state_size or not len(states):
        raise ValueError(f"states: expected one row of {map.state_size} each, got {states.shape}")
    num_rays = checked_whole("num_rays", num_rays, 1)
    draw = generator_of(checked_key(key))
    with float64_scope(), job(progress, "distance", deadline_of(max_seconds)) as task:
        own = labels.of(states, task)
        others = [np.flatnonzero((attractors.label >= 0) & (attractors.label != x)) for x in own]
        if any(not len(rows) for rows in others) or (own < 0).any():
            raise ValueError("states: expected states in basins beside which there are others")
        targets = np.array([attractors.states[draw.choice(rows, num_rays)] for rows in others])
        flat = np.repeat(states, num_rays, axis=0)
        search = Search(map, labels, flat, targets.reshape(flat.shape), task)
        search.nearest(num_rays, draw)
        search.run()
    return _collected(search, attractors, task.result)


def _prepared(
    model: AbstractPLRNN, attractors: AttractorSet, num_steps: int | None
) -> tuple[PiecewiseAffineMap, Labels]:
    check_kind("attractors", attractors, AttractorSet, "an AttractorSet, as basin_sizes returns")
    map = with_a_unit(lower(model))
    if attractors.states.shape[1] != map.state_size:
        raise ValueError(
            f"attractors: expected those of a map with {map.state_size} states, "
            f"got {attractors.states.shape[1]}"
        )
    steps = 2 * max(attractors.num_transient, 500) if num_steps is None else num_steps
    with float64_scope():
        labels = Labels(map, attractors, checked_whole("num_steps", steps, 64))
    if np.count_nonzero(attractors.count) < 2:
        raise ValueError("attractors: expected at least two that captured initial states")
    return map, labels


def _pairs(attractors: AttractorSet, count: int, draw: np.random.Generator):
    """Return states with different attractors, each pair of attractors as likely as it is met."""
    known = np.flatnonzero(attractors.label >= 0)
    first = draw.choice(known, count)
    second = np.empty(count, np.int64)
    for place, row in enumerate(first):
        others = known[attractors.label[known] != attractors.label[row]]
        second[place] = draw.choice(others)
    return attractors.states[first], attractors.states[second]


def _collected(search: Search, attractors: AttractorSet, result: RESULTS) -> BasinBoundary:
    """Return the states whose bisection ended well."""
    good, cycles = search.edges.good, search.saddles.found
    longest = max((int(cycle.period[0]) for cycle in cycles), default=1)
    points = np.full((len(cycles), longest, search.map.state_size), np.nan)
    for row, cycle in enumerate(cycles):
        points[row, : int(cycle.period[0])] = cycle.orbit(0)
    outside = [float(c.multipliers[0][np.abs(c.multipliers[0]) > 1].real[0]) for c in cycles]
    return BasinBoundary(
        search.points[good], search.sides[good], search.normal[good], search.saddle[good],
        search.states[good], np.linalg.norm(search.points - search.states, axis=1)[good],
        points, np.array([int(c.period[0]) for c in cycles], int), np.array(outside, float),
        tuple(attractors.name(row) for row in range(len(attractors))), search.tried, result,
    )  # fmt: skip
