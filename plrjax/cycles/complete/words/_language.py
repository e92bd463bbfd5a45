"""The recurrent language: which windows of a word can occur in cycles at all.

Feasible words of w letters are the edges of a graph on words of w - 1 letters. A cycle runs around
in it, so it uses edges inside strongly connected components only. The number of words of n letters
that stay in the box grows at most like the n-th power of the graph's spectral radius, and with it
the number of orbits that can be told apart: inside one cell of such words all iterates are affine
with images in the box, so separated orbits there grow in number slower than any exponential. The
logarithm of the radius is an upper bound of the topological entropy.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...._piecewise_affine import PiecewiseAffineMap
from ._search import Sought, WordSearch, margins_of

CODE_BITS = 62


@dataclasses.dataclass
class Language:
    """Recurrent windows of `width` letters as sorted integers, bit after bit.

    **Fields:** `graph`: what follows what, in windows of `width` - 1 letters; `complete`: whether
    the last width tried was searched to its end; `nodes`: letters met.
    """

    codes: np.ndarray | None = None
    width: int = 0
    graph: Any = None
    complete: bool = True
    nodes: int = 0

    @functools.cached_property
    def entropy(self) -> float:
        """Upper bound of the topological entropy of the orbits that stay in the box (nats/step)."""
        radius = _radius_bound(self.graph)
        return max(float(np.log(radius)), 0.0) if radius > 0 else 0.0


def languages(
    map: PiecewiseAffineMap, box: np.ndarray, longest: int, max_nodes: int
) -> Iterator[Language]:
    """Yield the language of windows of 2, 3, ... letters, until nodes or memory run out."""
    known = Language()
    for width in range(2, longest + 1):
        sought = Sought((), margins_of(map), known.codes, known.width)
        search = WordSearch(map, box, width, sought, max_words=50_000)
        if search.num_leads * width > CODE_BITS:
            return
        piece = search.run(max_nodes=max_nodes - known.nodes)
        nodes = known.nodes + piece.nodes
        if piece.open or nodes >= max_nodes:
            yield dataclasses.replace(known, complete=False, nodes=nodes)
            return
        letters = np.array(piece.words, np.int64).reshape(-1, search.num_leads * width)
        codes = letters @ (1 << np.arange(letters.shape[1] - 1, -1, -1, dtype=np.int64))
        kept, graph = _recurrent(codes, width, search.num_leads)
        known = Language(np.sort(codes[kept]), width, graph, True, nodes)
        yield known
        if not kept.any():
            return


def _recurrent(codes: np.ndarray, width: int, bits: int) -> tuple[np.ndarray, Any]:
    """Return which words are edges inside a component, and the graph of these."""
    if not len(codes):
        return np.zeros(0, bool), coo_array((1, 1)).tocsr()
    before, after = codes >> bits, codes & ((1 << (bits * (width - 1))) - 1)
    nodes, ends = np.unique(np.concatenate([before, after]), return_inverse=True)
    ends = ends.reshape(2, -1)
    shape = (len(nodes), len(nodes))
    graph = coo_array((np.ones(len(codes)), (ends[0], ends[1])), shape=shape).tocsr()
    label = connected_components(graph, connection="strong")[1]
    kept = label[ends[0]] == label[ends[1]]
    inner = coo_array((np.ones(kept.sum()), (ends[0][kept], ends[1][kept])), shape=shape).tocsr()
    return kept, inner


def _radius_bound(graph) -> float:
    """Return max_i (T x)_i / x_i - 1 for T = I + graph, an upper bound for any x > 0 (Collatz)."""
    x, best = np.ones(graph.shape[0]), np.inf
    for _ in range(300):
        y = graph @ x + x
        bound = float((y / x).max()) - 1.0
        if best - bound < 1e-9 * best and np.isfinite(best):
            best = min(best, bound)
            break
        best = min(best, bound)
        x = np.maximum(y / y.max(), 1e-200)
    return best * (1 + 1e-12)
