"""How well a trained model reproduces a system: attractor, spectrum, prediction, with floors."""

from ._evaluate import evaluate as evaluate
from ._evaluation import Evaluation as Evaluation
from ._evaluation import Scores as Scores
from ._power import power_spectrum_error as power_spectrum_error
from ._prediction import prediction_error as prediction_error
from ._series import split_half as split_half
from ._state_space import state_space_divergence as state_space_divergence
from ._summary import EvaluationSummary as EvaluationSummary
from ._summary import evaluate_many as evaluate_many
