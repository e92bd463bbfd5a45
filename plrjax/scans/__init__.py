"""Scans: any measure over a grid of one or two parameters, tiled and resumable."""

from ._axis import Axis as Axis
from ._cycle_counts import CycleCounts as CycleCounts
from ._measure import AbstractMeasure as AbstractMeasure
from ._measure import Dimension as Dimension
from ._orbit_measures import AllParameters as AllParameters
from ._orbit_measures import AttractorOrbit as AttractorOrbit
from ._orbit_measures import GradientNorm as GradientNorm
from ._orbit_measures import LargestExponent as LargestExponent
from ._orbit_measures import OrbitLoss as OrbitLoss
from ._orbit_measures import ScannedParameters as ScannedParameters
from ._plane import Pixels as Pixels
from ._plane import Plane as Plane
from ._result import GridAxis as GridAxis
from ._result import ParameterScan as ParameterScan
from ._run import DEFAULT_TILE as DEFAULT_TILE
from ._run import scan_parameters as scan_parameters
