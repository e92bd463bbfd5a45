"""Plots with matplotlib (extra `plot`), which is imported on first use only."""

from ._basins import basins as basins
from ._bifurcations import bifurcations as bifurcations
from ._branches import branch_curves as branch_curves
from ._branches import branches as branches
from ._census import census as census
from ._common import bare_figure as bare_figure
from ._common import require_matplotlib as require_matplotlib
from ._course import course as course
from ._cycles import cycles as cycles
from ._cycles import cycles_per_period as cycles_per_period
from ._cycles import multipliers as multipliers
from ._cycles import portrait as portrait
from ._cycles import simulated_orbit as simulated_orbit
from ._generated import attractor as attractor
from ._generated import power_spectra as power_spectra
from ._generated import time_series as time_series
from ._lyapunov import angles as angles
from ._lyapunov import convergence as convergence
from ._lyapunov import gradient_norms as gradient_norms
from ._lyapunov import lyapunov as lyapunov
from ._lyapunov import spectrum as spectrum
from ._lyapunov import spectrum_history as spectrum_history
from ._plane import diagram as diagram
from ._plane import plane as plane
from ._plane import scan as scan
from ._training import training as training
