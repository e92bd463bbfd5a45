"""Search for cycles of piecewise-affine maps."""

from ._base import AbstractCycleSolver as AbstractCycleSolver
from ._base import CycleProblem as CycleProblem
from ._cycle_set import CycleSet as CycleSet
from ._cycle_set import Unseen as Unseen
from ._exhaustive import Exhaustive as Exhaustive
from ._exhaustive import PlainLoop as PlainLoop
from ._exhaustive import SchurComplement as SchurComplement
from ._find import find_cycles as find_cycles
from ._scyfi import SCYFI as SCYFI
from ._seeding import AbstractSeeding as AbstractSeeding
from ._seeding import CloseReturns as CloseReturns
from ._seeding import FlippedItineraries as FlippedItineraries
from ._seeding import MixtureSeeding as MixtureSeeding
from ._seeding import RegionPool as RegionPool
from ._seeding import TransientItineraries as TransientItineraries
from ._seeding import UniformItineraries as UniformItineraries
