"""Bifurcations of cycles: continuation, events, and what they do to a loss."""

from ._detect import Search as Search
from ._detect import detect_bifurcations as detect_bifurcations
from ._events import Bifurcations as Bifurcations
from ._events import Branch as Branch
from ._look_ahead import Decision as Decision
from ._look_ahead import LookAhead as LookAhead
from ._match import LINK as LINK
from ._match import Matches as Matches
from ._match import match_cycles as match_cycles
from ._path import AbstractParameterPath as AbstractParameterPath
from ._path import FunctionPath as FunctionPath
from ._path import LinearPath as LinearPath
from ._tracker import BifurcationTracker as BifurcationTracker
from .curves._curves import bifurcation_curves as bifurcation_curves
from .curves._parameter_curves import ParameterCurve as ParameterCurve
from .curves._parameter_curves import ParameterCurves as ParameterCurves
from .curves._plane import ParameterPlane as ParameterPlane
