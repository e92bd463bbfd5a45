"""Benchmark systems as maps, series simulated from them, exponents estimated from series."""

from ._delay import DelayFlow as DelayFlow
from ._delay import mackey_glass as mackey_glass
from ._embedding import correlation_delay as correlation_delay
from ._embedding import embed as embed
from ._estimate import ExponentEstimate as ExponentEstimate
from ._estimate import estimate_exponent as estimate_exponent
from ._flows import duffing as duffing
from ._flows import lorenz63 as lorenz63
from ._flows import lorenz96 as lorenz96
from ._flows import rossler as rossler
from ._maps import henon as henon
from ._maps import logistic as logistic
from ._maps import lozi as lozi
from ._neuron import bursting_neuron as bursting_neuron
from ._simulate import Series as Series
from ._simulate import simulate as simulate
from ._system import AbstractSystem as AbstractSystem
from ._system import Flow as Flow
from ._system import Map as Map
