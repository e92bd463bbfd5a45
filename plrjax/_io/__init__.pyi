"""Files of models: ours, and those of other programs."""

from ._describe import describe as describe
from ._example import EXAMPLE as EXAMPLE
from ._example import example_network as example_network
from ._example import example_reference as example_reference
from ._live import from_state_dict as from_state_dict
from ._live import from_torch as from_torch
from ._load import LOADERS as LOADERS
from ._load import load as load
from ._load import register_reader as register_reader
from ._load import save as save
from ._observation_file import load_observation as load_observation
from ._observation_file import save_observation as save_observation
from ._run_folder import CHECKPOINT as CHECKPOINT
from ._run_folder import CONFIG as CONFIG
from ._run_folder import RunFolder as RunFolder
from ._run_folder import open_run as open_run
from ._run_networks import first_networks as first_networks
from ._run_writer import Measure as Measure
from ._run_writer import RunWriter as RunWriter
from ._run_writer import evaluation_cells as evaluation_cells
from ._run_writer import evaluation_columns as evaluation_columns
from ._run_writer import exponent_columns as exponent_columns
from ._series import load_series as load_series
