"""Fixed points of a threshold-linear flow: those of a map, with the stability of the flow."""

import dataclasses

import numpy as np

from .._flow import ThresholdLinearFlow
from .._numerics import quiet_floats
from .._results import STABILITY
from .._stability import classify, floquet_multipliers
from ._cycle_set import CycleSet
from ._find import find_cycles

_FLOW = (
    "a flow: stability and multipliers are those of x(t) -> x(t + 1), exp of the eigenvalues of "
    "-I + D W; cycles of the flow were not looked for"
)


def fixed_points_of_flow(flow: ThresholdLinearFlow, **options) -> CycleSet:
    """Return all fixed points, or those that a search finds where there are many neurons."""
    map = flow.fixed_point_map()
    found = find_cycles(map, 1, **options)
    multipliers, stability = found.multipliers.copy(), found.stability.copy()
    for row in range(len(found)):
        if np.isnan(multipliers[row]).any():  # on a switching boundary the flow has two sides, too
            stability[row] = STABILITY.undecided
            continue
        J, _ = map.affine_piece(found.regions(row)[None])
        with quiet_floats():
            values, errors = floquet_multipliers(J)
            grown = np.exp(values - 1.0)
            errors = errors * np.abs(grown)
        stability[row] = classify(grown, errors)[0]
        multipliers[row] = grown[0, np.argsort(-np.abs(grown[0]), kind="stable")]
    return dataclasses.replace(
        found, multipliers=multipliers, stability=stability, notes=(_FLOW, *found.notes)
    )


def supports(cycles: CycleSet) -> list[tuple[int, ...]]:
    """Return the active neurons of each fixed point of a flow (units that are on), from 0."""
    return [tuple(np.flatnonzero(cycles.regions(row)[0]).tolist()) for row in range(len(cycles))]
