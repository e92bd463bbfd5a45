"""The network that comes with the package, and the map it has learned."""

from pathlib import Path

from .. import _files
from ..models import ShallowPLRNN
from ._load import load

EXAMPLE = Path(__file__).parent / "henon_shallow.safetensors"


def example_network() -> ShallowPLRNN:
    """Return a shallow PLRNN (M = 2, H = 20, float32) trained on 5,500 points of the Hénon map.

    Its states are the two observations, standardized. `benchmarks/henon.py` made it; the file's
    header tells recipe, data and seed.
    """
    return load(EXAMPLE)


def example_reference() -> tuple[str, dict[int, int]]:
    """Return the name of the map behind the network, and its number of k-cycles for each k."""
    header, _ = _files.read_arrays(EXAMPLE)
    reference = header["provenance"]["reference"]
    counts = {int(k): number for k, number in reference["cycles"].items()}
    return reference["name"], dict(sorted(counts.items()))
