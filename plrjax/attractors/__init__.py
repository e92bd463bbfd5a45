"""Attractors, what kind they are, and their basins."""

from ._attractor_set import AttractorSet as AttractorSet
from ._basins import Basins as Basins
from ._basins import basin_sizes as basin_sizes
from ._basins import basins as basins
from ._find import find_attractors as find_attractors
from ._symbolic_dynamics import SymbolicDynamics as SymbolicDynamics
from ._symbolic_dynamics import symbolic_dynamics as symbolic_dynamics
