"""Bifurcations of cycles: continuation, events, and what they do to a loss."""

from ._attractor_set import AttractorSet as AttractorSet
from ._attractors import find_attractors as find_attractors
from ._basins import Basins as Basins
from ._basins import basin_sizes as basin_sizes
from ._basins import basins as basins
from ._curves import bifurcation_curves as bifurcation_curves
from ._detect import Search as Search
from ._detect import detect_bifurcations as detect_bifurcations
from ._events import Bifurcations as Bifurcations
from ._events import Branch as Branch
from ._look_ahead import Decision as Decision
from ._look_ahead import LookAhead as LookAhead
from ._match import LINK as LINK
from ._match import Matches as Matches
from ._match import match_cycles as match_cycles
from ._parameter_curves import ParameterCurve as ParameterCurve
from ._parameter_curves import ParameterCurves as ParameterCurves
from ._path import AbstractParameterPath as AbstractParameterPath
from ._path import FunctionPath as FunctionPath
from ._path import LinearPath as LinearPath
from ._plane import ParameterPlane as ParameterPlane
from ._sensitivity import cycle_loss_gradient as cycle_loss_gradient
from ._sensitivity import cycle_sensitivity as cycle_sensitivity
from ._sensitivity import itinerary_sensitivity as itinerary_sensitivity
from ._sensitivity import sensitivity_norm as sensitivity_norm
from ._tracker import BifurcationTracker as BifurcationTracker
