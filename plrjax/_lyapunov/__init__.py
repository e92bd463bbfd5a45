"""Lyapunov exponents and vectors, and gradients along orbits: this house knows `step` only."""

from ._covariant import CovariantVectors as CovariantVectors
from ._covariant import covariant_vectors as covariant_vectors
from ._exponents import lyapunov_exponents as lyapunov_exponents
from ._finite_time import finite_time_exponents as finite_time_exponents
from ._flossing import flossing_penalty as flossing_penalty
from ._gradients import GradientNorms as GradientNorms
from ._gradients import gradient_norms as gradient_norms
from ._history import LyapunovProbe as LyapunovProbe
from ._history import SpectrumHistory as SpectrumHistory
from ._measures import cycle_exponents as cycle_exponents
from ._measures import kaplan_yorke_dimension as kaplan_yorke_dimension
from ._result import AttractorSpectrum as AttractorSpectrum
from ._result import LyapunovSpectrum as LyapunovSpectrum
from ._spectrum import lyapunov_spectrum as lyapunov_spectrum
