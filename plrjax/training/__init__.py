"""Training of recurrent networks on time series and tasks."""

from ._fit import default_optimizer as default_optimizer
from ._fit import fit as fit
from ._forcing import ESTIMATORS as ESTIMATORS
from ._forcing import AbstractForcing as AbstractForcing
from ._forcing import AdaptiveForcing as AdaptiveForcing
from ._forcing import AnnealedForcing as AnnealedForcing
from ._forcing import GeneralizedForcing as GeneralizedForcing
from ._forcing import NoForcing as NoForcing
from ._forcing import RandomForcing as RandomForcing
from ._forcing import SparseForcing as SparseForcing
from ._forcing import largest_jacobian as largest_jacobian
from ._forcing import mean_jacobian as mean_jacobian
from ._forcing import product_bound as product_bound
from ._observation import AbstractObservation as AbstractObservation
from ._observation import Affine as Affine
from ._observation import Identity as Identity
from ._records import Action as Action
from ._records import TrainingRecord as TrainingRecord
from ._records import TrainingRun as TrainingRun
from ._regularization import L2 as L2
from ._regularization import AbstractRegularizer as AbstractRegularizer
from ._regularization import ManifoldAttractor as ManifoldAttractor
from ._regularization import ObservationCondition as ObservationCondition
