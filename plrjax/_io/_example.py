"""The network that comes with the package."""

from pathlib import Path

from ..models import ClippedShallowPLRNN
from ._load import load

EXAMPLE = Path(__file__).parent / "lorenz63_clipped_shallow.safetensors"


def example_network() -> ClippedShallowPLRNN:
    """Return a clipped shallow PLRNN (M = 3, H = 50, float32) trained on noisy Lorenz-63.

    Its states are the three observations, standardized. See the file's header for its provenance.
    """
    return load(EXAMPLE)
