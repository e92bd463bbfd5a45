"""Array aliases shared by every floor (shapes in jaxtyping notation)."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

State: TypeAlias = Float[Array | np.ndarray, " state"]
"""One state z, a flat vector."""

Region: TypeAlias = Bool[np.ndarray, " unit"]
"""Activation pattern of one linear subregion: True where a unit's pre-activation is > 0."""

Itinerary: TypeAlias = Bool[np.ndarray, "time unit"]
"""Regions visited by k consecutive states."""

PackedItinerary: TypeAlias = UInt8[np.ndarray, "time byte"]
"""An itinerary with eight units to a byte, little bit order."""
