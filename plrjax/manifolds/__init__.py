"""Invariant manifolds: what separates attractors, and what connects cycles."""

from ._boundary import BasinBoundary as BasinBoundary
from ._boundary import basin_boundary as basin_boundary
from ._boundary import distance_to_boundary as distance_to_boundary
from ._cells import Invertibility as Invertibility
from ._cells import invertibility as invertibility
from ._connect import connections as connections
from ._connections import Connections as Connections
from ._connections import VerifiedConnections as VerifiedConnections
from ._connections import verify_connections as verify_connections
from ._manifold import Manifold as Manifold
from ._preimages import preimages as preimages
from ._stable import stable_manifold as stable_manifold
from ._survey import Survey as Survey
from ._survey import survey as survey
from ._unstable import unstable_manifold as unstable_manifold
