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
from ._results import BIFURCATION as BIFURCATION
from ._results import COVERAGE as COVERAGE
from ._results import RESULTS as RESULTS
from ._results import STABILITY as STABILITY
from ._stability import classify as classify
from ._stability import cycle_index as cycle_index
from ._stability import floquet_multipliers as floquet_multipliers
from .cycles import PATH_END as PATH_END
from .cycles import SCYFI as SCYFI
from .cycles import AbstractCycleSolver as AbstractCycleSolver
from .cycles import AbstractSeeding as AbstractSeeding
from .cycles import Auto as Auto
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
from .cycles import cycles_of_itineraries as cycles_of_itineraries
from .cycles import degree_at_infinity as degree_at_infinity
from .cycles import find_cycles as find_cycles
from .cycles import follow_path as follow_path
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
