"""Dynamics of ReLU-based recurrent networks in JAX: cycles, stability, and how sure one is."""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING

from . import metrics as metrics
from . import systems as systems
from . import training as training
from ._dynamics import AbstractDynamics as AbstractDynamics
from ._dynamics import Dynamics as Dynamics
from ._dynamics import jacobian as jacobian
from ._dynamics import trajectory as trajectory
from ._io import RunFolder as RunFolder
from ._io import describe as describe
from ._io import example_network as example_network
from ._io import load as load
from ._io import load_series as load_series
from ._io import save as save
from ._lyapunov import CovariantVectors as CovariantVectors
from ._lyapunov import GradientNorms as GradientNorms
from ._lyapunov import LyapunovProbe as LyapunovProbe
from ._lyapunov import LyapunovSpectrum as LyapunovSpectrum
from ._lyapunov import SpectrumHistory as SpectrumHistory
from ._lyapunov import covariant_vectors as covariant_vectors
from ._lyapunov import cycle_exponents as cycle_exponents
from ._lyapunov import finite_time_exponents as finite_time_exponents
from ._lyapunov import flossing_penalty as flossing_penalty
from ._lyapunov import gradient_norms as gradient_norms
from ._lyapunov import kaplan_yorke_dimension as kaplan_yorke_dimension
from ._lyapunov import lyapunov_exponents as lyapunov_exponents
from ._lyapunov import lyapunov_spectrum as lyapunov_spectrum
from ._parallel import AbstractProgress as AbstractProgress
from ._parallel import NoProgress as NoProgress
from ._parallel import ProgressBar as ProgressBar
from ._piecewise_affine import AbstractPLRNN as AbstractPLRNN
from ._piecewise_affine import PiecewiseAffineMap as PiecewiseAffineMap
from ._results import ATTRACTOR as ATTRACTOR
from ._results import BIFURCATION as BIFURCATION
from ._results import COLLISION as COLLISION
from ._results import COVERAGE as COVERAGE
from ._results import RESULTS as RESULTS
from ._results import STABILITY as STABILITY
from ._scan import AbstractMeasure as AbstractMeasure
from ._scan import AllParameters as AllParameters
from ._scan import AttractorOrbit as AttractorOrbit
from ._scan import Axis as Axis
from ._scan import CycleCounts as CycleCounts
from ._scan import GradientNorm as GradientNorm
from ._scan import LargestExponent as LargestExponent
from ._scan import OrbitLoss as OrbitLoss
from ._scan import ParameterScan as ParameterScan
from ._scan import ScannedParameters as ScannedParameters
from ._scan import scan_parameters as scan_parameters
from ._stability import classify as classify
from ._stability import cycle_index as cycle_index
from ._stability import floquet_multipliers as floquet_multipliers
from .bifurcations import LINK as LINK
from .bifurcations import AbstractParameterPath as AbstractParameterPath
from .bifurcations import AttractorSet as AttractorSet
from .bifurcations import Basins as Basins
from .bifurcations import Bifurcations as Bifurcations
from .bifurcations import BifurcationTracker as BifurcationTracker
from .bifurcations import Branch as Branch
from .bifurcations import FunctionPath as FunctionPath
from .bifurcations import LinearPath as LinearPath
from .bifurcations import LookAhead as LookAhead
from .bifurcations import Matches as Matches
from .bifurcations import ParameterCurve as ParameterCurve
from .bifurcations import ParameterPlane as ParameterPlane
from .bifurcations import Search as Search
from .bifurcations import basin_sizes as basin_sizes
from .bifurcations import basins as basins
from .bifurcations import bifurcation_curves as bifurcation_curves
from .bifurcations import cycle_loss_gradient as cycle_loss_gradient
from .bifurcations import cycle_sensitivity as cycle_sensitivity
from .bifurcations import detect_bifurcations as detect_bifurcations
from .bifurcations import find_attractors as find_attractors
from .bifurcations import itinerary_sensitivity as itinerary_sensitivity
from .bifurcations import match_cycles as match_cycles
from .bifurcations import sensitivity_norm as sensitivity_norm
from .cycles import PATH_END as PATH_END
from .cycles import SCYFI as SCYFI
from .cycles import AbstractCycleSolver as AbstractCycleSolver
from .cycles import AbstractSeeding as AbstractSeeding
from .cycles import Auto as Auto
from .cycles import BranchAndBound as BranchAndBound
from .cycles import CloseReturns as CloseReturns
from .cycles import CycleProblem as CycleProblem
from .cycles import CycleSet as CycleSet
from .cycles import Exhaustive as Exhaustive
from .cycles import FlippedItineraries as FlippedItineraries
from .cycles import MixtureSeeding as MixtureSeeding
from .cycles import Path as Path
from .cycles import PathFollowing as PathFollowing
from .cycles import PlainLoop as PlainLoop
from .cycles import RegionPool as RegionPool
from .cycles import SchurComplement as SchurComplement
from .cycles import TransientItineraries as TransientItineraries
from .cycles import UniformItineraries as UniformItineraries
from .cycles import Unseen as Unseen
from .cycles import Verified as Verified
from .cycles import certify as certify
from .cycles import cycles_of_itineraries as cycles_of_itineraries
from .cycles import degree_at_infinity as degree_at_infinity
from .cycles import find_cycles as find_cycles
from .cycles import follow_path as follow_path
from .cycles import verify as verify
from .models import GRU as GRU
from .models import LSTM as LSTM
from .models import PLRNN as PLRNN
from .models import AlmostLinearRNN as AlmostLinearRNN
from .models import ClippedDendriticPLRNN as ClippedDendriticPLRNN
from .models import ClippedShallowPLRNN as ClippedShallowPLRNN
from .models import DendriticPLRNN as DendriticPLRNN
from .models import MeanCenteredPLRNN as MeanCenteredPLRNN
from .models import ReluRNN as ReluRNN
from .models import ShallowPLRNN as ShallowPLRNN
from .models import Stacked as Stacked
from .models import TanhRNN as TanhRNN
from .models import from_arrays as from_arrays
from .systems import ExponentEstimate as ExponentEstimate
from .systems import estimate_exponent as estimate_exponent
from .training import L2 as L2
from .training import Action as Action
from .training import AdaptiveForcing as AdaptiveForcing
from .training import Affine as Affine
from .training import AnnealedForcing as AnnealedForcing
from .training import AutoInterval as AutoInterval
from .training import EvaluationProbe as EvaluationProbe
from .training import GeneralizedForcing as GeneralizedForcing
from .training import Identity as Identity
from .training import ManifoldAttractor as ManifoldAttractor
from .training import NoForcing as NoForcing
from .training import ObservationCondition as ObservationCondition
from .training import RandomForcing as RandomForcing
from .training import Snapshots as Snapshots
from .training import SparseForcing as SparseForcing
from .training import TrainingRecord as TrainingRecord
from .training import TrainingRun as TrainingRun
from .training import default_optimizer as default_optimizer
from .training import fit as fit
from .training import fit_many as fit_many

if TYPE_CHECKING:
    from . import plot as plot

__version__ = importlib.metadata.version("plrjax")


def __getattr__(name: str):
    """Load `plrjax.plot` when first asked for: it alone needs matplotlib."""
    if name == "plot":
        return importlib.import_module(".plot", __name__)
    raise AttributeError(f"module 'plrjax' has no attribute {name!r}")
