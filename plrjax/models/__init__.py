"""Recurrent networks: the piecewise-linear family, and smooth ones for comparison."""

from ._from_arrays import KINDS as KINDS
from ._from_arrays import MAX_LAYERS as MAX_LAYERS
from ._from_arrays import STACKED as STACKED
from ._from_arrays import Kind as Kind
from ._from_arrays import arrays_of as arrays_of
from ._from_arrays import from_arrays as from_arrays
from ._from_arrays import kind_named as kind_named
from ._from_arrays import kind_of as kind_of
from ._from_arrays import layer_kinds as layer_kinds
from ._from_arrays import register_model as register_model
from ._from_arrays import split_layers as split_layers
from ._plrnn import PLRNN as PLRNN
from ._plrnn import AlmostLinearRNN as AlmostLinearRNN
from ._plrnn import ClippedDendriticPLRNN as ClippedDendriticPLRNN
from ._plrnn import DendriticPLRNN as DendriticPLRNN
from ._plrnn import MeanCenteredPLRNN as MeanCenteredPLRNN
from ._plrnn import ReluRNN as ReluRNN
from ._plrnn import ThresholdPLRNN as ThresholdPLRNN
from ._shallow import ClippedShallowPLRNN as ClippedShallowPLRNN
from ._shallow import ShallowPLRNN as ShallowPLRNN
from ._smooth import GRU as GRU
from ._smooth import LSTM as LSTM
from ._smooth import TanhRNN as TanhRNN
from ._stacked import Stacked as Stacked
