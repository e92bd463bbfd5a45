"""The default solver: enumeration, walks and paths, chosen and combined by size."""

import dataclasses

import numpy as np

from ..._numerics import is_whole
from ..._piecewise_affine import PiecewiseAffineMap
from .._base import FRUITLESS_ROUNDS, AbstractPlan, CycleProblem, Stage, nodes_for
from ._branch_and_bound import BranchAndBound, word_bytes
from ._exhaustive import Exhaustive
from ._path_following import MAX_UNKNOWNS, PathFollowing, work_per_path
from ._path_starts import plan_of
from ._schur import regular_reference
from ._scyfi import SCYFI

ENUMERATED_BITS = 22
"""Words of at most so many bits (period times units) are enumerated by default."""

PLAIN_BITS = 14
"""The same where every word costs a system of its own."""

FEW_PATHS = 32
"""Where the work allows fewer paths, they start from cycles that walks found, and nowhere else."""

NODES_TO_TRY = 100_000
"""A complete search is tried with so many nodes (for up to six states; fewer for more)."""

WORTH_TRYING = 25_000
"""With less than this it is not tried."""

WORK = {True: 2e9, False: 1e9}
"""Floating-point operations of the first paths, for fixed points and for longer cycles."""

_MOST_BYTES = 1 << 30
"""Of a complete search that is tried first; words this long are left to walks."""


_GLUED = SCYFI(glued=True, max_steps=12, min_searches=512, max_searches=1024)
"""Words that lead to a cycle do so in some 5 to 10 steps. After 1024 walks paths bring more."""


@dataclasses.dataclass(frozen=True)
class Auto(AbstractPlan):
    """Enumeration of short words; for longer ones glued words, walks, then paths.

    Words of at most 22 bits (14 where no region makes I - A^k regular) are enumerated. Otherwise
    words glued from the cycles of all periods found until then come first, and `SCYFI` walks, which
    meet the easy cycles soonest. Then `PathFollowing`, which finds what walks cannot, goes on while
    it brings anything new, and less long where many paths arrive; what it brings is glued again.
    Where paths are so long that few can be followed, walks go on until they settle, and paths start
    from the cycles found only.

    Longer periods first go to `BranchAndBound` together, with a limit of about 1e5 nodes:
    small networks come out complete. Only what it cannot settle in all of R^M is left to walks and
    paths.

    **Arguments:**

    - `effort`: multiplies the number of paths and, where paths are few, of walks.
    - `max_bits`: enumerate words of at most so many bits.
    - `complete`: try `BranchAndBound`.
    """

    effort: float | int = 1.0
    max_bits: int = ENUMERATED_BITS
    complete: bool = True

    def __post_init__(self):
        if not isinstance(self.effort, int | float | np.number) or not 0 < self.effort < 1e9:
            raise ValueError(f"effort: expected a positive number, got {self.effort!r}")
        if not is_whole(self.max_bits) or not 0 <= self.max_bits <= 40:
            raise ValueError(f"max_bits: expected an integer from 0 to 40, got {self.max_bits!r}")

    def plan(self, problem):
        jobs = [stage for k in problem.periods for stage in self._stages(problem, k)]
        nodes = _nodes_to_try(problem.map)
        long = tuple(
            k
            for k in problem.periods
            if not self._enumerates(problem.map, k) and word_bytes(problem.map, k) < _MOST_BYTES
        )
        if self.complete and long and nodes:
            return [Stage(BranchAndBound(method="words", max_nodes=nodes), long), *jobs]
        return jobs

    def _stages(self, problem: CycleProblem, period: int) -> list[Stage]:
        """Return the solvers of one period, in turn."""
        if self._enumerates(problem.map, period):
            return [Stage(Exhaustive(max_bits=self.max_bits), (period,))]
        stages = self._searches(problem, period)
        if period == 1 or problem.num_searches is not None:
            return stages
        again = Stage(_GLUED, (period,), upon_news=True)
        return [Stage(_GLUED, (period,)), *stages, again]

    def _searches(self, problem: CycleProblem, period: int) -> list[Stage]:
        """Return walks and paths, by what a path costs."""
        map, total = problem.map, problem.num_searches
        follows = plan_of(map, period).num_unknowns <= MAX_UNKNOWNS
        work = work_per_path(map, period)
        count = int(self.effort * min(WORK[period == 1] / work, 4096)) if follows else 0
        if count >= FEW_PATHS:
            walks, paths = (None, None) if total is None else ((total + 1) // 2, total // 2)
            stages = [Stage(SCYFI(min_searches=256, max_searches=512), (period,), walks)]
            if paths != 0:
                least = max(count // FRUITLESS_ROUNDS, 64)
                solver = PathFollowing(min_searches=least, max_searches=16 * count)
                stages.append(Stage(solver, (period,), paths))
            return stages
        stages = [Stage(SCYFI(min_searches=512), (period,), total)]
        few = int(self.effort * WORK[False] / work) if follows else 0
        if few and total is None:
            hops = PathFollowing(min_searches=few, max_searches=few, hops=1.0, per_known=2)
            stages.append(Stage(hops, (period,)))
        return stages

    def _enumerates(self, map: PiecewiseAffineMap, period: int) -> bool:
        """Return whether every itinerary is tried: few of them, at little cost each."""
        bits = period * map.num_units
        if bits > self.max_bits:
            return False
        return bits <= PLAIN_BITS or regular_reference(map, period) is not None


def _nodes_to_try(map: PiecewiseAffineMap) -> int:
    """Return the nodes of a complete search that is worth trying, 0 for large maps."""
    nodes = nodes_for(map, NODES_TO_TRY)
    return nodes if nodes >= WORTH_TRYING else 0
