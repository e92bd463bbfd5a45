"""All preimages of a state."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from .._host import on_host
from .._numerics import as_float64
from .._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from .._progress import AbstractProgress
from ..cycles import AbstractCycleSolver, BranchAndBound, CycleSet, find_cycles


@on_host()
def preimages(
    model: AbstractPLRNN,
    z: Any,
    *,
    solver: AbstractCycleSolver | None = None,
    key: PRNGKeyArray | None = None,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> CycleSet:
    """Find every state z' with F(z') = z.

    They are the fixed points of z' + F(z') - z, which is piecewise affine on the same linear
    subregions: all searches for fixed points do, the complete one says whether any is missing, and
    `certify` may prove each. Stability and multipliers are those of that map, and of no use here.

    ```python
    found = plr.preimages(model, [0.1, -0.2])
    print(found.points[:, 0], found.coverage_by_period)
    ```

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `z`: the state.
    - `solver`: by default `BranchAndBound()`, which is complete where it ends.
    - `key`: for the solvers that need one; `max_seconds`, `progress`: as in `find_cycles`.

    **Returns:** a `CycleSet` of fixed points, whose `points[:, 0]` are the preimages.

    **Raises:** `ValueError` naming the argument.
    """
    map = lower(model)
    target = as_float64("z", z, (map.state_size,))
    moved = PiecewiseAffineMap(
        map.A + np.eye(map.state_size), map.W1, map.W2, map.h1 - target, map.h2
    )
    found = find_cycles(
        moved, 1, solver=BranchAndBound() if solver is None else solver, key=key,
        max_seconds=max_seconds, progress=progress,
    )  # fmt: skip
    if len(found):
        return found
    shapes = (0, 1, map.state_size), (0, 1, found.itinerary.shape[2])
    return dataclasses.replace(
        found, points=np.zeros(shapes[0]), itinerary=np.zeros(shapes[1], np.uint8)
    )
