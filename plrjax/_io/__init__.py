"""Files of models: ours, and those of other programs."""

from ._describe import describe as describe
from ._example import EXAMPLE as EXAMPLE
from ._example import example_network as example_network
from ._load import LOADERS as LOADERS
from ._load import load as load
from ._load import save as save
from ._series import load_series as load_series
