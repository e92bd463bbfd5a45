"""Pieces of the word search: one subtree is searched, and proven where a proof is asked for."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np
from flint import ctx

from ...._checker import BOTH, DEAD, Refused, Tree, far_leaf_of, leaf_of
from ...._exact import Cycle, System
from ...._piecewise_affine import PiecewiseAffineMap, balanced
from ...._pool import DIED, ProcessPool
from ._search import INWARD, STRICT, Sought, WordSearch, margins_of
from ._space import Margins


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """All words of a map in a box up to `max(periods)` letters; with `facet` the map is (u, s)'s.

    **Fields:** `base`: the map of z = u / s for a facet; `inner`: its box; `rigorous`: prove every
    pruning; `language`, `width`: windows that words may have.
    """

    map: PiecewiseAffineMap
    box: np.ndarray
    periods: tuple[int, ...]
    rigorous: bool
    facet: tuple[int, np.ndarray] | None = None
    base: PiecewiseAffineMap | None = None
    inner: np.ndarray | None = None
    language: np.ndarray | None = None
    width: int = 0

    @property
    def length(self) -> int:
        """Letters of the longest words."""
        return max(self.periods)

    @functools.cached_property
    def search(self) -> WordSearch:
        """The compiled search; units are merged only where no proof over all of them follows."""
        map, unit = balanced(self.map)
        facet = self.facet and (self.facet[0], self.facet[1] / unit)
        sought = Sought(self.periods, self._margins(map), self.language, self.width)
        return WordSearch(
            map, self.box / unit, self.length, sought, facet=facet, merged=not self.rigorous,
            max_words=4096 if self.facet is None else 16,
        )  # fmt: skip

    def _margins(self, map: PiecewiseAffineMap) -> Margins:
        if self.facet is not None:
            return INWARD
        return STRICT if self.rigorous else margins_of(map)

    @functools.cached_property
    def system(self) -> System:
        """The map in exact numbers."""
        return System(*self.map.exactly())

    @functools.cached_property
    def base_system(self) -> System:
        """The map of z in exact numbers."""
        return self.system if self.base is None else System(*self.base.exactly())

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


class Subtree(NamedTuple):
    """What is known of a subtree: cycles' words (time x unit), prefixes left open, the proof.

    `degenerate` are words with a continuum of solutions, `objection` says why a facet fails,
    `unproved` counts prunings that could not be proven, so that their branches were kept.
    """

    words: list[np.ndarray]
    open: list[str]
    log: list[int]
    degenerate: list[np.ndarray]
    objection: str | None
    nodes: int
    programs: int
    unproved: int = 0


LEFT = -1
"""Stands for the proof of a subtree that is left open."""


class _Proving(Tree):
    """The checker's walk over one chunk; what is not proven there is left open."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.root, self.open, self.unproved = "", [], 0

    def chunk(self, prefix):
        if prefix == self.root and prefix in self.chunks:
            return self.chunks.pop(prefix)
        if prefix not in self.open[-1:]:
            self.open.append(prefix)
        return [DEAD, 1, LEFT]

    def empty(self, numbers, pos, gone=None):
        if numbers == [LEFT]:
            return True
        done = super().empty(numbers, pos, gone)
        self.unproved += bool(numbers) and not done
        return done

    def enter(self, prefix: str) -> tuple[int, int, bool]:
        """Go down to a prefix."""
        node, leaf = (0, 0, True), self.leaf
        self.leaf, self.root = lambda *_: None, prefix
        for bit in prefix:
            node = self.append(*node, int(bit))
        self.leaf = leaf
        return node


def explore(task: Task, prefix: str, max_nodes: int) -> Subtree:
    """Search, and prove, below a prefix until about `max_nodes` letters were met."""
    search = task.search
    size = max_nodes * (search.num_leads * 3 + 2 * task.map.state_size) + 100_000
    log_size = min(size, 30_000_000) if task.rigorous else 0
    piece = search.run(bytes(map(int, prefix)), max_nodes, log_size)
    left = ["".join(map(str, bits)) for bits in piece.open]
    if task.rigorous:
        proven = _proven(task, prefix, piece.log)
        return proven._replace(nodes=piece.nodes, programs=piece.programs)
    words = [search.merged.expand(letters) for letters in piece.words]
    far = task.facet is not None and bool(words)
    objection = "a cycle may leave the box" if far else None
    return Subtree(words, left, [], [], objection, piece.nodes, piece.programs)


def _proven(task: Task, prefix: str, log: list[int]) -> Subtree:
    """Walk through the log of a chunk as the checker does, and keep open what it would refuse."""
    if len(prefix) == task.length * task.map.num_units:
        return Subtree([], [], [], [], None, 0, 0)
    part = _walked(task, prefix, log)
    if prefix not in part.open:
        return part
    halves = _walked(task, prefix, [BOTH, DEAD, 0, DEAD, 0])
    return halves._replace(unproved=part.unproved)


def _walked(task: Task, prefix: str, log: list[int]) -> Subtree:
    met: list[tuple] = []
    with ctx.workprec(128 + 4 * task.length):
        leaf = _leaf(task, met)
        tree = _Proving(task.system, task.box, task.length, {prefix: log}, leaf,
                        task.facet is None, task.facet)  # fmt: skip
        node = tree.enter(prefix)
        objection = None
        try:
            tree.walk(*node, prefix)
        except Refused as error:
            objection = str(error)
    words = [np.array(word, bool) for word, cycle in met if cycle]
    flat = [np.array(word, bool) for word, cycle in met if not cycle]
    return Subtree(words, tree.open, log, flat, objection, 0, 0, tree.unproved)


def _leaf(task: Task, met: list[tuple]) -> Callable:
    """Return the checker's leaf function; words of cycles and degenerate ones are noted as well."""
    if task.facet is not None:
        return far_leaf_of(task.base_system, task.inner, task.periods)
    cycles: dict[tuple, Cycle] = {}
    degenerate: set[int] = set()
    enter = leaf_of(task.system, task.box, task.periods, cycles, degenerate)

    def leaf(word, P, q, is_primitive):
        before = len(cycles)
        degenerate.clear()
        enter(word, P, q, is_primitive)
        if degenerate or len(cycles) > before:
            met.append((word, not degenerate))

    return leaf


_TASK: list[Task] = []


def _begin(task: Task) -> None:
    _TASK[:] = [task]


def _explore_here(prefix: str, max_nodes: int) -> Subtree:
    return explore(_TASK[0], prefix, max_nodes)


@contextlib.contextmanager
def explorer(task: Task, workers: int) -> Iterator[Callable[[list[str], int], list[Subtree]]]:
    """Give a function that explores several prefixes, in processes of their own if there are."""
    if workers == 1:
        yield lambda prefixes, nodes: [explore(task, prefix, nodes) for prefix in prefixes]
        return
    with ProcessPool(workers, _begin, (task,)) as pool:

        def explored(prefixes: list[str], nodes: int) -> list[Subtree]:
            flying = [pool.submit(_explore_here, prefix, nodes) for prefix in prefixes]
            try:
                return [future.result() for future in flying]
            except BrokenProcessPool as error:
                raise RuntimeError(DIED) from error

        yield explored
